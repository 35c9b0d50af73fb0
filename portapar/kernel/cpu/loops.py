"""The loops of a chunk over its index space, as Python text.

A space of several dimensions is a nest of loops: the last index runs in the innermost one, in steps of the same size,
the one before in a loop around it, and the others are counted. Where indices could be negative a row has a segment in
which they are not (`portapar.kernel.front.bounds`), mostly the same in all rows but the first and the last; what is
left runs in a chunk function of its own, ``rest``.
"""

from __future__ import annotations

import ast
import functools
import math
import re

from portapar.kernel.cpu.quotients import Quotients
from portapar.kernel.cpu.residues import Residue
from portapar.kernel.front.bounds import Bounded
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import stored_in, walk
from portapar.kernel.jit.native import slow_gathers
from portapar.kernel.program import Program, Spec, has_loop

STREAM_LINES = 4  #: cache lines that a streaming loop writes at a time; 8 need all registers of AVX2, or more


_FEW = 8  #: indices at the ends of a row, at most, that are looked for once and not in each row
_CALM = 16  #: rows that are done one by one where the next ones have no segment in common
_GATHERED = 4  #: bytes of a number that CPUs gather, at least
_NEAR = 4  #: LLVM loads whole vectors and takes them apart where numbers lie so far apart, and gathers beyond
BLOCK = 512  #: iterations for which the elements that are indices are looked at, which then lie in the first cache


def loops_text(
    program: Program,
    head: str,
    given: str,
    stream: bool,
    bound: Bounded | None,
    strips: int = 0,
    cut: Quotients | Residue | None = None,
    short: bool = False,
    free: bool = False,
    runs: bool = False,
) -> str:
    """The text of ``chunk(lo, hi, block)``, of which `head` is the beginning, for maps and transforms.

    `given` is for `holds_text`, all behind it for `portapar.kernel.cpu.texts.chunk_text`.
    """
    args = [f"a{k}" for k in range(len(program.specs))]
    call = ", ".join(args)
    name, tested = "body" if bound is None else "fast", bound is not None and bound.test != ""
    ends = ("first", "last") if tested else ("begin", "end")
    sound = bound is not None and bound.elements != ""
    near = ("near", "far") if sound else ends
    work = _stream_text(program, args, name, *near) if stream else _loop(program, name, call, *near, strips, cut, free)
    if runs:
        work = f"@if not runs(near, far, block):\n{_indented(work)}"
    if sound:
        row = "".join(f"{_ends(program, d, f'p{d}', f'p{d}')}, " for d in range(program.ndim - 1))
        work = (
            f"@for near in range({ends[0]}, {ends[1]}, {BLOCK}):\n"
            f"@    far = min(near + {BLOCK}, {ends[1]})\n"
            f"@    if sound(table, {row}{_ends(program, program.ndim - 1, 'near', 'far - 1')}, {call}):\n"
            f"{_indented(_indented(work))}"
            f"@    else:\n@        {_rest(program, 'near', 'far')}\n"
        )
    if program.ndim > 1:
        work = _short_rows(program, call, name, tested, sound) if short else _rows(program, work, call, tested)
    elif tested:
        where = f"inside(begin, end, {_places(program)}block)"
        work = (
            f"@first, last = begin, end\n@if not easy:\n@    first, last = {where}\n"
            f"@if first < last:\n{_before('first')}{_indented(work)}@    done = last\n"
        )
    if bound is not None:
        inside = ""
        if tested:
            inside = _fitting_text(program) if short else _inside_text(program)
            inside += _wider_text(program) if program.ndim > 1 and not short else ""
        head = holds_text(program, bound, given) + inside + head
    if stream:
        head += "    buffer = tile()\n"
    fence = "    fence()\n" if stream else ""
    return f"{head}{_nest(program, work, tested)}{fence}    return hi\n"


def does_ends(program: Program) -> bool:
    """Whether a row's first and last indices are done beside it: spaces that begin inside seldom have such."""
    return program.ndim > 1 and program.unit


