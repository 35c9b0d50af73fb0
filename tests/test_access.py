"""What a kernel does to its arrays is seen through every alias: nothing that it writes is lost, on any executor."""

import itertools

import conftest
import numpy as np
import pytest

import portapar as pp
from portapar.kernel.front.aliases import DEEPEST, HIGHEST, Aliases

N = 9
#: how a kernel of (i, a, b) may name an array: statements, and then the name
ALIASES = {
    "plain": ("", "a"),
    "local": ("c = a", "c"),
    "chosen": ("", "(a if i % 2 else b)"),
    "chosen local": ("c = a if i % 2 else b", "c"),
    "branches": ("if i % 2:\n        c = a\n    else:\n        c = b", "c"),
    "swapped": ("a, b = b, a", "a"),
    "parameter": ("if i % 3:\n        a = b", "a"),
    "tuple": ("", "(a, b)[1]"),
    "local tuple": ("t = (a, b)", "t[1]"),
    "nested tuple": ("t = (1.0, (a, b))", "t[1][0]"),
    "unpacked": ("t = (a, b)\n    c, d = t", "d"),
    "unpacked nested": ("(c, d), e = (a, b), 2", "d"),
    "looped": ("for c in (a, b):\n        c[i] += 3", "c"),
    "late": ("c = a\n    for k in range(2):\n        c[i] += 2\n        c = b", "c"),
    "captured tuple": ("", "T[1]"),
    "captured nested": ("t = S[0]", "t[1]"),
    "helper's tuple": ("c, d = both(a, b)", "d"),
    "helper's helper": ("t = swapped(a, b)", "t[0]"),
    "helper's local": ("c, d = renamed(a, b)", "c"),
    "helper's array": ("c = same(b)", "c"),
    "helper's array at once": ("", "same(same(b))"),
    "helper's branches": ("", "either(i, a, b)"),
    "walrus": ("if (c := a)[i] < 100:\n        c[i] += 4", "c"),
}
WRITES = {
    "store": "{}[i] = i + 1",
    "update": "{}[i] += i + 1",
    "elsewhere": "{}[8 - i] = i",
    "atomic": "pp.atomic.add({}, i, 2.0)",
    "by a helper": "put({}, i, 7.0)",
    "by a helper's helper": "forward(i, {})",
    "targets": "{}[i], v = 1.5, 2.5",
}
HELPERS = """
import numpy as np
import portapar as pp

T = (np.zeros(9), np.zeros(9))
S = ((np.zeros(9), np.zeros(9)), 3)

def both(a, b):
    return a, b

def same(a):
    return a

def either(i, a, b):
    if i % 2:
        return a
    return b

def swapped(a, b):
    a, b = both(a, b)
    return b, a

def renamed(a, b):
    c = a
    return (c, b) if len(a) > 3 else (b, c)

def put(c, i, v):
    c[i] = v

def forward(i, c):
    d = c
    put(d, i, 3.0)
"""


def kernel(module, alias, write):
    before, name = ALIASES[alias]
    text = f"def kernel(i, a, b):\n    {before or 'pass'}\n    {WRITES[write].format(name)}\n"
    return module(HELPERS + "\n" + text)


def forms():
    """Every alias and every way to write, not every pair of them: each costs a compilation."""
    ways = itertools.cycle(WRITES)
    yield from ((alias, next(ways)) for alias in ALIASES)
    yield from (("chosen", write) for write in WRITES)
    yield from (("tuple", write) for write in WRITES)


def data(made):
    arrays = [np.arange(9.0), np.arange(9.0) * 10]
    for k, x in enumerate([*made.T, *made.S[0]]):
        x[:] = np.arange(9.0) + 100 * k
    return arrays


@pytest.fixture(params=["threads:2", "opencl:0", "hybrid:threads:2+opencl:0"])
def some(request):
    return pp.par.on(conftest.executor(request.param))


