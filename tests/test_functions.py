"""Functions of math, cmath and NumPy in kernels: each works as in Python, or is refused with what to write instead."""

import cmath
import math
import re
import warnings

import numpy as np
import pytest

import portapar as pp
from portapar.kernel.front.functions import substitute
from tests.conftest import executor

FLOATS = [-7.5, -2.0, -1.0, -0.5, -0.0, 0.0, 0.3, 0.5, 1.0, 2.5, 7.0, 33.25]
INTS = [-7, -2, -1, 0, 1, 2, 5, 33]
SMALL = [0, 1, 2, 3, 5, 8]
COMPLEX = [complex(a, b) for a in (-1.5, -0.25, 0.5, 2.0) for b in (-2.0, 0.75, 1.0)]
BOOLS = [False, True]
SPECIAL = [*FLOATS, math.inf, -math.inf, math.nan]


def square(*columns):
    """Every combination of two columns."""
    return [(a, b) for a in columns[0] for b in columns[-1]]


def column(values):
    return [(value,) for value in values]


# what each is tried with: the text of the call, and its operands x, y, z
CALLS = {
    "math": {
        "comb": ("math.comb(x, y)", [(n, k) for n in SMALL for k in SMALL]),
        "perm": ("math.perm(x, y)", [(n, k) for n in SMALL for k in SMALL]),
        "factorial": ("math.factorial(x)", column([*SMALL, 20])),
        "isqrt": ("math.isqrt(x)", column([*SMALL, 24, 25, 26, 2**52, 2**62 - 1])),
        "gcd": ("math.gcd(x, y)", square(INTS)),
        "lcm": ("math.lcm(x, y)", square(INTS)),
        "ldexp": ("math.ldexp(x, y)", square(FLOATS, [-3, 0, 5])),
        "dist": ("math.dist((x, y), (y, 1.0))", square(FLOATS)),
        "prod": ("math.prod((x, y, 2.0))", square(FLOATS)),
        "fsum": None,
        **{name: (f"math.{name}(x, y)", square(FLOATS)) for name in (
            "atan2", "copysign", "hypot", "nextafter", "isclose",
        )},
        **{name: (f"math.{name}(x, y)", square(FLOATS, [-2.0, 0.3, 7.0])) for name in ("fmod", "remainder")},
        "pow": ("math.pow(x, y)", square([0.5, 1.0, 2.5, 7.0], FLOATS)),
        "log": ("math.log(x, y)", square([0.5, 1.0, 2.5, 7.0], [0.5, 2.0, 10.0])),
        **{name: (f"math.{name}(x)", column([0.25, 0.5, 1.0, 2.5])) for name in ("log2", "log10", "gamma", "lgamma")},
        **{name: (f"math.{name}(x)", column([-1.0, -0.5, 0.0, 0.25, 1.0])) for name in ("acos", "asin")},
        "acosh": ("math.acosh(x)", column([1.0, 1.5, 33.0])),
        "atanh": ("math.atanh(x)", column([-0.75, 0.0, 0.5])),
        "log1p": ("math.log1p(x)", column([-0.75, 0.0, 0.5, 9.0])),
        "sqrt": ("math.sqrt(x)", column([0.0, 0.25, 2.0, 33.0])),
        **{name: (f"math.{name}(x)", column(SPECIAL)) for name in ("isnan", "isinf", "isfinite")},
        "sumprod": ("math.sumprod((x, y), (y, 2.0))", square(FLOATS)),
        "fma": ("math.fma(x, y, 1.0)", square(FLOATS)),
        "cbrt": ("math.cbrt(x)", column(FLOATS)),
        "exp2": ("math.exp2(x)", column(FLOATS)),
    },
    "np": {
        **{name: (f"np.{name}(x, y)", square(INTS)) for name in (
            "bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm",
        )},
        **{name: (f"np.{name}(x, y)", square(INTS, [0, 1, 5])) for name in (
            "left_shift", "right_shift", "bitwise_left_shift", "bitwise_right_shift",
        )},
        **{name: (f"np.{name}(x)", column(INTS)) for name in (
            "invert", "bitwise_not", "bitwise_invert", "bitwise_count",
        )},
        "ldexp": ("np.ldexp(x, y)", square(FLOATS, [-3, 0, 5])),
        **{name: (f"np.{name}(x)", column([0.25, 0.5, 1.0, 2.5])) for name in (
            "log", "log2", "log10", "log1p", "sqrt",
        )},
        **{name: (f"np.{name}(x)", column([-1.0, -0.5, 0.0, 0.25, 1.0])) for name in (
            "arccos", "arcsin", "acos", "asin",
        )},
        **{name: (f"np.{name}(x)", column([1.0, 1.5, 33.0])) for name in ("arccosh", "acosh")},
        **{name: (f"np.{name}(x)", column([-0.75, 0.0, 0.5])) for name in ("arctanh", "atanh")},
        **{name: (f"np.{name}(x, y)", square([0.5, 1.0, 2.5, 7.0], FLOATS)) for name in (
            "power", "pow", "float_power",
        )},
        **{name: (f"np.{name}(x, y)", square(FLOATS, [-2.0, 0.5, 7.0])) for name in (
            "divide", "true_divide", "floor_divide", "fmod", "mod", "remainder", "divmod",
        )},
        **{name: (f"np.{name}(x)", column(COMPLEX)) for name in (
            "conj", "conjugate", "real", "imag", "angle", "iscomplex", "isreal",
        )},
        **{name: (f"np.{name}(x)", column(SPECIAL)) for name in (
            "isnan", "isinf", "isfinite", "isposinf", "isneginf", "signbit", "sign", "nan_to_num", "frexp", "modf",
            "fix", "trunc", "rint",
        )},
        "reciprocal": ("np.reciprocal(x)", column([-2.0, 0.5, 7.0])),
        **{name: (f"np.{name}(x, y)", square(SPECIAL)) for name in (
            "maximum", "minimum", "fmax", "fmin", "heaviside", "isclose", "copysign", "logaddexp2",
        )},
        **{name: (f"np.{name}(x, y)", square(FLOATS)) for name in ("logaddexp",)},
        "allclose": ("np.allclose(x, y)", square(FLOATS)),
        "array_equal": None, "array_equiv": None,
        "clip": ("np.clip(x, y, 1.5)", square(FLOATS)),
        "where": ("np.where(x > y, x, 2 * y)", square(FLOATS)),
        "round": ("np.round(x)", column(FLOATS)),
        "around": ("np.around(x)", column(FLOATS)),
        "interp": ("np.interp(x, (-1.0, 0.5, 4.0), (3.0, y, 7.0))", square(FLOATS)),
        "polyval": ("np.polyval((2.0, y, -1.0), x)", square(FLOATS)),
        "sinc": ("np.sinc(x)", column(FLOATS)),
        "isnat": None, "matmul": None, "matvec": None, "vecmat": None, "vecdot": None,
        "real_if_close": None,
        "isscalar": None, "ndim": None, "size": None, "i0": None,
    },
    "cmath": {
        **{name: (f"cmath.{name}(x)", column(COMPLEX)) for name in (
            "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "isfinite", "isinf", "isnan",
            "log", "log10", "phase", "polar", "sin", "sinh", "sqrt", "tan", "tanh",
        )},
        "rect": ("cmath.rect(x, y)", square([0.5, 2.0], FLOATS)),
        "isclose": ("cmath.isclose(x, y)", square(COMPLEX[:5])),
    },
}  # fmt: skip
#: whose zeros have a sign to hold
SIGNED = frozenset("ceil copysign fix fmod frexp heaviside modf nan_to_num negative rint sqrt trunc".split())
MODULES = {"math": math, "np": np, "cmath": cmath}
SCALAR_FUNCTIONS = (
    "allclose angle around array_equal array_equiv clip fix i0 imag interp iscomplex isclose isneginf isposinf isreal "
    "isscalar nan_to_num ndim polyval real real_if_close round sinc size where"
).split()


