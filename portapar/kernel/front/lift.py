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
import math
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from portapar.kernel.front import atomic, private
from portapar.kernel.front.access import Callee, Flow
from portapar.kernel.front.kernel import OPERATORS, Capture, Guard, Kernel, is_data, kind_of, scalar_name, unwrap
from portapar.kernel.front.sources import (
    changed_error,
    find_source,
    is_compiled_from,
    kernel_error,
    parameter_names,
    source_lock,
    tree_of,
)
from portapar.kernel.front.text import copied, with_names

_BUILTINS = frozenset("abs bool complex divmod float int len max min pow range round".split())
_ELSEWHERE = "do it outside of the kernel"
_FORBIDDEN: dict[str, tuple[str, str]] = {
    "Try": ("try/except", "check the condition with if before it can fail"),
    "TryStar": ("try/except", "check the condition with if before it can fail"),
    "Raise": ("raise", "write an error code into an array and check it after the call"),
    "Assert": ("assert", "write an error code into an array and check it after the call"),
    "With": ("with", _ELSEWHERE),
    "AsyncWith": ("with", _ELSEWHERE),
    "Global": ("a global statement", "write results into an array argument"),
    "Nonlocal": ("a nonlocal statement", "write results into an array argument"),
    "Import": ("an import", "import at the top of your module"),
    "ImportFrom": ("an import", "import at the top of your module"),
    "ClassDef": ("a class", "use a structured dtype for records"),
    "FunctionDef": ("a nested function", "define it outside of the kernel and call it"),
    "Lambda": ("a nested lambda", "define it outside of the kernel and call it"),
    "AsyncFunctionDef": ("async", "a kernel is plain sequential code for one index"),
    "AsyncFor": ("async", "a kernel is plain sequential code for one index"),
    "Await": ("await", "a kernel is plain sequential code for one index"),
    "Yield": ("a generator", "write the values into an array argument"),
    "YieldFrom": ("a generator", "write the values into an array argument"),
    "ListComp": ("a list", "use a small private array, np.zeros(4), and a for loop"),
    "SetComp": ("a set", "use a small private array, np.zeros(4), and a for loop"),
    "DictComp": ("a dict", "use arrays, or a structured dtype"),
    "GeneratorExp": ("a generator expression", "use a for loop"),
    "List": ("a list", "use a tuple, or a small private array: np.zeros(4)"),
    "Set": ("a set", "use a tuple, or a small private array: np.zeros(4)"),
    "Dict": ("a dict", "pass its numbers as arguments, or use a structured dtype"),
    "JoinedStr": ("a string", "kernels compute with numbers; format outside of the kernel"),
    "Delete": ("del", "leave it out"),
    "Starred": ("*unpacking", "write the elements out"),
    "Match": ("match", "use if/elif"),
    "Slice": ("a slice", "write a loop over the elements"),
    "TypeAlias": ("a type alias", "define it outside of the kernel"),
}
_PRIVATE = {"zeros": np.zeros, "empty": np.empty, "ones": np.ones, "full": np.full}
#: names that the text needs for itself
_RESERVED = frozenset({"np", "math", "atomic", "private_zeros", "private_empty", "private_full"})

_lifted: dict[tuple[types.CodeType, str], list[Kernel]] = {}  # equal codes may come from two files
_by_code: dict[int, tuple[types.CodeType, list[Kernel]]] = {}  # the same by identity; codes are kept alive here


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
    code = func.__code__
    if id(code) not in _by_code:
        with source_lock:
            _by_code[id(code)] = code, _lifted.setdefault((code, code.co_filename), [])
    kernels = _by_code[id(code)][1]
    for kernel in kernels:
        values = kernel.fits(func)
        if values is not None:
            return kernel, func, values
    with source_lock:
        found = [kernel for kernel in kernels if kernel.fits(func) is not None]
        if not found:
            found = [_Lifter(func, ()).kernel()]
            kernels += found
        kernel = found[0]
    return kernel, func, kernel.values(func)


@dataclass(frozen=True, slots=True)
class _Function:
    """A captured kernel function under the name that the text calls it by."""

    kernel: Kernel
    func: types.FunctionType
    name: str


