"""A program's functions as objects: Numba dispatchers, each made once for all programs that hold it."""

from __future__ import annotations

import dis
import functools
import itertools
import math
import re
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from portapar.kernel.front import atomic, private
from portapar.kernel.front.rows import row_number
from portapar.kernel.front.sources import of_library, source_lock, told_before
from portapar.kernel.jit.native import callee
from portapar.kernel.program import Program


@functools.lru_cache(maxsize=1024)
def namespace(program: Program) -> dict[str, Any]:
    """The functions by name; each is a Numba dispatcher, so that compiled code can call it."""
    return functions(program)


def functions(
    program: Program, edit: Callable[[dict[str, str]], dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """The same from other texts: of all by name `edit` gives some in another form, which may use `more`."""
    import numba  # noqa: F401  as a whole first

    from portapar.kernel.jit import llvm

    llvm.register()
    space: dict[str, Any] = {"np": np, "math": math, "atomic": atomic, **more}
    space["row_number"] = row_number
    space.update((constructor.__name__, constructor) for constructor in private.CONSTRUCTORS)
    texts: dict[str, Any] = function_texts(program)
    forms = texts | (edit(texts) if edit else {})
    weak = weak_places(program)
    origin, line = program.origin or {}, 1
    for name, text in texts.items():
        with source_lock, told_before():
            code = compile(forms[name], "<portapar kernels>", "exec").co_consts[0]
        places = tuple(origin.get(line + k) for k in range(text.count("\n") + 1))
        known = tuple((name, space[name]) for name in code.co_names if name in space)
        soft = {"body": weak, "elem": weak, "op": ()}.get(name)
        space[name] = _function(code, places, known, soft, program.once)
        line += text.count("\n")
    return space


def weak_places(program: Program, last: bool = False) -> tuple[int, ...]:
    """The places of a body's arguments that are Python's numbers; `last`: there is one more, which is one, too."""
    weak = (program.ndim + k for k, spec in enumerate(program.specs) if spec.weak)
    return (*range(program.ndim), *weak, *[program.ndim + len(program.specs)] * last)


def function_texts(program: Program) -> dict[str, str]:
    """The text of each of a program's functions, callees first."""
    parts = re.split(r"^(?=def )", program.text, flags=re.MULTILINE)[1:]
    return {part[len("def ") : part.index("(")]: part for part in parts}


def place(program: Program, line: int) -> tuple[str, int] | None:
    """The user's file and line that a line of a function in the namespace came from, or the line before it.

    What a function of this library's own does came from where it is called, if that is a line of the user's.
    """
    functions = {name: namespace(program)[name].py_func for name in program.names}
    first = None
    for _ in functions:
        begins = {name: line - f.__code__.co_firstlineno for name, f in functions.items()}
        name = next((name for name, k in begins.items() if 0 <= k < len(functions[name].places)), None)
        if name is None:
            return first
        found = next((found for found in functions[name].places[begins[name] :: -1] if found), None)
        if found is None or not of_library(found[0]):
            return found or first
        first = first or found
        others = (i for f in functions if f != name for i in dis.get_instructions(functions[f]) if i.argval == name)
        line = next((i.positions.lineno for i in others if i.positions and i.positions.lineno), 0)
    return first


_firsts = itertools.count(10**6, 10**3)  #: where functions begin: no other source has such lines


@functools.lru_cache(maxsize=1024)
def _function(
    code: types.CodeType,
    places: tuple[Any, ...],
    known: tuple[tuple[str, Any], ...],
    weak: tuple[int, ...] | None,
    once: bool,
) -> Any:
    """A function, made once for all programs that have it: typing and lowering it is what takes time.

    `known` is what it uses of the namespace, `places` is where its lines came from. Each function has lines of its
    own, so that a line in a message says which function it is of. `weak` are the places of its arguments that are
    Python's numbers: indices, and scalars that were passed as such. For `once` see `Program`.
    """
    space = dict(known)
    function = types.FunctionType(code.replace(co_firstlineno=next(_firsts)), space)
    function.places = places  # type: ignore[attr-defined]
    made = callee(function, weak, once)
    if code.co_name in code.co_names:  # or else: Numba keeps what is compiled until nobody holds the function any more
        space[code.co_name] = made
    return made
