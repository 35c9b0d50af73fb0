"""The kernel front end: from any Python function to the text of a program.

A kernel is found as source (of a file, a notebook cell, or a lambda inside a longer line), checked,
and written anew as a plain top-level function in which everything that it captured has become an
argument. Changing a captured number or array therefore never recompiles. Only a module's number that is marked as
`typing.Final` is written into the text. What kernels cannot use is refused here, with the user's own line and what to
write instead.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import inspect
import types
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from portapar import cache
from portapar.kernel.front import atomic, functions, private
from portapar.kernel.front.access import Callee, Flow
from portapar.kernel.front.kernel import OPERATORS, Capture, Guard, Kernel, held, is_data, kind_of, scalar_name, unwrap
from portapar.kernel.front.names import RESERVED, Names, leaves
from portapar.kernel.front.remedies import FORBIDDEN
from portapar.kernel.front.sources import (
    changed_error,
    is_compiled_from,
    kernel_error,
    parameter_names,
    source_lock,
    tree_of,
)
from portapar.kernel.front.templates import Filled
from portapar.kernel.front.text import copied, with_names
from portapar.kernel.front.unroll import unrolled
from portapar.kernel.front.walrus import hoist, split

_PRIVATE = {"zeros": np.zeros, "empty": np.empty, "ones": np.ones, "full": np.full}
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
    code, tuples = func.__code__, held(func)
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
            kernels += fitting
        kernel = fitting[0]
    return kernel, func, kernel.values(func)


def known(func: types.FunctionType) -> tuple[Kernel, list[Any]] | None:
    """The kernel of a plain function that was lifted before, and the captured values; None if it was not."""
    tuples = held(func)
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
    if not hasattr(func, "__code__"):  # a ufunc, or one of math's
        return False
    return _has_loop(lift(func)[0])


@functools.lru_cache(maxsize=4096)
def _has_loop(kernel: Kernel) -> bool:
    return any(isinstance(node, (ast.For, ast.While)) for part in kernel.functions for node in ast.walk(part))


_Fixed = tuple[tuple[str, Any], ...]  #: parameters that are given what is no number, and what


@dataclass(frozen=True, slots=True)
class _Function:
    """A captured kernel function under the name that the text calls it by."""

    kernel: Kernel
    func: types.FunctionType
    name: str
    fixed: _Fixed = ()


class _Lifter(Names):
    """Checks one function and rewrites it with its captures as parameters."""

    def __init__(self, func: types.FunctionType, active: tuple[Any, ...], fixed: _Fixed = ()) -> None:
        super().__init__(func, dict(fixed))
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
        body = hoist(self.block(body), self.local, self.fail)
        if not is_compiled_from(self.code, self.file):
            raise changed_error(self.func, self.name)
        own = (name for name in parameter_names(self.code) if name not in fixed and name not in self.held)
        params = [self.renamed.get(name, name) for name in own]
        names = [*params, *self.captures.values()]
        callees = {
            f.name: Callee([*f.kernel.params, *(name for name, _ in f.kernel.captures)], f.kernel.access)
            for f in self.functions
        }
        flow = Flow(body, params, names, callees)
        wrong = private.misuse(body, *flow.made())
        if wrong is not None:
            self.fail(*wrong)
        for statement in body:
            for part in ast.walk(statement):
                if hasattr(part, "lineno"):
                    part.user_line = part.lineno  # type: ignore[attr-defined]
        text_name = self.free("f" if self.name == "lambda" else self.name, builtin=True)
        function = tree_of(f"def {text_name}(): pass").body[0]
        assert isinstance(function, ast.FunctionDef)
        function.args = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])
        function.body = body
        function.file = self.file  # type: ignore[attr-defined]
        functions = [f for callee in self.functions for f in callee.kernel.functions]
        return Kernel(
            name=self.name,
            file=self.file,
            line=self.code.co_firstlineno,
            params=params,
            captures=[(name, capture) for capture, name in self.captures.items()],
            functions=[*functions, ast.fix_missing_locations(function)],
            access=flow.access,
            guards=list(self.guards.values()),
            simple=self.stable and not self.captures and not functions and not self.func.__defaults__,
        )

    def callee(self, func: types.FunctionType, source: Capture, fixed: _Fixed) -> _Function:
        """A captured kernel function, lifted."""
        called = self._lifted(func, fixed)
        self._add(called)
        for guard in called.kernel.guards:
            self.guard(replace(guard, capture=source.then(guard.capture)))
        return called

    def _lifted(self, func: types.FunctionType, fixed: _Fixed = ()) -> _Function:
        """A function that the kernel calls, under the name that the text will call it by."""
        for known in self.functions:
            same = known.func.__code__ is func.__code__ and known.fixed == fixed
            if same and known.kernel.fits(func) is not None:
                return replace(known, func=func)
        kernel = _Lifter(func, self.active, fixed).kernel()
        names: dict[str, str] = {}
        for f in kernel.functions:
            names[f.name] = self.free(f.name, builtin=True, besides=names.values())
        kernel = replace(kernel, functions=[with_names(f, names) for f in kernel.functions])
        return _Function(kernel, func, names[list(names)[-1]], fixed)

    def _add(self, called: _Function) -> None:
        if all(known.name != called.name for known in self.functions):
            self.functions.append(called)

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
        forbidden = FORBIDDEN.get(type(node).__name__)
        if forbidden:
            if not hasattr(node, "lineno"):
                node = self.node
            self.fail(node, f"it uses {forbidden[0]}, which does not exist in kernels", forbidden[1])
        return super().visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, (str, bytes)):
            self.fail(node, f"it uses the string {node.value!r}", "kernels compute with numbers")
        if node.value is Ellipsis:
            self.fail(node, "it uses ...", "write a loop over the elements")
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
        rounds = unrolled(node, self.node, self.length, self.builtin)
        if rounds is not None:
            return self.block(rounds)
        node.iter = self.visit(node.iter)
        self.repeated(node)
        node.target = self.visit(node.target)
        self.branches(node)
        return node

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

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        node.value = self.visit(node.value)
        node.targets = [self.visit(target) for target in node.targets]
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
        if isinstance(node, (ast.Compare, ast.UnaryOp)):
            self.generic_visit(node)
            return node
        return self.visit(node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            if node.id in self.held:
                self.fail(node, f"it assigns to {node.id!r}, for which the call passes a tuple", "use another name")
            self.fixed.pop(node.id, None)
            self.unsure.discard(node.id)
            node.id = self.renamed.get(node.id, node.id)
            return node
        return self.resolve(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            node.value = self.visit(node.value)
            return node
        return self.resolve(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
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
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        traced = self.trace(node.func)
        if traced is None or traced[2]:
            if isinstance(node.func, ast.Name):
                node.func = self.resolve(node.func, called=True)
            else:
                node.func = self.visit(node.func)
            return self._arguments(node)
        source, value, _ = traced
        for name, constructor in _PRIVATE.items():
            if value is constructor:
                return self._private(node, name, source)
        remedy = functions.refusal(value, ast.unparse(node.func))
        if remedy is not None:
            self.fail(node, f"it calls {ast.unparse(node.func)}, which does not exist in kernels", remedy)
        own = functions.substitute(value, len(node.args) + len(node.keywords))
        if own is not None:
            return self._own(node, own, source, value)
        if value is not None and getattr(atomic, getattr(value, "__name__", ""), None) is value:
            self._atomic(node, value)
        elif _is_kernel(value):
            return self._kernel_call(node, value, source)
        node.func = self.resolve(node.func, called=True)  # type: ignore[arg-type]
        return self._arguments(node)

    def _arguments(self, node: ast.Call) -> ast.Call:
        node.args = [self.visit(argument) for argument in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        if [keyword.arg for keyword in node.keywords] in (["ndigits"], ["decimals"]):  # renderers know it by position
            node.args, node.keywords = [*node.args, node.keywords[0].value], []
        return node

    def _atomic(self, node: ast.Call, operation: Any) -> None:
        """``pp.atomic.add(y, i, 1.0)`` with another number of arguments is told how to write it."""
        wanted = list(inspect.signature(operation).parameters)
        if node.keywords:
            self.fail(node, f"it calls {ast.unparse(node.func)} with keywords", "pass the arguments by position")
        if len(node.args) == len(wanted):
            return
        name, first = ast.unparse(node.func), node.args[0] if node.args else None
        values = [ast.unparse(part) for part in node.args[1:]]
        array, index = (ast.unparse(first), "i") if first is not None else (wanted[0], "i")
        if isinstance(first, ast.Subscript):
            array, index = ast.unparse(first.value), ast.unparse(first.slice)
            index = f"({index})" if isinstance(first.slice, ast.Tuple) else index
        whole = len(wanted) == 3 or isinstance(first, ast.Subscript)  # or else the index is there, and a value is not
        values = values if whole and len(values) == len(wanted) - 2 else wanted[2:]
        what = f"{name} takes {', '.join(wanted[:-1])} and {wanted[-1]}, and is given {len(node.args)} of them"
        self.fail(node, what, f"write {name}({', '.join([array, index, *values])})")

    def _own(self, node: ast.Call, own: Any, source: Capture, value: Any) -> ast.expr:
        """A call of a function of math, cmath or NumPy for which one of `functions` stands."""
        self.guard(Guard(source, kind_of(value)))
        text = ast.unparse(node.func)
        if own is functions.clip:  # np.clip(x, None, 1.0)
            bounds = {"a_min": 1, "a_max": 2}
            keywords = {functions.parameter(str(k.arg)): k.value for k in node.keywords}
            given = dict(enumerate(node.args)) | {bounds.get(name, -1): part for name, part in keywords.items()}
            none = [k for k, part in given.items() if isinstance(part, ast.Constant) and part.value is None]
            if none in ([1], [2]):
                name = "maximum" if none == [2] else "minimum"
                extremum = ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load())
                made = ast.Call(extremum, [self.visit(given[0]), self.visit(given[3 - none[0]])], [])
                return _located(made, node)
        if isinstance(own, np.ufunc):
            node.func = _located(ast.Attribute(ast.Name("np", ast.Load()), own.__name__, ast.Load()), node)
            return self._arguments(node)
        called = self._lifted(own)
        names = [functions.parameter(str(k.arg)) for k in node.keywords]
        bound = self._by_position(node, text, names, called.kernel.params, own)
        defaults = dict(zip(called.kernel.params[::-1], (own.__defaults__ or ())[::-1], strict=False))
        node.args = [
            ast.copy_location(ast.Constant(defaults[name]), node) if part is None else self.visit(part)
            for name, part in bound.items()
        ]
        node.keywords = []
        (*_, function) = called.kernel.functions
        (statement, *rest) = function.body
        if not rest and isinstance(statement, ast.Return) and len(called.kernel.functions) == 1:
            names = [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and n.id in called.kernel.params]
            if sorted(names) == sorted(called.kernel.params):  # each once: it can stand in the place of the call
                arguments = dict(zip(called.kernel.params, node.args, strict=True))
                assert statement.value is not None
                filled = _located(Filled(arguments).visit(copied(statement.value)), node)
                if isinstance(filled, ast.IfExp):  # np.where takes rows, an `if` of the user's does not
                    filled.elementwise = True  # type: ignore[attr-defined]
                return filled
        self._add(called)
        node.func = ast.copy_location(ast.Name(called.name, ast.Load()), node.func)
        node.func.called = True  # type: ignore[attr-defined]
        return node

    def _by_position(
        self, node: ast.Call, text: str, names: list[str], params: list[str], func: types.FunctionType
    ) -> dict[str, ast.expr | None]:
        """What a call gives each parameter of a function, None where it is to take its default."""
        given = dict(zip(params, node.args, strict=False))
        for name, keyword in zip(names, node.keywords, strict=True):
            if keyword.arg is None or name not in params or name in given:
                what = f"{text} is called with the keywords {', '.join(str(k.arg) for k in node.keywords)}"
                self.fail(node, what, f"pass the arguments by position: {text.removesuffix('()')}({', '.join(params)})")
            given[name] = keyword.value
        needed = params[: len(params) - len(func.__defaults__ or ())]
        if len(node.args) > len(params) or not given.keys() >= {*needed}:
            takes = f"takes {len(params)} argument{'s' * (len(params) != 1)} ({', '.join(params)})"
            self.fail(node, f"{text} {takes} and got {len(node.args) + len(names)}", "pass what it needs")
        return {name: given.get(name) for name in params}

    def _kernel_call(self, node: ast.Call, value: Any, source: Capture) -> ast.expr:
        """A call of a function of the user's; what it is given that is no number is put into its text."""
        func = unwrap(value)
        self.guard(Guard(source, kind_of(value)))
        name = "lambda" if func.__name__ == "<lambda>" else func.__name__
        params, defaults = parameter_names(func.__code__), func.__defaults__ or ()
        given = self._by_position(node, f"{name}()", [str(k.arg) for k in node.keywords], params, func)
        places = {param: source.then(Capture(None, ("__defaults__", k - len(params) + len(defaults))))
                  for k, param in enumerate(params)}  # fmt: skip
        fixed: list[tuple[str, Any]] = []
        for k, (param, part) in enumerate(given.items()):
            if part is None:
                default = defaults[k - len(params)]
                if default is None or (isinstance(default, (str, bytes, enum.Enum)) and not is_data(default)):
                    self.guard(Guard(places[param], default, exact=True))
                    fixed.append((param, default))
            elif (known := self.known(part)) is not None:
                fixed.append((param, known[0]))
        called = self.callee(func, source, tuple(fixed))
        node.args = []
        for k, (param, part) in enumerate(given.items()):
            if param in dict(fixed):
                continue
            default = defaults[k - len(params)] if part is None else None
            if part is not None:
                node.args.append(self.visit(part))
            elif is_data(default):
                self.guard(Guard(places[param], "data"))
                made = self.captured(places[param], default, f"{called.name}_{param}")
                node.args.append(ast.copy_location(ast.Name(made, ast.Load()), node))
            else:
                node.args.append(_located(self.meaning(default, places[param], node), node))
        node.keywords = []
        for captured, capture in called.kernel.captures:
            where = source.then(capture)
            made = self.captured(where, where.get(self.func), f"{called.name}_{captured}")
            node.args.append(ast.copy_location(ast.Name(made, ast.Load()), node))
        node.func = ast.copy_location(ast.Name(called.name, ast.Load()), node.func)
        node.func.called = True  # type: ignore[attr-defined]
        return node

    def _private(self, node: ast.Call, maker: str, source: Capture) -> ast.expr:
        """np.zeros(4) and its kin become small arrays on the stack."""
        self.guard(Guard(source, kind_of(_PRIVATE[maker])))
        arguments = dict(
            zip(("shape", *(("fill_value",) if maker == "full" else ()), "dtype"), node.args, strict=False)
        )
        for keyword in node.keywords:
            if keyword.arg not in ("shape", "fill_value", "dtype"):
                self.fail(node, f"np.{maker}({keyword.arg}=…)", "give the shape and the dtype alone")
            arguments[keyword.arg] = keyword.value
        shape = arguments.get("shape")
        sizes = [self.constant(s) for s in (shape.elts if isinstance(shape, ast.Tuple) else [shape])]
        if len(sizes) == 1 and isinstance(sizes[0], tuple):
            sizes = list(sizes[0])
        if not sizes or not all(isinstance(s, (int, np.integer)) and s > 0 for s in sizes):
            self.fail(
                node,
                f"the shape of a private array, {ast.unparse(shape) if shape else ''}, is not a constant",
                "write numbers, np.zeros(4); for larger or variable scratch space pass an array in",
            )
        numbers: list[ast.expr] = [ast.Constant(int(s)) for s in sizes]
        whole = numbers[0] if len(numbers) == 1 else ast.Tuple(numbers, ast.Load())
        fill = arguments.get("fill_value")
        kind = self._dtype(node, arguments.get("dtype"), self.constant(fill) if fill is not None else 0.0)
        dtype = ast.Attribute(ast.Name("np", ast.Load()), scalar_name(kind), ast.Load())
        given: list[ast.expr] = [whole, dtype]
        if maker in ("ones", "full"):
            given.insert(1, self.visit(fill) if fill is not None else ast.Constant(1))
        name = {"zeros": "private_zeros", "empty": "private_empty"}.get(maker, "private_full")
        made = ast.Call(ast.Name(name, ast.Load()), given, [])
        for part in ast.walk(made):
            if isinstance(part, ast.expr) and not hasattr(part, "lineno"):
                ast.copy_location(part, node)
        return made

    def _dtype(self, node: ast.Call, asked: ast.expr | None, fill: Any) -> np.dtype:
        """The dtype of a private array."""
        kind: Any = asked
        if asked is not None:
            kind = self.constant(asked)
        elif isinstance(fill, (bool, int, float, complex, np.generic)):
            kind = np.asarray(fill).dtype
        try:
            found = np.dtype(kind) if kind is not None else None
        except TypeError:
            found = None
        if found is None or found.kind not in "biufc":
            self.fail(node, "the dtype of a private array is not known", "write it, such as dtype=np.float64")
        assert found is not None
        return found


def _is_kernel(value: Any) -> bool:
    """Whether it is a function of the user's, or one of `operator`."""
    plain = isinstance(value, types.FunctionType) and value.__module__ != "numpy"
    return plain or hasattr(value, "py_func") or _is_operator(value)


def _is_operator(value: Any) -> bool:
    return any(value is known for known in OPERATORS) and not hasattr(builtins, value.__name__)


def _located(new: Any, node: ast.AST) -> Any:
    """A new expression at the user's place."""
    for part in ast.walk(new):
        if isinstance(part, ast.expr):
            ast.copy_location(part, node)
    return new