def _rows(program: Program, work: str, call: str, tested: bool) -> str:
    """The work of several whole rows, up to position `below` on the axis before the last one, or of a part of one."""
    inner = program.ndim - 1
    row, whole = f"p{inner - 1}", f"(hi - lo) // n{inner}"
    count = f"min(n{inner - 1} - {row}, {whole})" if inner > 1 else whole
    more = f"@below = {row} + 1\n@if begin == 0 and hi - lo > n{inner}:\n@    below = {row} + {count}\n"
    near = front = back = ""
    if tested and does_ends(program):  # what is left of each row at its ends is not worth a call
        near = f"@    if first - begin <= {_FEW} and end - last <= {_FEW}:\n@        front, back = begin, end\n"
        step = f"{_outer(program)}{_index(program, inner, 'k')}, {call})\n@few()\n"
        front, back = (f"@for k in range({ends}):\n@    slow({step}" for ends in ("front, first", "last, back"))
    rows = f"@for {row} in range({row}, below):\n{_indented(front + work + back)}@    lo += end - begin\n"
    if tested:
        rows = (
            f"@first, last = begin, end\n@if not easy:\n{_found(program)}"
            f"@if first < last:\n@    front, back = first, last\n{near}"
            f"{_before('lo + front - begin')}{_wider(program)}{_indented(rows)}@    done = lo + back - end\n"
            f"@else:\n@    lo, below = lo + end - begin, {row} + 1\n"
        )
    return f"{more}{rows}@{row} = below\n"


def _short_rows(program: Program, call: str, name: str, tested: bool, sound: bool) -> str:
    """The work of rows of a known length, which LLVM writes out, and makes vectors of several rows.

    In what a chunk has of other rows, and in rows in which indices could be negative, the functions are as they are.
    """
    inner, last = program.ndim - 1, program.last
    row, slow = f"p{inner - 1}", "body" if name == "body" else "slow"
    step = f"{_outer(program)}{_index(program, inner, 'k')}, {call})\n"

    def loops(first: str, below: str) -> str:
        rows = f"@    for {row} in range({first}, {below}):\n"
        return f"{rows}@        for k in range({last}):\n@            {name}({step}"

    text = loops("row", "below")
    if sound:
        near = "".join(f"{_ends(program, d, f'p{d}', f'p{d}')}, " for d in range(inner - 1))
        near += f"{_ends(program, inner - 1, 'near', 'far - 1')}, {_ends(program, inner, 'zero', f'zero + {last - 1}')}"
        text = (
            f"@    for near in range(row, below, {BLOCK}):\n@        far = min(near + {BLOCK}, below)\n"
            f"@        if sound(table, {near}, {call}):\n{_indented(_indented(loops('near', 'far')))}"
            f"@        else:\n@            rest(table, lo + (near - row) * {last}, lo + (far - row) * {last}, block)\n"
        )
    fits = "@    fits = True\n"
    if tested:
        fits = "@    fits = easy\n@    if not easy:\n"
        fits += f"@        below, fits = fitting(row, below, {_places(program)}block)\n"
    count = f"(hi - lo) // {last}" if inner == 1 else f"min(n{inner - 1} - {row}, (hi - lo) // {last})"
    return (
        f"@row, zero, below, fits = {row}, lo - lo, {row} + 1, False\n"
        f"@if begin == 0 and hi - lo >= {last}:\n@    below = row + {count}\n{fits}"
        f"@if fits:\n{text}"
        f"@else:\n@    for {row} in range(row, below):\n@        for k in range(begin, end):\n"
        f"@            {slow}({step}@        few()\n"
        f"@{row} = below\n@lo += (below - row - 1) * {last} + end - begin\n" + "@done = lo\n" * tested
    )


def _fitting_text(program: Program) -> str:
    """``fitting``: to which row on the fast form is right, and True; or to which the other one, right in all, does."""
    inner, step = program.ndim - 1, program.last - 1
    box = "".join(f"{_ends(program, d, f'p{d}', f'p{d}')}, " for d in range(inner - 1))
    end = _ends(program, inner, "zero", f"zero + {step}")

    def holds(first: str, last: str) -> str:
        return f"holds({box}{_ends(program, inner - 1, first, last)}, {end}, block)"

    return (
        f"def fitting(row, below, {_places(program)}block):\n"
        "    seldom()\n    zero = row - row\n    count = zero + 1\n"
        f"    if {holds('row', 'below - 1')}:\n        return below, True\n"
        f"    if {holds('row', 'row')}:\n"
        f"        while row + 2 * count <= below and {holds('row', 'row + 2 * count - 1')}:\n"
        "            count *= 2\n"
        "        return row + count, True\n"
        f"    if row + 1 < below and {holds('row + 1', 'below - 1')}:\n        return row + 1, False\n"
        f"    while row + count < below and not {holds('row + count', 'row + count')}:\n        count *= 2\n"
        "    return min(row + count, below), False\n"
    )


def _before(place: str) -> str:
    """All that was left out before a segment, in one piece: some loops are sequential."""
    return f"@    if done < {place}:\n@        rest(table, done, {place}, block)\n"


