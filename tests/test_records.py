"""Records as elements: nested, with sub-arrays, aligned and packed, against NumPy's record arrays."""

import re
import warnings

import numpy as np
import pytest
from crender import nvrtc

import portapar as pp
from portapar import indexed
from portapar.backends.cuda.compile import compile_c
from portapar.kernel.c.dialect import CUDA
from portapar.kernel.c.program import c_text

N = 40


def kind(align):
    inner = np.dtype([("x", "f8"), ("n", "i2")], align=align)
    fields = [("flag", "?"), ("inner", inner), ("v", "f4", 3), ("m", "i4", (2, 2)), ("z", "c8"), ("last", "u1")]
    return np.dtype(fields, align=align)


ALIGNED, PACKED = kind(True), kind(False)


def records(dtype, seed, n=N):
    rng = np.random.default_rng(seed)
    a = np.zeros(n, dtype)
    a["flag"], a["last"] = rng.integers(0, 2, n), rng.integers(0, 99, n)
    a["inner"]["x"], a["inner"]["n"] = rng.integers(-9, 9, n), rng.integers(-9, 9, n)
    a["v"], a["m"] = rng.integers(-9, 9, (n, 3)), rng.integers(-9, 9, (n, 2, 2))
    a["z"] = rng.integers(-9, 9, n) + 1j * rng.integers(-9, 9, n)
    return a


def fields(i, a, b):
    r, s = a[i], b[i]
    r.flag = s.inner.n > 3 or not s.flag
    r.inner.x = s.v[0] + s.v[1] * 2 + s.v[2]
    r.inner.n += 1
    r.z = s.z * 2j + r.inner.x
    a[i].last = s["last"] // 2
    a[i]["inner"]["x"] += b[i]["inner"].x


def subarrays(i, a, b):
    for k in range(3):
        a[i].v[k] = b[i].v[k] + k
    a[i].m[1, 0] = b[i].m[0, 1]
    a["v"][i, 2] += b["v"][i][1]
    a["m"][i, 0, 1] = b["m"][i, 1][0]
    a[i]["m"][0, -2] += b[i].m[-1, 1]
    v = b[i].v
    a[i].v[0] += v[len(v) - 1]


def whole(i, a, b):
    a[i] = b[i]
    b[i].inner = a[i].inner
    r = b[i]
    r.inner.x += 1


def parts(i, a, b):
    a[i].inner = b[i].inner
    a[i]["v"] = b[i].v
    a[i].m = b[i]["m"]
    a["inner"]["n"][i] += b["inner"]["n"][i]


def scale(r, by):
    r.inner.x *= by
    return r.inner.x


def inner(r):
    return r.inner


def richer(r, s):
    return r if r.inner.x > s.inner.x else s


def calls(i, a, b):
    a[i].last = scale(a[i], 2.0) > 3
    scale(b[i], 3.0)
    a[i].inner.n = inner(richer(a[i], b[i])).n + richer(b[i], a[i]).inner.x
    r = a[i]
    if b[i].flag:
        r = b[i]
    a[i].v[2] = r.inner.x + r.v[1]
    x, n = b[i].inner.x, b[i].inner.n
    b[i].inner.x, b[i].inner.n = n, x


def holds_records(executor):
    """Skip the test where a library has no arrays of records."""
    for member in executor.members:
        try:
            member.empty(1, ALIGNED)
        except pp.PlacementError as error:
            pytest.skip(str(error))


KERNELS = [fields, subarrays, whole, parts, calls]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [ALIGNED, PACKED], ids=["aligned", "packed"])
def test_kernels_on_records(renderer, kernel, dtype):
    holds_records(renderer.executor)
    for rows in (slice(None), slice(None, None, 3), slice(None, None, -1)):
        a, b = records(dtype, 1), records(dtype, 2)
        expected = [x.copy() for x in (a, b)]
        seen = [x[rows].view(np.recarray) for x in expected]
        for i in range(len(seen[0])):
            kernel(i, *seen)
        pp.for_each(renderer, len(a[rows]), kernel, a[rows], b[rows])
        np.testing.assert_array_equal(a, expected[0])
        np.testing.assert_array_equal(b, expected[1])


