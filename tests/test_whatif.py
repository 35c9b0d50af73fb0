"""`portapar plan`: what calls would take on machines that are not here."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

import portapar as pp
from portapar import cli, cost, rates, validate, whatif
from portapar.rates import Profile, Rates

FLAT = Rates(1e-5, ((1e3, 1e10), (1e9, 1e10)), 1e10, 2e10, *[1e9] * 3, 1e8, 1e8, threads=1, fork=0.0)
LINK = 1e-6, 1e10


def machine(**more):
    far = replace(FLAT, threads=0, into=((0, 1e-5), (1e9, 1 + 1e-5)), out=((0, 1e-5), (2e9, 1 + 1e-5)))
    return Profile({"threads": replace(FLAT, threads=4), "simd": FLAT, "cuda:0": far}, network=LINK, **more)


def transform(n):
    return lambda how, x, y: pp.transform(how, x, out=y, op=lambda v: v * 2 + 1), (np.ones(n), np.empty(n))


def reduce(n):
    return lambda how, x: pp.reduce(how, x), (np.ones(n),)


def around(n):
    def body(i, x, y):
        if i > 0 and i < len(x) - 1:
            y[i] = x[i - 1] + x[i + 1]

    return lambda how, x, y: pp.for_each(how, len(x), body, x, y), (np.ones(n), np.empty(n))


@pytest.mark.parametrize("name", ["simd", "cuda:0"])
def test_one_kernel_is_its_work_by_the_rates(name):
    one = whatif.WhatIf(transform, machine(watts={name: 200.0}, price=7.2))
    for n in (1000, 1 << 21, 10**9):  # counted in full, and from what fewer elements are
        found = one.on(name, n)
        assert found.seconds == pytest.approx(1e-5 + math.hypot(16 * n / 1e10, 2 * n / 1e10), rel=1e-3)
        assert found.work.traffic == pytest.approx(16 * n, rel=1e-3) and found.talking == 0
        assert found.joules == pytest.approx(200 * found.seconds)
        assert found.price == pytest.approx(7.2 * found.seconds / 3600)
        assert found.moving == (pytest.approx(2e-5 + 8 * n / 1e9 + 8 * n / 2e9) if name == "cuda:0" else 0)
    assert math.isnan(whatif.WhatIf(transform, machine()).on(name, 1000).joules)


def test_it_is_what_plans_predict():
    """The same work, by the same way to seconds."""
    x, y = np.ones(5000), np.empty(5000)
    call = pp.plan(pp.transform, pp.par.on(pp.simd()), x, out=y, op=lambda v: v * 2 + 1)
    done = cost.seconds(whatif.choice.work.of(call.loop.problem), FLAT)
    assert whatif.WhatIf(transform, machine()).on("simd", 5000).seconds == done


def test_sums_of_ranks_take_one_message():
    one = whatif.WhatIf(reduce, machine())
    for count, hops in ((1, 0), (2, 1), (4, 2), (5, 3), (64, 6), (100_000, 17)):
        found = one.on("simd", 8192 * count, count)
        assert found.messages.gathers == (count > 1)  # one small record of each rank, with its part of the sum
        assert found.talking == pytest.approx(hops * 1e-6 + 256 * (count - 1) / 1e10)
        assert found.computing == pytest.approx(1e-5 + 8 * 8192 / 1e10, rel=0.01)


def test_rows_of_neighbours_do_not_grow_with_ranks():
    """But each rank sends every other one something, if it is nothing."""
    one = whatif.WhatIf(around, machine())
    few, many, most = (one.on("simd", 10_000 * count, count) for count in (8, 64, 4096))
    assert few.messages.trades == many.messages.trades == most.messages.trades > 0
    for x in (many, most):
        assert x.messages.given == pytest.approx(few.messages.given * x.ranks / 8, rel=0.02)
    assert few.work.traffic == pytest.approx(most.work.traffic, rel=0.05)
    assert few.computing == pytest.approx(most.computing, rel=0.05) and few.talking < many.talking < most.talking


def test_messages():
    some = whatif.Messages(gathers=2, told=100, trades=1, given=800)
    assert some.seconds(1, *LINK) == 0 and some.bytes(1) == 0
    assert some.bytes(8) == 100 * 7 + 700
    assert some.seconds(8, 0.0, 1e3) == pytest.approx(0.7 + 0.7)
    assert some.seconds(8, 1.0, 1e15) == pytest.approx(2 * 3 + 3)  # by way of others
    assert some.seconds(2, 1.0, 1e15) == pytest.approx(2 + 1)
    big = whatif.Messages(trades=1, given=8e9)
    assert big.seconds(8, 1e-6, 1e9) == pytest.approx(7 + 7e-6)  # straight


@pytest.mark.parametrize("name", ["sort", "scan", "histogram", "spmv", "stencil"])
def test_more_is_more(name):
    """Seconds grow with elements; work of a rank falls with ranks; without a network's cost ranks only help."""
    one = whatif.WhatIf(validate.CASES[name], machine())
    sizes = 10_000, 10**6, 10**8, 10**10
    found = [one.on("threads", n).seconds for n in sizes]
    assert found == sorted(found) and found[3] > 50 * found[2]
    alone, pair, many = (one.on("threads", 10**9, count, (0.0, 1e15)) for count in (2, 8, 64))
    assert alone.computing > 2 * pair.computing > 7 * many.computing > 0
    assert max(x.talking for x in (alone, pair, many)) < 1e-3
    assert one.on("threads", 10**9, 64, (1.0, 1e15)).talking > one.on("threads", 10**9, 8, (1.0, 1e15)).talking > 1


