"""Bad input: every error names the argument, its value and the remedy, and leaves the inputs as they were."""

import array
import enum
import operator
import pickle

import numpy as np
import pytest
from conftest import executor

import portapar as pp

ADD = lambda a, b: a + b
X, Y = np.arange(10.0), np.arange(10.0) * 2


def refused(says, call, kind=pp.PlacementError):
    """`call` raises an error that says this, and X and Y are intact."""
    with pytest.raises(kind, match=says):
        call()
    np.testing.assert_array_equal(X, np.arange(10.0))
    np.testing.assert_array_equal(Y, np.arange(10.0) * 2)


# shapes -------------------------------------------------------------------------------------------


def test_shapes_that_differ(policy):
    refused(r"'?a: \(10,\), b: \(9,\).*do not broadcast", lambda: pp.transform(policy, X, Y[:9], op=ADD))
    refused(r"differ.*do not broadcast",
            lambda: pp.transform_reduce(policy, X, pp.range(3), transform=ADD))  # fmt: skip
    refused(r"out has shape \(9,\).*\(10,\).*np.empty",
            lambda: pp.transform(policy, X, Y, out=np.zeros(9), op=ADD))  # fmt: skip
    refused(r"out has shape \(2, 5\)", lambda: pp.transform(policy, X, out=np.zeros((2, 5)), op=lambda a: a))
    refused(r"out has shape \(1,\)", lambda: pp.transform(policy, X, out=np.zeros(1), op=lambda a: a))
    refused("nothing says how long", lambda: pp.transform(policy, 1.0, op=lambda a: a))
    refused("nothing to reduce", lambda: pp.reduce(policy, 3.0))
    refused("without transform=", lambda: pp.transform_reduce(policy, X, Y))
    refused("one-dimensional", lambda: pp.transform(policy, np.zeros((2, 5)), pp.range(5), op=ADD))


def test_words_of_algorithms_that_are_made_of_others(policy):
    refused(r"^iota: out has shape \(2, 5\): .*one dimension; pass out.resh", lambda: pp.iota(policy, X.reshape(2, 5)))
    records = np.zeros(10, [("k", "i8"), ("s", "f8")])
    told = r"^reduce_by_key: op's result is a tuple of 4.*op=lambda a, b: \(a\[0\] \+ b\[0\], a\[1\] \+ b\[1\]\)"
    refused(told, lambda: pp.reduce_by_key(policy, records["k"], records), pp.KernelError)
    refused("^find: value is 'a', a str", lambda: pp.find(policy, X, "a"))
    if policy.executor.kind == "opencl":
        refused(r"^for_each_segment: 'x' and 'y' overlap.*or pass x\.copy\(\)",
                lambda: pp.for_each_segment(policy, np.array([0, 4, 9]), stored, X[1:], X[:-1]))  # fmt: skip


def stored(s, i, x, y):
    y[i] = x[i]


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (-1, "negative size -1"),
        (2.5, "2.5, a float.*whole number"),
        ("3", "'3', a str"),
        (None, "None, a NoneType"),
        (True, "True, a bool"),
        ([3, 4], r"\[3, 4\], a list"),
        ((), "0 dimensions"),
        ((1, 2, 3, 4, 5, 6, 7), "7 dimensions: must have 1 to 6"),
        ((3, -2), "negative size -2"),
        ((3, 2.0), "2.0, a float"),
    ],
)
def test_index_spaces(space, says):
    refused(says, lambda: pp.for_each(pp.seq, space, lambda i, a: None, X))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pp.range(0, 5, 0), "step is 0"),
        (lambda: pp.range(1.5), "stop is 1.5"),
        (lambda: pp.range("a"), "'a', a str"),
    ],
)
def test_ranges(make, says):
    refused(says, make)


# out ----------------------------------------------------------------------------------------------


