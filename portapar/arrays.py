"""Arrays: what portapar accepts, and what kernels see of it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from portapar.errors import ArgumentError, PlacementError, of_kind
from portapar.kernel.program import Spec
from portapar.partitioned import PartitionedArray

SCALARS = (bool, int, float, complex, np.generic)


def whole_number(
    told: str, value: Any, least: int | None = 0, most: int | None = 2**63 - 1, error: type[Exception] = PlacementError
) -> int:
    """A whole number that the user gave, as int; `told` says what it is.

    Raises
    ------
    error
        It is none, or out of range.
    """
    if type(value) is int or (isinstance(value, (int, np.integer)) and not isinstance(value, bool)):
        if (least is None or value >= least) and (most is None or value <= most):
            return int(value)
        wide = most == 2**63 - 1 and least is not None and value < least
    else:
        wide = most == 2**63 - 1
    if least is None:
        limits = ""
    elif least == -(2**63):
        limits = " of 64 bits"
    else:
        limits = f" from {least}" if wide else f" from {least} to {most}"
    number = isinstance(value, SCALARS) and (limits or isinstance(value, (int, np.integer)))
    kind = "" if number else f", {of_kind(value)}"
    raise error(f"{told} is {value!r}{kind}: must be a whole number{limits}")


def shape_of(told: str, shape: Any) -> tuple[int, ...]:
    """A shape that the user gave, a whole number or a tuple of them, as a tuple."""
    axes = shape if isinstance(shape, (tuple, list)) else (shape,)
    found = tuple(whole_number(f"{told}: shape", n, None) for n in axes)
    if any(n < 0 for n in found):
        raise PlacementError(f"{told}: shape is {found}: must not be negative")
    return found


def dtype_of(told: str, dtype: Any) -> np.dtype:
    """A dtype that the user gave: one that kernels can hold, since others would be memory that nobody fills."""
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise ArgumentError(f"{told}: dtype is {dtype!r}: must be a dtype, such as np.float64 ({error})") from None
    if not _sound(found):
        raise PlacementError(
            f"{told}: dtype is {found if found.isnative else found.str}: must be one that kernels compute with, "
            "in this machine's byte order: booleans, integers, floats of 32 and 64 bits, complex numbers, their records"
        )
    return found


def cuts_of(told: str, cuts: Any, rows: int, parts: int) -> tuple[int, ...]:
    """Rows where the parts of an array begin, as the user gave them, and the last one's end."""
    try:
        found = tuple(map(operator.index, cuts))
    except TypeError:
        found = ()
    if len(found) != parts + 1 or (found[0], found[-1]) != (0, rows) or sorted(found) != list(found):
        raise ArgumentError(
            f"{told}: cuts is {cuts!r}: must be {parts + 1} whole numbers from 0 to {rows}, the number of rows, that "
            "do not decrease"
        )
    return found


def check_partitioned(told: str, x: Any) -> None:
    """Refuse what is no partitioned array."""
    if not isinstance(x, PartitionedArray):
        raise PlacementError(f"{told}: x is {of_kind(x)}: must be a PartitionedArray. Use pp.asnumpy(x) for any array")


_MOST = 2**62


