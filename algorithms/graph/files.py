"""load and save: graphs in files, of the formats of the GAP benchmark, Matrix Market, METIS and NumPy.

A file that does not hold what its kind promises is refused with the place; nothing is half loaded.
"""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from portapar import arrays
from portapar.algorithms.graph.build import WIDEST
from portapar.algorithms.graph.graph import Graph
from portapar.devices import DeviceExecutor, threads
from portapar.errors import ArgumentError, PortaparError, flags, of_kind, path_of
from portapar.partitioned import PartitionedArray
from portapar.policy import Policy, check_policy, par


def load(policy: Policy | None, path: str | os.PathLike[str], *, directed: bool | None = None) -> Graph:
    """A graph from a file, whose kind its name's ending tells.

    Parameters
    ----------
    policy : Policy
        Where the graph is built, and lives.
    path : str or path
        ``.el``: two vertices in each line; ``.wel``: and a weight. ``.sg``, ``.wsg``: what the converter of the GAP
        benchmark writes. ``.mtx``: Matrix Market (needs SciPy). ``.metis``, ``.graph``: METIS. ``.npz``: what `save`
        writes.
    directed : bool, optional
        For lists of edges, which do not say: directed by default. Other files say it themselves.

    Returns
    -------
    Graph
        Loops are left out, and of equal edges the one with the smallest weight is kept; in ``.sg``, ``.wsg`` and
        ``.npz`` everything is as it stands there.

    Raises
    ------
    ArgumentError
        The file does not hold such a graph.
    OSError

    Examples
    --------
    >>> import portapar as pp, tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "path.el")
    >>> _ = file.write_text("0 1\\n1 2\\n")
    >>> pp.graph.load(pp.par, file)
    pp.graph.Graph(3 vertices, 2 edges, directed)
    """
    flags("graph.load", directed=directed is not None and directed)
    check_policy(policy, "graph.load")
    path = path_of("graph.load: path", path)
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise ArgumentError(f"graph.load: {path}: the kind {path.suffix!r} is not known: {', '.join(_READERS)} are")
    policy = (par if policy is None else policy)._but(asynchronous=False)
    where = policy.executor
    if where is not None and not isinstance(where, DeviceExecutor):  # each rank reads all, and keeps its rows
        return load(par.on(threads()), path, directed=directed).place(where)
    with path.open("rb"):  # what is wrong with the file itself is told by the system's own error
        pass
    try:
        return reader(policy, path, directed)
    except ArgumentError as error:
        raise ArgumentError(f"graph.load: {path}: {error}") from None
    except _GARBLED as error:
        if isinstance(error, PortaparError) or getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise  # of the executor, or of the system
        told = f"{type(error).__name__}: {error}"
        raise ArgumentError(f"graph.load: {path}: it does not hold what a {path.suffix} file does: {told}") from error


def save(path: str | os.PathLike[str], graph: Graph) -> None:
    """Write a graph to a file ``.npz`` of NumPy: offsets, targets, weights if there are any, and whether it is
    directed.

    Parameters
    ----------
    path : str or path
    graph : Graph
    """
    path = path_of("graph.save: path", path)
    if not isinstance(graph, Graph):
        raise ArgumentError(f"graph.save: the graph is {of_kind(graph)}: must be a pp.graph.Graph")
    if path.suffix != ".npz":
        raise ArgumentError(f"graph.save: {path}: must end with .npz")
    held = {"offsets": graph.offsets, "targets": graph.targets, "weights": graph.weights}
    values: dict[str, Any] = {name: arrays.asnumpy(x) for name, x in held.items() if x is not None}

    def write() -> None:
        np.savez(path, directed=np.array(graph.directed), **values)

    if isinstance(graph.targets, PartitionedArray):  # one rank writes
        where = graph.targets.executor
        where.each(f"graph.save of {path}", [write if k == 0 else lambda: None for k in where.own])
    else:
        write()


