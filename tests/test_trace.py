"""Timelines and profiles."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import portapar as pp
from portapar import topology
from portapar.trace import Event, Record


def moved(seen):
    return sum(event.more["bytes"] for event in seen.events if event.kind == "transfer")


def test_a_profile_tells_calls_kernels_and_bytes(renderer, capsys):
    where, x = renderer.executor, np.random.default_rng(0).random(20_000)
    how = pp.par.on(where)
    for _ in range(2):  # remembered calls are seen too
        with pp.profile() as seen:
            y = pp.transform(how, x, op=lambda v: v + 1)
            total = pp.reduce(how, x)
            z = pp.sort(how, x)
        assert np.array_equal(y, x + 1) and total == pp.reduce(pp.par, x) and np.array_equal(z, np.sort(x))
        assert [call.name for call in seen.calls] == ["transform", "reduce", "sort"]
        assert all(event.ended >= event.begun for event in seen.events)
        assert any(event.kind == "kernel" and event.name == "transform" for event in seen.events)
        if isinstance(where.empty(1), np.ndarray):
            assert moved(seen) == 0
        else:
            assert moved(seen) >= 3 * x.nbytes  # in, in, in, and out
        text = capsys.readouterr().out
        assert text == f"{seen}\n" and len(text.splitlines()) == 4 and repr(where) in text
    pp.reduce(how, x)
    assert len(seen.calls) == 3


def test_a_timeline_can_be_read(tmp_path):
    file = tmp_path / "timeline.json"
    x = np.random.default_rng(1).random(10_000)
    both = pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1])
    with pp.trace(file):
        pp.inclusive_scan(pp.par.on(both), x)
        with pytest.raises(pp.PortaparError):
            pp.transform(pp.par, x, x[1:], op=lambda a, b: a + b)
    found = json.loads(file.read_text())["traceEvents"]
    spans = [event for event in found if event["ph"] == "X"]
    assert {"call", "kernel"} <= {event["cat"] for event in spans}
    assert all(event["ts"] >= 0 and event["dur"] >= 0 for event in spans)
    named = {event["tid"]: event["args"]["name"] for event in found if event["name"] == "thread_name"}
    assert {event["tid"] for event in spans} == set(named) and {"pp.threads(2)", "pp.simd()"} <= set(named.values())
    (whole,) = [event for event in spans if event["name"] == "inclusive_scan" and event["cat"] == "call"]
    inside = [event for event in spans if event["cat"] == "kernel"]
    assert inside and all(
        whole["ts"] <= event["ts"] and event["ts"] + event["dur"] <= whole["ts"] + whole["dur"] + 1 for event in inside
    )


def test_all_ways_to_run_are_seen(capsys):
    x = np.random.default_rng(2).random(10_000)
    both = pp.par.on(pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1]))
    total = pp.reduce(pp.par, x)
    ready = pp.plan(pp.reduce, pp.par, x)
    ready.run()
    with pp.profile() as seen:
        with pp.using(pp.unseq):  # two are remembered otherwise
            assert pp.reduce(None, x) == pp.reduce(None, x) == total
        assert pp.plan(pp.reduce, None, x).run() == pp.plan(pp.reduce, pp.auto, x).run() == ready.run() == total
        assert "reduce" in str(pp.inspect(pp.reduce, pp.par, x))
        assert pp.reduce(pp.par.task, x).result() == total
        with ThreadPoolExecutor(1) as other:
            assert other.submit(pp.reduce, pp.par, x).result() == total
        assert np.array_equal(pp.sort(both, x), np.sort(x))  # whose parts sort too
        assert np.array_equal(pp.sort(both.task, x).result(), np.sort(x))
    assert [call.name for call in seen.calls] == 7 * ["reduce"] + 2 * ["sort"]
    assert sum(event.kind == "call" for event in seen.events) > 9
    kernels = [event.where for event in seen.events if event.kind == "kernel"]
    assert {"pp.threads(2)", "pp.simd()"} <= set(kernels)


def test_long_profiles_are_told_soon():
    """In one pass."""
    seen = Record(0.0)
    for k in range(50_000):
        seen.events += [
            Event("kernel", "fill", "pp.simd()", k + 0.25, k + 0.5, 1, {}),
            Event("call", "fill", "pp.simd()", float(k), k + 0.75, 1, {}),
        ]
    row = str(seen).splitlines()[1].split()
    assert row == ["fill", "50000", "37500000.000", "12500000.000", "0.000", "0", "pp.simd()"]


def test_ranks_have_files_of_their_own(tmp_path, monkeypatch):
    """Also those that have not joined when it begins."""
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    for name in topology.RANK:
        monkeypatch.delenv(name, raising=False)
    for rank in "0", "3":
        monkeypatch.setenv(topology.RANK[0], rank)
        with pp.trace(tmp_path / "a.json"):
            pass
    assert {file.name for file in tmp_path.iterdir()} == {"a.json", "a.3.json"}


def test_a_timeline_that_cannot_be_written(tmp_path):
    ran = []
    with pytest.raises(OSError, match="nowhere"), pp.trace(tmp_path / "nowhere" / "a.json"):
        ran.append(1)
    assert not ran


def test_a_failure_is_on_the_timeline(tmp_path):
    file = tmp_path / "a.json"
    with pytest.raises(ZeroDivisionError), pp.trace(file):
        pp.fill(pp.par, np.empty(5), 1.0)
        raise ZeroDivisionError
    assert any(event["name"] == "fill" for event in json.loads(file.read_text())["traceEvents"])
