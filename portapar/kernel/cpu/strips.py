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
from collections.abc import Sequence

from portapar.kernel.cpu.kinds import Kinds
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import copied, names_in, stored_in
from portapar.kernel.jit.functions import function_texts
from portapar.kernel.program import Program

SHORT = 64  #: rounds of a loop with a constant count that LLVM writes out, and makes vectors of, by itself
WIDTH = 64  #: indices in a strip, at most
_LANE, _LANES = "lane_", "lanes_"
_ROOM = 2048  #: numbers that are kept for a strip: some of the first cache
_NUMPY = set("uint64 int64 exp log sqrt sin cos tan tanh abs fabs minimum maximum floor ceil float32 float64".split())
_FUNCTIONS = {"len", "abs", "min", "max", "float", "int", "range"}


def strip(program: Program, body: ast.Module, fewer: bool = False) -> ast.Module | None:
    """``strip(i[, …], *args)``: the body for `WIDTH` indices from the last one on; None if it has no such loop.

    If `fewer`, for as many as one more argument says. What is written must be written, and read, at the kernel's own
    last index alone, and share memory with no other array.
    """
    function = body.body[0]
    assert isinstance(function, ast.FunctionDef)
    written = (program.out,) if program.form == "transform" else program.written
    if not written or program.signed:
        return None
    try:
        return _Strip(program, copied(function), fewer, written).made()
    except _No:
        return None


def straight(trees: dict[str, ast.Module], entry: str) -> ast.Module | None:
    """The function `entry` with those that it ends by calling written into it; None if there is more to it.

    Each of them must be steps, and then ``return`` an expression, or as the first one store it.
    """
    functions = {name: tree.body[0] for name, tree in trees.items()}
    found = copied(functions[entry])
    assert isinstance(found, ast.FunctionDef)
    for number in range(len(trees)):
        *steps, last = found.body
        value = last.value if isinstance(last, (ast.Return, ast.Assign)) else None
        if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in functions):
            return ast.fix_missing_locations(ast.Module([found], []))
        callee = copied(functions[value.func.id])
        if not (isinstance(callee, ast.FunctionDef) and callee.body and isinstance(callee.body[-1], ast.Return)):
            return None
        if any(isinstance(node, ast.Return) for step in callee.body[:-1] for node in ast.walk(step)):
            return None
        params = [p.arg for p in callee.args.args]
        if len(params) != len(value.args) or callee.body[-1].value is None:
            return None
        names = stored_in(callee)
        given: dict[str, ast.expr] = {name: ast.Name(f"{name}_{number}_", ast.Load()) for name in names - {*params}}
        for name, x in zip(params, value.args, strict=True):
            if isinstance(x, (ast.Name, ast.Constant)) and name not in names:
                given[name] = x
            else:
                given[name] = ast.Name(f"{name}_{number}_", ast.Load())
                place = ast.Name(f"{name}_{number}_", ast.Store())
                steps.append(ast.copy_location(ast.Assign([place], x), last))
        *inner, back = (_Given(given).visit(step) for step in callee.body)
        last.value = back.value  # type: ignore[attr-defined]
        found.body = [*steps, *inner, last]
    return None


