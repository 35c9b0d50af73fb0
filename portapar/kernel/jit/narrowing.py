"""Whole numbers of 64 bits, computed in 16 or 32 where what they are computed from says that these are enough.

Python's whole numbers have 64 bits. What is computed of bytes, ``abs(int(a[i]) - int(a[i + 1]))``, is small: its least
and its greatest value follow from those of the bytes. So a vector holds eight or four times as many of them. This works
on the text of a function that LLVM has been over: loops of constant counts are written out by then, functions that it
calls are part of it, and of a variable there are only values.

Before that another thing is looked for: whole numbers of which only low bits are used, since they are stored in bytes
or in 16 bits. The low bits of sums, differences, products and what is shifted to the left follow from low bits alone,
however large the numbers are, so that 16 bits are enough for weighted sums of pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["narrowed"]

_VALUE = r"(%[\w.$-]+|%\"[^\"]+\"|-?\d+)"
_WIDENED = re.compile(r" = [sz]ext (?:nneg )?i(?:8|16) \S+ to i64$", re.MULTILINE)
_EXTENDED = re.compile(rf"([sz])ext (?:nneg )?i(1|8|16) {_VALUE} to i64$")
_BINARY = re.compile(rf"(\w+) (?:(?:nuw|nsw|exact|disjoint) )*i64 {_VALUE}, {_VALUE}$")
_CALL = re.compile(
    rf"(?:tail )?call (?:\w+(?:\([^)]*\))? )*i64 @llvm\.(\w+)\.i64\(i64 {_VALUE}, (?:i64 {_VALUE}|i1 \w+)\)"
)
_CHOICE = re.compile(rf"select i1 {_VALUE}, i64 {_VALUE}, i64 {_VALUE}$")
_TEST = re.compile(rf"icmp (?:samesign )?(\w+) i64 {_VALUE}, {_VALUE}$")
_CUT = re.compile(rf"trunc (?:(?:nuw|nsw) )*i64 {_VALUE} to i(\d+)$")
_REAL = re.compile(rf"[su]itofp (?:nneg )?i64 {_VALUE} to (\w+)$")
_LINE = re.compile(r"  (%[\w.$-]+|%\"[^\"]+\") = (.*?)((?:, ![\w.]+ ![\w.]+)*)$")

_SLIM, _LOW = "\0", "\1"  #: stand for what the names of values in fewer bits begin with

_STEP = re.compile(rf"(\w+) (?:(?:nuw|nsw|exact|disjoint) )*i(32|64) {_VALUE}, {_VALUE}$")
_PICK = re.compile(rf"select i1 {_VALUE}, i(32|64) {_VALUE}, i(?:32|64) {_VALUE}$")
_LESS = re.compile(rf"trunc (?:(?:nuw|nsw) )*i(32|64) {_VALUE} to i(\d+)$")
_MORE = re.compile(rf"[sz]ext (?:nneg )?i(1|8|16|32) {_VALUE} to i(32|64)$")
_LOAD = re.compile(rf"load i(?:32|64), ptr {_VALUE}, align \d+$")
_PLACE = re.compile(r"getelementptr (?:\w+ )*i\d+, ptr (%arg\.[\w.]+), i64 -?\d+$")
_PIXELS = re.compile(r" = [sz]ext (?:nneg )?i(?:8|16) \S+ to i(?:32|64)$", re.MULTILINE)
_USED = re.compile(r'%[\w.$-]+|%"[^"]+"')

#: The least and the greatest value.
_Span = tuple[int, int]


class _Step(NamedTuple):
    """A value that may be computed in fewer bits: how, from what, and the lowest and the highest that it may be."""

    how: str
    parts: tuple[str, ...]
    span: _Span


class _Kind(NamedTuple):
    """A kind of numbers: of so many bits, with a sign or without."""

    bits: int
    signed: bool

    def holds(self, span: _Span) -> bool:
        least = -(1 << self.bits - 1) if self.signed else 0
        return least <= span[0] and span[1] < least + (1 << self.bits)


_KINDS = [_Kind(bits, signed) for bits in (16, 32) for signed in (True, False)]
_UNSIGNED = {"ashr": "lshr", "sdiv": "udiv", "srem": "urem", "smin": "umin", "smax": "umax"}


def narrowed(text: str) -> str:
    """The text of a module with what is computed of 8 and 16 bits in as many as it needs; the same if there is none."""
    if not _PIXELS.search(text):
        return text
    functions = text.split("\n}\n")
    for k, function in enumerate(functions):
        if _PIXELS.search(function):
            function = _cut(function)
        functions[k] = _narrowed(function) if _WIDENED.search(function) else function
    text = "\n}\n".join(functions)
    for name, bits in sorted(set(re.findall(r"@llvm\.(abs|[su]min|[su]max)\.i(16|32)\(", text))):
        if not re.search(rf"^declare .*@llvm\.{name}\.i{bits}\(", text, re.MULTILINE):
            other = "i1 immarg" if name == "abs" else f"i{bits}"
            text += f"\ndeclare i{bits} @llvm.{name}.i{bits}(i{bits}, {other})\n"
    return text


def _narrowed(function: str) -> str:
    lines = function.split("\n")
    steps: dict[str, _Step] = {}
    for line in lines:
        if (found := _LINE.match(line)) and (step := _step(found[2], steps)):
            steps[found[1]] = step
    kinds = _kinds(steps)
    if not kinds:
        return function
    return _named("\n".join(part for line in lines for part in _rewritten(line, steps, kinds)), _SLIM, "slim")


def _named(function: str, mark: str, name: str) -> str:
    """A function in which new values have names that begin so, or alike."""
    while f"{name}." in function:  # it was narrowed before it became a part of another one
        name += "_"
    return function.replace(mark, name)


def _step(text: str, steps: dict[str, _Step]) -> _Step | None:
    """What a line computes of values that are known, if it is known how large it gets."""

    def span(value: str) -> _Span | None:
        if _is_number(value):
            return int(value), int(value)
        return steps[value].span if value in steps else None

    if found := _EXTENDED.match(text):
        bits, signed = int(found[2]), found[1] == "s"
        reach = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return _Step(f"{found[1]}ext i{bits}", (found[3],), reach)
    if found := _CHOICE.match(text):
        one, other = span(found[2]), span(found[3])
        return one and other and _Step(f"select {found[1]}", (found[2], found[3]), _joined(one, other))
    found = _BINARY.match(text) or _CALL.match(text)
    if not found or found[1] not in _SPANS:
        return None
    one, other = span(found[2]), span("0" if found[1] == "abs" else found[3])
    result = one and other and _SPANS[found[1]](one, other)
    parts = (found[2],) if found[1] == "abs" else (found[2], found[3])
    return _Step(found[1], parts, result) if result and any(part in steps for part in parts) else None


def _joined(a: _Span, b: _Span) -> _Span:
    return min(a[0], b[0]), max(a[1], b[1])


def _corners(operation: Callable[[int, int], int]) -> Callable[[_Span, _Span], _Span]:
    def reach(a: _Span, b: _Span) -> _Span:
        found = [operation(x, y) for x in a for y in b]
        return min(found), max(found)

    return reach


def _by_constant(operation: Callable[[int, int], int], least: int, most: int) -> Callable[[_Span, _Span], _Span | None]:
    """For a second operand that is one number; the operation does not fall where the first one grows."""

    def reach(a: _Span, b: _Span) -> _Span | None:
        return (operation(a[0], b[0]), operation(a[1], b[0])) if b[0] == b[1] and least <= b[0] <= most else None

    return reach


def _positive(reach: Callable[[_Span, _Span], Any]) -> Callable[[_Span, _Span], Any]:
    """For numbers that are not negative: LLVM's unsigned operations are others for those that are."""
    return lambda a, b: reach(a, b) if a[0] >= 0 and b[0] >= 0 else None


