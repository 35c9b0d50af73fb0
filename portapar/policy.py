"""Policies: what the user allows an algorithm to do, after C++'s execution policies."""

from __future__ import annotations

import contextlib
import dataclasses
import numbers
import operator
import sys
import types
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar.errors import PlacementError, PolicyError, of_kind, one_of

SCHEDULES = ("static", "dynamic", "guided")
TRANSFERS = ("allow", "warn", "forbid")
FAILURES = ("raise", "reroute")
_TUNING = 1.0  #: seconds of a search, unless it is said


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """What an algorithm may do, and where; immutable.

    Build one from `seq`, `unseq`, `par`, `par_unseq` or `auto` with `on`, `with_` and `task`.

    Attributes
    ----------
    name : str
        The policy that it was built from.
    threads : bool
        Whether iterations may run on several threads. All may run in SIMD lanes, where that gives the results of the
        loop in order.
    executor : Executor or None
        Where it runs; None is the default executor.
    chunk_size : int or None
        Iterations handed out at a time.
    schedule : {"static", "dynamic", "guided"}
        How iterations are dealt to threads, as in OpenMP.
    asynchronous : bool
        The algorithm returns a `Future` at once.
    check : bool
        Every index of every array in a kernel is tested.
    transfers : {"allow", "warn", "forbid"}
        What becomes of a call of several parts in which a partitioned array is gathered.
    on_failure : {"raise", "reroute"}
        What becomes of the part of an executor that has no memory left, or is lost.
    deterministic : bool
        Atomic sums of floats have the same bits in every run.
    tune : float
        Seconds that calls of a kernel may take in which ways to deal out its iterations are tried; 0: none are.
    """

    name: str
    threads: bool
    executor: Any = None
    chunk_size: int | None = None
    schedule: str = "static"
    asynchronous: bool = False
    check: bool = False
    transfers: str = "allow"
    on_failure: str = "raise"
    deterministic: bool = False
    tune: float = 0.0

    def _but(self, **changes: Any) -> Policy:
        """This policy with changes: equal policies are one object, so that plans are found by identity."""
        executor = changes.get("executor", self.executor)
        known = _unbound if executor is None else executor.policies
        key = (_own(self), *changes.items())
        found = known.get(key)
        if found is None:
            fresh = dataclasses.replace(self, **changes)
            found = known[key] = known.setdefault(_own(fresh), fresh)
        return found

    def _dealt(self, chunk: int) -> Policy:
        """This policy with `chunk` iterations at a time for whichever thread is free; itself on one thread."""
        if not self.threads:
            return self
        known = _unbound if self.executor is None else self.executor.policies
        found = known.get((self, chunk))
        if found is None:
            found = known[self, chunk] = self._but(schedule="dynamic", chunk_size=chunk)
        return found

    def _at(self, executor: Any) -> Policy:
        """This policy bound to an executor, where it is that of a call."""
        if self.executor is executor:
            return self
        if self.executor is not None:  # of a call's whole: then this is one of its members
            return self._but(executor=executor)
        found = executor.policies.get(self)
        if found is None:
            found = executor.policies[self] = self._but(executor=executor)
        return found

    def on(self, executor: Any) -> Policy:
        """The same policy, run by `executor` (an executor, or its name)."""
        if isinstance(executor, str):
            executor = by_name(executor)
        if not hasattr(executor, "execute"):
            raise PolicyError(
                f"{self!r}.on({executor!r}): not an executor. Use pp.threads(), pp.opencl(), pp.executor('name'), …"
            )
        if self.name in ("par", "par_unseq", "auto") or executor.one_thread:
            return self._but(executor=executor)
        if executor.kind in ("threads", "simd"):
            return self._but(executor=executor)
        raise PolicyError(
            f"pp.{self.name} allows one thread only, and {executor!r} runs many: use pp.par or pp.par_unseq"
        )

    def with_(
        self,
        *,
        chunk_size: int | None = None,
        schedule: str | None = None,
        check: bool | None = None,
        transfers: str | None = None,
        on_failure: str | None = None,
        deterministic: bool | None = None,
        tune: bool | float | None = None,
    ) -> Policy:
        """The same policy with other parameters.

        Parameters
        ----------
        chunk_size : int, optional
            Iterations handed out at a time, at least 1.
        schedule : {"static", "dynamic", "guided"}, optional
            ``static`` cuts the range evenly once, unless a kernel's loop ends at its index, as over a triangle;
            ``dynamic`` deals chunks to whoever is free; ``guided`` does so with chunks that shrink. On one thread there
            is nobody to deal to: it has no effect.
        check : bool, optional
            Test every index of every array that a kernel takes, and raise `BoundsError` for the first one that is out
            of bounds; outputs are undefined then. For finding mistakes: it takes up to three times as long.
            ``PORTAPAR_CHECK=1`` does so for all calls of a process.
        transfers : {"allow", "warn", "forbid"}, optional
            A kernel that reads rows of a `PartitionedArray` anywhere has the array gathered, once a call, which its
            plan says; ``warn`` tells of it once, ``forbid`` refuses it. Rows around a part's own are always fetched.
        deterministic : bool, optional
            `for_each` does ``pp.atomic.add`` and ``sub`` of floats in a fixed order, with the same bits in every run,
            on any number of threads and on every device, if the kernel uses neither what they return nor the array
            otherwise. 8 to 64 blocks of iterations have a copy of the array each: that takes memory, and a GPU is not
            busy. Other calls whose kernels have such sums are refused.
        on_failure : {"raise", "reroute"}, optional
            With ``reroute`` the others of a `hybrid` do the part of a member that has no memory left, was closed or
            cannot run the kernel, and under `auto` the next executor does the call: the result is the same. It is told
            once. That goes for what is one kernel form (`for_each`, `transform`, `reduce`, …) on NumPy arrays; an error
            of any other call names the part, and its inputs are as they were.
        tune : bool or float, optional
            Find out how the iterations of a kernel are best dealt out on its executor: chunks of threads and of OpenCL
            devices that are CPUs, blocks of GPUs. The first calls of each kernel, for each size to a factor of 1.4, try
            them in turns, until they have taken so many seconds (``True``: 1); the fastest is kept, for later processes
            too. No call is made twice, and results are the same. It has no effect where `chunk_size` or `schedule` is
            given, on one thread, and on several parts.

        Notes
        -----
        Devices deal work out themselves, whatever the schedule: OpenCL CPU devices in pieces of `chunk_size`
        to whichever core is free, GPUs index by index.
        """
        words = (schedule, SCHEDULES), (transfers, TRANSFERS), (on_failure, FAILURES)
        for name, (given, known) in zip(("schedule", "transfers", "on_failure"), words, strict=True):
            if given is not None:
                one_of(f"with_: {name}", given, known, PolicyError)
        for name, flag in (("check", check), ("deterministic", deterministic)):
            if flag is not None and not isinstance(flag, (bool, np.bool_)):
                raise PolicyError(f"with_({name}={flag!r}): must be True or False")
        whole = isinstance(chunk_size, numbers.Integral) and not isinstance(chunk_size, bool)
        if chunk_size is not None and not (whole and 1 <= chunk_size < 2**63):
            raise PolicyError(f"with_(chunk_size={chunk_size!r}): must be a whole number from 1")
        seconds = self.tune if tune is None else _seconds(tune)
        return self._but(
            tune=seconds,
            chunk_size=self.chunk_size if chunk_size is None else int(chunk_size),
            check=self.check if check is None else bool(check),
            transfers=self.transfers if transfers is None else transfers,
            deterministic=self.deterministic if deterministic is None else bool(deterministic),
            on_failure=self.on_failure if on_failure is None else on_failure,
            schedule=schedule if schedule is not None and self.threads else self.schedule,
        )

    @property
    def task(self) -> Policy:
        """The same policy, asynchronous: the algorithm returns a `Future`."""
        return self._but(asynchronous=True)

    def __reduce__(self) -> Any:
        return _restored, (_own(self), self.executor)

    def __repr__(self) -> str:
        text = f"pp.{self.name}"
        if self.executor is not None:
            text += f".on({self.executor!r})"
        given = []
        if self.chunk_size is not None:
            given.append(f"chunk_size={self.chunk_size}")
        if self.schedule != "static":
            given.append(f"schedule={self.schedule!r}")
        if self.check:
            given.append("check=True")
        if self.transfers != "allow":
            given.append(f"transfers={self.transfers!r}")
        if self.deterministic:
            given.append("deterministic=True")
        if self.on_failure != "raise":
            given.append(f"on_failure={self.on_failure!r}")
        if self.tune:
            given.append(f"tune={self.tune:g}")
        if given:
            text += f".with_({', '.join(given)})"
        return text + ".task" if self.asynchronous else text


