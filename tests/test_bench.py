"""The measurements run, at tiny sizes: their numbers mean nothing here."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from bench import parity  # noqa: E402

WHATS = {
    "threads": 10, "in cache": 5, "simd": 6, "opencl": 6, "mpi": 6, "cuda": 12,
    "overhead": 2, "first call": 1, "first compile": 1, "import": 1,
    "algorithms": 20, "on opencl": 17,
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
    for kind, track in ((module.Stream, "track_seconds"), (module.Ratio, "track_ratio")):
        monkeypatch.setattr(kind, "n", 5000)
        monkeypatch.setattr(kind, "ntimes", 2)
        one = kind()
        found = one.setup_cache()
        for executor in kind.params[0]:
            if executor in found:
                one.setup(found, executor, "triad")
                assert getattr(one, track)(found, executor, "triad") > 0
            else:
                with pytest.raises(NotImplementedError):
                    one.setup(found, executor, "triad")


def test_asv_overhead():
    module = importlib.import_module("bench.benchmarks.bench_overhead")
    for policy in module.Call.params:
        module.Call().setup(policy)
    baseline = module.Baseline()
    baseline.setup()
    baseline.time_numpy_add()
    module.Import().time_import("numpy")


@pytest.mark.parametrize(("name", "arguments"), [("first_steps", []), ("stream", ["20000"])])
def test_examples(name, arguments):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "threads" in done.stdout
