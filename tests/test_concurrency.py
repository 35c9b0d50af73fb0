"""Several Python threads, forked processes, interrupts, and executors closed under way."""

import contextlib
import ctypes
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import portapar as pp
from portapar.kernel.cpu import jobs, launch, pool
from portapar.kernel.jit.native import native
from portapar.kernel.jit.system import load, store
from portapar.kernel.program import grows

N = 200_000


def work(policy, seed):
    """A few calls of several kernels, checked."""
    x = np.arange(N) % (seed + 5) * 1.0
    number = seed * 0.5
    y = pp.transform(policy, x, op=lambda v: v * 2 + number)
    assert (y == x * 2 + number).all()
    assert pp.reduce(policy, y) == y.sum()
    count = np.zeros(seed + 5, np.int64)
    pp.for_each(policy, N, tally, x, count)
    assert (count == np.bincount(x.astype(int))).all()
    assert pp.transform_reduce(policy, x, y, transform=lambda a, b: a * b) == (x * y).sum()
    return True


def tally(i, x, count):
    pp.atomic.add(count, int(x[i]), 1)


def sums(i, x, total, count):
    pp.atomic.add(total, i % 3, x[i])
    plus(count, 0, 1)


plus = pp.atomic.add


def test_one_thread_needs_no_atomic_updates_until_calls_meet(monkeypatch):
    monkeypatch.setattr("portapar.kernel.cpu.launch._updates", updates := launch.Updates())
    x, total, count = np.arange(20_000.0), np.zeros(3), np.zeros(1, np.int64)
    plans = [pp.plan(pp.for_each, pp.seq, len(x), sums, x, total, count) for _ in range(2)]

    def several(plan):
        for _ in range(30):
            pp.for_each(pp.seq, len(x), sums, x, total, count)
            plan.run()

    several(plans[0])
    assert not updates.met and count[0] == 60 * len(x)
    workers = [threading.Thread(target=several, args=(plan,)) for plan in plans]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert count[0] == 180 * len(x)
    assert (total == [180 * x[k::3].sum() for k in range(3)]).all()
    assert not updates.running


def test_who_meets_plain_updates_waits_for_them():
    updates, order = launch.Updates(), []
    inside, waiting = threading.Event(), threading.Event()

    def other():
        inside.wait()
        waiting.set()
        with updates.one(True) as plain:
            order.append(("other", plain))

    with updates.one(True) as first, updates.one(True) as nested:  # a signal's handler
        assert first and not nested
    updates = launch.Updates()
    worker = threading.Thread(target=other)
    worker.start()
    with updates.one(True) as plain:
        inside.set()
        waiting.wait()
        while not updates.met:
            time.sleep(0.001)
        order.append(("first", plain))
    worker.join()
    assert order == [("first", True), ("other", False)]
    with updates.one(True) as plain:
        assert not plain


def test_threads_share_one_executor(policy):
    if policy.executor.kind == "hybrid" and any(not m.device.host_memory for m in policy.executor.members):
        pytest.skip("a device in its own memory cannot do a part of a histogram")
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda k: work(policy, k % 3), range(12)))


def test_threads_use_several_executors_at_once():
    policies = [pp.seq, pp.par, pp.par.on(pp.threads(2)), pp.par.on(pp.threads(3)),
                pp.par.on(pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1])),
                pp.par.with_(schedule="dynamic")]  # fmt: skip
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda k: work(policies[k % 6], k % 4), range(24)))


def test_first_use_from_many_threads_at_once(module):
    made = module("def kernel(v):\n    return helper(v) + 1\ndef helper(v):\n    return v * 7\n")
    start = threading.Barrier(6)

    def first(k):
        start.wait()
        x = np.arange(1000.0)
        assert (pp.transform((pp.par, pp.seq)[k % 2], x, op=made.kernel) == x * 7 + 1).all()
        return pp.transform_reduce(pp.par, x, transform=made.kernel) == (x * 7 + 1).sum()

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(first, range(6)))


@pytest.mark.extra
def test_first_calls_of_a_process_from_many_threads(python, tmp_path):
    """Threads that come to parts of the compiler by different ways, while nothing of it is loaded."""
    python("""
        from concurrent.futures import ThreadPoolExecutor
        import numpy as np, portapar as pp

        x = np.arange(12.0).reshape(3, 4)
        calls = [
            lambda: pp.transform(pp.par, x, op=lambda v: v + 1).sum() == 78,
            lambda: pp.reduce(pp.par, x, axis=0).sum() == 66,
            lambda: pp.stencil(pp.seq, x, lambda x, i, j: x[i, j] + 1).sum() == 78,
            lambda: pp.for_each(pp.par, 12, lambda i, x: pp.atomic.add(x, 0, 0.0), np.zeros(3)) is None,
        ]
        for _ in range(2):
            with ThreadPoolExecutor(4) as pool:
                assert all(pool.map(lambda call: call(), calls))
    """, PORTAPAR_CACHE_DIR=str(tmp_path / "empty"))