def _found(program: Program) -> str:
    """The segment of a row that is inside: if it was most of a row before, and it can be, the same."""
    inner = program.ndim - 1
    row = "".join(f"{_ends(program, d, f'p{d}', f'p{d}')}, " for d in range(inner))
    holds = f"holds({row}{_ends(program, inner, 'start', 'stop - 1')}, block)"
    most = f"start - begin <= {_FEW} and end - stop <= {_FEW} and begin <= start < stop <= end"
    return (
        f"@    if {most} and {holds}:\n@        first, last = start, stop\n"
        f"@    else:\n@        first, last = inside(begin, end, {_places(program)}block)\n"
        "@        if first < last:\n@            start, stop = first, last\n"
    )


def _wider(program: Program) -> str:
    """As many of the rows that follow as have the same segment, if that is all of a row but its ends."""
    row = f"p{program.ndim - 2}"
    return (
        f"@    if not easy and {row} + 1 < below:\n"
        "@        if calm > 0 or front > begin or back < end:\n"
        f"@            below, calm = {row} + 1, calm - 1\n"
        "@        else:\n"
        f"@            below = wider(below, first, last, {_places(program)}block)\n"
        f"@            if below == {row} + 1:\n@                calm = {_CALM}\n"
    )


def _wider_text(program: Program) -> str:
    """``wider``: to which row on a segment is inside: all, or all but the last 1, 3 or 7; else the first one alone."""
    inner = program.ndim - 1
    rows = [f"p{d}" for d in range(inner)]
    ends = [_ends(program, d, p, p) for d, p in enumerate(rows[:-1])]
    ends += [_ends(program, inner - 1, rows[-1], "below - 1"), _ends(program, inner, "first", "last - 1")]
    return (
        f"def wider(below, first, last, {_places(program)}block):\n    seldom()\n    step = 1\n"
        f"    while step <= {_FEW} and {rows[-1]} + 1 < below:\n"
        f"        if holds({', '.join(ends)}, block):\n            return below\n"
        "        below, step = below - step, 2 * step\n"
        f"    return {rows[-1]} + 1\n"
    )


def holds_text(program: Program, bound: Bounded, given: str) -> str:
    """``holds`` and ``sound``: whether the fast form is right, from the least and the largest index on each axis.

    `given` is the line that takes the arguments from a block.
    """
    ends = "".join(f"lo{d}, hi{d}, " for d in range(program.ndim))
    call = ", ".join(f"a{k}" for k in range(len(program.specs)))
    text = f"def holds({ends}block):\n    seldom()\n{given}{bound.test}" if bound.test else ""
    return text + (f"def sound(table, {ends}{call}):\n{bound.elements}" if bound.elements else "")


def _rest(program: Program, begin: str, end: str) -> str:
    """The work between two positions of a row as the functions are, and not in their fast form."""
    if program.ndim == 1:
        return f"rest(table, {begin}, {end}, block)"
    return f"rest(table, lo + {begin} - begin, lo + {end} - begin, block)".replace("lo + begin - begin", "lo")


def _indented(text: str) -> str:
    return text.replace("@", "@    ")


def _nest(program: Program, segment: str, tested: bool) -> str:
    """The loops around a segment of a row, from position `begin` to `end`; its lines begin with @.

    A chunk may begin and end in the middle of a row. Places on the outer axes are counted, since a division costs more
    than many a body.
    """
    inner = program.ndim - 1
    easy, left = "", ""
    if tested:
        easy = "    zero = lo - lo\n" * (inner > 0)  # for 0 itself Numba would compile another function
        easy += f"    easy, done = holds({_box(program)}, block), lo\n"
        easy += "    start = stop = calm = zero\n" * (inner > 0)
        left = "    if done < hi:\n        rest(table, done, hi, block)\n"
    if inner == 0:
        return f"    begin, end = lo, hi\n{easy}{segment.replace('@', '    ')}{left}"
    decode, carry = f"    row = lo // n{inner}\n    begin = lo - row * n{inner}\n", ""
    for d in range(inner - 1, 0, -1):
        decode += f"    above = row // n{d}\n    p{d} = row - above * n{d}\n    row = above\n"
    for depth, d in enumerate(range(inner - 1, 0, -1)):
        space = "    " * (depth + 2)
        carry += f"{space}if p{d} == n{d}:\n{space}    p{d} = 0\n{space}    p{d - 1} += 1\n"
    return (
        f"    if lo >= hi:\n        return hi\n{decode}    p0 = row\n{easy}"
        "    while lo < hi:\n"
        f"        end = min(n{inner}, begin + hi - lo)\n"
        f"{segment.replace('@', '        ')}"
        "        begin = 0\n"
        f"{carry}{left}"
    )