@pytest.mark.parametrize("alias, write", sorted(set(forms())))
def test_no_write_is_lost(module, some, alias, write):
    made = kernel(module, alias, write)
    expected = data(made)
    for i in range(N):
        made.kernel(i, *expected)
    captured = [x.copy() for x in (*made.T, *made.S[0])]
    found = data(made)
    try:
        pp.for_each(some, N, made.kernel, *found)
    except pp.PlacementError:  # a part of a hybrid that writes anywhere is refused
        assert len(some.executor.members) > 1
        return
    for x, y in zip([*found, *made.T, *made.S[0]], [*expected, *captured], strict=True):
        assert np.array_equal(x, y)


@pytest.mark.parametrize("alias", ALIASES)
def test_what_is_written_must_be_writable(module, alias):
    made = kernel(module, alias, "store")
    a, b = data(made)
    before = a.copy(), b.copy()
    for x in (a, b, *made.T, *made.S[0]):
        x.flags.writeable = False
    with pytest.raises(pp.PlacementError, match="read-only"):
        pp.for_each(pp.par, N, made.kernel, a, b)
    assert np.array_equal(a, before[0]) and np.array_equal(b, before[1])


def one_of_two(i, a, b):
    t = (a, b)
    t[1][i] = t[0][i] + 1


def taken_apart(i, a, b):
    t = (1.0, (a, b))
    c, d = t[1]
    d[i] += c[i] * t[0]


def chosen_tuple(i, a, b):
    t = (a, b) if i % 2 else (a, b)
    s, u, v = t, t, 2.0
    for _ in range(2):
        s = (u[-2], s[-1])
    s[1][i] = v + s[0][i]


def exchanged_in_a_tuple(i, a, b):
    t = (a, b)
    if i % 2:
        t = (b, t[0])
    t[1][i] = 1.0


def test_items_of_tuples_are_told_apart(renderer):
    """What is only read beside what is written may be read-only."""
    for body in (one_of_two, taken_apart, chosen_tuple):
        (a, found), (_, wanted) = [(np.arange(9.0), np.ones(9)) for _ in range(2)]
        a.flags.writeable = False
        pp.for_each(renderer, 9, body, a, found)
        for i in range(9):
            body(i, a, wanted)
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(pp.PlacementError, match="'a', which is read-only"):
        pp.for_each(renderer, 9, exchanged_in_a_tuple, a, found)


def element(a, i):
    return a[i]


def chosen(a, b, i):
    return a[i] if i % 2 else b[i]


def set_by_helper(i, a, b):
    r = element(a, i)
    r.x = 5.0


def set_chosen(i, a, b):
    r = chosen(a, b, i)
    r.x += 2.0


def set_in_helper(i, a, b):
    set_x(element(b, i))


def set_x(r):
    r.x = 3.0


def set_directly(i, a, b):
    element(a, i).y = 1.0


@pytest.mark.parametrize("body", [set_by_helper, set_chosen, set_in_helper, set_directly])
def test_records_that_helpers_return(renderer, body):
    kind = np.dtype([("x", np.float64), ("y", np.float64)])
    found, expected = [np.zeros(N, kind).view(np.recarray) for _ in range(2)], [np.zeros(N, kind) for _ in range(2)]
    plain = [x.view(np.recarray) for x in expected]
    for i in range(N):
        body(i, *plain)
    for x in found:
        x.flags.writeable = False
    with pytest.raises(pp.PlacementError, match="read-only"):
        pp.for_each(renderer, N, body, *[x.view(np.ndarray) for x in found])
    arrays = [np.zeros(N, kind) for _ in range(2)]
    pp.for_each(renderer, N, body, *arrays)
    for x, y in zip(arrays, expected, strict=True):
        assert x.tobytes() == y.tobytes()


def update_row(i, m):
    row = m[i]
    row += 1


def fill_row(i, m):
    m[i].fill(3.0)


def write_transposed(i, m):
    m.T[0, i] = 4.0


def out_of_a_ufunc(i, m):
    np.add(m[i], 2.0, m[i])


def write_flat(i, m):
    m.reshape(18)[2 * i + 1] = 5.0


