"""Graphs: the build against NumPy, the six kernels against SciPy, on every executor of one part; what is refused."""

import copy
import functools
import gc
import pickle
import re
import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

import portapar as pp

graph, Graph = pp.graph, pp.graph.Graph
NEVER = np.iinfo(np.int64).max


def edges_of(kind):
    """Vertices, sources and targets."""
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 300, (2, 900))
    return {
        "nothing": (0, [], []),
        "one vertex": (1, [], []),
        "no edges": (70, [], []),
        "star": (200, [7] * 200, range(200)),
        "path": (500, range(499), range(1, 500)),
        "complete": (40, np.repeat(range(40), 40), np.tile(range(40), 40)),
        "bipartite": (60, np.repeat(range(30), 30), np.tile(range(30, 60), 30)),
        "apart": (400, a, b),
        "loops and twice": (300, [*a, *a[:500], *range(300)], [*b, *b[:500], *range(300)]),
    }[kind]


KINDS = ("nothing", "one vertex", "no edges", "star", "path", "complete", "bipartite", "apart", "loops and twice")


def matrix_of(n, u, v, w, directed):
    """What `Graph.from_edges` makes, as a matrix of which every edge is one more than its weight."""
    found = np.full((n, n), np.inf)
    u, v = np.asarray(u, np.int64), np.asarray(v, np.int64)
    np.minimum.at(found, (u, v), w)
    if not directed:
        np.minimum.at(found, (v, u), w)
    np.fill_diagonal(found, np.inf)
    i, j = np.nonzero(found < np.inf)
    return csr_array((found[i, j], (i, j)), (n, n))


def made(policy, kind, directed, weights=True):
    n, u, v = edges_of(kind)
    u, v = np.asarray(u, np.int32), np.asarray(v, np.int64)
    w = np.random.default_rng(len(u)).integers(1, 100, len(u)).astype(np.int32)
    g = Graph.from_edges(policy, u, v, w if weights else None, n=n, directed=directed)
    return g, matrix_of(n, u, v, w, directed)