def _index(program: Program, axis: int, position: str) -> str:
    """The index at a position on an axis."""
    if program.unit:
        return f"nonneg({position})"
    step = program.steps[axis]
    text = f"start{axis} + {'' if step == 1 else f'{step} * ' if step else f'step{axis} * '}{position}"
    return text if program.signed else f"nonneg({text})"


def _loop(
    program: Program,
    name: str,
    call: str,
    begin: str,
    end: str,
    strips: int = 0,
    cut: Quotients | Residue | None = None,
    free: bool = False,
) -> str:
    inner = program.ndim - 1
    step = f"{_outer(program)}{_index(program, inner, 'k')}, {call})\n"
    if strips:
        text = f"@whole = {begin} + ({end} - {begin}) // {strips} * {strips}\n"
        text += f"@for k in range({begin}, whole, {strips}):\n@    strip{strips}({step}"
        fewer = step.removesuffix(")\n") + f", nonneg({end} - whole))\n"
        return f"{text}@for k in range(whole, {end}, {strips}):\n@    fewer{strips}({fewer}"
    alone = "@few()\n" if _blocks(program) else "@one_round_()\n" if has_loop(program.text) else ""
    alone = "@steps_apart()\n" if free else alone
    apart = "@one_by_one()\n" if slow_gathers() and _does_little(program.text) else ""
    if not program.unit and abs(program.steps[inner]) != 1:
        alone = apart or alone
    if _gathers_bytes(program) and _does_little(program.text):
        alone = "@one_by_one()\n"
    loop = f"@for k in range({begin}, {end}):\n@    {name}({step}{alone}"
    if cut is None:
        return loop
    return cut.text(begin, end, step.removesuffix(")\n"), loop) + apart * isinstance(cut, Residue)


@functools.lru_cache(maxsize=1024)
def _does_little(text: str) -> bool:
    """Whether there are fewer than five steps of arithmetic for each element, and no loop or function of mathematics.

    Vectors of elements that do not lie next to each other cost more than that saves, where they are gathered slowly.
    """
    nodes = list(walk(tree_of(text)))
    if has_loop(text) or any(isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) for n in nodes):
        return False
    elements = sum(isinstance(n, ast.Subscript) for n in nodes)
    return elements * 5 > sum(isinstance(n, (ast.BinOp, ast.Compare, ast.IfExp)) for n in nodes)


def _gathers_bytes(program: Program) -> bool:
    """Whether it reads elements of 1 or 2 bytes where other elements say, which no CPU gathers."""
    there = [
        k for k, spec in enumerate(program.specs)
        if spec.is_array and spec.dtype.itemsize < _GATHERED and k not in (*program.own, *(program.written or ()))
    ]  # fmt: skip
    return bool(there) and _looks_up(program.text, program.ndim, tuple(there))


@functools.lru_cache(maxsize=1024)
def _looks_up(text: str, ndim: int, places: tuple[int, ...]) -> bool:
    """Whether one of these arguments, or any array of a function that is called, is read at an index from an array."""
    for function in (node for node in tree_of(text).body if isinstance(node, ast.FunctionDef)):
        params = [p.arg for p in function.args.args]
        called = function.name not in ("body", "elem")
        arrays = {*params} if called else {params[ndim + k] for k in places if ndim + k < len(params)}
        known = {*params} if called else set()  #: names of what comes from an array

        def found(node: ast.AST, known: set[str] = known) -> bool:
            parts = list(walk(node))
            return any(isinstance(n, ast.Subscript) or (isinstance(n, ast.Name) and n.id in known) for n in parts)

        steps = [n for n in walk(function) if isinstance(n, (ast.Assign, ast.AugAssign))]
        for _ in steps:
            known |= {name for step in steps if found(step.value) for name in stored_in(step)}
        read = [n for n in walk(function) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Load)]
        if any(isinstance(n.value, ast.Name) and n.value.id in arrays and found(n.slice) for n in read):
            return True
    return False


def _blocks(program: Program) -> bool:
    """Whether each iteration writes a small block of numbers, in loops: these become vectors, not the iterations."""
    if not has_loop(program.text) or re.search(r"\b(math|np)\.", program.text):
        return False
    written = (program.specs[k] for k in program.written or ())
    return any(spec.tail and rows_apart(spec, program.ndim) for spec in written)


def rows_apart(spec: Spec, ndim: int) -> bool:
    """Whether neighbouring indices have numbers so far apart that vectors of these are put together one by one."""
    return spec.ndim > ndim and (len(spec.tail) < spec.ndim - ndim or math.prod(spec.tail) > _NEAR)