def names():
    """All functions of the modules that take numbers."""
    for alias, module in MODULES.items():
        for name in sorted(vars(module)):
            value = getattr(module, name)
            scalar = isinstance(value, np.ufunc) or name in SCALAR_FUNCTIONS if module is np else callable(value)
            if scalar and not name.startswith("_"):
                yield alias, name


def call_of(alias, name):
    """The text of a call of a function, and its operands; None for what is refused."""
    if name in CALLS[alias]:
        return CALLS[alias][name]
    two = getattr(getattr(MODULES[alias], name), "nin", 1) == 2
    return (f"{alias}.{name}(x, y)", square(FLOATS)) if two else (f"{alias}.{name}(x)", column(FLOATS))


def flat(value):
    return tuple(value) if isinstance(value, tuple) else (value,)


def together(found):
    """Functions with the same operands, a dozen at most: one kernel calls them all. What is refused is alone."""
    groups = {}
    for alias, name in found:
        wanted = call_of(alias, name)
        groups.setdefault(repr((alias == "np", wanted[1] if wanted else name)), []).append((alias, name))
    dozens = [same[k : k + 12] for same in groups.values() for k in range(0, len(same), 12)]
    return [pytest.param(same, id=", ".join(f"{alias}.{name}" for alias, name in same)) for same in dozens]


