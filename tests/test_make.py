"""The Makefile: setting up says what is needed and no more; the tests are cut in two without a rest."""

import os
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

if shutil.which("make") is None:
    pytest.skip("there is no make", allow_module_level=True)


def make(*arguments, **variables):
    """(exit status, output) of make."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    words = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", *arguments, *words], env=environment, timeout=600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture
def interpreter(tmp_path):
    """A Python whose environments install nothing: pip warns, and ends as it is told."""

    def install(status):
        pip = f"#!/bin/sh\necho 'WARNING: Location is ignored' >&2\necho 'ERROR: no such package' >&2\nexit {status}\n"
        file = tmp_path / "python"
        file.write_text(
            textwrap.dedent(f"""\
            #!/bin/sh
            [ "$2" = venv ] || exit 0
            mkdir -p "$3/bin"
            cp "{tmp_path}/pip" "$3/bin/python"
            """)
        )
        (tmp_path / "pip").write_text(pip)
        for script in (file, tmp_path / "pip"):
            script.chmod(0o755)
        return file

    return install


def test_pip_is_quiet_when_all_is_well(interpreter, tmp_path):
    ready = tmp_path / "venv" / ".ready"
    status, output = make(str(ready), PYTHON=interpreter(0), VENV=tmp_path / "venv")
    assert status == 0 and ready.exists()
    assert len(output.splitlines()) == 1 and "installing" in output


def test_a_failing_install_says_why(interpreter, tmp_path):
    ready = tmp_path / "venv" / ".ready"
    status, output = make(str(ready), PYTHON=interpreter(1), VENV=tmp_path / "venv")
    assert status != 0 and not ready.exists()
    assert "ERROR: no such package" in output and "WARNING: Location is ignored" in output


def test_every_test_runs_once_in_ci():
    """`make test test-all`, which .ci/run calls, runs pytest twice, with opposite choices."""
    assert "make test test-all" in (ROOT / ".ci" / "run").read_text()
    status, output = make("--dry-run", "test", "test-all", READY="README.md")
    chosen = [line.partition(" -m ")[2].partition(" -m ")[2] for line in output.splitlines() if "pytest" in line]
    assert status == 0 and chosen == ['"not extra"', "extra"], output


@pytest.mark.parametrize(
    ("given", "flags"),
    [({}, []), ({"QUICK": 1}, ["--quick"]), ({"QUICK": 0, "SERVE": 0}, ["--no-serve"]), ({"SERVE": 1}, [])],
)
def test_the_dashboards_switches(given, flags):
    status, output = make("--dry-run", "dashboard", READY="README.md", **given)
    assert status == 0 and output.split()[-1 - len(flags) :] == ["bench.dashboard", *flags]


def test_perf_check_asks_for_the_commit():
    status, output = make("--dry-run", "perf-check", READY="README.md", BASE="v1")
    assert status == 0 and output.split()[-2:] == ["bench.perf_check", "v1"]
