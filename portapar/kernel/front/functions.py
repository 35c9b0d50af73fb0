"""Functions of math, cmath and NumPy that renderers do not have: written as kernel functions.

A kernel's call of one of these becomes a call of the function here, which is typed and rendered as a user's would
be, so that all backends have it at once. A function whose body is one expression is put in the place of the call.
Where Python raises an error (``math.comb(-1, 2)``, ``math.fmod(1.0, 0.0)``) these return 0 or nan.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["NUMPY", "parameter", "substitute"]


# whole numbers ------------------------------------------------------------------------------------
# those of `math` compute with Python's numbers, however narrow the ones are that they are given


def comb(n, k):
    n, k = int(n), int(k)
    if k < 0 or k > n:
        return 0
    chosen = 1
    for j in range(min(k, n - k)):
        chosen = chosen * (n - j) // (j + 1)
    return chosen


def perm(n, k):
    n, k = int(n), int(k)
    if k < 0 or k > n:
        return 0
    chosen = 1
    for j in range(k):
        chosen *= n - j
    return chosen


def factorial(n):
    product = 1
    for j in range(2, int(n) + 1):
        product *= j
    return product


def isqrt(n):
    root = int(math.sqrt(n))
    while root > 0 and root > n // root:
        root -= 1
    while root + 1 <= n // (root + 1):
        root += 1
    return root


def lcm(a, b):
    a, b = int(a), int(b)
    if a == 0 or b == 0:
        return 0
    return abs(a) // math.gcd(a, b) * abs(b)


def np_lcm(a, b):
    a, b = a + 0 * b, b + 0 * a  # of the dtype of both
    if a == 0 or b == 0:
        return a * b
    return abs(a) // np.gcd(a, b) * abs(b)


def gcd3(a, b, c):
    return math.gcd(math.gcd(a, b), c)


def bitwise_count(x):
    rest = abs(x)
    count = 0
    while rest != 0:
        rest = rest & (rest - 1)
        count += 1
    return np.uint8(count)


# real numbers -------------------------------------------------------------------------------------


def log_to_base(x, base):
    return math.log(x) / math.log(base)


def hypot2(x, y):  # whose whole numbers Numba takes for signed ones
    return math.hypot(1.0 * x, 1.0 * y)


def hypot3(x, y, z):
    return math.hypot(math.hypot(x, y), z)


def remainder(x, y):
    x, y = 1.0 * x, 1.0 * y
    if math.isinf(y) and math.isfinite(x):
        return x
    size, step = abs(x), abs(y)
    rest = np.fmod(size, step)
    other = step - rest
    if rest > other:
        rest = -other
    elif rest == other:
        rest = rest - 2 * np.fmod((size - rest) / 2, step)
    return math.copysign(rest, x) if rest == 0 else math.copysign(1, x) * rest


def isclose(a, b, rel_tol=1e-09, abs_tol=0.0):
    a, b = 1.0 * a, 1.0 * b
    if a == b:
        return True
    if math.isinf(a) or math.isinf(b):
        return False
    return abs(a - b) <= max(rel_tol * max(abs(a), abs(b)), abs_tol)


def np_isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    if a == b:
        return True
    if np.isinf(a) or np.isinf(b):
        return False
    return abs(a - 1.0 * b) <= atol + rtol * abs(1.0 * b) or (equal_nan and a != a and b != b)


def modf(x):
    whole = np.trunc(x)
    part = 1 / x if math.isinf(x) else np.copysign(x - whole, x)
    return part, whole


def frexp(x):
    x = 1.0 * x
    if x == 0 or not math.isfinite(x):
        return x, 0
    power = int(np.floor(np.log2(abs(x)))) + 1
    part = np.ldexp(x, -power // 2)
    part = np.ldexp(part, -power - (-power // 2))
    if abs(part) >= 1:
        return part / 2, power + 1
    if abs(part) * 2 < 1:
        return part * 2, power - 1
    return part, power


def ldexp(x, n):
    return math.ldexp(x, exponent(n))


def np_ldexp(x, n):
    return np.ldexp(x, exponent(n))


def exponent(n: Any) -> Any:  # what renderers cut to 32 bits
    return max(-5000, np.int64(min(5000, n)))


def dist(p, q):
    total = 0.0
    for k in range(len(p)):
        total = math.hypot(total, 1.0 * p[k] - q[k])
    return total


def prod(numbers):
    product = 1
    for number in numbers:
        product = product * number
    return product


def sumprod(p, q):
    total = 0
    for k in range(len(p)):
        total = total + p[k] * q[k]
    return total


def ulp(x):
    size = abs(1.0 * x)
    if math.isinf(size):
        return size
    step = np.nextafter(size, np.float32(np.inf)) - size
    return step if math.isfinite(step) else size - np.nextafter(size, np.float32(0))


def spacing(x):
    away = np.copysign(np.float32(np.inf), np.float32(x)) if x != 0 else np.float32(np.inf)
    return np.nextafter(x, away) - x


def clip(a, a_min, a_max):
    return np.minimum(np.maximum(a, a_min), a_max)


def where(condition, x, y):
    return x if condition else y


def fix(x):
    return np.trunc(x)


def heaviside(x, at_zero):
    if x == 0:
        return at_zero
    if x != x:
        return x
    return 1.0 if x > 0 else 0.0


def isposinf(x):
    return x == np.inf


def isneginf(x):
    return x == -np.inf


def nan_to_num(x, nan=0.0):
    if x != x:
        return nan
    return np.nextafter(x, np.float32(0)) if math.isinf(x) else x


def nan_to_numbers(x, nan, posinf, neginf):
    if x != x:
        return nan
    if math.isinf(x):
        return posinf if x > 0 else neginf
    return x


def logaddexp2(x, y):
    if x == y:
        return x + 1.0
    gap = x - y
    if gap > 0:
        return x + np.log1p(np.exp2(-gap)) * 1.4426950408889634
    if gap <= 0:
        return y + np.log1p(np.exp2(gap)) * 1.4426950408889634
    return gap


def sinc(x):
    angle = math.pi * (x if x != 0 else 1.0e-20)
    return np.sin(angle) / angle


def interp(x, xp, fp):
    if x != x:
        return x
    last = len(xp) - 1
    if x >= xp[last]:
        return 1.0 * fp[last]
    if x <= xp[0]:
        return 1.0 * fp[0]
    k = 0
    while x >= xp[k + 1]:
        k += 1
    slope = (fp[k + 1] - fp[k]) / (xp[k + 1] - xp[k])
    return slope * (x - xp[k]) + fp[k]


def polyval(p, x):
    value = 0 * x
    for k in range(len(p)):
        value = value * x + p[k]
    return value


# complex numbers ----------------------------------------------------------------------------------


def iscomplex(x):
    return np.imag(x) != 0


def isreal(x):
    return np.imag(x) == 0


def angle(z):
    return np.arctan2(np.imag(z), np.real(z))


def phase(z):
    z = complex(z)
    return math.atan2(z.imag, z.real)


def polar(z):
    z = complex(z)
    return math.hypot(z.real, z.imag), math.atan2(z.imag, z.real)


def rect(r, phi):
    return complex(r * math.cos(phi), r * math.sin(phi))


def c_exp(z):
    return np.exp(complex(z))


def c_sqrt(z):
    return np.sqrt(complex(z))


def c_log(z):
    return np.log(complex(z))


def c_log_to_base(z, base):
    return np.log(complex(z)) / np.log(complex(base))


def c_log10(z):
    return np.log(complex(z)) / 2.302585092994046


def c_sin(z):
    return np.sin(complex(z))


def c_cos(z):
    return np.cos(complex(z))


def c_sinh(z):
    return np.sinh(complex(z))


def c_cosh(z):
    return np.cosh(complex(z))


def c_tanh(z):
    return np.tanh(complex(z))


def c_tan(z):
    return np.tan(complex(z))


def c_asinh(z):
    return np.arcsinh(complex(z))


def c_asin(z):
    return np.arcsin(complex(z))


def c_acos(z):
    return np.arccos(complex(z))


def c_acosh(z):
    return np.arccosh(complex(z))


def c_atanh(z):
    return np.arctanh(complex(z))


def c_atan(z):
    return np.arctan(complex(z))


def c_isfinite(z):
    return np.isfinite(complex(z))


def c_isnan(z):
    return np.isnan(complex(z))


def c_isinf(z):
    return np.isinf(complex(z))


def c_isclose(a, b, rel_tol=1e-09, abs_tol=0.0):
    a, b = complex(a), complex(b)
    if a == b:
        return True
    if np.isinf(a) or np.isinf(b):
        return False
    return abs(a - b) <= max(rel_tol * max(abs(a), abs(b)), abs_tol)


# which stands for which ---------------------------------------------------------------------------

_ANY = -1  #: any number of arguments
_MATH: dict[str, dict[int, Callable[..., Any]]] = {
    "cbrt": {1: np.cbrt}, "fmod": {2: np.fmod}, "exp2": {1: np.exp2},
    "comb": {2: comb}, "perm": {1: factorial, 2: perm}, "factorial": {1: factorial}, "isqrt": {1: isqrt},
    "lcm": {2: lcm}, "gcd": {3: gcd3}, "log": {2: log_to_base}, "hypot": {2: hypot2, 3: hypot3}, "dist": {2: dist},
    "prod": {1: prod}, "sumprod": {2: sumprod}, "remainder": {2: remainder}, "isclose": {_ANY: isclose},
    "modf": {1: modf}, "frexp": {1: frexp}, "ulp": {1: ulp}, "ldexp": {2: ldexp},
}  # fmt: skip
#: NumPy's, by their names and numbers of arguments
NUMPY: dict[str, dict[int, Callable[..., Any]]] = {
    "bitwise_count": {1: bitwise_count}, "lcm": {2: np_lcm}, "clip": {3: clip}, "where": {3: where}, "fix": {1: fix},
    "heaviside": {2: heaviside}, "isposinf": {1: isposinf}, "isneginf": {1: isneginf},
    "nan_to_num": {1: nan_to_num, 2: nan_to_num, 4: nan_to_numbers}, "isclose": {_ANY: np_isclose},
    "allclose": {_ANY: np_isclose}, "logaddexp2": {2: logaddexp2}, "sinc": {1: sinc}, "interp": {3: interp},
    "polyval": {2: polyval}, "iscomplex": {1: iscomplex}, "isreal": {1: isreal}, "angle": {1: angle},
    "modf": {1: modf}, "frexp": {1: frexp}, "spacing": {1: spacing}, "ldexp": {2: np_ldexp},
}  # fmt: skip
_COMPLEX: dict[str, dict[int, Callable[..., Any]]] = {
    **{name: {1: globals()[f"c_{name}"]} for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "isfinite", "isinf", "isnan",
        "log10", "sin", "sinh", "sqrt", "tan", "tanh",
    )},
    "log": {1: c_log, 2: c_log_to_base}, "isclose": {_ANY: c_isclose}, "phase": {1: phase}, "polar": {1: polar},
    "rect": {2: rect},
}  # fmt: skip
_FORMS: dict[int, dict[int, Callable[..., Any]]] = {
    id(getattr(module, name)): forms
    for module, table in ((math, _MATH), (np, NUMPY), (cmath, _COMPLEX))
    for name, forms in table.items()
    if hasattr(module, name)
}


#: other names that NumPy has for a parameter
_ALIASES = {"min": "a_min", "max": "a_max", "decimals": "ndigits"}


def substitute(value: Any, count: int) -> Callable[..., Any] | None:
    """The function that stands for one of math, cmath or NumPy when it is called with `count` arguments."""
    forms = _FORMS.get(id(value), {})
    return forms.get(count, forms.get(_ANY))


def parameter(name: str) -> str:
    """The parameter of a function here that NumPy's keyword means."""
    return _ALIASES.get(name, name)
