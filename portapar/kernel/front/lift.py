"""The kernel front end: from any Python function to the text of a program.

A kernel is found as source (of a file, a notebook cell, or a lambda inside a longer line), checked,
and written anew as a plain top-level function in which everything that it captured has become an
argument. Changing a captured number or array therefore never recompiles. Only a module's number that is marked as
`typing.Final` is written into the text. What kernels cannot use is refused here, with the user's own line and what to
write instead.
"""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Sequence
from typing import Any

from portapar import cache
from portapar.errors import PortaparError, short, tell
from portapar.kernel.front import private
from portapar.kernel.front.access import Callee, Flow
from portapar.kernel.front.calls import Calls, Fixed
from portapar.kernel.front.kernel import Function, Kernel, is_data, unwrap, variant
from portapar.kernel.front.names import RESERVED, leaves
from portapar.kernel.front.remedies import FORBIDDEN
from portapar.kernel.front.shapes import forget
from portapar.kernel.front.sources import (
    changed_error,
    is_compiled_from,
    kernel_error,
    of_library,
    parameter_names,
    source_lock,
    tree_of,
)
from portapar.kernel.front.trees import copied, placed, walk
from portapar.kernel.front.unassigned import unassigned
from portapar.kernel.front.unroll import counted, evaluated, unrolled
from portapar.kernel.front.walrus import hoist, split

# Equal codes may come from two files, and hold tuples for some parameters.
_lifted: dict[Any, list[Kernel]] = cache.Bounded()
_recent: dict[Any, Kernel] = cache.Bounded()  # the last one of a code that fitted: most often that will fit again
_by_code: dict[Any, tuple[types.CodeType, list[Kernel]]] = cache.Bounded()  # by identity: it keeps the codes alive


def lift(func: Any) -> tuple[Kernel, types.FunctionType]:
    """The kernel of a function, from memory if its code was lifted before.

    Raises
    ------
    KernelError
        If the source is not to be had, or uses what a kernel cannot.
    """
    return bound(func)[:2]


def bound(func: Any) -> tuple[Kernel, types.FunctionType, list[Any]]:
    """`lift`, and the captured values."""
    func = unwrap(func)
    code, tuples = func.__code__, variant(func)
    key = (id(code), tuples) if tuples else id(code)
    known = _by_code.get(key)
    if known is None:
        with source_lock:
            known = _by_code[key] = code, _lifted.setdefault((code, code.co_filename, tuples), [])
    found = _known(key, func)
    if found is not None:
        return found[0], func, found[1]
    kernels = known[1]
    with source_lock:
        fitting = [kernel for kernel in kernels if kernel.fits(func) is not None]
        if not fitting:
            try:
                fitting = [_Lifter(func, ()).kernel()]
            except RecursionError:
                remedy = "give parts of its longest expression names, t = a + b, before it uses them"
                where = code.co_name, code.co_filename, code.co_firstlineno
                raise kernel_error("it is nested too deeply", remedy, *where) from None
            except PortaparError as error:
                raise short(error) from error.__cause__
            kernels += fitting
        kernel = fitting[0]
    return kernel, func, kernel.values(func)


def capturing(kernels: Sequence[Any]) -> bool:
    """Whether one of some kernels captures something."""
    return any(bound(kernel)[2] for kernel in kernels)


def known(func: types.FunctionType) -> tuple[Kernel, list[Any]] | None:
    """The kernel of a plain function that was lifted before, and the captured values; None if it was not."""
    tuples = variant(func)
    return _known((id(func.__code__), tuples) if tuples else id(func.__code__), func)


def _known(key: Any, func: types.FunctionType) -> tuple[Kernel, list[Any]] | None:
    found = _by_code.get(key)
    if found is not None:
        recent = _recent.get(key)
        # Another code may have had the place of this one, if that is forgotten.
        for kernel in (recent, *found[1]) if recent in found[1] else found[1]:
            values = kernel.fits(func)
            if values is not None:
                if kernel is not recent:
                    _recent[key] = kernel
                return kernel, values
    return None


def loops(func: Any) -> bool:
    """Whether a kernel has a loop, so that a call may take long."""
    if isinstance(func, Kernel):
        return _has_loop(func)
    if not hasattr(func, "__code__"):  # a ufunc, or one of math's
        return False
    return _has_loop(lift(func)[0])


