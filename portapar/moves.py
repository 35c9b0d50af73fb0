"""What moves when a call is cut: which rows of its arrays each part needs, and what becomes of what parts write.

It follows from what the kernel reads and writes (`portapar.kernel.front.reach`). Its own rows are where the part is.
Rows around them come from the neighbours. An array that is read anywhere is gathered, once. One that is written
anywhere is worked on in memory that all parts share; where there is none, atomic sums, minima and the like are
privatized: each part has a copy of its own, and the copies are combined in the order of the parts. Anything else is
refused.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from portapar import cost, overlaps, shares
from portapar.errors import KernelError, PlacementError, PortaparWarning
from portapar.kernel.copies import combined
from portapar.kernel.front.access import Access
from portapar.kernel.front.reached import Reach
from portapar.partitioned import PartitionedArray
from portapar.policy import Policy
from portapar.problem import Problem

Span = tuple[int, int]

PUSHED = "push"  #: what puts lists together

#: what to do where a kernel writes anywhere
SCATTERED = (
    "Count or add up with pp.bincount(policy, index, weights=...), or with pp.atomic.add and no use of its value, or "
    "give each iteration a place of its own; or do it on one device, such as pp.par.on(pp.threads()), with NumPy "
    "arrays: pp.asnumpy(...) of what is partitioned"
)


@dataclass(frozen=True, slots=True)
class Move:
    """What is done about one array of a call that is cut.

    Attributes
    ----------
    argument : int
        Which it is.
    kind : {"rows", "gathered", "shared", "private"}
        Rows of other parts are fetched; all of it is gathered, and own rows that were written go back; it is gathered
        and all parts work on it; each part has a copy, and these are combined, or a list that it pushes to, and these
        are put one after the other.
    name : str
    nbytes : int
        What parts tell each other, or for a private one the copies of all parts together.
    wanted : tuple of tuple of (int, int)
        Of rows: the ranges that each part needs, its own among them.
    operation : str
        Of private ones: what combines them.
    """

    argument: int
    kind: str
    name: str
    nbytes: int
    wanted: tuple[tuple[Span, ...], ...] = ()
    operation: str = ""

    def __str__(self) -> str:
        if self.kind == "rows":
            return f"{self.name}: rows of other parts, {self.nbytes} bytes"
        if self.kind == "gathered":
            return f"{self.name}: read at other rows than its own, gathered once, {self.nbytes} bytes"
        if self.kind == "shared":
            return f"{self.name}: written anywhere, gathered for all parts and given back, {self.nbytes} bytes"
        if self.operation == PUSHED:
            return f"{self.name}: a list for each part, put one after the other, {self.nbytes} bytes"
        return f"{self.name}: a copy for each part, combined by {self.operation}, {self.nbytes} bytes"


def rows_of(problem: Problem, lo: int, hi: int) -> Span:
    """The rows [first, last) of its arrays that the flat indices [lo, hi) of a problem are."""
    if lo >= hi:
        return 0, 0
    first, last = lo // problem.row, -(-hi // problem.row) - 1
    a, b = (problem.start[0] + problem.step[0] * place for place in (first, last))
    return min(a, b), max(a, b) + 1


def flat(problem: Problem, lo: int, hi: int) -> Span:
    """The flat indices whose rows are [lo, hi)."""
    start, step, count = problem.start[0], problem.step[0], problem.extent[0]
    if step > 0:
        first, last = -((start - lo) // step), -((start - hi) // step)
    else:
        first, last = (start - hi) // -step + 1, (start - lo) // -step + 1
    first, last = (min(max(place, 0), count) for place in (first, last))
    return first * problem.row, max(first, last) * problem.row


def uses(reach: Reach) -> bool:
    """Whether it uses elements at all."""
    return reach.read or reach.written or bool(reach.atomics or reach.pushed)


def needed(reach: Reach, rows: Span, count: int) -> tuple[Span, ...]:
    """The ranges of an array's `count` rows that iterations `rows` use."""
    first, last = rows
    if first >= last or not uses(reach):
        return ()
    low, high = (reach.low, reach.high) if reach.read else (0, 0)
    if reach.written or reach.atomics:
        low, high = min(low, 0), max(high, 0)
    begin = min(max(first + low, 0), count)
    found = (begin, max(min(last + high, count), begin))
    under = min(first + low, 0) if reach.wraps else 0
    if not under:
        return (found,) if found[0] < found[1] else ()
    end = (max(count + under, 0), count)
    return ((0, count),) if end[0] <= found[1] else (*[found] * (found[0] < found[1]), end)


