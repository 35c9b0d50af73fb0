"""A program's C text, the types of its entry's arguments, and errors in the user's terms."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from typing import Any

import numba
import numpy as np
from numba.core import types

from portapar.errors import KernelError, PortaparError
from portapar.kernel.c.dialect import Dialect
from portapar.kernel.c.entries import (
    Batch,
    Strips,
    group_parameters,
    map_parameters,
    reduce_parameters,
    render_groups,
    render_map,
)
from portapar.kernel.c.intervals import EXTENTS
from portapar.kernel.c.reductions import render_reduce
from portapar.kernel.c.unit import RenderFailure
from portapar.kernel.front.bounds import Bounded, bounded
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import walk
from portapar.kernel.jit.check import located
from portapar.kernel.jit.functions import function_texts, functions, namespace
from portapar.kernel.jit.native import slow_gathers
from portapar.kernel.jit.typing import TypedFunction, TypingFailure, array_type, infer, numba_type, value_type
from portapar.kernel.lanes.functions import kept_apart, strip_bodies, strip_function, used_arrays
from portapar.kernel.lanes.together import runs_together
from portapar.kernel.program import Program, Spec


def entry_name(program: Program) -> str:
    """The name of a program's entry in its C text."""
    return f"portapar_{program.form}"


def c_text(program: Program, dialect: Dialect, extent: int = EXTENTS[0], apart: bool = True) -> str:
    """A program's C text.

    Parameters
    ----------
    program : Program
    dialect : Dialect
        One of `portapar.kernel.c.dialect`.
    extent : int
        One of `EXTENTS`: no array is longer along an axis, and no index is larger.
    apart : bool
        Where `kept_apart` says so: arrays that are written share no memory with others.

    Raises
    ------
    KernelError
        If the kernel uses what cannot be typed or expressed in C; it shows the user's line.
    """
    space, name, argtypes = namespace(program), entry_name(program), _argtypes(program)
    try:
        tails = [spec.tail for spec in program.specs] if dialect.serial else []
        if program.form == "groups":
            return render_groups(infer(space["body"], argtypes), program.shared, dialect, name, extent)
        if program.acc is None:
            body, batch = infer(space["body"], argtypes), None
            alone = len(used_arrays(program)) == 1
            strips = _strips(program, argtypes) if dialect.serial and (apart or alone) else None
            near = _near(program, argtypes, strips is not None) if dialect.serial else (None, None)
            if dialect.shuffle and (count := batch_of(program)) > 1:
                elem = infer(space["elem"], argtypes)
                stored = (types.int64, argtypes[1 + program.out], elem.return_type)
                batch = Batch(elem, infer(space.get("store", _set_item), stored), program.out, count)
            box: dict[str, Any] = {"unit_step": program.unit, "steps": program.steps, "signed": program.signed}
            box |= {"blocked": dialect.serial, "near": near[0], "holds": near[1], "tails": tails}
            box["together"] = dialect.serial and _together(program)
            box["apart"] = dialect.serial and apart and kept_apart(program)
            box["wide"] = dialect.serial and not (slow_gathers() and (bound := _bounded(program)) and bound.gathers)
            if strips is not None:
                try:
                    return render_map(body, program.ndim, dialect, name, extent=extent, strips=strips, **box)
                except RenderFailure:  # what is wrong with the kernel itself is said of that
                    box["near"], box["holds"] = _near(program, argtypes)
            return render_map(body, program.ndim, dialect, name, batch=batch, extent=extent, **box)
        acc = numba_type(program.acc)
        elem = infer(space["elem"] if program.unit else _over_range(program), argtypes)
        op = infer(space["op"], (value_type(program.acc),) * 2)
        options: dict[str, Any] = {"tails": tails, "grouped": not dialect.serial, "ordered": program.ordered}
        if dialect.serial and program.unit:
            options["near"], options["holds"] = _near(program, argtypes)
        return render_reduce(elem, op, acc, dialect, name, extent=extent, **options)
    except (TypingFailure, RenderFailure) as error:
        raise _kernel_error(program, dialect, error) from error


def _counted(text: str) -> bool:
    """Whether all loops in a program have constant counts, so that they can be written out."""
    for node in walk(tree_of(text)):
        if isinstance(node, ast.While):
            return False
        if isinstance(node, ast.For):
            ends = node.iter.args if isinstance(node.iter, ast.Call) else [node.iter]
            if not all(isinstance(end, ast.Constant | ast.UnaryOp | ast.Tuple) for end in ends):
                return False
    return True


def _strips(program: Program, argtypes: tuple[types.Type, ...]) -> Strips | None:
    """The body for several neighbouring indices at a time, if there is one."""
    width, bodies = strip_bodies(program, False)
    if not width:
        return None
    made = [strip_function(program, body, k > 0, namespace(program)) for k, body in enumerate(bodies)]
    try:
        whole, fewer = infer(made[0], argtypes), infer(made[1], (*argtypes, types.int64))
    except TypingFailure:
        return None
    return Strips(width, whole, fewer)


@functools.lru_cache(maxsize=4096)
def _bounded(program: Program) -> Bounded | None:
    """The form of a program's functions for indices that are not negative, if it differs."""
    return bounded(program, function_texts(program), _main(program), elements=False)


def _main(program: Program) -> str:
    """The function that works on an index."""
    return "body" if program.acc is None else "elem"


def _together(program: Program) -> bool:
    """Whether neighbouring indices are to load before one of them stores.

    What only some of them store the next ones would wait for: a load does not get it before it is in the cache.
    """
    if not runs_together(program):
        return False
    bound, text = _bounded(program), function_texts(program)["body"]
    tree = (bound.trees if bound is not None else {}).get("body") or tree_of(text)
    return not any(isinstance(node, ast.If) for node in walk(tree))