@functools.lru_cache(maxsize=4096)
def _has_loop(kernel: Kernel) -> bool:
    return any(isinstance(node, (ast.For, ast.While)) for part in kernel.functions for node in part.nodes())


class _Lifter(Calls):
    """Checks one function and rewrites it with its captures as parameters."""

    def __init__(self, func: types.FunctionType, active: tuple[Any, ...], fixed: Fixed = ()) -> None:
        super().__init__(func, fixed)
        if any(func is other for other in active):
            self.fail(self.node, "it calls itself", "write the recursion as a loop, with a private array as stack")
        self.active = (*active, func)
        self.renamed = {name: self.free(name + "_") for name in self.locals & RESERVED}

    def kernel(self) -> Kernel:
        arguments = self.node.args
        given = arguments.vararg is not None and arguments.vararg.arg in self.held
        if (arguments.vararg and not given) or arguments.kwarg or arguments.kwonlyargs:
            what = "it takes *args, **kwargs or keyword-only arguments"
            if isinstance(self.node, ast.FunctionDef) and hasattr(self.func, "__wrapped__"):
                inside = self.func.__wrapped__.__name__
                what = f"it is the wrapper that a decorator put around {inside!r}, and {what[3:]}"
                self.fail(self.node, what, f"pass {inside}.__wrapped__, without the decorator")
            self.fail(self.node, what, "name every argument")
        node, fixed = self.node, frozenset(self.fixed)
        body: list[ast.stmt]
        if isinstance(node, ast.Lambda):
            body = [ast.copy_location(ast.Return(node.body), node.body)]
        else:
            body = node.body
            if ast.get_docstring(node) is not None:
                body = body[1:] or [ast.copy_location(ast.Pass(), node)]
        body = [copied(statement) for statement in split(body, self.local)]
        body = self.block(body)
        self._assigned(body)
        body = self.written_out(hoist(body, self.local, self.fail))
        if not is_compiled_from(self.code, self.file):
            raise changed_error(self.func, self.name)
        own = [name for name in parameter_names(self.code) if name not in fixed and name not in self.held]
        params = [self.renamed.get(part, part) for name in own for part in self.items.get(name, [name])]
        names = [*params, *self.captures.values()]
        callees = {
            f.name: Callee([*f.kernel.params, *(name for name, _ in f.kernel.captures)], f.kernel.access)
            for f in self.functions
        }
        flow = Flow(body, params, names, callees)
        writes = lambda name, k: name in callees and callees[name].access[callees[name].params[k]].writes
        wrong = private.misuse(body, *flow.made())
        while wrong is not None and private.kept_copies(body, wrong, flow.made()[0], writes):
            flow = Flow(body, params, names, callees)
            wrong = private.misuse(body, *flow.made())
        if wrong is not None:
            self.fail(wrong.node, wrong.what, wrong.remedy)
        text_name = self.free("f" if self.name == "lambda" else self.name, builtin=True)
        made = tree_of(f"def {text_name}(): pass").body[0]
        assert isinstance(made, ast.FunctionDef)
        ast.copy_location(made, self.node)
        made.args = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])
        made.body = body
        forget(made)
        called = frozenset(callee.name for callee in self.functions)
        function = Function(
            ast.fix_missing_locations(made), self.file, called, frozenset(self.choices), sums=tuple(self.sums.items())
        )
        functions = [f for callee in self.functions for f in callee.kernel.functions]
        return Kernel(
            name=self.name,
            file=self.file,
            line=self.code.co_firstlineno,
            params=params,
            captures=[(name, capture) for capture, name in self.captures.items()],
            functions=[*functions, function],
            access=flow.access,
            guards=list(self.guards.values()),
            simple=self.stable and not (self.captures or functions or self.func.__defaults__ or self.held),
            told={**{name: told for f in self.functions for name, told in f.kernel.told.items()}, **self.told},
            shape=self.returned_shape(),
        )

    def _assigned(self, body: list[ast.stmt]) -> None:
        """Refuse variables and results that have no value, and tell of those that have none on some paths."""
        found = unassigned(body, {*parameter_names(self.code), *self.renamed.values()})
        if found.never is not None:
            name = found.never.id
            self.fail(found.never, f"it uses {name!r} before it is assigned", "assign it first")
        if found.ends and len(self.active) > 1:
            what = "it returns a value on some of its paths and none on others"
            self.fail(self.node, what, "end it with a return of a value, which is for all that is left")
        for node, line in [] if of_library(self.file) else found.perhaps:
            tell(
                ("unassigned", node.id, self.file, node.lineno),
                f"kernel {self.name!r}: {node.id!r} has a value only where the condition of line {line} holds. It is 0 "
                "elsewhere, where Python would stop. Instead: give it a value before, or write an else",
                self.file,
                node.lineno,
            )

    def lifted(self, func: types.FunctionType, fixed: Fixed) -> Kernel:
        return _Lifter(func, self.active, fixed).kernel()

    # statements and expressions -------------------------------------------------------------------

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Statements, visited; what is never reached is left out."""
        found: list[ast.stmt] = []
        for statement in statements:
            made = self.visit(statement)
            found += made if isinstance(made, list) else [made]
            if isinstance(found[-1] if found else None, (ast.Return, ast.Break, ast.Continue)):
                break
        return found or [ast.copy_location(ast.Pass(), statements[0])] if statements else found

    def visit(self, node: ast.AST) -> Any:
        if getattr(node, "visited", False):
            return node
        forbidden = FORBIDDEN.get(type(node).__name__)
        if forbidden:
            if not hasattr(node, "lineno"):
                node = self.node
            self.fail(node, f"it uses {forbidden[0]}, which does not exist in kernels", forbidden[1])
        if isinstance(node, (ast.Call, ast.Subscript, ast.Attribute)) and isinstance(
            getattr(node, "ctx", None), ast.Load | None
        ):
            number = self.number(node)
            if number is not None:
                return number
        return super().visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, (str, bytes)):
            self.fail(node, f"it uses the string {node.value!r}", "kernels compute with numbers")
        if node.value is Ellipsis:
            self.fail(node, "it uses an ellipsis, `...`", "write a colon for each axis, such as x[i, :]")
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        if isinstance(node.value, ast.Constant):  # a comment written as a string
            return ast.copy_location(ast.Pass(), node)
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        holds = self.truth(node.test)
        if holds is not None:
            return self.block(node.body if holds else node.orelse)
        node.test = self.visit(node.test)
        self.branches(node)
        return node

    def visit_While(self, node: ast.While) -> ast.stmt:
        self.repeated(node)
        node.test = self.visit(node.test)
        self.branches(node)
        return node

    def visit_For(self, node: ast.For) -> ast.stmt | list[ast.stmt]:
        before, anew = evaluated(node, self.builtin, self.local)
        if anew is not None:
            what = f"it assigns {anew.id!r} anew in the loop over {anew.id}, which goes on over what it was"
            self.fail(node, what, "use another name for the new one")
        rounds = unrolled(node, self.node, self.length, self.builtin)
        if rounds is not None:
            return self.block([*before, *rounds])
        before = self.block(before)
        node = counted(node, self.builtin, self.local)
        node.iter = self.visit(node.iter)
        self.repeated(node)
        node.target = self.visit(node.target)
        self.branches(node)
        return [*before, node]

    def branches(self, node: ast.If | ast.For | ast.While) -> None:
        """Two blocks of which one runs, or none: parameters that are no numbers stay so in the other one."""
        before, unsure = dict(self.fixed), set(self.unsure)
        node.body = self.block(node.body)
        first, also, left = self.fixed, self.unsure, isinstance(node, ast.If) and leaves(node.body)
        self.fixed, self.unsure = before, unsure
        node.orelse = self.block(node.orelse)
        if left:
            return
        if leaves(node.orelse):
            self.fixed, self.unsure = first, also
            return
        self.unsure = (also | self.unsure) | (first.keys() ^ self.fixed.keys())
        self.fixed = {name: value for name, value in self.fixed.items() if name in first}

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt]:
        first = node.targets[0]
        if isinstance(first, ast.Subscript):  # numbers of a list are stored
            node.value = self.each(node.value) or node.value
            if isinstance(node.value, ast.List):
                node.value = ast.copy_location(ast.Tuple(node.value.elts, ast.Load()), node.value)
        node.value = self.visit(node.value)
        if isinstance(first, (ast.Tuple, ast.List)) and any(isinstance(part, ast.Starred) for part in first.elts):
            return self.apart(first, node.value)
        if (made := self.filled(node.targets, node.value)) is not None:
            return made
        shape, dims = self.shape(node.value), self.lengths(node.value)
        node.targets = [self.visit(target) for target in node.targets]
        for target in node.targets:
            self.note(target, shape, dims)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        holds = self.truth(node.test)
        if holds is not None:
            return self.visit(node.body if holds else node.orelse)
        self.generic_visit(node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        return self._test(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        return self._test(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        stop = isinstance(node.op, ast.Or)
        kept: list[ast.expr] = []
        for part in node.values:
            holds = self.truth(part)
            if holds is not (not stop):  # `True and`, `False or` change nothing
                kept.append(part)
            if holds is stop:
                break
        node.values = kept or node.values[:1]
        values: list[ast.expr] = [self._test(part) for part in node.values]
        if len(values) == 1:
            return values[0]
        node.values = values
        return node

    def _test(self, node: ast.expr) -> ast.expr:
        """A test, as a constant if it is known."""
        holds = self.truth(node)
        if holds is not None:
            return ast.copy_location(ast.Constant(holds), node)
        if not isinstance(node, (ast.Compare, ast.UnaryOp)):
            return self.visit(node)
        self.generic_visit(node)
        return self._compared(node) if isinstance(node, ast.Compare) else node

    def _compared(self, node: ast.Compare) -> ast.expr:
        sides = [node.left, *node.comparators]
        for op, *pair in zip(node.ops, sides, sides[1:], strict=False):
            absent = any(isinstance(side, ast.Constant) and side.value is None for side in pair)
            if isinstance(op, (ast.Is, ast.IsNot)) and not absent:
                sign = "==" if isinstance(op, ast.Is) else "!="
                self.fail(node, "it asks whether numbers are the same object", f"compare their values, by {sign}")
        return self._member(node)

    def _member(self, node: ast.Compare) -> ast.expr:
        """`x in (a, b)` as comparisons, since a, b, … may be of different types."""
        op, items = node.ops[0], node.comparators[0]
        if len(node.ops) > 1 or not isinstance(op, (ast.In, ast.NotIn)) or not isinstance(items, ast.Tuple):
            return node
        if len({type(item.value) if isinstance(item, ast.Constant) else item for item in items.elts}) == 1:
            return node
        left, first = node.left, node.left
        if any(isinstance(part, (ast.Call, ast.NamedExpr)) for part in walk(left)):
            name = self.local("sought")
            first, left = ast.NamedExpr(ast.Name(name, ast.Store()), left), ast.Name(name, ast.Load())
        tests: list[ast.expr] = [
            ast.Compare(copied(left) if k else first, [ast.Eq()], [item]) for k, item in enumerate(items.elts)
        ]
        found = ast.BoolOp(ast.Or(), tests) if tests else ast.Constant(False)
        return placed(found if isinstance(op, ast.In) else ast.UnaryOp(ast.Not(), found), node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            if node.id in self.held:
                self.fail(node, f"it assigns to {node.id!r}, which the call gives as a whole", "use another name")
            self.fixed.pop(node.id, None)
            self.unsure.discard(node.id)
            node.id = self.renamed.get(node.id, node.id)
            self.shapes.pop(node.id, None)
            self.privates.pop(node.id, None)
            return node
        if node.id in self.items:
            return placed(ast.Tuple([ast.Name(name, ast.Load()) for name in self.items[node.id]], ast.Load()), node)
        return self.resolve(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.attr in self.fields.get(node.value.id, ()):
            found = self.items[node.value.id][self.fields[node.value.id].index(node.attr)]
            return ast.copy_location(ast.Name(found, ast.Load()), node)
        if isinstance(node.ctx, ast.Load) and self.trace(node) is not None:
            return self.resolve(node)
        node.value = self.visit(node.value)
        return self.field(node) or node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self.items:
            place, names = self.constant(node.slice), self.items[node.value.id]
            if type(place) is int and -len(names) <= place < len(names):
                return ast.copy_location(ast.Name(names[place], ast.Load()), node)
        if isinstance(node.ctx, ast.Load):
            traced = self.trace(node)
            if (
                traced is not None
                and not is_data(traced[1])
                and not isinstance(traced[1], tuple)
                or (traced is not None and traced[0].path and isinstance(traced[0].path[-1], tuple))
            ):
                return self.resolve(node)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            node.value = self.visit(node.value)  # a field of a record
            return node
        self.generic_visit(node)
        return self.cut(node) or node
