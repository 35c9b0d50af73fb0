"""Vector math on CPUs: loops call libmvec, near enough to NumPy, and every element gets the same bits anywhere."""

import ctypes
import functools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp
from portapar.kernel.jit import vecmath

ULPS = 4
# the math library's name of a function → NumPy's, whose long doubles are the oracle
ONE = {name: name for name in "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh cbrt".split()}
ONE |= {f"a{name}": f"arc{name}" for name in "sin cos tan sinh cosh tanh".split()}
ONE |= {"erf": None, "erfc": None, "exp10": None}
TWO = {"pow": "power", "atan2": "arctan2", "hypot": "hypot"}
CPUS = {  # name → what LLVM calls such CPUs, their features, libmvec's letter, bits of a vector
    "sse2": ("x86-64", "", "b", 128),
    "avx2": ("haswell", "+avx2", "d", 256),
    "avx512": ("skylake-avx512", "+avx2,+avx512f", "e", 512),
}


def features():
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_features().flatten()


def full():
    """Whether this machine's libmvec has all functions."""
    return len(vecmath.vectors(features())) == 2 * (len(ONE) + len(TWO))


needs_libmvec = pytest.mark.skipif(not full(), reason="no libmvec of glibc 2.35 or later here")


def runs_here(cpu):
    return set(filter(None, CPUS[cpu][1].split(","))) <= set(features().split(","))


def calls(llvm):
    """What is called in an LLVM text outside of our own functions."""
    return set(re.findall(r"call [^\n@]*@([\w.]+)\(", vecmath.own_text(llvm)))


LOOP = """
declare NUMBER @FUNCTION(NUMBERS)
define void @run(i64 %n, ptr noalias %out, ptr noalias %x, ptr noalias %y) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %px = getelementptr NUMBER, ptr %x, i64 %i
  %py = getelementptr NUMBER, ptr %y, i64 %i
  %to = getelementptr NUMBER, ptr %out, i64 %i
  %vx = load NUMBER, ptr %px
  %vy = load NUMBER, ptr %py
  %r = call NUMBER @FUNCTION(VALUES) nounwind willreturn memory(none)
  store NUMBER %r, ptr %to
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


@functools.cache
def loop(name, dtype, cpu):
    """A module that maps a function of the math library over an array, optimised for a CPU, and LLVM's machine."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    model, has, _, _ = CPUS[cpu]
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=model, opt=3, jit=True)
    number, count = ("double", "float")[dtype == np.float32], 2 if name in TWO else 1
    text = LOOP.replace("NUMBERS", ", ".join([number] * count)).replace("NUMBER", number)
    text = text.replace("FUNCTION", name + "f" * (dtype == np.float32))
    module = llvm.parse_assembly(text.replace("VALUES", ", ".join(f"{number} %v{k}" for k in "xy"[:count])))
    module.triple, module.data_layout = llvm.get_default_triple(), str(machine.target_data)
    module = vecmath.replaced(module, has)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    module = vecmath.settled(module, has)
    module.verify()
    return module, machine


