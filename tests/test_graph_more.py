"""Graph algorithms besides the six kernels: every one on every kind of graph, against its definition or SciPy."""

import numpy as np
import pytest
from conftest import executor
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra, minimum_spanning_tree

import portapar as pp

graph, Graph = pp.graph, pp.graph.Graph


def kinds():
    """Name → vertices, sources, targets."""
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 300, (2, 900))
    steps = np.arange(250)
    return {
        "nothing": (0, [], []),
        "one vertex": (1, [], []),
        "no edges": (70, [], []),
        "star": (200, [7] * 200, range(200)),
        "path": (251, steps, steps + 1),
        "circle": (250, steps, (steps + 1) % 250),
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
    yield "kronecker", graph.kronecker(policy, 8, weights=True, directed=directed)
    if not directed:
        yield "grid", graph.grid(policy, 17, 31, weights=True)
        rows = Graph(np.array([0, 3, 6, 10, 10]), np.array([2, 1, 2, 2, 0, 2, 1, 0, 1, 0]), directed=False)
        yield "rows out of order with equal edges", rows.place(policy.executor)


def edges(g):
    offsets, v = pp.asnumpy(g.offsets), pp.asnumpy(g.targets).astype(np.int64)
    return np.repeat(np.arange(g.num_vertices), np.diff(offsets)), v


def rows_of(g):
    offsets, v = pp.asnumpy(g.offsets).tolist(), pp.asnumpy(g.targets).tolist()
    return [v[offsets[u] : offsets[u + 1]] for u in range(g.num_vertices)]


@pytest.fixture(params=["threads:2", pytest.param("opencl:0", marks=pytest.mark.rare)])
def everywhere(request):
    """`pp.par` on threads, and on OpenCL, where all of it is rare: some minutes of compiling."""
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


def simple(g):
    """The matrix of a graph without loops and equal edges."""
    u, v = edges(g)
    a = csr_array((np.ones(np.count_nonzero(u != v), np.int64), (u[u != v], v[u != v])), (g.num_vertices,) * 2)
    a.data[:] = 1
    return a


def clustered(policy, g):
    a = simple(g)
    found, degree = (a @ a).multiply(a).sum(0) // 2, a.sum(0)
    np.testing.assert_array_equal(pp.asnumpy(graph.triangle_count(policy, g, each=True)), found)
    with np.errstate(invalid="ignore"):
        wanted = np.where(degree > 1, 2 * found / (degree * (degree - 1)), 0)
    np.testing.assert_array_equal(pp.asnumpy(graph.clustering_coefficient(policy, g)), wanted)


def communities(policy, g):
    rows, label = [[u for u in row if u != v] for v, row in enumerate(rows_of(g))], None
    label = pp.asnumpy(graph.label_propagation(policy, g, seed=3))
    for v, row in enumerate(rows):
        counts = np.bincount(label[row], minlength=1)
        assert label[v] == v if not row else counts[label[v]] == counts.max(), v
        assert label[v] <= v and label[label[v]] == label[v]


def extent(policy, g):
    far = dijkstra(simple(g), unweighted=True) if g.num_vertices else np.zeros((1, 1))
    wanted = far[far < np.inf].max()
    assert graph.diameter(policy, g) == (wanted, wanted)
    for searches in (0, 1, 2):
        lower, upper = graph.diameter(policy, g, searches=searches)
        assert lower <= wanted <= upper


UNDIRECTED = (independent, matched, spanning, cores, coloured, clustered, communities, extent)


def strong(policy, g):
    label, n = pp.asnumpy(graph.strongly_connected_components(policy, g)), g.num_vertices
    u, v = edges(g)
    a = csr_array((np.ones(len(u)), (u, v)), (n, n))
    wanted = connected_components(a, connection="strong")[1] if n else np.zeros(0, int)
    first = {}
    for k, c in enumerate(wanted):
        first.setdefault(c, k)
    np.testing.assert_array_equal(label, [first[c] for c in wanted])


def shared(policy, g):
    u, v = edges(g)
    sets = [set(row) for row in rows_of(g)]
    ratio = lambda a, b: len(a & b) / len(a | b) if a | b else 0.0
    some = np.random.default_rng(1).integers(0, max(g.num_vertices, 1), (2, 50 if g.num_vertices else 0))
    for pairs, wanted in (((), (u, v)), (some, some)):
        got = pp.asnumpy(graph.jaccard(policy, g, *pairs))
        np.testing.assert_array_equal(got, [ratio(sets[a], sets[b]) for a, b in zip(*wanted, strict=True)])


def walked(policy, g):
    n = g.num_vertices
    rows, starts = rows_of(g), np.arange(n)[:: max(1, n // 50)]
    walks = pp.asnumpy(graph.random_walks(policy, g, starts, 6, seed=9))
    assert walks.shape == (len(starts), 7) and (walks[:, 0] == starts).all()
    for here, there in zip(walks[:, :-1].reshape(-1).tolist(), walks[:, 1:].reshape(-1).tolist(), strict=True):
        assert there in rows[here] if here >= 0 and rows[here] else there == -1
    np.testing.assert_array_equal(walks, graph.random_walks(pp.seq, g.place(pp.simd()), starts, 6, seed=9))


def searched(policy, g):
    n = g.num_vertices
    sources = [*range(0, n, max(1, n // 70)), *[n // 2] * (n > 0)]
    found = pp.asnumpy(graph.bfs(policy, g, sources))
    assert found.shape == (len(sources), n)
    for k in {*range(0, len(sources), 9), len(sources) - 1} if sources else ():
        graph.verify_bfs(g, sources[k], found[k])


def distances(policy, g):
    if g.num_vertices > 500:
        return
    w = None if g.weights is None else pp.asnumpy(g.weights)
    if w is not None and w.min(initial=0) < 0:
        with pytest.raises(pp.ArgumentError, match=r"weights\[\d+\] is -"):
            graph.all_pairs(policy, g)
        g = Graph(g.offsets, g.targets, None, directed=g.directed)
    elif w is not None and g.num_vertices > 0:
        steps = graph.all_pairs(policy, Graph(g.offsets, g.targets, None, directed=g.directed))
        for s in range(0, g.num_vertices, 9):
            reached = pp.asnumpy(graph.bfs(policy, g, s)) >= 0
            assert ((pp.asnumpy(steps[s]) < 2**63 - 1) == reached).all()
    found = pp.asnumpy(graph.all_pairs(policy, g))
    for s in range(0, g.num_vertices, 7):
        graph.verify_sssp(g, s, found[s])


def personal(policy, g):
    n = g.num_vertices
    if n == 0 or n > 1000:
        return
    u, v = edges(g)
    degree = np.bincount(u, minlength=n)
    weights = np.random.default_rng(2).random(n)
    for restart, p in ((n // 2, np.eye(n)[n // 2]), ([0, n - 1], None), (weights, weights / weights.sum())):
        p = (np.eye(n)[0] + np.eye(n)[n - 1]) / 2 if p is None else p
        rank = graph.personalized_pagerank(policy, g, restart, tolerance=1e-13, dtype=np.float64)
        rank = pp.asnumpy(rank)
        given = np.bincount(v, (rank / np.maximum(degree, 1))[u], n) + rank[degree == 0].sum() * p
        np.testing.assert_allclose(rank, 0.15 * p + 0.85 * given, rtol=1e-9, atol=1e-12)


ANY = (strong, shared, walked, searched, distances, personal)


@pytest.mark.extra
@pytest.mark.parametrize("directed", [False, True])
def test_every_algorithm_on_every_kind(everywhere, directed):
    for name, g in graphs(everywhere, directed):
        for check in ANY if directed else (*UNDIRECTED, *ANY):
            try:
                check(everywhere, g)
            except Exception as error:
                error.add_note(f"{check.__name__} of {name}")
                raise


@pytest.mark.extra
def test_one_on_opencl():
    policy = pp.par.on(executor("opencl:0"))
    independent(policy, graph.grid(policy, 40, 50))


@pytest.mark.parametrize("directed", [True, False])
@settings(max_examples=6, deadline=None)
@given(st.integers(1, 30), st.lists(st.tuples(*[st.integers(0, 10**6)] * 2), max_size=80))
@pytest.mark.extra
def test_any_graph(directed, n, ends):
    policy = pp.par.on(pp.threads(2))
    u, v = np.array(ends, np.int64).reshape(-1, 2).T.astype(np.int32) % n
    g = Graph.from_edges(policy, u, v, (u * v % 5).astype(np.int32), n=n, directed=directed)
    for check in ANY if directed else (*UNDIRECTED, *ANY):
        check(policy, g)


@pytest.mark.extra
def test_the_same_in_every_run_and_everywhere():
    """They depend on no schedule: one thread in order finds what several find."""
    g = graph.kronecker(pp.par, 11, weights=True)
    calls = (graph.mis, graph.maximal_matching, graph.minimum_spanning_forest, graph.k_core, graph.coloring,
             graph.label_propagation, graph.clustering_coefficient, graph.diameter)  # fmt: skip
    for call in calls:
        wanted = call(pp.seq, g)
        for threads in (2, 3, 2, 2):
            np.testing.assert_array_equal(call(pp.par.on(pp.threads(threads)), g), wanted, err_msg=call.__name__)


def chains():
    """A graph whose vertices wait for long rows of others, and one in which each waits for all others."""
    steps = np.arange(3000)
    yield Graph.from_edges(pp.par, steps, steps + 1)
    u, v = np.triu_indices(300, 1)
    yield Graph.from_edges(pp.par, u, v)


@pytest.mark.extra
def test_they_are_what_a_loop_over_the_vertices_makes():
    from portapar.algorithms.graph.priorities import BLOCK, of_vertex

    rows = Graph(np.array([0, 3, 6, 10, 10]), np.array([2, 1, 2, 2, 0, 2, 1, 0, 1, 0]), directed=False)
    for g in (graph.kronecker(pp.par, 12), graph.uniform(pp.par, 13, 3), *chains(), rows):
        rows, n, seed = rows_of(g), g.num_vertices, np.uint32(7)
        with np.errstate(over="ignore"):
            place = [(int(of_vertex(v // BLOCK, seed)), v) for v in range(n)]
        order = sorted(range(n), key=place.__getitem__)
        assert len({block for block, _ in place}) == -(-n // BLOCK)
        inside = np.zeros(n, bool)
        for v in order:
            inside[v] = not inside[rows[v]].any()
        for policy in (pp.seq, pp.par.on(pp.threads(2)), pp.par.on(pp.threads(3))):
            np.testing.assert_array_equal(graph.mis(policy, g, seed=7), inside)
            matched(policy, g)


@pytest.mark.parametrize("dtype", ["f4", *(pytest.param(dtype, marks=pytest.mark.rare) for dtype in ("i1", "u8"))])
def test_forests_of_every_kind_of_weight(dtype):
    u, v = np.random.default_rng(1).integers(0, 80, (2, 400))
    w = (u * v % 90).astype(dtype)
    g = Graph.from_edges(pp.par, u, v, w, n=80)
    spanning(pp.par, g)


@pytest.mark.parametrize("name", ["mis", "maximal_matching", "minimum_spanning_forest", "k_core", "coloring",
                                  "clustering_coefficient", "label_propagation", "diameter"])  # fmt: skip
def test_directed_graphs_are_refused(name):
    g = Graph(np.array([0, 1, 1]), np.array([1]))
    with pytest.raises(pp.ArgumentError, match=f"graph.{name}: the graph is directed"):
        getattr(graph, name)(pp.par, g)
