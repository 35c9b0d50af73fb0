"""The functions that do strips of a program, for renderers to compile."""

from __future__ import annotations

import ast
import functools
import math
from typing import Any

import numpy as np

from portapar.kernel.front.bounds import bounded
from portapar.kernel.front.sources import tree_of
from portapar.kernel.jit.functions import function_texts, weak_places
from portapar.kernel.jit.native import callee, slow_gathers
from portapar.kernel.lanes.crossed import AHEAD
from portapar.kernel.lanes.inner import Rounds, inner_strips
from portapar.kernel.lanes.straight import straight
from portapar.kernel.lanes.strips import TURNED, strip
from portapar.kernel.program import Program, has_loop


def used_arrays(program: Program) -> list[int]:
    """The arrays of which it uses elements."""
    return [k for k, spec in enumerate(program.specs) if spec.is_array and k not in program.idle]


def kept_apart(program: Program) -> bool:
    """Whether code is made for arrays of which the written ones share memory with no other; a transform's do not."""
    if program.form == "map":
        return bool(program.written) and len(used_arrays(program)) > 1
    return program.form == "transform"


@functools.lru_cache(maxsize=4096)
def strip_bodies(program: Program, elements: bool = True) -> tuple[int, tuple[ast.Module, ...]]:
    """The body for several neighbouring indices at a time: how many, and that for so many and for fewer; 0 if none.

    It is right where indices cannot be negative (`bounded`, which also says what `elements` is; without them those from
    arrays may be anything), and arrays that are written share no memory with others.
    """
    steps = program.unit or program.steps[-1] == 1
    body = _straight(program, elements) if steps else None
    if body is None:
        return 0, ()
    gathers = not elements and not slow_gathers()
    whole, fewer = (strip(program, body, fewer, gathers=gathers) for fewer in (False, True))
    return (0, ()) if whole is None or fewer is None else (whole[0], (whole[1], fewer[1]))


def _straight(program: Program, elements: bool) -> ast.Module | None:
    """The body as it is where no index is negative, if it has loops and what it writes is apart from all else."""
    alone = program.form == "map" and bool(program.written) and len(used_arrays(program)) == 1
    if not ((alone or kept_apart(program)) and has_loop(program.text)):
        return None
    texts = function_texts(program)
    bound = bounded(program, texts, "body", elements)
    changed = bound.trees if bound is not None else {}
    return straight({name: changed.get(name) or tree_of(text) for name, text in texts.items()}, "body")


@functools.lru_cache(maxsize=4096)
def inner_bodies(program: Program) -> tuple[ast.Module, tuple[Rounds, ...]] | None:
    """The body with several rounds of its loops at a time, and the functions that do these; None if it has no such."""
    body = None if program.once or strip_bodies(program)[0] else _straight(program, True)
    return None if body is None else inner_strips(program, body)


def inner_functions(rounds: Rounds, others: dict[str, Any]) -> dict[str, Any]:
    """What a body with such loops calls."""
    body = strip_function(rounds.program, rounds.one, False, others, "body")
    others, whole, fewer = others | {"body": body}, f"{rounds.name}", f"{rounds.name}fewer"
    return {
        whole: strip_function(rounds.program, rounds.whole, False, others),
        fewer: strip_function(rounds.program, rounds.fewer, True, others),
    }


def strip_function(program: Program, tree: ast.Module, fewer: bool, others: dict[str, Any], name: str = "strip") -> Any:
    """One of them as a function for others to call; it may call these."""
    from portapar.kernel.front import private
    from portapar.kernel.jit import intrinsics, loops

    space: dict[str, Any] = {name: others[name] for name in program.names}
    space |= {"np": np, "math": math, "choose": intrinsics.choose, "kept": intrinsics.kept}
    space |= {"crossed": intrinsics.crossed(0), "crossed_ahead": intrinsics.crossed(AHEAD)}
    space |= {f"turned{width}": intrinsics.turned(width) for width in TURNED}
    space |= {"few": loops.few, "one_round_": loops.one_round_, "nonneg": intrinsics.nonneg}
    space["lanes_apart"] = loops.steps_apart if fewer else loops.lanes_apart
    space.update((constructor.__name__, constructor) for constructor in private.CONSTRUCTORS)
    exec(compile(tree, "<portapar strip>", "exec"), space)
    return callee(space[name], weak_places(program, fewer))
