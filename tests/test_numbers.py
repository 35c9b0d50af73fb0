"""Numbers in kernels: the tables of docs/kernels.md, and every operator and kind of number against NumPy."""

import ctypes
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

import portapar as pp

WHOLE = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
ULPS = 4


def values(dtype):
    """Numbers of a dtype at and around its limits, and a few plain ones."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        few = [0, 1, 2, 3, 7, 10, 31, 63, 64, 65, 70, info.max, info.max - 1, info.max // 2 + 1, info.min, info.min + 1]
        few += [-1, -2, -3, -7, -64] if dtype.kind == "i" else []
        return np.array([v for v in few if info.min <= v <= info.max], dtype)
    if dtype.kind == "f":
        info = np.finfo(dtype)
        few = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 7.0, -7.0, 0.1, 1e5, np.inf, -np.inf, np.nan]
        return np.array([*few, info.max, -info.max, info.tiny, info.smallest_subnormal, -info.tiny / 3], dtype)
    parts = [0.0, -0.0, 1.0, -2.0, 3.5, np.inf, np.nan]
    return np.array([complex(a, b) for a in parts for b in parts], dtype)


def pairs(left, right):
    """Every value of one kind with every value of the other."""
    both = list(itertools.product(values(left), values(right)))
    return np.array([a for a, _ in both], left), np.array([b for _, b in both], right)


def compute(module, policy, expressions, **arrays):
    """What a kernel makes of expressions of the arrays' elements: one array each, from one kernel."""
    with np.errstate(all="ignore"):
        wanted = [eval(e, {"np": np, **arrays}) for e in expressions]
    outs = [np.full(w.shape, 77).astype(w.dtype) for w in wanted]
    names = [f"o{k}" for k in range(len(outs))]
    lines = [f"    {n}[i] = {e}" for n, e in zip(names, expressions, strict=True)]
    elements = [f"    {n} = {n}_[i]" for n in arrays]
    head = f"import numpy as np\n\n\ndef body(i, {', '.join([*(n + '_' for n in arrays), *names])}):\n"
    made = module(head + "\n".join([*elements, *lines]) + "\n")
    pp.for_each(policy, len(outs[0]), made.body, *arrays.values(), *outs)
    return zip(expressions, outs, wanted, strict=True)


def assert_same(found, wanted, arrays, what, ulps=0, zeros=True):
    """Equal, signs of zeros included, NaN wherever NaN; or `ulps` units in the last place apart."""
    parts = [(found, wanted)]
    if wanted.dtype.kind == "c":
        parts = [(found.real, wanted.real), (found.imag, wanted.imag)]
    same = np.ones(len(wanted), bool)
    for x, y in parts:
        equal = (x == y) | ((x != x) & (y != y))
        if y.dtype.kind == "f":
            equal &= (np.signbit(x) == np.signbit(y)) | (y != y) | (not zeros)
            with np.errstate(all="ignore"):
                equal |= (np.abs(x - y) <= ulps * np.spacing(np.abs(y))) & (ulps > 0)
        same &= equal
    bad = np.flatnonzero(~same)[:5]
    shown = [(*(a[k] for a in arrays), found[k], wanted[k]) for k in bad]
    assert same.all(), f"{what}: operands, found, wanted: {shown}"


# the tables of the manual ------------------------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent / "docs" / "kernels.md").read_text()
NAMES = {name: getattr(np, name) for name in "int8 uint8 int16 uint16 int32 uint32 int64 uint64".split()}
NAMES |= {name: getattr(np, name) for name in "float32 float64 complex64 complex128 inf nan".split()}
NAMES |= {"bool": np.bool_, "complex": complex}


