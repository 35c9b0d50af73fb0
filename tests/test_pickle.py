"""What workers need is pickled and copied; what cannot be says so."""

import copy
import pickle
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest

import portapar as pp


def add(a, b):
    return a + b


def monoids():
    found = [value for value in vars(pp).values() if isinstance(value, pp.Monoid)]
    assert len(found) >= 9
    return found


def policies():
    bases = [pp.seq, pp.unseq, pp.par, pp.par_unseq, pp.auto]
    threads = [pp.threads(), pp.threads(2), pp.hybrid(pp.threads(2), pp.simd(), weights=(3, 1))]
    made = bases + [pp.par.task, pp.par.with_(schedule="guided"), pp.par_unseq.with_(schedule="dynamic", chunk_size=7)]
    made += [pp.seq.on(pp.simd()), pp.unseq.on(pp.threads(1))]
    return made + [base.on(where).task for base in (pp.par, pp.par_unseq, pp.auto) for where in threads]


def again(x, protocol=None):
    return pickle.loads(pickle.dumps(x, protocol))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_monoids(protocol):
    x = np.array([3, 1, 2])
    for monoid in monoids():
        assert again(monoid, protocol) is monoid is copy.copy(monoid) is copy.deepcopy(monoid)
    for monoid in (pp.Monoid(add, 0), pp.Monoid(add, commutative=False), pp.Monoid(np.maximum)):
        for other in (again(monoid, protocol), copy.copy(monoid), copy.deepcopy(monoid)):
            assert (other.identity, other.commutative) == (monoid.identity, monoid.commutative)
            assert pp.reduce(pp.par, x, op=other) == pp.reduce(pp.par, x, op=monoid)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(pp.Monoid(lambda a, b: a + b, 0))


@pytest.mark.parametrize("protocol", [2, 5])
def test_executors_and_policies_stay_themselves(protocol):
    executors = [pp.threads(), pp.threads(3), pp.simd(), pp.hybrid(pp.threads(2), pp.simd()), pp.executor("threads:2")]
    for x in (*executors, *policies()):
        assert again(x, protocol) is x is copy.copy(x) is copy.deepcopy(x)
        assert again([x, {"x": x}], protocol)[1]["x"] is x


def test_a_closed_executor_is_made_anew():
    where = pp.hybrid(pp.threads(2), pp.simd())
    kept = pickle.dumps(where)
    where.close()
    other = pickle.loads(kept)
    assert other is not where and pp.reduce(pp.par.on(other), np.arange(9.0)) == 36


def test_partitioned_arrays():
    where = pp.hybrid(pp.threads(2), pp.simd())
    x = np.arange(30_000.0).reshape(-1, 3)
    whole = where.asarray(x)
    for other in (again(whole), copy.deepcopy(whole), again((whole, where))[0]):
        assert other.executor is where and other.cuts == whole.cuts and (pp.asnumpy(other) == x).all()
        pp.fill(pp.par.on(where), other, 1.0)
        assert (pp.asnumpy(whole) == x).all() and (pp.asnumpy(other) == 1).all()
        assert pp.reduce(pp.par.on(where), other) == x.size
    assert copy.copy(whole).parts[0] is whole.parts[0]


def test_arrays_of_devices_say_so(renderer):
    if renderer.executor.device.host_memory:
        pytest.skip("its arrays are NumPy's")
    whole = pp.hybrid(pp.simd(), renderer.executor).asarray(np.arange(10_000.0))
    for attempt in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(pp.PlacementError, match=r"memory of a device.*pp\.asnumpy"):
            attempt(whole)
    assert again(renderer) is renderer and again(renderer.executor) is renderer.executor


def test_lazy_inputs():
    x, y = np.arange(6.0), np.arange(6.0) ** 2
    both = pp.lazy.zip(x, pp.lazy.iota(6))
    for made in (pp.lazy.zip(x, y), pp.lazy.iota(6, 2, 3), pp.lazy.reverse(x), pp.lazy.reverse(both)):
        expected = pp.copy(pp.par, made)
        for other in (again(made), copy.copy(made), copy.deepcopy(made)):
            assert other.expression is made.expression and (pp.copy(pp.par, other) == expected).all()
    square = pp.lazy.transform(x, lambda v: v * v)
    assert (pp.copy(pp.par, copy.deepcopy(square)) == y).all()
    with pytest.raises(pp.ArgumentError, match=r"functions.*cannot be pickled"):
        pickle.dumps(square)


