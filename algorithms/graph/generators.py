"""Graphs to measure with: kronecker, rmat, uniform, random_local, watts_strogatz, grid.

Edge i of a seed is a function of the two (`portapar.algorithms.random`), so that a graph is the same on every executor.
On several parts each makes some of the edges, and the graph is partitioned.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar import arrays, parts
from portapar.algorithms import random
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, are_several
from portapar.algorithms.sort import argsort
from portapar.call import resolve
from portapar.devices import DeviceExecutor
from portapar.errors import ArgumentError, flags
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_QUARTERS = 0.57, 0.19, 0.19  #: where an edge falls, of the quarters of the matrix: Graph500's numbers


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
        number = argsort(part.how, order)
        for_each(part.how, len(u), _numbered, part.lo, seed, scale, *_CORNERS, number, u, v)

    return _drawn("kronecker", policy, n, m, seed, weights, directed, draw)


def rmat(
    policy: Policy | None, scale: int, degree: int = 16, *, quarters: Sequence[float] = _QUARTERS, seed: int = 0,
    weights: bool = False, directed: bool = False,
) -> Graph:  # fmt: skip
    """As `kronecker`, with probabilities of one's own, and with vertices that keep their numbers: low ones have most.

    Parameters
    ----------
    policy, scale, degree, seed, weights, directed
        As for `kronecker`.
    quarters : sequence of float
        The probabilities of the quarters (0, 0), (0, 1) and (1, 0), of a bit of an edge's source and target; that of
        (1, 1) is what is left of 1.

    Returns
    -------
    Graph

    Notes
    -----
    D. Chakrabarti, Y. Zhan, C. Faloutsos, "R-MAT: a recursive model for graph mining", 2004.

    Examples
    --------
    >>> import portapar as pp
    >>> pp.graph.rmat(pp.par, 10, quarters=(0.5, 0.1, 0.1))
    pp.graph.Graph(1024 vertices, 11826 edges, undirected)
    """
    flags("graph.rmat", weights=weights, directed=directed)
    n, m = _sizes("rmat", scale, degree)
    given = tuple(quarters) if are_several(quarters) else ()
    if len(given) != 3 or not all(isinstance(q, numbers.Real) and q >= 0 for q in given) or not sum(given) <= 1:
        raise ArgumentError(f"graph.rmat: quarters is {quarters!r}: must be three probabilities, 1 in all at most")
    corners = _corners(*map(float, given))

    def draw(part: LocalPart, u: Any, v: Any) -> None:
        for_each(part.how, len(u), _quarters, part.lo, seed, scale, *corners, u, v)

    return _drawn("rmat", policy, n, m, seed, weights, directed, draw)


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


def random_local(
    policy: Policy | None, scale: int, degree: int = 8, *, dimensions: int = 3, seed: int = 0, weights: bool = False,
    directed: bool = False,
) -> Graph:  # fmt: skip
    """A graph that joins every vertex with `degree` others, mostly near ones, as meshes and maps do.

    Parameters
    ----------
    policy, scale, degree, seed, weights, directed
        As for `kronecker`; vertices are on a circle.
    dimensions : int
        Probability falls with the distance d on the circle as ``d ** -(1 + 1 / dimensions)``, by powers of two: as
        many edges leave a box of vertices as in a grid of that many dimensions.

    Returns
    -------
    Graph

    Examples
    --------
    >>> import portapar as pp
    >>> pp.graph.random_local(pp.par, 10)
    pp.graph.Graph(1024 vertices, 6766 edges, undirected)
    """
    flags("graph.random_local", weights=weights, directed=directed)
    n, m = _sizes("random_local", scale, degree)
    dimensions = arrays.whole_number("graph.random_local: dimensions", dimensions, 1)
    powers = 2.0 ** (-np.arange(max(scale - 1, 1)) / dimensions)
    up_to = np.cumsum(powers) / powers.sum()  # the probability of a distance below each power of two

    def draw(part: LocalPart, u: Any, v: Any) -> None:
        for_each(part.how, len(u), _near, part.lo, seed, degree, n, part.asarray(up_to), u, v)

    return _drawn("random_local", policy, n, m, seed, weights, directed, draw)


def watts_strogatz(
    policy: Policy | None, n: int, neighbors: int, probability: float, *, seed: int = 0, weights: bool = False
) -> Graph:
    """A small world: vertices on a circle, joined with their nearest ones, and some edges with any other end instead.

    Parameters
    ----------
    policy, seed, weights
        As for `kronecker`.
    n : int
        Vertices.
    neighbors : int
        Even, less than `n`: each vertex is joined with half as many on either side.
    probability : float
        Of each edge, that its far end is any other vertex.

    Returns
    -------
    Graph
        Not directed; of edges that became equal one is kept.

    Notes
    -----
    D. Watts, S. Strogatz, "Collective dynamics of small-world networks", 1998.

    Examples
    --------
    >>> import portapar as pp
    >>> pp.graph.watts_strogatz(pp.par, 1000, 6, 0.1)
    pp.graph.Graph(1000 vertices, 2998 edges, undirected)
    """
    flags("graph.watts_strogatz", weights=weights)
    n = arrays.whole_number("graph.watts_strogatz: n", n, most=2**31 - 1, error=ArgumentError)
    k = arrays.whole_number("graph.watts_strogatz: neighbors", neighbors, most=max(n - 1, 0), error=ArgumentError)
    if k % 2:
        raise ArgumentError(f"graph.watts_strogatz: neighbors is {k}: must be even, half of them on either side")
    if not isinstance(probability, numbers.Real) or not 0 <= probability <= 1:
        raise ArgumentError(f"graph.watts_strogatz: probability is {probability!r}: must be between 0 and 1")

    def draw(part: LocalPart, u: Any, v: Any) -> None:
        for_each(part.how, len(u), _rewired, part.lo, seed, n, k // 2, float(probability), u, v)

    return _drawn("watts_strogatz", policy, n, n * k // 2, seed, weights, False, draw)


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


def _corners(a: float, b: float, c: float) -> tuple[float, float, float]:
    """From where on a number at random says that a bit is in the lower half, and in the right one, above and below."""
    return a + b, a, a + b + c


_CORNERS = _corners(*_QUARTERS)


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


def _quarter(edge: Any, seed: Any, scale: Any, above: Any, left: Any, right: Any) -> Any:
    """The ends of an edge: of each bit a quarter."""
    a, b = 0, 0
    for level in range(scale):
        r = random.uniform(seed, edge * scale + level)
        down = r >= above
        a, b = 2 * a + down, 2 * b + (r >= right if down else r >= left)
    return a, b


def _quarters(
    i: Any, lo: Any, seed: Any, scale: Any, above: Any, left: Any, right: Any, u: Any, v: Any
) -> None:  # fmt: skip
    u[i], v[i] = _quarter(lo + i, seed, scale, above, left, right)


def _numbered(
    i: Any, lo: Any, seed: Any, scale: Any, above: Any, left: Any, right: Any, number: Any, u: Any, v: Any
) -> None:  # fmt: skip
    a, b = _quarter(lo + i, seed, scale, above, left, right)
    u[i], v[i] = number[np.uint64(a)], number[np.uint64(b)]


def _shuffled(k: Any, seed: Any, first: Any, order: Any) -> None:
    order[k] = random.bits(seed, first + k)


def _any(i: Any, lo: Any, seed: Any, n: Any, u: Any, v: Any) -> None:
    e = 2 * (lo + i)
    u[i], v[i] = random.integers(seed, e, 0, n), random.integers(seed, e + 1, 0, n)


def _near(i: Any, lo: Any, seed: Any, degree: Any, n: Any, up_to: Any, u: Any, v: Any) -> None:
    """A power of two at random, a distance between it and the next one, and a direction."""
    e, power = lo + i, 0
    r, some = random.uniform(seed, e), np.int64(random.bits(seed, e) >> np.uint64(1))
    while power < len(up_to) - 1 and r >= up_to[power]:
        power += 1
    distance = (np.int64(1) << power) + ((some >> 1) & ((np.int64(1) << power) - 1))
    here = e // degree
    u[i], v[i] = here, (here + (distance if some & 1 != 0 else -distance)) & (n - 1)


def _rewired(i: Any, lo: Any, seed: Any, n: Any, half: Any, probability: Any, u: Any, v: Any) -> None:
    e = lo + i
    here = e // half
    other = (here + 1 + e % half) % n
    if random.uniform(seed, e) < probability:
        other = random.integers(seed, e, 0, n - 1)
        other += other >= here
    u[i], v[i] = here, other


def _weight(i: Any, lo: Any, seed: Any, m: Any, out: Any) -> None:
    out[i] = random.integers(seed, 4 * m + lo + i, 1, 256)


def _next(k: Any, first: Any, stride: Any, length: Any, u: Any, v: Any) -> None:
    """A vertex at the end of the grid gets a loop, which is left out."""
    i = first + k
    u[k], v[k] = i, i + stride if i // stride % length < length - 1 else i