def test_scaling():
    one = whatif.WhatIf(transform, machine())
    weak, strong = (list(whatif.scaled(one, "simd", 10**6, 100, how)) for how in (True, False))
    assert [x.ranks for x in weak] == [x.ranks for x in strong] == [1, 2, 4, 8, 16, 32, 64, 100]
    assert [x.elements for x in weak][-2:] == [64 * 10**6, 10**8] and {x.elements for x in strong} == {10**6}
    assert all(x.computing == pytest.approx(weak[0].computing, rel=0.01) for x in weak)
    assert all(a.computing > b.computing for a, b in zip(strong, strong[1:], strict=False))


def test_parts_of_a_machine():
    both = machine()
    both.executors["threads"] = replace(FLAT, threads=5, doubles=5e10, streams=((1e3, 3e10), (1e9, 2e10)))
    three = both.fewer(3).executors["threads"]
    assert three.doubles == 3e10 and three.streams == ((1e3, 2e10), (1e9, 1.5e10)) and three.threads == 3
    assert both.fewer(1).executors["threads"] == replace(both.executors["threads"].between(FLAT, 0.0), threads=1)
    assert both.fewer(5) == both and both.fewer(1).executors["threads"].doubles == FLAT.doubles
    for count in (0, 6):
        with pytest.raises(pp.ArgumentError, match="5 threads at the most"):
            both.fewer(count)
    with pytest.raises(pp.ArgumentError, match="simd and threads"):
        Profile({"threads": FLAT}).fewer(1)
    half = both.executors["threads"].part(2)
    assert half.doubles == 2.5e10 and half.streams[0] == (500, 1.5e10) and half.threads == 2
    one = whatif.WhatIf(transform, machine())
    shared, whole = one.on("threads", 10**8, 4, each=2), one.on("threads", 10**8, 4)
    assert shared.computing == pytest.approx(2 * whole.computing, rel=0.05)


def test_cases_are_the_same_on_all_ranks(monkeypatch):
    """Of which each makes its own: results that are not written yet, too."""
    for make in validate.CASES.values():
        (_, one), (_, other) = make(500), make(500)
        for a, b in zip(one, other, strict=True):
            assert a is b is None or np.array_equal(a, b)
    monkeypatch.setattr(rates, "_known", [Profile()])
    with pytest.raises(pp.ArgumentError, match="portapar tune.*--bind-to none"):
        next(validate.cases_of_ranks())


