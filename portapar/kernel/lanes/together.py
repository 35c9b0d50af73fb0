"""Iterations without loops that may run at the same time, although they read what they write."""

from __future__ import annotations

import ast
import functools

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import index_of, stored_in, walk
from portapar.kernel.jit.functions import function_texts
from portapar.kernel.lanes.straight import straight
from portapar.kernel.program import Program, has_loop


@functools.lru_cache(maxsize=4096)
def runs_together(program: Program) -> bool:
    """Whether iterations that run next to each other may all load before one of them stores."""
    if program.form != "map" or program.sequential or has_loop(program.text):
        return False
    body = straight({name: tree_of(text) for name, text in function_texts(program).items()}, "body")
    return body is not None and stores_last(program, body)


def stores_last(program: Program, body: ast.Module) -> bool:
    """Whether iterations that run next to each other may all load before one of them stores.

    So it is where they run at the same time, as ``d[i, j] = min(d[i, j], d[i, k] + d[k, j])``, in whatever order: LLVM
    could only compare addresses, and finds that they meet. All must be read before the first store, which is the last
    step, in one place of a row for each iteration.
    """
    if not program.written or program.updated:
        return False
    function = body.body[0]
    assert isinstance(function, ast.FunctionDef)
    params = [p.arg for p in function.args.args]
    own, arrays = params[program.ndim - 1], params[program.ndim :]
    written = {arrays[k]: program.specs[k] for k in program.written}
    elements = {id(n.value) for n in walk(function) if isinstance(n, (ast.Subscript, ast.Attribute))}
    if any(isinstance(n, ast.Name) and n.id in written and id(n) not in elements for n in walk(function)):
        return False  # functions may do anything with an array
    stores = [n for n in walk(function) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)]
    for store in stores:
        name = store.value.id if isinstance(store.value, ast.Name) else ""
        last = index_of(store)[-1]
        if name not in written or not written[name].contiguous or len(index_of(store)) != written[name].ndim:
            return False
        while isinstance(last, ast.Call) and ast.unparse(last.func) == "np.uint64":
            (last,) = last.args
        if not (isinstance(last, ast.Name) and last.id == own):
            return False
    return bool(stores) and own not in stored_in(function) and _ends_by(function.body, len(stores))


def _ends_by(body: list[ast.stmt], stores: int) -> bool:
    """Whether so many stores are in last steps, each in a branch of its own; there is no loop, nor a function that
    might store."""
    found = 0

    def look(steps: list[ast.stmt], end: bool) -> bool:
        nonlocal found
        for place, step in enumerate(steps, 1):
            last = end and place == len(steps)
            match step:
                case ast.If(body=some, orelse=others):
                    if not (look(some, last) and look(others, last)):
                        return False
                case ast.Assign(targets=[ast.Subscript()]) | ast.AugAssign(target=ast.Subscript()):
                    if not last:
                        return False
                    found += 1
                case ast.Assign(targets=[ast.Name()]) | ast.AugAssign(target=ast.Name()) | ast.Pass():
                    pass
                case _:
                    return False
        return True

    return look(body, True) and found == stores
