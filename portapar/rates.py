"""What each executor of this machine can do: bytes, operations and calls in a second, measured by `portapar tune`.

They are kept as JSON in the cache folder, for this hardware and these versions. Until they are measured, built-in
numbers stand for them, by the cores of the machine; plans say so. No result depends on them.
"""

from __future__ import annotations

import bisect
import itertools
import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from portapar import cache, config, forks, topology
from portapar.errors import PortaparWarning

VERSION = 1  #: of the file
_PARTS = ("about", "executors", "shared")  #: of it, besides
_LEAST = 1e-15  #: of what is measured, and one over it the most


@dataclass(frozen=True)
class Rates:
    """Of one executor, all its threads or cores together.

    Attributes
    ----------
    launch : float
        Seconds that a warm call takes that has next to nothing to do, on data that live there.
    streams : tuple of (float, float)
        (bytes that a call touches, bytes per second), from small to large.
    doubles, singles, special, chained : float
        Per second, each as in `portapar.work.Work`.
    near, far : float
        Scattered accesses per second, in 1 MiB and in far more than the caches.
    atomics : float
        Per second.
    into, out : tuple of (float, float) or None
        Seconds that a transfer to the device, or back, takes at least; bytes per second. None in the host's memory.
    threads : int
        CPU threads; 0 for others.
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
    into: tuple[float, float] | None = None
    out: tuple[float, float] | None = None
    threads: int = 0
    measured: bool = True

    def bandwidth(self, size: float) -> float:
        """Bytes per second in order, where a call touches `size` bytes; between measured sizes by logarithms."""
        sizes = [at for at, _ in self.streams]
        k = bisect.bisect(sizes, size)
        if k == 0:
            return self.streams[0][1]
        if k == len(sizes):
            return self.streams[-1][1]
        (a, x), (b, y) = self.streams[k - 1], self.streams[k]
        share = math.log(size / a) / math.log(b / a)
        return math.exp((1 - share) * math.log(x) + share * math.log(y))

    def scattered(self, spread: float) -> float:
        """Scattered accesses per second, in so many bytes."""
        cache = float(topology.caches().get("L2", 1 << 20))
        if spread <= cache:
            return self.near
        share = min(1.0, math.log(spread / cache) / math.log(64))
        return math.exp((1 - share) * math.log(self.near) + share * math.log(self.far))


@dataclass
class Profile:
    """All that is known of this machine.

    Attributes
    ----------
    executors : dict
        Name → `Rates`.
    shared : dict
        "a+b" → the speed of both together on work bound by arithmetic, and by memory, over the sum of what each does
        alone: 1 where they do not disturb each other, 0.5 where they are the same cores.
    """

    executors: dict[str, Rates] = field(default_factory=dict)
    shared: dict[str, tuple[float, float]] = field(default_factory=dict)

    def together(self, names: tuple[str, ...], memory: bool) -> float:
        """Of the speeds of these executors alone, what is left if they run at once."""
        found = [self.shared.get("+".join(sorted((a, b)))) for k, a in enumerate(names) for b in names[k + 1 :]]
        return min((x[memory] for x in found if x is not None), default=1.0 if len(names) < 2 or all(found) else 0.5)


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
        told = {
            "version": VERSION,
            "about": _about(),
            "executors": {name: asdict(rates) for name, rates in found.executors.items()},
            "shared": found.shared,
        }
        cache.store(_file(), json.dumps(told, indent=1).encode())


def of(name: str, kind: str, threads: int) -> Rates:
    """The rates of an executor, by the name that `pp.executor` takes; built-in ones if nobody has measured it."""
    found = profile().executors.get(name)
    return found if found is not None else built_in(kind, threads)


def built_in(kind: str, threads: int) -> Rates:
    """What an executor of that kind does, more or less."""
    threads = threads or config.default_threads()
    if kind == "cuda":
        link = 1e-5, 1e10
        return Rates(1e-5, ((1e6, 4e11), (1e8, 2e12)), 1e13, 2e13, 1e12, 1e12, 1e11, 2e10, 1e10, link, link, 0, False)
    caches = topology.caches()
    core = {"L1": 8e10, "L2": 4e10, "L3": 2.5e10}
    streams = tuple((caches.get(level, 0) / 2, speed * threads) for level, speed in core.items() if caches.get(level))
    last = ((4.0 * caches.get("L3", 32 << 20), 1.2e10 * min(threads, 4)),)
    launch, move = (5e-5, (5e-5, 5e9)) if kind == "opencl" else (3e-6, None)
    return Rates(
        launch, (*streams, *last), 8e9 * threads, 16e9 * threads, 1e9 * threads, 5e8 * threads,
        6e8 * threads, 8e7 * threads, 1e8, move, move, threads, False,
    )  # fmt: skip


def _load() -> Profile:
    payload = cache.load(_file(), counts=False)
    if payload is None:
        return Profile()
    try:
        told = json.loads(payload)
        if not isinstance(told, dict) or not all(isinstance(told.get(key), dict) for key in _PARTS):
            raise ValueError(f"it must be an object with {', '.join(_PARTS)}")
        if told.get("version") != VERSION or told["about"] != _about():
            return Profile()
        return Profile(
            {name: _rates(name, found) for name, found in told["executors"].items()},
            {name: (_share(name, a), _share(name, b)) for name, (a, b) in told["shared"].items()},
        )
    except (ValueError, TypeError, RecursionError) as error:
        import warnings

        warnings.warn(
            f"the machine's profile in {cache.folder()} is not used: {error}. `portapar tune` measures it anew",
            PortaparWarning,
            stacklevel=2,
        )
        return Profile()


def _rates(name: str, told: dict[str, Any]) -> Rates:
    """Rates from a file; raises ValueError with the key for what cannot be."""
    given: dict[str, Any] = {}
    for key in (f.name for f in fields(Rates)):
        if key not in told:
            raise ValueError(f"{key} of {name} is missing")
        value = told[key]
        if key in ("into", "out"):
            given[key] = None if value is None else _pair(key, name, value, 0.0)
        elif key == "streams":
            pairs = [_pair(key, name, x, _LEAST) for x in value]
            if not pairs or any(a >= b for (a, _), (b, _) in itertools.pairwise(pairs)):
                raise ValueError(f"streams of {name} are {value!r}: must begin with sizes that grow")
            given[key] = tuple(pairs)
        elif key == "threads":
            given[key] = int(_positive(key, name, value, 0.0))
        else:
            given[key] = value is True if key == "measured" else _positive(key, name, value)
    return Rates(**given)


def _pair(key: str, name: str, x: Any, least: float) -> tuple[float, float]:
    if not isinstance(x, (list, tuple)) or len(x) != 2:
        raise ValueError(f"{key} of {name} has {x!r}: must be two positive numbers")
    return _positive(key, name, x[0], least), _positive(key, name, x[1])


def _positive(key: str, name: str, x: Any, least: float = _LEAST) -> float:
    if isinstance(x, bool) or not isinstance(x, (int, float)) or not least <= x <= 1 / _LEAST:
        raise ValueError(f"{key} of {name} is {x!r}: must be a positive number")
    return float(x)


def _share(name: str, x: Any) -> float:
    if isinstance(x, bool) or not isinstance(x, (int, float)) or not 0 < x <= 1:
        raise ValueError(f"what is left of {name} is {x!r}: must be a number from 0 to 1")
    return float(x)


def _about() -> dict[str, Any]:
    """What rates hold for."""
    machine = topology.machine()
    return {key: machine[key] for key in ("cpu", "cores", "logical_cpus", "python", "numpy")} | {
        "threads": config.default_threads()
    }


def digest() -> str:
    """A digest of what rates hold for."""
    return config.digest(repr(sorted(_about().items())).encode(), 8).hex()


def _file() -> str:
    return f"profile-{digest()}"
