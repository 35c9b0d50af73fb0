"""What a call would take on a machine that is not here: its work and messages, counted here, at that machine's rates.

The call runs here, on few elements: alone, or on ranks that are threads of this process and talk through memory
(`_Told`), by the code that runs on ranks of a cluster. So the work of each rank is counted as that of any call
(`portapar.choice.counted`), and so is each message. What more elements and more ranks make of it follows from two
sizes and from two numbers of ranks: a power of the elements of a rank, and a part for each other rank. Work becomes
seconds by `portapar.cost.seconds`, as in every plan.

Messages are collective, and take what the methods take that MPI libraries choose from by size (R. Thakur, R.
Rabenseifner, W. Gropp, "Optimization of collective communication operations in MPICH", 2005): `allgather` doubles what
each rank knows, in log2(ranks) messages; in `alltoall` every rank sends to each other one, or, of few bytes, by way of
others in log2(ranks) messages. A hop costs the network's latency; what a rank sends goes over the one link that it has.
"""

from __future__ import annotations

import math
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from portapar import backend, choice, cost, ranks, rates
from portapar.devices import opencl, simd, threads
from portapar.errors import ArgumentError, CommunicationError
from portapar.executor import Executor
from portapar.kernel.tiles import TILE
from portapar.policy import par
from portapar.work import Work

#: a call, ``call(policy, *values)``, and its values, of which the last is the largest result
Made = tuple[Callable[..., object], tuple[Any, ...]]

_FEW = 1 << 21  #: elements at the most that run here, on one rank
_ROWS = 1 << 16  #: and of each rank of several
_RANKS = 4, 8  #: ranks here: those at both ends have one neighbour, the others two
_WAIT = 120.0  #: seconds that a rank here waits for another


