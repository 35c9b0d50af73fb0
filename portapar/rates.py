"""What each executor of a machine can do: bytes, operations and calls in a second, measured by `portapar tune`.

They are kept as JSON in the cache folder, for this hardware and these versions. Until they are measured, built-in
numbers stand for them, by the cores of the machine; plans say so. No result depends on them. A file of the same form
describes a machine that is not here: see `machine`.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from portapar import cache, config, forks, topology
from portapar.errors import ArgumentError

_Range = tuple[float, float]

VERSION = 5  #: of the file
_PARTS = ("about", "executors", "shared")  #: of it, besides
_MACHINE = ("source", "network", "watts", "price")  #: and of that of a machine that is not here
_LEAST, _MOST = 1.0, 1e18  #: of what can be done in a second, and of bytes
_QUICKEST, _LONGEST = 1e-15, 1e4  #: seconds
_KINDS = ("threads", "simd", "opencl:0", "cuda:0")


@dataclass(frozen=True)
class Rates:
    """Of one executor, all its threads or cores together.

    Attributes
    ----------
    launch : float
        Seconds that a warm call takes that has next to nothing to do, on data that live there.
    streams : tuple of (float, float)
        (bytes that a call touches, bytes per second), from small to large.
    doubles, singles, special, chained, looped : float
        Per second, each as in `portapar.work.Work`.
    near, far : float
        Scattered accesses per second, in 1 MiB and in far more than the caches.
    atomics : float
        Per second.
    close : float
        Scattered accesses per second, in 16 KiB.
    step : float
        Seconds that an algorithm of several steps takes for each kernel, that has next to nothing to do.
    few : float
        Seconds of an algorithm of one remembered step.
    capture : float
        Seconds that a warm call takes more whose kernel captures numbers or arrays.
    sorts : tuple of (float, float) or None
        (bytes of keys, bytes per second) of the device's own sort, from small to large; None if it has none.
    into, out : tuple of (float, float) or None
        (bytes of an array, seconds until it is on the device, or back), from small to large. None in the host's memory.
    threads : int
        CPU threads; 0 for others.
    fork : float
        Seconds to give work to all threads, awake, and to collect it.
    cache : float
        Bytes in which scattered accesses are as fast as `near` says.
    measured : bool
    """

    launch: float
    streams: tuple[tuple[float, float], ...]
    doubles: float
    singles: float
    special: float
    chained: float
    near: float
    far: float
    atomics: float
    into: tuple[tuple[float, float], ...] | None = None
    out: tuple[tuple[float, float], ...] | None = None
    threads: int = 0
    fork: float = 2e-6
    cache: float = float(1 << 20)
    close: float = 2e9
    step: float = 4e-5
    few: float = 1.5e-5
    looped: float = 2e9
    capture: float = 1e-6
    sorts: tuple[tuple[float, float], ...] | None = None
    measured: bool = True

    def bandwidth(self, size: float) -> float:
        """Bytes per second in order, where a call touches `size` bytes; between measured sizes by logarithms."""
        return _speed(self.streams, size)

    def sorting(self, size: float) -> float:
        """Bytes per second of the device's own sort of so many."""
        return _speed(self.sorts, size) if self.sorts else self.bandwidth(size) / _PASSES

    def scattered(self, spread: float) -> float:
        """Scattered accesses per second, in so many bytes."""
        if spread <= self.cache:
            share = math.log(max(spread / _CLOSE, 1.0)) / math.log(max(self.cache / _CLOSE, 2.0))
            return math.exp((1 - share) * math.log(self.close) + share * math.log(self.near))
        share = min(1.0, math.log(spread / self.cache) / math.log(64))
        return math.exp((1 - share) * math.log(self.near) + share * math.log(self.far))

    def between(self, one: Rates, share: float) -> Rates:
        """What lies so far on the way from `one` to this: 0 is `one`, 1 is this."""

        def on_the_way(a: float, b: float) -> float:
            return a + share * (b - a)

        streams = tuple((size, on_the_way(one.bandwidth(size), speed)) for size, speed in self.streams)
        names = "launch", "fork", "step", "few", "capture", *_SPEEDS
        found: dict[str, Any] = {name: on_the_way(getattr(one, name), getattr(self, name)) for name in names}
        return replace(self, streams=streams, **found)

    def part(self, count: int) -> Rates:
        """What each of `count` has that share it, and work at the same time."""
        streams = tuple((size / count, speed / count) for size, speed in self.streams)
        sorts = self.sorts and tuple((size, speed / count) for size, speed in self.sorts)
        threads = max(1, self.threads // count) if self.threads else 0
        found: dict[str, Any] = {name: getattr(self, name) / count for name in _SPEEDS}
        return replace(self, streams=streams, sorts=sorts, threads=threads, **found)


def _speed(curve: tuple[tuple[float, float], ...], size: float) -> float:
    k = bisect.bisect(curve, (size, math.inf))
    if k == 0:
        return curve[0][1]
    if k == len(curve):
        return curve[-1][1]
    (a, x), (b, y) = curve[k - 1], curve[k]
    share = math.log(size / a) / math.log(b / a)
    return math.exp((1 - share) * math.log(x) + share * math.log(y))


def moved(way: tuple[tuple[float, float], ...], size: float) -> float:
    """Seconds for an array of so many bytes, by (bytes, seconds) of some: on straight lines between and beyond them."""
    k = min(max(bisect.bisect(way, (size, math.inf)), 1), len(way) - 1)
    (a, x), (b, y) = way[k - 1], way[k]
    return x + (y - x) * max(0.0, size - a) / (b - a)


_CLOSE = float(1 << 14)  #: bytes
_PASSES = 16  #: of a sort that nobody has measured, through all of its keys
_SPEEDS = ("doubles", "singles", "special", "chained", "looped", "close", "near", "far", "atomics")


@dataclass
class Profile:
    """All that is known of a machine.

    Attributes
    ----------
    executors : dict
        Name → `Rates`.
    shared : dict
        "a+b" → the speed of both together on work bound by arithmetic, and by memory, over the sum of what each does
        alone: 1 where they do not disturb each other, 0.5 where they are the same cores.
    source : str
        Where the numbers come from, in words; empty if they were measured here.
    network : (float, float) or None
        Seconds that a message between ranks takes at least, and bytes per second that a rank sends.
    watts : dict
        Name of an executor → what the whole machine takes while that works.
    price : float or None
        Of an hour of the machine, in any currency.
    """

    executors: dict[str, Rates] = field(default_factory=dict)
    shared: dict[str, tuple[float, float]] = field(default_factory=dict)
    source: str = ""
    network: tuple[float, float] | None = None
    watts: dict[str, float] = field(default_factory=dict)
    price: float | None = None

    def fewer(self, count: int) -> Profile:
        """The same machine with `count` CPU threads: what lies between one of them and all.

        Raises
        ------
        ArgumentError
            It has not so many, or was not measured with one and with all.
        """
        one, whole = self.executors.get("simd"), self.executors.get("threads")
        if one is None or whole is None or not 1 <= count <= whole.threads:
            most = "simd and threads" if one is None or whole is None else f"{whole.threads} threads at the most"
            raise ArgumentError(f"{count} threads: the machine must have {most}")
        found = whole.between(one, (count - 1) / (whole.threads - 1) if whole.threads > 1 else 1.0)
        return replace(self, executors={**self.executors, "threads": replace(found, threads=count)})

    def together(self, names: tuple[str, ...], memory: bool) -> float:
        """Of the speeds of these executors alone, what is left if they run at once."""
        left = 1.0
        for a, b in itertools.combinations(names, 2):
            found = self.shared.get(f"{a}+{b}" if a < b else f"{b}+{a}")
            left = min(left, 0.5 if found is None else found[memory])
        return left


_known: list[Profile] = []
_lock = forks.lock()


def profile() -> Profile:
    """What was measured on this machine; empty if nothing was."""
    if not _known:
        with _lock:
            if not _known:
                _known.append(_load())
    return _known[0]


def keep(found: Profile) -> None:
    """Use this from now on, in later processes too."""
    with _lock:
        _known[:] = [found]
        cache.store(_file(), told(found).encode())


def told(found: Profile) -> str:
    """This machine's profile, as a file."""
    return json.dumps(
        {
            "version": VERSION,
            "about": _about(),
            "executors": {name: asdict(rates) for name, rates in found.executors.items()},
            "shared": found.shared,
        },
        indent=1,
    )


def machine(path: Path) -> Profile:
    """The profile of a machine from a file.

    It is JSON as `portapar tune --save` writes it. Besides it may have ``"source"``, where the numbers come from;
    ``"network": [seconds, bytes per second]``; ``"watts": {executor: watts of the whole machine}``; and ``"price"`` of
    an hour.

    Raises
    ------
    ArgumentError
        The file cannot be read, something is missing, of an unknown name, or no possible number: the error names it.
    """
    try:
        try:
            told = json.loads(path.read_text("utf-8-sig"))  # editors may begin a file with a mark
        except ValueError as error:
            raise ValueError(f"it is no JSON: {error}") from None
        except RecursionError:
            raise ValueError("it has too many brackets in each other") from None
        if isinstance(told, dict) and told.get("executors") == {}:
            raise ValueError("executors is empty: there must be one at least")
        return _profile(told)
    except (OSError, ValueError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ArgumentError(f"machine file {path}: {why}") from None


def of(name: str, kind: str, threads: int) -> Rates:
    """The rates of an executor, by the name that `pp.executor` takes; built-in ones if nobody has measured it."""
    found = profile().executors.get(name)
    return found if found is not None else built_in(kind, threads)


def built_in(kind: str, threads: int) -> Rates:
    """What an executor of that kind does, more or less."""
    return _built_in(kind, threads or config.default_threads())


@functools.lru_cache(maxsize=64)
def _built_in(kind: str, threads: int) -> Rates:
    if kind == "cuda":
        link = (0.0, 1e-5), (1e9, 1e-5 + 0.1)
        return Rates(
            1e-5, ((1e6, 4e11), (1e8, 2e12)), 1e13, 2e13, 1e12, 1e12, 1e11, 2e10, 1e10, link, link, close=2e11,
            looped=1e12, measured=False,
        )  # fmt: skip
    caches = topology.caches()
    core = {"L1": 8e10, "L2": 4e10, "L3": 2.5e10}
    streams = tuple((caches.get(level, 0) / 2, speed * threads) for level, speed in core.items() if caches.get(level))
    last = ((4.0 * caches.get("L3", 32 << 20), 1.2e10 * min(threads, 4)),)
    launch, move = (5e-5, ((0.0, 5e-5), (1e9, 5e-5 + 0.2))) if kind == "opencl" else (3e-6, None)
    return Rates(
        launch, (*streams, *last), 1.6e10 * threads, 3.2e10 * threads, 1e9 * threads, 2e9 * threads,
        6e8 * threads, 1e8 * threads, 1e8, move, move, threads, cache=float(caches.get("L2", 1 << 20)),
        close=1.5e9 * threads, looped=(2e9 if kind == "opencl" else 8e9) * threads,
        step=1.5e-4 if kind == "opencl" else 1.5e-5, few=1e-5, measured=False,
    )  # fmt: skip


def _load() -> Profile:
    told = "the machine's profile in {} is not used: {}. `portapar tune` measures it anew"
    return cache.load_json(_file(), _own, told) or Profile()


def _own(found: Any) -> Profile:
    """This machine's profile."""
    _whole(found)
    for key, here in _about().items():
        if key not in found["about"]:
            raise ValueError(f"{key} of about is missing: nothing says where it was measured")
        if found["about"][key] != here:
            raise ValueError(f"it was measured elsewhere: {key} was {found['about'][key]!r}, and is {here!r}")
    return _profile(found)


def _profile(told: Any) -> Profile:
    """A profile from a file; raises ValueError with the key for what cannot be."""
    _whole(told)
    if told.get("version") != VERSION:
        raise ValueError(f"version is {told.get('version')!r}: must be {VERSION}")
    _only(told, ("version", *_PARTS, *_MACHINE), "the machine")
    executors = {name: _rates(name, found) for name, found in told["executors"].items()}
    shared = {}
    for name, pair in told["shared"].items():
        a, b = _pair("what is left", name, pair, (0.0, 1.0), (0.0, 1.0))
        shared[name] = _share(name, a), _share(name, b)
        if len(set(name.split("+")) & executors.keys()) != 2:
            raise ValueError(f"{name} of shared is not known: it must be two of {', '.join(executors)}, with + between")
    source, watts, price = told.get("source", ""), told.get("watts", {}), told.get("price")
    if not isinstance(source, str):
        raise ValueError(f"source is {source!r}: must be text")
    if not isinstance(watts, dict):
        raise ValueError(f"watts is {watts!r}: must be an object with a number for each executor")
    _only(watts, tuple(executors), "watts")
    given = told.get("network")
    network = None if given is None else _pair("network", "the machine", given, (0.0, _LONGEST), (_LEAST, _MOST))
    watts = {name: _between("watts", name, x, 1e-6, _MOST) for name, x in watts.items()}
    return Profile(
        executors, shared, source, network, watts,
        None if price is None else _between("price", "an hour", price, 1e-15, _MOST),
    )


def _whole(told: Any) -> None:
    if not isinstance(told, dict) or not all(isinstance(told.get(key), dict) for key in _PARTS):
        raise ValueError(f"it must be an object with the objects {', '.join(_PARTS)}")


def _only(told: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in told:
        if key not in known:
            raise ValueError(f"{key} of {where} is not known; it may have {', '.join(known)}")


def _rates(name: str, told: Any) -> Rates:
    """Rates from a file; raises ValueError with the key for what cannot be."""
    given: dict[str, Any] = {}
    kind, _, number = name.partition(":")
    if kind not in (known.partition(":")[0] for known in _KINDS) or (number and not number.isdecimal()):
        raise ValueError(f"{name!r} of executors is not known: it must be such as {', '.join(_KINDS)}")
    if not isinstance(told, dict):
        raise ValueError(f"{name} of executors is {told!r}: must be an object")
    _only(told, tuple(f.name for f in fields(Rates)), name)
    for key in (f.name for f in fields(Rates)):
        if key not in told:
            raise ValueError(f"{key} of {name} is missing")
        value = told[key]
        if key in ("into", "out"):
            given[key] = None if value is None else _curve(key, name, value, (0.0, _MOST), (_QUICKEST, _LONGEST))
        elif key == "streams":
            given[key] = _curve(key, name, value, (_LEAST, _MOST), (_LEAST, _MOST))
        elif key == "sorts":
            given[key] = None if value is None else _curve(key, name, value, (_LEAST, _MOST), (_LEAST, _MOST))
        elif key == "measured":
            if not isinstance(value, bool):
                raise ValueError(f"{key} of {name} is {value!r}: must be true or false")
            given[key] = value
        elif key == "threads":
            given[key] = int(_between(key, name, value, 0.0, 1e6))
            if given[key] != value:
                raise ValueError(f"{key} of {name} is {value!r}: must be a whole number")
        elif key in ("launch", "fork", "step", "few", "capture"):  # one thread is not started
            given[key] = _between(key, name, value, 0.0 if key in ("fork", "capture") else _QUICKEST, _LONGEST)
        else:
            given[key] = _between(key, name, value, _LEAST, _MOST)
    return Rates(**given)


def _curve(key: str, name: str, told: Any, one: _Range, other: _Range) -> tuple[tuple[float, float], ...]:
    pairs = [_pair(key, name, x, one, other) for x in told] if isinstance(told, list) else []
    if not pairs or any(a >= b for (a, _), (b, _) in itertools.pairwise(pairs)):
        raise ValueError(f"{key} of {name} is {told!r}: must be pairs of numbers, the first ones of which, bytes, grow")
    falls = any(a > b for (_, a), (_, b) in itertools.pairwise(pairs))
    if key in ("into", "out") and (len(pairs) < 2 or falls):
        raise ValueError(f"{key} of {name} is {told!r}: must be two pairs at least, with seconds that do not fall")
    return tuple(pairs)


def _pair(key: str, name: str, x: Any, one: _Range, other: _Range) -> tuple[float, float]:
    if not isinstance(x, (list, tuple)) or len(x) != 2:
        raise ValueError(f"{key} of {name} has {x!r}: must be two numbers")
    return _between(key, name, x[0], *one), _between(key, name, x[1], *other)


def _between(key: str, name: str, x: Any, least: float, most: float) -> float:
    if isinstance(x, bool) or not isinstance(x, (int, float)) or not least <= x <= most:
        raise ValueError(f"{key} of {name} is {x!r:.60}: must be a number from {least:g} to {most:g}")
    return float(x)


def _share(name: str, x: float) -> float:
    if not 0 < x <= 1:
        raise ValueError(f"what is left of {name} is {x!r}: must be a number from 0 to 1")
    return float(x)


def _about() -> dict[str, Any]:
    """What rates hold for."""
    machine = topology.machine()
    return {key: machine[key] for key in ("cpu", "cores", "logical_cpus", "python", "numpy")} | {
        "threads": config.default_threads()
    }


def digest() -> str:
    """A digest of what rates hold for, and of how they are told."""
    return config.digest(repr((VERSION, sorted(_about().items()))).encode(), 8).hex()


def _file() -> str:
    return f"profile-{digest()}"