def test_out_that_cannot_be_written(policy):
    frozen = np.zeros(10)
    frozen.flags.writeable = False
    refused("out is read-only.*writable", lambda: pp.transform(policy, X, Y, out=frozen, op=ADD))
    refused("out is read-only", lambda: pp.fill(policy, frozen, 1.0))
    shared = np.lib.stride_tricks.as_strided(np.zeros(1), (10,), (0,))
    refused("share one place", lambda: pp.transform(policy, X, out=shared, op=lambda a: a))
    refused("out is 3.0, a float: must be an array", lambda: pp.transform(policy, X, out=3.0, op=lambda a: a))
    refused("'out' is a list", lambda: pp.transform(policy, X, out=[0.0] * 10, op=lambda a: a))
    refused("'out' is a NoneType|nothing says", lambda: pp.fill(policy, None, 1.0))


def test_out_that_overlaps(policy):
    base = np.arange(20.0)
    for x, out in (
        (base[:10], base[1:11]), (base[5:15], base[:10]), (base[:10], base[9::-1]), (base[::2], base[:10]),
    ):  # fmt: skip
        before = base.copy()
        refused(r"out partly overlaps the input 'a'.*a\.copy\(\)",
                lambda x=x, out=out: pp.transform(policy, x, out=out, op=lambda a: a))  # fmt: skip
        np.testing.assert_array_equal(base, before)
    pp.transform(policy, base[::2], out=base[1::2], op=lambda a: a + 0.5)  # interleaved: nothing is shared
    np.testing.assert_array_equal(base[1::2], base[::2] + 0.5)
    square = np.arange(9.0).reshape(3, 3)
    refused("overlaps", lambda: pp.transform(policy, square, out=square.T, op=lambda a: a))
    reversed_view = base[::-1]
    pp.transform(policy, reversed_view, out=reversed_view, op=lambda a: a * 0)  # the same elements: in place
    assert not base.any()


def test_out_of_a_lesser_kind(policy):
    for x, out, says in (
        (X, np.zeros(10, np.int32), "float64 and out is int32.*int"),
        (X + 1j, np.zeros(10), "complex128 and out is float64.*real"),
        (X + 1j, np.zeros(10, "i8"), "complex128 and out is int64"),
        (np.arange(10), np.zeros(10, bool), "int64 and out is bool.*bool"),
    ):
        refused(says, lambda x=x, out=out: pp.transform(policy, x, out=out, op=lambda a: a * 2))
        refused(says.split(" ")[0], lambda x=x, out=out: pp.copy(policy, x, out=out))
        assert not out.any()
    refused("float64 and out is int64", lambda: pp.fill(policy, np.zeros(3, int), 2.5))
    for x, dtype in (
        (X, np.float32),
        (np.arange(10), np.float32),
        (np.arange(10), np.uint8),
        (X > 1, np.int8),
    ):
        out = pp.copy(policy, x, out=np.zeros(10, dtype))
        np.testing.assert_array_equal(out, x.astype(dtype))
    got = pp.transform(policy, X + 0.75, out=np.zeros(10, np.int16), op=lambda a: int(a))
    np.testing.assert_array_equal(got, np.arange(10))
    assert (pp.fill(policy, np.zeros(3, int), 2.0) == 2).all()


