"""Algorithms of several steps, on the parts of a call: what each part does, and what the parts tell each other.

An algorithm that is more than one kernel form is written once, as supersteps in the sense of Valiant's BSP
model: `Parts.each` runs a step on every part where it lives, all at once, and gives its results of all parts,
in order, to everybody. On one device there is one part; `pp.hybrid` has one for each member, `pp.mpi` one
for each member of each rank. The algorithm does not know which::

    def prefix(parts, x, out):
        totals = parts.each("totals", lambda part: total(part, x[part]))
        parts.each("prefixes", lambda part: scan(part, x[part], out[part], sum(totals[: part.number])))
        return parts.give(out)

L. G. Valiant, "A bridging model for parallel computation", 1990.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from portapar import arrays, choice, elementwise, moves, outputs, sequence, shares
from portapar.agreement import told
from portapar.bodies import captures, functions, normal
from portapar.call import resolve
from portapar.devices import DeviceExecutor
from portapar.errors import KernelError, PlacementError, PortaparError, of_kind, short
from portapar.exchange import Exchange, roomy
from portapar.expression import MIRROR, OWN
from portapar.few import FEW, MISS, Step
from portapar.kernel.front.lift import bound, lift
from portapar.lazy import Lazy
from portapar.outputs import kind_text
from portapar.part import Data, LocalPart
from portapar.partitioned import PartitionedArray
from portapar.plan import Plan, Surveyed
from portapar.policy import Policy, Recording, check_policy, choosing, current, planning, surveying
from portapar.sequence import Whole
from portapar.tape import tapes, unseen
from portapar.trace import span, watching

T = TypeVar("T")

_truths: set[Any] = set()  #: predicates, with the kinds of their arguments, that are known to return truth values


class Parts(Exchange):
    """One call of an algorithm, cut into parts; made by `run`. What its arguments are for each part."""

    # arguments ------------------------------------------------------------------------------------

    def read(self, x: Any, name: str) -> Data:
        """An input: part k sees its rows."""
        if self.here and type(x) is np.ndarray and x.shape[:1] == self.cuts[1:]:
            arrays.spec_of(x, name)
            return Data.here(x)
        if isinstance(x, Lazy):
            return self._read_lazy(x, name)
        x = self._checked(x, name)
        self.note(x, name)
        found = self._read.get(id(x))
        if found is None or found[0] is not self.cuts:  # what lies on a device already is not moved again
            data = Data(x, x.shape, x.dtype, self._local(x, name, True))
            found = self._read[id(x)] = self.cuts, data
        return found[1]

    def _read_lazy(self, x: Lazy, name: str) -> Data:
        """A lazy input: part k sees its elements, as one over the part's leaves."""
        if x.shape[0] != self.cuts[-1]:
            raise PlacementError(
                f"{self.algorithm}: argument {name!r} has {x.shape[0]} rows, the others have {self.cuts[-1]}"
            )
        here = True  #: all of it is in the host's memory
        for value, leaf, role in zip(x.values, x.named(name), x.expression.roles, strict=True):
            here &= isinstance(value, (np.ndarray, *arrays.SCALARS))
            self.note(value, leaf, whole=role not in (OWN, MIRROR))
            if role in (OWN, MIRROR):
                self._checked(value, leaf)
        gathered: dict[Any, Any] = {}  # what lies elsewhere, by the identity of a leaf
        for value, leaf, role in zip(x.values, x.named(name), x.expression.roles, strict=True):
            if role != OWN and isinstance(value, PartitionedArray) and self.count > 1:
                if role == MIRROR:
                    gathered[id(value), role] = self.rows("mirrored", self.read(value, leaf), self._mirrored)
                else:
                    gathered[id(value), role] = self.gathered(value, leaf)

        def local(part: LocalPart) -> Lazy:
            if here and part.count == 1 and part.executor.device.host_memory:
                return x

            def place(value: Any, leaf: str, role: int) -> Any:
                if role == OWN:
                    return self._local(value, leaf, True)(part)
                if isinstance(value, PartitionedArray):
                    if self.count == 1:
                        return value.parts[part.number]
                    found = gathered[id(value), role]
                    return found[part.number][0] if role == MIRROR else part.asarray(found)
                if role == MIRROR and isinstance(value, np.ndarray):
                    return part.asarray(value[len(value) - part.hi : len(value) - part.lo])
                return self._device(value, leaf, part)

            return x.over(part.lo, part.hi, place, name)

        return Data(x, x.shape, x.dtype, local)

    @contextlib.contextmanager
    def captured(self, body: Callable[..., Any], own: Callable[[], Any]) -> Iterator[None]:
        """While the parts run by themselves: partitioned arrays that the user's functions capture are at hand."""
        found = {id(x): (name, x) for func in functions(body) for name, x in captures(func)}
        found = {k: (name, x) for k, (name, x) in found.items() if x.executor is self.executor and len(x.cuts) > 2}
        mine = {id(x) for x in own()} if found else set()
        before = {k: x.replica for k, (_, x) in found.items()}
        try:
            for k, (name, x) in found.items():
                x.replica = True if k in mine else self.gathered(x, name)
            yield
        finally:
            for k, (_, x) in found.items():
                x.replica = before[k]

    def _mirrored(self, number: int) -> list[tuple[int, int]]:
        """The rows that a part sees of an array that is read from its end."""
        n = self.cuts[-1]
        return [(n - self.cuts[number + 1], n - self.cuts[number])]

    def gathered(self, x: PartitionedArray, name: str) -> np.ndarray:
        """The whole of a partitioned array, on the host of every part; collective."""
        self.gathers(x, name)
        self._surveyed("gather")
        return arrays.asnumpy(x)

    def gathers(self, x: PartitionedArray, name: str) -> None:
        """Tell that it will be, or refuse it."""
        what = f"{name}: read at other rows than its own, gathered once, {x.size * x.dtype.itemsize} bytes"
        if len(x.cuts) > 2:
            moves.refuse(self.policy, self.algorithm, name, what)
            moves.warn(self.policy, self.algorithm, what)
            if self.survey is not None:
                self.survey.facts.append(what)
                for k, (lo, hi) in enumerate(x.partition):
                    self.carries(k, x.size * x.dtype.itemsize, (hi - lo) * x.dtype.itemsize * math.prod(x.shape[1:]))

    def length(self, x: Any, name: str) -> int:
        """The length of an argument that must have one dimension."""
        if type(x) is np.ndarray and x.ndim == 1:
            return len(x)
        x = arrays.normal(x, name)
        if len(getattr(x, "shape", ())) == 1:
            return x.shape[0]
        x = self._checked(x, name)
        told = f"{self.algorithm}: argument {name!r} has shape {x.shape}: must have one dimension"
        if isinstance(x, PartitionedArray):
            raise PlacementError(f"{told}. Place its columns as arrays of their own, {self.executor!r}.asarray(column)")
        if len(x.shape) == 2 and name == "out":  # nothing that is lazy can be written to
            raise PlacementError(f"{told}. Write its columns one by one, {name}[:, k]")
        if len(x.shape) == 2 and len(x) == self.cuts[-1]:  # as many rows as others have, perhaps
            told += f". Pass pp.lazy.zip(*{name}.T), whose elements are the rows as tuples"
            raise PlacementError(f"{told}, or {name}.reshape(-1) if it is to be one sequence of all its numbers")
        raise PlacementError(f"{told}. Pass {name}.reshape(-1)")

    def vector(self, x: Any, name: str) -> Data:
        """An input of one dimension: part k sees its rows."""
        self.length(x, name)
        return self.read(x, name)

    def stored(self, x: Any, name: str) -> Data:
        """As `vector`, where there must be memory: each part stores its elements of a lazy input."""
        data = self.vector(x, name)
        if not isinstance(x, Lazy):
            return data
        return Data(x, data.shape, data.dtype, lambda part: part.asarray(data[part]))

    def once(self, x: Any, name: str) -> Data:
        """As `vector`, but each element of a lazy input that takes a loop is computed once, by whoever is free."""
        return self.stored(x, name) if isinstance(x, Lazy) and x.loops else self.vector(x, name)

    def replicated(self, x: Any, name: str) -> Data:
        """An input that every part sees the whole of."""
        if self.here and type(x) is np.ndarray and x.ndim:
            arrays.spec_of(x, name)
            return Data.here(x)
        if isinstance(x, Lazy):

            def at_hand(value: Any, leaf: str, _: int) -> Any:
                return self.gathered(value, leaf) if isinstance(value, PartitionedArray) else value

            whole = x.over(0, len(x), at_hand, name)

            def local(part: LocalPart) -> Lazy:
                return whole.over(0, len(x), lambda value, leaf, _: self._device(value, leaf, part), name)

            return Data(x, x.shape, x.dtype, local)
        if isinstance(x, PartitionedArray):
            if len(x.cuts) == 2 and x.executor is self.executor:
                return Data(x, x.shape, x.dtype, lambda part: x.parts[part.number])
            x = self.gathered(x, name)
        x = self._checked(x, name)
        self.note(x, name, whole=True)
        return Data(x, x.shape, x.dtype, lambda part: self._device(x, name, part))

    def write(
        self,
        out: Any,
        name: str,
        like: Sequence[tuple[str, Any]] = (),
        apart: Sequence[tuple[str, Any]] = (),
        kernels: Sequence[Any] = (),
        reads: bool = False,
    ) -> Data:
        """An output that the user gave, cut as the inputs are; `give` brings it home.

        Parameters
        ----------
        like : sequence of (name, array)
            Inputs: `out` must not overlap them partly.
        apart : sequence of (name, array)
            Inputs: `out` must not overlap them at all.
        kernels : sequence of callable
            Functions that run while `out` is written: nor must it overlap what they capture.
        reads : bool
            The algorithm reads what is in it.
        """
        out = self._checked(out, name)
        ranks = self.executor.kind == "mpi" and self.executor.group.size > 1
        if ranks and isinstance(out, np.ndarray):
            raise PlacementError(
                f"{self.algorithm}: {name} is a plain ndarray, of which every rank has a copy, and the call writes "
                f"its own rows only: the copies would differ. Pass {self.executor!r}.empty(shape, dtype)"
            )
        outputs.check_memory(self.algorithm, out, name)
        lazy = [(other, x) for other, x in like if isinstance(x, Lazy)]  # their elements may be read several times
        plain = [(other, x) for other, x in like if not isinstance(x, Lazy)]
        outputs.check_apart(self.algorithm, out, plain, [*lazy, *apart], name)
        for given in kernels:
            if not hasattr(given, "__code__"):  # a ufunc
                continue
            kernel, func = lift(given)
            captured = zip(kernel.captures, kernel.values(func), strict=True)
            outputs.check_captured(self.algorithm, out, kernel, [(part, x) for (part, _), x in captured])
        self.note(out, name, into=reads, out=True)
        return Data(out, out.shape, out.dtype, self._local(out, name, reads), True)

    def new(self, shape: int | tuple[int, ...], dtype: Any) -> Data:
        """A new output of the kind that went in, cut as the inputs are."""
        shape = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(shape)
        dtype = np.dtype(dtype)
        if self.here:
            return Data.here(self.own[0].empty(shape, dtype))
        if self.kind == "numpy":
            own = self.own
            host = self.count == len(own) == 1 and own[0].executor.device.host_memory
            out = own[0].empty(shape, dtype) if host else np.empty(shape, dtype)
            self.note(out, "the result", into=False, out=True)
            return Data(out, shape, dtype, self._local(out, "out", False), True)
        if self.kind == "device":
            out = self.executor.empty(shape, dtype)
            return Data(out, shape, dtype, lambda part: out)
        if self.survey is not None:  # whose first step is another one
            return Data(None, shape, dtype, lambda part: None, True)
        # what is not as long as the arguments is cut for itself
        cuts = self.cuts if shape[0] == self.cuts[-1] else shares.cut_rows(shape[0], self.executor.weights)
        rows = [hi - lo for lo, hi in shares.spans(cuts)]
        made = self.make(lambda part: part.empty((rows[part.number], *shape[1:]), dtype))
        whole = PartitionedArray(shape, dtype, cuts, made, self.executor)
        return Data(whole, shape, dtype, lambda part: made[part.number])

    def give(self, data: Data) -> Any:
        """An output as the user gets it.

        What devices wrote to their copies of a NumPy array comes home; of a new one, every rank gets the whole.
        """
        if self.here:
            return data.value
        if isinstance(data.value, np.ndarray):
            ranks = self.executor.kind == "mpi" and self.executor.group.size > 1

            def home(part: LocalPart) -> np.ndarray | None:
                here, rows = data._placed.get(part.number), data.value[part.lo : part.hi]
                if here is not None and not part.executor.device.host_memory and len(part):
                    rows[...] = part.executor.device.asnumpy(here)
                return rows if ranks else None

            found = self.each("results", home)
            if ranks:
                for (lo, hi), rows in zip(shares.spans(self.cuts), found, strict=True):
                    data.value[lo:hi] = rows
        return data.value

    def concatenate(self, step: str, work: Callable[[LocalPart], Any]) -> Any:
        """An output whose length the parts find out: what `work` returns, one part after the other.

        Each returns an array where the part lives, of as many rows as it has to give.
        """
        if self.here:
            return work(self.own[0])
        if self.kind == "device" and self.count > 1:
            raise PlacementError(
                f"{self.algorithm}: an argument is an array that is whole on one device, and {self.executor!r} has "
                f"{self.count} parts. Pass {self.executor!r}.asarray(...) of it"
            )
        home = self.kind == "numpy" and self.count > 1
        found = self.do(step, (lambda part: arrays.asnumpy(work(part))) if home else work)
        sizes = self.each("sizes", lambda part: (len(found[part.number]), found[part.number].dtype))
        lengths = [n for n, _ in sizes]
        if self.kind == "partitioned" and self.count == 1:
            return PartitionedArray(found[0].shape, found[0].dtype, (0, lengths[0]), found, self.executor)
        if self.kind == "device" or (self.kind == "numpy" and self.count == 1):
            (whole,) = found.values()
            return arrays.asnumpy(whole) if self.kind == "numpy" else whole
        firsts = np.concatenate([[0], np.cumsum(lengths)]).astype(int).tolist()
        return self.assemble({k: [(firsts[k], arrays.asnumpy(part))] for k, part in found.items()}, firsts[-1])

    def assemble(
        self, runs: dict[int, list[tuple[int, np.ndarray]]], length: int, cuts: tuple[int, ...] | None = None
    ) -> Any:
        """An output of rows that the parts have on the host, moved to where they belong.

        Parameters
        ----------
        runs : dict
            For each own part its runs of neighbouring rows, at least one: (first row in the whole, the rows).
        length : int
            Rows of the whole.
        cuts : tuple of int, optional
            Of a partitioned output; by default in proportion to the executor's weights.
        """
        model = next(iter(runs.values()))[0][1]
        shape, dtype = (length, *model.shape[1:]), model.dtype
        if self.kind == "numpy":
            whole = np.empty(shape, dtype)
            for some in self.each("results", lambda part: runs[part.number]):
                for first, rows in some:
                    whole[first : first + len(rows)] = rows
            return whole
        ends = cuts or shares.cut_rows(length, self.executor.weights)

        def send(part: LocalPart) -> list[list[tuple[int, np.ndarray]]]:
            def within(first: int, rows: np.ndarray, lo: int, hi: int) -> tuple[int, np.ndarray]:
                return max(first - lo, 0), rows[max(lo - first, 0) : max(hi - first, 0)]

            return [[within(*run, lo, hi) for run in runs[part.number]] for lo, hi in shares.spans(ends)]

        got = self.alltoall("move", send)

        def place(part: LocalPart) -> Any:
            rows = np.empty((ends[part.number + 1] - ends[part.number], *shape[1:]), dtype)
            for first, some in (run for given in got[part.number] for run in given):
                if len(some):
                    rows[first : first + len(some)] = some
            return part.executor.asarray(rows)

        return PartitionedArray(shape, dtype, ends, self.do("place", place), self.executor)

    def function(self, given: Any, name: str, wanted: int) -> Any:
        """A user's function as kernels call it, which must take `wanted` arguments."""
        return self._function(given, name, wanted)[1]

    def _function(self, given: Any, name: str, wanted: int) -> tuple[Any, Any, list[Any]]:
        """Its kernel, itself, and what it captures."""
        kernel, func, captured = bound(given)
        most = len(kernel.params)
        if not most - len(func.__defaults__ or ()) <= wanted <= most:
            raise KernelError(
                f"{self.algorithm}: {name} {kernel.name!r} ({kernel.where()}) takes {most} argument{'s' * (most != 1)} "
                f"({', '.join(kernel.params)}): must take {wanted}"
            )
        return kernel, func, captured

    def predicate(self, given: Any, *inputs: Any) -> Any:
        """A predicate as kernels call it, of one element of each input; it must return a truth value."""
        kernel, func, captured = self._function(given, "predicate", len(inputs))
        known = *inputs, *captured, *(func.__defaults__ or ())
        key = kernel, *(x.expression if isinstance(x, Lazy) else getattr(x, "dtype", type(x)) for x in known)
        if key not in _truths:
            wanted = "must return a truth value, on every way through it"
            try:
                kind = elementwise.returned(self.algorithm, func, inputs)
            except KernelError as error:
                found = str(error).partition(": must return")[0]
                raise KernelError(f"{found}: {wanted}") if found != str(error) else error from None
            if isinstance(kind, tuple) or kind.names is not None:
                told = f"{self.algorithm}: predicate {kernel.name!r} ({kernel.where()}) returns"
                raise KernelError(f"{told} {kind_text(kind)}: {wanted}")
            if len(_truths) > 4096:
                _truths.clear()
            _truths.add(key)
        return func

    # where things are -------------------------------------------------------------------------------

    def _checked(self, x: Any, name: str) -> Any:
        x = arrays.normal(x, name)
        if isinstance(x, arrays.SCALARS):
            raise PlacementError(f"{self.algorithm}: argument {name!r} is {x!r}, {of_kind(x)}: must be an array")
        arrays.spec_of(x, name)
        if not x.shape:
            raise PlacementError(f"{self.algorithm}: argument {name!r} has no dimensions: must have at least one")
        if isinstance(x, PartitionedArray):
            self._at_home(x, name)
            if x.cuts != self.cuts:
                raise PlacementError(
                    f"{self.algorithm}: argument {name!r} is cut at the rows {x.cuts}, another one at {self.cuts}: "
                    "partitioned arguments of one call must have as many rows, and lie on the same executor"
                )
        return x

    def _device(self, x: Any, name: str, part: LocalPart) -> Any:
        """An array as a part's device reads it."""
        if isinstance(x, np.ndarray):
            return part.asarray(x)
        if not part.executor.device.owns(x):
            raise PlacementError(
                f"{self.algorithm}: argument {name!r} is {of_kind(x)} that does not live on "
                f"{part.executor!r}. Nothing is copied silently: pass {part.executor!r}.asarray({name}), or run "
                "where it lives"
            )
        return x

    def _local(self, x: Any, name: str, reads: bool) -> Callable[[LocalPart], Any]:
        """How a part gets at its rows of an array."""
        if isinstance(x, PartitionedArray):
            return lambda part: x.parts[part.number]
        if x.shape[0] != self.cuts[-1]:
            raise PlacementError(
                f"{self.algorithm}: argument {name!r} has {x.shape[0]} rows, the others have {self.cuts[-1]}"
            )

        def local(part: LocalPart) -> Any:
            if part.count == 1 and not isinstance(x, np.ndarray):
                return self._device(x, name, part)
            if not isinstance(x, np.ndarray):
                raise PlacementError(
                    f"{self.algorithm}: argument {name!r} is {of_kind(x)}, whole on one device, and "
                    f"{self.executor!r} has {part.count} parts. Pass {self.executor!r}.asarray({name})"
                )
            rows = x[part.lo : part.hi]
            if part.executor.device.host_memory or reads:
                return part.asarray(rows)
            return part.empty(rows.shape, rows.dtype)

        return local


