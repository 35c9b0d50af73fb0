"""Loops inside of an iteration: several neighbouring indices at a time, each with a lane of a vector.

``for i in range(n): s += a[i, j]`` reads a column of a matrix for every `j`, one number of each cache line; in
``for k in range(n): s = s * v + 0.5`` each step waits for the last one. For a strip of indices the loops run once, and
every step is done for all of them: rows of the strip are read as vectors, and steps wait for nobody. Each index keeps
its own order of operations, so nothing is rounded otherwise. What is the same for all of them, such as a table's entry
and what is computed from it, is done once. Steps that follow one another are one loop over the lanes, and what they
hand on to each other is a plain number there; only what goes from one such loop to the next is kept in an array.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Sequence
from typing import Any

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import copied, index_of, names_in, stored_in, walk
from portapar.kernel.jit.functions import function_texts
from portapar.kernel.lanes import crossed
from portapar.kernel.lanes.crossed import is_short
from portapar.kernel.lanes.kinds import Kinds
from portapar.kernel.lanes.steps import adds_up, known, only_steps, plain, private_arrays, split
from portapar.kernel.program import Program, Spec

WIDTH = 64  #: indices in a strip, at most
_LANE, _LANES, _ROWS = "lane_", "lanes_", "lanes_of_"
_ROOM = 24 * 1024  #: bytes that are kept for a strip: most of the first cache
TURNED = (2, 4, 8, 16)  #: lengths of rows that are made columns by vectors
_NEAR = 4  #: LLVM makes vectors of neighbouring rows of so many numbers by itself


def strip(
    program: Program, body: ast.Module, fewer: bool = False, apart: bool = True, gathers: bool = False
) -> tuple[int, ast.Module] | None:
    """``strip(i[, …], *args)``: the body for so many indices from the last one on; None if it has no such loop.

    If `fewer`, for as many as one more argument says. What is written must share memory with no other array, and either
    be written, and read, at the kernel's own last index alone, if indices write `apart`, or else by the last steps, and
    by none before: these are then done for one index after the other. If it `gathers`, elements that are indices may be
    negative.
    """
    function = body.body[0]
    assert isinstance(function, ast.FunctionDef)
    written = (program.out,) if program.form == "transform" else program.written
    if not written or program.signed:
        return None
    for ordered in (False, True) if apart else (True,):
        try:
            made = _Strip(program, copied(function), fewer, written, ordered=ordered, gathers=gathers)
            tree = made.made()
            return made.width, tree
        except _No:
            continue
    return None


class _No(Exception):
    """There is nothing in it for strips, or something that they cannot do."""


class _Strip:
    def __init__(
        self,
        program: Program,
        function: ast.FunctionDef,
        fewer: bool,
        written: Sequence[int],
        rows: int = crossed.WIDTH,
        ordered: bool = False,
        gathers: bool = False,
    ) -> None:
        self.program, self.function, self.fewer, self.rows, self.ordered = program, function, fewer, rows, ordered
        self.gathers, rest = gathers, (crossed.HALF, ordered, gathers)
        self.halved = functools.partial(_Strip, program, copied(function), False, written, *rest)
        params = [p.arg for p in function.args.args]
        self.index, self.arrays = params[: program.ndim], params[program.ndim :]
        self.own = params[program.ndim - 1]
        self.written = {self.arrays[k] for k in written}
        self.lanes: set[str] = set()  #: names of numbers that differ from index to index
        self.runs: list[tuple[ast.For, int, int]] = []  #: loops over the lanes, and how deep in long ones, and in any
        self.in_order: list[ast.For] = []  #: a loop over the lanes that does the last steps
        self.private = private_arrays(function)  #: arrays of the kernel's own, of which each lane has one
        self.by_rows: dict[str, bool] = {}  #: whether elements of an array that is written are those of an index's row
        self.tiles: dict[str, Spec] = {}  #: arrays of which the rows of all lanes are copied
        self.made_of: dict[str, ast.expr] = {}  #: what is given to names that are given something once
        self.uses: dict[str, set[str]] = {}  #: the texts of the indices of each array
        self.pays = False
        self.chains: list[ast.For] = []  #: loops over the lanes in those short ones that have many steps
        self.width = WIDTH
        self.texts = function_texts(program)

    def made(self) -> ast.Module:
        function = self.function
        text = ast.unparse(function)
        for node in walk(function):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                self.uses.setdefault(node.value.id, set()).add(ast.unparse(node.slice))
        if stored_in(function) & {*self.index, *self.arrays} or _LANE in text or _LANES in text:
            raise _No
        function.body = [part for step in function.body for part in split(step)]
        specs = dict(zip(self.arrays, self.program.specs, strict=True))
        for _ in range(1 + ("row_number" in text)):  # of sums first, and then of what is computed from them
            crossed.Indexed(specs, Kinds(self.program, function, {}), _LANE).visit(function)
        self.look_at_private()
        last = self.last_steps() if self.ordered else []
        self.find_tiles(function.body, 0)
        self.cross()
        before = -1
        while len(self.lanes) != before:
            before = len(self.lanes)
            self.spread([*function.body, *last], False)
        if {self.own, *self.private} & self.lanes:
            raise _No
        parts = (node for step in [*function.body, *last] for node in walk(step))
        steps = [node for node in parts if isinstance(node, (ast.Assign, ast.AugAssign))]
        for node in steps:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if sum(name in stored_in(step) for step in steps) == 1:
                    self.made_of[name] = node.value
        whole, head = copied(function), function.body
        whole.body = [*head, *last]
        kinds = Kinds(self.program, whole, {name: dtype for name, (_, dtype) in self.private.items()})
        function.body = self.block(head, 0, 0)
        behind = tree_of(f"for {_LANE} in range({_LANES if self.fewer else self.width}):\n    pass\nfew()").body
        if last:
            behind[0].body = last  # type: ignore[attr-defined]
            self.in_order.append(behind[0])  # type: ignore[arg-type]
            function.body += [ast.copy_location(step, last[0]) for step in behind]
        kept = [name for name in sorted(self.lanes) if not self.passing(name)]
        sizes = [len(kept) * 8, *(math.prod(shape) * dtype.itemsize for shape, dtype in self.private.values())]
        sizes += [math.prod(spec.tail) * spec.dtype.itemsize for spec in self.tiles.values()]
        found = {name: kinds.of(name) for name in kept}
        if None in found.values() or sum(sizes) * self.width > _ROOM:
            raise _No
        if not (self.pays or any(self.waits(loop, level, found) for loop, _, level in self.runs)):
            raise _No
        for loop, depth, level in [*self.runs, *((loop, 0, 0) for loop in self.in_order)]:
            for step in loop.body if loop not in self.in_order else ():
                self.check(step, depth, level)
            lanes = _Lanes(self.index, found, self.tiles, {*self.private})  # type: ignore[arg-type]
            loop.body = [lanes.visit(step) for step in loop.body]
            if isinstance(loop.body[-1], ast.If):  # one way back to the next lane, which is what a hint goes to
                loop.body.append(tree_of(f"{_LANE}end = {_LANE}").body[0])
        made = [f"{name} = private_zeros({self.width}, np.{kind[0]})" for name, kind in found.items() if kind]
        made += [self.tile(name, spec) for name, spec in self.tiles.items()]
        function.body = [*(step for text in made for step in tree_of(text).body), *function.body]
        if self.fewer and (self.tiles or self.private):  # which takes the longer to compile the more there is
            given = ", ".join([*self.index[:-1], f"nonneg({self.own} + {_LANE})", *self.arrays])
            first, half = f"{_LANE}first = 0\nif {_LANES} >= {crossed.HALF}:\n    {_LANE}first = {crossed.HALF}\n", []
            if self.width == crossed.WIDTH and max(shape[0] for shape, _ in self.private.values()) <= crossed.HALF:
                half = self.halved().made().body[0].body  # type: ignore[attr-defined]
            text = f"{first if half else ''}for {_LANE} in range({f'{_LANE}first, ' if half else ''}{_LANES}):\n"
            function.body = tree_of(f"{text}    body({given})\none_round_()").body
            if half:
                function.body[1].body[:0] = half  # type: ignore[attr-defined]
        function.name = "strip"
        if self.fewer:
            function.args.args.append(ast.arg(_LANES))
        return ast.fix_missing_locations(ast.Module([function], []))

    def look_at_private(self) -> None:
        """Arrays of the kernel's own must be used by their elements alone; their lengths are known."""
        for node in walk(self.function):
            match node:
                case ast.Call(ast.Name("range"), args):
                    node.args = [self.length(end) for end in args]
        used = {id(node.value) for node in walk(self.function) if isinstance(node, ast.Subscript)}
        for node in walk(self.function):
            read = isinstance(node, ast.Name) and node.id in self.private and isinstance(node.ctx, ast.Load)
            if read and id(node) not in used:
                raise _No

    def last_steps(self) -> list[ast.stmt]:
        """Take the steps from the first one on that stores away: no others may use what these write, nor be loops."""
        body = self.function.body
        stores = [any(map(self.stores, walk(step))) for step in body]
        first = stores.index(True) if True in stores else 0
        last = body[first:]
        for node in (n for step in last for n in walk(step)):
            match node:
                case ast.Subscript(ast.Name(id=name)) if not (self.is_array(name) or name in self.private):
                    raise _No
                case ast.Subscript(ast.Attribute(attr="shape")) | ast.Subscript(ast.Name()):
                    pass
                case ast.Subscript() | ast.NamedExpr() | ast.Lambda() | ast.Tuple(ctx=ast.Store()) | ast.For():
                    raise _No
                case ast.Call() if not self.known(node):
                    raise _No
        if not first or names_in(*body[:first]) & self.written:
            raise _No
        del body[first:]
        self.lanes |= stored_in(*last)
        return last

    def stores(self, node: ast.AST) -> bool:
        """Whether it is an element of an array of the call that is given a value."""
        stored = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        return stored and not (isinstance(node.value, ast.Name) and node.value.id in self.private)  # type: ignore[attr-defined]

    def cross(self) -> None:
        """Take loops along rows apart, of which a block at a time is turned."""
        if self.tiles or self.private:
            return
        specs = zip(self.arrays, self.program.specs, strict=True)
        read = {name: spec for name, spec in specs if spec.is_array and name not in self.written}
        self.private = crossed.cross(self.function, self.own, read, _LANE, self.rows)
        if self.private:
            self.width = self.rows

    def spread(self, body: list[ast.stmt], control: bool) -> None:
        """Add what differs; `control` if it depends on the index whether these steps are done at all."""
        for step in body:
            match step:
                case ast.Assign() if not control and stored_in(step) & {*self.private}:
                    pass
                case ast.Assign() | ast.AugAssign():
                    if control or self.differs(step):
                        self.lanes |= stored_in(step)
                case ast.If(test=test, body=some, orelse=others):
                    self.spread(some, control or self.differs(test))
                    self.spread(others, control or self.differs(test))
                case ast.For(target=ast.Name(id=name)) if name == _LANE:  # turns a block
                    if control:
                        raise _No
                case ast.For(target=ast.Name(id=name), iter=iterable, body=some, orelse=[]):
                    if control or self.differs(iterable) or name in self.lanes:
                        raise _No
                    self.spread(some, False)
                case ast.Pass():
                    pass
                case _:
                    raise _No

    def differs(self, node: ast.AST) -> bool:
        differing = {self.own, *self.lanes, *self.private}
        return any(isinstance(n, ast.Name) and n.id in differing for n in walk(node))

    def block(self, body: list[ast.stmt], depth: int, level: int) -> list[ast.stmt]:
        """These steps, with those that are in lanes in loops over these."""
        found: list[ast.stmt] = []
        run: list[ast.stmt] = []

        def close() -> None:
            if run:
                count = _LANES if self.fewer else self.width
                loop = tree_of(f"for {_LANE} in range({count}):\n    pass\nlanes_apart()").body
                assert isinstance(loop[0], ast.For)
                loop[0].body = run.copy()
                found.extend(ast.copy_location(part, run[0]) for part in loop)
                self.runs.append((loop[0], depth, level))
                run.clear()

        for step in body:
            if self.in_lanes(step):
                run.append(step)
            elif not level and isinstance(step, ast.For) and crossed.is_alone(step):  # along the row of each lane
                close()
                run.append(step)
                close()
            elif isinstance(step, ast.Assign) and (made := stored_in(step) & {*self.private}):
                close()
                for value in step.value.args[1:-1]:  # type: ignore[attr-defined]
                    self.same(value)
                    if self.differs(value):
                        raise _No
                extents = (*self.private[made.pop()][0], self.width)
                step.value.args[0] = tree_of(f"{extents}").body[0].value  # type: ignore[attr-defined]
                found.append(step)
            elif isinstance(step, ast.For) and isinstance(step.target, ast.Name) and step.target.id == _LANE:
                close()
                if names_in(step) & self.lanes:
                    raise _No
                found.append(step)
            elif not self.differs(step):
                self.same(step)
                if any(names_in(other) & stored_in(step) for other in run):
                    close()
                found.append(step)  # before the run, of which it needs nothing
            else:
                close()
                if isinstance(step, ast.For) and isinstance(step.iter, ast.Call):
                    long = not is_short(step.iter.args)
                    step.body = self.block(step.body, depth + long, level + 1)
                    here = [loop for loop, _, _ in self.runs if loop in step.body]
                    self.pays |= long and bool(here)
                    self.chains += here if crossed.is_chain(step) else []
                elif isinstance(step, ast.If) and not self.differs(step.test):
                    step.body, step.orelse = (self.block(part, depth, level) for part in (step.body, step.orelse))
                else:
                    raise _No
                found.append(step)
                if isinstance(step, ast.For) and (self.tiles or self.private) and self.width == WIDTH:
                    found += tree_of("few()").body
        close()
        return found

    def length(self, end: ast.expr) -> ast.expr:
        """The number where an expression is the length of a short row, or of an array of the kernel's own."""
        match end:
            case ast.Call(ast.Name("len"), [ast.Name(id=name)]) if name in self.private:
                return ast.Constant(self.private[name][0][0])
            case ast.Subscript(ast.Attribute(ast.Name(id=name), "shape"), ast.Constant(int(axis))):
                spec = self.program.specs[self.arrays.index(name)] if self.is_array(name) else None
                if spec is not None and axis >= spec.ndim - len(spec.tail):
                    return ast.Constant(spec.tail[axis - spec.ndim])
        return end

    def in_lanes(self, step: ast.stmt) -> bool:
        """Whether a step is to be done for each lane, and is no loop."""
        match step:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
                return name in self.lanes
            case ast.Assign(targets=[ast.Subscript()]) | ast.AugAssign(target=ast.Subscript()):
                return True
            case ast.If(body=body, orelse=orelse):
                return all(self.in_lanes(inner) for inner in [*body, *orelse])
        return False

    def same(self, step: ast.AST) -> None:
        """Whether a step that is the same for all indices may be done once."""
        for node in walk(step):
            if isinstance(node, ast.Name) and node.id in self.written:
                raise _No
            if isinstance(node, ast.Call) and not self.known(node):
                raise _No

    def passing(self, name: str) -> bool:
        """Whether a number is made anew in each run that has it, so that it need not be kept."""
        for loop in [*(loop for loop, _, _ in self.runs), *self.in_order]:
            whole = loop.body[0]
            steps = whole.body if isinstance(whole, ast.For) else loop.body
            first = next((step for step in steps if name in names_in(step)), None)
            if first is None:
                continue
            match first:
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    if name in names_in(value):
                        return False
                case _:
                    return False
        return True

    def check(self, step: ast.stmt, depth: int, level: int) -> None:
        """Whether all that is in it may be done for one index after the other."""
        for node in walk(step):
            match node:
                case ast.Subscript():
                    self.element(node, depth, level)
                case ast.Call() if not self.known(node):
                    raise _No
                case ast.Attribute(value=owner) if not plain(node):
                    if depth and self.differs(owner):  # numbers that lie apart, again and again
                        raise _No
                case ast.NamedExpr() | ast.Lambda() | ast.Tuple(ctx=ast.Store()):
                    raise _No

    def element(self, node: ast.Subscript, depth: int, level: int) -> None:
        index = index_of(node)
        if isinstance(node.value, ast.Name) and node.value.id in self.private:
            if len(index) != len(self.private[node.value.id][0]) or any(map(self.differs, index)):
                raise _No
            return
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape" and not self.differs(node):
            return
        if not (isinstance(node.value, ast.Name) and node.value.id in self.arrays):
            raise _No
        if crossed.is_left(node):
            return
        row = self.own_row(node)
        if node.value.id in self.written and self.by_rows.setdefault(node.value.id, row) != row:
            raise _No
        if row:
            if any(map(self.differs, index[len(self.index) :])) or (level and node.value.id not in self.tiles):
                raise _No
            return
        spec = self.program.specs[self.arrays.index(node.value.id)]
        if len(index) != spec.ndim or (spec.dtype.names and not spec.contiguous):
            raise _No
        *outer, last = index
        own = (isinstance(last, ast.Name) and last.id == self.own) or self.one_place(node)
        if (node.value.id in self.written and not own) or any(self.differs(x) for x in outer):
            raise _No
        if not self.differs(last):
            return
        near = self.neighbours(last)
        if not spec.contiguous or not (near or (len(index) == 1 and self.found(last))):
            raise _No
        self.pays |= depth > 0 and near and len(index) > 1

    def one_place(self, node: ast.Subscript) -> bool:
        """Whether it is the only element of an array that an index uses, next to that of the next one."""
        assert isinstance(node.value, ast.Name)
        once = len(self.uses[node.value.id]) == 1 and not stored_in(self.function) & names_in(node.slice)
        return once and self.neighbours(index_of(node)[-1])

    def own_row(self, node: ast.AST) -> bool:
        """Whether it is an element of the row that each index has, of an array without gaps."""
        if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in self.arrays):
            return False
        spec, index = self.program.specs[self.arrays.index(node.value.id)], index_of(node)
        own = [part.id if isinstance(part, ast.Name) else None for part in index[: len(self.index)]]
        plain = spec.contiguous and spec.dtype.kind in "iuf" and len(index) == spec.ndim > len(self.index)
        return plain and own == self.index

    def find_tiles(self, body: list[ast.stmt], level: int) -> None:
        """Find arrays of which rows are read again and again, in loops: their lengths must be known."""
        for step in body:
            if isinstance(step, (ast.For, ast.If)):
                deeper = level + isinstance(step, ast.For)
                self.find_tiles(step.body, deeper)
                self.find_tiles(step.orelse, deeper)
            for node in walk(step) if level else ():
                if self.own_row(node):
                    name = node.value.id
                    spec = self.program.specs[self.arrays.index(name)]
                    if name not in self.written and len(spec.tail) == spec.ndim - len(self.index):
                        self.tiles[name] = spec

    def tile(self, name: str, spec: Spec) -> str:
        """The text that copies the rows of all lanes, next to each other; of rows that there are not, none."""
        rows, width = f"{_ROWS}{name}", math.prod(spec.tail)
        flat = self.index[0]
        for axis, index in enumerate(self.index[1:], 1):
            flat = f"({flat}) * {name}.shape[{axis}] + {index}"
        outer, last = len(self.index) - 1, self.own
        at, place = [*self.index[:-1], f"np.uint64({_LANE}row)"], [f"{_LANE}{axis}" for axis in range(len(spec.tail))]
        one_by_one = ""
        for axis, n in enumerate(spec.tail):
            one_by_one += f"{'    ' * (axis + 2)}for {place[axis]} in range({n}):\n"
        to, element = ", ".join([*place, _LANE]), ", ".join(at + place)
        there = "".join(f"{index} < {name}.shape[{axis}] and " for axis, index in enumerate(self.index[:-1]))
        text = (
            f"if {there}{name}.shape[{outer}] > 0:\n    for {_LANE} in range({WIDTH}):\n"
            f"        {_LANE}row = min({last} + {_LANE}, {name}.shape[{outer}] - 1)\n"
            f"{one_by_one}{'    ' * (len(place) + 2)}{rows}[{to}] = {name}[{element}]\n    few()\n"
        )
        if width in TURNED:
            group = 64 // spec.dtype.itemsize
            turned = f"turned{width}({rows}, {_LANE}, {name}, {flat} + {_LANE})"
            turned = f"    for {_LANE} in range(0, {WIDTH}, {group}):\n        {turned}\n"
            text = f"if {there}{last} + {WIDTH} <= {name}.shape[{outer}]:\n{turned}el{text}"
        return f"{rows} = private_empty({(*spec.tail, WIDTH)}, np.{spec.dtype.name})\n{text}"

    def waits(self, loop: ast.For, level: int, kinds: dict[str, Any]) -> bool:
        """Whether steps of a short loop wait for those of the round before, and LLVM finds no vectors in it.

        It does where whole numbers are added up, and where rows are short. Rows of a power of two of numbers are copied
        by vectors; others must be used more than once.
        """
        if not level:
            return False
        body = loop.body
        if not (self.tiles or self.private):
            return loop in self.chains and not all(adds_up(step, kinds) for step in body)
        widths = [math.prod(self.tiles[name].tail) for name in names_in(*body) & self.tiles.keys()]
        if any(width > _NEAR and (level > 1 or width in TURNED) for width in widths):
            waiting = [step for step in body if not adds_up(step, kinds)]
            if set().union(*map(stored_in, waiting)) & kinds.keys():
                return True
        places: dict[str, dict[str, set[str]]] = {}
        for node in (n for step in body for n in walk(step)):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in self.private:
                uses = places.setdefault(node.value.id, {"Load": set(), "Store": set()})
                uses[type(node.ctx).__name__].add(ast.unparse(node.slice))
        return any(uses["Store"] and uses["Load"] - uses["Store"] for uses in places.values())

    def known(self, call: ast.Call) -> bool:
        """Whether it is a function that gives the same for the same, and does nothing else.

        So does one of the program's that is given no array; one with a loop would not become vectors.
        """
        if not (isinstance(call.func, ast.Name) and call.func.id in self.texts):
            return known(call)
        parts = [n for x in call.args for n in walk(x)]
        taken = {id(n.value) for n in parts if isinstance(n, ast.Subscript)}
        if any(isinstance(n, ast.Name) and self.is_array(n.id) and id(n) not in taken for n in parts):
            return False
        return only_steps(call.func.id, tuple(self.texts.items()))

    def is_array(self, name: str) -> bool:
        return name in self.arrays and self.program.specs[self.arrays.index(name)].is_array

    def neighbours(self, index: ast.expr) -> bool:
        """Whether neighbouring indices have it next to each other: the kernel's own, and what they have in common."""
        match index:
            case ast.Name(id=name):
                return name == self.own or (name in self.made_of and self.neighbours(self.made_of[name]))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                one, other = self.differs(left), self.differs(right)
                return one != other and self.neighbours(left if one else right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return not self.differs(right) and self.neighbours(left)
            case ast.Call(func=ast.Attribute(attr="uint64" | "int64") | ast.Name(id="int"), args=[inner]):
                return self.neighbours(inner)
        return False

    def found(self, index: ast.expr) -> bool:
        """Whether it comes from an array of indices, and is not negative for certain, or may be all the same."""
        match index:
            case ast.Call(func=ast.Attribute(attr="uint64"), args=[inner]):
                index = inner
            case _ if not self.gathers:
                return False
        while isinstance(index, ast.Name) and index.id in self.made_of:
            index = self.made_of[index.id]
        return isinstance(index, ast.Subscript)


class _Lanes(ast.NodeTransformer):
    """An index becomes that of a lane, a number that is kept the one of the lane; weak ones stay weak.

    What is stored must be of the kind that is kept, or else there is no such code (`intrinsics.kept`).
    """

    def __init__(
        self, index: list[str], lanes: dict[str, tuple[str, str]], tiles: dict[str, Spec], private: set[str]
    ) -> None:
        self.index, self.own, self.lanes, self.tiles, self.private = index, index[-1], lanes, tiles, private

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        self.generic_visit(node)
        target = node.targets[0]
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id in self.lanes:
            dtype, weak = self.lanes[target.value.id]
            like = tree_of(f"{weak or f'np.{dtype}'}(0)").body[0]
            assert isinstance(like, ast.Expr)
            node.value = ast.Call(ast.Name("kept", ast.Load()), [node.value, like.value], [])
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        if not (isinstance(node.target, ast.Name) and node.target.id in self.lanes):
            return self.generic_visit(node)  # type: ignore[return-value]
        value = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return self.visit_Assign(ast.copy_location(ast.Assign([node.target], value), node))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        parts, name = index_of(node), node.value.id if isinstance(node.value, ast.Name) else ""
        own = [part.id if isinstance(part, ast.Name) else None for part in parts[: len(self.index)]] == self.index
        if name in self.private or (name in self.tiles and own):
            if name in self.tiles:
                node.value, parts = ast.Name(f"{_ROWS}{name}", ast.Load()), parts[len(self.index) :]
            node.slice = ast.Tuple([*map(self.visit, parts), ast.Name(_LANE, ast.Load())], ast.Load())
            return node
        alone = [isinstance(part, ast.Name) and part.id == self.own for part in parts]
        unsigned = ast.Attribute(ast.Name("np", ast.Load()), "uint64", ast.Load())
        made = [self.visit(part) for part in parts]
        made = [ast.Call(unsigned, [part], []) if own else part for part, own in zip(made, alone, strict=True)]
        node.slice = ast.Tuple(made, ast.Load()) if isinstance(node.slice, ast.Tuple) else made[0]
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        lane = ast.Name(_LANE, ast.Load())
        if node.id == self.own:
            return ast.BinOp(ast.Name(self.own, ast.Load()), ast.Add(), lane)
        if node.id in self.lanes:
            found = ast.Subscript(ast.Name(node.id, ast.Load()), lane, node.ctx)
            weak = isinstance(node.ctx, ast.Load) and self.lanes[node.id][1]
            return ast.Call(ast.Name(weak, ast.Load()), [found], []) if weak else found
        return node
