"""Calls of reductions as problems: the values of elements, combined in the fixed order of the tiles."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from portapar import arrays, ops
from portapar.errors import KernelError, PlacementError
from portapar.kernel.front import codec
from portapar.kernel.front.kernel import Kernel
from portapar.kernel.front.symmetry import symmetric
from portapar.kernel.front.text import Text
from portapar.kernel.jit.check import typed
from portapar.kernel.program import Program
from portapar.lazy import Lazy
from portapar.problem import (
    Copy,
    Problem,
    folded,
    lazy_told,
    lifted,
    lifted_for_elements,
    program_of,
    with_held,
)

if TYPE_CHECKING:
    pass
from portapar.elementwise import _elementwise, identity, reduce_program


def reduce(algorithm: str, inputs: tuple[Any, ...], op: Any, transform: Any, init: Any) -> Problem:
    """``init op f(x[0], …) op f(x[1], …) …``, in the fixed order of the tiles.

    The values are numbers or tuples of numbers; an element that is a record is the tuple of its fields.
    """
    if transform is None:
        if len(inputs) != 1:
            raise PlacementError(f"{algorithm}: {len(inputs)} inputs without transform=: say how to combine elements")
        transform = _element(algorithm, inputs[0])
    kernel, func = lifted_for_elements(with_held(transform, len(inputs)))
    op = folded(op)
    op_kernel, _ = lifted(op)
    if len(op_kernel.params) != 2:
        raise KernelError(
            f"{algorithm}: op {op_kernel.name!r} ({op_kernel.where()}) {op_kernel.takes()}: "
            "must take two, the value so far and the next one"
        )
    if op_kernel.captures:
        raise KernelError(
            f"{algorithm}: op {op_kernel.name!r} ({op_kernel.where()}) captures {op_kernel.captures[0][0]!r}: "
            "an operator works on its two arguments alone. Use transform= for what depends on other data"
        )
    found, shape = _elementwise(algorithm, inputs, kernel, func)
    if shape is None:
        raise PlacementError(f"{algorithm}: no input is an array or a range: nothing to reduce")
    args, operands, ndim, make_elem = reduce_program(algorithm, found, kernel, func, shape)
    copies: list[Copy] = []
    if ndim > 1:  # the tiles are cut from one flat range: gather a strided array first

        def gathered(x: Any, name: str) -> Any:
            if not isinstance(x, np.ndarray) or (x.shape == shape and x.flags.c_contiguous):
                return x
            copies.append(Copy(name, np.broadcast_to(x, shape), np.empty(shape, x.dtype)))
            return copies[-1].place

        found = tuple(
            x.with_arrays(lambda leaf, name=name: gathered(leaf, name)) if isinstance(x, Lazy) else gathered(x, name)  # type: ignore[misc]
            for x, name in zip(found, kernel.params, strict=True)
        )
        args, operands, ndim, make_elem = reduce_program(algorithm, found, kernel, func, shape)

    def make() -> Text:
        text = make_elem()
        text.kernel(op_kernel, "op")
        return text

    shape_key = (tuple(operands),)
    kernels = (args.kernel, op_kernel, *args.getters(1))
    trial = program_of("reduce", shape_key, kernels, make, args.specs)
    acc = accumulator(trial, algorithm, init)
    monoid = ops.monoid(op)
    apart = acc.names is not None and not symmetric(op_kernel, acc)  # sums of several numbers that hang together
    ordered = not monoid.commutative or apart or _may_overflow(op_kernel, acc)
    program = program_of("reduce", shape_key, kernels, make, args.specs, acc=acc, ordered=ordered)
    extent = (math.prod(shape),)
    identity = monoid.start(acc)
    monoid.check(identity)
    if init is None and extent == (0,):
        init = identity
    if init is not None:
        init = initial(algorithm, init, acc)
    names, told = tuple(args.names), lazy_told(args.lazy)
    return Problem(
        algorithm, program, tuple(args.values), names, tuple(args.access), extent, (0,), (1,), init, lazy=told,
        race=args.race, tests=args.tests, find=args.find, copies=tuple(copies), held=args.kernel.held,
    )  # fmt: skip


_MILD = frozenset("abs bool complex float int max maximum min minimum".split()) | frozenset(np.sctypeDict)


def _may_overflow(op: Kernel, acc: np.dtype) -> bool:
    """Whether folds of elements that are far apart may overflow where those of neighbours do not.

    So it is with products of floats, as of 50 and 1/50 in turn: not with what adds, compares and chooses.
    """
    if not any(kind.kind in "fc" for kind in ([acc[name] for name in acc.names] if acc.names else [acc])):
        return False
    mild = _MILD | {function.name for function in op.functions}
    for node in (node for function in op.functions for node in function.nodes()):
        if isinstance(node, (ast.BinOp, ast.AugAssign)):
            if isinstance(node.op, (ast.Mult, ast.Div, ast.FloorDiv, ast.Pow)):
                return True
        elif isinstance(node, ast.Call):
            called = node.func
            if (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) not in mild:
                return True
    return False


def _element(algorithm: str, x: Any) -> Any:
    """The kernel that gives an element of an input as a value."""
    dtype = getattr(x, "dtype", None)
    if getattr(dtype, "names", None) is None or (isinstance(x, Lazy) and x.tuples):
        return identity
    try:
        if arrays.held(dtype) != dtype:
            raise TypeError("it has fields of strings or dates")
        return codec.codec(dtype).unpack
    except TypeError as error:
        raise KernelError(
            f"{algorithm}: elements of dtype {dtype} are not numbers, and cannot be tuples of numbers: {error}. "
            "Say with transform= what to combine, such as transform=lambda r: r.x"
        ) from None


def accumulator(program: Program, algorithm: str, init: Any) -> np.dtype:
    """The type that a reduction accumulates in: the one that its operator, fed its own result, settles on.

    Sums of small integers thus accumulate in 64 bits, as in NumPy. A Python number as `init` is weak,
    as in NumPy: it widens integers to floats, but not float32 to float64. Tuples are looked at number by
    number.
    """
    acc = typed(program, "elem", algorithm)
    if isinstance(acc, np.dtype) and acc.names is not None:
        raise KernelError(f"{algorithm}: transform returns a record of {acc}: must return a number or a tuple of them")
    if init is not None:
        acc = _wider(algorithm, acc, init, "init")
    for _ in range(4):
        wider = _wider(algorithm, acc, typed(program, "op", algorithm, acc), "op's result")
        if wider == acc:
            return codec.tuple_dtype(acc) if isinstance(acc, tuple) else acc
        acc = wider
    raise KernelError(f"{algorithm}: the type of op's result never settles (it grows beyond {acc})")


def initial(algorithm: str, init: Any, acc: np.dtype) -> Any:
    """`init` as one of the values that are combined."""
    try:
        return np.array(init, acc)[()]
    except OverflowError:
        raise PlacementError(
            f"{algorithm}: init is {init}, which does not fit into the values, {acc}: pass wider ones, such as "
            "pp.lazy.transform(x, lambda v: np.int64(v)), or another init"
        ) from None


def _wider(algorithm: str, acc: codec.Kind, other: Any, what: str) -> codec.Kind:
    """What holds values of one kind, and another kind or value."""
    many, parts, own = isinstance(acc, tuple), *(list(x) if isinstance(x, tuple) else [x] for x in (other, acc))
    if many != isinstance(other, tuple) or len(parts) != len(own):
        told = [f"a tuple of {len(x)}" if isinstance(x, tuple) else "a number" for x in (other, acc)]
        added = f"({', '.join(f'a[{k}] + b[{k}]' for k in range(len(own)))})"
        instead = f"be alike. Say what to do with each item, such as op=lambda a, b: {added}" if many else "be alike"
        raise KernelError(f"{algorithm}: {what} is {told[0]}, and the values are each {told[1]}: must {instead}")
    for y in parts:
        if type(y) is int and not -(2**63) <= y < 2**64:
            raise PlacementError(f"{algorithm}: {what} is {y}, which does not fit into 64 bits. Pass a float")
    found = tuple(x if isinstance(y, bool) else np.result_type(x, y) for x, y in zip(own, parts, strict=True))
    return found if many else found[0]