def run(
    algorithm: str,
    how: Policy | None,
    values: Sequence[Any],
    body: Callable[[Parts], T],
    few: Callable[[Step], T] | None = None,
    own: Callable[[], Any] = list,
    whole: Whole | None = None,
) -> Any:
    """Carry out an algorithm of several steps.

    Parameters
    ----------
    algorithm : str
        The user's name for it.
    how : Policy or None
    values : sequence
        All its array arguments (None where one was not given): where they live decides where it runs, the
        first one's rows are cut.
    body : callable
        ``body(parts)`` does it, and returns what the user gets.
    few : callable, optional
        ``few(step)`` does it in remembered steps, see `portapar.few`; `body` asks for it by `Parts.few`.
    own : callable, optional
        Gives those of the arrays that the user's functions capture of which each part uses its own rows alone. All
        others that are partitioned are gathered.
    whole : tuple, optional
        What its steps follow from besides what `values` look like, see `portapar.sequence`.

    Returns
    -------
    What `body` returns; with ``policy.task`` a Future of it; inside `pp.plan` its plan.
    """
    try:
        undecided = choosing(how)
        if undecided is not None:
            given = [x for x in values if x is not None]
            plain, like = {*map(type, given)} == {np.ndarray}, None
            if plain:
                small = few is not None and max(x.size for x in given) <= FEW
                like = undecided, algorithm, *(() if small else choice.looks(functions(body), given))
                held = choice.held(undecided, like)
                if held is not None and small and few is not None:
                    if (value := few(Step(held[0]))) is not MISS:
                        return value
                    choice.hold(undecided, like, None)
                elif held is not None and current.get() is None and not watching and not held[0].executor.closed:
                    return _run(algorithm, held[0], values, body, few, own, whole)
            given, body, own = normal(values, body, own)

            def holds(bound: Policy) -> None:
                if plain and isinstance(bound.executor, DeviceExecutor) and bound.executor.device.host_memory:
                    choice.hold(undecided, like, bound)

            again = functools.partial(_run, algorithm, values=values, body=body, few=few, own=own, whole=whole)
            users = tuple(functions(body))
            return choice.run(undecided, algorithm, users, given, lambda bound: again(how=bound), holds=holds)
        return _run(algorithm, how, values, body, few, own, whole)
    except PortaparError as error:
        raise short(error, algorithm) from error.__cause__


