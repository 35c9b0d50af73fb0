"""Graphs of networkx as compressed sparse rows: neighbours in networkx's order, loops included."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import methodcaller
from typing import Any

import numpy as np

from portapar.algorithms.graph.graph import Graph, known
from portapar.algorithms.sort import sort
from portapar.kernel.jit import dicts
from portapar.policy import par

_LARGE = 1 << 53  #: from here on not every int is a float


class Unsupported(Exception):
    """What was asked for is for networkx itself to do."""


class Converted:
    """A graph of networkx, in rows.

    Attributes
    ----------
    nodes : list
        The label of each vertex.
    rows : portapar.graph.Graph
        Without weights; a loop of a graph that is not directed stands in its row once.
    held : networkx graph or None
        What it was, if nothing else may keep it alive.
    """

    __networkx_backend__ = "portapar"

    def __init__(self, graph: Any, edge_attrs: Mapping[Any, Any] | None) -> None:
        self.nodes = list(graph)
        self.directed = bool(graph.is_directed())
        self.plain = dicts.counted(self.nodes) or (
            set(map(type, self.nodes)) <= {int} and self.nodes == list(range(len(self.nodes)))
        )
        self._simple = self.plain or set(map(type, self.nodes)) <= {int, str}  # native code can compare them
        self._origin = weakref.ref(graph)
        self.held: Any = None
        adjacency = _adjacency(graph, "_adj")
        self.rows = known(*self._of(adjacency), None, self.directed)
        count = len(self.rows.targets)
        self._values = {name: _values(adjacency, count, name, default) for name, default in (edge_attrs or {}).items()}

    # what networkx asks of a graph -----------------------------------------------------------------

    def is_directed(self) -> bool:
        return self.directed

    def is_multigraph(self) -> bool:
        return False

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Any:
        return iter(self.nodes)

    def __contains__(self, node: Any) -> bool:
        if self.plain and type(node) is int:
            return 0 <= node < len(self)
        try:
            return node in self._numbers
        except TypeError:  # a list is no node
            return False

    # in rows ---------------------------------------------------------------------------------------

    @cached_property
    def _numbers(self) -> dict[Any, int]:
        return {node: k for k, node in enumerate(self.nodes)}

    def number(self, node: Any) -> int:
        """The vertex of a label."""
        return int(self.numbers([node])[0])

    def numbers(self, nodes: Iterable[Any]) -> np.ndarray:
        """The vertices of labels."""
        nodes = list(nodes)
        if self.plain and set(map(type, nodes)) == {int} and min(nodes) >= 0 and max(nodes) < len(self):
            return np.fromiter(nodes, np.int64, len(nodes))
        try:
            return np.fromiter(map(self._numbers.__getitem__, nodes), np.int64, len(nodes))
        except (KeyError, TypeError) as error:
            raise Unsupported("it is no node") from error

    def numbers_of_pairs(self, pairs: Sequence[Any]) -> np.ndarray:
        """The vertices of the labels in pairs, one pair after the other."""
        found = dicts.pairs(pairs, None if self.plain else self._numbers) if self._simple else None
        if found is not None and (not len(found) or (found.min() >= 0 and found.max() < len(self))):
            return found
        if not (set(map(type, pairs)) <= {tuple} and set(map(len, pairs)) <= {2}):
            raise Unsupported("what is no pair")
        return self.numbers(chain.from_iterable(pairs))

    def labels(self, vertices: np.ndarray) -> list[Any]:
        """The labels of vertices."""
        listed = vertices.tolist()
        return listed if self.plain else list(map(self.nodes.__getitem__, listed))

    def by_node(self, values: np.ndarray) -> dict[Any, Any]:
        """A value for every label."""
        return dict(zip(self.nodes, values.tolist(), strict=True))

    def weighted(self, name: Any) -> Graph:
        """The rows with the values of an attribute as weights; without, where all are 1."""
        if name is None:
            return self.rows
        if name not in self._values:  # of a conversion that keeps all attributes
            adjacency = _adjacency(self.origin, "_adj")
            rows = self.rows.offsets, self.rows.targets
            if list(adjacency) != self.nodes or not all(map(np.array_equal, self._of(adjacency), rows)):
                raise Unsupported("the graph has other edges now")
            self._values[name] = _values(adjacency, len(self.rows.targets), name, 1)
        values = self._values[name]
        if isinstance(values, str):
            raise Unsupported(values)
        return self.rows if values is None else known(self.rows.offsets, self.rows.targets, values, self.directed)

    @cached_property
    def predecessors(self) -> Graph:
        """The rows turned around, in networkx's order."""
        if not self.directed:
            return self.rows
        return known(*self._of(_adjacency(self.origin, "_pred")), None, True)

    @cached_property
    def both(self) -> Graph:
        """The rows of a directed graph and those that are turned around, together, without loops and in order.

        Two that are joined both ways stand in each other's rows twice.
        """
        u, v = self.sources, self.rows.targets
        apart = u != v
        return in_rows(len(self), np.concatenate([u[apart], v[apart]]), np.concatenate([v[apart], u[apart]]))

    @cached_property
    def apart(self) -> Graph:
        """The rows without loops, in order."""
        if not self.loops.any():
            return self.rows.in_order()
        apart = self.sources != self.rows.targets
        return in_rows(len(self), self.sources[apart], self.rows.targets[apart])

    @cached_property
    def sources(self) -> np.ndarray:
        """Where each edge of the rows begins."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.rows.offsets))

    @cached_property
    def loops(self) -> np.ndarray:
        """How many loops each vertex has."""
        own = self.rows.targets == self.sources
        return np.bincount(self.rows.targets[own], minlength=len(self)) if own.any() else np.zeros(len(self), np.int64)

    @cached_property
    def out_degree(self) -> np.ndarray:
        """Edges out of each vertex; of a graph that is not directed both ends of a loop count."""
        return np.diff(self.rows.offsets) + (0 if self.directed else self.loops)

    @cached_property
    def in_degree(self) -> np.ndarray:
        return np.bincount(self.rows.targets, minlength=len(self)) if self.directed else self.out_degree

    def number_of_edges(self) -> int:
        """As networkx counts them."""
        m = len(self.rows.targets)
        return m if self.directed else (m + int(self.loops.sum())) // 2

    @property
    def origin(self) -> Any:
        """The graph of networkx that it was, or one that is made anew if that is gone."""
        graph = self._origin()
        return convert_to_nx(self) if graph is None else graph

    def _of(self, adjacency: Any) -> tuple[np.ndarray, np.ndarray]:
        """Offsets and targets of a dict of dicts."""
        read = dicts.rows(adjacency, None if self.plain else self.nodes, None)
        if read is None and self._simple and not self.plain:  # nodes are not everywhere the same objects
            read = dicts.rows(adjacency, self.nodes, self._numbers)
        if read is not None:
            return read
        n = len(self.nodes)
        offsets = np.zeros(n + 1, np.int64)
        np.cumsum(np.fromiter(map(len, adjacency.values()), np.int64, n), out=offsets[1:])
        ends: Any = chain.from_iterable(adjacency.values())
        if not self.plain:
            ends = map(self._numbers.__getitem__, ends)
        return offsets, np.fromiter(ends, np.int32, int(offsets[n]))


def in_rows(n: int, u: np.ndarray, v: np.ndarray) -> Graph:
    """Edges as rows in order, each as often as it is given."""
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(u, minlength=n), out=offsets[1:])
    keys = sort(par, u.astype(np.int64) << 32 | v)
    return known(offsets, keys.astype(np.int32), None, False)


def _adjacency(graph: Any, name: str) -> Any:
    """Neighbours by node; of a view as it is seen."""
    found = getattr(graph, name)
    if type(found) is dict:
        return found
    return {node: dict(neighbours) for node, neighbours in found.items()}


def _values(adjacency: Any, count: int, name: Any, default: Any) -> Any:
    """The values of an attribute of so many edges; None where all are the int 1, a str that says why there are none."""
    simple = type(name) is str and type(default) is int and abs(default) < _LARGE
    values = dicts.values(adjacency, name, default, count) if simple else None
    if values is None:
        edges = chain.from_iterable(map(methodcaller("values"), adjacency.values()))
        found = list(map(methodcaller("get", name, default), edges))
        if len(found) != count:
            raise RuntimeError("the graph changed while it was read")
        kinds = set(map(type, found))
        if not kinds <= {int, float}:
            return f"{name} has values that are no numbers"
        try:
            values = np.array(found, np.float64 if float in kinds else np.int64)
        except OverflowError:
            return f"{name} has values that need more than 64 bits"
    if np.isnan(values).any():
        return f"{name} has values that are NaN"
    return None if values.dtype == np.int64 and (values == 1).all() else values


def unread(graph: Any) -> str:
    """Why a graph's own dicts do not tell its edges one by one; empty if they do."""
    if graph.is_multigraph():
        return "the graph may have several edges between two nodes"
    kind: Any = type(graph)
    return _own_ways(kind)