# dtypes and kinds of arguments --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.array([1, None], object), "dtype object.*astype"),
        (np.array(["a", "bc"]), "dtype <U2.*booleans, integers"),
        (np.array([b"a"]), "dtype |S1"),
        (np.arange(3).astype("M8[s]"), "dtype datetime64"),
        (np.arange(3, dtype=">f8"), "byte order of another machine.*newbyteorder"),
        (np.arange(3, dtype=">i2"), "byte order"),
        (np.arange(3, dtype=np.longdouble), "32 and 64 bits"),
        (np.arange(3, dtype=np.clongdouble), "complex numbers"),
        (np.arange(3, dtype=np.float16), "float16"),
        (np.zeros(3, [("x", ">f8")]), "byte order|dtype"),
        (np.zeros(3, [("x", object)]), "dtype"),
        ([1.0, 2.0], r"is a list, \[1.0, 2.0\].*np.asarray"),
        ((1.0, 2.0), "is a tuple"),
        (None, "is a NoneType"),
        ("text", "is a str, 'text'"),
        ({1: 2}, "is a dict"),
        (b"raw", "is a bytes"),
        (object(), "is an object"),
        (len, "is a builtin_function"),
        (2**63, "does not fit into 64 bits.*float"),
        (-(2**63) - 1, "does not fit into 64 bits"),
    ],
    ids=lambda v: str(getattr(v, "dtype", v))[:12],
)
def test_arguments_that_no_kernel_can_take(x, says):
    if x is None or isinstance(x, (str, bytes)):  # which for_each makes a kernel for
        refused(says, lambda: pp.transform(pp.seq, np.zeros(3), x, op=lambda a, b: a))
    elif not isinstance(x, (list, tuple)):  # which it takes apart
        refused(says, lambda: pp.for_each(pp.seq, 3, lambda i, a, b: write(i, a, 1.0), np.zeros(3), x))
    if np.ndim(x):
        refused(says, lambda: pp.transform(pp.seq, x, op=lambda a: a))
        refused(says, lambda: pp.reduce(pp.seq, x))
        if isinstance(x, np.ndarray):
            refused(says, lambda: pp.transform(pp.seq, X[: len(x)], out=x, op=lambda a: a))
            captured = x
            refused(says, lambda: pp.for_each(pp.seq, 3, lambda i, a: write(i, a, captured[i]), np.zeros(3)))
            refused(says, lambda: pp.threads().asarray(x))


def write(i, a, value):
    a[i] = value


def test_arguments_that_work():
    class Color(enum.IntEnum):
        RED = 3

    class Subclass(np.ndarray):
        pass

    out = np.zeros(10)
    for scalar in (
        2,
        2.5,
        True,
        np.float32(0.5),
        np.int8(-3),
        np.bool_(True),
        Color.RED,
        2**63 - 1,
        np.uint64(2**63),
    ):
        pp.for_each(pp.par, 10, lambda i, a, s: write(i, a, s), out, scalar)
        assert (out == float(scalar)).all()
    for x in (array.array("d", X), memoryview(X), X.view(Subclass), X.reshape(10, 1)[:, 0]):
        assert pp.reduce(pp.par, x) == 45
    masked = np.ma.masked_array(X, X > 5)
    refused("masked", lambda: pp.reduce(pp.par, masked))
    assert pp.reduce(pp.par, masked.filled(0.0)) == 15


def test_arguments_are_told_by_their_names():
    text, half, k = np.array(["a"] * 10), X.astype(np.float16), np.arange(10)
    for name, call in {
        "values": lambda x: pp.sort_by_key(pp.par, k, x),
        "weights": lambda x: pp.bincount(pp.par, k, x),
        "b": lambda x: pp.merge(pp.par, k, x),
        "stencil": lambda x: pp.copy_if(pp.par, k, lambda f: f, stencil=x),
        "keys": lambda x: pp.reduce_by_key(pp.par, x, k),
        "x": lambda x: pp.count(pp.par, x, 3),
    }.items():
        for given in (text, half, [1.0] * 10, np.ma.masked_array(X, X > 5), "text"):
            refused(f"argument '{name}'", lambda call=call, given=given: call(given))
    refused("argument 'value' is a str", lambda: pp.fill(pp.par, X, "text"))
    refused("complex128 and out is float64", lambda: pp.fill(pp.par, X, 1j))
    refused("argument 'values' is a str", lambda: pp.searchsorted(pp.par, X, "text"))
    refused(r"kernel 'lambda' \(lambda x, y: np.add\(x, y\)\) takes 2", lambda: pp.transform(pp.par, X, op=np.add),
            pp.KernelError)  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_classes_that_numpy_once_had():
    for kind in (str, object):
        refused("it is a class", lambda kind=kind: pp.transform(pp.par, X, op=kind), pp.KernelError)


