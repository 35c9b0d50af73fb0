"""Types of a program's functions, and compile errors in the user's terms."""

from __future__ import annotations

import ast
import functools
import linecache
import re
from typing import Any

import numpy as np

from portapar import cache
from portapar.errors import KernelError
from portapar.kernel.front import atomic, sources
from portapar.kernel.front.codec import Kind, from_text, to_text, tuple_dtype
from portapar.kernel.front.sources import kernel_error, of_library
from portapar.kernel.front.trees import walk
from portapar.kernel.interrupts import held_back
from portapar.kernel.jit.functions import namespace, place
from portapar.kernel.jit.native import renderers
from portapar.kernel.program import Program


def argument_types(program: Program) -> tuple[Any, ...]:
    """Numba's types of the program's arguments."""
    import numba  # noqa: F401  as a whole first

    from portapar.kernel.jit.typing import array_type, numba_type

    return tuple(
        array_type(s.dtype, s.ndim, s.contiguous, s.readonly) if s.is_array else numba_type(s.dtype)
        for s in program.specs
    )


def typed(program: Program, function: str, algorithm: str, acc: Kind | None = None) -> Kind:
    """What `elem` returns, or what ``op(acc, elem)`` returns; remembered on disk."""
    return from_text(_typed(program, function, to_text(acc) if acc is not None else "", algorithm))


@functools.cache
def _typed(program: Program, function: str, acc: str, algorithm: str) -> str:
    name = f"{program.key}-{renderers()}-{function}-{''.join(c for c in acc if c.isalnum())}.dtype"
    known = cache.load(name)
    if known is not None:
        return known.decode()
    found = to_text(return_kind(program, function, from_text(acc) if acc else None, algorithm))
    cache.store(name, found.encode())
    return found


@held_back()
def return_kind(program: Program, function: str, acc: Kind | None, algorithm: str) -> Kind:
    """The dtype of ``elem(i, *args)``, or of ``op(acc, elem)``; for tuples those of its numbers.

    Where `op` adds or multiplies integers they have 64 bits, as in NumPy's reductions.

    Raises
    ------
    KernelError
        If it cannot be typed, or is none of what a kernel may return.
    """
    import numba  # noqa: F401  as a whole first
    from numba.core import types

    from portapar.kernel.jit.typing import TypingFailure, computes, dtype_of, infer, value_type

    try:
        if function == "op":
            kinds: tuple[Any, ...] = (value_type(tuple_dtype(acc) if isinstance(acc, tuple) else acc),) * 2
        else:
            kinds = (types.int64,) * program.ndim + argument_types(program)
        typed = infer(namespace(program)[function], kinds)
    except TypingFailure as failure:
        raise located(program, failure.line, failure.message, failure.remedy) from None
    found, number = typed.return_type, (types.Number, types.Boolean)
    widens = {kind for kind in "iub" if function == "op" and computes(typed, kind)}
    if isinstance(found, (*number, types.Record)):
        return _wide(dtype_of(found), widens)
    if isinstance(found, types.BaseTuple) and len(found) and all(isinstance(part, number) for part in found):
        return tuple(_wide(dtype_of(part), widens) for part in found)
    what = "nothing" if found == types.none else f"a {found}"
    if isinstance(found, types.Optional):
        what = "nothing on some ways through it"
    raise KernelError(
        f"{algorithm}: {_place(program)} returns {what}: must return a number, a tuple of numbers or a record"
    )


def _wide(dtype: np.dtype, kinds: set[str]) -> np.dtype:
    return np.dtype("u8" if dtype.kind == "u" else "i8") if dtype.kind in kinds else dtype


def _place(program: Program) -> str:
    places = sorted(set(program.origin.values())) if program.origin else []
    return f"the kernel at {places[0][0]}:{places[0][1]}" if places else "the kernel"


def located(program: Program, line: int, message: str, remedy: str = "", device: str = "") -> KernelError:
    """A KernelError at the user's line that a line of generated text came from; `device` is what cannot run it."""
    where = place(program, line) or next(iter((program.origin or {}).values()), None)
    message = f"it cannot run on {device}: {message}" if device else message
    given = "" if device else f"\n  Arguments: {', '.join(str(spec) for spec in program.specs)}"
    if where is None or of_library(where[0]):  # whose lines say nothing to the user
        return KernelError(f"kernel: {message}" + (f"\n  Instead: {remedy}." if remedy else "") + given)
    file, line = where
    name, column = _subject(file, line, message)
    return KernelError(str(kernel_error(message, remedy, name, file, line, column)) + given)


def _subject(file: str, line: int, message: str) -> tuple[str, int | None]:
    """The name of the function that a line is in, and the column of what a message says of it, if that is one thing."""
    try:
        tree = sources.tree_of("".join(linecache.getlines(file)))
    except SyntaxError:  # a cell of a notebook
        return "", None
    placed: list[Any] = [node for node in walk(tree) if hasattr(node, "lineno")]
    inside = [node for node in placed if node.lineno <= line <= node.end_lineno]
    functions: list[Any] = [node for node in inside if isinstance(node, (ast.FunctionDef, ast.Lambda))]
    function = min(functions, key=lambda node: node.end_lineno - node.lineno, default=None)
    said = re.search(r"`([^`]+)`", message)
    sign = said[1] if said else "[]" if "index" in message else ""
    columns = {node.col_offset for node in inside if node.lineno == line and sign in _signs(node)}
    return getattr(function, "name", "lambda"), columns.pop() if len(columns) == 1 else None


