"""Numbers of the machine: built in, measured, kept; whatever they are, results stay the same."""

import numpy as np
import pytest

import portapar as pp
from portapar import tuning


def test_built_in_until_measured(python, tmp_path):
    own = {"PORTAPAR_CACHE_DIR": str(tmp_path)}
    out = python("""
        from portapar import tuning
        assert tuning.value("wake") == tuning.NUMBERS["wake"].start() and "wake" not in tuning.measured()
        tuning.keep({"wake": 1.5})
        with tuning.trying(wake=3.0, sort=7.0):
            assert (tuning.value("wake"), tuning.value("sort")) == (3.0, 7.0)
        print(tuning.value("wake"), "sort" in tuning.measured())
    """, PORTAPAR_NUM_THREADS="7", **own)  # fmt: skip
    assert out.split() == ["1.5", "False"]
    again = "from portapar import tuning\nprint(tuning.value('wake'), tuning.measured())"
    assert python(again, PORTAPAR_NUM_THREADS="7", **own).split() == ["1.5", "{'wake':", "1.5}"]
    assert "{}" in python(again, PORTAPAR_NUM_THREADS="6", **own)  # another machine, as it were


def test_measured_once_when_it_is_needed():
    asked = []

    def measure():
        asked.append(tuning.value("sort_alone"))
        return 5.0

    before = tuning.measured()
    with tuning.trying(sort_alone=2.0):
        assert tuning.value("sort_alone", measure) == 2.0 and asked == []
    assert tuning.measured() == before


@pytest.mark.parametrize("n", [4095, 4097, 5000, 100_000])
@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_both_ways_sort(n, dtype):
    x = np.random.default_rng(n).integers(-1000, 1000, n).astype(dtype)
    for where in (pp.threads(2), pp.simd()):
        for first in (0.0, np.inf):
            with tuning.trying(sort=first, sort_alone=first):
                assert np.array_equal(pp.sort(pp.par.on(where), x), np.sort(x))
        assert np.array_equal(pp.sort(pp.par.on(where), x), np.sort(x))
    if n > 1 << 14:  # no step of one piece
        assert {"sort", "sort_alone"} <= set(tuning.measured())


@pytest.mark.parametrize("first", [0.0, np.inf])
def test_both_ways_write(first):
    x = np.random.default_rng(1).random(100_003)
    with tuning.trying(stream=first, stream_alone=first):
        y, z = np.empty_like(x), np.empty_like(x)
        pp.plan(pp.transform, pp.par, x, out=y, op=lambda v: 2 * v).run()
        pp.plan(pp.fill, pp.par, z, 3.0).run()
    assert np.array_equal(y, 2 * x) and (z == 3).all()


@pytest.mark.extra
def test_tune(python):
    script = "import sys\nfrom portapar import cli\nsys.exit(cli.main(sys.argv[1:]))"
    told = python(script, "tune", PORTAPAR_NUM_THREADS="2", timeout=800)
    assert told.count("measured") == len(tuning.NUMBERS) and "built in" not in told
    shown = python(script, "info", "--profile", PORTAPAR_NUM_THREADS="2")
    assert shown.count(", measured: ") == len(tuning.NUMBERS)
    assert shown.count(", built in: ") == 0