def test_what_cannot_be_predicted():
    one = whatif.WhatIf(transform, machine())
    with pytest.raises(pp.ArgumentError, match=r"no executor 'gpu'; it has threads, simd, cuda:0"):
        one.on("gpu", 10)
    with pytest.raises(pp.ArgumentError, match="network is missing"):
        whatif.WhatIf(transform, Profile({"simd": FLAT})).on("simd", 10, 2)
    for wrong in (lambda n: None, lambda n: (1, ()), lambda n: (len, [1])):
        with pytest.raises(pp.ArgumentError, match="must be a call"):
            whatif.WhatIf(wrong, machine()).on("simd", 10)

    def scatters(n):
        def body(i, places, out):
            out[places[i]] = i

        return lambda how, *given: pp.for_each(how, n, body, *given), (np.arange(n), np.zeros(n))

    with pytest.raises(pp.PlacementError, match="writes to 'out' at other indices"):  # no rank waits for ever
        whatif.WhatIf(scatters, machine()).on("simd", 100, 4)


# files ----------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    """Writes a machine file, changed."""

    def write(change=lambda told: None):
        told = {"version": rates.VERSION, "about": {}, "executors": {"simd": asdict(FLAT)}, "shared": {}}
        change(told)
        path = tmp_path / "machine.json"
        path.write_text(json.dumps(told))
        return path

    return write


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t["executors"]["simd"].update(doubles=-1), "doubles of simd is -1"),
        (lambda t: t["executors"]["simd"].update(doubles=0), "doubles of simd is 0"),
        (lambda t: t["executors"]["simd"].update(launch=float("nan")), "launch of simd is nan"),
        (lambda t: t["executors"]["simd"].update(cache="1 MiB"), "cache of simd is '1 MiB'"),
        (lambda t: t["executors"]["simd"].update(special=None), "special of simd is None"),
        (lambda t: t["executors"]["simd"].update(far=True), "far of simd is True"),
        (lambda t: t["executors"]["simd"].update(threads=1.5), "threads of simd is 1.5"),
        (lambda t: t["executors"]["simd"].update(streams=7), "streams of simd"),
        (lambda t: t["executors"]["simd"].update(streams=[[1, 0]]), "streams of simd is 0"),
        (lambda t: t["executors"]["simd"].update(flops=1), "flops of simd is not known"),
        (lambda t: t["executors"]["simd"].pop("near"), "near of simd is missing"),
        (lambda t: t["executors"].update(simd=3), "simd of executors is 3"),
        (lambda t: t.update(executors={}), "executors is empty"),
        (lambda t: t.update(executors={}, shared={"simd+threads": [1, 1]}), "executors is empty"),
        (lambda t: t["executors"]["simd"].update(sorts=[[1e4, 0]]), "sorts of simd is 0"),
        (lambda t: t["executors"]["simd"].update(sorts={}), "sorts of simd is {}"),
        (lambda t: t["executors"]["simd"].update(capture=-1e-9), "capture of simd is -1e-09"),
        (lambda t: t["executors"]["simd"].update(looped=10**400), "looped of simd is 1000"),
        (lambda t: t.update(version=1), "version is 1"),
        (lambda t: t.update(network=[1e-6]), "network of the machine"),
        (lambda t: t.update(network=[-1e-6, 1e9]), "network of the machine is -1e-06"),
        (lambda t: t.update(network=[1e-6, float("inf")]), "network of the machine is inf"),
        (lambda t: t.update(watts={"cuda": 3}), "cuda of watts is not known"),
        (lambda t: t.update(watts={"simd": -3}), "watts of simd is -3"),
        (lambda t: t.update(watts=3), "watts is 3"),
        (lambda t: t.update(price="2 $"), "price of an hour is '2 \\$'"),
        (lambda t: t.update(source=1), "source is 1"),
        (lambda t: t.update(prize=1), "prize of the machine is not known"),
        (lambda t: t.update(shared={"a+b": [0.5, 2]}), r"what is left of a\+b is 2"),
        (lambda t: t.update(shared={"a+b": 1}), r"what is left of a\+b has 1"),
        (lambda t: t.pop("executors"), "executors"),
    ],
)
def test_errors_name_the_key(file, change, what):
    path = file(change)
    with pytest.raises(pp.ArgumentError, match=f"machine file .*machine.json: .*{what}"):
        rates.machine(path)


