"""What all tests share: the executors of this machine, and a cache folder of their own.

A test that takes `where` runs on every executor that there is, one that takes `device` on those of one part, one that
takes `renderer` on one executor for each way of making native code (its subject is the code, not how the work is cut).
What the machine lacks is skipped with the reason.

`make test` leaves out what is marked ``extra``: by hand, because of its executor (`EXTRA`), or as one of a test's
many cases, of which it runs the first on each renderer, the last on other executors, and both where there is none.
Tests take turns there (`TURNS`): one runs on CPUs, the next one on OpenCL, or a GPU, every fifth one on a hybrid, of
two parts of the CPU or of both in turn; `make test-all` runs them on the others.
`make test-all` adds up to `MOST` others on each renderer, and the first on one thread, on three or on two parts of the
CPU, in turn, but none that is ``rare``.
Without ``-m``, as in ``pytest tests/test_sort.py``, all cases run. CUDA texts that `make test` meets are compiled by
`make test-all`.
"""

import contextlib
import functools
import gc
import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXECUTORS = (
    "threads:1",
    "threads:2",
    "threads:3",
    "simd",
    "opencl:0",
    "cuda:0",
    "hybrid:threads:2+simd",
    "hybrid:threads:2+opencl:0",
    "hybrid:threads:2+cuda:0",
)
#: run the code of others, cut in other ways; `make test-all` takes one of them for each test, in turn
EXTRA = {"threads:1", "threads:3", "hybrid:threads:2+simd"}
CPUS, DEVICES = {"threads:2", "simd"}, {"opencl:0", "cuda:0"}
HYBRIDS = {"hybrid:threads:2+simd"}, {f"hybrid:threads:2+{name}" for name in DEVICES}  # these compile for both
TURNS = tuple(turn for hybrid in HYBRIDS for turn in (CPUS, DEVICES, CPUS, DEVICES, hybrid))
SLOWEST = (
    "mpi", "sort", "graph", "irregular", "networkx", "few", "axes", "numbers", "looks", "lengths", "graph_more",
    "processes", "monoids", "lazy", "crender", "batched", "by_key", "primitives", "remedies", "cache", "pareval",
)  # fmt: skip
RENDERERS = ("threads:2", "opencl:0", "cuda:0")
MOST = 1  #: cases of a test on one executor that `make test-all` runs, besides the one of `make test`


