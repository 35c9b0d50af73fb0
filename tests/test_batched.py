"""pp.batched beside numpy.linalg, one matrix after the other."""

import numpy as np
import pytest

import portapar as pp

SIZES = (1, 2, 3, 5, 8, 25, 33)  #: lanes of few and of many elements; where systems, and factors, are found one by one


def numbers(rng, shape, dtype):
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def definite(rng, count, n, dtype):
    a = numbers(rng, (count, n, n), dtype)
    return a @ a.conj().swapaxes(1, 2) + np.eye(n, dtype=dtype)


def tolerance(dtype):
    return 2e-3 if np.finfo(dtype).eps > 1e-10 else 1e-9


@pytest.mark.parametrize("dtype", [np.float64, np.complex64, np.float32, np.complex128])
def test_like_numpy(policy, dtype):
    rng = np.random.default_rng(1)
    for n in SIZES:
        for count in (1, 21):
            a, b = definite(rng, count, n, dtype)[:, ::-1].copy(), numbers(rng, (count, n, 3), dtype)  # pivots move
            x = pp.batched.solve(policy, a, b)
            assert x.dtype == dtype
            np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=tolerance(dtype), atol=tolerance(dtype))
            one = pp.batched.solve(policy, a, b[:, :, 1].copy())
            assert np.array_equal(one, x[:, :, 1])  # a column does not depend on the others
            s = definite(rng, count, n, dtype)
            found = pp.batched.cholesky(policy, s)
            assert found.dtype == dtype and not np.triu(found, 1).any()
            np.testing.assert_allclose(found, np.linalg.cholesky(s), rtol=tolerance(dtype), atol=tolerance(dtype))


@pytest.mark.parametrize("dtypes", ["dd", "Ff", "bB", "??"])
def test_products(policy, dtypes):
    rng = np.random.default_rng(2)
    for n, k, m in ((3, 5, 7), (9, 2, 21)):
        a, b = (rng.normal(size=(19, *shape)) * 3 for shape in ((n, k), (k, m)))
        a, b = a.astype(dtypes[0]), abs(b).astype(dtypes[1])
        found = pp.batched.matmul(policy, a, b)
        assert found.dtype == (a @ b).dtype
        np.testing.assert_allclose(found, a @ b, rtol=1e-4 if dtypes == "Ff" else 1e-12, atol=1e-3 * (dtypes == "Ff"))


@pytest.mark.extra
def test_bits_do_not_depend_on_the_executor(policy):
    rng = np.random.default_rng(3)
    for n in (4, 26):
        a, b, s = rng.normal(size=(13, n, n)), rng.normal(size=(13, n)), definite(rng, 13, n, float)
        for call, *args in ((pp.batched.matmul, a, s), (pp.batched.solve, a, b), (pp.batched.cholesky, s)):
            assert np.array_equal(call(policy, *args), call(pp.par.on(pp.threads(1)), *args))


def test_every_matrix_by_itself():
    """What else is in the batch, also what is singular or NaN, changes no bit."""
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(20, 6, 6)), rng.normal(size=(20, 6))
    alone = pp.batched.solve(pp.par, a, b)
    a[3], a[11, 2, 2] = np.nan, np.inf
    found = pp.batched.solve(pp.par, a, b)
    keep = np.isin(np.arange(20), (3, 11), invert=True)
    assert np.array_equal(found[keep], alone[keep]) and np.isnan(found[3]).all()


@pytest.mark.parametrize("n", [3, 40])
def test_what_has_no_solution(device, n):
    policy, rng = pp.par.on(device), np.random.default_rng(5)
    a, b = definite(rng, 30, n, float), np.ones((30, n))
    for _ in range(2):  # the remembered call, too
        pp.batched.solve(policy, a, b)
        pp.batched.cholesky(policy, a)
    a[17], a[23] = 0, 0
    with pytest.raises(pp.ArgumentError, match=r"batched.solve: a\[17\] is singular"):
        pp.batched.solve(policy, a, b)
    a[12, n - 1, n - 1], a[9, 0, n - 1] = np.nan, np.nan  # of which the second one is not looked at
    with pytest.raises(pp.ArgumentError, match=r"batched.cholesky: a\[12\] is not positive definite"):
        pp.batched.cholesky(policy, a)


