"""Graph algorithms besides the six kernels: every one on every kind of graph, against its definition or SciPy."""

import numpy as np
import pytest
from conftest import executor
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

import portapar as pp

graph, Graph = pp.graph, pp.graph.Graph


def kinds():
    """Name → vertices, sources, targets."""
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 300, (2, 900))
    steps = np.arange(3000)
    return {
        "nothing": (0, [], []),
        "one vertex": (1, [], []),
        "no edges": (70, [], []),
        "star": (200, [7] * 200, range(200)),
        "path": (3001, steps, steps + 1),
        "circle": (3000, steps, (steps + 1) % 3000),
        "complete": (90, np.repeat(range(90), 90), np.tile(range(90), 90)),
        "bipartite": (60, np.repeat(range(30), 30), np.tile(range(30, 60), 30)),
        "apart": (400, a, b),
        "loops and twice": (300, [*a, *a[:500], *range(300)], [*b, *b[:500], *range(300)]),
        "pairs": (90, range(0, 90, 2), range(1, 90, 2)),
    }


def graphs(policy, directed=False):
    """Name → a graph with weights, of which some are equal, and some huge."""
    for name, (n, u, v) in kinds().items():
        u, v = np.asarray(u, np.int32), np.asarray(v, np.int32)
        w = np.random.default_rng(len(u)).integers(-3, 30, len(u)).astype(np.int32)
        w[::50] = 2**31 - 1
        yield name, Graph.from_edges(policy, u, v, w, n=n, directed=directed)
    yield "kronecker", graph.kronecker(policy, 9, weights=True, directed=directed)
    if not directed:
        yield "grid", graph.grid(policy, 30, 41, weights=True)
        rows = Graph(np.array([0, 3, 6, 10, 10]), np.array([2, 1, 2, 2, 0, 2, 1, 0, 1, 0]), directed=False)
        yield "rows out of order with equal edges", rows.place(policy.executor)


def edges(g):
    offsets, v = pp.asnumpy(g.offsets), pp.asnumpy(g.targets).astype(np.int64)
    return np.repeat(np.arange(g.num_vertices), np.diff(offsets)), v


def rows_of(g):
    offsets, v = pp.asnumpy(g.offsets).tolist(), pp.asnumpy(g.targets).tolist()
    return [v[offsets[u] : offsets[u + 1]] for u in range(g.num_vertices)]


@pytest.fixture(params=["threads:2", pytest.param("opencl:0", marks=pytest.mark.extra)])
def everywhere(request):
    """`pp.par` on threads, and on a device with other renderers' code among what is extra."""
    return pp.par.on(executor(request.param))


# what each must be, by its definition: (policy, graph) -------------------------------------------------


def independent(policy, g):
    u, v = edges(g)
    inside = pp.asnumpy(graph.mis(policy, g, seed=3))
    other = u != v
    assert inside.dtype == bool and not (inside[u] & inside[v] & other).any()
    near = np.zeros(g.num_vertices, bool)
    near[u[inside[v]]] = True
    assert (near | inside).all()


def matched(policy, g):
    u, v = edges(g)
    mate = pp.asnumpy(graph.maximal_matching(policy, g, seed=3))
    alone, n = mate < 0, g.num_vertices
    some = np.flatnonzero(~alone)
    assert (mate >= -1).all() and (mate[mate[some]] == some).all() and (mate[some] != some).all()
    assert np.isin(some * n + mate[some], u * n + v).all()
    assert not (alone[u] & alone[v] & (u != v)).any()


def spanning(policy, g):
    e = pp.asnumpy(graph.minimum_spanning_forest(policy, g))
    u, v = edges(g)
    n = g.num_vertices
    w = np.ones(len(u), np.int64) if g.weights is None else pp.asnumpy(g.weights).astype(np.int64)
    shifted = w + 10  # SciPy takes no weight of 0
    a = csr_array((np.ones(len(u)), (u, v)), (n, n))
    parts = connected_components(a, directed=False)[0] if n else 0
    found = csr_array((np.ones(len(e)), (u[e], v[e])), (n, n))
    assert len(e) == n - parts and (not n or connected_components(found, directed=False)[0] == parts)
    heavy = np.zeros((n, n))
    heavy[u, v] = shifted  # of equal edges any, as they have one weight
    assert shifted[e].sum() == minimum_spanning_tree(csr_array(heavy)).sum() if n else len(e) == 0