@pytest.mark.parametrize("name", ["threads:1", "opencl:0", "hybrid:threads:1+simd"])
def test_memory_that_kernels_cannot_hold(name):
    where = executor(name)
    for dtype in (object, "U3", "M8[s]", np.float16, ">f8", np.longdouble, [("a", "f8"), ("o", object)], "V8", "foo"):
        for make in (
            lambda dtype: where.empty(3, dtype), lambda dtype: pp.empty_like(pp.par.on(where), X, 3, dtype),
            lambda dtype: pp.Worklist(pp.par.on(where), 3, dtype),
        ):  # fmt: skip
            refused("dtype is .*: must be", lambda make=make, dtype=dtype: make(dtype), pp.ArgumentError)
    assert where.empty((3, 2), [("a", "f8"), ("s", "S4")]).shape == (3, 2)
    if where.kind == "hybrid":
        refused("must have rows", lambda: where.empty(()))
        for cuts in ((0, 7, 9), (0, 11, 10), (0, 10), (1, 5, 10), 3, (0, 2.5, 10), (0, 3, 5, 10)):
            refused(r"cuts is .*must be 3 whole numbers from 0 to 10", lambda c=cuts: where.empty(10, float, c),
                    pp.ArgumentError)  # fmt: skip
        assert where.empty(10, float, np.array([0, 10, 10])).cuts == (0, 10, 10)


def test_numbers_in_the_place_of_arrays():
    refused("index|argument|number", lambda: pp.for_each(pp.seq, 3, write, 2.0, 1.0), pp.KernelError)
    refused(
        "cannot index|too many|index",
        lambda: pp.for_each(pp.seq, 3, write_two, np.zeros(3), 1.0),
        pp.KernelError,
    )
    for number in (3.0, True, None):
        for call in (pp.count, pp.searchsorted, pp.find):
            with pytest.raises(pp.PlacementError, match="must be an array|nothing to reduce|kernels take arrays"):
                call(pp.par, number, 1.0)
        with pytest.raises(pp.PlacementError, match="nothing to reduce|kernels take arrays"):
            pp.count_if(pp.par, number, positive)


def positive(v):
    return v > 0


def write_two(i, a, value):
    a[i, i] = value


# kernels ------------------------------------------------------------------------------------------


def test_wrong_arity():
    kind = pp.KernelError
    refused(r"takes 2 arguments \(a, b\).*gives 1 input\.", lambda: pp.transform(pp.seq, X, op=ADD), kind)
    refused("gives 3 inputs", lambda: pp.transform(pp.seq, X, X, X, op=ADD), kind)
    refused(r"takes 3 arguments \(i, a, value\).*1 index and 1 argument\.",
            lambda: pp.for_each(pp.seq, 3, write, np.zeros(3)), kind)  # fmt: skip
    refused("2 indices and 2 arguments", lambda: pp.for_each(pp.seq, (3, 3), write, np.zeros(3), 1.0), kind)
    refused("0 arguments", lambda: pp.for_each(pp.seq, 3, lambda: None), kind)
    refused("must take two", lambda: pp.reduce(pp.seq, X, op=lambda a: a), kind)
    scale = 2.0
    refused("captures 'scale'.*transform=", lambda: pp.reduce(pp.seq, X, op=lambda a, b: a + scale * b), kind)