@dataclass(frozen=True, slots=True)
class Messages:
    """What a rank tells others.

    Attributes
    ----------
    gathers, told : float
        How often all ranks tell all something, and the bytes that each tells then, all together.
    trades, given : float
        How often all ranks give each other one something else, and the bytes that each gives, its own share included.
    """

    gathers: float = 0.0
    told: float = 0.0
    trades: float = 0.0
    given: float = 0.0

    def bytes(self, count: int) -> float:
        """Those that a rank sends, of so many ranks."""
        return self.told * (count - 1) + self.given * (count - 1) / count

    def seconds(self, count: int, latency: float, bandwidth: float) -> float:
        """What they take among so many ranks."""
        if count < 2:
            return 0.0
        hops, sent = math.ceil(math.log2(count)), self.given * (count - 1) / count
        gather = self.gathers * hops * latency + self.told * (count - 1) / bandwidth
        straight = self.trades * (count - 1) * latency + sent / bandwidth
        around = self.trades * hops * latency + hops / 2 * self.given / bandwidth
        return gather + min(straight, around)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a call should take.

    Attributes
    ----------
    executor : str
        Of the machine.
    ranks, elements : int
        How many ranks, and elements of all together.
    work : Work
        Of the rank that has the most.
    messages : Messages
    computing, talking : float
        Seconds.
    moving : float
        Seconds more if the arrays lie in the host's memory, and the results are wanted there.
    joules, price : float
        Of all machines; NaN where the profile does not say.
    """

    executor: str
    ranks: int
    elements: int
    work: Work
    messages: Messages
    computing: float
    talking: float
    moving: float
    joules: float
    price: float

    @property
    def seconds(self) -> float:
        """All in all, on data that lie where they are used."""
        return self.computing + self.talking


class WhatIf:
    """One call, on machines that are not here.

    Parameters
    ----------
    make : callable
        ``make(n)`` gives a call of n elements, ``call(policy, *values)``, and `values`: arrays and numbers.
    machine : Profile
        See `portapar.rates.machine`.
    """

    def __init__(self, make: Callable[[int], Made], machine: rates.Profile) -> None:
        self.make, self.machine = make, machine
        self._counted: dict[Any, tuple[Work, Messages, float, float]] = {}

    def on(
        self, name: str, elements: int, count: int = 1, network: tuple[float, float] | None = None, each: int = 1
    ) -> Prediction:
        """On the executor `name` of each of several machines.

        Parameters
        ----------
        name : str
        elements : int
            Of all ranks together.
        count : int
            Ranks.
        network : (float, float), optional
            Latency and bandwidth; by default the machine's own.
        each : int
            Ranks that share one machine.

        Raises
        ------
        ArgumentError
            The machine has no such executor; there are several ranks, and nothing tells of their network.
        PortaparError
            What the call raises, if it cannot run on several ranks.
        """
        if name not in self.machine.executors:
            raise ArgumentError(f"the machine has no executor {name!r}; it has {', '.join(self.machine.executors)}")
        network = network or self.machine.network
        if count > 1 and network is None:
            raise ArgumentError("network is missing: several ranks need latency and bandwidth")
        there = self.machine.executors[name]
        if each > 1:
            there = there.part(each)
        kind = name.partition(":")[0]
        local = simd() if kind in ("threads", "simd") and there.threads < 2 else _here(kind)
        done, messages, into, out = self._loads(elements, count, local)
        computing = cost.seconds(done, there)
        talking = messages.seconds(count, *network) if network is not None else 0.0
        if count > 1:  # the library's messages go by way of the host's memory
            got = messages.told * (count - 1) + messages.given
            talking += cost.moving(there, (got,), (messages.told + messages.given,))
        seconds, machines = computing + talking, -(-count // each)
        watts, price = self.machine.watts.get(name, math.nan), self.machine.price
        return Prediction(
            name, count, elements, done, messages, computing, talking, cost.moving(there, (into,), (out,)),
            watts * machines * seconds, (math.nan if price is None else price) * machines * seconds / 3600,
        )  # fmt: skip

    def _loads(self, elements: int, count: int, local: Executor) -> tuple[Work, Messages, float, float]:
        """Work and messages of a rank, and the bytes of its arrays: in, and out."""
        rows = -(-elements // count)
        most = _FEW if count == 1 else _ROWS
        several = (count,) if count <= max(_RANKS) else _RANKS
        sizes: tuple[int, ...] = (rows,) if rows <= most else (most // 2, most)
        if (len(sizes) > 1 or len(several) > 1) and rows % TILE:
            sizes = tuple(map(_uneven, sizes))
        found = [[self._run(n, k, local) for n in sizes] for k in several]
        if len(several) == len(sizes) == 1:
            return found[0][0]
        by_ranks = [_grown(row, sizes, rows) for row in found]
        values = by_ranks[0]
        if len(several) > 1:
            share = (count - several[0]) / (several[1] - several[0])
            values = [a + share * max(0.0, b - a) for a, b in zip(*by_ranks, strict=True)]
        split = len(_numbers(Work())), len(fields(Messages))
        into, out = values[sum(split) :]
        return Work.made(values[: split[0]]), Messages(*values[split[0] : sum(split)]), into, out

    def _run(self, rows: int, count: int, local: Executor) -> tuple[Work, Messages, float, float]:
        key = rows, count, local
        if key not in self._counted:
            made = self.make(rows * count)
            if type(made) is not tuple or len(made) != 2 or not callable(made[0]) or type(made[1]) is not tuple:
                raise ArgumentError(
                    f"{getattr(self.make, '__name__', self.make)}({rows * count}) returned {made!r}: must be a call, "
                    "call(policy, *values), and a tuple of values"
                )
            call, values = made
            done, messages = _alone(call, values, local) if count == 1 else _together(call, values, count, local)
            sizes = [float(getattr(x, "nbytes", 0)) for x in values]
            self._counted[key] = done, messages, sum(sizes[:-1]) / count, sum(sizes[-1:]) / count
        return self._counted[key]


def _here(kind: str) -> Executor:
    """What runs here what another machine does on an executor of that kind."""
    known = [info.name for info in backend.backends()["opencl"].probe() if info.available]
    if kind in ("cuda", "opencl") and known:  # devices have steps of their own
        return opencl()
    return threads() if threads().threads > 1 else threads(2)


def _uneven(rows: int) -> int:
    """About as many rows, whose ends are in the middle of tiles as often as not."""
    return rows // TILE * TILE + TILE // 2 if rows > TILE else rows


def _grown(
    found: Sequence[tuple[Work, Messages, float, float]], sizes: Sequence[int], rows: int
) -> list[float]:
    """What was counted at some numbers of rows, at another one."""
    flat = [[*_numbers(work), *_numbers(messages), into, out] for work, messages, into, out in found]
    if len(sizes) == 1:
        return flat[0]

    def grown(few: float, many: float) -> float:
        if few <= 0 or many <= 0:
            return max(few, many)
        power = math.log(many / few) / math.log(sizes[1] / sizes[0])
        return many * (rows / sizes[1]) ** min(max(power, 0.0), 3.0)

    return [grown(*pair) for pair in zip(*flat, strict=True)]


def _numbers(x: Work | Messages) -> list[float]:
    return x.numbers() if isinstance(x, Work) else [float(getattr(x, f.name)) for f in fields(x)]


# runs here ----------------------------------------------------------------------------------------------


def _alone(call: Callable[..., object], values: Sequence[Any], local: Executor) -> tuple[Work, Messages]:
    _, done = choice.counted(lambda: call(par.on(local), *values))
    return done, Messages()


class _Memory:
    """What ranks that are threads talk through. One of them runs at a time: they are counted, and not timed."""

    def __init__(self, count: int) -> None:
        self.turn = threading.Lock()
        self.slots: list[Any] = [None] * count
        self.barrier = threading.Barrier(count, timeout=_WAIT)

    def swap(self, rank: int, value: Any) -> list[Any]:
        """What all ranks have, in their order."""
        self.slots[rank] = value
        self.wait()
        found = list(self.slots)
        self.wait()
        return found

    def wait(self) -> None:
        self.turn.release()
        try:
            self.barrier.wait()
        except threading.BrokenBarrierError:
            raise CommunicationError(f"another rank failed, or did not come within {_WAIT:g} s") from None
        finally:
            self.turn.acquire()


class _Told(backend.Group):
    """A rank that is a thread, and counts what it tells."""

    name = "a rehearsal"

    def __init__(self, memory: _Memory, rank: int) -> None:
        self.memory, self.rank, self.size, self.node = memory, rank, len(memory.slots), (rank,)
        self.begins()

    def begins(self) -> None:
        self.gathers = self.told = self.trades = self.given = 0.0

    def allgather(self, data: np.ndarray, cuts: Sequence[int] | None = None) -> None:
        ends = cuts or [len(data) // self.size * k for k in range(self.size + 1)]
        self.gathers += 1
        self.told += ends[self.rank + 1] - ends[self.rank]
        mine = data[ends[self.rank] : ends[self.rank + 1]].copy()
        data[:] = np.concatenate(self.memory.swap(self.rank, mine))

    def exchange(self, value: Any) -> list[Any]:
        packed = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self.gathers += 2  # of lengths first
        self.told += 8 + len(packed)
        return [pickle.loads(x) for x in self.memory.swap(self.rank, packed)]

    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        packed = [pickle.dumps(value, pickle.HIGHEST_PROTOCOL) for value in values]
        self.trades += 2
        self.given += sum(16 + len(x) for x in packed)
        return [pickle.loads(row[self.rank]) for row in self.memory.swap(self.rank, packed)]

    def barrier(self) -> None:
        self.gathers += 1
        self.memory.wait()


def _together(
    call: Callable[..., object], values: Sequence[Any], count: int, local: Executor
) -> tuple[Work, Messages]:
    """The most that any rank does and tells."""
    memory, found = _Memory(count), [(Work(), Messages())] * count
    errors: list[BaseException | None] = [None] * count

    def rank(k: int) -> None:
        with memory.turn:
            run_as(k)

    def run_as(k: int) -> None:
        where: Executor | None = None
        try:
            group = _Told(memory, k)
            where = ranks.join(group, local)
            mine = [where.asarray(x) if isinstance(x, np.ndarray) else x for x in values]
            group.begins()
            _, done = choice.counted(lambda: call(par.on(where), *mine))
            found[k] = done, Messages(group.gathers, group.told, group.trades, group.given)
        except BaseException as error:  # noqa: BLE001 - raised below; the others wait for this rank
            errors[k] = error
            memory.barrier.abort()
        finally:
            if where is not None:
                where.close()

    runs = [threading.Thread(target=rank, args=(k,)) for k in range(count)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    for error in sorted(filter(None, errors), key=lambda x: isinstance(x, CommunicationError)):
        raise error
    most = [[max(each) for each in zip(*(_numbers(one[k]) for one in found), strict=True)] for k in (0, 1)]
    return Work.made(most[0]), Messages(*most[1])


# scaling ------------------------------------------------------------------------------------------------


def scaled(
    one: WhatIf, name: str, elements: int, most: int, weak: bool, network: tuple[float, float] | None = None
) -> Iterator[Prediction]:
    """On 1, 2, 4 … ranks and on the most: of `elements` for each rank, or of as many on all together."""
    count = 1
    while True:
        yield one.on(name, elements * count if weak else elements, count, network)
        if count >= most:
            return
        count = min(2 * count, most)


def plotted(found: Sequence[Prediction], weak: bool, path: Path) -> None:
    """Save a chart of seconds by ranks: all in all, computing, messages, and what would be ideal."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5.2, 4.2), dpi=150)
    across = [one.ranks for one in found]
    first = found[0].seconds
    axis.plot(across, [first if weak else first / n for n in across], color="0.7", linestyle="--", label="ideal")
    axis.plot(across, [one.seconds for one in found], "o-", color="0.1", markersize=4, label="all in all")
    axis.plot(across, [one.computing for one in found], color="tab:blue", label="computing")
    talking = [one for one in found if one.talking > 0]
    axis.plot([one.ranks for one in talking], [one.talking for one in talking], color="tab:red", label="messages")
    axis.set(xscale="log", yscale="log", xlabel="ranks", ylabel="seconds")
    each = " on each rank" if weak else ""
    axis.set_title(f"{found[0].executor}, {found[0].elements:.3g} elements{each}", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