def _seconds(tune: bool | float) -> float:
    """The seconds of a search, from what `with_` was given."""
    if isinstance(tune, (bool, np.bool_)):
        return _TUNING if tune else 0.0
    if not isinstance(tune, numbers.Real) or not 0 <= tune < float("inf"):
        raise PolicyError(f"with_(tune={tune!r}): must be True, False, or seconds from 0")
    return float(tune)


#: what a policy says besides where it runs
_own = operator.attrgetter(*(field.name for field in dataclasses.fields(Policy) if field.name != "executor"))
#: policies by that, and by what `_but` made them of; an executor has those that are bound to it, and they go with it
_unbound: dict[tuple, Policy] = {}


def by_name(name: str) -> Any:
    """An executor by its name; `portapar.executors`, which is above this module, puts its own here."""
    raise PolicyError(f"executor {name!r}: import portapar first")


def _base(name: str, threads: bool) -> Policy:
    made = Policy(name, threads)
    return _unbound.setdefault(_own(made), made)


def _restored(own: tuple[Any, ...], executor: Any) -> Policy:
    """The policy that was pickled: in this process, too, equal ones are one object."""
    names = [field.name for field in dataclasses.fields(Policy) if field.name != "executor"]
    return par._but(executor=executor, **dict(zip(names, own, strict=True)))


