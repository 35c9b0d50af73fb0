"""The text of a chunk: the loop around a program, as Python that Numba compiles.

Programs that give values fold them by tiles, in lanes or as a tree over neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portapar.kernel.cpu.listed import Listed
from portapar.kernel.cpu.loops import holds_text, loops_text, rows_apart
from portapar.kernel.cpu.quotients import Quotients
from portapar.kernel.cpu.residues import Residue
from portapar.kernel.front.bounds import Bounded
from portapar.kernel.front.codec import codec
from portapar.kernel.jit.native import callee, slow_gathers
from portapar.kernel.program import Program
from portapar.kernel.tiles import BLOCK, LANES, TILE


def chunk_text(
    program: Program,
    stream: bool = False,
    bound: Bounded | None = None,
    apart: bool = False,
    strips: int = 0,
    cut: Quotients | Residue | None = None,
    short: bool = False,
    free: bool = False,
    runs: Listed | None = None,
) -> str:
    """Python text of ``chunk(lo, hi, block)`` for a program.

    Parameters
    ----------
    stream : bool
        Write the output of a transform with non-temporal stores.
    bound : Bounded, optional
        When `fast` is right in the place of `body` (`fast_elem` for `elem`); ``rest`` does what is left.
    apart : bool
        Leave everything to ``rest`` where the arrays that a map writes share memory with others.
    strips : int
        The width of strips, if there are such (`portapar.kernel.lanes.strips`).
    cut : Quotients or Residue, optional
        The body between places where a quotient of the index changes.
    short : bool
        Rows have a known length, and several are done at a time.
    free : bool
        Iterations next to each other may all load before one of them stores.
    runs : Listed, optional
        The body for runs of a list of indices.
    """
    args = [f"a{k}" for k in range(len(program.specs))]
    extra = [f"n{d}" for d in range(1, program.ndim)]
    if not program.unit:
        extra += [f"{name}{d}" for d in range(program.ndim) for name in ("start", "step")]
    extra.append("table")
    unpack = "".join(f"{name}, " for name in [*args, *["partials"] * (program.acc is not None), *extra])
    scalar = bound is not None and bound.gathers and slow_gathers() and program.form != "reduce"
    head = f"def chunk(lo, hi, block):\n    {'narrow' if scalar else 'wide'}()\n"
    scattered = slow_gathers() and any(rows_apart(spec, program.ndim) for spec in program.specs)
    head += "    no_gathers()\n" if scattered or "private_" in program.text else ""
    given = f"    {unpack}= given(block)\n"
    head += given.replace("given", "unpack")
    if apart and program.form == "map":
        head += "    if not apart(block):\n        rest(table, lo, hi, block)\n        return hi\n"
    call = ", ".join(args)
    if program.form == "reduce":
        head = holds_text(program, bound, given) + head if bound else head
        return (_tree_text if program.ordered else _lanes_text)(program, head, call, bound)
    if runs is not None:
        head = runs.runs(given.replace("given", "unpack"), call) + head
    return loops_text(program, head, given, stream, bound, strips, cut, short, free, runs is not None)


def _value(call: str, fast: bool) -> Callable[[str], str]:
    """The text of an element, from that of its index."""
    return lambda index: f"ACC({'fast_elem' if fast else 'elem'}(nonneg({index}), {call}))"


def _get(width: int, array: str, place: str) -> str:
    return f"get({place}, {array})" if width else f"{array}[{place}]"


def _put(width: int, array: str, place: str, what: str) -> str:
    return f"put({place}, {array}, {what})" if width else f"{array}[{place}] = {what}"


def _lanes_text(program: Program, head: str, call: str, bound: Bounded | None) -> str:
    """Whole tiles keep their lanes in vector registers; the last one, if it is short, takes a plain loop."""
    width, value = width_of(program.acc), _value(call, bound is not None)
    here = _get(width, "acc", "lane")

    def folded(what: str) -> str:
        return _put(width, "acc", "lane", f"ACC(op({here}, {what}))")

    def other(half: Any) -> str:
        return folded(_get(width, "acc", f"lane + {half}"))

    levels = [LANES >> k for k in range(1, LANES.bit_length())]
    tree = ""
    for half in levels:
        tree += f"            for lane in range({half}):\n                {other(half)}\n"
        tree += "            vectors()\n" * (half > 1)
    keep = keep_text(width, f"nonneg(first // {TILE})", _get(width, "acc", "0"))
    slow = ""
    if bound and (bound.test or bound.elements):
        holds = _holds(bound, "first", f"min(first + {TILE}, hi) - 1", call)
        slow = f"        if not ({holds}):\n            rest(table, first, min(first + {TILE}, hi), block)\n"
        slow += "            continue\n"
    fresh = f"x if k < {LANES} else ACC(op({here}, x))"
    return (
        f"def short(first, count, partials, {call}):\n"
        f"    acc = {_scratch(width)}\n"
        "    for k in range(count):\n"
        f"        x = {value('first + k')}\n"
        f"        lane = k % {LANES}\n"
        f"        {_put(width, 'acc', 'lane', fresh)}\n"
        f"    for half in {tuple(levels)}:\n"
        "        for lane in range(min(half, count - half)):\n"
        f"            {other('half')}\n"
        f"    {keep}\n"
        f"{head}{_easy(bound)}"
        f"    acc = {_scratch(width)}\n"
        f"    for first in range(lo, hi, {TILE}):\n"
        "        first = nonneg(first)\n"
        f"{slow}"
        f"        if hi - first < {TILE}:\n"
        f"            short(first, hi - first, partials, {call})\n"
        "        else:\n"
        f"            for lane in range({LANES}):\n"
        f"                {_put(width, 'acc', 'lane', value('first + lane'))}\n"
        "            vectors()\n"
        f"            for k in range({LANES}, {TILE}, {LANES}):\n"
        f"                for lane in range({LANES}):\n"
        f"                    {folded(value('first + k + lane'))}\n"
        "                vectors()\n"
        f"{tree}"
        f"            {keep}\n"
        "    return hi\n"
    )


def _easy(bound: Bounded | None) -> str:
    return "    easy = holds(lo, hi - 1, block)\n" if bound and bound.test else ""


def _holds(bound: Bounded, first: str, last: str, call: str) -> str:
    """Whether the fast form is right from one index to another."""
    tests = [f"(easy or holds({first}, {last}, block))"] if bound.test else []
    return " and ".join([*tests, *[f"sound(table, {first}, {last}, {call})"] * bool(bound.elements)])


def _tree_text(program: Program, head: str, call: str, bound: Bounded | None) -> str:
    """A binary tree over neighbours, level by level: loops that vectorize, over values that stay in the first cache."""
    width = width_of(program.acc)

    def level(source: str, target: str, indent: str) -> str:
        """From `count` values of one array, or elements, to half as many of another."""
        value = _value(call, bound is not None)

        def at(place: str) -> str:
            return _get(width, source, f"nonneg({place})") if source else value(f"first + {place}")

        pair = f"ACC(op({at('2 * k')}, {at('2 * k + 1')}))"
        return (
            f"{indent}half = count // 2\n"
            f"{indent}for k in range(half):\n"
            f"{indent}    {_put(width, target, 'nonneg(k)', pair)}\n"
            f"{indent}if count % 2:\n"
            f"{indent}    {_put(width, target, 'half', at('count - 1'))}\n"
            f"{indent}count = half + count % 2\n"
        )

    keep = keep_text(width, f"nonneg(tile // {TILE})", _get(width, "top", "0"))
    block = _put(width, "top", f"nonneg((first - tile) // {BLOCK})", _get(width, "a", "0"))
    slow = ""
    if bound and (bound.test or bound.elements):
        holds = _holds(bound, "tile", "end - 1", call)
        slow = f"        if not ({holds}):\n            rest(table, tile, end, block)\n            continue\n"
    return (
        f"{head}{_easy(bound)}"
        f"    a, b, top = {_scratch(width)}, {_scratch(width)}, {_scratch(width)}\n"
        f"    for tile in range(lo, hi, {TILE}):\n"
        f"        end = min(tile + {TILE}, hi)\n"
        f"{slow}"
        f"        for first in range(tile, end, {BLOCK}):\n"
        "            first = nonneg(first)\n"
        f"            count = nonneg(min(end - first, {BLOCK}))\n"
        f"{level('', 'a', ' ' * 12)}"
        "            while count > 1:\n"
        f"{level('a', 'b', ' ' * 16)}"
        f"{level('b', 'a', ' ' * 16)}"
        f"            {block}\n"
        f"        count = nonneg((end - tile + {BLOCK - 1}) // {BLOCK})\n"
        "        while count > 1:\n"
        f"{level('top', 'a', ' ' * 12)}"
        f"{level('a', 'top', ' ' * 12)}"
        f"        {keep}\n"
        "    return hi\n"
    )


def width_of(acc: np.dtype | None) -> int:
    """Numbers in a value that a reduction accumulates, if it is a tuple; 0 for a plain number."""
    return len(acc.names) if acc is not None and acc.names is not None else 0


def _scratch(width: int) -> str:
    """The lanes: an array, for tuples one for each of their numbers, so that loops over lanes vectorize."""
    return f"({''.join(f'lanes{k}(), ' for k in range(width))})" if width else "lanes()"


def keep_text(width: int, index: str, what: str) -> str:
    """Put a value among the partials, which are records for tuples."""
    return f"store({index}, partials, {what})" if width else f"partials[{index}] = {what}"


def value_functions(acc: np.dtype, room: int = LANES) -> dict[str, Any]:
    """What the text of a reduction calls: `ACC`, `room` lanes, and for tuples also what reads and writes them."""
    from portapar.kernel.jit import intrinsics

    width = width_of(acc)
    if not width:
        return {"ACC": getattr(np, acc.name), "lanes": intrinsics.scratch(acc, room)}
    names = acc.names or ()
    casts = "".join(f"np.{acc[name].name}(x[{k}]), " for k, name in enumerate(names))
    text = (
        f"def ACC(x):\n    return ({casts})\n"
        f"def get(lane, acc):\n    return ({''.join(f'acc[{k}][lane], ' for k in range(width))})\n"
        "def put(lane, acc, x):\n" + "".join(f"    acc[{k}][lane] = x[{k}]\n" for k in range(width))
    )
    space: dict[str, Any] = {"np": np}
    exec(compile(text, "<portapar values>", "exec"), space)
    found = {name: callee(space[name]) for name in ("ACC", "get", "put")}
    kept = codec(acc)
    found.update(load=callee(kept.load), store=callee(kept.store))
    found.update((f"lanes{k}", intrinsics.scratch(acc[name], room)) for k, name in enumerate(names))
    return found
