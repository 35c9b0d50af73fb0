"""Irregular work against plain NumPy, on every way of making native code; what is refused."""

import re

import numpy as np
import pytest

import portapar as pp

irregular = pp.irregular
RNG = np.random.default_rng(3)
TWICE = pp.par.on(pp.hybrid(pp.threads(1), pp.simd()))


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


def test_knn_of_few_and_none():
    points = np.zeros((1, 2))
    near, found = irregular.knn(pp.par, points, 1, points)
    assert near.tolist() == [[0]] and found.tolist() == [[0]]
    for near in irregular.knn(pp.par, points[:0], 3), irregular.knn(pp.par, points, 3, points[:0]):
        assert [x.shape for x in near] == [(0, 3), (0, 3)]


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
