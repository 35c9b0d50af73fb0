"""STREAM measures every executor, and notices wrong results."""

import math

import numpy as np
import pytest

import portapar as pp
from portapar.algorithms import stream as module
from portapar.algorithms.stream import KERNELS, Stream, Times, default_size, stream


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 10_001])
def test_every_executor_passes_its_checks(policy, dtype, n):
    result = stream(policy, n, dtype, ntimes=3)
    assert result.failures == ()
    assert list(result.kernels) == [check.kernel for check in result.checks] == list(KERNELS)
    for kernel, times in result.kernels.items():
        assert times.bytes == KERNELS[kernel] * n * np.dtype(dtype).itemsize
        assert len(times.seconds) == 3
        assert 0 < times.best <= times.median
        assert times.best_rate >= times.median_rate > 0


def test_the_first_round_does_not_count():
    times = Times(3_000_000_000, (0.1, 1.0, 3.0, 2.0))
    assert (times.best, times.median, times.best_rate, times.median_rate) == (1.0, 2.0, 3.0, 1.5)


def test_many_rounds_stay_in_range():
    assert stream(pp.seq, 64, np.float32, ntimes=200).failures == ()


@pytest.mark.parametrize("wrong", list(KERNELS))
def test_a_wrong_result_names_its_kernel(monkeypatch, wrong):
    right = getattr(Stream, wrong)
    written = {"copy": "c", "scale": "b", "add": "c", "triad": "a", "nstream": "a"}

    def corrupted(self):
        value = right(self)
        if wrong == "dot":
            return value * 1.001
        getattr(self, written[wrong])[777] *= 1.001
        return value

    monkeypatch.setattr(Stream, wrong, corrupted)
    failures = {check.kernel: check for check in stream(pp.par, 5000, ntimes=2).failures}
    assert wrong in failures
    assert failures[wrong].error > failures[wrong].tolerance


def test_nan_is_noticed(monkeypatch):
    right = Stream.triad

    def corrupted(self):
        right(self)
        self.a[3] = np.nan

    monkeypatch.setattr(Stream, "triad", corrupted)
    failures = {check.kernel: check for check in stream(pp.par, 5000, ntimes=2).failures}
    assert math.isnan(failures["triad"].found)


def test_other_codes_run_beside_on_the_same_arrays():
    class Numpy:
        def __init__(self, a, b, c, s):
            self.a, self.b, self.c, self.s = a, b, c, s
            self.rests = 0

        def copy(self):
            self.c[:] = self.a

        def scale(self):
            self.b[:] = self.s * self.c

        def add(self):
            np.add(self.a, self.b, out=self.c)

        def triad(self):
            self.a[:] = self.b + self.s * self.c

        def nstream(self):
            self.a += self.b + self.s * self.c

        def dot(self):
            return self.a @ self.b

        def rest(self):
            self.rests += 1

    made = []
    done = []
    result = stream(
        pp.par,
        1000,
        ntimes=4,
        beside={"numpy": lambda *args: made.append(Numpy(*args)) or made[0]},
        progress=done.append,
    )
    assert result.failures == ()
    assert list(result.beside["numpy"]) == list(KERNELS)
    assert made[0].rests == 4 * len(KERNELS)
    assert done == [0.25, 0.5, 0.75, 1.0]


def test_default_size_follows_the_caches(monkeypatch):
    monkeypatch.setattr(module.topology, "caches", lambda: {"L1": 1 << 15, "L3": 1 << 30})
    monkeypatch.setattr(module.topology, "machine", lambda: {"memory": 1 << 40})
    assert default_size(np.float64) == (4 << 30) // 8
    assert default_size(np.float32) == (4 << 30) // 4
    monkeypatch.setattr(module.topology, "machine", lambda: {"memory": 10 << 20})
    assert default_size() == (1 << 20) // 8


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n": 0}, "n is 0: must be a whole number from 1"),
        ({"n": 1.5}, "n is 1.5"),
        ({"ntimes": 1}, "ntimes is 1: must be a whole number from 2"),
        ({"dtype": np.int32}, "dtype is int32: must be float64 or float32"),
    ],
)
def test_bad_input(keywords, message):
    with pytest.raises(pp.PlacementError, match=message):
        stream(pp.par, **{"n": 10, **keywords})


def test_tasks_are_refused():
    with pytest.raises(pp.PolicyError, match="Leave .task away"):
        stream(pp.par.task, 10)
