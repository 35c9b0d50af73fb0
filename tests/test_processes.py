"""Every algorithm on executors of one part; tasks, forks and interrupts."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import executor
from every import EVERY, same

import portapar as pp

SINGLE = ("hybrid:simd", "hybrid:threads:2", "hybrid:opencl:0", "hybrid:cuda:0")
#: each algorithm on one of them in CI, in turn, and on GPUs where there are such
ONE_PART = [
    pytest.param(there, name, marks=[pytest.mark.rare] * ("cuda" not in there and (k + turn) % 3 > 0))
    for turn, there in enumerate(SINGLE)
    for k, name in enumerate(EVERY)
]


@pytest.mark.parametrize(("there", "name"), ONE_PART)
def test_every_algorithm_on_one_part(there, name):
    """On what lives there, on NumPy arrays, and where both meet."""
    call, expected = EVERY[name]
    single = executor(there)
    policy = pp.par.on(single)
    assert same(call(policy, single.asarray), expected)
    assert same(call(policy, single.asarray), expected)
    assert same(call(policy, np.copy), expected)


# tasks --------------------------------------------------------------------------------------------

X = np.arange(100_000.0)
TASKS = ("pp.threads(2)", "pp.simd()", "pp.hybrid(pp.threads(2), pp.simd())", "pp.opencl()")


@pytest.fixture(params=TASKS)
def tasks(request):
    from conftest import executor

    if "opencl" in request.param:
        executor("opencl:0")
    return eval(request.param)


def test_a_function_that_follows_may_wait(tasks):
    task, total = pp.par.on(tasks).task, X.sum()
    for follow in (
        lambda s: tasks.synchronize() or s,
        lambda s: pp.reduce(task, X).result(),
        lambda s: pp.reduce(task, X).then(lambda t: tasks.synchronize() or t).result(),
        lambda s: pp.reduce(task, X).then(lambda t: pp.reduce(task, X).then(lambda u: u).result()).result(),
        lambda s: pp.reduce(pp.par.on(tasks), X),
        lambda s: [f.result() for f in [pp.reduce(task, X) for _ in range(5)]][-1],
    ):
        assert pp.reduce(task, X).then(follow).result(600) == total
        first, second = pp.reduce(task, X), pp.reduce(task, X)
        assert first.then(lambda s: follow(s) + second.result()).result(600) == 2 * total  # noqa: B023


def test_functions_that_follow_each_other_at_any_depth(tasks):
    task = pp.par.on(tasks).task

    def deeper(depth):
        if depth == 0:
            return pp.reduce(task, X).result()
        return pp.reduce(task, X).then(lambda s: s + deeper(depth - 1)).result()

    assert deeper(12) == 13 * X.sum()
    chain = pp.reduce(task, X)
    for _ in range(30):
        chain = chain.then(lambda s: s + pp.reduce(task, X).result())
    assert chain.result(600) == 31 * X.sum()


def test_errors_of_functions_that_follow(tasks):
    task = pp.par.on(tasks).task

    def fails(s):
        pp.reduce(task, X).result()
        raise RuntimeError(f"no {s:.0f}")

    after = pp.reduce(task, X).then(fails)
    last = after.then(lambda s: s + 1)
    for future in (after, last):
        with pytest.raises(RuntimeError, match="no 4999950000"):
            future.result(600)
    assert pp.reduce(task, X).then(lambda s: 1).result(600) == 1
    wrong = pp.reduce(task, np.zeros(0), op=lambda a, b: a + b).then(lambda s: s)
    with pytest.raises(pp.PortaparError, match="nothing to reduce"):
        wrong.result(600)


def test_synchronize_waits_for_what_follows(tasks):
    task, seen = pp.par.on(tasks).task, []
    slow = threading.Event()
    for k in range(5):
        pp.reduce(task, X).then(lambda s, k=k: (slow.wait(0.02), seen.append(k)))
    tasks.synchronize()
    assert sorted(seen) == list(range(5))


def test_tasks_of_several_threads_that_wait_for_each_other():
    many = [pp.threads(2), pp.simd(), pp.threads(3)]

    def work(k):
        mine, other = (pp.par.on(many[j % 3]).task for j in (k, k + 1))
        return pp.reduce(mine, X).then(lambda s: s + pp.reduce(other, X).then(
            lambda t: t + pp.reduce(mine, X).result()).result()).result(600)  # fmt: skip

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(18))) == [3 * X.sum()] * 18


def test_closed_in_a_function_that_follows():
    for make in (lambda: pp.threads(2), lambda: pp.hybrid(pp.threads(3), pp.simd())):
        where = make()
        done = pp.reduce(pp.par.on(where).task, X).then(lambda s: where.close() or s)  # noqa: B023
        assert done.result(600) == X.sum()
        with pytest.raises(pp.BackendUnavailableError, match="closed"):
            pp.reduce(pp.par.on(where).task, X).result(600)


def test_await_in_a_function_that_follows(tasks):
    import asyncio

    task = pp.par.on(tasks).task

    async def both(s):
        return s + await pp.reduce(task, X)

    assert pp.reduce(task, X).then(lambda s: asyncio.run(both(s))).result(600) == 2 * X.sum()


# leaks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [True, False])
def test_hybrids_go(newer, closed):
    x, alive = np.arange(5000.0), []
    for _ in range(20):
        where = pp.hybrid(pp.threads(6), pp.simd())  # equal ones are the same: no other test may hold one
        policy = pp.par.on(where)
        alive.append(weakref.ref(where))
        y = where.asarray(x)
        pp.sort(policy, y)
        pp.inclusive_scan(policy.with_(schedule="dynamic"), x)
        pp.stencil(policy, x, lambda x, i: x[i - 1])
        plan = pp.plan(pp.transform, policy, y, op=lambda v: v + 1)
        plan.run()
        assert pp.reduce(policy.task, x).then(lambda s: s).result() == x.sum()
        with pp.using(policy):
            pp.reduce(None, x)
        if closed:
            where.close()
        del where, policy, y, plan
    gc.collect()
    assert [ref() for ref in alive] == [None] * 20


def test_closed_devices_go(newer):
    for make in (lambda: pp.threads(5), lambda: pp.hybrid(pp.threads(5), pp.simd()).members[0]):
        where = make()
        x, policy = np.arange(50_000.0), pp.par.on(where)
        for _ in range(2):
            pp.transform(policy, x, op=lambda v: v + 1)
            pp.reduce(policy.task, x).result()
        ref = weakref.ref(where)
        where.close()
        del where, policy
        gc.collect()
        assert ref() is None


# forks --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("compiler", ["portapar", pytest.param("numba", marks=pytest.mark.extra)])
def test_fork_while_a_thread_compiles(python, compiler):
    """Children compile, run and fork again, whatever lock a thread of their parent held."""
    out = python("""
        import os, signal, sys, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import numpy as np, numba, portapar as pp

        x, stop, made = np.arange(3000.0), threading.Event(), []

        def compile_always():
            k = 0
            while not stop.is_set():
                k += 1
                space = {}
                text = f"def kernel(v):\\n    return v * {k} + v ** {k % 7 + 2}\\n"
                import linecache
                linecache.cache[f"<k{k}>"] = (len(text), None, text.splitlines(True), f"<k{k}>")
                exec(compile(text, f"<k{k}>", "exec"), space)
                if sys.argv[1] == "numba":
                    numba.njit(space["kernel"])(2.0)
                else:
                    pp.transform(pp.par, x, op=space["kernel"])
                made.append(k)

        def work(k):
            assert pp.reduce(pp.par, x) == x.sum()
            assert (pp.transform(pp.par.on(pp.threads(2)), x, op=lambda v: v - k) == x - k).all()
            assert pp.transform_reduce(pp.par.task, x, transform=lambda v: v * k).result() == (x * k).sum()
            assert plan.run() == x.sum()

        plan = pp.plan(pp.reduce, pp.par, x)
        work(1)
        thread = threading.Thread(target=compile_always, daemon=True)
        thread.start()
        while len(made) < 2:
            time.sleep(0.01)
        for k in range(12):
            child = os.fork()
            if child == 0:
                signal.alarm(600)
                work(k)
                os._exit(0)
            time.sleep(0.013 * (k % 4))
            assert os.waitpid(child, 0)[1] == 0, k
        stop.set()
        thread.join()
        work(3)
        print("done", len(made) > 3)
    """, compiler, timeout=800)  # fmt: skip
    assert out.split() == ["done", "True"]


@pytest.mark.extra
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork_while_a_thread_runs(python):
    """Long runs do not hold up forks; the child runs plans that its parent's threads were running."""
    out = python("""
        import os, signal, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import numpy as np, portapar as pp, portapar.forks

        def spin(i, n, y):
            s = 0.0
            for k in range(n[0]):
                s = s * 0.5 + i
            y[i] = s

        portapar.forks._PATIENCE = 1e6  # a fork that waited would do so until pytest gives up
        y, n = np.zeros(4), np.array([1000])
        plans = [pp.plan(pp.for_each, p, 4, spin, n, y) for p in (pp.seq, pp.par.on(pp.threads(2)))]
        for plan in plans:
            n[0] = 1000
            plan.run()
            n[0] = 10**13  # hours
            threading.Thread(target=plan.run).start()
            time.sleep(0.05)
            child = os.fork()
            if child == 0:
                signal.alarm(600)
                y[:], n[0] = 0, 1000
                plan.run()
                os._exit(0 if y[1:].all() else 1)
            assert os.waitpid(child, 0)[1] == 0
        print("done", flush=True)
        os._exit(0)
    """)
    assert out.split() == ["done"]


