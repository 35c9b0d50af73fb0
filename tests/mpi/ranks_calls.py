"""Run by every rank under mpirun (see test_mpi.py): what ranks compute equals what one process computes."""

import numpy as np
import pytest

import portapar as pp

SIZES = (3 * 4096 + 17, 1000, 1, 0, 10**6 + 3)  #: first what all ranks compile for: who has nothing would spin
WORLD = pp.mpi()
RANK, SIZE = WORLD.group.rank, WORLD.group.size
ALONE = pp.par.on(pp.simd())


def data(n, dtype=np.float64, seed=1):
    """The same on every rank."""
    x = np.random.default_rng(seed).normal(size=n)
    return (x if np.dtype(dtype).kind == "f" else 1000 * x).astype(dtype)


@pytest.fixture(params=["default", "threads"])
def world(request):
    """Ranks with their share of the CPUs, and with two threads each."""
    return WORLD if request.param == "default" else pp.mpi(local=pp.threads(2))


def test_the_executor_is_made_once_and_prints_as_typed():
    assert pp.mpi() is WORLD
    assert repr(WORLD) == "pp.mpi()"
    assert pp.mpi(local=pp.threads(2)) is pp.mpi(local=pp.threads(2))
    assert repr(pp.mpi(local=pp.threads(2))) == "pp.mpi(local=pp.threads(2))"
    assert repr(pp.par.on(WORLD)) == "pp.par.on(pp.mpi())"
    assert pp.executor("mpi") is WORLD
    assert pp.executor("mpi:threads:2") is pp.mpi(local=pp.threads(2))
    (info,) = [info for info in pp.available() if info.name == "mpi"]
    assert info.available and info.properties == {"rank": RANK, "size": SIZE}


@pytest.mark.parametrize("n", SIZES)
def test_asarray_and_asnumpy_keep_every_element(n):
    x = data(n)
    parts = WORLD.asarray(x)
    assert parts.shape == (n,) and parts.dtype == x.dtype and len(parts) == n
    lo, hi = parts.partition[RANK]
    assert np.array_equal(parts.local, x[lo:hi])
    assert np.array_equal(pp.asnumpy(parts), x)
    if SIZE > 1:  # one rank alone would wait for ever
        with pytest.raises(pp.PlacementError, match=r"on every rank"):
            np.sum(parts)
    else:
        assert np.array_equal(np.asarray(parts), x)
    assert WORLD.asarray(parts) is parts
    assert "parts=((0, " in repr(parts) and repr(parts).endswith("on=pp.mpi())")


@pytest.mark.parametrize("shape", [(300, 64), (70, 3, 5), (1, 7), (5, 0), (0, 3)])
def test_arrays_of_more_dimensions_are_cut_by_rows(shape):
    x = data(int(np.prod(shape))).reshape(shape)
    assert np.array_equal(pp.asnumpy(WORLD.asarray(x)), x)
    assert WORLD.empty(shape, np.int8).cuts == WORLD.asarray(x).cuts
    noncontiguous = x[:, ::-1]
    assert np.array_equal(pp.asnumpy(WORLD.asarray(noncontiguous)), noncontiguous)


def test_rows_alone_decide_the_cuts_of_long_arrays():
    n = 300_000
    assert WORLD.empty(n).cuts == WORLD.empty((n, 2)).cuts == WORLD.empty((n, 3), np.int8).cuts


@pytest.mark.parametrize("n", SIZES)
def test_for_each(world, n):
    x, y = data(n), data(n, seed=2)
    out, first, second = world.empty(n), world.asarray(x), world.asarray(y)

    def body(i, out, x, y, s):
        out[i] = x[i] + s * y[i] + i

    pp.for_each(pp.par.on(world), n, body, out, first, second, 3.0)
    assert np.array_equal(pp.asnumpy(out), x + 3.0 * y + np.arange(n))


@pytest.mark.parametrize("shape", [(1000, 40), (4096, 3), (3, 5), (0, 4)])
def test_for_each_over_two_dimensions(world, shape):
    x = data(shape[0] * shape[1]).reshape(shape)
    first, out = world.asarray(x), world.empty(shape)

    def body(i, j, out, x):
        out[i, j] = 2.0 * x[i, j] + 100.0 * i + j

    pp.for_each(pp.par, shape, body, out, first)
    i, j = np.indices(shape)
    assert np.array_equal(pp.asnumpy(out), 2.0 * x + 100.0 * i + j)