def test_callbacks_may_call_algorithms():
    x = np.arange(N * 1.0)
    for executor in (pp.threads(2), pp.simd(), pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1])):
        task = pp.par.on(executor).task
        chain = pp.reduce(task, x)
        for _ in range(3):
            chain = chain.then(lambda s: s + pp.reduce(pp.par.on(executor), x))  # noqa: B023
        assert chain.result(600) == 4 * x.sum()
        nested = pp.reduce(task, x).then(lambda s: pp.transform(task, x, op=lambda v: v + 1))  # noqa: B023
        assert (nested.result(600).result(600) == x + 1).all()


def test_tasks_of_many_threads():
    with ThreadPoolExecutor(4) as pool:
        futures = list(pool.map(lambda k: pp.reduce(pp.par.task, np.full(N, k)), range(16)))
    assert [f.result(600) for f in futures] == [k * N for k in range(16)]


def test_close_while_others_work():
    executor = pp.threads(2)
    x = np.arange(N * 1.0)
    stopped = []

    def loop():
        try:
            while True:
                assert pp.reduce(pp.par.on(executor), x) == x.sum()
        except pp.BackendUnavailableError as error:
            stopped.append(str(error))

    users = [threading.Thread(target=loop) for _ in range(3)]
    for user in users:
        user.start()
    assert pp.reduce(pp.par.on(executor), x) == x.sum()
    executor.close()
    for user in users:
        user.join(600)
        assert not user.is_alive()
    assert len(stopped) == 3 and all("closed" in text for text in stopped)
    assert pp.reduce(pp.par.on(pp.threads(2)), x) == x.sum()


def once(i, x):
    x[i] += 1


def spread(i, x, n):
    total = 0
    for k in range(n):
        total += k
    x[i] += 1 if total >= 0 else 0


@pytest.mark.parametrize("schedule", ["static", "dynamic", "guided"])
def test_every_iteration_runs_once_whether_workers_spin_or_sleep(schedule):
    """Pauses about as long as the patience of a worker: it sleeps, is about to, or wakes when the next call comes."""
    for threads in (2, 3):
        policy = pp.par.on(pp.threads(threads)).with_(schedule=schedule)
        for n in (1, 3, 200, 300_000):
            x = np.zeros(n, np.int64)
            pauses = [0.0, 1e-4, 1.9e-4, 2e-4, 2.1e-4, 1e-3] * 10
            for pause in pauses:
                end = time.perf_counter() + pause
                while time.perf_counter() < end:
                    pass
                pp.for_each(policy, n, once, x)
                pp.for_each(policy, n, spread, x, 20)
            assert (x == 2 * len(pauses)).all()


def below(i, n, x, y):
    for j in range(min(i + 1, n)):
        y[i] += x[i, j]


def test_triangles_are_dealt_out(monkeypatch):
    dealt = []
    new = jobs.job
    monkeypatch.setattr(jobs, "job", lambda *args, **more: dealt.append(more["schedule"]) or new(*args, **more))
    x, y = np.random.default_rng(1).random((500, 500)), np.zeros(500)
    pp.for_each(pp.par.on(pp.threads(2)), 500, below, 500, x, y)
    np.testing.assert_allclose(y, np.tril(x).sum(1))
    assert "dynamic" in dealt
    rows = "def body(i, first, x, y):\n    for k in range(first[i], first[i + 1]):\n        y[i] += x[k]\n"
    assert not grows(rows, 1)


# few iterations that may be slow: one thread begins -------------------------------------------------


def rounds(i, n, x, out):
    value = 0.0
    for k in range(n):
        value = math.sin(value + x[k % len(x)])
    out[i] = value


@pytest.mark.parametrize("count", [1, 2, 3, 64, 300])
def test_others_join_where_the_rest_is_worth_it(count):
    x, two = np.random.default_rng(1).random(50), pp.par.on(pp.threads(2))
    expected, quick, out = np.zeros(count), np.zeros(count), np.zeros(count)
    pp.for_each(pp.seq, count, rounds, 30_000, x, expected)
    pp.for_each(pp.seq, count, rounds, 3, x, quick)
    for n, right in ((3, quick), (30_000, expected), (3, quick), (30_000, expected)):  # remembered from the second on
        out[:] = -1.0
        pp.for_each(two, count, rounds, n, x, out)
        assert np.array_equal(out, right)
    plan = pp.plan(pp.for_each, two, count, rounds, 30_000, x, out)
    assert count == 1 or "others join" in str(plan)
    for _ in range(3):
        out[:] = -1.0
        plan.run()
        assert np.array_equal(out, expected)


