"""The kernel front end: from any Python function to the text of a program.

A kernel is found as source (of a file, a notebook cell, or a lambda inside a longer line), checked,
and written anew as a plain top-level function in which everything that it captured has become an
argument. Changing a captured number or array therefore never recompiles. What kernels cannot use is
refused here, with the user's own line and what to write instead.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import linecache
import math
import operator
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar.errors import KernelError
from portapar.kernel import atomic

Origin = dict[int, tuple[str, int]]

_OPERATORS: dict[Any, str] = {
    operator.add: "lambda x, y: x + y",
    operator.sub: "lambda x, y: x - y",
    operator.mul: "lambda x, y: x * y",
    operator.truediv: "lambda x, y: x / y",
    operator.floordiv: "lambda x, y: x // y",
    operator.mod: "lambda x, y: x % y",
    operator.and_: "lambda x, y: x & y",
    operator.or_: "lambda x, y: x | y",
    operator.xor: "lambda x, y: x ^ y",
    operator.neg: "lambda x: -x",
    min: "lambda x, y: min(x, y)",
    max: "lambda x, y: max(x, y)",
    abs: "lambda x: abs(x)",
}
_BUILTINS = frozenset(
    "abs bool complex divmod float int len max min pow range round slice sum zip enumerate".split()
) - {"slice", "sum", "zip", "enumerate"}
_FORBIDDEN: dict[type, tuple[str, str]] = {
    ast.Try: ("try/except", "check the condition with if before it can fail"),
    ast.Raise: ("raise", "write an error code into an array and check it after the call"),
    ast.Assert: ("assert", "write an error code into an array and check it after the call"),
    ast.With: ("with", "do it outside of the kernel"),
    ast.Global: ("a global statement", "write results into an array argument"),
    ast.Nonlocal: ("a nonlocal statement", "write results into an array argument"),
    ast.Import: ("an import", "import at the top of your module"),
    ast.ImportFrom: ("an import", "import at the top of your module"),
    ast.ClassDef: ("a class", "use a structured dtype for records"),
    ast.FunctionDef: ("a nested function", "define it outside of the kernel and call it"),
    ast.Lambda: ("a nested lambda", "define it outside of the kernel and call it"),
    ast.AsyncFunctionDef: ("async", "a kernel is plain sequential code for one index"),
    ast.Await: ("await", "a kernel is plain sequential code for one index"),
    ast.Yield: ("a generator", "write the values into an array argument"),
    ast.YieldFrom: ("a generator", "write the values into an array argument"),
    ast.ListComp: ("a list", "use a small private array, np.zeros(4), and a for loop"),
    ast.SetComp: ("a set", "use a small private array, np.zeros(4), and a for loop"),
    ast.DictComp: ("a dict", "use arrays, or a structured dtype"),
    ast.GeneratorExp: ("a generator expression", "use a for loop"),
    ast.List: ("a list", "use a tuple, or a small private array: np.zeros(4)"),
    ast.Set: ("a set", "use a tuple, or a small private array: np.zeros(4)"),
    ast.Dict: ("a dict", "pass its numbers as arguments, or use a structured dtype"),
    ast.JoinedStr: ("a string", "kernels compute with numbers; format outside of the kernel"),
    ast.Delete: ("del", "leave it out"),
    ast.Starred: ("*unpacking", "write the elements out"),
    ast.Match: ("match", "use if/elif"),
}
_PRIVATE = {"zeros": 0, "empty": None, "ones": 1, "full": "fill"}


@dataclass(slots=True)
class Access:
    """How a kernel uses one of its array arguments.

    `pointwise` means that every access is at exactly the kernel's own index; `covers` that every index
    is written for sure, so that what was there before does not matter.
    """

    reads: bool = False
    writes: bool = False
    pointwise: bool = True
    covers: bool = False


@dataclass(frozen=True, slots=True)
class Capture:
    """Where a captured value is found: a closure cell or a global, and attributes from there."""

    cell: int
    name: str
    path: tuple[str, ...] = ()

    def get(self, func: types.FunctionType) -> Any:
        if self.cell >= 0:
            value = func.__closure__[self.cell].cell_contents  # type: ignore[index]
        else:
            value = func.__globals__[self.name]
        for attribute in self.path:
            value = getattr(value, attribute)
        return value


@dataclass(eq=False)
class Kernel:
    """A kernel's source, lifted: what `lift` returns. Shared by all functions of the same code.

    Attributes
    ----------
    name : str
        As the user wrote it; lambdas are called ``lambda``.
    params : list of str
        The user's parameters, in order.
    captures : list
        (parameter name in the text, how to fetch the value): they follow `params`.
    functions : list of ast.FunctionDef
        The lifted functions, callees first; the last one is the kernel.
    access : dict
        Parameter or capture → `Access`.
    """

    name: str
    file: str
    line: int
    params: list[str]
    defaults: tuple[Any, ...]
    captures: list[tuple[str, Callable[[types.FunctionType], Any]]]
    functions: list[ast.FunctionDef]
    access: dict[str, Access]
    guards: list[tuple[Callable[[types.FunctionType], Any], Any]]
    simple: bool  #: nothing is captured and nothing needs checking again

    def values(self, func: types.FunctionType) -> list[Any]:
        """The captured values of this call, in the order of `captures`."""
        return [get(func) for _, get in self.captures]

    def where(self) -> str:
        return f"{self.file}:{self.line}"


def kernel_error(what: str, remedy: str, name: str, file: str, line: int, column: int | None = None) -> KernelError:
    """A KernelError that shows the user's own line."""
    text = linecache.getline(file, line).rstrip()
    shown = f"\n    {text.strip()}" if text else ""
    if text and column is not None:
        shown += "\n    " + " " * max(0, column - (len(text) - len(text.lstrip()))) + "^"
    return KernelError(f"kernel {name!r} ({file}:{line}): {what}.{shown}\n  Instead: {remedy}.")