def rows(width):
    """The rows of the tables of so many columns: the texts of their cells."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:3] == "| `"]
    return [cells for cells in found if len(cells) == width]


def operands(text):
    return [eval(part, NAMES) for part in re.findall("`(.*?)`", text)]


def test_every_row_of_the_table(renderer, module):
    """All in one kernel: operands and results lie in an array for each dtype."""
    given, results, lines = {}, {}, []
    table = [row for row in rows(4) if row[2] != "refused"]
    assert len(table) > 60
    for expression, values, result, _ in table:
        for name, value in zip("ab", operands(values), strict=False):
            have = given.setdefault(value.dtype, [])
            lines.append(f"    {name} = {value.dtype.name}_in[np.uint64({len(have)})]")
            have.append(value)
        (value,) = operands(result)
        have = results.setdefault(value.dtype, [])
        lines.append(f"    {value.dtype.name}_out[np.uint64({len(have)})] = {expression.strip('`')}")
        have.append((value, f"{expression} of {values}"))
    arrays = {f"{dtype.name}_in": np.array(held, dtype) for dtype, held in given.items()}
    arrays |= {f"{dtype.name}_out": np.full(len(held), 55).astype(dtype) for dtype, held in results.items()}
    head = f"import math\nimport numpy as np\n\n\ndef body(i, {', '.join(arrays)}):\n"
    with np.errstate(all="ignore"):
        pp.for_each(renderer, 1, module(head + "\n".join(rename(lines)) + "\n").body, *arrays.values())
    for dtype, held in results.items():
        found = arrays[f"{dtype.name}_out"]
        for k, (value, what) in enumerate(held):
            assert_same(found[k : k + 1], np.array([value]), (), what)


def rename(lines):
    """Operands of different rows have names of their own: a variable has one type."""
    row = 0
    for line in lines:
        yield re.sub(r"\b([ab])\b(?=[^(]|$)", rf"\g<1>{row}", line)
        row += "_out[" in line


@pytest.mark.parametrize("row", rows(4), ids=lambda row: f"{row[0]} of {row[1]}".replace("`", ""))
def test_types_in_the_table(row):
    """The dtype of a result, which a store would hide."""
    from portapar.kernel.front.functions import substitute
    from portapar.kernel.jit.typing import TypingFailure, dtype_of, infer, numba_type

    kinds = tuple(numba_type(value.dtype) for value in operands(row[1]))
    space = {"np": np, "math": math}
    exec(f"def f({', '.join('ab'[: len(kinds)])}):\n    return {row[0].strip('`')}", space)
    called = re.fullmatch(r"`np\.(\w+)\(a\)`", row[0])
    function = called and substitute(getattr(np, called[1]), 1) or space["f"]  # as in a kernel
    if row[2] == "refused":
        with pytest.raises(TypingFailure):
            infer(function, kinds)
    else:
        assert dtype_of(infer(function, kinds).return_type) == operands(row[2])[0].dtype


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_functions_are_as_near_as_the_table_says(renderer, module, dtype):
    bounds = {}
    for functions, cpus, opencl in rows(3):
        for name in re.findall("`(.*?)`", functions):
            bounds[name] = int(opencl if "opencl" in str(renderer) else cpus)
    assert len(bounds) > 20
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.random(300), rng.random(300) * 20, [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan]]).astype(
        dtype
    )
    x = np.concatenate([x, -x])
    y = np.roll(x, 5)
    two = ("np.hypot", "np.arctan2")
    names = [name for name in bounds if name != "a ** b"]
    calls = [f"{name}(x[i], y[i])" if name in two else f"{name}(x[i])" for name in names]
    for start in range(0, len(names), 12):  # not too many arguments
        part = range(start, min(start + 12, len(names)))
        head = f"import math\nimport numpy as np\n\n\ndef body(i, x, y, {', '.join(f'o{k}' for k in part)}):\n"
        made = module(head + "".join(f"    o{k}[i] = {calls[k]}\n" for k in part))
        outs = [np.full(len(x), 5, dtype) for _ in part]
        pp.for_each(renderer, len(x), made.body, x, y, *outs)
        for k, found in zip(part, outs, strict=True):
            module_name, name = names[k].split(".")
            with np.errstate(all="ignore"):
                wide = x.astype(np.longdouble), y.astype(np.longdouble)
                if module_name == "math":
                    exact = np.array([getattr(math, name)(v) for v in x]).astype(dtype)
                else:
                    exact = getattr(np, name)(*wide[: 1 + (names[k] in two)]).astype(dtype)
            assert_same(found, exact, (x, y), names[k], bounds[names[k]], zeros=False)


def typed(function, *kinds):
    """The dtype that a kernel's operator gives for operands of these kinds; None if there is none."""
    from portapar.kernel.jit.promotion import weak
    from portapar.kernel.jit.typing import TypingFailure, dtype_of, infer, numba_type

    found = tuple(weak(numba_type(kind)) if kind in (int, float, complex) else numba_type(kind) for kind in kinds)
    try:
        return dtype_of(infer(function, found).return_type)
    except TypingFailure:
        return None