def is_ours(alias, name):
    return any(substitute(getattr(MODULES[alias], name), operands) for operands in (1, 2, 3))


@pytest.mark.parametrize("functions", together(names()))
def test_every_function(module, functions):
    check(module, functions, pp.seq)


@pytest.mark.parametrize("functions", together(each for each in names() if is_ours(*each)))
def test_functions_of_our_own_on_devices(module, functions):
    check(module, functions, pp.par.on(executor("opencl:0")))


#: of complex numbers, those with several values on both sides of what divides them
COMPLEX_UFUNCS = (
    "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh "
    "rint square reciprocal sign absolute"
).split()


@pytest.mark.parametrize("kind", ["c16", "c8"])
def test_ufuncs_of_complex_numbers(renderer, module, kind):
    z = np.array([*COMPLEX, *(complex(a, b) for a in (-2.0, 0.5, 30.0) for b in (0.0, -0.0))], kind)
    made = module(
        "import numpy as np\ndef body(i, z, out):\n"
        + "".join(f"    out[i, {k}] = np.{name}(z[i])\n" for k, name in enumerate(COMPLEX_UFUNCS))
    )
    out = np.zeros((len(z), len(COMPLEX_UFUNCS)), kind)
    pp.for_each(renderer, len(z), made.body, z, out)
    for k, name in enumerate(COMPLEX_UFUNCS):
        right = getattr(np, name)(z)
        np.testing.assert_allclose(out[:, k], right, rtol=2e-5 if kind == "c8" else 1e-13, atol=1e-30, err_msg=name)


def kernel_of(module, expressions, operands, widths):
    """A kernel that stores what each call gives, and the functions themselves."""
    names, lines = "xyz"[:operands], []
    for k, width in enumerate(widths):
        lines.append(f"    found{k} = call{k}({', '.join(f'{n}s[i]' for n in names)})")
        parts = [f"found{k}[{part}]" for part in range(width)] if width > 1 else [f"found{k}"]
        lines += [f"    out{k}_{part}[i] = {text}" for part, text in enumerate(parts)]
    outs = [f"out{k}_{part}" for k, width in enumerate(widths) for part in range(width)]
    head = f"def body(i, {', '.join([*(f'{n}s' for n in names), *outs])}):\n"
    calls = [f"def call{k}({', '.join(names)}):\n    return {text}\n" for k, text in enumerate(expressions)]
    return module("import cmath, math\nimport numpy as np\n" + "".join(calls) + head + "\n".join(lines) + "\n")


