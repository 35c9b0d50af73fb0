"""LU of a matrix in coordinate form, as two dense matrices."""

import numpy as np

import portapar as pp
from examples.pareval.dense_lu import dense_lu


def last_entry(k, row, column, last):
    """Of several entries at one place the last one counts."""
    pp.atomic.max(last, (row[k], column[k]), k)


def entry(i, j, last, value, a):
    """The matrix in dense form."""
    k = last[i, j]
    a[i, j] = value[k] if k >= 0 else 0.0


def dense(policy, row, column, value, shape):
    """The matrix with these entries."""
    last = pp.fill(policy, pp.empty_like(policy, row, shape, np.int64), -1)
    pp.for_each(policy, len(row), last_entry, row, column, last)
    a = pp.empty_like(policy, value, shape)
    pp.for_each(policy, shape, entry, last, value, a)
    return a


def split(i, j, a, lower, upper):
    """The parts of the packed factors."""
    below = j < i
    lower[i, j] = a[i, j] if below else (1.0 if i == j else 0.0)
    upper[i, j] = 0.0 if below else a[i, j]


def sparse_lu(policy, row, column, value, lower, upper):
    """Write the factors L (unit diagonal) and U of a matrix of doubles, without pivoting; returns both."""
    n = len(lower)
    a = dense_lu(policy, dense(policy, row, column, value, (n, n)))
    pp.for_each(policy, (n, n), split, a, lower, upper)
    return lower, upper
