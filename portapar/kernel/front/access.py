"""How a kernel uses its arrays: read, written, and whether only at its own index.

Plans rest on this: what is only written is not copied to a device, what is used at the kernel's own
index alone can be cut over several executors. It must never claim too little; where the text does not
say, an array counts as read, written and used anywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Access:
    """How a kernel uses one of its array arguments.

    Attributes
    ----------
    reads, writes : bool
    pointwise : bool
        Every access is at exactly the kernel's own index (its first parameters, in order).
    covers : bool
        With `pointwise`: every index writes its element for sure, so that what was there does not matter.
    rank : int
        How many of the first parameters are used as an index.
    """

    reads: bool = False
    writes: bool = False
    pointwise: bool = True
    covers: bool = False
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Callee:
    """A called kernel function: the names of its parameters, and how it uses them."""

    params: list[str]
    access: dict[str, Access]


_SHAPE = ("shape", "size", "ndim")


def analyse(
    body: Sequence[ast.stmt], params: list[str], names: Sequence[str], callees: Mapping[str, Callee]
) -> dict[str, Access]:
    """The use of every name of `names` in a lifted body.

    Parameters
    ----------
    body : sequence of ast.stmt
    params : list of str
        The kernel's parameters; the first ones are its index.
    names : sequence of str
        Parameters and captures.
    callees : mapping
        By the names under which `body` calls them.
    """
    uses = _Uses(body, params, names, callees)
    for statement in body:
        uses.visit(statement)
    for statement in body:
        if isinstance(statement, (ast.Return, ast.If, ast.While, ast.For)):
            break
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            name = target.value if isinstance(target, ast.Subscript) else None
            if isinstance(name, ast.Name) and name.id in uses.access:
                uses.access[name.id].covers = True
    return uses.access


class _Uses(ast.NodeVisitor):
    def __init__(
        self, body: Sequence[ast.stmt], params: list[str], names: Sequence[str], callees: Mapping[str, Callee]
    ) -> None:
        self.params, self.callees = params, callees
        self.access = {name: Access() for name in names}
        nodes = [node for statement in body for node in ast.walk(statement)]
        self.stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.aliases = self._find_aliases(nodes)

    def _find_aliases(self, nodes: list[ast.AST]) -> dict[str, set[str]]:
        """The arrays that a local name may be, or be a row or a record of."""
        bound: list[tuple[str, ast.expr]] = []
        for node in nodes:
            pairs: list[tuple[ast.expr, ast.expr]] = []
            if isinstance(node, ast.Assign):
                pairs = [(target, node.value) for target in node.targets]
            elif isinstance(node, ast.NamedExpr):
                pairs = [(node.target, node.value)]
            elif isinstance(node, ast.For):
                pairs = [(node.target, node.iter)]
            for target, value in pairs:
                bound += [(n.id, value) for n in ast.walk(target) if isinstance(n, ast.Name) and n.id in self.stored]
        self.aliases = {}
        changed = True
        while changed:
            changed = False
            for name, value in bound:
                known = self.aliases.setdefault(name, set())
                more = self.roots(value) - known
                known |= more
                changed |= bool(more)
        return self.aliases

    def roots(self, node: ast.AST) -> set[str]:
        """The arrays that an expression may be a part of."""
        if isinstance(node, ast.Name):
            own = {node.id} if node.id in self.access else set()
            return own | self.aliases.get(node.id, set())
        if isinstance(node, (ast.Subscript, ast.Attribute)):
            return self.roots(node.value)
        if isinstance(node, ast.IfExp):
            return self.roots(node.body) | self.roots(node.orelse)
        if isinstance(node, ast.Tuple):
            return set().union(*(self.roots(part) for part in node.elts))
        if isinstance(node, ast.NamedExpr):
            return self.roots(node.value)
        return set()

    # places ---------------------------------------------------------------------------------------

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._place(node, isinstance(node.ctx, ast.Store), False)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._place(node, isinstance(node.ctx, ast.Store), False)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, (ast.Subscript, ast.Attribute)):
            self._place(node.target, True, True)
        self.visit(node.value)

    def _place(self, node: ast.expr, writes: bool, reads: bool) -> None:
        """``a[i]``, ``a[i].x``, ``a[i][j]``, ``a.shape[0]``: read, or written."""
        chain: list[ast.expr] = []
        root: ast.expr = node
        while isinstance(root, (ast.Subscript, ast.Attribute)):
            chain.insert(0, root)
            if isinstance(root, ast.Subscript):
                self.visit(root.slice)
            root = root.value
        if not isinstance(root, ast.Name):
            self.visit(root)
            return
        use = self.access.get(root.id)
        first = chain[0]
        if use is not None:
            if isinstance(first, ast.Attribute) and first.attr in _SHAPE:
                use.pointwise = False
            else:
                use.reads |= reads or not writes or len(chain) > 1  # the rest of a record is kept
                use.pointwise &= isinstance(first, ast.Subscript) and self._own(first, use)
        if writes:
            for name in self.roots(root):
                self.access[name].writes = True

    def _own(self, node: ast.Subscript, use: Access) -> bool:
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        use.rank = max(use.rank, len(index))
        return self._own_names(index)

    def _own_names(self, index: Sequence[ast.expr]) -> bool:
        names = [part.id if isinstance(part, ast.Name) else "" for part in index]
        return names == self.params[: len(names)] and not self.stored & set(names)

    def visit_Name(self, node: ast.Name) -> None:
        """An array as a whole."""
        if isinstance(node.ctx, ast.Load) and node.id in self.access:
            self.access[node.id].reads = True
            self.access[node.id].pointwise = False

    # calls ----------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        func = node.func
        if isinstance(func, ast.Name) and func.id == "len":
            for name in self.roots(node.args[0]) if node.args else ():
                self.access[name].pointwise = False
        elif isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "atomic":
            for name in self.roots(node.args[0]) if node.args else ():
                use = self.access[name]
                use.reads = use.writes = True
                use.pointwise = False
            for argument in node.args[1:]:
                self.visit(argument)
        elif isinstance(func, ast.Name) and func.id in self.callees:
            self._passed(node, self.callees[func.id])
        else:
            self.generic_visit(node)

    def _passed(self, node: ast.Call, callee: Callee) -> None:
        """Arrays that are passed on to another kernel function."""
        for argument, name in zip(node.args, callee.params, strict=False):
            inner = callee.access[name]
            if isinstance(argument, ast.Name) and argument.id in self.access:
                use = self.access[argument.id]
                use.reads |= inner.reads or not inner.writes
                use.rank = max(use.rank, inner.rank)
                use.pointwise &= inner.pointwise and inner.rank > 0 and self._own_names(node.args[: inner.rank])
            else:
                self.visit(argument)
            if inner.writes:
                for root in self.roots(argument):
                    self.access[root].writes = True
