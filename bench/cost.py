"""What `pp.auto` and hybrids without weights lose against the best choice, found by trying all of them.

``python -m bench.cost [--n 1e4,1e6] [--steps 8] [--json FILE]``: for each algorithm, size and set of executors every
executor alone and every cut between two of them (in `--steps` steps) is timed, then the call that chooses by itself,
when it has run a few times. Regret is its time over the best one's; both are medians of calls in turns. With
``--together`` it is about work for two executors on cores of their own (`bench.together`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import portapar as pp
from portapar.executor import Executor
from portapar.policy import Policy
from portapar.validate import CASES

from . import together

SETS = (("threads",), ("threads", "opencl:0"), ("simd", "opencl:0"))


def candidates(members: Sequence[Executor], steps: int) -> list[Policy]:
    """Every executor alone, and every cut between the two."""
    found = [pp.par.on(member) for member in members]
    if len(members) == 2:
        cuts = [k / steps for k in range(1, steps)]
        found += [pp.par.on(pp.hybrid(*members, weights=[share, 1 - share])) for share in cuts]
    return found


def regret(
    call: Callable[[Policy], object], chosen: Policy, others: Sequence[Policy], seconds: float
) -> dict[str, float]:
    """Median seconds of the call that chooses, and of the best other one, in turns with it."""
    for how in [*others, *[chosen] * 12]:
        call(how)

    def once(how: Policy) -> float:
        begun = time.perf_counter()
        call(how)
        return time.perf_counter() - begun

    best = min(others, key=lambda how: min(once(how) for _ in range(5)))
    turns: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(turns[0]) < 5:
        for taken, how in zip(turns, (chosen, best), strict=True):
            taken.append(once(how))
    mine, least = map(statistics.median, turns)
    return {"chosen": mine, "best": least, "regret": mine / least}


def rows_of(
    sizes: Sequence[int], steps: int, seconds: float, only: Sequence[str] = tuple(CASES)
) -> Iterator[dict[str, Any]]:
    """What each case and set of executors that are here loses."""
    here = {info.name for info in pp.available() if info.available} | {"threads", "simd"}
    for names in SETS:
        if not set(names) <= here:
            print(f"{'+'.join(names)}: not here")
            continue
        members = [pp.executor(name) for name in names]
        chosen = pp.par.on(pp.hybrid(*members)) if len(members) > 1 else pp.auto
        others = candidates(members, steps)
        for name in only:
            for n in sizes:
                made, values = CASES[name](n)
                row = regret(lambda how, made=made, values=values: made(how, *values), chosen, others, seconds)
                yield {"executors": "+".join(names), "name": name, "n": n, **row}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", default="1e3,1e5,1e6", help="elements (default: 1e3,1e5,1e6)")
    parser.add_argument("--steps", type=int, default=8, help="parts of a cut that are tried (default: 8)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each pair in turns (default: 0.3)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--together", action="store_true", help="what two executors on two cores lose, and their cuts")
    parser.add_argument("--size", type=float, default=1.0, help="of the work of --together (default: 1)")
    options = parser.parse_args()
    if options.together:
        together.report(options.size, options.seconds)
        return
    rows = []
    for row in rows_of([int(float(n)) for n in options.n.split(",")], options.steps, options.seconds):
        rows.append(row)
        told = f"{row['chosen'] * 1e6:10.1f} µs {row['best'] * 1e6:10.1f} µs {row['regret']:6.2f}"
        print(f"{row['executors']:18} {row['name']:22} {row['n']:9} {told}", flush=True)
    for names in dict.fromkeys(row["executors"] for row in rows):
        some = sorted(row["regret"] for row in rows if row["executors"] == names)
        middle, most = statistics.median(some), some[len(some) * 95 // 100]
        print(f"{names}: regret {middle:.2f} in the median, {most:.2f} at the 95th percentile")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
