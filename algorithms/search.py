"""search, find_first_of, lexicographical_compare, is_sorted_until, is_partitioned: what the first place decides.

All of them look for the first place with a property, as `find` does, and end there. On several parts each gets the few
elements behind its own that it needs.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from portapar import arrays, parts, shares
from portapar.algorithms import few_sorted, radix
from portapar.algorithms.find import differing, find_if, find_last_if, first, look
from portapar.algorithms.isin import few_members, members
from portapar.algorithms.order import Order, before
from portapar.errors import ArgumentError, flags
from portapar.few import MANY, MISS, Step, elements, fixed
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy


def search(policy: Policy | None, x: Any, pattern: Any, predicate: Any = None) -> Any:
    """The first index at which a sequence is found in another one, or ``len(x)``.

    Parameters
    ----------
    policy : Policy
    x, pattern : array
        Of one dimension. An empty pattern is found at 0. On several parts each sees the whole pattern.
    predicate : callable, optional
        A kernel of an element of `x` and one of `pattern`, whether they match; by default whether they are equal: NaN
        equals nothing.

    Returns
    -------
    int
        With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    O(first place · len(pattern)) work at worst; O(first place) where few beginnings match.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.search(pp.par, np.array([3, 1, 4, 1, 5, 9]), np.array([1, 5]))
    3
    """
    def few(step: Step) -> Any:
        n, m = elements(x, most=MANY), elements(pattern)
        if not 0 < m <= n or x.dtype.names is not None or pattern.dtype.names is not None:
            return MISS
        match = predicate or _not(differing("search", x.dtype, pattern.dtype))

        def hit(i: int) -> bool:
            k = 0
            while k < m and match(x[np.uint64(i + k)], pattern[np.uint64(k)]):
                k += 1
            return k == m

        found = look(step, hit, n - m + 1)
        return n if found == n - m + 1 else found

    return parts.run("search", policy, (x, pattern), lambda p: _search(p, x, pattern, predicate), few)


def find_first_of(policy: Policy | None, x: Any, values: Any) -> Any:
    """The first index whose element is one of some values, or ``len(x)``.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension, of booleans, integers or floats.
    values : array
        As for `isin`.

    Returns
    -------
    int

    Raises
    ------
    ArgumentError

    Notes
    -----
    As `isin`, up to the first place.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.find_first_of(pp.par, np.array([3, 1, 4, 1, 5]), np.array([5, 4]))
    2
    """
    def few(step: Step) -> Any:
        member = few_members(step, x, values)
        if member is MISS:
            return MISS
        place = int(member.argmax())
        return place if member[place] else len(x)

    return parts.run("find_first_of", policy, (x, values), lambda p: _find_first_of(p, x, values), few)


def lexicographical_compare(policy: Policy | None, x: Any, y: Any, *, key: Any = None) -> Any:
    """Whether `x` comes before `y`: where they first differ its element is less, or it is the beginning of `y`.

    Parameters
    ----------
    policy : Policy
    x, y : array
        Of one dimension and one dtype, of any lengths. In the order of `sort`: NaN are the largest and equal.
    key : callable or str, optional
        As for `sort`.

    Returns
    -------
    bool

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    O(first place) work without `key`. Of two partitioned arrays of different lengths each part sees the whole of the
    shorter one.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.lexicographical_compare(pp.par, np.array([3, 1, 4]), np.array([3, 2]))
    True
    """
    def few(step: Step) -> Any:
        if key is not None or not few_sorted.comparable(x, y, False):
            return MISS
        if len(x) <= 4 * radix.SMALL:
            answer = np.empty(1, np.bool_)
            return bool(answer[0]) if step(_less(x.dtype), radix.bits(x), radix.bits(y), answer) else MISS
        one, two = ([(radix.bits(a), radix.coding(a.dtype, False))] for a in (x, y))
        less, more = before(one, two), before(two, one)

        def hit(i: int) -> bool:
            return less(i, i) or more(i, i)

        def decide(_: int, at: int, answer: Any) -> None:
            answer[0] = less(at, at)

        found, answer = look(step, hit, min(len(x), len(y))), np.empty(1, np.bool_)
        if found is MISS or found == min(len(x), len(y)):
            return found if found is MISS else len(x) < len(y)
        return bool(answer[0]) if step(decide, found, answer) else MISS

    return parts.run("lexicographical_compare", policy, (x, y), lambda p: _compare(p, x, y, key), few)


def is_sorted_until(policy: Policy | None, x: Any, *, key: Any = None, descending: bool = False) -> Any:
    """How many elements from the first one on are in the order of `sort`; ``len(x)`` if all are.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    key, descending
        As for `sort`.

    Returns
    -------
    int

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    O(first place) work without `key`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.is_sorted_until(pp.par, np.array([1, 3, 3, 2, 5]))
    3
    """
    flags("is_sorted_until", descending=descending)
    def few(step: Step) -> Any:
        if key is not None or not few_sorted.comparable(x, x, descending):
            return MISS
        keys = [(radix.bits(x), radix.coding(x.dtype, descending))]
        less = before(keys, keys)

        def hit(i: int) -> bool:
            return less(i, i - 1 if i > 0 else i)

        return look(step, hit, len(x))

    return parts.run("is_sorted_until", policy, (x,), lambda p: _sorted_until(p, x, key, descending), few)


def is_partitioned(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """Whether all elements that fit come before all that do not, as `partition` leaves them.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    predicate : callable
        As for `find_if`.

    Returns
    -------
    bool

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    O(n) work at most: searches from both ends.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.is_partitioned(pp.par, np.array([6, 2, 5, 1]), lambda v: v % 2 == 0)
    True
    """
    def few(step: Step) -> Any:
        n = elements(x, most=MANY)
        if 0 < n <= radix.SMALL:

            def look_on(_: int, x: Any, answer: Any) -> None:
                i = 0
                while i < len(x) and predicate(x[np.uint64(i)]):
                    i += 1
                while i < len(x) and not predicate(x[np.uint64(i)]):
                    i += 1
                answer[0] = i == len(x)

            answer = np.empty(1, np.bool_)
            return bool(answer[0]) if step(look_on, x, answer) else MISS

        def lacks(i: int) -> bool:
            return not predicate(x[np.uint64(i)])

        def fits(i: int) -> bool:
            return predicate(x[np.uint64(n - 1 - i)])

        out = look(step, lacks, n)
        if out is MISS or out == n:
            return out if out is MISS else True
        behind = look(step, fits, n)
        return MISS if behind is MISS else behind == n or n - 1 - behind < out

    return parts.run("is_partitioned", policy, (x,), lambda p: _is_partitioned(p, x, predicate), few)


@functools.cache
def _less(dtype: np.dtype) -> Any:
    """The kernel that compares few elements with others."""
    equal = radix.coding(dtype, False).equal

    def less(_: int, x: Any, y: Any, answer: Any) -> None:
        i = 0
        while i < len(x) and i < len(y) and equal(x[np.uint64(i)]) == equal(y[np.uint64(i)]):
            i += 1
        answer[0] = i < len(y) and (i == len(x) or equal(x[np.uint64(i)]) < equal(y[np.uint64(i)]))

    return fixed(less)


def _search(p: Parts, x: Any, pattern: Any, predicate: Any) -> int:
    n, m = p.length(x, "x"), p.length(pattern, "pattern")
    p.recut((n,), x)
    data, table = p.stored(x, "x"), p.replicated(pattern, "pattern")
    given = predicate is not None
    differ = None if given else differing(p.algorithm, data.dtype, table.dtype)
    match = p.predicate(predicate, x, np.zeros(1, table.dtype)) if differ is None else _not(differ)
    if m == 0 or m > n:
        return n if m else 0
    found = p.few(*[predicate] * given)
    if found is not MISS:
        return found
    behind = p.rows("borders", data, lambda k: [(min(p.cuts[k + 1], n), min(p.cuts[k + 1] + m - 1, n))])

    def hits(part: LocalPart) -> Any:
        here, (rest,), wanted, size = data[part], behind[part.number], part.asarray(table[part]), len(part)

        def hit(i: int) -> bool:
            k = 0
            while k < m and match(here[np.uint64(i + k)], wanted[np.uint64(k)]):
                k += 1
            return k == m

        def hit_or_border(i: int) -> bool:
            k = 0
            while k < m and i + k < size and match(here[np.uint64(i + k)], wanted[np.uint64(k)]):
                k += 1
            while k < m and i + k >= size and match(rest[np.uint64(i + k - size)], wanted[np.uint64(k)]):
                k += 1
            return k == m

        return hit_or_border if len(rest) else hit

    count = n - m + 1
    found = first(p, hits, [max(0, min(hi, count) - lo) for lo, hi in shares.spans(p.cuts)])
    return n if found == count else found


def _not(differ: Any) -> Any:
    def same(a: Any, b: Any) -> bool:
        return not differ(a, b)

    return same


def _find_first_of(p: Parts, x: Any, values: Any) -> int:
    p.recut((p.length(x, "x"),), x)
    data = p.vector(x, "x")
    look_up = members(p, data, values)
    decided = p.few()
    if decided is not MISS:
        return decided
    known = p.do("values", look_up)

    def hits(part: LocalPart) -> Any:
        here, member = data[part], known[part.number]

        def hit(i: int) -> bool:
            return member(here[np.uint64(i)])

        return hit

    return first(p, hits, [hi - lo for lo, hi in shares.spans(p.cuts)])


def _compare(p: Parts, x: Any, y: Any, key: Any) -> bool:
    n, m = p.length(x, "x"), p.length(y, "y")
    if x.dtype != y.dtype:
        raise ArgumentError(f"{p.algorithm}: x has dtype {x.dtype}, y {y.dtype}: must be the same")
    order = Order(p, x.dtype, key, False, "x")
    decided = p.few()
    if decided is not MISS:
        return decided
    long, short = (x, y) if n >= m else (y, x)
    p.recut((max(n, m),), long)
    ours = p.stored(long, "x" if n >= m else "y")
    other = p.stored(short, "y") if n == m else p.replicated(short, "y" if n >= m else "x")

    def keys(part: LocalPart) -> tuple[Any, Any]:
        """The keys of a part of the longer one, and those beside them."""
        theirs = part.asarray(other[part])
        if n != m:
            theirs = theirs[min(part.lo, len(theirs)) : part.hi]
        found = order.keys(part, ours[part]), order.keys(part, theirs)
        return found if n >= m else found[::-1]

    known = p.do("keys", keys)

    def hits(part: LocalPart) -> Any:
        one, two = known[part.number]
        less, more = before(one, two), before(two, one)

        def hit(i: int) -> bool:
            return less(i, i) or more(i, i)

        return hit

    found = first(p, hits, [max(0, min(hi, n, m) - lo) for lo, hi in shares.spans(p.cuts)])
    if found == min(n, m):
        return n < m

    def decide(part: LocalPart) -> bool:
        if not part.lo <= found < part.hi:
            return False
        one, two = known[part.number]
        less, answer = before(one, two), part.empty(1, np.bool_)

        def look(_: int, at: int, answer: Any) -> None:
            answer[0] = less(at, at)

        part.run(1, look, found - part.lo, answer)
        return bool(arrays.asnumpy(answer)[0])

    return any(p.each("decide", decide))


def _sorted_until(p: Parts, x: Any, key: Any, descending: bool) -> int:
    data = p.stored(x, "x")
    order = Order(p, data.dtype, key, descending, "x")
    found = p.few()
    if found is not MISS:
        return found
    borders = p.rows("borders", data, lambda k: [(max(p.cuts[k] - 1, 0), p.cuts[k])])

    def compare(part: LocalPart) -> tuple[Any, Any]:
        """Whether an element comes before another one of the part, and before the last one of those before."""
        keys, (last,) = order.keys(part, data[part]), borders[part.number]
        return before(keys, keys), before(keys, order.keys(part, last)) if len(last) else None

    known = p.do("keys", compare)

    def hits(part: LocalPart) -> Any:
        less, border = known[part.number]

        def hit(i: int) -> bool:
            return less(i, i - 1 if i > 0 else i)

        def hit_or_border(i: int) -> bool:
            return less(i, i - 1) if i > 0 else border(0, 0)

        return hit if border is None else hit_or_border

    return first(p, hits, [hi - lo for lo, hi in shares.spans(p.cuts)])


def _is_partitioned(p: Parts, x: Any, predicate: Any) -> bool:
    fits, n = p.predicate(predicate, x), p.length(x, "x")
    found = p.few(predicate)
    if found is not MISS:
        return found

    def lacks(v: Any) -> bool:
        return not fits(v)

    out = find_if(p.how, x, lacks)
    last = find_last_if(p.how, x, fits) if out < n else 0
    return last < out or last == n
