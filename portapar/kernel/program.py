"""A program: the text of one call's functions, with the kinds of its arguments.

Every backend starts from the same program. Its text is plain Python; the renderers turn it into
native code (Numba for CPUs, C for OpenCL and CUDA).
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import config


@dataclass(frozen=True, slots=True)
class Spec:
    """The kind of one argument: all that code depends on, and nothing else.

    A scalar has ``ndim == -1``. `contiguous` means C order without gaps.
    """

    dtype: np.dtype
    ndim: int = -1
    contiguous: bool = True
    readonly: bool = False

    @property
    def is_array(self) -> bool:
        return self.ndim >= 0

    def __str__(self) -> str:
        if not self.is_array:
            return str(self.dtype)
        layout = "" if self.contiguous else ", strided"
        return f"{self.dtype}[{', '.join(':' * self.ndim)}{layout}]"


@dataclass(frozen=True, eq=False)
class Program:
    """The functions of a call as Python text, ready for a renderer.

    Attributes
    ----------
    form : {"map", "transform", "reduce"}
        ``map`` and ``transform`` define ``body(i[, j[, k]], *args)``; a ``transform`` also has
        `out`, the number of the argument that receives ``elem(i, *args)``, and `body` is that
        store. ``reduce`` defines ``elem(i, *args)`` and ``op(x, y)``.
    text : str
        A module of plain functions; `names` are its functions, callees first.
    specs : tuple of Spec
        The kinds of ``args``.
    ndim : int
        Number of indices that `body` or `elem` takes, 1 to 3.
    unit : bool
        Every index starts at 0 and steps by 1.
    inplace : bool
        The output of a transform is one of its inputs too.
    acc : numpy.dtype or None
        The type in which a reduction accumulates.
    ordered : bool
        A reduction's operator does not commute.
    origin : dict
        Line of `text` → (file, line) of the user's source.
    """

    form: str
    text: str
    names: tuple[str, ...]
    specs: tuple[Spec, ...]
    ndim: int = 1
    unit: bool = True
    out: int = -1
    inplace: bool = False
    acc: np.dtype | None = None
    ordered: bool = False
    origin: Any = None

    @functools.cached_property
    def key(self) -> str:
        """A digest of everything that generated code depends on."""
        parts = (self.form, self.text, self.specs, self.ndim, self.unit, self.out, self.acc, self.ordered)
        return config.digest(repr(parts).encode(), 16).hex()

    @functools.cached_property
    def namespace(self) -> dict[str, Any]:
        """The functions as objects; each is a Numba dispatcher, so that compiled code can call it."""
        return self.functions()

    def functions(self, edit: Callable[[dict[str, str]], dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
        """The same from other texts: of all by name `edit` gives some in another form, which may use `more`."""
        from portapar.kernel import atomic, private

        atomic.register()
        private.register()
        space: dict[str, Any] = {
            "np": np,
            "math": math,
            "atomic": atomic,
            "private_zeros": getattr(private, "private_zeros", None),
            "private_empty": getattr(private, "private_empty", None),
            "private_full": getattr(private, "private_full", None),
            **more,
        }
        parts = re.split(r"^(?=def )", self.text, flags=re.MULTILINE)[1:]
        texts: dict[str, Any] = {part[len("def ") : part.index("(")]: part for part in parts}
        forms = texts | (edit(texts) if edit else {})
        origin, line = self.origin or {}, 1
        for name, text in texts.items():
            code = compile(forms[name], "<portapar kernels>", "exec").co_consts[0]
            places = tuple(origin.get(line + k) for k in range(text.count("\n") + 1))
            known = tuple((name, space[name]) for name in code.co_names if name in space)
            space[name] = _function(code, places, known)
            line += text.count("\n")
        return space

    def place(self, line: int) -> tuple[str, int] | None:
        """The user's file and line that a line of a function in the namespace came from, or the line before it."""
        for name in self.names:
            function = self.namespace[name].py_func
            k = line - function.__code__.co_firstlineno
            if 0 <= k < len(function.places):
                return next((place for place in function.places[k::-1] if place), None)
        return None


_firsts = itertools.count(10**6, 10**3)  #: where functions begin: no other source has such lines


@functools.lru_cache(maxsize=4096)
def _function(code: types.CodeType, places: tuple[Any, ...], known: tuple[tuple[str, Any], ...]) -> Any:
    """A function, made once for all programs that have it: typing and lowering it is what takes time.

    `known` is what it uses of the namespace, `places` is where its lines came from. Each function has lines of its
    own, so that a line in a message says which function it is of.
    """
    from portapar.kernel.native import callee

    space = dict(known)
    function = types.FunctionType(code.replace(co_firstlineno=next(_firsts)), space)
    function.places = places  # type: ignore[attr-defined]
    space[code.co_name] = made = callee(function)
    return made


OVERLAP = object()  #: the answer of a prepared launch that cannot take these arguments


@dataclass(slots=True)
class Task:
    """A range of one call, with its arguments where the device can read them.

    `values` are the program's arguments in order: arrays of the device's own kind, and scalars.
    Element (i, ...) of array k lies at row ``i - firsts[k]``: a device may hold a part of an array.
    The indices of the call are the flat, row-major numbers [lo, hi) of the box `extent`; on axis d
    an index has the value ``start[d] + step[d] * position``.

    `whole` says that the task is all of its call: a reduction may return one partial for each 2^k tiles,
    counted from 0, which folds to the same result.
    `wakes` says whether the work outweighs waking CPU threads that sleep.
    """

    program: Program
    values: tuple[Any, ...]
    firsts: tuple[int, ...]
    extent: tuple[int, ...]
    start: tuple[int, ...]
    step: tuple[int, ...]
    lo: int
    hi: int
    threads: int = 0
    schedule: str = "static"
    chunk: int = 0
    whole: bool = False
    wakes: bool = True
