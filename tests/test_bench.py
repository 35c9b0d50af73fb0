"""The measurements run, at tiny sizes: their numbers mean nothing here."""

import importlib
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

import portapar as pp  # noqa: E402
from bench import algorithms, graphs, parity  # noqa: E402

WHATS = {
    "threads": 10, "in cache": 5, "simd": 6, "opencl": 6, "mpi": 6, "cuda": 12,
    "overhead": 3, "first call": 1, "first compile": 1, "import": 1,
    "algorithms": 20, "on opencl": 17, "graphs": 22, "docking": 2, "hybrids": 14,
}  # fmt: skip


@pytest.mark.extra
def test_parity_has_every_row(tmp_path, capsys):
    saved = tmp_path / "parity.json"
    assert parity.main(["--quick", "--json", str(saved)]) == 0
    table = capsys.readouterr().out
    found = json.loads(saved.read_text())
    assert found["machine"]["cpu"] and found["versions"]["portapar"]
    counts = {group: sum(row["group"] == group for row in found["rows"]) for group in parity.GROUPS}
    assert counts == WHATS
    for row in found["rows"]:
        assert row["what"] in table
        assert (row["met"] is None) == bool(row["reason"])
        assert row["met"] is None or row["ratio"] > 0
    assert parity.main(["--load", str(saved), "--markdown"]) == 0
    assert (
        len([line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]) == len(found["rows"]) + 2
    )


def test_rows_are_judged():
    fast = parity.Row("g", "what", "opponent", 0.95, ours=1.0, theirs=1.1)
    assert fast.ratio == pytest.approx(1.1) and fast.met
    slow = parity.Row("g", "what", "opponent", 10.0, at_most=True, ours=1.1e-5, theirs=1e-6)
    assert slow.ratio == pytest.approx(11.0) and slow.met is False
    absent = parity.Row("g", "what", "opponent", 1.0, reason="no compiler")
    assert absent.met is None
    text = parity.plain([fast, slow, absent])
    assert "met" in text and "missed" in text and "not here: no compiler" in text


