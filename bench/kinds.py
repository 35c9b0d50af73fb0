"""Loops of the kinds that programs are made of, as a user would write them, beside good C++ with OpenMP.

``python -m bench.kinds [--n 1e5,1e6] [--only name] [--on threads,simd]`` runs portapar and `native/kinds.cpp`
alternately, compares what they compute, and prints the ratios of speeds (above 1: portapar is faster). ``--check``
compares only, on NumPy arrays and on arrays that live on the executor, such as ``--on hybrid:simd+opencl:0``; ranks do
so together: ``mpirun -n 3 python -m bench.kinds --check --on mpi``.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import math
import statistics
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import portapar as pp
from portapar.config import default_threads

from .algorithms import WrongResult, alternate, converted
from .native import compilers
from .pareval import checked, refused

FLAGS = ["-O3", "-fPIC", "-fopenmp", "-std=c++17"]


@functools.cache
def native() -> ctypes.CDLL:
    """The C++ codes, compiled on the first call; BuildError if they cannot be."""
    flags = [*FLAGS, *compilers.native_flags()[0]]
    path = compilers.library("kinds.cpp", compilers.cxx_compiler(), flags, ["-shared", "-fopenmp", "-lstdc++", "-lm"])
    return ctypes.CDLL(str(path))


class Data:
    """Random arrays of one size, on cache-line boundaries, for both codes."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.rng = np.random.default_rng(1)

    def side(self, ndim: int) -> int:
        return max(8, round(self.n ** (1 / ndim)))

    def random(self, *shape: int, dtype: Any = np.float64) -> np.ndarray:
        return pp.threads().asarray(self.rng.random(shape).astype(dtype))

    def whole(self, end: int, *shape: int, dtype: Any = np.int32) -> np.ndarray:
        return pp.threads().asarray(self.rng.integers(0, end, shape).astype(dtype))

    def zeros(self, *shape: int, dtype: Any = np.float64) -> np.ndarray:
        return pp.threads().asarray(np.zeros(shape, dtype))


#: What a maker gives: portapar's call with a policy, its outputs, and the C++ function with its arguments, where
#: `OUT[k]` stands for a second array like the k-th output
Made = tuple[Callable[[Any], Any], list[np.ndarray], str, tuple[Any, ...]]
OUT = tuple(object() for _ in range(4))


# hydrodynamics ------------------------------------------------------------------------------------


def gas(i, rho, e, p, c, gamma):
    p[i] = (gamma - 1) * rho[i] * e[i]
    c[i] = math.sqrt(gamma * p[i] / rho[i])


def make_gas(d: Data) -> Made:
    n, rho, e, p, c = d.n, d.random(d.n) + 1, d.random(d.n), d.zeros(d.n), d.zeros(d.n)
    return lambda how: pp.for_each(how, n, gas, rho, e, p, c, 1.4), [p, c], "gas", (rho, e, OUT[0], OUT[1], n, 1.4)


def velocity(i, u, p, q, m, dt):
    u[i] -= dt * (p[i] + q[i] - p[i - 1] - q[i - 1]) / (0.5 * (m[i] + m[i - 1]))


def make_velocity(d: Data) -> Made:
    n, u, p, q, m = d.n, d.zeros(d.n), d.random(d.n), d.random(d.n), d.random(d.n) + 1
    run = lambda how: pp.for_each(how, pp.range(1, n), velocity, u, p, q, m, 1e-9)
    return run, [u], "velocity", (OUT[0], p, q, m, n, 1e-9)


def viscosity(i, u, rho, c, q):
    du = u[i + 1] - u[i]
    q[i] = rho[i] * du * (1.5 * du - 0.5 * c[i]) if du < 0 else 0.0


def make_viscosity(d: Data) -> Made:
    n, u, rho, c, q = d.n, d.random(d.n), d.random(d.n), d.random(d.n), d.zeros(d.n)
    return lambda how: pp.for_each(how, n - 1, viscosity, u, rho, c, q), [q], "viscosity", (u, rho, c, OUT[0], n)


def upwind(i, x, v, y, r):
    if v[i] > 0:
        y[i] = x[i] - r * v[i] * (x[i] - x[i - 1])
    else:
        y[i] = x[i] - r * v[i] * (x[i + 1] - x[i])


def make_upwind(d: Data) -> Made:
    n, x, v, y = d.n, d.random(d.n), d.random(d.n) - 0.5, d.zeros(d.n)
    run = lambda how: pp.for_each(how, pp.range(1, n - 1), upwind, x, v, y, 0.3)
    return run, [y], "upwind", (x, v, OUT[0], n, 0.3)


def minmod(i, x, s):
    a = x[i] - x[i - 1]
    b = x[i + 1] - x[i]
    if a * b <= 0:
        s[i] = 0.0
    elif abs(a) < abs(b):
        s[i] = a
    else:
        s[i] = b


def make_minmod(d: Data) -> Made:
    n, x, s = d.n, d.random(d.n), d.zeros(d.n)
    return lambda how: pp.for_each(how, pp.range(1, n - 1), minmod, x, s), [s], "minmod", (x, OUT[0], n)


