"""for_each: call a kernel for every index."""

from __future__ import annotations

from typing import Any

from portapar import indexed, problem
from portapar.call import call
from portapar.executor import Executor
from portapar.policy import Policy, check_policy
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
    *args : array or number
        Passed on to `body`.

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
    check_policy(policy, "for_each")
    return call("for_each", policy, (body,), args, n if type(n) is int else problem.box(n), _build)


def _build(algorithm: str, where: Executor, kernels: Any, args: Any, space: Any) -> tuple[Problem, None]:
    return indexed.for_each(algorithm, space, kernels[0], args), None
