"""Irregular work against plain NumPy, on every way of making native code; what is refused."""

import functools
import hashlib
import math
import re

import numpy as np
import pytest

import portapar as pp

irregular = pp.irregular
RNG = np.random.default_rng(3)
TWICE = pp.par.on(pp.hybrid(pp.threads(1), pp.simd(), weights=[1, 1]))


def far_and_near(n, d):
    """A few points far away from all others."""
    r = 1 / np.random.default_rng(n).random((n, 1)) ** 3
    return np.random.default_rng(d).normal(size=(n, d)) * r


def squares(queries, points):
    total = 0
    for a in range(points.shape[1]):
        off = queries[:, None, a] - points[None, :, a]
        total = total + off * off
    return total


CLOUDS = {
    "normal": lambda n, d: RNG.normal(size=(n, d)),
    "even": lambda n, d: RNG.random((n, d)) * [5.0, 1e-3, 2.0][:d],
    "lattice": lambda n, d: RNG.integers(0, 4, (n, d)) * 1.0,
    "equal": lambda n, d: np.full((n, d), 2.5),
    "line": lambda n, d: np.column_stack([RNG.permutation(n) * 1.0] + [np.full(n, -1.0)] * (d - 1)),
    "far and near": far_and_near,
    "two heaps": lambda n, d: RNG.random((n, d)) * 1e-9 + RNG.integers(0, 2, (n, 1)),
}


@pytest.mark.parametrize("d, dtype", [(3, "f4"), pytest.param(2, "f8", marks=pytest.mark.rare)])
def test_knn(renderer, d, dtype):
    for kind, cloud in CLOUDS.items():
        for n, k in ((2, 1), (40, 32), (700, 5)):
            points = cloud(n, d).astype(dtype)
            for queries in (None, cloud(60, d).astype(dtype) + np.dtype(dtype).type(0.25)):
                if queries is not None and k > n:
                    continue
                far = squares(points if queries is None else queries, points)
                if queries is None:
                    np.fill_diagonal(far, np.inf)
                wanted = np.argsort(far, axis=1, kind="stable")[:, :k]
                near, found = irregular.knn(renderer, points, k, queries)
                np.testing.assert_array_equal(found, wanted, err_msg=f"{kind} {n} {k}")
                np.testing.assert_array_equal(near, np.sqrt(np.take_along_axis(far, wanted, 1)), err_msg=f"{kind} {n}")
                assert near.dtype == points.dtype and found.dtype == np.int32


@pytest.mark.extra
def test_knn_of_few_and_none():
    points = np.zeros((1, 2))
    near, found = irregular.knn(pp.par, points, 1, points)
    assert near.tolist() == [[0]] and found.tolist() == [[0]]
    for near in irregular.knn(pp.par, points[:0], 3), irregular.knn(pp.par, points, 3, points[:0]):
        assert [x.shape for x in near] == [(0, 3), (0, 3)]


def pulls(positions, masses, softening):
    off = positions[None] - positions[:, None]
    square = (off * off).sum(2) + softening**2
    near = square == 0
    square[near] = 1
    w = np.where(near, 0, masses / square**1.5)
    depth = np.where(near, 0, masses / np.sqrt(square))
    np.fill_diagonal(depth, 0)
    return (w[..., None] * off).sum(1), -depth.sum(1), np.where(near, 0, masses / square).sum(1)


