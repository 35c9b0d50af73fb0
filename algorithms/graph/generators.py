"""Graphs to measure with: kronecker, uniform, grid.

Edge i of a seed is a function of the two (`portapar.algorithms.random`), so that a graph is the same on every executor.
On several parts each makes some of the edges, and the graph is partitioned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, parts
from portapar.algorithms import random
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph
from portapar.algorithms.sort import argsort
from portapar.call import resolve
from portapar.errors import ArgumentError, flags
from portapar.executor import DeviceExecutor
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_A, _B, _C = 0.57, 0.19, 0.19  #: where an edge falls, of the quarters of the matrix: Graph500's numbers


def kronecker(
    policy: Policy | None, scale: int, degree: int = 16, *, seed: int = 0, weights: bool = False, directed: bool = False
) -> Graph:
    """A graph whose degrees follow a power law, as those of social networks.

    Parameters
    ----------
    policy : Policy
        Where the graph is made, and lives; on an executor of several parts it is partitioned, and no part ever has all.
    scale : int
        There are ``2**scale`` vertices, some of them without an edge.
    degree : int
        ``degree * 2**scale`` edges are drawn; loops are left out, and of equal ones one is kept.
    seed : int
    weights : bool
        Whether edges have weights, of int32, uniform in 1 to 255.
    directed : bool

    Returns
    -------
    Graph

    Notes
    -----
    Of each bit of an edge's ends the pair falls into one of four quarters, with probabilities 0.57, 0.19,
    0.19 and 0.05; vertices are then numbered anew at random. J. Leskovec et al., "Kronecker graphs", 2010; Graph500's
    parameters.

    Examples
    --------
    >>> import portapar as pp
    >>> pp.graph.kronecker(pp.par, 10)
    pp.graph.Graph(1024 vertices, 10480 edges, undirected)
    """
    flags("graph.kronecker", weights=weights, directed=directed)

    n, m = _sizes("kronecker", scale, degree)

    def draw(part: LocalPart, u: Any, v: Any) -> None:
        order = part.empty(n, np.uint64)
        for_each(part.how, n, _shuffled, seed, m * scale, order)
        for_each(part.how, len(u), _quarters, part.lo, seed, scale, argsort(part.how, order), u, v)

    return _drawn("kronecker", policy, n, m, seed, weights, directed, draw)


def uniform(
    policy: Policy | None, scale: int, degree: int = 16, *, seed: int = 0, weights: bool = False, directed: bool = False
) -> Graph:
    """A graph whose edges join any two vertices with the same probability: the model of Erdős and Rényi, 1959.

    Parameters and result as those of `kronecker`.

    Examples
    --------
    >>> import portapar as pp
    >>> pp.graph.uniform(pp.par, 10)
    pp.graph.Graph(1024 vertices, 16110 edges, undirected)
    """
    flags("graph.uniform", weights=weights, directed=directed)

    n, m = _sizes("uniform", scale, degree)

    def draw(part: LocalPart, u: Any, v: Any) -> None:
        for_each(part.how, len(u), _any, part.lo, seed, n, u, v)

    return _drawn("uniform", policy, n, m, seed, weights, directed, draw)


def grid(policy: Policy | None, *shape: int, seed: int = 0, weights: bool = False) -> Graph:
    """A grid, of which neighbours along every axis are joined: many steps across, as in a road network.

    Parameters
    ----------
    policy : Policy
        As for `kronecker`.
    *shape : int
        Vertices along each axis, one to three; 2**31 in all at most.
    seed : int
    weights : bool
        As for `kronecker`.

    Returns
    -------
    Graph
        Not directed; vertices are numbered as NumPy's elements in memory.

    Examples
    --------
    >>> import portapar as pp
    >>> pp.graph.grid(pp.par, 3, 3)
    pp.graph.Graph(9 vertices, 12 edges, undirected)
    """
    flags("graph.grid", weights=weights)
    if not 1 <= len(shape) <= 3:
        raise ArgumentError(f"graph.grid: {len(shape)} lengths were given: must be one to three")
    nx, ny, nz = (*(arrays.whole_number("graph.grid: a length", k, 1) for k in shape), 1, 1)[:3]
    n = arrays.whole_number("graph.grid: the number of vertices", nx * ny * nz, most=2**31 - 1, error=ArgumentError)
    axes = [(ny * nz, nx, nx > 1), (nz, ny, ny > 1), (1, nz, nz > 1)]
    steps = [(stride, length) for stride, length, several in axes if several]

    def draw(part: LocalPart, u: Any, v: Any) -> None:
        lo, hi = part.lo, part.lo + len(u)
        for k, (stride, length) in enumerate(steps):
            first, last = max(lo, k * n), min(hi, (k + 1) * n)
            some = slice(first - lo, last - lo)
            if first < last:
                for_each(part.how, last - first, _next, first - k * n, stride, length, u[some], v[some])

    return _drawn("grid", policy, n, n * len(steps), seed, weights, False, draw)


def _sizes(name: str, scale: int, degree: int) -> tuple[int, int]:
    """How many vertices there are, and how many edges are drawn."""
    n = 1 << arrays.whole_number(f"graph.{name}: scale", scale, 0, 30)
    return n, n * arrays.whole_number(f"graph.{name}: degree", degree, 0)


def _drawn(
    name: str, policy: Policy | None, n: int, m: int, seed: int, weights: bool, directed: bool, draw: Any
) -> Graph:
    """The graph of `n` vertices whose edges' ends ``draw(part, u, v)`` draws: of `m` edges those from `part.lo` on."""
    arrays.whole_number(f"graph.{name}: seed", seed, -(2**63), error=ArgumentError)
    where = resolve(policy, (), f"graph.{name}")[1]

    def fill(part: LocalPart, u: Any, v: Any, *some: Any) -> None:
        draw(part, u, v)
        for w in some:
            for_each(part.how, len(w), _weight, part.lo, seed, m, w)

    def make(p: Parts) -> Graph:
        part = p.alone()
        edges = [part.empty(m, np.int32) for _ in range(2 + bool(weights))]
        fill(part, *edges)
        return Graph.from_edges(part.how, *edges, n=n, directed=directed)

    if isinstance(where, DeviceExecutor):
        return parts.run(f"graph.{name}", policy, (arrays.Range(n),), make)
    whole = [where.empty(m, np.int32) for _ in range(2 + bool(weights))]

    def make_on_parts(p: Parts) -> Graph:
        edges = [p.read(x, "edges") for x in whole]
        p.do("edges", lambda part: fill(part, *(x[part] for x in edges)))
        return Graph.from_edges(p.how, *whole, n=n, directed=directed)

    return parts.run(f"graph.{name}", policy, whole, make_on_parts)


