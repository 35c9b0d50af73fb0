"""Every algorithm once, on small data: what tests that go through all of them share.

``EVERY[name]`` is ``(call, expected)``: ``call(policy, put)`` runs it on arrays that went through `put`.
``WRITING[name]`` is ``(call, expected, inputs)`` of those that write to an array of the user's:
``call(policy, out, *inputs)``.
"""

import numpy as np

import portapar as pp

N = 60
X = np.random.default_rng(7).permutation(N).astype(float) - 20
Y = np.arange(N) * 0.5
K = (np.arange(N) * 7 % 10).astype(np.int64)
K2 = 2 * np.arange(N)
S = np.sort(X)
T = np.sort(Y)
P = np.random.default_rng(8).permutation(N)
OFFSETS = np.array([0, 5, 5, 17, 40, N])
SUMS = np.array([X[a:b].sum() for a, b in zip(OFFSETS[:-1], OFFSETS[1:], strict=True)])
POSITIVE = X > 0


def add(i, x, y):
    y[i] = x[i] + 1


def tally(s, i, x, out):
    pp.atomic.add(out, s, x[i])


def positive(v):
    return v > 0


def plus(a, b):
    return a + b


def twice(v):
    return v * 2


def around(x, i):
    return x[i - 1] + x[i + 1]


def prefix_sums():
    return np.concatenate([np.cumsum(X[a:b]) for a, b in zip(OFFSETS[:-1], OFFSETS[1:], strict=True)])


def by_key():
    return np.unique(K), np.array([X[k == K].sum() for k in np.unique(K)])


def groups():
    order = np.argsort(K, kind="stable")
    return np.unique(K), np.concatenate([[0], np.cumsum(np.bincount(K))]), X[order]


def running():
    sums = np.zeros(N)
    for i in range(N):
        sums[i] = X[: i + 1][K[: i + 1] == K[i]].sum()
    return sums


def merged():
    keys, values = np.concatenate([S, T]), np.concatenate([Y, X])
    order = np.argsort(keys, kind="stable")
    return keys[order], values[order]


