"""Variables that are read on a path on which nothing was assigned to them: numbers are zero there.

Numba takes the only other value for theirs: it leaves a branch out whose condition is such a variable, and an index
that is one becomes a constant. So before it begins each is assigned a mark first of all. Loops over ranges of constants
are known to run.
"""

from __future__ import annotations

from typing import Any

from numba.core import errors, ir, types
from numba.core.analysis import compute_cfg_from_blocks, compute_use_defs
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import replace_vars_inner
from numba.np import numpy_support

from portapar.kernel.front.private import private_full, private_zeros

__all__ = ["Mark", "set_to_zero", "unmark"]

_UNSET = object()
_ELEMENTS = ("getitem", "static_getitem")


@register_pass(mutates_CFG=False, analysis_only=False)
class Mark(FunctionPass):
    """Give what may be read before it is assigned a first definition."""

    _name = "portapar_mark"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        func_ir = state.func_ir
        first = _first(func_ir)
        found = sorted(name for name in _needed(func_ir) if name[0] != "$")
        for name in found:
            _assign(func_ir, ir.Const(_UNSET, first.loc), first.scope.get_exact(name), 0)
        return bool(found)


def _needed(func_ir: Any) -> set[str]:
    """The variables that are read on a path from the function's beginning on which nothing is assigned to them."""
    graph, known = compute_cfg_from_blocks(func_ir.blocks), compute_use_defs(func_ir.blocks)
    loops = {label: loop.body for label, loop in graph.loops().items()}
    steps = {  # of the loops that run, the blocks that step through their ranges; Python may put jumps before them
        label: min((body for body in loops.values() if label in body), key=len)
        for label, block in func_ir.blocks.items()
        if _runs(func_ir, block)
    }
    needs: dict[tuple[int, bool], set[str]] = {(k, enters): set() for k in func_ir.blocks for enters in (False, True)}
    changed = True
    while changed:
        changed = False
        for label, enters in needs:  # what is behind a loop that runs is reached from inside of it alone
            found, behind = set(known.usemap[label]), [after for after, _ in graph.successors(label)]
            for after in behind:
                if not (enters and label in steps) or after in steps[label]:
                    begins = after in loops and label not in loops[after]
                    still = enters and label not in steps and len(behind) == 1
                    found |= needs[after, begins or still] - known.defmap[label]
            changed = changed or found != needs[label, enters]
            needs[label, enters] = found
    return needs[graph.entry_point(), True]


def _runs(func_ir: Any, block: Any) -> bool:
    """Whether a block steps through a range of constants that is not empty."""
    for step in block.find_exprs(op="iternext"):
        made = _sources(func_ir, [step.value])
        calls = _sources(func_ir, [value.value for value in made if getattr(value, "op", "") == "getiter"])
        if (
            len(made) == len(calls) == 1
            and getattr(calls[0], "op", "") == "call"
            and _constant(func_ir, calls[0].func) is range
        ):
            bounds: list[Any] = [_constant(func_ir, given) for given in calls[0].args]
            return all(type(bound) is int for bound in bounds) and len(range(*bounds)) > 0
    return False


def _sources(func_ir: Any, values: list[Any]) -> list[Any]:
    """What variables are, through others and through those of which they may be one or the other."""
    found: dict[Any, None] = {}
    seen: set[str] = set()
    while values:
        value = values.pop()
        if isinstance(value, ir.Var):
            values += func_ir._definitions[value.name] if value.name not in seen else ()
            seen.add(value.name)
        elif getattr(value, "op", "") == "phi":
            values += value.incoming_values
        else:
            found[value] = None
    return [*found]


def _first(func_ir: Any) -> Any:
    return func_ir.blocks[min(func_ir.blocks)]


def _defined(func_ir: Any, variable: ir.Var) -> Any:
    values = func_ir._definitions[variable.name]
    return values[0] if len(values) == 1 else None


def _constant(func_ir: Any, variable: ir.Var) -> Any:
    value = _defined(func_ir, variable)
    return value.value if isinstance(value, ir.Const | ir.Global | ir.FreeVar) else None


def _assign(func_ir: Any, value: Any, target: ir.Var, place: int) -> None:
    first = _first(func_ir)
    first.body.insert(place, ir.Assign(value, target, first.loc))
    func_ir._definitions[target.name].append(value)


def unmark(func_ir: Any) -> set[str]:
    """Make of marks what Numba makes of variables that are not assigned; the variables that are not on some path."""
    found = set()
    for block in func_ir.blocks.values():
        for assign in list(block.find_insts(ir.Assign)):
            value = assign.value
            if isinstance(value, ir.Const) and value.value is _UNSET:
                block.remove(assign)
            elif isinstance(value, ir.Expr) and value.op == "phi":
                for k, given in enumerate(value.incoming_values):
                    known = _defined(func_ir, given) if isinstance(given, ir.Var) else None
                    if isinstance(known, ir.Const) and known.value is _UNSET:
                        value.incoming_values[k] = ir.UNDEFINED
                        found.add(assign.target.name)
    return found


