"""NumPy's promotion (NEP 50) for kernels: numbers keep their width, and Python's own numbers are weak.

Type inference (`inference`) asks here first what an operator or a function of numbers works on. Weak numbers have
types of their own while a function is typed, so that they are known as such in what it calls; afterwards these give way
to the 64-bit types that stand for them: lowering sees them in the signatures of kernel functions, the C renderer
nowhere.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np
from numba.core import errors, types, typing
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_cast
from numba.core.typeconv import Conversion
from numba.np import numpy_support

__all__ = ["common", "joined", "plain", "weak"]


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


def is_weak(kind: Any) -> bool:
    return isinstance(kind, _Weak) or (isinstance(kind, types.IntegerLiteral) and kind.literal_value < 2**63)


def is_number(kind: Any) -> bool:
    return isinstance(kind, types.Number | types.Boolean)


def is_value(kind: Any) -> bool:
    """Whether it is a number or a tuple of these."""
    return is_number(kind) or (isinstance(kind, types.BaseAnonymousTuple) and all(map(is_value, kind.types)))


def softened(kind: Any) -> Any:
    """Without the values of constants."""
    if isinstance(kind, types.IntegerLiteral):
        return weak_int if is_weak(kind) else types.uint64
    if isinstance(kind, types.BooleanLiteral):
        return types.boolean
    if isinstance(kind, types.BaseAnonymousTuple):
        return types.BaseTuple.from_types([softened(part) for part in kind.types])
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
        return softened(a)
    if is_weak(a) and is_weak(b):
        return (weak_int, weak_float, weak_complex)[max(_rank(a), _rank(b)) - 1]
    if is_weak(a):
        a, b = b, a
    if not is_weak(b):
        return _promoted(types.unliteral(a), types.unliteral(b))
    ranks = _rank(a), _rank(b)
    if ranks[0] >= ranks[1]:
        value = getattr(b, "literal_value", None)
        if isinstance(a, types.Integer) and value is not None and not a.minval <= value <= a.maxval:
            raise errors.TypingError(f"{value} does not fit into {a}")
        return a
    if ranks[1] == 3 and ranks[0] == 2:
        return types.complex64 if a == types.float32 else types.complex128
    return plain(softened(b))


def joined(a: Any, b: Any) -> Any:
    """The type of a variable that is one or the other; None if they are not both numbers."""
    a, b = (types.unliteral(x) if isinstance(x, types.BooleanLiteral) else x for x in (a, b))
    if not (is_number(a) and is_number(b)):
        return None
    if a == b:
        return a
    if isinstance(a, types.Boolean) != isinstance(b, types.Boolean):
        return plain(softened(b if isinstance(a, types.Boolean) else a))
    if isinstance(a, types.Integer) and isinstance(b, types.Integer) and is_weak(a) != is_weak(b):
        strong, other = (b, a) if is_weak(a) else (a, b)
        value = getattr(other, "literal_value", None)
        if strong.bitwidth == 64 or (value is not None and strong.minval <= value <= strong.maxval):
            return strong
        return types.int64  # which holds both
    return common(a, b)


def met(kinds: list[Any], before: Any = None) -> Any:
    """The type of a variable that is one of these, tuples item by item; None if that is for Numba to say.

    It was taken for one of type `before`: what is not weak grows only, so that inference ends.
    """
    if all(map(is_number, kinds)):
        kinds = [*kinds, before] if before is not None and not is_weak(before) else kinds
        return functools.reduce(joined, kinds)
    if not all(map(is_value, kinds)) or len({getattr(kind, "count", None) for kind in kinds}) != 1:
        return None
    items = zip(*(kind.types for kind in kinds), strict=True)
    old = before.types if isinstance(before, types.BaseAnonymousTuple) else [None] * kinds[0].count
    parts = [met(list(parts), was) for parts, was in zip(items, old, strict=True)]
    return None if None in parts else types.BaseTuple.from_types(parts)


# what operators work on ---------------------------------------------------------------------------

_ARITHMETIC = {operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod}
_BITS = {operator.and_, operator.or_, operator.xor}
_SHIFTS = {operator.lshift, operator.rshift}
_COMPARISONS = {operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne}
UNARY = {operator.neg, operator.pos, operator.invert}
INPLACE = {
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
        if all(isinstance(x, types.Boolean | types.Integer) for x in (a, b)):  # as floats: no constant is too large
            kind = weak_float if is_weak(a) and is_weak(b) else types.float64
        else:
            kind = common(a, b)
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
        kind = weak_int if is_weak(a) and is_weak(b) else a if is_weak(b) else common(a, b)
        kind = kind if isinstance(kind, types.Integer) else a if isinstance(a, types.Integer) else types.int64
        kind = softened(kind)
        amount = b if isinstance(b, types.Integer) and not is_weak(b) and not b.signed else types.int64
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
        if isinstance(kind, types.Float) and isinstance(b, types.Integer) and is_weak(b):
            return typing.signature(kind, plain(kind), types.int64)
    if isinstance(kind, types.Boolean):
        return None
    return typing.signature(kind, plain(kind), plain(kind))


def _comparison(function: Any, a: Any, b: Any) -> Any:
    if isinstance(a, types.Integer | types.Boolean) and isinstance(b, types.Integer | types.Boolean):
        if isinstance(a, types.Boolean) and isinstance(b, types.Boolean):
            return typing.signature(types.boolean, types.boolean, types.boolean)
        wide = [types.uint64 if plain(softened(x)) == types.uint64 else types.int64 for x in (a, b)]
        if types.uint64 in wide and wide[0] != wide[1]:
            other = a if wide[0] == types.int64 else b
            value = getattr(other, "literal_value", -1)
            if value >= 0 or (isinstance(other, types.Boolean) or not plain(softened(other)).signed):
                wide = [types.uint64, types.uint64]
        return typing.signature(types.boolean, *wide)
    kind = plain(common(a, b))
    if isinstance(kind, types.Complex) and function not in (operator.eq, operator.ne):
        return None
    return typing.signature(types.boolean, kind, kind)


def _unary(function: Any, a: Any) -> Any:
    if isinstance(a, types.Boolean | types.Complex):
        return None
    kind = softened(a)
    if function is operator.invert and not isinstance(kind, types.Integer):
        return None
    return typing.signature(kind, plain(kind))


# what functions work on ---------------------------------------------------------------------------

_RELATIONS = {
    np.less: operator.lt, np.less_equal: operator.le, np.greater: operator.gt, np.greater_equal: operator.ge,
    np.equal: operator.eq, np.not_equal: operator.ne, pow: operator.pow,
}  # fmt: skip
_ROUNDED = {round, math.floor, math.ceil, math.trunc}
WHOLE = {len, round, math.floor, math.ceil, math.trunc}  #: functions whose results are Python's integers
_TO_DIGITS = {round, np.round, np.around}
LOWERED = {*_BINARY, *UNARY, *_TO_DIGITS, min, max, int, float}  #: what lowering does not look up by its signature
MATH = {value for value in vars(math).values() if callable(value)} | {complex, abs}


def signature_of(function: Any, args: tuple[Any, ...]) -> Any:
    """The signature of a function of numbers; None leaves it to Numba."""
    function = _RELATIONS.get(function, function)
    if len(args) == 2 and function in _BINARY:
        return _binary(function, *args)
    if len(args) == 1 and function in UNARY:
        return _unary(function, *args)
    if isinstance(function, np.ufunc):
        return _ufunc(function, args)
    if function is divmod and len(args) == 2:
        kind = common(*args)
        if isinstance(kind, types.Integer | types.Float):
            return typing.signature(types.UniTuple(kind, 2), plain(kind), plain(kind))
    if function is abs and len(args) == 1 and not isinstance(args[0], types.Boolean):
        kind = softened(args[0])
        if isinstance(kind, types.Complex):
            size = weak_float if kind is weak_complex else kind.underlying_float
            return typing.signature(size, plain(kind))
        return typing.signature(kind, plain(kind))
    if function in (min, max) and len(args) > 1:
        kind = softened(functools.reduce(joined, args))
        if isinstance(kind, types.Boolean):
            kind = weak_int  # as in sums with Python's numbers: True is 1
        if isinstance(kind, types.Integer | types.Float):
            return typing.signature(kind, *(plain(kind),) * len(args))
    if function in _TO_DIGITS and not isinstance(args[0], types.Float | types.Complex):
        kind = weak_int if isinstance(args[0], types.Boolean) else softened(args[0])
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
        kind = plain(softened(args[0]))
        if function is float:
            return typing.signature(weak_float, kind)
        return typing.signature(kind if kind == types.uint64 else weak_int, kind)
    return None


def _ufunc(function: np.ufunc, args: tuple[Any, ...]) -> Any:
    """The types that NumPy takes for a function of its own; None leaves it to Numba."""
    given = []
    for kind in map(softened, args):
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
    return found if all(map(is_number, found)) and not any(dtype.char in "egG" for dtype in dtypes) else None
