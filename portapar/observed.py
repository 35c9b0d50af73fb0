"""How often loops run, and how often conditions hold, in some iterations of a program: what its text does not say.

A program's text is plain Python: some of its iterations are run by Python itself, on copies of what they write, and
counted. That ends after so many steps, which are expressions and their parts, some 50 million of them a second; so what
is seen is the same each time. Of loops that were not through by then is known what they do at the least.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from portapar import arrays, cache
from portapar.counter import Counter, Seen
from portapar.kernel.front import atomic, private
from portapar.kernel.front.rows import row_number
from portapar.kernel.front.sources import source_lock, told_before, tree_of
from portapar.problem import Problem

_SOME = 64  #: iterations at the most
_COPIED = 1 << 20  #: bytes of an array that is copied as a whole
_FETCHED = 1 << 26  #: bytes that are brought from a device
_ENTERED = 3  #: times after which it does not matter that the last one was not through
_GOLDEN = (math.sqrt(5) - 1) / 2  #: the places of iterations, which follow no rule that data do
_known: dict[Any, Seen] = cache.Bounded()
_guesses: dict[Any, bool] = cache.Bounded()


def once(problem: Problem, steps: int) -> Seen:
    """What was seen of a program with about as many iterations; looks itself if nobody has."""
    if not _guessed(problem):
        return {}
    key = problem.program.key, round(math.log2(max(problem.size, 1)) / 3)
    if key not in _known:
        _known[key] = of(problem, 0, problem.size, steps)[0]
    return _known[key]


def _guessed(problem: Problem) -> bool:
    """Whether how often a program's loops run had to be guessed."""
    key = problem.program.key
    if key not in _guesses:
        counter = Counter(problem)
        counter.iteration()
        _guesses[key] = counter.guessed
    return _guesses[key]


def of(problem: Problem, lo: int, hi: int, steps: int) -> tuple[Seen, int]:
    """What iterations among [lo, hi) do, in so many steps, and the steps; nothing if Python cannot run them."""
    program = problem.program
    if program.form == "groups" or lo >= hi or steps <= 0 or not _guessed(problem):
        return {}, 0
    counts = _Counts(steps)
    try:
        values = list(_copies(problem))
        run = _functions(program.text, counts)
        body = run["elem" if program.form == "reduce" else "body"]
        count = min(_SOME, hi - lo)
        with np.errstate(all="ignore"):
            for k in range(count):
                at = lo + int((hi - lo) * ((k + 1) * _GOLDEN % 1.0 if count < hi - lo else k / count))
                body(*_indices(problem, at), *values)
    except _LateError as late:
        counts.leave(late)
    except Exception:  # noqa: BLE001  Python's numbers are not quite a kernel's: then the text alone is counted
        return {}, steps - counts.left
    return counts.found(), steps - counts.left


class _LateError(Exception):
    """All steps are done."""