def test_forms_of_arguments(policy):
    rng = np.random.default_rng(6)
    a, c = rng.normal(size=(4, 5, 12)).T, rng.normal(size=(5, 4))  # not contiguous; one for all
    found = pp.batched.matmul(policy, a, np.broadcast_to(c.T, (12, 4, 5)))
    np.testing.assert_allclose(found, a @ c.T, rtol=1e-12)
    for empty in ((0, 3, 3), (4, 0, 0)):
        nothing = np.zeros(empty)
        assert pp.batched.solve(policy, nothing, nothing).shape == pp.batched.cholesky(policy, nothing).shape == empty
        assert pp.batched.matmul(policy, nothing, nothing).shape == empty
    assert pp.batched.matmul(policy, np.zeros((2, 3, 0)), np.zeros((2, 0, 4))).tolist() == np.zeros((2, 3, 4)).tolist()


@pytest.mark.extra
def test_whole_numbers(policy):
    whole = np.arange(12).reshape(3, 2, 2) ** 2
    assert pp.batched.solve(policy, whole, np.ones((3, 2), np.int8)).dtype == np.float64
    assert pp.batched.cholesky(policy, np.array([[[4, 9], [2, 2]]])).tolist() == [[[2, 0], [1, 1]]]


def test_outputs(device):
    policy, rng = pp.par.on(device), np.random.default_rng(7)
    a, b = device.asarray(definite(rng, 9, 4, float)), device.asarray(rng.normal(size=(9, 4)))
    for call, *args, shape in (
        (pp.batched.matmul, a, a, (9, 4, 4)),
        (pp.batched.solve, a, b, (9, 4)),
        (pp.batched.cholesky, a, (9, 4, 4)),
    ):
        out = device.empty(shape)
        wanted = pp.asnumpy(call(policy, *args))
        for _ in range(2):
            assert call(policy, *args, out=out) is out and np.array_equal(pp.asnumpy(out), wanted)
        for wrong in (device.empty((9, 4, 5)), device.empty(shape, np.float32)):
            with pytest.raises(pp.ArgumentError, match="out has shape"):
                call(policy, *args, out=wrong)
    with pytest.raises(pp.PortaparError, match="overlap|share"):
        pp.batched.cholesky(policy, a, out=a)


@pytest.mark.parametrize(
    ("call", "args", "told"),
    [
        (pp.batched.matmul, (np.zeros((2, 3, 4)), np.zeros((2, 3, 4))), "must be .batch, n, k. and .batch, k, m."),
        (pp.batched.matmul, (np.zeros((3, 4)), np.zeros((2, 4, 4))), r"Use a\[None\]"),
        (pp.batched.solve, (np.zeros((2, 3, 4)), np.zeros((2, 3))), "must be square"),
        (pp.batched.solve, (np.zeros((2, 3, 3)), np.zeros((3, 2))), r"b must be numbers of shape \(2, 3\)"),
        (pp.batched.cholesky, (np.zeros((2, 3, 3), "U1"),), "U1"),
    ],
)
def test_wrong_arguments(call, args, told):
    with pytest.raises(pp.PortaparError, match=told):
        call(pp.par, *args)


def test_tasks_and_plans():
    a = np.array([[[2.0, 0.0], [0.0, 4.0]]])
    assert pp.batched.solve(pp.par.task, a, np.ones((1, 2))).result().tolist() == [[0.5, 0.25]]
    assert "batched.cholesky" in str(pp.plan(pp.batched.cholesky, pp.par, a))
