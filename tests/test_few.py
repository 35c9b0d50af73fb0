"""Calls of few elements, remembered whatever their lengths: the right result, or an error and nothing written.

And calls of many, of which several algorithms remember steps of blocks in the same way.
"""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import portapar as pp
from portapar import few

SIZES = (100, 77, 1, 2, 3, few.FEW, few.FEW + 1, 100, 20_000, 5000, 33)
TABLE = np.arange(8.0)


def offsets(n):
    return np.array([0, n // 3, n // 3, n - n // 4, n])


def segments(x):
    return np.array([x[a:b].sum() for a, b in zip(offsets(len(x))[:-1], offsets(len(x))[1:], strict=True)])


def last(hits):
    return int(np.flatnonzero(hits)[-1]) if hits.any() else len(hits)


def first(hits):
    return int(np.argmax(hits)) if hits.any() else len(hits)


def scanned(x):
    return np.concatenate([np.cumsum(x[a:b]) for a, b in zip(offsets(len(x))[:-1], offsets(len(x))[1:], strict=True)])


def heads(k):
    return np.flatnonzero(np.append(True, k[1:] != k[:-1]))


def scanned_runs(k, x):
    return np.concatenate([np.cumsum(part) for part in np.split(x, heads(k)[1:])])


def scanned_by_key(k, x):
    order = np.argsort(k, kind="stable")
    found = np.empty(len(x))
    found[order] = scanned_runs(k[order], x[order])
    return found


def bag(a, b, how):
    values = np.unique(np.concatenate([a, b]))
    return np.repeat(values, how(*((values[:, None] == x).sum(1) for x in (a, b))))


#: name: (call of a policy, numbers x, small integers k, places i, and a number c that kernels capture; what it gives)
CALLS = {
    "count_if": (lambda p, x, k, i, c: pp.count_if(p, x, lambda v: v > c), lambda x, k, i, c: (x > c).sum()),
    "count": (lambda p, x, k, i, c: pp.count(p, k, int(c)), lambda x, k, i, c: (k == int(c)).sum()),
    "any_of": (lambda p, x, k, i, c: pp.any_of(p, x, lambda v: v > c), lambda x, k, i, c: (x > c).any()),
    "all_of": (lambda p, x, k, i, c: pp.all_of(p, x, lambda v: v > c), lambda x, k, i, c: (x > c).all()),
    "none_of": (lambda p, x, k, i, c: pp.none_of(p, x, lambda v: v > c), lambda x, k, i, c: not (x > c).any()),
    "find": (lambda p, x, k, i, c: pp.find(p, k, c), lambda x, k, i, c: first(k == c)),
    "find_if": (lambda p, x, k, i, c: pp.find_if(p, x, lambda v: v > c), lambda x, k, i, c: first(x > c)),
    "find_last_if": (lambda p, x, k, i, c: pp.find_last_if(p, x, lambda v: v > c), lambda x, k, i, c: last(x > c)),
    "adjacent_find": (
        lambda p, x, k, i, c: pp.adjacent_find(p, k), lambda x, k, i, c: first(np.append(k[1:] == k[:-1], len(k) < 0))
    ),
    "mismatch": (lambda p, x, k, i, c: pp.mismatch(p, k, i), lambda x, k, i, c: first(k != i)),
    "equal": (lambda p, x, k, i, c: pp.equal(p, x, x + c), lambda x, k, i, c: c == 0),
    "copy_if": (lambda p, x, k, i, c: pp.copy_if(p, x, lambda v: v > c), lambda x, k, i, c: x[x > c]),
    "stencil": (
        lambda p, x, k, i, c: pp.copy_if(p, x, lambda v: v > c, stencil=k), lambda x, k, i, c: x[k > c]
    ),
    "remove_if": (lambda p, x, k, i, c: pp.remove_if(p, x, lambda v: v > c), lambda x, k, i, c: x[~(x > c)]),
    "pack_index": (lambda p, x, k, i, c: pp.pack_index(p, k), lambda x, k, i, c: np.flatnonzero(k)),
    "partition": (
        lambda p, x, k, i, c: pp.partition(p, x, lambda v: v > c)[0],
        lambda x, k, i, c: np.append(x[x > c], x[~(x > c)]),
    ),
    "min_element": (
        lambda p, x, k, i, c: pp.min_element(p, x, key=lambda v: abs(v - c)), lambda x, k, i, c: np.argmin(abs(x - c))
    ),
    "minmax_element": (lambda p, x, k, i, c: pp.minmax_element(p, k), lambda x, k, i, c: (k.argmin(), k.argmax())),
    "bincount": (lambda p, x, k, i, c: pp.bincount(p, k), lambda x, k, i, c: np.bincount(k)),
    "weights": (lambda p, x, k, i, c: pp.bincount(p, k, x, 5), lambda x, k, i, c: np.bincount(k, x, 5)),
    "histogram": (lambda p, x, k, i, c: pp.histogram(p, x, 7)[0], lambda x, k, i, c: np.histogram(x, 7)[0]),
    "of a range": (
        lambda p, x, k, i, c: pp.histogram(p, k, 40, (-1, 6.5))[1], lambda x, k, i, c: np.histogram(k, 40, (-1, 6.5))[1]
    ),
    "few bins": (
        lambda p, x, k, i, c: pp.histogram(p, x, 7, (-3, 20.5))[0],
        lambda x, k, i, c: np.histogram(x, 7, (-3, 20.5))[0],
    ),
    "between edges": (
        lambda p, x, k, i, c: pp.histogram(p, x, TABLE)[0], lambda x, k, i, c: np.histogram(x, TABLE)[0]
    ),
    "searchsorted": (lambda p, x, k, i, c: pp.searchsorted(p, TABLE, x), lambda x, k, i, c: np.searchsorted(TABLE, x)),
    "search of integers": (
        lambda p, x, k, i, c: pp.searchsorted(p, TABLE, k, "right"),
        lambda x, k, i, c: np.searchsorted(TABLE, k, "right"),
    ),
    "search for one": (
        lambda p, x, k, i, c: pp.searchsorted(p, TABLE, c), lambda x, k, i, c: np.searchsorted(TABLE, c)
    ),
    "gather": (lambda p, x, k, i, c: pp.gather(p, x, i), lambda x, k, i, c: x[i]),
    "scatter": (
        lambda p, x, k, i, c: pp.scatter(p, x, i, np.full(len(x), float(c))), lambda x, k, i, c: x[np.argsort(i)]
    ),
    "gather_if": (
        lambda p, x, k, i, c: pp.gather_if(p, x, np.where(k > 2, i, 2**40), k > 2, np.full(len(x), float(c))),
        lambda x, k, i, c: np.where(k > 2, x[i], c),
    ),
    "scatter_if": (
        lambda p, x, k, i, c: pp.scatter_if(p, x, np.where(k > 2, i, -(2**40)), k > 2, np.full(len(x), float(c))),
        lambda x, k, i, c: np.where(k > 2, x, c)[np.argsort(i)],
    ),
    "scan": (lambda p, x, k, i, c: pp.inclusive_scan(p, k, init=int(c)), lambda x, k, i, c: np.cumsum(k) + int(c)),
    "exclusive": (lambda p, x, k, i, c: pp.exclusive_scan(p, k), lambda x, k, i, c: np.cumsum(k) - k),
    "maxima": (
        lambda p, x, k, i, c: pp.inclusive_scan(p, x, op=lambda a, b: max(a, b), init=c),
        lambda x, k, i, c: np.maximum(np.maximum.accumulate(x), c),
    ),
    "transform_scan": (
        lambda p, x, k, i, c: pp.transform_scan(p, k, i, transform=lambda a, b: a * b + c),
        lambda x, k, i, c: np.cumsum(k * i + c),
    ),
    "segmented_reduce": (
        lambda p, x, k, i, c: pp.segmented_reduce(p, offsets(len(k)), k), lambda x, k, i, c: segments(k)
    ),
    "segmented_scan": (lambda p, x, k, i, c: pp.segmented_scan(p, offsets(len(k)), k), lambda x, k, i, c: scanned(k)),
    "sort": (lambda p, x, k, i, c: pp.sort(p, x), lambda x, k, i, c: np.sort(x)),
    "descending": (lambda p, x, k, i, c: pp.sort(p, k, descending=True), lambda x, k, i, c: np.sort(k)[::-1]),
    "stable_sort": (lambda p, x, k, i, c: pp.stable_sort(p, x), lambda x, k, i, c: np.sort(x)),
    "argsort": (lambda p, x, k, i, c: pp.argsort(p, k), lambda x, k, i, c: np.argsort(k, kind="stable")),
    "sort_by_key": (
        lambda p, x, k, i, c: pp.sort_by_key(p, k, x)[1], lambda x, k, i, c: x[np.argsort(k, kind="stable")]
    ),
    "unique": (lambda p, x, k, i, c: pp.unique(p, k), lambda x, k, i, c: np.unique(k)),
    "unique_count": (lambda p, x, k, i, c: pp.unique_count(p, k), lambda x, k, i, c: len(np.unique(k))),
    "weights of bins": (
        lambda p, x, k, i, c: pp.histogram(p, x, 40, (-3, 20.5), weights=x + c)[0],
        lambda x, k, i, c: np.histogram(x, 40, (-3, 20.5), weights=x + c)[0],
    ),
    "many edges": (
        lambda p, x, k, i, c: pp.histogram(p, k, np.arange(40) - c % 1)[0],
        lambda x, k, i, c: np.histogram(k, np.arange(40) - c % 1)[0],
    ),
    "largest weight": (lambda p, x, k, i, c: pp.bincount(p, k, x + c), lambda x, k, i, c: np.bincount(k, x + c)),
    "neighbours": (lambda p, x, k, i, c: pp.unique(p, k, consecutive=True), lambda x, k, i, c: k[heads(k)]),
    "how many runs": (
        lambda p, x, k, i, c: pp.unique_count(p, k, consecutive=True), lambda x, k, i, c: len(heads(k))
    ),
    "run_length_encode": (
        lambda p, x, k, i, c: pp.run_length_encode(p, k)[1], lambda x, k, i, c: np.diff(heads(k), append=len(k))
    ),
    "reduce_by_key": (
        lambda p, x, k, i, c: pp.reduce_by_key(p, k, x)[1],
        lambda x, k, i, c: np.array([x[k == v].sum() for v in np.unique(k)]),
    ),
    "reduce runs": (
        lambda p, x, k, i, c: pp.reduce_by_key(p, k, x, consecutive=True)[1],
        lambda x, k, i, c: np.add.reduceat(x, heads(k)),
    ),
    "scan runs": (
        lambda p, x, k, i, c: pp.scan_by_key(p, k, x, consecutive=True), lambda x, k, i, c: scanned_runs(k, x)
    ),
    "unique_by_key": (
        lambda p, x, k, i, c: pp.unique_by_key(p, k, x)[1], lambda x, k, i, c: x[np.unique(k, return_index=True)[1]]
    ),
    "merge": (
        lambda p, x, k, i, c: pp.merge(p, np.sort(k), np.sort(i)[: len(i) // 2 + 1]),
        lambda x, k, i, c: np.sort(np.concatenate([k, np.sort(i)[: len(i) // 2 + 1]])),
    ),
    "set_union": (
        lambda p, x, k, i, c: pp.set_union(p, np.sort(k), np.sort(k[::2])), lambda x, k, i, c: np.sort(k)
    ),
    "set_difference": (
        lambda p, x, k, i, c: pp.set_difference(p, np.sort(k), np.sort(k[::3] // 2)),
        lambda x, k, i, c: bag(k, k[::3] // 2, lambda m, n: np.maximum(m - n, 0)),
    ),
    "set_symmetric_difference": (
        lambda p, x, k, i, c: pp.set_symmetric_difference(p, np.sort(k), np.sort(k[::3] // 2)),
        lambda x, k, i, c: bag(k, k[::3] // 2, lambda m, n: abs(m - n)),
    ),
    "includes": (
        lambda p, x, k, i, c: pp.includes(p, np.sort(k), np.sort(k[1:] + (c == 2))),
        lambda x, k, i, c: not Counter((k[1:] + (c == 2)).tolist()) - Counter(k.tolist()),
    ),
    "is_sorted": (
        lambda p, x, k, i, c: pp.is_sorted(p, np.where(np.arange(len(k)) < len(k) - 1, np.sort(x), c)),
        lambda x, k, i, c: len(x) == 1 or np.sort(x)[-2] <= c,
    ),
    "nth_element": (
        lambda p, x, k, i, c: pp.nth_element(p, x, len(x) // 3)[len(x) // 3], lambda x, k, i, c: np.sort(x)[len(x) // 3]
    ),
    "partial_sort": (
        lambda p, x, k, i, c: pp.partial_sort(p, k, (len(k) + 1) // 2)[: (len(k) + 1) // 2],
        lambda x, k, i, c: np.sort(k)[: (len(k) + 1) // 2],
    ),
    "top_k": (
        lambda p, x, k, i, c: pp.top_k(p, k, len(k) // 2)[1],
        lambda x, k, i, c: np.argsort(-k, kind="stable")[: len(k) // 2],
    ),
    "scan_by_key": (
        lambda p, x, k, i, c: pp.scan_by_key(p, k, x, init=c),
        lambda x, k, i, c: scanned_by_key(k, x) + c,
    ),
    "set_intersection": (
        lambda p, x, k, i, c: pp.set_intersection(p, np.sort(k), np.sort(k[::3] // 2)),
        lambda x, k, i, c: bag(k, k[::3] // 2, np.minimum),
    ),
    "isin": (lambda p, x, k, i, c: pp.isin(p, i, k + int(c)), lambda x, k, i, c: np.isin(i, k + int(c))),
    "isin of two types": (lambda p, x, k, i, c: pp.isin(p, x, i + c), lambda x, k, i, c: np.isin(x, i + c)),
    "find_first_of": (
        lambda p, x, k, i, c: pp.find_first_of(p, i, k[:2] + int(c)),
        lambda x, k, i, c: first(np.isin(i, k[:2] + int(c))),
    ),
    "kth_smallest": (
        lambda p, x, k, i, c: pp.kth_smallest(p, x, len(x) // 3), lambda x, k, i, c: np.sort(x)[len(x) // 3]
    ),
    "is_partitioned": (
        lambda p, x, k, i, c: pp.is_partitioned(p, np.append(np.sort(k), int(c)), lambda v: v < c),
        lambda x, k, i, c: bool((k < c).all() or int(c) >= c),
    ),
    "group_by_key": (
        lambda p, x, k, i, c: pp.group_by_key(p, k, x)[2], lambda x, k, i, c: x[np.argsort(k, kind="stable")]
    ),
    "lexicographical_compare": (
        lambda p, x, k, i, c: pp.lexicographical_compare(p, k, np.append(k[: len(k) // 2], int(c))),
        lambda x, k, i, c: k.tolist() < [*k[: len(k) // 2].tolist(), int(c)],
    ),
}  # fmt: skip


#: those of CALLS whose steps are remembered for many elements too
OF_MANY = [
    "count_if", "count", "any_of", "all_of", "none_of", "find", "find_if", "find_last_if", "adjacent_find",
    "mismatch", "equal", "copy_if", "stencil", "remove_if", "pack_index", "partition", "min_element",
    "minmax_element", "bincount", "of a range", "few bins", "gather", "scatter", "scan", "exclusive", "maxima",
    "transform_scan", "histogram", "gather_if", "scatter_if", "between edges", "many edges", "weights",
    "weights of bins", "largest weight", "segmented_reduce", "segmented_scan", "merge", "set_union", "set_difference",
    "set_symmetric_difference", "includes", "unique", "unique_count", "is_sorted", "neighbours", "how many runs",
    "run_length_encode", "reduce runs", "scan runs", "argsort", "sort_by_key", "kth_smallest", "group_by_key",
]  # fmt: skip


def given(n, seed=0):
    rng = np.random.default_rng(n + seed)
    return rng.permutation(n) - n / 2 + 0.5, rng.integers(0, 7, n), rng.permutation(n)


def check(name, policy, x, k, i, c):
    call, expected = CALLS[name]
    found, wanted = call(policy, x, k, i, c), expected(x, k, i, c)
    assert np.array_equal(found, wanted), (name, len(x), c)
    if isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype and type(found) is np.ndarray


@pytest.mark.parametrize("name", CALLS)
def test_other_lengths_and_numbers_in_the_next_call(name):
    for policy in (pp.par, pp.seq):
        for n in SIZES:
            x, k, i = given(n)
            for c in (0.5, 0.5, 3.5, *((-n, 2) if n <= few.FEW else ())):
                check(name, policy, x, k, i, c)
            if n <= 100:
                x, k, i = (v.repeat(2)[::2] for v in (x, k, i))
                check(name, policy, x, k, i, 0.5)
                for v in (x, k, i):
                    v.flags.writeable = False
                check(name, policy, x, k, i, 0.5)


@pytest.mark.parametrize("name", CALLS)
def test_what_ran_before_goes_no_long_way(name, monkeypatch):
    for n in (100, 50):
        x, k, i = given(n)
        check(name, pp.par, x, k, i, 1.5)
    monkeypatch.setattr("portapar.parts.resolve", None)
    for n, c in ((100, 1.5), (60, 1.5), (1000, 2.5)):
        check(name, pp.par, *given(n), c)


@pytest.mark.parametrize("name", OF_MANY)
def test_many_elements_go_no_long_way_either(name, monkeypatch):
    for n in (30_000, 31_000):
        check(name, pp.par, *given(n), 1.5)
    monkeypatch.setattr("portapar.parts.resolve", None)
    for n, c in ((30_000, 1.5), (30_999, 2.5)):
        check(name, pp.par, *given(n), c)


def unaligned(x):
    return np.frombuffer(b" " + x.tobytes(), np.uint8)[1:].view(x.dtype)


OTHERS = {
    "unaligned": unaligned,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "masked": np.ma.array,
    "two-dimensional": lambda x: x.reshape(2, -1),
    "of objects": lambda x: x.astype(object),
    "list": list,
    "reversed": lambda x: x[::-1],
    "float32": lambda x: x.astype(np.float32),
    "windows": lambda x: as_strided(x, (len(x) // 2,), x.strides),
    "one": lambda x: as_strided(x, x.shape, (0,)),
}


THIRDS = 3  #: of the other arrays, of which each algorithm meets one in CI


def some(name, n, turn):
    """The other arrays of an algorithm: a third of them, in turn."""
    return list(OTHERS.items())[(list(CALLS).index(name) + (n > few.FEW) + turn) % THIRDS :: THIRDS]


@pytest.mark.extra
@pytest.mark.parametrize("turn", [0, *(pytest.param(k, marks=pytest.mark.rare) for k in range(1, THIRDS))])
@pytest.mark.parametrize(("name", "n"), [*((name, 40) for name in CALLS), *((name, 5000) for name in OF_MANY)])
def test_other_arrays_in_the_next_call(name, n, turn):
    """What a fresh call says of them, the result or an error, a call says that was remembered for others."""
    call, _ = CALLS[name]
    x, k, i = given(n)
    for kind, other in some(name, n, turn):
        for changed in ((other(x), k, i), (x, other(k), i), (x, k, other(i))):
            outcomes = []
            for policy in (pp.par.with_(chunk_size=len(kind) + 10), pp.par):  # the first is not remembered
                call(pp.par, x, k, i, 0.5)
                try:
                    outcomes.append(call(policy, *changed, 0.5))
                except Exception as error:  # noqa: BLE001 - what it is is compared
                    outcomes.append((type(error), str(error)))
            fresh, again = outcomes
            assert type(fresh) is type(again) and np.array_equal(fresh, again), (kind, fresh, again)


WRITES = {
    "scan": lambda x, i, out: pp.inclusive_scan(pp.par, x, out=out),
    "exclusive": lambda x, i, out: pp.exclusive_scan(pp.par, x, out=out),
    "gather": lambda x, i, out: pp.gather(pp.par, x, i, out=out),
    "scatter": lambda x, i, out: pp.scatter(pp.par, x, i, out),
    "gather_if": lambda x, i, out: pp.gather_if(pp.par, x, i, i % 2, out),
    "scatter_if": lambda x, i, out: pp.scatter_if(pp.par, x, i, i % 2, out),
    "merge": lambda x, i, out: pp.merge(pp.par, x[: len(x) // 3], x[len(x) // 3 :], out=out),
    "sort": lambda x, i, out: pp.sort(pp.par, x, out=out),
    "segmented_scan": lambda x, i, out: pp.segmented_scan(pp.par, offsets(len(x)), x, out=out),
    "segmented_reduce": lambda x, i, out: pp.segmented_reduce(pp.par, np.arange(len(x) + 1), x, out=out),
}


def frozen(x):
    out = np.zeros(len(x))
    out.flags.writeable = False
    return out


OUTS = {
    "read-only": frozen,
    "unaligned": lambda x: np.zeros(8 * len(x) + 1, np.uint8)[1:].view(float),
    "shorter": lambda x: np.zeros(len(x) - 1),
    "longer": lambda x: np.zeros(len(x) + 1),
    "of integers": lambda x: np.zeros(len(x), np.int8),
    "byte-swapped": lambda x: np.zeros(len(x), ">f8"),
    "two-dimensional": lambda x: np.zeros((len(x), 1)),
    "masked": lambda x: np.ma.zeros(len(x)),
    "partly the input": lambda x: np.append(x, 0.0)[1:],
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", OUTS)
def test_another_output_in_the_next_call(name, kind):
    if name.startswith("scatter") and kind in ("shorter", "longer"):
        pytest.skip("it may have any length")
    for n in (50, 50, 30, *((5000, 5000, 6000) if name != "sort" else ())):
        memory = np.arange(n + 1.0)
        x, i, good = memory[:n], np.arange(n)[::-1].copy(), np.zeros(n)
        wanted = WRITES[name](x, i, good).copy()
        out = memory[1:] if kind == "partly the input" else OUTS[kind](x)
        before = np.array(out)
        with pytest.raises(pp.PortaparError):
            WRITES[name](x, i, out)
        assert np.array_equal(out, before)
        if name in ("scan", "exclusive", "sort", "segmented_scan"):
            same = x.copy()
            assert WRITES[name](same, i, same) is same and np.array_equal(same, wanted)


@pytest.mark.parametrize("n", [50, pytest.param(few.FEW + 100, marks=pytest.mark.extra)])
def test_outputs_that_the_users_functions_read(n):
    out, x = np.zeros(n), np.arange(1.0 * n)
    memory = np.arange(n + 10.0)
    table = memory[:n]

    def scan(x, out):
        return pp.transform_scan(pp.par, x, transform=lambda v: table[int(v)], out=out)

    for _ in range(3):
        assert np.array_equal(scan(x, out), np.cumsum(memory[:n])) and np.array_equal(memory, np.arange(n + 10))
        for wrong in (table, memory[:n], memory[10:]):
            with pytest.raises(pp.PlacementError, match="shares memory with out"):
                scan(x, wrong)
            with pytest.raises(pp.PlacementError, match="shares memory with out"):
                scan(wrong, wrong)
            assert np.array_equal(memory, np.arange(n + 10))
        table, same = x, x.copy()
        assert np.array_equal(scan(same, same), np.cumsum(x))
        table = memory[:n]


@pytest.mark.parametrize("n", [20, pytest.param(few.FEW + 20, marks=pytest.mark.extra)])
def test_captured_arrays_that_change(n):
    table, x = np.arange(10.0), np.arange(1.0 * n)

    def fits(v):
        return table[int(v) % 5] > 1

    others = np.arange(5.0), np.arange(10.0) * 0.5, np.arange(20.0)[::2], np.arange(5), np.array([9.0] * 5)
    for made in (table, *others):
        table = made
        wanted = x[made[x.astype(int) % 5] > 1]
        assert np.array_equal(pp.copy_if(pp.par, x, fits), wanted) and pp.count_if(pp.par, x, fits) == len(wanted)
    table = unaligned(np.arange(10.0))
    wanted = x[x.astype(int) % 5 > 1]
    for _ in range(2):
        assert np.array_equal(pp.copy_if(pp.par, x, fits), wanted)
        with pytest.raises(pp.PortaparError, match="aligned"):
            pp.transform(pp.par, x, op=fits)
    table = np.arange(10.0)
    table.resize(5, refcheck=False)
    assert pp.find_if(pp.par, x, fits) == 2


@pytest.mark.extra
def test_functions_that_change():
    x, bound = np.arange(20.0), 3

    def small(v):
        return v < bound

    def large(v):
        return v > bound

    inner = small

    def fits(v):
        return inner(v)

    for _ in range(2):
        for inner in (small, large):
            for number in (3, 5, 2**62, 4.5, np.float32(6), True):
                bound = number
                assert np.array_equal(pp.copy_if(pp.par, x, fits), x[[bool(inner(v)) for v in x]])
    for predicate in (np.isnan, small, lambda v: v == 4, large, np.isfinite):
        assert pp.count_if(pp.par, x, predicate) == sum(bool(predicate(v)) for v in x)


@pytest.mark.extra
def test_what_is_no_argument_is_told_as_ever():
    x, k = np.arange(9.0), np.arange(9)
    records = np.zeros(9, [("a", "f8")])
    for call in (
        lambda p, x: pp.copy_if(p, x, lambda v: v > 3), lambda p, x: pp.inclusive_scan(p, x),
        lambda p, x: pp.sort(p, x), lambda p, x: pp.gather(p, x, k), lambda p, x: pp.min_element(p, x),
        lambda p, x: pp.searchsorted(p, x, np.arange(9.0)), lambda p, x: pp.find(p, x, 2),
        lambda p, x: pp.segmented_reduce(p, np.array([0, 9]), x), lambda p, x: pp.histogram(p, x, 5),
    ):  # fmt: skip
        call(pp.par, x)
        texts, dates = np.array(["a"] * 9), np.array(["2000-01-01"] * 9, "M8[D]")
        for wrong in (None, 5, "x", [1.0], x[0], x.reshape(3, 3), texts, dates):
            with pytest.raises(pp.PortaparError):
                call(pp.par, wrong)
        with pytest.raises(pp.PortaparError):
            call("par", x)
    for wrong in (
        lambda: pp.searchsorted(pp.par, records, x), lambda: pp.searchsorted(pp.par, x, records),
        lambda: pp.segmented_reduce(pp.par, np.array([0, 9])), lambda: pp.transform_scan(pp.par, transform=lambda: 1),
        lambda: pp.copy_if(pp.par, x, None), lambda: pp.copy_if(pp.par, x, 5), lambda: pp.sort(pp.par, records),
        lambda: pp.copy_if(pp.par, x, lambda: True), lambda: pp.copy_if(pp.par, x, lambda v: (v, v)),
        lambda: pp.min_element(pp.par, x, key=3), lambda: pp.histogram(pp.par, x, None), lambda: pp.bincount(pp.par, x),
        lambda: pp.inclusive_scan(pp.par, x, op=3), lambda: pp.inclusive_scan(pp.par, x, init="a"),
        lambda: pp.find(pp.par, x, "a"), lambda: pp.bincount(pp.par, k, minlength=-1),
        lambda: pp.bincount(pp.par, k, weights=x[:3]),
    ):  # fmt: skip
        with pytest.raises(pp.PortaparError):
            wrong()


@pytest.mark.parametrize("n", [20, few.FEW + 20])
def test_numbers_beyond_64_bits_are_told(n):
    bound, x = 3, np.arange(n)

    def above(v):
        return v > bound

    assert pp.count_if(pp.par, x, above) == n - 4
    for number in (2**70, -(2**70)):
        bound = number
        with pytest.raises(pp.PortaparError):
            pp.count_if(pp.par, x, above)


def test_default_arguments_of_predicates():
    x = np.arange(20.0)
    for bound in (3, 4, 2.5):
        assert pp.count_if(pp.par, x, lambda v, b=bound: v > b) == (x > bound).sum()


def test_one_wrong_place_among_many():
    n, out = few.FEW + 1000, np.zeros(few.FEW + 1000)
    x, right = np.arange(1.0 * n), np.arange(n)[::-1].copy()
    for _ in range(2):
        for place in (0, n // 2, n - 1):
            for wrong in (n, -n - 1):
                places = right.copy()
                places[place] = wrong
                told = rf"indices\[{place}\] is {wrong}"
                with pytest.raises(pp.PlacementError, match=told):
                    pp.gather(pp.par, x, places)
                with pytest.raises(pp.PlacementError, match=told):
                    pp.gather(pp.par, x, places, out=out)
                with pytest.raises(pp.PlacementError, match=told):
                    pp.scatter(pp.par, x, places, out)
                assert not out.any()
        assert np.array_equal(pp.gather(pp.par, x, right), x[::-1]) and np.array_equal(
            pp.gather(pp.par, x, right - n, out=np.zeros(n)), x[::-1]
        )
        same = right.copy()
        assert pp.gather(pp.par, 2 * same, same, out=same) is same and np.array_equal(same, 2 * np.arange(n))


def test_many_numbers_of_which_some_are_large_or_negative():
    k = np.arange(20_000) % 50
    for _ in range(2):
        for dtype in (np.int64, np.int8, np.uint8, np.uint64, bool):
            small = k.astype(dtype)
            assert np.array_equal(pp.bincount(pp.par, small), np.bincount(small))
            assert np.array_equal(pp.bincount(pp.par, small, minlength=90), np.bincount(small, minlength=90))
        for place in (0, 9_999, 19_999):  # such that the sample has it, and not
            for large in (few.FEW - 1, few.FEW, few.FEW + 1, 70_000):
                some = k.copy()
                some[place] = large
                assert np.array_equal(pp.bincount(pp.par, some), np.bincount(some))
                assert np.array_equal(pp.bincount(pp.par, some, some, 60), np.bincount(some, some, 60))
            some[place] = -3
            for weights in (None, k):
                with pytest.raises(pp.PlacementError, match="-3"):
                    pp.bincount(pp.par, some, weights)
        assert np.array_equal(pp.bincount(pp.par, k, k, 60), np.bincount(k, k, 60))


def test_counts_over_lazy_inputs_follow_what_they_are_made_of():
    for n in (6000, 100, 0, 6001):
        x, y = np.arange(n) % 7, np.arange(1.0 * n)
        for bound in (3, 4.5):
            inside = lambda pair: pair[0] < bound and pair[1] > bound  # noqa: B023
            assert pp.count_if(pp.par, pp.lazy.zip(x, y), inside) == ((x < bound) & (y > bound)).sum()
            assert pp.count_if(pp.par, pp.lazy.zip(y, x), inside) == ((y < bound) & (x > bound)).sum()
            assert pp.count_if(pp.par.task, pp.lazy.zip(y, x), inside).result() == ((y < bound) & (x > bound)).sum()
    for _ in range(2):
        with pytest.raises(pp.KernelError, match="truth value"):
            pp.count_if(pp.par, pp.lazy.zip(x, y), lambda pair: pair)


def test_wrong_places_and_offsets_after_right_ones():
    x, out = np.arange(10.0), np.zeros(10)
    for _ in range(2):
        assert pp.gather(pp.par, x, np.array([9, -10]))[1] == 0
        for wrong in ([0, 10], [-11, 0], np.array([2**64 - 1, 0], np.uint64)):
            with pytest.raises(pp.PlacementError, match="must be from"):
                pp.gather(pp.par, x, np.asarray(wrong))
            with pytest.raises(pp.PlacementError, match="must be from"):
                pp.scatter(pp.par, np.ones(2), np.asarray(wrong), out)
            assert not out.any()
        assert pp.segmented_reduce(pp.par, np.array([0, 4, 10]), x).tolist() == [6, 39]
        for wrong in ([0, 4, 11], [-1, 4, 10], [0, 5, 4]):
            with pytest.raises(pp.PlacementError, match="offsets"):
                pp.segmented_reduce(pp.par, np.array(wrong), x)
        with pytest.raises(pp.PlacementError, match="cover"):
            pp.segmented_scan(pp.par, np.array([0, 4, 9]), x)
        with pytest.raises(pp.PlacementError, match="negative"):
            pp.bincount(pp.par, np.array([1, -1]))
        assert len(pp.bincount(pp.par, np.array([1, 5000]))) == 5001


def test_empty_segments_of_an_operator_without_identity():
    x = np.arange(6.0)
    op = lambda a, b: a * 0 + b
    assert pp.segmented_reduce(pp.par, np.array([0, 2, 6]), x, op=op).tolist() == [1, 5]
    for _ in range(2):
        with pytest.raises(pp.PlacementError, match="no identity"):
            pp.segmented_reduce(pp.par, np.array([0, 2, 2, 6]), x, op=op)
        assert pp.segmented_reduce(pp.par, np.array([0, 2, 2, 6]), x, op=op, init=7.0).tolist() == [1, 7, 5]


@pytest.mark.parametrize("more", [0, few.FEW])
def test_special_numbers(more):
    x = np.array([3.0, np.nan, -0.0, 0.0, np.inf, np.nan, -np.inf, 0.0, -0.0])
    if more:
        many = np.append(np.ones(more), x)
        for _ in range(2):
            assert pp.min_element(pp.par, many) == pp.max_element(pp.par, many) == more + 1
            assert pp.find(pp.par, many, np.nan) == len(many) and pp.count(pp.par, many, 0) == 4
            assert pp.any_of(pp.par, many, lambda v: v != v) and not pp.equal(pp.par, many, many)
            assert pp.mismatch(pp.par, many, many) == more + 1
        return
    for _ in range(2):
        assert pp.min_element(pp.par, x) == pp.max_element(pp.par, x) == 1
        assert np.array_equal(pp.sort(pp.par, x), np.sort(x), equal_nan=True)
        assert np.array_equal(pp.argsort(pp.par, x), np.argsort(x, kind="stable"))
        assert np.array_equal(np.signbit(pp.stable_sort(pp.par, x)[1:5]), np.signbit(x[[2, 3, 7, 8]]))
        assert np.array_equal(pp.unique(pp.par, x), np.unique(x), equal_nan=True)
        assert np.array_equal(pp.searchsorted(pp.par, np.sort(x), x), np.searchsorted(np.sort(x), x))
        assert pp.find(pp.par, x, np.nan) == len(x) and pp.count(pp.par, x, 0) == 4
        assert np.array_equal(pp.sort_by_key(pp.par, x, np.arange(9))[1], np.argsort(x, kind="stable"))


@pytest.mark.parametrize("kind", ["f8", *(pytest.param(kind, marks=pytest.mark.extra) for kind in ("i8", "?"))])
def test_edges_of_bins_are_those_of_numpy(kind):
    rng = np.random.default_rng(3)
    for n, bins in ((1, 1), (5, 3), (40, 17), (200, 30), (1000, 7), (50, 1000), (5000, 7), (5000, 1000)):
        kinds = {
            "f8": (rng.standard_normal(n) * 1e-5, np.full(n, 0.1)), "i8": (rng.integers(-(2**50), 2**50, n),),
            "?": (rng.random(n) > 0.5,),
        }  # fmt: skip
        for x in kinds[kind]:
            for limits in (None, (-1, 1), (0.1, 0.1), (-0.25, 2**40)):
                for given in (bins, np.sort(rng.integers(-3, 3, bins + 1)) / 7):
                    wanted = np.histogram(x.view(np.int8) if x.dtype == bool else x, given, limits)
                    found = pp.histogram(pp.par, x, given, limits)
                    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_edges_that_are_wrong():
    for _ in range(2):
        for wrong in ([1.0, np.nan, 2.0], [0.0, np.inf]):
            with pytest.raises(pp.PlacementError, match="finite"):
                pp.histogram(pp.par, np.array(wrong), 7)
        with pytest.raises(pp.PlacementError, match="finite"):
            pp.histogram(pp.par, np.arange(5.0), 7, (2.0, 1.0))
        with pytest.raises(pp.PlacementError, match="decrease"):
            pp.histogram(pp.par, np.arange(5.0), np.array([0.0, 2.0, 1.0]))


def test_records_and_tuples():
    pair = np.dtype([("a", "f8"), ("b", "i4")])
    x = np.zeros(30, pair)
    x["a"], x["b"] = np.arange(30), np.arange(30) % 4
    for n in (30, 20, 30):
        y = x[:n]
        assert np.array_equal(pp.copy_if(pp.par, y, lambda r: r.b == 1), y[y["b"] == 1])
        assert np.array_equal(pp.gather(pp.par, y, np.array([3, -1])), y[[3, -1]])
        assert pp.max_element(pp.par, y, key="b") == 3
        found = pp.inclusive_scan(pp.par, y, op=lambda a, b: (a[0] + b[0], max(a[1], b[1])))
        assert np.array_equal(found["f0"], np.cumsum(y["a"]))
        assert np.array_equal(found["f1"], np.maximum.accumulate(y["b"]))


def test_values_that_take_a_loop_are_in_no_step(monkeypatch):
    """They are found one by one, so that Ctrl-C is heard between them."""
    x, cuts, made = np.arange(50.0), np.array([0, 7, 50]), []
    kept = type("Kept", (type(few._steps),), {"__setitem__": lambda *step: made.append(step)})
    monkeypatch.setattr(few, "_steps", kept())

    def slow(v):
        for _ in range(3):
            v = v * 0.5 + 1
        return v

    lazy, found = pp.lazy.transform(x, slow), slow(x)
    for how in (pp.par, pp.seq):
        reduced = pp.segmented_reduce(how, cuts, x, transform=slow)
        assert np.allclose(reduced, [found[:7].sum(), found[7:].sum()]) and not made
        for call in (
            lambda how: pp.segmented_reduce(how, cuts, lazy), lambda how: pp.segmented_scan(how, cuts, lazy),
            lambda how: pp.transform_scan(how, x, transform=slow), lambda how: pp.inclusive_scan(how, lazy),
        ):  # fmt: skip
            assert np.allclose(call(how)[0], (reduced[0], found[0])[call(how).size > 2]) and not made


@pytest.mark.parametrize("n", [1000, few.FEW, 50_000])
def test_the_bits_of_one_step_are_those_of_several(n):
    x, cuts = np.random.default_rng(n).standard_normal(n) * 10.0 ** (np.arange(n) % 9), np.array([0, n // 7, n])
    others = pp.par.on(pp.hybrid(pp.threads(2), pp.simd(), weights=(0.3, 0.7)))
    others.executor.worth = 0.0
    for call in (lambda p: pp.inclusive_scan(p, x), lambda p: pp.exclusive_scan(p, x, op=pp.multiplies),
                 lambda p: pp.segmented_reduce(p, cuts, x), lambda p: pp.bincount(p, np.zeros(n, int), x),
                 lambda p: pp.bincount(p, np.arange(n) % 3, x, 3), lambda p: pp.reduce(p, x)):  # fmt: skip
        for _ in range(2):
            assert call(pp.par).tobytes() == call(pp.seq).tobytes() == call(others).tobytes()


@pytest.mark.parametrize("n", [30, few.FEW + 30])
def test_executors_that_close(n):
    x = np.arange(1.0 * n)
    calls = lambda p: (pp.count_if(p, x, lambda v: v > 3), pp.max_element(p, x), pp.find(p, x, 7))
    for again in range(2):
        where = pp.threads(2)
        for _ in range(2):
            assert calls(pp.par.on(where)) == (n - 4, n - 1, 7)
        where.close()
        with pytest.raises(pp.BackendUnavailableError, match="closed"):
            pp.count_if(pp.par.on(where), x, lambda v: v > 3)
        assert calls(pp.par.on(pp.threads(2))) == (n - 4, n - 1, 7)
        assert calls(pp.par) == (n - 4, n - 1, 7)
        if not again:  # the default one is opened anew
            pp.threads().close()
            assert calls(pp.par) == (n - 4, n - 1, 7)


def test_the_policy_of_a_block_and_none():
    x = np.arange(30.0)
    for _ in range(3):
        assert pp.copy_if(None, x, lambda v: v > 27).tolist() == [28, 29]
        with pp.using(pp.seq):
            assert pp.copy_if(None, x, lambda v: v > 27).tolist() == [28, 29]
        assert pp.copy_if(pp.par.task, x, lambda v: v > 27).result().tolist() == [28, 29]
        assert pp.plan(pp.copy_if, pp.par, x, lambda v: v > 27).run().tolist() == [28, 29]
        checked = pp.par.with_(check=True)
        with pytest.raises(pp.BoundsError):
            pp.count_if(checked, x, lambda v: TABLE[int(v)] > 3)
        with pytest.raises(pp.PlacementError, match="policy"):
            pp.copy_if(x, pp.par, lambda v: v > 27)


@pytest.mark.extra
def test_many_threads_at_once():
    start = threading.Barrier(6)

    def work(seed):
        start.wait()
        for n in (100, 50, 6000, 3, 5000):
            for name in ("copy_if", "scan", "transform_scan", "sort", "bincount", "find_if", "gather"):
                check(name, pp.par, *given(n, seed), seed + 0.5)
        return True

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))


def test_forked_processes(python):
    out = python("""
        import os, numpy as np, portapar as pp
        x = np.arange(50.0)
        def all_of_them():
            return (pp.copy_if(pp.par, x, lambda v: v > 40).sum() + pp.inclusive_scan(pp.par, x)[-1]
                    + pp.sort(pp.par, -x)[0] + pp.count_if(pp.par, x, lambda v: v < 3))
        print(all_of_them(), flush=True)
        child = os.fork()
        if child == 0:
            print(all_of_them(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print(all_of_them())
    """)
    assert len(out.split()) == 3 and len(set(out.split())) == 1


@pytest.mark.parametrize("n", [5, 5000])
def test_a_start_that_is_missing_is_told_after_calls_that_had_one(n):
    """What is remembered knows the types of what functions capture, and not that there was a start."""
    x, op = np.arange(n) % 7, lambda a, b: a if a > b else b
    offsets = np.array([0, 2, n])
    calls = [
        (lambda **more: pp.exclusive_scan(pp.par, x, op, **more)),
        (lambda **more: pp.segmented_scan(pp.par, offsets, x, op=op, inclusive=False, **more)),
    ]
    for call in calls:
        for _ in range(2):
            call(init=0)
            with pytest.raises(pp.PlacementError, match="identity"):
                call()


def test_lazy_inputs_are_known_from_the_arrays_that_they_are_computed_of():
    """Steps that ran several times on the one, then on the other."""
    x = np.random.default_rng(3).random(60)
    calls = [
        (lambda z: pp.max_element(pp.seq, z), lambda z: z.argmax()),
        (lambda z: pp.mismatch(pp.seq, x, z), lambda z: [*(x == z), False].index(False)),
        (lambda z: pp.find_if(pp.seq, z, lambda v: v > 0.9), lambda z: np.flatnonzero(z > 0.9)[0]),
        (lambda z: pp.copy_if(pp.seq, x, lambda v: v > 0.9, stencil=z).tolist(), lambda z: x[z > 0.9].tolist()),
        (lambda z: pp.transform_scan(pp.seq, z, transform=abs, op=pp.maximum)[-9], lambda z: z[:-8].max()),
        (lambda z: pp.bincount(pp.seq, np.arange(60) % 7, weights=z)[0], lambda z: sum(z[::7])),
    ]
    for call, oracle in calls:
        for z, right in ((x, x), (pp.lazy.reverse(x), x[::-1]), (x[::-1].copy(), x[::-1]), (x, x)) * 2:
            for _ in range(5):
                assert call(z) == pytest.approx(oracle(right), rel=1e-14)
