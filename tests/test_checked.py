"""Checked calls: every index that is out of bounds is found, on every executor, and no other one."""

import textwrap

import conftest
import numpy as np
import pytest

import portapar as pp

N = 10

HELPERS = """
import numpy as np
import portapar as pp

BINS = np.zeros(4)
TABLE = np.arange(5.0)
PAIR = (np.zeros(10), np.zeros(4))

def pick(a, k):
    return a[k]

def put(a, k, v):
    a[k] = v

def element(k, a):
    return a[k]

def set_element(k, a, v):
    a[k] = v

def twice(a, k):
    put(a, 2 * k, pick(a, k))

def both(a, b):
    return a, b

def place(i, k):
    return i, k

def alone(k):
    return (k,)

def get(a, at):
    return a[at]
"""

#: bodies of kernels of (i, x, y, m, p) with shapes (10,), (10,), (10, 4), (10,): the array, index, shape, iteration
#: of what may be found first, all of which are tested; the iteration is the only one, or None
WRONG = {
    "store": ("y[i + 3] = x[i]", "y", None),
    "load": ("y[i] = x[20 if i == 7 else i]", "x", (20, (10,), 7)),
    "below": ("y[i] = x[-11 if i == 3 else -10]", "x", (-11, (10,), 3)),
    "update": ("y[10 if i == 2 else i] += 1", "y", (10, (10,), 2)),
    "helper's load": ("y[i] = pick(x, i * i if i == 4 else i)", "x", (16, (10,), 4)),
    "helper's store": ("put(y, i + 1 if i == 9 else i, 1.0)", "y", (10, (10,), 9)),
    "helper's helper": ("if i < 6:\n    twice(y, i)", "y", (10, (10,), 5)),
    "atomic": ("pp.atomic.add(BINS, i % 4, 1.0)\nif i == 8:\n    pp.atomic.max(BINS, 4, x[i])", "BINS", (4, (4,), 8)),
    "captured": ("y[i] += TABLE[i if i < 6 else 0]", "TABLE", (5, (5,), 5)),
    "captured tuple": ("y[i] = PAIR[1][i % 5]", "PAIR", None),
    "second axis": ("m[i, 4 if i == 6 else 1] = 1.0", "m", ("(6, 4)", (10, 4), 6)),
    "first axis": ("m[i + 1 if i == 9 else i, 2] = 1.0", "m", ("(10, 2)", (10, 4), 9)),
    "row": ("y[i] = m[i][i if i < 5 else 0]", "m", (4, (4,), 4)),
    "named row": ("row = m[i]\nrow[-5 if i == 1 else 0] = 2.0", "row", (-5, (4,), 1)),
    "atomic of two": ("pp.atomic.add(m, (i, 4 if i == 3 else 0), 1.0)", "m", ("(3, 4)", (10, 4), 3)),
    "index in a tuple": ("at = (i, 4 if i == 3 else 0)\nm[at] = 1.0", "m", ("(3, 4)", (10, 4), 3)),
    "atomic, in a tuple": ("at = (i, 5 if i == 3 else 0)\npp.atomic.add(m, at, 1.0)", "m", ("(3, 5)", (10, 4), 3)),
    "helper's tuple as an index": ("y[i] = m[place(i, 4 if i == 4 else 0)]", "m", ("(4, 4)", (10, 4), 4)),
    "helper's tuple, stored at": ("m[place(i, -5 if i == 4 else 0)] += 1.0", "m", ("(4, -5)", (10, 4), 4)),
    "helper's tuple of one": ("y[alone(10 if i == 4 else i)] = 1.0", "y", (10, (10,), 4)),
    "helper's tuple, atomic": ("pp.atomic.add(m, place(i, 4 if i == 2 else 0), 1.0)", "m", ("(2, 4)", (10, 4), 2)),
    "helper in an atomic's index": ("pp.atomic.add(y, alone(10 if i == 2 else i)[0], 1.0)", "y", (10, (10,), 2)),
    "chosen tuple": ("y[i] = m[(i, 4) if i == 4 else (i, 0)]", "m", ("(4, 4)", (10, 4), 4)),
    "tuple in a tuple": ("at = ((i, 4 if i == 4 else 0), 3)\ny[i] = m[at[0]] + at[1]", "m", ("(4, 4)", (10, 4), 4)),
    "tuples in a loop": ("for at in ((i, 0), (i, 4 if i == 4 else 1)):\n    y[i] = m[at]", "m", ("(4, 4)", (10, 4), 4)),
    "tuple passed on": ("y[i] = get(m, (i, 4 if i == 4 else 0))", "m", ("(4, 4)", (10, 4), 4)),
    "chosen array and tuple": ("y[i] = (x if i else y)[alone(10 if i == 4 else i)]", "", (10, (10,), 4)),
    "uint64": ("y[np.uint64(2**64 - 1) if i == 4 else np.uint64(i)] = 1.0", "y", (2**64 - 1, (10,), 4)),
    "uint64, second axis": (
        "y[i] = m[i, np.uint64(2**63 + 3) if i == 4 else np.uint64(0)]",
        "m",
        (f"(4, {2**63 + 3})", (10, 4), 4),
    ),
    "uint8": ("y[i] = x[np.uint8(p[i] - (4 if i == 3 else 0))]", "x", (255, (10,), 3)),
    "endless loop": ("k = i\nwhile x[k] < 100:\n    k += 1\ny[i] = k", "x", None),
    "private": ("t = np.zeros(3)\nt[i if i < 4 else 0] = 1.0\ny[i] = t[0]", "t", (3, (3,), 3)),
    "index array": ("y[p[i] + (5 if i == 9 else 0)] = x[i]", "y", (14, (10,), 9)),
    "index array itself": ("y[i] = x[p[10 if i == 0 else i]]", "p", (10, (10,), 0)),
    "alias": ("z = y\nz[11 if i == 4 else i] = 1.0", "y", (11, (10,), 4)),
    "chosen": ("(x if i % 2 else y)[12 if i == 4 else i] = 1.0", "y", (12, (10,), 4)),
    "of a tuple": ("t = (x, 1.5)\ny[i] = t[0][13 if i == 4 else i] + t[1]", "x", (13, (10,), 4)),
    "helper's tuple": ("a, b = both(x, y)\nb[14 if i == 4 else i] = a[i]", "y", (14, (10,), 4)),
    "in a loop": ("s = 0.0\nfor k in range(i + 2):\n    s += x[k]\ny[i] = s", "x", (10, (10,), 9)),
    "in a condition": ("if i == 5 and x[15] > 3:\n    y[i] = 1", "x", (15, (10,), 5)),
    "huge": ("y[i] = x[10**15 if i == 6 else i]", "x", (10**15, (10,), 6)),
    "slice": ("y[i] = m[i, 1:3][2 if i == 4 else -2]", "m[i, 1:3]", (2, 2, 4)),
    "slice, below": ("row = x[2:5]\ny[i] = row[-4 if i == 4 else 2]", "row", (-4, 3, 4)),
    "slice backwards": ("y[i] = m[i, 2:0:-1][2 if i == 4 else 1]", "m[i, 2:0:-1]", (2, 2, 4)),
    "slice of a slice": ("y[i] = m[i, 1:][0:2][i if i < 3 else 0]", "m[i, 1:][0:2]", (2, 2, 2)),
    "slices of two axes": ("y[i] = m[0:9, 1:3][i, 0]", "m[0:9, 1:3]", (9, 9, 9)),
    "element of a sum of rows": ("y[i] = (m[i] + m[0])[4 if i == 3 else 3]", "m[i] + m[0]", (4, 4, 3)),
    "element of a chosen slice": ("a = m[i, 1:] if i else m[0, :3]\ny[i] = a[3 if i == 3 else 0]", "a", (3, None, 3)),
    "index changed": ("j = i\ni = 0\nif j == 7:\n    y[17] = 1.0", "y", (17, (10,), 7)),
}

