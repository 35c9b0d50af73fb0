"""Fusion: a kernel that is given a lazy input in the place of an array, or captures one, is written anew.

The parameter `x` becomes the arrays and numbers that the input is made of, its leaves; ``x[i]`` becomes a call of
the input's getter, which computes the element from them; ``len(x)`` and ``x.shape`` become its length and its
shape. Kernel functions that `x` is passed on to are written anew in the same way. What a lazy input cannot do,
such as being written to, is refused with the user's own line.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from portapar import cache, forks
from portapar.kernel.front.access import Access
from portapar.kernel.front.kernel import Capture, Function, Kernel
from portapar.kernel.front.sources import kernel_error
from portapar.kernel.front.text import renamed
from portapar.kernel.front.trees import copied, placed


@dataclass(frozen=True, eq=False)
class Getter:
    """How kernels read a lazy input.

    Attributes
    ----------
    kernel : Kernel
        ``get(i[, j[, k]], *leaves)`` returns an element.
    own : tuple of bool
        For every leaf, whether it is used at the index of `get` and nowhere else.
    ndim : int
        Number of indices.
    sized : int
        Which leaf has the input's shape; `counts` says that it is the number of elements itself.
    counts : bool
    """

    kernel: Kernel
    own: tuple[bool, ...]
    ndim: int
    sized: int
    counts: bool


_fused: dict[tuple[Any, ...], Kernel] = cache.Bounded()
_lock = forks.lock()


def fuse(kernel: Kernel, given: Mapping[str, Getter]) -> Kernel:
    """The kernel with each parameter or capture of `given` replaced by that lazy input's leaves, in order.

    Raises
    ------
    KernelError
        It uses the input as only an array can be used.
    """
    key = (kernel, *given.items())
    with _lock:
        if key not in _fused:
            _fused[key] = _Fuser(kernel).kernel(given)
    return _fused[key]


class _Fuser:
    """Writes a kernel's functions anew, callees first."""

    def __init__(self, kernel: Kernel) -> None:
        self.old = kernel
        self.functions = {f.name: f for f in kernel.functions}
        self.written: list[Function] = []
        self.names: dict[Any, str] = {}
        self.getters: dict[int, str] = {}
        self.taken: set[str] = set().union(*(f.names() for f in kernel.functions))

    def kernel(self, given: Mapping[str, Getter]) -> Kernel:
        old = self.old
        leaves = self.leaves(given)
        self.function(old.functions[-1].name, given, leaves)
        access = {name: use for name, use in old.access.items() if name not in given}
        for name, getter in given.items():
            use = old.access[name]
            for leaf, own in zip(leaves[name], getter.own, strict=True):
                access[leaf] = Access(reads=True, pointwise=use.pointwise and own, rank=use.rank)
        params = [leaf for name in old.params for leaf in leaves.get(name, [name])]
        captures: list[tuple[str, Capture]] = []
        for name, capture in old.captures:
            if name in given:
                captures += ((leaf, capture.then("values", k)) for k, leaf in enumerate(leaves[name]))
            else:
                captures.append((name, capture))
        return replace(
            old, params=params, captures=captures, functions=self.written, access=access, guards=[], simple=False
        )

    def free(self, name: str) -> str:
        while name in self.taken or any(other.startswith(f"{name}_") for other in self.taken):
            name += "_"
        self.taken.add(name)
        return name

    def leaves(self, given: Mapping[str, Getter]) -> dict[str, list[str]]:
        """Parameters for the leaves."""
        return {name: [self.free(f"{name}_{k}") for k in range(len(getter.own))] for name, getter in given.items()}

    def getter(self, getter: Getter, name: str) -> str:
        """The name by which the text calls a getter."""
        if id(getter) not in self.getters:
            self.getters[id(getter)] = fresh = self.free(f"{name}_get")
            self.written += renamed(getter.kernel, fresh)
            self.taken |= {function.name for function in self.written}
        return self.getters[id(getter)]

    def function(self, name: str, given: Mapping[str, Getter], leaves: Mapping[str, list[str]] | None = None) -> str:
        """The name of a function for which these parameters are lazy."""
        key = (name, tuple((param, id(getter)) for param, getter in given.items()))
        if key not in self.names:
            old, first = self.functions[name], leaves is not None
            node = copied(old.node)
            if given and not first:
                node.name = self.free(name)
            leaves = self.leaves(given) if leaves is None else leaves
            rewriter = _Rewriter(self, self.old.name if first else name, old, given, leaves)
            node.body = [rewriter.visit(statement) for statement in node.body]
            node.args.args = [ast.arg(leaf) for param in old.params for leaf in leaves.get(param, [param])]
            self.names[key] = node.name
            self.written.append(replace(old, node=ast.fix_missing_locations(node), calls=frozenset(rewriter.calls)))
        return self.names[key]