def _unwrap(func: Any) -> types.FunctionType:
    """The plain Python function behind what the user passed as a kernel."""
    func = getattr(func, "py_func", func)  # a numba dispatcher
    if isinstance(func, types.FunctionType):
        return func
    key = func if _hashable(func) else None
    if key in _OPERATORS:
        return _from_text(_OPERATORS[key])
    if isinstance(func, np.ufunc):
        names = ", ".join("xyzw"[: func.nin])
        if getattr(np, func.__name__, None) is func and func.nout == 1:
            return _from_text(f"lambda {names}: np.{func.__name__}({names})")
    if isinstance(func, types.BuiltinFunctionType) and getattr(math, func.__name__, None) is func:
        return _from_text(f"lambda x: math.{func.__name__}(x)")
    what = f"{type(func).__name__} object" if not isinstance(func, types.MethodType) else "bound method"
    raise KernelError(
        f"{func!r} cannot be a kernel: it is a {what}. Pass a plain function or a lambda, "
        "such as lambda x, y: x + y."
    )


def _hashable(value: Any) -> bool:
    return getattr(type(value), "__hash__", None) is not None


_texts: dict[str, types.FunctionType] = {}


def _from_text(text: str) -> types.FunctionType:
    """A function of our own, with its source where `inspect` finds it."""
    if text not in _texts:
        file = f"<portapar {text}>"
        linecache.cache[file] = (len(text), None, [text + "\n"], file)
        _texts[text] = eval(compile(text, file, "eval"), {"np": np, "math": math})
    return _texts[text]


_lifted: dict[types.CodeType, list[Kernel]] = {}


def lift(func: Any) -> tuple[Kernel, types.FunctionType]:
    """The kernel of a function, from memory if its code was lifted before.

    Raises
    ------
    KernelError
        If the source is not to be had, or uses what a kernel cannot.
    """
    func = _unwrap(func)
    for kernel in _lifted.get(func.__code__, ()):
        if all(_same(get(func), expected) for get, expected in kernel.guards):
            return kernel, func
    kernel = _Lifter(func, set()).kernel()
    _lifted.setdefault(func.__code__, []).append(kernel)
    return kernel, func


