"""The backend of networkx: every function beside networkx's own, with types, labels, order and exceptions."""

import dataclasses
import gc
import itertools
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

nx = pytest.importorskip("networkx")

import portapar as pp  # noqa: E402
import portapar_networkx  # noqa: E402
from portapar.kernel.jit import dicts  # noqa: E402
from portapar.networkx import backend  # noqa: E402
from portapar.networkx.graphs import Converted, Unsupported, convert_from_nx, convert_to_nx  # noqa: E402


def graphs():
    """Name → a graph."""
    drawn = random.Random(4)
    some = nx.gnp_random_graph(70, 0.06, seed=1)
    yield "numbers", some
    named = nx.relabel_nodes(some, {k: f"v{k * 7 % 70}" for k in some})
    for u, v in named.edges:
        named[u][v]["weight"] = drawn.choice([0, 1, 1, 2, 9])
    yield "names and weights", named
    parts = nx.Graph((-u, -v, {"weight": drawn.random()}) for u, v in some.edges)
    yield "fractions", parts
    loops = nx.Graph(some.edges)
    loops.add_edges_from([(3, 3), (5, 5)])
    yield "loops", loops
    yield "ones", nx.Graph((u, v, {"weight": 1.0}) for u, v in some.edges)
    yield "joined", nx.connected_watts_strogatz_graph(60, 4, 0.2, seed=2)
    yield "grid", nx.grid_2d_graph(5, 6)
    yield "tree", nx.random_labeled_tree(40, seed=1)
    yield "a node", nx.empty_graph(1)
    yield "no edges", nx.empty_graph(5)
    yield "nothing", nx.Graph()
    yield "a part", some.subgraph(range(10, 50))
    for seed, p in ((3, 0.03), (5, 0.2)):
        yield f"directed {p}", nx.gnp_random_graph(60, p, seed=seed, directed=True)
    backwards = nx.DiGraph((str(v), str(u), {"weight": drawn.randint(1, 9)}) for u, v in some.edges)
    yield "directed without circles", backwards
    circle = nx.cycle_graph(12, create_using=nx.DiGraph)
    circle.add_edge(4, 4)
    yield "circle with a loop", circle


def calls(graph):
    """Name, arguments, keywords."""
    first = next(iter(graph), None)
    last = list(graph)[-1] if len(graph) else None
    pairs = list(itertools.islice(itertools.permutations(graph, 2), 40))
    for name in sorted(backend.FUNCTIONS):
        if name in ("descendants_at_distance",):
            yield from ((name, (first, k), {}) for k in (0, 2))
        elif name == "has_path":
            yield name, (first, last), {}
        elif name in ("ancestors", "descendants", "node_connected_component", "bfs_layers") or "single" in name:
            yield name, (first,), {}
            yield name, ("no such node",), {}
        elif name.startswith("bfs"):
            yield from ((name, (first,), {"depth_limit": k}) for k in (None, 2))
            yield name, ("no such node",), {}
        elif "coefficient" in name or "_index" in name and name != "wiener_index" or name == "preferential_attachment":
            yield name, (pairs,), {}
            yield name, (), {}  # all that are not joined
        elif name == "betweenness_centrality":
            yield name, (), {}
            yield name, (), {"k": 5, "seed": 7, "normalized": False}
        elif name == "pagerank":
            yield name, (), {}
            yield name, (), {"personalization": {first: 2, last: 1}, "alpha": 0.7}
            yield name, (), {"max_iter": 1}
        elif name == "katz_centrality":
            yield name, (), {"alpha": 0.02, "weight": "weight"}
        elif name == "minimum_spanning_edges":
            yield from ((name, (), {"data": data}) for data in (True, False))
        else:
            yield name, (), {}


def outcome(name, graph, args, kwargs, **how):
    """What a call returns or raises."""
    try:
        result = getattr(nx, name)(graph, *args, **kwargs, **how)
        return list(result) if isinstance(result, Iterator) else result
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


def check(ours, theirs, where, ordered=True):
    """Equal in type and order; floats to the last few digits."""
    assert type(ours) is type(theirs), (where, ours, theirs)
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs) if ordered else ours.keys() == theirs.keys(), where
        for key in theirs:
            check(ours[key], theirs[key], where)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), (where, ours, theirs)
        for a, b in zip(ours, theirs, strict=True):
            check(a, b, where, ordered)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12, nan_ok=True), where
    elif hasattr(theirs, "dtype"):
        assert ours == pytest.approx(theirs), where
    else:
        assert ours == theirs, where


