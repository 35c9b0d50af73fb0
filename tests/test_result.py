"""Loop bodies that end by storing a result run as transforms, and mean what they meant."""

import numpy as np
import pytest

import portapar as pp
from portapar import cache, indexed
from portapar.kernel.front.lift import lift


def plain(i, out, x):
    out[i] = 2 * x[i]


def adds(i, out, x):
    out[i] += x[i]


def chooses(i, out, x):
    y = x[i]
    if y > 5:
        y = -y
    out[i] = y + out[i]


def plane(i, j, out, x):
    out[i, j] = x[i, j] + 1


def elsewhere(i, out, x):
    out[len(out) - 1 - i] = x[i]


def twice(i, out, x):
    out[i] = 1.0
    out[i] = x[i]


def two_arrays(i, out, x):
    x[i] = 3.0
    out[i] = x[i]


def sometimes(i, out, x):
    if x[i] > 5:
        out[i] = x[i]


def leaves(i, out, x):
    if x[i] > 5:
        return
    out[i] = x[i]


def loops(i, out, x):
    s = 0.0
    for k in range(3):
        s += x[i] * k
    out[i] = s


def stores_first(i, out, x):
    out[i] = x[i]
    _ = out[i] + 1


def put(i, out, v):
    out[i] = v


def calls(i, out, x):
    put(i, out, 1.0)
    out[i] = x[i]


def rows(i, out, x):
    out[i] = x[i, 0]


def form(body, *args, n=10):
    return indexed.for_each("for_each", n, body, args).program.form


@pytest.mark.parametrize("body", [plain, adds, chooses])
def test_found(body):
    assert form(body, np.zeros(10), np.ones(10)) == "transform"
    assert indexed.for_each("for_each", 10, body, (np.zeros(10), np.ones(10))).program.inplace == (body is not plain)


@pytest.mark.parametrize(
    "body", [elsewhere, twice, two_arrays, sometimes, leaves, loops, stores_first, calls], ids=lambda f: f.__name__
)
def test_left_alone(body):
    assert form(body, np.zeros(10), np.ones(10)) == "map"


def test_only_whole_arrays_apart_from_all_others():
    x = np.ones((10, 3))
    assert form(rows, np.zeros(10), x) == "transform"
    assert form(rows, np.zeros(20)[::2], x) == form(rows, np.zeros(11), x) == "map"
    assert form(plain, np.zeros(10), np.zeros(20)[::2]) == "map"
    y = np.ones(11)
    assert form(plain, y[1:], y[:-1]) == form(plain, y, y, n=11) == "map"
    assert form(plain, np.zeros(10), y[1:], n=pp.range(1, 10)) == "map"
    assert form(plane, np.zeros((4, 5)), np.ones((4, 5)), n=(4, 5)) == "transform"


def test_the_arrays_in_turn(policy):
    """The same call with arrays apart, overlapping and the same: remembered calls tell them apart."""
    n = 1000
    for _ in range(3):
        out, x = np.zeros(n), np.arange(float(n))
        assert pp.for_each(policy, n, plain, out, x) is None
        np.testing.assert_array_equal(out, 2 * np.arange(n))
        pp.for_each(policy, n, plain, x, x)
        np.testing.assert_array_equal(x, 2 * np.arange(n))
        pp.for_each(policy, n, chooses, out, x)
        np.testing.assert_array_equal(out, 2 * np.arange(n) + np.where(x > 5, -x, x))


def test_a_recurrence_in_order():
    def shift(i, out, x):
        out[i] = x[i] + 1

    for _ in range(3):
        apart = np.zeros(99)
        pp.for_each(pp.seq, 99, shift, apart, np.arange(99.0))
        np.testing.assert_array_equal(apart, np.arange(99) + 1)
        x = np.zeros(100)
        pp.for_each(pp.seq, 99, shift, x[1:], x[:-1])
        np.testing.assert_array_equal(x, np.arange(100))


def test_arrays_that_meet_are_compiled_for_once():
    """No code is made for arrays that are apart where they are not; one that is not used meets nobody."""

    def crossed(i, out, x, unused):
        out[2 * i] = x[2 * i + 1] + 1
        out[2 * i + 1] = x[2 * i] + len(unused)

    def calls(out, x, unused):
        expected, loads = np.array(out), cache.loads()
        for i in range(5):
            expected[2 * i] = (expected if x is out else x)[2 * i + 1] + 1
            expected[2 * i + 1] = (expected if x is out else x)[2 * i] + len(unused)
        pp.for_each(pp.seq, 5, crossed, out, x, unused)
        np.testing.assert_array_equal(out, expected)
        return cache.loads() - loads

    x, y, z = np.arange(10.0), np.arange(5.0, 15.0), np.zeros(10)
    assert calls(x, y, x) == 1 and calls(x, y, y) == calls(x, y, z) == 0
    assert calls(x, x, z) == 1 and calls(y, y, y) == 0


def test_captured_arrays_and_casts(policy):
    out, x, s = np.zeros(100, "f4"), np.arange(100), 0.5

    def body(i):
        out[i] = x[i] * s

    pp.for_each(policy, 100, body)
    np.testing.assert_array_equal(out, np.arange(100, dtype="f4") / 2)
    assert lift(body)[0].access["out"].covers


@pytest.mark.extra
def test_past_the_caches():
    n = (1 << 23) + 5
    out, x = np.zeros(n), np.arange(float(n))
    pp.for_each(pp.par, n, plain, out, x)
    np.testing.assert_array_equal(out, 2 * x)
    with pytest.raises(pp.PlacementError, match="read-only"):
        out.flags.writeable = False
        pp.for_each(pp.par, n, plain, out, x)
