"""A backend of plain Python: what a program means, as short as it can be said.

It is a module with `probe` and `open`, as an entry point of the group ``portapar.backends`` names it.
"""

import functools
import itertools
import math

import numpy as np

from portapar.backend import Device, DeviceInfo
from portapar.errors import BackendUnavailableError, DeviceMemoryError
from portapar.kernel.front import atomic, private
from portapar.kernel.tiles import LANES, TILE


def probe():
    return [DeviceInfo("plain:0", True, "plain Python, one iteration after the other")]


def open(index=None):
    return Plain(f"plain:{index or 0}")


class Plain(Device):
    """Arrays are NumPy's, in host memory; functions run as Python runs them."""

    host_memory = True
    threads = 1

    def owns(self, x):
        return isinstance(x, np.ndarray)

    def empty(self, shape, dtype):
        try:
            return np.empty(shape, dtype)
        except MemoryError:
            size = math.prod(shape) * np.dtype(dtype).itemsize
            raise DeviceMemoryError(f"{self.name}: no room for {size} bytes") from None

    def asarray(self, x):
        return np.array(x, order="C")

    def asnumpy(self, x, out=None):
        if out is None:
            return x
        out[...] = x
        return out

    def run(self, task):
        if self.closed:
            raise BackendUnavailableError(f"{self.name} was closed; make a new executor")
        program = task.program
        space = {"np": np, "math": math, "atomic": atomic, **{f.__name__: f for f in private.CONSTRUCTORS}}
        exec(program.text, space)
        pairs = zip(program.specs, task.values, task.firsts, strict=True)
        values = [Rows(x, first) if spec.is_array else spec.dtype.type(x) for spec, x, first in pairs]
        with np.errstate(all="ignore"):
            if program.acc is None:
                for index in indices(task):
                    space["body"](*index, *values)
                return None
            elements = [space["elem"](*index, *values) for index in indices(task)]
            tiles = [elements[first : first + TILE] for first in range(0, len(elements), TILE)]
            return np.array([fold(tile, space["op"], program.ordered) for tile in tiles], program.acc)


def indices(task):
    """The indices of a task, in order."""
    for flat in range(task.lo, task.hi):
        places = []
        for n in reversed(task.extent):
            flat, place = divmod(flat, n)
            places.insert(0, place)
        yield [first + step * place for first, step, place in zip(task.start, task.step, places, strict=True)]


class Rows:
    """An array whose row 0 is the row `first` of the whole."""

    def __init__(self, x, first):
        self.x, self.first, self.ndim, self.dtype = x, first, x.ndim, x.dtype
        self.shape = (len(x) + first, *x.shape[1:])
        self.size = math.prod(self.shape)

    def __len__(self):
        return self.shape[0]

    def place(self, index):
        row, *rest = index if isinstance(index, tuple) else (index,)
        return (int(row) + (len(self) if row < 0 else 0) - self.first, *map(int, rest))

    def __getitem__(self, index):
        found = self.x[self.place(index)]
        return found.view(np.recarray) if isinstance(found, np.void) else found

    def __setitem__(self, index, value):
        plain = self.x.dtype.names is None  # NumPy refuses integers that do not fit, and warns of complex ones
        self.x[self.place(index)] = np.asarray(value).astype(self.x.dtype) if plain else value


def fold(values, op, ordered):
    """A tile combined in its documented order."""
    if ordered:  # neighbours first
        while len(values) > 1:
            values = [x if y is None else op(x, y) for x, y in itertools.zip_longest(values[::2], values[1::2])]
        return values[0]
    lanes = [functools.reduce(op, values[lane::LANES]) for lane in range(min(LANES, len(values)))]
    while len(lanes) > 1:
        half = 1 << (len(lanes) - 1).bit_length() - 1
        lanes = [x if y is None else op(x, y) for x, y in itertools.zip_longest(lanes[:half], lanes[half:])]
    return lanes[0]
