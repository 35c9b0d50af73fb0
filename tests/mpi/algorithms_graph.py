"""Run by every rank under mpirun (see test_mpi.py): graph kernels over ranks find what one executor finds."""

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


def test_what_is_refused():
    rank = MPI.COMM_WORLD.rank
    with pytest.raises(pp.CommunicationError, match="ranks have different graphs"):
        graph.connected_components(RANKS, graph.grid(ONE, 3, 3 + rank))
    with pytest.raises(pp.PlacementError, match="graph.mis does not yet run on several parts"):
        graph.mis(RANKS, graph.grid(ONE, 3, 3))
    with pytest.raises(pp.ArgumentError, match="must not be negative"):
        graph.sssp(RANKS, graph.Graph(np.array([0, 1, 1]), np.array([1]), np.array([-1])), 0)