def pytest_configure(config):
    config.addinivalue_line("markers", "extra: left out by `make test`, run by `make test-all`")
    config.addinivalue_line("markers", "rare: left out by both, run by `pytest`")
    for name in ("PORTAPAR_EXECUTOR", "PORTAPAR_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = False  # tests start many processes, and each would compile all modules anew
    os.environ["PORTAPAR_CACHE_DIR"] = str(_cache_folder(config.rootpath / ".pytest_cache" / "d" / "portapar"))
    gc.set_threshold(400_000, 10, 10)  # compilers make many objects that stay: to look through them again is in vain


def pytest_collection_modifyitems(config, items):
    """Mark what is extra. The files that take longest come first: workers take whole files, and should end together."""
    cases, takers = {}, {}
    for item in items:
        values = item.callspec.params.values() if hasattr(item, "callspec") else ()
        where = {value for value in values if isinstance(value, str) and value in EXECUTORS}
        if where and {"where", "device", "renderer"}.intersection(item.fixturenames):
            takers.setdefault(item.path, {}).setdefault(item.originalname, set()).update(where)
        if where & EXTRA or item.get_closest_marker("extra") is None:
            cases.setdefault((item.path, item.originalname, *where), []).append(item)
    turns = _turns(takers)
    left_out = {item for item in items if item.get_closest_marker("rare")}
    for (path, name, *where), same in cases.items():
        rare, turn = not set(where) <= set(RENDERERS), turns.get((path, name), set())
        soon, extra = same[-1:] if rare else same[:1] if where else same[:1] + same[1:][-1:], EXTRA - turn
        soon = [] if extra.intersection(where) else soon
        later = [item for item in same if item not in soon]
        waits = where and turn and turn.isdisjoint(where)
        for item in same if waits else later:
            item.add_marker(pytest.mark.extra)
        if where:
            others = sorted(extra & takers.get(path, {}).get(name, set()))
            if others and extra.intersection(where) and others[zlib.crc32(name.encode()) % len(others)] not in where:
                later = []
                left_out.update(same)
            wanted = later[: not soon] if rare else later[:: max(1, -(-len(later) // MOST))]
            left_out.update(item for item in later if item not in wanted)
    if config.option.markexpr:  # whoever asks for tests by their names gets them
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]
    rank = {f"test_{name}.py": place for place, name in enumerate(SLOWEST, -len(SLOWEST))}
    items.sort(key=lambda item: rank.get(item.path.name, 0))


def _turns(takers):
    """(file, test) → the executors on which `make test` runs it; nothing where there are CPUs alone."""
    if {"opencl:0", "cuda:0"} <= missing().keys():
        return {}
    found = {}
    for path, tests in takers.items():
        for turn, (name, where) in enumerate(tests.items(), zlib.crc32(path.name.encode())):  # files begin with any
            groups = [group for group in TURNS if group & where]
            found[path, name] = groups[turn % len(groups)]
    return found


def _cache_folder(home):
    """A folder for what this state of the sources compiles to: a second run is fast and never stale."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted((ROOT / "portapar" / "kernel").rglob("*.py")):
        digest.update(file.read_bytes())
    folder = home / digest.hexdigest()
    home.mkdir(parents=True, exist_ok=True)
    for other in home.iterdir():
        if other != folder and time.time() - other.stat().st_mtime > 86400:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    return folder


@functools.cache
def missing():
    """Name of each device that is not here → why."""
    import portapar as pp

    found = {info.name: info for info in pp.available()}
    why = {}
    for name in ("opencl:0", "cuda:0"):
        info = found.get(name) or found.get(name.split(":")[0])
        if info is None or not info.available:
            why[name] = "no such backend" if info is None else f"{info.reason}. {info.remedy}"
    return why


def executor(name):
    """The executor of this name; skips the test where this machine lacks it."""
    import portapar as pp

    for device, why in missing().items():
        if device in name.removeprefix("hybrid:").split("+"):
            pytest.skip(f"{device}: {why}")
    found = pp.executor(name)
    if name.startswith("hybrid:"):  # always cut, and alike
        found = pp.hybrid(*found.members, weights=[1] * len(found.members))
    found.worth = 0.0  # small calls are cut too: it is what they test
    return found


def cuda_words(text):
    """A HIP text with the words of CUDA; the two languages differ in nothing else that kernels use."""
    from portapar.kernel.c.dialect import CUDA, HIP

    assert text.startswith(HIP.preamble) and "_sync(" not in text
    text = CUDA.preamble + text.removeprefix(HIP.preamble)
    for theirs, ours in zip(HIP.shuffle, CUDA.shuffle, strict=True):
        text = text.replace(theirs, ours)
    return text


@pytest.fixture(scope="session", autouse=True)
def cuda_texts(request):
    """Without a GPU, compile the CUDA text of every program that runs on OpenCL, beside the tests: for sm_90 to PTX.

    `make test` leaves the texts in a folder, from where the tests that are extra take them. There it is noted, too,
    which texts are right: they do not change as long as the folder is the same.
    """
    import portapar.backends.cuda.compile as cuda
    from portapar.errors import BackendUnavailableError, PortaparError
    from portapar.kernel.c.dialect import CUDA, HIP
    from portapar.kernel.c.program import c_text

    try:
        cuda.nvrtc()
    except BackendUnavailableError:  # test_cuda_text_compiles is skipped for it, and says so
        yield
        return
    if "cuda:0" not in missing() or "opencl:0" in missing():
        yield
        return
    from crender import quickly

    from portapar.backends.opencl.device import OpenCLDevice

    compiling, compile_opencl = {}, OpenCLDevice._compile
    marks, typed = request.config.option.markexpr, version("numba")  # texts depend on how programs are typed
    left = Path(f"{os.environ['PORTAPAR_CACHE_DIR']}-cuda-{typed}")
    left.mkdir(exist_ok=True)

    def compile_both(device, program, text):
        known = [left / f"{program.key}{end}" for end in ((".right", ".cu") if marks == "not extra" else (".right",))]
        if program.key not in compiling and not any(file.exists() for file in known):
            test, other = os.environ.get("PYTEST_CURRENT_TEST"), c_text(program, CUDA)
            assert cuda_words(c_text(program, HIP)) == other  # there is no compiler for HIP here
            compiling[program.key] = (test, runner.submit(finish, program.key, test, other))
        return compile_opencl(device, program, text)

    def finish(key, test, text):
        if marks == "not extra":
            (left / f"{key}.cu").write_text(f"// {test}\n{text}")
        else:
            quickly(text)
            (left / f"{key}.right").touch()

    with ThreadPoolExecutor(1) as runner, pytest.MonkeyPatch.context() as patch:
        for file in left.glob("*.cu") if marks == "extra" else ():
            with contextlib.suppress(FileNotFoundError):  # another worker took it
                taken = file.rename(file.with_suffix(".taken"))
                text = taken.read_text()
                taken.unlink()
                test = text.partition("\n")[0]
                compiling[file.stem] = (test, runner.submit(finish, file.stem, test, text))
        patch.setattr(OpenCLDevice, "_compile", compile_both)
        yield
    failures = [f"{test}: {job.exception()}" for test, job in compiling.values() if job.exception()]
    if failures:
        raise PortaparError(f"{len(failures)} of {len(compiling)} CUDA texts do not compile:\n" + "\n".join(failures))


@pytest.fixture(params=EXECUTORS)
def where(request):
    """Every executor of this machine, one after the other."""
    return executor(request.param)


@pytest.fixture(params=[name for name in EXECUTORS if not name.startswith("hybrid:")])
def device(request):
    """Every executor of one part."""
    return executor(request.param)


@pytest.fixture
def policy(where):
    """`pp.par` on every executor of this machine."""
    import portapar as pp

    return pp.par.on(where)


@pytest.fixture(params=RENDERERS)
def renderer(request):
    """`pp.par` on one executor for each way of making native code."""
    import portapar as pp

    return pp.par.on(executor(request.param))


@pytest.fixture
def newer():
    """The garbage collector sees only what the test makes: to look through all that others left takes seconds."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def python(tmp_path):
    """Run a script in a fresh Python; returns what it printed.

    ``python(text, *arguments, expect=0, **environment)``; a second process of one test shares the cache.
    """

    def run(text, *arguments, expect=0, timeout=600, **environment):
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, str(script), *map(str, arguments)],
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=timeout, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        run.stderr = done.stderr
        return done.stdout

    return run


@pytest.fixture
def module(tmp_path):
    """Import a module from text: ``module("def body(i, a): ...")``."""
    import importlib.util

    count = [0]

    def load(text, name=None):
        count[0] += 1
        name = name or f"made_{count[0]}"
        file = tmp_path / f"{name}.py"
        file.write_text(textwrap.dedent(text))
        spec = importlib.util.spec_from_file_location(name, file)
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made

    return load


@pytest.fixture(scope="module")
def queue():
    """A queue of an OpenCL CPU device, for text that is run without an executor."""
    cl = pytest.importorskip("pyopencl", reason="no pyopencl: OpenCL text cannot be run")
    from portapar.backends import opencl

    try:
        devices = [d for d in opencl.devices() if d.type & cl.device_type.CPU]
    except (cl.LogicError, RuntimeError):
        devices = []
    if not devices:
        pytest.skip("no OpenCL CPU device: install pyopencl[pocl]")
    return cl.CommandQueue(cl.Context(devices[:1]))
