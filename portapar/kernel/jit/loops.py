"""Loops as LLVM gets them: what a range is in a loop, and hints that go to the loop before a call."""

from __future__ import annotations

import re
from typing import Any

from llvmlite import ir
from numba.core import cgutils, lowering, types
from numba.core import ir as numba_ir
from numba.extending import intrinsic

_I32, _I64 = ir.IntType(32), ir.IntType(64)


class Lower(lowering.Lower):
    """Numba's lowering of a function's IR to LLVM, but for the loops."""

    def lower_function_body(self) -> Any:
        entry = super().lower_function_body()
        _finish(self.function)
        return entry

    def lower_expr(self, resty: Any, expr: Any) -> Any:
        if expr.op == "iternext" and isinstance(self.typeof(expr.value.name), types.RangeIteratorType):
            call = self._range_of(expr.value)
            if call is None or not all(map(self._is_constant, call.args)):  # constant counts are written out
                return self._next(resty, expr, call is not None and len(call.args) < 3)
        if expr.op == "getiter" and isinstance(kind := self.typeof(expr.value.name), types.RangeType):
            call = self._range_of(expr.value)
            if call is None or len(call.args) > 2 or not kind.dtype.signed:
                return self._begun(resty, kind, expr)
        return super().lower_expr(resty, expr)

    def _lower_call_normal(self, fnty: Any, expr: Any, signature: Any) -> Any:
        kinds = signature.args
        if getattr(fnty, "typing_key", None) is range and len(kinds) == 3:
            return self._range(signature, [self._cast_var(*each) for each in zip(expr.args, kinds, strict=True)])
        return super()._lower_call_normal(fnty, expr, signature)

    def _range(self, signature: Any, values: Any) -> Any:
        """range(start, stop, step), which is empty where the step is 0."""
        start, stop, step = values
        none = self.builder.icmp_unsigned("==", step, step.type(0))
        stop, step = self.builder.select(none, start, stop), self.builder.select(none, step.type(1), step)
        return self.context.get_function(range, signature)(self.builder, [start, stop, step])

    def _begun(self, resty: Any, kind: Any, expr: Any) -> Any:
        """A range's iterator, whose count of numbers is right for all ends and steps: a difference may overflow."""
        builder, signed = self.builder, kind.dtype.signed
        compared = builder.icmp_signed if signed else builder.icmp_unsigned
        value = self.loadvar(expr.value.name)
        numbers = cgutils.create_struct_proxy(kind)(self.context, builder, value=value)
        start, stop, step = numbers.start, numbers.stop, numbers.step
        none, one = step.type(0), step.type(1)
        up = compared(">", step, none)
        low, high = builder.select(up, start, stop), builder.select(up, stop, start)
        size = builder.select(up, step, builder.neg(step))
        most = builder.add(builder.udiv(builder.sub(builder.sub(high, low), one), size), one)
        made = cgutils.create_struct_proxy(resty)(self.context, builder)
        made.iter, made.count = (cgutils.alloca_once(builder, step.type) for _ in range(2))
        made.stop, made.step = stop, step
        builder.store(start, made.iter)
        builder.store(builder.select(compared("<", low, high), most, none), made.count)
        return made._getvalue()

    def _next(self, pair: Any, expr: Any, by_one: bool) -> Any:
        """The next number of a range, and whether there is one.

        Numba goes on only if there is: then LLVM has a choice in every round of a loop, and keeps it. In steps of 1
        the number itself tells where the end is, as in C.
        """
        builder = self.builder
        made = cgutils.create_struct_proxy(self.typeof(expr.value.name))
        numbers = made(self.context, builder, value=self.loadvar(expr.value.name))
        result = self.context.make_helper(builder, pair)
        number = result.first = builder.load(numbers.iter)
        if by_one and pair.first_type.signed:
            result.second = builder.icmp_signed("<", number, numbers.stop)
            builder.store(builder.add(number, number.type(1), flags=["nsw"]), numbers.iter)
        else:
            count = builder.load(numbers.count)
            result.second = builder.icmp_unsigned("!=", count, count.type(0))
            builder.store(builder.sub(count, count.type(1)), numbers.count)
            builder.store(builder.add(number, numbers.step), numbers.iter)
        return result._getvalue()

    def _range_of(self, numbers: Any) -> Any:
        """The call that made the range of an iterator, if it is seen."""
        try:
            call = self.func_ir.get_definition(self.func_ir.get_definition(numbers).value)
            return call if call.op == "call" and not call.vararg else None
        except (KeyError, AttributeError):
            return None

    def _is_constant(self, number: Any) -> bool:
        try:
            return isinstance(self.func_ir.get_definition(number), numba_ir.Const)
        except KeyError:
            return False


