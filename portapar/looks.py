"""Looks: calls that were made several times are known by native code, in a microsecond, before Python looks at them.

`quick` finds by a call's policy and its kernel's code what native code knows of such calls
(`portapar.kernel.cpu.calls`), which compares the arguments. Whatever it does not know for certain is left to
`portapar.remembered`, which tells what it should know: `learn`.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import numpy as np

from portapar import policy
from portapar.arrays import Range
from portapar.cache import Bounded
from portapar.errors import PortaparError, short
from portapar.kernel.device import Lengths
from portapar.kernel.front.kernel import variant
from portapar.kernel.front.lift import bound, known
from portapar.kernel.program import REFUSED
from portapar.lazy import Lazy
from portapar.policy import Policy, forgets
from portapar.problem import Box, box
from portapar.tape import tapes
from portapar.trace import watching

simple_codes = Bounded()  #: of kernels that capture nothing, by the identity of their codes


class Code:
    """Stands for a code in keys, and keeps it alive: no other code has its place in memory as long as a key is kept."""

    __slots__ = ("_code", "builtins")

    def __init__(self, code: Any, builtins: tuple[str, ...]) -> None:
        self._code, self.builtins = code, builtins


OFTEN = 3  #: calls that look alike before native code knows their look
LOOKS = 8  #: that it looks for at a time, of one kernel, the last ones
#: (function, device, shape and dtype of an output to make, builtin functions, what keys stand for) by policy, block,
#: code and what else calls say; of codes that capture something a `Code`, and that by what they were lifted to
_quick = Bounded()
_learned = Bounded()  #: (key, entry) of all, by remembered calls

for _kept in _quick, _learned:
    forgets(_kept.clear)
    os.register_at_fork(after_in_child=_kept.clear)  # they know the threads and locks of the parent

#: what a call says besides its policy and its arguments: a kernel, whose code is looked at; what else is compared, of
#: other kernels their codes and globals; its space, which native code knows if it is a whole number or a tuple of them,
#: or None
Look = tuple[Any, Any, Any]


def quick(how: Any, look: Look, args: tuple[Any, ...]) -> Any:
    """Run a call that looks like one that was made several times, or return REFUSED."""
    block = policy.current.get()
    if how is None:
        how = block or policy.par
    if type(how) is not Policy or tapes or watching:
        return REFUSED
    kernel, extra, space = look
    code = kernel
    if kernel is not None:
        code = kernel.__code__ if type(kernel) is FunctionType else code_of(kernel) or kernel
    where = how.executor
    table = _quick if where is None or not where.chooses else where.looks[0]
    found = table.get((how, block, id(code), extra))
    if found is None:
        return REFUSED
    if type(found) is Code:  # what it captures are arguments too
        bound_to = known(kernel) if type(kernel) is FunctionType else None
        if bound_to is None:
            return REFUSED
        lifted, captured = bound_to
        defaults = kernel.__defaults__ or ()
        found = table.get((how, block, id(lifted), len(defaults), extra))
        if found is None:
            return REFUSED
        args = (*captured, *defaults, *args)
    try:
        for run, device, made, builtins, _ in found:
            if device.closed or (builtins and _shadowed(kernel, builtins)):
                break
            given = args
            if made is not None:
                shape, dtype = made
                if type(shape) is int:  # that of an argument
                    if not 0 <= shape < len(args) or type(args[shape]) is not np.ndarray:
                        continue
                    shape = args[shape].shape
                given = (*args[:-1], np.empty(shape, dtype))
            result = run(space, given)
            if result is not REFUSED:
                return result
    except PortaparError as error:
        raise short(error) from error.__cause__
    return REFUSED


def spread(args: tuple[Any, ...]) -> Iterator[Any]:
    """Arguments as programs have them: the leaves of lazy inputs, of ranges where they start and how they step."""
    for x in args:
        if isinstance(x, (Range, range)):
            yield x.start
            yield x.step
        elif isinstance(x, Lazy):
            yield from x.values
        else:
            yield x


def lazily(look: Look, args: tuple[Any, ...]) -> tuple[Look, tuple[Any, ...]]:
    """The look of a call with inputs that have no memory, which it says, and its arguments as programs have them."""
    said: list[tuple[Any, ...]] = []
    for k, x in enumerate(args):
        if isinstance(x, (Range, range)):
            said.append((k, len(x), x.step == 1))
        elif isinstance(x, Lazy):
            said.append((k, x.expression, x.shape))
    return ((look[0], _Said((look[1], *said)), look[2]), tuple(spread(args))) if said else (look, args)


class _Said(tuple[Any, ...]):
    """What else a look says, and which inputs have no memory."""

    __slots__ = ()


def boxed(look: Look, box: Box) -> Look:
    """The look of a call whose space is given by ranges: native code compares their numbers."""
    return look[0], "box", (*box[0], *box[1], *box[2])


def learn(
    ready: Any, how: Any, look: Look | None, kernels: tuple[Any, ...], args: tuple[Any, ...], values: Any, same: Any,
    lengths: Lengths | None = None,
) -> bool:  # fmt: skip
    """Let native code know the look of a call that was remembered, when it has been made several times.

    `values` and `same` are from `signature` and `repeated`. With `lengths` calls over others look like it, whenever
    that is said. Whether it knows it now.
    """
    if lengths is None:
        ready.waits -= 1
        if ready.waits:
            return False
    found = _entry(ready, ready, how, look, kernels, args, values, same, lengths)
    if found is None:
        return False
    _enter(how, *found)
    ready.waits = OFTEN  # until it is known again, if others take its place
    return True


def lend(
    held: list[Any], how: Any, look: Look | None, kernels: tuple[Any, ...], args: tuple[Any, ...], values: Any
) -> None:
    """Let native code know the look of a call that is decided, for as many calls as that holds.

    `held` is the remembered call, with what `repeated` says of it, and that number, which goes down.
    """
    (ready, same), _ = held
    if not ready.waits:
        return
    found = _entry((ready, how, policy.current.get()), ready, how, look, kernels, args, values, same, None)
    if found is None:
        return
    key, mark, (run, *rest) = found

    def some(space: Any, given: tuple[Any, ...]) -> Any:
        held[1] -= 1
        return REFUSED if held[1] < 0 else run(space, given)

    _enter(how, key, mark, (some, *rest))


def _entry(
    mine: Any, ready: Any, how: Any, look: Look | None, kernels: tuple[Any, ...], args: tuple[Any, ...], values: Any,
    same: Any, lengths: Lengths | None,
) -> Any:  # fmt: skip
    """(key, mark, entry) of a remembered call, kept by the name `mine`; None if native code cannot know it."""
    if look is None:
        return None
    virtual = any(isinstance(x, (Range, range, Lazy)) for x in args)
    if virtual and (lengths is not None or type(look[1]) is not _Said):
        return None  # its look does not say that, or not how long they are
    given = tuple(spread(args))
    learned = _tables(how)[1]
    found = learned.get(mine)
    if found is None:
        if lengths is None and not (look[2] is None or _kinds(look[2]) == {int}):
            look = boxed(look, box(look[2]))
        captured = len(values) - len(given)
        fits = not (how.deterministic or how.tune) and all(map(operator.is_, values[captured:], given))
        if lengths is not None and look[2] is None and np.ndarray in map(type, values[:captured]):
            return None  # it is the first array whose shape the space is
        sought = _sought(how, look, kernels, captured, lengths is not None) if fits else None
        run = None if sought is None else _runs(ready, look[2], values, same, lengths)
        if sought is None or run is None:
            return None
        key, mark, builtins, keep = sought
        shape = ready.shape
        if shape is not None and lengths is not None:
            shape = next(k for k, x in enumerate(values) if type(x) is np.ndarray), shape[1]
        found = learned[mine] = key, mark, (run, ready.device, shape, builtins, keep)
    return found


def _tables(how: Policy) -> tuple[Bounded, Bounded]:
    """What is known, and has been learned, of calls; that of hybrids that choose goes with them."""
    where = how.executor
    return (_quick, _learned) if where is None or not where.chooses else where.looks


def _enter(how: Policy, key: Any, mark: Any, entry: tuple[Any, ...]) -> None:
    """Have an entry found first, in the place of what it was before."""
    table = _tables(how)[0]
    before = table.get(key)
    others = [other for other in before if other[-1] is not entry[-1]] if type(before) is tuple else []
    table[key] = entry, *others[: LOOKS - 1]
    if mark is not None:
        table[mark] = entry[-1][0]


def _sought(how: Policy, look: Look, kernels: tuple[Any, ...], captured: int, ranges: bool) -> tuple[Any, ...] | None:
    """By what calls of a look are found, and by what their code is if they capture something; builtins; what to keep.

    None if they cannot be told apart by that.
    """
    kernel, extra, space = look
    if not (space is None or _kinds(space) <= ({int, Range} if ranges else {int})):
        return None
    first, bare = (how, policy.current.get()), type(kernel) is FunctionType
    mark: Any = (*first, id(kernel.__code__ if bare else code_of(kernel) or kernel), extra)
    key, builtins, keep = mark, [], []
    for each in kernels:
        simple = simple_codes.get(id(code_of(each)))
        if simple is not None and not (simple.builtins and shadows(each, simple.builtins)):
            keep.append(simple)
            if simple.builtins:
                names = None if each is kernel else getattr(each, "py_func", each).__globals__
                builtins.append((names, simple.builtins))
        elif each is kernel and bare:  # defaults are arguments, too
            lifted, defaults = bound(kernel)[0], len(kernel.__defaults__ or ())
            if (lifted.simple and not defaults) or captured != len(lifted.captures) + defaults:
                return None
            key, keep = (*first, id(lifted), defaults, extra), [Code(kernel.__code__, ()), lifted, *keep]
        else:
            return None
    if key is mark and captured:
        return None
    return key, None if key is mark else mark, tuple(builtins), keep


def _kinds(space: Any) -> set[type]:
    return set(map(type, space if type(space) is tuple else (space,)))


def _runs(ready: Any, space: Any, values: tuple[Any, ...], same: Any, lengths: Lengths | None) -> Any:
    """What runs a remembered call; None if native code cannot."""
    if ready.problem.init is not None or ready.problem.tiles:
        return None
    if ready.shape is not None:
        values = (*values[:-1], np.empty(*ready.shape))
    return ready.caller(space, values, same, lengths)


def code_of(kernel: Any) -> Any:
    """The code that a kernel is, if it captures nothing; None of what is bound to something, or has defaults."""
    func = kernel if type(kernel) is FunctionType else getattr(kernel, "py_func", None)
    if type(func) is not FunctionType or func.__defaults__ or (func is not kernel and variant(func)):
        return None
    return func.__code__


def _shadowed(kernel: Any, builtins: tuple[Any, ...]) -> bool:
    """Whether there are globals with the names of builtin functions, among the kernel's own (None) or these."""
    for space, names in builtins:
        if shadows(kernel, names) if space is None else not space.keys().isdisjoint(names):
            return True
    return False


def shadows(kernel: Any, names: tuple[str, ...]) -> bool:
    """Whether a module has globals with the names of builtin functions that a kernel of it calls."""
    return not getattr(kernel, "py_func", kernel).__globals__.keys().isdisjoint(names)
