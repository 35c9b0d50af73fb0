"""Run by every rank under mpirun (see test_mpi.py): what happens on one rank is told to the others."""

import contextlib
import itertools
import re
import signal
import time

import numpy as np
import pytest
from mpi4py import MPI

import portapar as pp
from portapar import exchange
from portapar.errors import CommunicationError

WORLD = pp.mpi()
RANK, SIZE = WORLD.group.rank, WORLD.group.size
N = 100_000


def works():
    """After a failure that was told, everything goes on."""
    assert pp.reduce(pp.par, WORLD.asarray(np.arange(N))) == N * (N - 1) // 2
    return True


def test_a_failing_part_is_an_error_everywhere(monkeypatch):
    x = WORLD.asarray(np.ones(N))
    if RANK == SIZE - 1:
        monkeypatch.setattr(WORLD.local.device, "run", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pp.reduce(pp.par, x)
    else:
        with pytest.raises(CommunicationError, match=f"rank {SIZE - 1} of {SIZE} failed, ZeroDivisionError: "):
            pp.reduce(pp.par, x)
    monkeypatch.undo()
    assert works()


def test_a_failing_placement_is_an_error_everywhere():
    x = ["no", "array"] if RANK == 0 else np.ones(N)
    with pytest.raises(pp.PlacementError if RANK == 0 else CommunicationError, match="list"):
        WORLD.asarray(x)
    with pytest.raises(pp.PlacementError if RANK == 0 else CommunicationError, match="negative"):
        WORLD.empty(-1 if RANK == 0 else 5)
    assert works()


def test_a_failing_gather_is_an_error_everywhere(monkeypatch):
    x = WORLD.asarray(np.ones(N))
    if RANK == 0:
        x.parts = {}
    with pytest.raises(KeyError if RANK == 0 else CommunicationError, match=None if RANK == 0 else "rank 0"):
        pp.asnumpy(x)
    assert works()


@pytest.mark.parametrize(
    "mine, others",
    [
        (lambda x: WORLD.asarray(np.ones(10)), lambda x: WORLD.asarray(np.ones(11))),
        (lambda x: WORLD.asarray(np.ones(10)), lambda x: WORLD.asarray(np.ones(10, np.float32))),
        (lambda x: WORLD.empty(10), lambda x: WORLD.empty((10, 2))),
        (lambda x: pp.reduce(pp.par, x), lambda x: pp.asnumpy(x)),
        (lambda x: pp.reduce(pp.par, x), lambda x: pp.reduce(pp.par, x, op=pp.maximum)),
        (lambda x: pp.reduce(pp.par, x, init=1.0), lambda x: pp.reduce(pp.par, x, init=2.0)),
        (lambda x: pp.reduce(pp.par, x), lambda x: WORLD.synchronize()),
    ],
)
def test_different_calls_are_an_error_everywhere(mine, others):
    x = WORLD.asarray(np.ones(N))
    with pytest.raises(CommunicationError, match="the ranks differ.*rank 0: .*rank 1: "):
        (mine if RANK == 0 else others)(x)
    assert works()


def test_a_wrong_local_executor_on_one_rank():
    with pytest.raises(pp.BackendUnavailableError, match="local=" if RANK else "on rank 1: mpi.local="):
        pp.mpi(local="nothing" if RANK == 1 else pp.threads(2))
    assert works()


def test_a_call_that_one_rank_cannot_even_begin():
    """Rank 0 fails before it talks to anyone; the others find out when it makes its next call."""
    x = WORLD.asarray(np.ones(N))
    with pytest.raises(pp.KernelError if RANK == 0 else CommunicationError):
        pp.reduce(pp.par, x, op=(lambda a: a) if RANK == 0 else pp.plus)
        WORLD.synchronize()
    if RANK == 0:
        with pytest.raises(CommunicationError, match="the ranks differ"):
            WORLD.synchronize()
    assert works()


@pytest.mark.skipif(SIZE == 1, reason="one rank agrees with itself")
def test_calls_that_differ_in_more_than_their_name():
    x = WORLD.asarray(np.arange(N) % 100)
    small, factor = np.arange(5.0) + (RANK == 0), 1 + RANK
    calls = {
        "descending=True": lambda: pp.sort(pp.par, x, descending=RANK == 0),
        "op": lambda: pp.inclusive_scan(pp.par, x, op=pp.plus if RANK == 0 else pp.maximum),
        "bins": lambda: pp.histogram(pp.par, x, bins=10 + RANK, range=(0, 100)),
        "value": lambda: pp.find(pp.par, x, RANK),
        "predicate": lambda: pp.copy_if(pp.par, x, lambda v: v > factor),
        "float64": lambda: pp.searchsorted(pp.par, small, x),
        "add up": lambda: WORLD.asarray(np.arange(N) + (RANK == 1)),
    }
    for told, call in calls.items():
        with pytest.raises(CommunicationError, match="(?s)ranks differ.*" + told):
            call()
    assert works()


def scaled(i, x, y, s):
    y[i] = s * x[i]


LIMIT = 1 + RANK


def above(v):
    return v > LIMIT


@pytest.mark.skipif(SIZE == 1, reason="one rank agrees with itself")
def test_numbers_that_differ_are_an_error_everywhere_at_the_next_call():
    """Loops that exchange nothing are compared when ranks agree next; others when they agree."""
    x, y, mine, table = WORLD.asarray(np.arange(10.0)), WORLD.empty(10), 1 + RANK, np.arange(3.0) + RANK
    few = 10 - (RANK == 1)
    calls = {
        "'s' is 0.0 on rank 0, 1.0 on rank 1": lambda: pp.for_each(pp.par, 10, scaled, x, y, float(RANK)),
        "'s' is 2.0 on rank 0, nan on": lambda: pp.for_each(pp.par, 10, scaled, x, y, np.nan if RANK else 2.0),
        "'mine' is 1 on rank 0, 2 on": lambda: pp.transform(pp.par, x, out=y, op=lambda v: v + mine),
        "'table' has not the same": lambda: pp.transform(pp.par, x, out=y, op=lambda v: v + table[int(v) % 3]),
        "transform_reduce of 10.*'mine' is": lambda: pp.transform_reduce(pp.par, x, transform=lambda v: v * mine),
        "LIMIT' is 1 on rank 0, 2 on": lambda: pp.count_if(pp.par, x, above),
        "ranks differ.*pack_index": lambda: pp.pack_index(pp.par, pp.lazy.transform(x, above)),
        "rank 0: for_each of 10 .*rank 1: for_each of 9 ": lambda: pp.for_each(pp.par, few, scaled, x, y, 1.0),
        "rank 0: reduce of 10 .*rank 1: for_each": lambda: [
            pp.for_each(pp.par, 10, scaled, x, y, 1.0) for _ in range(1 + RANK)
        ],
        "the calls before the last": lambda: [
            pp.for_each(pp.par, 10, scaled, x, y, 2.0 if k == 3 and RANK == 0 else 1.0) for k in range(100)
        ],
    }
    for told, call in [*calls.items()] * 6:  # the second ones are remembered, the last ones known by native code
        with pytest.raises(CommunicationError, match=told):
            call()
            pp.reduce(pp.par, y)
    for _ in range(3):
        pp.for_each(pp.par, 10, scaled, x, y, np.nan)
        pp.transform(pp.par, x, out=y, op=lambda v: v + len(table))
        later = pp.reduce(pp.par.task, y)
        pp.transform(pp.par, x, out=x, op=lambda v: v)  # beside the task, or behind it
        assert later.result() == 75 == pp.reduce(pp.par, y)
    assert works()


@pytest.mark.skipif(SIZE == 1, reason="one rank agrees with itself")
@pytest.mark.skipif(SIZE == 1, reason="one rank agrees with itself")
def test_other_arrays_of_the_same_kind_are_an_error_everywhere():
    x, y, z, v = (WORLD.asarray(np.arange(10.0)) for _ in range(4))
    one, places = (y if RANK == 1 else x), WORLD.asarray(np.arange(10))
    calls = {
        "'x' is not the same partitioned array": lambda: pp.reduce(pp.par, one),
        "transform of 10.*'b' is not": lambda: pp.transform(pp.par, v, one, out=z, op=lambda a, b: a + b),
        "for_each of 10.*'x' is not": lambda: pp.for_each(pp.par, 10, scaled, one, z, 2.0),
        "differ.*x=float64.10. #": lambda: pp.sort(pp.par, one),
        "differ.*out=float64": lambda: pp.scatter(pp.par, z, places, one),
        "differ.*asnumpy of": lambda: pp.asnumpy(one),
        "differ.*partial_sort": lambda: pp.partial_sort(pp.par, x, 3 + RANK),
    }
    for told, call in calls.items():
        with pytest.raises(CommunicationError, match="(?s)" + told):
            for _ in range(6):
                call()
            works()
        assert works()
    with contextlib.suppress(pp.PortaparError):  # ranks that made other arrays than the others can go on
        if RANK == 1:
            WORLD.empty(5)
        works()
    assert works()
    assert pp.reduce(pp.par, pp.sort(pp.par, WORLD.asarray(np.arange(10.0)))) == 45


def test_messages_say_what_calls_were_given():
    """Also of what the functions of an algorithm are made of."""
    out = WORLD.asarray(np.arange(10))
    with pytest.raises(CommunicationError, match=rf"fill_integers\(.*high={5 + RANK}\b") as found:
        pp.random.fill_integers(pp.par, out, 1, 0, 5 + RANK)
    assert "lambda" not in str(found.value)
    assert works()


class Stubborn:
    """What does not pickle on the last rank."""

    def __reduce__(self):
        if RANK == SIZE - 1:
            raise ValueError("no")
        return (Stubborn, ())


@pytest.mark.skipif(SIZE == 1, reason="one rank sends nothing")
def test_what_cannot_be_sent_is_an_error_everywhere():
    for send in (lambda: WORLD.group.exchange(Stubborn()), lambda: WORLD.group.alltoall([Stubborn()] * SIZE)):
        with pytest.raises(CommunicationError, match=f"rank {SIZE - 1} of {SIZE} cannot send its .*ValueError: no"):
            send()
    assert works()


def test_tasks_end_before_their_executor_closes():
    where = pp.mpi(MPI.COMM_WORLD)
    x = where.asarray(np.arange(N))
    later = [pp.reduce(pp.par.on(where).task, x) for _ in range(5)]
    time.sleep(0.1 * RANK)  # some ranks close it while others have not begun
    where.close()
    assert [future.result() for future in later] == [N * (N - 1) // 2] * 5
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        pp.reduce(pp.par.on(where).task, x)
    assert works()


@pytest.mark.skipif(SIZE == 1, reason="one rank has no others that wait")
@pytest.mark.parametrize("step", ["each", "alltoall"])
@pytest.mark.parametrize("number", range(4))
def test_a_rank_that_fails_between_two_steps_frees_the_others(monkeypatch, step, number):
    """It goes on with the next call, which is done by all; the others are told why the call before failed."""
    one, x = SIZE - 1, WORLD.asarray(np.arange(N) * 7 % 1000)
    calls = {
        "sort": lambda: pp.sort(pp.par, x),
        "reduce_by_key": lambda: pp.reduce_by_key(pp.par, x, x),
        "rotate": lambda: pp.rotate(pp.par, x, N // 2),
        "merge": lambda: pp.merge(pp.par, y, y),
    }
    y = pp.sort(pp.par, x)
    made = getattr(exchange.Exchange, step)
    for name, call in calls.items():
        count = itertools.count()

        def failing(self, *given, name=name, count=count):
            found = made(self, *given)
            if RANK == one and self.algorithm == name and next(count) == number:
                raise MemoryError("no room")
            return found

        monkeypatch.setattr(exchange.Exchange, step, failing)
        told = None
        try:
            call()
        except (MemoryError, CommunicationError) as error:
            told = error
        z = WORLD.empty(7, np.int64)
        monkeypatch.undo()
        failed = MPI.COMM_WORLD.allgather(told is not None)
        if RANK != one and failed[RANK]:
            assert re.search(f"rank {one} of {SIZE} failed, {name}: MemoryError: no room", str(told)), told
        assert failed[one] or not any(failed)
        pp.iota(pp.par, z)
        assert pp.reduce(pp.par, z) == 21 and works()


@pytest.mark.skipif(SIZE == 1, reason="one rank agrees with itself")
def test_policies_that_differ():
    x, y, table = WORLD.asarray(np.arange(10.0)), WORLD.empty(10), np.arange(3.0)

    def tabled(i, y, table):
        y[i] = table[i * 7 % 3]

    for flag in ("check", "deterministic"):
        how = pp.par.with_(**{flag: RANK == 0})
        calls = {
            f"differ.*{flag}=True": lambda how=how: pp.inclusive_scan(how, x),
        }
        if flag == "check":
            calls["differ.*for_each"] = lambda how=how: (pp.for_each(how, 10, tabled, y, table), pp.reduce(pp.par, y))
        for told, call in calls.items():
            with pytest.raises(CommunicationError, match=told):
                call()
            assert works()


@pytest.mark.skipif(SIZE == 1, reason="one rank has no others that wait")
@pytest.mark.parametrize("fails", [(0, 0, 0), (1, 0, None), (0, 1, 2), (2, 2, 0), (None, 1, 1), (0, None, 0)], ids=str)
def test_several_ranks_that_fail_between_steps_free_each_other(monkeypatch, fails):
    """Each goes on with the next call, whichever of them failed first; nobody waits, and nothing stays behind."""
    x, made, number = WORLD.asarray(np.arange(N) * 7 % 1000), exchange.Exchange.each, (*fails, None)[min(RANK, 3)]
    calls = {
        "sort": lambda: pp.sort(pp.par, x),
        "inclusive_scan": lambda: pp.inclusive_scan(pp.par, x),
        "reduce_by_key": lambda: pp.reduce_by_key(pp.par, x, x),
    }
    for name, call in [*calls.items()] * 2:  # the second time nothing has to be compiled
        count = itertools.count()

        def failing(self, *given, name=name, count=count):
            found = made(self, *given)
            if self.algorithm == name and next(count) == number:
                raise MemoryError("no room")
            return found

        monkeypatch.setattr(exchange.Exchange, "each", failing)
        told = None
        try:
            call()
        except (MemoryError, CommunicationError) as error:
            told = error
        monkeypatch.undo()
        WORLD.empty(3)
        assert told is None or "no room" in str(told) or "ranks differ" in str(told), told
        assert told is not None or 0 not in fails[:SIZE], name  # there are more steps, in which the others wait
        assert works()


TWICE = WORLD.asarray(np.arange(6.0))


def total(v):
    return v + TWICE[0] + TWICE[5]


def test_what_functions_capture_is_whole_only_while_they_run():
    """Also if the call fails: the next one gathers it anew, and a kernel that writes its own rows does not see it."""
    y = WORLD.asarray(np.arange(N) * 1.0)
    for k in range(3):
        pp.transform(pp.par, TWICE, out=TWICE, op=lambda v: v + 1)
        assert pp.count_if(pp.par, y, lambda v: total(v) > N) == 6 + 2 * k
        assert TWICE.replica is False
        with pytest.raises((pp.PortaparError, ZeroDivisionError)):
            pp.count_if(pp.par, y, lambda v: total(v) > N and undefined(v))  # noqa: F821
        assert TWICE.replica is False
    assert works()


@pytest.mark.skipif(SIZE == 1, reason="one rank sends nothing")
@pytest.mark.parametrize("method", ["exchange", "allgather", "alltoall"])
@pytest.mark.parametrize("number", [0, 1, 4])
def test_ctrl_c_on_one_rank_is_heard_when_its_messages_are_through(monkeypatch, method, number):
    """Who catches it can go on; the others, which wait for it in the next step, are told."""
    x, made, count = WORLD.asarray(np.arange(N) * 7 % 1000), getattr(WORLD.group, method), itertools.count()
    calls = (lambda: pp.sort(pp.par, x), lambda: pp.asnumpy(x), lambda: pp.reduce(pp.par, x))

    def pressed(*given):
        if next(count) == number:
            signal.raise_signal(signal.SIGINT)
        return made(*given)

    if RANK == SIZE - 1:
        monkeypatch.setattr(WORLD.group, method, pressed)
    told = None
    try:
        for call in calls:
            call()
    except (KeyboardInterrupt, CommunicationError) as error:
        told = error
    monkeypatch.undo()
    with contextlib.suppress(CommunicationError):  # heard behind a call: the others made the next one
        WORLD.empty(3)
    MPI.COMM_WORLD.barrier()
    assert works()
    if RANK == SIZE - 1:
        heard = next(count) > number
        assert isinstance(told, KeyboardInterrupt) == heard, told