def encoded():
    begins = np.flatnonzero(np.diff(K // 5, prepend=-1))
    return (K // 5)[begins], np.diff(begins, append=N)


def neighbours():
    wide = np.pad(X, 1)
    return wide[:-2] + wide[2:]


def for_each(policy, put):
    y = put(np.zeros(N))
    pp.for_each(policy, N, add, put(X), y)
    return y


def for_each_segment(policy, put):
    out = put(np.zeros(len(OFFSETS) - 1))
    pp.for_each_segment(policy, put(OFFSETS), tally, put(X), out)
    return out


EVERY = {
    "for_each": (for_each, X + 1),
    "transform": (lambda p, put: pp.transform(p, put(X), put(Y), op=plus), X + Y),
    "copy": (lambda p, put: pp.copy(p, put(X)), X),
    "fill": (lambda p, put: pp.fill(p, put(np.zeros(N)), 2.5), np.full(N, 2.5)),
    "iota": (lambda p, put: pp.iota(p, put(np.zeros(N)), 3, 2), 3.0 + 2 * np.arange(N)),
    "stencil": (lambda p, put: pp.stencil(p, put(X), around), neighbours()),
    "reduce": (lambda p, put: pp.reduce(p, put(X)), X.sum()),
    "transform_reduce": (lambda p, put: pp.transform_reduce(p, put(X), transform=twice), 2 * X.sum()),
    "reduce along an axis": (lambda p, put: pp.reduce(p, put(X.reshape(12, 5)), axis=0), X.reshape(12, 5).sum(axis=0)),
    "reduce along rows": (lambda p, put: pp.reduce(p, put(X.reshape(12, 5)), axis=1), X.reshape(12, 5).sum(axis=1)),
    "scan along an axis": (lambda p, put: pp.inclusive_scan(p, put(X.reshape(12, 5)), axis=0),
                           X.reshape(12, 5).cumsum(axis=0)),
    "inner_product": (lambda p, put: pp.inner_product(p, put(X), put(Y)), X @ Y),
    "count": (lambda p, put: pp.count(p, put(K), 3), int((K == 3).sum())),
    "count_if": (lambda p, put: pp.count_if(p, put(X), positive), int(POSITIVE.sum())),
    "all_of": (lambda p, put: pp.all_of(p, put(X), positive), False),
    "any_of": (lambda p, put: pp.any_of(p, put(X), positive), True),
    "none_of": (lambda p, put: pp.none_of(p, put(X), positive), False),
    "min_element": (lambda p, put: pp.min_element(p, put(X)), int(X.argmin())),
    "max_element": (lambda p, put: pp.max_element(p, put(X)), int(X.argmax())),
    "minmax_element": (lambda p, put: pp.minmax_element(p, put(X)), (int(X.argmin()), int(X.argmax()))),
    "equal": (lambda p, put: pp.equal(p, put(X), put(Y)), False),
    "mismatch": (lambda p, put: pp.mismatch(p, put(X), put(X)), N),
    "inclusive_scan": (lambda p, put: pp.inclusive_scan(p, put(X)), np.cumsum(X)),
    "exclusive_scan": (lambda p, put: pp.exclusive_scan(p, put(X)), np.cumsum(X) - X),
    "transform_scan": (lambda p, put: pp.transform_scan(p, put(X), transform=twice), 2 * np.cumsum(X)),
    "sort": (lambda p, put: pp.sort(p, put(X)), S),
    "stable_sort": (lambda p, put: pp.stable_sort(p, put(X)), S),
    "argsort": (lambda p, put: pp.argsort(p, put(X)), np.argsort(X)),
    "sort_by_key": (lambda p, put: pp.sort_by_key(p, put(X), put(Y)), (S, Y[np.argsort(X)])),
    "is_sorted": (lambda p, put: pp.is_sorted(p, put(S)), True),
    "merge": (lambda p, put: pp.merge(p, put(S), put(T)), np.sort(np.concatenate([S, T]))),
    "nth_element": (lambda p, put: pp.asnumpy(pp.nth_element(p, put(X), 9))[9], S[9]),
    "kth_smallest": (lambda p, put: pp.kth_smallest(p, put(X), 9), S[9]),
    "top_k": (lambda p, put: pp.top_k(p, put(X), 5), (S[:-6:-1], np.argsort(-X)[:5])),
    "partial_sort": (lambda p, put: pp.asnumpy(pp.partial_sort(p, put(X), 9))[:9], S[:9]),
    "searchsorted": (lambda p, put: pp.searchsorted(p, put(S), put(Y)), np.searchsorted(S, Y)),
    "unique": (lambda p, put: pp.unique(p, put(K)), np.unique(K)),
    "unique_count": (lambda p, put: pp.unique_count(p, put(K)), len(np.unique(K))),
    "set_union": (lambda p, put: pp.set_union(p, put(np.arange(N)), put(K2)), np.union1d(np.arange(N), K2)),
    "set_intersection": (lambda p, put: pp.set_intersection(p, put(np.arange(N)), put(K2)), np.arange(0, N, 2)),
    "set_difference": (lambda p, put: pp.set_difference(p, put(np.arange(N)), put(K2)), np.arange(1, N, 2)),
    "set_symmetric_difference": (lambda p, put: pp.set_symmetric_difference(p, put(np.arange(N)), put(K2)),
                                 np.setxor1d(np.arange(N), K2)),
    "includes": (lambda p, put: pp.includes(p, put(np.arange(2 * N)), put(K2)), True),
    "isin": (lambda p, put: pp.isin(p, put(K), put(P[:5])), np.isin(K, P[:5])),
    "copy_if": (lambda p, put: pp.copy_if(p, put(X), positive), X[POSITIVE]),
    "remove_if": (lambda p, put: pp.remove_if(p, put(X), positive), X[~POSITIVE]),
    "partition": (lambda p, put: pp.partition(p, put(X), positive),
                  (np.concatenate([X[POSITIVE], X[~POSITIVE]]), int(POSITIVE.sum()))),
    "pack_index": (lambda p, put: pp.pack_index(p, put(POSITIVE)), np.flatnonzero(POSITIVE)),
    "find": (lambda p, put: pp.find(p, put(K), 4), int(np.flatnonzero(K == 4)[0])),
    "find_if": (lambda p, put: pp.find_if(p, put(X), positive), int(np.flatnonzero(POSITIVE)[0])),
    "find_last_if": (lambda p, put: pp.find_last_if(p, put(X), positive), int(np.flatnonzero(POSITIVE)[-1])),
    "adjacent_find": (lambda p, put: pp.adjacent_find(p, put(K)), N),
    "search": (lambda p, put: pp.search(p, put(X), put(X[37:41])), 37),
    "find_first_of": (lambda p, put: pp.find_first_of(p, put(K), put(np.array([4, 9]))),
                      int(np.flatnonzero((K == 4) | (K == 9))[0])),
    "lexicographical_compare": (lambda p, put: pp.lexicographical_compare(p, put(X), put(X[:-1])), False),
    "is_sorted_until": (lambda p, put: pp.is_sorted_until(p, put(Y - 9 * (K2 == 82))), 41),
    "is_partitioned": (lambda p, put: pp.is_partitioned(p, put(Y), positive), False),
    "gather": (lambda p, put: pp.gather(p, put(X), put(P)), X[P]),
    "scatter": (lambda p, put: pp.scatter(p, put(X), put(P), put(np.zeros(N))), X[np.argsort(P)]),
    "gather_if": (lambda p, put: pp.gather_if(p, put(X), put(P), put(POSITIVE), put(np.zeros(N))), X[P] * POSITIVE),
    "scatter_if": (lambda p, put: pp.scatter_if(p, put(X), put(P), put(POSITIVE), put(np.zeros(N))),
                   (X * POSITIVE)[np.argsort(P)]),
    "shift_left": (lambda p, put: pp.shift_left(p, put(X), 7), np.append(X[7:], np.zeros(7))),
    "shift_right": (lambda p, put: pp.shift_right(p, put(X), 7, 2), np.append(np.full(7, 2.0), X[:-7])),
    "transpose": (lambda p, put: pp.transpose(p, put(X.reshape(12, 5))), X.reshape(12, 5).T),
    "reverse": (lambda p, put: pp.reverse(p, put(X)), X[::-1]),
    "rotate": (lambda p, put: pp.rotate(p, put(X), 7), np.roll(X, -7)),
    "adjacent_difference": (lambda p, put: pp.adjacent_difference(p, put(X)), np.diff(X, prepend=0.0)),
    "histogram": (lambda p, put: pp.histogram(p, put(X), bins=50), np.histogram(X, bins=50)),
    "bincount": (lambda p, put: pp.bincount(p, put(K)), np.bincount(K)),
    "segmented_reduce": (lambda p, put: pp.segmented_reduce(p, OFFSETS, put(X)), SUMS),
    "segmented_scan": (lambda p, put: pp.segmented_scan(p, OFFSETS, put(X)), prefix_sums()),
    "reduce_by_key": (lambda p, put: pp.reduce_by_key(p, put(K), put(X)), by_key()),
    "scan_by_key": (lambda p, put: pp.scan_by_key(p, put(K), put(X)), running()),
    "unique_by_key": (lambda p, put: pp.unique_by_key(p, put(K), put(X)),
                      (np.unique(K), X[np.unique(K, return_index=True)[1]])),
    "merge_by_key": (lambda p, put: pp.merge_by_key(p, put(S), put(Y), put(T), put(X)), merged()),
    "run_length_encode": (lambda p, put: pp.run_length_encode(p, put(K // 5)), encoded()),
    "unique of neighbours": (lambda p, put: pp.unique(p, put(K // 5), consecutive=True), encoded()[0]),
    "reduce_by_key of neighbours": (lambda p, put: pp.reduce_by_key(p, put(K // 5), put(np.ones(N)), consecutive=True),
                                    encoded()),
    "group_by_key": (lambda p, put: pp.group_by_key(p, put(K), put(X)), groups()),
    "for_each_segment": (for_each_segment, SUMS),
    "fill_integers": (lambda p, put: pp.random.fill_integers(p, put(np.zeros(N, int)), 1, 4, 5), np.full(N, 4)),
}  # fmt: skip

WRITING = {
    "transform": (lambda p, out, x: pp.transform(p, x, out=out, op=twice), 2 * X, (X,)),
    "copy": (lambda p, out, x: pp.copy(p, x, out=out), X, (X,)),
    "fill": (lambda p, out: pp.fill(p, out, 2.5), np.full(N, 2.5), ()),
    "iota": (lambda p, out: pp.iota(p, out, 3, 2), 3.0 + 2 * np.arange(N), ()),
    "stencil": (lambda p, out, x: pp.stencil(p, x, around, out=out), neighbours(), (X,)),
    "inclusive_scan": (lambda p, out, x: pp.inclusive_scan(p, x, out=out), np.cumsum(X), (X,)),
    "exclusive_scan": (lambda p, out, x: pp.exclusive_scan(p, x, out=out), np.cumsum(X) - X, (X,)),
    "transform_scan": (lambda p, out, x: pp.transform_scan(p, x, transform=twice, out=out), 2 * np.cumsum(X), (X,)),
    "sort": (lambda p, out, x: pp.sort(p, x, out=out), S, (X,)),
    "stable_sort": (lambda p, out, x: pp.stable_sort(p, x, out=out), S, (X,)),
    "merge": (lambda p, out, a, b: pp.merge(p, a, b, out=out), np.sort(np.concatenate([S[:20], T[:40]])),
              (S[:20].copy(), T[:40].copy())),
    "nth_element": (lambda p, out, x: pp.nth_element(p, x, 0, out=out), S, (S,)),
    "partial_sort": (lambda p, out, x: pp.partial_sort(p, x, N, out=out), S, (X,)),
    "gather_if": (lambda p, out, x, k: pp.gather_if(p, x, k, k, out), np.where(P != 0, X[P], 0), (X, P)),
    "scatter_if": (lambda p, out, x, k: pp.scatter_if(p, x, k, k, out), np.where(np.arange(N), X[np.argsort(P)], 0),
                   (X, P)),
    "shift_left": (lambda p, out, x: pp.shift_left(p, x, 7, out=out), np.append(X[7:], np.zeros(7)), (X,)),
    "gather": (lambda p, out, x, k: pp.gather(p, x, k, out=out), X[P], (X, P)),
    "scatter": (lambda p, out, x, k: pp.scatter(p, x, k, out), X[np.argsort(P)], (X, P)),
    "reverse": (lambda p, out, x: pp.reverse(p, x, out=out), X[::-1], (X,)),
    "rotate": (lambda p, out, x: pp.rotate(p, x, 7, out=out), np.roll(X, -7), (X,)),
    "adjacent_difference": (lambda p, out, x: pp.adjacent_difference(p, x, out=out), np.diff(X, prepend=0.0), (X,)),
    "scan_by_key": (lambda p, out, k, x: pp.scan_by_key(p, k, x, out=out), running(), (K, X)),
    "segmented_reduce": (lambda p, out, x, k: pp.segmented_reduce(p, k, x, out=out), X, (X, np.arange(N + 1))),
    "segmented_scan": (lambda p, out, x, k: pp.segmented_scan(p, k, x, out=out), np.cumsum(X),
                       (X, np.array([0, N]))),
}  # fmt: skip


def same(found, expected):
    """Whether a result is right: an array of any kind, a number, or a tuple of them."""
    if isinstance(expected, tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(np.allclose(pp.asnumpy(found), expected))