def check(module, functions, policy):
    (alias, name), *_ = functions
    if call_of(alias, name) is None:
        made = module(f"import math, cmath\nimport numpy as np\ndef body(i, x):\n    x[i] = {alias}.{name}(x[i])\n")
        with pytest.raises(pp.KernelError) as caught:
            pp.for_each(policy, 1, made.body, np.ones(1))
        message = str(caught.value)
        assert f"{made.__file__}:4" in message and "Instead: " in message, message
        assert f"{alias}.{name}" in message and not re.search(r"[Nn]umba|nopython|Untyped|overload", message)
        return
    expressions, rows = [call_of(*each)[0] for each in functions], call_of(alias, name)[1]
    columns = [np.array(values) for values in zip(*rows, strict=True)]
    plain = kernel_of(module, expressions, len(columns), [1] * len(functions))
    expected = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for k in range(len(functions)):
            found = []
            for row in zip(*columns, strict=True):
                numbers = row if alias == "np" else [value.item() for value in row]
                found.append(tuple(np.asarray(part)[()] for part in flat(getattr(plain, f"call{k}")(*numbers))))
            expected.append(list(zip(*found, strict=True)))
    made = kernel_of(module, expressions, len(columns), [len(parts) for parts in expected])
    kinds = [np.result_type(*parts) for each in expected for parts in each]
    outs = [np.zeros(len(rows), kind if kind.kind != "i" else np.int64) for kind in kinds]
    pp.for_each(policy, len(rows), made.body, *columns, *outs)
    stored = iter(outs)
    for (_, name), expression, each in zip(functions, expressions, expected, strict=True):
        for parts in each:
            out = next(stored)
            np.testing.assert_allclose(out, np.array(parts), rtol=2e-13, atol=1e-300, err_msg=expression)
            if out.dtype.kind == "f" and name in SIGNED:
                zero = out == 0
                np.testing.assert_array_equal(np.signbit(out[zero]), np.signbit(np.array(parts)[zero]))


REFUSED = {
    "np.random.rand()": r"pp\.random\.uniform\(seed, i\)",
    "np.random.normal(0.0, 1.0)": r"pp\.random\.normal\(seed, i\)",
    "np.random.randint(5)": r"pp\.random\.integers\(seed, i",
    "random.random()": r"pp\.random\.uniform\(seed, i\)",
    "special.erf(x[i])": r"math\.erf\(x\)",
    "special.gammaln(x[i])": r"math\.lgamma\(x\)",
    "special.expit(x[i])": r"1 / \(1 \+ math\.exp\(-x\)\)",
    "special.jv(1.0, x[i])": "outside of the kernel",
    "math.sqr(x[i])": "'sqrt'",
    "np.atan3(x[i])": "'atan2?'",
    "math.maximum(x[i], 1.0)": r"write np\.maximum",
    "np.erf(x[i])": r"write math\.erf",
    "time.time()": "outside of the kernel",
    "np.median(x)": "loop over the elements",
    "np.array([1.0, 2.0])": r"\.sum\(\)",
    "np.linspace(0, 1, 5)": r"start \+ k \* step",
    "pp.atomic.add(x, 1.0)": r"write pp\.atomic\.add\(x, i, 1\.0\)",
    "pp.atomic.add(x[i], 1.0)": r"write pp\.atomic\.add\(x, i, 1\.0\)",
    "pp.atomic.min(x[i + 1], x[i])": r"write pp\.atomic\.min\(x, i \+ 1, x\[i\]\)",
    "pp.atomic.cas(x, i, 1.0)": r"write pp\.atomic\.cas\(x, i, expected, new\)",
    "pp.atomic.add(x, index=i, value=1.0)": "by position",
    "isinstance(x, float)": "compiled for the types",
    "helper(x[i], 1.0, 2.0)": "pass what it needs",
}
HEAD = """
import math, random, time
import numpy as np
import portapar as pp
from scipy import special
def helper(v):
    return v
def body(i, x):
    x[i] = """


@pytest.mark.parametrize("call", REFUSED)
def test_refused_with_what_to_write(module, call):
    pytest.importorskip("scipy")
    made = module(HEAD + call + "\n")
    with pytest.raises(pp.KernelError) as caught:
        pp.for_each(pp.seq, 2, made.body, np.ones(2))
    message = str(caught.value)
    assert f"{made.__file__}:9" in message and f"x[i] = {call}" in message, message
    assert re.search(f"Instead: .*{REFUSED[call]}", message), message


