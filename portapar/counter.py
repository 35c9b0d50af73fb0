"""What one iteration of a program does: operations, accesses of its arrays, atomics, counted in its text.

An iteration is walked through once, helper functions and all: the numbers that decide how
often a loop runs are followed where they are known (constants, arguments, lengths of arrays); a loop of which they are
not, such as one over a row of a sparse matrix, is taken to reach each element of the longest array that its counter
goes through once in the whole call, in steps if it counts by more than one; a ``while`` that counts is such a loop too.
One of which nothing is known runs 8 times, or twice if it has others inside or more than one reason to end. What a loop
changes from round to round is not known. Of two branches each is taken half the time. What was seen of some iterations
(`portapar.observed`) is taken instead of all these guesses.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from portapar import cache
from portapar.counted import (
    LOADED,
    PLAIN,
    Value,
    either,
    fixed,
    folded,
    length,
    neighbours,
    number_of,
    rising_in,
    statements,
)
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import names_in, stored_in, walk
from portapar.problem import Problem

_UNKNOWN = 8.0  #: rounds of a loop of which nothing is known
_AGAIN = 2.0  #: the same of one that has others inside, which does something until it is done, or looks for a place
#: by line and column: rounds of a loop, or how often a condition holds, and whether it may be more
Seen = dict[tuple[int, int], tuple[float, bool]]
_DEEP = 40  #: helper functions in each other; recursion is refused long before
_MISS = 16.0  #: operations that a CPU could do until it is back from a branch that it took by mistake
_SPECIAL = frozenset(
    "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan arcsin arccos arctan atan2 arctan2 sinh cosh tanh "
    "arcsinh arccosh arctanh asinh acosh atanh pow power hypot erf erfc gamma lgamma cbrt".split()
)
_CHEAP = frozenset("min max abs fabs minimum maximum floor ceil trunc round where".split())
_SLOW = {"sqrt": 4.0, "divmod": 8.0, "fmod": 8.0}  #: operations that are several others
_OPERATORS: dict[type, float] = {ast.Div: 4.0, ast.Mod: 6.0, ast.FloorDiv: 6.0}


@dataclass(slots=True)
class Iteration:
    """What one iteration does; accesses besides."""

    operations: float = 0.0
    special: float = 0.0
    chained: float = 0.0
    looped: float = 0.0
    touched: float = 0.0
    atomics: float = 0.0


@functools.lru_cache(maxsize=1024)
def _functions(text: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in tree_of(text).body if isinstance(node, ast.FunctionDef)}


#: of programs without loops: an iteration, and accesses in order and others by arguments
_iterations: dict[Any, tuple[Iteration, list[float], list[float]]] = cache.Bounded()


@functools.lru_cache(maxsize=1024)
def _by_lengths(text: str) -> bool:
    """Whether what an iteration does may depend on how long arrays are."""
    nodes = list(walk(tree_of(text)))
    loops = any(isinstance(x, (ast.For, ast.While)) for x in nodes)
    return loops or any(getattr(x, "id", "") == "len" or getattr(x, "attr", "") == "shape" for x in nodes)


def iteration(problem: Problem, seen: Seen | None = None) -> tuple[Iteration, list[float], list[float]]:
    """What one iteration does, how often it reaches each argument in order, and how often elsewhere."""
    key = None
    if not seen and not _by_lengths(problem.program.text):
        given = zip(problem.values, problem.program.specs, strict=True)
        key = problem.program.key, *(number_of(x) for x, spec in given if not spec.is_array)
        if key in _iterations:
            return _iterations[key]
    counter = Counter(problem, seen)
    found = counter.iteration(), counter.reached, counter.strayed
    if key is not None:
        _iterations[key] = found
    return found


class Counter:
    """Walks through one iteration of a problem; `seen` is what was observed of some."""

    def __init__(self, problem: Problem, seen: Seen | None = None) -> None:
        self.problem = problem
        self.seen = seen or {}
        self.functions = _functions(problem.program.text)
        self.found = Iteration()
        self.reached = [0.0] * len(problem.values)  #: accesses in order, by arguments
        self.strayed = [0.0] * len(problem.values)
        self.times = 1.0
        self.depth = 0
        self.walked: dict[Any, tuple[list[float], Value]] = {}  #: helper functions, and what they were
        self.guessed = False  #: whether nothing says how often something runs that matters
        self.names = 0  #: of unknown numbers
        self.apart: dict[int, tuple[float, int]] = {}  #: of indices, and times a number: how far apart, how many
        self.products: dict[tuple[int, float], int] = {}  #: names of unknown numbers times a number
        self.looping: dict[str, bool] = {}  #: helper functions
        self.indexed: dict[tuple[str, str], set[str]] = {}  #: of which of their parameters one is an index
        self.loops = 0  #: around what is walked through
        self.nested = 0.0  #: operations of loops in the present one
        self.strays = False  #: whether the present loop stores where data say
        self.private = False  #: whether the last element was one of a private array, where data say
        self.again = 1.0  #: of `times`, what loops around others add of which nothing is known
        self.rising: frozenset[str] = frozenset()  #: elements that the present loop counts up
        self.addressing = 0  #: inside of an index, whose arithmetic costs nothing beside the access

    def iteration(self) -> Iteration:
        program = self.problem.program
        given = [self._argument(k, x) for k, x in enumerate(self.problem.values)]
        indices = [self._unknown() for _ in range(program.ndim)]
        self.apart = {x.base: (1.0, n) for x, n in zip(indices, self.problem.extent, strict=False)}
        if program.form == "reduce":
            value = self._called("elem", [*indices, *given])
            self._called("op", [value, value])
        else:
            self._called("body", [*indices, *given])
        return self.found

    def _argument(self, k: int, x: Any) -> Value:
        if self.problem.program.specs[k].is_array:
            return Value(array=k)
        return Value(number_of(x))

    def _called(self, name: str, given: Sequence[Value]) -> Value:
        """Walks through a function; once for all calls that are alike, or chains of helpers would take for ever."""
        key = name, *given, self.times, self.again, self.loops > 0
        if key in self.walked:
            more, back = self.walked[key]
            self._counted([a + b for a, b in zip(self._counts(), more, strict=True)])
            return back
        if self.depth >= _DEEP:
            return PLAIN
        before, function = self._counts(), self.functions[name]
        addressing, self.addressing = self.addressing, 0
        self.depth += 1
        found = self._block(function.body, dict(zip((a.arg for a in function.args.args), given, strict=False)))
        self.depth -= 1
        self.addressing = addressing
        self.walked[key] = [a - b for a, b in zip(self._counts(), before, strict=True)], found or PLAIN
        return found or PLAIN

    def _counts(self) -> list[float]:
        one = self.found
        counts = [one.operations, one.special, one.chained, one.looped, one.touched, one.atomics, self.nested]
        return [*counts, *self.reached, *self.strayed]

    def _counted(self, counts: list[float]) -> None:
        one, n = self.found, len(self.reached)
        one.operations, one.special, one.chained, one.looped, one.touched, one.atomics, self.nested = counts[:7]
        self.reached, self.strayed = counts[7 : 7 + n], counts[7 + n :]

    # statements

    def _block(self, body: Sequence[ast.stmt], known: dict[str, Value]) -> Value | None:
        """Walks through statements; returns what they return."""
        found: Value | None = None
        before = self.times
        for node in body:
            back = self._statement(node, known)
            found = found or back
            if isinstance(node, ast.If) and _leaves(node.body):
                self.times *= 1.0 - self.seen.get(_where(node), (0.0, False))[0]
        self.times = before
        return found

    def _statement(self, node: ast.stmt, known: dict[str, Value]) -> Value | None:
        match node:
            case ast.Return(value=None):
                return PLAIN
            case ast.Return(value=ast.expr() as value):
                return self._value(value, known)
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value, known)
            case ast.AugAssign(target=target, op=op, value=value):
                more = self._value(value, known)
                self._operation(op, more.number)
                if isinstance(target, ast.Subscript):
                    self._value(target, known)
                    self._store(target, known)
                    _taint(target, more, known)
                elif isinstance(target, ast.Name):
                    was = known.get(target.id, PLAIN)
                    loaded, sign = was.loaded or more.loaded, {ast.Add: 1, ast.Sub: -1}.get(type(op), 0)
                    known[target.id] = Value(loaded=loaded)
                    if was.base and sign and more.number is not None:
                        known[target.id] = replace(was, loaded=loaded, offset=was.offset + sign * more.number)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign([target], value, known)
            case ast.For():
                self._loop(node, known)
            case ast.While(test=test, body=[ast.Pass()]):  # it waits for another iteration
                self._value(test, known)
            case ast.While(test=test, body=body):
                name, step = self._step(node, known)
                self.guessed |= not step
                rounds, again = self._seen(node, not step) or self._rounds(node, known, step or 1.0)
                self._repeat(rounds, [ast.Expr(test), *body], known, again, self._chain(body) if step else math.inf)
                self.found.chained += 0.0 if step else rounds * self.times
                end = self._value(test.comparators[0], known) if step and isinstance(test, ast.Compare) else PLAIN
                if end.base:  # what is left for another loop is less than a step
                    known[name] = replace(end, offset=end.offset - (step - 1) / 2)
            case ast.If(test=test, body=body, orelse=orelse):
                loaded = self._value(test, known).loaded
                self.guessed |= any(isinstance(x, (ast.For, ast.While)) for x in statements([*body, *orelse]))
                before, (often, _), again = self.times, self.seen.get(_where(node), (None, False)), self.again
                held = before * (often if often is not None else 1.0 if not orelse and not _leaves(body) else 0.5)
                self.times = held
                if often is not None and loaded and self.loops and any(map(self._branches, (*body, *orelse))):
                    self.found.chained += before * 2 * often * (1 - often) * _MISS
                self.again *= held / before if orelse and often is None and before else 1.0  # which is a guess
                changed = stored_in(*body, *orelse)
                there = {name: known[name] for name in changed if name in known}
                one = self._block(body, known)
                here = {name: known.pop(name) for name in changed if name in known}
                known.update(there)
                self.times = before - held if orelse and often is not None else held
                other = self._block(orelse, known) if orelse else None
                self.times, self.again = before, again
                for name, was in here.items():
                    known[name] = was if known.get(name, was) == was else either(known[name], was)
                return one or other
            case ast.Expr(value=value):
                self._value(value, known)
        return None

    def _assign(self, targets: Sequence[ast.expr], value: ast.expr, known: dict[str, Value]) -> None:
        if isinstance(value, ast.Tuple) and isinstance(targets[0], ast.Tuple):
            for target, one in zip(targets[0].elts, value.elts, strict=False):
                self._assign([target], one, known)
            return
        found = self._value(value, known)
        if found.number is None and found.array is None and not found.base:
            found = replace(self._unknown(found.loaded), source=found.source, rising=found.rising)
        for target in targets:
            for name in walk(target):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    known[name.id] = found if isinstance(target, ast.Name) else Value(loaded=found.loaded)
            if isinstance(target, ast.Subscript):
                self._store(target, known)
                _taint(target, found, known)

    def _store(self, target: ast.Subscript, known: dict[str, Value]) -> None:
        before = list(self.strayed)
        self._value(target, known)
        self.strays |= before != self.strayed or self.private

    def _whole(self, ends: Sequence[Value]) -> float:
        """How much of the blocks that indices stand for there is: the last may be cut, or there is less than one."""
        step, count = self.apart.get(ends[0].base, (0.0, 0))
        return min(1.0, max(0.0, ends[1].most - ends[0].offset) / (step * count)) if step > 0 and count else 1.0

    def _times(self, x: Value, number: float) -> Value:
        """An unknown number times a known one."""
        if (x.base, number) not in self.products:
            self.products[x.base, number] = name = self._unknown().base
            if x.base in self.apart:
                step, count = self.apart[x.base]
                self.apart[name] = step * number, count
        return Value(loaded=x.loaded, base=self.products[x.base, number], offset=x.offset * number)

    def _unknown(self, loaded: bool = False) -> Value:
        """A number that is not known, of which others may be told apart."""
        self.names += 1
        return Value(loaded=loaded, base=self.names)

    def _loop(self, node: ast.For, known: dict[str, Value]) -> None:
        ends = node.iter.args if isinstance(node.iter, ast.Call) else [node.iter]
        given = [self._value(end, known) for end in ends]
        told, again = [x.number for x in given if x.number is not None], 1.0
        if len(told) == len(given) > 0 and not (_breaks(node.body) and self._seen(node, False)):
            low, high, step = (0.0, told[0], 1.0) if len(told) == 1 else (*told, 1.0)[:3]
            rounds = max(0.0, float(math.ceil((high - low) / step))) if step else 0.0
        elif (_breaks(node.body) or not fixed(given)) and (found := self._seen(node, any(x.loaded for x in given))):
            rounds, again = found
        elif fixed(given):  # such as from lo to min(n, lo + size)
            rounds = max(0.0, given[1].offset - given[0].offset) * self._whole(given)
        else:
            steps, rows = given[2].number if len(given) > 2 else 1.0, neighbours(given)
            self.guessed |= rows is None and any(x.loaded for x in given)
            rounds, again = self._rounds(node, known, abs(steps or 1.0), rows)
        self.guessed |= _breaks(node.body)
        if isinstance(node.target, ast.Name):
            known[node.target.id] = self._unknown()
        even = len(told) == len(given) and not all(isinstance(end, (ast.Constant, ast.UnaryOp)) for end in ends)
        chain = self._chain(node.body) if even or len(told) < len(given) else 0.0
        self._repeat(rounds, node.body, known, again, chain, even)

    def _repeat(
        self, rounds: float, body: Sequence[ast.stmt], known: dict[str, Value], again: float, chain: float,
        even: bool = False,
    ) -> None:  # fmt: skip
        """Walks through a loop of so many rounds; of its operations `chain` a round wait for those of the round before.

        If it stores where data say, all do, if it is not `even`: as long for each iteration.
        """
        before, strays, nested = (self.times, self.again), self.strays, self.nested
        rising, self.rising = self.rising, self.rising | rising_in(body)
        operations, self.nested = self.found.operations, 0.0
        self.times, self.again, self.strays = self.times * rounds, self.again * again, False
        for node in statements(body):  # what a round before has stored
            if isinstance(node, (ast.Assign, ast.AugAssign)) and _inside(node.value):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Subscript):
                        _taint(target, LOADED, known)
        for name in stored_in(*body) & known.keys():  # the last round's
            known[name] = either(known[name], PLAIN)
        self.loops += 1
        self._block(body, known)
        self.loops -= 1
        self.rising = rising
        self.times, self.again = before
        own = self.found.operations - operations - self.nested
        waiting = min(own, chain * rounds * before[0] if chain < math.inf else own)
        if even:
            self.found.looped += waiting
        else:
            waiting = own if self.strays else waiting
            self.found.chained += waiting
        self.found.operations -= waiting
        self.strays, self.nested = strays, nested + self.found.operations - operations

    def _seen(self, node: ast.stmt, least: bool) -> tuple[float, float] | None:
        """What is known of a loop that was observed, as `_rounds`; `least`: even if it may have more of them."""
        found, more = self.seen.get(_where(node), (None, False))
        return None if found is None or (more and not least) else (found, 1.0)

    def _step(self, node: ast.While, known: dict[str, Value]) -> tuple[str, float]:
        """The number that says whether there is another round, and how much more it is then; 0 if it does not count."""
        counts, test = self._counts(), names_in(node.test)
        inside = {**known, **{name: self._unknown() for name in stored_in(*node.body)}}
        before = dict(inside)
        self._block(node.body, inside)
        self._counted(counts)
        found = "", 0.0
        for name in sorted(test & before.keys() & inside.keys()):
            one, other = before[name], inside[name]
            if one.base and one.base == other.base and one.offset != other.offset:
                found = name, abs(other.offset - one.offset)
        return found

    def _rounds(
        self, node: ast.For | ast.While, known: dict[str, Value], step: float, rows: int | None = None
    ) -> tuple[float, float]:
        """Rounds of a loop that nothing says: as many as it takes to reach its longest array once in the call.

        And how often what is inside does so, if it is not the loop itself that does. If both ends are neighbours in the
        argument `rows`, as those of a row of a sparse matrix are, it is of mean length, however many rows there are, of
        which half is gone through if the data may end it.
        """
        counters = {node.target.id} if isinstance(node, ast.For) and isinstance(node.target, ast.Name) else set()
        if isinstance(node, ast.While):
            counters = names_in(node.test)
        outer = any(isinstance(x, (ast.For, ast.While)) for body in node.body for x in walk(body))
        outer |= any(self._loops(x) for body in node.body for x in walk(body))
        through = {name for counter in counters for name in self._through(node, counter)}
        named = {known[name].array for name in through if name in known} - {None}
        if not named and not outer:  # it goes through something by numbers that are made of it
            named = {known[name].array for name in names_in(node) if name in known} - {None}
        if not named and outer:
            self.guessed = True
            return _AGAIN, _AGAIN
        longest = max((length(self.problem.values[k]) for k in named if k is not None), default=0) / step
        share = self.problem.size * self.times / self.again  # of all parts together, of which each sees whole arrays
        if rows is not None and length(self.problem.values[rows]) > 1 and longest:
            return longest / (length(self.problem.values[rows]) - 1) / (2.0 if _breaks(node.body) else 1.0), 1.0
        rounds = longest / share if share else 0.0
        self.guessed |= rounds < 1
        early = isinstance(node, ast.While) and isinstance(node.test, ast.BoolOp)
        otherwise = _AGAIN if early else _UNKNOWN
        return (rounds if rounds >= 1 else min(otherwise, longest or otherwise)), 1.0

    def _chain(self, body: Sequence[ast.stmt]) -> float:
        """Operations of a round that wait for numbers which the round before has made, besides what counts up.

        Of ``s += a[k] * b[k]`` that is one, of ``s = s * 0.5 + a[k]`` two.
        """
        made: set[str] = set()
        needed: set[str] = set()
        found = 0.0
        for node in statements(body):
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                if not isinstance(node.value, (ast.Constant, ast.Name)):
                    found += _weight(node.op) + self._waits(node.value, {node.target.id})
            elif isinstance(node, ast.Assign):
                needed |= names_in(node.value) - made
                stored = stored_in(*node.targets)
                found += self._waits(node.value, stored & needed & names_in(node.value))
                made |= stored
        return found

    def _waits(self, node: ast.expr, carried: set[str]) -> float:
        """Operations of an expression one of whose operands is made of these names."""
        found = 0.0
        for one in walk(node) if carried else ():
            if not isinstance(one, ast.expr) or not carried & names_in(one):
                continue
            if isinstance(one, ast.BinOp):
                found += _weight(one.op)
            elif isinstance(one, (ast.Call, ast.UnaryOp, ast.Compare, ast.IfExp, ast.BoolOp)):
                name = one.func.id if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) else ""
                found += math.inf if name in self.functions else 1.0  # a helper: all of it
        return found

    def _branches(self, node: ast.AST) -> bool:
        """Whether a statement is jumped over where a condition does not hold, not computed all the same."""
        kinds = ast.For, ast.While, ast.Break, ast.Continue, ast.Return
        return "atomic." in ast.unparse(node) or any(isinstance(x, kinds) or self._loops(x) for x in walk(node))

    def _loops(self, node: ast.AST) -> bool:
        """Whether it calls a function that has a loop."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in self.functions:
            return False
        name = node.func.id
        if name not in self.looping:
            self.looping[name] = False  # of what calls itself
            inner = list(walk(self.functions[name]))
            self.looping[name] = any(isinstance(x, (ast.For, ast.While)) or self._loops(x) for x in inner)
        return self.looping[name]

    def _through(self, node: ast.AST, counter: str) -> set[str]:
        """The names of what `counter`, or a number made of it, is an index of, and no element; in helpers too."""
        found, counters = set(), {counter}
        for one in [x for x in walk(node) if isinstance(x, (ast.Assign, ast.For))] * 2:
            made, of = (one.targets, one.value) if isinstance(one, ast.Assign) else ([one.target], one.iter)
            if counters & (names_in(of) - _inside(of)):
                counters |= names_in(*(x for x in made if not isinstance(x, ast.Subscript)))
        for x in walk(node):
            if isinstance(x, ast.Call) and isinstance(x.func, ast.Name) and x.func.id in self.functions:
                params = [a.arg for a in self.functions[x.func.id].args.args]
                given = dict(zip(params, x.args, strict=False))
                for param in [p for p, arg in given.items() if counters & (names_in(arg) - _inside(arg))]:
                    key = x.func.id, param
                    if key not in self.indexed:
                        self.indexed[key] = set()  # of what calls itself
                        self.indexed[key] = self._through(self.functions[x.func.id], param)
                    inner = [given[name] for name in self.indexed[key] if name in given]
                    found |= {arg.id for arg in inner if isinstance(arg, ast.Name)}
            if isinstance(x, ast.Subscript) and counters & (names_in(x.slice) - _inside(x.slice)):
                found |= names_in(x.value)
        return found

    # expressions

    def _operation(self, op: ast.operator, right: float | None) -> None:
        if not self.addressing:
            if isinstance(op, ast.Pow):
                self.found.special += self.times
            else:  # by powers of two nothing is divided: these are shifts, masks and products
                easy = right is not None and right > 0 and math.frexp(right)[0] == 0.5
                if isinstance(op, (ast.FloorDiv, ast.Mod)) and right is None:  # which no vector does
                    self.found.chained += self.times * _weight(op)
                else:
                    self.found.operations += self.times * (1.0 if easy else _weight(op))

    def _value(self, node: ast.expr, known: dict[str, Value]) -> Value:
        match node:
            case ast.Constant(value=value):
                return Value(number_of(value))
            case ast.Name(id=name):
                return known.get(name, PLAIN)
            case ast.Subscript():
                return self._element(node, known)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self._value(left, known), self._value(right, known)
                loaded, sums = a.loaded or b.loaded, isinstance(op, (ast.Add, ast.Sub))
                placed = not loaded and sums and (a.number is None) != (b.number is None) and a.base + b.base > 0
                if (a.number is None or b.number is None) and not placed:  # addresses have room for a constant
                    self._operation(op, b.number)
                if sums and a.base and b.number is not None:
                    sign = 1 if isinstance(op, ast.Add) else -1
                    return Value(loaded=loaded, base=a.base, offset=a.offset + sign * b.number)
                if isinstance(op, ast.Add) and b.base and a.number is not None:
                    return Value(loaded=loaded, base=b.base, offset=b.offset + a.number)
                if isinstance(op, ast.Mult) and a.base and b.number is not None:
                    return replace(self._times(a, b.number), loaded=loaded)
                if isinstance(op, ast.Mult) and b.base and a.number is not None:
                    return replace(self._times(b, a.number), loaded=loaded)
                return Value(folded(op, a.number, b.number), loaded=loaded)
            case ast.UnaryOp(op=op, operand=operand):
                found = self._value(operand, known)
                negative = isinstance(op, ast.USub) and found.number is not None
                return Value(-found.number if negative else None, loaded=found.loaded)  # type: ignore[operator]
            case ast.Call():
                return self._call(node, known)
            case ast.Attribute(value=value):
                return Value(loaded=self._value(value, known).loaded)
        loaded, count, before = False, 0, self.times
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                loaded |= self._value(child, known).loaded
                count += 1
                self.times = before / 2 if isinstance(node, ast.BoolOp) else before  # the first one may decide
        self.times = before
        if isinstance(node, (ast.Compare, ast.BoolOp, ast.IfExp)) and not self.addressing:
            self.found.operations += self.times * (1 if isinstance(node, ast.IfExp) else max(count - 1, 1))
        return Value(loaded=loaded)

    def _element(self, node: ast.Subscript, known: dict[str, Value]) -> Value:
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            base = self._value(node.value.value, known)
            axis = self._value(node.slice, known).number
            shape = getattr(self.problem.values[base.array], "shape", ()) if base.array is not None else ()
            return Value(float(shape[int(axis)])) if axis is not None and -len(shape) <= axis < len(shape) else PLAIN
        base = self._value(node.value, known)
        self.addressing += 1
        index = self._value(node.slice, known)
        self.addressing -= 1
        rising = bool(self.rising) and ast.unparse(node) in self.rising
        self.private = base.array is None and index.loaded
        if base.array is not None:
            # what goes to the next free place of some is written in order
            counts = self.strayed if index.loaded and not index.rising else self.reached
            counts[base.array] += self.times
            if not self.loops:  # elements that loops use again may be in registers
                self.found.touched += self.times * self.problem.program.specs[base.array].dtype.itemsize
            source = (base.array, index.base, index.offset) if index.base else None
            return Value(loaded=True, source=source, rising=rising)
        return Value(loaded=base.loaded or index.loaded, rising=rising)

    def _call(self, node: ast.Call, known: dict[str, Value]) -> Value:
        given = [self._value(x, known) for x in node.args]
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        loaded = any(x.loaded for x in given)
        if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "atomic":
            self.found.atomics += self.times
            if given and given[0].array is not None:
                counts = self.strayed if len(given) > 1 and given[1].loaded else self.reached
                counts[given[0].array] += self.times
            return PLAIN  # as a rule a ticket: the next block, the next free place
        if name in self.functions:
            return self._called(name, given)
        if name == "len" and given and given[0].array is not None:
            return Value(number_of(*getattr(self.problem.values[given[0].array], "shape", ())[:1] or (None,)))
        if name in _SPECIAL:
            self.found.special += self.times
        elif name in _SLOW:
            self.found.operations += self.times * _SLOW[name]
        elif name in _CHEAP:
            self.found.operations += 0.0 if self.addressing else self.times
            if name == "min":
                most = min((x.number for x in given if x.number is not None), default=math.inf)
                return next((replace(x, loaded=loaded, most=most) for x in given if x.base), Value(loaded=loaded))
        elif len(given) == 1:  # a conversion, such as np.uint64(i)
            return replace(given[0], array=None, loaded=loaded)
        return Value(loaded=loaded)


def _where(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _weight(op: ast.operator) -> float:
    return _OPERATORS.get(type(op), 1.0)


def _breaks(body: Sequence[ast.stmt]) -> bool:
    """Whether something in a loop may end it."""
    inner = [x.body + x.orelse for x in body if isinstance(x, ast.If)]
    return any(isinstance(x, (ast.Break, ast.Return)) for x in body) or any(map(_breaks, inner))


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], (ast.Return, ast.Continue, ast.Break))


def _inside(node: ast.AST) -> set[str]:
    """The names in the indices of arrays, and of these arrays."""
    return {name for x in walk(node) if isinstance(x, ast.Subscript) for name in names_in(x)}


def _taint(target: ast.Subscript, found: Value, known: dict[str, Value]) -> None:
    """A private array that something which data decide is stored in."""
    if found.loaded and isinstance(target.value, ast.Name):
        name = target.value.id
        if name in known and known[name].array is None:
            known[name] = LOADED