def test_a_function_is_typed_anew_for_python_numbers(renderer):
    def add(a, b):
        return a + b

    for x in (np.arange(5, dtype=np.int8), np.arange(5, dtype=np.float32)):
        for number in (1, np.int64(2), 1, 1.0, np.float64(2), 1.0):
            found = pp.transform(renderer, x, number, op=add)
            assert found.dtype == (x + number).dtype, (x.dtype, type(number))
            assert np.array_equal(found, x + number)


@pytest.mark.parametrize("sign", "+ - * / // % ** & == <".split())
def test_promotion_is_that_of_numpy(sign):
    function = eval(f"lambda a, b: a {sign} b")
    kinds = [*WHOLE, np.bool_, np.float32, np.float64, np.complex64, np.complex128, int, float, complex]
    python = (int, float, complex)
    for left, right in itertools.product(kinds, kinds):
        if left in python and right in python:
            continue
        try:
            with np.errstate(all="ignore"):
                wanted = np.asarray(function(left(1), right(1))).dtype
        except TypeError:
            continue
        if sign == "<" and "c" in (np.dtype(left).kind, np.dtype(right).kind):
            wanted = None
        assert typed(function, left, right) == wanted, (left, sign, right)


NARROW = [(np.int8, np.int8), (np.uint8, np.uint8), (np.int16, np.uint8), (np.uint32, np.int32), (np.uint64, np.int16),
          (np.float32, np.int8), (np.int32, np.float32), (np.uint64, np.float32), (np.bool_, np.uint16)]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), NARROW)
def test_numbers_of_different_widths(renderer, module, left, right):
    a, b = pairs(left, right)
    signs = "a + b, a * b, a // b, a % b, a < b, a >= b, a == b, a / b, a + 1, 2 * b, a * 0.5"
    signs += "" if left is np.bool_ else ", a - b"
    for expression, found, wanted in compute(module, renderer, split(signs), a=a, b=b):
        assert_same(found, wanted, (a, b), expression)


def test_python_numbers_are_weak(policy):
    x = np.array([1.5, -2.25, 3.0], np.float32)
    scale, shift, exact = 0.1, 3, np.float64(0.1)
    for op, wanted in [
        (lambda v: scale * v + shift, np.float32(0.1) * x + np.float32(3)),
        (lambda v: v * exact, x * np.float64(0.1)),
        (lambda v: half(v) - 1, x * np.float32(0.5) - np.float32(1)),
        (lambda v: total(v), x + np.float32(1.5)),
    ]:
        found = pp.transform(policy, x, op=op)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)

    def index(i, x, o):
        o[i] = i * x[i] + len(x) + x.shape[0]

    o = np.zeros(3)
    pp.for_each(policy, 3, index, x, o)
    np.testing.assert_array_equal(o, np.arange(3, dtype=np.float32) * x + np.float32(6))


def half(v):
    return v * 0.5


def total(v):
    t = 0
    for k in range(3):
        t += v if k == 0 else 0.75
    return t