class Range:
    """Indices ``start, start + step, …`` up to but not including `stop`; ``pp.range(...)``.

    As an index space of `for_each`, as an input of `transform` and `reduce` in the place of an array.
    """

    __slots__ = ("size", "start", "step", "stop")

    def __init__(self, start: int, stop: int | None = None, step: int = 1) -> None:
        if stop is None:
            start, stop = 0, start
        small = type(start) is type(stop) is type(step) is int and -_MOST < min(start, stop, step)
        if not small or max(start, stop, step) > _MOST:
            start, stop, step = (
                whole_number(f"range: {name}", value, -(2**63))
                for name, value in (("start", start), ("stop", stop), ("step", step))
            )
        if step == 0:
            raise PlacementError("range: step is 0: must be another whole number")
        self.start, self.stop, self.step = start, stop, step
        self.size = max(0, -((start - stop) // step))  #: how many indices

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"pp.range({self.start}, {self.stop}, {self.step})"


class Steps:
    """Stands in keys for a range in other steps than 1, whose elements programs compute with a product."""


class Virtual:
    """What stands in the place of an array and has no memory: the base of `portapar.lazy.Lazy`."""

    __slots__ = ()


def asnumpy(x: Any) -> np.ndarray:
    """The elements of any array on the host: a view where it is there already, else a copy.

    Under MPI this is collective: every rank calls it and gets the whole array.

    Parameters
    ----------
    x : array_like
        A NumPy, CuPy, PyOpenCL or partitioned array, or anything with DLPack, the array interface or
        the buffer protocol.
    """
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, PartitionedArray):
        return x.executor.gather(x)
    if isinstance(x, Virtual):
        return np.asarray(x)  # says what to do
    if _on_device(x):
        if not x.flags.c_contiguous:
            return _strided(x) if x.size and hasattr(x, "base_data") else x.get()
        if x.dtype.names is None:
            return x.get()
        if x.size == 0:
            return np.empty(x.shape, x.dtype)
        whole = x.reshape(-1).view(np.uint8).get()  # as bytes: PyOpenCL fails on records with padding
        return whole.view(x.dtype).reshape(x.shape)
    if hasattr(x, "__dlpack__"):
        return np.from_dlpack(x)
    return np.asarray(x)


def span(x: Any) -> tuple[int, int]:
    """The bytes that an array with elements spans, counted from its first one, which may not be the lowest."""
    reach = [(n - 1) * s for n, s in zip(x.shape, x.strides, strict=True)]
    return sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach) + x.dtype.itemsize


def _strided(x: Any) -> np.ndarray:
    """A PyOpenCL array whose elements are apart, which that library does not read: of all bytes that it spans."""
    low, high = span(x)
    raw = type(x)(x.queue, (high - low,), np.uint8, data=x.base_data, offset=x.offset + low).get()
    return np.ndarray(x.shape, x.dtype, raw.data, -low, x.strides).copy()


def normal(x: Any, name: str) -> Any:
    """The argument as the core works with it: an array object, a partitioned array, or a scalar.

    NumPy arrays pass through, host arrays of other libraries are viewed without a copy, and Python
    sequences and unsupported types are refused with the remedy.
    """
    kind = type(x)
    if kind is np.ndarray or kind in _SCALAR_SPECS or isinstance(x, (np.generic, PartitionedArray, Virtual)):
        return x
    if isinstance(x, int):  # such as an enum's number
        return int(x)
    if isinstance(x, (float, complex)):
        return float(x) if isinstance(x, float) else complex(x)
    if isinstance(x, np.ma.MaskedArray):
        raise PlacementError(f"argument {name!r} is a masked array: kernels do not see masks. Pass {name}.filled(...)")
    if isinstance(x, np.ndarray):
        return x.view(np.ndarray)
    if _on_device(x):
        return x
    if isinstance(x, (list, tuple, set, dict, str, bytes)) or x is None or callable(x):
        holds = f". Pass np.asarray({name}) if it holds numbers" if isinstance(x, (list, tuple)) else ""
        if isinstance(x, (list, tuple)) and any(hasattr(one, "dtype") and np.ndim(one) for one in x):
            holds = f". Pass its arrays one by one, or pp.lazy.zip(*{name}), whose elements are tuples"
        holds = f". Pass np.asarray(list({name})) if it holds numbers" if isinstance(x, (set, dict)) else holds
        raise PlacementError(
            f"argument {name!r} is {of_kind(x)}, {_short(x)}: kernels take arrays and numbers{holds}"
        )
    if isinstance(x, (range, Range)):
        ends = ", ".join(map(str, (len(x), x.start, x.step)))
        raise ArgumentError(f"argument {name!r} is {x!r}: must be an array, or pp.lazy.iota({ends})")
    if hasattr(x, "__array_interface__"):
        return np.asarray(x)
    if hasattr(x, "__dlpack__"):
        if hasattr(x, "__dlpack_device__") and x.__dlpack_device__()[0] != 1:
            raise PlacementError(
                f"argument {name!r} is {of_kind(x)} on a device; pass it as cupy.from_dlpack({name})"
            )
        return np.from_dlpack(x)
    if hasattr(x, "__array__"):  # which copies: what is written to the copy would be lost
        remedy = f"{name}.to_numpy()" if hasattr(x, "to_numpy") else f"np.asarray({name})"
        told = type(x).__name__
        raise ArgumentError(f"argument {name!r} is a {told}: kernels take arrays and numbers. Pass {remedy}")
    try:
        return np.asarray(memoryview(x))
    except TypeError:
        raise PlacementError(
            f"argument {name!r} is {of_kind(x)}: kernels take numbers and arrays "
            "(NumPy, CuPy, PyOpenCL, or anything with DLPack, the array interface or the buffer protocol)"
        ) from None


