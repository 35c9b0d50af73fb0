"""Calls that look like earlier ones: native code compares their arguments, packs them and runs the job.

In Python that takes some microseconds, most of a call on a few hundred elements. Here each call that was made several
times gets a table of what its arguments were, and a function for Python that walks it: an array has the same type,
dtype, shape and strides, a number the same type. Only if all are alike it runs the job that was prepared. Everything
else is left to Python: `caller` returns a function whose answer is REFUSED then, and nothing has happened.

The argument block belongs to the table, so that one thread at a time may use both: who finds them busy is refused,
too. What is not done at once (the time slice is over, others are to join, it failed) goes on in Python.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portapar.kernel.cpu.jobs import QUIT, STATE, WORKER_SIZE, WORKERS
from portapar.kernel.jit.layout import DATA, DESCR, DIMS, HEAD, ITEMS, NDIM, SIZE, STRIDES, TYPE
from portapar.kernel.jit.native import callee, native
from portapar.kernel.program import REFUSED

# A table, by byte: how the job is run, then what the call looks like.
(
    KNOWN, BUSY, BLOCK, LOOP, JOB, LO, HI, REST, POOL, ACQUIRE, RELEASE, ERROR, _, _, FREES, GIVES, SPACE, COUNT,
) = range(0, 144, 8)  # fmt: skip
NOTHING, LAST, FIRST = 0, 1, 2  #: what a call gives: None, its last argument, or what a function says of 0
# Of an argument: bytes of its entry, its place in the block, how it is read, its type, which earlier one it must be.
PLACE, READ, KIND, SAME, MORE = 8, 16, 24, 32, 40
ARRAY, WHOLE, TRUTH, ONE_WORD, TWO_WORDS = range(5)
ANY, NONE = -2, -1  #: it may be any of the earlier ones, or must be none of them

_FUNCTIONS = (
    "PyLong_AsLongLong", "PyLong_FromLongLong", "PyErr_Occurred", "PyErr_Clear", "PyEval_SaveThread",
    "PyEval_RestoreThread", "PyObject_CallOneArg", "PyObject_CallNoArgs", "Py_IncRef", "Py_DecRef", "PyErr_Fetch",
    "PyErr_Restore",
)  # fmt: skip
_OBJECTS = REFUSED, None, True, False, int, tuple, 0
(
    AS_WORD, FROM_WORD, OCCURRED, CLEAR, SAVE, RESTORE, CALL_ONE, CALL, INCREF, DECREF, FETCH, PUT_BACK,
    MISS, NO, YES, FALSE, INT, TUPLE, ZERO,
) = range(0, 152, 8)  # fmt: skip


def _make() -> Any:
    from portapar.kernel.jit.system import call, load, put, run_native, store, swap_if

    inline = functools.partial(callee, once=True)

    @inline
    def word(known, x):
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
            if load(dims + 8 * d) != load(entry) or load(strides + 8 * d) != load(entry + 8):
                return 0
            entry += 16
        return 1

    @inline
    def spot(x, read):
        """What an argument has in common with one that is the same: of two arrays of one look the elements' place."""
        return load(x + DATA) if read == ARRAY else x

    @inline
    def packed(table, known, space, args):
        """Whether the call looks as the table says; its arguments are in the block then."""
        entry, axes = table + COUNT + 8, load(table + SPACE)
        if axes > 0:
            if load(space + TYPE) != load(known + TUPLE) or load(space + SIZE) != axes:
                return 0
            for k in range(axes):
                fits, value = word(known, load(space + ITEMS + 8 * k))
                if fits == 0 or value != load(entry):
                    return 0
                entry += 8
        elif axes < 0:
            fits, value = word(known, space)
            if fits == 0 or value != load(entry):
                return 0
            entry += 8
        count = load(table + COUNT)
        if load(args + TYPE) != load(known + TUPLE) or load(args + SIZE) != count:
            return 0
        block = load(table + BLOCK)
        for k in range(count):
            x = load(args + ITEMS + 8 * k)
            if load(x + TYPE) != load(entry + KIND):
                return 0
            read, place, same = load(entry + READ), load(entry + PLACE), load(entry + SAME)
            if same >= 0:
                if spot(load(args + ITEMS + 8 * same), read) != spot(x, read):
                    return 0
            elif same == NONE:
                for j in range(k):
                    other = load(args + ITEMS + 8 * j)
                    if load(other + TYPE) == load(x + TYPE) and spot(other, read) == spot(x, read):
                        return 0
            value, second = x, 0
            if read == ARRAY:
                if array(entry, x) == 0:
                    return 0
            elif read == WHOLE:
                fits, value = word(known, x)
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
        return 1

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
    space: int | tuple[int, ...] | None,
    args: Sequence[Any],
    places: Sequence[int],
    same: Sequence[int],
    block: bytes,
    gives: int | Callable[[int], Any],
    frees: bool,
    start: Callable[[np.ndarray], Any],
) -> Callable[[Any, tuple[Any, ...]], Any] | None:
    """A function ``(space, args)`` that runs a call like this one; REFUSED if the call is not like it.

    Parameters
    ----------
    space : int, tuple of int or None
        The index space, which must be equal; None: whatever is given.
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

    Returns
    -------
    callable or None
        None if there is an argument that native code cannot read.
    """
    axes = () if space is None else space if type(space) is tuple else (space,)
    words = [0] * (SPACE // 8)
    words += (len(axes) if type(space) is tuple else -len(axes), len(args), *axes)
    for x, place, other in zip(args, places, same, strict=True):
        entry = _entry(x, place, block)
        if entry is None:
            return None
        read, *more = entry
        words += (MORE + 8 * len(more), place, read, id(type(x)), other, *more)
    table, packed = np.array(words, np.int64), ctypes.create_string_buffer(block, len(block))
    table[KNOWN // 8], table[BLOCK // 8] = ctypes.addressof(_known()), ctypes.addressof(packed)
    table[GIVES // 8] = gives if type(gives) is int else id(gives)
    table[FREES // 8] = frees
    kinds = [(type(x), x.dtype if type(x) is np.ndarray else None) for x in args]
    me = table, packed, gives, kinds, start(table)
    return _function(ctypes.byref(_definition()), me, None)


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
