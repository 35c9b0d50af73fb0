"""Loops inside of an iteration: several neighbouring indices at a time, each with a lane of a vector.

``for i in range(n): s += a[i, j]`` reads a column of a matrix for every `j`, one number of each cache line; in
``for k in range(n): s = s * v + 0.5`` each step waits for the last one. For a strip of indices the loops run once, and
every step is done for all of them: rows of the strip are read as vectors, and steps wait for nobody. Each index keeps
its own order of operations, so nothing is rounded otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.text import copied
from portapar.kernel.program import Program

SHORT = 64  #: rounds of a loop with a constant count that LLVM writes out, and makes vectors of, by itself
WIDTHS = (64, 8)  #: indices in a strip; what is left over of wide ones goes to narrow ones
_LANE = "lane_"
_ROOM = 128  #: numbers that fit into vector registers
_NUMPY = set("uint64 exp log sqrt sin cos tan tanh abs fabs minimum maximum floor ceil".split())
_FUNCTIONS = {"len", "abs", "min", "max", "float"}


def strip(program: Program, body: ast.Module, width: int) -> ast.Module | None:
    """``strip(i[, …], *args)``: the body for `width` indices from the last one on; None if it has no such loop.

    What is written must be written, and read, at the kernel's own index alone, and share memory with no other array.
    """
    function = body.body[0]
    assert isinstance(function, ast.FunctionDef)
    arrays = [spec for spec in program.specs if spec.is_array]
    dtype = arrays[0].dtype
    written = (program.out,) if program.form == "transform" else program.written
    if dtype.kind != "f" or any(spec.dtype != dtype for spec in arrays) or not written or program.signed:
        return None
    if any(spec.dtype != dtype and not spec.weak for spec in program.specs if not spec.is_array):
        return None
    try:
        return _Strip(program, copied(function), width, written).made()
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
        names = {n.id for n in ast.walk(callee) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
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
    def __init__(self, program: Program, function: ast.FunctionDef, width: int, written: Sequence[int]) -> None:
        self.program, self.function, self.width = program, function, width
        params = [p.arg for p in function.args.args]
        self.index, self.arrays = params[: program.ndim], params[program.ndim :]
        self.own = params[program.ndim - 1]
        self.written = {self.arrays[k] for k in written}
        self.lanes = self._lanes()
        self.pays = False

    def _lanes(self) -> dict[str, None]:
        """The names of numbers that differ from index to index."""
        lanes: dict[str, None] = {}
        before = -1
        while len(lanes) != before:
            before = len(lanes)
            for node in ast.walk(self.function):
                if isinstance(node, (ast.Assign, ast.AugAssign)):
                    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                    if isinstance(target, ast.Name) and self._differs(node.value, lanes):
                        lanes[target.id] = None
        if not 0 < len(lanes) * self.width <= _ROOM or self.own in lanes:
            raise _No
        return lanes

    def _differs(self, node: ast.AST, lanes: dict[str, None]) -> bool:
        return any(isinstance(n, ast.Name) and (n.id == self.own or n.id in lanes) for n in ast.walk(node))

    def made(self) -> ast.Module:
        stored = [n.id for n in ast.walk(self.function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        if set(stored) & {*self.index, *self.arrays} or _LANE in ast.unparse(self.function):
            raise _No
        kind = self.program.specs[next(k for k, spec in enumerate(self.program.specs) if spec.is_array)].dtype.name
        steps = [tree_of(f"{name} = private_zeros({self.width}, np.{kind})").body[0] for name in self.lanes]
        self.function.body = [*steps, *self.block(self.function.body, 0)]
        self.function.name = "strip"
        if not self.pays:
            raise _No
        return ast.fix_missing_locations(ast.Module([self.function], []))

    def block(self, body: list[ast.stmt], depth: int) -> list[ast.stmt]:
        return [self.statement(step, depth) for step in body]

    def statement(self, step: ast.stmt, depth: int) -> ast.stmt:
        match step:
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=args), orelse=[]):
                if name in self.lanes or any(self._differs(arg, self.lanes) for arg in args):
                    raise _No
                step.body = self.block(step.body, depth + 1)
                self.pays |= not _short(args) and any(self._goes_on(inner) for inner in step.body)
                return step
            case ast.Assign(targets=[target], value=value) | ast.AugAssign(target=target, value=value):
                if isinstance(target, ast.Name) and target.id not in self.lanes:
                    if isinstance(step, ast.AugAssign) or self._reads_written(value):
                        raise _No
                    return step
                if isinstance(step, ast.Assign) and isinstance(target, ast.Name):
                    plain = isinstance(value, ast.Constant) and type(value.value) is float
                    if not (plain or self._differs(value, self.lanes)):
                        raise _No
                elif not isinstance(target, (ast.Name, ast.Subscript)):
                    raise _No
                inner = copied(step)
                self.check(inner, depth)
                inner = _Lanes(self.own, self.lanes).visit(inner)
                loop = tree_of(f"for {_LANE} in range({self.width}):\n    pass").body[0]
                assert isinstance(loop, ast.For)
                loop.body = [inner]
                return ast.copy_location(loop, step)
        raise _No

    def check(self, step: ast.stmt, depth: int) -> None:
        """Whether all that is in it may be done for one index after the other."""
        for node in ast.walk(step):
            if isinstance(node, ast.Subscript):
                index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                if not (isinstance(node.value, ast.Name) and node.value.id in self.arrays):
                    raise _No
                spec = self.program.specs[self.arrays.index(node.value.id)]
                if len(index) != spec.ndim or not spec.contiguous:
                    raise _No
                if node.value.id in self.written and [ast.unparse(x) for x in index] != self.index:
                    raise _No
                *outer, last = index
                neighbours = isinstance(last, ast.Name) and last.id == self.own
                if any(self._differs(x, self.lanes) for x in (outer if neighbours else index)):
                    raise _No
                self.pays |= depth > 0 and neighbours and len(index) > 1
            elif isinstance(node, ast.Call):
                function = node.func
                known = isinstance(function, ast.Name) and function.id in _FUNCTIONS
                known |= isinstance(function, ast.Attribute) and _plain(function)
                if not known:
                    raise _No
            elif isinstance(node, ast.Name):
                if node.id == self.own and not self._is_index(step, node):
                    raise _No
            elif isinstance(node, ast.Attribute):
                if not _plain(node):
                    raise _No
            elif isinstance(node, (ast.NamedExpr, ast.Lambda)):
                raise _No

    def _goes_on(self, step: ast.stmt) -> bool:
        """Whether a step of a loop, in lanes, takes what the one before has made."""
        if not (isinstance(step, ast.For) and isinstance(step.target, ast.Name) and step.target.id == _LANE):
            return False
        (inner,) = step.body
        target = inner.target if isinstance(inner, ast.AugAssign) else inner.targets[0]  # type: ignore[attr-defined]
        return isinstance(target, ast.Subscript) and getattr(target.value, "id", "") in self.lanes

    def _is_index(self, step: ast.stmt, name: ast.Name) -> bool:
        parts = [n.slice for n in ast.walk(step) if isinstance(n, ast.Subscript)]
        return any(name is n for part in parts for n in ast.walk(part))

    def _reads_written(self, value: ast.expr) -> bool:
        return any(isinstance(n, ast.Name) and n.id in self.written for n in ast.walk(value))


def _short(ends: list[ast.expr]) -> bool:
    """Whether a loop's count is a small constant."""
    numbers = [end.value for end in ends if isinstance(end, ast.Constant) and isinstance(end.value, int)]
    return len(numbers) == len(ends) and len(range(*numbers)) <= SHORT


def _plain(name: ast.Attribute) -> bool:
    """Whether it is a function of the math module, or the mark of an index that is not negative."""
    module = ast.unparse(name.value)
    return module == "math" or (module == "np" and name.attr in _NUMPY)


class _Lanes(ast.NodeTransformer):
    """An index becomes that of a lane, a number the one of the lane."""

    def __init__(self, own: str, lanes: dict[str, None]) -> None:
        self.own, self.lanes = own, lanes

    def visit_Name(self, node: ast.Name) -> ast.expr:
        lane = ast.Name(_LANE, ast.Load())
        if node.id == self.own:
            unsigned = ast.Attribute(ast.Name("np", ast.Load()), "uint64", ast.Load())
            return ast.Call(unsigned, [ast.BinOp(node, ast.Add(), lane)], [])
        if node.id in self.lanes:
            return ast.Subscript(ast.Name(node.id, ast.Load()), lane, node.ctx)
        return node
