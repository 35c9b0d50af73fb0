"""Worklists: frontiers that grow while they are worked on, on every device."""

import numpy as np
import pytest
from conftest import executor
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

import portapar as pp


def visit(v, items, tail, starts, targets, depth, level):
    for edge in range(starts[v], starts[v + 1]):
        w = targets[edge]
        if pp.atomic.cas(depth, w, -1, level) == -1:
            pp.push(items, tail, w)


def bfs(policy, starts, targets, source):
    """The number of edges from a vertex to every other, -1 where there is no way."""
    depth = np.full(len(starts) - 1, -1)
    depth[source] = level = 0
    work = pp.Worklist(policy, len(depth))
    work.add(source)
    while work.swap():
        level += 1
        work.for_each(policy, visit, starts, targets, depth, level)
    return depth


def graph(n, edges, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, n, (2, edges))
    return csr_array((np.ones(2 * edges), (np.concatenate([a, b]), np.concatenate([b, a]))), (n, n))


def expected_depth(g, source):
    order, before = breadth_first_order(g, source)
    depth = np.full(g.shape[0], -1)
    depth[source] = 0
    for v in order[1:]:
        depth[v] = depth[before[v]] + 1
    return depth


@pytest.mark.parametrize("n, edges", [(1, 0), (2, 1), (50, 40), (3000, 9000)])
def test_breadth_first_search(device, n, edges):
    g = graph(n, edges, n)
    starts, targets = g.indptr.astype(np.int64), g.indices.astype(np.int64)
    got = bfs(pp.par.on(device), starts, targets, 0)
    np.testing.assert_array_equal(got, expected_depth(g, 0))
    here = [device.asarray(x) for x in (starts, targets)]
    np.testing.assert_array_equal(bfs(pp.par.on(device), *here, n // 2), expected_depth(g, n // 2))


def test_schedules_and_a_long_path():
    n = 300
    g = csr_array((np.ones(n - 1), (np.arange(n - 1), np.arange(1, n))), (n, n))
    g = csr_array(g + g.T)
    for how in (pp.seq, pp.par.with_(schedule="dynamic"), pp.par.on(pp.threads(2)).with_(schedule="guided")):
        np.testing.assert_array_equal(bfs(how, g.indptr, g.indices, 0), np.arange(n))


def halve(x, items, tail, seen):
    pp.atomic.add(seen, 0, 1)
    if x > 1:
        pp.push(items, tail, x // 2)
        pp.push(items, tail, x - x // 2)


def test_items_that_make_items(renderer):
    work = pp.Worklist(renderer.executor, 1000, np.int32)
    work.add([500, 500])
    assert len(work) == 0 and work.swap() == 2 and len(work) == 2 and work.frontier.tolist() == [500, 500]
    seen, levels = np.zeros(1, np.int64), 0
    while len(work):
        work.for_each(renderer.with_(schedule="dynamic"), halve, seen)
        count = work.swap()
        levels += 1
        if count == 1000:
            assert set(work.frontier.tolist()) <= {1, 2} and work.frontier.dtype == np.int32
    assert seen[0] == 2 * 999 and levels == 10
    work.add(np.arange(5))
    work.add(7)
    assert work.swap() == 6 and work.frontier.tolist() == [0, 1, 2, 3, 4, 7]
    assert work.swap() == 0 and work.frontier.tolist() == []
    assert work.for_each(None, halve, seen) is None and work.swap() == 0


def test_more_than_its_capacity(renderer):
    work = pp.Worklist(renderer, 5)
    with pytest.raises(pp.DeviceMemoryError, match="6 items.*capacity is 5"):
        work.add(range(6))
    work.add([8, 8, 8])
    with pytest.raises(pp.DeviceMemoryError, match="6 items.*capacity is 5.*Nothing"):
        work.add([1, 2, 3])
    assert work.swap() == 3
    seen = np.zeros(1, np.int64)
    with pytest.raises(pp.DeviceMemoryError, match="6 items.*capacity is 5.*larger capacity"):
        work.for_each(renderer, halve, seen)
    assert seen[0] == 3 and work.frontier.tolist() == [8, 8, 8]  # the present frontier is as it was
    assert work.swap() == 0
    pp.for_each(renderer, 7, lambda i, items, tail: pp.push(items, tail, i), work.items, work.tail)
    with pytest.raises(pp.DeviceMemoryError, match="7 items"):
        work.swap()


def test_tasks_and_plans():
    work = pp.Worklist(pp.threads(2), 100)
    work.add(64)
    work.swap()
    seen = np.zeros(1, np.int64)
    assert work.for_each(pp.par.task, halve, seen).result() is None
    assert work.swap() == 2 and seen[0] == 1
    step = pp.plan(work.for_each, pp.par, halve, seen)
    assert "Worklist.for_each over 100 rows" in str(step) and seen[0] == 1
    step.run()
    assert work.swap() == 4 and seen[0] == 3
    assert repr(work) == "pp.Worklist(4 of at most 100 items, int64, on=pp.threads(2))"


def test_floats_and_captured_lists(renderer):
    work = pp.Worklist(renderer, 10, np.float32)
    limit = np.array([3.5])
    pp.for_each(renderer, 8, lambda i, a: above(i, a, work.items, work.tail), limit)
    assert work.swap() == 4 and sorted(work.frontier.tolist()) == [4.0, 5.0, 6.0, 7.0]


def above(i, limit, items, tail):
    if i > limit[0]:
        pp.push(items, tail, i)


def test_push_outside_of_kernels():
    items, tail = np.zeros(2), np.zeros(1, np.int64)
    for value in (3.0, 4.0, 5.0):
        pp.push(items, tail, value)
    assert items.tolist() == [3, 4] and tail[0] == 3


def widen(v, items, tail, starts, targets, before, depth, level):
    for edge in range(starts[v], starts[v + 1]):
        w = targets[edge]
        if before[w] > level:
            pp.atomic.min(depth, w, level)
            pp.push(items, tail, w)


def levels(policy, starts, targets, source):
    """As `bfs`, by bodies that parts can run which share no memory: vertices may be pushed several times."""
    n = len(starts) - 1
    depth = np.full(n, n)
    depth[source] = level = 0
    work = pp.Worklist(policy, len(targets) + 1)
    work.add(source)
    while work.swap():
        level += 1
        work.for_each(policy, widen, starts, targets, depth.copy(), depth, level)
        once = np.unique(work.items[: work.tail[0]])
        work.tail[0] = 0
        work.add(once)
    return np.where(depth < n, depth, -1)


@pytest.mark.parametrize("name", ["hybrid:threads:2+opencl:0", "hybrid:opencl:0+simd", "hybrid:threads:2+simd"])
def test_frontiers_of_several_parts(name):
    where = executor(name)
    for n, edges in ((1, 0), (2, 1), (300, 500)):
        g = graph(n, edges, n)
        got = levels(pp.par.on(where), g.indptr.astype(np.int64), g.indices.astype(np.int64), n // 2)
        np.testing.assert_array_equal(got, expected_depth(g, n // 2))
    work, seen = pp.Worklist(where, 1000, np.int32), np.zeros(1, np.int64)
    work.add([500, 500])
    while work.swap():
        work.for_each(None, halve, seen)
    assert seen[0] == 2 * 999
    work.add(np.full(600, 2))
    assert work.swap() == 600
    with pytest.raises(pp.DeviceMemoryError, match="1200 items.*capacity is 1000"):
        work.for_each(None, halve, seen)
    assert len(work) == 600 and work.swap() == 0


def counted_twice(i, items, tail):
    pp.push(items, tail, i)
    if tail[0] > 3:
        pp.push(items, tail, i)


def two_lists(i, items, tail, others, ends):
    pp.push(items, tail, i)
    pp.push(others, ends, -i)


def kept(x, i, items, tail):
    if x[i] > 0.5:
        pp.push(items, tail, i)


def test_lists_of_kernels_on_several_parts():
    """What there is stays in front; what parts without common memory cannot do is refused, and nothing is written."""
    where = executor("hybrid:threads:2+opencl:0")
    how, x = pp.par.on(where), np.random.default_rng(3).random(5000)
    items, tail = np.full(4000, -1), np.array([2])
    for given in (x, where.asarray(x)):
        tail[0] = 2
        pp.for_each(how, len(x), lambda i, x, items, tail: kept(x, i, items, tail), given, items, tail)
        assert tail[0] == 2 + (x > 0.5).sum() and (items[:2] == -1).all()
        assert np.array_equal(np.sort(items[2 : tail[0]]), np.flatnonzero(x > 0.5)) and (items[tail[0] :] == -1).all()
    y = np.zeros(10, int)
    for kernel, more in ((counted_twice, ()), (two_lists, (y, np.zeros(1, int)))):
        tail[0] = 0
        with pytest.raises(pp.PlacementError, match="pushes to"):
            pp.for_each(how, 5000, kernel, items, tail, *more)
        assert tail[0] == 0 and not y.any()


def test_what_is_refused():
    several = executor("hybrid:threads:2+opencl:0")
    with pytest.raises(pp.PlacementError, match="what pp.atomic gives back"):
        bfs(pp.par.on(several), np.arange(0, 40002, 2), np.arange(40000) % 20001, 0)
    work = pp.Worklist(pp.par, 10)
    work.add([1, 2])
    work.swap()
    with pytest.raises(pp.KernelError, match=r"'halve' .*takes 4 arguments \(x, items, tail, seen\).*gives 3"):
        work.for_each(pp.par, halve)
    for wrong in (-1, 2.5, True):
        with pytest.raises(pp.PlacementError, match="capacity"):
            pp.Worklist(pp.par, wrong)
    with pytest.raises(pp.PlacementError, match="float16"):
        pp.Worklist(pp.par, 10, np.float16)
    for values in (1.5, [[1]], "a"):
        with pytest.raises(pp.PlacementError, match=r"Worklist\.add"):
            work.add(values)
    assert work.frontier.tolist() == [1, 2] and work.swap() == 0