def set_to_zero(func_ir: Any, typemap: dict[str, Any], calltypes: dict[Any, Any], found: set[str]) -> None:
    """Give variables zero on a path on which they are not assigned, private arrays new ones; others an argument's.

    Raises
    ------
    numba.core.errors.TypingError
        For other arrays.
    """
    first = _first(func_ir)
    phis = [s for block in func_ir.blocks.values() for s in block.find_insts(ir.Assign) if s.target.name in found]
    for assign in phis:
        kind, name = typemap[assign.target.name], assign.target.name.split(".")[0]
        zero = first.scope.redefine(name, first.loc)
        value = _zero(kind)
        if value is not None:
            _assign(func_ir, ir.Const(value, first.loc), zero, 0)
        elif not _other(func_ir, typemap, calltypes, assign.value, zero, kind):
            if _has_arrays(kind):
                raise errors.TypingError(f"Variable '{name}' has no array on a path", loc=assign.loc)
            continue
        typemap[zero.name] = kind
        given = assign.value.incoming_values
        given[:] = [zero if x is ir.UNDEFINED else x for x in given]


def _other(
    func_ir: Any, typemap: dict[str, Any], calltypes: dict[Any, Any], phi: Any, target: ir.Var, kind: Any
) -> bool:
    """Make what an array or a record is on another path: a private array, an argument, an element of one.

    It is read by kernels that are wrong alone, and then there is memory behind it.
    """
    first = _first(func_ir).body
    behind = 1 + max((k for k, one in enumerate(first) if _is_argument(one)), default=-1)
    for value in _sources(func_ir, [*phi.incoming_values]):
        if isinstance(value, ir.Arg):
            known = typemap[f"arg.{value.name}"] == kind
        elif getattr(value, "op", "") == "call":
            known = _constant(func_ir, value.func) in (private_zeros, private_full)
        else:
            known = getattr(value, "op", "") in _ELEMENTS and _kind_of(value, typemap, calltypes) == kind
        if known and _again(func_ir, typemap, calltypes, value, target, [behind]):
            return True
    return False


def _kind_of(element: Any, typemap: dict[str, Any], calltypes: dict[Any, Any]) -> Any:
    whole, signature = typemap[element.value.name], calltypes[element]
    return whole[element.index] if isinstance(whole, types.BaseTuple) and signature is None else signature.return_type


def _is_argument(statement: Any) -> bool:
    return isinstance(statement, ir.Assign) and isinstance(statement.value, ir.Arg)


def _again(
    func_ir: Any, typemap: dict[str, Any], calltypes: dict[Any, Any], value: Any, target: ir.Var, place: list[int]
) -> bool:
    """Compute an expression at the function's beginning; whether it is one of constants, arguments and numbers."""
    zero = _zero(typemap.get(target.name))
    if isinstance(value, ir.Var) or (zero is None and getattr(value, "op", "") == "phi"):
        value = _sources(func_ir, [value])[0]
    if isinstance(value, ir.Expr) and value.op in ("call", "build_tuple", "getattr", "exhaust_iter", *_ELEMENTS):
        parts = {}
        for old in value.list_vars():
            parts[old.name] = part = target.scope.redefine("$again", value.loc)
            typemap[part.name] = typemap[old.name]
            if not _again(func_ir, typemap, calltypes, _defined(func_ir, old), part, place):
                return False
        new = replace_vars_inner(ir.Expr(value.op, value.loc, **value._kws), parts)
        if value in calltypes:
            calltypes[new] = calltypes[value]
        value = new
    elif isinstance(value, ir.Arg):
        first = _first(func_ir).body
        value = next(one.target for one in first if _is_argument(one) and one.value.index == value.index)
    elif not isinstance(value, ir.Const | ir.Global | ir.FreeVar):
        if zero is None:
            return False
        value = ir.Const(zero, target.loc)
    _assign(func_ir, value, target, place[0])
    place[0] += 1
    return True


def _has_arrays(kind: Any) -> bool:
    if isinstance(kind, types.BaseTuple):
        return any(map(_has_arrays, kind))
    return isinstance(kind, types.Array | types.Record)


def _zero(kind: Any) -> Any:
    """The zero of numbers and tuples of them; None of other types."""
    if isinstance(kind, types.BaseTuple):
        parts = tuple(map(_zero, kind))
        return None if None in parts else parts
    return numpy_support.as_dtype(kind).type(0).item() if isinstance(kind, types.Number | types.Boolean) else None
