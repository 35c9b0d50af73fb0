"""A program: the text of one call's functions, with the kinds of its arguments.

Every backend starts from the same program. Its text is plain Python; the renderers turn it into
native code (Numba for CPUs, C for OpenCL and CUDA).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import config, forks

INDICES = ("i", "j", "k", "l", "m", "n")  #: the names of a program's indices; there are no more


@dataclass(frozen=True, slots=True)
class Spec:
    """The kind of one argument: all that code depends on, and nothing else.

    A scalar has ``ndim == -1``. `contiguous` means C order without gaps. `tail` are the lengths of the last axes where
    code is made for just these. Numbers of Python's own are `weak`, as in NumPy: they take the dtype of what they meet.
    """

    dtype: np.dtype
    ndim: int = -1
    contiguous: bool = True
    readonly: bool = False
    tail: tuple[int, ...] = ()
    weak: bool = False

    @property
    def is_array(self) -> bool:
        return self.ndim >= 0

    def __str__(self) -> str:
        named = self.dtype.names
        kind = f"record of {', '.join(map(repr, named))}" if named else str(self.dtype)
        if not self.is_array:
            return kind
        layout = "" if self.contiguous else ", strided"
        return f"{kind}[{', '.join(':' * self.ndim)}{layout}]"


@dataclass(frozen=True, eq=False)
class Program:
    """The functions of a call as Python text, ready for a renderer.

    Attributes
    ----------
    form : {"map", "transform", "reduce", "groups"}
        ``map`` and ``transform`` define ``body(i[, j[, …]], *args)``; a ``transform`` also has
        `out`, the number of the argument that receives ``elem(i, *args)``, and `body` is that
        store. ``reduce`` defines ``elem(i, *args)`` and ``op(x, y)``. ``groups`` is a map for groups of work-items:
        ``body(group, step, item, *args)``, where no item of a group begins a step before all have ended the one before.
    text : str
        A module of plain functions; `names` are its functions, callees first.
    specs : tuple of Spec
        The kinds of ``args``.
    ndim : int
        Number of indices that `body` or `elem` takes, at most `len(INDICES)`.
    unit : bool
        Every index starts at 0 and steps by 1.
    steps : tuple of int
        If it is not `unit`: how far the index goes on each axis, 0 for what is only known in the call.
    signed : bool
        Some indices may be negative.
    last : int
        How long the last axis of the space is where code is made for just that; else 0.
    own : tuple of int
        Arguments that are read at the kernel's own index alone, which is in their range: they may be read at any time.
    written : tuple of int, optional
        The arguments that a map writes to, if that is known.
    idle : tuple of int
        Those of which a map uses no element: they may share memory with any other.
    updated : tuple of (int, str)
        The arguments that a map updates atomically, with how copies of one are combined (`portapar.kernel.copies`);
        that is empty where copies do not do: it is used in other ways too, or what updates give back is.
    inplace : bool
        The output of a transform is one of its inputs too.
    acc : numpy.dtype or None
        The type in which a reduction accumulates.
    ordered : bool
        A reduction combines neighbours first: its operator does not commute, or may overflow otherwise.
    sequential : bool
        Iterations of a map run one after the other, and may use what those before have written.
    once : bool
        A map of one index that has little to do: it is compiled sooner, and some of its loops may be slower.
    shared : tuple of int
        Of ``groups``: how many elements the first arguments have, which are arrays that the items of a group share.
    origin : dict
        Line of `text` → (file, line) of the user's source.
    """

    form: str
    text: str
    names: tuple[str, ...]
    specs: tuple[Spec, ...]
    ndim: int = 1
    unit: bool = True
    steps: tuple[int, ...] = ()
    signed: bool = False
    last: int = 0
    out: int = -1
    own: tuple[int, ...] = ()
    written: tuple[int, ...] | None = None
    idle: tuple[int, ...] = ()
    updated: tuple[tuple[int, str], ...] = ()
    inplace: bool = False
    acc: np.dtype | None = None
    ordered: bool = False
    sequential: bool = False
    once: bool = False
    shared: tuple[int, ...] = ()
    origin: Any = None

    @functools.cached_property
    def key(self) -> str:
        """A digest of everything that generated code depends on."""
        space = (self.ndim, self.unit, self.steps, self.signed, self.own, self.written, self.idle, self.once)
        parts = (self.form, self.text, self.specs, *space, self.last, self.shared, self.out, self.acc, self.ordered)
        return config.digest(repr((*parts, "sequential") if self.sequential else parts).encode(), 16).hex()


forks.shared(Program.__dict__["key"])


@functools.lru_cache(maxsize=4096)
def in_order(program: Program) -> Program:
    """A program whose iterations run one after the other."""
    return dataclasses.replace(program, sequential=True)


@functools.lru_cache(maxsize=4096)
def has_loop(text: str) -> bool:
    """Whether a program's text has a loop, so that an iteration may take long."""
    return re.search(r"^\s*(for|while)\b", text, re.MULTILINE) is not None


