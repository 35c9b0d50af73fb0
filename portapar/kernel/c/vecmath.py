"""Functions of mathematics without branches, as text: on CPUs the compilers of OpenCL make vectors of loops of them.

A device's own functions are calls there, which keep a loop scalar. All are computed in float64, with fused
multiply-add (without it in the hardware the device's own stay), and are off by at most 4 units in the last place.
NaN, infinities, zeros of both signs and subnormal numbers give what C says; arguments of sine, cosine and tangent may
be of any size.

The methods are well-known ones: arguments are reduced as in W. J. Cody and W. Waite, Software Manual for the Elementary
Functions (1980), those of trigonometric functions as in M. Payne and R. Hanek, Radian reduction for trigonometric
functions (1983), and the error function's is transformed as in J. L. Schonfelder, Chebyshev expansions for the error
and related functions (1978). Sums of two float64 are those of T. J. Dekker (1971) and D. E. Knuth. The polynomials
interpolate at Chebyshev's nodes, computed with 300 bits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

__all__ = ["MATH", "math_text"]

#: (e^r - 1 - r) / r^2, |r| <= ln(2) / 2
_EXP = (
    0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326084, 0.0013888888888883711,
    0.0001984126987500228, 2.480158732567746e-05, 2.755725517000089e-06, 2.755727347871858e-07,
    2.5105312729622103e-08, 2.09147553258932e-09,
)  # fmt: skip
#: (2 atanh(s) - 2 s) / s^3 in z = s^2, s = (m - 1) / (m + 1), m from sqrt(1/2) to sqrt(2)
_LOG = (
    0.6666666666666666, 0.40000000000000885, 0.28571428570799784, 0.22222222392581045, 0.18181795547521137,
    0.15386244737621665, 0.13268638369266825, 0.13088034850927555,
)  # fmt: skip
#: (atanh(s) - s - s^3 / 3) / s^5 in z
_LOG_LOW = (
    0.2, 0.14285714285714685, 0.11111111110826383, 0.09090909168049924, 0.0769229744350359, 0.0666740439940617,
    0.05853063232281699, 0.058621635304233734,
)  # fmt: skip
#: (sin(r) - r) / r^3 in z = r^2, |r| <= pi / 4
_SIN = (
    -0.16666666666666666, 0.008333333333333331, -0.00019841269841264567, 2.7557319218954762e-06,
    -2.505210610025599e-08, 1.6058510875319195e-10, -7.585486485235938e-13,
)  # fmt: skip
#: (cos(r) - 1 + z / 2) / z^2 in z
_COS = (
    0.041666666666666664, -0.0013888888888887241, 2.480158729853226e-05, -2.7557317151858866e-07,
    2.0876121534608454e-09, -1.1380868171449914e-11,
)  # fmt: skip
#: (atan(t) - t) / t^3 in t^2, |t| <= tan(pi / 8)
_ATAN = (
    -0.3333333333333333, 0.199999999999998, -0.14285714285658824, 0.1111111110505757, -0.09090908748635232,
    0.07692296234491514, -0.06666422364033206, 0.05878900032342983, -0.052302411507894, 0.045506220391755364,
    -0.034545610104858494, 0.01625813206497921,
)  # fmt: skip
#: (asin(t) - t) / t^3 in t^2, |t| <= 1/2
_ASIN = (
    0.16666666666666669, 0.07499999999998433, 0.04464285714635543, 0.030381944138531247, 0.02237217294214989,
    0.017352392720869973, 0.013971212973552933, 0.011479177415184906, 0.01032281435018578, 0.005457506718640358,
    0.01740087944269402, -0.014851887071247204, 0.028757851367421566,
)  # fmt: skip
#: erf(x) / x in x^2, |x| <= 1
_ERF = (
    1.1283791670955126, -0.3761263890318375, 0.11283791670954879, -0.026866170645076792, 0.0052239776248180145,
    -0.000854832698083379, 0.0001205533111164271, -1.4925595266831182e-05, 1.6461000484121368e-06,
    -1.6350312701054695e-07, 1.4659775274047436e-08, -1.1372848856791674e-09, 5.957176147748911e-11,
)  # fmt: skip
#: exp(x^2) erfc(x) (1 + 2 x) in t = (x - 3.75) / (x + 3.75), x from 0 to 28
_ERFC = (
    1.2375126308378275, -0.1402405985855467, 0.003585415485463779, 0.08227673849011204, -0.10880393014171236,
    0.09230432116153116, -0.05869339859030941, 0.028362277400457724, -0.009746579553431873, 0.001755626017152004,
    0.00029371366631088616, -0.00029015496529570924, 5.1648913469599865e-05, 2.2387259638230133e-05,
    -1.1442990926805438e-05, -9.801666755858578e-07, 1.7481190468391965e-06, -4.815839621672849e-08,
    -2.5261465267715506e-07, 1.5996335215573707e-08, 3.285083556233316e-08, -8.782125734803521e-10,
    -2.4108215365422332e-09,
)  # fmt: skip
#: the cube root from 1 to 8, to eight bits
_CBRT = (
    0.6538962985569791, 0.4121814779629245, -0.06797280035500547, 0.0069891694835587225, -0.0002882199346276574,
)  # fmt: skip


def _polynomial(coefficients: Sequence[float], x: str) -> str:
    """A polynomial whose constant comes first: by Estrin's rule, with short chains, but for its last two steps."""
    first, second, *rest = coefficients
    return f"FMA(FMA({_estrin(rest, x)}, {x}, {second!r}), {x}, {first!r})"