def test_sums_of_small_integers_are_wide(policy):
    x = np.arange(1000).astype(np.uint8)
    for op in (pp.plus, lambda a, b: a + b, np.add):
        total = pp.reduce(policy, x, op=op)
        assert total == x.sum() and total.dtype == np.uint64
    assert pp.reduce(policy, x, op=pp.maximum).dtype == np.uint8
    assert pp.reduce(policy, x > 7) == np.sum(x > 7)
    np.testing.assert_array_equal(pp.inclusive_scan(policy, x), np.cumsum(x))
    assert pp.inner_product(policy, x, x) == np.sum(x.astype(np.uint64) ** 2)
    assert pp.inner_product(policy, x.view(np.int8), x) == np.dot(x.view(np.int8).astype(int), x.astype(int))


WIDE = [np.int64, np.uint64]


@pytest.mark.parametrize("dtype", WIDE)
def test_whole_numbers(renderer, module, dtype):
    a, b = pairs(dtype, dtype)
    signs = "a + b, a - b, a * b, a // b, a % b, a << b, a >> b, a & b, a | b, a ^ b, a < b, a >= b, a == b, -a, ~a"
    functions = "abs(a), "
    functions += "np.left_shift(a, b), np.right_shift(a, b), np.fmod(a, b), np.minimum(a, b), np.square(a), np.sign(a)"
    for expression, found, wanted in compute(module, renderer, split(f"{signs}, {functions}"), a=a, b=b):
        assert_same(found, wanted, (a, b), expression)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_floats(renderer, module, dtype):
    a, b = pairs(dtype, dtype)
    exact = "a + b, a - b, a * b, a / b, a // b, a % b, a < b, a <= b, a != b, -a, abs(a), np.fmod(a, b)"
    more = "np.floor_divide(a, b), np.remainder(a, b), np.minimum(a, b), np.maximum(a, b), np.sign(a), np.reciprocal(a)"
    more += ", np.rint(a), np.floor(a), np.ceil(a), np.trunc(a), np.sqrt(a), np.copysign(a, b)"
    for expression, found, wanted in compute(module, renderer, split(f"{exact}, {more}"), a=a, b=b):
        # which of two zeros is the lesser one depends on NumPy's vectors
        assert_same(found, wanted, (a, b), expression, zeros="imum" not in expression)


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_complex_numbers(renderer, module, dtype):
    a, b = pairs(dtype, dtype)
    signs = "a + b, a - b, a * b, a / b, a == b, a != b, np.reciprocal(a), np.sign(a), -a, a ** -1, a ** 2, a ** 3"
    for expression, found, wanted in compute(module, renderer, split(signs), a=a, b=b):
        near = "sign" in expression or "**" in expression
        assert_same(found, wanted, (a, b), expression, ulps=2 * near, zeros=not near)