def test_results_that_are_no_numbers():
    refused("returns nothing", lambda: pp.transform(pp.seq, X, op=nothing), pp.KernelError)
    refused("returns|tuple|number", lambda: pp.reduce(pp.seq, X, op=lambda a, b: (a, b)), pp.KernelError)
    out = np.zeros(10)
    refused(
        "returns|cannot|nothing|not possible|index",
        lambda: pp.transform(pp.seq, X, out=out, op=nothing),
        pp.KernelError,
    )
    refused(
        "returns|cannot|nothing|not possible|index",
        lambda: pp.transform(pp.seq, X, out=out, op=lambda a: (a, a)),
        pp.KernelError,
    )
    assert not out.any()


def nothing(a):
    a + 1


def test_init_of_the_wrong_kind():
    refused("init", lambda: pp.reduce(pp.seq, X, init="0"))
    refused("init", lambda: pp.reduce(pp.seq, X, init=[1]))
    refused("init", lambda: pp.reduce(pp.seq, X, init=X))


# sizes --------------------------------------------------------------------------------------------


def test_zero_and_one_element(policy):
    for n in (0, 1):
        a = np.zeros(n)
        pp.for_each(policy, n, write, a, 2.0)
        assert (a == 2).all()
        assert pp.transform(policy, a, op=lambda v: v + 1).shape == (n,)
        assert pp.reduce(policy, a, init=0) == 2 * n
    empty = np.zeros((0, 5))
    assert pp.transform(policy, empty, op=lambda v: v + 1).shape == (0, 5)
    assert pp.transform(policy, empty.T, op=lambda v: v + 1).shape == (5, 0)
    assert pp.reduce(policy, empty, init=1.5) == 1.5


def test_negative_sizes_and_too_large_arrays(where):
    refused("must not be negative", lambda: where.empty(-1))
    refused("must not be negative", lambda: where.empty((3, -1)))
    refused("room|memory|large|bytes", lambda: where.empty(2**50), (pp.DeviceMemoryError, pp.PlacementError))


def test_out_is_captured_by_the_kernel():
    y = np.arange(10.0)
    with pytest.raises(pp.PlacementError, match=r"captures 'y'.*shares memory with out"):
        pp.transform(pp.par, np.ones(10), out=y, op=lambda v: v + y[0])
    assert np.array_equal(y, np.arange(10.0))


def test_read_only_arrays_that_an_operator_writes():
    log = np.zeros(4)
    log.flags.writeable = False

    def op(x):
        log[0] = x
        return x

    refused("'op'.*writes to argument 'log'.*read-only", lambda: pp.transform(pp.par, np.ones(4), op=op))
    assert log[0] == 0
    log.flags.writeable = True
    pp.transform(pp.seq, np.ones(4), op=op)
    log[:] = 0
    log.flags.writeable = False
    refused("'op'.*writes to argument 'log'.*read-only", lambda: pp.transform(pp.seq, np.ones(4), op=op))
    assert log[0] == 0


def larger(a, b):
    return max(a, b)


@pytest.mark.parametrize(
    "call",
    [
        lambda p, x: pp.reduce(p, x, op=pp.maximum, init=-1000),
        lambda p, x: pp.reduce(p, x, init=2**64),
        lambda p, x: pp.inclusive_scan(p, x, op=larger, init=300),
        lambda p, x: pp.exclusive_scan(p, x, init=-1),
        lambda p, x: pp.segmented_reduce(p, np.array([0, 3]), x, op=pp.minimum, init=256),
        lambda p, x: pp.fill(p, x, 300),
        lambda p, x: pp.fill(p, x, -1),
    ],
)
def test_numbers_that_do_not_fit(call):
    with pytest.raises(pp.PlacementError, match=r"does not fit into(?s:.)*[Pp]ass"):
        call(pp.seq, np.arange(3, dtype=np.uint8))


def test_numbers_beyond_a_table(renderer):
    for value in (-1, 300):
        assert pp.searchsorted(renderer, np.arange(3, dtype=np.uint8), value) == (3 if value > 0 else 0)
    with pytest.raises(pp.PlacementError, match="values.* has dtype object.*np.float64"):
        pp.searchsorted(renderer, np.arange(3), 2**70)