def _edges(policy: Policy, path: Path, directed: bool | None) -> Graph:
    columns = ["u", "v", "w"] if path.suffix == ".wel" else ["u", "v"]
    told = f"must be {'two vertices and a weight' if len(columns) == 3 else 'two vertices'}"
    lines = _lines(path, "#%")
    text = [line for _, line in lines]

    def read(text: list[str], kind: str) -> np.ndarray:
        kinds = np.dtype([(name, kind if name == "w" else "i8") for name in columns])
        return np.loadtxt(text, kinds, ndmin=1) if text else np.empty(0, kinds)

    try:
        found = read(text, "i8")
    except ValueError:
        try:
            found = read(text, "f8")  # the weights
        except ValueError:
            raise ArgumentError(_wrong(lines, lambda line: read([line], "f8"), told)) from None
    u, v, *weights = (np.ascontiguousarray(found[name]) for name in columns)
    wrong = (u < 0) | (v < 0) | (u >= WIDEST) | (v >= WIDEST)
    for w in weights:
        wrong |= np.isnan(w)
    if wrong.any():
        number, line = lines[int(wrong.argmax())]
        raise ArgumentError(f"line {number} is {line!r}: {told}, vertices from 0 to 2**31 - 1, weights not NaN")
    return Graph.from_edges(policy, u, v, *weights, directed=directed is not False)


def _lines(path: Path, comments: str, blank: bool = False) -> list[tuple[int, str]]:
    """The lines of a text that are no comments, and the number of each."""
    numbered = enumerate(path.read_text().splitlines(), 1)
    return [(k, line) for k, line in numbered if (line.strip() or blank) and line.lstrip()[:1] not in tuple(comments)]


def _wrong(lines: list[tuple[int, str]], read: Callable[[str], Any], told: str) -> str:
    """Which line cannot be read."""
    for number, line in lines:
        try:
            read(line)
        except (ValueError, OverflowError):
            return f"line {number} is {line!r}: {told}"
    return f"its lines differ in what they hold: each {told}"


def _serialized(policy: Policy, path: Path, directed: bool | None) -> Graph:
    raw = path.read_bytes()
    pair = 2 if path.suffix == ".wsg" else 1
    if len(raw) < 17:
        raise ArgumentError(f"it has {len(raw)} bytes, fewer than its header")
    m, n = (int(k) for k in np.frombuffer(raw, np.int64, 2, 1))
    turned = bool(raw[0])
    one = 8 * (n + 1) + 4 * pair * m
    if raw[0] > 1 or n < 0 or m < 0 or len(raw) != 17 + one * (1 + turned):
        raise ArgumentError(
            f"it has {len(raw)} bytes, and its header tells of {n} vertices and {m} edges: it is cut off"
        )
    offsets = np.frombuffer(raw, np.int64, n + 1, 17).copy()
    edges = np.frombuffer(raw, np.int32, m * pair, 17 + 8 * (n + 1)).reshape(m, pair)
    weights = edges[:, 1].copy() if pair == 2 else None
    graph = Graph(offsets, edges[:, 0].copy(), weights, directed=turned)
    if turned:  # the same edges once more, by where they end
        back = np.frombuffer(raw, np.int64, n + 1, 17 + one)
        if back[0] != 0 or not np.array_equal(np.diff(back), np.bincount(graph.targets, minlength=n)):
            raise ArgumentError("the edges into its vertices are not as many as it has edges that lead there")
    return _placed(policy, graph)


def _matrix_market(policy: Policy, path: Path, directed: bool | None) -> Graph:
    from scipy.io import mminfo, mmread

    rows, columns, _, form, field, symmetry = mminfo(path)
    if form != "coordinate" or symmetry not in ("general", "symmetric"):
        raise ArgumentError(
            f"it is a matrix of the kind {form} {symmetry}: must be coordinate, and general or symmetric"
        )
    matrix = mmread(path).tocoo()
    if rows != columns:
        raise ArgumentError(f"the matrix has shape ({rows}, {columns}): must be square")
    weights = None if field == "pattern" else matrix.data
    if weights is not None and weights.dtype.kind not in "iuf":
        raise ArgumentError(f"its values are {field}: must be integers or reals")
    u, v = matrix.row.astype(np.int64), matrix.col.astype(np.int64)
    return Graph.from_edges(policy, u, v, weights, n=rows, directed=symmetry == "general")