@functools.cache
def function(name, dtype, cpu):
    """The native function of `loop` on arrays."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(*loop(name, dtype, cpu))
    engine.finalize_object()
    word = ctypes.c_void_p
    run = ctypes.CFUNCTYPE(None, ctypes.c_int64, word, word, word)(engine.get_function_address("run"))

    def call(x, y):
        out = np.full_like(x, 7)
        run(len(x), out.ctypes.data, x.ctypes.data, y.ctypes.data)
        return out

    call.engine = engine  # keeps the code
    return call


def exact(name, x, y):
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    with np.errstate(all="ignore"):
        if name in TWO:
            return getattr(np, TWO[name])(x, y)
        if name == "exp10":
            return np.longdouble(10) ** x
        if ONE[name] is None:
            return np.array([getattr(math, name)(v) for v in x], np.longdouble)
        return getattr(np, ONE[name])(x)


def assert_near(found, exact, what):
    """Within ULPS units in the last place; an overflow is one where the exact result is that near to the largest."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(found.dtype)
        unit = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, np.finfo(found.dtype).max)))
        near = np.abs(found.astype(np.longdouble) - exact) <= ULPS * unit.astype(np.longdouble)
        near |= (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    assert near.all(), (what, found[~near], exact[~near])


def assert_all_near(x, y):
    for cpu in filter(runs_here, CPUS):
        for name in (*ONE, *TWO):
            assert_near(function(name, x.dtype.type, cpu)(x, y), exact(name, x, y), (name, cpu))


@needs_libmvec
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cpu", CPUS)
def test_loops_call_the_widest_vectors(cpu, dtype):
    """Code for any CPU: it is compiled, and run if this CPU can."""
    _, has, letter, width = CPUS[cpu]
    lanes = width // np.dtype(dtype).itemsize // 8
    for name in (*ONE, *TWO):
        module, machine = loop(name, dtype, cpu)
        vector = f"_ZGV{letter}N{lanes}{'v' * (1 + (name in TWO))}_{name}{'f' * (dtype == np.float32)}"
        assert vector in calls(str(module)) and vector == vecmath.vectors(has)[name, 8 * np.dtype(dtype).itemsize]
    assembly = machine.emit_assembly(module)
    assert ("zmm" in assembly, "ymm" in assembly) == (width == 512, width >= 256)
    if runs_here(cpu):
        x, y = np.random.default_rng(0).random((2, 101), dtype)
        for name in (*ONE, *TWO):  # all that is left over has the same bits as in the loop
            run = function(name, dtype, cpu)
            whole = run(x, y)
            for n in range(1, 40):
                np.testing.assert_array_equal(run(x[n : 2 * n], y[n : 2 * n]), whole[n : 2 * n])


@needs_libmvec
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_special_values(dtype):
    info = np.finfo(dtype)
    few = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, np.nan, np.inf, -np.inf, info.max, -info.max, info.tiny,
           info.smallest_subnormal, -info.smallest_subnormal, info.tiny / 3, 1e5, -1e5, 3e30, 700.0, -740.0, 88.0,
           -100.0, 1 + info.eps, 1 - info.eps]  # fmt: skip
    x, y = (np.array(v, dtype).ravel() for v in np.meshgrid(few, few))
    assert_all_near(x, y)


@needs_libmvec
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ranges(dtype):
    rng = np.random.default_rng(3)
    for scale in (1e-3, 1.0, 30.0, 1e6):
        x, y = (rng.normal(size=5003) * scale).astype(dtype), rng.normal(size=5003).astype(dtype)
        assert_all_near(x, y)
        assert_all_near(np.abs(x), y)


