"""Every algorithm on small data: seconds of its first call, nothing compiled before, and of a later one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from . import ROOT, Measured, executor


def _names() -> list[str]:
    sys.path.append(str(ROOT / "tests"))
    from every import EVERY

    return list(EVERY)


_CODE = """
import json, sys, time
sys.path.append(sys.argv[2])
import portapar as pp
from every import EVERY
where, found, held = pp.executor(sys.argv[1]), {}, {}

def put(x):
    if id(x) not in held:
        held[id(x)] = x, where.asarray(x)  # x is held too: no other array gets its place
    return held[id(x)][1]

for name in sys.argv[3:]:
    call, policy, taken = EVERY[name][0], pp.par.on(where), []
    try:
        for _ in range(20):
            begin = time.perf_counter()
            call(policy, put)
            taken.append(time.perf_counter() - begin)
        found[name] = taken[0], min(taken[1:])
    except pp.PortaparError as error:
        found[name] = f"{type(error).__name__}: {error}"
    held.clear()
print(json.dumps(found))
"""


class Calls(Measured):
    """One process calls all of them in turn: what several share is counted where it is first needed.

    Later calls find their arrays in place, but for those that they make anew to write to.
    """

    params = [["threads", "opencl"], _names()]
    param_names = ["executor", "algorithm"]

    def setup_cache(self) -> dict[Any, Any]:
        """Seconds of each first call, and the least of later ones."""
        found: dict[Any, Any] = {}
        for name in self.params[0]:
            if executor(name) is None:
                continue
            with tempfile.TemporaryDirectory() as folder:
                caches = ("PORTAPAR_CACHE_DIR", "NUMBA_CACHE_DIR", "POCL_CACHE_DIR", "PYOPENCL_CACHE_DIR")
                env = {**os.environ, **dict.fromkeys(caches, folder), "PYTHONPATH": os.pathsep.join(sys.path)}
                command = [sys.executable, "-c", _CODE, name, str(ROOT / "tests"), *self.params[1]]
                done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
            if done.returncode:
                found |= {(name, algorithm): done.stderr[-2000:] for algorithm in self.params[1]}
            else:
                found |= {(name, algorithm): value for algorithm, value in json.loads(done.stdout).items()}
        return found

    def track_first(self, found: dict[Any, Any], executor: str, algorithm: str) -> float:
        return self.of(found, executor, algorithm)[0]

    def track_later(self, found: dict[Any, Any], executor: str, algorithm: str) -> float:
        return self.of(found, executor, algorithm)[1]
