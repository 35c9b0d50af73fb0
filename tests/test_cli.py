"""The command line: what it prints and saves, and how it ends."""

import functools
import json
import os
import subprocess
import sys

import pytest

from portapar import bandwidth, cli, launcher, rates, validate
from portapar.algorithms.stream import KERNELS, Stream


def run(capsys, *arguments):
    code = cli.main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def mpi_missing():
    import portapar as pp

    found = [info for info in pp.available() if info.name == "mpi"]
    if not found or not found[0].available:
        return "no MPI"
    return "" if launcher.mpirun() else "no mpirun"


def test_stream_prints_and_saves(capsys, tmp_path):
    saved = tmp_path / "s.json"
    code, out, err = run(
        capsys, "stream", "--executor", "threads:2", "--executor", "simd", "--size", "20k", "--ntimes", "3",
        "--dtype", "float32", "--native", "--json", str(saved),
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert all(len(line) <= 80 for line in out.splitlines() if "─" in line or " kernel" in line)
    assert "All results are right" in out
    found = json.loads(saved.read_text())
    assert found["machine"]["cores"] >= 1 and "numba" in found["versions"] and found["ntimes"] == 3
    assert [row["name"] for row in found["executors"]] == ["threads:2", "simd"]
    for row in found["executors"]:
        assert (row["size"], row["dtype"]) == (20_000, "float32")
        assert list(row["kernels"]) == list(KERNELS)
        assert all(len(k["seconds"]) == 3 and k["best"] >= k["median"] > 0 for k in row["kernels"].values())
        assert [check["ok"] for check in row["checks"]] == [True] * len(KERNELS)
        assert row["native"] or found["native_missing"]
        for native in row["native"].values():
            assert list(native["kernels"]) == list(KERNELS) and native["command"]


def test_a_chart(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    chart = tmp_path / "s.png"
    code, out, _ = run(
        capsys, "stream", "--executor", "simd", "--size", "1000", "--ntimes", "2", "--native", "--plot", str(chart)
    )
    assert code == 0 and f"chart: {chart}" in out
    assert chart.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def few_cases(monkeypatch):
    """Of predictions and measurements, on simd alone."""
    monkeypatch.setattr(rates, "_known", [rates.Profile({"simd": rates.built_in("simd", 1)})])
    monkeypatch.setattr(validate, "_BUDGET", 1e-3)
    some = {name: validate.CASES[name] for name in ("polynomial-8", "reduce", "spmv")}
    monkeypatch.setattr(validate, "CASES", some)
    return some


def test_a_roofline(capsys, tmp_path, few_cases):
    pytest.importorskip("matplotlib")
    chart = tmp_path / "roof.png"
    code, out, _ = run(capsys, "roofline", "--plot", str(chart), "--size", "1e3,1e4")
    rows = [line.split() for line in out.splitlines()[:-1]]
    assert code == 0 and f"chart: {chart}" in out and chart.read_bytes().startswith(b"\x89PNG")
    assert [row[:3] for row in rows] == [["simd", name, n] for name in few_cases for n in ("1000", "10000")]
    assert all(float(row[3]) > 0 for row in rows)


def test_predictions_beside_measurements(capsys, monkeypatch, few_cases):
    """Rows are what was predicted and measured, rounded, with the error between; the last line sums them up."""
    made, cases = [], functools.partial(validate.cases, sizes=(100, 10_000))
    monkeypatch.setattr(validate, "cases", lambda **options: (made.append(case) or case for case in cases(**options)))
    code, out, _ = run(capsys, "tune", "--validate")
    rows = [line.split() for line in out.splitlines() if line.split()[0] in few_cases]
    assert code == 0 and {row[0] for row in rows} == set(few_cases) and len(rows) == 6
    for row, case in zip(rows, made, strict=True):
        predicted, measured, error = float(row[3]), float(row[5]), float(row[7])
        assert (predicted, measured) == pytest.approx((1e6 * case.predicted, 1e6 * case.measured), rel=1e-4)
        larger, smaller = max(case.predicted, case.measured), min(case.predicted, case.measured)
        assert error == pytest.approx(100 * (larger / smaller - 1), abs=0.6)
    assert out.splitlines()[-1].startswith("simd: median error") and f"{len(rows)} cases" in out


def test_a_failed_check_shows_in_the_exit_code(capsys, monkeypatch):
    right = Stream.scale

    def corrupted(self):
        right(self)
        self.b[5] = 0.5

    monkeypatch.setattr(Stream, "scale", corrupted)
    code, out, _ = run(capsys, "stream", "--executor", "simd", "--size", "1000", "--ntimes", "2")
    assert code == 1
    assert "CHECK FAILED: simd, scale: expected 0.0" in out and "found 0.5" in out
    assert "All results are right" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--executor", "gpu"], ["no executor 'gpu'", "known are"]),
        (["--executor", "threads:0"], ["must be a whole number from 1"]),
        (["--size", "many"], ["'many'", "80M"]),
        (["--size", "0"], ["'0'", "80M"]),
        (["--size", "900G"], ["need", "GB are free", "smaller --size"]),
        (["--ntimes", "1"], ["'1'", "at least 2"]),
        (["--dtype", "int8"], ["int8", "float64"]),
        (["--json", "nowhere/s.json"], ["nowhere", "no folder"]),
        (["--json", "."], ["is a folder"]),
        (["--plot", "s.doc"], ["must end with .png"]),
        (["--unknown"], ["--unknown", "--help"]),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(capsys, arguments, words):
    code, out, err = run(capsys, "stream", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("portapar: error: ") and err.count("\n") == 1
    assert all(word in err for word in words), err


def test_a_chart_without_matplotlib(capsys, monkeypatch):
    util = bandwidth.importlib.util
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    code, _, err = run(capsys, "stream", "--plot", "s.png")
    assert code == 2 and "pip install 'portapar[plot]'" in err


def test_without_the_source_tree_it_says_so_and_goes_on(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(cli.pp, "__file__", str(tmp_path / "portapar" / "__init__.py"))
    code, out, _ = run(capsys, "stream", "--executor", "simd", "--size", "1000", "--ntimes", "2", "--native")
    assert code == 0
    assert "--native: the native codes are in bench/native of the source tree" in out and "simd" in out


def test_by_default_every_executor_is_shown(monkeypatch):
    options = cli._parser().parse_args(["stream"])
    names, missing = bandwidth.executors(options, False, {"cuda": "no driver. Install it"})
    assert names[:2] == ["threads", "simd"] and "cuda" in missing
    if not mpi_missing():
        assert names[-1] == "mpi"
    monkeypatch.setattr(launcher, "mpirun", lambda: None)
    names, missing = bandwidth.executors(options, False, {})
    assert "mpi" not in names and ("mpi" not in missing or "no mpirun" in missing["mpi"])


def test_info(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0 and "Executors:" in out and "  threads " in out and "memory:" in out
    code, out, _ = run(capsys, "info", "--json")
    found = json.loads(out)
    assert code == 0
    for one in found["executors"]:
        assert one["available"] or (one["reason"] and one["remedy"])
    assert {"threads", "simd"} <= {one["name"] for one in found["executors"] if one["available"]}


def test_as_a_module_and_without_a_command():
    done = subprocess.run([sys.executable, "-m", "portapar"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("portapar: error:") and "Traceback" not in done.stderr
    done = subprocess.run([sys.executable, "-m", "portapar", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("portapar ")


@pytest.mark.skipif(bool(mpi_missing()), reason=mpi_missing())
class TestRanks:
    def job(self, *arguments, **environment):
        env = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **environment}
        command = [launcher.mpirun(), "-n", "2", sys.executable, "-m", "portapar", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)

    @pytest.mark.extra
    def test_under_mpirun_rank_0_speaks(self, tmp_path):
        saved = tmp_path / "ranks.json"
        done = self.job("stream", "--size", "50k", "--ntimes", "2", "--json", str(saved))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("triad") == 1 and "2 ranks" in done.stdout and "\x1b" not in done.stdout
        (row,) = json.loads(saved.read_text())["executors"]
        assert row["name"] == "mpi" and row["size"] == 50_000 and "2 ranks" in row["description"]

    @pytest.mark.extra
    def test_graph_kernels_on_all_ranks(self, tmp_path):
        saved = tmp_path / "ranks.json"
        done = self.job("graph", "bfs", "-g", "9", "-n", "2", "--verify", "--json", str(saved))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("512 vertices") == 1 and "on pp.mpi()" in done.stdout
        assert done.stdout.count("Trial Time:") == len(json.loads(saved.read_text())["seconds"]) == 2
        done = self.job("graph", "tc", "-g", "5", "-n", "1")
        assert done.returncode == 1 and "runs on one device, and the graph is partitioned" in done.stderr

    def test_wrong_input_is_told_once(self):
        done = self.job("stream", "--executor", "threads")
        assert done.returncode == 2
        assert done.stderr.count("under mpirun only mpi") == 1 and "Traceback" not in done.stderr

    @pytest.mark.extra
    def test_one_failing_rank_ends_all(self, tmp_path):
        (tmp_path / "sitecustomize.py").write_text(
            "import os\nif os.environ.get('PMIX_RANK', os.environ.get('PMI_RANK')) == '1':\n"
            "    import portapar.algorithms.stream as s\n"
            "    def fail(self): raise RuntimeError('rank 1 is ill')\n"
            "    s.Stream.add = fail\n"
        )
        done = self.job("stream", "--size", "50k", "--ntimes", "2", PYTHONPATH=str(tmp_path))
        assert done.returncode != 0 and "rank 1 is ill" in done.stderr

    @pytest.mark.extra
    def test_a_process_that_is_no_rank_starts_a_job(self, capsys):
        code, out, _ = run(capsys, "stream", "--executor", "mpi", "--size", "50k", "--ntimes", "2")
        assert code == 0 and "ranks, each" in out


@pytest.mark.parametrize("kernel", ["bfs", "sssp", "pr", "tc", "bc", "cc"])
def test_graph_kernels_by_trials(capsys, tmp_path, kernel):
    saved = tmp_path / "g.json"
    code, out, err = run(capsys, "graph", kernel, "-g", "7", "-n", "3", "--verify", "--json", str(saved))
    assert (code, err) == (0, "") and "128 vertices" in out
    seconds = json.loads(saved.read_text())["seconds"]
    assert len(seconds) == out.count("Trial Time:") == 3 and all(t > 0 for t in seconds)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["bfs"], 2, ["-g", "required"]),
        (["walk", "-g", "7"], 2, ["'walk'", "'bfs'"]),
        (["bfs", "-g", "7", "-u", "7"], 2, ["not allowed with"]),
        (["bfs", "-f", "nowhere.el"], 2, ["nowhere.el", "No such file"]),
        (["bfs", "-g", "77"], 1, ["scale is 77"]),
        (["bfs", "-g", "7", "-n", "0"], 2, ["'0'"]),
        (["tc", "-f", "{}"], 1, ["is directed"]),
    ],
)
def test_wrong_input_to_graph(capsys, tmp_path, arguments, code, words):
    (tmp_path / "g.el").write_text("0 1\n")
    found, _, err = run(capsys, "graph", *(text.format(tmp_path / "g.el") for text in arguments))
    assert found == code and err.count("\n") == 1 and all(word in err for word in words), err


def test_a_wrong_result_of_a_graph_kernel_is_told(capsys, monkeypatch):
    import portapar as pp
    from portapar import trials

    wrong = lambda policy, g: pp.graph.triangle_count(policy, g) + 1
    monkeypatch.setitem(trials.KERNELS, "tc", (wrong, False, pp.graph.verify_triangles))
    code, out, _ = run(capsys, "graph", "tc", "-u", "6", "--verify")
    assert code == 1 and "WRONG:" in out


def test_cache_tells_what_it_holds_and_clears_it(capsys, monkeypatch, tmp_path):
    from portapar import cache

    monkeypatch.setenv("PORTAPAR_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("PORTAPAR_CACHE_SIZE", "3M")
    cache.store("name", bytes(1 << 20))
    assert cache.load("name") and cache.load("another") is None
    code, out, err = run(capsys, "cache")
    assert (code, err) == (0, "")
    assert str(tmp_path / "kept") in out and "1 file, 1.0 MiB; at most 3 MiB" in out and "1 hits and 1 misses" in out
    code, out, _ = run(capsys, "cache", "--clear")
    assert code == 0 and "removed 1 file, 1.0 MiB" in out and cache.load("name") is None
    cache.clear()
    assert "0 files, 0.0 MiB" in run(capsys, "cache")[1] and "0 hits and 0 misses" in run(capsys, "cache")[1]
    monkeypatch.setenv("PORTAPAR_CACHE_SIZE", "0")
    code, out, _ = run(capsys, "cache")
    assert code == 0 and "nothing is kept" in out


@pytest.mark.parametrize(("name", "value"), [("PORTAPAR_NUM_THREADS", "abc"), ("PORTAPAR_CACHE_SIZE", "much")])
def test_bad_settings_are_one_line(capsys, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    code, out, err = run(capsys, "info" if name.endswith("THREADS") else "cache")
    assert code == 1 and not out and len(err.splitlines()) == 1
    assert err.startswith(f"portapar: error: {name}={value!r}")
