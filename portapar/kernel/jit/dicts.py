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
_AHEAD = 32  #: objects that are asked of memory before the first of them is read


def counted(listed: list[Any]) -> bool:
    """Whether a list is 0, 1, 2, …, of ints themselves; False where nothing is done."""
    return _call("counted", id(listed), id(int)) == 1


def rows(
    outer: dict[Any, Any], names: list[Any] | None, numbers: dict[Any, int] | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """The keys of the dicts in a dict, a row for each: offsets (int64) and numbers (int32).

    Parameters
    ----------
    outer : dict
    names : list, optional
        The objects that are numbered, by number. Without it keys are numbers themselves.
    numbers : dict, optional
        The number of every key, of which all are ints or strs: of those that are equal to these objects, but not the
        same.

    Returns
    -------
    None if one of them is no dict, or a key is none of the objects and has no number there, or another thread changes
    them.
    """
    offsets = np.zeros(len(outer) + 1, np.int64)
    total = _call("sizes", id(outer), id(dict), len(offsets) - 1, offsets.ctypes.data)
    if total == _OTHER:
        return None
    kinds, out = np.array([id(int), id(int if names is None else str)]), np.empty(total, np.int32)
    rest = kinds.ctypes.data, total, out.ctypes.data
    if names is None:
        found = _call("keys", id(outer), *rest)
    else:
        bits = max(len(names).bit_length() + 1, 4)
        table = np.zeros((1 << bits, 2), np.int64)  # addresses and numbers, at most half of it full
        _call("noted", id(names), table.ctypes.data, bits)
        found = _call("looked_up", id(outer), table.ctypes.data, bits, 0 if numbers is None else id(numbers), *rest)
    return None if found == _OTHER else (offsets, out)


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
    cells = (ctypes.c_int64 * (9 + _AHEAD))()
    address = ctypes.addressof(cells)
    if _function(name, len(arguments))(address, address + 8, *arguments, address + 16):
        raise failure("the reading of dicts")
    return int(cells[0])


@functools.cache
def _function(name: str, arity: int) -> Callable[..., int]:
    made = native(f"dicts|{name}|2", lambda: _make()[name], arity + 1)
    return ctypes.PYFUNCTYPE(ctypes.c_int32, *[ctypes.c_int64] * (arity + 3))(made.address)  # type: ignore[attr-defined]


@functools.cache
def _make() -> dict[str, Any]:
    import numba  # noqa: F401  as a whole first
    from numba.core import types
    from numba.extending import register_jitable

    from portapar.kernel.jit.system import load, prefetch, put

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

    def counted(listed, kind, at):
        for k in range(length(listed)):
            found = listed_at(listed, k)
            if load(found + TYPE) != kind or whole(found, at) != k or load(at) & 0xFFFFFFFF != 0:
                return 0
        return 1

    @register_jitable
    def place(key, bits):
        """Where in a table of addresses the search for one begins."""
        return np.int64(np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - bits))

    def noted(names, table, bits, at):
        mask = (1 << bits) - 1
        for k in range(min(length(names), mask >> 1)):
            key = listed_at(names, k)
            slot = place(key, bits)
            while load(table + 16 * slot) != 0:
                slot = (slot + 1) & mask
            put(table + 16 * slot, key)
            put(table + 16 * slot + 8, k)
        return 0

    @register_jitable
    def number(key, table, bits, numbers, kinds, at):
        """The number of a key; `_OTHER` if it has none."""
        slot, mask = place(key, bits), (1 << bits) - 1
        known = load(table + 16 * slot)
        while known != key and known != 0:
            slot = (slot + 1) & mask
            known = load(table + 16 * slot)
        if known != 0:
            return load(table + 16 * slot + 8)
        kind = load(key + TYPE)
        if numbers == 0 or (kind != load(kinds) and kind != load(kinds + 8)):
            return _OTHER
        key = item(numbers, key)
        return whole(key, at) if key != 0 else _OTHER

    def looked_up(outer, table, bits, numbers, kinds, count, out, at):
        waiting, held = at + 56, 0
        while following(outer, at, at + 8, at + 16) != 0:
            inner = load(at + 16)
            put(at + 24, 0)
            while following(inner, at + 24, at + 32, at + 40) != 0:
                key = load(at + 32)
                if count == 0:
                    return _OTHER
                count -= 1
                prefetch(table + 16 * place(key, bits))
                put(waiting + 8 * held, key)
                held += 1
                if held == _AHEAD or count == 0:
                    for k in range(held):
                        value = number(load(waiting + 8 * k), table, bits, numbers, kinds, at + 48)
                        if value < 0:
                            return _OTHER
                        put(out, np.int32(value))
                        out += 4
                    held = 0
        return 0 if count == 0 else _OTHER

    def keys(outer, kinds, count, out, at):
        waiting, held = at + 56, 0
        while following(outer, at, at + 8, at + 16) != 0:
            inner = load(at + 16)
            put(at + 24, 0)
            while following(inner, at + 24, at + 32, at + 40) != 0:
                key = load(at + 32)
                if count == 0:
                    return _OTHER
                count -= 1
                prefetch(key)
                put(waiting + 8 * held, key)
                held += 1
                if held == _AHEAD or count == 0:
                    for k in range(held):
                        key = load(waiting + 8 * k)
                        kind = load(key + TYPE)
                        if kind != load(kinds) and kind != load(kinds + 8):
                            return _OTHER
                        put(out, np.int32(whole(key, at + 48)))
                        out += 4
                    held = 0
        return 0 if count == 0 else _OTHER

    @register_jitable
    def value(held, name, kinds, default, floats, out, at):
        """Put down what one dict has."""
        if load(held + TYPE) != load(kinds):
            return _OTHER
        found = item(held, name) if size(held) != 0 else 0
        kind = load(found + TYPE) if found != 0 else 0
        if kind == load(kinds + 16):
            if floats == 0:
                return _FLOAT
            put(out, real(found))
        elif kind == 0 or kind == load(kinds + 8):
            put(at, 0)
            read = whole(found, at) if found != 0 else default
            if load(at) & 0xFFFFFFFF != 0:
                return _OTHER
            if floats == 0:
                put(out, read)
            else:
                put(out, np.float64(read))
        else:
            return _OTHER
        return 0

    def values(outer, name, kinds, default, floats, count, out, at):
        waiting, held = at + 56, 0
        while following(outer, at, at + 8, at + 16) != 0:
            inner = load(at + 16)
            put(at + 24, 0)
            while following(inner, at + 24, at + 32, at + 40) != 0:
                if count == 0:
                    return _OTHER
                count -= 1
                prefetch(load(at + 40))
                put(waiting + 8 * held, load(at + 40))
                held += 1
                if held == _AHEAD or count == 0:
                    for k in range(held):
                        status = value(load(waiting + 8 * k), name, kinds, default, floats, out, at + 48)
                        if status != 0:
                            return status
                        out += 8
                    held = 0
        return 0 if count == 0 else _OTHER

    made = (counted, sizes, noted, looked_up, keys, values, pairs)
    return {function.__name__: function for function in made}