def test_ranges_and_futures():
    for made in (pp.range(5), pp.range(2, 30, 3)):
        assert list(map(repr, (again(made), copy.deepcopy(made)))) == [repr(made)] * 2
    future = pp.reduce(pp.par.task, np.arange(10.0))
    with pytest.raises(pp.ArgumentError, match=r"Future cannot be pickled.*result\(\)"):
        pickle.dumps(future)
    assert future.result() == 45
    with pytest.raises(pp.ArgumentError, match=r"plan cannot be pickled.*Make it where it runs"):
        pickle.dumps(pp.plan(pp.reduce, pp.par, np.arange(10.0)))


def test_a_fresh_process(tmp_path):
    """Whatever this one pickles works there, as workers of multiprocessing, joblib and dask need it."""
    where = pp.hybrid(pp.threads(2), pp.simd(), weights=(1, 2))
    x = np.arange(20_000.0)
    what = {
        "monoids": monoids(), "policies": policies(), "executors": [pp.threads(), pp.threads(2), pp.simd(), where],
        "array": where.asarray(x), "lazy": pp.lazy.zip(x, pp.lazy.iota(len(x))), "bound": pp.par.on(where),
        "again": pickle.dumps(where),
    }  # fmt: skip
    (tmp_path / "what.pickle").write_bytes(pickle.dumps(what))
    script = tmp_path / "read.py"
    script.write_text(textwrap.dedent("""
        import pickle, numpy as np
        what = pickle.loads(open("what.pickle", "rb").read())
        import portapar as pp
        x = np.arange(20_000.0)
        for monoid in what["monoids"]:
            assert getattr(pp, monoid.__name__) is monoid
        for policy in what["policies"]:
            found = pp.reduce(policy, x)
            assert (found.result() if policy.asynchronous else found) == x.sum()
        for where in what["executors"]:
            assert pp.reduce(pp.par.on(where), x) == x.sum()
        assert what["bound"].executor is what["array"].executor is pickle.loads(what["again"])
        assert pp.reduce(what["bound"], what["array"]) == x.sum() and what["policies"][2] is pp.par
        assert pp.transform_reduce(pp.par, what["lazy"], transform=lambda p: p[0] - p[1]) == 0
        print(*map(repr, what["executors"]), sep="; ")
    """))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "; ".join(map(repr, what["executors"]))


def test_workers_of_multiprocessing():
    import multiprocessing

    arguments = [(policy, pp.plus, np.arange(10.0) + k) for k, policy in enumerate(policies()[:3])]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(total, arguments) == [45.0, 55.0, 65.0]


def total(policy, op, x):
    return float(pp.reduce(policy, x, op=op))


def brought(code):
    """Code as cloudpickle gives it to another process: where it was written is kept in its globals alone."""
    consts = tuple(brought(c) if isinstance(c, types.CodeType) else c for c in code.co_consts)
    return code.replace(co_filename="<dynamic-code>", co_consts=consts)


def test_functions_that_cloudpickle_brought(tmp_path):
    file = tmp_path / "script.py"
    file.write_text("def work(x, k):\n    f, g = lambda v: v * k, lambda v: v - k\n    return run(x, f), run(x, g)\n")
    space = {"__file__": str(file), "run": lambda x, f: pp.transform(pp.seq, x, op=f)}
    exec(compile(file.read_text(), str(file), "exec"), space)
    work, x = types.FunctionType(brought(space["work"].__code__), space), np.arange(5.0)
    for found, expected in zip(work(x, 3.0), (x * 3, x - 3), strict=True):
        assert np.array_equal(found, expected)
    exec(compile(file.read_text().replace("v * k", "v * k + 7"), str(file), "exec"), space)
    for home in (str(file), str(tmp_path / "gone.py")):  # which says something else, or is not here
        work = types.FunctionType(brought(space["work"].__code__), {**space, "__file__": home})
        with pytest.raises(pp.KernelError, match="cloudpickle brought it here.*a module that both processes import"):
            work(x, 3.0)