def _remainder(a: _Span, b: _Span) -> _Span | None:
    if b[0] != b[1] or b[0] <= 0:
        return None
    return max(min(a[0], 0), 1 - b[0]), min(max(a[1], 0), b[0] - 1)


def _bits(a: _Span, b: _Span) -> _Span:
    return 0, (1 << max(a[1], b[1]).bit_length()) - 1


def _quotient(a: int, b: int) -> int:
    return a // b if a >= 0 else -(-a // b)


#: What operations of LLVM make of the ends of their operands. No value is known that does not fit into 64 bits.
_SPANS: dict[str, Callable[[_Span, _Span], Any]] = {
    "add": _corners(lambda x, y: x + y),
    "sub": _corners(lambda x, y: x - y),
    "mul": _corners(lambda x, y: x * y),
    "smin": _corners(min),
    "smax": _corners(max),
    "umin": _positive(_corners(min)),
    "umax": _positive(_corners(max)),
    "shl": _by_constant(lambda x, y: x << y, 0, 15),
    "ashr": _by_constant(lambda x, y: x >> y, 0, 15),
    "lshr": _positive(_by_constant(lambda x, y: x >> y, 0, 15)),
    "sdiv": _by_constant(_quotient, 1, 1 << 62),
    "udiv": _positive(_by_constant(_quotient, 1, 1 << 62)),
    "srem": _remainder,
    "urem": _positive(_remainder),
    "and": _positive(lambda a, b: (0, min(a[1], b[1]))),
    "or": _positive(_bits),
    "xor": _positive(_bits),
    "abs": lambda a, _: (max(0, a[0], -a[1]), max(-a[0], a[1])),
}


