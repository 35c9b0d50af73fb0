"""count and count_if: how many elements fit; any_of, all_of and none_of: whether some, all or none do.

Counts read every element once: a reduction of zeros and ones. The others search, and stop at the first
element that decides (`portapar.algorithms.find`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from portapar import arrays, ops, parts, shares
from portapar.algorithms.find import comparable, equals, first, look
from portapar.algorithms.reduce import reduce_as
from portapar.cache import Bounded
from portapar.few import FEW, MANY, MISS, Step, elements, kinds
from portapar.kernel.front import atomic
from portapar.lazy import Lazy
from portapar.part import LocalPart
from portapar.parts import Data, Parts
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
    return parts.run(
        "count", policy, (x,), lambda p: _count(p, x, equals(p.algorithm, x, value)),
        lambda step: _count_few(step, x, equals("count", x, value)) if comparable(x, value) else MISS,
    )  # fmt: skip


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
    return parts.run(
        "count_if", policy, (x,), lambda p: _count(p, x, predicate), lambda step: _count_few(step, x, predicate)
    )


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
    return _decide("any_of", policy, x, predicate, True, True)


def all_of(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """Whether all elements fit; True without elements. As `any_of`."""
    return _decide("all_of", policy, x, predicate, False, False)


def none_of(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """Whether no element fits; True without elements. As `any_of`."""
    return _decide("none_of", policy, x, predicate, True, False)


def _count_few(step: Step, x: Any, predicate: Any) -> Any:
    n = elements(x, most=MANY)
    if n > FEW:
        return _count_many(step, n, x, predicate)
    if type(x) is Lazy:
        part, known = step.part, 0 not in x.shape and _kinds(x, predicate) in _truths
        return _sum("count_if", part, x, predicate) if part is not None and known else MISS

    def count(_: int, x: Any, found: Any) -> None:
        fits = 0
        for i in range(len(x)):
            fits += 1 if predicate(x[np.uint64(i)]) else 0
        found[0] = fits

    found = np.empty(1, np.int64)
    return int(found[0]) if n and step(count, x, found) else MISS


def _count_many(step: Step, n: int, x: Any, predicate: Any) -> Any:
    part = step.part
    if part is None:
        return MISS

    def count(block: int, size: int, x: Any, found: Any) -> None:
        fits = 0
        for i in range(block * size, min(len(x), (block + 1) * size)):
            fits += 1 if predicate(x[np.uint64(i)]) else 0
        atomic.add(found, 0, fits)

    (blocks, size), found = part.blocks(n), np.zeros(1, np.int64)
    return int(found[0]) if step.run(blocks, count, size, x, found, work=n) else MISS


def _count(p: Parts, x: Any, predicate: Any) -> int:
    predicate = p.predicate(predicate, x)
    if type(x) is Lazy:
        told = _kinds(x, predicate)
        if told is not None:
            _truths[told] = True
    found = p.few(predicate)
    return _sum(p.algorithm, p, x, predicate) if found is MISS else found


_truths = Bounded()  #: kinds of lazy inputs and of predicates that are known to return truth values


def _kinds(x: Lazy, predicate: Any) -> Any:
    told = kinds((predicate,), x.values)
    return told and (x.expression, *told)


def _sum(algorithm: str, where: Parts | LocalPart, x: Any, predicate: Any) -> int:
    def one(v: Any) -> int:
        return 1 if predicate(v) else 0

    shape = x.shape if hasattr(x, "shape") else () if isinstance(x, arrays.SCALARS) else (len(x),)
    return int(reduce_as(algorithm, where.how, (x,), ops.plus, one, 0 if 0 in shape else None))


def _decide(name: str, policy: Policy | None, x: Any, predicate: Any, wanted: bool, answer: bool) -> Any:
    """`answer` if `predicate` is as `wanted` for some element, else its opposite."""

    def few(step: Step) -> Any:
        def hit(i: int) -> bool:
            return bool(predicate(x[np.uint64(i)])) == wanted

        n = elements(x, most=MANY)
        found = look(step, hit, n)
        return found if found is MISS else (found < n) == answer

    def work(p: Parts) -> bool:
        data = p.read(x, "x")
        fits = p.predicate(predicate, x)
        found = p.few(fits)
        return _any(p, data, fits, wanted) == answer if found is MISS else found

    return parts.run(name, policy, (x,), work, few)


def _any(p: Parts, data: Data, predicate: Any, wanted: bool) -> bool:
    """Whether `predicate` is as `wanted` for some element."""

    def hits(part: LocalPart) -> Any:
        here = data[part].reshape(-1)

        def hit(i: int) -> bool:
            return predicate(here[np.uint64(i)])

        def miss(i: int) -> bool:
            return not predicate(here[np.uint64(i)])

        return hit if wanted else miss

    row = math.prod(data.shape[1:])
    places = [(hi - lo) * row for lo, hi in shares.spans(p.cuts)]
    return first(p, hits, places) < sum(places)