def cores(policy, g):
    rows, got = rows_of(g), pp.asnumpy(graph.k_core(policy, g))
    degree, wanted, level = [len(row) for row in rows], np.zeros(len(rows), int), 0
    left = set(range(len(rows)))
    while left:
        level = max(level, min(degree[v] for v in left))
        for v in [v for v in left if degree[v] <= level]:
            left.discard(v)
            wanted[v] = level
            for u in rows[v]:
                degree[u] -= u in left
    np.testing.assert_array_equal(got, wanted)


def coloured(policy, g):
    u, v = edges(g)
    color = pp.asnumpy(graph.coloring(policy, g, seed=3))
    assert (color >= 0).all() and (color <= np.diff(pp.asnumpy(g.offsets))).all()
    assert (color[u] != color[v])[u != v].all()


UNDIRECTED = (independent, matched, spanning, cores, coloured)


def test_every_algorithm_on_every_kind(everywhere):
    for name, g in graphs(everywhere):
        for check in UNDIRECTED:
            try:
                check(everywhere, g)
            except Exception as error:
                error.add_note(f"{check.__name__} of {name}")
                raise


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.lists(st.tuples(*[st.integers(0, 10**6)] * 2), max_size=80))
def test_any_graph(n, ends):
    policy = pp.par.on(pp.threads(2))
    u, v = np.array(ends, np.int64).reshape(-1, 2).T.astype(np.int32) % n
    g = Graph.from_edges(policy, u, v, (u * v % 5).astype(np.int32), n=n)
    for check in UNDIRECTED:
        check(policy, g)


def test_the_same_in_every_run_and_everywhere():
    """They depend on no schedule: one thread in order finds what several find."""
    g = graph.kronecker(pp.par, 11, weights=True)
    calls = (graph.mis, graph.maximal_matching, graph.minimum_spanning_forest, graph.k_core, graph.coloring)
    for call in calls:
        wanted = call(pp.seq, g).tobytes()
        for threads in (2, 3, 2, 2):
            assert call(pp.par.on(pp.threads(threads)), g).tobytes() == wanted, call.__name__


def test_they_are_what_loops_in_the_order_of_priorities_make():
    from portapar.algorithms.graph.priorities import of_edge, of_vertex

    g = graph.kronecker(pp.par, 8)
    rows, seed = rows_of(g), np.uint32(7)
    with np.errstate(over="ignore"):
        first = {v: int(of_vertex(v, seed)) for v in range(g.num_vertices)}
        order = {(u, v): int(of_edge(u, v, seed)) for u, row in enumerate(rows) for v in row if u < v}
    assert len(set(first.values())) == len(first) and len(set(order.values())) == len(order)
    inside = np.zeros(g.num_vertices, bool)
    for v in sorted(first, key=first.get, reverse=True):
        inside[v] = not inside[rows[v]].any()
    np.testing.assert_array_equal(graph.mis(pp.par, g, seed=7), inside)
    mate = np.full(g.num_vertices, -1)
    for u, v in sorted(order, key=order.get, reverse=True):
        if mate[u] < 0 and mate[v] < 0:
            mate[u], mate[v] = v, u
    np.testing.assert_array_equal(graph.maximal_matching(pp.par, g, seed=7), mate)


@pytest.mark.parametrize("dtype", ["i1", "u8", "f4"])
def test_forests_of_every_kind_of_weight(dtype):
    u, v = np.random.default_rng(1).integers(0, 80, (2, 400))
    w = (u * v % 90).astype(dtype)
    g = Graph.from_edges(pp.par, u, v, w, n=80)
    spanning(pp.par, g)


DIRECTED = graph.uniform(pp.par, 4, directed=True)


@pytest.mark.parametrize("name", ["mis", "maximal_matching", "minimum_spanning_forest", "k_core", "coloring"])
def test_directed_graphs_are_refused(name):
    with pytest.raises(pp.ArgumentError, match=f"graph.{name}: the graph is directed"):
        getattr(graph, name)(pp.par, DIRECTED)
