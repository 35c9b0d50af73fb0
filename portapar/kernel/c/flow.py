"""Control flow: from a graph of blocks to nested C statements.

The graph of a Python function is reducible, so a walk over its dominator tree finds the nesting: a block
that is reached in one way is written inside the branch that leads to it, one that is reached in several
ways comes after the block that dominates it, and a jump to what follows in the text anyway is no
statement at all. What is left are `break`, `continue` and forward `goto`. (The idea is from N. Ramsey,
"Beyond Relooper", ICFP 2022.) A loop over a range becomes a C `for` loop.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

from numba.core import ir, types

from portapar.kernel.c.graph import Graph, joined
from portapar.kernel.c.intervals import Intervals
from portapar.kernel.c.text import enclosed
from portapar.kernel.c.unit import Cost, Unit, strip
from portapar.kernel.jit.typing import TypedFunction

_DEEP = 16  # levels of nesting; compilers have limits, the lowest that we know is 256
_UNROLLED = 1500  # operations in a loop that is written out, so that the loop around it becomes vectors
_CHAIN = 16  # steps in a chain that is worth it to have several of
# An assignment of what may be computed although it is not wanted: no element is read, nothing called or divided by.
_CHEAP = re.compile(r" *(\w+) = (?:[\w. +*<>=!&|^?:)]|-(?!>)|(?<!\w)\()*;")
_OWN = re.compile(r"(?:either|test)\d*")  # variables that are read where they are set
_MOST_CHOSEN, _MOST_STEPS = 16, 100  # lines of a branch, and operations in both, that are cheaper than a branch
_ASSIGNED = re.compile(r"^\s*(\w+) = ", re.MULTILINE)
NO_EXCEPTIONS = "a kernel cannot raise (or assert) on this device; mark the case in an output array"
_SEVERAL = "write `range(…)` where it is used: this one is one of several, or comes from another function"


@dataclass
class _Range:
    """A range object, and the C variable that runs over it."""

    start: str
    stop: str
    step: str
    sign: int  # of the step; 0 if it is not known
    exact: bool  # the counter cannot overflow where it passes the end
    counter: str = ""

    @property
    def count(self) -> float:
        """How many steps it has."""
        numbers = [text.strip("()") for text in (self.start, self.stop, self.step)]
        if not all(n.removeprefix("-").isdigit() for n in numbers):
            return math.inf
        return len(range(*map(int, numbers)))

    @property
    def condition(self) -> str:
        below, above = f"{self.counter} < {self.stop}", f"{self.counter} > {self.stop}"
        return {1: below, -1: above}.get(self.sign, f"({self.step} > 0 ? {below} : {self.step} < 0 && {above})")

    @property
    def advance(self) -> str:
        if not self.exact:
            up = f"(u64){self.stop} - (u64){self.counter} > (u64){self.step}"
            down = f"(u64){self.counter} - (u64){self.stop} > 0 - (u64){self.step}"
            more = {1: up, -1: down}.get(self.sign, f"({self.step} > 0 ? {up} : {down})")
            return f"{self.counter} = {more} ? {self.counter} + {self.step} : {self.stop}"
        return {"1": f"++{self.counter}", "(-1)": f"--{self.counter}"}.get(self.step, f"{self.counter} += {self.step}")


class Statements(Protocol):
    """What writes the statements inside of blocks; `portapar.kernel.c.function` has it."""

    unit: Unit
    typed: TypedFunction
    intervals: Intervals
    aliases: dict[str, str]  #: variables that are other names of what a loop takes
    needs: set[str]  #: the C variables that what was read last depends on,
    reads: bool  #: and whether on memory
    returned: str  #: the C type of what is returned, if it is a number
    locals: dict[str, str]  #: the types of variables
    places: dict[str, str]  #: the types of numbers that were stored, by the text of where

    def statement(self, statement: Any) -> None:
        """Write a statement."""

    def flush(self, memory: bool = False, written: str | None = None, everything: bool = False) -> None:
        """Write down the kept expressions that what comes next would change."""

    def read(self, variable: ir.Var) -> str:
        """A variable's value."""

    def read_as(self, variable: ir.Var, target: types.Type) -> str:
        """A variable's value, converted."""

    def type_of(self, variable: ir.Var) -> types.Type:
        """The type of a variable."""

    def fresh(self, base: str, ctype: str) -> str:
        """A new local variable."""

    def item(self, container: ir.Var, position: str) -> str:
        """An element of what a loop runs over."""