def _estrin(coefficients: Sequence[float], x: str) -> str:
    if len(coefficients) == 1:
        return repr(coefficients[0])
    low, power = 1, x
    while 2 * low < len(coefficients):
        low, power = 2 * low, f"({power} * {power})"
    return f"FMA({_estrin(coefficients[low:], x)}, {power}, {_estrin(coefficients[:low], x)})"


# A whole number is rounded to by adding 3 * 2^51 and taking it away; the sum's last bits hold it, for shifts.
_WHOLE = "6755399441055744.0"
_TWO_TO = "AS_F64((AS_I64({} + 6755399441055744.0) + {}) << 52)"

# x = 2^e m with m from sqrt(1/2) to sqrt(2); subnormal numbers are scaled.
_SPLIT = """\
    bool tiny = x < 0x1p-1022;
    u64 bits = (u64)AS_I64(tiny ? x * 0x1p54 : x) + (0x3ff0000000000000ul - 0x3fe6a09e667f3bcdul);
    f64 e = AS_F64((i64)((bits >> 52) | 0x4330000000000000ul)) - (tiny ? 4503599627371573.0 : 4503599627371519.0);
    f64 m = AS_F64((i64)((bits & 0x000ffffffffffffful) + 0x3fe6a09e667f3bcdul));"""

_LN2 = "0.6931471805598903", "5.497923018708371e-14"  #: the first has 42 bits: its products with exponents are exact

_ROW, _ROWS = 16, 62  #: exponents in a row of the table of 2 / pi, and its rows; see `_table`


@functools.cache
def _table() -> str:
    """2 / pi times powers of two, less multiples of 4, as sums of four float64.

    Row 0 is for numbers below 2^52. Those in row j are whole multiples of 2^(16 (j - 1)), so that multiples of 4 do not
    matter after that much of the product was taken out.
    """
    bits = 1400
    one = 1 << (bits + 32)
    pi = 16 * _arctan_inverse(5, one) - 4 * _arctan_inverse(239, one)
    rest = (one << (bits + 1)) // pi  # 2 / pi, with `bits` bits behind the point
    numbers = []
    for row in range(_ROWS):
        shift = max(0, _ROW * (row - 1))
        left = ((rest << shift) % (4 << bits)) if row else rest
        for _ in range(4):
            width = max(0, left.bit_length() - 53)
            part = left >> width << width
            left -= part
            numbers.append(part / (1 << bits))
    return ", ".join(map(repr, numbers))


def _arctan_inverse(n: int, one: int) -> int:
    """The arc tangent of 1 / n, times `one` (Gregory's series)."""
    term = total = one // n
    k = 1
    while term:
        term //= -n * n
        k += 2
        total += term // k
    return total


def _trigonometric(result: str) -> str:
    """A function of the sine `s` and the cosine `c` of what is left of x after `q` right angles."""
    return f"""\
DEVICE f64 @N(f64 x) {{
    f64 low, r;
    i64 q = @H(right_angles)(x, &r, &low);
    f64 z = r * r, halved = 0.5 * z, w = 1 - halved;
    f64 s = r + FMA(r * z, {_polynomial(_SIN, "z")}, low);
    f64 c = w + (((1 - w) - halved) + FMA(z * z, {_polynomial(_COS, "z")}, -r * low));
    {result}
}}"""


