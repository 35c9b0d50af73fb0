"""Loop bodies that end by storing a result: ``out[i] = value`` is a transform, and runs as fast as one.

A transform's output can be written past the caches of a CPU, and a GPU can have the loads of several iterations
under way before the first store. Both reorder loads and stores, which is only right where the body writes one
array, at its own index, once, as its last step.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import replace

from portapar.kernel.front.kernel import Kernel
from portapar.kernel.front.trees import copied

__all__ = ["result"]


@functools.lru_cache(maxsize=4096)
def result(kernel: Kernel, ndim: int) -> tuple[Kernel, str] | None:
    """A body as a function that returns what it would store, and the name of the array; None if it is not so.

    A body with loops is left alone: its iterations may be heavy and uneven.
    """
    function = kernel.functions[-1]
    written = [name for name, use in kernel.access.items() if use.writes]
    if len(written) != 1 or not kernel.access[written[0]].pointwise:
        return None
    (name,) = written
    nodes = [node for f in kernel.functions for node in f.nodes()]
    if any(isinstance(node, (ast.For, ast.While)) for node in nodes):
        return None
    *_, last = function.body
    if not isinstance(last, (ast.Assign, ast.AugAssign)):
        return None
    targets = last.targets if isinstance(last, ast.Assign) else [last.target]
    index = kernel.params[0] if ndim == 1 else f"({', '.join(kernel.params[:ndim])})"
    if len(targets) != 1 or ast.unparse(targets[0]) != f"{name}[{index}]".replace("[(", "[").replace(")]", "]"):
        return None
    stores = [n for n in nodes if isinstance(n, (ast.Subscript, ast.Attribute)) and isinstance(n.ctx, ast.Store)]
    if stores != targets or any(isinstance(node, ast.Return) for node in function.nodes()):
        return None
    node = copied(function.node)
    last = node.body[-1]
    assert isinstance(last, (ast.Assign, ast.AugAssign))
    value = last.value
    if isinstance(last, ast.AugAssign):
        before = copied(last.target)
        assert isinstance(before, ast.Subscript)
        before.ctx = ast.Load()
        value = ast.copy_location(ast.BinOp(before, last.op, value), last)
    node.body[-1] = ast.copy_location(ast.Return(value), last)
    return replace(kernel, functions=[*kernel.functions[:-1], replace(function, node=node)]), name
