"""Texts: copies of syntax trees under other names, and how kernels and a form's glue become the text of a program."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from portapar.kernel.front.kernel import Function, Kernel
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import copied, walk
from portapar.kernel.program import Program, Spec

Origin = dict[int, tuple[str, int]]


def with_names(function: Function, names: dict[str, str]) -> Function:
    """A copy with other names, which it has no variables of, for itself and for what it calls."""
    new = copied(function.node)
    new.name = names.get(new.name, new.name)
    if function.calls:
        for node in walk(new):
            if isinstance(node, ast.Name) and node.id in function.calls:
                node.id = names.get(node.id, node.id)
    return replace(function, node=new, calls=frozenset(names.get(name, name) for name in function.calls))


def tell_apart(function: ast.FunctionDef, fresh: Callable[[str], str]) -> None:
    """Give a name that is assigned several times a name for each, where all reads follow one of them in its block.

    So ``d = X[i]``, … , ``d = Y[i]``, … are two rows. Loops assign what they count by, to be read inside alone.
    """
    uses = [node for node in walk(function) if isinstance(node, ast.Name)]
    stores = Counter(node.id for node in uses if isinstance(node.ctx, ast.Store))
    several = {name for name, count in stores.items() if count > 1}
    if not several:
        return
    found: dict[str, list[tuple[ast.Name, list[ast.Name]]]] = {name: [] for name in several}
    for node in walk(function):
        for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if isinstance(body, list):
                _follow(body, found)
    loads = Counter(node.id for node in uses if isinstance(node.ctx, ast.Load))
    for name, places in found.items():
        reads = [read for _, following in places for read in following]
        plain = all(isinstance(read.ctx, ast.Load) for read in reads)
        if len(places) < stores[name] or len(reads) != loads[name] or not plain:
            continue
        for target, following in places[1:]:
            target.id = fresh(name)
            for read in following:
                read.id = target.id


def _follow(body: list[ast.stmt], found: dict[str, list[tuple[ast.Name, list[ast.Name]]]]) -> None:
    """Note what a block assigns, and which uses of the name follow in it before the next time."""
    last: dict[str, list[ast.Name]] = {}
    for statement in body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
        own = target if isinstance(target, ast.Name) and target.id in found else None
        for counter in walk(statement.target) if isinstance(statement, ast.For) else ():
            if isinstance(counter, ast.Name) and counter.id in found:
                last.pop(counter.id, None)
                inside = [node for step in statement.body for node in walk(step)]  # type: ignore[attr-defined]
                reads = [n for n in inside if isinstance(n, ast.Name) and n.id == counter.id]
                found[counter.id].append((counter, reads))
        for node in walk(statement) if last or own else ():
            if isinstance(node, ast.Name) and node.id in last and node is not own:
                last[node.id].append(node)
        if own is not None:
            last[own.id] = []
            found[own.id].append((own, last[own.id]))


def renamed(kernel: Kernel, name: str) -> list[Function]:
    """The functions of a kernel, it itself called `name` and its callees after it."""
    used = {n.id for f in kernel.functions for n in f.nodes() if isinstance(n, ast.Name)}
    names: dict[str, str] = {}
    for function in kernel.functions[:-1]:
        new = f"{name}_{function.name}"
        while new in used:
            new += "_"
        names[function.name] = new
    names[kernel.functions[-1].name] = name
    return _distinct([with_names(f, names) for f in kernel.functions])


def _distinct(functions: list[Function]) -> list[Function]:
    """The same functions without those that say what an earlier one says: each costs compile time."""
    known: dict[str, str] = {}
    instead: dict[str, str] = {}
    found = []
    for function in functions[:-1]:
        own = with_names(function, instead) if instead else function
        text = "\n".join(map(ast.dump, [own.node.args, *own.body]))
        if known.setdefault(text, own.name) == own.name:
            found.append(own)
        else:
            instead[own.name] = known[text]
    return [*found, with_names(functions[-1], instead) if instead else functions[-1]]


def write(function: Function) -> tuple[str, Origin]:
    """The text of a lifted function, and the user's line for each line of it."""
    text = ast.unparse(function.node) + "\n"
    origin: Origin = {}
    if function.file:
        for new, old in zip(walk(tree_of(text).body[0]), function.nodes(), strict=True):
            if isinstance(new, (ast.stmt, ast.expr)) and isinstance(old, (ast.stmt, ast.expr)):
                origin.setdefault(new.lineno, (function.file, old.lineno))
    return text, origin


class Text:
    """Puts kernels and the glue of a form into one module text."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.names: list[str] = []
        self.origin: dict[int, tuple[str, int]] = {}
        self.line = 1

    def kernel(self, kernel: Kernel, name: str) -> None:
        """Add a kernel's functions; the kernel itself is called `name`."""
        for function in renamed(kernel, name):
            text, origin = write(function)
            self.add(text, function.name, origin)

    def kernels(self, kernels: Sequence[Kernel], name: str) -> None:
        """Add several, called `name` with their numbers."""
        for k, kernel in enumerate(kernels):
            self.kernel(kernel, f"{name}{k}")

    def add(self, text: str, name: str, origin: dict[int, tuple[str, int]] | None = None) -> None:
        for line, where in (origin or {}).items():
            self.origin[line + self.line - 1] = where
        self.parts.append(text)
        self.names.append(name)
        self.line += text.count("\n")

    def program(self, form: str, specs: Sequence[Spec], **more: Any) -> Program:
        return Program(form, "".join(self.parts), tuple(self.names), tuple(specs), origin=self.origin, **more)
