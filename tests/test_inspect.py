"""`pp.inspect`: what a call runs, and what makes it slow, in the user's lines."""

import subprocess
import sys

import numpy as np
import pytest

import portapar as pp
from portapar.kernel.jit.hindrances import hindrances


def gathered(i, x, y, idx):
    y[i] = x[idx[i]] + 1


def at(a, k):
    return a[k]


def gathered_by_a_helper(i, x, y, idx):
    k = idx[i] * 2
    y[i] = at(x, k)


def scattered(i, x, y, idx):
    y[idx[i]] = x[i]


def updated(i, x, y, idx):
    k = idx[i]
    y[k] += x[i]


def swapped(i, j, a, b):
    b[i, j] = 2 * a[j, i]


def every_second(i, x, y):
    y[i] = x[2 * i + 1]


def backwards(i, x, y):
    y[i] = x[len(x) - 1 - i]


def recurrence(i, x):
    x[i] = x[i - 1] + 1


def doubled(i, f, g):
    g[i] = f[i] * np.float64(1.5)


def single(i, f, g):
    g[i] = f[i] * 1.5


def divides(i, n, idx):
    idx[i] = i // n


def updates(i, x, idx):
    pp.atomic.add(x, idx[i], 1.0)


def walks(i, x, y):
    k = i
    while k > 0 and x[k] > 0:
        k -= 1
    y[i] = k


def clean(i, x, y):
    left = i - 1
    y[i] = 0.5 * (x[left] + at(x, i + 1))


X, INDEX, SINGLE, GRID = np.zeros(64), np.arange(64), np.zeros(64, np.float32), np.zeros((8, 8))
KINDS = [
    (gathered, (X, X.copy(), INDEX), ["gather"], "x[idx[i]]"),
    (gathered_by_a_helper, (X, X.copy(), INDEX), ["gather"], "a[k]"),
    (scattered, (X, X.copy(), INDEX), ["scatter"], "y[idx[i]]"),
    (updated, (X, X.copy(), INDEX), ["gather", "scatter"], "y[k]"),
    (swapped, (GRID, GRID.copy()), ["stride"], "a[j, i]"),
    (every_second, (X, X.copy()), ["stride"], "x[2 * i + 1]"),
    (backwards, (X, X.copy()), [], ""),
    (recurrence, (X,), ["dependence"], "x[i - 1]"),
    (doubled, (SINGLE, SINGLE.copy()), ["double"], "single precision becomes double"),
    (single, (SINGLE, SINGLE.copy()), [], ""),
    (divides, (7, INDEX), ["division"], "i // n"),
    (updates, (X, INDEX), ["atomic"], "add(x, idx[i], 1.0)"),
    (walks, (X, X.copy()), ["loop"], "while"),
    (clean, (X, X.copy()), [], ""),
]


@pytest.mark.parametrize("kernel, args, kinds, words", KINDS, ids=lambda x: getattr(x, "__name__", None))
def test_what_makes_it_slow(kernel, args, kinds, words):
    found = pp.inspect(kernel, pp.simd(), *args).hindrances
    assert [one.kind for one in found] == kinds
    for one in found:
        file, line = one.place
        assert file == __file__ and words in one.what
        first = (at if kernel is gathered_by_a_helper else kernel).__code__.co_firstlineno
        assert first < line <= first + 4


def test_short_by_default(renderer):
    found = pp.inspect(gathered, renderer, X, X.copy(), INDEX, space=pp.range(1, 64))
    assert len(str(found).splitlines()) <= 5 and "test_inspect.py" in str(found)
    assert len(found.full) > 1000 > len(str(found)) and all(text.rstrip() in found.full for text in found.values())


@pytest.mark.extra
def test_algorithms(renderer):
    x = np.arange(100.0)
    before = x.copy()
    for call in (
        lambda: pp.inspect(pp.transform, renderer, x, op=lambda v: v + 1),
        lambda: pp.inspect(pp.reduce, renderer, x, op=lambda a, b: a + b),
        lambda: pp.inspect(pp.for_each, renderer, len(x), every_second, np.zeros(200), x),
        lambda: pp.inspect(pp.count_if, renderer, x, lambda v: v > 1),
        lambda: pp.inspect(pp.copy_if, renderer, x, lambda v: v > 1),
        lambda: pp.inspect(pp.stencil, renderer, x, lambda x, i: x[i - 1] + x[i + 1]),
        lambda: pp.inspect(pp.inclusive_scan, renderer, x, op=lambda a, b: a + b),
    ):
        found = call()
        assert found.steps and all("test_inspect.py" in step.name for step in found.steps)
    assert pp.inspect(pp.sort, renderer, x[::-1].copy()).steps
    assert np.array_equal(x, before)


def test_policies_and_executors_alike():
    for where in (pp.simd(), pp.unseq, pp.par.on(pp.simd()), pp.par, None):
        assert pp.inspect(clean, where, X, X.copy())["vectorized"].startswith("yes")


def test_slips():
    refused = [
        (lambda: pp.inspect(3, pp.simd()), pp.ArgumentError, "no function"),
        (lambda: pp.inspect(clean, pp.simd(), X, X, X, X), pp.ArgumentError, "got 4"),
        (lambda: pp.inspect(clean, pp.simd(), X, X, op=3), pp.ArgumentError, "pp.inspect(pp.transform"),
        (lambda: pp.inspect(lambda v: v, pp.simd(), X, space=3), pp.ArgumentError, "leave out space="),
        (lambda: pp.inspect(clean, pp.simd(), X), pp.KernelError, "test_inspect.py"),
        (lambda: pp.inspect(clean, pp.simd(), X), pp.KernelError, "and got 1, so that i, x are taken as indices"),
        (lambda: pp.inspect(pp.transform, pp.simd(), X), pp.PortaparError, "op is missing"),
    ]
    for call, error, words in refused:
        with pytest.raises(error) as caught:
            call()
        assert words in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.extra
def test_command(tmp_path):
    file = tmp_path / "kernels.py"
    file.write_text("def twice(i, x, y):\n    y[i] = x[2 * i]\n")

    def run(*words):
        command = [sys.executable, "-m", "portapar", "inspect", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=600)

    done = run(f"{file}:twice", "float64[100]", "float64[100]", "--space", "0:50", "--executor", "simd")
    assert done.returncode == 0 and "2 elements apart" in done.stdout and "kernels.py:2" in done.stdout, done
    name = f"{file}:twice"
    for words in ((f"{file}:thrice",), ("nowhere.py:f",), (name, "float65[3]"), (name, "--space", "a")):
        done = run(*words)
        assert done.returncode == 2 and "Traceback" not in done.stderr and done.stderr.count("\n") == 1, done


def test_every_program_can_be_walked():
    """Rows, helpers, tuples, records and loops of the other tests' kinds do not stumble."""

    def kernel(i, X, y):
        a, b = X[i, 0], X[i, 1]
        s = 0.0
        for k in range(X.shape[1]):
            s += X[i, k] * (a if k % 2 else b)
        y[i] = s + X[i].sum()

    rows = np.zeros((8, 3))
    program = pp.plan(pp.for_each, pp.unseq, 8, kernel, rows, np.zeros(8)).loop.problem.program
    assert {one.kind for one in hindrances(program)} <= {"stride", "loop", "division"}