@pytest.mark.parametrize("n", SIZES)
def test_transform(world, n):
    x, y = data(n), data(n, seed=2)
    first, second = world.asarray(x), world.asarray(y)
    out = world.empty(n)
    assert pp.transform(pp.par_unseq.on(world), first, second, out=out, op=lambda a, b: a + 3.0 * b) is out
    assert np.array_equal(pp.asnumpy(out), x + 3.0 * y)
    made = pp.transform(pp.par, first, op=lambda a: a * a)
    assert isinstance(made, pp.PartitionedArray) and made.executor is world
    assert np.array_equal(pp.asnumpy(made), x * x)
    pp.fill(pp.par, out, 7.0)
    pp.copy(pp.par, first, out=made)
    assert (pp.asnumpy(out) == 7.0).all() and np.array_equal(pp.asnumpy(made), x)
    pp.iota(pp.par, out, 5, 2)
    assert np.array_equal(pp.asnumpy(out), 5.0 + 2 * np.arange(n))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4"])
@pytest.mark.parametrize("n", SIZES)
def test_reduce_gives_the_bits_of_one_process(world, n, dtype):
    x = data(n, dtype)
    parts = world.asarray(x)
    init = x.dtype.type(3)
    expected = pp.reduce(ALONE, x, init=init)
    found = pp.reduce(pp.par.on(world), parts, init=init)
    assert type(found) is type(expected) and found.tobytes() == expected.tobytes()
    if n:
        assert pp.reduce(pp.par, parts).tobytes() == pp.reduce(ALONE, x).tobytes()
    else:
        assert pp.reduce(pp.par, parts) == 0
        with pytest.raises(pp.PlacementError, match="init"):
            pp.reduce(pp.par, parts, op=lambda a, b: a + b)


@pytest.mark.parametrize("n", SIZES)
def test_transform_reduce_gives_the_bits_of_one_process(world, n):
    x, y = data(n), data(n, seed=2)

    def dot(policy, x, y):
        return pp.transform_reduce(policy, x, y, transform=lambda a, b: a * b, init=0.0)

    expected = dot(ALONE, x, y)
    assert dot(pp.par, world.asarray(x), world.asarray(y)).tobytes() == expected.tobytes()
    # replicated arrays and ranges: every rank takes a share of the indices
    assert dot(pp.par.on(world), x, y).tobytes() == expected.tobytes()
    assert pp.reduce(pp.par.on(world), pp.range(n), init=0) == n * (n - 1) // 2
    assert pp.reduce(pp.par.on(world), world.asarray(x), op=pp.maximum, init=-9.0) == max(x, default=-9.0)


def sum_and_least(a, b):  # which commutes: so it is folded in the order of a sum
    return a[0] + b[0], min(a[1], b[1])


