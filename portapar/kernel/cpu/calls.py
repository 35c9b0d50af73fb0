"""Calls that look like earlier ones: native code compares their arguments, packs them and runs the job.

In Python that takes some microseconds, most of a call on a few hundred elements. Here each call that was made several
times gets a table of what its arguments were, and a function for Python that walks it: an array has the same type,
dtype, shape and strides, a number the same type. Only if all are alike it runs the job that was prepared. Everything
else is left to Python: `caller` returns a function whose answer is REFUSED then, and nothing has happened.

The argument block belongs to the table, so that one thread at a time may use both: who finds them busy is refused,
too. What is not done at once (the time slice is over, others are to join, it failed) goes on in Python.

A table may be one of calls `over` other lengths, too. Then of shapes only that is compared on which code depends, and
the numbers that follow from the space are written anew, into a job that is the table's own.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from portapar.kernel.cpu.jobs import (
    ALIGN,
    CHUNK,
    EPILOGUE,
    MIDST,
    QUIT,
    SCHEDULE,
    STATE,
    THREADS,
    WORKER_SIZE,
    WORKERS,
)
from portapar.kernel.cpu.jobs import FIRST as JOB_FIRST
from portapar.kernel.cpu.jobs import HI as JOB_HI
from portapar.kernel.device import Holders
from portapar.kernel.jit import layout
from portapar.kernel.jit.layout import DATA, DESCR, DIMS, FLAGS, HEAD, ITEMS, NDIM, SIZE, STRIDES, TYPE
from portapar.kernel.jit.native import callee, native
from portapar.kernel.program import REFUSED, SHORT

# A table, by byte: how the job is run, then what the call looks like.
(
    KNOWN, BUSY, BLOCK, LOOP, JOB, LO, HI, REST, POOL, ACQUIRE, RELEASE, ERROR, _, _, FREES, GIVES, SPACE, COUNT,
) = range(0, 144, 8)  # fmt: skip
# Of calls over other lengths, between COUNT and what they look like: whether they are, the sizes for which it holds,
# where the block has the space and what of it, how it is cut, how long short rows are, and the space of a call:
# extents, where they end, starts.
(
    OVER, LEAST, MOST, TAIL, DIMENSIONS, STARTS, SIGNED, CUTS, CUT, CHUNKS, LONG, ROW, RANGE, SIZE_AT, START_AT,
    STEP_AT, EXTENTS,
) = range(144, 280, 8)  # fmt: skip
_AXES = 6
ENDS, BEGINS = EXTENTS + 8 * _AXES, EXTENTS + 16 * _AXES
LOOKS = BEGINS + 8 * _AXES  #: what a call looks like
CONTIGUOUS, TILE, TILES_AT = 1, 4096, EPILOGUE + 8
NOTHING, LAST, FIRST = 0, 1, 2  #: what a call gives: None, its last argument, or what a function says of 0
# Of an argument: bytes of its entry, its place in the block, how it is read, its type, which earlier one it must be.
PLACE, READ, KIND, SAME, MORE = 8, 16, 24, 32, 40
ARRAY, WHOLE, TRUTH, ONE_WORD, TWO_WORDS, HELD = range(6)
# Of an argument that holds its array, before what is compared of that: two attributes by their places and the objects
# that they must be, and where it keeps a tuple of arrays and that has this one.
_FIXED = 2
HOLDS, ITEM = 16 * _FIXED, 16 * _FIXED + 8
INNER = ITEM + 8
MANY = -1  #: in the place of a length: any that is more than one
ANY, NONE = -2, -1  #: it may be any of the earlier ones, or must be none of them

_FUNCTIONS = (
    "PyLong_AsLongLong", "PyLong_FromLongLong", "PyErr_Occurred", "PyErr_Clear", "PyEval_SaveThread",
    "PyEval_RestoreThread", "PyObject_CallOneArg", "PyObject_CallNoArgs", "Py_IncRef", "Py_DecRef", "PyErr_Fetch",
    "PyErr_Restore",
)  # fmt: skip
_OBJECTS = REFUSED, None, True, False, int, tuple, 0, np.ndarray
(
    AS_WORD, FROM_WORD, OCCURRED, CLEAR, SAVE, RESTORE, CALL_ONE, CALL, INCREF, DECREF, FETCH, PUT_BACK,
    MISS, NO, YES, FALSE, INT, TUPLE, ZERO, PLAIN,
) = range(0, 160, 8)  # fmt: skip


def _make() -> Any:
    from portapar.kernel.jit.system import call, load, put, run_native, store, swap_if

    inline = functools.partial(callee, once=True)

    @inline
    def number(known, x):
        """(whether it is an int of 64 bits, its value)."""
        if load(x + TYPE) != load(known + INT):
            return 0, 0
        value = call(load(known + AS_WORD), x)
        if value == -1 and call(load(known + OCCURRED)) != 0:
            call(load(known + CLEAR))
            return 0, 0
        return 1, value

    @inline
    def array(entry, x):
        """Whether an array looks like that of a table's entry."""
        ndim = load(entry + MORE + 8)
        if load(x + DESCR) != load(entry + MORE) or load(x + NDIM) & 0xFFFFFFFF != ndim:
            return 0
        dims, strides = load(x + DIMS), load(x + STRIDES)
        entry += MORE + 16
        for d in range(ndim):
            known, n = load(entry), load(dims + 8 * d)
            if (n != known if known != MANY else n < 2) or load(strides + 8 * d) != load(entry + 8):
                return 0
            entry += 16
        return 1

    @inline
    def spot(x, read):
        """What an argument has in common with one that is the same: of two arrays of one look the elements' place."""
        return load(x + DATA) if read == ARRAY else x

    @inline
    def unheld(known, entry, x):
        """The array that an argument holds, if it has what others have in common with it; or 0."""
        for at in range(MORE, MORE + HOLDS, 16):
            if load(x + load(entry + at)) != load(entry + at + 8):
                return 0
        x = load(load(x + load(entry + MORE + HOLDS)) + load(entry + MORE + ITEM))
        return x if load(x + TYPE) == load(known + PLAIN) and array(entry + INNER, x) != 0 else 0

    @inline
    def axis(table, known, entry, x, d):
        """Whether one axis of a space is of the kind that the table's entry says; what it is."""
        step = load(entry + 8)
        start = 0
        if load(entry) != 0:
            if load(x + TYPE) != load(table + RANGE):
                return 0
            fits, start = number(known, load(x + load(table + START_AT)))
            more, found = number(known, load(x + load(table + STEP_AT)))
            if fits == 0 or more == 0 or found != step or abs(start) >= FAR:
                return 0
            x = load(x + load(table + SIZE_AT))
        fits, extent = number(known, x)
        if fits == 0 or extent < 1 or extent >= FAR:
            return 0
        last = start + step * (extent - 1)
        store(table + EXTENTS + 8 * d, extent)
        store(table + ENDS + 8 * d, max(start, last) + 1)
        store(table + BEGINS + 8 * d, start)
        if load(table + STARTS) == 0:
            return int(start == 0)
        return 1 if min(start, last) >= 0 else 2

    @inline
    def spaced(table, known, space):
        """Whether a space is of the kind that the table says."""
        axes, entry = load(table + SPACE), table + LOOKS
        if axes > 0 and (load(space + TYPE) != load(known + TUPLE) or load(space + SIZE) != axes):
            return 0
        signed = 0
        for d in range(abs(axes)):
            found = axis(table, known, entry + 16 * d, load(space + ITEMS + 8 * d) if axes > 0 else space, d)
            if found == 0:
                return 0
            signed |= int(found == 2)
        row = load(table + ROW)
        if row != 0 and load(table + EXTENTS + 8 * (abs(axes) - 1)) != row:
            return 0
        return int(load(table + STARTS) == 0 or signed == load(table + SIGNED))

    @inline
    def array_over(table, entry, x, first):
        """Whether an array is of the kind that the table's entry says; `first` is that whose shape is the space."""
        ndim, axes = load(entry + MORE + 8), abs(load(table + SPACE))
        if load(x + DESCR) != load(entry + MORE) or load(x + NDIM) & 0xFFFFFFFF != ndim:
            return 0
        contiguous, dims = load(x + FLAGS) & CONTIGUOUS, load(x + DIMS)
        if contiguous != load(entry + MORE + 16):
            return 0
        if axes == 0:
            others = load(first + DIMS)
            for d in range(ndim):
                if load(dims + 8 * d) != load(others + 8 * d):
                    return 0
            return int(contiguous != 0 or ndim != 1 or load(load(x + STRIDES)) == load(entry + MORE + 40))
        equal, reaches = int(ndim == axes), 0
        for d in range(min(ndim, axes)):
            n = load(dims + 8 * d)
            if n != load(table + EXTENTS + 8 * d):
                equal = 0
            if n >= load(table + ENDS + 8 * d):
                reaches |= 1 << d
        if equal != load(entry + MORE + 24) or reaches != load(entry + MORE + 32):
            return 0
        if contiguous != 0:
            near = min(axes, max(ndim - 1, 1))
            for d in range(near, ndim):
                n = load(dims + 8 * d)
                if (n if n <= SHORT else 0) != load(entry + MORE + 48 + 8 * (d - near)):
                    return 0
        return 1

    @inline
    def dealt(table, first):
        """Write what follows from the lengths into the block and the job; whether the table's job is for so many."""
        axes = abs(load(table + SPACE))
        if axes == 0:
            axes, dims = load(first + NDIM) & 0xFFFFFFFF, load(first + DIMS)
            if axes > AXES:
                return 0
            for d in range(axes):
                store(table + EXTENTS + 8 * d, load(dims + 8 * d))
        size, most = 1, load(table + MOST)
        for d in range(axes):
            n = load(table + EXTENTS + 8 * d)
            if n < 1 or size > most // n:
                return 0
            size *= n
        if size < load(table + LEAST):
            return 0
        tail, job = load(table + BLOCK) + load(table + TAIL), load(table + JOB)
        for d in range(1, load(table + DIMENSIONS)):
            store(tail, load(table + EXTENTS + 8 * d))
            tail += 8
        if load(table + STARTS) != 0:
            for d in range(axes):
                store(tail, load(table + BEGINS + 8 * d))
                tail += 16
        store(table + HI, size)
        store(job + JOB_HI, size)
        threads, cuts = load(job + THREADS), load(table + CUTS)
        if cuts != 0:
            cut = max(1, min(load(table + CUT), size // threads))
            store(job + ALIGN, cut)
            if cuts == 2:
                store(job + JOB_FIRST, cut)
        schedule = load(job + SCHEDULE)
        if schedule != 0:
            chunk, align = load(table + CHUNKS), load(job + ALIGN)
            if chunk == 0:
                chunk = max(1, size // (threads * 64)) if schedule == 1 else 1
            store(job + CHUNK, (chunk + align - 1) // align * align)
        if load(job + TILES_AT) != 0:
            store(job + TILES_AT, (size + TILE - 1) // TILE)
        store(table + FREES, int(load(table + LONG) != 0 or size > OFTEN))
        return 1

    @inline
    def same_place(x, y, ndim):
        """Whether two arrays that look alike are the same elements."""
        if load(x + DATA) != load(y + DATA):
            return 0
        for d in range(ndim):
            if load(load(x + DIMS) + 8 * d) != load(load(y + DIMS) + 8 * d):
                return 0
            if load(load(x + STRIDES) + 8 * d) != load(load(y + STRIDES) + 8 * d):
                return 0
        return 1

    @inline
    def packed(table, known, space, args):
        """Whether the call looks as the table says; its arguments are in the block then."""
        entry, axes, over = table + LOOKS, load(table + SPACE), load(table + OVER)
        if over != 0:
            if axes != 0 and spaced(table, known, space) == 0:
                return 0
            entry += 16 * abs(axes)
            axes = 0
        if axes > 0:
            if load(space + TYPE) != load(known + TUPLE) or load(space + SIZE) != axes:
                return 0
            for k in range(axes):
                fits, value = number(known, load(space + ITEMS + 8 * k))
                if fits == 0 or value != load(entry):
                    return 0
                entry += 8
        elif axes < 0:
            fits, value = number(known, space)
            if fits == 0 or value != load(entry):
                return 0
            entry += 8
        count = load(table + COUNT)
        if load(args + TYPE) != load(known + TUPLE) or load(args + SIZE) != count:
            return 0
        block, first = load(table + BLOCK), 0
        for k in range(count):
            x = load(args + ITEMS + 8 * k)
            if load(x + TYPE) != load(entry + KIND):
                return 0
            read, place, same = load(entry + READ), load(entry + PLACE), load(entry + SAME)
            if first == 0 and read == ARRAY:
                first = x
            if same >= 0:
                other = load(args + ITEMS + 8 * same)
                if other != x and (read != ARRAY or same_place(x, other, load(entry + MORE + 8)) == 0):
                    return 0
            elif same == NONE:
                for j in range(k):
                    other = load(args + ITEMS + 8 * j)
                    if load(other + TYPE) == load(x + TYPE) and spot(other, read) == spot(x, read):
                        return 0
            value, second = x, 0
            if read == HELD:
                value = unheld(known, entry, x)
                if value == 0:
                    return 0
            elif read == ARRAY:
                if (array(entry, x) if over == 0 else array_over(table, entry, x, first)) == 0:
                    return 0
            elif read == WHOLE:
                fits, value = number(known, x)
                if fits == 0:
                    return 0
            elif read == TRUTH:
                value = np.int64(x == load(known + YES))
            else:
                value = load(x + HEAD)
                if read == TWO_WORDS:
                    second = load(x + HEAD + 8)
            if place >= 0:
                put(block + place, value)
                if read == TWO_WORDS:
                    put(block + place + 8, second)
            entry += load(entry)
        return 1 if over == 0 else dealt(table, first)

    @inline
    def free(table, known):
        """Give the pool's lock back; whether that worked."""
        got = call(load(known + CALL), load(table + RELEASE))
        if got == 0:
            return 0
        call(load(known + DECREF), got)
        return 1

    @inline
    def ended(table, known, at):
        """Let Python end what stopped: the time slice is over, others are to join, or it failed; whether it could."""
        told = call(load(known + FROM_WORD), at)
        if told == 0:
            return 0
        got = call(load(known + CALL_ONE), load(table + REST), told)
        call(load(known + DECREF), told)
        if got == 0:
            return 0
        call(load(known + DECREF), got)
        return 1

    @inline
    def ran(table, known):
        """Where the loop `alone` stopped."""
        state, frees = 0, load(table + FREES)
        if frees != 0:
            state = call(load(known + SAVE))
        at = run_native(load(table + LOOP), load(table + JOB), load(table + BLOCK), load(table + LO))
        if frees != 0:
            call(load(known + RESTORE), state)
        return at

    @inline
    def ran_on_all(table, known, pool):
        """What the loop `launch` returned; 2, too, if the threads are gone; the pool's lock is held."""
        if load(pool + WORKERS + WORKER_SIZE + STATE) == QUIT:
            return 2
        state = call(load(known + SAVE))
        status = run_native(load(table + LOOP), pool, load(table + JOB), load(table + BLOCK))
        call(load(known + RESTORE), state)
        return status

    @inline
    def done(table, known):
        """Run the job: 1, or 0 if it refuses, or -1 if Python has an error."""
        pool = load(table + POOL)
        if pool == 0:
            at = ran(table, known)
            if at >= load(table + HI):
                return 1
            return 0 if at == -1 else 2 * ended(table, known, at) - 1
        got = call(load(known + CALL_ONE), load(table + ACQUIRE), load(known + FALSE))
        if got == 0:
            return -1
        call(load(known + DECREF), got)
        if got != load(known + YES):
            return 0
        status = ran_on_all(table, known, pool)
        if status == 1 or status == 3:
            if ended(table, known, status) == 0:
                store(pool + MIDST, 0)
                call(load(known + FETCH), table + ERROR, table + ERROR + 8, table + ERROR + 16)
                free(table, known)
                call(load(known + PUT_BACK), load(table + ERROR), load(table + ERROR + 8), load(table + ERROR + 16))
                return -1
            status = 0
        if free(table, known) == 0:
            return -1
        return 1 if status == 0 else 0

    def fast(me, given, count):
        """A function for Python, ``(space, args)``: ``me`` is a tuple whose first element is an array, the table."""
        table = load(load(me + ITEMS) + DATA)
        known = load(table + KNOWN)
        result = load(known + MISS)
        if count == 2 and swap_if(table + BUSY, 0, 1):
            args = load(given + 8)
            if packed(table, known, load(given), args) != 0:
                found = done(table, known)
                if found == 1:
                    gives = load(table + GIVES)
                    if gives == NOTHING:
                        result = load(known + NO)
                    elif gives == LAST:
                        result = load(args + ITEMS + 8 * (load(table + COUNT) - 1))
                    else:
                        result = call(load(known + CALL_ONE), gives, load(known + ZERO))
                        found = -1  # it is new, or there is an error
                elif found == -1:
                    result = 0
                if found == -1:
                    store(table + BUSY, 0)
                    return result
            store(table + BUSY, 0)
        call(load(known + INCREF), result)
        return result

    return fast


class _Definition(ctypes.Structure):
    """A PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("text", ctypes.c_char_p),
    )  # fmt: skip


_FASTCALL = 0x80
_TUPLES = layout.knows_tuples()


@functools.cache
def _definition() -> _Definition:
    function = native("fast", _make, 3, direct=True)
    return _Definition(b"run", function.address, _FASTCALL, None)  # type: ignore[attr-defined]


@functools.cache
def _known() -> Any:
    """What all tables know: functions of Python's, and objects."""
    functions = [ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in _FUNCTIONS]
    words = [*functions, *map(id, _OBJECTS)]
    return (ctypes.c_int64 * len(words))(*words)


def caller(
    space: Any,
    args: Sequence[Any],
    places: Sequence[int],
    same: Sequence[int],
    block: bytes,
    gives: int | Callable[[int], Any],
    frees: bool,
    start: Callable[[np.ndarray], Any],
    over: Over | None = None,
    free: bool = False,
    holders: Holders | None = None,
) -> Callable[[Any, tuple[Any, ...]], Any] | None:
    """A function ``(space, args)`` that runs a call like this one; REFUSED if the call is not like it.

    Parameters
    ----------
    space : int, range, tuple of these, or None
        The index space, which must be equal, a number or numbers then; None: whatever is given.
    places : sequence of int
        At which byte of the argument block each argument is, -1 if it is none of the program's.
    same : sequence of int
        Which earlier argument each must be, NONE or ANY. Arrays are the same if their elements are.
    block : bytes
        The argument block of this call.
    gives : int or callable
        NOTHING, LAST, or what is called with 0 and gives the result.
    frees : bool
        Whether it may take so long on the calling thread that others in Python must be able to run.
    start : callable
        Writes into a table how the job is run (LOOP, JOB, LO, HI, REST, POOL, …), and returns what must be kept alive.
    over : Over, optional
        Calls over other lengths are like this one; without a space it is the shape of the first array.
    free : bool
        The length of an array of one dimension does not matter, as long as there is more than one element.
    holders : Holders, optional
        Arguments of this kind hold their arrays.

    Returns
    -------
    callable or None
        None if there is an argument that native code cannot read, or a space, or a Python that keeps tuples elsewhere.
    """
    if not _TUPLES:
        return None
    axes = () if space is None else space if type(space) is tuple else (space,)
    words = [0] * (LOOKS // 8)
    words[SPACE // 8], words[COUNT // 8] = len(axes) if type(space) is tuple else -len(axes), len(args)
    ranged = {type(x) for x in axes} - {int}
    if over is None:
        words += axes
    else:
        found = _ranges(ranged)
        if found is None or len(axes) > _AXES:
            return None
        words[OVER // 8 : RANGE // 8], words[RANGE // 8 : EXTENTS // 8] = (1, *over.words), found
        for x in axes:
            words += (0, 1) if type(x) is int else (1, x.step)
    for x, place, other in zip(args, places, same, strict=True):
        entry = _entry(x, place, block) if holders is None or type(x) is not holders.kind else _holder(x, holders)
        if entry is None:
            return None
        read, *more = entry
        if over is not None and read == ARRAY:
            more = over.entry(x, len(axes))
        elif free and read == ARRAY and x.ndim == 1 and len(x) > 1:
            more[2] = MANY
        words += (MORE + 8 * len(more), place, read, id(type(x)), other, *more)
    table, packed = np.array(words, np.int64), ctypes.create_string_buffer(block, len(block))
    definition, known = _definition(), _known()  # each table keeps its own: two threads may have made them at first
    table[KNOWN // 8], table[BLOCK // 8] = ctypes.addressof(known), ctypes.addressof(packed)
    table[GIVES // 8] = gives if type(gives) is int else id(gives)
    table[FREES // 8] = frees
    inner = args if holders is None else [held(x, holders) for x in args]
    kinds = [(type(x), x.dtype if type(x) is np.ndarray else None) for x in (*args, *inner)]
    fixed = [[getattr(x, name) for name in holders.fixed] for x in args if type(x) is holders.kind] if holders else ()
    me = table, packed, gives, kinds, start(table), ranged, definition, known, fixed
    return _function(ctypes.byref(definition), me, None)


class Over(NamedTuple):
    """What calls over other lengths have in common; `words` are those of a table from LEAST on."""

    words: tuple[int, ...]
    extent: tuple[int, ...]
    ends: tuple[int, ...]  #: one more than the largest index on each axis

    def entry(self, x: np.ndarray, axes: int) -> list[int]:
        """What is compared of an array."""
        contiguous = x.flags.c_contiguous
        words = [id(x.dtype), x.ndim, int(contiguous)]
        if axes == 0:
            return [*words, 0, 0, x.strides[0] if x.ndim else 0]
        reaches = sum(1 << d for d, (n, end) in enumerate(zip(x.shape, self.ends, strict=False)) if n >= end)
        words += (int(x.shape == self.extent), reaches, 0)
        near = min(axes, max(x.ndim - 1, 1))
        return words + [n if n <= SHORT else 0 for n in x.shape[near:]] if contiguous else words


FAR = 2**52
OFTEN = 4096  #: iterations from which on other threads in Python must be able to run
AXES = _AXES


def _ranges(kinds: set[type]) -> tuple[int, int, int, int] | None:
    """A class of ranges, and at which bytes its objects keep their sizes, starts and steps; None if there are two."""
    if not kinds:
        return 0, 0, 0, 0
    (kind, *others) = kinds
    found = None if others else layout.slots(kind(1_000_003, 9_000_001, 1_001), "size", "start", "step")
    return None if found is None else (id(kind), *found)  # type: ignore[return-value]


def held(x: Any, holders: Holders) -> Any:
    """The array that an argument holds; the argument if it holds none."""
    return getattr(x, holders.arrays)[holders.place] if type(x) is holders.kind else x


def _holder(x: Any, holders: Holders) -> tuple[int, ...] | None:
    """How an argument that holds an array is read, and what is compared of both; None if it cannot be."""
    inner, places = held(x, holders), layout.slots(x, *holders.fixed, holders.arrays)
    entry = _entry(inner, -1, b"") if type(inner) is np.ndarray else None
    if entry is None or places is None or len(holders.fixed) != _FIXED:
        return None
    fixed = [word for at, name in zip(places, holders.fixed, strict=False) for word in (at, id(getattr(x, name)))]
    return HELD, *fixed, places[-1], ITEMS + 8 * holders.place, *entry[1:]


_function: Any = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)


def _entry(x: Any, place: int, block: bytes) -> tuple[int, ...] | None:
    """How an argument is read, and what else is compared of it; None if it cannot be."""
    kind = type(x)
    if kind is np.ndarray:
        if x.dtype.names is not None or x.dtype.subdtype is not None:  # names may change
            return None
        return ARRAY, id(x.dtype), x.ndim, *(word for pair in zip(x.shape, x.strides, strict=True) for word in pair)
    if kind is int or kind is bool:
        return (WHOLE if kind is int else TRUTH,)
    if kind not in (float, complex) and not isinstance(x, (np.number, np.bool_)):
        return None
    size = np.dtype(kind).itemsize
    there = ctypes.string_at(id(x) + HEAD, size)
    if place >= 0 and there != block[place : place + size]:  # it is converted, or kept elsewhere
        return None
    return (TWO_WORDS if size == 16 else ONE_WORD,)