def scale(problem: Problem, k: int) -> int:
    """Rows of a program's argument to a row of the user's array, which it sees as flat."""
    shape = problem.values[k].shape
    return math.prod(shape[1:]) if len(shape) > 1 and problem.program.specs[k].ndim == 1 else 1


def shares_memory(executor: Any) -> bool:
    """Whether all members of an executor work on the host's memory, in this process."""
    return executor.kind != "mpi" and all(member.device.host_memory for member in executor.members)


def decide(problem: Problem, policy: Policy, executor: Any) -> tuple[tuple[Span, ...], str, tuple[Move, ...]]:
    """Cut a problem: the flat indices of every part, what decided, and what moves."""
    reaches = problem.reaches()
    refuse_copies(problem, executor)
    ranks, together = executor.kind == "mpi", shares_memory(executor)
    if not together:
        shared(problem)  # refused before any part has written
    home: list[int] = []  # the partitioned arrays whose own rows are used
    kinds: dict[int, str] = {}
    for k, value in problem.arrays():
        reach = reaches[k]
        assert reach is not None
        partitioned, name = isinstance(value, PartitionedArray), problem.names[k]
        if partitioned:
            _at_home(problem, name, value, executor)
        if reach.pushed:
            kinds[k] = "shared" if together else "private"
            if not together:
                _check_pushed(problem, name, reach, partitioned)
            continue
        stores = reach.written and not reach.lands
        strays = bool(reach.atomics) and (reach.strays or (ranks and not partitioned))
        if stores or strays:
            if together:
                kinds[k] = "shared"
            else:
                _check_private(problem, name, reach, stores, partitioned, ranks, executor)
                kinds[k] = "private"
            continue
        if partitioned:
            kinds[k] = "gathered" if reach.far else "rows"
            if uses(reach) and (not reach.far or reach.written or reach.atomics):
                home.append(k)
    cuts = _cuts(problem, reaches, home, executor)
    spans, why = _spans(problem, executor, cuts)
    for k in [k for k in home if kinds[k] == "rows"]:
        reach, rows = reaches[k], problem.values[k].shape[0] * scale(problem, k)
        if reach is not None and reach.own and cuts is not None and cuts[-1] == rows and _scaled(problem, k) == cuts:
            del kinds[k]  # all that it uses is where it is used
    return spans, why, _moves(problem, policy, executor, reaches, kinds, spans) if kinds else ()


def _scaled(problem: Problem, k: int) -> tuple[int, ...]:
    """Where an argument is cut, as the program sees it."""
    factor, cuts = scale(problem, k), problem.values[k].cuts
    return cuts if factor == 1 else tuple(c * factor for c in cuts)


def refuse_copies(problem: Problem, executor: Any) -> None:
    """Refuse to write to arrays of which every rank has a copy, but by atomic operations."""
    if executor.kind != "mpi":
        return
    for k, value in problem.arrays():
        use = problem.access[k]
        if use is None or not use.writes or isinstance(value, PartitionedArray):
            continue
        reach = problem.reaches()[k]
        if reach is not None and reach.written:
            name = problem.names[k]
            if not reach.lands:
                raise PlacementError(
                    f"{problem.algorithm}: the kernel writes to argument {name!r} at other indices than its own, and "
                    f"every rank has a copy of it: the copies would differ. {SCATTERED}"
                )
            raise PlacementError(
                f"{problem.algorithm}: argument {name!r} is a plain {type(value).__name__}, of which "
                "every rank has a copy, and the call writes to it: the copies would differ. Pass "
                f"{executor!r}.asarray({name}), or {executor!r}.empty(shape, dtype) for an output"
            )


def chancy(problem: Problem) -> list[tuple[str, Any, Reach]]:
    """The arrays of floats that a kernel adds to by atomic operations, whose rounding goes with their order."""
    found = []
    for k, value in problem.arrays():
        reach = problem.reaches()[k]
        if reach is not None and np.dtype(value.dtype).kind == "f" and reach.atomics & {"add", "sub"}:
            found.append((problem.names[k], value, reach))
    return found


