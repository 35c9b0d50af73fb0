"""What Numba lacks for our loops, as LLVM: hints, vector stores, and the argument block.

Every function here is a Numba intrinsic; the module is imported only when code is compiled.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from portapar.kernel.jit.layout import DATA, DIMS, STRIDES
from portapar.kernel.jit.typing import array_type, numba_type
from portapar.kernel.program import Spec

LONGEST = 1 << 52  #: no index space has more elements: it would take days, on any machine

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def _word(builder: Any, address: Any, k: int) -> Any:
    """The k-th 64-bit word from an integer address."""
    return builder.load(builder.gep(builder.inttoptr(address, _I64.as_pointer()), [_I64(k)]))


def _as_array(context: Any, builder: Any, kind: Any, data: Any, shape: list[Any], strides: list[Any]) -> Any:
    element = context.get_data_type(kind.dtype)
    array = make_array(kind)(context, builder)
    populate_array(
        array,
        (builder.inttoptr if data.type == _I64 else builder.bitcast)(data, element.as_pointer()),
        cgutils.pack_array(builder, shape),
        cgutils.pack_array(builder, strides),
        context.get_constant(types.intp, context.get_abi_sizeof(element)),
        None,
    )
    return array._getvalue()


def unpacker(specs: tuple[Spec, ...], extra: int, apart: bool = False) -> Any:
    """An intrinsic that turns the address of an argument block into a tuple of values.

    The block holds, in 64-bit words: for an array the address of its NumPy object and the global
    index of its row 0; for a scalar its bits (complex: two words); then `extra` integers. `apart` promises that what is
    written through one of the arrays is not reached through another.
    """
    kinds = [
        array_type(s.dtype, s.ndim, s.contiguous, s.readonly) if s.is_array else numba_type(s.dtype) for s in specs
    ]
    tails = [s.tail for s in specs] + [()] * extra

    @intrinsic
    def unpack(typing, block):
        returned = types.Tuple([*kinds, *[types.int64] * extra])

        def codegen(context, builder, signature, values):
            found, word = [], 0
            for kind, tail in zip(returned.types, tails, strict=True):
                if isinstance(kind, types.Array):
                    array, first = _word(builder, values[0], word), _word(builder, values[0], word + 1)
                    dims, strides = _word(builder, array, DIMS // 8), _word(builder, array, STRIDES // 8)
                    shape = [_word(builder, dims, d) for d in range(kind.ndim)]
                    step = [_word(builder, strides, d) for d in range(kind.ndim)]
                    size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
                    for k, n in enumerate(reversed(tail), 1):
                        shape[-k], step[-k] = _I64(n), _I64(size * math.prod(tail[len(tail) - k + 1 :]))
                        step[-k - 1] = _I64(size * math.prod(tail[len(tail) - k :]))
                    data = _word(builder, array, DATA // 8)
                    if kind.ndim:
                        data = builder.sub(data, builder.mul(first, step[0]))
                        shape[0] = builder.add(shape[0], first)
                    data = _object_at(builder, data) if apart else data
                    found.append(_as_array(context, builder, kind, data, shape, step))
                    word += 2
                else:
                    stored = context.get_value_type(kind) if not isinstance(kind, types.Boolean) else _I8
                    address = builder.add(values[0], _I64(8 * word))
                    value = builder.load(builder.inttoptr(address, stored.as_pointer()), align=8)
                    if isinstance(kind, types.Boolean):
                        value = builder.trunc(value, ir.IntType(1))
                    found.append(value)
                    word += 2 if isinstance(kind, types.Complex) else 1
            return context.make_tuple(builder, returned, found)

        return returned(block), codegen

    return unpack


def _object_at(builder: Any, address: Any) -> Any:
    """A pointer that LLVM takes for one to memory of its own, known to others outside: as `restrict` says in C."""
    module, pointer = builder.module, _I8.as_pointer()
    function = module.globals.get("portapar_object")
    if function is None:
        function = ir.Function(module, ir.FunctionType(pointer, [_I64]), "portapar_object")
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.return_value.add_attribute("noalias")
        inner = ir.IRBuilder(function.append_basic_block())
        inner.ret(inner.asm(function.function_type, "", "=r,0,~{memory}", [function.args[0]], True))
    found = builder.call(function, [address])
    builder.asm(ir.FunctionType(ir.VoidType(), [pointer]), "", "r,~{memory}", [found], True)
    return found


def apart(specs: tuple[Spec, ...], written: tuple[int, ...], idle: tuple[int, ...] = ()) -> Any:
    """An intrinsic that tells whether the arrays that are `written` share memory with no other array of a block.

    Those that are `idle` do not count.
    """

    def extent(context: Any, builder: Any, block: Any, k: int) -> tuple[Any, Any]:
        """The first address of an array, and the one behind its last element."""
        spec, word = specs[k], sum(2 if s.is_array or s.dtype.kind == "c" else 1 for s in specs[:k])
        array = _word(builder, block, word)
        first = last = _word(builder, array, DATA // 8)
        dims, strides = _word(builder, array, DIMS // 8), _word(builder, array, STRIDES // 8)
        size, empty = _I64(spec.dtype.itemsize), ir.Constant(ir.IntType(1), 0)
        for d in range(spec.ndim):
            n, step = _word(builder, dims, d), _word(builder, strides, d)
            reach = builder.mul(builder.sub(n, _I64(1)), step)
            forward = builder.icmp_signed(">=", reach, _I64(0))
            last = builder.add(last, builder.select(forward, reach, _I64(0)))
            first = builder.add(first, builder.select(forward, _I64(0), reach))
            empty = builder.or_(empty, builder.icmp_signed("==", n, _I64(0)))
        last = builder.add(last, size)
        return first, builder.select(empty, first, last)

    @intrinsic
    def test(typing, block):
        def codegen(context, builder, signature, values):
            arrays = [k for k, spec in enumerate(specs) if spec.is_array and k not in idle]
            ends = {k: extent(context, builder, values[0], k) for k in arrays}
            found = ir.Constant(ir.IntType(1), 1)
            for k in written:
                for other in arrays:
                    if other not in written or other > k:
                        before = builder.icmp_unsigned("<=", ends[k][1], ends[other][0])
                        behind = builder.icmp_unsigned("<=", ends[other][1], ends[k][0])
                        found = builder.and_(found, builder.or_(before, behind))
            return found

        return types.boolean(block), codegen

    return test


@intrinsic
def rest(typing, table, lo, hi, block):
    """Run [lo, hi) by the chunk function that a table begins with; if that fails, so does the caller."""

    def codegen(context, builder, signature, values):
        table, lo, hi, block = values
        pointer = _I8.as_pointer()
        kind = ir.FunctionType(_I32, [pointer, pointer, _I64, _I64, _I64])
        result = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(_I64, 4)), pointer)
        function = builder.inttoptr(_word(builder, table, 0), kind.as_pointer())
        status = builder.call(function, [result, result, lo, hi, block])
        with builder.if_then(builder.icmp_unsigned("!=", status, _I32(0)), likely=False):
            builder.ret(_I32(-1))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def extremes(typing, table, array, ends, most):
    """The least and the greatest element of a contiguous array between two places.

    `ends` has the least and the greatest index on every axis. Where these are not in the array, or lie further apart
    than `most` elements, the least is below all that matters: -LONGEST. Of floats so it is where one has a sign, or is
    no number: the bits of others are in order.
    """
    kind = array
    real = isinstance(kind.dtype, types.Float)

    def codegen(context, builder, signature, values):
        table, _, ends, most = values
        x = make_array(kind)(context, builder, values[1])
        shape = cgutils.unpack_tuple(builder, x.shape, kind.ndim)
        ends = cgutils.unpack_tuple(builder, ends, 2 * kind.ndim)
        inside, low, high = ir.Constant(ir.IntType(1), 1), _I64(0), _I64(0)
        rows = width = _I64(1)
        for d, n in enumerate(shape):
            least, greatest = ends[2 * d], ends[2 * d + 1]
            for test in (
                builder.icmp_signed(">=", least, _I64(0)),
                builder.icmp_signed("<=", least, greatest),
                builder.icmp_signed("<", greatest, n),
            ):
                inside = builder.and_(inside, test)
            rows = builder.add(builder.sub(high, low), _I64(1))
            width = builder.add(builder.sub(greatest, least), _I64(1))
            low, high = builder.add(builder.mul(low, n), least), builder.add(builder.mul(high, n), greatest)
        # of rows that are used in part only that part is looked at
        count = builder.add(builder.sub(high, low), _I64(1))
        few = builder.icmp_signed("<", builder.mul(builder.mul(rows, width), _I64(2)), count)
        rows, count = builder.select(few, rows, _I64(1)), builder.select(few, width, count)
        inside = builder.and_(inside, builder.icmp_signed("<=", builder.mul(rows, count), most))
        out, found = (cgutils.alloca_once(builder, ir.ArrayType(_I64, 2)) for _ in range(2))
        first, second = (builder.gep(out, [_I32(0), _I32(k)]) for k in range(2))
        builder.store(_I64(-LONGEST), first)
        builder.store(_I64(LONGEST), second)
        with builder.if_then(inside):
            size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
            word = 2 * (size.bit_length() - 1) + 1 + (not real and not kind.dtype.signed)
            pointer = _I8.as_pointer()
            function = ir.FunctionType(_I32, [pointer, pointer, _I64, _I64, _I64])
            function = builder.inttoptr(_word(builder, table, word), function.as_pointer())
            unused = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(_I64, 4)), pointer)
            builder.store(_I64(LONGEST), first)
            builder.store(_I64(-LONGEST), second)
            with cgutils.for_range(builder, rows) as row:
                place = builder.add(low, builder.mul(row.index, shape[-1]))
                begin = builder.ptrtoint(builder.gep(x.data, [place]), _I64)
                builder.call(function, [unused, unused, begin, count, builder.ptrtoint(found, _I64)])
                for k, (end, sign) in enumerate(((first, "<"), (second, ">"))):
                    old, new = builder.load(end), builder.load(builder.gep(found, [_I32(0), _I32(k)]))
                    builder.store(builder.select(builder.icmp_signed(sign, new, old), new, old), end)
        results = [builder.load(first), builder.load(second)]
        if real:
            element, bits = context.get_data_type(kind.dtype), ir.IntType(kind.dtype.bitwidth)
            positive = builder.icmp_signed(">=", results[0], _I64(0))
            results = [builder.bitcast(builder.trunc(part, bits), element) for part in results]
            results = [context.cast(builder, part, kind.dtype, types.float64) for part in results]
            results[0] = builder.select(positive, results[0], ir.Constant(results[0].type, -float(LONGEST)))
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(types.float64 if real else types.int64, 2)(table, array, ends, most), codegen


def elements(dtype: Any) -> Any:
    """An intrinsic that takes `count` elements from an address on for an array."""
    element = numba_type(dtype)
    kind = types.Array(element, 1, "C")

    @intrinsic
    def make(typing, address, count):
        def codegen(context, builder, signature, values):
            size = context.get_abi_sizeof(context.get_data_type(element))
            return _as_array(context, builder, kind, values[0], [values[1]], [_I64(size)])

        return kind(types.int64, types.int64), codegen

    return make


@intrinsic
def nonneg(typing, i):
    """`i`, promised to be ≥ 0 and below LONGEST: without that, Python's wrap of negative indices keeps loops scalar.

    Sums and products of integers wrap, so that `2 * i + 1` is known to be positive only where i is known to be small.
    """

    def codegen(context, builder, signature, values):
        builder.assume(builder.icmp_unsigned("<", values[0], ir.Constant(values[0].type, LONGEST)))
        return values[0]

    return i(i), codegen


@intrinsic
def choose(typing, test, a, b):
    """``a if test else b`` of two values that are there: no branch."""
    common = typing.unify_types(*(types.unliteral(t) for t in (a, b)))
    if common is None or not isinstance(test, types.Boolean):
        return None

    def codegen(context, builder, signature, values):
        one, other = (
            context.cast(builder, value, given, common)
            for value, given in zip(values[1:], signature.args[1:], strict=True)
        )
        return builder.select(values[0], one, other)

    return common(test, a, b), codegen


choose.joins = True  # the type of both, see `promotion`


@intrinsic
def kept(typing, value, like):
    """A number as one of the kind of another, where that changes nothing (`promotion`)."""
    return like(value, like), lambda context, builder, signature, values: context.cast(
        builder, values[0], signature.args[0], like
    )


kept.keeps = True


@intrinsic
def wide(typing):
    """Let the function use the widest vectors: LLVM halves them on CPUs that once lowered their clock."""

    def codegen(context, builder, signature, values):
        # past llvmlite's list of names, which does not have this one
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def narrow(typing):
    """Let the function use no vectors: those that are put together one by one cost more than they save."""

    def codegen(context, builder, signature, values):
        set.add(builder.function.attributes, '"prefer-vector-width"="64"')
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def seldom(typing):
    """Let the function be a function of its own: it runs seldom, and would take registers of its callers' loops."""

    def codegen(context, builder, signature, values):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def no_gathers(typing):
    """Let the function move vectors as such, or number by number: gathers from the stack are slower than either."""

    def codegen(context, builder, signature, values):
        triple, _, features = context.codegen().magic_tuple()
        if triple.startswith("x86_64"):
            features = f"{features},+prefer-no-gather,+prefer-no-scatter"
            set.add(builder.function.attributes, f'"target-features"="{features}"')
        return context.get_dummy_value()

    return types.void(), codegen


