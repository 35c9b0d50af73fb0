"""Unusual arrays in every algorithm: the right result, or an error that says so before anything is written."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import portapar as pp
import portapar.errors

from .every import EVERY, N, WRITING, same

REFUSED = portapar.errors.ArgumentError


def unaligned(n, dtype=np.float64):
    return np.zeros(n * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype)


def frozen(n):
    x = np.zeros(n)
    x.flags.writeable = False
    return x


def wrapped(n):
    """Element k and element k + n/2 share a place."""
    both = as_strided(np.zeros(n), (2, n // 2), (0, 8))
    assert not both.flags.owndata
    return as_strided(np.zeros(n // 2 + 1), (n,), (4,))


#: outputs that nobody can write to
WRONG = {
    "one place for all": lambda: as_strided(np.zeros(1), (N,), (0,)),
    "windows that overlap": lambda: as_strided(np.zeros(N), (N,), (4,)),
    "broadcast": lambda: np.broadcast_to(np.zeros(1), (N,)),
    "read-only": lambda: frozen(N),
    "unaligned": lambda: unaligned(N),
    "byte-swapped": lambda: np.zeros(N, ">f8"),
    "too short": lambda: np.zeros(N - 1),
    "too long": lambda: np.zeros(N + 1),
    "two-dimensional": lambda: np.zeros((N, 2)),
    "zero-dimensional": lambda: np.zeros(()),
    "masked": lambda: np.ma.masked_array(np.zeros(N), np.arange(N) == 3),
    "of booleans": lambda: np.zeros(N, bool),
    "of text": lambda: np.zeros(N, "U3"),
    "of objects": lambda: np.zeros(N, object),
    "a list": lambda: [0.0] * N,
    "a number": lambda: 3.0,
}

#: outputs that are unusual, and fine
FINE = {
    "every second": lambda: np.zeros(2 * N)[::2],
    "backwards": lambda: np.zeros(N)[::-1],
    "a column": lambda: np.zeros((N, 3))[:, 1],
    "a field": lambda: np.zeros(N, [("a", "f8"), ("b", "f8")])["b"],
    "a memmap's class": lambda: np.zeros(N).view(type("Mine", (np.ndarray,), {})),
}

#: those that write to an `out` of any length
ANY_LENGTH = {"fill", "iota", "scatter"}
ANY_SHAPE = {"fill"}
ANY_KIND = {"fill"}


def contents(out):
    return np.array(out, copy=True) if not isinstance(out, np.ma.MaskedArray) else np.array(out.data, copy=True)


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", WRITING)
def test_outputs_that_are_refused(renderer, name, kind):
    call, _, inputs = WRITING[name]
    if (kind in ("too long", "too short") and name in ANY_LENGTH) or (kind == "two-dimensional" and name in ANY_SHAPE):
        pytest.skip("it may have any length")
    if kind == "zero-dimensional" and name in ANY_SHAPE:
        pytest.skip("it may have any shape")
    if kind == "of booleans" and name in ("segmented_scan", "nothing"):
        pass
    out = WRONG[kind]()
    before = contents(out)
    given = [x.copy() for x in inputs]
    for _ in range(2):  # the second call might be a remembered one
        with pytest.raises(REFUSED):
            call(renderer, out, *given)
    assert (contents(out) == before).all()
    for x, y in zip(given, inputs, strict=True):
        assert (x == y).all()


@pytest.mark.parametrize("kind", FINE)
@pytest.mark.parametrize("name", WRITING)
def test_outputs_that_are_written(renderer, name, kind):
    call, expected, inputs = WRITING[name]
    for _ in range(2):
        out = FINE[kind]()
        found = call(renderer, out, *inputs)
        assert same(found, expected)
        assert (out == np.asarray(found)).all()
