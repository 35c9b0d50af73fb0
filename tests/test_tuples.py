"""Tuples in kernels: with names, taken apart, joined, cut, stored in rows; beside the same kernels run by Python."""

import math
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

import portapar as pp

N = 9
Point = namedtuple("Point", "x y", defaults=(2.0,))
Segment = namedtuple("Segment", "a b")


@dataclass
class State:
    x: float
    y: float
    z: float = 1.0


def moved(p, q, s):
    return State(p.x + s * q.x, p.y + s * q.y, p.z + s * q.z)


def length(s):
    return math.hypot(s.a.x - s.b.x, s.a.y - s.b.y)


def size(p):
    return math.hypot(*p)


def of_three(a, b, c):
    return a - b * c


def named(i, x, out):
    s = Segment(Point(x[i, 0]), Point(*x[i, 1:]))
    best = s.a
    for k in range(3):
        c = Point(y=k, x=x[i, k])
        if c.x > best.x:
            best = c
    best = best._replace(y=best.y + 0.5)
    out[i] = length(s) + size(s.a), s[1].y, best.x * 10 + best.y, size(Point(3, x[i, 1]))


def data_classes(i, x, out):
    p, v = State(x[i, 0], x[i, 1]), State(y=1.0, x=x[i, 2], z=3)
    for k in range(4):
        p = moved(p, v, 0.1 * k)
    out[i, 0], out[i, 1], out[i, 2] = p.x, p.y, p.z


def apart(i, x, out):
    first, *_, last = x[i]
    head, *rest = x[i]
    a, *middle, b = (x[i, 0], x[i, 1], x[i, 2], 4)
    (c, d), e = (x[i, 0], x[i, 1]), x[i, 2]
    out[i] = first * last, head + sum(rest) + rest[1], a * middle[0] - b * middle[1] + len(middle), c * d + e
    out[i, 0] += of_three(*x[i]) + of_three(1.0, *x[i, 1:]) + of_three(*(2.0, 3.0), x[i, 1]) + max(*(1.0, x[i, 0]))


def joined(i, x, out):
    t = (x[i, 0], x[i, 1]) + (x[i, 2], 3)
    zeros, twice, more = (0.0,) * 4, (x[i, 0] + 1,) * 2, (*t[1:], 2.5)
    out[i] = t
    out[i, :2] = t[2:]
    out[i, 2:] += t[::-1][:2]
    out[i] += zeros
    out[i, 0] += twice[1] + more[3] + tuple(v * 2 for v in t)[3]


def stored(i, x, out):
    out[i] = out[i, 1], x[i, 0], out[i, 0], 7
    out[i] = out[i, 2], out[i, 0], out[i, 1], out[i, 3]
    m = np.zeros((2, 2))
    m[0] = 1.0, x[i, 1]
    m[:, 1] = (3, 4)
    m[1] += m[0, 0], m[1, 1]
    t = (0, 0, 1.0) if i % 2 else (m[1, 0], m[1, 1], m[0, 1])
    out[i, 1:] += t
    out[i, ::2] = [x[i, 1], m[0, 1]]
    m[:] = (x[i, 0], 1), (2, x[i, 1])
    out[i, 3] += m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]


def looped(i, x, out):
    s, t = 0.0, (x[i, 0], 2, 1.0)
    for c, w in zip((1, 2.5, 3), (0.5, 2, 1)):  # noqa: B905
        s += c * w * x[i, 0]
    for k, (c, v) in enumerate(zip((1, 2, 3), x[i])):  # noqa: B905
        s += k * c * v
    for c, w in zip(t, (3, 4.0, 5), strict=True):
        s += c * w
    for v in (x[i, 1], 2, 1.5):
        s = s * 0.5 + v
    out[i, 0], out[i, 1] = s, c + v


def nested(i, x, out):
    weights, places = (0.5, 1, 2.5), ((0, 1), (1, 0), (2, -1))
    for k, w, f in ((0, 1, 0.5), (1, 2.0, x[i, 2]), (-1, 0.25, 1)):
        out[i, 0] += w * x[i, k] * f
    for w, (k, v) in zip((0.5, 1, 2.5), ((0, 1), (1, x[i, 0]), (2, -1)), strict=True):
        out[i, 1] += w * x[i, k] - v
    for w, (k, v) in zip(weights, places, strict=True):
        out[i, 2] += w * x[i, k] - v
    for w, (k, v) in zip((0.5, 1.5, 2.5), reversed(((0, 1), (1, 0), (2, -1))), strict=True):  # of one type: a loop
        out[i, 3] = out[i, 3] * 0.5 + w * x[i, k] - v
    out[i, 3] += sum(v * x[i, k] for j, (k, v) in enumerate(((0, 1.5), (1, 2), (2, j0(x, i)))) if j != 1)


def j0(x, i):
    return x[i, 1] * 2


@pytest.mark.parametrize(
    "kernel", [named, data_classes, apart, joined, stored, looped, nested], ids=lambda f: f.__name__
)
def test_as_python(kernel, renderer):
    x = np.random.default_rng(3).normal(size=(N, 3))
    out, wanted = np.zeros((N, 4)), np.zeros((N, 4))
    for i in range(N):
        kernel(i, x, wanted)
    for policy in (renderer, renderer.with_(check=True)):
        out[:] = 0
        pp.for_each(policy, N, kernel, x, out)
        np.testing.assert_allclose(out, wanted, rtol=1e-12)


REFUSED = {
    "out[i] = x[i, 0], x[i, 1]": r"\(x\[i, 0\], x\[i, 1\]\) has 2 elements and out\[i\] has 4 elements",
    "out[i, 0] = of_three(*x[i, :2])": r"x\[i, :2\] has 2 elements and \(a, b, c\) has 3 elements",
    "out[i] = 1.0, *x[i]": r"(?s)\*unpacking of x\[i\].*write the elements out",
    "out[i, 0] = Point(1.0).z": "(?s)has no z: its fields are x, y",
    "p = Point(1.0)\n    p.x = 2.0": r"(?s)assigns to p.x.*p = p._replace\(x=…\)",
    "p = Point(1, 2, 3)": r"(?s)does not give Point its fields x, y.*write Point\(x, y\)",
    "p = Point(1)._replace(z=3)": "no tuple with these names",
    "a, b, c, *d = (1, 2)": "takes 2 items apart",
    "for v in (1, 2.5):\n        if v > 2:\n            break": "(?s)items are of several types.*give them one type",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_refused(module, statement):
    made = module(
        "import numpy as np\nfrom collections import namedtuple\nPoint = namedtuple('Point', 'x y', defaults=(2.0,))\n"
        f"def of_three(a, b, c):\n    return a - b * c\ndef kernel(i, x, out):\n    {statement}\n"
    )
    with pytest.raises(pp.KernelError, match=REFUSED[statement]):
        pp.for_each(pp.seq, 2, made.kernel, np.ones((2, 3)), np.zeros((2, 4)))


@pytest.mark.parametrize("kind", ["i1", "u4", "i8", "?"])
def test_whole_numbers_are_divided_as_floats(kind, renderer):
    x, n = np.array([0, 1, 100]).astype(kind), 2**40
    got = pp.transform(renderer, x, op=lambda v: (v / 1000, v / 2**33, 70000 / (v + 1), v / n, np.divide(v, 300)))
    wanted = np.transpose([x / 1000, x / 2**33, 70000 / (x + 1), x / n, np.divide(x, 300)])
    np.testing.assert_array_equal([tuple(row) for row in got], wanted)