@pytest.mark.parametrize(("d", "dtype"), [
    (3, "f8"), (2, "f8"), *(pytest.param(d, "f4", marks=pytest.mark.rare) for d in (2, 3)),
])  # fmt: skip
@pytest.mark.extra
def test_nbody(renderer, d, dtype):
    close = {"f8": 1e-11, "f4": 2e-3}[dtype]
    for n, softening in ((1, 0.0), (100, 0.0), (331, 0.1), (50, 0.5)):
        positions = RNG.normal(size=(n, d)).astype(dtype)
        positions[n // 2] = positions[0]
        masses = (RNG.random(n) * (RNG.random(n) > 0.1)).astype(dtype)
        wanted, depth, scale = pulls(positions.astype(float), masses.astype(float), softening)
        pull, deep = irregular.nbody(renderer, positions, masses, softening=softening, potentials=True)
        assert pull.dtype == deep.dtype == dtype
        assert (np.linalg.norm(pull - wanted, axis=1) <= close * scale).all()
        np.testing.assert_allclose(deep, depth, rtol=close)
        for theta in (1e-9, 0.3, 0.6):
            pull, deep = irregular.nbody(renderer, positions, masses, softening=softening, theta=theta, potentials=True)
            most = 3 * theta**2 / (1 - theta) ** 2 * (1 + theta) ** 2 + close
            assert (np.linalg.norm(pull - wanted, axis=1) <= most * scale).all()
            np.testing.assert_allclose(deep, depth, rtol=theta**2 / 2 + close)
    assert irregular.nbody(renderer, positions[:0], masses[:0]).shape == (0, d)
    pull, _ = irregular.nbody(renderer, positions, masses, softening=0.5, potentials=True)
    assert irregular.nbody(renderer, positions, masses, softening=0.5).tobytes() == pull.tobytes()


def test_a_tree_of_bodies_is_near_the_sum_over_all_pairs():
    positions, masses = RNG.random((5000, 3)), RNG.random(5000)
    policy = pp.par.on(pp.threads(2))
    wanted = irregular.nbody(policy, positions, masses)
    for theta, most in ((0.2, 4e-4), (0.5, 6e-3)):
        first = irregular.nbody(policy, positions, masses, theta=theta)
        wrong = np.linalg.norm(first - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
        assert 1e-5 < wrong.mean() < most
        assert irregular.nbody(pp.seq, positions, masses, theta=theta).tobytes() == first.tobytes()


def whole(x):
    """A number times 2^1074, which is a whole one."""
    over, under = x.as_integer_ratio()
    return over * (2**1074 // under)


def corners(points):
    """Both sides in order of the coordinates, exactly."""
    first = {}
    for i, (x, y) in enumerate(points.tolist()):
        first.setdefault((whole(x), whole(y)), i)

    def side(order):
        kept = []
        for x, y in order:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-2:]
                if (bx - ax) * (y - ay) > (by - ay) * (x - ax):
                    break
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    order = sorted(first)
    return [first[p] for p in side(order) + side(order[::-1]) or order]


NEAR = np.array([[0.5 + i * 2.0**-53, 0.5 + j * 2.0**-53] for i in range(12) for j in range(12)] + [[12, 12], [24, 24]])
PLANES = {
    **{kind: cloud(300, 2) for kind, cloud in CLOUDS.items()},
    "one": np.ones((1, 2)),
    "nearly a line": NEAR,
    "small": NEAR * 1e-100,
    "large": NEAR * 1e300,
    "subnormal": np.random.default_rng(8).integers(-9, 9, (200, 2)) * 5e-324,
    "both zeros": np.array([[0.0, 0], [-0.0, 1], [0.0, -1], [-0.0, 0], [0, 0.5]]),
    "many": RNG.normal(size=(34000, 2)),
    "many on a line": RNG.permutation(34000)[:, None] / np.array([7, 3]),
    "many on an upright line": np.column_stack([np.zeros(34000), RNG.random(34000)]),
    "many in a square": RNG.integers(0, 300, (34000, 2)) * 1.0,
}


@functools.cache
def wanted_corners(kind):
    return corners(PLANES[kind])


def test_convex_hull(renderer):
    for kind in PLANES:
        assert irregular.convex_hull(renderer, PLANES[kind]).tolist() == wanted_corners(kind), kind
    assert irregular.convex_hull(renderer, np.empty((0, 2))).tolist() == []


@pytest.mark.rare
def test_convex_hull_of_float32(renderer):
    for kind, by in (("normal", 1), ("nearly a line", 1), ("many", 1), ("normal", 1e-44)):
        points = (PLANES[kind] * by).astype(np.float32)
        assert irregular.convex_hull(renderer, points).tolist() == corners(points), kind


def searched(tree):
    """A tree of one kind, node by node, by the rules of the benchmark."""
    waiting = [(hashlib.sha1(bytes(16) + tree.seed.to_bytes(4, "big")).digest(), 0)]
    nodes = leaves = deepest = 0
    while waiting:
        digest, depth = waiting.pop()
        u = (int.from_bytes(digest[16:], "big") & 0x7FFFFFFF) / 2**31
        if not tree.depth:
            kids = int(tree.branching) if depth == 0 else tree.children * (u < tree.probability)
        elif depth < tree.depth:
            mean = tree.branching * (1 - depth / tree.depth if tree.shape == "linear" else 1)
            kids = min(100, math.floor(math.log(1 - u) / math.log(1 - 1 / (1 + mean)))) if mean else 0
        else:
            kids = 0
        nodes, leaves, deepest = nodes + 1, leaves + (kids == 0), max(deepest, depth)
        waiting += [(hashlib.sha1(digest + k.to_bytes(4, "big")).digest(), depth + 1) for k in range(kids)]
    return nodes, leaves, deepest


def test_uts(renderer):
    Tree = irregular.Tree
    for tree in (Tree(19, 4, 5), Tree(7, 3, 6, "linear"), Tree(1, 40, probability=0.24, children=4), Tree(5, 0, 3)):
        assert irregular.uts(renderer, tree) == searched(tree), tree
    assert irregular.uts(renderer, Tree(3, 0.5)) == (1, 1, 0)


@pytest.mark.parametrize(
    "name, counts",
    [
        ("T1", (4130071, 3305118, 10)),
        pytest.param("T3", (4112897, 3599034, 1572), marks=pytest.mark.extra),
        pytest.param("T2", (4117769, 2342762, 81), marks=pytest.mark.rare),
        pytest.param("T5", (4147582, 2181318, 20), marks=pytest.mark.rare),
    ],
)
def test_uts_has_the_published_counts(name, counts):
    assert irregular.uts(pp.par.on(pp.threads(2)), name) == counts


TEXTS = {
    "none": b"",
    "one": b"a",
    "banana": b"banana",
    "equal": b"a" * 500,
    "periodic": b"abcab" * 100,
    "bytes": RNG.integers(0, 256, 700).astype(np.uint8).tobytes(),
    "few letters": RNG.integers(0, 3, 700).astype(np.uint8).tobytes(),
    "words": b" The cat. THE dog's cat\n\tA catalogue, a Cat-o'-nine-tails \xff\xc3\xa9tude{@[`z" * 3,
    "no words": b"12 +-[]@` \x80",
}


@pytest.mark.extra
def test_texts(renderer):
    for kind, text in TEXTS.items():
        found = irregular.suffix_array(renderer, text)
        assert found.tolist() == sorted(range(len(text)), key=lambda i: text[i:]), kind
        wanted = {}
        for word in re.finditer(rb"[A-Za-z]+", text):
            counted = wanted.setdefault(word.group().lower(), [word.start(), len(word.group()), 0])
            counted[2] += 1
        counts = irregular.word_count(renderer, np.frombuffer(text, np.uint8))
        assert np.array(counts).T.tolist() == list(wanted.values()), kind


P, Q = np.zeros((4, 2)), np.zeros((4, 3))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: irregular.knn(P, 1), "policy"),
        (lambda: irregular.knn(pp.par, P[0]), r"points has shape \(2,\): must be an array of shape \(n, 2 or 3\)"),
        (lambda: irregular.knn(pp.par, np.zeros((4, 4))), r"points has shape \(4, 4\)"),
        (lambda: irregular.knn(pp.par, [[1.0, 2.0]]), "points"),
        (lambda: irregular.knn(pp.par, P.astype(int)), "points has dtype int64: must be float32 or float64"),
        (lambda: irregular.knn(pp.par, P, 1, Q), r"queries has shape \(4, 3\): must be an array of shape \(n, 2\)"),
        (lambda: irregular.knn(pp.par, P, 1, P.astype("f4")), "points are float64, queries float32"),
        (lambda: irregular.knn(pp.par, P, 4), "k is 4, and each has 3 points to choose from"),
        (lambda: irregular.knn(pp.par, P, 5, P), "k is 5, and each has 4 points"),
        (lambda: irregular.knn(pp.par, P[:0], 1, P), "k is 1, and each has 0 points"),
        (lambda: irregular.knn(pp.par, P, 0), "k is 0: must be a whole number from 1 to 32"),
        (lambda: irregular.knn(pp.par, P, 1.5), "k is 1.5"),
        (lambda: irregular.knn(pp.par, P / 0), r"points\[0, 0\] is nan: must be finite"),
        (lambda: irregular.knn(pp.par, P, 1, np.where(np.eye(4, 2), np.inf, 0)), r"queries\[0, 0\] is inf"),
        (lambda: irregular.knn(pp.par, np.array([[-1e200, 0], [1e200, 0]])), "whose square is no float64. Scale"),
        (lambda: irregular.knn(TWICE, P), "has 2 parts, and this runs on one device"),
        (lambda: irregular.convex_hull(pp.par, Q), r"points has shape \(4, 3\): must be an array of shape \(n, 2\)"),
        (lambda: irregular.convex_hull(pp.par, P / 0), r"points\[0, 0\] is nan: must be finite"),
        (lambda: irregular.convex_hull(TWICE, P), "has 2 parts"),
        (lambda: irregular.nbody(P, P, P[:, 0]), "policy"),
        (lambda: irregular.nbody(pp.par, P, P), r"masses has shape \(4, 2\) .* must have shape \(4,\)"),
        (lambda: irregular.nbody(pp.par, P, 1.0), "masses is 1.0: must have shape"),
        (lambda: irregular.nbody(pp.par, P, P[:, 0].astype("f4")), "dtype float32: must have"),
        (lambda: irregular.nbody(pp.par, P, P[:, 0] - 1), r"masses\[0\] is -1.0: must not be negative"),
        (lambda: irregular.nbody(pp.par, P, P[:, 0] / 0), r"masses\[0\] is nan: must be finite"),
        (lambda: irregular.nbody(pp.par, P / 0, P[:, 0]), r"positions\[0, 0\] is nan"),
        (lambda: irregular.nbody(pp.par, P, P[:, 0], theta=1), "theta is 1: must be a number from 0 below 1"),
        (lambda: irregular.nbody(pp.par, P, P[:, 0], softening=-1.0), "softening is -1.0"),
        (lambda: irregular.nbody(pp.par, P, P[:, 0], softening="1"), "softening is '1'"),
        (lambda: irregular.suffix_array(pp.par, "text"), "text is a str: must be bytes"),
        (lambda: irregular.word_count(pp.par, P), r"text is an array of float64, \(4, 2\): must be bytes"),
        (lambda: irregular.uts("T1", "T1"), "policy"),
        (lambda: irregular.uts(pp.par, "T9"), "tree is 'T9': must be one of T1, T2, T3, T5, or"),
        (lambda: irregular.uts(pp.par, 3), "tree is an int"),
        (lambda: irregular.uts(pp.par, irregular.Tree(-1, 4, 3)), "seed is -1"),
        (lambda: irregular.uts(pp.par, irregular.Tree(1, 4, 3, "round")), "shape is 'round'"),
        (lambda: irregular.uts(pp.par, irregular.Tree(1, np.nan, 3)), "branching is nan"),
        (lambda: irregular.uts(pp.par, irregular.Tree(1, 4, 0, "fixed", 0.5, 2)), "such a tree does not end"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_refused(call, message):
    with pytest.raises(pp.PortaparError, match=message):
        call()


def test_every_name_and_its_file_is_in_the_table():
    table = dict(re.findall(r"^`(\w+)` +(.*)$", irregular.__doc__, re.MULTILINE))
    told = {name: file for file, names in table.items() for name in names.split(", ")}
    homes = {name: getattr(irregular, name).__module__.rsplit(".", 1)[1] for name in irregular.__all__}
    assert told == homes