class _Counts:
    """What the functions below call."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.entered: dict[Any, int] = {}
        self.done: dict[Any, int] = {}
        self.lines: dict[Any, int] = {}  #: where a loop ends
        self.open: set[Any] = set()

    def enter(self, line: int, column: int, last: int) -> None:
        key = line, column
        self.entered[key] = self.entered.get(key, 0) + 1
        self.done.setdefault(key, 0)
        self.lines[key] = last

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise _LateError

    def round(self, line: int, column: int, steps: int) -> None:
        self.done[line, column] += 1
        self.spend(steps)

    def again(self, line: int, column: int, steps: int, test: Any) -> bool:
        """The condition of a while loop."""
        if test:
            self.round(line, column, steps)
        return bool(test)

    def holds(self, line: int, column: int, test: Any) -> bool:
        key = line, column
        self.entered[key] = self.entered.get(key, 0) + 1
        self.done[key] = self.done.get(key, 0) + bool(test)
        return bool(test)

    def leave(self, late: Exception) -> None:
        """Note which loops were not through."""
        step = late.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_filename == _FILE:
                self.open |= {key for key, last in self.lines.items() if key[0] <= step.tb_lineno <= last}
            step = step.tb_next

    def found(self) -> Seen:
        return {
            key: (self.done[key] / count, key in self.open and count < _ENTERED) for key, count in self.entered.items()
        }


_FILE = "<portapar observed>"


def _functions(text: str, counts: _Counts) -> dict[str, Any]:
    space: dict[str, Any] = {"np": np, "math": math, "atomic": atomic, "row_number": row_number}
    space.update((constructor.__name__, constructor) for constructor in private.CONSTRUCTORS)
    space["_enter"], space["_round"], space["_again"], space["_holds"], space["_spend"] = (
        counts.enter, counts.round, counts.again, counts.holds, counts.spend,
    )  # fmt: skip
    tree = ast.fix_missing_locations(_Noting().visit(tree_of(text)))
    with source_lock, told_before():
        code = compile(tree, _FILE, "exec")
    exec(code, space)
    return space


class _Noting(ast.NodeTransformer):
    """Writes into loops and conditions that they are counted."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        steps = _steps(node)
        self.generic_visit(node)
        node.body.insert(0, ast.copy_location(ast.Expr(_call("_spend", None, ast.Constant(steps))), node.body[0]))
        return node

    def visit_For(self, node: ast.For) -> Any:
        return self._loop(node)

    def visit_While(self, node: ast.While) -> Any:
        if all(isinstance(x, ast.Pass) for x in node.body):  # it waits for another iteration, which does not run
            return ast.copy_location(ast.Pass(), node)
        return self._loop(node)

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        node.test = _call("_holds", node, node.test)
        return node

    def _loop(self, node: Any) -> Any:
        steps = ast.Constant(_steps(node))
        self.generic_visit(node)
        if isinstance(node, ast.While):
            node.test = _call("_again", node, steps, node.test)
        else:
            node.body.insert(0, ast.copy_location(ast.Expr(_call("_round", node, steps)), node))
        begun = ast.Expr(_call("_enter", node, ast.Constant(node.end_lineno)))
        return [ast.copy_location(begun, node), node]


def _steps(node: ast.AST) -> int:
    """Expressions of a function or a loop, and their parts, but those of loops inside."""
    inner = (x for x in ast.iter_child_nodes(node))
    return sum(1 if isinstance(x, (ast.For, ast.While)) else 1 + _steps(x) for x in inner)


def _call(name: str, node: Any, *args: ast.expr) -> ast.Call:
    here = [] if node is None else [ast.Constant(node.lineno), ast.Constant(node.col_offset)]
    return ast.Call(ast.Name(name, ast.Load()), [*here, *args], [])


class _Over:
    """An array in which what is written is kept beside it."""

    def __init__(self, of: np.ndarray) -> None:
        self.of, self.written = of, dict[Any, Any]()
        self.shape, self.dtype, self.size, self.ndim = of.shape, of.dtype, of.size, of.ndim

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, index: Any) -> Any:
        found = self.written.get(index)
        if found is None:
            found = self.of[index]
            if isinstance(found, (np.ndarray, np.void)):  # a row, a record: it may be written to
                if found.nbytes > _COPIED:
                    raise ValueError("so much is not copied")
                found = self.written[index] = found.copy()
        return found

    def __setitem__(self, index: Any, value: Any) -> None:
        self.written[index] = self.dtype.type(value)


def _copies(problem: Problem) -> Iterator[Any]:
    """The arguments; arrays that are written to as copies."""
    for k, x in enumerate(problem.values):
        use = problem.access[k]
        if not problem.program.specs[k].is_array:
            yield x
            continue
        if not isinstance(x, np.ndarray):
            if x.size * x.dtype.itemsize > _FETCHED:
                raise ValueError("so much is not brought from a device")
            x = arrays.asnumpy(x)
        elif use is not None and use.writes:
            x = x.copy() if x.nbytes <= _COPIED else _Over(x)
        yield x


def _indices(problem: Problem, at: int) -> tuple[int, ...]:
    found = np.unravel_index(at, problem.extent)
    return tuple(a + int(k) * b for k, a, b in zip(found, problem.start, problem.step, strict=True))
