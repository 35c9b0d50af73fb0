"""Dicts of dicts and lists of pairs, read by native code: as numbers in rows; what dicts of dicts of dicts hold.

It calls CPython as C code does, and holds the GIL, so that nothing changes meanwhile; where there is none nothing is
done. Only what needs no code of Python's is done here: dicts, ints, floats and strs themselves, no classes derived from
them. All else is for the caller. Other threads may change dicts between two calls: each call knows how much to write.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from portapar.kernel.jit.layout import TYPE
from portapar.kernel.jit.native import failure, native

_OTHER, _FLOAT = -1, -2  #: there is something of another kind; there is a float


def rows(outer: dict[Any, Any], numbers: dict[Any, int] | None) -> tuple[np.ndarray, np.ndarray] | None:
    """The keys of the dicts in a dict, a row for each: offsets (int64) and numbers (int32).

    Parameters
    ----------
    outer : dict
    numbers : dict, optional
        The number of every key, of which all are ints or strs. Without it keys are numbers themselves.

    Returns
    -------
    None if one of them is no dict, or a key is neither int nor str, or has no number, or another thread changes them.
    """
    offsets = np.zeros(len(outer) + 1, np.int64)
    total = _call("sizes", id(outer), id(dict), len(offsets) - 1, offsets.ctypes.data)
    if total == _OTHER:
        return None
    out = np.empty(total, np.int32)
    kinds = np.array([id(int), id(int if numbers is None else str)])
    whose = id(outer), 0 if numbers is None else id(numbers)
    return None if _call("keys", *whose, kinds.ctypes.data, total, out.ctypes.data) == _OTHER else (offsets, out)


def values(outer: dict[Any, Any], name: str, default: int, count: int) -> np.ndarray | None:
    """What the `count` dicts of a dict of dicts have under a name: int64, or float64 if there is a float.

    None if one is no dict, or has something that is no int or float there, or an int that needs more than 64 bits, or
    if they are not so many.
    """
    kinds = np.array([id(dict), id(int), id(float)])
    for dtype in (np.int64, np.float64):
        out = np.empty(count, dtype)
        rest = default, dtype is np.float64, count, out.ctypes.data
        found = _call("values", id(outer), id(name), kinds.ctypes.data, *rest)
        if found != _FLOAT:
            return None if found == _OTHER else out
    return None


def pairs(listed: Any, numbers: dict[Any, int] | None) -> np.ndarray | None:
    """The numbers (int64) of what stands in a list or tuple of pairs, one pair after the other; `numbers` as in `rows`.

    None if something in it is no tuple of two ints or strs, or has no number.
    """
    if type(listed) not in (list, tuple):
        return None
    out = np.empty(2 * len(listed), np.int64)
    kinds = np.array([id(int), id(int if numbers is None else str), id(tuple)])
    whose = id(listed), type(listed) is list, 0 if numbers is None else id(numbers)
    return None if _call("pairs", *whose, kinds.ctypes.data, len(out) // 2, out.ctypes.data) == _OTHER else out


def _call(name: str, *arguments: int) -> int:
    """Call a native function with the GIL held; `_OTHER` where there is none."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return _OTHER
    cells = (ctypes.c_int64 * 9)()
    address = ctypes.addressof(cells)
    if _function(name, len(arguments))(address, address + 8, *arguments, address + 16):
        raise failure("the reading of dicts")
    return int(cells[0])


@functools.cache
def _function(name: str, arity: int) -> Callable[..., int]:
    made = native(f"dicts|{name}", lambda: _make()[name], arity + 1)
    return ctypes.PYFUNCTYPE(ctypes.c_int32, *[ctypes.c_int64] * (arity + 3))(made.address)  # type: ignore[attr-defined]


@functools.cache
def _make() -> dict[str, Any]:
    import numba  # noqa: F401  as a whole first
    from numba.core import types

    from portapar.kernel.jit.system import load, put

    address, word = types.int64, types.int64
    following = types.ExternalFunction("PyDict_Next", types.intc(address, address, address, address))
    size = types.ExternalFunction("PyDict_Size", word(address))
    item = types.ExternalFunction("PyDict_GetItem", address(address, address))
    length = types.ExternalFunction("PyList_Size", word(address))
    listed_at = types.ExternalFunction("PyList_GetItem", address(address, word))
    width = types.ExternalFunction("PyTuple_Size", word(address))
    part = types.ExternalFunction("PyTuple_GetItem", address(address, word))
    whole = types.ExternalFunction("PyLong_AsLongLongAndOverflow", word(address, address))
    real = types.ExternalFunction("PyFloat_AsDouble", types.float64(address))

    # the last argument: words for where a dict is read (of the outer one and of those in it: place, key, value), and
    # for what whole() says

    def sizes(outer, kind, count, offsets, at):
        total = 0
        while following(outer, at, at + 8, at + 16) != 0:
            inner = load(at + 16)
            if load(inner + TYPE) != kind or count == 0:
                return _OTHER
            count -= 1
            offsets += 8
            total += size(inner)
            put(offsets, total)
        return total if count == 0 else _OTHER

    def pairs(listed, is_list, numbers, kinds, count, out, at):
        if count != (length(listed) if is_list != 0 else width(listed)):
            return _OTHER
        for k in range(count):
            pair = listed_at(listed, k) if is_list != 0 else part(listed, k)
            if load(pair + TYPE) != load(kinds + 16) or width(pair) != 2:
                return _OTHER
            for side in range(2):
                key = part(pair, side)
                kind = load(key + TYPE)
                if kind != load(kinds) and kind != load(kinds + 8):
                    return _OTHER
                if numbers != 0:
                    key = item(numbers, key)
                    if key == 0:
                        return _OTHER
                put(out, whole(key, at))
                if load(at) & 0xFFFFFFFF != 0:
                    return _OTHER
                out += 8
        return 0

    def keys(outer, numbers, kinds, count, out, at):
        while following(outer, at, at + 8, at + 16) != 0:
            inner = load(at + 16)
            put(at + 24, 0)
            while following(inner, at + 24, at + 32, at + 40) != 0:
                key = load(at + 32)
                kind = load(key + TYPE)
                if (kind != load(kinds) and kind != load(kinds + 8)) or count == 0:
                    return _OTHER
                count -= 1
                if numbers != 0:
                    key = item(numbers, key)
                    if key == 0:
                        return _OTHER
                put(out, np.int32(whole(key, at + 40)))
                out += 4
        return 0 if count == 0 else _OTHER

    def values(outer, name, kinds, default, floats, count, out, at):
        while following(outer, at, at + 8, at + 16) != 0:
            inner = load(at + 16)
            put(at + 24, 0)
            while following(inner, at + 24, at + 32, at + 40) != 0:
                held = load(at + 40)
                if load(held + TYPE) != load(kinds) or count == 0:
                    return _OTHER
                count -= 1
                found = item(held, name) if size(held) != 0 else 0
                kind = load(found + TYPE) if found != 0 else 0
                if kind == load(kinds + 16):
                    if floats == 0:
                        return _FLOAT
                    put(out, real(found))
                elif kind == 0 or kind == load(kinds + 8):
                    put(at + 32, 0)
                    value = whole(found, at + 32) if found != 0 else default
                    if load(at + 32) & 0xFFFFFFFF != 0:
                        return _OTHER
                    if floats == 0:
                        put(out, value)
                    else:
                        put(out, np.float64(value))
                else:
                    return _OTHER
                out += 8
        return 0 if count == 0 else _OTHER

    return {"sizes": sizes, "keys": keys, "values": values, "pairs": pairs}