RIGHT = {
    "negative": "y[i] = x[-1] + x[-10] + x[i - 10] + m[i, -4] + m[i - 10][-1]",
    "short circuit": "if i > 0 and x[i - 1] < 100:\n    y[i] = x[i + 1] if i + 1 < len(x) else 0.0",
    "tuples": "t = (i, 2.5, x)\nu = (1.0, 2.0)\nk = i % 2\ny[i] = t[0] + t[1] + t[2][i] + u[k] + u[-1]",
    "records and rows": "row = m[i]\nfor k in range(4):\n    row[k] += k\ny[i] = row[3] + m.shape[1]",
    "slices": "y[i] = m[i, 1:3][-2] + m[i, 1:][2] + x[2:5][i % 3] + (m[i] + 1)[-4]\nm[i, :2] = m[i, 2:][::-1]",
    "private": "t = np.zeros((2, 2))\nt[1, -2] = x[i]\ny[i] = t[1, 0]",
    "helpers": "put(y, -1 - i, pick(x, i))\na, b = both(x, y)\na[i] += TABLE[i // 2]",
    "atomics": "pp.atomic.add(y, -1, 1.0)\npp.atomic.add(m, (i, 3), x[i])",
}


def load(module, body, params="i, x, y, m, p"):
    return module(f"{HELPERS}\ndef kernel({params}):\n{textwrap.indent(body, '    ')}\n").kernel


