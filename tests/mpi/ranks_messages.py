"""Messages longer than what MPI takes at a time, and communicators that are given back."""

import sys
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

import portapar as pp
from portapar.backends.mpi import group

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from steps import OTHERS, STEPS

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


def nbytes(value):
    """Bytes of the arrays and their elements in a message."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return sum(map(nbytes, parts))


@pytest.fixture
def sent(monkeypatch):
    """Gives the bytes of arrays that all ranks sent each other since it was asked last."""
    count, (alltoall, allgather) = [0], (group.MPIGroup.alltoall, group.MPIGroup.allgather)

    def counted(self, values):
        count[0] += sum(nbytes(value) for k, value in enumerate(values) if k != self.rank)
        return alltoall(self, values)

    def gathered(self, data, cuts=None):
        if cuts is not None and not inside[0]:
            count[0] += data.nbytes * (self.size - 1) if self.rank == 0 else 0
        return allgather(self, data, cuts)

    def exchanged(self, value):
        inside[0] = True
        count[0] += nbytes(value) * (self.size - 1)
        try:
            return exchange(self, value)
        finally:
            inside[0] = False

    inside, exchange = [False], group.MPIGroup.exchange
    monkeypatch.setattr(group.MPIGroup, "alltoall", counted)
    monkeypatch.setattr(group.MPIGroup, "allgather", gathered)
    monkeypatch.setattr(group.MPIGroup, "exchange", exchanged)

    def since():
        found, count[0] = WORLD.allreduce(count[0]), 0
        return found

    return since


def told(plan):
    """The bytes that ranks give each other, as the plan prints them."""
    marks = "rows of other", "each other:", "gathered once"
    lines = [line for line in str(plan).splitlines() if any(mark in line for mark in marks)]
    found = [(line, int(line.split(" bytes")[0].split()[-1])) for line in lines]
    return sum(n * (WORLD.size - 1 if "gathered" in line else 1) for line, n in found)


def around(i, x, y):
    y[i] = x[i - 1] + x[i + 1]


def backwards(i, x, y):
    y[i] = x[len(x) - 1 - i]


def test_plans_tell_what_ranks_send(sent):
    where, n = pp.mpi(), 3001
    how = pp.par.on(where)
    x, y = where.asarray(np.arange(float(n))), where.empty(n)
    table, places = where.asarray(np.arange(3000.0).reshape(100, 30)), where.asarray(np.arange(n) // 2)
    calls = {
        "around": (pp.for_each, how, pp.range(1, n - 1), around, x, y),
        "backwards": (pp.for_each, how, n, backwards, x, y),
        "stencil": (pp.stencil, how, x, lambda x, i: x[i - 1] + x[i + 1]),
        "stencil of rows": (pp.stencil, how, table, lambda x, i, j: x[i - 1, j] + x[i + 1, j]),
        "reverse": (pp.reverse, how, x),
        "rotate": (pp.rotate, how, x, 7),
        "adjacent_difference": (pp.adjacent_difference, how, x),
        "shift_left": (pp.shift_left, how, x, 7),
        "shift_right": (pp.shift_right, how, x, 2000),
        "transpose": (pp.transpose, how, table),
        "gather": (pp.gather, how, x, places),
        "transform": (pp.transform, how, x),
    }
    for name, (function, *given) in calls.items():
        more = {"op": lambda v: v + 1, "out": y} if name == "transform" else {}
        sent()
        plan = pp.plan(function, *given, **more)
        found = told(plan)
        assert sent() == 0
        plan.run()
        assert sent() == (found if where.group.size > 1 else 0), (name, str(plan))
        assert (found > 0) == (where.group.size > 1 and name != "transform"), name


def test_plans_tell_what_ranks_send_at_most_where_the_data_say(sent):
    """Sorted from the largest to the least on two ranks everything changes its place: the bound is met."""
    where, n = pp.mpi(), 3000
    how, x = pp.par.on(where), where.asarray(np.arange(n)[::-1])
    calls = {
        "sort": (pp.sort, how, x), "argsort": (pp.argsort, how, x), "stable_sort": (pp.stable_sort, how, x),
        "sort_by_key": (pp.sort_by_key, how, x, x),
    }  # fmt: skip
    for name, (function, *given) in calls.items():
        sent()
        plan = pp.plan(function, *given)
        most = told(plan)
        assert sent() == 0 and (most > 0) == (where.group.size > 1), (name, str(plan))
        plan.run()
        found = sent()
        assert found <= most, (name, found, str(plan))
        if where.group.size == 2:
            assert found == most, (name, found, most)


SMALL = 2000  #: bytes of what blocks find, which is not the user's data


@pytest.mark.parametrize("name", [name for name in STEPS if name not in OTHERS or WORLD.size == 2])
def test_plans_of_steps_tell_what_ranks_send(sent, name):
    where = pp.mpi()
    function, how, *given = STEPS[name](pp.par.on(where))
    for put in (where.asarray, np.copy):
        if put is np.copy and name in ("scatter", "scatter_if", "gather_if"):
            continue  # they write to an array of which each rank has a copy
        args = [put(x) if isinstance(x, np.ndarray) else x for x in given]
        sent()
        plan = pp.plan(function, how, *args)
        most = told(plan)
        assert sent() == 0
        plan.run()
        found = sent()
        assert found <= most + SMALL, (found, most, str(plan))
        assert found >= most or "at most" in str(plan) or where.group.size == 1, (found, most, str(plan))
