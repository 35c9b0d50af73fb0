"""``sum(f(k) for k in range(n))``, `any`, `all`, `min` and `max` of generators, as loops."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from portapar.kernel.front.trees import copied, placed, stored_in, walk, whole_number
from portapar.kernel.front.unroll import Builtin, Length

_KEYWORDS = {"sum": ("start",), "min": ("default",), "max": ("default",), "any": (), "all": ()}


def fold(
    node: ast.Call,
    builtin: Builtin,
    length: Length,
    local: Callable[[str], str],
    fail: Callable[[ast.AST, str, str], NoReturn],
) -> tuple[str, str, list[ast.stmt]] | None:
    """The statements that compute such a call; None for all other calls.

    Parameters
    ----------
    builtin : callable
        The name of the builtin function that an expression is, or "".
    length : callable
        The length of the tuple that an expression stands for; None if it is none that is known.
    local : callable
        Gives a name like this one that nothing in the function has.
    fail : callable
        ``fail(node, what, remedy)`` raises the error for what has no such form.

    Returns
    -------
    (the function's name, the variable that holds the result, statements) or None
    """
    name = builtin(node.func)
    made = node.args[0] if node.args else None
    if name not in _KEYWORDS or not isinstance(made, (ast.GeneratorExp, ast.ListComp)):
        return None
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name == "sum" and len(node.args) == 2:
        given["start"] = node.args[1]
    if len(node.args) > 1 + (name == "sum") or not given.keys() <= {*_KEYWORDS[name]}:
        return None
    default = given.get("default")
    if isinstance(default, ast.Constant) and default.value is None:
        fail(default, f"{name}() of nothing is to be None, which is no number", "give default= a number")
    made, whole = copied(made), local(f"{name}_")
    if any(isinstance(part, ast.NamedExpr) for part in walk(made)):
        fail(node, f"{ast.unparse(node)} makes names for each of its numbers", "write a for loop")
    _rename(made, local)
    store = lambda one, x: ast.Assign([ast.Name(one, ast.Store())], x)
    load = lambda one: ast.Name(one, ast.Load())
    if name in ("min", "max"):
        empty = ast.Constant(0) if default is None else default
        found = _first_and_others(name, whole, made, empty, builtin, length, local)
        if found is None:
            seen, value = local("seen"), local("value")
            better = ast.Compare(load(value), [ast.Lt() if name == "min" else ast.Gt()], [load(whole)])
            first = ast.If(better, [store(whole, load(value))], [])
            none = ast.UnaryOp(ast.Not(), load(seen))
            begin = ast.If(none, [store(whole, load(value)), store(seen, ast.Constant(True))], [first])
            loops = _nested(made, [store(value, made.elt), begin])
            found = [store(whole, empty), store(seen, ast.Constant(False)), loops]
        elif not found:
            what = f"{ast.unparse(node)} is of nothing"
            fail(node, what, f"give {name}() what it has then: {name}((… for …), default=0.0)")
    elif name == "sum":
        step = store(whole, ast.BinOp(load(whole), ast.Add(), made.elt))
        found = [store(whole, given.get("start", ast.Constant(0))), _nested(made, [step])]
    else:
        test = ast.Compare(made.elt, [ast.NotEq() if name == "any" else ast.Eq()], [ast.Constant(0)])
        other: list[ast.stmt] = [store(whole, ast.Constant(name == "any"))]
        if len(made.generators) == 1:
            other.append(ast.Break())
        found = [store(whole, ast.Constant(name == "all")), _nested(made, [ast.If(test, other, [])])]
    return name, whole, [placed(one, node) for one in found]


def _rename(made: ast.GeneratorExp | ast.ListComp, local: Callable[[str], str]) -> None:
    """Its variables are its own; what its first loop goes over is not one of its own expressions."""
    names = {name: local(f"{name}_") for name in stored_in(*(part.target for part in made.generators))}
    first = made.generators[0]
    inside: list[ast.AST] = [made.elt, first.target, *first.ifs, *made.generators[1:]]
    for part in (part for one in inside for part in walk(one)):
        if isinstance(part, ast.Name) and part.id in names:
            part.id = names[part.id]


def _nested(made: Any, body: list[ast.stmt]) -> ast.For:
    for part in reversed(made.generators):
        for test in reversed(part.ifs):
            body = [ast.If(test, body, [])]
        body = [ast.For(part.target, part.iter, body, [])]
    (loop,) = body
    assert isinstance(loop, ast.For)
    return loop


def _first_and_others(
    name: str, whole: str, made: Any, empty: ast.expr, builtin: Builtin, length: Length, local: Callable[[str], str]
) -> list[ast.stmt] | None:
    """The extremum over a range or a row, without tests for the first one; [] of nothing; None of all others."""
    part = made.generators[0]
    if len(made.generators) > 1 or part.ifs or not isinstance(part.target, ast.Name):
        return None
    over, target = part.iter, part.target.id
    ranged = isinstance(over, ast.Call) and builtin(over.func) == "range" and 1 <= len(over.args) <= 2
    if not ranged and (not isinstance(over, (ast.Name, ast.Subscript)) or length(over) is not None):
        return None
    ends = over.args if ranged else [ast.Call(ast.Name("len", ast.Load()), [copied(over)], [])]
    start: ast.expr = ends[0] if len(ends) == 2 else ast.Constant(0)
    stop = ends[-1]
    store = lambda one, x: ast.Assign([ast.Name(one, ast.Store())], x)
    k = target if ranged else local("k")
    item = lambda at: at if ranged else ast.Subscript(copied(over), at, ast.Load())
    best = ast.Call(ast.Name(name, ast.Load()), [ast.Name(whole, ast.Load()), copied(made.elt)], [])
    after = ast.BinOp(copied(start), ast.Add(), ast.Constant(1))
    rest = ast.Call(ast.Name("range", ast.Load()), [after, copied(stop)], [])
    here = [] if ranged else [store(target, item(ast.Name(k, ast.Load())))]
    loop = ast.For(ast.Name(k, ast.Store()), rest, [*here, store(whole, best)], [])
    found = [store(target, item(copied(start))), store(whole, made.elt), loop]
    known = whole_number(start), whole_number(stop)
    if None not in known:
        return found if known[0] < known[1] else []  # type: ignore[operator]
    there = ast.Compare(copied(start), [ast.Lt()], [copied(stop)])
    return [store(whole, empty), ast.If(there, found, [])]


def names_of(statements: list[ast.stmt]) -> Iterator[ast.Name]:
    return (part for one in statements for part in walk(one) if isinstance(part, ast.Name))