def scratch(dtype: Any, length: int) -> Any:
    """An intrinsic that gives a 64-byte aligned array on the stack."""
    element = numba_type(dtype)
    kind = types.Array(element, 1, "C")

    @intrinsic
    def make(typing):
        def codegen(context, builder, signature, values):
            stored = context.get_data_type(element)
            block = cgutils.alloca_once(builder, ir.ArrayType(stored, length))
            block.align = 64
            size = context.get_abi_sizeof(stored)
            data = builder.bitcast(block, stored.as_pointer())
            return _as_array(context, builder, kind, data, [_I64(length)], [_I64(size)])

        return kind(), codegen

    return make


def turned(width: int) -> Any:
    """An intrinsic that copies rows of `width` numbers, a power of two, to columns.

    They are as many rows as there are numbers in a cache line, which lie one after the other. Of two vectors those at
    even places are one, and those at odd places another, as often as it takes for a vector to be of one column.
    """

    @intrinsic
    def copied(typing, columns, lane, array, row):
        def codegen(context, builder, signature, values):
            element = context.get_data_type(signature.args[2].dtype)
            size = 64 // context.get_abi_sizeof(element)
            vector = ir.VectorType(element, size).as_pointer()
            columns, array = (make_array(signature.args[k])(context, builder, values[k]) for k in (0, 2))
            source = builder.gep(array.data, [builder.mul(values[3], _I64(width))])
            source = builder.bitcast(source, vector)
            align = context.get_abi_sizeof(element)
            found = [builder.load(builder.gep(source, [_I64(k)]), align=align) for k in range(width)]
            _store_columns(builder, found, columns, values[1])
            return context.get_dummy_value()

        return types.void(columns, types.int64, array, types.int64), codegen

    copied.width, copied.ahead = width, 0
    return copied


