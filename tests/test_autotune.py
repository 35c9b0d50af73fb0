"""`with_(tune=…)`: the fastest way to deal out iterations is found and kept, by a clock of the test's own."""

import threading

import numpy as np
import pytest
from conftest import executor

import portapar as pp
from portapar import autotune, cache, choice, history, tuning

N = 4096


def double(i, x, y):
    y[i] = x[i] * 2


@pytest.fixture
def clock(monkeypatch):
    """Calls take what it says of the size of their chunks; what is kept is in `kept`."""

    class Clock:
        def __init__(self):
            self.now, self.inside, self.calls, self.costs = 0.0, False, [], {}

        def perf_counter(self):
            if self.inside:
                ((found),) = choice._states.values()
                self.calls.append(found.now.policy.chunk_size)
                self.now += self.costs.get(self.calls[-1], 1.0)
            self.inside = not self.inside
            return self.now

    made = Clock()
    made.kept = {}
    choice._states.clear()
    monkeypatch.setattr(history, "_loaded", [made.kept])
    monkeypatch.setattr(history, "note", lambda name, seconds, shares: made.kept.update({name: [seconds, *shares]}))
    monkeypatch.setattr(choice, "time", made)
    yield made
    choice._states.clear()
    choice._held.clear()


def run(how, count):
    """So many calls, and what is known of them."""
    x, y = np.arange(float(N)), np.zeros(N)
    for _ in range(count):
        y[:] = 0
        pp.for_each(how, N, double, x, y)
        assert np.array_equal(y, 2 * x)
    (found,) = choice._states.values()
    return found, pp.plan(pp.for_each, how, N, double, x, y)


WHERE = ("threads:2", "opencl:0")


@pytest.mark.parametrize("where", WHERE)
def test_the_fastest_way_is_kept(clock, where):
    device = executor(where)
    how, chunks = pp.par.on(device).with_(tune=1000), device.device.chunks(N)
    assert len(chunks) > 1
    clock.costs = {None: 1.0, chunks[1]: 0.5, chunks[0]: 0.8}
    found, plan = run(how, 5 * (len(chunks) + 1))
    assert found.search is None and found.now.policy.chunk_size == chunks[1]
    assert {size: clock.calls.count(size) for size in (None, chunks[0])} == {None: 4, chunks[0]: 4}
    assert "was found" in str(plan) and f"chunk_size={chunks[1]}: measured 500 ms" in str(plan)
    assert len(clock.kept) == 1

    choice._states.clear()  # another process
    choice._held.clear()
    clock.calls.clear()
    found, plan = run(how, 1)
    assert found.search is None and clock.calls == [chunks[1]] and "an earlier process" in str(plan)


def test_a_search_ends_when_its_seconds_are_spent(clock):
    how = pp.par.on(pp.threads(2))
    run(how.with_(tune=1e-9), 2)  # compiled
    choice._states.clear()
    clock.kept.clear()
    clock.calls.clear()
    found, _ = run(how.with_(tune=2.5), 12)
    assert found.search is None and found.now.policy.chunk_size is None
    assert 0 < sum(size is not None for size in clock.calls) <= 2


def test_a_search_is_one_though_threads_call_at_once(monkeypatch):
    """None sees what another one has half changed, and what is found last is what holds."""
    how, wrong, inside = pp.par.on(pp.threads(2)).with_(tune=1e-9), [], threading.Semaphore(0)
    choice._states.clear()
    monkeypatch.setattr(history, "_loaded", [{}])
    monkeypatch.setattr(history, "note", lambda name, seconds, shares: None)
    run(how, 1)
    (found,) = choice._states.values()
    found.search, found.now = autotune.Search(1e-9), found.candidates[0]
    after = autotune.Search.after

    def slowed(search, *args):
        inside.release()
        inside.acquire(timeout=0.2)  # its own; another thread's, if it can come in
        inside.acquire(timeout=0.2)
        return after(search, *args)

    monkeypatch.setattr(autotune.Search, "after", slowed)

    def call():
        try:
            run(how, 4)
        except (AttributeError, AssertionError) as error:
            wrong.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong and found.search is None
    choice._states.clear()
    choice._held.clear()


def test_what_is_hardly_faster_is_not_taken(clock):
    how, chunks = pp.par.on(pp.threads(2)).with_(tune=1000), pp.threads(2).device.chunks(N)
    clock.costs = {None: 1.0} | dict.fromkeys(chunks, 0.95)
    found, _ = run(how, 5 * (len(chunks) + 1))
    assert found.search is None and found.now.policy.chunk_size is None


@pytest.mark.parametrize("where", WHERE)
def test_results_keep_their_bits(where):
    x = np.random.default_rng(1).normal(size=9 * N)
    placed, wanted = executor(where).asarray(x), pp.reduce(pp.seq, x)
    for how, data in ((pp.par.on(executor(where)), placed), (pp.par.on(executor(where)), x), (pp.auto, x)):
        for _ in range(22):
            assert pp.reduce(how.with_(tune=5), data) == wanted
    assert np.array_equal(pp.sort(pp.par.with_(tune=True), x), np.sort(x))
    assert pp.reduce(pp.par.on(pp.hybrid(pp.threads(2), pp.simd())).with_(tune=True), x) == wanted


def test_what_is_not_searched(clock):
    for how in (pp.seq, pp.par.on(pp.simd()), pp.par.with_(chunk_size=7), pp.par.with_(schedule="guided")):
        choice._states.clear()
        found, _ = run(how.with_(tune=True), 1)
        assert found.search is None and len(found.candidates) == 1
    choice._states.clear()
    with pp.using(pp.par.on(pp.threads(2)).with_(tune=1000)):
        found, _ = run(None, 1)
    assert found.search is not None and len(found.candidates) > 1
    assert pp.par.with_(tune=True).with_(tune=False) is pp.par and "tune=1" in repr(pp.par.with_(tune=True))


@pytest.mark.parametrize("wrong", [b"{", b"[1]", b"\xff"])
def test_a_corrupt_cache_is_told_once(monkeypatch, wrong):
    monkeypatch.setattr(cache, "load", lambda name, counts=True: wrong)
    monkeypatch.setattr(history, "_loaded", [])
    with pytest.warns(pp.PortaparWarning, match="earlier processes measured is not used"):
        assert history.of("name") is None
    monkeypatch.setattr(tuning, "_loaded", [])
    with pytest.warns(pp.PortaparWarning, match="numbers of this machine .* not used"):
        tuning.value("wake")
    assert history.of("name") is None and tuning.value("wake") > 0  # without a word
