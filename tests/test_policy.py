"""Policies and executors: what may be combined, how they print, which one a call takes."""

import asyncio
import threading

import numpy as np
import pytest

import portapar as pp

POLICIES = (pp.seq, pp.unseq, pp.par, pp.par_unseq, pp.auto)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_every_policy_runs(policy):
    x = np.arange(10_000.0)
    np.testing.assert_array_equal(pp.transform(policy, x, op=lambda v: v + 1), x + 1)
    assert pp.reduce(policy, x) == x.sum()
    assert pp.reduce(policy.task, x).result() == x.sum()


def test_repr_can_be_typed_back():
    made = [
        *POLICIES,
        pp.par.on(pp.threads(2)),
        pp.par.with_(schedule="dynamic", chunk_size=64),
        pp.par_unseq.on(pp.hybrid(pp.threads(2), pp.simd(), weights=[3, 1])).with_(chunk_size=5).task,
        pp.unseq.on("simd").task,
    ]
    for policy in made:
        again = eval(repr(policy), {"pp": pp})
        if "hybrid" in repr(policy):
            assert repr(again) == repr(policy)
        else:
            assert again is policy
    for executor in (pp.threads(), pp.threads(3), pp.simd()):
        assert eval(repr(executor), {"pp": pp}) is executor


def test_policies_are_immutable():
    with pytest.raises(AttributeError):
        pp.par.chunk_size = 4
    assert pp.par.with_(chunk_size=4) is not pp.par and pp.par.chunk_size is None


@pytest.mark.parametrize("name", ["seq", "unseq"])
def test_one_thread_has_nobody_to_deal_to(name):
    policy = getattr(pp, name).with_(schedule="dynamic", chunk_size=3)
    assert repr(policy) == f"pp.{name}.with_(chunk_size=3)"
    assert pp.reduce(policy, np.arange(10)) == 45


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pp.par.with_(schedule="fast"), r"schedule is 'fast'.*'static', 'dynamic', 'guided'"),
        (lambda: pp.par.with_(chunk_size=0), r"chunk_size=0.*whole number from 1"),
        (lambda: pp.par.with_(chunk_size=-3), r"chunk_size=-3"),
        (lambda: pp.par.with_(chunk_size=2.5), r"chunk_size=2.5"),
        (lambda: pp.par.with_(chunk_size=True), r"chunk_size=True"),
        (lambda: pp.par.with_(deterministic="no"), r"deterministic='no'.*True or False"),
        (lambda: pp.par.with_(tune="fast"), r"tune='fast'.*seconds from 0"),
        (lambda: pp.par.with_(tune=-1), r"tune=-1.*seconds from 0"),
        (lambda: pp.par.with_(tune=float("nan")), r"tune=nan.*seconds from 0"),
        (lambda: pp.par.with_(check=1), r"check=1.*True or False"),
        (lambda: pp.seq.on(pp.hybrid(pp.threads(2), pp.simd())), r"pp.seq allows one thread only.*pp.par"),
        (lambda: pp.par.on(3), r"on\(3\): not an executor.*pp.threads"),
        (lambda: pp.par.on(None), r"not an executor"),
        (lambda: pp.using(pp.threads()), r"not a policy"),
    ],
)
def test_conflicts(make, says):
    with pytest.raises(pp.PolicyError, match=says):
        make()


def test_truth_values_of_numpy_are_truth_values():
    for name in ("check", "deterministic", "tune"):
        assert pp.par.with_(**{name: np.True_}) == pp.par.with_(**{name: True}) != pp.par
        assert pp.par.with_(**{name: np.False_}) == pp.par


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpu", "no executor 'gpu'.*threads, simd"),
        ("threads:x", "'x' is not a number"),
        ("threads:0", "whole number from 1"),
        ("simd:2", "no executor 'simd:2'"),
        ("", "no executor ''"),
        (7, "must be a name"),
        ("hybrid:threads+gpu", "no executor 'gpu'"),
        ("hybrid:threads+threads", "given twice"),
        ("opencl:99", "opencl.*99|opencl"),
        ("cuda:99", "cuda"),
    ],
)
def test_unknown_executors(name, says):
    with pytest.raises(pp.BackendUnavailableError, match=says):
        pp.executor(name)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pp.threads(0),
        lambda: pp.threads(-1),
        lambda: pp.threads(1.5),
        lambda: pp.threads(True),
        lambda: pp.threads("2"),
        lambda: pp.opencl(-1),
        lambda: pp.hybrid(),
        lambda: pp.hybrid(3),
        lambda: pp.hybrid(pp.simd(), weights=[1, 2]),
        lambda: pp.hybrid(pp.simd(), weights=[-1]),
        lambda: pp.hybrid(pp.simd(), weights=[float("nan")]),
        lambda: pp.hybrid(pp.simd(), pp.threads(), weights=[0, 0]),
    ],
)
def test_executors_that_cannot_be(make):
    with pytest.raises(pp.BackendUnavailableError):
        make()


def test_available_names_can_be_opened():
    found = pp.available()
    assert {"threads", "simd"} <= {info.name for info in found if info.available}
    for info in found:
        if info.available:
            with_this = pp.par.on(pp.executor(info.name))
            assert pp.reduce(with_this, np.arange(100)) == 4950
        else:
            assert info.reason and info.remedy


def test_executors_of_one_name_are_one():
    assert pp.executor("threads:2") is pp.threads(2) and pp.simd() is pp.executor("simd")


def planned(policy, *args):
    return pp.plan(pp.reduce, policy, *args).executor


