"""Races that the text of a kernel shows are told once, at the user's line, before anything runs; others are not."""

import ast
import linecache
import re
import textwrap
import warnings

import numpy as np
import pytest

import portapar as pp

HELPERS = """
import numpy as np
import portapar as pp

T = np.zeros(64)
C = 3

def add(a, k, v):
    a[k] += v

def put(k, a, v):
    a[k] = v

def bin_of(v):
    return int(v * 3)

def flat(i, j, n):
    return i * n + j
"""

#: bodies of kernels of (i, x, y, lab, n, m): y and x have 64 elements, lab whole numbers, m is a matrix
RACES = {
    "sum": "y[0] = y[0] + x[i]",
    "sum by +=": "y[0] += x[i]",
    "captured": "T[C] += x[i]",
    "labels": "y[lab[i]] += x[i]",
    "labels, offset": "y[lab[i] + 1] -= x[i]",
    "labels, local": "k = lab[i]\ny[k] = y[k] + x[i]",
    "labels, in steps": "k = lab[i]\nt = y[k]\ny[k] = t + x[i]",
    "labels of labels": "y[lab[lab[i]]] *= 2",
    "rows of labels": "for k in range(2):\n    m[lab[i], k] += x[i]",
    "rows of labels, chained": "m[lab[i]][0] += x[i]",
    "rows of labels, named": "row = m[lab[i]]\nrow[1] += x[i]",
    "computed": "k = min(max(int(x[i] * 5), 0), 9)\ny[k] += 1",
    "by a helper's number": "y[bin_of(x[i])] += 1",
    "in a helper": "add(y, lab[i], x[i])",
    "in a helper, constant": "put(2, y, x[i])",
    "halves": "y[i // 2] = x[i]",
    "halves, update": "y[i >> 1] += x[i]",
    "few": "y[i % 10] += 1",
    "last one wins": "y[n] = x[i]",
    "through a name": "z = y\nz[0] += x[i]",
    "one of two": "(x if i % 2 else y)[0] += 1",
    "in a loop": "for k in range(n):\n    y[k] += x[i]",
    "overlapping": "for k in range(4):\n    y[i + k] += x[i]",
    "chosen bin": "y[0 if x[i] > 0.5 else 1] += 1",
    "under a condition": "if x[i] > 0.5:\n    y[0] += 1",
    "while": "k = 0\nwhile k < n:\n    y[k] += x[i]\n    k += 1",
}

#: stores that other iterations read, and what
CARRIED = {
    "recurrence": ("y[i + 1] = y[i] + x[i]", "y[i]"),
    "recurrence by +=": ("if i > 0:\n    y[i] += y[i - 1]", "y[i - 1]"),
    "all but the first": ("if i == 0:\n    return\ny[i] = y[i - 1]", "y[i - 1]"),
    "else": ("if i == 0 or i == n:\n    y[i] = x[i]\nelse:\n    y[i] = y[i - 1] + y[i + 1]", "y[i - 1]"),
    "conditional": ("y[i] = x[i] + (y[i - 2] if i > 1 else 0.0)", "y[i - 2]"),
    "truth value": ("if i:\n    y[i] = x[i] + y[i - 1]", "y[i - 1]"),
    "truth value in an expression": ("y[i] = x[i] + (y[i - 2] if i else 0.0)", "y[i - 2]"),
    "truth value that leaves": ("if not i:\n    return\ny[i] += y[i - 1]", "y[i - 1]"),
    "smoothing": ("a, b = i, i + 1\ny[np.uint64(a)] = (y[a] + y[b]) / 2", "y[b]"),
    "shift": ("y[i] = y[i + 1]", "y[i + 1]"),
    "rows": ("m[i, 0] = m[i + 1, 0]", "m[i + 1, 0]"),
    "in a helper": ("add(y, i, y[i + 3])", "y[i + 3]"),
}