def check_added(problem: Problem, name: str, reach: Reach) -> None:
    """Refuse what copies that are added up would not do."""
    what = ""
    if reach.claims:
        what = f"uses what pp.atomic gives back of {name!r}"
    elif reach.read or reach.written:
        what = f"{'reads' if reach.read else 'writes to'} {name!r} too"
    elif not reach.atomics <= {"add", "sub"}:
        what = f"changes {name!r} by {' and '.join(f'pp.atomic.{x}' for x in sorted(reach.atomics))}"
    if what:
        raise KernelError(
            f"{problem.algorithm}: the kernel adds to {name!r} by pp.atomic, and {what}: with deterministic=True it "
            "must do nothing else with that array. Use another one for it, or whole numbers, whose sums are exact"
        )


def refuse_chance(problem: Problem) -> None:
    """Refuse sums of floats in the order of chance, of a policy that wants none."""
    if chancy(problem):
        raise KernelError(
            "the kernel adds to an array of floats by pp.atomic, in the order of chance: with deterministic=True only "
            "pp.for_each does that in a fixed order"
        )


def at_hand(problem: Problem, executor: Any) -> Problem:
    """A problem of one part that uses arrays that lie on several: the rows that it uses must be here."""
    if not any(isinstance(value, PartitionedArray) for value in problem.values):
        return problem
    values = list(problem.values)
    for k, value in problem.arrays():
        if not isinstance(value, PartitionedArray) or len(value.cuts) < 3 or value.replica is True:
            continue
        reach, use = problem.reaches()[k], problem.access[k]
        assert reach is not None and use is not None
        here = [n for n, member in enumerate(value.executor.members) if member is executor]
        if here and not reach.far and reach.lands and not reach.strays:
            (lo, hi), (n,) = rows_of(problem, *(problem.span or (0, problem.size))), here
            if all(value.cuts[n] <= a and b <= value.cuts[n + 1] for a, b in needed(reach, (lo, hi), value.shape[0])):
                continue
        if here and isinstance(value.replica, np.ndarray) and not use.writes:
            values[k] = value.replica
        elif here:
            raise PlacementError(
                f"{problem.algorithm}: the kernel {'writes to' if use.writes else 'uses'} the partitioned array "
                f"{problem.names[k]!r} at other indices than its own: only its own rows are at hand. "
                f"{SCATTERED if use.writes else f'Gather it first, and pass that: pp.asnumpy({problem.names[k]})'}"
            )
    return replace(problem, values=tuple(values))


def _check_private(
    problem: Problem, name: str, reach: Reach, stores: bool, partitioned: bool, ranks: bool, executor: Any
) -> None:
    """Refuse what copies that are combined would not do."""
    what = ""
    if stores:
        what = f"writes to {name!r} at other indices than its own"
    elif reach.claims:
        what = f"uses what pp.atomic gives back of {name!r}, which counts what all parts did before"
    elif reach.read:
        what = f"reads {name!r} while other parts change it by pp.atomic"
    elif not combined(reach.atomics):
        told = " and ".join(f"pp.atomic.{operation}" for operation in sorted(reach.atomics))
        what = f"changes {name!r} by {told}, whose results on several copies cannot be put together"
    if what:
        where = "the parts share no memory"
        if ranks and not partitioned:
            where = "every rank has a copy of it: the copies would differ"
        raise PlacementError(
            f"{problem.algorithm}: the kernel {what}, and {executor!r} has several parts: {where}. {SCATTERED}"
        )


def _check_pushed(problem: Problem, name: str, reach: Reach, partitioned: bool) -> None:
    """Refuse lists that parts with no memory in common cannot push to."""
    what = ""
    if partitioned or reach.read or reach.written or reach.atomics:
        what = "lies on several parts" if partitioned else "is used in other ways, too"
    elif sum("items" in r.pushed for r in problem.reaches() if r is not None) > 1 or len(reach.pushed) > 1:
        what = "is not the only one"
    if what:
        raise PlacementError(
            f"{problem.algorithm}: the kernel pushes to {name!r}, which {what}, and the parts share no memory: each "
            "pushes to a list of its own, of which one NumPy array of items and one of their number are made. Push to "
            "one such list, and do nothing else with it; or use one device, such as pp.par.on(pp.threads())"
        )