def test_which_executor_a_call_takes():
    x = np.arange(10.0)
    assert planned(pp.par, x) is pp.threads() and planned(pp.seq, x) is pp.simd()
    assert planned(None, x) is pp.threads()
    assert planned(pp.par.on(pp.threads(3)), x) is pp.threads(3)
    with pp.using(pp.par.on(pp.threads(2))):
        assert planned(pp.par, x) is pp.threads(2) and planned(None, x) is pp.threads(2)
        assert planned(pp.par.on(pp.simd()), x) is pp.simd()
        with pp.using(pp.seq):
            assert planned(None, x) is pp.simd()
        assert planned(None, x) is pp.threads(2)
    assert planned(pp.par, x) is pp.threads()
    both = pp.hybrid(pp.threads(2), pp.simd())
    assert planned(pp.par, both.asarray(x)) is both  # where the data live
    with pytest.raises(pp.PlacementError, match="first argument is .*must be a policy such as pp.par"):
        pp.reduce(x, x)


def test_default_executor_from_the_environment(python):
    text = """
        import numpy as np, portapar as pp
        print(repr(pp.plan(pp.reduce, pp.par, np.arange(3.0)).executor))
    """
    assert python(text, PORTAPAR_EXECUTOR="threads:3").strip() == "pp.threads(3)"
    assert python(text, PORTAPAR_EXECUTOR="simd").strip() == "pp.simd()"
    python(text, PORTAPAR_EXECUTOR="nonsense", expect=1)
    assert "no executor 'nonsense'" in python.stderr


def test_plan_tells_what_will_happen():
    x = np.zeros(100_000)
    both = pp.hybrid(pp.threads(2), pp.simd(), weights=[3, 1])
    plan = pp.plan(pp.transform, pp.par.on(both), x, op=lambda v: v + 1)
    assert [part.executor for part in plan.parts] == [pp.threads(2), pp.simd()]
    assert plan.parts[0].lo == 0 and plan.parts[0].hi == plan.parts[1].lo and plan.parts[1].hi == 100_000
    text = str(plan)
    assert "transform over 100000 indices" in text and "75 %" in text and "pp.simd()" in text
    assert not x.any()


def test_closed_executors(where):
    text = repr(where)
    if where.kind == "hybrid":
        where = pp.hybrid(*where.members)
    x = np.arange(100.0)
    assert pp.reduce(pp.par.on(where), x) == 4950
    with where as same:
        assert same is where
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        pp.reduce(pp.par.on(where), x)
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        pp.transform(pp.par.on(where), x, op=lambda v: v * 7)
    where.close()  # twice is no error
    if where.kind != "hybrid":
        assert pp.reduce(pp.par.on(eval(text, {"pp": pp})), x) == 4950  # by name there is a new one


# tasks --------------------------------------------------------------------------------------------


def test_tasks_keep_their_order(where):
    task = pp.par.on(where).task
    a = np.zeros(50_000)
    calls = [pp.transform(task, a, out=a, op=lambda v, k=k: v * 2 + k) for k in range(8)]
    where.synchronize()
    assert all(call.done() for call in calls)
    expected = 0
    for k in range(8):
        expected = expected * 2 + k
    assert calls[-1].result() is a and (a == expected).all()


def test_then_and_await_and_errors():
    x = np.arange(1000.0)
    task = pp.par.task
    total = pp.reduce(task, x).then(lambda s: pp.reduce(pp.par, x, init=s)).then(lambda s: s / 2)
    assert total.result(600) == x.sum()
    failing = pp.reduce(task, x).then(lambda s: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failing.then(lambda s: s).result(600)

    async def both():
        return await pp.reduce(task, x) + await pp.reduce(pp.seq.task, x)

    assert asyncio.run(both()) == 2 * x.sum()
    with pytest.raises(pp.PlacementError):
        pp.reduce(task, np.zeros(0), op=lambda a, b: a + b).result(600)


@pytest.mark.parametrize("policy", [pp.seq, pp.par])
def test_plan_runs_again_and_again(policy):
    x, y = np.arange(100_000.0), np.zeros(100_000)
    step = pp.plan(pp.transform, policy, x, y, out=y, op=lambda a, b: a + b)
    assert all(step.run() is y for _ in range(3))
    assert np.array_equal(y, 3 * x)
    total = pp.plan(pp.reduce, policy, x)
    x += 1
    assert total.run() == total.run() == pp.reduce(pp.seq, x)
    assert pp.plan(pp.reduce, policy, x, init=5.0).run() == pp.reduce(pp.seq, x, init=5.0)


def test_plan_of_a_closed_executor():
    where = pp.threads(3)
    step = pp.plan(pp.fill, pp.par.on(where), np.zeros(100_000), 1.0)
    step.run()
    where.close()
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        step.run()


def test_plan_explains_itself():
    text = str(pp.plan(pp.transform, pp.par, np.zeros(10), out=np.zeros(10), op=lambda x: 2 * x))
    assert "float64[10]" in text and "[0, 10)" in text and "pp.threads()" in text


def test_a_block_may_be_entered_again():
    block, x = pp.using(pp.seq), np.arange(4.0)
    failed = []

    def enter(times):
        try:
            for _ in range(times):
                with block:
                    pp.reduce(None, x)
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    with block, pp.using(pp.unseq):
        with block:
            assert "pp.seq" in repr(pp.plan(pp.reduce, None, x).policy)
        assert "pp.unseq" in repr(pp.plan(pp.reduce, None, x).policy)
    threads = [threading.Thread(target=enter, args=(50,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert "pp.par" in repr(pp.plan(pp.reduce, pp.par, x).policy)