def _metis(policy: Policy, path: Path, directed: bool | None) -> Graph:
    lines = _lines(path, "%", blank=True)
    told = (
        "must hold the number of vertices, of edges, the format (none, or digits 0 and 1), and of weights of a vertex"
    )
    try:
        head = [int(word) for word in lines[0][1].split()] if lines else []
    except ValueError:
        head = []
    if not 2 <= len(head) <= 4 or min(head) < 0 or not set(str((*head, 0)[2])) <= {"0", "1"}:
        raise ArgumentError(f"its first line {told}")
    n, m, code = (*head, 0)[:3]
    weighted, sizes = code % 10 == 1, (head[3] if len(head) > 3 else 1) * (code // 10 % 10) + code // 100
    rows, rest = lines[1 : n + 1], lines[n + 1 :]
    if len(rows) < n:
        raise ArgumentError(f"it tells of {n} vertices, and has {len(rows)} lines for them")
    more = next((number for number, line in rest if line.strip()), None)
    if more is not None:
        raise ArgumentError(f"it tells of {n} vertices, and line {more} is one more")
    step = 2 if weighted else 1

    def read(line: str) -> np.ndarray:
        words = np.array(line.split(), np.int64)[sizes:]
        ends = words[::step]
        if len(words) % step or (ends < 1).any() or (ends > n).any():
            raise ValueError
        return words

    try:
        found = [read(line) for _, line in rows]
    except (ValueError, OverflowError):
        raise ArgumentError(
            _wrong(rows, read, f"must hold neighbours, 1 to {n}{', each with its weight' * weighted}")
        ) from None
    counts = [len(row) // step for row in found]
    if sum(counts) != 2 * m:
        raise ArgumentError(
            f"it tells of {m} edges, and its lines hold {sum(counts)} neighbours: must be twice as many"
        )
    flat = np.concatenate([*found, np.empty(0, np.int64)]).reshape(-1, step)
    u, v = np.repeat(np.arange(n), counts), np.ascontiguousarray(flat[:, 0]) - 1
    if (u == v).any():
        raise ArgumentError(f"vertex {int(u[u == v][0]) + 1} is its own neighbour, which METIS does not have")
    weights = np.ascontiguousarray(flat[:, 1]) if weighted else None
    there = Graph.from_edges(policy, u, v, weights, n=n, directed=True)
    return Graph(there.offsets, there.targets, there.weights, directed=False)  # looks whether both lines tell of each


def _saved(policy: Policy, path: Path, directed: bool | None) -> Graph:
    file = np.load(path, allow_pickle=False)
    if isinstance(file, np.ndarray):
        raise ArgumentError("it holds one array: it is no file of save")
    with file:
        held = {name: file[name] for name in file.files}
    missing = {"offsets", "targets", "directed"} - set(held)
    if missing:
        raise ArgumentError(f"it holds no {', '.join(sorted(missing))}: it is no file of save")
    if held["directed"].dtype != bool or held["directed"].size != 1:
        raise ArgumentError(f"directed is {held['directed']}: must be True or False")
    graph = Graph(held["offsets"], held["targets"], held.get("weights"), directed=bool(held["directed"].item()))
    return _placed(policy, graph)


def _placed(policy: Policy, graph: Graph) -> Graph:
    return graph if policy.executor is None else graph.place(policy.executor)


#: what readers raise about a file that is garbled
_GARBLED = (
    ValueError, TypeError, AttributeError, KeyError, IndexError, ArithmeticError, MemoryError, NotImplementedError,
    EOFError, OSError, zipfile.BadZipFile,
)  # fmt: skip

_READERS: dict[str, Callable[[Policy, Path, bool | None], Graph]] = {
    ".el": _edges, ".wel": _edges, ".sg": _serialized, ".wsg": _serialized, ".mtx": _matrix_market,
    ".metis": _metis, ".graph": _metis, ".npz": _saved,
}  # fmt: skip
