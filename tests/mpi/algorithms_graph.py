"""Run by every rank under mpirun (see test_mpi.py): graph kernels over ranks find what one executor finds."""

import functools

import numpy as np
import pytest
from mpi4py import MPI

import portapar as pp

WORLD = pp.mpi()
graph, RANKS, ONE = pp.graph, pp.par.on(WORLD), pp.par.on(pp.simd())


@pytest.mark.parametrize("directed", [False, True])
def test_graph_kernels(directed):
    path = np.arange(2000, dtype=np.int32)  # whose frontiers no messages are sent for
    for g in (
        graph.kronecker(ONE, 13, weights=True, directed=directed),
        graph.Graph.from_edges(ONE, path, path + 1, path % 7 * 0.1, directed=directed),
        graph.Graph.from_edges(ONE, path[:1], path[1:2], path[1:2], n=5, directed=directed),
        graph.Graph(np.zeros(1, np.int64), np.zeros(0, np.int32), directed=directed),
    ):
        for found, wanted in zip(*(
            [graph.connected_components(policy, g), graph.pagerank(policy, g, dangling="spread"),
             *(graph.sssp(policy, g, s) for s in range(min(g.num_vertices, 2)))] for policy in (RANKS, ONE)
        ), strict=True):  # fmt: skip
            np.testing.assert_array_equal(found, wanted)
        for s in range(min(g.num_vertices, 2)):
            parent = graph.bfs(RANKS, g, s)
            graph.verify_bfs(g, s, parent)
            same = MPI.COMM_WORLD.allgather(parent.tobytes())
            assert len(set(same)) == 1


@pytest.mark.parametrize("directed", [False, True])
def test_partitioned_graphs(directed):
    """No rank has all edges; the graph and what is found of it are those of one executor."""
    a, b, w = np.random.default_rng(5).integers(0, 300, (3, 900), np.int32)
    path = np.arange(100, dtype=np.int32)
    edges = (101, path, path + 1, path % 7), (300, a, b, w), (70, a[:0], b[:0], w[:0]), (0, a[:0], b[:0], w[:0])
    makes = [
        lambda policy: graph.kronecker(policy, 13, weights=True, directed=directed),
        *(functools.partial(graph.Graph.from_edges, sources=u, targets=v, weights=w, n=n, directed=directed)
          for n, u, v, w in edges),
    ]  # fmt: skip
    for make in makes:
        g, parted = make(ONE), make(RANKS)
        assert repr(g) == repr(parted) and len(parted.targets.parts) == 1
        for there in (parted, g.place(WORLD)):
            for x, y in ((there, g), (there.reverse, g.reverse)):
                for name in ("offsets", "targets", "weights"):
                    np.testing.assert_array_equal(pp.asnumpy(getattr(x, name)), getattr(y, name))
        sources = range(min(g.num_vertices, 2))
        found, wanted = ([
            graph.connected_components(policy, x), graph.pagerank(policy, x, dangling="spread"),
            *(graph.sssp(policy, x, s) for s in sources),
        ] for policy, x in ((pp.par, parted), (ONE, g)))  # fmt: skip
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.cuts == parted.cuts
            np.testing.assert_array_equal(pp.asnumpy(ours), theirs)
        for s in sources:
            graph.verify_bfs(g, s, graph.bfs(RANKS, parted, s))


def test_what_is_refused():
    rank = MPI.COMM_WORLD.rank
    with pytest.raises(pp.CommunicationError, match="ranks have different graphs"):
        graph.connected_components(RANKS, graph.grid(ONE, 3, 3 + rank))
    with pytest.raises(pp.CommunicationError, match="the ranks differ.*Graph.place of int64"):
        graph.grid(ONE, 3, 3 + rank).place(WORLD)
    for g in (graph.grid(ONE, 3, 3), graph.grid(RANKS, 3, 3)):
        with pytest.raises(pp.PlacementError, match="graph.mis: runs on one device"):
            graph.mis(RANKS, g)
    with pytest.raises(pp.CommunicationError, match="ranks differ"):
        graph.bfs(RANKS, g, rank)
    if rank == 0:  # what one rank refuses is an error on the others
        with pytest.raises(pp.ArgumentError, match="source is 9"):
            graph.bfs(RANKS, g, 9)
    else:
        with pytest.raises(pp.CommunicationError, match="rank 0 of . failed, ArgumentError: .*source is 9"):
            graph.bfs(RANKS, g, 8)
    assert pp.reduce(RANKS, np.ones(9)) == 9
    with pytest.raises(pp.ArgumentError, match="must not be negative"):
        graph.sssp(RANKS, graph.Graph(np.array([0, 1, 1]), np.array([1]), np.array([-1])), 0)


def halve(x, items, tail, seen):
    pp.atomic.add(seen, 0, 1)
    if x > 1:
        pp.push(items, tail, x // 2)
        pp.push(items, tail, x - x // 2)


def test_frontiers():
    """Each rank works on its share, and all see the items of all."""
    where = pp.mpi()
    work, levels = pp.Worklist(where, 1000), 0
    for count in (0, 1, 2, 7):
        seen = np.zeros(1, np.int64)
        work.add(np.full(count, 100))
        while work.swap():
            work.for_each(None, halve, seen)
            levels += 1
        assert seen[0] == count * 199 and work.frontier.size == 0
    assert levels == 3 * 8
    x = np.arange(300) % 7
    items, tail = np.full(60, -1), np.zeros(1, np.int64)
    pp.for_each(pp.par.on(where), 300, kept, where.asarray(x), items, tail)
    assert np.array_equal(np.sort(items[: tail[0]]), np.flatnonzero(x == 3)) and (items[tail[0] :] == -1).all()
    if where.group.size > 1:
        with pytest.raises(pp.PlacementError, match="pushes to 'items', which lies on several parts"):
            pp.for_each(pp.par.on(where), 300, kept, where.asarray(x), where.asarray(items), tail)
    work.add(np.full(900, 9))
    assert work.swap() == 900
    with pytest.raises(pp.DeviceMemoryError, match="1800 items"):
        work.for_each(None, halve, seen)


def kept(i, x, items, tail):
    if x[i] == 3:
        pp.push(items, tail, i)
