"""The C renderer: entries over index spaces and reductions, types, and what cannot be rendered."""

from __future__ import annotations

import numpy as np
import pytest
from crender import PARTICLE, fields, helper_div, launch, njit, nvrtc, run_map, type_of
from numba import types

from portapar.kernel.c.dialect import CUDA, OPENCL
from portapar.kernel.c.entries import reduce_parameters
from portapar.kernel.c.function import render
from portapar.kernel.c.reductions import render_reduce
from portapar.kernel.c.unit import RenderFailure
from portapar.kernel.front.private import private_zeros
from portapar.kernel.jit.typing import TypingFailure, array_type, check_numba, dtype_of, infer, numba_type, value_type
from portapar.kernel.tiles import BLOCK, LANES, TILE

# -- entries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocked", [False, True])
def test_index_spaces(queue, blocked):
    def one(i, out):
        out[i] += i + 1

    def two(i, j, out):
        out[i, j] += 10 * i + j + 1

    def three(i, j, k, out):
        out[i, j, k] += 100 * i + 10 * j + k + 1

    for kernel, shape in ((one, (37,)), (two, (5, 7)), (three, (3, 4, 5)), (three, (1, 1, 1)), (one, (1,))):
        out, expected = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for index in np.ndindex(shape):
            kernel(*index, expected)
        run_map(queue, kernel, shape, out, blocked=blocked)
        np.testing.assert_array_equal(out, expected)

    def stepped(i, j, out):
        out[(i - 20) // -3, j + 4] = i * 100 + j

    out = np.zeros((4, 5), np.int64)
    run_map(queue, stepped, (4, 5), out, unit_step=False, starts=(20, -4), steps=(-3, 1), blocked=blocked)
    assert out[3].tolist() == [1100 - 4, 1100 - 3, 1100 - 2, 1100 - 1, 1100]


def partials_of(values, op):
    """The documented order, in plain Python."""
    partials = []
    for start in range(0, len(values), TILE):
        tile = values[start : start + TILE]
        lanes = list(tile[:LANES])
        for k in range(LANES, len(tile)):
            lanes[k % LANES] = op(lanes[k % LANES], tile[k])
        stride = LANES // 2
        while stride:
            for lane in range(stride):
                if lane + stride < len(lanes):
                    lanes[lane] = op(lanes[lane], lanes[lane + stride])
            stride //= 2
        partials.append(lanes[0])
    return np.array(partials)


def run_reduce(queue, elem, op, n, acc, *args, grouped=False, ordered=False, lo=0, before=0, after=0):
    typed = infer(elem, (types.int64, *(type_of(a) for a in args)))
    combine = infer(op, (value_type(dtype_of(acc)),) * 2)
    text = render_reduce(typed, combine, acc, OPENCL, "entry", grouped=grouped, ordered=ordered)
    partials = np.zeros(before + -(-(n - lo) // TILE) + after, dtype_of(acc))
    import pyopencl as cl

    buffers = []
    frame = {"partials": fields(cl, queue.context, partials, buffers)["data"], "partials_offset": 0}
    frame |= {"lo": lo, "hi": n, "before": before, "after": after}
    launch(queue, text, reduce_parameters(typed.argtypes, OPENCL), frame, args, (96, 32) if grouped else (3, 1))
    cl.enqueue_copy(queue, partials, buffers[0][0]).wait()
    assert nvrtc(render_reduce(typed, combine, acc, CUDA, "entry", ordered=ordered))
    return partials


@pytest.mark.extra
@pytest.mark.parametrize("grouped", [False, True])
def test_reductions_have_the_documented_bits(queue, grouped):
    def dot(i, x, y):
        return x[i] * y[i]

    def plus(a, b):
        return a + b

    def first(i, x, y):
        return np.int32(x[i] * 1000)

    def weird(a, b):  # neither associative nor commutative
        return 3 * a - b

    def turn(i, x, y):
        return complex(x[i], y[i])

    def times(a, b):
        return a * b

    x, y = np.random.default_rng(0).normal(size=(2, 2 * TILE + 77))
    for n in (1, 2, 3, 17, 31, 32, 33, 63, 65, TILE - 1, TILE, TILE + 1, TILE + 20, len(x)):
        values = list((x * y)[:n])
        got = run_reduce(queue, dot, plus, n, types.float64, x, y, grouped=grouped) if n > TILE - 2 or n < 4 else (
            run_reduce(queue, first, weird, n, types.int32, x, y, grouped=grouped)
        )  # fmt: skip
        if got.dtype == np.int32:
            with np.errstate(over="ignore"):
                values = [np.int32(v * 1000) for v in x[:n]]
                expected = partials_of(values, lambda a, b: np.int32(3) * a - b)
        else:
            expected = partials_of(values, plus)
        np.testing.assert_array_equal(got, expected, err_msg=str(n))
    tail = run_reduce(queue, dot, plus, len(x), types.float64, x, y, grouped=grouped, lo=TILE)
    np.testing.assert_array_equal(tail, partials_of(list(x * y), plus)[1:])
    for lo, hi, before, after in ((TILE, 2 * TILE, 1000, 77), (TILE, TILE, 3, 0), (TILE + 7, TILE + 7, 5, 900)):
        more = {"lo": lo, "before": before, "after": after}
        got = run_reduce(queue, dot, plus, hi, types.float64, x, y, grouped=grouped, **more)
        tiles = partials_of(list(x * y)[:hi], plus)[lo // TILE :] if hi > lo else []
        values = (x * y)[lo - before : lo], tiles, (x * y)[hi : hi + after]
        np.testing.assert_array_equal(got, np.concatenate(values))
    got = run_reduce(queue, turn, times, 40, types.complex128, x, y, grouped=grouped)
    np.testing.assert_allclose(got, partials_of(list(x[:40] + 1j * y[:40]), times), rtol=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
def test_neighbours_are_combined_by_a_binary_tree(queue, grouped):
    def pair(i, x):
        return x[i], i

    def join(a, b):
        return a[0] * b[0] + b[1] % 7, a[1] - b[1]

    def tree(values):
        while len(values) > 1:
            pairs = [join(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
            values = pairs + ([values[-1]] if len(values) % 2 else [])
        return values[0]

    kind = np.dtype([("f0", "f8"), ("f1", "i8")])
    acc = numba_type(kind)
    x = np.random.default_rng(0).uniform(-1, 1, 2 * TILE + 77)
    for n in (1, 3, 33, BLOCK + 1, 3 * BLOCK + 7, TILE - 1, len(x)):
        got = run_reduce(queue, pair, join, n, acc, x, grouped=grouped, ordered=True)
        values = [(v, k) for k, v in enumerate(x[:n])]
        expected = [tree(values[t : t + TILE]) for t in range(0, n, TILE)]
        np.testing.assert_array_equal(got, np.array(expected, kind), err_msg=str(n))


# -- what cannot be done ------------------------------------------------------------------------------------


def message(kernel, *argtypes):
    with pytest.raises((TypingFailure, RenderFailure)) as caught:
        render([infer(kernel, argtypes)], OPENCL)
    first = kernel.__code__.co_firstlineno
    assert first <= caught.value.line <= first + 5, caught.value
    assert len(caught.value.message) < 200
    return caught.value.message


def test_failures_name_the_line_and_the_remedy():
    vector, integer = array_type(np.float64, 1), types.int64

    def slices(i, a):
        a[1:3] = 0.0

    def row(i, a):
        b = a[i:]
        a[i] = b[0]

    def raises(i, a):
        if a[i] < 0:
            raise ValueError("negative")

    def text(i, a):
        a[i] = "x"

    def unknown(i, a):
        a[i] = np.linalg.det(a)

    def mixed(i, a):
        x = a if i > 3 else 1.0
        a[i] = x

    def adds(i, a):
        a[i] = "x" + 1

    def attribute(i, a):
        a[i] = a.foo

    def readonly(i, a):
        a[i] = 1.0

    def none(i, a):
        x = None
        if i > 3:
            x = 1.0
        a[i] = x

    def shape(i, a):
        t = private_zeros(i, np.float64)
        a[i] = t[0]

    def sums(i, a):
        a[i] = a.sum()

    def returns(i, a):
        return a

    def half(i, a):
        a[i] += 1

    def where(i, a):
        a[i] = np.where(a[i] > 0, 1.0, 2.0)

    def pairs_of(i, a):
        for k, x in enumerate(a):
            a[k] = x

    assert "loop" in message(slices, integer, vector)
    assert "loop" in message(row, integer, vector)
    assert "raise" in message(raises, integer, vector)
    message(text, integer, vector)
    message(unknown, integer, vector)
    assert "one path" in message(mixed, integer, vector)
    assert "`+`" in message(adds, integer, vector)
    assert "foo" in message(attribute, integer, vector)
    assert "read-only" in message(readonly, integer, array_type(np.float64, 1, readonly=True))
    message(none, integer, vector)
    assert "constant" in message(shape, integer, vector)
    message(sums, integer, vector)
    assert "return" in message(returns, integer, vector)
    message(half, integer, array_type(np.float16, 1))
    assert "if condition else" in message(where, integer, vector)
    assert "enumerate" in message(pairs_of, integer, vector)


def test_recursion_is_refused():
    space = {"njit": njit}
    exec("@njit\ndef f(n):\n    return 1 if n < 2 else n * f(n - 1)\n", space)
    with pytest.raises(TypingFailure, match="itself"):
        infer(space["f"], (types.int64,))


def test_types_go_both_ways():
    for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16", "?"):
        assert dtype_of(numba_type(name)) == np.dtype(name)
    assert dtype_of(array_type(PARTICLE, 2)) == PARTICLE
    assert array_type("f4", 2, contiguous=False).layout == "A"
    assert not array_type("f4", 2, readonly=True).mutable


def test_numba_still_has_what_typing_uses():
    check_numba()


def test_typing_is_done_once():
    def kernel(i, a):
        a[i] = helper_div(i, 2)

    argtypes = (types.int64, array_type(np.int64, 1))
    typed = infer(kernel, argtypes)
    assert infer(kernel, argtypes) is typed
    assert [callee.name for callee in typed.callees.values()] == ["helper_div"]


def test_typing_compiles_nothing():
    import portapar.kernel.jit.native as native

    twice = native.callee(lambda x: x + x)

    def kernel(i, a):
        a[i] = twice(a[i]) + twice(i)

    typed = infer(kernel, (types.int64, array_type(np.float32, 1)))
    assert [callee.return_type for callee in typed.callees.values()] == [types.float32, types.int64]
    assert not twice.overloads