@pytest.mark.parametrize("directed", [False, True])
def test_everything_on_every_kind(device, directed):
    policy = pp.par.on(device)
    for kind in KINDS:
        g, a = made(policy, kind, directed)
        n = a.shape[0]
        offsets, targets, weights = map(pp.asnumpy, (g.offsets, g.targets, g.weights))
        np.testing.assert_array_equal(offsets, a.indptr, err_msg=kind)
        np.testing.assert_array_equal(targets, a.indices, err_msg=kind)
        np.testing.assert_array_equal(weights, a.data, err_msg=kind)
        assert (g.num_vertices, g.num_edges) == (n, a.nnz if directed else a.nnz // 2)
        back = csr_array(a.T)
        np.testing.assert_array_equal(pp.asnumpy(g.reverse.targets), back.indices, err_msg=kind)
        np.testing.assert_array_equal(pp.asnumpy(g.reverse.weights), back.data, err_msg=kind)

        label = pp.asnumpy(pp.graph.connected_components(policy, g))
        count, wanted = connected_components(a, directed=False)
        np.testing.assert_array_equal(label, [np.flatnonzero(wanted == k)[0] for k in wanted], err_msg=kind)
        pp.graph.verify_components(g, label)
        pp.graph.verify_pagerank(g, pp.graph.pagerank(policy, g))
        if not directed:
            pp.graph.verify_triangles(g, pp.graph.triangle_count(policy, g))
        for source in {0, n // 2} if n else ():
            parent = pp.graph.bfs(policy, g, source)
            pp.graph.verify_bfs(g, source, parent)
            distance = pp.asnumpy(pp.graph.sssp(policy, g, source)).astype(float)
            distance[distance == NEVER] = np.inf
            np.testing.assert_array_equal(distance, dijkstra(a, indices=source), err_msg=kind)


def betweenness(a, sources):
    """By the definition: paths from s over v to t are those to v times those from v."""
    n = a.shape[0]
    steps = dijkstra(a, unweighted=True)
    paths = np.eye(n)
    for length in range(1, n):
        longer = paths @ (a.toarray() > 0)
        paths = np.where(steps == length, longer, paths)
    found = np.zeros(n)
    for s in sources:
        for v in range(n):
            on = (steps[s, v] + steps[v] == steps[s]) & (np.arange(n) != v) & (steps[s] < np.inf) & (v != s)
            found[v] += (paths[s, v] * paths[v, on] / paths[s, on]).sum()
    return found


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.extra
def test_betweenness(device, directed):
    policy = pp.par.on(device)
    rng = np.random.default_rng(2)
    u, v = rng.integers(0, 60, (2, 110))
    g = Graph.from_edges(policy, u, v, n=60, directed=directed)
    a = matrix_of(60, u, v, 1.0, directed)
    got = pp.graph.betweenness_centrality(policy, g, normalized=False)
    np.testing.assert_allclose(pp.asnumpy(got), betweenness(a, range(60)), rtol=1e-12, atol=1e-12)
    some = pp.graph.betweenness_centrality(policy, g, [3, 1])
    wanted = betweenness(a, [3, 1])
    np.testing.assert_allclose(pp.asnumpy(some), wanted / wanted.max(), rtol=1e-12, atol=1e-12)


@pytest.mark.extra
def test_larger_ones_take_all_ways(renderer):
    """Frontiers that are pulled, lists of several threads, vertices of many edges; the same graphs everywhere."""
    policy = renderer
    graphs = [
        pp.graph.kronecker(policy, 12, weights=True),
        pp.graph.uniform(policy, 11, 6, weights=True, directed=True),
        pp.graph.grid(policy, 60, 70, weights=True),
    ]
    assert [(g.num_vertices, g.num_edges) for g in graphs] == [(4096, 48366), (2048, 12266), (4200, 8270)]
    for g in graphs:
        source = int(np.diff(pp.asnumpy(g.offsets)).argmax())
        pp.graph.verify_bfs(g, source, pp.graph.bfs(policy, g, source))
        pp.graph.verify_components(g, pp.graph.connected_components(policy, g))
        pp.graph.verify_pagerank(g, pp.graph.pagerank(policy, g))
        for delta in (None, 1, 20, 1e9):
            pp.graph.verify_sssp(g, source, pp.graph.sssp(policy, g, source, delta=delta))
        if not g.directed:
            pp.graph.verify_triangles(g, pp.graph.triangle_count(policy, g))


def drawn(kind):
    """A generated graph's number of vertices and its edges, one after the other, by the functions of `pp.random`."""
    uniform, bits, integers, ends = pp.random.uniform, pp.random.bits, pp.random.integers, []
    if kind == "rmat":
        for e in range(64 * 3):
            a = b = 0
            for k in range(6):
                r = uniform(3, e * 6 + k)
                quarter = sum(r >= np.cumsum([0.5, 0.1, 0.2]))
                a, b = 2 * a + quarter // 2, 2 * b + quarter % 2
            ends.append((a, b))
        return 64, ends
    if kind == "local":
        powers = 0.5 ** (np.arange(5) / 2)
        for e in range(64 * 4):
            power = min(sum(uniform(3, e) >= np.cumsum(powers) / sum(powers)), 4)
            some = int(bits(3, e)) >> 1
            distance = 2**power + (some >> 1) % 2**power
            ends.append((e // 4, (e // 4 + (distance if some % 2 else -distance)) % 64))
        return 64, ends
    for e in range(50 * 3):  # a small world
        other = (e // 3 + 1 + e % 3) % 50
        if uniform(3, e) < 0.3:
            other = int(integers(3, e, 0, 49))
            other += other >= e // 3
        ends.append((e // 3, other))
    return 50, ends


@pytest.mark.parametrize("most", [12, 60])
def test_triangles_of_rows_in_any_order(device, most):
    """Edges that are given twice and loops; vertices of few edges, whose rows are merged, and of many."""
    rng = np.random.default_rng(most)
    n, m = 50, 50 * most // 6
    u, v = rng.integers(0, n, (2, m))
    u, v = np.concatenate([u, v, u[:9], v[:9]]), np.concatenate([v, u, v[:9], u[:9]])
    order = np.argsort(u, kind="stable")
    g = Graph(np.searchsorted(u[order], np.arange(n + 1)), v[order], directed=False)
    assert (np.diff(g.offsets).max() <= 16) == (most == 12)
    a = np.zeros((n, n), np.int64)
    a[u, v] = 1
    np.fill_diagonal(a, 0)
    found = pp.graph.triangle_count(pp.par.on(device), g.place(device))
    assert found == np.trace(a @ a @ a) // 6 > 0


def test_generators(policy):
    """The graphs that they say, the same on every executor and number of parts."""
    more = {"seed": 3, "weights": True}
    makes = {
        "rmat": lambda how: graph.rmat(how, 6, 3, quarters=(0.5, 0.1, 0.2), **more),
        "local": lambda how: graph.random_local(how, 6, 4, dimensions=2, **more),
        "small world": lambda how: graph.watts_strogatz(how, 50, 6, 0.3, **more),
        "ring": lambda how: graph.watts_strogatz(how, 50, 6, 0, **more),
        "one vertex": lambda how: graph.random_local(how, 0, **more),
        "two vertices": lambda how: graph.random_local(how, 1, **more),
        "no vertices": lambda how: graph.watts_strogatz(how, 0, 0, 1.0, **more),
        "kronecker": lambda how: graph.kronecker(how, 6, 3, **more),
    }
    for kind, make in makes.items():
        found = make(policy).place(pp.simd())
        same(found, make(pp.par.on(pp.simd())))
        if kind in ("rmat", "local", "small world"):
            n, ends = drawn(kind)
            wanted = {(min(u, v), max(u, v)) for u, v in ends if u != v}
            u = np.repeat(np.arange(n), np.diff(found.offsets))
            assert found.num_vertices == n
            assert wanted == {(a, b) for a, b in zip(u.tolist(), found.targets.tolist(), strict=True) if a < b}
    assert (np.diff(makes["ring"](policy).place(pp.simd()).offsets) == 6).all()


@pytest.mark.extra
def test_runs_agree_whatever_the_schedule(renderer):
    policy = renderer
    g = pp.graph.kronecker(policy, 9, weights=True)
    calls = {
        "components": lambda: pp.graph.connected_components(policy, g),
        "pagerank": lambda: pp.graph.pagerank(policy, g),
        "sssp": lambda: pp.graph.sssp(policy, g, 5),
        "betweenness": lambda: pp.graph.betweenness_centrality(policy, g, [5, 6]),
    }
    for name, call in calls.items():
        first = pp.asnumpy(call())
        for _ in range(10):
            assert pp.asnumpy(call()).tobytes() == first.tobytes(), name


@pytest.mark.extra
def test_memory_stays_under_three_times_the_graphs():
    g = pp.graph.kronecker(pp.par, 15, weights=True)
    source = int(np.diff(g.offsets).argmax())
    for call in (
        lambda: pp.graph.bfs(pp.par, g, source), lambda: pp.graph.sssp(pp.par, g, source),
        lambda: pp.graph.pagerank(pp.par, g), lambda: pp.graph.connected_components(pp.par, g),
        lambda: pp.graph.triangle_count(pp.par, g),
    ):  # fmt: skip
        call()
        tracemalloc.start()
        try:
            call()
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert most < 3 * (g.offsets.nbytes + g.targets.nbytes + g.weights.nbytes)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.data())
def test_any_graph(n, data):
    """On threads, where what others have compiled is at hand."""
    policy = pp.par.on(pp.threads(2))
    ends = st.lists(st.tuples(*[st.integers(0, n - 1)] * 2, st.sampled_from([0, 1, 2, 7, 10**6])), max_size=80)
    edges = np.array(data.draw(ends), np.int64).reshape(-1, 3)
    directed, source = data.draw(st.booleans()), data.draw(st.integers(0, n - 1))
    u, v, w = edges[:, 0].astype(np.int32), edges[:, 1].copy(), edges[:, 2].astype(np.int32)
    g = Graph.from_edges(policy, u, v, w, n=n, directed=directed)
    pp.graph.verify_bfs(g, source, pp.graph.bfs(policy, g, source))
    pp.graph.verify_components(g, pp.graph.connected_components(policy, g))
    pp.graph.verify_sssp(g, source, pp.graph.sssp(policy, g, source))
    if not directed:
        pp.graph.verify_triangles(g, pp.graph.triangle_count(policy, g))


# weights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["i4", "u1", "u8", "f4", "f8"])
def test_weights_of_every_kind(renderer, dtype):
    policy = renderer
    n, u, v = edges_of("apart")
    w = np.random.default_rng(1).integers(0, 200, len(u)).astype(dtype)
    if dtype[0] == "f":
        w = w / w.dtype.type(8)
    g = Graph.from_edges(policy, u, v, w, n=n)
    got = pp.graph.sssp(policy, g, 3)
    assert got.dtype == (np.dtype(dtype) if dtype[0] == "f" else np.int64)
    pp.graph.verify_sssp(g, 3, got)


@pytest.mark.extra
def test_huge_weights():
    ends = np.array([0, 1]), np.array([1, 2])
    large = Graph.from_edges(pp.par, *ends, np.array([2**62, 5]), n=3)
    with pytest.raises(pp.ArgumentError, match="may exceed 64 bits. Pass weights of float64"):
        pp.graph.sssp(pp.par, large, 0)
    g = Graph.from_edges(pp.par, *ends, np.array([1e308, np.inf]), n=3)
    np.testing.assert_array_equal(pp.graph.sssp(pp.par, g, 0), [0, 1e308, np.inf])
    tiny = Graph.from_edges(pp.par, *ends, np.array([1e30, 1.0], np.float32), n=3)
    np.testing.assert_array_equal(pp.graph.sssp(pp.par, tiny, 0, delta=1e-9), np.float32([0, 1e30, 1e30]))


def test_lists_that_are_full_are_made_anew(renderer):
    """Heavy tails: vertices get nearer again and again, and lists hold more than there are vertices."""
    for n, delta in ((24, 10**6), (24, None), (300, None), (900, 1e9)):
        u, v = np.triu_indices(n, 1) if n < 100 else np.random.default_rng(n).integers(0, n, (2, 8 * n))
        for w in ((v - u) ** 2, np.random.default_rng(1).pareto(0.5, len(u)).clip(0, 10**6)):
            w = w.astype(np.int32)
            g = Graph.from_edges(renderer, u, v, w, n=n, directed=True)
            graph.verify_sssp(g, 0, graph.sssp(renderer, g, 0, delta=delta))


def test_a_width_of_any_size():
    g = graph.kronecker(pp.par, 7, weights=True)
    source = int(np.diff(g.offsets).argmax())
    wanted = graph.sssp(pp.seq, g, source)
    for delta in (1e-300, 1, 1e30, np.inf, 2**63):
        np.testing.assert_array_equal(graph.sssp(pp.par, g, source, delta=delta), wanted)
    far = Graph.from_edges(pp.par, np.array([0, 1]), np.array([1, 2]), np.array([2**61, 1]), n=100)
    with pytest.raises(pp.ArgumentError, match="may exceed 64 bits"):
        graph.sssp(pp.par, far, 0)


def test_without_weights_each_edge_is_one():
    g = Graph.from_edges(pp.par, np.arange(5), np.arange(1, 6))
    np.testing.assert_array_equal(pp.graph.sssp(pp.par, g, 2), [2, 1, 0, 1, 2, 3])


# conversions ----------------------------------------------------------------------------------------


def test_scipy_there_and_back():
    a = csr_array((np.array([1.5, 2.0, 4.0]), ([0, 1, 2], [1, 2, 2])), (3, 3))
    g = Graph.from_scipy(a)
    assert g.directed and g.num_edges == 3
    np.testing.assert_array_equal(g.to_scipy().toarray(), a.toarray())
    assert Graph.from_scipy(a + a.T, directed=False).num_edges == 3  # the loop is one
    assert Graph.from_scipy(a, weighted=False).weights is None
    with pytest.raises(pp.ArgumentError, match=r"shape \(2, 3\): must be a square"):
        Graph.from_scipy(csr_array((2, 3)))


def test_it_moves_to_a_device_and_stays_there(device):
    policy = pp.par.on(device)
    g = Graph.from_edges(pp.par, np.arange(9), np.arange(1, 10), np.arange(9.0))
    there = g.place(device)
    assert there.place(device) is there and there.reverse is there
    assert isinstance(pp.graph.connected_components(policy, g), np.ndarray)  # NumPy in, NumPy out
    assert type(pp.graph.connected_components(policy, there)) is type(there.offsets)
    later = pp.graph.bfs(policy.task, there, 0)
    np.testing.assert_array_equal(pp.asnumpy(later.result()), [0, 0, 1, 2, 3, 4, 5, 6, 7, 8])


# files ------------------------------------------------------------------------------------------------


def test_files(tmp_path):
    g = Graph.from_edges(pp.par, np.array([0, 0, 2]), np.array([1, 2, 4]), np.array([7, 5, 9], np.int32))
    there = {
        "a.el": "# made by hand\n0 1\n0 2\n2 4\n",
        "a.wel": "0 1 7\n0 2 5\n2 4 9\n",
        "a.mtx": "%%MatrixMarket matrix coordinate integer symmetric\n5 5 3\n2 1 7\n3 1 5\n5 3 9\n",
        "a.metis": "% by hand\n5 3 001\n2 7 3 5\n1 7\n1 5 5 9\n\n3 9\n",
    }
    for name, text in there.items():
        (tmp_path / name).write_text(text)
    head = np.array([6, 5], np.int64).tobytes() + g.offsets.tobytes()
    (tmp_path / "a.sg").write_bytes(b"\0" + head + g.targets.tobytes())
    (tmp_path / "a.wsg").write_bytes(b"\0" + head + np.column_stack([g.targets, g.weights]).astype(np.int32).tobytes())
    graph.save(tmp_path / "a.npz", g)
    for name in (*there, "a.sg", "a.wsg", "a.npz"):
        got = graph.load(pp.par, tmp_path / name, directed=False)
        assert not got.directed and got.num_vertices == 5
        np.testing.assert_array_equal(got.offsets, g.offsets)
        np.testing.assert_array_equal(got.targets, g.targets)
        if name not in ("a.el", "a.sg"):
            np.testing.assert_array_equal(got.weights, g.weights)
    assert graph.load(pp.par, tmp_path / "a.el").directed


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.el", "0 1\n2\n", "line 2 is '2': must be two vertices"),
        ("a.el", "# a\n\n0 1\nx 3\n", "line 4 is 'x 3'"),
        ("a.el", "0 1 3\n", "line 1 is '0 1 3'"),
        ("a.el", "0 1\n0 -1\n", "line 2 is '0 -1'.*vertices from 0"),
        ("a.wel", "0 1.5 3\n", "1.5"),
        ("a.wel", "0 1e300 3\n", "1e300"),
        ("a.wel", "0 1 2\n0 1 nan\n", "line 2 is '0 1 nan'"),
        ("a.sg", "short", "it has 5 bytes, fewer than its header"),
        ("a.sg", "\0" + 16 * "\1", "it is cut off"),
        ("a.mtx", "%%MatrixMarket matrix coordinate real general\n2 3 1\n1 1 1.0\n", r"shape \(2, 3\): must be square"),
        ("a.mtx", "nothing", "a.mtx"),
        ("a.metis", "3 2\n2 3\n1\n", "tells of 3 vertices, and has 2 lines"),
        ("a.metis", "3 2\n2\n1\n\n", "tells of 2 edges, and its lines hold 2 neighbours"),
        ("a.metis", "3 1\n4\n1\n\n", "line 2 is '4': must hold neighbours, 1 to 3"),
        ("a.metis", "3 2\n2\n3\n1 2\n", "has no edge back"),
        ("a.metis", "2 1 1\n2 5\n1 6\n", "has two weights"),
        ("a.metis", "% a\n2 1\n1.9\n1\n", "line 3 is '1.9'"),
        ("a.metis", "2 1\n\n2 2\n", "vertex 2 is its own neighbour"),
        ("a.metis", "\0\0", "its first line must hold"),
        ("a.metis", "2 1 999\n2\n1\n", "its first line must hold"),
        ("a.metis", "2 1\n2\n1\n\n1\n", "line 5 is one more"),
        ("a.metis", "2 1 1\n2 5\n1\n", "line 3 is '1': must hold neighbours, 1 to 2, each with its weight"),
        ("a.mtx", "%%MatrixMarket matrix coordinate integer skew-symmetric\n2 2 1\n2 1 3\n", "skew-symmetric: must be"),
        ("a.mtx", "%%MatrixMarket matrix array real general\n1 1\n1.0\n", "kind array"),
        ("a.npz", "garbled", "does not hold"),
        ("a.npz", "PK\3\4garbled", "does not hold"),
        ("a.txt", "", "the kind '.txt' is not known"),
    ],
)
def test_files_that_are_wrong(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(pp.ArgumentError, match=message):
        graph.load(pp.par, tmp_path / name)


def test_the_second_half_of_a_serialized_file_is_looked_at(tmp_path):
    head = b"\1" + np.array([1, 2, 0, 1, 1], np.int64).tobytes() + np.array([1], np.int32).tobytes()
    for back, right in ([[0, 0, 1], True], [[0, 1, 1], False], [[1, 1, 2], False]):
        (tmp_path / "a.sg").write_bytes(head + np.array(back, np.int64).tobytes() + np.array([0], np.int32).tobytes())
        if right:
            assert graph.load(pp.par, tmp_path / "a.sg").num_edges == 1
        else:
            with pytest.raises(pp.ArgumentError, match="edges into its vertices"):
                graph.load(pp.par, tmp_path / "a.sg")


@pytest.mark.parametrize("directed", ["yes", 7, [True, False]])
def test_a_saved_graph_says_whether_it_is_directed(tmp_path, directed):
    np.savez(tmp_path / "a.npz", offsets=np.array([0, 1]), targets=np.array([0]), directed=np.array(directed))
    with pytest.raises(pp.ArgumentError, match="must be True or False"):
        graph.load(pp.par, tmp_path / "a.npz")


def test_a_file_that_is_not_there(tmp_path):
    for name in ("a.el", "a.sg", "a.mtx", "a.metis", "a.npz"):
        with pytest.raises(FileNotFoundError):
            graph.load(pp.par, tmp_path / name)


# what others would trip over -----------------------------------------------------------------------------


def test_equal_edges_and_rows_out_of_order_make_no_triangles_more(renderer):
    g = Graph(np.array([0, 3, 6, 8]), np.array([1, 1, 2, 0, 0, 2, 0, 1], np.int32), directed=False).place(
        renderer.executor
    )
    assert graph.triangle_count(renderer, g) == 1
    g = Graph(np.array([0, 3, 6, 8]), np.array([2, 1, 2, 2, 0, 2, 1, 0][:8], np.int32), directed=True)
    assert g.in_order() is g.in_order() and np.array_equal(g.in_order().targets, [1, 2, 2, 0, 2, 2, 0, 1])


def test_the_reverse_keeps_no_circle():
    g = graph.uniform(pp.par, 6, directed=True)
    back = g.reverse
    assert back.reverse is g and g.reverse is back
    gone = weakref.ref(g)
    gc.disable()
    try:
        del g, back
        assert gone() is None
    finally:
        gc.enable()


def test_a_default_of_several_parts_does_not_matter():
    u, v = np.array([0, 1, 2]), np.array([1, 2, 0])
    with pp.using(TWICE):
        g = Graph.from_edges(pp.par.on(pp.threads(2)), u, v, directed=True)
        assert abs(graph.pagerank(pp.par.on(pp.threads(2)), g) - 1 / 3).max() < 1e-3
        assert Graph(g.offsets, g.targets).reverse.num_edges == 3


def test_graphs_are_pickled_and_not_written_through():
    g = graph.kronecker(pp.par, 5, weights=True)
    again = pickle.loads(pickle.dumps(g))
    np.testing.assert_array_equal(again.targets, g.targets)
    np.testing.assert_array_equal(copy.deepcopy(g).weights, g.weights)
    with pytest.raises(ValueError, match="read-only"):
        g.targets[0] = 7


def test_more_paths_than_float64_counts():
    steps = np.arange(0, 3 * 1100, 3)
    u = np.concatenate([steps, steps, steps + 1, steps + 2])
    v = np.concatenate([steps + 1, steps + 2, steps + 3, steps + 3])  # diamonds, one after the other
    with pytest.raises(pp.ArgumentError, match="more than 1e308 shortest paths"):
        graph.betweenness_centrality(pp.par, Graph.from_edges(pp.par, u, v), [0])


def test_booleans_are_no_weights():
    g = Graph.from_scipy(csr_array((np.ones(2, bool), ([0, 1], [1, 0])), (2, 2)), directed=False)
    assert g.weights is None and g.num_edges == 1
    assert Graph.from_edges(pp.par, np.array([]), np.array([]), n=5).num_vertices == 5


def same(g, other):
    for name in ("offsets", "targets", "weights"):
        np.testing.assert_array_equal(pp.asnumpy(getattr(g, name)), pp.asnumpy(getattr(other, name)))


@pytest.mark.extra
@pytest.mark.parametrize("weights", [[1, 1], [3, 0, 1], None], ids=["2", "3", "opencl"])
def test_several_parts_find_what_one_finds(weights):
    """Of graphs that all have, and of such of which each part has some rows."""
    members = (pp.threads(1), pp.simd(), pp.threads(2))[: len(weights)] if weights else (pp.simd(), pp.opencl())
    several, one = pp.par.on(pp.hybrid(*members, weights=weights or [1, 2])), pp.par.on(pp.simd())
    dtype = np.int32 if weights == [1, 1] else np.float64
    for directed in (False, True):
        graphs = []
        if weights is not None:  # of which each has long rows, and blocks
            graphs = [[graph.kronecker(policy, 13, weights=True, directed=directed) for policy in (one, several)]]
        for kind in KINDS:
            n, u, v = edges_of(kind)
            w = (1000 * np.random.default_rng(len(u)).random(len(u))).astype(dtype)
            g = Graph.from_edges(one, *(np.asarray(x, np.int32) for x in (u, v)), w, n=n, directed=directed)
            graphs.append([g, g.place(several.executor)])
        for g, parted in graphs:
            assert repr(g) == repr(parted) and list(parted.cuts) == sorted(parted.cuts)
            found, wanted, parts = ([
                graph.connected_components(policy, x), graph.pagerank(policy, x, dangling="spread"),
                *(graph.sssp(policy, x, s) for s in range(min(g.num_vertices, 2))),
                *([graph.personalized_pagerank(policy, x, 0)] if g.num_vertices else []),
            ] for policy, x in ((several, g), (one, g), (pp.par, parted)))  # fmt: skip
            for ours, theirs, some in zip(found, wanted, parts, strict=True):
                np.testing.assert_array_equal(ours, theirs)
                np.testing.assert_array_equal(pp.asnumpy(some), theirs)
                assert some.cuts == parted.cuts
            sources = list(range(0, g.num_vertices, 300))[:3]
            for x in (g, parted) if sources else ():
                for s, parent in zip(sources, pp.asnumpy(graph.bfs(several, x, sources)), strict=True):
                    graph.verify_bfs(g, s, parent)
            same(parted, g)
            same(parted.reverse, g.reverse)
        g, parted = graphs[0]
        if weights is not None:  # more than one thread does in a step
            far = pp.asnumpy(graph.sssp(several, parted, 1, delta=1e9))
            np.testing.assert_array_equal(far, graph.sssp(one, g, 1))
    with pytest.raises(pp.ArgumentError, match=r"weights\[1\] is -1: must not be negative"):
        graph.sssp(several, Graph(OFFSETS, TARGETS, np.array([1, -1, 1])), 0)
    with pytest.raises(pp.ArgumentError, match="source is 2"):
        graph.bfs(several, small(), 2)
    for g in (graph.grid(one, 3, 3), graph.grid(several, 3, 3)):
        with pytest.raises(pp.PlacementError, match=r"graph.k_core: runs on one device.*graph.place\(pp.thr"):
            graph.k_core(several, g)
        np.testing.assert_array_equal(graph.k_core(one, g.place(pp.simd())), np.full(9, 2))


@pytest.mark.extra
def test_a_partitioned_graph(tmp_path):
    g, h = graph.kronecker(TWICE, 8, weights=True), graph.uniform(TWICE, 7, directed=True)
    edges = [np.repeat(np.arange(g.num_vertices), np.diff(g.offsets)), pp.asnumpy(g.targets), pp.asnumpy(g.weights)]
    placed = [TWICE.executor.asarray(x[::-1]) for x in edges]
    again = Graph.from_edges(pp.par, *placed, directed=True)
    for x in (again, pickle.loads(pickle.dumps(g)), g.place(pp.simd()), g.place(pp.opencl())):
        same(x, g)
    assert g.place(TWICE.executor) is g and again.targets.cuts == g.targets.cuts == tuple(g.offsets[list(g.cuts)])
    assert h.reverse.reverse is h and h.reverse.cuts != h.cuts
    assert (g.to_scipy() != graph.kronecker(pp.par, 8, weights=True).to_scipy()).nnz == 0
    np.testing.assert_array_equal(pp.asnumpy(graph.grid(TWICE, 7, 5, 3, weights=True).weights),
                                  graph.grid(pp.par, 7, 5, 3, weights=True).weights)  # fmt: skip
    graph.save(tmp_path / "g.npz", g)
    same(graph.load(TWICE, tmp_path / "g.npz"), g)
    told = str(pp.plan(graph.pagerank, TWICE, g))
    assert "edges of its own vertices: " in told and "the new ranks of a block of vertices, 1024 bytes" in told
    with pytest.raises(pp.PlacementError, match="Use policy.on"):
        graph.pagerank(pp.par.on(pp.simd()), g)
    with pytest.raises(pp.ArgumentError, match=r"sources\[1\] is 9: must be a vertex, 0 to 4"):
        Graph.from_edges(TWICE, np.array([1, 9]), np.array([1, 2]), n=5)


# what is refused ------------------------------------------------------------------------------------

OFFSETS, TARGETS = np.array([0, 1, 3]), np.array([1, 0, 1])
TWICE = pp.par.on(pp.hybrid(pp.threads(1), pp.simd(), weights=[1, 1]))


@functools.cache
def small():
    return Graph(OFFSETS, TARGETS)  # not when the tests are collected: it is compiled


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Graph(np.array([1, 2, 3]), TARGETS), "offsets begin with 1 and end with 3: must be 0, and 3"),
        (lambda: Graph(np.array([0, 1, 2]), TARGETS), "offsets begin with 0 and end with 2: must be 0, and 3"),
        (lambda: Graph(np.array([0, 5, 2, 3]), TARGETS), r"offsets\[2\] is 2, after 5: must not fall"),
        (lambda: Graph(np.array([], int), TARGETS), "offsets is empty"),
        (lambda: Graph(OFFSETS, np.array([1, 2, 0])), r"targets\[1\] is 2: must be a vertex, 0 to 1"),
        (lambda: Graph(OFFSETS, np.array([1, 0, -1])), r"targets\[2\] is -1: must be a vertex"),
        (lambda: Graph(OFFSETS, TARGETS * 1.0), "targets has shape .* float64: must be.*integers"),
        (lambda: Graph(OFFSETS, TARGETS, np.ones(2)), "2 weights for 3 targets"),
        (lambda: Graph(OFFSETS, TARGETS, np.array([1, np.nan, 0])), r"weights\[1\] is NaN"),
        (lambda: Graph(np.array([0, 1, 1, 1]), np.array([2]), directed=False), "from 0 to 2 has no edge back"),
        (lambda: Graph(np.array([0, 0, 0, 1]), np.array([1]), directed=False), "from 2 to 1 has no edge back"),
        (lambda: Graph.from_edges(pp.par, TARGETS, TARGETS[:2]), "sources has 3, targets has 2 numbers"),
        (lambda: Graph.from_edges(pp.par, TARGETS, TARGETS, n=1), r"sources\[0\] is 1: must be a vertex, 0 to 0"),
        (lambda: Graph.from_edges(pp.par, -TARGETS, TARGETS), r"sources\[0\] is -1: must be a vertex"),
        (lambda: Graph.from_edges(pp.par, TARGETS, TARGETS, TARGETS * np.nan), r"weights\[0\] is NaN"),
        (lambda: Graph(OFFSETS, TWICE.executor.asarray(TARGETS)), "targets is a partitioned array. Graph.from_edges"),
        (lambda: graph.bfs(pp.par, small(), 2), "source is 2"),
        (lambda: graph.bfs(pp.par, small(), -1), "source is -1"),
        (lambda: graph.bfs(pp.par, small(), 1.0), "source is 1.0"),
        (lambda: graph.bfs(pp.par, Graph(OFFSETS[:1], TARGETS[:0]), 0), "the graph has no vertices"),
        (lambda: graph.bfs(pp.par, csr_array((2, 2)), 0), "the graph is a csr_array: must be a pp.graph.Graph"),
        (lambda: graph.bfs(small(), 0, 0), "policy"),
        (lambda: graph.sssp(pp.par, Graph(OFFSETS, TARGETS, -TARGETS), 0), r"weights\[0\] is -1: must not be negative"),
        (lambda: graph.sssp(pp.par, small(), 0, delta=0), "delta is 0: must be greater than 0"),
        (lambda: graph.pagerank(pp.par, small(), damping=2), "damping is 2: must be between 0 and 1"),
        (lambda: graph.Graph(small().to_scipy()), r"targets is missing. .* Graph\.from_scipy"),
        (lambda: graph.Graph(np.arange(3)), r"targets is missing. Pass Graph\(offsets, targets\)"),
        (lambda: graph.pagerank(pp.par, small(), dangling="no"), "dangling is 'no': must be one of 'drop'"),
        (lambda: graph.pagerank(pp.par, small(), dtype="i4"), "dtype is i4: must be float32 or float64"),
        (lambda: graph.triangle_count(pp.par, small()), "the graph is directed"),
        (lambda: graph.kronecker(pp.par, 40), "scale is 40"),
        (lambda: graph.kronecker(pp.par, 4, seed=1.5), "seed is 1.5"),
        (lambda: graph.rmat(pp.par, 4, quarters=(0.5, 0.5, 0.5)), "quarters is .*: must be three prob"),
        (lambda: graph.rmat(pp.par, 4, quarters="abc"), "quarters is 'abc'"),
        (lambda: graph.random_local(pp.par, 4, dimensions=0), "dimensions is 0"),
        (lambda: graph.watts_strogatz(pp.par, 10, 3, 0.5), "neighbors is 3: must be even"),
        (lambda: graph.watts_strogatz(pp.par, 10, 10, 0.5), "neighbors is 10"),
        (lambda: graph.watts_strogatz(pp.par, 10, 2, 1.5), "probability is 1.5"),
        (lambda: graph.grid(pp.par, 50000, 50000), "number of vertices is 2500000000"),
        (lambda: Graph(np.broadcast_to(np.int8(0), 2**31 + 2), TARGETS), "2147483649 vertices: at most 2\\*\\*31"),
        (lambda: small().place(pp.par), "is no executor"),
        (lambda: Graph.from_scipy(np.ones((2, 2))), "a ndarray of shape .* sparse matrix of SciPy"),
        (lambda: Graph(OFFSETS, TARGETS, 3), "weights is 3: must be an array"),
        (lambda: Graph.from_edges(pp.par, TARGETS, TARGETS + 2**40), "an edge ends at 1099511627777"),
        (lambda: Graph(np.array([0, 1, 2]), np.array([1, 0]), np.array([1, 9]), directed=False), "has two weights"),
        (lambda: graph.load("x.el", "x.el"), "policy"),
        (lambda: graph.save("x.npz", 3), "the graph is an int"),
        (lambda: graph.grid(pp.par, 3, 0), "a length is 0"),
    ],
)  # fmt: skip
def test_what_is_refused(call, message):
    with pytest.raises(pp.PortaparError, match=message):
        call()


def test_verifiers_find_what_is_wrong():
    g = pp.graph.kronecker(pp.par, 8, weights=True)
    source = int(np.diff(g.offsets).argmax())
    right = {
        pp.graph.verify_bfs: (source, pp.graph.bfs(pp.par, g, source)),
        pp.graph.verify_sssp: (source, pp.graph.sssp(pp.par, g, source)),
        pp.graph.verify_components: (pp.graph.connected_components(pp.par, g),),
        pp.graph.verify_pagerank: (pp.graph.pagerank(pp.par, g),),
        pp.graph.verify_betweenness: ([source], pp.graph.betweenness_centrality(pp.par, g, [source])),
    }
    rng = np.random.default_rng(0)
    for verify, (*given_, result) in right.items():
        verify(g, *given_, result)
        found = 0
        for k in rng.choice(np.flatnonzero(np.diff(g.offsets)), 20, replace=False):
            wrong = result.copy()
            wrong[k] = result[k] + 1
            with pytest.raises(AssertionError):
                verify(g, *given_, wrong)
            found += 1
        assert found == 20
    circle = Graph.from_edges(pp.par, np.array([0, 1, 2]), np.array([1, 2, 1]), np.array([7, 0, 0]), directed=True)
    for verify, given_, wrong in (
        (graph.verify_sssp, (0,), np.array([0, 5, 5])),
        (graph.verify_bfs, (0,), np.array([0])),
        (graph.verify_bfs, (0,), np.array([0, 99, 1])),
        (graph.verify_components, (), np.array([7, 7, 7])),
        (graph.verify_components, (), np.array([1, 1, 1])),
    ):
        with pytest.raises(AssertionError):
            verify(circle, *given_, wrong)
    count = pp.graph.triangle_count(pp.par, g)
    pp.graph.verify_triangles(g, count)
    with pytest.raises(AssertionError, match=f"{count} triangles, not {count + 1}"):
        pp.graph.verify_triangles(g, count + 1)


def test_pagerank_of_networkx_rule():
    """The rank of vertices without an edge out is spread."""
    u, v = np.array([0, 1, 2, 0]), np.array([1, 2, 3, 3])
    g = Graph.from_edges(pp.par, u, v, n=5, directed=True)
    rank = pp.graph.pagerank(pp.par, g, dangling="spread", dtype=np.float64, tolerance=1e-12)
    move = np.zeros((5, 5))
    move[v, u] = 1
    move = np.where(move.sum(0) > 0, move / np.maximum(move.sum(0), 1), 1 / 5)
    x = np.linalg.solve(np.eye(5) - 0.85 * move, np.full(5, 0.03))
    np.testing.assert_allclose(rank, x, rtol=1e-10)
    assert abs(rank.sum() - 1) < 1e-10


@pytest.mark.parametrize("dangling", ["drop", "spread"])
def test_pagerank_begins_near_the_ranks(where, dangling):
    """By degree: eight iterations of a graph with hubs are enough, where it takes eleven from equal ranks."""
    policy, how = pp.par.on(where), {"dangling": dangling, "dtype": np.float64}
    g = pp.graph.kronecker(policy, 10, 8)
    rank = pp.asnumpy(pp.graph.pagerank(policy, g, **how))
    np.testing.assert_array_equal(pp.asnumpy(pp.graph.pagerank(policy, g, iterations=8, **how)), rank)
    exact = pp.asnumpy(pp.graph.pagerank(policy, g, tolerance=1e-12, **how))
    assert abs(rank - exact).sum() < 1e-4


def test_every_name_and_its_file_is_in_the_table():
    table = dict(re.findall(r"^`(\w+)` +(.*)$", pp.graph.__doc__, re.MULTILINE))
    told = {name: file for file, names in table.items() for name in names.split(", ")}
    homes = {name: getattr(pp.graph, name).__module__.rsplit(".", 1)[1] for name in pp.graph.__all__}
    assert told == homes
