"""The memory of arrays on CPUs: large blocks are kept for the next array."""

import gc
import mmap
import threading

import numpy as np

import portapar as pp
from portapar.kernel.cpu.memory import Kept, kept

N = 3 << 20


def block(size):
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def blocks():
    gc.collect()
    return tuple(kept._blocks)


def test_a_block_is_kept_when_its_last_view_is_gone(newer):
    a = pp.threads().empty(N, np.uint8)
    address, before = a.ctypes.data, blocks()
    assert address % 64 == 0
    view = a[5:].reshape(-1)
    del a
    assert blocks() == before
    other = pp.threads().empty(N, np.uint8)
    assert other.ctypes.data != address
    del view
    (kept,) = set(blocks()) - set(before)
    raw = np.frombuffer(kept, np.uint8)
    assert 0 <= address - raw.ctypes.data <= len(raw) - N


def test_a_block_serves_arrays_of_about_its_size():
    kept = Kept(8 << 20)
    assert kept.take(1 << 20) is None
    small, large = block(2 << 20), block(6 << 20)
    kept.give(large)
    kept.give(small)
    assert kept.take(7 << 20) is None and kept.take(1 << 20) is None
    assert kept.take(2 << 20) is small and kept.take(4 << 20) is large
    assert kept.take(4 << 20) is None


def test_no_more_is_kept_than_the_limit():
    kept = Kept(8 << 20)
    given = [block(3 << 20) for _ in range(4)]
    for each in given:
        kept.give(each)
    assert kept._blocks == given[2:]


def test_threads_never_share_a_block():
    wrong = []

    def work(number):
        for _ in range(200):
            a = pp.threads().empty(N, np.uint8)
            a[:: mmap.PAGESIZE] = number
            wrong.extend([1] * bool((a[:: mmap.PAGESIZE] != number).any()))

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
