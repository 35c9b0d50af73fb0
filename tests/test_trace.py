"""Timelines and profiles."""

import json

import numpy as np
import pytest

import portapar as pp


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