def test_the_larger_of_two_truth_values(renderer):
    for x in (np.array([False, True, False]), np.zeros(4, bool)):
        assert pp.reduce(renderer, x, op=larger) == x.max()
        assert (pp.transform(renderer, x, x[::-1].copy(), op=lambda a, b: min(a, b)) == (x & x[::-1])).all()


def test_rows_are_scattered_by_columns(policy):
    x, out, back = np.arange(30.0).reshape(10, 3), np.zeros((10, 3)), np.arange(10)[::-1]
    with pytest.raises(pp.PlacementError, match=r"one by one, out\[:, k\]"):
        pp.scatter(policy, x, back, out)
    for k in range(3):
        pp.scatter(policy, x[:, k], back, out[:, k])
    assert (out == x[::-1]).all()


@pytest.mark.parametrize("weights", ["ab", (1, None), 3, (1, "x"), {1: 2, 3: 4}, {1, 2}])
def test_weights_that_are_no_numbers(weights):
    with pytest.raises(pp.BackendUnavailableError, match="must be a number for each executor"):
        pp.hybrid(pp.simd(), pp.threads(2), weights=weights)


@pytest.mark.parametrize("weights", [(-1, 2), (0, 0), (np.nan, 1), (np.inf, 1), (10**400, 1)])
def test_weights_that_are_no_shares(weights):
    with pytest.raises(pp.BackendUnavailableError, match="hybrid: weights.* finite"):
        pp.hybrid(pp.simd(), pp.threads(2), weights=weights)
    where = pp.hybrid(pp.simd(), pp.threads(2), weights=[1e308, 1e308])
    assert where.asarray(np.arange(10)).cuts == (0, 5, 10)


def test_hybrids_of_hybrids():
    one, two, other = pp.simd(), pp.threads(2), pp.threads(3)
    both = pp.hybrid(one, two)
    assert pp.hybrid(both, other) is pp.hybrid(one, two, other) and pp.hybrid(both) is both
    weighed = pp.hybrid(pp.hybrid(one, two, weights=[3, 1]), other, weights=[2, 2])
    assert weighed is pp.hybrid(one, two, other, weights=[0.75, 0.25, 1])
    assert pp.hybrid(pp.hybrid(one, two, weights=[3, 1]), other) is weighed
    assert pp.hybrid(other, pp.hybrid(two, pp.hybrid(one)), weights=[2, 1]).weights == (2, 0.5, 0.5)
    x = np.arange(1001.0)
    for where in (weighed, pp.hybrid(both, other, weights=[1, 0])):
        assert where.asarray(x).cuts[-1] == 1001 and pp.reduce(pp.par.on(where), where.asarray(x)) == x.sum()
        assert (pp.reverse(pp.par.on(where), where.asarray(x)).parts[0] == x[::-1][: where.asarray(x).cuts[1]]).all()
    with pytest.raises(pp.BackendUnavailableError, match="given twice"):
        pp.hybrid(both, two)
    with pytest.raises(pp.BackendUnavailableError, match="not an executor of this process"):
        pp.hybrid(both, pp.par)
    closed = pp.hybrid(one, other)
    closed.close()
    with pytest.raises(pp.BackendUnavailableError, match="was closed"):
        pp.hybrid(closed, two)


USES = {
    "an element": lambda x: x[0],
    "a slice": lambda x: x[::-1],
    "a store": lambda x: x.__setitem__(0, 1.0),
    "a loop": list,
    "membership": lambda x: 3.0 in x,
    "a sum": lambda x: x + 1,
    "a sum from the right": lambda x: np.ones(4) - x,
    "a number of NumPy's": lambda x: np.float64(2) * x,
    "in place": lambda x: operator.iadd(x, 1),
    "a product": lambda x: x @ x,
    "a comparison": lambda x: x < 1,
    "a sign": lambda x: -x,
    "a number": float,
}


