"""Numba's type inference, which asks `promotion` what numbers work on."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Container, Iterable
from typing import Any

from numba.core import errors, ir, typeinfer, types, typing
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NopythonTypeInference

from portapar.kernel.jit import unassigned
from portapar.kernel.jit.promotion import (
    INPLACE,
    LOWERED,
    MATH,
    UNARY,
    WHOLE,
    is_number,
    is_value,
    is_weak,
    joined,
    met,
    plain,
    signature_of,
    softened,
    weak,
    weak_complex,
    weak_float,
    weak_int,
)

__all__ = ["Inference"]


class _Variable(typeinfer.TypeVar):
    """Of a variable with one definition the last type that was found is the right one."""

    type: Any

    def add_type(self, tp: Any, loc: Any) -> Any:
        if not self.locked and self.type is not None and is_value(tp) and is_value(self.type):
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
        kinds = [softened(kind) if self.zero else kind for kind in kinds if kind is not None]
        if kinds and not variable.locked:
            kind = met(kinds, variable.type)
            if kind is not None:
                variable.add_type(kind, self.loc)
                return
        shapes = {getattr(kind, "count", None): plain(kind) for kind in kinds if is_value(kind)}
        if len(shapes) > 1:
            one, other, *_ = shapes.values()
            raise errors.TypingError(f"Cannot unify {one} and {other} for '{self.target.split('.')[0]}'", loc=self.loc)
        for name in self.sources:
            typeinfer.Propagate(self.target, name, self.loc)(infer)


class _Tuple(typeinfer.BuildTupleConstraint):
    """Weak elements do as the others, if all are then alike: such a tuple can be indexed."""

    def __call__(self, infer: Any) -> None:
        kinds = [infer.typevars[item.name].type for item in self.items]
        if len({*kinds}) > 1 and all(kind is not None and is_number(kind) for kind in kinds):
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
            function = INPLACE.get(function, function)
        except TypeError:
            return super().resolve_call(fnty, args, kw_args)
        if isinstance(fnty, types.Dispatcher | types.RecursiveCall):
            dispatcher = getattr(fnty, "dispatcher_type", fnty).dispatcher
            known = softened if hasattr(dispatcher.py_func, "weak") else plain  # Numba's own know no weak types
            named = {name: known(kind) for name, kind in kw_args.items()}
            return super().resolve_call(fnty, tuple(map(known, args)), named)
        if function == "iternext" and isinstance(args[0], types.RangeIteratorType):
            return typing.signature(types.Pair(weak_int, types.boolean), *args)
        if function is range:
            return super().resolve_call(fnty, (types.int64,) * len(args), kw_args)
        if args and not kw_args and all(map(is_number, args)):
            found = signature_of(function, args)
            if found is not None:
                if function not in LOWERED:
                    super().resolve_call(fnty, found.args, {})  # or lowering would not find it
                return found
            if getattr(function, "keeps", False):
                kind, like = map(softened, args)
                if kind != like and not (is_weak(args[0]) and joined(args[0], like) == like):
                    raise errors.TypingError(f"{plain(kind)} is not kept as {plain(like)}")
                return super().resolve_call(fnty, (plain(kind), plain(like)), {}).replace(return_type=like)
            if getattr(function, "joins", False):
                kind = softened(joined(*args[1:]))
                found = super().resolve_call(fnty, (args[0], plain(kind), plain(kind)), {})
                return found and found.replace(return_type=kind)
        if function is operator.getitem and isinstance(args[0], types.BaseTuple):
            return super().resolve_call(fnty, (args[0], *map(plain, args[1:])), kw_args)
        given = tuple(map(plain, args))
        found = super().resolve_call(fnty, given, {name: plain(kind) for name, kind in kw_args.items()})
        if found is not None and is_number(found.return_type):
            whole = function in WHOLE and isinstance(found.return_type, types.Integer) and len(args) == 1
            if whole or ((function in MATH or function in UNARY) and all(map(is_weak, args))):
                return found.replace(return_type=weak(found.return_type))
        return found

    def get_return_type(self, typemap: Any) -> Any:
        kinds = [typemap[variable.name] for variable in self._get_return_vars()]
        kind = met(kinds) if kinds else None
        if kind is not None:
            return softened(kind)
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