@pytest.mark.parametrize("body", [fill_row, out_of_a_ufunc, write_flat])
def test_what_rows_cannot_do_is_refused(body):
    m = np.zeros((N, 2))
    with pytest.raises(pp.KernelError, match="(?s)row.*Instead"):
        pp.for_each(pp.par, N, body, m)
    assert not m.any()


def transposed(i, m, cube, out):
    for j in range(m.shape[0]):
        out[j] += m.T[i, j] * m.T[-1 - i][j] + cube.T[i, j, 1]
    out[i] += m.T[i].sum() + m.T[i, 1:3].sum() + (m.T[i] * m[:, 0]).max()


def test_transposed_arrays(renderer):
    m, cube = np.arange(12.0).reshape(4, 3), np.arange(24).reshape(2, 4, 3)
    out, expected = np.zeros(4), np.zeros(4)
    pp.for_each(renderer, 1, transposed, m, cube, out)
    transposed(0, m, cube, expected)
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("body", [update_row, write_transposed])
def test_what_is_not_known_may_write(body):
    m, expected = np.zeros((N, 2)), np.zeros((N, 2))
    for i in range(N):
        body(i, expected)
    pp.for_each(pp.par, N, body, m)
    assert np.array_equal(m, expected)
    m.flags.writeable = False
    with pytest.raises(pp.PlacementError, match="read-only"):
        pp.for_each(pp.par, N, body, m)


def row_of(m, i):
    return m[i]


def write_returned_row(i, m):
    row_of(m, i)[0] = 1.0


def test_a_returned_row_is_written_or_refused(renderer):
    m = np.zeros((N, 2))
    if renderer.executor.kind == "threads":
        pp.for_each(renderer, N, write_returned_row, m)
        assert (m[:, 0] == 1).all() and (m[:, 1] == 0).all()
    else:
        with pytest.raises(pp.KernelError, match=r"(?s)returns a row.*Instead: return an argument as it is"):
            pp.for_each(renderer, N, write_returned_row, m)


def use(body, *arrays):
    """What the plan says of the first array."""
    return str(pp.plan(pp.for_each, pp.par, len(arrays[0]), body, *arrays)).splitlines()[2].partition(" (")[2]


def numbers_only(i, a, b):
    v = a[i]
    v += 2
    w = max(v, abs(a[i]), math_of(a[i]), np.float64(np.where(a[i] > 0, 1, 2)), np.sqrt(a[i]))
    w *= 3
    b[i] = w


def math_of(v):
    v += 1
    return v


def own_row(i, m, b):
    row = m[i]
    b[i] = row[0] + row[1]


def through_a_name(i, a, b):
    c, d = a, b
    d[i] = c[i]


def through_a_helper(i, a, b):
    c, d = b, a
    b[i] = element(d, i) + len(c)


def test_plans_are_as_narrow_as_before():
    a, b = np.ones(N), np.ones(N)
    assert use(numbers_only, a, b) == "read, at its own index)"
    assert use(own_row, np.ones((N, 2)), b) == "read, at its own index)"
    assert use(through_a_name, a, b) == "read, at its own index)"
    assert use(through_a_helper, a, b) == "read, at its own row)"
    assert use(update_row, np.ones((N, 2))) == "read written, at its own index)"


def pair(x, y):
    return y, (x, y)


def wrapped(x):
    return (x,)


def round_and_round(i, a, b, out):
    u, v = a[i], b[i]
    for k in range(5):
        e, (f, g) = pair(u, v)
        u = e + f if k else f
        v = e if k % 2 else g
    for _ in range(3):
        (u,) = wrapped(u)
        t = pair(pair(u, v), wrapped(u))
        v = t[1][0][1][0] + t[0][0]
    out[i] = u + v


def test_values_that_go_through_tuples_of_helpers_in_loops(renderer):
    """What is found of them grows no further at some depth, and says of nothing that it is written."""
    a, b, out, expected = np.arange(9.0), np.ones(9), np.zeros(9), np.zeros(9)
    a.flags.writeable = b.flags.writeable = False
    pp.for_each(renderer, N, round_and_round, a, b, out)
    for i in range(N):
        round_and_round(i, a, b, expected)
    assert np.array_equal(out, expected)