def tridiagonal(i, a, b, c, x, y):
    y[i] = a[i] * x[i - 1] + b[i] * x[i] + c[i] * x[i + 1]


def make_tridiagonal(d: Data) -> Made:
    n, (a, b, c, x), y = d.n, (d.random(d.n) for _ in range(4)), d.zeros(d.n)
    run = lambda how: pp.for_each(how, pp.range(1, n - 1), tridiagonal, a, b, c, x, y)
    return run, [y], "tridiagonal", (a, b, c, x, OUT[0], n)


def equation(i, e, v, pold, qold, comp, p, enew):
    bulk = 0.66 * (comp[i] + 1.0)
    pressure = bulk * e[i]
    if abs(pressure) < 1e-7:
        pressure = 0.0
    if v[i] >= 1.9:
        pressure = 0.0
    pressure = max(pressure, -0.1)
    p[i] = pressure
    energy = e[i] - 0.5 * v[i] * (pold[i] + qold[i] + pressure)
    enew[i] = -0.5 if energy < -0.5 else energy


def make_equation(d: Data) -> Made:
    n, (e, v, pold, qold, comp), p, enew = d.n, (2 * d.random(d.n) for _ in range(5)), d.zeros(d.n), d.zeros(d.n)
    run = lambda how: pp.for_each(how, n, equation, e, v, pold, qold, comp, p, enew)
    return run, [p, enew], "equation", (e, v, pold, qold, comp, OUT[0], OUT[1], n)


def limiter(i, u, f, c):
    n = len(u)
    a = u[i] - u[i - 1]
    b = u[(i + 1) % n] - u[i]
    slope = 0.0 if a * b <= 0 else 2 * a * b / (a + b)
    f[i] = c * (u[i] + 0.5 * (1 - c) * slope)


def make_limiter(d: Data) -> Made:
    n, u, f = d.n, d.random(d.n), d.zeros(d.n)
    return lambda how: pp.for_each(how, n, limiter, u, f, 0.3), [f], "limiter", (u, OUT[0], n, 0.3)


# finite differences in two dimensions -------------------------------------------------------------


def heat(i, j, x, y):
    y[i, j] = x[i, j] + 0.1 * (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1] - 4 * x[i, j])


def make_heat(d: Data) -> Made:
    m = d.side(2)
    x, y = d.random(m, m), d.zeros(m, m)
    run = lambda how: pp.for_each(how, (pp.range(1, m - 1), pp.range(1, m - 1)), heat, x, y)
    return run, [y], "heat", (x, OUT[0], m, m)


def wave(i, j, now, old, speed, new):
    near = now[i - 1, j] + now[i + 1, j] + now[i, j - 1] + now[i, j + 1]
    far = now[i - 2, j] + now[i + 2, j] + now[i, j - 2] + now[i, j + 2]
    new[i, j] = 2 * now[i, j] - old[i, j] + speed[i, j] * (-5 * now[i, j] + 1.333 * near - 0.0833 * far)


def make_wave(d: Data) -> Made:
    m = d.side(2)
    (now, old, speed), new = (d.random(m, m) for _ in range(3)), d.zeros(m, m)
    run = lambda how: pp.for_each(how, (pp.range(2, m - 2), pp.range(2, m - 2)), wave, now, old, speed, new)
    return run, [new], "wave", (now, old, speed, OUT[0], m, m)


def maxwell(i, j, ex, ey, hz):
    hz[i, j] -= 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])


def make_maxwell(d: Data) -> Made:
    m = d.side(2)
    ex, ey, hz = d.random(m, m), d.random(m, m), d.zeros(m, m)
    return lambda how: pp.for_each(how, (m - 1, m - 1), maxwell, ex, ey, hz), [hz], "maxwell", (ex, ey, OUT[0], m, m)


def redblack(i, j, x, f):
    r = 2 * i + 1  # a quarter of the points: nobody reads what another writes
    x[r, j] = 0.25 * (x[r - 1, j] + x[r + 1, j] + x[r, j - 1] + x[r, j + 1] - f[i, j])