RIGHT = {
    "read and write apart": "y[i] = x[i - 1] + x[i + 1]",
    "own elements": "y[i] = y[i] * 2 + x[i + 1]",
    "other columns": "m[i, 0] = m[i + 1, 1]",
    "every other": "if i % 2 == 0:\n    y[i] = y[i + 1]",
    "every other, by else": "if i % 2 == 0:\n    return\ny[i] = y[i - 1]",
    "those of a mask": "if lab[i] > 3:\n    y[i] = y[i - 1]",
    "the first one": "if i == 0:\n    y[i] = y[i + 1]",
    "pairs": "y[2 * i] = y[2 * i + 1]",
    "halves of an array": "y[i] += y[i + n]",
    "an index that moves": "k = i\nwhile k > 0 and y[k] > 0:\n    k = k - 1\nx[i] = x[k]",
    "own": "y[i] = x[i]",
    "own update": "y[i] += x[i]",
    "shifted": "y[i + 1] = x[i]",
    "mirrored": "y[n - 1 - i] += x[i]",
    "doubled": "y[2 * i] = x[i]\ny[2 * i + 1] += x[i]",
    "own row": "for k in range(2):\n    m[i, k] += x[k]",
    "own row by name": "row = m[i]\nfor k in range(2):\n    row[k] += 1",
    "own block": "for k in range(n):\n    y[i * n + k] += x[i]",
    "own block by a helper": "for k in range(n):\n    y[flat(i, k, n)] += x[i]",
    "wrapped": "y[(i + 1) % n] += x[i]",
    "permuted": "y[lab[i]] = x[i]",
    "segment": "for k in range(lab[i], lab[i + 1]):\n    y[k] += x[i]",
    "segment by while": "k = lab[i]\nwhile k < lab[i + 1]:\n    y[k] += x[i]\n    k += 1",
    "segment by offset": "for k in range(n):\n    y[lab[i] + k] += x[i]",
    "strided": "for k in range(i, n, 8):\n    y[k] += x[i]",
    "linked": "k = lab[i]\nwhile k > 0:\n    y[k] += 1\n    k = lab[k]",
    "flag": "if x[i] > 0.5:\n    y[0] = 1",
    "flag of a call": "y[0] = n",
    "level": "if y[lab[i]] < 0:\n    y[lab[i]] = n",
    "parent": "if y[lab[i]] < 0:\n    y[lab[i]] = i",
    "first one only": "if i == 0:\n    y[0] += x[0] + x[i]",
    "last one only": "if i == n - 1:\n    y[0] = x[i]",
    "not the first": "if i != 0:\n    return\ny[0] = x[i]",
    "the one that matches": "if x[i] == 3.0:\n    y[0] = i",
    "atomic": "pp.atomic.add(y, lab[i], x[i])",
    "claimed": "k = int(pp.atomic.add(y, 0, 1.0))\nx[k] += i",
    "claimed by cas": "if pp.atomic.cas(lab, 0, 0, 1) == 0:\n    y[0] += x[i]",
    "locked": "while pp.atomic.cas(lab, 0, 0, 1) != 0:\n    pass\ny[1] += x[i]\npp.atomic.exchange(lab, 0, 0)",
    "private": "t = np.zeros(4)\nfor k in range(8):\n    t[k % 4] += x[i]\ny[i] = t[0]",
    "private index": "t = np.zeros(4, dtype=np.int64)\nt[0] = i\ny[t[0]] += x[i]",
    "helper at the own index": "add(y, i, x[i])\nput(i, y, 2.0)",
}

#: of kernels of (i, j, m, y, n)
RACES_2D = {
    "sums of rows": "y[i] += m[i, j]",
    "sums of columns": "y[j] = y[j] + m[i, j]",
    "the last of a row": "y[i] = m[i, j]",
    "diagonals": "y[i + j] += m[i, j]",
}
CARRIED_2D = {
    "Gauss-Seidel": "m[i, j] = (m[i - 1, j] + m[i + 1, j] + m[i, j - 1] + m[i, j + 1]) / 4",
    "along rows": "if j > 0:\n    m[i, j] += m[i, j - 1]",
}
RIGHT_2D = {
    "red and black": "if (i + j) % 2 == n:\n    m[i, j] = (m[i - 1, j] + m[i + 1, j]) / 2",
    "turned": "m[i, j] = m[j, i]",
    "own": "m[i, j] += 1",
    "transposed": "m[j, i] = i + j",
    "flat": "y[i * n + j] += m[i, j]",
    "flat by a helper": "y[flat(i, j, n)] = m[i, j]",
    "the first of a row": "if j == 0:\n    y[i] += m[i, j]",
    "diagonal": "if i == j:\n    y[i] = m[i, j]",
}