def _at_home(problem: Problem, name: str, value: PartitionedArray, executor: Any) -> None:
    if value.executor is not executor:
        raise PlacementError(
            f"{problem.algorithm}: argument {name!r} lives on {value.executor!r}, not on {executor!r}. "
            f"Use policy.on({value.executor!r})"
        )
    if len(value.cuts) != len(executor.members) + 1:
        raise PlacementError(
            f"{problem.algorithm}: argument {name!r} has {len(value.cuts) - 1} parts, and {executor!r} has "
            f"{len(executor.members)} members: place it with {executor!r}.asarray(...)"
        )


def _cuts(
    problem: Problem, reaches: Sequence[Reach | None], home: Sequence[int], executor: Any
) -> tuple[int, ...] | None:
    """The rows at which arrays are cut whose own rows are used: that of one that is written, if there is one."""
    rows = rows_of(problem, 0, problem.size)

    def written(k: int) -> bool:
        reach = reaches[k]
        return reach is not None and (reach.written or bool(reach.atomics))

    found, by = None, -1
    for k in sorted(home, key=lambda k: not written(k)):
        reach, count = reaches[k], problem.values[k].shape[0] * scale(problem, k)
        assert reach is not None
        if rows[1] > count - (0 if written(k) else min(reach.low, 0)) and problem.size:
            raise PlacementError(
                f"{problem.algorithm}: argument {problem.names[k]!r} has {count} rows, and the indices of the first "
                f"axis go to {rows[1] - 1}: a partitioned array must have a row for each index that uses its own"
            )
        cuts = _scaled(problem, k)
        if cuts[-1] != rows[1] or rows[0] != 0:
            cuts = tuple(min(max(c, rows[0]), rows[1]) for c in cuts)
            cuts = (rows[0], *cuts[1:-1], rows[1])
        if found is None:
            found, by = cuts, k
        elif written(k) and cuts != found:
            raise PlacementError(
                f"{problem.algorithm}: it writes to {problem.names[by]!r} and {problem.names[k]!r}, which are cut at "
                f"different rows, {problem.values[by].cuts} and {problem.values[k].cuts}: make one like the other, "
                f"{executor!r}.empty(shape, dtype, cuts=...)"
            )
    return found


def _spans(problem: Problem, executor: Any, cuts: tuple[int, ...] | None) -> tuple[tuple[Span, ...], str]:
    """The flat indices of every part, and what decided."""
    count, weights = problem.extent[0], executor.weights
    if cuts is None:
        if cost.serial_seconds(problem.program, problem.size) < executor.worth:
            why, ends = "not worth cutting: on the part of the largest weight", shares.all_to_one(count, weights)
        else:
            why, ends = "cut by the executor's weights", shares.cut_rows(count, weights)
        return tuple((a * problem.row, b * problem.row) for a, b in zip(ends[:-1], ends[1:], strict=True)), why
    found = tuple(flat(problem, lo, hi) for lo, hi in zip(cuts[:-1], cuts[1:], strict=True))
    return found, "cut where its partitioned arrays are cut"


def _moves(
    problem: Problem, policy: Policy, executor: Any, reaches: Sequence[Reach | None], kinds: dict[int, str],
    spans: Sequence[Span],
) -> tuple[Move, ...]:  # fmt: skip
    found = []
    busy = [k for k, (lo, hi) in enumerate(spans) if lo < hi]
    for k, kind in kinds.items():
        value, name, reach = problem.values[k], problem.names[k], reaches[k]
        assert reach is not None
        size = value.size * value.dtype.itemsize
        if kind == "private":
            alone = executor.kind != "mpi" and len(busy) < 2 and not isinstance(value, PartitionedArray)
            if not alone:
                operation = PUSHED if "items" in reach.pushed else "add" if reach.pushed else combined(reach.atomics)
                found.append(Move(k, kind, name, size * len(busy), operation=operation))
        elif not isinstance(value, PartitionedArray):
            continue
        elif kind == "rows":
            factor = scale(problem, k)
            wanted = tuple(
                needed(reach, rows_of(problem, lo, hi), value.shape[0] * factor) for lo, hi in spans
            )
            owned = [(lo * factor, hi * factor) for lo, hi in value.partition]
            others = sum(_outside(span, own) for own, some in zip(owned, wanted, strict=True) for span in some)
            if others:
                row = size // max(value.shape[0] * factor, 1)
                found.append(Move(k, kind, name, others * row, wanted))
        else:
            found.append(Move(k, kind, name, size))
    for move in found:
        if move.kind in ("gathered", "shared"):
            refuse(policy, problem.algorithm, move.name, str(move))
    return tuple(found)


