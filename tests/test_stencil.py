"""stencil on every executor, against scipy.ndimage and numpy.pad."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from test_primitives import data, rough

import portapar as pp

MODES = {"constant": "constant", "nearest": "nearest", "wrap": "grid-wrap", "reflect": "reflect", "mirror": "mirror"}
PADS = {"constant": "constant", "nearest": "edge", "wrap": "wrap", "reflect": "symmetric", "mirror": "reflect"}
#: what the bodies below weigh, at which distance
W1 = np.array([3, -1, 0, 2, 5])
W2 = np.array([[0, 7, 0, 0, 0], [1, 2, 0, 0, -3], [0, 0, 0, 5, 0]])
W3 = np.zeros((3, 3, 5), int)
W3[0, 1, 2], W3[2, 2, 2], W3[1, 0, 4], W3[1, 1, 0] = 1, -2, 3, 4


def line(x, i):
    return 3 * x[i - 2] - x[i - 1] + 2 * x[i + 1] + 5 * x[i + 2]


def plane(x, i, j):
    return 7 * x[i - 1, j - 1] + x[i, j - 2] + 2 * x[i, j - 1] - 3 * x[i, j + 2] + 5 * x[i + 1, j + 1]


def space(x, i, j, k):
    return x[i - 1, j, k] - 2 * x[i + 1, j + 1, k] + 3 * x[i, j - 1, k + 2] + 4 * x[i, j, k - 2]


def mean(x, i):
    return (x[i - 1] + x[i] + x[i + 1]) / 3


def itself(x, i):
    return x[i]


CASES = [
    (line, 2, W1, [(1,), (2,), (3,), (5,), (31,), (1000,), (70_001,)]),
    (plane, (1, 2), W2, [(1, 1), (1, 7), (7, 1), (2, 3), (5, 4), (40, 30), (3, 5000), (5000, 3)]),
    (space, (1, 1, 2), W3, [(1, 1, 1), (2, 1, 3), (4, 5, 6), (20, 3, 17), (1, 9, 9)]),
]


def correlated(x, weights, boundary, value=0):
    return ndimage.correlate(x, weights, mode=MODES[boundary], cval=value)


@pytest.mark.parametrize("boundary", MODES)
@pytest.mark.parametrize("case", range(3))
def test_boundaries(policy, boundary, case):
    body, radius, weights, shapes = CASES[case]
    for shape in shapes:
        x = data(int(np.prod(shape))).reshape(shape)
        got = pp.stencil(policy, x, body, radius=radius, boundary=boundary, value=4)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, correlated(x, weights, boundary, 4), err_msg=str(shape))


@pytest.mark.parametrize("boundary", PADS)
def test_what_lies_beyond(renderer, boundary):
    """Arrays smaller than the radius go on periodically, as numpy.pad has it."""
    for n in (1, 2, 3, 8):
        x = data(n)
        how = {"constant_values": 9} if boundary == "constant" else {}
        wide = np.pad(x, 7, PADS[boundary], **how)
        for distance in (7, -7, 4):
            got = pp.stencil(renderer, x, shifted(distance), radius=7, boundary=boundary, value=9)
            np.testing.assert_array_equal(got, wide[7 + distance : 7 + distance + n])


def shifted(distance):
    return lambda x, i: x[i + distance]


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (3, 0, 2)])
def test_nothing(policy, shape):
    body, radius = {1: (line, 2), 2: (plane, (1, 2)), 3: (space, (1, 1, 2))}[len(shape)]
    for boundary in MODES:
        got = pp.stencil(policy, np.zeros(shape), body, radius=radius, boundary=boundary)
        assert got.shape == shape and got.dtype == np.float64


def test_the_same_bits_everywhere(policy):
    x = rough(30_000, "f8")
    a, b, _, c, d = (np.pad(x, 2)[k : k + len(x)] for k in range(5))
    assert pp.stencil(policy, x, line, radius=2).tobytes() == (3 * a - b + 2 * c + 5 * d).tobytes()


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_dtypes(renderer, dtype):
    x = data(500, dtype)
    got = pp.stencil(renderer, x, mean, boundary="nearest")
    padded = np.pad(x, 1, "edge")
    wanted = (padded[:-2].astype(got.dtype) + padded[1:-1] + padded[2:]) / 3
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert got.dtype == (x / 3).dtype
    got = pp.stencil(renderer, x, itself, radius=0)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, x)


def test_out_and_views(policy):
    x = data(60 * 40).reshape(60, 40)
    out = np.full((60, 40), -1.0)
    assert pp.stencil(policy, x, plane, radius=(1, 2), out=out) is out
    wanted = correlated(x, W2, "constant")
    np.testing.assert_array_equal(out, wanted)
    view = x[::-2, 1::3]
    view.flags.writeable = False
    wide = np.full((60, 40), -1.0)
    target = wide[::2, 20:33]
    pp.stencil(policy, view, plane, radius=(1, 2), boundary="wrap", out=target)
    np.testing.assert_array_equal(target, correlated(view, W2, "wrap"))
    assert (wide[1::2] == -1).all() and (wide[:, :20] == -1).all() and (wide[:, 33:] == -1).all()


def test_other_outputs(renderer):
    x = data(60 * 40).reshape(60, 40)
    wanted = correlated(x, W2, "constant")
    turned, narrow = np.empty((40, 60)).T, np.zeros((60, 40), "f4")
    np.testing.assert_array_equal(pp.stencil(renderer, x, plane, radius=(1, 2), out=turned), wanted)
    np.testing.assert_array_equal(pp.stencil(renderer, x, plane, radius=(1, 2), out=narrow), wanted)


def test_lazy_inputs(policy):
    x = data(2000).reshape(50, 40)
    made, wanted = pp.lazy.transform(x, lambda v: 2 * v + 1), 2 * x + 1
    got = pp.stencil(policy, made, plane, radius=(1, 2), boundary="wrap")
    np.testing.assert_array_equal(got, correlated(wanted, W2, "wrap"))
    with pytest.raises(pp.PlacementError, match="shares memory with an array that the lazy input 'x' reads"):
        pp.stencil(policy, made, plane, radius=(1, 2), out=x)


def test_device_arrays_stay_there(where):
    x = data(3000).reshape(100, 30)
    policy, here = pp.par.on(where), where.asarray(x)
    got = pp.stencil(policy, here, plane, radius=(1, 2), boundary="mirror")
    assert type(got) is type(here)
    np.testing.assert_array_equal(pp.asnumpy(got), correlated(x, W2, "mirror"))
    out = where.empty((100, 30), np.float64)
    assert pp.stencil(policy, here, plane, radius=(1, 2), out=out) is out
    np.testing.assert_array_equal(pp.asnumpy(out), correlated(x, W2, "constant"))
    with pytest.raises(pp.PlacementError, match="out overlaps x"):
        pp.stencil(policy, here, plane, radius=(1, 2), out=here)
    np.testing.assert_array_equal(pp.asnumpy(here), x)


def test_bodies_that_know_where_they_are(policy):
    """Indices are those of the whole grid; arrays that the body captures are at hand everywhere."""
    n, table = 5000, data(7, seed=3)
    x = data(n)
    got = pp.stencil(policy, x, lambda x, i: x[i] * table[i % 7] if i < n // 2 else x[i - 1])
    i = np.arange(n)
    np.testing.assert_array_equal(got, np.where(i < n // 2, x * table[i % 7], np.roll(x, 1)))


def test_many_rows_of_halo(where):
    """More than a part has."""
    x = data(40)
    for radius in (20, 45):
        got = pp.stencil(pp.par.on(where), x, box(radius), radius=radius, boundary="reflect")
        wide = np.pad(x, radius, "symmetric")
        np.testing.assert_array_equal(got, [wide[i : i + 2 * radius + 1].sum() for i in range(40)])


def box(radius):
    def body(x, i):
        total = 0.0
        for d in range(-radius, radius + 1):
            total += x[i + d]
        return total

    return body


def test_tasks_and_plans(renderer):
    x = data(400)
    wanted = correlated(x, W1, "constant")
    np.testing.assert_array_equal(pp.stencil(renderer.task, x, line, radius=2).result(), wanted)
    plan = pp.plan(pp.stencil, renderer, x, line, radius=2)
    assert "stencil over 400" in str(plan)
    np.testing.assert_array_equal(plan.run(), wanted)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(sorted(MODES)), st.integers(0, 3), st.integers(0, 3))
@pytest.mark.extra
def test_any_grid(rows, columns, boundary, more0, more1):
    x = data(rows * columns).reshape(rows, columns)
    got = pp.stencil(pp.par, x, plane, radius=(1 + more0, 2 + more1), boundary=boundary, value=-2)
    np.testing.assert_array_equal(got, correlated(x, W2, boundary, -2))


X = np.arange(12.0)
LOCKED = np.zeros(12)
LOCKED.flags.writeable = False


def stencil(x, body, **how):
    return lambda: pp.stencil(pp.par, x, body, **how)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (stencil(X, line), "it reads 2 away from its cell on axis 0, and the radius is 1.*pass radius=2"),
        (stencil(X, plane), "takes 3 arguments.*must take 2"),
        (stencil(X.reshape(3, 4), itself), "takes 2 arguments.*must take 3"),
        (stencil(X.reshape(1, 2, 2, 3), itself), "x has 4 dimensions: must have 1 to 3"),
        (stencil(X, lambda x, i: len(x)), r"it uses 'len\(x\)'"),
        (stencil(X, lambda x, i: x.shape[0]), "of 'x' a stencil's body has elements alone"),
        (stencil(X, lambda x, i: (x[i], x[i])), "returns a tuple"),
        (stencil(X, mean, radius=-1), "radius is -1: must be a whole number from 0"),
        (stencil(X, mean, radius=1.0), "radius is 1.0"),
        (stencil(X, mean, radius=True), "radius is True"),
        (stencil(X, mean, radius=(1, 1)), r"radius is \(1, 1\)"),
        (stencil(X, mean, boundary="edge"), "boundary is 'edge': must be one of .constant., .nearest."),
        (stencil(X, mean, value="a"), "value is 'a': must be a number that x, of dtype float64, can hold"),
        (stencil(X.astype("u1"), mean, value=-1), "value is -1"),
        (stencil(X.astype("i4"), mean, value=0.5), "value is 0.5"),
        (stencil(np.zeros(3, "M8[s]"), mean), ""),
        (stencil(1.0, mean), "must be an array"),
        (stencil(X, mean, out=np.zeros(11)), "out"),
        (stencil(X.reshape(3, 4), lambda x, i, j: x[i, j], out=np.zeros((3, 5))), r"out has shape \(3, 5\)"),
        (stencil(X, mean, out=np.zeros(12, int)), "would lose information"),
        (stencil(X, mean, out=LOCKED), "out is read-only"),
        (stencil(X, mean, out=X), "out overlaps x"),
        (stencil(X, mean, out=X[::-1]), "out overlaps x"),
        (stencil(X[:-1], mean, out=X[1:]), "out overlaps x"),
    ],
)
def test_what_is_refused(call, says):
    with pytest.raises((pp.KernelError, pp.PlacementError), match=f"(?s){says}"):
        call()
    np.testing.assert_array_equal(X, np.arange(12.0))
