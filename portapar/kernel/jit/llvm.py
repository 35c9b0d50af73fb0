"""What Numba lacks on CPUs, written as LLVM: atomic updates and arrays on the stack."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import lower_builtin, type_callable
from numba.np.arrayobj import make_array, populate_array
from numba.np.numpy_support import as_dtype, from_dtype

from portapar.kernel.front import atomic, private
from portapar.kernel.front.rows import row_number

__all__ = ["atomic_elements", "private_shape", "register"]

atomic_elements = (types.int32, types.int64, types.uint32, types.uint64, types.float32, types.float64)

@functools.cache
def register() -> None:
    """Teach Numba the atomic operations and the private arrays; to be called before a kernel is typed or compiled."""
    for operation, (integer, real) in atomic.OPERATIONS.items():
        _register_atomic(operation, integer, real)
    for constructor in private.CONSTRUCTORS:
        _register_private(constructor)

    @type_callable(row_number)
    def number_type(context: Any) -> Any:
        def typer(x: Any, number: Any) -> Any:
            x = types.unliteral(x)
            if isinstance(x, types.Integer | types.Boolean):
                return types.int64 if isinstance(x, types.Boolean) or x.signed else types.uint64
            return x

        return typer

    @lower_builtin(row_number, types.Any, types.Any)
    def number_code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[1], sig.args[1], sig.return_type)


_ORDER = "acq_rel"  # what was written before an update is seen after it: blocks can hand results on


def _register_atomic(operation: Callable[..., Any], integer: str, real: str | None) -> None:
    """Let kernels call an operation of `portapar.kernel.front.atomic`.

    Parameters
    ----------
    operation : callable
        The plain function op(array, index, value) or cas(array, index, expected, new).
    integer, real : str
        LLVM's name of it for integers and floats.
    """
    name = operation.__name__

    def signature(array: Any, index: Any, *values: Any) -> Any:
        if not isinstance(array, types.Array):
            raise TypingError(f"atomic.{name} takes an array first, then the index and the value")
        element = array.dtype
        if not array.mutable:
            raise TypingError("Cannot modify readonly array")
        if element not in atomic_elements or (real is None and isinstance(element, types.Float)):
            raise TypingError(f"atomic.{name} is not possible on an array of {element}")
        parts = index if isinstance(index, types.BaseTuple) else (index,)
        if len(parts) != array.ndim or not all(isinstance(p, types.Integer) for p in parts):
            raise TypingError(f"atomic.{name} needs one integer index for each of the {array.ndim} axes")
        return element

    if integer == "cas":

        @type_callable(operation)
        def cas_type(context: Any) -> Any:
            def typer(array: Any, index: Any, expected: Any, new: Any) -> Any:
                return signature(array, index, expected, new)

            return typer

        @lower_builtin(operation, types.Array, types.Any, types.Any, types.Any)
        def cas_code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            element = sig.return_type
            pointer = _pointer(context, builder, sig, args)
            expected, new = (context.cast(builder, args[k], sig.args[k], element) for k in (2, 3))
            return _compare_exchange(builder, pointer, expected, new)[0]
    else:

        @type_callable(operation)
        def update_type(context: Any) -> Any:
            def typer(array: Any, index: Any, value: Any) -> Any:
                return signature(array, index, value)

            return typer

        @lower_builtin(operation, types.Array, types.Any, types.Any)
        def update_code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            element = sig.return_type
            pointer = _pointer(context, builder, sig, args)
            value = context.cast(builder, args[2], sig.args[2], element)
            if isinstance(element, types.Float):
                if real in ("min", "max"):
                    return _float_extremum(builder, pointer, value, "<" if real == "min" else ">")
                return builder.atomic_rmw(real, pointer, value, _ORDER)
            unsigned = integer in ("min", "max") and not element.signed
            return builder.atomic_rmw(f"u{integer}" if unsigned else integer, pointer, value, _ORDER)


def _pointer(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """The address of the element, negative indices wrapped."""
    array = make_array(sig.args[0])(context, builder, args[0])
    index = sig.args[1]
    if isinstance(index, types.BaseTuple):
        items, kinds = cgutils.unpack_tuple(builder, args[1]), tuple(index)
    else:
        items, kinds = [args[1]], (index,)
    items = [context.cast(builder, x, t, types.intp) for x, t in zip(items, kinds, strict=True)]
    return cgutils.get_item_pointer(context, builder, sig.args[0], array, items, wraparound=True)


def _compare_exchange(builder: Any, pointer: Any, expected: Any, new: Any) -> tuple[Any, Any]:
    """The old value, and whether it was the expected one; floats are compared by their bits."""
    kind = expected.type
    if isinstance(kind, ir.IntType):
        pair = builder.cmpxchg(pointer, expected, new, _ORDER, "acquire")
        return builder.extract_value(pair, 0), builder.extract_value(pair, 1)
    bits = ir.IntType(32 if isinstance(kind, ir.FloatType) else 64)
    pointer = builder.bitcast(pointer, bits.as_pointer())
    pair = builder.cmpxchg(pointer, builder.bitcast(expected, bits), builder.bitcast(new, bits), _ORDER, "acquire")
    return builder.bitcast(builder.extract_value(pair, 0), kind), builder.extract_value(pair, 1)


def _float_extremum(builder: Any, pointer: Any, value: Any, sign: str) -> Any:
    """Replace what is there while the value is better; a NaN never replaces nor is replaced.

    All is done on bits, so that LLVM finds one load and one store where the update may be plain.
    """
    size = 4 if isinstance(value.type, ir.FloatType) else 8
    bits = ir.IntType(8 * size)
    pointer = builder.bitcast(pointer, bits.as_pointer())
    before = builder.block
    loop, attempt, done = (builder.append_basic_block(n) for n in ("loop", "attempt", "done"))
    first = builder.load_atomic(pointer, "acquire", size)
    builder.branch(loop)
    builder.position_at_end(loop)
    seen = builder.phi(bits)
    seen.add_incoming(first, before)
    old = builder.bitcast(seen, value.type)
    builder.cbranch(builder.fcmp_ordered(sign, value, old), attempt, done)
    builder.position_at_end(attempt)
    found, replaced = _compare_exchange(builder, pointer, seen, builder.bitcast(value, bits))
    seen.add_incoming(found, attempt)
    builder.cbranch(replaced, done, loop)
    builder.position_at_end(done)
    return old


def private_shape(shape: types.Type) -> tuple[int, ...] | None:
    """The extents in a literal type of an integer or of a tuple of them, or None if they are not constant."""
    parts = tuple(shape) if isinstance(shape, types.BaseTuple) else (shape,)
    if not all(isinstance(p, types.IntegerLiteral) and p.literal_value >= 0 for p in parts):
        return None
    return tuple(p.literal_value for p in parts)


def _element(kind: Any) -> Any:
    """The type of an array's elements that holds such a number, or such numbers together; Python's have 64 bits."""
    kinds = list(kind) if isinstance(kind, types.BaseTuple) else [kind]
    found = []
    for one in map(types.unliteral, kinds):
        if not isinstance(one, types.Number | types.Boolean):
            return None
        plain = getattr(types, one.name.removeprefix("weak_"), one)
        found.append(as_dtype(plain))
    return from_dtype(np.result_type(*found))


def _register_private(constructor: Callable[..., Any]) -> None:
    """Let kernels call a constructor of `portapar.kernel.front.private`: an array in the function's own frame."""

    like, filled = (constructor.__name__ == f"private_{name}" for name in ("like", "filled"))

    def result(shape: Any, dtype: Any) -> Any:
        extents = private_shape(shape)
        if like or filled:
            element = _element(dtype)
        else:
            element = getattr(dtype, "instance_type", None) or getattr(dtype, "dtype", None)
        if extents is None or not isinstance(element, types.Number | types.Boolean):
            return None
        return types.Array(element, len(extents), "C")

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.return_type
        extents = private_shape(sig.args[0])
        assert extents is not None
        element = context.get_data_type(kind.dtype)
        size = context.get_abi_sizeof(element)
        count = math.prod(extents)
        name = f"private.{sig.args[2].literal_value}.{kind.dtype}.{count}" if like else ""
        with builder.goto_entry_block():
            entry = builder.function.entry_basic_block.instructions
            known = [part for part in entry if isinstance(part, ir.AllocaInstr) and part.name == name] if like else []
            storage = known[0] if known else builder.alloca(ir.ArrayType(element, count), name=name)
            storage.align = 64
        data = builder.bitcast(storage, element.as_pointer())
        if filled:
            for k, one in enumerate(sig.args[1]):
                value = context.cast(builder, builder.extract_value(args[1], k), one, kind.dtype)
                value = context.get_value_as_data(builder, kind.dtype, value)
                builder.store(value, builder.gep(data, [context.get_constant(types.intp, k)]))
        elif len(args) == 3 and not like:
            value = context.cast(builder, args[1], sig.args[1], kind.dtype)
            value = context.get_value_as_data(builder, kind.dtype, value)
            with cgutils.for_range(builder, context.get_constant(types.intp, count)) as loop:
                builder.store(value, builder.gep(data, [loop.index]))
        elif constructor.__name__ == "private_zeros":
            cgutils.memset(builder, data, context.get_constant(types.intp, count * size), 0)
        strides = [size * math.prod(extents[axis + 1 :]) for axis in range(len(extents))]
        array = make_array(kind)(context, builder)
        populate_array(
            array,
            data=data,
            shape=[context.get_constant(types.intp, n) for n in extents],
            strides=[context.get_constant(types.intp, s) for s in strides],
            itemsize=context.get_constant(types.intp, size),
            meminfo=None,
        )
        return array._getvalue()

    if like:

        @type_callable(constructor)
        def like_type(context: Any) -> Any:
            return lambda shape, value, place: result(shape, value)

        lower_builtin(constructor, types.Any, types.Any, types.Any)(code)
    elif constructor.__name__ == "private_full":

        @type_callable(constructor)
        def full_type(context: Any) -> Any:
            return lambda shape, value, dtype: result(shape, dtype)

        lower_builtin(constructor, types.Any, types.Any, types.Any)(code)
    else:

        @type_callable(constructor)
        def plain_type(context: Any) -> Any:
            return lambda shape, dtype: result(shape, dtype)

        lower_builtin(constructor, types.Any, types.Any)(code)