def columns(dtype: np.dtype) -> str:
    """How to make one number of keys that are records or tuples."""
    if dtype.names is None:
        return ""
    names = [str(name) for name in dtype.names]
    told = names[0]
    for name in names[1:]:
        told = f"({told}) * n_{name} + {name}" if " " in told else f"{told} * n_{name} + {name}"
    given = ", ".join(names)
    return (
        f". Of whole numbers make one, pp.lazy.transform({given}, lambda {given}: {told}), where each n is more "
        "than the greatest number of its column: it has the order of the tuples"
    )


def _on_device(x: Any) -> bool:
    """Whether it is an array of CuPy, PyOpenCL or their like."""
    device = hasattr(x, "dtype") and hasattr(x, "strides") and hasattr(x, "get")
    return device or hasattr(x, "__cuda_array_interface__")


def _short(x: Any) -> str:
    text = repr(x)
    return text if len(text) <= 40 else text[:37] + "..."


_SCALAR_SPECS: dict[type, Spec] = {
    bool: Spec(np.dtype(np.bool_)),
    int: Spec(np.dtype(np.int64), weak=True),
    float: Spec(np.dtype(np.float64), weak=True),
    complex: Spec(np.dtype(np.complex128), weak=True),
}


def sound(x: np.ndarray) -> bool:
    """Whether kernels can work on it as it is."""
    return _sound(x.dtype) and bool(x.flags.num & _ALIGNED)


def spec_of(x: Any, name: str) -> Spec:
    """The kind of an argument; refuses dtypes that no kernel can hold."""
    if isinstance(x, np.ndarray) and _sound(x.dtype):  # what most are, first: every call asks this of each argument
        flags = x.flags.num
        if flags & _ALIGNED:
            return _spec(held(x.dtype), x.ndim, bool(flags & _CONTIGUOUS), not flags & _WRITEABLE)
    scalar = _SCALAR_SPECS.get(type(x))
    if scalar is not None:
        if type(x) is int and not -(2**63) <= x < 2**63:
            raise PlacementError(f"argument {name!r} is {x}: it does not fit into 64 bits. Pass a float")
        return scalar
    if isinstance(x, Virtual):
        raise PlacementError(
            f"argument {name!r} is {x!r}, a lazy input, which has no memory: must be an array. "
            f"pp.copy(policy, {name}) makes one of it"
        )
    if isinstance(x, np.void):
        raise PlacementError(
            f"argument {name!r} is one record, {x!r}: kernels take numbers, and records in arrays. "
            f"Pass its numbers, or an array such as np.broadcast_to({name}, n) to pp.copy"
        )
    dtype = held(x.dtype)
    if not _supported(dtype):
        raise PlacementError(
            f"argument {name!r} has dtype {dtype}: kernels compute with booleans, integers, floats of 32 "
            f"and 64 bits, complex numbers and records. {_remedy(dtype, name)}"
        )
    if not dtype.isnative:
        raise PlacementError(
            f"argument {name!r} has dtype {dtype.str!r}, in the byte order of another machine. "
            f"Convert it: {name}.astype({name}.dtype.newbyteorder('='))"
        )
    if isinstance(x, np.generic):
        return Spec(dtype)
    if isinstance(x, np.ndarray):
        raise PlacementError(f"argument {name!r} is not aligned to its dtype {dtype}: copy it, {name}.copy()")
    if isinstance(x, PartitionedArray):
        return Spec(dtype, x.ndim, True)
    return Spec(dtype, len(x.shape), contiguous(x))


