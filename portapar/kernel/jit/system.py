"""What the threads of a pool do with words that they share, and ask of the system, as LLVM.

Every function here is a Numba intrinsic; the module is imported only when code is compiled.
"""

from __future__ import annotations

import time
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


@intrinsic
def load(typing, address):
    """The word at an address, with acquire order."""

    def codegen(context, builder, signature, values):
        return builder.load_atomic(builder.inttoptr(values[0], _I64.as_pointer()), "acquire", 8)

    return types.int64(address), codegen


@intrinsic
def store(typing, address, value):
    """Write a word with release order."""

    def codegen(context, builder, signature, values):
        builder.store_atomic(values[1], builder.inttoptr(values[0], _I64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(address, types.int64), codegen


@intrinsic
def put(typing, address, value):
    """Write a number, in as many bytes as it has, to where no other thread looks."""

    def codegen(context, builder, signature, values):
        builder.store(values[1], builder.inttoptr(values[0], values[1].type.as_pointer()))
        return context.get_dummy_value()

    return types.void(address, value), codegen


@intrinsic
def prefetch(typing, address):
    """Ask for the cache line of an address, which is read soon."""

    def codegen(context, builder, signature, values):
        pointer = builder.inttoptr(values[0], _I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, *(ir.Constant(_I32, k) for k in (0, 3, 1))])  # to read, in all caches, data
        return context.get_dummy_value()

    return types.void(address), codegen


@intrinsic
def fetch_add(typing, address, value):
    """Add to a word; returns what it was."""

    def codegen(context, builder, signature, values):
        return builder.atomic_rmw("add", builder.inttoptr(values[0], _I64.as_pointer()), values[1], "seq_cst")

    return types.int64(address, types.int64), codegen


@intrinsic
def swap_if(typing, address, expected, value):
    """Compare and swap: whether the word was `expected` and is `value` now."""

    def codegen(context, builder, signature, values):
        pointer = builder.inttoptr(values[0], _I64.as_pointer())
        pair = builder.cmpxchg(pointer, values[1], values[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(address, types.int64, types.int64), codegen


@intrinsic
def run_chunk(typing, function, lo, hi, block):
    """Call a compiled chunk by its address; its status, which is 0 unless it raised."""

    def codegen(context, builder, signature, values):
        pointer = _I8.as_pointer()
        kind = ir.FunctionType(_I32, [pointer, pointer, _I64, _I64, _I64])
        result = cgutils.alloca_once(builder, ir.ArrayType(_I64, 4))
        result = builder.bitcast(result, pointer)
        status = builder.call(builder.inttoptr(values[0], kind.as_pointer()), [result, result, *values[1:]])
        return builder.sext(status, _I64)

    return types.int64(function, types.int64, types.int64, types.int64), codegen


@intrinsic
def run_native(typing, function, one, two, three):
    """Call a compiled function of three words by its address; its result."""

    def codegen(context, builder, signature, values):
        pointer = _I64.as_pointer()
        kind = ir.FunctionType(_I32, [pointer, pointer, _I64, _I64, _I64])
        result, error = cgutils.alloca_once(builder, _I64), cgutils.alloca_once(builder, _I64)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), [result, error, *values[1:]])
        return builder.load(result)

    return types.int64(function, types.int64, types.int64, types.int64), codegen


@intrinsic
def call(typing, function, *words):
    """Call a function of C by its address, with words; the word that it returns."""

    def codegen(context, builder, signature, values):
        kind = ir.FunctionType(_I64, [_I64] * len(words))
        given = cgutils.unpack_tuple(builder, values[1], len(words))
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), given)

    return types.int64(function, types.StarArgTuple(words)), codegen


@intrinsic
def clock(typing):
    """Nanoseconds of the monotonic clock."""

    def codegen(context, builder, signature, values):
        stamp = ir.LiteralStructType([_I64, _I64])
        kind = ir.FunctionType(_I32, [_I32, stamp.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        slot = cgutils.alloca_once(builder, stamp)
        builder.call(function, [_I32(time.CLOCK_MONOTONIC), slot])
        seconds = builder.load(cgutils.gep_inbounds(builder, slot, 0, 0))
        rest = builder.load(cgutils.gep_inbounds(builder, slot, 0, 1))
        return builder.add(builder.mul(seconds, _I64(1_000_000_000)), rest)

    return types.int64(), codegen


@intrinsic
def give_way(typing):
    """Let another thread have this CPU: there may be more threads than CPUs."""

    def codegen(context, builder, signature, values):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def cpu_now(typing):
    """The number of the CPU that this thread runs on."""

    def codegen(context, builder, signature, values):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, []), "sched_getcpu")
        return builder.sext(builder.call(function, []), _I64)

    return types.int64(), codegen


@intrinsic
def run_on(typing, size, mask):
    """Let this thread run on those CPUs alone whose bits are set in `size` bytes at `mask`."""

    def codegen(context, builder, signature, values):
        kind = ir.FunctionType(_I32, [_I32, _I64, _I64.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, "sched_setaffinity")
        place = builder.inttoptr(values[1], _I64.as_pointer())
        builder.call(function, [ir.Constant(_I32, 0), values[0], place])
        return context.get_dummy_value()

    return types.void(size, mask), codegen


def _word_by(name: str) -> Any:
    """An intrinsic that reads or writes a word, 1, by a file's number."""

    @intrinsic
    def move(typing, file):
        def codegen(context, builder, signature, values):
            pointer = _I64.as_pointer()
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_I64, [_I32, pointer, _I64]), name
            )
            slot = cgutils.alloca_once_value(builder, _I64(1))
            builder.call(function, [builder.trunc(values[0], _I32), slot, _I64(8)])
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    return move


hear, ring = _word_by("read"), _word_by("write")  #: sleep until there is a word; write one