def test_files_that_are_no_json(file):
    path = file()
    right = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + right)  # as editors on Windows write it
    assert rates.machine(path).executors["simd"] == FLAT
    for text, what in ((b"[" * 100_000, "too many brackets"), (right[:99], "no JSON"), (b"\xff\xfe", "no JSON")):
        path.write_bytes(text)
        with pytest.raises(pp.ArgumentError, match=f"machine file .*machine.json: .*{what}"):
            rates.machine(path)


def test_profiles_of_the_repository_are_right(pytestconfig):
    found = sorted((pytestconfig.rootpath / "bench/profiles").glob("*.json"))
    assert len(found) >= 2
    for path in found:
        known = rates.machine(path)
        assert known.source and known.executors and known.network
        if not all(x.measured for x in known.executors.values()):
            assert "published" in known.source.lower()


def test_the_command(file, capsys, tmp_path, monkeypatch):
    path = str(file(lambda t: t.update(network=[1e-6, 1e10], watts={"simd": 100}, price=1, source="Invented.")))
    assert cli.main(["plan", "reduce", "--n", "1e6", "--machine", path, "--ranks", "2"]) == 0
    text = capsys.readouterr().out
    assert "Invented." in text and "4e6 bytes in order" in text.replace("4.00e6", "4e6") and " J " in text
    (tmp_path / "mine.py").write_text(
        "import numpy as np, portapar as pp\n"
        "def call(n):\n    return lambda how, x: pp.sort(how, x), (np.arange(float(n))[::-1].copy(),)\n"
    )
    assert cli.main(["plan", f"{tmp_path}/mine.py:call", "--n", "100", "--machine", path]) == 0
    capsys.readouterr()
    for more, what in (
        (["reduce", "--n", "0"], "0"),
        (["reduce", "--n", "ten"], "ten"),
        (["reduce", "--n", "1e3,1e4"], "one number"),
        (["reduce", "--n", "9", "--ranks", "-1"], "-1"),
        (["reduce", "--n", "9", "--network", "1e-6"], "--network"),
        (["reduce", "--n", "9", "--network", "nan,1"], "--network"),
        (["reduce", "--n", "9", "--threads", "2"], "simd and threads"),
        (["reduce", "--n", "9", "--executor", "gpu"], "no executor 'gpu'"),
        (["reduce", "--n", "9", "--plot", "a.png"], "--weak or --strong"),
        (["nothing", "--n", "9"], "none of polynomial-2"),
        (["nowhere.py:f", "--n", "9"], "nowhere.py"),
    ):
        assert cli.main(["plan", *more, "--machine", path]) == 2
        assert what in capsys.readouterr().err
    assert cli.main(["plan", "reduce", "--n", "9", "--machine", str(tmp_path / "no.json")]) == 2
    assert "no.json: No such file" in capsys.readouterr().err
    for more in (["--show"], []):
        assert cli.main(["tune", *more, "--threads", "2"]) == 2
        assert "--threads belongs to --validate" in capsys.readouterr().err
    monkeypatch.setattr(rates, "_known", [machine()])
    assert cli.main(["tune", "--save", str(tmp_path / "here.json")]) == 0
    assert rates.machine(tmp_path / "here.json").executors == machine().executors


def test_the_chart(file, tmp_path):
    pytest.importorskip("matplotlib")
    path, chart = str(file(lambda t: t.update(network=[1e-6, 1e10]))), tmp_path / "chart.svg"
    given = ["plan", "reduce", "--n", "1e5", "--machine", path, "--ranks", "100", "--weak", "--plot", str(chart)]
    assert cli.main(given) == 0
    assert "<svg" in chart.read_text()