def set_part(i, a, x):
    a[i].v[0] += x[i]


def set_inner(i, a, x):
    move(a[i].inner, x[i])


def move(r, by):
    r.x += by
    r.y[1] += by


@pytest.mark.parametrize("align, width", [(True, "f64"), (False, "u8")])
def test_unaligned_numbers_are_written_by_bytes_on_gpus(align, width):
    """NVRTC does so for members of packed structs alone, and a GPU cannot do otherwise."""
    inner = np.dtype([("x", "f8"), ("y", "f8", 2)], align=align)
    a = np.zeros(3, np.dtype([("flag", "?"), ("inner", inner), ("v", "f8", 2)], align=align))
    for kernel in (set_part, set_inner):
        text = c_text(indexed.for_each("test", 3, kernel, (a, np.zeros(3))).program, CUDA)
        assert nvrtc(text)
        stores = set(re.findall(r"st\.global\.(\w+)", compile_c(text, "compute_90").decode()))  # optimized, too
        assert stores == {width}


@pytest.mark.extra
def counted(i, a, o):
    pp.atomic.add(a["n"], i % 9, 1)
    pp.atomic.max(a["x"], i % 4, 0.5 * i)
    if i < 9:
        o[i] = a["y"][i] + a["y"][i - 1]


def test_fields_are_updated_by_atomics(renderer):
    holds_records(renderer.executor)
    a = np.zeros(9, np.dtype([("flag", "?"), ("x", "f8"), ("n", "i4"), ("y", "f4")], align=True))
    a["y"], o = np.arange(9), np.zeros(9)
    pp.for_each(renderer, 40, counted, a, o)
    np.testing.assert_array_equal(a["n"], np.bincount(np.arange(40) % 9))
    np.testing.assert_array_equal(a["x"], [18, 18.5, 19, 19.5, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(o, a["y"] + np.roll(a["y"], 1))


def test_whole_records_are_copied_and_chosen(policy):
    holds_records(policy.executor)
    for dtype in (ALIGNED, PACKED):
        a, b = records(dtype, 1, 500), records(dtype, 2, 500)
        out = np.zeros_like(a)
        assert pp.copy(policy, a, out=out) is out
        np.testing.assert_array_equal(out, a)
        made = pp.copy(policy, a.reshape(20, 25).T)
        assert made.dtype == dtype and (made == a.reshape(20, 25).T).all()
        got = pp.transform(policy, a, b, op=richer)
        np.testing.assert_array_equal(got, np.where(a["inner"]["x"] > b["inner"]["x"], a, b))
        got = pp.transform(policy, a, op=inner)
        assert got.dtype == dtype["inner"] and (got == a["inner"]).all()
        total = pp.transform_reduce(policy, a, transform=lambda r: r.inner.x + r.v[1])
        assert total == (a["inner"]["x"] + a["v"][:, 1]).sum()


def test_tuples_are_stored_in_records(policy):
    holds_records(policy.executor)
    x, y = np.arange(300.0), np.arange(300, dtype="i4") % 7
    got = pp.transform(policy, x, y, op=lambda x, y: (x * 2, y, x > y))
    assert got.dtype == np.dtype([("f0", "f8"), ("f1", "i4"), ("f2", "?")], align=True)
    np.testing.assert_array_equal(got["f0"], x * 2)
    np.testing.assert_array_equal(got["f1"], y)
    np.testing.assert_array_equal(got["f2"], x > y)
    out = np.zeros((20, 15), [("key", "f8"), ("many", "i8")])
    pp.transform(policy, x.reshape(15, 20).T, y.reshape(15, 20).T, out=out, op=lambda x, y: (y, y))
    np.testing.assert_array_equal(out["key"], y.reshape(15, 20).T)
    np.testing.assert_array_equal(out["many"], y.reshape(15, 20).T)


def test_device_arrays_of_records(where):
    holds_records(where)
    a = records(ALIGNED, 1, 5000)
    here = where.asarray(a)
    got = pp.copy(pp.par.on(where), here)
    assert type(got) is type(here)
    np.testing.assert_array_equal(pp.asnumpy(got), a)
    total = pp.transform_reduce(pp.par.on(where), here, transform=lambda r: r.v[0])
    assert total == a["v"][:, 0].sum()


OTHERS = ["f2", "g", "G", "U3", "S3", "M8[s]", "O", "V8", [("a", "f2")], [("a", "f8"), ("b", "O")], []]


@pytest.mark.parametrize("dtype", OTHERS)
def test_dtypes_that_kernels_cannot_hold(dtype):
    x = np.zeros(3, dtype)
    told = r"has dtype.*kernels compute with .*\. (Convert it|Number what|Pass)"
    for call in (
        lambda: pp.copy(pp.par, x),
        lambda: pp.for_each(pp.par, 3, whole, x, x),
        lambda: pp.transform_reduce(pp.par, x, transform=lambda r: 1),
    ):
        with pytest.raises(pp.PlacementError, match=told):
            call()


def test_records_that_differ_in_their_size_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for align in (True, False):
            a = np.zeros(9, np.dtype([("x", "f8"), ("y", "i1")], align=align))
            a["x"], a["y"] = np.arange(9) % 4, np.arange(9)
            assert pp.copy_if(pp.par, a, lambda r: r.x > 2)["y"].tolist() == [3, 7]
            assert pp.transform_reduce(pp.par, a, transform=lambda r: r.x * r.y) == (a["x"] * a["y"]).sum()


def test_what_is_refused(renderer):
    holds_records(renderer.executor)
    a, x = records(ALIGNED, 1), np.arange(float(N))
    before = a.copy()

    def refused(match, *inputs, call=pp.transform, **how):
        with pytest.raises((pp.KernelError, pp.PlacementError), match=match):
            call(renderer, *inputs, **how)

    refused("the result is a record of .*and out has records of.*Pass out of that dtype", a, op=inner, out=a)
    refused("the result is a record of .*, and out is int32", a, op=lambda r: r, out=np.zeros(N, "i4"))
    refused("cannot be stored in records of.*field 'inner'", x, op=lambda x: (x, 1), out=a)
    pairs = np.zeros(N, "f8,i8")
    refused("a tuple .float64, float64, float64.*records of 2 fields", x, op=lambda x: (x, x, x), out=pairs)
    refused("lose information", x, op=lambda x: (x, x), out=pairs)
    refused("the result is a tuple .*and out is int32", x, op=lambda x: (x, x), out=np.zeros(N, "i4"))
    refused("tuple cannot be assigned to an element", N, set_tuple, pairs, call=pp.for_each)
    for kernel in (whole_field, whole_part):
        refused("(?s)as a whole, such as a field.*loop over its elements: for k", N, kernel, a, x, call=pp.for_each)
    wide = np.zeros(N, "f8,i8,f8")
    for other in (wide, np.zeros(N, "f8,i4")):
        refused("(?s)a record is stored where other.*assign its fields", N, copy_record, pairs, other, call=pp.for_each)
    refused("there is no field 'nothing'", N, lambda i, a: nothing(i, a), a, call=pp.for_each)
    refused("must return a number or a tuple", a, transform=inner, call=pp.transform_reduce)
    np.testing.assert_array_equal(a, before)


def whole_field(i, a, x):
    v = a[i].v
    x[i] = (v * v).sum()


def whole_part(i, a, x):
    a[i].v = 2 * a[i].v


def set_tuple(i, a):
    a[i] = (1.0, 2)


def copy_record(i, a, b):
    a[i] = b[i]


def nothing(i, a):
    a[i].nothing = 1.0


@pytest.mark.parametrize("field", ["U5", "S3", "M8[s]", "m8[D]"])
def test_fields_that_no_kernel_reads(renderer, field):
    names = np.arange(N).astype("i8" if field[0] in "mM" else "U5").astype(field)
    kind = np.dtype([("x", "f8"), ("name", names.dtype), ("key", "i4")])
    a = np.zeros(N, kind)
    a["x"], a["key"], a["name"] = np.arange(N), np.arange(N)[::-1], names
    assert pp.transform_reduce(renderer, a, transform=lambda r: r.x + r.key) == N * (N - 1)
    by_key = pp.sort(renderer, a, key=lambda r: r.key)
    assert by_key.dtype == kind and (by_key["name"] == names[::-1]).all()
    pp.for_each(renderer, N, lambda i, a, b: moved(i, a, b), a, by_key)
    assert (a["name"] == names[::-1]).all() and (a["x"] == -1).all()
    with pytest.raises(pp.KernelError, match=r"(?s)test_records.py:\d+.*no field 'name'.*np\.unique"):
        pp.transform(renderer, a, op=lambda r: r.name)
    with pytest.raises(pp.KernelError, match="transform= what to combine"):
        pp.reduce(renderer, a, op=lambda p, q: p)


@pytest.mark.parametrize("field", ["U5", "M8[s]"])
def test_copies_have_the_fields_that_no_kernel_sees(policy, field):
    kind = np.dtype([("x", "f8"), ("name", field), ("key", "i4")])
    a, places = np.zeros(N, kind), np.arange(N)[::-1]
    a["x"], a["name"], a["key"] = np.arange(N), np.arange(N).astype("i8" if "M" in field else field), 7
    for got, right in (
        (pp.copy(policy, a), a),
        (pp.copy(policy, a, out=np.zeros(N, kind)), a),
        (pp.copy(policy, np.broadcast_to(a[3], 5), out=np.zeros(5, kind)), a[[3] * 5]),
        (pp.transform(policy, a, op=lambda r: r), a),
        (pp.copy(policy, pp.lazy.reverse(a)), a[::-1]),
        (pp.copy_if(policy, pp.lazy.reverse(a), lambda r: r.x > 5), a[:5:-1]),
        (pp.rotate(policy, a, 5), np.roll(a, -5)),
        (pp.scatter(policy, a, places, np.zeros(N, kind)), a[::-1]),
        (pp.gather(policy, a, places, out=np.zeros(N, kind)), a[::-1]),
        (pp.reverse(policy, a, out=np.zeros(N, kind)), a[::-1]),
    ):
        assert got.dtype == kind
        np.testing.assert_array_equal(pp.asnumpy(got), right)
    with pytest.raises(pp.PlacementError, match="one record"):
        pp.fill(policy, np.zeros(5, kind), a[3])


def test_fields_of_records_inside_that_no_kernel_reads(renderer):
    inside = [("x", "i4"), ("name", "S3"), ("half", "f2")]
    others = [("wide", "g"), ("raw", "V3"), ("be", ">i4")]
    kind = np.dtype([("inside", inside, (2,)), ("one", inside), *others, ("x", "f4")])
    a = np.zeros(N, kind)
    a["x"], a["inside"]["x"][:, 1], a["one"]["name"], a["wide"], a["be"] = np.arange(N), 7, b"abc", 0.1, 5
    got = pp.transform(renderer, a, op=lambda r: r.x + r["inside"][1].x + r.one.x)
    np.testing.assert_array_equal(got, a["x"] + 7)
    right = a.copy()
    right["inside"]["x"][:, 0], right["one"]["x"] = np.arange(N), -1
    pp.for_each(renderer, N, lambda i, a: numbered(i, a), a)
    assert (a == right).all() and (pp.copy_if(renderer, a, lambda r: r.x < 2) == right[:2]).all()
    for op in (lambda r: r["inside"][0].name, lambda r: r.one["half"], lambda r: r.wide, lambda r: r["be"]):
        with pytest.raises(pp.KernelError, match=r"(?s)test_records.py:\d+.*no field '(name|half|wide|be)'.*spelling"):
            pp.transform(renderer, a, op=op)


def numbered(i, a):
    a[i]["inside"][0].x = i
    a[i].one.x = -1


def moved(i, a, b):
    a[i] = b[i]
    a[i].x = -1


def test_equal_dtypes_that_are_two_objects():
    for op in (lambda a, b: (a[0] + b[0], a[1] + b[1]), lambda a, b: (b[0] + a[0], b[1] + a[1])):
        x = np.ones(5, np.dtype([("first", "i4"), ("second", "f8")]))
        assert pp.reduce(pp.par, x, op=op) == (5, 5.0)
