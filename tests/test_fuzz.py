"""Random kernels on every renderer: `fuzz` writes them, and what they must do is what plain Python does."""

import math

import fuzz
import numpy as np
import pytest
from conftest import missing

import portapar as pp

CPU = ("threads:2", "simd")  #: in turn for every fourth kernel: their compiler takes three times as long
DEVICES = ("opencl:0", "cuda:0")
EACH = 4  #: kernels of a test
SOME = 200  #: kernels that `make test-all` tries


@pytest.fixture(scope="module")
def policies():
    """For each of eight kernels in a row, on what it runs; where there are CPUs alone, they run all of them."""
    made = {name: pp.par.on(pp.executor(name)) for name in CPU + DEVICES if name not in missing()}
    there = [made[name] for name in DEVICES if name in made]
    return [[made[CPU[k // 4]]] if k % 4 == 0 or not there else there for k in range(8)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize(
    "first",
    [pytest.param(k, marks=[pytest.mark.extra] * (k > 0)) for k in range(0, SOME, EACH)],
)
def test_kernels_do_what_python_does(first, policies, folder):
    for seed in range(first, first + EACH):
        made = fuzz.Writer(str(seed))
        found = fuzz.differences(made.text, made.arrays, folder, policies[seed % 8])
        assert not found, f"seed {seed}: {found}\n{made.text}"


def test_long_kernels_and_many_arrays_are_among_them():
    texts = [fuzz.Writer(str(seed)) for seed in range(SOME)]
    assert max(made.text.count("\n") for made in texts) > 500 and max(len(made.arrays) for made in texts) >= 40


def test_the_oracle_is_not_trivial(folder):
    """The check itself can fail: a kernel that does something else is found."""
    arrays = {"a": ("int64", (fuzz.N,)), "x": ("float64", (fuzz.N,))}
    text = "import math\ndef kernel(i, a, x, k, s, w):\n    a[i] = a[i] // 3 - k % 7\n    x[i] = math.floor(2.5) + s\n"
    a, x, *_ = given = fuzz.arguments(arrays)
    want = [int(v) // 3 - 5 for v in a]
    fuzz.expected(fuzz.load(text, folder), given)
    np.testing.assert_array_equal(a, want)
    np.testing.assert_array_equal(x, math.floor(2.5) - 1.75)
    assert not fuzz.differences(text, arrays, folder, [pp.unseq])
    differs = "import numpy as np\n" + text.replace("floor(2.5)", "sqrt(np.float32(2))")  # Python's is a double
    assert "x[0] is" in fuzz.differences(differs, arrays, folder, [pp.unseq])
