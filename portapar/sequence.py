"""Calls of algorithms of several steps that are remembered whole: what they ran is run again, see `portapar.tape`.

An algorithm says that its steps follow from what its arguments look like and from some options, by the `whole` of
`portapar.parts.run`: the user's functions, and these options. It must not look at what is in arrays, nor do anything to
them but by steps, and numbers that functions capture, or that are among its values, it gives to kernels as they are. In
its first call all is compiled, the second one is recorded, and another one with other numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from portapar import policy
from portapar.arrays import Range
from portapar.cache import Bounded
from portapar.kernel.program import REFUSED
from portapar.ops import Monoid
from portapar.policy import Policy
from portapar.remembered import MISS, NUMBERS, repeats, signature
from portapar.tape import Tape, tapes

_known = Bounded()  #: what calls ran, by what they look like
_made: dict[int, int] = {}  #: how often other calls were made, by hashes of what they look like
_MOST = 4096  #: of these
_TRIES = 6  #: calls until it is clear that they cannot be run again

policy.forgets(_known.clear)

Whole = tuple[tuple[Any, ...], tuple[Any, ...]]  #: the user's functions, and options


def look(algorithm: str, how: Policy | None, values: tuple[Any, ...], whole: Whole) -> tuple[Any, tuple[Any, ...]]:
    """(what a call looks like, what it works on); the first is None if it is of a kind that is not remembered."""
    kernels, options = whole
    exact = _exact(options)
    if exact is None:
        return None, ()
    key, given = signature(how, kernels, values, (algorithm, exact))
    if key is None:
        return None, ()
    for x in given:
        if (x.ndim == 0) if type(x) is np.ndarray else (x is not None and type(x) not in NUMBERS):
            return None, ()  # what has no dimensions may be read as a number
    if any(isinstance(x, (Range, range)) for x in values):
        return None, ()  # whose numbers algorithms compute with
    places = repeats(given, False)
    return (key if places is None else (key, places)), given


def _exact(options: Any) -> tuple[Any, ...] | None:
    """Numbers and words so that none is equal to another one: 1, 1.0 and True are three. None if there is more."""
    found: list[Any] = []
    for x in options:
        kind = type(x)
        if x is None or kind in (str, bool, int):
            found += (kind, x)
        elif kind in NUMBERS:
            found += (kind, repr(x))
        elif kind is tuple:
            inner = _exact(x)
            if inner is None:
                return None
            found.append(inner)
        elif kind is Monoid and x.named:
            found.append(x.__name__)
        elif kind is Monoid and not callable(x.identity):
            inner = _exact((x.identity, x.commutative))  # its operator is one of the functions
            if inner is None:
                return None
            found += (kind, inner)
        elif kind is not Monoid and callable(x):  # one of the functions
            found.append(kind)
        else:
            return None
    return tuple(found)


def again(key: Any, values: tuple[Any, ...]) -> Any:
    """Run a call that ran before, or return MISS."""
    found = _known.get(key) or _known.recalled(key)
    if found is None or tapes:
        return MISS
    result = found(values)
    if result is REFUSED:
        if found.closed:
            _known.clear()
        return MISS
    return result


def record(key: Any, values: tuple[Any, ...], body: Callable[[], Any]) -> Any:
    """What ``body()`` returns, which is the long way of a call; it is recorded if that is worth it."""
    looks, thread = hash(key), threading.get_ident()
    calls = _made.get(looks, 0)
    if calls >= _TRIES or thread in tapes:
        return body()
    if len(_made) >= _MOST:
        _made.clear()
    _made[looks] = calls + 1
    if calls == 0:
        return body()
    tape = tapes[thread] = Tape(values)
    try:
        result = body()
    finally:
        del tapes[thread]
    recorded = tape.recorded(result)
    if recorded is not None:
        before = _known.get(key)
        _known[key] = recorded if before is None else before.joined(recorded)
    return result
