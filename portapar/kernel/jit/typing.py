"""Types for kernels.

`infer` runs the front half of Numba's compiler (bytecode to IR, SSA, type inference) and stops before any
code is generated. What it returns is what every renderer reads, so that promotion rules are the same on every
backend: NumPy's (`portapar.kernel.jit.promotion`). If a release of Numba moves one of the names below, `check_numba`
(and its test) says so.
"""

from __future__ import annotations

import dis
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba.core import compiler, errors, ir, types, typing
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.datamodel import models, register_default
from numba.core.registry import cpu_target
from numba.core.typed_passes import NopythonTypeInference, PreLowerStripPhis
from numba.core.typing.templates import _OverloadFunctionTemplate, make_concrete_template
from numba.np import numpy_support

from portapar import cache
from portapar.kernel.jit import messages
from portapar.kernel.jit.inference import Inference
from portapar.kernel.jit.messages import TypingFailure
from portapar.kernel.jit.passes import Passes, undisturbed
from portapar.kernel.jit.promotion import plain

__all__ = [
    "TypedFunction",
    "TypingFailure",
    "array_type",
    "check_numba",
    "dtype_of",
    "infer",
    "numba_type",
    "typed_only",
    "ufunc_operand_types",
    "value_type",
]


@dataclass(eq=False)
class TypedFunction:
    """A function together with the type of everything in it.

    Attributes
    ----------
    function : callable
        The plain Python function.
    argtypes, return_type : numba types
        Its signature; `types.none` if it returns nothing.
    func_ir : numba.core.ir.FunctionIR
        The IR in SSA form, its phi nodes already replaced by assignments.
    typemap : dict of str to numba type
        A type for every variable.
    calltypes : dict of ir node to signature
        The types at which every operation works; operands are cast to them.
    callees : dict of ir.Expr to TypedFunction
        For every call of another kernel function, that function at those types.
    """

    function: Callable[..., Any]
    argtypes: tuple[types.Type, ...]
    return_type: types.Type
    func_ir: ir.FunctionIR
    typemap: dict[str, types.Type]
    calltypes: dict[Any, Any]
    callees: dict[ir.Expr, TypedFunction] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.function.__name__


@register_pass(mutates_CFG=False, analysis_only=True)
class _Capture(FunctionPass):
    """Hand the typed IR out as the result of the compilation."""

    _name = "portapar_capture"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        kinds = {name: plain(kind) for name, kind in state.typemap.items()}
        state.cr = (state.func_ir, kinds, dict(state.calltypes), state.return_type)
        return False


class _TypingCompiler(compiler.CompilerBase):
    inference = Inference

    def define_pipelines(self) -> list[Any]:
        passes = compiler.DefaultPassBuilder.define_untyped_pipeline(self.state)
        passes.add_pass(self.inference, "type inference")
        passes.add_pass(PreLowerStripPhis, "phis to assignments")
        passes.add_pass(_Capture, "capture")
        return [Passes(passes.pipeline_name, passes.passes, self.inference is not Inference)]


class _NumbasOwn(_TypingCompiler):
    """For Python code of Numba's, which was written for its promotion."""

    inference = NopythonTypeInference


_memo: dict[tuple[Callable[..., Any], tuple[types.Type, ...]], TypedFunction] = cache.Bounded(1024)


def infer(func: Callable[..., Any], argtypes: tuple[types.Type, ...]) -> TypedFunction:
    """Type a function and, recursively, the kernel functions it calls.

    Parameters
    ----------
    func : callable
        A plain Python function; the kernel functions that it calls are `numba.njit` dispatchers.
    argtypes : tuple of numba types
        One for each argument.

    Returns
    -------
    TypedFunction
        Memoized for each function and argument types.

    Raises
    ------
    TypingFailure
        If Numba cannot give everything a type; no code is generated in either case.
    """
    from portapar.kernel.jit import llvm

    llvm.register()
    with global_compiler_lock, undisturbed():
        _inferring.append(func)
        try:
            return _infer(getattr(func, "py_func", func), tuple(argtypes), ())
        finally:
            _inferring.pop()


_inferring: list[Any] = []  #: what is being typed and not compiled; changed under Numba's lock