@pytest.fixture(autouse=True)
def quiet():
    """Without networkx's word about graphs that were converted before."""
    nx.config.warnings_to_ignore.add("cache")


SOME = {"numbers", "names and weights", "loops", "a node", "nothing", "directed without circles"}


@pytest.mark.parametrize("kinds", ["some", pytest.param("others", marks=pytest.mark.extra)])
def test_every_function_on_every_kind(kinds):
    assert nx.utils.backends.backends.keys() >= {"portapar"}, "pip install -e . again: its entry points are older"
    done = set()
    for told, graph in graphs():
        if (told in SOME) != (kinds == "some"):
            continue
        for name, args, kwargs in calls(graph):
            theirs = outcome(name, graph, args, kwargs)
            ours = outcome(name, graph, args, kwargs, backend="portapar")
            if not backend.FUNCTIONS[name].refuses((graph, *args), kwargs):
                done.add(name)
            where = f"{name}{args if len(str(args)) < 60 else '(…)'} {kwargs} of {told}"
            check(ours, theirs, where, "source_dijkstra" not in name)  # of equal distances any may come first
    assert done == set(backend.FUNCTIONS)


def test_what_is_left_to_networkx():
    graph = nx.gnp_random_graph(20, 0.3, seed=1)
    several, directed = nx.MultiGraph(graph), nx.DiGraph(graph)
    for name, args, kwargs in [
        ("pagerank", (several,), {}),
        ("triangles", (directed,), {}),
        ("triangles", (graph, [1, 2]), {}),
        ("pagerank", (graph,), {"nstart": {1: 1}}),
        ("greedy_color", (graph, "smallest_last"), {}),
        ("single_source_dijkstra_path_length", (graph, 1), {"weight": lambda u, v, d: 1}),
        ("betweenness_centrality", (graph,), {"weight": "weight"}),
        ("clustering", (graph,), {"no": 1}),
    ]:
        assert backend.FUNCTIONS[name].refuses(args, kwargs)
        assert isinstance(backend.should_run(name, args, kwargs), str)
        wanted = outcome(name, args[0], args[1:], kwargs)
        if args[0] is several:
            assert isinstance(backend.can_run(name, args, kwargs), str)
        else:
            check(outcome(name, args[0], args[1:], kwargs, backend="portapar"), wanted, name, True)
    for name, given in (("is_directed_acyclic_graph", graph), ("core_number", directed), ("clustering", directed)):
        assert not backend.FUNCTIONS[name].refuses((given,), {})
    for u, v in graph.edges:
        graph[u][v]["weight"] = "heavy"
    with pytest.raises(ValueError, match="'heavy'"):  # of networkx itself
        nx.pagerank(graph, backend="portapar")
    graph[u][v]["weight"] = -1


def test_errors_of_portapar_itself_are_seen(monkeypatch):
    def fails(G):
        raise pp.KernelError("no code for it")

    broken = dataclasses.replace(backend.FUNCTIONS["transitivity"], body=fails)
    monkeypatch.setitem(backend.FUNCTIONS, "transitivity", broken)
    with pytest.raises(pp.KernelError, match="no code"):
        nx.transitivity(nx.path_graph(3), backend="portapar")


def test_small_graphs_stay_with_networkx():
    small, large = nx.path_graph(20), nx.path_graph(1000)
    assert isinstance(backend.should_run("pagerank", (small,), {}), str)
    assert backend.should_run("pagerank", (large,), {}) is True
    assert isinstance(backend.should_run("degree_centrality", (large,), {}), str)
    for name, args, worth in [
        ("bfs_edges", (0,), True), ("bfs_edges", (0, False, 2), False), ("jaccard_coefficient", ([(0, 1)],), False),
        ("jaccard_coefficient", ([(0, 1)] * 1000,), True), ("has_path", (0, 1), False), ("is_connected", (), False),
        ("single_source_shortest_path_length", (0, 3), False),
    ]:  # fmt: skip
        assert (backend.should_run(name, (large, *args), {}) is True) == worth, (name, args)
    nx.pagerank(large, backend="portapar")
    assert backend.should_run("degree_centrality", (large,), {}) is True
    assert isinstance(backend.should_run("has_path", (large, 0, 1), {}), str)