class _Rewriter(ast.NodeTransformer):
    """Rewrites the uses of lazy parameters in one function."""

    def __init__(
        self, fuser: _Fuser, name: str, old: Function, given: Mapping[str, Getter], leaves: Mapping[str, list[str]]
    ) -> None:
        self.fuser, self.old, self.given, self.leaves = fuser, old, given, leaves
        self.where = name, old.file
        self.calls: set[str] = set()

    def fail(self, node: ast.AST, name: str, what: str, remedy: str = "") -> NoReturn:
        """`what` says what the kernel does with the lazy input."""
        remedy = remedy or f"read its elements one by one, or pass an array: pp.copy(policy, {name})"
        what = f"it {what}, and {name!r} is a lazy input, which has no memory"
        line, column = getattr(node, "lineno", self.fuser.old.line), getattr(node, "col_offset", None)
        raise kernel_error(what, remedy, *self.where, line, column)

    def lazy(self, node: ast.AST | None) -> str:
        """The name of a lazy parameter; empty for everything else."""
        return node.id if isinstance(node, ast.Name) and node.id in self.given else ""

    def call(self, node: ast.AST, function: str, arguments: Sequence[ast.expr]) -> ast.Call:
        self.calls.add(function)
        return placed(ast.Call(ast.Name(function, ast.Load()), list(arguments), []), node)

    def arguments(self, name: str) -> list[ast.expr]:
        return [ast.Name(leaf, ast.Load()) for leaf in self.leaves[name]]

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        name = self.lazy(node.value)
        if not name:
            self.generic_visit(node)
            return node
        if not isinstance(node.ctx, ast.Load):
            self.fail(node, name, f"writes to {name!r}", "write into an array argument")
        getter = self.given[name]
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if len(index) != getter.ndim:
            what = f"takes {name!r} at {len(index)} ind{'ex' if len(index) == 1 else 'ices'} of {getter.ndim}"
            self.fail(node, name, what, "give all indices at once, such as x[i, j]")
        function = self.fuser.getter(getter, name)
        return self.call(node, function, [*(self.visit(part) for part in index), *self.arguments(name)])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        name = self.lazy(node.value)
        getter = self.given.get(name)
        if getter is None or node.attr not in ("shape", "size", "ndim"):
            self.generic_visit(node)
            return node
        new: ast.expr
        if node.attr == "ndim":
            new = ast.Constant(getter.ndim)
        elif getter.counts:
            new = ast.Name(self.leaves[name][getter.sized], ast.Load())
            new = ast.Tuple([new], ast.Load()) if node.attr == "shape" else new
        else:
            new = ast.Attribute(ast.Name(self.leaves[name][getter.sized], ast.Load()), node.attr, ast.Load())
        return placed(new, node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        func = node.func
        name = self.lazy(node.args[0]) if node.args else ""
        if name and isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "atomic":
            self.fail(node, name, f"writes to {name!r}", "write into an array argument")
        if name and isinstance(func, ast.Name) and func.id == "len" and len(node.args) == 1:
            getter = self.given[name]
            leaf = ast.Name(self.leaves[name][getter.sized], ast.Load())
            return placed(leaf if getter.counts else ast.Call(func, [leaf], []), node)
        if not self.old.is_called(func):
            self.generic_visit(node)
            return node
        params = self.fuser.functions[func.id].params
        inner: dict[str, Getter] = {}
        arguments: list[ast.expr] = []
        for param, argument in zip(params, node.args, strict=True):
            name = self.lazy(argument)
            if name:
                inner[param] = self.given[name]
                arguments += placed(ast.Tuple(self.arguments(name), ast.Load()), argument).elts
            else:
                arguments.append(self.visit(argument))
        node.args = arguments
        func.id = self.fuser.function(func.id, inner)
        self.calls.add(func.id)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        name = self.lazy(node)
        if name:
            what = f"uses {name!r} as a whole" if isinstance(node.ctx, ast.Load) else f"assigns to {name!r}"
            self.fail(node, name, what)
        return node