def typed_only(dispatcher: Any) -> Any:
    """Let a dispatcher be typed, and not compiled, where what calls it is only typed."""
    compiled = dispatcher.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        if not _inferring:
            return compiled(args, kws)
        pysig, args = dispatcher._compiler.fold_argument_types(args, kws)
        with dispatcher._compiling_counter:  # by which Numba finds functions that call themselves
            returned = _types(dispatcher.py_func, tuple(args), _TypingCompiler)[3]
        name, found = dispatcher.py_func.__name__, typing.signature(returned, *args)
        template = make_concrete_template(f"CallTemplate({name})", key=name, signatures=[found])
        return template, pysig, args, {}

    dispatcher.get_call_template = get_call_template
    return dispatcher


_typings: dict[Any, Any] = cache.Bounded(1024)  #: (function, argument types) → what `_types` found


def _types(func: Callable[..., Any], argtypes: tuple[types.Type, ...], how: Any) -> Any:
    """The typed IR of a function, the types of its variables, its operations and its result; Numba's error if none."""
    found = _typings.get((func, argtypes, how))
    if found is None:
        flags = compiler.Flags()
        flags.nrt = True
        flags.error_model = "numpy"
        context, target = cpu_target.typing_context, cpu_target.target_context
        found = compiler.compile_extra(context, target, func, argtypes, None, flags, {}, pipeline_class=how)
        _typings[func, argtypes, how] = found
    return found


def _holds(kind: types.Type, array: types.Array) -> bool:
    """Whether an argument is such an array, or a tuple with one in it."""
    return kind == array or (isinstance(kind, types.BaseTuple) and any(_holds(part, array) for part in kind.types))


def _infer(
    func: Callable[..., Any], argtypes: tuple[types.Type, ...], active: tuple[Any, ...], how: Any = _TypingCompiler
) -> TypedFunction:
    key = (func, argtypes)
    if key in _memo:
        return _memo[key]
    if func in active:
        line = func.__code__.co_firstlineno
        raise TypingFailure(line, "a function calls itself", "write a loop: kernels cannot recurse")
    try:
        func_ir, typemap, calltypes, return_type = _types(func, argtypes, how)
    except (errors.NumbaError, NotImplementedError) as error:
        raise messages.failure(error, func) from error
    except KeyError as error:  # how Numba says that a record has no such field
        code = (i for f in _with_callees(func) for i in dis.get_instructions(f))
        uses = (i.positions for i in code if i.argval == error.args[0])
        where = next((place.lineno for place in uses if place is not None), None)
        if where is None:
            raise TypingFailure(0, "a value is indexed or read as it cannot be", messages.ELSE) from error
        raise TypingFailure(where or 0, f"there is no field {error} that kernels see", messages.FIELDS) from error
    if isinstance(return_type, types.Array) and not active:
        line = func.__code__.co_firstlineno
        raise TypingFailure(line, "a function returns an array", "write into an array argument")
    if isinstance(return_type, types.Array) and not any(_holds(kind, return_type) for kind in argtypes):
        raise TypingFailure(func.__code__.co_firstlineno, *messages.RETURNED)
    ordinary = tuple(map(plain, argtypes))
    typed = TypedFunction(func, ordinary, plain(return_type), func_ir, typemap, calltypes)
    for block in func_ir.blocks.values():
        for expr in block.find_exprs(op="call"):
            callee = typemap[expr.func.name]
            if isinstance(callee, types.Dispatcher):
                dispatcher = callee.dispatcher
                arguments = tuple(types.unliteral(t) for t in calltypes[expr].args)
                typed.callees[expr] = _infer(dispatcher.py_func, arguments, (*active, func), how)
    _memo[key] = typed
    return typed


_GROWING = {operator.add, operator.sub, operator.mul, operator.pow, operator.lshift, np.add, np.subtract, np.multiply}


def computes(typed: TypedFunction, kind: str) -> bool:
    """Whether a function adds or multiplies numbers to one of this kind, a letter of NumPy's."""
    for expr, signature in typed.calltypes.items():
        returned = getattr(signature, "return_type", None)
        if not isinstance(expr, ir.Expr) or not isinstance(returned, types.Integer | types.Boolean):
            continue
        function = None
        if expr.op in ("binop", "inplace_binop"):
            function = expr.fn if expr.op == "binop" else expr.immutable_fn
        elif expr.op == "call":
            function = getattr(typed.typemap[expr.func.name], "typing_key", None)
        if function in _GROWING and dtype_of(returned).kind == kind:
            return True
    return any(computes(callee, kind) for callee in typed.callees.values())