def split(text):
    """Expressions at the commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for k, c in enumerate(text + ","):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(text[start:k].strip())
            start = k + 1
    return parts


EXPONENTS = [-7, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8, 13, 31, 0.5, -2.5]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_powers_are_near(renderer, module, dtype):
    x = np.concatenate([values(dtype), np.random.default_rng(5).lognormal(0, 9, 2000).astype(dtype)])

    def exact(x, e):
        with np.errstate(all="ignore"):
            return np.power(x.astype(np.longdouble), np.broadcast_to(e, len(x))).astype(dtype)  # not sqrt for 0.5

    lines = "".join(f"    o{k}[i] = x[i] ** {e}\n" for k, e in enumerate(EXPONENTS))
    names = ", ".join(f"o{k}" for k in range(len(EXPONENTS)))
    made = module(f"def body(i, x, {names}):\n{lines}")
    outs = [np.full(len(x), 77, dtype) for _ in EXPONENTS]
    pp.for_each(renderer, len(x), made.body, x, *outs)
    for e, found in zip(EXPONENTS, outs, strict=True):
        assert_same(found, exact(x, e), (x,), f"** {e}", ULPS)

    def both(i, x, n, y, o, p):
        o[i] = x[i] ** n[i]
        p[i] = x[i] ** y[i]

    whole = np.array([e for e in EXPONENTS if e == int(e)], np.int64)
    x, n = np.tile(x, len(whole)), np.repeat(whole, len(x))
    o, p = np.full((2, len(x)), 77, dtype)
    pp.for_each(renderer, len(x), both, x, n, n.astype(dtype), o, p)
    for found in (o, p):
        assert_same(found, exact(x, n), (x, n), "** n", ULPS)


def test_powers_of_whole_numbers(renderer):
    a, n = pairs(np.int64, np.int64)
    found = pp.transform(renderer, a, n, op=lambda a, n: a**n)

    def wanted(a, n):
        if n < 0:
            return {1: 1, -1: (-1) ** (n % 2)}.get(a, 0)
        return (pow(a, n, 2**64) + 2**63) % 2**64 - 2**63

    np.testing.assert_array_equal(found, [wanted(int(x), int(y)) for x, y in zip(a, n, strict=True)])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cube_roots(renderer, dtype):
    x = np.concatenate([values(dtype), np.array([1e-30, 1e30, 27.0, -8.0, 1e-44, 1e38], dtype)])
    info = np.finfo(dtype)
    x = np.concatenate([x, (np.random.default_rng(2).random(2000) * info.max).astype(dtype)])
    x = np.concatenate([x, -x, x * info.tiny, 2.0 ** np.arange(-149, 120, dtype=dtype) * dtype(1.1)])
    with np.errstate(all="ignore"):
        assert_same(pp.transform(renderer, x, op=np.cbrt), np.cbrt(x), (x,), "cbrt", ULPS)


# weak numbers in tuples ------------------------------------------------------------------------------------------


def in_a_loop(x):
    t = (0, 0.0)
    for k in range(3):
        t = (t[0] + k, t[1] + x)
    return t[0] + t[1]


def on_two_paths(x):
    best = (0, (0.5, 1))
    if x > 2:
        best = (x, (x, 2))
    elif x > 1:
        best = (1, (2, x))
    return best[0] + best[1][0] * best[1][1]


def returned(x):
    a, b = either(x)
    return a * b


def either(x):
    if x > 2:
        return x, 1
    return 0.5, x


@pytest.mark.parametrize("kernel", [in_a_loop, on_two_paths, returned])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_weak_numbers_in_tuples(renderer, kernel, dtype):
    x = np.linspace(0, 3, 31).astype(dtype)
    got = pp.transform(renderer, x, op=kernel)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, [kernel(v) for v in x], rtol=1e-6)


# nothing ends a loop early -----------------------------------------------------------------------------------


def steps(i, x, o):
    total = 0
    for k in range(0, 5, i % 3):
        total += k + 1
    o[i] = total


def of_a_tuple(i, x, o):
    o[i] = (x[i], 2.0, 3.0)[i % 7 - 2]


def inverse(i, x, o):
    o[i] = x[i] ** -1


def quotient(i, x, o):
    z = complex(1.0, 0.0) / complex(x[i], 0.0)
    o[i] = z.real


def modulo(i, x, o):
    n = int(x[i])
    o[i] = i // n + i % n + divmod(i, n)[0] + 1 % n


def power(i, x, o):
    n = np.int64(x[i])
    o[i] = n ** (-1 - i % 2) + (0 if n else n ** -(2**62))


@pytest.mark.parametrize(
    ("kernel", "oracle"),
    [
        (steps, lambda i, v: sum(k + 1 for k in range(0, 5, i % 3)) if i % 3 else 0),
        (of_a_tuple, lambda i, v: (v, 2.0, 3.0)[min(i % 7 - 2, 2)]),
        (inverse, lambda i, v: 1 / v if v else np.inf),
        (quotient, lambda i, v: 1 / v if v else np.inf),
        (modulo, lambda i, v: i + i + 0 + 0 if v == 1 else 0),
        (power, lambda i, v: v),
    ],
)
def test_nothing_ends_a_loop_early(where, kernel, oracle):
    n = 20_000
    x = np.ones(n)
    x[[0, 5, 4097, 15_000]] = 0
    o = np.full(n, -5.0)
    pp.for_each(pp.par.on(where), n, kernel, x, o)
    np.testing.assert_array_equal(o, [oracle(i, v) for i, v in enumerate(x)])


def test_counts_and_selections_see_every_element(policy):
    x = np.ones(30_000)
    x[7_000] = 0
    assert pp.count_if(policy, x, lambda v: v**-1 > 0.5) == len(x)
    assert len(pp.copy_if(policy, x, lambda v: v**-1 > 1.5)) == 1
    assert pp.transform_reduce(policy, x, transform=lambda v: 1.0 if 1 / v > 1 else 0.0) == 1


def test_sums_of_indices_may_overflow(renderer):
    def doubled(i, o):
        s = i + 1
        for _ in range(63):
            s = s + s
        o[i] = -1 if s < 0 else 1

    o = np.zeros(9, np.int64)
    pp.for_each(renderer, len(o), doubled, o)
    np.testing.assert_array_equal(o, [-1, 1] * 4 + [-1])


def rounded(i, x, digits, *outs):
    v, d = x[i], digits[i]
    outs[0][i] = round(v, d)
    outs[1][i] = np.round(v, d)
    outs[2][i] = np.around(v, decimals=-2)
    outs[3][i] = round(v, ndigits=1)
    outs[4][i] = np.round(v)
    outs[5][i] = round(v)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, *(pytest.param(k, marks=pytest.mark.extra) for k in WHOLE[1:7])])
def test_whole_numbers_are_rounded_exactly(renderer, dtype):
    info = np.iinfo(dtype)
    few = [*values(dtype).tolist(), 5, 15, 25, 50, 105, 2**53 + 1, 2**53 + 5, 10**18 + 5 * 10**16, 10**18 + 15 * 10**16]
    few = [v for v in [*few, *(-v for v in few)] if info.min <= v <= info.max]
    given = list(itertools.product(few, (-25, -20, -19, -18, -17, -10, -3, -2, -1, 0, 1, 30)))
    x, digits = np.array([v for v, _ in given], dtype), np.array([d for _, d in given])
    outs = [np.full(len(x), 7, dtype) for _ in range(6)]
    pp.for_each(renderer, len(x), rounded, x, digits, *outs)
    for out, to in zip(outs, (None, None, -2, 1, 0, 0), strict=True):
        wanted = [round(v, d if to is None else to) % 2**info.bits for v, d in given]  # wraps
        np.testing.assert_array_equal(out, np.array(wanted, f"u{info.bits // 8}").astype(dtype))


def test_pythons_whole_numbers_are_rounded_exactly(renderer):
    def body(i, a, b, c):
        a[i] = round(i + 2**53 + 5, -1)
        b[round(i * 10 + 4, -1) // 10] = i  # stays an index
        c[i] = round(True, 0) + round(i == 3) + np.round(i)

    a, b, c = (np.zeros(9, np.int64) for _ in range(3))
    pp.for_each(renderer, 9, body, a, b, c)
    np.testing.assert_array_equal(a, [round(i + 2**53 + 5, -1) for i in range(9)])
    np.testing.assert_array_equal(b, np.arange(9))
    np.testing.assert_array_equal(c, [1 + (i == 3) + i for i in range(9)])


def test_native_code_that_fails_is_an_error():
    from portapar.kernel.cpu.jobs import job, run_alone
    from portapar.kernel.cpu.pool import Pool
    from portapar.kernel.jit.native import native

    def chunk(lo, hi, block):
        if hi > 5000:
            raise ValueError("no")
        return hi

    function = native("a chunk that fails", lambda: chunk, 3)
    assert function(0, 10, 0) == 10
    with pytest.raises(pp.KernelError, match="outputs are undefined"):
        function(0, 9999, 0)
    pool = Pool(2)
    for hi in (4000, 100_000, 4000):
        for schedule in ("static", "dynamic"):
            work = job(function.address, 0, hi, 64, 64, 2, schedule)
            runs = [
                lambda work=work, hi=hi: run_alone(ctypes.addressof(work), 0, 0, hi),
                lambda work=work: pool.run(ctypes.addressof(work), 0),
            ]
            for run in runs:
                if hi < 5000:
                    assert run()
                else:
                    with pytest.raises(pp.KernelError, match="outputs are undefined"):
                        run()
    pool.close()
