"""Loops of the kinds that programs are made of (bench/kinds.py) beside C++ with OpenMP."""

from __future__ import annotations

from typing import Any

import portapar as pp

from . import EXECUTORS, QUICK, Beside, executor


def _names() -> list[str]:
    from bench import kinds

    return list(kinds.MAKERS)


class Kinds(Beside):
    """Least seconds of calls that alternate with C++'s."""

    params = [EXECUTORS, ["1e5"] if QUICK else ["1e5", "1e6", "1e7"], _names()]
    param_names = ["executor", "elements", "loop"]
    rounds = 5 if QUICK else 11
    seconds = 0.01 if QUICK else 0.1

    def setup_cache(self) -> dict[Any, Any]:
        """Seconds of portapar and of C++ for every executor, size and loop."""
        from bench import kinds
        from bench.native.compilers import BuildError

        found: dict[Any, Any] = {}
        try:
            kinds.native()
        except BuildError:
            return found
        executors = {name: where for name in EXECUTORS if (where := executor(name)) is not None}
        for size in self.params[1]:
            for loop in self.params[2]:
                for name, where in executors.items():
                    try:
                        for taken in kinds.measure(loop, int(float(size)), [where], self.rounds, self.seconds):
                            found[name, size, loop] = (taken["ours"], taken[""])
                    except (kinds.WrongResult, pp.PortaparError) as error:
                        found[name, size, loop] = f"{type(error).__name__}: {error}"
        return found