def refuse(policy: Policy, algorithm: str, name: str, what: str) -> None:
    """Raise a PlacementError where the policy forbids to gather an array."""
    if policy.transfers == "forbid":
        raise PlacementError(
            f"{algorithm}: {what}, and the policy forbids transfers. Use its own rows, pass pp.asnumpy({name}), or "
            "allow it: policy.with_(transfers='allow')"
        )


_warned: set[Any] = set()


def warn(policy: Policy, algorithm: str, what: str) -> None:
    """Tell of what is gathered, once, where the policy says so."""
    if policy.transfers != "warn" or (algorithm, what) in _warned:
        return
    _warned.add((algorithm, what))
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("portapar."):
        frame = frame.f_back
    told = f"{algorithm}: {what}. Under policy.with_(transfers='forbid') it is refused"
    warnings.warn_explicit(told, PortaparWarning, frame.f_code.co_filename, frame.f_lineno)


def _outside(span: Span, own: Span) -> int:
    """How many rows of a range are not one's own."""
    return span[1] - span[0] - shares.common(span, own)


# iterations that find all they read in the part's own rows, and others ------------------------------


def count(problem: Problem, k: int) -> int:
    """The rows of an argument, as the program sees it."""
    return problem.values[k].shape[0] * scale(problem, k)


def owned(problem: Problem, k: int, number: int) -> Span:
    """Those of them that a part has."""
    cuts, factor = problem.values[k].cuts, scale(problem, k)
    return cuts[number] * factor, cuts[number + 1] * factor


def pieces(
    problem: Problem, found: Sequence[Move], number: int, span: Span
) -> tuple[list[Span], list[Span], list[Span]]:
    """The iterations of a part, by rows: those before, in, and behind the middle that finds all rows at home."""
    lo, hi = rows_of(problem, *span)
    if lo >= hi:
        return [], [], []
    first, last = lo, hi
    for move in found:
        reach, (begin, end) = problem.reaches()[move.argument], owned(problem, move.argument, number)
        assert reach is not None
        low, high = (reach.low, reach.high) if reach.read else (0, 0)
        if begin > 0 or reach.wraps:
            first = max(first, begin - low)
        if end < count(problem, move.argument):
            last = min(last, end - high)
    if first >= last or problem.program.acc is not None:
        return [(lo, hi)], [], []
    return [(lo, first)] * (lo < first), [(first, last)], [(last, hi)] * (last < hi)


def asked(problem: Problem, found: Sequence[Move], spans: Sequence[Span]) -> list[list[tuple[int, Span, Span]]]:
    """For each part the rows that it asks for: (argument, the iterations that use them, which)."""
    wanted: list[list[tuple[int, Span, Span]]] = []
    for number, span in enumerate(spans):
        before, _, behind = pieces(problem, found, number, span)
        wanted.append([])
        for move in found:
            reach = problem.reaches()[move.argument]
            assert reach is not None
            for rows in before + behind:
                some = needed(reach, rows, count(problem, move.argument))
                wanted[-1] += [(move.argument, rows, span) for span in some]
    return wanted


def host_rows(problem: Problem, k: int, value: np.ndarray, span: Span) -> tuple[Span, Span]:
    """The rows that a part needs of an array in host memory, and those of them that it may write."""
    whole = (0, len(value))
    if span[1] - span[0] == problem.size:
        return whole, whole
    reach = problem.reaches()[k]
    assert reach is not None
    if reach.strays or not reach.lands:
        return whole, whole
    rows = rows_of(problem, *span)
    own = min(rows[0], len(value)), min(rows[1], len(value))
    if reach.far:
        return whole, own
    found = needed(reach, rows, len(value))
    if len(found) > 1 or not found:  # the first rows and the last ones; an array that is not used
        return whole, own
    return found[0], own