#: The functions for float64, by C's names: `DEVICE f64 @N(…)`, where @H(…) is one of these or of `_PARTS`.
MATH: dict[str, str] = {
    "exp": "DEVICE f64 @N(f64 x) { return @H(exp_scaled)(x, 0.0, 0.0); }",
    "exp2": """\
DEVICE f64 @N(f64 x) {
    f64 y = x > 1100.0 ? 1100.0 : x;
    y = y < -1200.0 ? -1200.0 : y;
    f64 k = (y + 6755399441055744.0) - 6755399441055744.0, r = y - k;
    f64 h = r * 0.6931471805599453, l = FMA(r, 0.6931471805599453, -h) + r * 2.3190468138462996e-17;
    return @H(exp_scaled)(h, l, k);
}""",
    "expm1": """\
DEVICE f64 @N(f64 x) {
    f64 y = 4 * @H(exp_less_one)(x);
    return @H(abs)(x) < 0x1p-54 ? x : y;
}""",
    "log": "DEVICE f64 @N(f64 x) { return @H(log_special)(x, @H(log_near)(x, 0.0)); }",
    "log1p": """\
DEVICE f64 @N(f64 x) {
    f64 u = 1 + x, c = x >= 1 ? 1 - (u - x) : x - (u - 1);
    f64 y = @H(log_special)(u, @H(log_near)(u, c / u));
    return @H(abs)(x) < 0x1p-54 ? x : y;
}""",
    "log2": """\
DEVICE f64 @N(f64 x) {
    f64 e, l, h = @H(log_mantissa)(x, &e, &l);
    f64 a = h * 1.4426950408889634, b = FMA(h, 2.0355273740931033e-17, l * 1.4426950408889634);
    b += FMA(h, 1.4426950408889634, -a);
    f64 y = e + a;
    return @H(log_special)(x, y + (((e - y) + a) + b));
}""",
    "log10": """\
DEVICE f64 @N(f64 x) {
    f64 e, l, h = @H(log_mantissa)(x, &e, &l);
    f64 a = h * 0.4342944819032518, b = FMA(h, 1.098319650216765e-17, l * 0.4342944819032518);
    b += FMA(h, 0.4342944819032518, -a);
    f64 d = e * 0.3010299956639812, c = FMA(e, 0.3010299956639812, -d) - e * 2.8037281277851704e-18;
    f64 y = d + a;
    return @H(log_special)(x, y + (((d - y) + a) + (b + c)));
}""",
    "pow": """\
DEVICE f64 @N(f64 x, f64 y) {
    f64 a = @H(abs)(x), e, l, h = @H(log_mantissa)(a, &e, &l);
    f64 d = e * LN2_HIGH, s = d + h, t = ((d - s) + h) + FMA(e, LN2_LOW, l);
    h = s + t;
    l = (s - h) + t;
    h = @H(log_special)(a, h);
    f64 p = y * h;
    f64 r = @H(exp_scaled)(p, FMA(y, h, -p) + y * l, 0.0);
    f64 halved = 0.5 * y;
    bool whole = __builtin_floor(y) == y, odd = whole & (@H(abs)(y) < 0x1p53) & (__builtin_floor(halved) != halved);
    r = odd & (AS_I64(x) < 0) ? -r : r;
    r = (x < 0) & (a < INFINITY) & !whole ? NAN : r;
    return (y == 0) | (x == 1) | ((a == 1) & (@H(abs)(y) == INFINITY)) ? 1.0 : r;
}""",
    "sin": _trigonometric("""f64 y = q & 1 ? c : s;
    y = AS_F64(AS_I64(y) ^ ((q & 2) << 62));
    return @H(abs)(x) < 0x1p-26 ? x : y;"""),
    "cos": _trigonometric("""f64 y = q & 1 ? s : c;
    return AS_F64(AS_I64(y) ^ (((q + 1) & 2) << 62));"""),
    "tan": _trigonometric("""f64 y = (q & 1 ? -c : s) / (q & 1 ? s : c);
    return @H(abs)(x) < 0x1p-26 ? x : y;"""),
    "sinh": """\
DEVICE f64 @N(f64 x) {
    f64 a = @H(abs)(x), t = 2 * @H(exp_less_one)(a);
    f64 y = t < INFINITY ? t + t / (2 * t + 1) : t;
    return a < 0x1p-28 ? x : __builtin_copysign(y, x);
}""",
    "cosh": """\
DEVICE f64 @N(f64 x) {
    f64 halved = @H(exp_scaled)(@H(abs)(x), 0.0, -1.0);
    return halved + 0.25 / halved;
}""",
    "tanh": """\
DEVICE f64 @N(f64 x) {
    f64 a = @H(abs)(x), t = 2 * @H(exp_less_one)(2 * (a > 30.0 ? 30.0 : a));
    f64 y = t / (t + 1);
    return a < 0x1p-28 ? x : __builtin_copysign(y, x);
}""",
    "asinh": """\
DEVICE f64 @N(f64 x) {
    f64 a = @H(abs)(x), t = a * a;
    bool large = a > 0x1p500;
    f64 u = large ? a : a + t / (1 + __builtin_sqrt(1 + t));
    f64 y = @H(log1p)(u) + (large ? 0.6931471805599453 : 0.0);
    return a < 0x1p-28 ? x : __builtin_copysign(y, x);
}""",
    "acosh": """\
DEVICE f64 @N(f64 x) {
    f64 t = x - 1;
    bool large = x > 0x1p500;
    f64 u = large ? x : t + __builtin_sqrt(t * (t + 2));
    f64 y = @H(log1p)(u) + (large ? 0.6931471805599453 : 0.0);
    return x >= 1 ? y : NAN;
}""",
    "atanh": """\
DEVICE f64 @N(f64 x) {
    f64 a = @H(abs)(x), y = 0.5 * @H(log1p)(2 * a / (1 - a));
    y = a == 1 ? INFINITY : a < 1 ? y : NAN;
    return a < 0x1p-28 ? x : __builtin_copysign(y, x);
}""",
    "atan": """\
DEVICE f64 @N(f64 x) {
    f64 a = @H(abs)(x);
    f64 y = @H(angle)(a > 1 ? 1.0 : a, a > 1 ? a : 1.0);
    y = a > 1 ? 1.5707963267948966 - (y - 6.123233995736766e-17) : y;
    return a == a ? __builtin_copysign(y, x) : x;
}""",
    "atan2": """\
DEVICE f64 @N(f64 y, f64 x) {
    f64 a = @H(abs)(y), b = @H(abs)(x);
    f64 small = a > b ? b : a, large = a > b ? a : b, scale = large > 0x1p1000 ? 0x1p-60 : 1.0;
    small *= scale;
    large *= scale;
    small = large == INFINITY ? (small == large ? 1.0 : 0.0) : small;
    large = (large == INFINITY) | (large == 0) ? 1.0 : large;
    f64 r = @H(angle)(small, large);
    r = a > b ? 1.5707963267948966 - (r - 6.123233995736766e-17) : r;
    r = AS_I64(x) < 0 ? 3.141592653589793 - (r - 1.2246467991473532e-16) : r;
    return (a == a) & (b == b) ? __builtin_copysign(r, y) : a + b;
}""",
    "asin": """\
DEVICE f64 @N(f64 x) {
    f64 a = @H(abs)(x), rest = 0.5 * (1 - a), z = a > 0.5 ? rest : a * a;
    f64 t = a > 0.5 ? __builtin_sqrt(rest) : a, y = FMA(t * z, @H(arc_sine)(z), t);
    y = a > 0.5 ? 1.5707963267948966 - (2 * y - 6.123233995736766e-17) : y;
    return a < 0x1p-28 ? x : __builtin_copysign(y, x);
}""",
    "acos": """\
DEVICE f64 @N(f64 x) {
    f64 a = @H(abs)(x), rest = 0.5 * (1 - a), z = a > 0.5 ? rest : a * a;
    f64 t = a > 0.5 ? __builtin_sqrt(rest) : x, y = FMA(t * z, @H(arc_sine)(z), t);
    f64 far = x < 0 ? 3.141592653589793 - (2 * y - 1.2246467991473532e-16) : 2 * y;
    return a > 0.5 ? far : 1.5707963267948966 - (y - 6.123233995736766e-17);
}""",
    "cbrt": """\
DEVICE f64 @N(f64 x) {
    f64 a = @H(abs)(x);
    bool tiny = a < 0x1p-1022;
    u64 bits = (u64)AS_I64(tiny ? a * 0x1p54 : a);
    f64 e = AS_F64((i64)((bits >> 52) | 0x4330000000000000ul)) - (tiny ? 4503599627370373.0 : 4503599627370319.0);
    f64 m = AS_F64((i64)((bits & 0x000ffffffffffffful) | 0x3ff0000000000000ul));
    f64 q = __builtin_floor((e + 0.5) * 0.3333333333333333), left = e - 3 * q;
    m *= left == 2 ? 4.0 : left == 1 ? 2.0 : 1.0;
    f64 y = CUBE_ROOT, square = y * y;
    y -= y * FMA(y, square, -m) / (2 * (y * square) + m);
    square = y * y;
    y -= y * FMA(y, square, -m) / (2 * (y * square) + m);
    y *= TWO_TO_Q;
    return (a > 0) & (a < INFINITY) ? __builtin_copysign(y, x) : x;
}""".replace("CUBE_ROOT", _polynomial(_CBRT, "m")).replace("TWO_TO_Q", _TWO_TO.format("q", 1023 - 400)),
    "hypot": """\
DEVICE f64 @N(f64 x, f64 y) {
    f64 a = @H(abs)(x), b = @H(abs)(y), large = a > b ? a : b, small = a > b ? b : a;
    f64 t = small / (large > 0 ? large : 1.0), r = large * __builtin_sqrt(1 + t * t);
    return (a == INFINITY) | (b == INFINITY) ? INFINITY : r;
}""",
    "erf": f"""\
DEVICE f64 @N(f64 x) {{
    f64 a = @H(abs)(x), z = a * a;
    f64 y = a * ({_polynomial(_ERF, "z")}), rest = 1 - @H(erfc_positive)(a);
    y = a < 1 ? y : rest;
    return __builtin_copysign(y, x);
}}""",
    "erfc": f"""\
DEVICE f64 @N(f64 x) {{
    f64 a = @H(abs)(x), z = a * a, y = @H(erfc_positive)(a);
    y = x < 0 ? 2 - y : y;
    return a < 0.5 ? FMA(-x, {_polynomial(_ERF, "z")}, 1.0) : y;
}}""",
}