def test_arguments_are_bound_as_those_of_a_call():
    graph = nx.path_graph(5)
    for args, kwargs in [
        ((), {}), ((graph,), {}), ((graph, 1, 2, 3, 4, 5, 6, 7, 8), {}), ((graph, 1), {"source": 1}),
        ((graph, 1), {"no": 1}), ((), {"G": graph, "source": 1}), ((graph,), {"source": 1, "depth_limit": 2}),
        ((graph, 1, False, None), {"sort_neighbors": None}), ((graph, 1), {"G": graph}),
    ]:  # fmt: skip
        function = backend.FUNCTIONS["bfs_edges"]
        try:
            bound = function.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            assert function.given(args, kwargs) == bound.arguments
        except TypeError as wanted:
            with pytest.raises(TypeError, match=re.escape(str(wanted))):
                function.given(args, kwargs)


def test_graphs_are_converted_once_and_anew_when_they_change():
    graph = nx.path_graph(600)
    assert nx.number_connected_components(graph, backend="portapar") == 1
    kept = graph.__networkx_cache__["backends"]["portapar"]
    first = next(iter(kept.values()))
    nx.is_connected(graph, backend="portapar")
    assert isinstance(first, Converted) and next(iter(kept.values())) is first
    graph.remove_edge(3, 4)
    assert nx.number_connected_components(graph, backend="portapar") == 2


class Label(str):
    __hash__ = str.__hash__


@pytest.mark.parametrize("directed", [False, True])
def test_rows_and_values_are_those_that_python_reads(directed):
    made = nx.DiGraph if directed else nx.Graph
    edges = [(0, 1), (1, 2), (2, 0), (3, 1)]
    labels = {
        "numbers": [0, 1, 2, 3], "other numbers": [5, -1, 2**40, 2**70], "strings": ["a", "b", "", "ä"],
        "both": ["a", 1, 2, "b"], "pairs": [(0, 1), (1, 0), (0, 0), (1, 1)], "derived": [Label("a"), 1, "c", 2],
        "floats": [0.0, 1.0, 2.0, 3.5], "bools": [False, True, 2, 3],
    }  # fmt: skip
    weights = {
        "ints": [1, 2, 3, 4], "ones": [1, 1, 1, 1], "floats": [1.0, 2.5, -0.0, 1e300], "float ones": [1.0] * 4,
        "mixed": [1, 2.5, 3, 2**62 + 1], "large": [2**63 - 1, 1, -(2**63), 0], "larger": [2**63, 1, 2, 3],
        "bools": [True, 1, 2, 3], "none": [None, 1, 2, 3], "words": ["1", 2, 3, 4], "nan": [1, float("nan"), 1, 1],
        "some": [7, ..., 3, ...], "no": [...] * 4,
    }  # fmt: skip
    for (told, names), (what, values) in itertools.product(labels.items(), weights.items()):
        graph = made()
        graph.add_nodes_from(names)
        for (u, v), value in zip(edges, values, strict=True):
            graph.add_edge(names[u], names[v], **({} if value is ... else {"w": value}))
        found, number = Converted(graph, {"w": 1}), {node: k for k, node in enumerate(graph)}
        assert found.rows.offsets.tolist() == [0, *itertools.accumulate(map(len, graph.adj.values()))]
        assert found.rows.targets.tolist() == [number[v] for u in graph for v in graph[u]], told
        pairs = list(graph.edges)
        assert found.numbers_of_pairs(pairs).tolist() == [number[x] for pair in pairs for x in pair], told
        read = [d.get("w", 1) for u in graph for d in graph[u].values()]
        if what in ("larger", "bools", "none", "words", "nan"):
            with pytest.raises(Unsupported, match="w has values"):
                found.weighted("w")
        elif what in ("ones", "no"):
            assert found.weighted("w").weights is None
        else:
            kept = found.weighted("w").weights.tolist()
            assert kept == (list(map(float, read)) if float in map(type, read) else read)
            assert set(map(type, kept)) == {float if float in map(type, read) else int}, what


def test_labels_need_not_be_the_same_objects():
    for node in (lambda k: f"node {k}", lambda k: k + 10**6, lambda k: k + 2**70, lambda k: (k, k), float):
        graph = nx.DiGraph((node(k), node((k * k + 1) % 50)) for k in range(50))
        number = {label: k for k, label in enumerate(graph)}
        assert Converted(graph, None).rows.targets.tolist() == [number[v] for u in graph for v in graph[u]]