@needs_libmvec
@pytest.mark.parametrize(("dtype", "width"), [(np.float64, 64), (np.float32, 32)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_values(dtype, width, data):
    values = st.lists(st.floats(width=width), min_size=40, max_size=40)
    assert_all_near(np.array(data.draw(values), dtype), np.array(data.draw(values), dtype))


def mixed(v):
    return np.sin(v) * np.exp(-v) + v**1.7 + (math.erf(v) if v > 0.5 else np.log(v))


def test_an_element_has_the_same_bits_wherever_it_lies():
    x = np.random.default_rng(1).random(4099)
    expected = pp.transform(pp.seq, x, op=mixed)
    for n in (1, 2, 3, 5, 17, 64, 67):
        for start in (0, 1, 2, 3, 7, 100):
            np.testing.assert_array_equal(
                pp.transform(pp.par, x[start : start + n], op=mixed), expected[start : start + n]
            )
    for threads in (1, 2, 3):
        how = pp.par_unseq.on(pp.threads(threads))
        np.testing.assert_array_equal(pp.transform(how, x, op=mixed), expected)
        inplace = x.copy()
        pp.transform(how.with_(schedule="dynamic"), inplace, out=inplace, op=mixed)
        np.testing.assert_array_equal(inplace, expected)
        strided = np.repeat(x, 2)
        np.testing.assert_array_equal(pp.transform(how, strided[::2], op=mixed), expected)


def test_reductions_have_the_same_bits_on_any_number_of_threads():
    x = np.random.default_rng(1).random(20_011)
    sums = {pp.transform_reduce(pp.par.on(pp.threads(k)), x, transform=mixed) for k in (1, 2, 3)}
    assert sums == {pp.transform_reduce(pp.seq, x, transform=mixed)}


@needs_libmvec
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("kernel", "name"), [(np.exp, "exp"), (math.erfc, "erfc"), (np.arctan2, "atan2")])
def test_a_loop_calls_libmvec(kernel, name, dtype):
    key = (name, np.dtype(dtype).itemsize * 8)
    arrays = (np.ones(100, dtype),) * (2 if name == "atan2" else 1)
    code = pp.inspect(kernel, pp.threads(1), *arrays)
    assert vecmath.vectors(features())[key] in calls(code["LLVM"])
    lanes = re.search(r"N(\d+)v", vecmath.vectors(features())[key])[1]
    assert code["vectorized"] == f"yes: 1 loop(s), up to {lanes} elements at a time"


@needs_libmvec
def test_branches_are_vectorized():
    def kernel(v):
        if v < 0:
            return np.sin(v)
        return np.log(v) if v > 3 else np.exp(v) * 2

    x = np.linspace(-5, 5, 1001)
    assert {"sin", "log", "exp"} <= {
        name.split("_")[-1] for name in calls(pp.inspect(kernel, pp.threads(1), x)["LLVM"])
    }
    exact = np.where(x < 0, np.sin(x), np.where(x > 3, np.log(np.abs(x) + (x <= 3)), np.exp(x) * 2))
    np.testing.assert_array_max_ulp(pp.transform(pp.par, x, op=kernel), exact, 2 * ULPS)


@needs_libmvec
def test_scalar_functions_stay_where_no_loop_is_vectorized():
    def chain(v):
        for _ in range(10):
            v = np.exp(-v)
        return v

    def steps(v, count):
        k = 0
        while k < count:
            v = 0.5 + math.log(v)
            k += 1
            if v < 0.1:
                break
        return v

    x = np.linspace(0.5, 2, 100)
    called = calls(pp.inspect(steps, pp.threads(1), x, np.int64(5))["LLVM"])
    called = [name for name in called if name != "portapar_object"]  # which compiles another form, if it is needed
    assert "log" in called and not any(name.startswith(("portapar", "_ZGV")) for name in called)
    assert any(name.startswith("_ZGV") for name in calls(pp.inspect(chain, pp.threads(1), x)["LLVM"]))


def test_powers_with_simple_exponents_call_nothing():
    x = np.linspace(0, 9, 100)
    for kernel in (lambda v: v**2.0, lambda v: v**2):
        assert not any("pow" in name for name in calls(pp.inspect(kernel, pp.threads(1), x)["LLVM"]))


SCRIPT = """
    import sys
    import numpy as np
    import portapar as pp
    from portapar.kernel.jit import vecmath

    if sys.argv[1] == "without":
        vecmath.LIBRARY = "libmissing-vectors.so.1"
    x = np.linspace(0, 1, 1001)
    y = pp.transform(pp.par, x, op=np.exp)
    assert np.allclose(y, np.exp(x), rtol=1e-15)
    print("numba" in sys.modules, y.tobytes().hex())
    if sys.argv[1] == "without":
        code = pp.inspect(np.exp, pp.threads(1), x)
        assert "_ZGV" not in code["LLVM"] and "portapar_" not in code["LLVM"].replace("portapar_object", "")
        assert code["vectorized"].endswith("but exp one at a time") or code["vectorized"] == "no"
"""


@pytest.mark.extra
def test_cached_code_works_with_and_without_libmvec(python, tmp_path):
    folder = str(tmp_path / "cache")
    fresh, cached = (python(SCRIPT, "with", PORTAPAR_CACHE_DIR=folder).split() for _ in range(2))
    assert (fresh[0], cached[0], fresh[1]) == ("True", "False", cached[1])
    other = python(SCRIPT, "without", PORTAPAR_CACHE_DIR=folder).split()  # compiled anew: not the same key
    assert other[0] == "True"


def test_other_machines_are_left_alone(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert vecmath.library.__wrapped__() is None