_PARTS: dict[str, str] = {
    "abs": "DEVICE f64 @N(f64 x) { return __builtin_fabs(x); }",
    # e^(x + low) 2^shift, for |x| <= 720 and what lies beyond; `low` is small.
    "exp_scaled": f"""\
DEVICE f64 @N(f64 x, f64 low, f64 shift) {{
    f64 t = x > 720.0 ? 720.0 : x;
    t = t < -760.0 ? -760.0 : t;
    f64 k = FMA(t, 1.4426950408889634, {_WHOLE}) - {_WHOLE};
    f64 r = FMA(k, -2.3190468138462996e-17, FMA(k, -0.6931471805599453, t)) + (t == x ? low : 0.0);
    f64 y = 1 + FMA(r * r, {_polynomial(_EXP, "r")}, r);
    k += shift;
    f64 halved = FMA(k, 0.5, {_WHOLE}) - {_WHOLE}, other = k - halved;
    return y * {_TWO_TO.format("halved", 1023)} * {_TWO_TO.format("other", 1023)};
}}""",
    # (e^x - 1) / 4, which does not overflow before e^x / 2 does
    "exp_less_one": f"""\
DEVICE f64 @N(f64 x) {{
    f64 t = x > 710.6 ? 710.6 : x;
    t = t < -60.0 ? -60.0 : t;
    f64 k = FMA(t, 1.4426950408889634, {_WHOLE}) - {_WHOLE};
    f64 r = FMA(k, -2.3190468138462996e-17, FMA(k, -0.6931471805599453, t));
    f64 y = FMA(r * r, {_polynomial(_EXP, "r")}, r), s = {_TWO_TO.format("k", 1021)};
    return FMA(s, y, s - 0.25);
}}""",
    # log(x) + low
    "log_near": f"""\
DEVICE f64 @N(f64 x, f64 low) {{
{_SPLIT}
    f64 f = m - 1, s = f / (2 + f), z = s * s, halved = 0.5 * f * f;
    f64 r = z * ({_polynomial(_LOG, "z")});
    return FMA(e, {_LN2[0]}, -((halved - FMA(s, halved + r, FMA(e, {_LN2[1]}, low))) - f));
}}""",
    "log_special": """\
DEVICE f64 @N(f64 x, f64 y) {
    y = x < INFINITY ? y : x;
    return x > 0 ? y : x == 0 ? -INFINITY : NAN;
}""",
    # log(m) as a sum of two numbers
    "log_mantissa": f"""\
DEVICE f64 @N(f64 x, f64* exponent, f64* low) {{
{_SPLIT}
    f64 d = m + 1, below = m - (d - 1), f = m - 1, inverse = 1 / d;
    f64 s = f * inverse, t = (FMA(-s, d, f) - s * below) * inverse;
    f64 z = s * s, z_low = FMA(s, s, -z) + 2 * s * t;
    f64 third = z * 0.3333333333333333;
    f64 third_low = FMA(z, 0.3333333333333333, -third) + FMA(z, 1.850371707708594e-17, z_low * 0.3333333333333333);
    f64 rest = z * z * ({_polynomial(_LOG_LOW, "z")});
    f64 v = third + rest, v_low = ((third - v) + rest) + third_low;
    f64 u = s * v, u_low = FMA(s, v, -u) + FMA(s, v_low, t * v);
    f64 y = s + u;
    *exponent = e;
    *low = 2 * (((s - y) + u) + (t + u_low));
    return 2 * y;
}}""",
    # How many right angles go into x, but for multiples of four, and what is left as a sum of two numbers.
    "right_angles": f"""\
__constant f64 two_over_pi[] = {{@table}};
DEVICE f64 two_sum(f64 a, f64 b, f64* low) {{
    f64 s = a + b, t = s - a;
    *low = (a - (s - t)) + (b - t);
    return s;
}}
DEVICE i64 @N(f64 x, f64* angle, f64* low) {{
    i64 e = (AS_I64(x) >> 52) & 0x7ff, row = e < 1075 ? 0 : (e - {1075 - _ROW}) >> 4;
    f64 y = x * AS_F64((1023 - (row > 0 ? {_ROW} * (row - 1) : 0)) << 52);
    f64 a0 = two_over_pi[4 * row], a1 = two_over_pi[4 * row + 1];
    f64 a2 = two_over_pi[4 * row + 2], a3 = two_over_pi[4 * row + 3];
    f64 p0 = y * a0, e0 = FMA(y, a0, -p0), p1 = y * a1, e1 = FMA(y, a1, -p1), p2 = y * a2, e2 = FMA(y, a2, -p2);
    p0 -= 4 * __builtin_rint(0.25 * p0);
    f64 b, c, h1, l1, h2, l2, h3, l3, l4;
    f64 a = two_sum(e0, p1, &b), t = two_sum(p0, a, &c), k = __builtin_rint(t);
    h1 = two_sum(c, b, &l1);
    h2 = two_sum(e1, p2, &l2);
    h3 = two_sum(h1, h2, &l3);
    f64 r = two_sum(t - k, h3, &l4);
    l4 += (l1 + l2) + (l3 + FMA(y, a3, e2));
    f64 v = r * 1.5707963267948966;
    *low = FMA(r, 1.5707963267948966, -v) + FMA(r, 6.123233995736766e-17, l4 * 1.5707963267948966);
    *angle = x - x == 0 ? v : NAN;
    return AS_I64(k + {_WHOLE});
}}""",
    # The arc tangent of small / large, for 0 <= small <= large
    "angle": f"""\
DEVICE f64 @N(f64 small, f64 large) {{
    bool steep = small > 0.41421356237309503 * large;
    f64 t = (steep ? small - large : small) / (steep ? small + large : large), z = t * t;
    f64 y = FMA(t * z, {_polynomial(_ATAN, "z")}, steep ? 3.061616997868383e-17 : 0.0);
    return (steep ? 0.7853981633974483 : 0.0) + (t + y);
}}""",
    "arc_sine": f"DEVICE f64 @N(f64 z) {{ return {_polynomial(_ASIN, 'z')}; }}",
    "erfc_positive": f"""\
DEVICE f64 @N(f64 x) {{
    f64 a = x > 28.0 ? 28.0 : x, t = (a - 3.75) / (a + 3.75), h = a * a;
    f64 y = {_ERFC[0]!r} + FMA(t, {_polynomial(_ERFC[1:], "t")}, 1.0479391528762472e-16);
    return @H(exp_scaled)(-h, -FMA(a, a, -h), 0.0) * y / (1 + 2 * a);
}}""",
}


def math_text(name: str) -> str:
    """The text of a function of `MATH`, or of a part of such, as a template."""
    text = MATH.get(name) or _PARTS[name]
    text = text.replace("LN2_HIGH", _LN2[0]).replace("LN2_LOW", _LN2[1])
    return text.replace("@table", _table()) if "@table" in text else text