@functools.cache
def _own_ways(kind: type) -> str:
    """Of a class of graphs that says in methods of its own who is joined to whom."""
    import networkx as nx

    for name in ("__getitem__", "__iter__", "__len__", "adj", "adjacency", "degree", "edges", "neighbors", "nodes"):
        if getattr(kind, name, None) not in (getattr(nx.Graph, name), getattr(nx.DiGraph, name)):
            return f"graphs of {kind.__name__} have a {name} of their own"
    return ""


def convert_from_nx(graph: Any, edge_attrs: Any = None, **kept: Any) -> Converted:
    """A graph of networkx in rows, with these attributes of edges (name → default)."""
    if isinstance(graph, Converted):
        return graph
    if why := unread(graph):
        raise NotImplementedError(f"portapar: {why}: it is not converted")
    made = Converted(graph, edge_attrs)
    if "name" not in kept:  # the user converts it, and not a call: its other attributes may be asked for later
        made.held = graph
    return made


def convert_to_nx(result: Any, **kept: Any) -> Any:
    """A result as networkx has it: all but graphs are already."""
    if not isinstance(result, Converted):
        return result
    import networkx as nx

    made = nx.DiGraph() if result.directed else nx.Graph()
    made.add_nodes_from(result.nodes)
    ends = zip(result.labels(result.sources), result.labels(result.rows.targets), strict=True)
    made.add_edges_from(ends)
    return made