@pytest.mark.parametrize("use", USES)
def test_operators_of_partitioned_arrays(use):
    x = pp.hybrid(pp.simd(), pp.threads(2)).asarray(np.arange(4.0))
    with pytest.raises(pp.ArgumentError, match=r"no operators, elements or slices.*pp\.transform"):
        USES[use](x)
    assert (np.sort(x) == np.arange(4)).all() and pickle.loads(pickle.dumps(x)).cuts == x.cuts


# words, paths and graphs ------------------------------------------------------------------------------------------

LINE = pp.graph.Graph(np.array([0, 1, 2]), np.array([1, 0]))

#: calls with an option that is one of a few words, a path, or a graph
OF_WORDS = {
    "schedule": (lambda v: pp.par.with_(schedule=v), "none"),
    "transfers": (lambda v: pp.par.with_(transfers=v), "none"),
    "on_failure": (lambda v: pp.par.with_(on_failure=v), "none"),
    "side": lambda v: pp.searchsorted(pp.par, np.ones(3), np.ones(3), v),
    "boundary": lambda v: pp.stencil(pp.par, np.ones(3), lambda x, i: x[i - 1], boundary=v),
    "duplicates": lambda v: pp.sparse.from_coo(pp.par, *np.ones((3, 2), int), (2, 2), duplicates=v),
    "dangling": lambda v: pp.graph.pagerank(pp.par, LINE, dangling=v),
    "dangling of a check": lambda v: pp.graph.verify_pagerank(LINE, np.full(2, 0.5), dangling=v),
    "dtype": (lambda v: pp.graph.pagerank(pp.par, LINE, dtype=v), "none"),
    "shape of a tree": lambda v: pp.irregular.uts(pp.par, pp.irregular.Tree(1, 2.0, 2, shape=v)),
    "quarters": lambda v: pp.graph.rmat(pp.par, 4, quarters=v),
    "sources": (lambda v: pp.graph.betweenness_centrality(pp.par, LINE, v), "none"),
    "sources of a check": (lambda v: pp.graph.verify_betweenness(LINE, v, np.zeros(2)), "none"),
    "source": lambda v: pp.graph.bfs(pp.par, LINE, v),
    "source of a check": lambda v: pp.graph.verify_bfs(LINE, v, np.zeros(2, int)),
    "trace": lambda v: pp.trace(v).__enter__(),
    "load": lambda v: pp.graph.load(pp.par, v),
    "save": lambda v: pp.graph.save(v, LINE),
    "verify_bfs": lambda v: pp.graph.verify_bfs(v, 0, [0, 0]),
    "verify_sssp": lambda v: pp.graph.verify_sssp(v, 0, [0, 1]),
    "verify_components": lambda v: pp.graph.verify_components(v, [0, 0]),
    "verify_betweenness": lambda v: pp.graph.verify_betweenness(v, None, [0, 0]),
    "verify_pagerank": lambda v: pp.graph.verify_pagerank(v, [0, 0]),
    "verify_triangles": lambda v: pp.graph.verify_triangles(v, 0),
    "gather": lambda v: pp.hybrid(pp.threads(1), pp.simd()).gather(v),
    "rows of a matrix": lambda v: pp.sparse.from_coo(pp.par, v, np.arange(2), np.ones(2), (2, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_WORDS)
def test_what_is_no_word_path_or_graph(name):
    call, *none = OF_WORDS[name] if isinstance(OF_WORDS[name], tuple) else (OF_WORDS[name],)
    for wrong in (1.5, 10**30, [[1], [1, 2]], {"drop": 1}, object(), np.array("x"), np.ones((2, 0)), None):
        if wrong is None and none:
            continue
        with pytest.raises(pp.PortaparError, match="must be|must have|kernels take|kernels compute") as caught:
            call(wrong)
        assert caught.value.__cause__ is None