def crossed(ahead: int) -> Any:
    """An intrinsic that copies a square of numbers to columns: rows of a cache line, from `first` on, `stride` apart.

    It asks for what lies `ahead` lines further on in each row: of many rows at a time CPUs do not see where they go on.
    """

    @intrinsic
    def copied(typing, columns, lane, array, first, stride):
        def codegen(context, builder, signature, values):
            element = context.get_data_type(signature.args[2].dtype)
            align = context.get_abi_sizeof(element)
            size = 64 // align
            vector = ir.VectorType(element, size).as_pointer()
            columns, array = (make_array(signature.args[k])(context, builder, values[k]) for k in (0, 2))
            rows = [builder.add(values[3], builder.mul(values[4], _I64(k))) for k in range(size)]
            places = [builder.bitcast(builder.gep(array.data, [row]), vector) for row in rows]
            _store_columns(builder, [builder.load(place, align=align) for place in places], columns, values[1])
            for place in places if ahead else ():
                _prefetch(builder, builder.gep(place, [_I64(ahead)]))
            return context.get_dummy_value()

        return types.void(columns, types.int64, array, types.int64, types.int64), codegen

    copied.width, copied.ahead = 0, ahead
    return copied


def _prefetch(builder: Any, place: Any) -> None:
    """Let a line come into the first cache; an address that is none does no harm."""
    kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.bitcast(place, _I8.as_pointer()), _I32(0), _I32(3), _I32(1)])