def test_wrong_results_end_it(monkeypatch, capsys):
    from portapar.algorithms.stream import Stream

    right = Stream.copy
    monkeypatch.setattr(Stream, "copy", lambda self: (right(self), self.c.__setitem__(0, 9.0))[0])
    assert parity.main(["--quick", "--only", "simd"]) == 1
    assert "copy" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--only", "("], ["--load", "/nowhere.json"]])
def test_bad_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        parity.main(["--quick", *arguments])
    assert ended.value.code == 2 and arguments[1] in capsys.readouterr().err


def test_asv_stream(monkeypatch):
    module = importlib.import_module("bench.benchmarks.bench_stream")
    monkeypatch.setattr(module.Stream, "n", 5000)
    monkeypatch.setattr(module.Stream, "ntimes", 2)
    one = module.Stream()
    found = one.setup_cache()
    for executor in one.params[0]:
        if (executor, "triad") in found:
            one.setup(found, executor, "triad")
            assert one.track_seconds(found, executor, "triad") > 0 and one.track_rate(found, executor, "triad") > 0
            assert not one.track_ratio(found, executor, "triad") < 0  # a number, or NaN where there is no compiler
        else:
            with pytest.raises(NotImplementedError):
                one.setup(found, executor, "triad")


@pytest.mark.extra
@pytest.mark.parametrize("name", ["compile.Calls", "sizes.Sizes", "cost.Choice", "cost.Prediction"])
def test_asv_measures_algorithms(name, monkeypatch):
    """Nothing fails on threads; the rows are those that asv will ask for."""
    module = importlib.import_module(f"bench.benchmarks.bench_{name.partition('.')[0]}")
    kind = getattr(module, name.partition(".")[2])
    monkeypatch.setattr(kind, "params", [["threads"], kind.params[1][:3], *(["10", "1000"] for _ in kind.params[2:])])
    monkeypatch.setattr(module, "EXECUTORS", ["threads"], raising=False)
    one = kind()
    found = one.setup_cache()
    assert set(found) >= set(itertools.product(*kind.params))
    for parameters, track in itertools.product(found, [name for name in dir(one) if name.startswith("track_")]):
        assert getattr(one, track)(found, *parameters) > 0


@pytest.mark.extra
def test_asv_kinds(monkeypatch):
    module = importlib.import_module("bench.benchmarks.bench_kinds")
    monkeypatch.setattr(module.Kinds, "params", [["threads"], ["1e4"], ["gas", "groups"]])
    one = module.Kinds()
    found = one.setup_cache()
    for loop in ("gas", "groups") if found else ():  # there may be no compiler
        assert min(track(found, "threads", "1e4", loop) for track in (one.track_seconds, one.track_ratio)) > 0


def test_a_failure_is_told_and_the_rest_goes_on():
    from bench.benchmarks import Beside

    class Two(Beside):
        pass

    found = {("threads", "a"): (2.0, 1.0), ("threads", "b"): "WrongResult: differs", ("threads", "c"): (2.0, 0.0)}
    one = Two()
    assert one.track_ratio(found, "threads", "a") == 2.0
    with pytest.raises(RuntimeError, match="differs"):
        one.track_seconds(found, "threads", "b")
    assert math.isnan(one.track_ratio(found, "threads", "c"))
    with pytest.raises(NotImplementedError):
        one.setup(found, "threads", "d")


@pytest.mark.extra
def test_asv_overhead():
    module = importlib.import_module("bench.benchmarks.bench_overhead")
    for policy in module.Call.params:
        module.Call().setup(policy)
    for algorithm in module.Small.params[0]:
        small = module.Small()
        small.setup(algorithm, 100)
        small.time_call(algorithm, 100)
    baseline = module.Baseline()
    baseline.setup()
    baseline.time_numpy_add()
    module.Import().time_import("numpy")
    assert module.Import().track_memory("numpy") > 1e6


@pytest.mark.extra
def test_asv_peers():
    module = importlib.import_module("bench.benchmarks.bench_peers")
    for case in module.cases(1e-5):
        assert algorithms.measure(case, pp.threads(2), 1).keys() == {"", "NumPy"}  # and both compute the same


OTHER_EXAMPLES = (("stream", ["20000"]), ("minibude", ["70"]))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("first_steps", []), *(pytest.param(*more, marks=pytest.mark.extra) for more in OTHER_EXAMPLES)],
)
def test_examples(name, arguments):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "threads" in done.stdout


@pytest.mark.rare
def test_two_executors_together():
    command = [sys.executable, "-m", "bench.cost", "--together", "--size", "0.02", "--seconds", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and ("n-body" in done.stdout or "not here" in done.stdout), done.stderr


@pytest.mark.rare
def test_example_of_imports(tmp_path):
    picture = tmp_path / "imports.png"
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "import_graph.py"), str(picture)], capture_output=True, text=True
    )
    assert done.returncode == 0 and " modules, " in done.stdout, done.stderr
    assert picture.stat().st_size > 0


@pytest.mark.rare
@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("galaxies", ["1000", "60"], "1000 stars, 60 steps"),
        ("heat_on_a_mesh", ["500"], "in every run: True"),
        ("roads", ["60"], "3600 of 3600 crossings are reached"),
    ],
)
def test_examples_of_irregular_work(name, arguments, told, tmp_path):
    script, picture = ROOT / "examples" / f"{name}.py", tmp_path / "picture.png"
    done = subprocess.run([sys.executable, str(script), str(picture), *arguments], capture_output=True, text=True)
    assert done.returncode == 0 and told in done.stdout, done.stderr
    assert picture.stat().st_size > 0


@pytest.mark.extra
def test_graph_kernels_on_several_parts():
    ((kernel, taken),) = graphs.on_parts(6, 1, ("cc",))
    assert kernel == "cc" and list(taken) == ["threads", "hybrid:simd+opencl:0", "2 ranks"]
    assert all(seconds > 0 for seconds in taken.values())
