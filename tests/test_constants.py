"""What kernels know of constants, shapes and what functions are bound to."""

import functools
import inspect
import math
import sys

import numpy as np
import pytest

import portapar as pp

COMMA, MODE, N = b",;", "periodic", 3


def texts(i, o):
    o[i, 0] = ord(",") + b","[0] + COMMA[-1] + len("abc") + "ACGT".index("G") - "ACGT".find("x")
    o[i, 1] = float("inf")
    o[i, 2] = float("-1e-3") + float.fromhex("0x1p-3") + int("3") + int("ff", 16)
    o[i, 3] = np.float32("nan")
    o[i, 4] = np.pi * math.e + np.float64("2.5")
    o[i, 5] = np.finfo(np.float32).eps + np.finfo(np.float64).max + sys.float_info.epsilon
    o[i, 6] = np.iinfo(np.int16).max - np.iinfo("u1").max + np.dtype("f4").itemsize
    if MODE[0] == "p" and MODE.upper() == "PERIODIC" and len(MODE) > N - 1 and MODE.startswith("per"):
        o[i, 7] = -ord("a") if "per" in MODE else ord("b")
    o[i, 8] = complex("1+2j").imag + math.inf
    scratch, more = np.zeros(2**2 + int(1.5)), np.ones((N - 1, len("abc")))
    o[i, 9] = len(scratch) + more.size + scratch.shape[0] + more.ndim


def shapes(i, j, image, o):
    height, width = image.shape[:2]
    shape = image.shape
    (last,) = shape[2:]
    numbers = (1, 2, 3, i)
    middle = numbers[1:3]
    o[i, j, 0] = height * 100 + width * 10 + last
    o[i, j, 1] = len(image.shape) + 10 * image.ndim + 100 * image.size
    o[i, j, 2] = image[i].size + image[i].ndim + image[i, j].size + len(image[i].shape)
    o[i, j, 3] = shape[-1] + len(shape) + shape[1:][0] + image.shape[::-1][0]
    o[i, j, 4] = (image[i, j] - 1).size + (image[i, j] * 2).shape[0] + len(shape[:2])
    o[i, j, 5] = middle[0] + middle[1] + len(numbers[:2]) + numbers[-1] + flat(image, i)


def flat(image, i):
    height, width = image.shape[:2]
    return height * i + width


def test_constants_and_shapes_are_pythons(renderer):
    image = np.ones((3, 4, 2))
    for kernel, space, more, shape in ((texts, (2,), (), (2, 10)), (shapes, (3, 4), (image,), (3, 4, 6))):
        found, expected = np.zeros(shape), np.zeros(shape)
        pp.for_each(renderer, space, kernel, *more, found)
        for index in np.ndindex(space):
            kernel(*index, *more, expected)
        np.testing.assert_array_equal(found, expected)


def transposed(i, x, o):
    turned = x.T
    o[i] = turned[i, 0]


def strides(i, x, o):
    o[i] = x.strides[0]


def reshaped(i, x, o):
    o[i] = x.reshape(-1)[i]


def no_number(i, x, o):
    o[i] = int("x")


def beyond(i, x, o):
    o[i] = "abc"[5]


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (transposed, r"x\.T.*\n.*\n.*\n.*exchange the indices, x\[j, i\]"),
        (strides, r"x\.strides.*\n.*\n.*\n.*\.shape"),
        (reshaped, r"\.reshape\(\).*\n.*\n.*\n.*before the call"),
        (no_number, r"int\('x'\) gives ValueError"),
        (beyond, "IndexError"),
    ],
)
def test_what_is_no_constant_is_told(kernel, words):
    with pytest.raises(pp.KernelError, match=words):
        pp.for_each(pp.par, 2, kernel, np.ones((2, 2)), np.zeros(2))


# methods, partial functions, objects ------------------------------------------------------------------


def axpy(a, x, y):
    return a * x + y


class Model:
    def __init__(self, dt):
        self.dt, self.k = dt, np.arange(3.0)

    def step(self, v):
        return self.scaled(v) + self.k[1]

    def scaled(self, v):
        return v * self.dt

    def body(self, i, x, o):
        o[i] = x[i] * self.dt

    def join(self, a, b):
        return a + b

    def large(self, v):
        return v > self.dt

    def __call__(self, v):
        return v - self.dt

    @staticmethod
    def plain(v):
        return v + 1


def test_kernels_may_be_bound(renderer):
    x, model = np.arange(5.0), Model(0.5)
    for dt in (0.5, 2.0):  # which is an argument
        model.dt = dt
        assert np.array_equal(pp.transform(renderer, x, op=model.step), x * dt + 1)
    assert np.array_equal(pp.transform(renderer, x, op=Model(3).step), x * 3 + 1)
    o = np.zeros(5)
    pp.for_each(renderer, 5, model.body, x, o)
    assert np.array_equal(o, x * 2)
    for a in (-1.0, 3.0):
        assert np.array_equal(pp.transform(renderer, x, x, op=functools.partial(axpy, a)), (a + 1) * x)


def test_all_algorithms_take_bound_kernels():
    x, model = np.arange(5.0), Model(2.0)
    assert np.array_equal(pp.transform(pp.par, x, op=model), x - 2)
    assert np.array_equal(pp.transform(pp.par, x, op=model.plain), x + 1)
    assert pp.transform_reduce(pp.par, x, transform=model, op=model.join) == 0
    assert np.array_equal(pp.copy_if(pp.par, x, model.large), x[x > 2])
    for a in (-1.0, 3.0):
        inner = functools.partial(functools.partial(axpy, a), y=2.0)
        assert np.array_equal(pp.transform(pp.par, pp.lazy.transform(x, op=inner), op=abs), abs(a * x + 2))
    assert np.array_equal(pp.sort(pp.par, x, key=functools.partial(axpy, -1.0, y=0.0)), x[::-1])


def test_wrong_bindings_are_told():
    for wrong in (functools.partial(axpy, 1, 2, 3, 4), functools.partial(axpy, b=2)):
        with pytest.raises(pp.KernelError, match="takes a, x, y"):
            pp.transform(pp.par, np.ones(3), op=wrong)
    with pytest.raises(pp.KernelError, match=r"op=f"):
        pp.lazy.transform(np.ones(3), op=3)


def _flags():
    """(function, keyword) of all that take a boolean."""
    rooms = [pp, pp.graph, pp.sparse, pp.irregular, pp.graph.Graph]
    for function in (getattr(room, name) for room in rooms for name in dir(room) if not name.startswith("_")):
        if inspect.isfunction(function) or inspect.ismethod(function):
            for name, parameter in inspect.signature(function).parameters.items():
                if isinstance(parameter.default, bool):
                    yield function, name


def test_flags_are_true_or_false():
    found = list(_flags())
    assert len(found) > 35
    for function, name in found:
        needed = [p for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        with pytest.raises(pp.ArgumentError, match=f"{name} is 'no': must be True or False"):
            function(*[None] * len([p for p in needed if isinstance(p.default, (type(p.empty), bool))]), **{name: "no"})
    with pytest.raises(pp.ArgumentError, match="commutative is 1"):
        pp.Monoid(max, commutative=1)


def wrapping(i, o):
    o[i] = np.int8(100) * np.int8(3) + np.float64(1) / np.float64(0)


@pytest.mark.filterwarnings("error")
def test_constants_warn_no_more_than_kernels_do():
    o = np.zeros(2)
    pp.for_each(pp.par, 2, wrapping, o)
    assert np.isinf(o).all()