def _store_columns(builder: Any, rows: list[Any], columns: Any, lane: Any) -> None:
    """Store vectors of rows, as those of their columns, from a lane on."""
    size, found = rows[0].type.count, [rows]
    ends = [ir.Constant(ir.VectorType(_I32, size), [*range(k, 2 * size, 2)]) for k in (0, 1)]
    while len(found[0]) > 1:
        pairs = [(parts[0::2], parts[1::2]) for parts in found]
        turns = [
            [[builder.shuffle_vector(a, b, end) for a, b in zip(*pair, strict=True)] for pair in pairs] for end in ends
        ]
        found = [*turns[0], *turns[1]]
    length = cgutils.unpack_tuple(builder, columns.shape)[-1]
    for column, (value,) in enumerate(found):
        place = builder.add(builder.mul(length, _I64(column)), lane)
        target = builder.bitcast(builder.gep(columns.data, [place]), rows[0].type.as_pointer())
        builder.store(value, target, align=64)


@intrinsic
def until_aligned(typing, out, i):
    """How many elements from `out[i]` on lie before the next cache line (64 bytes)."""

    def codegen(context, builder, signature, values):
        array = make_array(signature.args[0])(context, builder, values[0])
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        address = builder.ptrtoint(builder.gep(array.data, [values[1]]), _I64)
        gap = builder.and_(builder.neg(address), _I64(63))
        return builder.udiv(gap, _I64(size))

    return types.int64(out, i), codegen


def stream_out(lines: int) -> Any:
    """An intrinsic that writes a tile of `lines` cache lines past the caches (non-temporal stores).

    A plain store first reads the line that it overwrites; these do not, which saves a third of the
    traffic of a Triad. All lines are in flight at once.
    """

    @intrinsic
    def store(typing, out, i, tile):
        def codegen(context, builder, signature, values):
            line = ir.VectorType(_I64, 8)
            target = make_array(signature.args[0])(context, builder, values[0])
            source = make_array(signature.args[2])(context, builder, values[2])
            target = builder.bitcast(builder.gep(target.data, [values[1]]), line.as_pointer())
            source = builder.bitcast(source.data, line.as_pointer())
            loaded = [builder.load(builder.gep(source, [_I64(k)]), align=64) for k in range(lines)]
            mark = builder.module.add_metadata([_I32(1)])
            for k, value in enumerate(loaded):
                stored = builder.store(value, builder.gep(target, [_I64(k)]), align=64)
                stored.set_metadata("nontemporal", mark)
            return context.get_dummy_value()

        return types.void(out, i, tile), codegen

    return store


@intrinsic
def fence(typing):
    """Make streamed stores visible to the other threads."""

    def codegen(context, builder, signature, values):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen
