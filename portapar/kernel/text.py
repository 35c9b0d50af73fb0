"""Module texts: how kernels and the glue of a form become the text of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portapar.kernel import source
from portapar.kernel.program import Program, Spec


class Text:
    """Puts kernels and the glue of a form into one module text."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.names: list[str] = []
        self.origin: dict[int, tuple[str, int]] = {}
        self.line = 1

    def kernel(self, kernel: source.Kernel, name: str) -> None:
        """Add a kernel's functions; the kernel itself is called `name`."""
        fresh = source.renamed(kernel, name)
        for function, file in fresh:
            text, origin = source.write(function, file)
            self.add(text, function.name, origin)

    def kernels(self, kernels: Sequence[source.Kernel], name: str) -> None:
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