def _same(value: Any, expected: Any) -> bool:
    """Whether a captured name still means what the text was made from."""
    if isinstance(expected, types.CodeType):
        return getattr(getattr(value, "py_func", value), "__code__", None) is expected
    if isinstance(expected, type) and not isinstance(value, type):
        return isinstance(value, expected) or _is_data(value)
    return value is expected


def _is_data(value: Any) -> bool:
    """Whether a captured value is a number or an array, to be passed as an argument."""
    if isinstance(value, (bool, int, float, complex, np.generic, np.ndarray)):
        return True
    kind = type(value)  # not the value: a module or a class may have anything as an attribute
    return any(hasattr(kind, name) for name in ("__cuda_array_interface__", "__dlpack__", "partition", "base_data"))


def _find(func: types.FunctionType) -> tuple[ast.FunctionDef | ast.Lambda, str]:
    """The syntax tree of a function, and its file. Lambdas are told apart by their columns."""
    code, file = func.__code__, func.__code__.co_filename
    name = "lambda" if code.co_name == "<lambda>" else code.co_name
    linecache.checkcache(file)
    lines = linecache.getlines(file, func.__globals__)
    if not lines:
        raise KernelError(
            f"kernel {name!r} ({file}:{code.co_firstlineno}): its source text is not to be had (it was typed "
            "into an interpreter, or made by exec), and kernels are compiled from source. "
            "Instead: put it into a file or a notebook cell."
        )
    try:
        tree = _parse(file, "".join(lines))
    except SyntaxError as error:
        raise KernelError(
            f"kernel {name!r} ({file}:{code.co_firstlineno}): the file cannot be read as Python any more ({error})"
        ) from None
    spans = [p for p in code.co_positions() if p[0] is not None and p[2] is not None and p[3] != 0]
    candidates: list[ast.FunctionDef | ast.Lambda] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and name == "lambda":
            inside = all(
                (node.lineno, node.col_offset) <= (p[0], p[2])
                and (p[1] or p[0], p[3] or 0) <= (node.end_lineno, node.end_col_offset)
                for p in spans
                if p[0] != code.co_firstlineno or p[2] != p[3]
            )
            if inside and node.lineno >= code.co_firstlineno - 1:
                candidates.append(node)
        elif isinstance(node, ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                candidates.append(node)
    for node in reversed(candidates):  # the innermost lambda comes last
        arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
        if arguments == list(code.co_varnames[: code.co_argcount]):
            return node, file
    raise KernelError(
        f"kernel {name!r} ({file}:{code.co_firstlineno}): its source is no longer where Python read it; "
        "the file was changed after it was imported. Instead: start Python again."
    )


_parsed: dict[tuple[str, int], ast.Module] = {}


def _parse(file: str, text: str) -> ast.Module:
    key = (file, hash(text))
    if key not in _parsed:
        _parsed[key] = ast.parse(text)
    return _parsed[key]


class _Lifter(ast.NodeTransformer):
    """Checks one function and rewrites it with its captures as parameters."""

    def __init__(self, func: types.FunctionType, active: set[types.CodeType]) -> None:
        self.func, self.code = func, func.__code__
        self.node, self.file = _find(func)
        self.name = "lambda" if isinstance(self.node, ast.Lambda) else self.node.name
        if self.code in active:
            self.fail(self.node, "it calls itself", "write the recursion as a loop, with a private array as stack")
        self.active = active | {self.code}
        self.captures: dict[str, Callable[[types.FunctionType], Any]] = {}
        self.access: dict[str, Access] = {}
        self.guards: list[tuple[Callable[[types.FunctionType], Any], Any]] = []
        self.callees: dict[types.CodeType, Kernel] = {}
        self.indices: list[str] = []
        self.locals = set(self.code.co_varnames) | set(self.code.co_cellvars)

    def fail(self, node: ast.AST, what: str, remedy: str) -> Any:
        line, column = getattr(node, "lineno", self.code.co_firstlineno), getattr(node, "col_offset", None)
        raise kernel_error(what, remedy, self.name, self.file, line, column)

    def kernel(self) -> Kernel:
        arguments = self.node.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            self.fail(self.node, "it takes *args, **kwargs or keyword-only arguments", "name every argument")
        if inspect.isgeneratorfunction(self.func) or inspect.iscoroutinefunction(self.func):
            self.fail(self.node, "it is a generator or a coroutine", "write the values into an array argument")
        params = list(self.code.co_varnames[: self.code.co_argcount])
        node = _copy(self.node)
        if isinstance(node, ast.Lambda):
            body: list[ast.stmt] = [ast.copy_location(ast.Return(node.body), node.body)]
        else:
            body = node.body
            if ast.get_docstring(node) is not None:
                body = body[1:] or [ast.copy_location(ast.Pass(), node)]
        body = [self.visit(statement) for statement in body]
        self._accesses(body, params)
        names = [*params, *self.captures]
        for statement in body:
            for part in ast.walk(statement):
                if hasattr(part, "lineno"):
                    part.user_line = part.lineno  # type: ignore[attr-defined]
        function = ast.FunctionDef(
            name=f"{'f' if self.name == 'lambda' else self.name}",
            args=ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, []),
            body=body,
            decorator_list=[],
            returns=None,
            type_params=[],
        )
        function.file = self.file  # type: ignore[attr-defined]
        functions = [f for callee in self.callees.values() for f in callee.functions]
        return Kernel(
            name=self.name,
            file=self.file,
            line=self.code.co_firstlineno,
            params=params,
            defaults=self.func.__defaults__ or (),
            captures=list(self.captures.items()),
            functions=[*functions, ast.fix_missing_locations(function)],
            access=self.access,
            guards=self.guards,
            simple=not self.captures and not self.guards,
        )

    # names ------------------------------------------------------------------------------------

    def capture(self, name: str) -> Capture | None:
        """Where a name comes from if it is not local to the kernel."""
        if name in self.code.co_freevars:
            return Capture(self.code.co_freevars.index(name), name)
        if name in self.locals:
            return None
        if name in self.func.__globals__:
            return Capture(-1, name)
        return None

    def resolve(self, node: ast.Name | ast.Attribute) -> ast.expr:
        """Rewrite a captured name (with its attributes) by what it stands for."""
        path: list[str] = []
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            path.insert(0, root.attr)
            root = root.value
        if not isinstance(root, ast.Name):
            return self.generic_visit(node)  # type: ignore[return-value]
        if root.id in self.locals and root.id not in self.code.co_freevars:
            return node
        found = self.capture(root.id)
        if found is None:
            if root.id in _BUILTINS or root.id in ("True", "False"):
                return node
            if hasattr(builtins, root.id):
                self.fail(root, f"it uses {root.id}(), which does not exist in kernels", self._hint(root.id))
            self.fail(root, f"the name {root.id!r} is not defined", "define it before the call, or pass it in")
        try:
            value = found.get(self.func)
        except ValueError:
            self.fail(root, f"the variable {root.id!r} has no value yet", "assign it before the call")
        taken: list[str] = []
        while path and not _is_data(value):  # walk module.attr and object.attr to a value
            if isinstance(value, types.ModuleType) or (isinstance(value, type) and issubclass(value, np.generic)):
                self.guards.append((dataclasses.replace(found, path=tuple(taken)).get, value))
            if not hasattr(value, path[0]):
                self.fail(node, f"{ast.unparse(node)} does not exist", "check its spelling")
            taken.append(path.pop(0))
            value = getattr(value, taken[-1])
        source = dataclasses.replace(found, path=tuple(taken))
        if taken and isinstance(value, float):
            for module, alias in ((math, "math"), (np, "np")):
                if getattr(module, taken[-1], None) is value and found.get(self.func) is module:
                    return ast.copy_location(ast.Attribute(ast.Name(alias, ast.Load()), taken[-1], ast.Load()), node)
        result = self.meaning(value, source, node, "_".join([root.id, *taken]))
        for attribute in path:
            result = ast.Attribute(result, attribute, ast.Load())
        return ast.copy_location(result, node)

    def meaning(self, value: Any, source: Capture, node: ast.AST, name: str) -> ast.expr:
        if isinstance(value, (types.FunctionType,)) or hasattr(value, "py_func"):
            for known in (atomic,):
                if getattr(known, getattr(value, "__name__", ""), None) is value:
                    self.guards.append((source.get, value))
                    return ast.Attribute(ast.Name("atomic", ast.Load()), value.__name__, ast.Load())
            return self.callee(value, source)
        if _is_data(value):
            return ast.Name(self._captured(name, source.get, value), ast.Load())
        if isinstance(value, tuple) and value and all(_is_data(v) for v in value):
            parts: list[ast.expr] = []
            for k, part in enumerate(value):
                get = lambda func, k=k: source.get(func)[k]
                parts.append(ast.Name(self._captured(f"{name}_{k}", get, part), ast.Load()))
            self.guards.append((lambda func: len(source.get(func)) == len(value), True))
            return ast.Tuple(parts, ast.Load())
        self.guards.append((source.get, value))
        for module, alias in ((math, "math"), (np, "np")):
            short = getattr(value, "__name__", "")
            if getattr(module, short, None) is value and not isinstance(value, types.ModuleType):
                return ast.Attribute(ast.Name(alias, ast.Load()), short, ast.Load())
        if isinstance(value, type) and issubclass(value, np.generic):
            return ast.Attribute(ast.Name("np", ast.Load()), np.dtype(value).name, ast.Load())
        if getattr(builtins, getattr(value, "__name__", ""), None) is value and value.__name__ in _BUILTINS:
            return ast.Name(value.__name__, ast.Load())
        if isinstance(value, np.dtype) and value.names is None:
            return ast.Attribute(ast.Name("np", ast.Load()), value.name, ast.Load())
        what = "the module" if isinstance(value, types.ModuleType) else f"a {type(value).__name__}"
        return self.fail(
            node, f"it uses {ast.unparse(node)!r}, {what}, which does not exist in kernels", self._hint(name)
        )

    def _captured(self, name: str, get: Callable[[types.FunctionType], Any], value: Any) -> str:
        while name in self.locals:
            name += "_"
        if name not in self.captures:
            self.captures[name] = get
            self.access.setdefault(name, Access())
            # an array may not turn into a number without the text being made anew
            self.guards.append((lambda func: isinstance(get(func), np.ndarray), isinstance(value, np.ndarray)))
        return name

    @staticmethod
    def _hint(name: str) -> str:
        if name in ("print", "open", "input"):
            return "write the values into an array argument and print them after the call"
        if name in ("sum", "sorted", "map", "filter", "zip", "enumerate", "any", "all"):
            return "write a for loop over range(...)"
        if name in ("list", "dict", "set", "tuple", "str"):
            return "use arrays: kernels compute with numbers"
        return "kernels use numbers, arrays, math.*, np.* and other kernel functions; pass what you need as those"

    def callee(self, value: Any, source: Capture) -> ast.expr:
        func = _unwrap(value)
        kernel = self.callees.get(func.__code__)
        if kernel is None:
            kernel = _Lifter(func, self.active).kernel()
            taken = {f.name for k in self.callees.values() for f in k.functions} | self.locals | {"f"}
            _rename(kernel, taken | set(dir(builtins)) | {"np", "math", "atomic"})
            self.callees[func.__code__] = kernel
            self.guards.append((source.get, func.__code__))
            for get, expected in kernel.guards:
                self.guards.append((lambda f, g=get, s=source: g(_unwrap(s.get(f))), expected))
        name = ast.Name(kernel.functions[-1].name, ast.Load())
        name.callee = (kernel, source)  # type: ignore[attr-defined]
        return name

    # statements and expressions -------------------------------------------------------------------

    def visit(self, node: ast.AST) -> Any:
        forbidden = _FORBIDDEN.get(type(node))
        if forbidden:
            self.fail(node, f"it uses {forbidden[0]}, which does not exist in kernels", forbidden[1])
        return super().visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, (bytes,)) or node.value is Ellipsis:
            self.fail(node, f"it uses {node.value!r}", "kernels compute with numbers")
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
            return node
        return self.resolve(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
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
        private = self._private(node)
        if private is not None:
            return private
        self.generic_visit(node)
        target = getattr(node.func, "callee", None)
        if target is None:
            return node
        kernel, source = target
        if node.keywords:
            self.fail(node, "it calls a kernel function with keywords", "pass the arguments by position")
        given, wanted = len(node.args), len(kernel.params)
        if not wanted - len(kernel.defaults) <= given <= wanted:
            self.fail(node, f"{kernel.name}() takes {wanted} arguments and got {given}", "pass what it needs")
        for default in kernel.defaults[len(kernel.defaults) - (wanted - given) :] if given < wanted else ():
            if not isinstance(default, (bool, int, float, complex)):
                self.fail(node, f"the default {default!r} of {kernel.name}() is no number", "pass it")
            node.args.append(ast.copy_location(ast.Constant(default), node))
        for name, get in kernel.captures:
            through = lambda func, g=get, s=source: g(_unwrap(s.get(func)))
            unique = f"{kernel.functions[-1].name}_{name}"
            node.args.append(
                ast.Name(self._captured(unique, through, through(self.func)), ast.Load())
            )
        return node

    def _private(self, node: ast.Call) -> ast.expr | None:
        """np.zeros(4) and its kin become small arrays on the stack."""
        func = node.func
        if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.attr in _PRIVATE):
            return None
        found = self.capture(func.value.id)
        if found is None or found.get(self.func) is not np:
            return None
        if func.attr in ("ones", "full"):
            self.fail(node, f"np.{func.attr}() does not exist in kernels", "use np.zeros(...) and a loop")
        dtype: ast.expr = ast.Attribute(ast.Name("np", ast.Load()), "float64", ast.Load())
        for keyword in node.keywords:
            if keyword.arg != "dtype":
                self.fail(node, f"np.{func.attr}({keyword.arg}=…)", "give the shape and the dtype alone")
            dtype = self.visit(keyword.value)
        if len(node.args) == 2:
            dtype = self.visit(node.args[1])
        if isinstance(dtype, ast.Name) and dtype.id in ("float", "int", "bool", "complex"):
            name = {"float": "float64", "int": "int64", "bool": "bool_", "complex": "complex128"}[dtype.id]
            dtype = ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load())
        shape = node.args[0] if node.args else None
        sizes = shape.elts if isinstance(shape, ast.Tuple) else [shape]
        if not all(isinstance(s, ast.Constant) and isinstance(s.value, int) and s.value > 0 for s in sizes):
            self.fail(
                node,
                f"the shape of a private array, {ast.unparse(shape) if shape else ''}, is not a constant",
                "write numbers, np.zeros(4); for larger or variable scratch space pass an array in",
            )
        name = ast.Name(f"private_{func.attr}", ast.Load())
        return ast.copy_location(ast.Call(name, [shape, dtype], []), node)  # type: ignore[list-item]

    # how arrays are used --------------------------------------------------------------------------

    def _accesses(self, body: list[ast.stmt], params: list[str]) -> None:
        """Fill `access`: what is read and written, and whether only at the kernel's own index."""
        for name in params:
            self.access.setdefault(name, Access())
        stored = {
            n.id
            for statement in body
            for n in ast.walk(statement)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        for statement in body:
            if isinstance(statement, (ast.Return, ast.If, ast.While, ast.For)):
                break
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                if target.value.id in self.access:
                    self.access[target.value.id].covers = True  # counts only where pointwise holds as well
        seen: set[int] = set()
        for statement in body:
            for node in _walk(statement):
                if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                    use = self.access.get(node.value.id)
                    if use is None:
                        continue
                    seen.add(id(node.value))
                    writes = isinstance(node.ctx, ast.Store) or getattr(node, "stored", False)
                    use.writes |= writes
                    use.reads |= not writes or getattr(node, "augmented", False)
                    index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                    names = [part.id if isinstance(part, ast.Name) else "" for part in index]
                    own = names == params[: len(names)] and not stored & set(names)
                    use.pointwise &= own
                elif isinstance(node, ast.Call):
                    self._passed(node, seen)
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    if node.attr in ("shape", "size", "ndim"):
                        seen.add(id(node.value))
                        if node.value.id in self.access:
                            self.access[node.value.id].pointwise = False
                elif isinstance(node, ast.Name) and node.id in self.access and id(node) not in seen:
                    if isinstance(node.ctx, ast.Load):
                        self.access[node.id].reads = True

    def _passed(self, node: ast.Call, seen: set[int]) -> None:
        """Arrays passed on: to atomics, to len(), or to another kernel function."""
        func = node.func
        atomically = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "atomic"
        target = getattr(func, "callee", None)
        for k, argument in enumerate(node.args):
            if not (isinstance(argument, ast.Name) and argument.id in self.access):
                continue
            use = self.access[argument.id]
            if atomically and k == 0:
                use.reads = use.writes = True
                use.pointwise = False
                seen.add(id(argument))
            elif isinstance(func, ast.Name) and func.id == "len":
                use.pointwise = False
                seen.add(id(argument))
            elif target is not None:
                kernel = target[0]
                names = [*kernel.params, *(name for name, _ in kernel.captures)]
                inner = kernel.access.get(names[k]) if k < len(names) else None
                if inner is not None and (inner.writes or not inner.pointwise):
                    use.reads |= inner.reads
                    use.writes |= inner.writes
                    use.pointwise = False
                elif inner is not None and inner.reads:
                    use.reads = True


def _walk(statement: ast.stmt) -> Iterator[ast.AST]:
    """All nodes, with the targets of augmented and field assignments marked as read and written."""
    for node in ast.walk(statement):
        if isinstance(node, ast.AugAssign):
            _mark(node.target, augmented=True)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                    _mark(part, augmented=False)
    yield from ast.walk(statement)


def _mark(target: ast.AST, augmented: bool) -> None:
    """`a[i] += 1` and `a[i].x = 1` write to a (and keep the rest of the record: they read it)."""
    while isinstance(target, (ast.Subscript, ast.Attribute)):
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            target.stored = True  # type: ignore[attr-defined]
            target.augmented = augmented or not isinstance(target.ctx, ast.Store)  # type: ignore[attr-defined]
        target = target.value


def _copy(node: Any) -> Any:
    """A deep copy of a syntax tree: the parsed file stays as it was."""
    fresh = type(node)()
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            value = _copy(value)
        elif isinstance(value, list):
            value = [_copy(v) if isinstance(v, ast.AST) else v for v in value]
        setattr(fresh, name, value)
    return ast.copy_location(fresh, node) if hasattr(node, "lineno") else fresh


def _rename(kernel: Kernel, taken: set[str]) -> None:
    """Give the functions of a callee names that nothing else in the text has."""
    names: dict[str, str] = {}
    for function in kernel.functions:
        new, k = function.name, 1
        while new in taken or new in names.values():
            new, k = f"{function.name}_{k}", k + 1
        names[function.name] = new
    _apply(kernel.functions, names)


def _apply(functions: list[ast.FunctionDef], names: dict[str, str]) -> None:
    for function in functions:
        function.name = names.get(function.name, function.name)
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and hasattr(node, "callee"):
                node.id = names.get(node.id, node.id)


def renamed(kernel: Kernel, name: str) -> list[tuple[ast.FunctionDef, str]]:
    """The functions of a kernel, it itself called `name` and its callees after it, with their files."""
    names = {f.name: f"{name}_{f.name}" for f in kernel.functions[:-1]}
    names[kernel.functions[-1].name] = name
    _apply(kernel.functions, names)
    return [(f, getattr(f, "file", kernel.file)) for f in kernel.functions]


def write(function: ast.FunctionDef, file: str) -> tuple[str, Origin]:
    """The text of a lifted function, and the user's line for each line of it."""
    text = ast.unparse(function) + "\n"
    origin: Origin = {}
    again = ast.parse(text).body[0]
    for new, old in zip(ast.walk(again), ast.walk(function), strict=True):
        if hasattr(new, "lineno") and hasattr(old, "user_line"):
            origin.setdefault(new.lineno, (file, old.user_line))
    return text, origin