def arguments():
    return [np.arange(10.0), np.zeros(10), np.zeros((10, 4)), np.arange(10)]


@pytest.mark.parametrize("name", WRONG)
def test_an_index_out_of_bounds_is_found(module, renderer, name):
    body, array, told = WRONG[name]
    kernel = load(module, body)
    with pytest.raises(pp.BoundsError) as error:
        pp.for_each(renderer.with_(check=True), N, kernel, *arguments())
    text = str(error.value)
    assert isinstance(error.value, pp.CheckError) and isinstance(error.value, pp.PortaparError)
    assert kernel.__code__.co_filename in text and f"{array}" in text and "undefined" in text
    if told is not None:
        index, shape, iteration = told
        assert f"index {index} is out of bounds" in text
        has = f"length {shape} there" if type(shape) is int else f"shape {shape}" if shape else ""
        assert f"{has}, in iteration {iteration}." in text


@pytest.mark.parametrize("name", RIGHT)
def test_right_kernels_have_the_same_values(module, renderer, name):
    kernel = load(module, RIGHT[name])
    found, expected = arguments(), arguments()
    pp.for_each(renderer.with_(check=True), N, kernel, *found)
    pp.for_each(renderer, N, kernel, *expected)
    for x, y in zip(found, expected, strict=True):
        assert np.array_equal(x, y)


def test_nothing_outside_is_written(module, renderer):
    kernel = load(module, "y[i + 3] = 1.0\ny[-3 - i] = 2.0", "i, y")
    memory = np.zeros(30)
    where = renderer.executor
    y = memory[10:20]
    with pytest.raises(pp.BoundsError):
        pp.for_each(renderer.with_(check=True), N, kernel, where.asarray(y) if where.kind != "threads" else y)
    assert (memory[:10] == 0).all() and (memory[20:] == 0).all()


@pytest.mark.parametrize("space", [(6, 5), (2, 3, 4), pp.range(4, 30, 5)], ids=str)
def test_the_iteration_is_told(module, renderer, space):
    names = "ijk"[: len(space)] if isinstance(space, tuple) else "i"
    wrong = {"ij": "i == 4 and j == 3", "ijk": "i == 1 and j == 2 and k == 3", "i": "i == 24"}[names]
    kernel = load(module, f"if {wrong}:\n    y[100] = 1.0", f"{', '.join(names)}, y")
    told = {"ij": r"\(4, 3\)", "ijk": r"\(1, 2, 3\)", "i": "24"}[names]
    with pytest.raises(pp.BoundsError, match=rf"index 100 .* 'y', which has shape \(10,\), in iteration {told}\."):
        pp.for_each(renderer.with_(check=True), space, kernel, np.zeros(10))


TABLE = np.arange(5.0)


def lookup(v):
    return TABLE[int(v)]


def put(i, y, v):
    y[i] = v


