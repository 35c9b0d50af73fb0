"""What the README says of policies and settings."""

import os

import numpy as np
import pytest

import portapar as pp

N = 100_003
POLICIES = (pp.seq, pp.unseq, pp.par, pp.par_unseq, pp.auto)

# seq and unseq -------------------------------------------------------------------------------------------


def running_sum(i, x, y):
    y[i] = x[i] if i == 0 else y[i - 1] + x[i]


def note(i, order, count):
    order[count[0]] = i
    count[0] += 1


def steps(i, x, y):
    v = x[i]
    for _ in range(int(v) % 7):
        v = v * 0.5 + 1 / (v + 3)
    y[i] = v


@pytest.mark.parametrize("schedule", ["static", "dynamic", "guided"])
def test_seq_runs_one_after_the_other_in_order(schedule):
    how = pp.seq.with_(schedule=schedule, chunk_size=16)
    x, y = np.random.default_rng(1).normal(size=N), np.empty(N)
    pp.for_each(how, N, running_sum, x, y)
    assert np.array_equal(y, np.cumsum(x))
    order, count = np.full(N, -1), np.zeros(1, np.int64)
    pp.for_each(how, N, note, order, count)
    assert np.array_equal(order, np.arange(N))
    order[:], count[:] = -1, 0
    pp.for_each(how, pp.range(N - 1, -1, -1), note, order, count)
    assert np.array_equal(order, np.arange(N)[::-1])


@pytest.mark.parametrize("policy", [pp.seq, pp.unseq])
def test_one_thread_runs_them(policy):
    plan = pp.plan(pp.for_each, policy, N, steps, np.ones(N), np.ones(N))
    assert [part.threads for part in plan.parts] == [1] and plan.executor is pp.simd()
    with pytest.raises(pp.PolicyError, match="allows one thread only"):
        policy.on(pp.hybrid(pp.threads(2), pp.simd()))


ALGORITHMS = {
    "for_each": lambda how, x: (y := np.empty_like(x), pp.for_each(how, len(x), steps, x, y))[0],
    "transform": lambda how, x: pp.transform(how, x, x[::-1], op=lambda a, b: a * b - a / (b + 4)),
    "sqrt": lambda how, x: pp.transform(how, x, op=np.sqrt),
    "reduce": lambda how, x: pp.reduce(how, x),
    "product": lambda how, x: pp.inner_product(how, x, x),
    "scan": lambda how, x: pp.inclusive_scan(how, x),
    "sort": lambda how, x: pp.sort(how, x),
    "copy_if": lambda how, x: pp.copy_if(how, x, lambda v: v > 5),
    "min_element": lambda how, x: pp.min_element(how, x),
    "stencil": lambda how, x: pp.stencil(how, x, lambda f, i: f[i - 1] + f[i + 1]),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_all_policies_give_the_same_bits(name):
    x = np.random.default_rng(2).uniform(0, 10, N)
    first, *others = (np.asarray(ALGORITHMS[name](how, x)) for how in POLICIES)
    assert all(first.tobytes() == other.tobytes() for other in others)


# settings ------------------------------------------------------------------------------------------------

SCRIPT = """
    import numpy as np
    import portapar as pp

    assert pp.reduce(pp.seq, np.ones(10)) == 10  # needs no threads
    try:
        print(pp.threads().threads, pp.plan(pp.fill, pp.par, np.zeros(10**7), 1).parts[0].threads)
        print(next(info.description for info in pp.available() if info.name == "threads"))
    except pp.PortaparError as error:
        print(error)
"""


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_threads_from_the_environment(python, count):
    numbers, description = python(SCRIPT, PORTAPAR_NUM_THREADS=str(count)).splitlines()
    assert numbers.split() == [str(count)] * 2 and description.startswith(f"{count} thread")


def test_no_number_is_all_cpus(python):
    expected = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert python(SCRIPT, PORTAPAR_NUM_THREADS="").split()[0] == str(expected)


@pytest.mark.parametrize("value", ["abc", "0", "-2", "1.5", " ", "2 threads", "²", "٣"])
def test_a_number_of_threads_that_is_none(monkeypatch, value):
    from portapar import config

    monkeypatch.setenv("PORTAPAR_NUM_THREADS", value)
    with pytest.raises(pp.PortaparError, match="PORTAPAR_NUM_THREADS=.*whole number from 1"):
        config.default_threads()
    with pytest.raises(pp.PortaparError, match="PORTAPAR_NUM_THREADS"):
        pp.available()


def test_it_is_said_at_the_first_use(python):
    assert "PORTAPAR_NUM_THREADS='abc'" in python(SCRIPT, PORTAPAR_NUM_THREADS="abc")
