"""One rank ends, or fails, while the others go on (see test_mpi.py): the job must end."""

import sys

import numpy as np

import portapar as pp

world = pp.mpi()
other = pp.mpi(local=pp.threads(2))  # made later, and not what the others wait in
x = world.asarray(np.ones(1000))
if world.group.rank == 1:
    if sys.argv[1] == "raise":
        raise RuntimeError("rank 1 is unlucky")
    sys.exit(int(sys.argv[2]))
try:
    pp.reduce(pp.par, x)
except pp.CommunicationError as error:
    print(f"told: {error}", flush=True)
