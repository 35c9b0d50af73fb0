"""Graph: vertices 0 to n - 1 and the neighbours of each, in compressed sparse rows."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portapar import arrays, forks, lazy, ops, parts
from portapar.algorithms.by_key import reduce_by_key
from portapar.algorithms.empty_like import empty_like
from portapar.algorithms.find import mismatch
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.build import (
    WIDEST,
    bits_of,
    built,
    check_offsets,
    check_vertices,
    check_weights,
    checked_length,
    converted,
    fixed,
    home,
    host,
    pack_row,
    rows_of,
    turn,
)
from portapar.algorithms.graph.several import built_on_parts, kept, results, spread, turned
from portapar.algorithms.reduce import reduce, transform_reduce
from portapar.algorithms.sort import sort, sort_by_key
from portapar.algorithms.transform import transform
from portapar.call import resolve
from portapar.devices import DeviceExecutor
from portapar.errors import ArgumentError, PlacementError, flags, of_kind
from portapar.executor import Executor
from portapar.partitioned import PartitionedArray
from portapar.parts import Parts
from portapar.policy import Policy, check_policy


class Graph:
    """A graph that does not change: compressed sparse rows, with weights or without.

    Parameters
    ----------
    offsets : array of integers, (n + 1,)
        Where the neighbours of each vertex begin in `targets`, and where the last one's end.
    targets : array of integers, (m,)
        The vertices that the edges lead to.
    weights : array, (m,), optional
        Of integers or floats, one for each edge.
    directed : bool
        If not, every edge stands in the rows of both of its ends, with one weight.

    Attributes
    ----------
    offsets : array of int64
    targets : array of int32
    weights : array or None
    directed : bool
    cuts : tuple of int or None
        Of a partitioned graph, whose `targets` and `weights` are partitioned arrays: part k has the vertices
        ``cuts[k]`` to ``cuts[k + 1]``.

    Raises
    ------
    ArgumentError
        Offsets do not begin with 0, fall, or do not end with m; a target is no vertex; a weight is NaN; an undirected
        graph has an edge in the row of one of its ends only. The message gives the first place.

    Notes
    -----
    Arrays of the right dtype are not copied. All of them are checked, which costs about three passes over
    the edges, and the sorting of all edges if the graph is not directed. Neighbours need not be in order, but for
    `triangle_count`; those that `from_edges` makes are.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 0, 1, 3]), np.array([1, 2, 2, 3]))
    >>> g
    pp.graph.Graph(4 vertices, 3 edges, undirected)
    >>> g.offsets, g.targets
    (array([0, 2, 4, 6, 6]), array([1, 2, 0, 2, 0, 1], dtype=int32))
    """

    def __init__(self, offsets: Any, targets: Any = None, weights: Any = None, *, directed: bool = True) -> None:
        flags("graph.Graph", directed=directed)
        if targets is None:
            made = "from_scipy" if hasattr(offsets, "tocsr") else "from_networkx" if hasattr(offsets, "edges") else ""
            hint = f"Of {of_kind(offsets)} make one by Graph.{made}(…)" if made else "Pass Graph(offsets, targets)"
            raise ArgumentError(f"Graph: targets is missing. {hint}")
        offsets, targets = arrays.normal(offsets, "offsets"), arrays.normal(targets, "targets")
        weights = None if weights is None else arrays.normal(weights, "weights")
        n = checked_length("Graph", "offsets", offsets, "iu") - 1
        m = checked_length("Graph", "targets", targets, "iu")
        if weights is not None and checked_length("Graph", "weights", weights, "iuf") != m:
            raise ArgumentError(f"Graph: {len(weights)} weights for {m} targets: must be one for each")
        if n < 0:
            raise ArgumentError("Graph: offsets is empty: must hold n + 1 numbers for n vertices, [0] for none")
        if n > WIDEST:
            raise ArgumentError(f"Graph: {n} vertices: at most 2**31")
        check_offsets(home(offsets), offsets, m)
        how = home(targets)
        check_vertices(how, "Graph: targets", targets, n)
        if weights is not None:
            check_weights(how, "Graph: weights", weights)
        self._take(converted(how, offsets, np.int64), converted(how, targets, np.int32), weights, bool(directed))
        if not directed:
            self._check_symmetric()

    def _take(
        self, offsets: Any, targets: Any, weights: Any, directed: bool, cuts: Sequence[int] | None = None
    ) -> None:
        self.offsets, self.targets, self.weights = map(fixed, (offsets, targets, weights))
        self.directed = directed
        self.cuts = None if cuts is None else tuple(cuts)
        self.made: dict[str, Any] = {}  #: of a partitioned graph, what parts have of it in other forms
        self._lock = forks.lock_of_runs()
        self._reverse: Graph | weakref.ref[Graph] | None = None
        self._ordered: Graph | bool | None = None
        self._loops: int | None = None
        self._weighed: tuple[Any, Any, float] | None = None

    @classmethod
    def _made(
        cls, offsets: Any, targets: Any, weights: Any, directed: bool, cuts: Sequence[int] | None = None,
        loops: int | None = None,
    ) -> Graph:  # fmt: skip
        """A graph of arrays that are known to be right."""
        graph = cls.__new__(cls)
        graph._take(offsets, targets, weights, directed, cuts)
        graph._loops = loops
        return graph

    # how it is made ---------------------------------------------------------------------------------

    @classmethod
    def from_edges(
        cls,
        policy: Policy | None,
        sources: Any,
        targets: Any,
        weights: Any = None,
        *,
        n: int | None = None,
        directed: bool = False,
    ) -> Graph:
        """A graph of edges in any order; loops are left out, and of equal edges one is kept.

        Parameters
        ----------
        policy : Policy
            Where the graph is built, and lives. On an executor of several parts it is partitioned, as after `place`;
            no rank then ever has all of it if the edges are partitioned arrays.
        sources, targets : array of integers, (m,)
            The ends of each edge.
        weights : array, (m,), optional
            Of equal edges the smallest weight is kept.
        n : int, optional
            How many vertices; if not given, one more than the largest number of an end.
        directed : bool
            If not, an edge stands for both directions.

        Returns
        -------
        Graph
            Neighbours of a vertex are in order.

        Raises
        ------
        ArgumentError
            An end is negative or not less than `n`, or a weight is NaN; the message gives the first place.

        Notes
        -----
        Time of sorting 64-bit integers, one for each edge and direction; memory for two of them and the graph.
        """
        flags("graph.Graph.from_edges", directed=directed)
        given = [("sources", sources, "iu"), ("targets", targets, "iu"), ("weights", weights, "iuf")]
        lengths = {
            name: checked_length("Graph.from_edges", name, x, kinds, True) for name, x, kinds in given if x is not None
        }
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ArgumentError(f"Graph.from_edges: {told} numbers: must have one for each edge")

        def build(p: Parts) -> Graph:
            if partitioned:
                *rows, cuts = built_on_parts(p, edges, n, bool(directed))
                return cls._made(rows[0], rows[1], rows[2], bool(directed), cuts, 0)
            part = p.alone()
            data = [p.replicated(x, name) for (name, *_), x in zip(given, edges, strict=False)]
            first, second, *rest = [x[part] for x in data]
            known = rest[0] if rest else None
            ends = [x if len(x) else part.empty(0, np.int32) for x in (first, second)]
            return cls._made(*built(part, ends, known, n, directed), bool(directed))

        edges = [arrays.normal(x, name) for name, x, _ in given if x is not None]
        where = resolve(policy, edges, "Graph.from_edges")[1]
        partitioned = not isinstance(where, DeviceExecutor)
        if partitioned:  # every rank gives all edges, and keeps some
            edges = [where.asarray(x) if isinstance(x, np.ndarray) else x for x in edges]
        return parts.run("Graph.from_edges", policy, edges, build)

    @classmethod
    def from_scipy(cls, matrix: Any, *, directed: bool = True, weighted: bool = True) -> Graph:
        """The graph of a square sparse matrix of SciPy: an edge from i to j for every stored element.

        Parameters
        ----------
        matrix : scipy.sparse array or matrix, (n, n)
            CSR arrays are taken as they are, duplicates included; others are converted by SciPy.
        directed : bool
        weighted : bool
            Whether its values are the weights; booleans never are.
        """
        flags("graph.Graph.from_scipy", directed=directed, weighted=weighted)
        shape: tuple[int, ...] = getattr(matrix, "shape", ())
        if not hasattr(matrix, "tocsr") or len(shape) != 2 or shape[0] != shape[1]:
            kind = type(matrix).__name__
            raise ArgumentError(f"Graph.from_scipy: a {kind} of shape {shape}: must be a square sparse matrix of SciPy")
        rows = matrix.tocsr()
        weights = rows.data if weighted and rows.dtype.kind != "b" else None
        return cls(rows.indptr, rows.indices, weights, directed=directed)

    @classmethod
    def from_networkx(cls, graph: Any, *, weight: str | None = "weight") -> Graph:
        """A graph of networkx; vertex k is the k-th of ``list(graph)``.

        Parameters
        ----------
        graph : networkx.Graph or networkx.DiGraph
        weight : str, optional
            The edge attribute that is the weight, by the name that networkx's own functions take; 1 where an edge has
            none. If no edge has it, or with None, the graph has no weights.
        """
        number = {vertex: k for k, vertex in enumerate(graph)}
        ends = np.array([(number[u], number[v]) for u, v in graph.edges()], np.int64).reshape(-1, 2)
        weights = None
        if weight is not None and any(weight in d for _, _, d in graph.edges(data=True)):
            weights = np.array([d.get(weight, 1) for _, _, d in graph.edges(data=True)])
        if weights is not None and weights.dtype.kind not in "iuf" and len(weights):
            raise ArgumentError(f"Graph.from_networkx: the weights are {weights.dtype}: must be integers or floats")
        u, v = np.ascontiguousarray(ends.T)
        return cls.from_edges(home(u), u, v, weights, n=len(number), directed=graph.is_directed())

    # what it is -------------------------------------------------------------------------------------

    @property
    def num_vertices(self) -> int:
        """How many vertices there are."""
        return len(self.offsets) - 1

    @property
    def num_edges(self) -> int:
        """How many edges there are; one that is not directed counts once."""
        m = len(self.targets)
        if self.directed:
            return m
        if self._loops is None:
            self._loops = int(transform_reduce(self._how, lazy.iota(self.num_vertices), transform=_loops_of(self)))
        return (m + self._loops) // 2

    @property
    def reverse(self) -> Graph:
        """The graph with all edges turned around: itself if it is not directed; made once, and kept."""
        if not self.directed:
            return self
        with self._lock:
            known = self._reverse() if isinstance(self._reverse, weakref.ref) else self._reverse
            if known is None:
                known = self._reverse = self._turned()
                known._reverse = weakref.ref(self)  # no circle: a device's memory is free when the last user goes
            return known

    def in_order(self) -> Graph:
        """The graph with the neighbours of every vertex in order; itself where they are, or were made so before."""
        with self._lock:
            if self._ordered is None:
                n = self.num_vertices
                wrong = transform_reduce(self._how, lazy.iota(n), transform=_disorder(self)) if n else 0
                if wrong:
                    keys, weights = self._sorted(False)
                    rows = rows_of(self._how, keys, n, self._shift)
                    self._ordered = self._made(*rows, weights, self.directed)
                else:
                    self._ordered = True
            return self if isinstance(self._ordered, bool) else self._ordered

    def __reduce__(self) -> Any:
        held = [np.asarray(x) if isinstance(x, PartitionedArray) else host(x) for x in self._arrays]
        return Graph._made, (*held, self.directed)

    def place(self, executor: Executor) -> Graph:
        """The same graph in the memory of an executor; itself where it lives there already.

        Parameters
        ----------
        executor : Executor
            On one of several parts, `hybrid` or `mpi`, the graph is partitioned: each part has the targets and weights
            of its own vertices, which are neighbours and have about as many edges as its weight says; `offsets` are
            NumPy's, whole. Results of such a graph are partitioned as its vertices are. Every rank places the same
            graph, and then may forget it. Collective.

        Raises
        ------
        PlacementError
        CommunicationError
            The ranks have different graphs.
        """
        if not isinstance(executor, Executor):
            raise PlacementError(f"Graph.place: {executor!r} is no executor, such as pp.opencl()")
        if self.cuts is not None and self.targets.executor is executor:
            return self
        held = [x for x in self._arrays if x is not None]
        if not isinstance(executor, DeviceExecutor):
            loops = 0 if self.directed else 2 * self.num_edges - len(self.targets)
            offsets, targets, rest = map(host, self._arrays)
            targets, rest, cuts = spread(executor, offsets, targets, rest)
            return self._made(offsets, targets, rest, self.directed, cuts, loops)
        if all(executor.owns(x) for x in held):
            return self
        offsets, targets, *weights = map(executor.asarray, held)
        return self._made(offsets, targets, weights[0] if weights else None, self.directed)

    def degrees(self, policy: Policy | None = None) -> Any:
        """The number of edges that leave each vertex: an array of int64, (n,)."""
        return transform(policy, self.offsets[1:], self.offsets[:-1], op=_minus)

    def to_scipy(self) -> Any:
        """A CSR array of SciPy of the same arrays, in host memory; the values of a graph without weights are 1."""
        from scipy.sparse import csr_array

        offsets, targets = arrays.asnumpy(self.offsets), arrays.asnumpy(self.targets)
        values = np.ones(len(targets)) if self.weights is None else arrays.asnumpy(self.weights)
        return csr_array((values, targets, offsets), shape=(self.num_vertices,) * 2)

    def to_networkx(self) -> Any:
        """A ``networkx.Graph`` or ``networkx.DiGraph``, with the weights as the attribute ``weight``."""
        import networkx

        made = networkx.DiGraph() if self.directed else networkx.Graph()
        made.add_nodes_from(range(self.num_vertices))
        offsets, targets = arrays.asnumpy(self.offsets), arrays.asnumpy(self.targets)
        sources = np.repeat(np.arange(self.num_vertices), np.diff(offsets))
        if self.weights is None:
            made.add_edges_from(zip(sources.tolist(), targets.tolist(), strict=True))
        else:
            weights = arrays.asnumpy(self.weights)
            made.add_weighted_edges_from(zip(sources.tolist(), targets.tolist(), weights.tolist(), strict=True))
        return made

    def __repr__(self) -> str:
        kind = ("directed" if self.directed else "undirected") + ("" if self.weights is None else ", weighted")
        return f"pp.graph.Graph({self.num_vertices} vertices, {self.num_edges} edges, {kind})"

    def weight_range(self) -> tuple[Any, Any, float]:
        """The least and the greatest weight, and their mean; found once, and (1, 1, 1.0) without weights."""
        if self._weighed is None:
            if self.weights is None or not len(self.targets):
                self._weighed = 1, 1, 1.0
            else:
                least, most = (reduce(self._how, self.weights, op=op) for op in (ops.minimum, ops.maximum))
                self._weighed = least, most, float(reduce(self._how, self.weights)) / len(self.targets)
        return self._weighed

    def _check_symmetric(self) -> None:
        (there, w), (back, x) = self._sorted(False), self._sorted(True)
        at = int(mismatch(self._how, there, back))
        if at < len(there):
            one, other = (int(arrays.asnumpy(keys[at : at + 1])[0]) for keys in (there, back))
            u, v = divmod(min(one, other), 1 << self._shift)
            u, v = (u, v) if one < other else (v, u)
            raise ArgumentError(
                f"Graph: the edge from {u} to {v} has no edge back, and the graph is not directed. Use directed=True, "
                "or Graph.from_edges, which adds what is missing"
            )
        if self.weights is not None:
            firsts = [
                reduce_by_key(self._how, *pair, op=ops.minimum, consecutive=True) for pair in ((there, w), (back, x))
            ]
            at = int(mismatch(self._how, *(least for _, least in firsts)))
            if at < len(firsts[0][0]):
                u, v = divmod(int(arrays.asnumpy(firsts[0][0][at : at + 1])[0]), 1 << self._shift)
                raise ArgumentError(
                    f"Graph: the edge between {u} and {v} has two weights, and the graph is not directed. Use "
                    "directed=True"
                )

    def _sorted(self, back: bool) -> tuple[Any, Any]:
        """The keys of all edges in order, and their weights."""
        if self.weights is None:
            return sort(self._how, self._keys(back)), None
        return sort_by_key(self._how, self._keys(back), self.weights)

    def _turned(self) -> Graph:
        if self.cuts is not None:
            offsets, targets, weights, cuts = turned(self._how, self)
            return self._made(offsets, targets, weights, self.directed, cuts, self._loops)
        keys, weights = self._sorted(True)
        return self._made(*rows_of(self._how, keys, self.num_vertices, self._shift), weights, self.directed)

    @property
    def _arrays(self) -> tuple[Any, Any, Any]:
        return self.offsets, self.targets, self.weights

    @property
    def _how(self) -> Policy:
        """Where the graph lives."""
        return home(self.targets)

    @property
    def _shift(self) -> int:
        return bits_of(self.num_vertices)

    def _keys(self, back: bool) -> Any:
        """Every edge as one integer: its source above its target, or the other way round."""
        keys = empty_like(self._how, self.targets, len(self.targets), np.uint64)
        kernel = turn if back else pack_row
        for_each(self._how, self.num_vertices, kernel, 0, self._shift, self.offsets, self.targets, keys)
        return keys


# kernels ------------------------------------------------------------------------------------------


def _minus(end: Any, begin: Any) -> Any:
    return end - begin


def _loops_of(graph: Graph) -> Any:
    offsets, targets = graph.offsets, graph.targets

    def loops(u: Any) -> Any:
        found = 0
        for e in range(offsets[u], offsets[u + 1]):
            found += targets[e] == u
        return found

    return loops


def _disorder(graph: Graph) -> Any:
    offsets, targets = graph.offsets, graph.targets

    def falls(u: Any) -> Any:
        found = 0
        for e in range(offsets[u] + 1, offsets[u + 1]):
            found += targets[e] < targets[e - 1]
        return found

    return falls


def known(offsets: Any, targets: Any, weights: Any, directed: bool) -> Graph:
    """A graph of arrays of int64, int32 and numbers, that are known to be right: they are not looked at."""
    return Graph._made(offsets, targets, weights, directed)


# what all share -----------------------------------------------------------------------------------


def on_graph(
    algorithm: str, policy: Policy | None, graph: Graph, body: Callable[..., Any],
    several: Callable[[Parts, Graph], Any] | None = None,
) -> Any:  # fmt: skip
    """Carry out ``body(part, graph)`` where a graph lives, or on the policy's executor; arrays come home.

    `body` sees the graph where the part lives; of a NumPy graph on another device the result is NumPy's. On several
    parts it is ``several(parts, graph)``, which gives arrays of NumPy, the same on all parts; of a partitioned
    graph each part keeps its rows of them.
    """
    check_policy(policy, algorithm)
    if not isinstance(graph, Graph):
        raise ArgumentError(f"{algorithm}: the graph is {of_kind(graph)}: must be a pp.graph.Graph")

    def carry_out(p: Parts) -> Any:
        if p.count > 1 and several is not None:
            return results(p, graph, several(p, graph))
        if p.count > 1:
            what = "is partitioned" if graph.cuts is not None else "would be on several parts"
            raise PlacementError(
                f"{algorithm}: runs on one device, and the graph {what}, {p.executor!r}. Use "
                f"{algorithm}(pp.par.on(pp.threads()), graph.place(pp.threads()), …)"
            )
        part = p.alone()

        def alone() -> Graph:
            held = [(name, getattr(graph, name)) for name in ("offsets", "targets", "weights")]
            data = [p.replicated(x, name) for name, x in held if x is not None]
            offsets, targets, *rest = [x[part] for x in data]
            weights = rest[0] if rest else None
            return graph if targets is graph.targets else Graph._made(offsets, targets, weights, graph.directed)

        found = body(part, kept(graph, "alone", alone))
        if p.kind == "partitioned":
            return results(p, graph, arrays.asnumpy(found)) if hasattr(found, "dtype") else found
        return arrays.asnumpy(found) if p.kind == "numpy" and hasattr(found, "dtype") else found

    return parts.run(algorithm, policy, (graph.offsets, graph.targets), carry_out)


def check_undirected(algorithm: str, graph: Any) -> None:
    """What is given is not a directed graph."""
    if isinstance(graph, Graph) and graph.directed:
        raise ArgumentError(f"{algorithm}: the graph is directed: make it with directed=False")


def vertex(algorithm: str, name: str, value: Any, graph: Graph) -> int:
    """A vertex that the user gave."""
    most = graph.num_vertices - 1
    if most < 0:
        raise ArgumentError(f"{algorithm}: {name} is {value}, and the graph has no vertices")
    return arrays.whole_number(f"{algorithm}: {name}", value, most=most, error=ArgumentError)


def are_several(given: Any) -> bool:
    """Whether the user gave several vertices, rather than one."""
    if isinstance(given, np.ndarray):
        return given.ndim > 0
    return isinstance(given, Sequence) and not isinstance(given, (str, bytes))


def vertices(algorithm: str, given: Any, graph: Graph) -> list[int]:
    """The vertices that the user gave, one or several of them."""
    if not are_several(given):
        return [vertex(algorithm, "source", given, graph)]
    return [vertex(algorithm, "a source", one, graph) for one in given]