@pytest.mark.parametrize("n", [4096 * 6 + 11, 4096 * 3, 5000, 30, 1])
def test_reduce_wherever_parts_begin(n):
    """Most of a tile, tiles and nothing at all on a rank; the first call, and those that are remembered."""
    x = data(n) * np.logspace(-8, 8, n)
    for inner in ([k * n // SIZE for k in range(1, SIZE)], [n // 7] * (SIZE - 1), [min(n, 4096)] * (SIZE - 1)):
        here = WORLD.empty(n, cuts=(0, *inner, n))
        pp.copy(pp.par, WORLD.asarray(x), out=here)
        for _ in range(3):
            assert pp.reduce(pp.par, here) == pp.reduce(ALONE, x)
            assert pp.reduce(pp.par, here, init=0.1) == pp.reduce(ALONE, x, init=0.1)
            found = pp.transform_reduce(pp.par, here, transform=lambda v: (v, 0.5), op=sum_and_least)
            assert found == (pp.reduce(ALONE, x), 0.5)


def test_replicated_arrays_are_read_anywhere_but_not_written():
    n = 10_000
    table, x = data(16), data(n)
    out, first = WORLD.empty(n), WORLD.asarray(x)

    def look_up(i, out, x):
        out[i] = x[i] + table[i % 16]

    pp.for_each(pp.par, n, look_up, out, first)
    assert np.array_equal(pp.asnumpy(out), x + table[np.arange(n) % 16])
    with pytest.raises(pp.PlacementError, match=r"'out'.*pp\.mpi\(\)\.asarray\(out\)"):
        pp.transform(pp.par.on(WORLD), x, out=np.empty(n), op=lambda a: a + 1)

    def write(i, x):
        x[i] = 1.0

    with pytest.raises(pp.PlacementError, match="every rank has a copy"):
        pp.for_each(pp.par.on(WORLD), n, write, x)


def test_what_a_rank_cannot_reach_is_refused():
    n = 10_000
    x = WORLD.asarray(data(n))
    out = WORLD.empty(n)

    def scattered(i, out, x):
        out[n - 1 - i] = x[i]

    if SIZE > 1:
        with pytest.raises(pp.PlacementError, match="other indices than its own"):
            pp.for_each(pp.par, n, scattered, out, x)
    other = pp.mpi(local=pp.threads(2)).asarray(data(n))
    if SIZE > 1:  # one rank has all of both
        with pytest.raises(pp.PlacementError, match=r"lives on pp\.mpi\(local=pp\.threads\(2\)\)"):
            pp.transform(pp.par, x, other, out=out, op=lambda a, b: a + b)

    def shifted(i, x):
        x[i] = 0.0

    if SIZE > 1:
        with pytest.raises(pp.PlacementError, match="go to 10000"):
            pp.for_each(pp.par, pp.range(1, n + 1), shifted, x)
    for wrong in (np.float64(3), np.array(3.0)):
        with pytest.raises(pp.PlacementError):
            WORLD.asarray(wrong)
    with pytest.raises(pp.PlacementError, match="negative"):
        WORLD.empty(-1)
    with pytest.raises(pp.BackendUnavailableError, match="local="):
        pp.mpi(local="threads")
    with pytest.raises(pp.BackendUnavailableError, match="comm="):
        pp.mpi(comm=3)


def test_tasks_keep_the_order_of_calls():
    n = 500_000
    x = data(n)
    parts, out = WORLD.asarray(x), WORLD.empty(n)
    futures = [pp.reduce(pp.par.task, parts) for _ in range(5)]
    doubled = pp.transform(pp.par.task, parts, out=out, op=lambda a: a + a)
    last = pp.reduce(pp.par.task, out)
    here = pp.reduce(pp.par, parts)  # waits for its turn
    assert all(future.result() == here for future in futures)
    assert doubled.result() is out and last.result() == 2 * here
    WORLD.synchronize()


def test_the_plan_shows_all_ranks():
    n = 100_000
    text = str(pp.plan(pp.reduce, pp.par, WORLD.asarray(data(n))))
    for rank in range(SIZE):
        if rank != RANK:
            assert f"rank {rank}: pp." in text
    assert f", {n})" in text


def test_a_communicator_of_the_users():
    from mpi4py import MPI

    own = pp.mpi(MPI.COMM_SELF)
    assert repr(own) == "pp.mpi(MPI.COMM_SELF)" and own.group.size == 1
    x = data(10_000)
    assert pp.reduce(pp.par, own.asarray(x)) == pp.reduce(ALONE, x)
    odd = MPI.COMM_WORLD.Split(RANK % 2, RANK)
    with pp.mpi(odd, pp.simd()) as half:
        assert half.group.size == odd.size
        parts = half.asarray(x)
        assert pp.reduce(pp.par, parts) == pp.reduce(ALONE, x)
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        pp.reduce(pp.par, parts)


def test_ranks_with_different_local_executors():
    x = data(100_003)
    everywhere = pp.mpi(local=pp.simd())
    mixed = pp.mpi(local=pp.threads(2) if RANK == 0 else pp.simd())
    for world in (everywhere, mixed):
        assert pp.reduce(pp.par, world.asarray(x)) == pp.reduce(ALONE, x)


def test_arrays_that_change_between_calls_that_are_made_again():
    par, n = pp.par.on(WORLD), 4 * SIZE
    x, out = WORLD.asarray(np.ones(n)), WORLD.empty(n)
    for _ in range(3):
        assert pp.transform(par, x, out=out, op=lambda v: v + 1) is out and pp.reduce(par, x) == n
    for changed in (x, out):
        changed.local.flags.writeable = False
        if changed is x:
            pp.transform(par, x, out=out, op=lambda v: v + 1)
        else:
            with pytest.raises(pp.PortaparError):
                pp.transform(par, x, out=out, op=lambda v: v + 1)
        changed.local.flags.writeable = True
    with pytest.raises(TypeError):
        x.parts[RANK] = np.full(4, 2.0)
    x.local[:] = 2
    assert pp.reduce(par, x) == 2 * n


def test_ranks_that_remember_and_ranks_that_do_not():
    from mpi4py import MPI

    from portapar.remembered import ready_calls

    par, x = pp.par.on(WORLD), WORLD.asarray(np.arange(2.0 * SIZE))
    for turn in range(6):
        if turn % 2 and RANK == turn % SIZE:
            ready_calls.clear()
        assert pp.reduce(par, x) == SIZE * (2 * SIZE - 1)
    if SIZE > 1:
        with pytest.raises(pp.CommunicationError, match="the ranks differ"):
            pp.reduce(par, x, op=pp.plus if RANK else pp.maximum)
    assert pp.reduce(par, x) == SIZE * (2 * SIZE - 1)
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        with pp.mpi(MPI.COMM_WORLD) as other:
            y = other.asarray(np.ones(2))
            assert [int(pp.reduce(pp.par.on(other), y)) for _ in range(3)] == [2, 2, 2]
        pp.reduce(pp.par.on(other), y)
