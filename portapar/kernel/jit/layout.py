"""Where CPython and NumPy keep what native code reads from their objects, in bytes from an object's start.

That is the layout of PyArrayObject in NumPy's C API and of bytes in CPython's. Reading an array's fields there costs
nothing; asking Python for them costs microseconds. It is compared with what Python says when this module is loaded.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from portapar.errors import BackendUnavailableError

HEAD = object.__basicsize__  #: where a number keeps its value
TYPE = HEAD - 8  #: where an object keeps its type
DATA, NDIM, DIMS, STRIDES, DESCR, FLAGS = HEAD, HEAD + 8, HEAD + 16, HEAD + 24, HEAD + 40, HEAD + 48
ALIGNED, WRITEABLE = 0x100, 0x400  #: bits of the flags
BYTES = bytes.__basicsize__ - 1  #: where a bytes object keeps its bytes
SIZE, ITEMS = HEAD, tuple.__basicsize__  #: where a tuple keeps its length, and its elements


def word(address: int) -> int:
    """The 64-bit word at an address."""
    return ctypes.c_int64.from_address(address).value


def slots(x: Any, *names: str) -> tuple[int, ...] | None:
    """Where an object of a class with slots keeps these attributes; None if that is not certain."""
    kept = [word(id(x) + HEAD + 8 * k) for k in range(len(getattr(type(x), "__slots__", ())))]
    found = [id(getattr(x, name)) for name in names]
    return tuple(HEAD + 8 * kept.index(one) for one in found) if all(kept.count(one) == 1 for one in found) else None


def _check() -> None:
    """Refuse to run where objects look different."""
    block = np.zeros((2, 3, 4), np.int16)
    frozen = block[1, ::2, ::-1]
    frozen.flags.writeable = False
    for x in (block, frozen):
        at = id(x)
        dims, strides = word(at + DIMS), word(at + STRIDES)
        found = (
            word(at + DATA),
            ctypes.c_int32.from_address(at + NDIM).value,
            tuple(word(dims + 8 * d) for d in range(x.ndim)),
            tuple(word(strides + 8 * d) for d in range(x.ndim)),
            word(at + DESCR),
            ctypes.c_int32.from_address(at + FLAGS).value & (ALIGNED | WRITEABLE),
        )
        flags = ALIGNED * x.flags.aligned | WRITEABLE * x.flags.writeable
        if found != (x.__array_interface__["data"][0], x.ndim, x.shape, x.strides, id(x.dtype), flags):
            raise BackendUnavailableError(
                f"NumPy {np.__version__} keeps the fields of its arrays in other places than portapar's native code "
                "reads them. Use a NumPy that portapar supports: pip install 'numpy<3'"
            )
    if ctypes.string_at(id(b"portapar") + BYTES, 8) != b"portapar" or word(id(frozen) + TYPE) != id(np.ndarray):
        raise BackendUnavailableError("this Python keeps objects in another way than CPython: portapar needs CPython")


def knows_tuples() -> bool:
    """Whether tuples look as native code reads them; it does without, if they do not."""
    pair = (object(), object())
    return (word(id(pair) + SIZE), word(id(pair) + ITEMS), word(id(pair) + ITEMS + 8)) == (2, *map(id, pair))


if ctypes.sizeof(ctypes.c_void_p) != 8:
    raise BackendUnavailableError("portapar's native code needs a 64-bit Python")
_check()
