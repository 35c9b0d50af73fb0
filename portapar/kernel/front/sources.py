"""Finding the source of a function or lambda: in files, in notebook cells, and in texts of our own."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import linecache
import math
import os
import re
import sys
import textwrap
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from portapar import cache, forks
from portapar.errors import KernelError
from portapar.kernel.front.trees import walk


def kernel_error(what: str, remedy: str, name: str, file: str, line: int, column: int | None = None) -> KernelError:
    """A KernelError that shows the user's own line."""
    text = linecache.getline(file, line).rstrip()
    shown = f"\n    {text.strip()}" if text else ""
    if text and column is not None:
        column = len(text.encode()[:column].decode(errors="replace"))  # ast counts bytes
        shown += "\n    " + " " * max(0, column - (len(text) - len(text.lstrip()))) + "^"
    instead = f"\n  Instead: {remedy}{'' if remedy.endswith('?') else '.'}" if remedy else ""
    return KernelError(f"kernel{f' {name!r}' if name else ''} ({file}:{line}): {what}.{shown}{instead}")


_texts: dict[str, types.CodeType] = {}


def function(text: str, **names: Any) -> types.FunctionType:
    """A function of our own, a lambda or a ``def`` of one line, with its source where `inspect` finds it.

    Parameters
    ----------
    text : str
    **names
        What it captures.
    """
    if text not in _texts:
        file = f"<portapar {text}>"
        linecache.cache[file] = (len(text), None, [text + "\n"], file)
        _texts[text] = compile(text, file, "eval" if text.startswith("lambda") else "exec")
    space: dict[str, Any] = {"np": np, "math": math, **names}
    found = eval(_texts[text], space)
    return found if found is not None else space[text[4 : text.index("(")]]
source_lock = forks.lock()


_PICKLED = "<dynamic-code>"  #: what cloudpickle puts in the place of files