def _run(
    algorithm: str,
    how: Policy | None,
    values: Sequence[Any],
    body: Callable[[Parts], T],
    few: Callable[[Step], T] | None,
    own: Callable[[], Any],
    whole: Whole | None,
) -> Any:
    """The same, for a policy that says where, or of which its data do."""
    if whole is not None:
        key, given = sequence.look(algorithm, how, tuple(values), whole)
        if key is not None:
            found = sequence.again(key, given)
            if found is not MISS:
                return found
            return sequence.record(key, given, lambda: _anew(algorithm, how, values, body, few, own))
    elif tapes:
        unseen()
    return _anew(algorithm, how, values, body, few, own)


def _anew(
    algorithm: str,
    how: Policy | None,
    values: Sequence[Any],
    body: Callable[[Parts], T],
    few: Callable[[Step], T] | None,
    own: Callable[[], Any],
) -> Any:
    """The same, of what was not run again."""
    if few is not None and (how is None or type(how) is Policy):
        found = few(Step(how))
        if found is not MISS:
            return found
    check_policy(how, algorithm)
    values, body, own = normal(values, body, own)
    how, where = resolve(how, values, algorithm)
    where = roomy(where, values)
    if tapes and len(where.members) > 1:  # the others run on threads of their own, or on other ranks
        unseen()
    plain = how._but(asynchronous=False) if how.asynchronous else how

    def carry_out() -> Any:
        p = Parts(algorithm, plain, where, values)
        p.short = few
        p.here = p.kind == "numpy" and isinstance(where, DeviceExecutor) and where.device.host_memory
        block = current.get()
        if type(block) is Recording:
            block.algorithms += 1
        if where.kind == "mpi":
            flags = "".join(f", {name}=True" for name in ("check", "deterministic") if getattr(how, name))
            p.asked = f"({told(body)}{flags})"
        try:
            with span("call", algorithm, where), contextlib.nullcontext() if p.count == 1 else p.captured(body, own):
                return body(p)
        except BaseException as error:  # Ctrl-C, too
            if where.group is not None and not getattr(error, "told", False):  # other ranks may wait
                where.group.failed = f"{algorithm}: {type(error).__name__}: {error}"
            raise

    if planning():
        survey = surveying()
        p = Parts(algorithm, plain, where, values)
        if survey is not None:  # an algorithm inside of one whose plan is wanted
            p.survey = survey
            return body(p)
        p.survey = current.get().survey = made = Plan(algorithm, how, where, carry_out)
        try:
            with p.captured(body, own):
                body(p)
        except Surveyed:  # its first step
            pass
        except PortaparError as error:  # what is wrong with a call is told when it runs
            if how.transfers == "forbid" and isinstance(error, PlacementError):
                raise
        finally:
            current.get().survey = None
        made.cut(p.cuts, p.why)
        return made
    if how.asynchronous:
        return where.submit(carry_out)
    return carry_out()
