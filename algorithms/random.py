"""Random numbers by counting, ``pp.random``: number i of a seed is a function of the two, and of nothing else.

So they are the same on every backend, on any number of threads, parts and ranks, and in any order. `bits`,
`uniform`, `normal` and `integers` are kernel functions: call them in a kernel, or in plain Python. The fills
give element i of an array number i.

Method: Philox4x32-10, a block cipher of ten rounds that turns a counter and a key into four random words
of 32 bits. J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011. The key is the seed. The counter is made of i // 2, of which kind of numbers is wanted, so that the
uniform and the normal numbers of one seed are independent, and of how often one was rejected; i takes one
half of the four words.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from typing import Any

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.for_each import for_each
from portapar.errors import ArgumentError, PlacementError, of_kind
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy, policy_first

__all__ = ["bits", "fill_integers", "fill_normal", "fill_uniform", "integers", "normal", "philox", "uniform"]


def __dir__() -> list[str]:
    return [*__all__]


# kernel functions ---------------------------------------------------------------------------------


class _OfNumbers:
    """A kernel function that plain Python may call, too: what kernels would refuse is refused there.

    Kernels are made of the function itself, as of Numba's.
    """

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function

    def __call__(self, *values: Any, **named: Any) -> Any:
        for name, value in inspect.signature(self.py_func).bind(*values, **named).arguments.items():
            if not isinstance(value, numbers.Real | np.bool_) or not math.isfinite(value):
                told = f"random.{self.py_func.__name__}: {name}"
                raise ArgumentError(f"{told} is {value!r}, {of_kind(value)}: must be a whole number of 64 bits")
        return self.py_func(*values, **named)

    def __reduce__(self) -> str:
        return self.py_func.__name__

    def __repr__(self) -> str:
        return f"pp.random.{self.py_func.__name__}"


@_OfNumbers
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Philox4x32-10 itself: a counter of four words and a key of two → four random words.

    Words are 32 bits, in variables of 64 unsigned bits.
    """
    c0, c1, c2, c3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    k0, k1 = np.uint64(k0), np.uint64(k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, _, _ = _round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


def _round(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    p = np.uint64(0xD2511F53) * c0
    q = np.uint64(0xCD9E8D57) * c2
    low = np.uint64(0xFFFFFFFF)
    return (
        (q >> np.uint64(32)) ^ c1 ^ k0,
        q & low,
        (p >> np.uint64(32)) ^ c3 ^ k1,
        p & low,
        (k0 + np.uint64(0x9E3779B9)) & low,
        (k1 + np.uint64(0xBB67AE85)) & low,
    )


def _words(seed: Any, i: Any, kind: Any, attempt: Any) -> Any:
    """Two random words of 64 bits: number i - i % 2 and the next one."""
    n, key = int(i), int(seed)
    a, b, c, d = philox(
        (n >> 1) & 0xFFFFFFFF, (n >> 33) & 0xFFFFFFFF, kind, attempt, key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF
    )
    return (b << np.uint64(32)) | a, (d << np.uint64(32)) | c


@_OfNumbers
def bits(seed: Any, i: Any) -> Any:
    """64 random bits, as an unsigned integer.

    `seed` and `i` are whole numbers of 64 bits, here and in what follows.
    """
    first, second = _words(seed, i, 0, 0)
    return second if int(i) & 1 else first


@_OfNumbers
def uniform(seed: Any, i: Any) -> Any:
    """A number uniformly distributed in [0, 1): a multiple of 2**-53.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> inside = lambda i: pp.random.uniform(7, 2 * i) ** 2 + pp.random.uniform(7, 2 * i + 1) ** 2 < 1
    >>> float(4 * pp.transform_reduce(pp.par, pp.range(10**6), transform=inside) / 10**6)
    3.144268
    """
    first, second = _uniform2(seed, i)
    return second if int(i) & 1 else first


def _uniform2(seed: Any, i: Any) -> Any:
    first, second = _words(seed, i, 1, 0)
    return np.float64(first >> np.uint64(11)) * 2.0**-53, np.float64(second >> np.uint64(11)) * 2.0**-53


def _uniform2_short(seed: Any, i: Any) -> Any:
    """For float32, in which the largest of the others would become 1."""
    first, second = _words(seed, i, 1, 0)
    return np.float64(first >> np.uint64(40)) * 2.0**-24, np.float64(second >> np.uint64(40)) * 2.0**-24


@_OfNumbers
def normal(seed: Any, i: Any) -> Any:
    """A number of the normal distribution of mean 0 and variance 1, by the transform of Box and Muller (1958).

    Its logarithm, sine and cosine are made of + - * / and sqrt alone, so that it has the same bits everywhere.
    """
    first, second = _normal2(seed, i)
    return second if int(i) & 1 else first


def _normal2(seed: Any, i: Any) -> Any:
    first, second = _words(seed, i, 2, 0)
    radius = math.sqrt(-2.0 * _log((np.float64(first >> np.uint64(11)) + 1.0) * 2.0**-53))
    quarters = second >> np.uint64(11)  # 2**51 of them are a quarter of a turn
    turn = (quarters + np.uint64(1 << 50)) >> np.uint64(51)
    s, c = _sin_cos((np.float64(quarters) - np.float64(turn << np.uint64(51))) * 2.0**-51)
    odd = turn & np.uint64(1) != np.uint64(0)
    x, y = s if odd else c, c if odd else s
    left, below = (turn + np.uint64(1)) & np.uint64(2) != np.uint64(0), turn & np.uint64(2) != np.uint64(0)
    return radius * (-x if left else x), radius * (-y if below else y)


def _log(u: Any) -> Any:
    """The natural logarithm of a number from 2**-53 to 1, off by at most 2 ulp.

    A power of two brings it to m between sqrt(1/2) and sqrt(2); log(m) is a series in s = (m - 1) / (m + 1).
    """
    m, e = u, 0.0
    small = m < 2.0**-31.5
    m, e = m * 2.0**32 if small else m, e - 32.0 if small else e
    small = m < 2.0**-15.5
    m, e = m * 2.0**16 if small else m, e - 16.0 if small else e
    small = m < 2.0**-7.5
    m, e = m * 2.0**8 if small else m, e - 8.0 if small else e
    small = m < 2.0**-3.5
    m, e = m * 2.0**4 if small else m, e - 4.0 if small else e
    small = m < 2.0**-1.5
    m, e = m * 2.0**2 if small else m, e - 2.0 if small else e
    small = m < 2.0**-0.5
    m, e = m * 2.0 if small else m, e - 1.0 if small else e
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = 2 / 21
    series = series * z + 2 / 19
    series = series * z + 2 / 17
    series = series * z + 2 / 15
    series = series * z + 2 / 13
    series = series * z + 2 / 11
    series = series * z + 2 / 9
    series = series * z + 2 / 7
    series = series * z + 2 / 5
    series = series * z + 2 / 3
    return e * 0.6931471805599453 + (2.0 * s + s * z * series)


def _sin_cos(quarter: Any) -> Any:
    """The sine and cosine of half a quarter of a turn at most, forward or backward; by their series."""
    a = quarter * (math.pi / 2)
    z = a * a
    s = -1 / 1307674368000  # 15!
    s = s * z + 1 / 6227020800
    s = s * z - 1 / 39916800
    s = s * z + 1 / 362880
    s = s * z - 1 / 5040
    s = s * z + 1 / 120
    s = s * z - 1 / 6
    c = 1 / 20922789888000  # 16!
    c = c * z - 1 / 87178291200
    c = c * z + 1 / 479001600
    c = c * z - 1 / 3628800
    c = c * z + 1 / 40320
    c = c * z - 1 / 720
    c = c * z + 1 / 24
    c = c * z - 1 / 2
    return a + a * (z * s), 1.0 + z * c


@_OfNumbers
def integers(seed: Any, i: Any, low: Any, high: Any) -> Any:
    """A whole number uniformly distributed in [low, high), as int64; `low` if there is none in it.

    Exactly uniform, by Lemire's method of rejection ("Fast random integer generation in an interval", 2019).
    """
    first, second = _words(seed, i, 3, 0)
    return _bounded(second if int(i) & 1 else first, seed, i, low, high)


def _integers2(seed: Any, i: Any, low: Any, high: Any) -> Any:
    first, second = _words(seed, i, 3, 0)
    return _bounded(first, seed, i, low, high), _bounded(second, seed, i + 1, low, high)


def _bounded(word: Any, seed: Any, i: Any, low: Any, high: Any) -> Any:
    size = np.uint64(int(high) - int(low) if high > low else 1)
    top, rest = _product(word, size)
    if rest < size:
        least = (~np.uint64(0) % size + np.uint64(1)) % size  # 2**64 modulo size
        attempt = 0
        while rest < least:
            attempt += 1
            first, second = _words(seed, i, 3, attempt)
            top, rest = _product(second if int(i) & 1 else first, size)
    half = top >> np.uint64(1)  # in two steps: neither overflows
    return np.int64(low) + np.int64(half) + np.int64(top - half)


def _product(x: Any, y: Any) -> Any:
    """The upper and the lower 64 bits of a product."""
    x1, x0 = x >> np.uint64(32), x & np.uint64(0xFFFFFFFF)
    y1, y0 = y >> np.uint64(32), y & np.uint64(0xFFFFFFFF)
    low, a, b = x0 * y0, x0 * y1, x1 * y0
    middle = (low >> np.uint64(32)) + (a & np.uint64(0xFFFFFFFF)) + (b & np.uint64(0xFFFFFFFF))
    high = x1 * y1 + (a >> np.uint64(32)) + (b >> np.uint64(32)) + (middle >> np.uint64(32))
    return high, (middle << np.uint64(32)) | (low & np.uint64(0xFFFFFFFF))


# arrays -------------------------------------------------------------------------------------------


def fill_uniform(policy: Policy | None, out: Any, seed: int) -> Any:
    """``out[i] = uniform(seed, i)``, i counting in C order.

    Parameters
    ----------
    policy : Policy
    out : array
        Of float64, or float32: those are multiples of 2**-24.
    seed : int
        64 bits, signed.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    PlacementError
        `out` is of another kind, or `seed` no whole number of 64 bits.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.random.fill_uniform(pp.par, np.empty(3), seed=1).round(3)
    array([0.26 , 0.428, 0.939])
    """
    return _fill("fill_uniform", policy, out, seed, "f", lambda dtype: _uniform2_short if dtype == "f4" else _uniform2)


def fill_normal(policy: Policy | None, out: Any, seed: int) -> Any:
    """``out[i] = normal(seed, i)``, i counting in C order; otherwise as `fill_uniform`."""
    return _fill("fill_normal", policy, out, seed, "f", lambda dtype: _normal2)


def fill_integers(policy: Policy | None, out: Any, seed: int, low: int, high: int) -> Any:
    """``out[i] = integers(seed, i, low, high)``, i counting in C order; otherwise as `fill_uniform`.

    Parameters
    ----------
    out : array
        Of integers, which must hold `low` and ``high - 1``.
    low, high : int
        Of 64 bits, signed; low < high.
    """
    low = arrays.whole_number("fill_integers: low", low, -(2**63))
    high = arrays.whole_number("fill_integers: high", high, -(2**63))
    if low >= high:
        raise PlacementError(f"fill_integers: low is {low}, high is {high}: low must be less than high")

    def choose(dtype: np.dtype) -> Any:
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        if low < least or high - 1 > most:
            raise PlacementError(
                f"fill_integers: out has dtype {dtype}, which holds {least} to {most}, and not all of [{low}, {high})"
            )
        return lambda seed, i: _integers2(seed, i, low, high)

    return _fill("fill_integers", policy, out, seed, "iu", choose, (low, high))


def _fill(
    name: str, policy: Policy | None, out: Any, seed: int, kinds: str, choose: Any, options: tuple[int, ...] = ()
) -> Any:
    """Fill with what ``two = choose(out.dtype)`` gives: numbers i and i + 1 of a seed, for even i."""
    seed = arrays.whole_number(f"{name}: seed", seed, -(2**63))

    def body(p: Parts) -> Any:
        data = p.write(out, "out")
        if data.dtype.kind not in kinds:
            wanted = "floats" if kinds == "f" else "integers"
            raise PlacementError(f"{name}: out has dtype {data.dtype}: must be an array of {wanted}")
        two = choose(data.dtype)
        row = data.size // max(len(data), 1)

        def pair(k: int, out: Any, begin: int, first: int) -> None:
            j = np.uint64(begin + 2 * k)
            out[j], out[j + np.uint64(1)] = two(seed, first + 2 * k)

        def end(k: int, out: Any, last: int, first: int) -> None:
            i = first + k * last
            a, b = two(seed, i - i % 2)
            out[k * last] = b if i % 2 == 1 else a

        def step(part: LocalPart) -> None:
            here, count, first = data[part], len(part) * row, part.lo * row
            whole = not isinstance(here, np.ndarray) or here.flags.c_contiguous
            flat = here.reshape(-1) if whole else part.empty(count, data.dtype)
            begin = first % 2
            pairs = max(count - begin, 0) // 2
            for_each(part.how, pairs, pair, flat, begin, first + begin)
            if count != 2 * pairs:  # what has its neighbour in another part, or has none
                for_each(part.how, 2, end, flat, count - 1, first)
            if not whole:
                here[...] = flat.reshape(here.shape)

        p.each("fill", step)
        return p.give(data)

    return parts.run(name, policy, (out, seed), body, whole=((), options))


for _algorithm in (fill_uniform, fill_normal, fill_integers):
    policy_first(_algorithm, "random.")