def _remedy(dtype: np.dtype, name: str) -> str:
    """What to do with an array whose elements no kernel can hold."""
    if dtype.kind in "USTO":
        return (
            f"Number what is in it: values, codes = np.unique({name}, return_inverse=True), and pass codes; or, where "
            f"all are numbers, {name}.astype(np.float64)"
        )
    if dtype.kind in "mM":
        return f"Pass {name}.view(np.int64)"
    if dtype.names:
        return f"Pass the fields that it is about, such as {name}[{dtype.names[0]!r}].copy()"
    wanted = "np.float32" if dtype == np.float16 else "np.complex128" if dtype.kind == "c" else "np.float64"
    return f"Convert it, such as {name}.astype({wanted})"


_spec = functools.lru_cache(maxsize=4096)(Spec)
_CONTIGUOUS, _ALIGNED, _WRITEABLE = 0x1, 0x100, 0x400  #: bits of ``flags.num``, as in NumPy's C API


def writeable(x: np.ndarray) -> bool:
    """``x.flags.writeable``, which warns of what np.broadcast_arrays gives, also if nobody writes to it."""
    return bool(x.flags.num & _WRITEABLE)


@functools.lru_cache(maxsize=4096)
def _sound(dtype: np.dtype) -> bool:
    """Whether kernels can hold it."""
    dtype = held(dtype)
    return _supported(dtype) and dtype.isnative


@functools.lru_cache(maxsize=4096)
def held(dtype: np.dtype) -> np.dtype:
    """What kernels see of a dtype: of a record the fields that they can hold; all others stay where they are."""
    if dtype.names is None or dtype.hasobject:
        return dtype
    fields: Any = dtype.fields or {}
    kinds = {name: np.dtype((held(fields[name][0].base), fields[name][0].shape)) for name in dtype.names}
    seen = [name for name, kind in kinds.items() if _supported(kind.base) and kind.base.isnative]
    if not seen or all(name in seen and kinds[name] == fields[name][0] for name in dtype.names):
        return dtype
    formats, offsets = [kinds[name] for name in seen], [fields[name][1] for name in seen]
    return np.dtype({"names": seen, "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize})


def whole(kind: np.dtype, sources: Iterable[Any]) -> np.dtype:
    """The dtype in memory of records that kernels return, which are copies of elements of one of the sources."""
    dtypes = (getattr(x, "dtype", None) for x in sources) if kind.names else ()
    return next((x for x in dtypes if isinstance(x, np.dtype) and held(x) == kind), kind)


@functools.lru_cache(maxsize=4096)
def _supported(dtype: np.dtype) -> bool:
    """Whether kernels can hold such elements."""
    if dtype.names is not None:
        return bool(dtype.names) and all(_supported(dtype[name].base) for name in dtype.names)
    return dtype.kind in "biu" or dtype.char in "fdFD"


def contiguous(x: Any) -> bool:
    """Whether an array of any library lies in memory in C order without gaps."""
    if 0 in x.shape:
        return True
    expected = x.dtype.itemsize
    for length, stride in zip(reversed(x.shape), reversed(x.strides), strict=True):
        if length > 1 and stride != expected:
            return False
        expected *= length
    return True


def describe(x: Any) -> str:
    """An argument in a few words, for messages and plans."""
    if isinstance(x, SCALARS):
        return f"{type(x).__name__} {_short(x)}"
    return f"{x.dtype}[{'×'.join(str(n) for n in x.shape)}]"


def is_scalar(x: Any) -> bool:
    """Whether it is a number."""
    return isinstance(x, SCALARS)


def shape_text(x: Any) -> str:
    """The shape of an input, for messages."""
    if isinstance(x, (Range, range)):
        return f"({len(x)},)"
    return "scalar" if is_scalar(x) else str(x.shape)
