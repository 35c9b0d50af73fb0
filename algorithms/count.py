"""count and count_if: how many elements fit; any_of, all_of and none_of: whether some, all or none do.

Counts read every element once: a reduction of zeros and ones. The others search, and stop at the first
element that decides (`portapar.algorithms.find`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from portapar import ops, parts
from portapar.algorithms.find import equals, first
from portapar.algorithms.reduce import reduce_as
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy


def count(policy: Policy | None, x: Any, value: Any) -> Any:
    """How many elements equal `value`.

    Parameters
    ----------
    policy : Policy
    x : array or Range
        Of any shape.
    value : number
        Compared as by `find`.

    Returns
    -------
    int
        With ``policy.task`` a Future of it.

    Notes
    -----
    O(n) work: one pass at the speed of memory.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.count(pp.par, np.array([3, 1, 4, 1, 5]), 1)
    2
    """
    return parts.run("count", policy, (x,), lambda p: _count(p, x, equals(p, x, value)))


def count_if(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """How many elements fit.

    Parameters
    ----------
    policy : Policy
    x : array or Range
        Of any shape.
    predicate : callable
        A kernel of one element that returns a truth value.

    Returns
    -------
    int

    Notes
    -----
    O(n) work: one pass at the speed of memory.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.count_if(pp.par, np.array([3, 1, 4, 1, 5]), lambda v: v > 2)
    3
    >>> pp.count_if(pp.par, pp.range(1, 101), lambda i: i % 7 == 0)
    14
    """
    return parts.run("count_if", policy, (x,), lambda p: _count(p, x, predicate))


def any_of(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """Whether an element fits; False without elements.

    Parameters
    ----------
    policy : Policy
    x : array
        Of any shape.
    predicate : callable
        As for `find_if`.

    Returns
    -------
    bool

    Notes
    -----
    O(first place) work: it ends early.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x = np.array([3, 1, 4, 1, 5])
    >>> pp.any_of(pp.par, x, lambda v: v > 4), pp.all_of(pp.par, x, lambda v: v > 4)
    (True, False)
    """
    return parts.run("any_of", policy, (x,), lambda p: _any(p, x, predicate, True))


def all_of(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """Whether all elements fit; True without elements. As `any_of`."""
    return parts.run("all_of", policy, (x,), lambda p: not _any(p, x, predicate, False))


def none_of(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """Whether no element fits; True without elements. As `any_of`."""
    return parts.run("none_of", policy, (x,), lambda p: not _any(p, x, predicate, True))


def _count(p: Parts, x: Any, predicate: Any) -> int:
    predicate = p.predicate(predicate, x)

    def one(v: Any) -> int:
        return 1 if predicate(v) else 0

    return int(reduce_as(p.algorithm, p.how, (x,), ops.plus, one, 0))


def _any(p: Parts, x: Any, predicate: Any, wanted: bool) -> bool:
    """Whether `predicate` is as `wanted` for some element."""
    data = p.read(x, "x")
    predicate = p.predicate(predicate, x)

    def hits(part: LocalPart) -> Any:
        here = data[part].reshape(-1)

        def hit(i: int) -> bool:
            return predicate(here[np.uint64(i)])

        def miss(i: int) -> bool:
            return not predicate(here[np.uint64(i)])

        return hit if wanted else miss

    row = math.prod(data.shape[1:])
    places = [(hi - lo) * row for lo, hi in parts.spans(p.cuts)]
    return first(p, hits, places) < sum(places)