seq = _base("seq", threads=False)
unseq = _base("unseq", threads=False)
par = _base("par", threads=True)
par_unseq = _base("par_unseq", threads=True)
auto = _base("auto", threads=True)

_forgetting: list[Callable[[], None]] = []


def forgets(clear: Callable[[], None]) -> None:
    """Call `clear` when an executor is closed: it empties a memory that may hold its policies."""
    _forgetting.append(clear)


def forget(executor: Any) -> None:
    """Let go of an executor that was closed."""
    executor.policies.clear()
    for clear in _forgetting:
        clear()


current: ContextVar[Any] = ContextVar("portapar_policy", default=None)
_outer: ContextVar[tuple[Any, ...]] = ContextVar("portapar_outer", default=())  #: those of the blocks around


def check_policy(how: Any, algorithm: str) -> None:
    """Raise a `PlacementError` if what a call gives first is no policy."""
    if how is not None and not isinstance(how, Policy):
        shown = f"an array of shape {how.shape}" if hasattr(how, "shape") else f"{how!r}, {of_kind(how)}"
        raise PlacementError(
            f"{algorithm}: the first argument is {shown}: must be a policy such as pp.par. "
            f"The policy comes first: pp.{algorithm}(pp.par, …)"
        )


class _Missing:
    """What stands for an argument that a call of an algorithm did not give: whatever looks at it gets the error."""

    def __init__(self, function: Callable[..., Any], name: str, call: str) -> None:
        self.__dict__.update(function=function, name=name, call=call)

    def fail(self, *_: Any) -> Any:
        own = self.__dict__
        frame = sys._getframe()
        while frame is not None and frame.f_code is not own["function"].__code__:
            frame = frame.f_back  # type: ignore[assignment]
        if frame is None:  # no call: somebody looks at the signature
            raise AttributeError(own["name"])
        if isinstance(frame.f_locals.get("policy"), (Policy, types.NoneType)):
            among = any(isinstance(x, types.FunctionType) for x in frame.f_locals.get("inputs", ()))
            name = own["name"].rpartition(" ")[2]
            how = f". A function is given by that name, {name}=…, not among the arrays" if among else ""
            raise PolicyError(f"{own['name']} is missing: {own['call']}{how}")
        raise PolicyError(f"an argument is missing. The policy comes first, then the data: {own['call']}")

    __getattr__ = __len__ = __iter__ = __array__ = __bool__ = __index__ = __float__ = __call__ = __fspath__ = fail
    __eq__ = __lt__ = __le__ = __add__ = __radd__ = __getitem__ = fail
    __hash__ = None  # type: ignore[assignment]

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # `isinstance` asks for it
        with contextlib.suppress(AttributeError):
            self.fail()
        return _Missing

    def __repr__(self) -> str:
        with contextlib.suppress(AttributeError):
            self.fail()
        return "<required>"


