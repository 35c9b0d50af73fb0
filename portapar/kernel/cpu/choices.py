"""Conditions as choices between values: both sides are computed, and no branch has to be predicted.

LLVM keeps a branch wherever numbers with a fraction are compared, however little hangs on it. Where both sides of a
conditional expression are a few steps of arithmetic on what is there anyway, choosing is faster than guessing.
"""

from __future__ import annotations

import ast

from portapar.kernel.front.sources import tree_of
from portapar.kernel.program import Program

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
        chooser.visit(tree)
        if chooser.found:
            found[name] = ast.fix_missing_locations(tree)
    return found


class _Chooser(ast.NodeTransformer):
    def __init__(self, function: ast.FunctionDef, program: Program | None) -> None:
        self.found = False
        stored = [n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        first = [t.id for s in function.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)]
        given = [p.arg for p in function.args.args if p.arg not in stored]
        #: names of what has fields that can be read at any time: it does not depend on a condition what it is
        self.owners = {*given, *(name for name in first if stored.count(name) == 1), "math", "np"}
        #: texts of elements that may be read at any time
        self.elements: set[str] = set()
        params = [p.arg for p in function.args.args]
        if program is not None and len(params) == program.ndim + len(program.specs):
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
            case ast.IfExp(test=test):
                return _is_comparison(test)
            case ast.Compare():
                return _is_comparison(node)
        return False


def _is_comparison(test: ast.expr) -> bool:
    """Whether it is one comparison of two values."""
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], _COMPARISONS)