class _Given(ast.NodeTransformer):
    """Names become what was given for them."""

    def __init__(self, given: dict[str, ast.expr]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        found = self.given.get(node.id)
        if found is None:
            return node
        return ast.Name(found.id, node.ctx) if isinstance(found, ast.Name) else found


class _No(Exception):
    """There is nothing in it for strips, or something that they cannot do."""


class _Strip:
    def __init__(self, program: Program, function: ast.FunctionDef, fewer: bool, written: Sequence[int]) -> None:
        self.program, self.function, self.fewer = program, function, fewer
        params = [p.arg for p in function.args.args]
        self.index, self.arrays = params[: program.ndim], params[program.ndim :]
        self.own = params[program.ndim - 1]
        self.written = {self.arrays[k] for k in written}
        self.lanes: set[str] = set()  #: names of numbers that differ from index to index
        self.runs: list[tuple[ast.For, int]] = []  #: loops over the lanes, and how deep in long loops
        self.made_of: dict[str, ast.expr] = {}  #: what is given to names that are given something once
        self.pays = False
        self.texts = function_texts(program)

    def made(self) -> ast.Module:
        function = self.function
        text = ast.unparse(function)
        if stored_in(function) & {*self.index, *self.arrays} or _LANE in text or _LANES in text:
            raise _No
        function.body = [part for step in function.body for part in _split(step)]
        before = -1
        while len(self.lanes) != before:
            before = len(self.lanes)
            self.spread(function.body, False)
        if self.own in self.lanes:
            raise _No
        steps = [node for node in ast.walk(function) if isinstance(node, (ast.Assign, ast.AugAssign))]
        for node in steps:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if sum(name in stored_in(step) for step in steps) == 1:
                    self.made_of[name] = node.value
        kinds = Kinds(self.program, function)
        function.body = self.block(function.body, 0)
        kept = [name for name in sorted(self.lanes) if not self.passing(name)]
        if not self.pays or len(kept) * WIDTH > _ROOM:
            raise _No
        found = {name: kinds.of(name) for name in kept}
        if None in found.values():
            raise _No
        for loop, depth in self.runs:
            for step in loop.body:
                self.check(step, depth)
            lanes = _Lanes(self.own, found)  # type: ignore[arg-type]
            loop.body = [lanes.visit(step) for step in loop.body]
            if isinstance(loop.body[-1], ast.If):  # one way back to the next lane, which is what a hint goes to
                loop.body.append(tree_of(f"{_LANE}end = {_LANE}").body[0])
        made = [f"{name} = private_zeros({WIDTH}, np.{kind[0]})" for name, kind in found.items() if kind]
        function.body = [*(tree_of(text).body[0] for text in made), *function.body]
        function.name = "strip"
        if self.fewer:
            function.args.args.append(ast.arg(_LANES))
        return ast.fix_missing_locations(ast.Module([function], []))

    def spread(self, body: list[ast.stmt], control: bool) -> None:
        """Add what differs; `control` if it depends on the index whether these steps are done at all."""
        for step in body:
            match step:
                case ast.Assign() | ast.AugAssign():
                    if control or self.differs(step):
                        self.lanes |= stored_in(step)
                case ast.If(test=test, body=some, orelse=others):
                    self.spread(some, control or self.differs(test))
                    self.spread(others, control or self.differs(test))
                case ast.For(target=ast.Name(id=name), iter=iterable, body=some, orelse=[]):
                    if control or self.differs(iterable) or name in self.lanes:
                        raise _No
                    self.spread(some, False)
                case ast.Pass():
                    pass
                case _:
                    raise _No

    def differs(self, node: ast.AST) -> bool:
        return any(isinstance(n, ast.Name) and (n.id == self.own or n.id in self.lanes) for n in ast.walk(node))

    def block(self, body: list[ast.stmt], depth: int) -> list[ast.stmt]:
        """These steps, with those that are in lanes in loops over these."""
        found: list[ast.stmt] = []
        run: list[ast.stmt] = []

        def close() -> None:
            if run:
                count = _LANES if self.fewer else WIDTH
                loop = tree_of(f"for {_LANE} in range({count}):\n    pass\nlanes_apart()").body
                assert isinstance(loop[0], ast.For)
                loop[0].body = run.copy()
                found.extend(ast.copy_location(part, run[0]) for part in loop)
                self.runs.append((loop[0], depth))
                run.clear()

        for step in body:
            if self.in_lanes(step):
                run.append(step)
            elif not self.differs(step):
                self.same(step)
                if any(names_in(other) & stored_in(step) for other in run):
                    close()
                found.append(step)  # before the run, of which it needs nothing
            else:
                close()
                if isinstance(step, ast.For) and isinstance(step.iter, ast.Call):
                    long = not _short(step.iter.args)
                    step.body = self.block(step.body, depth + long)
                    self.pays |= long and any(loop in step.body for loop, _ in self.runs)
                elif isinstance(step, ast.If) and not self.differs(step.test):
                    step.body, step.orelse = self.block(step.body, depth), self.block(step.orelse, depth)
                else:
                    raise _No
                found.append(step)
        close()
        return found

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

    def same(self, step: ast.stmt) -> None:
        """Whether a step that is the same for all indices may be done once."""
        for node in ast.walk(step):
            if isinstance(node, ast.Name) and node.id in self.written:
                raise _No
            if isinstance(node, ast.Call) and not self.known(node):
                raise _No

    def passing(self, name: str) -> bool:
        """Whether a number is made anew in each run that has it, so that it need not be kept."""
        for loop, _ in self.runs:
            first = next((step for step in loop.body if name in names_in(step)), None)
            if first is None:
                continue
            match first:
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    if name in names_in(value):
                        return False
                case _:
                    return False
        return True

    def check(self, step: ast.stmt, depth: int) -> None:
        """Whether all that is in it may be done for one index after the other."""
        for node in ast.walk(step):
            match node:
                case ast.Subscript():
                    self.element(node, depth)
                case ast.Call() if not self.known(node):
                    raise _No
                case ast.Attribute(value=owner) if not _plain(node):
                    if depth and self.differs(owner):  # numbers that lie apart, again and again
                        raise _No
                case ast.NamedExpr() | ast.Lambda() | ast.Tuple(ctx=ast.Store()):
                    raise _No

    def element(self, node: ast.Subscript, depth: int) -> None:
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if not (isinstance(node.value, ast.Name) and node.value.id in self.arrays):
            raise _No
        spec = self.program.specs[self.arrays.index(node.value.id)]
        if len(index) != spec.ndim or (spec.dtype.names and not spec.contiguous):
            raise _No
        *outer, last = index
        own = isinstance(last, ast.Name) and last.id == self.own
        if (node.value.id in self.written and not own) or any(self.differs(x) for x in outer):
            raise _No
        if not self.differs(last):
            return
        near = self.neighbours(last)
        if not spec.contiguous or not (near or (len(index) == 1 and self.found(last))):
            raise _No
        self.pays |= depth > 0 and near and len(index) > 1

    def known(self, call: ast.Call) -> bool:
        """Whether it is a function that gives the same for the same, and does nothing else.

        So does one of the program's that is given no array; one with a loop would not become vectors.
        """
        if not (isinstance(call.func, ast.Name) and call.func.id in self.texts):
            return _known(call)
        parts = [n for x in call.args for n in ast.walk(x)]
        taken = {id(n.value) for n in parts if isinstance(n, ast.Subscript)}
        if any(isinstance(n, ast.Name) and self.is_array(n.id) and id(n) not in taken for n in parts):
            return False
        return _steps(call.func.id, tuple(self.texts.items()))

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
        """Whether it comes from an array of indices, and is not negative for certain."""
        match index:
            case ast.Call(func=ast.Attribute(attr="uint64"), args=[inner]):
                index = inner
                while isinstance(index, ast.Name) and index.id in self.made_of:
                    index = self.made_of[index.id]
                return isinstance(index, ast.Subscript)
        return False


def _split(step: ast.stmt) -> list[ast.stmt]:
    """A step, with assignments of tuples as one for each number, where none waits for another."""
    for field in ("body", "orelse"):
        if isinstance(step, (ast.For, ast.If)):
            setattr(step, field, [part for inner in getattr(step, field) for part in _split(inner)])
    match step:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            if len(targets) == len(values) and not stored_in(step) & names_in(*values):
                parts = [ast.Assign([target], value) for target, value in zip(targets, values, strict=True)]
                return [ast.copy_location(part, step) for part in parts]
        case ast.Assign(targets=[_, _, *_] as targets, value=ast.Constant() | ast.Name() as value):
            if all(isinstance(target, ast.Name) for target in targets):
                return [ast.copy_location(ast.Assign([target], value), step) for target in targets]
    return [step]


def _short(ends: list[ast.expr]) -> bool:
    """Whether a loop's count is a small constant."""
    try:
        numbers = [ast.literal_eval(end) for end in ends]
    except ValueError:
        return False
    return all(type(n) is int for n in numbers) and len(range(*numbers)) <= SHORT


def _known(call: ast.Call) -> bool:
    """Whether it is a function that gives the same for the same, and does nothing else."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in _FUNCTIONS
    return isinstance(function, ast.Attribute) and _plain(function)


def _plain(name: ast.Attribute) -> bool:
    """Whether it is of the math module, or one of NumPy's functions of numbers."""
    module = ast.unparse(name.value)
    return module == "math" or (module == "np" and name.attr in _NUMPY)


@functools.lru_cache(maxsize=256)
def _steps(name: str, texts: tuple[tuple[str, str], ...]) -> bool:
    """Whether a function is steps without loops, and so are those that it calls."""
    known = dict(texts)
    nodes = list(ast.walk(tree_of(known[name])))
    called = {node.id for node in nodes if isinstance(node, ast.Name)} & known.keys()
    loops = any(isinstance(node, (ast.For, ast.While)) for node in nodes)
    return not loops and name not in called and all(_steps(other, texts) for other in called)


class _Lanes(ast.NodeTransformer):
    """An index becomes that of a lane, a number that is kept the one of the lane; weak ones stay weak.

    What is stored must be of the kind that is kept, or else there is no such code (`intrinsics.kept`).
    """

    def __init__(self, own: str, lanes: dict[str, tuple[str, str]]) -> None:
        self.own, self.lanes = own, lanes

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
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
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