def scaled(x, factor, offset=1.0):
    return x * factor + offset


def test_keywords():
    x = np.linspace(-2.0, 2.0, 9)

    def kernel(v):
        low = np.clip(v, a_min=-1.0, a_max=1.5) + np.clip(v, None, 0.5) + np.clip(v, -0.5, None)
        near = math.isclose(v, 1.0, rel_tol=0.3) + np.isclose(v, 1.0, atol=0.6, rtol=0.0)
        return low + near + scaled(v, offset=2.0, factor=3.0) + np.nan_to_num(v / v, nan=7.0)

    with np.errstate(all="ignore"):
        expected = np.array([kernel(v) for v in x])
    for policy in (pp.seq, pp.par.on(executor("opencl:0"))):
        np.testing.assert_allclose(pp.transform(policy, x, op=kernel), expected, rtol=1e-15)


def test_single_precision_stays():
    x = np.linspace(-2, 2, 9, dtype=np.float32)
    y = x[::-1].copy()
    for op in (
        lambda a, b: np.clip(a, b, a),
        lambda a, b: np.where(a > b, a, b),
        lambda a, b: np.fix(a),
        lambda a, b: np.modf(a)[0],
    ):
        assert pp.transform(pp.seq, x, y, op=op).dtype == np.float32


@pytest.mark.extra
def test_long_sums(module, renderer):
    """Compilers nest what they do for each term; Python itself compiles at most some thousand."""
    chain = " + ".join(f"x * {k}.0" for k in range(400))
    update = f"o[i] -= {chain.replace('x', 'x[i]')}"
    made = module(f"def f(x):\n    return {chain}\n\n\ndef g(i, x, o):\n    if i > 0:\n        {update}\n")
    x, out = np.arange(4.0), np.zeros(4)
    np.testing.assert_array_equal(pp.transform(renderer, x, op=made.f), [made.f(v) for v in x])
    pp.for_each(renderer, 4, made.g, x, out)
    np.testing.assert_array_equal(out, [-made.f(v) for v in x])


def test_what_is_nested_too_deeply_is_told(module):
    made = module(f"def f(x):\n    return {'-(' * 90}x{' + 1)' * 90}\n")
    assert pp.transform(pp.par, np.ones(1), op=made.f)[0] == made.f(1.0)


#: whole numbers of any width; those of `math` are Python's, which has no widths
OF_WHOLE_NUMBERS = (
    "math.comb(abs(int(a)), 2), math.comb(a, b % 4), math.perm(a, b % 4), math.factorial(abs(int(b)) % 15), "
    "math.lcm(a, b), math.gcd(a, b, 6), math.isqrt(abs(int(a))), math.isclose(a, b, abs_tol=3), "
    "math.isclose(a, b, rel_tol=0.5), np.isclose(a, b, atol=3), np.isclose(a, b, rtol=0.7), np.lcm(a, b), "
    "np.gcd(a, b), math.dist((a,), (b,)), math.remainder(a, b + 0.0), math.modf(a)[1], math.frexp(a)[0], "
    "math.frexp(a)[1], math.ulp(a), np.heaviside(a, b), math.hypot(a, b, a), np.clip(a, 2, b), np.where(a > b, a, b), "
    "np.nan_to_num(a), np.interp(a, (0.0, 50.0), (1.0, 3.0))"
)


@pytest.mark.parametrize(("left", "right"), [("i1", "i1"), ("u1", "i4"), ("i1", "u4"), ("u2", "u1")])
def test_whole_numbers_of_any_width(renderer, module, left, right):
    def few(kind):
        info = np.iinfo(kind)
        return np.array([v for v in (info.max, info.min, 7, 100, 3, -3, -120) if info.min <= v <= info.max], kind)

    a, b = (x.ravel() for x in np.meshgrid(few(left), few(right)))
    expressions = re.split(r", (?=np|math)", OF_WHOLE_NUMBERS)
    outs = [np.zeros(len(a)) for _ in expressions]
    lines = "".join(f"    out{k}[i] = {text}\n" for k, text in enumerate(expressions))
    names = ", ".join(f"out{k}" for k in range(len(outs)))
    made = module(f"import math\nimport numpy as np\ndef body(i, x, y, {names}):\n    a, b = x[i], y[i]\n{lines}")
    pp.for_each(renderer, len(a), made.body, a, b, *outs)
    for text, out in zip(expressions, outs, strict=True):
        for x, y, found in zip(a, b, out, strict=True):
            try:
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    right = float(eval(text, {"math": math, "np": np, "a": x, "b": y}))
            except ValueError:  # which kernels cannot raise
                continue
            if abs(right) < 2**63:
                np.testing.assert_allclose(found, right, rtol=1e-14, err_msg=f"{text} of {x!r} and {y!r}")