class _Lifter(ast.NodeTransformer):
    """Checks one function and rewrites it with its captures as parameters."""

    def __init__(self, func: types.FunctionType, active: tuple[types.FunctionType, ...]) -> None:
        self.func, self.code = func, func.__code__
        self.node, self.file = find_source(func)
        self.name = "lambda" if isinstance(self.node, ast.Lambda) else self.node.name
        if any(func is other for other in active):
            self.fail(self.node, "it calls itself", "write the recursion as a loop, with a private array as stack")
        self.active = (*active, func)
        self.captures: dict[Capture, str] = {}
        self.guards: dict[tuple[Capture, bool], Guard] = {}
        self.functions: list[_Function] = []
        self.locals = set(self.code.co_varnames) | set(self.code.co_cellvars)
        self.renamed = {name: self._free(name + "_") for name in self.locals & _RESERVED}
        self.stable = True

    def fail(self, node: ast.AST, what: str, remedy: str) -> Any:
        line, column = getattr(node, "lineno", self.code.co_firstlineno), getattr(node, "col_offset", None)
        raise kernel_error(what, remedy, self.name, self.file, line, column)

    def kernel(self) -> Kernel:
        arguments = self.node.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            what = "it takes *args, **kwargs or keyword-only arguments"
            if isinstance(self.node, ast.FunctionDef) and hasattr(self.func, "__wrapped__"):
                inside = self.func.__wrapped__.__name__
                what = f"it is the wrapper that a decorator put around {inside!r}, and {what[3:]}"
                self.fail(
                    self.node,
                    what,
                    f"pass {inside}.__wrapped__, without the decorator",
                )
            self.fail(self.node, what, "name every argument")
        node = copied(self.node)
        body: list[ast.stmt]
        if isinstance(node, ast.Lambda):
            body = [ast.copy_location(ast.Return(node.body), node.body)]
        else:
            body = node.body
            if ast.get_docstring(node) is not None:
                body = body[1:] or [ast.copy_location(ast.Pass(), node)]
        body = [self.visit(statement) for statement in body]
        if not is_compiled_from(self.code, self.file):
            raise changed_error(self.func, self.name)
        params = [self.renamed.get(name, name) for name in parameter_names(self.code)]
        names = [*params, *self.captures.values()]
        callees = {
            f.name: Callee([*f.kernel.params, *(name for name, _ in f.kernel.captures)], f.kernel.access)
            for f in self.functions
        }
        flow = Flow(body, params, names, callees)
        wrong = private.misuse(body, flow.parts, flow.returned)
        if wrong is not None:
            self.fail(*wrong)
        for statement in body:
            for part in ast.walk(statement):
                if hasattr(part, "lineno"):
                    part.user_line = part.lineno  # type: ignore[attr-defined]
        text_name = self._free("f" if self.name == "lambda" else self.name, builtin=True)
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

    # names ------------------------------------------------------------------------------------

    def _free(self, name: str, builtin: bool = False, besides: Iterable[str] = ()) -> str:
        """A name like this one that nothing in the text has."""
        taken = set(besides)
        taken |= self.locals | _RESERVED | set(self.captures.values())
        taken |= {f.name for callee in self.functions for f in callee.kernel.functions}
        while name in taken or (builtin and hasattr(builtins, name)):
            name += "_"
        return name

    def trace(self, node: ast.AST) -> tuple[Capture, Any, list[str]] | None:
        """The captured value that a name with attributes stands for: (where, value, attributes left).

        None for what is local to the kernel, a builtin, or no name.
        """
        path: list[str] = []
        root = node
        while isinstance(root, ast.Attribute):
            path.insert(0, root.attr)
            root = root.value
        if not isinstance(root, ast.Name):
            return None
        if root.id in self.code.co_freevars:
            found = Capture(self.code.co_freevars.index(root.id))
        elif root.id in self.locals or root.id not in self.func.__globals__:
            return None
        else:
            found = Capture(root.id)
        try:
            value = found.get(self.func)
        except ValueError:
            self.fail(root, f"the variable {root.id!r} has no value yet", "assign it before the call")
        while path and not is_data(value):  # walk module.attribute and object.attribute to a value
            if not hasattr(value, path[0]):
                self.fail(node, f"{ast.unparse(node)} does not exist", "check its spelling")
            found = found.then(path.pop(0))
            value = getattr(value, found.path[-1])
        return found, value, path

    def resolve(self, node: ast.Name | ast.Attribute) -> ast.expr:
        """Rewrite a captured name (with its attributes) by what it stands for."""
        traced = self.trace(node)
        if traced is None:
            if isinstance(node, ast.Attribute):
                node.value = self.visit(node.value)
                return node
            if node.id in self.locals:
                node.id = self.renamed.get(node.id, node.id)
                return node
            if node.id in _BUILTINS:
                return node
            if hasattr(builtins, node.id):
                self.fail(node, f"it uses {node.id}(), which does not exist in kernels", _hint(node.id))
            self.fail(node, f"the name {node.id!r} is not defined", "define it before the call, or pass it in")
            raise AssertionError
        source, value, path = traced
        result = self.meaning(value, source, node)
        for attribute in path:
            result = ast.Attribute(result, attribute, ast.Load())
        return ast.copy_location(result, node)

    def meaning(self, value: Any, source: Capture, node: ast.AST) -> ast.expr:
        """The text for a captured value."""
        self._guard(Guard(source, kind_of(value)))
        constant = source.path[-1] if source.path else ""
        if isinstance(value, float) and isinstance(constant, str):  # math.pi
            for module, alias in ((math, "math"), (np, "np")):
                if getattr(module, constant, None) is value and self._owner(source) is module:
                    return ast.Attribute(ast.Name(alias, ast.Load()), constant, ast.Load())
        if type(value) in (bool, int, float) and math.isfinite(value) and self._final(source):
            self._guard(Guard(source, value, exact=True))
            negative = math.copysign(1, value) < 0
            return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if negative else ast.Constant(value)
        if is_data(value):
            return ast.Name(self._captured(source, value), ast.Load())
        if isinstance(value, tuple) and value:
            return ast.Tuple([self.meaning(v, source.then(k), node) for k, v in enumerate(value)], ast.Load())
        if isinstance(value, types.FunctionType) or hasattr(value, "py_func"):
            known: Any = getattr(atomic, value.__name__, None)
            if known is value:
                return ast.Attribute(ast.Name("atomic", ast.Load()), known.__name__, ast.Load())
            self.fail(node, f"it uses the function {ast.unparse(node)!r} without calling it", "call it by its name")
        short = getattr(value, "__name__", "")
        for module, alias in ((math, "math"), (np, "np")):
            if getattr(module, short, None) is value and not isinstance(value, types.ModuleType):
                return ast.Attribute(ast.Name(alias, ast.Load()), short, ast.Load())
        if isinstance(value, np.dtype) and value.names is None:
            return ast.Attribute(ast.Name("np", ast.Load()), scalar_name(value), ast.Load())
        if isinstance(value, type) and issubclass(value, np.generic):
            return ast.Attribute(ast.Name("np", ast.Load()), scalar_name(np.dtype(value)), ast.Load())
        if short in _BUILTINS and getattr(builtins, short) is value:
            return ast.Name(short, ast.Load())
        what = "the module" if isinstance(value, types.ModuleType) else f"a {type(value).__name__}"
        return self.fail(node, f"it uses {ast.unparse(node)!r}, {what}, which does not exist in kernels", _hint(short))

    def _guard(self, guard: Guard) -> None:
        """What is imported under its own name is taken to stay; what else is named may change."""
        self.guards[guard.capture, guard.exact] = guard
        root, path = guard.capture.root, guard.capture.path
        module = isinstance(root, str) and isinstance(self.func.__globals__[root], types.ModuleType)
        own = not path and getattr(guard.expected, "__name__", None) == root
        self.stable &= not guard.exact and isinstance(root, str) and (module or own)

    def _final(self, source: Capture) -> bool:
        """Whether it is a name of a module, and that says that the name is never assigned anew (PEP 591)."""
        space = self.func.__globals__
        owner = self._owner(source) if source.path else sys.modules.get(space.get("__name__", ""))
        if not isinstance(owner, types.ModuleType) or not (source.path or vars(owner) is space):
            return False
        try:
            annotation = getattr(owner, "__annotations__", {}).get(source.path[-1] if source.path else source.root)
        except NameError:  # Python 3.14 makes them when they are asked for: one of them does not exist
            return False
        return str(annotation).partition("[")[0].rpartition(".")[2] == "Final"

    def _owner(self, source: Capture) -> Any:
        """The object that has the last name of the path."""
        return replace(source, path=source.path[:-1]).get(self.func)

    def _captured(self, source: Capture, value: Any, name: str | None = None) -> str:
        """The parameter that passes a captured value in."""
        if source not in self.captures:
            if name is None:
                first = self.code.co_freevars[source.root] if type(source.root) is int else str(source.root)
                name = "_".join([first, *(str(step) for step in source.path)])
            self.captures[source] = self._free(name)
        return self.captures[source]

    def callee(self, value: Any, source: Capture) -> _Function:
        """A captured kernel function, lifted."""
        func = unwrap(value)
        self._guard(Guard(source, kind_of(func)))
        for known in self.functions:
            if known.func.__code__ is func.__code__ and known.kernel.fits(func) is not None:
                kernel, name = known.kernel, known.name
                break
        else:
            kernel = _Lifter(func, self.active).kernel()
            names: dict[str, str] = {}
            for f in kernel.functions:
                names[f.name] = self._free(f.name, builtin=True, besides=names.values())
            kernel = replace(kernel, functions=[with_names(f, names) for f in kernel.functions])
            name = names[list(names)[-1]]
            self.functions.append(_Function(kernel, func, name))
        for guard in kernel.guards:
            self._guard(replace(guard, capture=source.then(guard.capture)))
        return _Function(kernel, func, name)

    # statements and expressions -------------------------------------------------------------------

    def visit(self, node: ast.AST) -> Any:
        forbidden = _FORBIDDEN.get(type(node).__name__)
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

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            node.id = self.renamed.get(node.id, node.id)
            return node
        return self.resolve(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            node.value = self.visit(node.value)
            return node
        return self.resolve(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            node.value = self.visit(node.value)  # a field of a record
            return node
        if any(isinstance(part, ast.Slice) for part in ast.walk(node.slice)):
            self.fail(node, "it takes a slice", "write a loop over the elements")
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        traced = self.trace(node.func)
        if traced is None or traced[2]:
            self.generic_visit(node)
            return node
        source, value, _ = traced
        for name, constructor in _PRIVATE.items():
            if value is constructor:
                return self._private(node, name, source)
        is_kernel = isinstance(value, types.FunctionType) and getattr(atomic, value.__name__, None) is not value
        if not (is_kernel or hasattr(value, "py_func") or _is_operator(value)):
            self.generic_visit(node)
            return node
        called = self.callee(value, source)
        kernel = called.kernel
        if node.keywords:
            self.fail(node, "it calls a kernel function with keywords", "pass the arguments by position")
        node.args = [self.visit(argument) for argument in node.args]
        given, wanted, defaults = len(node.args), len(kernel.params), called.func.__defaults__ or ()
        if not wanted - len(defaults) <= given <= wanted:
            self.fail(node, f"{kernel.name}() takes {wanted} arguments and got {given}", "pass what it needs")
        for k in range(given, wanted):
            number = k - (wanted - len(defaults))
            where = source.then(Capture(None, ("__defaults__", number)))
            if not is_data(defaults[number]):
                self.fail(node, f"the default {defaults[number]!r} of {kernel.name}() is no number", "pass it")
            self._guard(Guard(where, "data"))
            name = self._captured(where, defaults[number], f"{called.name}_{kernel.params[k]}")
            node.args.append(ast.copy_location(ast.Name(name, ast.Load()), node))
        for name, capture in kernel.captures:
            where = source.then(capture)
            name = self._captured(where, where.get(self.func), f"{called.name}_{name}")
            node.args.append(ast.copy_location(ast.Name(name, ast.Load()), node))
        node.func = ast.copy_location(ast.Name(called.name, ast.Load()), node.func)
        node.func.called = True  # type: ignore[attr-defined]
        return node

    def _private(self, node: ast.Call, maker: str, source: Capture) -> ast.expr:
        """np.zeros(4) and its kin become small arrays on the stack."""
        self._guard(Guard(source, kind_of(_PRIVATE[maker])))
        arguments = dict(
            zip(("shape", *(("fill_value",) if maker == "full" else ()), "dtype"), node.args, strict=False)
        )
        for keyword in node.keywords:
            if keyword.arg not in ("shape", "fill_value", "dtype"):
                self.fail(node, f"np.{maker}({keyword.arg}=…)", "give the shape and the dtype alone")
            arguments[keyword.arg] = keyword.value
        shape = arguments.get("shape")
        sizes = [self._constant(s) for s in (shape.elts if isinstance(shape, ast.Tuple) else [shape])]
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
        kind = self._dtype(node, arguments.get("dtype"), self._constant(fill) if fill is not None else 0.0)
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
            kind = self._constant(asked)
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

    def _constant(self, node: ast.AST | None) -> Any:
        """The value of an expression that the text may hold as a constant; None if it has none."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name) and node.id in ("bool", "int", "float", "complex") and not self.trace(node):
            return getattr(builtins, node.id)
        traced = self.trace(node) if node is not None else None
        if traced is None or traced[2]:
            return None
        source, value, _ = traced
        if not isinstance(value, (int, float, str, tuple, type, np.dtype, np.generic)):
            return None
        self._guard(Guard(source, value, exact=True))
        return value


def _is_operator(value: Any) -> bool:
    return any(value is known for known in OPERATORS) and not hasattr(builtins, value.__name__)


def _hint(name: str) -> str:
    if name in ("print", "open", "input"):
        return "write the values into an array argument and print them after the call"
    if name in ("sum", "sorted", "map", "filter", "zip", "enumerate", "any", "all"):
        return "write a for loop over range(...)"
    if name in ("list", "dict", "set", "tuple", "str"):
        return "use arrays: kernels compute with numbers"
    return "kernels use numbers, arrays, math.*, np.* and other kernel functions; pass what you need as those"
