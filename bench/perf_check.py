"""``python -m bench.perf_check BASE``: another commit and this source tree in turns; names what got slower.

Both run the same calls, each in a process of its own that waits while the other measures. What looks slower is looked
at again in new processes, with more turns: a neighbour's load or an unlucky placement of arrays does not repeat itself.
Exit code 1 means that something got slower by more than the noise; 2, that it could not be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".asv" / "perf"
LEAST = 0.05  # what is less than that counts as noise
ROUNDS, MORE_ROUNDS = 15, 30
LARGE, SMALL = 8_000_000, 100
KINDS = ("gas", "heat", "laplace", "sparse", "edges", "moments", "stiffness", "groups")


# one side ---------------------------------------------------------------------------------------------------


def calls(names: Sequence[str] = ()) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    """What is measured: names, and functions that make the data and return the call."""
    import numpy as np

    import portapar as pp

    rng = lambda n: np.random.default_rng(1).random(n)
    plus, half = lambda x, y: x + y, lambda v: v < 0.5

    def of(call: Callable[..., Any], n: int, count: int, policy: Any) -> Callable[[], Callable[[], Any]]:
        def make() -> Callable[[], Any]:
            arrays = [pp.threads().asarray(rng(n)) for _ in range(count)]
            return lambda: call(policy, *arrays)

        return make

    algorithms: dict[str, tuple[Callable[..., Any], int]] = {
        "copy": (lambda how, x, out: pp.copy(how, x, out=out), 2),
        "triad": (lambda how, x, y, out: pp.transform(how, x, y, out=out, op=lambda b, c: b + 3.0 * c), 3),
        "transform": (lambda how, x, out: pp.transform(how, x, out=out, op=lambda v: v * v + 1.0), 2),
        "add": (lambda how, x, y, out: pp.transform(how, x, y, out=out, op=plus), 3),
        "reduce": (lambda how, x: pp.reduce(how, x), 1),
        "inner_product": (lambda how, x, y: pp.inner_product(how, x, y), 2),
        "count_if": (lambda how, x: pp.count_if(how, x, half), 1),
        "min_element": (lambda how, x: pp.min_element(how, x), 1),
        "inclusive_scan": (lambda how, x, out: pp.inclusive_scan(how, x, out=out), 2),
        "copy_if": (lambda how, x: pp.copy_if(how, x, half), 1),
        "sort": (lambda how, x, out: pp.sort(how, x, out=out), 2),
    }
    for n in (LARGE, SMALL):
        for name, (call, count) in algorithms.items():
            size = n // 8 if name == "sort" and n == LARGE else n
            yield f"{name}, n = {size}", of(call, size, count, pp.par_unseq)
    for name, (call, count) in algorithms.items():
        if name in ("triad", "reduce"):
            yield f"{name}, one thread, n = {LARGE}", of(call, LARGE, count, pp.unseq)

    from bench import kinds

    for name in KINDS:
        for n in (100_000, 1_000_000):

            def make(name: str = name, n: int = n) -> Callable[[], Any]:
                run = kinds.MAKERS[name](kinds.Data(n))[0]
                return lambda: run(pp.par_unseq)

            yield f"{name}, n = {n}", make


def work(tree: str) -> None:
    """Serve measurements on stdin and stdout: a line with a name asks for the seconds of a call."""
    sys.path.insert(0, tree)
    import portapar

    if Path(portapar.__file__).resolve().parent.parent != Path(tree).resolve():
        raise SystemExit(f"imported {portapar.__file__}, which is not in {tree}")
    sys.path.insert(0, str(ROOT))  # the calls, and the loops in bench/kinds.py, are this tree's for both sides
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything prints goes to stderr
    makers, at, call, loops = dict(calls()), "", lambda: None, 1
    tell = lambda value: print(json.dumps(value), file=answers, flush=True)
    tell(list(makers))
    for line in sys.stdin:
        name = line.strip()
        try:
            if name != at:
                call = lambda: None  # the arrays of the last one are freed first
                call, at = makers[name](), name
                for _ in range(3):
                    call()
                loops = max(1, min(1000, int(0.01 / _once(call, 3))))
            tell(_once(call, loops))
        except Exception as error:  # noqa: BLE001 - told to the one who asked
            at = ""
            tell(f"{type(error).__name__}: {error}".splitlines()[0])


def _once(call: Callable[[], Any], loops: int) -> float:
    begin = time.perf_counter()
    for _ in range(loops):
        call()
    return max(1e-9, (time.perf_counter() - begin) / loops)


# both sides -------------------------------------------------------------------------------------------------


class Side:
    """A process that measures with the portapar of a source tree."""

    def __init__(self, tree: Path, cache: str) -> None:
        # The sides' caches are apart: what is measured once per machine may differ, and its format too.
        env = {**os.environ, "PORTAPAR_CACHE_DIR": str(FOLDER / cache)}
        env.pop("PYTHONPATH", None)
        command = [sys.executable, str(Path(__file__).resolve()), "--work", str(tree)]
        self.process = subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.names: list[str] = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a measuring process ended, exit code {self.process.wait()}")
        return json.loads(line)

    def seconds(self, name: str) -> float | str:
        """Seconds of one call, or why there are none."""
        assert self.process.stdin is not None
        print(name, file=self.process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Compared:
    """Seconds of one call in the turns of both sides.

    Attributes
    ----------
    ratio : float
        The median of the turns' ratios, this tree to the base: above 1 is slower.
    noise : float
        How far the logarithm of that median may be off: three standard errors, from the turns' median absolute
        deviation.
    """

    name: str
    base: list[float]
    here: list[float]
    reason: str = ""

    @property
    def ratio(self) -> float:
        return math.exp(statistics.median(self._logs()))

    @property
    def noise(self) -> float:
        logs = self._logs()
        middle = statistics.median(logs)
        deviation = 1.4826 * statistics.median(abs(x - middle) for x in logs)
        return 3 * 1.2533 * deviation / math.sqrt(len(logs))

    def _logs(self) -> list[float]:
        return [math.log(b / a) for a, b in zip(self.base, self.here, strict=True)]

    @property
    def verdict(self) -> str:
        if self.reason:
            return "not measured"
        limit = max(math.log(1 + LEAST), self.noise)
        change = math.log(self.ratio)
        return "slower" if change > limit else "faster" if change < -limit else "same"


def compare(names: Sequence[str], base: Path, rounds: int) -> list[Compared]:
    """Measure calls in turns, in two new processes; all of them where no name is given."""
    with contextlib.ExitStack() as stack:
        sides = [Side(base, "base"), Side(ROOT, "here")]
        for side in sides:
            stack.callback(side.close)
        found = []
        for name in names or sides[1].names:
            one = Compared(name, [], [])
            for turn in range(rounds + 1):
                # Each goes first as often as the other.
                taken = {k: sides[k].seconds(name) for k in ((0, 1) if turn % 2 else (1, 0))}
                told = [f"{('base', 'here')[k]}: {value}" for k, value in taken.items() if isinstance(value, str)]
                if told:
                    one.reason = "; ".join(told)
                    break
                if turn:  # the first warms both up
                    one.base.append(float(taken[0]))
                    one.here.append(float(taken[1]))
            found.append(one)
            print(line(one), flush=True)
        return found


def line(one: Compared) -> str:
    if one.reason:
        return f"{one.name:34} {one.verdict}: {one.reason[:200]}"
    base, here = (statistics.median(side) * 1e6 for side in (one.base, one.here))
    noise = 100 * math.expm1(one.noise)
    return f"{one.name:34} {base:11.1f} µs {here:11.1f} µs  {one.ratio:5.2f} ± {noise:2.0f} %  {one.verdict}"


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit."""
    tree = FOLDER / commit[:12]
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "prune"], check=True)
    if not tree.exists():
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make perf-check BASE=<commit>", description=__doc__.split("\n")[0])
    parser.add_argument("base", metavar="BASE", help="the commit to compare with")
    parser.add_argument("--only", default="", help="calls whose name contains this")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(argv)
    resolve = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"{options.base}^{{commit}}"]
    commit = subprocess.run(resolve, capture_output=True, text=True).stdout.strip()
    if not commit:
        parser.error(f"{options.base!r} is not a commit of this repository")
    if options.rounds < 3:
        parser.error("--rounds must be at least 3")
    names = [name for name, _ in calls() if options.only in name]
    if not names:
        parser.error(f"--only {options.only!r}: no call has that in its name")
    with checked_out(commit) as tree:
        print(f"medians of {options.base}, of this tree, and their ratio (above 1: this tree is slower)")
        found = compare(names, tree, options.rounds)
        slower = [one.name for one in found if one.verdict == "slower"]
        if slower:
            print("once more, in new processes:")
            again = compare(slower, tree, max(MORE_ROUNDS, options.rounds))
            slower = [line(one) for one in again if one.verdict == "slower"]
    failed = [one for one in found if one.reason and "here: " in one.reason]
    print("\n".join(["", "slower by more than the noise:", *slower]) if slower else "nothing got slower")
    return 1 if slower else 2 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        sys.path.pop(0)  # this folder
        work(sys.argv[2])
    else:
        raise SystemExit(main())