def _with_callees(func: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """A function and the kernel functions that it calls."""
    yield func
    for name in func.__code__.co_names:
        callee = getattr(func.__globals__.get(name), "py_func", None)
        if callee is not None and callee is not func:
            yield from _with_callees(callee)


def overload(typed: TypedFunction, call: ir.Expr) -> TypedFunction | None:
    """The Python code with which Numba implements a function for the types of a call, if it is such code."""
    argtypes = tuple(types.unliteral(t) for t in typed.calltypes[call].args)
    for template in getattr(typed.typemap[call.func.name], "templates", ()):
        if issubclass(template, _OverloadFunctionTemplate) and not call.kws:
            try:
                with global_compiler_lock:
                    found = template(cpu_target.typing_context)._get_impl(argtypes, {})
                    if found is not None and found[0] is not None:
                        return _infer(found[0].py_func, argtypes, (), _NumbasOwn)
            except (errors.NumbaError, TypingFailure):
                continue
    return None


def dtype_of(numba_type: types.Type) -> np.dtype[Any]:
    """The NumPy dtype of a Numba scalar, record or array type (of its elements)."""
    if isinstance(numba_type, types.Array):
        numba_type = numba_type.dtype
    return np.dtype(numpy_support.as_dtype(types.unliteral(numba_type)))


def numba_type(dtype: Any) -> types.Type:
    """The Numba type of a NumPy dtype, records included."""
    return _exact(numpy_support.from_dtype(np.dtype(dtype)))


class _Layout(types.Record):
    """A record in whose place no other may stand: Numba takes one with more fields or another size too, and warns."""

    def can_convert_to(self, typingctx: Any, other: Any) -> None:
        return None


register_default(_Layout)(models.RecordModel)


def _exact(kind: types.Type) -> types.Type:
    """A type with all its records as `_Layout`."""
    if isinstance(kind, types.NestedArray):
        return types.NestedArray(_exact(kind.dtype), kind.shape)
    if not isinstance(kind, types.Record):
        return kind
    fields = [(name, {**field._asdict(), "type": _exact(field.type)}) for name, field in kind.fields.items()]
    return _Layout(fields, kind.size, kind.aligned)


def value_type(dtype: Any) -> types.Type:
    """What kernels compute with where arrays have that dtype: for a record the tuple of its fields."""
    dtype = np.dtype(dtype)
    if dtype.names is None:
        return numba_type(dtype)
    return types.Tuple([numba_type(dtype[name]) for name in dtype.names])


def array_type(dtype: Any, ndim: int, contiguous: bool = True, readonly: bool = False) -> types.Array:
    """The Numba type of an array argument: layout 'C' if contiguous, else 'A'."""
    return types.Array(numba_type(dtype), ndim, "C" if contiguous else "A", readonly=readonly)


def ufunc_operand_types(ufunc: np.ufunc, argtypes: tuple[types.Type, ...]) -> tuple[types.Type, ...]:
    """The types to which a ufunc casts its scalar operands: those of the inner loop that NumPy picks."""
    loop = numpy_support.ufunc_find_matching_loop(ufunc, [types.unliteral(t) for t in argtypes])
    if loop is None:
        raise TypeError(f"{ufunc.__name__} has no loop for {argtypes}")
    return tuple(loop.inputs)


def check_numba() -> None:
    """Raise `RuntimeError`, naming what moved, if this Numba does not have the internals used here."""

    def probe(x: Any, i: int) -> Any:
        total = 0.0
        for k in range(i):
            total += x[k]
        return total

    try:
        typed = infer(probe, (array_type(np.float64, 1), types.int64))
        operations = {expr.op for block in typed.func_ir.blocks.values() for expr in block.find_exprs()}
        wanted = {"call", "getiter", "iternext", "pair_first", "pair_second", "getitem", "inplace_binop"}
        if missing := wanted - operations:
            raise RuntimeError(f"operations missing from the typed IR: {sorted(missing)}")
        if "phi" in operations:
            raise RuntimeError("phi nodes are left in the typed IR")
        if typed.return_type != types.float64:
            raise RuntimeError("a sum over a float64 array is not typed as float64")
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise RuntimeError(f"Numba's typing internals moved: {type(error).__name__}: {error}") from error