def _finish(function: Any) -> None:
    """Mark the loops that `one_round_` and `two_rounds_` are called behind, now that all of a function is lowered.

    Where the last step of a round is an ``if`` there are several ways back, which come later than what is behind.
    """
    module = function.module
    jumps = [
        (int(name[1]), block.terminator) for block in function.blocks
        if (name := _BLOCK.match(block.name)) and block.terminator is not None and block.terminator.opname == "br"
    ]  # fmt: skip
    for behind, (how, *values) in vars(function).get("marked", ()):
        heads = [number for number, jump in jumps if len(jump.operands) == 3 and behind in jump.operands]
        backs = [
            jump for number, jump in jumps for target in jump.operands if heads and isinstance(target, ir.Block)
            and target.name == f"B{heads[0]}" and number >= heads[0] and "llvm.loop" not in jump.metadata
        ]  # fmt: skip
        if backs:
            mark = module.add_metadata([ir.MetaDataString(module, f"llvm.loop.unroll.{how}"), *values])
            loop = module.add_metadata([_I64(len(module.metadata))])
            loop.operands = (loop, mark)
        for jump in backs:
            jump.set_metadata("llvm.loop", loop)


@intrinsic
def vectors(typing):
    """Have the loop before this call vectorized, and only then unrolled: the other way round it becomes scalars.

    Its trip count must be constant. An array of constant size that such loops work on lives in registers.
    """
    return types.void(), lambda context, builder, *_: _vectors(context, builder, True, False)


@intrinsic
def lanes_apart(typing):
    """The same for a loop of which no step uses what another writes."""
    return types.void(), lambda context, builder, *_: _vectors(context, builder, True, True)


@intrinsic
def steps_apart(typing):
    """Say of the loop before this call that no step uses what another writes."""
    return types.void(), lambda context, builder, *_: _vectors(context, builder, False, True)


@intrinsic
def one_round_(typing):
    """Do the rounds of the loop before this call one by one."""
    return types.void(), lambda context, builder, *_: _marked(context, builder, "runtime.disable")


@intrinsic
def two_rounds_(typing):
    """Do two rounds at a time of the loop before this call: nobody knows how many there are, but mostly few."""
    return types.void(), lambda context, builder, *_: _marked(context, builder, "count", _I32(2))


def _marked(context: Any, builder: Any, *how: Any) -> Any:
    vars(builder.function).setdefault("marked", []).append((builder.block, how))
    return context.get_dummy_value()


@intrinsic
def few(typing):
    """Leave the loop before this call as it is: it has few steps."""
    return types.void(), lambda context, builder, *_: _one_by_one(context, builder, False)


@intrinsic
def one_by_one(typing):
    """Let the loop before this call have no vectors, which would be put together number by number."""
    return types.void(), lambda context, builder, *_: _one_by_one(context, builder, True)


def _one_by_one(context: Any, builder: Any, unrolled: bool) -> Any:
    jump, _ = _loop_before(builder)
    if jump is not None:
        module = builder.module
        off = [ir.MetaDataString(module, "llvm.loop.vectorize.enable"), ir.Constant(ir.IntType(1), 0)]
        marks = [module.add_metadata(off)]
        if not unrolled:
            marks.insert(0, module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")]))
        loop = module.add_metadata([_I64(len(module.metadata))])
        loop.operands = (loop, *marks)
        jump.set_metadata("llvm.loop", loop)
    return context.get_dummy_value()


def _vectors(context: Any, builder: Any, unrolled: bool, apart: bool) -> Any:
    jump, blocks = _loop_before(builder)
    if jump is not None:
        module = builder.module

        def mark(name, *values):
            return module.add_metadata([ir.MetaDataString(module, f"llvm.loop.{name}"), *values])

        marks = []
        if unrolled:
            then = mark("vectorize.followup_vectorized", mark("unroll.full"), mark("isvectorized", _I32(1)))
            marks += [mark("unroll.disable"), then]
        if apart:
            group = _Group(module, [], str(len(module.metadata)))
            marks.append(mark("parallel_accesses", group))
            for instruction in (one for block in blocks for one in block.instructions):
                if instruction.opname in ("load", "store", "call"):  # what it calls loads and stores, too
                    instruction.set_metadata("llvm.access.group", group)
        loop = module.add_metadata([_I64(len(module.metadata))])  # one of its own
        loop.operands = (loop, *marks)
        jump.set_metadata("llvm.loop", loop)
    return context.get_dummy_value()


class _Group(ir.values.MDValue):
    """A name for what a loop loads and stores."""

    def descr(self, buf: Any) -> None:
        buf += ("distinct !{ }", "\n")

    def __eq__(self, other: object) -> bool:  # the module looks for equal ones
        return self is other

    __hash__ = object.__hash__


def _loop_before(builder: Any) -> tuple[Any, list[Any]]:
    """The jump back to the head of the last loop that has been lowered, and the loop's blocks.

    Numba calls blocks B and their offset.
    """
    here = _BLOCK.match(builder.block.name)
    found, first, last = None, 0, -1
    for block in builder.function.blocks:
        jump, name = block.terminator, _BLOCK.match(block.name)
        if here is None or name is None or jump is None or jump.opname != "br" or len(jump.operands) != 1:
            continue
        head = _BLOCK.fullmatch(jump.operands[0].name)
        if head is not None and last < int(name[1]) < int(here[1]) and int(head[1]) <= int(name[1]):
            found, first, last = jump, int(head[1]), int(name[1])
    named = [(block, _BLOCK.match(block.name)) for block in builder.function.blocks]
    return found, [block for block, name in named if name is not None and first <= int(name[1]) <= last]


_BLOCK = re.compile(r"B(\d+)")
