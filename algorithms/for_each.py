"""for_each: call a kernel for every index."""

from __future__ import annotations

import ast
import inspect
import types
from typing import Any

import numpy as np

from portapar import indexed, problem
from portapar.call import call
from portapar.errors import tell
from portapar.executor import Executor
from portapar.kernel.front.kernel import holding, is_held
from portapar.kernel.front.sources import of_library
from portapar.kernel.program import REFUSED
from portapar.looks import Look, boxed, quick
from portapar.policy import Policy, check_policy, current
from portapar.problem import Problem


def for_each(policy: Policy | None, n: Any, body: Any, *args: Any) -> Any:
    """Call ``body(i, *args)`` for every index i, in any order that the policy allows.

    Parameters
    ----------
    policy : Policy
    n : int, Range or tuple of up to six of them
        The index space: ``n`` means 0 to n - 1; a tuple gives ``body(i, j, *args)`` or
        ``body(i, j, k, *args)`` and so on, the last index running fastest.
    body : callable
        A kernel. Iterations must not write what others read or write, except by `pp.atomic`.
    *args : array, number, or tuple or list of them; None, string, member of an enumeration
        Passed on to `body`. Kernels take tuples apart, ``xs[0][i]``, and loop over them, ``for x in xs``; with
        ``*xs`` as its last parameter one takes any number of arguments. They may test the others,
        ``if weights is None``, and are compiled for each.

    Returns
    -------
    None, or with ``policy.task`` a Future of None

    Raises
    ------
    KernelError
        The kernel cannot become native code.
    PlacementError
        An argument has the wrong kind, or lives elsewhere.

    Notes
    -----
    O(n) work. If it fails or is interrupted, what the kernel writes to is undefined.
    """
    result = quick(policy, (body, None, n), args)
    if result is not REFUSED:
        return result
    check_policy(policy, "for_each")
    plain = type(n) is int or (type(n) is tuple and set(map(type, n)) == _INT)  # which are told apart as they are
    space = n if plain else problem.box(n)
    look: Look | None = (body, None, n)
    if not plain:
        result = quick(policy, boxed((body, None, n), space), args)
        if result is not REFUSED:
            return result
    if _several(body, args):
        body, args = holding(body, 1 if isinstance(space, int) else len(n if plain else space[0]), args)
        look = None
    how = policy if policy is not None else current.get()
    if how is not None and getattr(how, "deterministic", False):  # a plan's stand-in is no policy
        from portapar.algorithms.deterministic import in_order  # which stands on this

        return in_order(policy, n, body, args)
    return call("for_each", policy, (body,), args, space, _build, look)


_INT = {int}
_PLAIN = {np.ndarray, int, float}  #: told apart from what is held by their type alone
_STAR = inspect.CO_VARARGS


def _several(body: Any, args: tuple[Any, ...]) -> bool:
    """Whether a parameter stands for several arguments, or for what is no array or number."""
    for x in args:
        if type(x) not in _PLAIN and is_held(x):
            return True
    if type(body) is types.FunctionType:
        defaults = body.__defaults__
        return body.__code__.co_flags & _STAR != 0 or (defaults is not None and any(map(is_held, defaults)))
    return getattr(getattr(body, "__code__", None), "co_flags", 0) & _STAR != 0


def _build(algorithm: str, where: Executor, kernels: Any, args: Any, space: Any) -> tuple[Problem, None]:
    _tell_dropped(algorithm, kernels[0])
    return indexed.for_each(algorithm, space, kernels[0], args), None


def _tell_dropped(algorithm: str, body: Any) -> None:
    """Tell of a kernel that stores nothing and returns something, which nobody gets."""
    kernel = problem.lifted(body)[0]
    if of_library(kernel.file) or any(use.writes for use in kernel.access.values()):
        return
    for node in ast.walk(kernel.functions[-1].node):
        if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
            told = f"{algorithm}: kernel {kernel.name!r} stores nothing, and what it returns is dropped. Instead: "
            told += "store it, as y[i] = …, or pp.transform, whose result has what its operator returns"
            tell(("dropped", kernel.file, kernel.line), told, kernel.file, kernel.line)
            return