def _kinds(steps: dict[str, _Step]) -> dict[str, _Kind]:
    """Which values are computed in fewer bits, and as what: those that hang together alike."""
    found: dict[str, _Kind] = {}
    left = [name for name, step in steps.items() if any(kind.holds(step.span) for kind in _KINDS)]
    while left:
        again: list[str] = []
        for group in _groups(left, steps):
            numbers = [int(part) for name in group for part in steps[name].parts if _is_number(part)]
            spans = [steps[name].span for name in group] + [(n, n) for n in numbers]
            kind = next((k for k in _KINDS if all(map(k.holds, spans))), None)
            how = {steps[name].how for name in group}
            if kind is None:  # without the large ones
                few = [name for name in group if _KINDS[2].holds(steps[name].span) and _small(steps[name])]
                again += few if len(few) < len(group) else []
            elif any(name[1:4] != "ext" for name in how) and any(name[1:] in ("ext i8", "ext i16") for name in how):
                found.update(dict.fromkeys(group, kind))
        left = again
    return found


def _groups(names: list[str], steps: dict[str, _Step]) -> list[list[str]]:
    """Values that hang together; not those that are computed of one that is not among them."""
    group: dict[str, list[str]] = {}
    for name in names:
        step = steps[name]
        parts = [part for part in step.parts if not _is_number(part)] if step.how[1:4] != "ext" else []
        if not all(part in group for part in parts):
            continue
        group[name] = [name]
        for part in parts:
            some, more = sorted((group[name], group[part]), key=len)
            if some is not more:
                more += some
                group.update(dict.fromkeys(some, more))
    return [*{id(found): found for found in group.values()}.values()]


def _is_number(part: str) -> bool:
    return not part.startswith("%")


def _small(step: _Step) -> bool:
    return all(_KINDS[2].holds((int(part), int(part))) for part in step.parts if _is_number(part))


def _rewritten(line: str, steps: dict[str, _Step], kinds: dict[str, _Kind]) -> list[str]:
    """A line, or what is there instead; the wide value stays for those that use it."""
    found = _LINE.match(line)
    if not found:
        return [line]
    name, text = found[1], found[2]
    if one := kinds.get(name):
        whole = f"  {name} = {'s' if one.signed else 'z'}ext i{one.bits} {_slim(name)} to i64"
        return [f"  {_slim(name)} = {_operation(steps[name], one)}", whole]

    def same(*values: str) -> _Kind | None:
        """The kind that all of the values have, or can have."""
        one = next((kinds[value] for value in values if value in kinds), None)
        fits = one and all(one.holds((int(v), int(v))) if _is_number(v) else kinds.get(v) == one for v in values)
        return one if fits else None

    if (test := _TEST.match(text)) and (kind := same(test[2], test[3])):
        # numbers that are extended with their signs keep both orders, those without have but one
        how = test[1] if kind.signed else test[1].replace("s", "u", 1)
        return [f"  {name} = icmp {how} i{kind.bits} {_slim(test[2])}, {_slim(test[3])}"]
    if (cut := _CUT.match(text)) and (kind := same(cut[1])):
        bits = int(cut[2])
        how = "trunc" if bits < kind.bits else ("sext" if kind.signed else "zext") if bits > kind.bits else "bitcast"
        return [f"  {name} = {how} i{kind.bits} {_slim(cut[1])} to i{bits}"]
    if (real := _REAL.match(text)) and (kind := same(real[1])) and (text[0] == "s" or steps[real[1]].span[0] >= 0):
        return [f"  {name} = {'s' if kind.signed else 'u'}itofp i{kind.bits} {_slim(real[1])} to {real[2]}"]
    return [line]