def _outer(program: Program) -> str:
    """The indices of a row, but for the last one."""
    return "".join(f"{_index(program, d, f'p{d}')}, " for d in range(program.ndim - 1))


# which indices are not negative -------------------------------------------------------------------


def _places(program: Program) -> str:
    """What `inside` needs besides a segment and the arguments: the row, and what indices are computed from."""
    steps = [] if program.unit else [f"{name}{d}" for d in range(program.ndim) for name in ("start", "step")]
    return "".join(f"{name}, " for name in [*(f"p{d}" for d in range(program.ndim - 1)), *steps])


def _ends(program: Program, axis: int, first: str, last: str) -> str:
    """The least and the largest index on an axis between two positions."""
    if program.unit:
        return f"{first}, {last}"
    step = program.steps[axis]
    a, b = (f"start{axis} + {step or f'step{axis}'} * ({place})" for place in (first, last))
    return f"{a}, {b}" if step > 0 else f"{b}, {a}" if step < 0 else f"min({a}, {b}), max({a}, {b})"


def _box(program: Program) -> str:
    """The least and the largest index on every axis, at most, in a chunk."""
    if program.ndim == 1:
        return _ends(program, 0, "begin", "end - 1")
    below = " * ".join(f"n{d}" for d in range(1, program.ndim))
    axes = [_ends(program, d, "zero", f"n{d} - 1") for d in range(1, program.ndim)]
    return ", ".join([_ends(program, 0, "p0", f"(hi - 1) // ({below})"), *axes])


def _inside_text(program: Program) -> str:
    """``inside``: for which segment of a row the fast form is right.

    It leaves out the first and the last indices, 1, 3, 7, … of them (``x[i - 1]`` at 0), if it is right in the middle;
    else in one dimension, where it costs little to try, those on one side.
    """
    inner = program.ndim - 1
    row = "".join(f"{_ends(program, d, f'p{d}', f'p{d}')}, " for d in range(inner))

    def holds(first: str, last: str) -> str:
        return f"holds({row}{_ends(program, inner, first, last)}, block)"

    whole = f"first < last and not {holds('first', 'last - 1')}"
    one_side = (
        f"        while {whole}:\n"
        "            first, step = first + step, 2 * step\n"
        "        if first >= last:\n"
        "            first, step = begin, 1\n"
        f"            while {whole}:\n"
        "                last, step = last - step, 2 * step\n"
    )
    return (
        f"def inside(begin, end, {_places(program)}block):\n    seldom()\n"
        "    first, last, step, middle = begin, end, 1, (begin + end) // 2\n"
        f"    if {holds('middle', 'middle')}:\n"
        f"        while first < middle and not {holds('first', 'middle')}:\n"
        "            first, step = first + step, 2 * step\n"
        "        first, step = min(first, middle), 1\n"
        f"        while middle < last - 1 and not {holds('middle', 'last - 1')}:\n"
        "            last, step = last - step, 2 * step\n"
        "        last = max(last, middle + 1)\n"
        f"        if not {holds('first', 'last - 1')}:\n"
        "            return end, end\n"
        f"    else:\n{'        return end, end' if inner else one_side}\n"
        "    return (first, last) if first < last else (end, end)\n"
    )


def _stream_text(program: Program, args: list[str], body: str, begin: str, end: str) -> str:
    """Whole cache lines are collected in a buffer and written past the caches; what is left of a row is not."""
    out, inner = args[program.out], program.ndim - 1
    width = STREAM_LINES * 64 // program.specs[program.out].dtype.itemsize
    flat = "0"
    for d in range(inner):
        flat = f"({flat} + p{d}) * n{d + 1}" if d else f"p0 * n{d + 1}"
    flat = f"{flat} + " if inner else ""
    outer, call, elem = _outer(program), ", ".join(args), "elem" if body == "body" else "fast_elem"
    return (
        f"@head = min({end}, {begin} + until_aligned({out}, {flat}{begin}))\n"
        f"{_loop(program, body, call, begin, 'head')}"
        f"@tail = head + ({end} - head) // {width} * {width}\n"
        f"@for base in range(head, tail, {width}):\n"
        "@    base = nonneg(base)\n"
        f"@    for k in range({width}):\n"
        f"@        buffer[nonneg(k)] = {elem}({outer}base + k, {call})\n"
        "@    vectors()\n"
        f"@    stream({out}, {flat}base, buffer)\n"
        f"{_loop(program, body, call, 'tail', end)}"
    )