def make_redblack(d: Data) -> Made:
    m = d.side(2) // 2 * 2 + 1
    x, f = d.zeros(m, m), d.random(m, m)
    run = lambda how: pp.for_each(how, ((m - 1) // 2, pp.range(1, m - 1, 2)), redblack, x, f)
    return run, [x], "redblack", (OUT[0], f, m, m)


def sobel(i, j, x, y):
    gx = x[i - 1, j + 1] + 2 * x[i, j + 1] + x[i + 1, j + 1] - x[i - 1, j - 1] - 2 * x[i, j - 1] - x[i + 1, j - 1]
    gy = x[i + 1, j - 1] + 2 * x[i + 1, j] + x[i + 1, j + 1] - x[i - 1, j - 1] - 2 * x[i - 1, j] - x[i - 1, j + 1]
    fx, fy = np.float32(gx), np.float32(gy)
    y[i, j] = math.sqrt(fx * fx + fy * fy)


def make_sobel(d: Data) -> Made:
    m = d.side(2)
    x, y = d.whole(256, m, m, dtype=np.int16), d.zeros(m, m, dtype=np.float32)
    run = lambda how: pp.for_each(how, (pp.range(1, m - 1), pp.range(1, m - 1)), sobel, x, y)
    return run, [y], "sobel", (x, OUT[0], m, m)


def blur(i, j, x, w, y):
    s = 0.0
    for a in range(3):
        for b in range(3):
            s += w[a, b] * x[i + a - 1, j + b - 1]
    y[i, j] = s


def make_blur(d: Data) -> Made:
    m = d.side(2)
    x, w, y = d.random(m, m), d.random(3, 3), d.zeros(m, m)
    run = lambda how: pp.for_each(how, (pp.range(1, m - 1), pp.range(1, m - 1)), blur, x, w, y)
    return run, [y], "blur", (x, w, OUT[0], m, m)


def burgers(i, j, u, v, out, r):
    n, m = u.shape
    up, down, left, right = max(i - 1, 0), min(i + 1, n - 1), max(j - 1, 0), min(j + 1, m - 1)
    here = u[i, j]
    around = u[i, left] + u[i, right] + u[up, j] + u[down, j]
    carried = here * (here - u[i, left]) + v[i, j] * (here - u[up, j])
    out[i, j] = here - r * carried + 0.1 * (around - 4 * here)


def make_burgers(d: Data) -> Made:
    m = d.side(2)
    u, v, out = d.random(m, m), d.random(m, m), d.zeros(m, m)
    return lambda how: pp.for_each(how, (m, m), burgers, u, v, out, 0.2), [out], "burgers", (u, v, OUT[0], m, m, 0.2)


# three and four dimensions ------------------------------------------------------------------------


def laplace(i, j, k, x, y):
    around = x[i - 1, j, k] + x[i + 1, j, k] + x[i, j - 1, k] + x[i, j + 1, k] + x[i, j, k - 1] + x[i, j, k + 1]
    y[i, j, k] = around - 6 * x[i, j, k]


def make_laplace(d: Data) -> Made:
    m = d.side(3)
    x, y = d.random(m, m, m), d.zeros(m, m, m)
    run = lambda how: pp.for_each(how, (pp.range(1, m - 1),) * 3, laplace, x, y)
    return run, [y], "laplace", (x, OUT[0], m)


def difference(i, j, k, x, y):
    y[i, j, k] = x[i + 1, j, k] + x[i, j, k]


def make_difference(d: Data) -> Made:
    m = d.side(3)
    x, y = d.random(m, m, m), d.zeros(m, m, m)
    return lambda how: pp.for_each(how, (m - 1, m, m), difference, x, y), [y], "difference", (x, OUT[0], m)


def corners(i, x, y, jp, kp):
    low = x[i] + x[i + 1] + x[i + jp] + x[i + jp + 1]
    high = x[i + kp] + x[i + kp + 1] + x[i + kp + jp] + x[i + kp + jp + 1]
    y[i] = 0.125 * (low + high)


def make_corners(d: Data) -> Made:
    m = d.side(3)
    x = d.random(m**3)
    n = m**3 - m * m - m - 1
    y = d.zeros(n)
    return lambda how: pp.for_each(how, n, corners, x, y, m, m * m), [y], "corners", (x, OUT[0], n, m, m * m)


def advection(i, j, k, q, u, v, w, out, r):
    here = q[i, j, k]
    change = u[i, j, k] * (here - q[i - 1, j, k]) + v[i, j, k] * (here - q[i, j - 1, k])
    out[i, j, k] = here - r * (change + w[i, j, k] * (here - q[i, j, k - 1]))


def make_advection(d: Data) -> Made:
    m = d.side(3)
    (q, u, v, w), out = (d.random(m, m, m) for _ in range(4)), d.zeros(m, m, m)
    run = lambda how: pp.for_each(how, (pp.range(1, m),) * 3, advection, q, u, v, w, out, 0.2)
    return run, [out], "advection", (q, u, v, w, OUT[0], m, 0.2)


def cube27(i, j, k, x, y):
    s = 0.0
    for a in range(-1, 2):
        for b in range(-1, 2):
            for c in range(-1, 2):
                s += x[i + a, j + b, k + c]
    y[i, j, k] = s / 27


def make_cube27(d: Data) -> Made:
    m = d.side(3)
    x, y = d.random(m, m, m), d.zeros(m, m, m)
    run = lambda how: pp.for_each(how, (pp.range(1, m - 1),) * 3, cube27, x, y)
    return run, [y], "cube27", (x, OUT[0], m)


def scattering(g, i, j, k, phi, sigma, source, q):
    q[g, i, j, k] = source[g, i, j, k] + sigma[g] * phi[g, i, j, k]


def make_scattering(d: Data) -> Made:
    groups, m = 8, max(4, round((d.n / 8) ** (1 / 3)))
    phi, sigma, source = d.random(groups, m, m, m), d.random(groups), d.random(groups, m, m, m)
    q = d.zeros(groups, m, m, m)
    run = lambda how: pp.for_each(how, (groups, m, m, m), scattering, phi, sigma, source, q)
    return run, [q], "scattering", (phi, sigma, source, OUT[0], groups, m)


def lattice(t, i, j, k, x, y):
    s = x[t + 1, i, j, k] + x[t - 1, i, j, k] + x[t, i + 1, j, k] + x[t, i - 1, j, k]
    s = s + x[t, i, j + 1, k] + x[t, i, j - 1, k] + x[t, i, j, k + 1] + x[t, i, j, k - 1]
    y[t, i, j, k] = s - 8 * x[t, i, j, k]


def make_lattice(d: Data) -> Made:
    m = d.side(4)
    x, y = d.random(m, m, m, m), d.zeros(m, m, m, m)
    run = lambda how: pp.for_each(how, (pp.range(1, m - 1),) * 4, lattice, x, y)
    return run, [y], "lattice", (x, OUT[0], m)


def torus(i, j, k, x, y):
    n = len(x)
    s = x[i - 1, j, k] + x[(i + 1) % n, j, k] + x[i, j - 1, k] + x[i, (j + 1) % n, k]
    y[i, j, k] = s + x[i, j, k - 1] + x[i, j, (k + 1) % n] - 6 * x[i, j, k]


def make_torus(d: Data) -> Made:
    m = d.side(3)
    x, y = d.random(m, m, m), d.zeros(m, m, m)
    return lambda how: pp.for_each(how, (m, m, m), torus, x, y), [y], "torus", (x, OUT[0], m)


# polyhedral ---------------------------------------------------------------------------------------


def matvec(i, a, x, y):
    s = 0.0
    for j in range(len(x)):
        s += a[i, j] * x[j]
    y[i] = s


def make_matvec(d: Data) -> Made:
    m = d.side(2)
    a, x, y = d.random(m, m), d.random(m), d.zeros(m)
    return lambda how: pp.for_each(how, m, matvec, a, x, y), [y], "matvec", (a, x, OUT[0], m)


def transposed(j, a, x, y):
    s = 0.0
    for i in range(len(x)):
        s += a[i, j] * x[i]
    y[j] = s


def make_transposed(d: Data) -> Made:
    m = d.side(2)
    a, x, y = d.random(m, m), d.random(m), d.zeros(m)
    return lambda how: pp.for_each(how, m, transposed, a, x, y), [y], "transposed", (a, x, OUT[0], m)


def product(i, a, b, c):
    n = len(b)
    for j in range(n):
        c[i, j] = 0.0
    for k in range(n):
        for j in range(n):
            c[i, j] += a[i, k] * b[k, j]


def make_product(d: Data) -> Made:
    m = max(32, round(d.n ** (1 / 3)))  # n multiplications
    a, b, c = d.random(m, m), d.random(m, m), d.zeros(m, m)
    return lambda how: pp.for_each(how, m, product, a, b, c), [c], "product", (a, b, OUT[0], m)


def rank2(i, j, u, v, x, y, a):
    a[i, j] += u[i] * v[j] + x[i] * y[j]


def make_rank2(d: Data) -> Made:
    m = d.side(2)
    (u, v, x, y), a = (d.random(m) for _ in range(4)), d.zeros(m, m)
    return lambda how: pp.for_each(how, (m, m), rank2, u, v, x, y, a), [a], "rank2", (u, v, x, y, OUT[0], m)


def triangle(i, a, x, y):
    s = 0.0
    for j in range(i + 1):
        s += a[i, j] * x[j]
    y[i] = s


def make_triangle(d: Data) -> Made:
    m = d.side(2)
    a, x, y = d.random(m, m), d.random(m), d.zeros(m)
    return lambda how: pp.for_each(how, m, triangle, a, x, y), [y], "triangle", (a, x, OUT[0], m)


def thomas(j, rhs, c, x):
    m = len(rhs)
    c[0, j] = -1.0 / 4
    x[0, j] = rhs[0, j] / 4
    for i in range(1, m):
        w = 1 / (4 + c[i - 1, j])
        c[i, j] = -w
        x[i, j] = (rhs[i, j] + x[i - 1, j]) * w
    for i in range(m - 2, -1, -1):
        x[i, j] -= c[i, j] * x[i + 1, j]


def make_thomas(d: Data) -> Made:
    m = d.side(2)
    rhs, c, x = d.random(m, m), d.zeros(m, m), d.zeros(m, m)
    return lambda how: pp.for_each(how, m, thomas, rhs, c, x), [c, x], "thomas", (rhs, OUT[0], OUT[1], m)


def goertzel(k, x, power):
    w = 2 * math.cos(2 * math.pi * k / len(x))
    a = b = 0.0
    for t in range(len(x)):
        c = x[t] + w * a - b
        b = a
        a = c
    power[k] = a * a + b * b - w * a * b


def make_goertzel(d: Data) -> Made:
    m = d.side(2)
    x, power = d.random(m), d.zeros(m)
    return lambda how: pp.for_each(how, m, goertzel, x, power), [power], "goertzel", (x, OUT[0], m)


def knapsack(w, old, new, weight, value):
    new[w] = max(old[w], old[w - weight] + value) if w >= weight else old[w]


def make_knapsack(d: Data) -> Made:
    n, old, new = d.n, d.whole(1000, d.n), d.zeros(d.n, dtype=np.int32)
    run = lambda how: pp.for_each(how, n, knapsack, old, new, 37, 11)
    return run, [new], "knapsack", (old, OUT[0], n, 37, 11)


# gathers ------------------------------------------------------------------------------------------


def ellpack(i, a, column, x, y):
    s = 0.0
    for k in range(len(a)):
        s += a[k, i] * x[column[k, i]]
    y[i] = s


def make_ellpack(d: Data) -> Made:
    width, n = 8, max(16, d.n // 8)
    a, x, y = d.random(width, n), d.random(n), d.zeros(n)
    column = np.clip(np.arange(n) + d.whole(101, width, n) - 50, 0, n - 1).astype(np.int32)
    run = lambda how: pp.for_each(how, n, ellpack, a, column, x, y)
    return run, [y], "ellpack", (a, column, x, OUT[0], n, width)


def diagonals(i, a, offset, x, y):
    s = 0.0
    for k in range(len(offset)):
        j = i + offset[k]
        if 0 <= j < len(x):
            s += a[k, i] * x[j]
    y[i] = s


def make_diagonals(d: Data) -> Made:
    n = max(64, d.n // 7)
    m = round(n**0.5)
    offset, a, x, y = np.array([-m, -2, -1, 0, 1, 2, m]), d.random(7, n), d.random(n), d.zeros(n)
    run = lambda how: pp.for_each(how, n, diagonals, a, offset, x, y)
    return run, [y], "diagonals", (a, offset, x, OUT[0], n, 7)


def edges(i, start, end, x, y):
    y[i] = 0.5 * (x[start[i]] + x[end[i]])


def make_edges(d: Data) -> Made:
    n, x, y = d.n, d.random(d.n // 4), d.zeros(d.n)
    start = np.sort(d.whole(len(x), n))
    end = np.minimum(start + d.whole(64, n), len(x) - 1).astype(np.int32)
    return lambda how: pp.for_each(how, n, edges, start, end, x, y), [y], "edges", (start, end, x, OUT[0], n)


def sparse(i, first, column, a, x, y):
    s = 0.0
    for p in range(first[i], first[i + 1]):
        s += a[p] * x[column[p]]
    y[i] = s


def make_sparse(d: Data) -> Made:
    rows = d.n // 8
    first = np.concatenate([[0], np.cumsum(d.whole(16, rows))]).astype(np.int32)
    column, a, x, y = d.whole(rows, first[-1]), d.random(first[-1]), d.random(rows), d.zeros(rows)
    run = lambda how: pp.for_each(how, rows, sparse, first, column, a, x, y)
    return run, [y], "sparse", (first, column, a, x, OUT[0], rows)


def areas(t, node, x, y, area):
    a, b, c = node[t, 0], node[t, 1], node[t, 2]
    area[t] = 0.5 * abs((x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a]))


def make_areas(d: Data) -> Made:
    n, points = d.n, max(64, d.n // 2)
    node = np.minimum(np.sort(d.whole(points, n))[:, None] + d.whole(32, n, 3), points - 1).astype(np.int32)
    x, y, area = d.random(points), d.random(points), d.zeros(n)
    return lambda how: pp.for_each(how, n, areas, node, x, y, area), [area], "areas", (node, x, y, OUT[0], n)


def table(i, t, x, y):
    s = x[i] * (len(t) - 1)
    k = int(s)
    y[i] = t[k] + (s - k) * (t[k + 1] - t[k])


def make_table(d: Data) -> Made:
    n, t, x, y = d.n, d.random(1000), d.random(d.n), d.zeros(d.n)
    return lambda how: pp.for_each(how, n, table, t, x, y), [y], "table", (t, x, OUT[0], n, 1000)


def periodic(i, x, y):
    y[i] = x[i - 1] - 2 * x[i] + x[i + 1 if i + 1 < len(x) else 0]


def make_periodic(d: Data) -> Made:
    n, x, y = d.n, d.random(d.n), d.zeros(d.n)
    return lambda how: pp.for_each(how, n, periodic, x, y), [y], "periodic", (x, OUT[0], n)


def push(i, x, v, e, dt):
    s = x[i] * (len(e) - 1)
    k = int(s)
    w = s - k
    v[i] += dt * ((1 - w) * e[k] + w * e[k + 1])
    x[i] += dt * v[i]
    if x[i] < 0:
        x[i] += 1
    if x[i] >= 1:
        x[i] -= 1


def make_push(d: Data) -> Made:
    n, x, v, e = d.n, d.random(d.n), d.random(d.n) - 0.5, d.random(1001)
    return lambda how: pp.for_each(how, n, push, x, v, e, 1e-6), [x, v], "push", (OUT[0], OUT[1], e, n, 1000, 1e-6)


# reductions with conditions -----------------------------------------------------------------------


def make_masked(d: Data) -> Made:
    x, w, out = d.random(d.n), d.random(d.n), d.zeros(1)

    def run(how: Any) -> None:
        out[0] = pp.transform_reduce(how, x, w, transform=lambda x, w: x * w if w > 0.5 else 0.0, op=pp.plus)

    return run, [out], "masked", (x, w, OUT[0], d.n)


def make_fastest(d: Data) -> Made:
    u, c, out = d.random(d.n), d.random(d.n), d.zeros(1)

    def run(how: Any) -> None:
        out[0] = pp.transform_reduce(how, u, c, transform=lambda u, c: abs(u) + c, op=pp.maximum)

    return run, [out], "fastest", (u, c, OUT[0], d.n)


def make_moments(d: Data) -> Made:
    x, out = d.random(d.n), d.zeros(2)
    both = lambda a, b: (a[0] + b[0], a[1] + b[1])

    def run(how: Any) -> None:
        out[:] = pp.transform_reduce(how, x, transform=lambda v: (v, v * v), op=both)

    return run, [out], "moments", (x, OUT[0], d.n)


def make_inside(d: Data) -> Made:
    x, y, out = d.random(d.n), d.random(d.n), d.zeros(1, dtype=np.int64)

    def run(how: Any) -> None:
        out[0] = pp.count_if(how, pp.lazy.zip(x, y), lambda p: p[0] * p[0] + p[1] * p[1] <= 1)

    return run, [out], "inside", (x, y, OUT[0], d.n)


def make_octants(d: Data) -> Made:
    (x, y, z), out = (d.random(d.n) for _ in range(3)), d.zeros(8, dtype=np.int64)

    def octant(x, y, z):
        if x > 0.5:
            return (7 if z > 0.5 else 6) if y > 0.5 else (5 if z > 0.5 else 4)
        return (3 if z > 0.5 else 2) if y > 0.5 else (1 if z > 0.5 else 0)

    def run(how: Any) -> None:
        out[:] = pp.asnumpy(pp.bincount(how, pp.lazy.transform(x, y, z, octant), minlength=8))

    return run, [out], "octants", (x, y, z, OUT[0], d.n)


def make_words(d: Data) -> Made:
    text, out = d.whole(128, d.n, dtype=np.uint8), d.zeros(1, dtype=np.int64)

    def space(c):
        return c == 32 or 9 <= c <= 13

    def begins(i):
        return not space(text[i]) and (i == 0 or space(text[i - 1]))

    def run(how: Any) -> None:
        out[0] = pp.count_if(how, pp.lazy.iota(len(text)), begins)

    return run, [out], "words", (text, OUT[0], d.n)


# finite elements ----------------------------------------------------------------------------------


def stiffness(e, jac, u, grad, out):
    r = np.zeros(8)
    for q in range(8):
        s = 0.0
        for a in range(8):
            s += grad[q, a] * u[e, a]
        s *= jac[e, q]
        for a in range(8):
            r[a] += grad[q, a] * s
    for a in range(8):
        out[e, a] = r[a]


def make_stiffness(d: Data) -> Made:
    n = max(64, d.n // 8)
    jac, u, grad, out = d.random(n, 8), d.random(n, 8), d.random(8, 8), d.zeros(n, 8)
    return lambda how: pp.for_each(how, n, stiffness, jac, u, grad, out), [out], "stiffness", (jac, u, grad, OUT[0], n)


def spectral(e, b, u, out):
    t = np.zeros((4, 4, 4))
    s = np.zeros((4, 4, 4))
    for i in range(4):
        for j in range(4):
            for k in range(4):
                v = 0.0
                for a in range(4):
                    v += b[k, a] * u[e, i, j, a]
                t[i, j, k] = v
    for i in range(4):
        for j in range(4):
            for k in range(4):
                v = 0.0
                for a in range(4):
                    v += b[j, a] * t[i, a, k]
                s[i, j, k] = v
    for i in range(4):
        for j in range(4):
            for k in range(4):
                v = 0.0
                for a in range(4):
                    v += b[i, a] * s[a, j, k]
                out[e, i, j, k] = v


def make_spectral(d: Data) -> Made:
    n = max(16, d.n // 64)
    b, u, out = d.random(4, 4), d.random(n, 4, 4, 4), d.zeros(n, 4, 4, 4)
    return lambda how: pp.for_each(how, n, spectral, b, u, out), [out], "spectral", (b, u, OUT[0], n)


def inverse(e, a, out):
    c0 = a[1, 1, e] * a[2, 2, e] - a[1, 2, e] * a[2, 1, e]
    c1 = a[1, 2, e] * a[2, 0, e] - a[1, 0, e] * a[2, 2, e]
    c2 = a[1, 0, e] * a[2, 1, e] - a[1, 1, e] * a[2, 0, e]
    d = 1 / (a[0, 0, e] * c0 + a[0, 1, e] * c1 + a[0, 2, e] * c2)
    out[0, 0, e] = c0 * d
    out[0, 1, e] = (a[0, 2, e] * a[2, 1, e] - a[0, 1, e] * a[2, 2, e]) * d
    out[0, 2, e] = (a[0, 1, e] * a[1, 2, e] - a[0, 2, e] * a[1, 1, e]) * d
    out[1, 0, e] = c1 * d
    out[1, 1, e] = (a[0, 0, e] * a[2, 2, e] - a[0, 2, e] * a[2, 0, e]) * d
    out[1, 2, e] = (a[0, 2, e] * a[1, 0, e] - a[0, 0, e] * a[1, 2, e]) * d
    out[2, 0, e] = c2 * d
    out[2, 1, e] = (a[0, 1, e] * a[2, 0, e] - a[0, 0, e] * a[2, 1, e]) * d
    out[2, 2, e] = (a[0, 0, e] * a[1, 1, e] - a[0, 1, e] * a[1, 0, e]) * d


def make_inverse(d: Data) -> Made:
    n = max(64, d.n // 9)
    a, out = d.random(3, 3, n), d.zeros(3, 3, n)
    a += 2 * np.eye(3)[:, :, None]
    return lambda how: pp.for_each(how, n, inverse, a, out), [out], "inverse", (a, OUT[0], n)


def element(e, node, a, x, out):
    for r in range(4):
        s = 0.0
        for c in range(4):
            s += a[e, r, c] * x[node[e, c]]
        out[e, r] = s


def make_element(d: Data) -> Made:
    n, points = max(64, d.n // 4), max(64, d.n // 8)
    node = np.minimum(np.sort(d.whole(points, n))[:, None] + d.whole(32, n, 4), points - 1).astype(np.int32)
    a, x, out = d.random(n, 4, 4), d.random(points), d.zeros(n, 4)
    return lambda how: pp.for_each(how, n, element, node, a, x, out), [out], "element", (node, a, x, OUT[0], n)


# data bases ---------------------------------------------------------------------------------------


def revenue(day, price, discount, quantity):
    if 100 <= day < 465 and 0.05 <= discount <= 0.07 and quantity < 24:
        return price * discount
    return 0.0


def make_revenue(d: Data) -> Made:
    day, price, discount, quantity = d.whole(2500, d.n), d.random(d.n), 0.1 * d.random(d.n), 50 * d.random(d.n)
    out = d.zeros(1)

    def run(how: Any) -> None:
        out[0] = pp.transform_reduce(how, day, price, discount, quantity, transform=revenue, op=pp.plus)

    return run, [out], "revenue", (day, price, discount, quantity, OUT[0], d.n)


def make_groups(d: Data) -> Made:
    key, value, out = d.whole(100, d.n), d.random(d.n), d.zeros(100)

    def run(how: Any) -> None:
        out[:] = pp.asnumpy(pp.bincount(how, key, weights=value, minlength=100))

    return run, [out], "groups", (key, value, OUT[0], d.n, 100)


# images -------------------------------------------------------------------------------------------


def gray(i, rgb, out):
    out[i] = (77 * np.int32(rgb[i, 0]) + 150 * np.int32(rgb[i, 1]) + 29 * np.int32(rgb[i, 2])) >> 8


def make_gray(d: Data) -> Made:
    rgb, out = d.whole(256, d.n, 3, dtype=np.uint8), d.zeros(d.n, dtype=np.uint8)
    return lambda how: pp.for_each(how, len(out), gray, rgb, out), [out], "gray", (rgb, OUT[0], d.n)


def smooth(i, x, w, y):
    s = np.float32(0)
    for k in range(5):
        s += w[k] * x[i + k - 2]
    y[i] = s


def make_smooth(d: Data) -> Made:
    n, x, w = d.n, d.random(d.n, dtype=np.float32), d.random(5, dtype=np.float32)
    y = d.zeros(n, dtype=np.float32)
    return lambda how: pp.for_each(how, pp.range(2, n - 2), smooth, x, w, y), [y], "smooth", (x, w, OUT[0], n)


def across(i, j, x, w, y):
    s = np.float32(0)
    for b in range(5):
        s += w[b] * x[i, min(max(j + b - 2, 0), x.shape[1] - 1)]
    y[i, j] = s


def make_across(d: Data) -> Made:
    m = d.side(2)
    x, w, y = (d.random(*shape, dtype=np.float32) for shape in ((m, m), (5,), (m, m)))
    return lambda how: pp.for_each(how, (m, m), across, x, w, y), [y], "across", (x, w, OUT[0], m, m)


def make_blend(d: Data) -> Made:
    a, b, alpha = (d.random(d.n, dtype=np.float32) for _ in range(3))
    out = d.zeros(d.n, dtype=np.float32)
    one, none = np.float32(1), np.float32(0)

    def blend(a, b, alpha):
        return min(one, max(none, alpha * a + (one - alpha) * b))

    return lambda how: pp.transform(how, a, b, alpha, op=blend, out=out), [out], "blend", (a, b, alpha, OUT[0], d.n)


MAKERS = {name.removeprefix("make_"): made for name, made in list(globals().items()) if name.startswith("make_")}


def measure(name: str, n: int, executors: list[Any], rounds: int, seconds: float) -> Iterator[dict[str, float]]:
    """Least seconds of both codes, by executor (the name of C++ is ""), after what they compute was compared.

    Raises
    ------
    WrongResult
    """
    ours, mine, function, given = MAKERS[name](Data(n))
    others = [x.copy() for x in mine]
    held = [others[OUT.index(x)] if any(x is o for o in OUT) else x for x in given]
    arguments = [converted(x) for x in held]
    theirs = lambda: getattr(native(), function)(*arguments)
    native().set_threads(ctypes.c_int64(default_threads()))
    theirs()
    for where in executors:
        how = pp.par_unseq.on(where)
        before = [x.copy() for x in mine]
        run, outputs = placed(where, ours, mine)
        run(how)
        for a, b in zip(outputs, others, strict=True):
            if not np.allclose(pp.asnumpy(a), b, rtol=1e-6, atol=1e-9):
                raise WrongResult(f"{name} on {where!r}: differs from C++")
        native().set_threads(ctypes.c_int64(1 if where == pp.simd() else default_threads()))
        taken = alternate({"": theirs, "ours": lambda how=how, run=run: run(how)}, rounds, seconds, min)
        for x, old in zip(mine, before, strict=True):
            x[...] = old
        yield taken


def check(name: str, n: int, where: Any, resident: bool) -> set[str]:
    """Compare what an executor computes with C++, on arrays that are `resident` there or NumPy's: what is refused.

    Raises
    ------
    AssertionError
        The results differ.
    """
    ours, mine, function, given = MAKERS[name](Data(n))
    others = [x.copy() for x in mine]
    held = [others[OUT.index(x)] if any(x is o for o in OUT) else x for x in given]
    try:
        run, outputs = placed(where, ours, mine, resident)
        run(pp.par_unseq.on(where))
    except pp.PlacementError as error:
        return {refused(error)}
    getattr(native(), function)(*(converted(x) for x in held))
    for a, b in zip(outputs, others, strict=True):
        np.testing.assert_allclose(pp.asnumpy(a), b, rtol=1e-6, atol=1e-9)
    return set()


def placed(
    where: Any, run: Callable[[Any], Any], outputs: list[np.ndarray], resident: bool = True
) -> tuple[Callable[[Any], Any], list[Any]]:
    """A maker's call and its outputs with the arrays where they are on an executor that has memory of its own.

    What a call computes one number at a time is stored by Python, and stays on the host. If they need not be
    `resident`, only ranks have outputs placed.
    """
    if isinstance(where.empty(1), np.ndarray) or not (resident or where.group):
        return run, outputs
    there: dict[int, Any] = {}
    kept = set() if run.__name__ == "<lambda>" else {id(x) for x in outputs}

    def place(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or id(x) in kept or not (resident or any(x is y for y in outputs)):
            return x
        return there.setdefault(id(x), where.asarray(x))

    cells = tuple(types.CellType(place(cell.cell_contents)) for cell in run.__closure__ or ())
    moved = types.FunctionType(run.__code__, run.__globals__, run.__name__, run.__defaults__, cells)
    return moved, [there.get(id(x), x) for x in outputs]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.kinds", description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--n", default="1e5,1e6", help="elements, one number or several (default: 1e5,1e6)")
    parser.add_argument("--only", default="", help="names of loops, with commas between")
    parser.add_argument("--on", default="threads", help="executors: threads, simd, opencl:0 (default: threads)")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.2, help="how long each pair takes turns at least")
    parser.add_argument("--check", action="store_true", help="compare results only, on NumPy and on resident arrays")
    asked = parser.parse_args(arguments)
    sizes = [int(float(n)) for n in asked.n.split(",")]
    executors = [pp.executor(name) for name in asked.on.split(",")]
    names = [name for name in MAKERS if not asked.only or name in asked.only.split(",")]
    if asked.check:
        runs = [(name, n, where) for where in executors for n in sizes for name in names]
        return sum(not checked(f"{x[0]}, {x[1]:.0e}", x[2], functools.partial(check, *x)) for x in runs)
    columns = [f"{on}, {n:.0e}" for n in sizes for on in asked.on.split(",")]
    print(f"{'':12}" + "".join(f"{c:>32}" for c in columns))
    found: dict[str, list[float]] = {c: [] for c in columns}
    for name in names:
        row, place = f"{name:12}", iter(columns)
        for n in sizes:
            try:
                for taken in measure(name, n, executors, asked.rounds, asked.seconds):
                    ratio = taken[""] / taken["ours"]
                    found[next(place)].append(ratio)
                    row += f"{taken['ours'] * 1e6:13.1f} µs {taken[''] * 1e6:9.1f} {ratio:5.2f}"
            except (pp.PortaparError, WrongResult) as error:
                row += f"  {type(error).__name__}: {str(error).splitlines()[0][:80]}"
        print(row, flush=True)
    means = (f"{statistics.geometric_mean(found[c]):32.2f}" if found[c] else f"{'–':>32}" for c in columns)
    print(f"{'mean':12}" + "".join(means))
    return 0


if __name__ == "__main__":
    sys.exit(main())