# kernels ------------------------------------------------------------------------------------------


def _quarters(i: Any, lo: Any, seed: Any, scale: Any, number: Any, u: Any, v: Any) -> None:
    a, b = 0, 0
    for level in range(scale):
        r = random.uniform(seed, (lo + i) * scale + level)
        down = r >= _A + _B
        right = r >= _A + _B + _C if down else r >= _A
        a, b = 2 * a + down, 2 * b + right
    u[i], v[i] = number[np.uint64(a)], number[np.uint64(b)]


def _shuffled(k: Any, seed: Any, first: Any, order: Any) -> None:
    order[k] = random.bits(seed, first + k)


def _any(i: Any, lo: Any, seed: Any, n: Any, u: Any, v: Any) -> None:
    e = 2 * (lo + i)
    u[i], v[i] = random.integers(seed, e, 0, n), random.integers(seed, e + 1, 0, n)


def _weight(i: Any, lo: Any, seed: Any, m: Any, out: Any) -> None:
    out[i] = random.integers(seed, 4 * m + lo + i, 1, 256)


def _next(k: Any, first: Any, stride: Any, length: Any, u: Any, v: Any) -> None:
    """A vertex at the end of the grid gets a loop, which is left out."""
    i = first + k
    u[k], v[k] = i, i + stride if i // stride % length < length - 1 else i
