"""``policy.with_(deterministic=True)``: atomic sums of floats have the same bits in every run and on every executor."""

import pickle

import numpy as np
import pytest

import portapar as pp

RNG = np.random.default_rng(4)
N = 20_000
X, LABEL = RNG.normal(size=N) * 10.0 ** RNG.integers(-8, 9, N), RNG.integers(0, 40, N)


def one(i, x, label, out):
    pp.atomic.add(out, label[i], x[i])
    pp.atomic.sub(out, -1, x[i] * 0.5)


def two(i, j, x, label, out, count):
    pp.atomic.add(out, (label[i], j % 3), np.float32(x[i] * j))
    pp.atomic.add(count, label[i], 1)


def test_the_same_bits_everywhere(renderer):
    policy, wanted = renderer.with_(deterministic=True), []
    for how in (policy, policy.with_(schedule="dynamic", chunk_size=7), pp.seq.with_(deterministic=True)):
        for _ in range(2):
            out, table, count = np.ones(40), np.zeros((40, 3), np.float32), np.zeros(40, np.int64)
            pp.for_each(how, N, one, X, LABEL, out)
            pp.for_each(how, (pp.range(50, 4050, 2), 5), two, X, LABEL, table, count)
            wanted.append((out.tobytes(), table.tobytes(), count.tobytes()))
    assert len(set(wanted)) == 1
    scale = np.bincount(LABEL, abs(X), 40).sum()
    sums = 1 + np.bincount(LABEL, X, 40)
    sums[-1] -= 0.5 * X.sum()
    assert (abs(out - sums) < 1e-13 * scale).all()
    rows = np.arange(50, 4050, 2)
    assert count.tolist() == (5 * np.bincount(LABEL[rows], minlength=40)).tolist()
    added = np.zeros((40, 3))
    for j in range(5):
        np.add.at(added, (LABEL[rows], j % 3), X[rows] * j)
    np.testing.assert_allclose(table, added, atol=1e-4 * abs(X[rows]).max())


def test_blocks_and_policies():
    policy = pp.par.with_(deterministic=True)
    assert repr(policy) == "pp.par.with_(deterministic=True)" and pickle.loads(pickle.dumps(policy)) is policy
    assert policy.with_(deterministic=False) is pp.par
    for n in (0, 1, 7, 8, 9, 1000):  # of few iterations some blocks are empty
        out = np.zeros(40)
        pp.for_each(policy.task, n, one, X, LABEL, out).result()
        assert np.isfinite(out).all() and (n > 0) == bool(out.any())
        with pp.using(policy):
            again = np.zeros(40)
            pp.for_each(None, n, one, X, LABEL, again)
        assert again.tobytes() == out.tobytes()
    print(pp.plan(pp.for_each, policy, N, one, X, LABEL, np.zeros(40)))
    pp.for_each(policy, N, lambda i, x, label, y: pp.atomic.add(y, label[i], x[i]), X, LABEL, out)  # nobody gets it
    y = np.zeros(N)
    pp.for_each(policy, N, lambda i, x, y: doubled(i, x, y), X, y)  # no sums: as ever
    assert np.array_equal(y, 2 * X)


def doubled(i, x, y):
    y[i] = 2 * x[i]


def claims(i, x, label, out):
    x[i] = pp.atomic.add(out, label[i], 1.0)


def reads(i, x, label, out):
    pp.atomic.add(out, label[i], out[0])


def writes(i, x, label, out):
    pp.atomic.add(out, label[i], x[i])
    out[0] = 1.0


def mixes(i, x, label, out):
    pp.atomic.add(out, label[i], x[i])
    pp.atomic.max(out, label[i], x[i])


def test_what_is_refused():
    policy, out = pp.par.with_(deterministic=True), np.zeros(40)

    def captures(i, x, label, y):
        pp.atomic.add(out, label[i], x[i])

    for body, message in (
        (claims, "uses what pp.atomic gives back of 'out': with deterministic=True it must do nothing else"),
        (reads, "reads 'out' too"),
        (writes, "writes to 'out' too"),
        (mixes, "changes 'out' by pp.atomic.add and pp.atomic.max"),
        (captures, "'out' by pp.atomic: .* must be one argument"),
    ):
        with pytest.raises(pp.KernelError, match=message):
            pp.for_each(policy, N, body, X.copy(), LABEL, np.zeros(40) if body is captures else out)
    assert not out.any()
    twice = pp.hybrid(pp.threads(1), pp.simd(), weights=[1, 1])
    with pytest.raises(pp.PlacementError, match="has 2 parts: with deterministic=True that is done on one device"):
        pp.for_each(policy.on(twice), N, one, X, LABEL, out)
    with pytest.raises(pp.KernelError, match="in the order of chance: with deterministic=True only pp.for_each"):
        pp.for_each_segment(policy, np.array([0, 5, N]), lambda s, i, x, o: pp.atomic.add(o, s, x[i]), X, out)