_SLOW = re.compile(
    r"\b(?:math|cmath|np)\.(?:a?(?:rc)?(?:sin|cos|tan)h?2?|exp\w*|log\w*|pow\w*|cbrt|erfc?|l?gamma|hypot)\(|"
    r"\*\* (?!-?[0-5]\b(?!\.))"
)


@functools.lru_cache(maxsize=4096)
def may_be_slow(text: str) -> bool:
    """Whether nobody knows how long an iteration takes: a program's text has a loop, or functions of mathematics."""
    return has_loop(text) or _SLOW.search(text) is not None


@functools.lru_cache(maxsize=4096)
def grows(text: str, ndim: int) -> bool:
    """Whether a program's text has a loop that takes the longer the larger, or smaller, an index is: a triangle."""
    entry = re.search(r"^def (?:body|elem)\(([^)]*)\):\n((?:[ ]+.*\n|\n)*)", text, re.MULTILINE)
    if entry is None:
        return False
    indices = set(entry[1].split(", ")[:ndim])
    ends = re.findall(r"^\s*for \w+ in range\((.*)\):$", entry[2], re.MULTILINE)
    return any(indices & set(re.findall(r"\w+", re.sub(r"\[[^\[\]]*\]", "", end))) for end in ends)


SHORT = 16  #: the length of a short last axis of an array may be a constant of the code
ROW, ROWS = 4, 1024  #: how long rows of a space are at most, and how many indices it has at least, for `short_last`


def short_last(extent: tuple[int, ...]) -> int:
    """The length of the last axis of a space of many short rows, for which code of its own pays; else 0."""
    return extent[-1] if len(extent) > 1 and 0 < extent[-1] <= ROW and math.prod(extent) >= ROWS else 0


REFUSED = object()  #: the answer of a prepared launch that cannot take these arguments


@dataclass(slots=True)
class Task:
    """A range of one call, with its arguments where the device can read them.

    `values` are the program's arguments in order: arrays of the device's own kind, and scalars.
    Element (i, ...) of array k lies at row ``i - firsts[k]``: a device may hold a part of an array.
    The indices of the call are the flat, row-major numbers [lo, hi) of the box `extent`; on axis d
    an index has the value ``start[d] + step[d] * position``.

    `whole` says that the task is all of its call: a reduction may return one partial for each 2^k tiles,
    counted from 0, which folds to the same result.
    `wakes` says whether the work outweighs waking CPU threads that sleep, `alone` that one thread begins, because how
    long an iteration takes is not known, and others join where the rest outweighs it.
    `rows` says of arrays how many rows they have all in all, where kernels ask for it and parts of them lie here; 0 of
    those that end with what is here.
    `before` and `after` ask of a reduction, on a device that has `ends`, for the values of so many elements before and
    behind [lo, hi), besides the partials of these: they come before and behind them. Its kernel has no loop.
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
    alone: bool = False
    rows: tuple[int, ...] = ()
    before: int = 0
    after: int = 0