def _signs(node: Any) -> list[str]:
    """What a message may call an expression."""
    if isinstance(node, ast.Subscript):  # what has an index that may be no whole number
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return [] if all(isinstance(part, (ast.Name, ast.Constant)) for part in parts) else ["[]"]
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Call):
        return [ast.unparse(node.func), ast.unparse(node.func).split(".")[-1]]
    x = ast.Name("x")
    made: list[ast.expr] = [ast.Compare(x, [op], [x]) for op in getattr(node, "ops", ())]
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        made = [ast.BinOp(x, node.op, x)]
    if isinstance(node, ast.UnaryOp):
        made = [ast.UnaryOp(node.op, x)]
    return [ast.unparse(part).replace("x", "").strip() for part in made]


@functools.lru_cache(maxsize=4096)
@held_back()
def needs(program: Program) -> frozenset[str]:
    """What not every device has and this program needs.

    Returns
    -------
    frozenset of str
        Of "float64", "64-bit atomics", and "64-bit atomics of min, max and bits".

    Raises
    ------
    KernelError
        If it cannot be typed.
    """
    import numba  # noqa: F401  as a whole first
    from numba.core import types

    from portapar.kernel.jit.typing import TypingFailure, infer, numba_type, value_type

    indices = (types.int64,) * program.ndim
    try:
        if program.acc is None:
            whole = [infer(namespace(program)["body"], indices + argument_types(program))]
        else:
            whole = [infer(namespace(program)["elem"], indices + argument_types(program))]
            whole.append(infer(namespace(program)["op"], (value_type(program.acc),) * 2))
    except TypingFailure as failure:
        raise located(program, failure.line, failure.message, failure.remedy) from None
    found = {"float64"} if program.acc is not None and _is_wide(numba_type(program.acc)) else set()
    while whole:
        typed = whole.pop()
        whole += typed.callees.values()
        found |= _needs(typed)
    return frozenset(found)


_EXTENDED = ("min", "max", "and_", "or_", "xor")  #: operations that OpenCL has an extension of its own for


def _needs(typed: Any) -> set[str]:
    """The same of one function. A constant needs what it is used as: nothing in ``np.float32(0.5)`` or ``x * 0.5``."""
    import numba  # noqa: F401  as a whole first
    from numba.core import ir, types

    found: set[str] = set()
    constants: set[str] = set()
    casts: set[Any] = set()
    for block in typed.func_ir.blocks.values():
        for assigned in block.find_insts(ir.Assign):
            if isinstance(assigned.value, (ir.Const, ir.Global, ir.FreeVar)):
                constants.add(assigned.target.name)
        for call in block.find_exprs(op="call"):
            callee = typed.typemap[call.func.name]
            if isinstance(callee, types.NumberClass):
                casts.add(call)
            operation: Any = getattr(callee, "typing_key", None)
            if getattr(operation, "__module__", "") == atomic.__name__:
                updated = typed.calltypes[call].args[0].dtype
                extended = isinstance(updated, types.Integer) and operation.__name__ in _EXTENDED
                if updated.bitwidth == 64:
                    found.add("64-bit atomics of min, max and bits" if extended else "64-bit atomics")
    kinds = [kind for name, kind in typed.typemap.items() if name not in constants]
    for use, signature in typed.calltypes.items():
        if signature is not None and use not in casts and not isinstance(use, ir.SetItem):
            kinds += signature.args
    if any(map(_is_wide, kinds)):
        found.add("float64")
    return found


def _is_wide(kind: Any) -> bool:
    import numba  # noqa: F401  as a whole first
    from numba.core import types

    if isinstance(kind, types.Array):
        return _is_wide(kind.dtype)
    if isinstance(kind, types.BaseTuple):
        return any(map(_is_wide, kind))
    if isinstance(kind, types.Record):
        return any(_is_wide(member.type) for member in kind.fields.values())
    return kind in (types.float64, types.complex128)


def explain(program: Program, error: Exception) -> KernelError:
    """What a failed compilation means to the user: typed again, function by function, to find the line."""
    import numba  # noqa: F401  as a whole first
    from numba.core import types

    from portapar.kernel.jit.messages import message_of
    from portapar.kernel.jit.typing import TypingFailure, infer

    name = "body" if "body" in program.names else "elem"
    try:
        infer(namespace(program)[name], (types.int64,) * program.ndim + argument_types(program))
    except TypingFailure as failure:
        return located(program, failure.line, failure.message, failure.remedy)
    line = re.search(r'<portapar kernels>", line (\d+)', str(error))  # what has a type may have no code
    return located(program, int(line[1]) if line else 0, *message_of(str(error)))