# interrupts ---------------------------------------------------------------------------------------

SLOW = """
    import os, signal, sys, threading, time
    import numpy as np, portapar as pp

    signal.signal(signal.SIGINT, signal.default_int_handler)
    n = 300_000  # few enough for code without streaming stores, which is compiled before
    offsets = np.arange(0, n + 1, 50)

    def value(v):
        s = 0.0
        for k in range(200_000):
            s = s * 0.999 + v
        return s

    def last(i, y):
        s = 0.0
        for k in range(20_000_000):
            s = s * 0.999 + i
        y[i] = s

    def longer(v):
        s = 0.0
        for k in range(20_000_000):
            s = s * 0.999 + v
        return s

    def segment(s, i, x, y):
        y[i] = value(x[i])

    x = np.arange(n * 1.0)
    calls = {
        "copy_if": lambda p, x: pp.copy_if(p, x, lambda v: value(v) > 0),
        "partition": lambda p, x: pp.partition(p, x, lambda v: value(v) > 0),
        "count_if": lambda p, x: pp.count_if(p, x, lambda v: value(v) > 0),
        "find_if": lambda p, x: pp.find_if(p, x, lambda v: value(v) < 0),
        "histogram": lambda p, x: pp.histogram(p, x, bins=10, key=value),
        "bins": lambda p, x: pp.histogram(p, x, bins=1000, key=value, range=(0, 1)),
        "weights": lambda p, x: pp.histogram(p, x, bins=10, key=value, weights=x),
        "reduce": lambda p, x: pp.transform_reduce(p, x, transform=value),
        "scan": lambda p, x: pp.inclusive_scan(p, x, op=lambda a, b: a + value(b)),
        "tile": lambda p, x: pp.inclusive_scan(p, x[:4096], op=lambda a, b: a + longer(b)),
        "sort": lambda p, x: pp.sort(p, x, key=value),
        "min_element": lambda p, x: pp.min_element(p, x, key=value),
        "transform": lambda p, x: pp.transform(p, x, op=value),
        "stencil": lambda p, x: pp.stencil(p, x, lambda x, i: value(x[i - 1])),
        "segmented": lambda p, x: pp.segmented_reduce(p, offsets[: len(x) // 50 + 1], x, transform=value),
        "for_each_segment": lambda p, x: pp.for_each_segment(p, offsets[: len(x) // 50 + 1], segment, x, np.zeros(n)),
        "few": lambda p, x: pp.for_each(p, len(x) // 20, last, np.zeros(n)),
    }
    policy = eval(sys.argv[1])
    for name in sys.argv[2:]:
        calls[name](policy, x[: 20 if name == "tile" else 200])  # compiled now
        sent = []

        def interrupt():
            time.sleep(0.3)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        try:
            thread.start()
            calls[name](policy, x)
            print(name, "ended")
        except KeyboardInterrupt:
            print(name, round(time.monotonic() - sent[0], 2))
        thread.join()
    assert pp.reduce(policy, x) == x.sum()
"""
NAMES = (
    "copy_if", "partition", "count_if", "find_if", "histogram", "bins", "weights", "reduce", "scan", "tile",
    "sort", "min_element", "transform", "stencil", "segmented", "for_each_segment", "few",
)  # fmt: skip