def policy_first(function: Callable[..., Any], room: str = "") -> None:
    """Have a call of an algorithm that forgot its policy told so, instead of which parameter is then missing.

    `room` is what stands before its name: "graph.".
    """
    code = function.__code__
    names, given = code.co_varnames[: code.co_argcount], function.__defaults__ or ()
    required = names[1 : len(names) - len(given)]
    if names[:1] == ("policy",):
        named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        known = function.__kwdefaults__ or {}
        also = [f"{name}=…" for name in named if name not in known]
        told = room + function.__name__
        call = f"pp.{told}({', '.join(['pp.par', *required, *also])}, …)"
        missing = {name: _Missing(function, f"{told}: {name}", call) for name in (*required, *named)}
        function.__defaults__ = (*[missing[name] for name in required], *given)
        function.__kwdefaults__ = {name: known.get(name, missing[name]) for name in named}


class using:
    """The default policy inside a ``with`` block, for calls whose policy is ``None``.

    Executors that a policy does not name are taken from it too: inside
    ``with pp.using(pp.par.on(pp.opencl())):`` a call with plain ``pp.par`` runs on OpenCL. `pp.seq` and `pp.unseq`
    allow one thread only, so without an executor of their own they run on the calling thread of the CPU there too;
    ``None`` takes the block's policy whole.
    """

    def __init__(self, policy: Policy) -> None:
        if not isinstance(policy, Policy):
            raise PolicyError(f"using({policy!r}): not a policy; use pp.par.on(executor)")
        self._policy = policy

    def __enter__(self) -> Policy:  # an object may be entered again, inside of itself and by other threads
        _outer.set((*_outer.get(), current.get()))
        current.set(self._policy)
        return self._policy

    def __exit__(self, *_: object) -> None:
        *outer, before = _outer.get() or (None,)
        _outer.set(tuple(outer))
        current.set(before)


class Planning:
    """What stands in the place of the `using` block's policy while `plan` only wants the plan."""

    def __init__(self, block: Policy | Planning | None) -> None:
        self.block: Policy | None = block.block if isinstance(block, Planning) else block
        self.survey: Any = None  #: of an algorithm of several steps, whose body runs until its first step


class Recording(Planning):
    """The same for `inspect`: calls run, none is remembered, and what they run is noted."""

    def __init__(self, block: Policy | Planning | None) -> None:
        super().__init__(block)
        self.programs: dict[str, Any] = {}  #: by their keys
        self.tasks: list[tuple[Any, Any, Any]] | None = None  #: (problem, part, what was observed) of all, if wanted
        self.observing = 0  #: steps that are left to observe what they do
        self.captures = 0  #: calls whose kernels capture something, of no algorithm of several steps
        self.sorted = 0.0  #: bytes of keys that devices sorted themselves
        self.algorithms = self.few = 0  #: algorithms of several steps, and remembered steps


def choosing(how: Any) -> Policy | None:
    """The policy of a call if it leaves open where it runs: `auto`, or that of a hybrid without weights; else None."""
    if type(how) is Policy and how.executor is not None:  # as most calls of algorithms by algorithms
        return how if how.executor.chooses else None
    block = current.get()
    if block is None:  # as for most calls that users make
        return how if type(how) is Policy and how.name == "auto" else None
    if isinstance(block, Planning):
        block = block.block
    if how is None:
        how = block
    elif block is not None and type(how) is Policy and how.threads and block.executor is not None:
        how = how._but(executor=block.executor)
    if type(how) is not Policy:
        return None
    return how if (how.name == "auto" if how.executor is None else how.executor.chooses) else None


def tuned(how: Any) -> Policy | None:
    """The policy of a call if it wants ways to deal out iterations tried; else None."""
    if how is None:
        block = current.get()
        how = block.block if isinstance(block, Planning) else block
    return how if type(how) is Policy and how.tune else None


def surveying() -> Any:
    """The survey of the algorithm of several steps whose plan is wanted, while its body runs; else None."""
    block = current.get()
    return block.survey if isinstance(block, Planning) else None


def planning() -> bool:
    """Whether this call is made by `plan`, which wants no result."""
    return type(current.get()) is Planning
