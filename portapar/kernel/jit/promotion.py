"""NumPy's promotion (NEP 50) for kernels: numbers keep their width, and Python's own numbers are weak.

Numba's type inference asks here first what an operator or a function of numbers works on. Weak numbers have types of
their own while a function is typed, so that they are known as such in what it calls; afterwards these give way to the
64-bit types that stand for them: lowering sees them in the signatures of kernel functions, the C renderer nowhere.
"""

from __future__ import annotations

import contextlib
import functools
import math
import operator
from collections.abc import Container, Iterable
from typing import Any

import numpy as np
from numba.core import errors, ir, typeinfer, types, typing
from numba.core.compiler_machinery import register_pass
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_cast
from numba.core.typeconv import Conversion
from numba.core.typed_passes import NopythonTypeInference
from numba.np import numpy_support

from portapar.kernel.jit import unassigned

__all__ = ["Inference", "plain", "weak"]


class _Weak:
    """A number of Python's own: it takes the kind that it meets."""

    ordinary: Any

    def __str__(self) -> str:
        return str(self.ordinary)  # in messages, and where Numba makes a dtype of it

    def can_convert_to(self, context: Any, other: Any) -> Any:
        return _inexact(context.can_convert(self.ordinary, other))

    def can_convert_from(self, context: Any, other: Any) -> Any:
        return _inexact(context.can_convert(other, self.ordinary))

    def unify(self, context: Any, other: Any) -> Any:
        return joined(self, other)


def _inexact(conversion: Any) -> Any:
    """A function compiled for ordinary numbers is none for weak ones, nor the other way round."""
    return Conversion.promote if conversion == Conversion.exact else conversion


class _WeakInteger(_Weak, types.Integer):
    ordinary = types.int64

    def __init__(self) -> None:
        super().__init__("weak_int64", 64, True)


class _WeakFloat(_Weak, types.Float):
    ordinary = types.float64

    def __init__(self) -> None:
        types.Number.__init__(self, "weak_float64")
        self.bitwidth = 64


class _WeakComplex(_Weak, types.Complex):
    ordinary = types.complex128

    def __init__(self) -> None:
        types.Number.__init__(self, "weak_complex128")
        self.underlying_float, self.bitwidth = types.float64, 128


weak_int, weak_float, weak_complex = _WeakInteger(), _WeakFloat(), _WeakComplex()
_BY_ORDINARY = {types.int64: weak_int, types.float64: weak_float, types.complex128: weak_complex}

register_default(_WeakInteger)(models.IntegerModel)
register_default(_WeakComplex)(models.ComplexModel)


@register_default(_WeakFloat)
class _WeakFloatModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, dmm.lookup(types.float64).get_value_type())