CALLS = {
    "transform": lambda how, x: pp.transform(how, x, op=lookup),
    "reduce": lambda how, x: pp.transform_reduce(how, x, transform=lookup, op=pp.plus),
    "count_if": lambda how, x: pp.count_if(how, x, lambda v: TABLE[int(v)] > 1),
    "copy_if": lambda how, x: pp.copy_if(how, x, lambda v: TABLE[int(v)] > 1),
    "scan": lambda how, x: pp.transform_scan(how, x, transform=lookup, op=pp.plus),
    "sort": lambda how, x: pp.sort(how, x, key=lookup),
    "find_if": lambda how, x: pp.find_if(how, x, lambda v: TABLE[int(v)] > 100),
    "lazy": lambda how, x: pp.reduce(how, pp.lazy.transform(x, lookup)),
    "lazy beside another": lambda how, x: pp.transform(
        how, pp.lazy.transform(x, lookup), x - x, op=lambda v, w: v + TABLE[int(w)]
    ),
    "lazy in a loop": lambda how, x: pp.for_each(
        how, len(x), lambda i, y, v: put(i, y, v[i]), np.zeros(len(x)), pp.lazy.transform(x, lookup)
    ),
    "generated": lambda how, x: pp.all_of(how, x, lambda v: lookup(v) >= 0),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_algorithm_is_checked(renderer, name):
    how = renderer.with_(check=True)
    CALLS[name](how, np.full(100, 4.0))
    with pytest.raises(pp.BoundsError, match=r"TABLE\[int\(v\)\]: index 5 .*TABLE.*\(5,\)"):
        CALLS[name](how, np.full(100, 5.0))


@pytest.mark.parametrize("executor", ["hybrid:threads:2+simd", "hybrid:threads:2+opencl:0"])
@pytest.mark.parametrize("bad", [1, N - 1])
def test_all_parts_are_looked_at(module, executor, bad):
    where = conftest.executor(executor)
    kernel = load(module, f"set_element(i, y, element(i, x))\nif i == {bad}:\n    y[i] = pick(TABLE, 7)", "i, x, y")
    for x, y in [(np.zeros(N), np.zeros(N)), (where.asarray(np.zeros(N)), where.empty(N))]:
        with pytest.raises(pp.BoundsError, match=rf"index 7 .* in iteration {bad}\."):
            pp.for_each(pp.par.on(where).with_(check=True), N, kernel, x, y)
    right = load(module, "set_element(i, y, element(i, x) + 1)", "i, x, y")
    x, y = where.asarray(np.arange(10.0)), where.empty(N)
    pp.for_each(pp.par.on(where).with_(check=True), N, right, x, y)
    assert np.array_equal(pp.asnumpy(y), np.arange(10.0) + 1)


def test_plans_and_tasks(module):
    kernel = load(module, "y[p[i]] = x[i]", "i, x, y, p")
    x, y, p = np.arange(10.0), np.zeros(10), np.arange(10)
    plan = pp.plan(pp.for_each, pp.par.with_(check=True), N, kernel, x, y, p)
    assert "tested" in str(plan) and "record" not in str(plan)
    plan.run()
    assert np.array_equal(y, x)
    p[3] = 10
    for _ in range(2):
        with pytest.raises(pp.BoundsError, match="iteration 3"):
            plan.run()
    p[3] = 3
    plan.run()
    p[4] = -11
    with pytest.raises(pp.BoundsError, match="iteration 4"):
        pp.for_each(pp.par.with_(check=True).task, N, kernel, x, y, p).result()


def test_empty_arrays(module, renderer):
    kernel = load(module, "if len(y) > 0:\n    y[0] = 1.0\nelif i == 2:\n    x[i] = y[0]", "i, x, y")
    with pytest.raises(pp.BoundsError, match=r"index 0 .*'y', which has shape \(0,\), in iteration 2"):
        pp.for_each(renderer.with_(check=True), 3, kernel, np.zeros(3), np.zeros(0))


def test_elements_of_strided_arrays(renderer):
    """What a kernel of elements captures is tested, whatever the layout and dimensions of what it is given."""
    weights = np.arange(4.0)
    for x in (np.arange(24.0).reshape(6, 4)[::2], np.arange(48.0).reshape(4, 3, 4)[:, ::2]):
        for bad in (0, 3):

            def weighted(v, bad=bad):
                return v * weights[int(v) % 2 + bad]

            how = renderer.with_(check=True)
            if bad:
                with pytest.raises(pp.BoundsError, match="index 4"):
                    pp.transform(how, x, op=weighted)
            else:
                assert np.array_equal(pp.asnumpy(pp.transform(how, x, op=weighted)), x * (x % 2))
                assert pp.transform_reduce(how, x, transform=weighted) == (x * (x % 2)).sum()


def test_without_it_nothing_is_added(module):
    kernel = load(module, "y[i] = x[i - 1]", "i, x, y")
    plan = pp.plan(pp.for_each, pp.par, N, kernel, np.zeros(10), np.zeros(10))
    problem = plan.loop.problem
    assert problem.tests is None and "check" not in problem.program.text and len(problem.values) == 2
    assert not pp.par.check and not pp.par.with_(check=True).with_(check=False).check
    assert repr(pp.par.with_(check=True)) == "pp.par.with_(check=True)"


def test_what_needs_no_test_has_none(module):
    kernel = load(module, "set_element(i, y, element(i, x) + x[i])", "i, x, y")
    plan = pp.plan(pp.for_each, pp.par.with_(check=True), N, kernel, np.zeros(10), np.zeros(10))
    assert plan.loop.problem.tests is None


def test_environment(python):
    text = """
        import numpy as np
        import portapar as pp

        def body(i, y):
            y[i + 1] = 1.0

        try:
            pp.for_each(pp.par, 4, body, np.zeros(4))
        except pp.BoundsError as error:
            print("iteration 3" in str(error))
    """
    assert python(text, PORTAPAR_CHECK="1") == "True\n"
