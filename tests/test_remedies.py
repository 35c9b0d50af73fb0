"""What messages tell users to do: it is done here, and works."""

import numpy as np
import pytest

import portapar as pp

X = np.arange(20.0)
KEYS = np.arange(20) % 3
ROWS = np.arange(60.0).reshape(20, 3)
NAMES = np.array(["b", "a", "c", "a"] * 5)
RECORDS = np.array([(k % 4, k / 2) for k in range(20)], [("kind", "i4"), ("size", "f8")])


def nothing(v):
    pass


def perhaps(v):
    if v > 3:
        return True


def perhaps_of_two(a, b):
    if a > 3:
        return True


def several(v):
    return v > 3, v < 5


PREDICATES = {
    "count_if": pp.count_if,
    "any_of": pp.any_of,
    "all_of": pp.all_of,
    "none_of": pp.none_of,
    "find_if": pp.find_if,
    "find_last_if": pp.find_last_if,
    "copy_if": pp.copy_if,
    "remove_if": pp.remove_if,
    "partition": pp.partition,
    "adjacent_find": lambda p, x, predicate: pp.adjacent_find(p, x, {
        nothing: lambda a, b: None, perhaps: perhaps_of_two, several: lambda a, b: (a, b)
    }[predicate]),
    "copy_if with a stencil": lambda p, x, predicate: pp.copy_if(p, x, predicate, stencil=KEYS),
}  # fmt: skip


@pytest.mark.parametrize("name", PREDICATES)
def test_predicates_must_return_a_truth_value(renderer, name):
    for predicate, told in ((nothing, "nothing"), (perhaps, "nothing on some ways"), (several, "a tuple")):
        for _ in range(2):  # the second time as well
            with pytest.raises(
                pp.KernelError, match=f"^{name.split()[0]}: .*test_remedies.*returns {told}.*truth value"
            ):
                PREDICATES[name](renderer, X, predicate)


def test_truth_values_of_any_kind(renderer):
    for predicate in (lambda v: v > 3, lambda v: v, lambda v: int(v) % 2, lambda v: v * 1j, lambda v: np.int8(v)):
        wanted = [bool(predicate(v)) for v in X]
        assert pp.count_if(renderer, X, predicate) == sum(wanted)
        np.testing.assert_array_equal(pp.copy_if(renderer, X, predicate), X[wanted])
        assert pp.find_if(renderer, X, predicate) == wanted.index(True)


def test_strings_are_numbered(renderer):
    values, codes = np.unique(NAMES, return_inverse=True)
    for call in (
        lambda names: pp.reduce_by_key(renderer, names, X),
        lambda names: pp.bincount(renderer, names),
        lambda names: pp.sort(renderer, names),
        lambda names: pp.unique(renderer, names),
        lambda names: pp.transform(renderer, names, op=lambda v: v),
    ):
        for names in (NAMES, NAMES.astype("S"), NAMES.astype(object)):
            with pytest.raises(pp.PlacementError, match=r"values, codes = np.unique\(\w+, return_inverse=True\)"):
                call(names)
        call(codes)
    found, sums = pp.reduce_by_key(renderer, codes, X)
    assert values[found].tolist() == ["a", "b", "c"]
    assert sums.tolist() == [X[NAMES == name].sum() for name in "abc"]


@pytest.mark.parametrize(
    ("dtype", "says", "remedy"),
    [
        ("M8[s]", r"x\.view\(np\.int64\)", lambda x: x.view(np.int64)),
        ("m8[D]", r"x\.view\(np\.int64\)", lambda x: x.view(np.int64)),
        ("f2", r"x\.astype\(np\.float32\)", lambda x: x.astype(np.float32)),
        ("g", r"x\.astype\(np\.float64\)", lambda x: x.astype(np.float64)),
        (">i4", r"newbyteorder", lambda x: x.astype(x.dtype.newbyteorder("="))),
    ],
)
def test_other_dtypes(dtype, says, remedy):
    x = np.arange(9).astype(dtype)
    with pytest.raises(pp.PlacementError, match=says):
        pp.sort(pp.par, x)
    np.testing.assert_array_equal(pp.sort(pp.par, remedy(x)), remedy(x))