def _cast(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    """By way of the ordinary types, which have the same bits."""
    return context.cast(builder, value, plain(fromty), plain(toty))


for _kind in (_WeakInteger, _WeakFloat, _WeakComplex):
    for _other in (types.Boolean, types.Integer, types.Float, types.Complex, types.IntegerLiteral):
        lower_cast(_kind, _other)(_cast)
        lower_cast(_other, _kind)(_cast)
    for _other in (_WeakInteger, _WeakFloat, _WeakComplex):
        lower_cast(_kind, _other)(_cast)


def weak(kind: Any) -> Any:
    """The type of a Python number that is passed as one of this type."""
    return _BY_ORDINARY.get(kind, kind)


def plain(kind: Any) -> Any:
    """A type without weak ones in it."""
    if isinstance(kind, _Weak):
        return kind.ordinary
    if isinstance(kind, types.Pair):
        first = plain(kind.first_type)
        return kind if first is kind.first_type else types.Pair(first, kind.second_type)
    if isinstance(kind, types.BaseAnonymousTuple):
        parts = [plain(part) for part in kind.types]
        same = all(a is b for a, b in zip(parts, kind.types, strict=True))
        return kind if same else types.BaseTuple.from_types(parts)
    return kind


def _is_weak(kind: Any) -> bool:
    return isinstance(kind, _Weak) or (isinstance(kind, types.IntegerLiteral) and kind.literal_value < 2**63)


def _is_number(kind: Any) -> bool:
    return isinstance(kind, types.Number | types.Boolean)


def _is_value(kind: Any) -> bool:
    """Whether it is a number or a tuple of these."""
    return _is_number(kind) or (isinstance(kind, types.BaseAnonymousTuple) and all(map(_is_value, kind.types)))


def _softened(kind: Any) -> Any:
    """Without the values of constants."""
    if isinstance(kind, types.IntegerLiteral):
        return weak_int if _is_weak(kind) else types.uint64
    if isinstance(kind, types.BooleanLiteral):
        return types.boolean
    if isinstance(kind, types.BaseAnonymousTuple):
        return types.BaseTuple.from_types([_softened(part) for part in kind.types])
    return kind


_RANK: tuple[Any, ...] = (types.Boolean, types.Integer, types.Float, types.Complex)


def _rank(kind: Any) -> int:
    return next(k for k, cls in enumerate(_RANK) if isinstance(kind, cls))


def _dtype(kind: Any) -> np.dtype[Any]:
    return np.dtype(numpy_support.as_dtype(types.unliteral(kind)))


@functools.cache
def _promoted(a: Any, b: Any) -> Any:
    return numpy_support.from_dtype(np.promote_types(_dtype(a), _dtype(b)))


def common(a: Any, b: Any) -> Any:
    """The type in which two numbers meet: NumPy's for two of its own, and the strong one's where one is weak."""
    if a == b:
        return _softened(a)
    if _is_weak(a) and _is_weak(b):
        return (weak_int, weak_float, weak_complex)[max(_rank(a), _rank(b)) - 1]
    if _is_weak(a):
        a, b = b, a
    if not _is_weak(b):
        return _promoted(types.unliteral(a), types.unliteral(b))
    ranks = _rank(a), _rank(b)
    if ranks[0] >= ranks[1]:
        value = getattr(b, "literal_value", None)
        if isinstance(a, types.Integer) and value is not None and not a.minval <= value <= a.maxval:
            raise errors.TypingError(f"{value} does not fit into {a}")
        return a
    if ranks[1] == 3 and ranks[0] == 2:
        return types.complex64 if a == types.float32 else types.complex128
    return plain(_softened(b))


def joined(a: Any, b: Any) -> Any:
    """The type of a variable that is one or the other; None if they are not both numbers."""
    a, b = (types.unliteral(x) if isinstance(x, types.BooleanLiteral) else x for x in (a, b))
    if not (_is_number(a) and _is_number(b)):
        return None
    if a == b:
        return a
    if isinstance(a, types.Boolean) != isinstance(b, types.Boolean):
        return plain(_softened(b if isinstance(a, types.Boolean) else a))
    if isinstance(a, types.Integer) and isinstance(b, types.Integer) and _is_weak(a) != _is_weak(b):
        strong, other = (b, a) if _is_weak(a) else (a, b)
        value = getattr(other, "literal_value", None)
        if strong.bitwidth == 64 or (value is not None and strong.minval <= value <= strong.maxval):
            return strong
        return types.int64  # which holds both
    return common(a, b)


def _met(kinds: list[Any], before: Any = None) -> Any:
    """The type of a variable that is one of these, tuples item by item; None if that is for Numba to say.

    It was taken for one of type `before`: what is not weak grows only, so that inference ends.
    """
    if all(map(_is_number, kinds)):
        kinds = [*kinds, before] if before is not None and not _is_weak(before) else kinds
        return functools.reduce(joined, kinds)
    if not all(map(_is_value, kinds)) or len({getattr(kind, "count", None) for kind in kinds}) != 1:
        return None
    items = zip(*(kind.types for kind in kinds), strict=True)
    old = before.types if isinstance(before, types.BaseAnonymousTuple) else [None] * kinds[0].count
    parts = [_met(list(parts), was) for parts, was in zip(items, old, strict=True)]
    return None if None in parts else types.BaseTuple.from_types(parts)


# what operators work on ---------------------------------------------------------------------------

_ARITHMETIC = {operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod}
_BITS = {operator.and_, operator.or_, operator.xor}
_SHIFTS = {operator.lshift, operator.rshift}
_COMPARISONS = {operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne}
_UNARY = {operator.neg, operator.pos, operator.invert}
_INPLACE = {
    operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul,
    operator.ifloordiv: operator.floordiv, operator.imod: operator.mod, operator.itruediv: operator.truediv,
    operator.ipow: operator.pow, operator.iand: operator.and_, operator.ior: operator.or_, operator.ixor: operator.xor,
    operator.ilshift: operator.lshift, operator.irshift: operator.rshift,
}  # fmt: skip
_BINARY = {*_ARITHMETIC, *_BITS, *_SHIFTS, *_COMPARISONS, operator.truediv, operator.pow}


def _binary(function: Any, a: Any, b: Any) -> Any:
    """The signature of an operator of two numbers; None leaves it to Numba."""
    if function in _COMPARISONS:
        return _comparison(function, a, b)
    if function is operator.truediv:
        kind = common(a, b)
        if isinstance(kind, types.Boolean | types.Integer):
            kind = weak_float if _is_weak(kind) else types.float64
        return typing.signature(kind, plain(kind), plain(kind))
    if isinstance(a, types.Boolean) and isinstance(b, types.Boolean):
        if function in _BITS or function in (operator.add, operator.mul):
            return typing.signature(types.boolean, types.boolean, types.boolean)
        if function is operator.sub:
            return None
        return typing.signature(types.int8, types.int8, types.int8)
    if function in _SHIFTS:
        if not (isinstance(a, types.Integer | types.Boolean) and isinstance(b, types.Integer | types.Boolean)):
            return None
        kind = weak_int if _is_weak(a) and _is_weak(b) else a if _is_weak(b) else common(a, b)
        kind = kind if isinstance(kind, types.Integer) else a if isinstance(a, types.Integer) else types.int64
        kind = _softened(kind)
        amount = b if isinstance(b, types.Integer) and not _is_weak(b) and not b.signed else types.int64
        return typing.signature(kind, plain(kind), types.uint64 if amount == types.uint64 else types.int64)
    kind = common(a, b)
    if function in _BITS and not isinstance(kind, types.Integer):
        return None
    if isinstance(kind, types.Complex) and function in (operator.floordiv, operator.mod):
        return None
    if function is operator.pow:
        exponent = getattr(b, "literal_value", 0)
        if kind is weak_int and exponent < 0:
            kind = weak_float
        if isinstance(kind, types.Float) and isinstance(b, types.Integer) and _is_weak(b):
            return typing.signature(kind, plain(kind), types.int64)
    if isinstance(kind, types.Boolean):
        return None
    return typing.signature(kind, plain(kind), plain(kind))


def _comparison(function: Any, a: Any, b: Any) -> Any:
    if isinstance(a, types.Integer | types.Boolean) and isinstance(b, types.Integer | types.Boolean):
        if isinstance(a, types.Boolean) and isinstance(b, types.Boolean):
            return typing.signature(types.boolean, types.boolean, types.boolean)
        wide = [types.uint64 if plain(_softened(x)) == types.uint64 else types.int64 for x in (a, b)]
        if types.uint64 in wide and wide[0] != wide[1]:
            other = a if wide[0] == types.int64 else b
            value = getattr(other, "literal_value", -1)
            if value >= 0 or (isinstance(other, types.Boolean) or not plain(_softened(other)).signed):
                wide = [types.uint64, types.uint64]
        return typing.signature(types.boolean, *wide)
    kind = plain(common(a, b))
    if isinstance(kind, types.Complex) and function not in (operator.eq, operator.ne):
        return None
    return typing.signature(types.boolean, kind, kind)


def _unary(function: Any, a: Any) -> Any:
    if isinstance(a, types.Boolean | types.Complex):
        return None
    kind = _softened(a)
    if function is operator.invert and not isinstance(kind, types.Integer):
        return None
    return typing.signature(kind, plain(kind))


# what functions work on ---------------------------------------------------------------------------

_RELATIONS = {
    np.less: operator.lt, np.less_equal: operator.le, np.greater: operator.gt, np.greater_equal: operator.ge,
    np.equal: operator.eq, np.not_equal: operator.ne, pow: operator.pow,
}  # fmt: skip
_ROUNDED = {round, math.floor, math.ceil, math.trunc}
_WHOLE = {len, round, math.floor, math.ceil, math.trunc}  #: functions whose results are Python's integers
_TO_DIGITS = {round, np.round, np.around}
_LOWERED = {*_BINARY, *_UNARY, *_TO_DIGITS, min, max, int, float}  #: what lowering does not look up by its signature
_MATH = {value for value in vars(math).values() if callable(value)} | {complex, abs}


def _call(function: Any, args: tuple[Any, ...]) -> Any:
    """The signature of a function of numbers; None leaves it to Numba."""
    function = _RELATIONS.get(function, function)
    if len(args) == 2 and function in _BINARY:
        return _binary(function, *args)
    if len(args) == 1 and function in _UNARY:
        return _unary(function, *args)
    if isinstance(function, np.ufunc):
        return _ufunc(function, args)
    if function is divmod and len(args) == 2:
        kind = common(*args)
        if isinstance(kind, types.Integer | types.Float):
            return typing.signature(types.UniTuple(kind, 2), plain(kind), plain(kind))
    if function is abs and len(args) == 1 and not isinstance(args[0], types.Boolean):
        kind = _softened(args[0])
        if isinstance(kind, types.Complex):
            size = weak_float if kind is weak_complex else kind.underlying_float
            return typing.signature(size, plain(kind))
        return typing.signature(kind, plain(kind))
    if function in (min, max) and len(args) > 1:
        kind = _softened(functools.reduce(joined, args))
        if isinstance(kind, types.Boolean):
            kind = weak_int  # as in sums with Python's numbers: True is 1
        if isinstance(kind, types.Integer | types.Float):
            return typing.signature(kind, *(plain(kind),) * len(args))
    if function in _TO_DIGITS and not isinstance(args[0], types.Float | types.Complex):
        kind = weak_int if isinstance(args[0], types.Boolean) else _softened(args[0])
        kind = kind if function is round else plain(kind)
        if len(args) == 2 and isinstance(args[1], types.Integer):
            return typing.signature(kind, plain(kind), types.int64)
        if len(args) == 1 and function is not round:
            return typing.signature(kind, kind)
    if function in (np.round, np.around) and isinstance(args[0], types.Float | types.Complex):
        kind = plain(args[0])
        return typing.signature(kind, kind, *(types.int64,) * (len(args) - 1))
    if len(args) == 1 and function in _ROUNDED and isinstance(args[0], types.Integer):
        function = int  # of whole numbers they change nothing: no way through a float
    if len(args) == 1 and function in (int, float) and not isinstance(args[0], types.Complex):
        kind = plain(_softened(args[0]))
        if function is float:
            return typing.signature(weak_float, kind)
        return typing.signature(kind if kind == types.uint64 else weak_int, kind)
    return None


def _ufunc(function: np.ufunc, args: tuple[Any, ...]) -> Any:
    """The types that NumPy takes for a function of its own; None leaves it to Numba."""
    given = []
    for kind in map(_softened, args):
        python = {weak_int: int, weak_float: float, weak_complex: complex}.get(kind)
        given.append(python or _dtype(kind))
    found = _resolved(function, tuple(given))
    if found is None or len(args) != function.nin:
        return None
    outputs = found[function.nin :]
    return typing.signature(outputs[0] if len(outputs) == 1 else types.Tuple(outputs), *found[: function.nin])


@functools.cache
def _resolved(function: np.ufunc, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if all(kind in (int, float, complex) for kind in given):
        given = tuple(np.dtype(kind) for kind in given)
    try:
        dtypes = function.resolve_dtypes((*given, *(None,) * function.nout))
        found = tuple(numpy_support.from_dtype(dtype) for dtype in dtypes)
    except (TypeError, ValueError, NotImplementedError, errors.NumbaError):
        return None
    return found if all(map(_is_number, found)) and not any(dtype.char in "egG" for dtype in dtypes) else None


# inference ----------------------------------------------------------------------------------------


class _Variable(typeinfer.TypeVar):
    """Of a variable with one definition the last type that was found is the right one."""

    type: Any

    def add_type(self, tp: Any, loc: Any) -> Any:
        if not self.locked and self.type is not None and _is_value(tp) and _is_value(self.type):
            self.type = tp
            return tp
        return super().add_type(tp, loc)


class _Variables(typeinfer.TypeVarMap):
    def __getitem__(self, name: str) -> Any:
        if name not in self:
            self[name] = _Variable(self.context, name)
        return dict.__getitem__(self, name)


class _Phi:
    """The type of a variable with several definitions, of which zero may be one."""

    def __init__(self, target: str, sources: list[str], zero: bool, loc: Any) -> None:
        self.target, self.sources, self.zero, self.loc = target, sources, zero, loc

    def __call__(self, infer: Any) -> None:
        variable = infer.typevars[self.target]
        kinds = [infer.typevars[name].type for name in self.sources]
        kinds = [_softened(kind) if self.zero else kind for kind in kinds if kind is not None]
        if kinds and not variable.locked:
            kind = _met(kinds, variable.type)
            if kind is not None:
                variable.add_type(kind, self.loc)
                return
        shapes = {getattr(kind, "count", None): plain(kind) for kind in kinds if _is_value(kind)}
        if len(shapes) > 1:
            one, other, *_ = shapes.values()
            raise errors.TypingError(f"Cannot unify {one} and {other} for '{self.target.split('.')[0]}'", loc=self.loc)
        for name in self.sources:
            typeinfer.Propagate(self.target, name, self.loc)(infer)


class _Tuple(typeinfer.BuildTupleConstraint):
    """Weak elements do as the others, if all are then alike: such a tuple can be indexed."""

    def __call__(self, infer: Any) -> None:
        kinds = [infer.typevars[item.name].type for item in self.items]
        if len({*kinds}) > 1 and all(kind is not None and _is_number(kind) for kind in kinds):
            ordinary = {plain(kind) for kind in kinds}
            if len(ordinary) == 1:
                infer.add_type(self.target, types.UniTuple(*ordinary, len(kinds)), loc=self.loc)
                return
        super().__call__(infer)


class _Attribute(typeinfer.GetAttrConstraint):
    """Extents of arrays, and what modules hold, are Python's numbers."""

    def __call__(self, infer: Any) -> None:
        owner = infer.typevars[self.value.name].type
        kind = None
        if isinstance(owner, types.Array) and self.attr in ("shape", "size", "ndim", "itemsize", "nbytes"):
            kind = types.UniTuple(weak_int, owner.ndim) if self.attr == "shape" else weak_int
        elif isinstance(owner, types.Module) and type(getattr(owner.pymod, self.attr, None)) is float:
            kind = weak_float
        if kind is None:
            super().__call__(infer)
        else:
            infer.add_type(self.target, kind, loc=self.loc)


class _Infer(typeinfer.TypeInferer):
    """Numba's inference, which asks here what numbers work on."""

    def __init__(self, context: Any, func_ir: Any, warnings: Any) -> None:
        super().__init__(context, func_ir, warnings)
        self.partly: Container[str] = ()  #: variables that are zero on a path
        self.typevars = _Variables()
        self.typevars.set_context(context)

    def typeof_const(self, inst: Any, target: Any, const: Any) -> None:
        kind = _constant(const)
        if kind is None or type(const) is int:
            super().typeof_const(inst, target, const)
        else:
            self.add_type(target.name, kind, loc=inst.loc)

    def typeof_expr(self, inst: Any, target: Any, expr: Any) -> None:
        if expr.op == "phi":
            sources = [value.name for value in expr.incoming_values if value is not ir.UNDEFINED]
            self.constraints.append(_Phi(target.name, sources, target.name in self.partly, inst.loc))
        elif expr.op == "build_tuple":
            self.constraints.append(_Tuple(target.name, expr.items, inst.loc))
        elif expr.op == "getattr":
            self.constraints.append(_Attribute(target.name, expr.attr, expr.value, inst.loc, inst))
        else:
            super().typeof_expr(inst, target, expr)

    def resolve_call(self, fnty: Any, pos_args: Any, kw_args: Any) -> Any:
        args = tuple(pos_args)
        function = getattr(fnty, "typing_key", fnty)
        try:
            function = _INPLACE.get(function, function)
        except TypeError:
            return super().resolve_call(fnty, args, kw_args)
        if isinstance(fnty, types.Dispatcher | types.RecursiveCall):
            dispatcher = getattr(fnty, "dispatcher_type", fnty).dispatcher
            known = _softened if hasattr(dispatcher.py_func, "weak") else plain  # Numba's own know no weak types
            named = {name: known(kind) for name, kind in kw_args.items()}
            return super().resolve_call(fnty, tuple(map(known, args)), named)
        if function == "iternext" and isinstance(args[0], types.RangeIteratorType):
            return typing.signature(types.Pair(weak_int, types.boolean), *args)
        if function is range:
            return super().resolve_call(fnty, (types.int64,) * len(args), kw_args)
        if args and not kw_args and all(map(_is_number, args)):
            found = _call(function, args)
            if found is not None:
                if function not in _LOWERED:
                    super().resolve_call(fnty, found.args, {})  # or lowering would not find it
                return found
            if getattr(function, "keeps", False):
                kind, like = map(_softened, args)
                if kind != like and not (_is_weak(args[0]) and joined(args[0], like) == like):
                    raise errors.TypingError(f"{plain(kind)} is not kept as {plain(like)}")
                return super().resolve_call(fnty, (plain(kind), plain(like)), {}).replace(return_type=like)
            if getattr(function, "joins", False):
                kind = _softened(joined(*args[1:]))
                found = super().resolve_call(fnty, (args[0], plain(kind), plain(kind)), {})
                return found and found.replace(return_type=kind)
        if function is operator.getitem and isinstance(args[0], types.BaseTuple):
            return super().resolve_call(fnty, (args[0], *map(plain, args[1:])), kw_args)
        given = tuple(map(plain, args))
        found = super().resolve_call(fnty, given, {name: plain(kind) for name, kind in kw_args.items()})
        if found is not None and _is_number(found.return_type):
            whole = function in _WHOLE and isinstance(found.return_type, types.Integer) and len(args) == 1
            if whole or ((function in _MATH or function in _UNARY) and all(map(_is_weak, args))):
                return found.replace(return_type=weak(found.return_type))
        return found

    def get_return_type(self, typemap: Any) -> Any:
        kinds = [typemap[variable.name] for variable in self._get_return_vars()]
        kind = _met(kinds) if kinds else None
        if kind is not None:
            return _softened(kind)
        return super().get_return_type(typemap)


def _constant(value: Any) -> Any:
    """The type of a constant; None if Numba knows it as well."""
    if type(value) in (int, float, complex):
        return {int: weak_int, float: weak_float, complex: weak_complex}[type(value)]
    if type(value) is tuple and value:
        kinds = [_constant(part) for part in value]
        return types.BaseTuple.from_types(kinds) if all(kind is not None for kind in kinds) else None
    return None


class _Unwatched:
    """In the place of what collects the warnings of every single step."""

    def catch_warnings(self, **place: Any) -> Any:
        return contextlib.nullcontext()


@register_pass(mutates_CFG=True, analysis_only=False)
class Inference(NopythonTypeInference):
    """Type inference by NumPy's rules.

    A function that Numba's own inference calls has an attribute `weak`: which of its arguments are Python's numbers.
    """

    _name = "portapar_type_inference"

    def run_pass(self, state: Any) -> bool:
        warnings = errors.WarningsFixer(errors.NumbaWarning)
        partly = unassigned.unmark(state.func_ir)
        infer = _Infer(state.typingctx, state.func_ir, _Unwatched())
        infer.partly = partly
        soft = getattr(state.func_id.func, "weak", None)  # None: its callers know weak types
        frame = state.typingctx.callstack.register(state.targetctx.target, infer, state.func_id, state.args)
        with frame, warnings, warnings.catch_warnings(state.func_id.filename, state.func_id.firstlineno):
            for k, (name, kind) in enumerate(zip(state.func_ir.arg_names, state.args, strict=True)):
                infer.seed_argument(name, k, weak(kind) if k in (soft or ()) else kind)
            if state.return_type is not None:
                infer.seed_return(state.return_type)
            infer.build_constraint()
            infer.propagate()
            typemap, found, calltypes = infer.unify()
        state.return_type = plain(found) if soft is not None else found
        state.typing_errors = None
        state.typemap = {name: plain(kind) for name, kind in typemap.items()}
        for name, kind in zip(state.func_ir.arg_names, state.args, strict=True):  # callers know it by these
            state.typemap[f"arg.{name}"] = kind
        for variable in infer._get_return_vars():
            state.typemap[variable.name] = state.return_type
        state.calltypes = {expr: _settled(expr, found, typemap) for expr, found in calltypes.items()}
        unassigned.set_to_zero(state.func_ir, state.typemap, state.calltypes, partly)
        return True


def _settled(expr: Any, signature: Any, typemap: Any) -> Any:
    """A signature without weak types, but for calls of kernel functions, which are known by theirs."""
    if signature is None:
        return None
    if isinstance(expr, ir.Expr) and expr.op == "call" and isinstance(typemap[expr.func.name], types.Dispatcher):
        return signature
    kinds: Iterable[Any] = (signature.return_type, *signature.args)
    if all(plain(kind) is kind for kind in kinds):
        return signature
    return signature.replace(return_type=plain(signature.return_type), args=tuple(map(plain, signature.args)))
