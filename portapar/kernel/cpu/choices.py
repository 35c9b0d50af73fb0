"""Conditions as choices between values: both sides are computed, and no branch has to be predicted.

LLVM keeps a branch wherever numbers with a fraction are compared, however little hangs on it. Where both sides of a
conditional expression are a few steps of arithmetic on what is there anyway, choosing is faster than guessing.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

import numpy as np

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import names_in, walk
from portapar.kernel.lanes.steps import NUMBERS
from portapar.kernel.program import Program, Spec

_MOST = 40  #: expressions in a side
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_CHEAP = (ast.Add, ast.Sub, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)


def chosen(program: Program, texts: dict[str, str], trees: dict[str, ast.Module]) -> dict[str, ast.Module]:
    """Those of a program's functions in which ``choose(test, a, b)`` takes the place of ``a if test else b``.

    `trees` are other forms of some of the functions, to be used instead of their texts, and are changed.
    """
    found = {}
    for name, text in texts.items():
        if " if " not in text:
            continue
        tree = trees.get(name) or tree_of(text)
        function = tree.body[0]
        assert isinstance(function, ast.FunctionDef)
        chooser = _Chooser(function, program if name in ("body", "elem") else None)
        chooser.join_returns(function.body)
        chooser.join_stores(function.body)
        chooser.visit(tree)
        if chooser.found:
            found[name] = ast.fix_missing_locations(tree)
    return found


def updated_always(program: Program, text: str, tree: ast.Module | None) -> ast.Module | None:
    """A program's body in which ``if test: atomic.add(x, 0, v)`` adds v or nothing; None if it has no such step.

    For updates that may be plain: without a branch LLVM keeps the element in a register. It is looked at first whether
    there is such an element, which LLVM does once.
    """
    if "atomic." not in text or "    if " not in text:
        return None
    tree = copy.deepcopy(tree or tree_of(text))
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    always = _Always(function, program)
    always.visit(tree)
    return ast.fix_missing_locations(tree) if always.count else None


class _Always(ast.NodeTransformer):
    def __init__(self, function: ast.FunctionDef, program: Program) -> None:
        self.chooser, self.count = _Chooser(function, program), 0
        stored = {n.id for n in walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        params = [p.arg for p in function.args.args][program.ndim :]
        self.names = {*params, *names_in(function)}
        self.specs = {k: v for k, v in zip(params, program.specs, strict=False) if v.is_array and k not in stored}

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if not _is_condition(node.test) or not all(map(self.fits, [*node.body, *node.orelse])):
            return node
        name, there = f"updated_{self.count}_", []
        while name in self.names:
            name += "_"
        self.count += 1
        for step in [*node.body, *node.orelse]:
            array, index = step.value.args[:2]  # type: ignore[attr-defined]
            for axis, at in enumerate(index.elts if isinstance(index, ast.Tuple) else [index]):
                there.append(f"{array.id}.shape[{axis}] > {at.value}")
        some, other = (
            "".join(f"    {self.always(step, name, truth)}\n" for step in steps)
            for truth, steps in ((True, node.body), (False, node.orelse))
        )
        made = tree_of(f"{name} = True\nif {' and '.join(there)}:\n{some}{other}else:\n    pass\n").body
        first, second = copy.deepcopy(made)
        assert isinstance(first, ast.Assign) and isinstance(second, ast.If)
        first.value, second.orelse = node.test, [ast.If(ast.Name(name, ast.Load()), node.body, node.orelse)]
        return [ast.copy_location(first, node), ast.copy_location(second, node)]

    def always(self, step: Any, name: str, truth: bool) -> str:
        call = step.value
        array, index, value = map(ast.unparse, call.args)
        dtype = self.specs[array].dtype
        none = "0" if dtype.kind != "f" else "-0.0" if call.func.attr == "add" else "0.0"
        if dtype == np.float32:  # a whole number would be rounded twice if it became one of 64 bits beside that
            value = f"np.float32({value})"
        one, other = (value, none) if truth else (none, value)
        return f"atomic.{call.func.attr}({array}, {index}, {one} if {name} else {other})"

    def fits(self, step: ast.stmt) -> bool:
        """Whether it is an update of an element that is named by numbers, by what may be computed at any time."""
        match step:
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("atomic"), operation), [ast.Name(array), index, value], [])):
                parts = index.elts if isinstance(index, ast.Tuple) else [index]
                spec = self.specs.get(array)
                return (
                    operation in ("add", "sub", "or_", "xor")
                    and spec is not None
                    and spec.dtype.kind in "iuf"
                    and spec.ndim == len(parts)
                    and all(isinstance(x, ast.Constant) and type(x.value) is int and x.value >= 0 for x in parts)
                    and self.chooser.cheap(value)
                )
        return False


class _Chooser(ast.NodeTransformer):
    def __init__(self, function: ast.FunctionDef, program: Program | None) -> None:
        self.found = False
        stored = [n.id for n in walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        first = [t.id for s in function.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)]
        given = [p.arg for p in function.args.args if p.arg not in stored]
        #: names of what has fields that can be read at any time: it does not depend on a condition what it is
        self.owners = {*given, *(name for name in first if stored.count(name) == 1), "math", "np"}
        #: texts of elements that may be read at any time
        self.elements: set[str] = set()
        self.arrays: dict[str, Spec] = {}  #: of numbers
        params = [p.arg for p in function.args.args]
        if program is not None and len(params) == program.ndim + len(program.specs):
            for name, spec in zip(params[program.ndim :], program.specs, strict=True):
                if spec.is_array and spec.dtype.kind in "iuf" and name not in stored and "np" not in (*stored, *params):
                    self.arrays[name] = spec
            for k in program.own:
                name, index = params[program.ndim + k], params[: program.specs[k].ndim]
                if not {name, *index} & set(stored):
                    self.elements.add(f"{name}[{', '.join(index)}]")

    def join_returns(self, body: list[ast.stmt]) -> None:
        """Make one return of a conditional expression where an if chooses between two, if both are cheap."""
        for step in body:
            if isinstance(step, ast.If):
                self.join_returns(step.body)
                self.join_returns(step.orelse)
        while body:
            match body[-2:]:
                case [*_, ast.If(test=test, body=[ast.Return(value=a)], orelse=[ast.Return(value=b)])]:
                    count = 1
                case [ast.If(test=test, body=[ast.Return(value=a)], orelse=[]), ast.Return(value=b)]:
                    count = 2
                case _:
                    return
            if a is None or b is None or not self.may_choose(test, a, b):
                return
            body[-count:] = [ast.copy_location(ast.Return(ast.IfExp(test, a, b)), body[-count])]

    def join_stores(self, body: list[ast.stmt]) -> None:
        """Make one assignment of a conditional expression where an if chooses what an element or a name gets.

        LLVM looks up what several equal comparisons choose in a table otherwise, for one index after the other.
        """
        for k, step in enumerate(body):
            for inner in ("body", "orelse") if isinstance(step, (ast.For, ast.While, ast.If)) else ():
                self.join_stores(getattr(step, inner))
            match step:
                case ast.If(test=test, body=[ast.Assign([target], a)], orelse=[ast.Assign([other], b)]):
                    if ast.unparse(other) != ast.unparse(target) or not self.may_choose(test, a, b):
                        continue
                case _:
                    continue
            if isinstance(target, ast.Subscript):
                dtype = self.dtype_of(target)
                if dtype is None or not (_fits(a, dtype) and _fits(b, dtype)):
                    continue
                a, b = (v if self.is_cast(v, dtype.name) else _cast(v, dtype.name) for v in (a, b))
            elif not isinstance(target, ast.Name):
                continue
            body[k] = ast.copy_location(ast.Assign([target], ast.IfExp(test, a, b)), step)

    def dtype_of(self, element: ast.Subscript) -> np.dtype | None:
        """The dtype of an element of an argument whose index may be computed at any time."""
        index, array = element.slice, element.value
        spec = self.arrays.get(array.id) if isinstance(array, ast.Name) else None
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        return spec.dtype if spec and spec.ndim == len(parts) and all(map(self.cheap, parts)) else None

    def is_cast(self, value: ast.expr, cast: str) -> bool:
        """Whether it is a choice between numbers of that type."""
        match value:
            case ast.IfExp(body=a, orelse=b):
                return self.is_cast(a, cast) and self.is_cast(b, cast)
        return isinstance(value, ast.Call) and ast.unparse(value.func) == f"np.{cast}"

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        choose = self.may_choose(node.test, node.body, node.orelse)
        self.generic_visit(node)
        if not choose:
            return node
        self.found = True
        name = ast.Name("choose", ast.Load())
        return ast.copy_location(ast.Call(name, [node.test, node.body, node.orelse], []), node)

    def may_choose(self, test: ast.expr, a: ast.expr, b: ast.expr) -> bool:
        return _is_comparison(test) and self.cheap(a) and self.cheap(b)

    def cheap(self, side: ast.expr) -> bool:
        """Whether it may be computed although it is not wanted, and costs little: arithmetic on names and fields."""
        count, nodes = 0, [side]
        while nodes:
            node = nodes.pop()
            count += 1
            if count > _MOST or not self.simple(node):
                return False
            if not isinstance(node, ast.Subscript):
                nodes += [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
        return True

    def simple(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=int() | float()) | ast.Name() | ast.UnaryOp(op=ast.USub()):
                return True
            case ast.Attribute(value=ast.Name(id=owner)):
                return owner in self.owners
            case ast.Subscript() | ast.Attribute(value=ast.Subscript()):
                return ast.unparse(node if isinstance(node, ast.Subscript) else node.value) in self.elements
            case ast.BinOp(op=op):
                return isinstance(op, _CHEAP)
            case ast.Call(ast.Attribute(ast.Name("np"), name), [_], []):
                return name in NUMBERS
            case ast.IfExp(test=test):
                return _is_comparison(test)
            case ast.Compare():
                return _is_comparison(node)
        return False


def _cast(value: ast.expr, name: str) -> ast.expr:
    return ast.Call(ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load()), [value], [])


def _fits(value: ast.expr, dtype: np.dtype) -> bool:
    """Whether it is no constant that a type does not have."""
    match value:
        case ast.IfExp(body=a, orelse=b):
            return _fits(a, dtype) and _fits(b, dtype)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
            number = -number
        case ast.Constant(value=int(number)):
            pass
        case _:
            return True
    return dtype.kind == "f" or np.iinfo(dtype).min <= number <= np.iinfo(dtype).max


def _is_condition(test: ast.expr) -> bool:
    """Whether it is made of comparisons alone, so that its value is a truth value."""
    match test:
        case ast.BoolOp(values=values):
            return all(map(_is_condition, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _is_condition(operand)
    return isinstance(test, ast.Compare)


def _is_comparison(test: ast.expr) -> bool:
    """Whether it is one comparison of two values."""
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], _COMPARISONS)