def test_complex_numbers_in_order_and_near(renderer):
    """By their real parts, then the imaginary ones; the first with a NaN counts, or does not, as in NumPy."""
    some = [complex(a, b) for a in (1.0, -2.0, np.nan, np.inf) for b in (0.0, 3.0, np.nan, -np.inf)]
    for kind in ("c16", "c8"):
        a, b = (x.ravel() for x in np.meshgrid(np.array(some, kind), np.array(some, kind)))
        for ufunc in (np.minimum, np.maximum, np.fmin, np.fmax):
            np.testing.assert_array_equal(pp.transform(renderer, a, b, op=ufunc), ufunc(a, b), err_msg=ufunc.__name__)
        found = pp.transform(renderer, a, b, op=lambda a, b: np.isclose(a, b, rtol=0.9))
        np.testing.assert_array_equal(found, np.isclose(a, b, rtol=0.9))
        x, n = np.array([1 + 2j, -3.0, 0.5j], kind), np.array([True, False, True])
        found = pp.transform(renderer, x, n, op=lambda x, n: np.float_power(x, n) + np.float_power(x, 2.5))
        np.testing.assert_allclose(found, np.float_power(x, n) + np.float_power(x, 2.5), rtol=1e-14)


def test_what_our_functions_cannot_do_is_told_at_the_users_line(renderer, module):
    for text in ("math.isclose(z[i], 2.0)", "math.frexp(z[i])[0]", "math.prod((x[i], 2 * z[i], 3.0))"):
        made = module(f"import math\ndef body(i, x, z):\n    x[i] = 1.0\n    x[i] += {text}.real\n")
        with pytest.raises(pp.KernelError, match=rf"'body' \({re.escape(made.__file__)}:4\)"):
            pp.for_each(renderer, 2, made.body, np.ones(2), np.ones(2, complex))


@pytest.mark.parametrize("kind", ["i1", "i4", "u4", "i8", "u8"])
def test_exponents_of_any_width(renderer, kind):
    info = np.iinfo(kind)
    n = np.array([v for v in (0, 3, -3, 120, info.max, info.min, 2**32, 2**32 + 1) if info.min <= v <= info.max], kind)
    for number in (np.float64(0.75), np.float32(-1.5), np.float64(0.0), np.float64(np.inf)):
        x = np.full(len(n), number)
        with np.errstate(all="ignore"):
            scale = np.exp2(np.clip(n.astype(float), -2000, 2000)).astype(x.dtype)
            right = x * scale if number * 0 == 0 != number else x
        for op in (lambda x, n: np.ldexp(x, n), lambda x, n: math.ldexp(x, n)):
            found = pp.transform(renderer, x, n, op=op)
            assert found.dtype == x.dtype
            np.testing.assert_array_equal(found, right)


def test_hypotenuses_of_any_width(renderer):
    long = np.array([2**64 - 1, 3, 2**63], np.uint64)
    for kind in ("u2", "i8", "u8", "f4", "f8"):
        short = np.array([100, 4, 2], kind)
        found = pp.transform(renderer, short, long, op=lambda a, b: math.hypot(a, b))
        np.testing.assert_allclose(found, [math.hypot(a, b) for a, b in zip(short, long, strict=True)], rtol=1e-6)
    assert pp.transform(renderer, short.astype("f4"), short.astype("f4"), op=math.hypot).dtype == np.float32