def shared(problem: Problem) -> dict[int, list[int]]:
    """The arrays in host memory that are given more than once, and written: the first place, and all of them.

    A device has one copy of such an array.

    Raises
    ------
    PlacementError
        Two arrays are not the same, but overlap; several elements of one that is written lie in one place.
    """
    if problem.program.form not in ("map", "groups"):  # transforms read an element, and write it then
        return {}
    given = [(k, x, use) for k, x in problem.arrays() if isinstance(x, np.ndarray) and (use := problem.access[k])]
    found: dict[int, list[int]] = {}
    for at, (k, x, use) in enumerate(given):
        if use.writes and overlaps.shares_places(x):
            raise PlacementError(
                f"{problem.algorithm}: several elements of {problem.names[k]!r} lie in one place, and it is written: "
                "in a device's copy they would be apart. Pass the array that it is a view of, and index that"
            )
        for j, y, other in given[:at]:
            used = (use.writes and (other.reads or other.writes)) or (use.reads and other.writes)
            if not used or not np.may_share_memory(x, y):
                continue
            if overlaps.same_memory(x, y):
                places = next((some for some in found.values() if j in some), None) or found.setdefault(j, [j])
                places += [] if k in places else [k]
            elif overlaps.overlap(x, y):
                one, two = problem.names[j], problem.names[k]
                raise PlacementError(
                    f"{problem.algorithm}: {one!r} and {two!r} overlap, and one of them is written: a device would "
                    f"have a copy of each. Pass the array that both are views of, and index that; or pass {one}.copy()"
                )
    return found


def fetched(use: Access) -> bool:
    """Whether what an array had before matters, so that it must be copied to where it is used."""
    return use.reads or not (use.covers and use.pointwise)


def own_part(problem: Problem, k: int, value: PartitionedArray, executor: Any) -> tuple[Any, int]:
    """The part of a partitioned array that lives on an executor, and its first row."""
    for number, local in value.parts.items():
        if value.executor.members[number] is executor:
            if value.ndim > 1 and problem.program.specs[k].ndim == 1:
                local = local.reshape(-1)
            return local, value.cuts[number] * scale(problem, k)
    raise PlacementError(
        f"{problem.algorithm}: argument {problem.names[k]!r} lives on {value.executor!r}, not on {executor!r}. "
        f"Use policy.on({value.executor!r})"
    )


def lengths(problem: Problem, span: Span, placed: Sequence[Any], firsts: Sequence[int]) -> tuple[int, ...]:
    """The rows that arrays have all in all, where a kernel asks for it, and a part has less; else 0."""
    if span[1] - span[0] == problem.size:
        return ()
    reaches = problem.reaches()
    if problem.tests is None and not any(reach is not None and reach.measured for reach in reaches):
        return ()
    found = [0] * len(placed)
    for k, _ in problem.arrays():
        reach = reaches[k]
        if reach is not None and (reach.measured or problem.tests is not None):
            whole, here = count(problem, k), placed[k].shape[0] + firsts[k]
            found[k] = whole if here < whole else 0
    return tuple(found)


def traffic(problem: Problem, found: Sequence[Move], spans: Sequence[Span], number: int) -> tuple[int, int]:
    """Bytes to the device of a part and back, for what moves between parts."""
    into = out = 0
    rows = [move for move in found if move.kind == "rows"]
    wanted = asked(problem, rows, spans) if rows else []
    for move in found:
        k, value, reach = move.argument, problem.values[move.argument], problem.reaches()[move.argument]
        assert reach is not None
        if not isinstance(value, PartitionedArray):
            continue
        row, (begin, end) = value.size * value.dtype.itemsize // max(count(problem, k), 1), owned(problem, k, number)
        own, written = (end - begin) * row, reach.written or bool(reach.atomics)
        busy = spans[number][0] < spans[number][1]
        if move.kind == "rows":
            theirs = [span for some in wanted for argument, _, span in some if argument == k]
            out += sum((b - a - _outside((a, b), (begin, end))) * row for a, b in theirs)
            mine = [(inner, b - a) for argument, inner, (a, b) in wanted[number] if argument == k]
            size = sum(n for _, n in mine) * row
            into += size + written * sum(b - a for a, b in {inner for inner, _ in mine}) * row
            out += written * size
        else:
            size = value.size * value.dtype.itemsize
            private = move.kind == "private"
            into += busy * size + (private or written) * own
            out += own + (busy * size if private else written * busy * own)
    return into, out