def recover(func: types.FunctionType) -> str | None:
    """The name under which `linecache` has the text of code that is of no file, if that text is to be had.

    It is the argument of ``python -c``, what was typed into Python 3.13 or later, the cell of a notebook that a
    magic such as ``%%time`` compiled under a name of its own, or the file of a function that cloudpickle brought here,
    as for workers of joblib and dask: it keeps the file of a function's globals, but not of its code.
    """
    code, home = func.__code__, func.__globals__.get("__file__")
    typed = getattr(linecache, "_getlines_from_code", None)
    brought = [(home, "".join(linecache.getlines(home)))] if code.co_filename == _PICKLED and home else []
    for name, text in (*brought, *_kept(code, typed(code) if typed is not None else [])):
        try:
            with source_lock, told_before():
                whole = compile(text, code.co_filename, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        if any(_facts(found) == _facts(code) for found in _codes(whole)):
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
            return name
    return None


def _kept(code: types.CodeType, typed: list[str]) -> Iterator[tuple[str, str]]:
    """(name, text) of what the code may come from."""
    if typed:
        yield code.co_filename, "".join(typed)
    for option, text in itertools.pairwise(sys.orig_argv):
        if re.fullmatch(r"-[A-Za-z]*c", option):
            yield "python -c", text
            yield "python -c", textwrap.dedent(text)
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", None)
    cells = list(history or getattr(shell, "user_ns", {}).get("In", []))
    for number, cell in reversed(list(enumerate(cells))):
        body = cell
        while body.lstrip().startswith("%%"):
            body = body.lstrip().partition("\n")[2]
        texts = [body] if body is not cell else []
        for line in cell.splitlines():
            magic = re.match(r"\s*%(?:time|timeit)\s+(?:-\w+\s*\d*\s+)*(.*)", line)
            texts += [magic[1]] if magic else []
        for text in texts:
            yield f"<cell {number} of the notebook>", text + "\n"


def unavailable(file: str) -> tuple[str, str]:
    """Why there is no text of code of such a file, and what to do."""
    if file == "<stdin>":
        why = "it was typed into Python before 3.13, or read from standard input, neither of which keeps it"
        return why, "put it into a file or a notebook cell, or start Python with the file's name"
    if file.startswith(("<timed", "<magic")):
        return "a magic of the notebook compiled it", "define it in a cell without the magic, and time the call alone"
    if file == _PICKLED:
        why = "cloudpickle brought it here, as for workers of joblib and dask, and does not keep where it was written"
        return why, "put it into a module that both processes import"
    if file.startswith("<") and not file.startswith("<ipython"):
        return "it was made by exec or eval", "put it into a file or a notebook cell"
    if "ipykernel" in file or file.startswith("<ipython"):
        why = "it is of a notebook, and this is another process than the notebook's"
        return why, "put it into a module that both import"
    return "there is no such file here", "put it into a module that this process can import, and import it"


def of_library(file: str) -> bool:
    """Whether a function's file is one of this library's own."""
    return file.startswith((_OWN, "<portapar "))


_OWN = str(Path(__file__).parents[2]) + os.sep


def tree_of(text: str) -> ast.Module:
    """The syntax tree of a text; two threads that make one at the same time may get a SystemError of CPython 3.11."""
    with source_lock, told_before():
        return ast.parse(text)


@contextlib.contextmanager
def told_before() -> Iterator[None]:
    """Without the warnings of Python's compiler: it gave them as it compiled the user's text itself.

    Take `source_lock` first: threads that do so at the same time would leave each other's filters.
    """
    with warnings.catch_warnings():
        for category in (SyntaxWarning, DeprecationWarning):  # the latter of backslashes in strings
            warnings.simplefilter("ignore", category)
        yield


def find_source(func: types.FunctionType) -> tuple[ast.FunctionDef | ast.Lambda, str]:
    """The syntax tree of a function, and its file. Lambdas are told apart by their columns."""
    code, file = func.__code__, func.__code__.co_filename
    name = "lambda" if code.co_name == "<lambda>" else code.co_name
    linecache.checkcache(file)
    lines = linecache.getlines(file, func.__globals__)
    if not lines:
        recovered = recover(func)
        if recovered is None:
            why, remedy = unavailable(file)
            raise KernelError(
                f"kernel {name!r} ({file}:{code.co_firstlineno}): its source text is not to be had ({why}), and "
                f"kernels are compiled from source. Instead: {remedy}."
            )
        file = recovered
        lines = linecache.getlines(file)
    try:
        tree = _parse(file, "".join(lines))
    except SyntaxError:
        raise changed_error(func, name) from None
    if code.co_flags & inspect.CO_COROUTINE:
        raise kernel_error("it is async", "a kernel is plain sequential code for one index", name, file,
                           code.co_firstlineno)
    spans = [
        ((first, start), (last or first, end or 0))
        for first, last, start, end in code.co_positions()
        if first is not None and start is not None and end != 0 and (first, start) != (last, end)
    ]
    candidates: list[ast.FunctionDef | ast.Lambda] = []
    for statement in tree.body:
        if not _first_line(statement) <= code.co_firstlineno <= (statement.end_lineno or 0):
            continue
        for node in walk(statement):
            if isinstance(node, ast.Lambda) and name == "lambda":
                begin, stop = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
                if node.lineno == code.co_firstlineno and all(begin <= a and b <= stop for a, b in spans):
                    candidates.append(node)
            elif isinstance(node, ast.FunctionDef) and (node.name, _first_line(node)) == (
                name,
                code.co_firstlineno,
            ):
                candidates.append(node)
    candidates = [node for node in candidates if _parameters(node) == parameter_names(code)]
    if not candidates:
        raise changed_error(func, name)
    if not spans and len({ast.dump(node) for node in candidates}) > 1:
        raise kernel_error(
            "there are several lambdas on its line, and Python was told not to keep columns",
            "write each on a line of its own", name, file, code.co_firstlineno,
        )  # fmt: skip
    return candidates[-1], file  # the innermost lambda comes last


def changed_error(func: types.FunctionType, name: str) -> KernelError:
    code = func.__code__
    return KernelError(
        f"kernel {name!r} ({code.co_filename}:{code.co_firstlineno}): its source is no longer what Python "
        "read; the file was changed after it was imported. Instead: start Python again, or reload the module."
    )


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def _parameters(node: ast.FunctionDef | ast.Lambda) -> list[str]:
    return [a.arg for a in (*node.args.posonlyargs, *node.args.args)]


def parameter_names(code: types.CodeType) -> list[str]:
    return list(code.co_varnames[: code.co_argcount])


_parsed: dict[tuple[str, str], ast.Module] = cache.Bounded(256)


def _parse(file: str, text: str) -> ast.Module:
    found = _parsed.get((file, text))
    if found is None:
        found = _parsed[file, text] = tree_of(text)
    return found


def is_compiled_from(code: types.CodeType, file: str) -> bool:
    """Whether the file, as it is now, still gives this code."""
    text = "".join(linecache.getlines(file))
    known = _compiled.get((file, text))
    if known is None:
        tree = _parse(file, text)
        with source_lock, told_before():
            whole = compile(tree, file, "exec", dont_inherit=True)
        known = _compiled[file, text] = {_facts(found) for found in _codes(whole)}
    return _facts(code) in known


_compiled: dict[tuple[str, str], set[tuple[Any, ...]]] = cache.Bounded(256)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


def _facts(code: types.CodeType) -> tuple[Any, ...]:
    found = (sorted(map(repr, c)) if isinstance(c, frozenset) else c for c in code.co_consts)
    consts = tuple(repr(c) for c in found if not isinstance(c, types.CodeType))
    return code.co_name, code.co_firstlineno, code.co_code, code.co_names, code.co_varnames, consts