def test_who_joins_begins_where_the_first_one_stopped():
    def noted(lo, hi, block):
        for k in range(lo, hi):
            store(block + 8 * k, load(block + 8 * k) + 1)
        return 0

    done = np.zeros(100, np.int64)
    function = native("a chunk that notes what it does", lambda: noted, 3)
    two = pool.Pool(2)
    try:
        job = jobs.job(function.address, 0, 100, 1, 1, 2, worth=1)
        at = jobs.begin_alone(ctypes.addressof(job), done.ctypes.data, 0)
        assert at == 2 and job[jobs.REST // 8] > 1
        assert np.array_equal(done, np.arange(100) < at)
        rest = jobs.job(function.address, at, 100, 1, 1, 2)
        assert two.run(ctypes.addressof(rest), done.ctypes.data)
        assert (done == 1).all()
        never = jobs.job(function.address, 0, 100, 1, 1, 2, worth=1 << 40)
        assert jobs.begin_alone(ctypes.addressof(never), done.ctypes.data, 0) == 100
        assert (done == 2).all()
    finally:
        two.close()


def test_two_that_join_at_the_same_time_share_one_job(monkeypatch):
    both, made = threading.Barrier(2), []

    def begun(*_):
        both.wait(600)
        return 1

    class Two(launch.Launch):
        def __init__(self):
            self.device = type("Cores", (), {"pool": type("All", (), {"run": staticmethod(lambda *_: True)})})
            self._lo, self._hi, self._alone, self._guard, self._failure = 0, 4, True, None, None
            self._job = self._new_job()

        def _new_job(self, table=..., **_):
            if table is not ...:  # the job for all later calls
                made.append(1)
                with contextlib.suppress(threading.BrokenBarrierError):
                    both.wait(0.1)
            return (ctypes.c_int64 * 32)()

    monkeypatch.setattr(jobs, "begin_alone", begun)
    one = Two()
    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(lambda _: one._begin(one._job, 0), range(2)))
    assert made == [1] and not one._alone