class Flow:
    """Writes the blocks of one function."""

    def __init__(self, function: Statements) -> None:
        self.function = function
        self.blocks = joined(function.typed.func_ir.blocks)
        self.graph = Graph(self.blocks)
        self.lines: list[str] = []
        self.depth = 1
        self.targets: set[str] = set()
        self.inside: set[int] = set()  # blocks that are written in the place of the jump to them
        self.ranges: list[tuple[ir.Expr, _Range]] = []
        self.items: dict[str, tuple[str, str]] = {}  # what the pairs of loops over arrays and tuples hold
        self.counted: set[str] = set()
        # (header, what follows the loop) of the loops around the present place
        self.around: list[tuple[int, int | None]] = []
        self.cost = Cost()  # of the loop that is written, or of the function
        self.last = 0, 0.0  # of the loop that was written last: the line where it begins, and its count

    def line(self, text: str) -> None:
        unit = self.function.unit
        mark = f"  // line {unit.line}" if unit.dialect.marked and text != "return;" else ""
        self.lines.append("    " * self.depth + text + mark)
        self.cost += unit.cost(text)

    def render(self) -> list[str]:
        """The lines of the function's body."""
        if not self.graph.reducible:
            raise self.function.unit.fail("this control flow is too tangled; simplify the loops")
        self._write([self.graph.entry], None)
        if self.lines[-1:] == ["    return;"]:
            self.lines.pop()
        return [f"{line[1:]}:;" if line[0] == "@" else line for line in self.lines
                if line[0] != "@" or line[1:] in self.targets]  # fmt: skip

    # -- the walk ----------------------------------------------------------------------------------------

    def _write(self, labels: list[int], follow: int | None) -> None:
        """Write blocks one after another, with all that they dominate; `follow` is what comes next in the text."""
        # What comes later is not written by a call inside of this one, so that long functions do not recurse deeply.
        stack = labels[::-1]
        while stack:
            label = stack.pop()
            children, merges = self.graph.children[label], self.graph.merges
            if label not in self.inside:
                self._label(label)
            loop = self.graph.loops.get(label)
            if loop is None:
                stack += [c for c in children if c in merges][::-1]
                rest = self._block(label, stack[-1] if stack else follow)
                stack += [] if rest is None else [rest]
            else:
                stack += [c for c in children if c not in loop][::-1]
                inside = [c for c in children if c in loop and c in merges]
                self._loop(label, inside, stack[-1] if stack else follow)

    def _label(self, label: int | str) -> None:
        self.lines.append(f"@block{label}")

    def _loop(self, label: int, inside: list[int], behind: int | None) -> None:
        counter = self._counted(label)
        self.around.append((label, behind))
        start, before, self.cost = len(self.lines), self.cost, Cost()
        if counter is None:
            self.line("for (;;) {")
            self.depth += 1
            rest = self._block(label, inside[0] if inside else label)
            self._write(inside if rest is None else [rest, *inside], label)
        else:
            self._for(label, counter, inside, behind)
        self._label(f"{label}_end")
        self.depth -= 1
        self.line("}")
        self.around.pop()
        self.cost *= counter.count if counter is not None else math.inf
        if counter is not None and self.function.unit.dialect.serial and self.cost.steps <= _UNROLLED:
            self._unrolled(start, counter.count)
        self.last = start, math.inf if counter is None else counter.count
        self.cost += before

    def hint(self, text: str) -> None:
        """Say of the loop that was written last how it is to be compiled; ``@N`` is how many rounds it has."""
        start, count = self.last
        if math.isinf(count) and "@N" in text:
            return
        line = self.lines[start]
        mark = f'{line[: len(line) - len(line.lstrip())]}_Pragma("{text.replace("@N", str(count))}")'
        self.lines[start : start + ("_Pragma" in line)] = [mark]

    def _unrolled(self, start: int, count: float) -> None:
        """Let the compiler write out the loop that begins at a line.

        Where each step waits for the one before and none for memory, several indices have to be under way at a time.
        """
        loop = "\n".join(self.lines[start:])
        if count >= _CHAIN and "[" not in loop:
            before = "\n".join(self.lines[:start])
            carried = set(_ASSIGNED.findall(loop)) & set(_ASSIGNED.findall(before))
            self.function.unit.interleave = 4 if len(carried) <= 2 else 2 if len(carried) <= 4 else 1
        self.lines.insert(start, f'{"    " * self.depth}_Pragma("unroll")')

    def _for(self, label: int, counter: _Range, inside: list[int], behind: int | None) -> None:
        """A loop over a range; what else its header does is done once more than the body."""
        *statements, branch = self.blocks[label].body
        start = len(self.lines)
        self.depth += 1
        for statement in statements:
            self.function.statement(statement)
        self.function.flush(everything=True)
        extra = self.lines[start:]
        del self.lines[start:]
        self.depth -= 1
        if extra or branch.falsebr != behind:
            self.line(f"for (;; {counter.advance}) {{")
            self.lines += extra
            self.line(f"    if (!({counter.condition})) {{")
            self.depth += 2
            self._go(branch.falsebr, None, label)
            self.depth -= 2
            self.line("    }")
        else:
            self.line(f"for (; {counter.condition}; {counter.advance}) {{")
        self.depth += 1
        self._go(branch.truebr, inside[0] if inside else label, label)
        self._write(inside, label)

    def _block(self, label: int, following: int | None) -> int | None:
        """Write one block; returns what is to be written next, if that is not `following`."""
        function = self.function
        *statements, last = self.blocks[label].body
        for statement in statements:
            function.statement(statement)
        function.unit.line = last.loc.line or function.unit.line
        function.needs, function.reads = set(), False
        if isinstance(last, ir.Jump):
            function.flush(everything=True)
            self._go(last.target, following, label)
        elif isinstance(last, ir.Branch):
            condition = function.read_as(last.cond, types.boolean)
            function.flush(everything=True)
            return self._branch(condition, last, following, label)
        elif isinstance(last, ir.Return):
            if function.typed.return_type == types.none:
                self.line("return;")
            else:
                self.line(f"return {function.read_as(last.value, function.typed.return_type)};")
        else:
            raise function.unit.fail(NO_EXCEPTIONS)
        return None

    def _branch(self, condition: str, last: ir.Branch, following: int | None, label: int) -> int | None:
        condition = condition[1:-1] if enclosed(condition) else condition
        if self.depth >= _DEEP and self._is_inside(last.truebr, label) and self._is_inside(last.falsebr, label):
            # The longer one goes on at this depth, so that a chain of conditions does not nest ever deeper.
            sizes = [self.graph.size(last.truebr), self.graph.size(last.falsebr)]
            short, rest = (last.truebr, last.falsebr) if sizes[0] <= sizes[1] else (last.falsebr, last.truebr)
            lines = self._written(short, None, label)
            self.line(f"if ({condition}) {{" if short == last.truebr else f"if (!({condition})) {{")
            self.lines += [*lines, "    " * self.depth + "}"]
            self.inside.add(rest)
            return rest
        yes, no = self._written(last.truebr, following, label), self._written(last.falsebr, following, label)
        behind: list[str] = []
        if self.function.unit.dialect.serial:
            behind = self._joined(yes, no)
            chosen = self._chosen(condition, yes, no)
            if bool(yes) != bool(no):
                chosen = self._flat(condition if yes else f"!({condition})", yes or no)
            if chosen:
                self.lines += [*chosen, *behind]
                return None
        if not yes and not no:
            self.lines += behind
            return None
        self.line(f"if ({condition}) {{" if yes else f"if (!({condition})) {{")
        self.lines += yes or no
        if yes and no:
            self.line("} else {")
            self.lines += no
        self.line("}")
        self.lines += behind
        return None

    def _joined(self, yes: list[str], no: list[str]) -> list[str]:
        """Take from the ends of two branches what comes after both: a return, and a store to one place.

        Stores that not all lanes of a vector do are slow.
        """
        behind: list[str] = []
        pad = "    " * self.depth
        while yes and no and len(behind) < 2:
            (a, mark), (b, _) = (line[len(pad) + 4 :].partition("  // line ")[::2] for line in (yes[-1], no[-1]))
            place, ctype = a.partition(" = ")[0], self.function.places.get(a.partition(" = ")[0])
            if a == b == "return;" and not behind:
                behind = [pad + a]
                yes.pop()
                no.pop()
                continue
            if a.startswith("return ") and b.startswith("return ") and not behind:
                place, ctype = "return", self.function.returned
            start = "return " if place == "return" else f"{place} = "
            if not (ctype and a.startswith(start) and b.startswith(start)):
                break
            joined, said = self.function.fresh("joined", ctype), mark and f"  // line {mark}"
            for lines, text in ((yes, a), (no, b)):
                lines[-1] = f"{pad}    {joined} = {text.removeprefix(start)}{said}"
            behind.insert(0, f"{pad}{start}{joined};{said}")
            break
        return behind

    def _chosen(self, condition: str, yes: list[str], no: list[str]) -> list[str]:
        """Two short branches that only give variables values, without a branch: nothing has to be predicted."""
        if not (yes and no and len(max(yes, no, key=len)) <= _MOST_CHOSEN):
            return []
        return self._selects(condition, yes, no)[0]

    def _flat(self, condition: str, lines: list[str]) -> list[str]:
        """A short branch that ends by another one, as of ``a or b and c``, as one after the other.

        Where both compare one number LLVM makes a switch of them, of which it makes no vectors.
        """
        if any(line[0] == "@" for line in lines):  # a place that is reached in several ways, or a loop
            return []
        depth = len(self._pad) + 4
        first = next((k for k, line in enumerate(lines) if not _CHEAP.fullmatch(_unmarked(line))), 0)
        inner = _unmarked(lines[first])[depth:]
        rest = range(first + 1, len(lines))
        ends = [k for k in rest if lines[k][:depth].isspace() and lines[k][depth:].startswith("}")]
        if not inner.startswith("if (") or ends != [len(lines) - 1] or _unmarked(lines[-1])[depth:] != "}":
            return []
        if first > _MOST_CHOSEN or not _CHEAP.fullmatch(f"x = {inner[4:-3]};"):
            return []
        found, test = self._selects(condition, lines[:first], [], "\n".join(lines[first:]))
        if not test:
            return []
        opened = lines[first][depth:].replace(inner, f"if ({test} ? {inner[4:-3]} : false) {{", 1)
        return [*found, self._pad + opened, *(line[4:] for line in lines[first + 1 :])]

    def _selects(self, condition: str, yes: list[str], no: list[str], then: str = "") -> tuple[list[str], str]:
        """Assignments of two branches as choices, and the variable with what is chosen by; none if that is too much.

        What comes `then` may use what they assign.
        """
        pad, function = self._pad, self.function
        texts = [[_unmarked(line).strip() for line in lines] for lines in (yes, no)]
        if not all(map(_CHEAP.fullmatch, [*texts[0], *texts[1]])):
            return [], ""
        if function.unit.cost("".join(yes + no)).steps > _MOST_STEPS:
            return [], ""
        mark = yes[-1].strip().removeprefix(texts[0][-1]) if yes else ""
        computed, values = [], []
        for lines in texts:
            fresh: dict[str, str] = {}
            for line in lines:
                name, _, value = line.partition(" = ")
                for old, new in fresh.items():
                    value = re.sub(rf"\b{old}\b", new, value)
                if name not in function.locals:
                    return [], ""
                fresh[name] = function.fresh("either", function.locals[name])
                computed.append(f"{pad}{fresh[name]} = {value}{mark}")
            values.append(fresh)
        used = set(re.findall(r"\w+", then))
        names = [n for n in dict.fromkeys([*values[0], *values[1]]) if n in used or not _OWN.fullmatch(n)]
        test = function.fresh("test", "bool")
        computed.append(f"{pad}{test} = {condition};{mark}")
        for name in names:
            a, b = (fresh.get(name, name) for fresh in values)
            computed.append(f"{pad}{name} = {test} ? {a} : {b};{mark}")
        return computed, test

    @property
    def _pad(self) -> str:
        return "    " * self.depth

    def _is_inside(self, target: int, source: int) -> bool:
        """Whether a block is written inside of the branch that leads to it."""
        return (
            target not in self.graph.merges
            and target in self.graph.children[source]
            and target in self.graph.loops.get(source, (target,))
        )

    def _written(self, target: int, following: int | None, label: int) -> list[str]:
        start = len(self.lines)
        self.depth += 1
        self._go(target, following, label)
        self.depth -= 1
        lines = self.lines[start:]
        del self.lines[start:]
        return lines

    def _go(self, target: int, following: int | None, source: int) -> None:
        """Continue at a block: by writing it here, by falling through, or by a jump."""
        if target == following:
            return
        if self.around and target == self.around[-1][0]:
            self.line("continue;")
        elif self.around and target == self.around[-1][1]:
            self.line("break;")
        elif self._is_inside(target, source):
            self.inside.add(target)
            self._write([target], following)
        else:
            inside_loop = any(target == header for header, _ in self.around)
            name = f"block{target}_end" if inside_loop else f"block{target}"
            self.targets.add(name)
            self.line(f"goto {name};")

    # -- loops over ranges -------------------------------------------------------------------------------

    def _counted(self, label: int) -> _Range | None:
        """The range that a loop's header steps through, if it is such a loop."""
        loop, body = self.graph.loops[label], self.blocks[label].body
        steps = [s for s in body if isinstance(s, ir.Assign) and _op(s.value) == "iternext"]
        tests = [s for s in body if isinstance(s, ir.Assign) and _op(s.value) == "pair_second"]
        branch = body[-1]
        if len(steps) != 1 or not tests or not isinstance(branch, ir.Branch):
            return None
        if branch.cond.name != tests[0].target.name:
            return None
        if branch.truebr not in loop or branch.falsebr in loop:
            return None
        counter = self._range_of(steps[0].value.value)
        if counter is not None:
            self.counted.add(steps[0].target.name)
        return counter

    def range_of(self, variable: ir.Var) -> tuple[str, str, str]:
        """The start, stop and step of a range in a variable."""
        found = self._range_of(variable)
        if found is None:
            raise self.function.unit.fail(_SEVERAL)
        return found.start, found.stop, found.step

    def _range_of(self, variable: ir.Var) -> _Range | None:
        source = self.function.intervals.iterator_source(variable)
        return next((r for expr, r in self.ranges if expr is source), None)

    def iteration(self, target: ir.Var, value: Any) -> bool:
        """Write what a statement does that belongs to a loop over a range; whether it was such a one."""
        function = self.function
        operation = _op(value)
        if operation == "call":
            if getattr(function.type_of(value.func), "typing_key", None) is not range:
                return False
            exact = function.intervals.advances(value)
            self._begin(value, [function.read_as(v, types.int64) for v in value.args], exact)
        elif operation == "getiter":
            self._start(value)
        elif operation == "iternext":
            self._step(target, value)
        elif operation in ("pair_first", "pair_second"):
            place = 0 if operation == "pair_first" else 1
            if value.value.name in self.items:
                function.aliases[target.name] = self.items[value.value.name][place]
        elif isinstance(value, ir.Var) and value.name in function.aliases:
            if len(function.intervals.values[target.name]) > 1 or target.name[0] != "$":
                return False
            function.aliases[target.name] = function.aliases[value.name]
        else:
            return isinstance(function.type_of(target), types.IteratorType | types.RangeType)
        return True

    def _begin(self, call: ir.Expr, texts: list[str], exact: bool) -> None:
        """Evaluate the arguments of range, once."""
        function = self.function
        names = ["stop"] if len(texts) == 1 else ["start", "stop", "step"][: len(texts)]
        parts = {"start": "0", "step": "1"}
        for name, text in zip(names, texts, strict=True):
            if not text.strip("()-").isdigit():
                local = function.fresh(name, "i64")
                self.line(f"{local} = {text};")
                text = local
            parts[name] = text
        sign = (-1 if "-" in parts["step"] else 1) if parts["step"].strip("()-").isdigit() else 0
        self.ranges.append((call, _Range(**parts, sign=sign, exact=exact)))

    def _start(self, value: ir.Expr) -> None:
        """Begin to iterate: set the counter."""
        function = self.function
        numba_type = strip(function.type_of(value.value))
        if isinstance(numba_type, types.Array | types.UniTuple):
            function.flush(memory=True)
            over = function.read(value.value)
            extent = f"{over}.n0" if isinstance(numba_type, types.Array) else str(len(numba_type))
            self.ranges.append((value, _Range("0", extent, "1", 1, True)))
        elif not isinstance(numba_type, types.RangeType):
            raise function.unit.fail("a kernel loops over range(...), a 1-D array or a tuple of equal types")
        counter = self._range_of(value.value) or next((r for e, r in self.ranges if e is value), None)
        if counter is None:
            raise function.unit.fail(_SEVERAL)
        counter.counter = function.fresh("k", "i64")
        self.line(f"{counter.counter} = {counter.start};")

    def _step(self, target: ir.Var, value: ir.Expr) -> None:
        """Take the next item: by the C loop's own means, or else here."""
        function = self.function
        counter = self._range_of(value.value)
        if counter is None:
            raise function.unit.fail(_SEVERAL)
        item = counter.counter
        if target.name not in self.counted:
            item, more = function.fresh("item", "i64"), function.fresh("more", "bool")
            self.line(f"{item} = {counter.counter}; {more} = {counter.condition};")
            self.line(f"if ({more}) {counter.advance};")
        else:
            more = ""
        source = function.intervals.iterator_source(value.value)
        if source is not None and source.op == "getiter":
            item = function.item(source.value, item)
        self.items[target.name] = (item, more)


def _unmarked(line: str) -> str:
    """A line without the comment that tells where it is from."""
    return line.partition("  // line ")[0]


def _op(value: Any) -> str:
    return value.op if isinstance(value, ir.Expr) else ""
