"""for_each_segment on every executor: every element once, with its segment."""

import numpy as np
import pytest
from test_segmented import BAD_OFFSETS, LENGTHS, csr

import portapar as pp


def visit(s, i, x, sums, seen):
    pp.atomic.add(sums, s, x[i])
    seen[i] += s + 1


def relax(s, i, targets, largest):
    pp.atomic.max(largest, s, targets[i])


@pytest.mark.parametrize("name", LENGTHS)
def test_every_element_once(policy, name):
    for dtype, begin in (("i8", 0), ("i4", 5), ("u8", 0)):
        offsets = csr(LENGTHS[name], dtype, begin)
        x = np.random.default_rng(1).integers(-9, 9, offsets[-1] + begin)
        sums, seen = np.zeros(len(offsets) - 1, np.int64), np.zeros(len(x), np.int64)
        assert pp.for_each_segment(policy, offsets, visit, x, sums, seen) is None
        where = np.repeat(np.arange(1, len(offsets)), LENGTHS[name])
        np.testing.assert_array_equal(seen[begin : offsets[-1]], where)
        assert not seen[:begin].any() and not seen[offsets[-1] :].any()
        expected = np.bincount(where - 1, x[begin : offsets[-1]], len(sums)) if len(sums) else []
        np.testing.assert_array_equal(sums, expected)


def test_device_arrays_lazy_ones_and_captures(where):
    how = pp.par.on(where)
    offsets = csr(LENGTHS["rows"])
    targets = np.random.default_rng(2).integers(0, 1000, offsets[-1])
    expected = [targets[lo:hi].max(initial=-1) for lo, hi in zip(offsets[:-1], offsets[1:], strict=True)]
    largest = where.asarray(np.full(1000, -1))
    pp.for_each_segment(how, where.asarray(offsets), relax, where.asarray(targets), largest)
    np.testing.assert_array_equal(pp.asnumpy(largest), expected)
    here = where.asarray(np.full(1000, -1))
    pp.for_each_segment(how, offsets, relax, pp.lazy.transform(where.asarray(targets), lambda t: t + 1), here)
    np.testing.assert_array_equal(pp.asnumpy(here), np.array(expected) + (np.array(expected) >= 0))
    found, shift = np.zeros(len(targets), np.int64), 7

    def mark(s, i):
        found[i] = s * shift

    pp.for_each_segment(how, offsets, mark)
    np.testing.assert_array_equal(found, 7 * np.repeat(np.arange(1000), np.diff(offsets)))


def test_a_hundred_runs():
    lengths = np.random.default_rng(5).zipf(1.5, 1000).clip(0, 100_000)
    offsets = csr(lengths)
    x = np.random.default_rng(6).integers(-9, 9, offsets[-1])
    expected = np.repeat(np.arange(1, len(offsets)), lengths)
    for how in (pp.par, pp.par.on(pp.threads(5)).with_(schedule="guided")):
        for _ in range(50):
            sums, seen = np.zeros(len(lengths), np.int64), np.zeros(len(x), np.int64)
            pp.for_each_segment(how, offsets, visit, x, sums, seen)
            np.testing.assert_array_equal(seen, expected)


def test_tasks():
    offsets, x = csr([3, 0, 2]), np.arange(5)
    sums, seen = np.zeros(3, np.int64), np.zeros(5, np.int64)
    assert pp.for_each_segment(pp.par.task, offsets, visit, x, sums, seen).result() is None
    np.testing.assert_array_equal(sums, [3, 0, 7])


@pytest.mark.parametrize("match", [match for match in BAD_OFFSETS if "must lie" not in match and "101" not in match])
def test_bad_offsets(renderer, match):
    x, sums, seen = np.arange(100), np.zeros(100, np.int64), np.zeros(100, np.int64)
    with pytest.raises(pp.PlacementError, match=match):
        pp.for_each_segment(renderer, BAD_OFFSETS[match], visit, x, sums, seen)
    assert not sums.any() and not seen.any()


def test_what_is_refused():
    offsets, x = csr([3, 0, 2]), np.arange(5)
    sums, seen = np.zeros(3, np.int64), np.zeros(5, np.int64)
    with pytest.raises(pp.PlacementError, match="offsets go from -1 to 9"):
        pp.for_each_segment(pp.par, np.array([-1, 9]), visit, x, sums, seen)
    with pytest.raises(pp.KernelError, match="takes 5 arguments .* a segment, an element, and 2 more"):
        pp.for_each_segment(pp.par, offsets, visit, x, sums)
    seen.flags.writeable = False
    with pytest.raises(pp.PlacementError, match="seen', which is read-only"):
        pp.for_each_segment(pp.par, offsets, visit, x, sums, seen)
    with pytest.raises(pp.PlacementError, match="seen', which is read-only"):
        pp.for_each_segment(pp.par.on(pp.executor("hybrid:threads:2+simd")), offsets, visit, x, sums, seen)
    assert not sums.any()
    packed = np.zeros(5, [("a", "i1"), ("sums", "i8"), ("offsets", "i8")])
    packed["offsets"] = [0, 2, 2, 5, 5]
    for name in ("simd", "hybrid:threads:2+simd"):
        policy = pp.par.on(pp.executor(name))
        with pytest.raises(pp.PlacementError, match=r"_segment: argument 'sums' is not aligned.*sums\.copy\(\)"):
            pp.for_each_segment(policy, offsets, visit, x, packed["sums"], np.zeros(5, np.int64))
        with pytest.raises(pp.PlacementError, match=r"for_each_segment: kernel 'visit' .*'seen', which is read-only"):
            pp.for_each_segment(policy, offsets, visit, x, sums, seen)
        with pytest.raises(pp.PlacementError, match=r"offsets is not aligned.*offsets\.copy\(\)"):
            pp.segmented_reduce(policy, packed["offsets"], x)