class Complement(nx.Graph):
    """Joined are those that its dicts do not join."""

    def neighbors(self, n):
        return iter(set(self._adj) - set(self._adj[n]) - {n})

    @property
    def degree(self):
        return {n: len(list(self.neighbors(n))) for n in self}

    def __getitem__(self, n):
        return dict.fromkeys(self.neighbors(n), {})


def test_graphs_that_see_their_edges_in_their_own_way_stay_with_networkx():
    graph = Complement([(0, 1), (1, 2), (2, 3)])
    assert "Complement" in backend.can_run("connected_components", (graph,), {})
    with pytest.raises(NotImplementedError, match="Complement have a __getitem__ of their own"):
        convert_from_nx(graph)
    plain = type("Named", (nx.Graph,), {"edge_attr_dict_factory": dict, "name_of": lambda self: 1})([(0, 1)])
    assert backend.can_run("connected_components", (plain,), {}) is True


def test_attributes_of_a_graph_that_has_changed_are_not_read():
    graph = nx.gnm_random_graph(300, 600, seed=1)
    nx.set_edge_attributes(graph, 2, "w")
    adjacency, count = graph._adj, 2 * len(graph.edges)
    assert dicts.values(adjacency, "w", 1, count).tolist() == [2] * count
    for other in (count - 1, count + 1, 0):  # as if another thread changed the graph between two looks
        assert dicts.values(adjacency, "w", 1, other) is None
    for more in (nx.path_graph(2), nx.complete_graph(300)):
        kept = convert_from_nx(graph)
        graph.update(more.edges)
        graph.remove_edge(5, next(iter(graph[5])))
        with pytest.raises(Unsupported, match="other edges"):
            kept.weighted("w")


def test_attributes_outlive_the_name_of_the_graph(newer):
    graph = nx.path_graph(4)
    nx.set_edge_attributes(graph, 2, "w")
    kept = convert_from_nx(graph)
    del graph
    gc.collect()
    assert backend.single_source_dijkstra_path_length(kept, 0, weight="w") == {0: 0, 1: 2, 2: 4, 3: 6}


def test_labels_that_are_equal_are_one_node():
    graph = nx.Graph([(0, 1), (1.0, 2), (True, 3), (2, 3.0)])
    assert Converted(graph, None).rows.targets.tolist() == [1, 0, 2, 3, 1, 3, 1, 2]
    assert nx.number_connected_components(graph, backend="portapar") == 1
    for pairs in ([(0, 9)], [(0, 2**70)], [("a", 1)], [(0,)], [[0, 1], (1, 2)]):
        theirs = outcome("resource_allocation_index", graph, (pairs,), {})
        assert outcome("resource_allocation_index", graph, (pairs,), {}, backend="portapar") == theirs


def test_there_and_back():
    graph = nx.relabel_nodes(nx.gnp_random_graph(30, 0.2, seed=3, directed=True), str)
    again = convert_to_nx(convert_from_nx(graph))
    assert nx.utils.graphs_equal(again, graph)
    with pytest.raises(NotImplementedError, match="several edges"):
        convert_from_nx(nx.MultiGraph([(0, 1)]))


def test_networkx_imports_nothing_of_portapar(python):
    assert sorted(portapar_networkx.FUNCTIONS) == sorted(backend.FUNCTIONS)
    assert python("""
        import sys, networkx
        print("portapar" in sys.modules, len(networkx.utils.backends.backend_info["portapar"]["functions"]) >= 40)
        import portapar
        print("portapar.networkx" in sys.modules)
    """).split() == ["False", "True", "False"]


@pytest.mark.rare
def test_tests_of_networkx():
    """No failure that networkx has not: some minutes."""
    rooms = ("link_analysis components coloring traversal shortest_paths centrality assortativity tree bipartite "
             "community tests").split()  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "--pyargs"]
    rooms = [f"networkx.algorithms.{room}" for room in rooms]
    env = {**os.environ, "NETWORKX_FALLBACK_TO_NX": "True"}
    failed = {}
    for name in ("", "portapar"):
        done = subprocess.run(
            [*command, *rooms], capture_output=True, text=True, cwd="/", env={**env, "NETWORKX_TEST_BACKEND": name}
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        failed[name] = {line.split(" - ")[0] for line in lines}
        assert " passed" in done.stdout, done.stdout
    assert failed["portapar"] <= failed[""]