# fork ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_fork(python):
    out = python("""
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import numpy as np, portapar as pp

        def work(k):
            x = np.arange(300_000.0)
            both = pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1])
            for p in (pp.par, pp.par.on(pp.threads(3)), pp.par.on(both), pp.par.on(kept), pp.seq):
                assert pp.reduce(p, x) == x.sum()
                assert (pp.transform(p, x, op=lambda v: v + k) == x + k).all()
                assert pp.reduce(p.task, x).result(600) == x.sum()

        kept = pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1])
        work(0)
        for generation in range(3):
            child = os.fork()
            if child == 0:
                work(1)
                if generation == 2:
                    grandchild = os.fork()
                    if grandchild == 0:
                        work(2)
                        os._exit(0)
                    assert os.waitpid(grandchild, 0)[1] == 0
                os._exit(0)
            work(3)
            assert os.waitpid(child, 0)[1] == 0
            work(4)
        print("done")
    """)
    assert out.split() == ["done"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_multiprocessing(python):
    out = python("""
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import numpy as np, portapar as pp

        def total(k):
            return float(pp.reduce(pp.par, np.full(100_000, float(k))))

        if __name__ == "__main__":
            assert total(1) == 100_000
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(2) as pool:
                    assert pool.map(total, range(5)) == [k * 100_000.0 for k in range(5)]
            assert total(2) == 200_000
            print("done")
    """)
    assert out.split() == ["done"]


# interrupts ---------------------------------------------------------------------------------------

LONG = """
    import os, signal, threading, time
    import numpy as np, portapar as pp
    signal.signal(signal.SIGINT, signal.default_int_handler)
    policy = {policy}

    def spin(i, a):
        x = 1.0
        for k in range(20_000):
            x = x * 1.0000001 + a[i % 16]
        a[16 + i % 16] = x

    def interrupt():
        while not a[16:].all():
            time.sleep(0.001)
        print("running", flush=True)
        os.kill(os.getpid(), signal.SIGINT)

    a = np.zeros(32)
    pp.for_each(policy, 64, spin, a)  # compiled now
    a[:] = 0
    threading.Thread(target=interrupt).start()
    try:
        pp.for_each(policy, 50_000_000, spin, a)  # hours
    except KeyboardInterrupt:
        x = np.arange(100_000.0)
        assert pp.reduce(policy, x) == x.sum() and pp.reduce(pp.par, x) == x.sum()
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "policy",
    [
        "pp.seq", "pp.par.on(pp.threads(2))", "pp.par.on(pp.threads(3)).with_(schedule='dynamic')",
        "pp.par.on(pp.threads(2)).with_(schedule='guided')",
        "pp.par.on(pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1]))",
    ],
)  # fmt: skip
def test_ctrl_c(tmp_path, policy):
    script = tmp_path / "long.py"
    script.write_text(textwrap.dedent(LONG).replace("{policy}", policy))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=600)  # much less than the loop would take
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail("still running ten minutes after SIGINT")
    assert process.returncode == 0 and out.split() == ["running", "interrupted"], err


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not place threads")
@pytest.mark.skipif(hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) < 2, reason="there is one CPU")
def test_workers_leave_the_callers_cpu(python):
    """A worker that wakes up where the caller runs moves to another CPU of those that the process had; no one else."""
    out = python("""
        import os, threading, time
        import numpy as np, portapar as pp

        x, allowed = np.arange(200_000.0), os.sched_getaffinity(0)
        plan = pp.plan(pp.reduce, pp.par.on(pp.threads(2)), x)
        assert plan.run() == x.sum()
        (worker,) = [t.native_id for t in threading.enumerate() if t.name.startswith("portapar-")]
        assert os.sched_getaffinity(worker) <= allowed  # without one of them if it woke up there in that call
        mine = {min(allowed)}
        os.sched_setaffinity(0, mine)
        os.sched_setaffinity(worker, mine)
        for _ in range(100):
            time.sleep(0.02)  # until it sleeps
            assert plan.run() == x.sum()
            if os.sched_getaffinity(worker) == allowed - mine:
                break
        print(os.sched_getaffinity(worker) == allowed - mine, os.sched_getaffinity(0) == mine)
        many = pp.par.on(pp.threads(len(allowed) + 1))
        os.sched_setaffinity(0, allowed)
        assert pp.reduce(many, x) == x.sum()  # more threads than CPUs: nobody is sent away
    """)  # fmt: skip
    assert out.split() == ["True", "True"]


def test_threads_that_cannot_start_are_told(python):
    """And nothing is left half done: later calls run, and nobody writes to file 0."""
    out = python(
        """
        import os, threading
        import numpy as np, portapar as pp

        read, write = os.pipe()
        os.dup2(write, 0)
        os.set_blocking(read, False)
        start, begun = threading.Thread.start, []

        def refuse(thread):
            if thread.name.startswith("portapar"):
                begun.append(thread)
                if len(begun) == 2:
                    raise RuntimeError("can't start new thread")
            start(thread)

        threading.Thread.start = refuse
        x, policy = np.ones(1_000_000), pp.par.on(pp.threads(4))
        try:
            pp.reduce(policy, x)
        except pp.PortaparError as error:
            print(type(error).__name__, error)
        print(pp.reduce(policy, x), pp.reduce(policy, x), len(begun))
        try:
            print(os.read(read, 8))
        except BlockingIOError:
            print("nothing")
        """
    )
    told, ran, wrote = out.splitlines()
    assert told.startswith("BackendUnavailableError thread 2 of 4 cannot be started: can't start new thread. Use fewer")
    assert ran == "1000000.0 1000000.0 5" and wrote == "nothing"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("name", ["unseq", "par"])
def test_a_handler_in_the_midst_of_a_long_call(name, planned):
    """It makes calls of the same executor, and forks: child and parent go on."""
    def steps(i, x, y):
        v = y[i] * 0.5
        for _ in range(int(x[i])):
            v = v * 0.5 + 0.5
        y[i] = v

    def put(i, x, y):
        y[i] = x[i] * 2 + 1

    n, how = 50_000, pp.unseq if name == "unseq" else pp.par.on(pp.threads(2))
    x, y, z, out = np.ones(n), np.ones(n), np.arange(9_000.0), np.zeros(9_000)
    plan = pp.plan(pp.for_each, how, n, steps, x, y)
    children = []

    def others():
        pp.for_each(how, len(z), put, z, out)
        assert (out == 2 * z + 1).all() and pp.reduce(how, z) == z.sum()
        assert pp.reduce(how.with_(schedule="dynamic"), z, pp.maximum) == len(z) - 1

    def handler(*_):
        for _ in range(8):
            others()
        children.append(os.fork())

    for _ in range(8):
        pp.for_each(how, n, steps, x, y)
        plan.run()
        others()
    before = signal.signal(signal.SIGALRM, handler)
    x[:], y[:] = 1_500, 2
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    code = 1
    try:
        plan.run() if planned else pp.for_each(how, n, steps, x, y)
        while not children:
            signal.pause()
        assert (y == 1).all()
        x[:], y[:] = 1, 2
        for _ in range(8):
            others()
        pp.for_each(how, n, steps, x, y)
        assert (y == 1).all()
        code = 0
    finally:
        if children == [0]:
            os._exit(code)
        signal.signal(signal.SIGALRM, before)
    assert os.waitpid(children[0], 0)[1] == 0