def _slim(value: str) -> str:
    """The name of a value in fewer bits."""
    if _is_number(value):
        return value
    return f'%"{_SLIM}.{value[2:]}' if value.endswith('"') else f"%{_SLIM}.{value[1:]}"


def _operation(step: _Step, kind: _Kind) -> str:
    slim, (how, *condition) = f"i{kind.bits}", step.how.split(" ")
    parts = [_slim(part) for part in step.parts]
    if how.endswith("ext"):
        given = condition[0]
        return (
            f"{how} {given} {step.parts[0]} to {slim}" if given != slim else f"bitcast {slim} {step.parts[0]} to {slim}"
        )
    how = how if kind.signed else _UNSIGNED.get(how, how)
    if how == "select":
        return f"select i1 {condition[0]}, {slim} {parts[0]}, {slim} {parts[1]}"
    if how == "abs":
        if not kind.signed:
            return f"bitcast {slim} {parts[0]} to {slim}"
        return f"call {slim} @llvm.abs.{slim}({slim} {parts[0]}, i1 false)"
    if how[1:] in ("min", "max"):
        return f"call {slim} @llvm.{how}.{slim}({slim} {parts[0]}, {slim} {parts[1]})"
    return f"{how} {slim} {parts[0]}, {parts[1]}"


# numbers of which low bits are used -----------------------------------------------------------------


def _cut(function: str) -> str:
    """A function in which whole numbers are computed in 16 bits where no others are used; or as it is."""
    lines = function.split("\n")
    steps = {found[1]: found[2] for line in lines if (found := _LINE.match(line))}
    used = _used(lines, steps)
    few = {name: text for name, text in steps.items() if name in used and _is_cut(text, used[name])}
    few = {name: few[name] for group in _together(few) if _is_worth(group, few, steps) for name in group}
    if not few:
        return function
    return _named("\n".join(part for line in lines for part in _with_cuts(line, few, steps)), _LOW, "low")


def _used(lines: list[str], steps: dict[str, str]) -> dict[str, int]:
    """How many bits of each value are used, from the lowest one on; what is none of the known steps uses all."""
    used: dict[str, int] = {}
    before: dict[str, int] | None = None
    while used != before:  # what is used is mostly further down in the text, but blocks may stand in any order
        before = dict(used)
        for line in reversed(lines):
            found = _LINE.match(line)
            name, text = (found[1], found[2]) if found else ("", line)
            for part, bits in _uses(text, used.get(name, 0)):
                if bits > used.get(part, 0):
                    used[part] = bits
    return used


def _uses(text: str, bits: int) -> list[tuple[str, int]]:
    """What a step whose result is used to so many bits uses of its parts."""
    if step := _STEP.match(text):
        how, width, one, other = step[1], int(step[2]), step[3], step[4]
        number = int(other) if _is_number(other) else None
        if how in ("add", "sub", "mul", "or", "xor") or (how == "and" and (number is None or number < 0)):
            return [(one, bits), (other, bits)]
        if how == "and" and number is not None:
            return [(one, min(bits, number.bit_length()))]
        if how == "shl" and number is not None and 0 <= number < width:
            return [(one, max(bits - number, 0))]
        if how in ("lshr", "ashr") and number is not None and 0 <= number < width:
            return [(one, min(bits + number, width))]
    elif pick := _PICK.match(text):
        return [(pick[1], 64), (pick[3], bits), (pick[4], bits)]
    elif less := _LESS.match(text):
        return [(less[2], min(bits, int(less[3])))]
    elif more := _MORE.match(text):
        return [(more[2], min(bits, int(more[1])))]
    return [(part, 64) for part in _USED.findall(text)]