def of_tuple(t, c):
    return t[0] if c else t[1]


def of_own_tuple(a, b, c):
    t = (a, b)
    return t[0] if c else t[1]


def unpacked(t, c):
    x, y = t
    return x if c else y


def at(t, k):
    return t[k]


def nested(t, c):
    return at(t[0], 1) if c else t[1]


def exchanged(a, b, count):
    for _ in range(count):
        a, b = b, a
    return a


def arrays_of_helpers(i, a, b, out):
    c = i % 2
    out[i] = of_tuple((a, b), c)[i] + 2 * of_own_tuple(a, b, c)[i] + 3 * unpacked((b, a), c)[i]
    out[i] += 4 * at((a, b), c)[i] + 5 * nested(((a, b), a), c)[i] + 6 * exchanged(a, b, i % 3)[i]
    of_tuple((a, b), i % 3)[i] = 7.0
    nested(((a, b), a), c)[i] += 1.0


def test_arrays_that_helpers_return_out_of_tuples(renderer):
    given = [np.arange(9.0), np.arange(9.0) * 10, np.zeros(9)]
    expected = [x.copy() for x in given]
    pp.for_each(renderer, N, arrays_of_helpers, *given)
    for i in range(N):
        arrays_of_helpers(i, *expected)
    assert all(map(np.array_equal, given, expected))


def private_in_a_tuple(i, a, out):
    p = np.zeros(2)
    t = (p, a)
    out[i] = t[i % 2][0]


def private_passed_on(i, a, out):
    p = np.zeros(2)
    q = np.zeros(2)
    out[i] = of_tuple((p, q), i % 2)[0]


def private_or_not(i, a, out):
    p = np.zeros(2)
    out[i] = of_own_tuple(p, a, i % 2)[0]


@pytest.mark.parametrize("body", [private_in_a_tuple, private_passed_on, private_or_not])
def test_private_arrays_in_tuples(renderer, body):
    """As in Python, or refused in words of the user's."""
    out, expected = np.ones(N), np.ones(N)
    for i in range(N):
        body(i, np.arange(9.0), expected)
    try:
        pp.for_each(renderer, N, body, np.arange(9.0), out)
    except pp.KernelError as error:
        assert "private array" in str(error) or "one kind of array and now another" in str(error)
        assert "test_access.py" in str(error) and "$" not in str(error) and "compiler says" not in str(error)
    else:
        assert np.array_equal(out, expected)


def test_sets_of_parts():
    """They are what sets of (root, depth) would be."""
    roots, rng = ["a", "b", object()], np.random.default_rng(1)
    aliases = Aliases(roots)

    def below(depth, more):
        """Depth by depth; what is in too many tuples may be in any number of them."""
        found = {depth & ~1}
        for _ in range(abs(more >> 1)):
            step = 2 if more > 0 else -2
            found = {max(HIGHEST, min(DEEPEST - 1, d + step)) for d in found} | (found & {HIGHEST})
        return {d | (depth | more) & 1 for d in found}

    for _ in range(200):
        given = {(roots[rng.integers(3)], int(rng.integers(HIGHEST, DEEPEST + 1))) for _ in range(6)}
        parts = 0
        for root, depth in given:
            parts |= aliases.below(aliases.whole[root], depth)
        more = int(rng.integers(-6, 7))
        assert set(aliases.pairs(parts)) == given
        expected = {(root, d) for root, depth in given for d in below(depth, more)}
        assert set(aliases.pairs(aliases.below(parts, more))) == expected
        assert set(aliases.pairs(aliases.fields(parts))) == {(root, depth | 1) for root, depth in given}
        assert set(aliases.pairs(parts & aliases.arrays)) == {part for part in given if part[1] < 2}
        assert set(aliases.pairs(parts & aliases.tuples)) == {part for part in given if part[1] < 0}
        assert [root for root, _ in aliases.lanes(parts)] == [root for root in roots if root in dict(given)]
