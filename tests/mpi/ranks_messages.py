"""Messages longer than what MPI takes at a time, and communicators that are given back."""

import numpy as np
import pytest
from mpi4py import MPI

import portapar as pp
from portapar.backends.mpi import group

WORLD = MPI.COMM_WORLD


@pytest.mark.parametrize("limit", [1 << 30, 1000, 7])
def test_messages_in_pieces(monkeypatch, limit):
    monkeypatch.setattr(group, "_BLOCK", limit)
    talk = group.MPIGroup(WORLD)
    rank, size = talk.rank, talk.size
    for n in (0, 1, 500, 3000):
        given = talk.exchange(np.full(n + rank, rank))
        assert [len(x) for x in given] == [n + k for k in range(size)]
        assert all((x == k).all() for k, x in enumerate(given))
        got = talk.alltoall([{"from": rank, "x": np.arange(n * (k + 1))} for k in range(size)])
        assert [x["from"] for x in got] == list(range(size))
        assert all((x["x"] == np.arange(n * (rank + 1))).all() for x in got)
        cuts = [n * k for k in range(size + 1)]
        data = np.zeros(cuts[-1], np.uint8)
        data[cuts[rank] : cuts[rank + 1]] = rank + 1
        talk.allgather(data, cuts)
        assert (data == np.repeat(np.arange(1, size + 1), n)).all()
    talk.close()


def test_a_communicator_is_given_back():
    for _ in range(20):
        mine = WORLD.Dup()
        where = pp.mpi(mine)
        assert pp.reduce(pp.par.on(where), where.asarray(np.arange(1000.0))) == 499500
        channel = where.group._comm
        where.close()
        where.close()
        assert channel == MPI.COMM_NULL
        mine.Free()
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        where.asarray(np.arange(3.0))