def test_rows_as_values(renderer):
    for call in (
        lambda rows: pp.sort_by_key(renderer, KEYS, rows),
        lambda rows: pp.segmented_reduce(renderer, np.array([0, 5, 20]), rows, op=lambda a, b: b),
        lambda rows: pp.inclusive_scan(renderer, rows, op=lambda a, b: b),
        lambda rows: pp.copy_if(renderer, rows, lambda r: r[0] > 3),
        lambda rows: pp.partition(renderer, rows, lambda r: r[0] > 3),
        lambda rows: pp.min_element(renderer, rows, key=lambda r: r),
    ):
        with pytest.raises(pp.PlacementError, match=r"has shape \(20, 3\): .* Pass pp.lazy.zip\(\*\w+\.T\)"):
            call(ROWS)
        call(pp.lazy.zip(*ROWS.T))
    _, values = pp.sort_by_key(renderer, KEYS, pp.lazy.zip(*ROWS.T))
    np.testing.assert_array_equal(values["f1"], ROWS[np.argsort(KEYS, kind="stable"), 1])


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 2), (0,)])
def test_rows_by_key(renderer, shape):
    for n in (0, 1, 500):
        rng = np.random.default_rng(n)
        keys, rows = rng.integers(0, 9, n), rng.integers(0, 99, (n, *shape)).astype("f4")
        distinct = np.unique(keys)
        found, sums = pp.reduce_by_key(renderer, keys, rows)
        np.testing.assert_array_equal(found, distinct)
        wanted = [rows[keys == key].sum(axis=0) for key in distinct]
        np.testing.assert_array_equal(sums, np.array(wanted, "f4").reshape(len(distinct), *shape))
        _, most = pp.reduce_by_key(renderer, keys, np.asfortranarray(rows), op=np.maximum)
        wanted = [rows[keys == key].max(axis=0, initial=0) for key in distinct]
        np.testing.assert_array_equal(most, np.array(wanted, "f4").reshape(len(distinct), *shape))
        _, _, grouped = pp.group_by_key(renderer, keys, rows)
        np.testing.assert_array_equal(grouped, rows[np.argsort(keys, kind="stable")])
    with pytest.raises(pp.PlacementError, match="'values' has 4 rows, the others have 20"):
        pp.reduce_by_key(renderer, KEYS, np.ones((4, 3)))


def test_records_are_searched_by_what_is_in_them(renderer):
    for search, by in ((pp.find, pp.find_if), (pp.count, pp.count_if)):
        with pytest.raises(pp.PlacementError, match=rf"pp\.{by.__name__}\(policy, x, lambda r: r\.kind == 3\)"):
            search(renderer, RECORDS, 3)
        assert by(renderer, RECORDS, lambda r: r.kind == 3) in (3, 5)


def test_fields_as_keys_of_histograms(renderer):
    counts, _ = pp.histogram(renderer, RECORDS, 4, (0, 4), key="kind")
    np.testing.assert_array_equal(counts, np.histogram(RECORDS["kind"], 4, (0, 4))[0])
    with pytest.raises(pp.PlacementError, match="key='weight' is no field of x"):
        pp.histogram(renderer, RECORDS, 4, key="weight")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: pp.reduce(pp.par, X, op=lambda a: a), "reduce"),
        (lambda: pp.transform_reduce(pp.par, X, op=lambda a: a), "transform_reduce"),
        (lambda: pp.transform_reduce(pp.par, X, X), "transform_reduce"),
        (lambda: pp.transform_reduce(pp.par, X, init="1"), "transform_reduce"),
        (lambda: pp.inner_product(pp.par, X, X[:3]), "inner_product"),
        (lambda: pp.inner_product(pp.par, X, X, init=[1]), "inner_product"),
        (lambda: pp.reduce(pp.par, X[:0], op=lambda a, b: a), "reduce"),
        (lambda: pp.transform_reduce(pp.par, X[:0], op=lambda a, b: a), "transform_reduce"),
    ],
)
def test_messages_use_the_name_that_was_called(call, name):
    with pytest.raises(pp.PortaparError, match=f"^{name}: "):
        call()


def test_outputs_are_written_as_they_are_made(renderer):
    where, records = renderer.executor, np.empty(3, RECORDS.dtype)
    says = r"Pass out=np\.empty\(\(20,\), \[\('kind', '<i4'\), \('size', '<f8'\)\]\)"
    with pytest.raises(pp.PlacementError, match=says):
        pp.transform(renderer, X, out=records, op=lambda v: (1, v))
    pp.transform(renderer, X, out=np.empty((20,), [("kind", "<i4"), ("size", "<f8")]), op=lambda v: (1, v))
    with pytest.raises(pp.PlacementError, match=r"\.empty\(\(20,\), 'float64'\)"):
        pp.transform(renderer, where.asarray(X), out=where.empty(3), op=lambda v: v)
    pp.transform(renderer, where.asarray(X), out=where.empty((20,), "float64"), op=lambda v: v)


def test_what_is_no_array():
    for x, remedy in (([3, 1], "np.asarray"), ((3, 1), "np.asarray"), ({3, 1}, "np.asarray.list"), (None, "numbers$")):
        with pytest.raises(pp.PlacementError, match=remedy):
            pp.sort(pp.par, x)
    assert pp.sort(pp.par, np.asarray(list({3, 1}))).tolist() == [1, 3]


def test_a_function_among_the_arrays():
    with pytest.raises(pp.PortaparError, match="op is missing: .*op=….*by that name, op=…, not among"):
        pp.transform(pp.par, np.ones(3), lambda v: v + 1)


def test_names_of_numpy_are_answered():
    for name in ("sum", "argmax", "cumsum", "mean"):
        with pytest.raises(AttributeError, match=rf"attribute .{name}.. Use pp\.(reduce|max_element|inclusive_scan)\("):
            getattr(pp, name)
    assert not hasattr(pp, "nothing")