SOME = ("copy_if", "reduce", "few")


@pytest.mark.extra
@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("pp.seq", NAMES), ("pp.par.on(pp.threads(2))", NAMES), ("pp.par.on(pp.opencl())", SOME),
        ("pp.par.on(pp.hybrid(pp.threads(1), pp.opencl()))", SOME),
    ],
)  # fmt: skip
def test_ctrl_c_is_heard_by_every_algorithm(tmp_path, policy, names):
    """Within a tenth of a second where nothing else runs here; every call would take minutes."""
    if "opencl" in policy:
        executor("opencl:0")
    script = tmp_path / "slow.py"
    script.write_text(textwrap.dedent(SLOW))
    done = subprocess.run([sys.executable, str(script), policy, *names], capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    answers = dict(line.split() for line in done.stdout.splitlines())
    assert answers.keys() == set(names) and "ended" not in answers.values(), answers
    assert float(answers.get("tile", 0)) < 40  # and not when all of the tile is done, in minutes


INTERRUPTED = """
    import os, random, signal, sys, threading
    import numpy as np, portapar as pp

    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed(7)
    policy, x = eval(sys.argv[1]), np.arange(1.0, 3001.0)
    folder = os.path.dirname(os.path.abspath(__file__))

    def calls(k):  # with kernels that nobody compiled before
        with open(os.path.join(folder, f"kernels{k}.py"), "w") as file:
            file.write(f"def op(v): return (v + {k}.0) * 0.5\\ndef add(a, b): return a + b + 0 * {k}\\n")
        kernels = __import__(f"kernels{k}")
        yield lambda: pp.transform(policy, x, op=kernels.op), (x + k) * 0.5
        yield lambda: pp.inclusive_scan(policy, x, op=kernels.add), np.cumsum(x)
        yield lambda: pp.copy_if(policy, x, lambda v: kernels.op(v) > 700), x[(x + k) * 0.5 > 700]

    interrupted = 0
    for k in range(3):
        for call, wanted in calls(k):
            ended = threading.Event()

            def interrupt(delay):
                if not ended.wait(delay):
                    os.kill(os.getpid(), signal.SIGINT)

            thread = threading.Thread(target=interrupt, args=(random.random() ** 2 / 2,))
            try:
                thread.start()
                np.testing.assert_array_equal(pp.asnumpy(call()), wanted)
            except KeyboardInterrupt:
                interrupted += 1
            ended.set()
            while thread.is_alive():
                try:
                    thread.join()
                except KeyboardInterrupt:
                    interrupted += 1
            np.testing.assert_array_equal(pp.asnumpy(call()), wanted)  # it can be made again
    print("right", interrupted)
"""


@pytest.mark.extra
@pytest.mark.parametrize("policy", ["pp.par.on(pp.threads(2))", "pp.par.on(pp.opencl())"])
def test_ctrl_c_at_any_time_leaves_all_whole(tmp_path, policy, monkeypatch):
    """Also while Numba is imported, and while kernels are compiled."""
    if "opencl" in policy:
        executor("opencl:0")
    monkeypatch.setenv("PORTAPAR_CACHE_DIR", str(tmp_path / "cache"))
    script = tmp_path / "interrupted.py"
    script.write_text(textwrap.dedent(INTERRUPTED))
    done = subprocess.run([sys.executable, str(script), policy], capture_output=True, text=True, timeout=800)
    assert done.returncode == 0 and done.stdout.startswith("right"), done.stderr
    assert "Exception ignored on calling" not in done.stderr  # it was heard