def _near(
    program: Program, argtypes: tuple[types.Type, ...], wanted: bool = False
) -> tuple[TypedFunction | None, TypedFunction | None]:
    """The body, or element, for indices that are not negative, if it differs; what tells where it is right, if not
    everywhere."""
    if not (wanted or _counted(program.text)):  # such a loop is what becomes vectors, if anything does
        return None, None
    bound = _bounded(program)
    if bound is None:
        return None, None
    body = infer(functions(program, lambda texts: bound.trees)[_main(program)], argtypes)
    if not bound.test:
        return body, None
    names = [f"{end}{d}" for d in range(program.ndim) for end in ("lo", "hi")]
    names += [f"a{k}" for k in range(len(program.specs))]
    space: dict[str, Any] = {}
    text = f"def holds({', '.join(names)}):\n{bound.test}"
    exec(compile(text, f"<portapar bounds {program.key[:8]}>", "exec"), space)
    ends = (types.int64,) * (2 * program.ndim)
    return body, infer(numba.njit(error_model="numpy")(space["holds"]), ends + argtypes[program.ndim :])


_BATCH_BYTES = 32  #: that a CUDA thread writes at a time
_BATCH_TEXT = 1500  #: characters of Python; what computes more than that waits for its arithmetic


def batch_of(program: Program) -> int:
    """How many elements a CUDA thread computes before it stores the first one."""
    if program.form != "transform" or program.ndim > 1 or len(program.text) > _BATCH_TEXT:
        return 1
    if re.search(r"\b(for|while)\b", program.text):
        return 1
    return max(1, min(8, _BATCH_BYTES // program.specs[program.out].dtype.itemsize))


@numba.njit(error_model="numpy")
def _set_item(i: Any, a: Any, x: Any) -> None:
    a[i] = x


def argument_dtypes(program: Program, dialect: Dialect) -> list[np.dtype[Any] | None]:
    """The types of the arguments of a program's entry, in order; None for a pointer."""
    argtypes = _argtypes(program)
    if program.form == "groups":
        parameters = group_parameters(argtypes, program.shared, dialect)
    elif program.acc is None:
        parameters = map_parameters(argtypes, program.ndim, dialect, program.unit)
    else:
        parameters = reduce_parameters(argtypes, dialect)
    return [parameter.dtype for parameter in parameters]


def _argtypes(program: Program) -> tuple[types.Type, ...]:
    """The Numba types of the arguments of `body` or `elem`, its indices first."""
    # A reduction over a range has start and step as arguments, see `_over_range`.
    indices = program.ndim if program.acc is None or program.unit else 3
    return (types.int64,) * indices + tuple(_type(spec) for spec in program.specs)


def _type(spec: Spec) -> types.Type:
    if spec.is_array:
        return array_type(spec.dtype, spec.ndim, spec.contiguous, spec.readonly)
    return numba_type(spec.dtype)


def _over_range(program: Program) -> Any:
    """`elem` at ``start + step * i``: the two are its first arguments."""
    arguments = "".join(f", a{k}" for k in range(len(program.specs)))
    space: dict[str, Any] = {"elem": namespace(program)["elem"]}
    text = f"def elem_of_range(i, start, step{arguments}):\n    return elem(start + step * i{arguments})\n"
    exec(compile(text, f"<portapar range {program.key[:8]}>", "exec"), space)
    return numba.njit(error_model="numpy")(space["elem_of_range"])


#: how compilers say that a line is wrong: "file:25:12: error: …" or "file(25): error: …", and PoCL
_COMPLAINTS = (
    r"[:(](\d+)(?:[:,]\d+)?\)?\s*:\s*(?:fatal |catastrophic )?error\b[^:\n]*:\s*(.*)",
    r"^(?:fatal )?error: .*?:(\d+):\d+: (.*)",
)


class Rejected(PortaparError):
    """A compiler of C does not take a text; `log` is what it says."""

    def __init__(self, what: str, log: str, text: str = "") -> None:
        super().__init__(f"{what}: {log}\n{text}")
        self.log = log


def rejection(
    program: Program, dialect: Dialect, error: Rejected, extent: int = EXTENTS[0], apart: bool = True
) -> KernelError:
    """The error for a program whose C text (see `c_text`) a compiler rejected, at the user's line.

    Which line that is the text tells when it is made again, with marks: without them it is the same in every process,
    and so are the keys of compiled code.
    """
    found = next(filter(None, (re.search(form, error.log, re.MULTILINE) for form in _COMPLAINTS)), None)
    number, said = (int(found[1]), found[2].strip()) if found else (0, error.log.strip())
    lines = c_text(program, dataclasses.replace(dialect, marked=True), extent, apart).split("\n")[:number]
    first = max((k for k, line in enumerate(lines) if not line.startswith((" ", "}"))), default=0)  # of its function
    marks = [int(mark[1]) for line in lines[first:] if (mark := re.search(r"  // line (\d+)$", line))]
    code = f"{lines[-1].partition('  // line ')[0].strip()}" if lines else ""
    message = f"its compiler says: {said}" + (f", of `{code}`" if code else "")
    remedy = "write the statement in another way, and report it with what portapar.inspect shows of the kernel"
    return located(program, marks[-1] if marks else 0, message, remedy, dialect.name)


def _kernel_error(program: Program, dialect: Dialect, error: TypingFailure | RenderFailure) -> KernelError:
    remedy = error.remedy if isinstance(error, TypingFailure) else ""
    return located(program, error.line, error.message, remedy, dialect.name)