def load(module, body, params):
    return module(f"{HELPERS}\ndef kernel({params}):\n{textwrap.indent(body, '    ')}\n").kernel


def told(how, space, kernel, *args):
    """The warnings at plan time."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        pp.plan(pp.for_each, how, space, kernel, *args)
    return [w for w in found if w.category is pp.PortaparWarning]


def arguments():
    return np.zeros(64), np.zeros(64), np.arange(64), 8, np.zeros((64, 2))


def line_of(kernel):
    return kernel.__code__.co_firstlineno


@pytest.mark.parametrize("name", RACES)
def test_races_are_told_once(module, name):
    kernel = load(module, RACES[name], "i, x, y, lab, n, m")
    assert not told(pp.seq, 10, kernel, *arguments())
    assert not told(pp.par, 1, kernel, *arguments())
    (found,) = told(pp.par, 10, kernel, *arguments())
    text = str(found.message)
    assert "race" in text and "pp.atomic.add" in text and "pp.bincount" in text and "pp.reduce" in text
    assert found.filename == kernel.__code__.co_filename
    target = re.search(r"a race: (.*?) (?:updates|writes) '", text)[1]
    assert target in ast.unparse(ast.parse(linecache.getline(found.filename, found.lineno).strip()))
    assert not told(pp.par_unseq, 1000, kernel, *arguments())


@pytest.mark.parametrize("name", CARRIED)
def test_what_others_read_is_told_once(module, name):
    body, read = CARRIED[name]
    kernel = load(module, body, "i, x, y, lab, n, m")
    for space in (1, pp.range(0, 20, 40)):  # where none is stored that is read
        assert not told(pp.par, space, kernel, *arguments())
    (found,) = told(pp.par, pp.range(3, 10), kernel, *arguments())
    text = str(found.message)
    assert f"where other iterations read it, as {read}, and under" in text and "inclusive_scan" in text
    assert found.filename == kernel.__code__.co_filename
    assert (found.lineno > line_of(kernel)) != (name == "in a helper")
    assert not told(pp.par, 10, kernel, *arguments())


@pytest.mark.parametrize("name", RIGHT)
def test_right_kernels_are_not_told(module, name):
    kernel = load(module, RIGHT[name], "i, x, y, lab, n, m")
    assert not told(pp.par, 10, kernel, *arguments())


@pytest.mark.parametrize("name", RACES_2D | CARRIED_2D | RIGHT_2D)
def test_two_dimensions(module, name):
    kernel = load(module, (RACES_2D | CARRIED_2D | RIGHT_2D)[name], "i, j, m, y, n")
    found = told(pp.par, (8, 8), kernel, np.zeros((8, 8)), np.zeros(64), 8)
    assert len(found) == (name in RACES_2D | CARRIED_2D)


@pytest.mark.parametrize("how", [pp.par, pp.par_unseq, pp.unseq, pp.par.on(pp.simd()), pp.auto])
def test_policies(module, how):
    kernel = load(module, "y[0] += x[i]", "i, x, y")
    with pytest.warns(pp.PortaparWarning, match=r"(?s)y\[0\] updates 'y'.*pp\.seq") as found:
        pp.for_each(how, 10, kernel, np.ones(10), np.zeros(10))
    assert found[0].lineno == line_of(kernel) + 1
    y = np.zeros(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pp.for_each(how, 10, kernel, np.ones(10), y)  # once is enough


def test_as_an_error_nothing_has_run(module):
    kernel = load(module, "y[0] += x[i]", "i, x, y")
    y = np.zeros(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(pp.PortaparWarning):
                pp.for_each(pp.par, 10, kernel, np.ones(10), y)
    assert (y == 0).all()


def test_transform_with_a_captured_sum(module):
    text = "def kernel(v):\n    T[0] += v\n    return 2 * v\n\ndef right(v):\n    return 2 * v + T[0]\n"
    made = module(HELPERS + text)
    with pytest.warns(pp.PortaparWarning, match=r"T\[0\] updates 'T'"):
        pp.transform(pp.par, np.ones(10), op=made.kernel)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pp.transform(pp.par, np.ones(10), op=made.right)


def test_what_is_given_its_own_part_is_not_told(module):
    made = module(f"{HELPERS}\ndef body(s, k, y):\n    y[s] += k\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pp.for_each_segment(pp.par, np.array([0, 3, 7]), made.body, np.zeros(10))