def _is_cut(text: str, bits: int) -> bool:
    """Whether 16 bits of its parts give as many of its result as are used."""
    if step := _STEP.match(text):
        how, number = step[1], int(step[4]) if _is_number(step[4]) else None
        if how in ("shl", "lshr", "ashr"):
            return number is not None and 0 <= number < 16 and bits + (0 if how == "shl" else number) <= 16
        return bits <= 16 and how in ("add", "sub", "mul", "and", "or", "xor")
    return bits <= 16 and _PICK.match(text) is not None


def _parts(text: str) -> tuple[str, str]:
    """The two values that a step joins."""
    step, pick = _STEP.match(text), _PICK.match(text)
    assert step or pick
    return (step[3], step[4]) if step else (pick[3], pick[4])  # type: ignore[index]


def _together(few: dict[str, str]) -> list[list[str]]:
    """Steps that hang together."""
    group = {name: [name] for name in few}
    for name, text in few.items():
        for part in _parts(text):
            if part in few and group[part] is not group[name]:
                some, more = sorted((group[name], group[part]), key=len)
                more += some
                group.update(dict.fromkeys(some, more))
    return [*{id(found): found for found in group.values()}.values()]


def _is_worth(names: list[str], few: dict[str, str], steps: dict[str, str]) -> bool:
    """Whether all that they work on comes from 8 or 16 bits, or is the same for all indices: nothing else is cut."""
    parts = [part for name in names for part in _parts(few[name]) if part not in few and not _is_number(part)]
    pixels = [part for part in parts if (more := _MORE.match(steps.get(part, ""))) and int(more[1]) in (8, 16)]
    return bool(pixels) and all(part in pixels or _is_given(part, steps) for part in parts)


def _is_given(part: str, steps: dict[str, str]) -> bool:
    """Whether it is an element of an argument at a constant place."""
    text = steps.get(part, "")
    load = _LOAD.match(steps.get(more[2], "") if (more := _MORE.match(text)) else text)
    return load is not None and (load[1].startswith("%arg.") or _PLACE.match(steps.get(load[1], "")) is not None)


def _with_cuts(line: str, few: dict[str, str], steps: dict[str, str]) -> list[str]:
    """A line, or what is there instead; of the wide value only those bits are right that are used."""
    found = _LINE.match(line)
    if not found:
        return [line]
    name, text = found[1], found[2]
    if (less := _LESS.match(text)) and less[2] in few and int(less[3]) <= 16:
        how = "bitcast" if less[3] == "16" else "trunc"
        return [f"  {name} = {how} i16 {_low(less[2])} to i{less[3]}"]
    if name not in few:
        return [line]
    made, values = [], []
    for k, part in enumerate(_parts(text)):
        if _is_number(part):
            values.append(str((int(part) + 2**15) % 2**16 - 2**15))
        elif part in few:
            values.append(_low(part))
        else:  # LLVM finds out which of these are the same
            width = (_STEP.match(text) or _PICK.match(text))[2]  # type: ignore[index]
            values.append(_low(name, f"{k}-"))
            made.append(f"  {values[-1]} = trunc i{width} {part} to i16")
    step, pick = _STEP.match(text), _PICK.match(text)
    how = f"{step[1]} i16 {values[0]}" if step else f"select i1 {pick[1]}, i16 {values[0]}"  # type: ignore[index]
    other = values[1] if step else f"i16 {values[1]}"
    width = (step or pick)[2]  # type: ignore[index]
    return [*made, f"  {_low(name)} = {how}, {other}", f"  {name} = zext i16 {_low(name)} to i{width}"]


def _low(value: str, end: str = "") -> str:
    """The name of a value's lowest 16 bits, or of those of a part of it."""
    return f'%"{_LOW}.{end}{value[2:]}' if value.endswith('"') else f"%{_LOW}.{end}{value[1:]}"
