"""uts: Unbalanced Tree Search, which counts the nodes of a tree that is made while it is searched.

A node is a SHA-1 digest; that of its k-th child is the digest of it and k, and how many children it has follows from
its last 31 bits. So a tree is the same everywhere, and nobody knows beforehand where its nodes are. Workers go down
with stacks of their own, sixteen children at a time in vector lanes, for some thousand nodes; then what is left on all
stacks is dealt anew, the nodes near the root first. S. Olivier, J. Huan, J. Liu, J. Prins, J. Dinan, P. Sadayappan,
C.-W. Tseng, "UTS: an unbalanced tree search benchmark", LCPC 2006; trees T1 to T5 are its sample trees.
"""

from __future__ import annotations

import functools
import hashlib
import math
import numbers
from typing import Any, Final, NamedTuple

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.for_each import for_each
from portapar.errors import ArgumentError, of_kind, one_of
from portapar.part import LocalPart
from portapar.policy import Policy, check_policy

_LANES: Final = 16  #: children that are hashed at a time
_WORDS: Final = 256  #: of their messages, sixteen each
_BUDGET = 1 << 14  #: nodes that a worker counts before stacks are dealt anew
_MOST = 100  #: children of a node but the root of a binomial tree, by the benchmark's rules
_SHAPES = ("fixed", "linear", "cyclic")


class Tree(NamedTuple):
    """A tree of the benchmark: geometric down to one depth, binomial below.

    Attributes
    ----------
    seed : int
        Of the root; from 0 below 2**31.
    branching : float
        Children of a geometric node in the mean, or of the root of a binomial tree.
    depth : int
        Where the geometric part ends; 0: binomial from the root on.
    shape : {"fixed", "linear", "cyclic"}
        How the mean goes with the depth of geometric nodes.
    probability : float
        That a binomial node has children.
    children : int
        That it then has; with a `probability` of less than 1 / `children` the tree is finite.
    """

    seed: int
    branching: float
    depth: int = 0
    shape: str = "fixed"
    probability: float = 0.0
    children: int = 0


class Counts(NamedTuple):
    """What a search found: how many nodes, how many of them without children, and how deep the deepest lies."""

    nodes: int
    leaves: int
    depth: int


#: the sample trees of the benchmark
TREES = {
    "T1": Tree(seed=19, branching=4, depth=10),
    "T2": Tree(seed=502, branching=6, depth=16, shape="cyclic"),
    "T3": Tree(seed=42, branching=2000, probability=0.124875, children=8),
    "T5": Tree(seed=34, branching=4, depth=20, shape="linear"),
}


def uts(policy: Policy | None, tree: str | Tree) -> Counts:
    """How many nodes an unbalanced tree has.

    Parameters
    ----------
    policy : Policy
    tree : str or Tree
        "T1", "T2", "T3" or "T5", sample trees of the benchmark of about 4.1 million nodes, or one of your own.

    Returns
    -------
    Counts
        ``(nodes, leaves, depth)``. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        There is no such tree, or its binomial part would not end.

    Notes
    -----
    The same on every executor. A digest for each node; memory for the stacks of all workers.

    Examples
    --------
    >>> import portapar as pp
    >>> pp.irregular.uts(pp.par, pp.irregular.Tree(seed=19, branching=4, depth=5))
    Counts(nodes=1279, leaves=1019, depth=5)
    """
    name = "irregular.uts"
    check_policy(policy, name)
    tree = _checked(name, tree)
    return parts.run(name, policy, (), lambda p: _count(p.alone(), tree))


def _checked(name: str, tree: Any) -> Tree:
    if isinstance(tree, str):
        if tree not in TREES:
            raise ArgumentError(f"{name}: tree is {tree!r}: must be one of {', '.join(TREES)}, or a pp.irregular.Tree")
        return TREES[tree]
    if not isinstance(tree, Tree):
        raise ArgumentError(f"{name}: tree is {of_kind(tree)}: must be a name or a pp.irregular.Tree")
    for label, most in (("seed", 2**31 - 1), ("depth", 10**6), ("children", _MOST)):
        arrays.whole_number(f"{name}: {label}", getattr(tree, label), most=most, error=ArgumentError)
    one_of(f"{name}: shape", tree.shape, _SHAPES)
    if not isinstance(tree.branching, numbers.Real) or not 0 <= tree.branching < 2**31:
        raise ArgumentError(f"{name}: branching is {tree.branching!r}: must be a number from 0 below 2**31")
    if not isinstance(tree.probability, numbers.Real) or not 0 <= tree.probability <= 1:
        raise ArgumentError(f"{name}: probability is {tree.probability!r}: must be between 0 and 1")
    if tree.probability * tree.children >= 1:
        raise ArgumentError(
            f"{name}: a node has {tree.children} children with probability {tree.probability}: such a tree does not "
            "end. Their product must be less than 1"
        )
    return tree


def _count(part: LocalPart, tree: Tree) -> Counts:
    how = part.how
    cuts, flips = map(part.asarray, _table(tree))
    digest = hashlib.sha1(bytes(16) + tree.seed.to_bytes(4, "big")).digest()
    root = np.frombuffer(digest, ">u4").astype(np.uint32)
    last = int(root[4]) & 0x7FFFFFFF
    kids = _kids(tree, 0, last) if tree.depth else math.floor(tree.branching)
    if not kids:
        return Counts(1, 1, 0)
    workers = part.width if part.wide else 8 * part.width
    room, kept = 256, part.asarray(np.array([kids, 0], np.int32).reshape(1, 2))
    states, sizes = part.asarray(root.reshape(1, 5)), np.ones(1, np.int64)
    found = part.zeros(workers * 3, np.int64).reshape(workers, 3)
    while (left := int(sizes.sum())) > 0:
        while room < 2 * (-(-left // workers) + _LANES):
            room *= 2
        ends = np.concatenate([[0], np.cumsum(sizes)])
        fresh, nodes = part.empty((workers * room, 5), np.uint32), part.empty((workers * room, 2), np.int32)
        old_room = len(states) // len(sizes)
        for_each(how, left, _deal, workers, room, old_room, part.asarray(ends), states, kept, fresh, nodes)
        states, kept = fresh, nodes
        counts = part.asarray((left + workers - 1 - np.arange(workers)) // workers)
        for_each(how._dealt(1), workers, _descend, _BUDGET, room, cuts, flips, states, kept, counts, found)
        sizes = arrays.asnumpy(counts)
    nodes_, leaves, depth = arrays.asnumpy(found).T
    return Counts(1 + int(nodes_.sum()), int(leaves.sum()), int(depth.max()))


# how many children ----------------------------------------------------------------------------------


def _kids(tree: Tree, depth: int, bits: int) -> int:
    """The children of a node, by the last 31 bits of its digest."""
    cuts, flips = _table(tree)
    return int((cuts[depth, :-1] <= (bits ^ int(flips[depth]))).sum())


@functools.lru_cache(16)
def _table(tree: Tree) -> tuple[np.ndarray, np.ndarray]:
    """For each depth: a node has j children or more if its bits, turned around by the second, are not below cut j.

    So kernels compute with whole numbers only, and the logarithms are those of the host.
    """
    rows = [_geometric(_mean(tree, depth)) for depth in range((6 if tree.shape == "cyclic" else 1) * tree.depth)]
    rows = rows[: tree.depth] if tree.children else rows
    binomial = [2**31 - math.ceil(tree.probability * 2**31)] * tree.children
    made = np.full((len(rows) + 1, 1 + max(map(len, [*rows, binomial]))), 2**31, np.int64)
    for k, row in enumerate([*rows, binomial]):
        made[k, : len(row)] = row
    flips = np.zeros(len(made), np.int64)
    flips[-1] = 2**31 - 1
    return made, flips


def _mean(tree: Tree, depth: int) -> float:
    if tree.shape == "linear":
        return tree.branching * (1 - depth / tree.depth)
    if tree.shape == "cyclic" and depth > 0:
        return tree.branching ** math.sin(2 * math.pi * depth / tree.depth) if depth <= 5 * tree.depth else 0.0
    return float(tree.branching)


@functools.lru_cache(256)
def _geometric(mean: float) -> list[int]:
    """The least numbers of 31 bits that mean 1, 2, … children, in the mean so many."""
    if mean <= 0:
        return []
    base = math.log(1 - 1 / (1 + mean))
    cuts: list[int] = []
    while len(cuts) < _MOST:
        low, high = cuts[-1] if cuts else 0, 2**31
        while low < high:
            middle = (low + high) // 2
            if math.floor(math.log(1 - middle / 2**31) / base) > len(cuts):
                high = middle
            else:
                low = middle + 1
        if low == 2**31:
            break
        cuts.append(low)
    return cuts


# kernels ------------------------------------------------------------------------------------------


def _deal(
    r: Any, workers: Any, room: Any, old_room: Any, ends: Any, states: Any, kept: Any, fresh: Any, nodes: Any
) -> None:
    """The node of rank r, of all stacks one after the other, to its new worker."""
    low, high = 0, len(ends) - 2
    while low < high:
        middle = (low + high + 1) // 2
        if ends[middle] <= r:
            low = middle
        else:
            high = middle - 1
    old, new = low * old_room + (r - ends[low]), (r % workers) * room + r // workers
    for k in range(5):
        fresh[new, k] = states[old, k]
    for k in range(2):
        nodes[new, k] = kept[old, k]


def _descend(
    w: Any, budget: Any, room: Any, cuts: Any, flips: Any, states: Any, kept: Any, counts: Any, found: Any
) -> None:
    """Count nodes below those of one stack; `kept` has the children that each still has, and its depth."""
    words, level = np.zeros(_WORDS, np.uint32), np.empty(_LANES, np.int32)
    a, b, c = np.empty(_LANES, np.uint32), np.empty(_LANES, np.uint32), np.empty(_LANES, np.uint32)
    d, e = np.empty(_LANES, np.uint32), np.empty(_LANES, np.uint32)
    top, done, leaves, deepest = w * room + counts[w], 0, 0, 0
    first, full = w * room, (w + 1) * room - _LANES
    while first < top and top <= full and done < budget:
        lanes = 0
        while lanes < _LANES and first < top:
            s = top - 1
            for k in range(5):
                words[k * _LANES + lanes] = states[s, k]
            kept[s, 0] -= 1
            words[5 * _LANES + lanes] = kept[s, 0]
            level[lanes] = kept[s, 1] + 1
            top -= kept[s, 0] == 0
            lanes += 1
        _digest(words, a, b, c, d, e)
        for t in range(lanes):
            row = min(level[t], len(flips) - 1)
            bits = np.int64(e[t] & np.uint32(0x7FFFFFFF)) ^ flips[row]
            kids = 0
            while bits >= cuts[row, kids]:
                kids += 1
            deepest = max(deepest, level[t])
            if kids > 0:
                states[top, 0], states[top, 1], states[top, 2] = a[t], b[t], c[t]
                states[top, 3], states[top, 4] = d[t], e[t]
                kept[top, 0], kept[top, 1] = kids, level[t]
                top += 1
            else:
                leaves += 1
        done += lanes
    counts[w] = top - first
    found[w, 0] += done
    found[w, 1] += leaves
    found[w, 2] = max(found[w, 2], deepest)


def _digest(w: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
    """SHA-1 of messages of six words each (FIPS 180-4), of which `w` has those of all lanes one after the other."""
    for t in range(_LANES):
        w[6 * _LANES + t], w[15 * _LANES + t] = np.uint32(0x80000000), np.uint32(192)
        a[t], b[t], c[t] = np.uint32(0x67452301), np.uint32(0xEFCDAB89), np.uint32(0x98BADCFE)
        d[t], e[t] = np.uint32(0x10325476), np.uint32(0xC3D2E1F0)
    for r in range(7 * _LANES, 15 * _LANES):
        w[r] = np.uint32(0)
    for r in range(20):
        _schedule(r, w)
        for t in range(_LANES):
            mixed = (b[t] & c[t]) | (~b[t] & d[t])
            _step(t, mixed + np.uint32(0x5A827999) + w[(r & 15) * _LANES + t], a, b, c, d, e)
    for r in range(20, 40):
        _schedule(r, w)
        for t in range(_LANES):
            _step(t, (b[t] ^ c[t] ^ d[t]) + np.uint32(0x6ED9EBA1) + w[(r & 15) * _LANES + t], a, b, c, d, e)
    for r in range(40, 60):
        _schedule(r, w)
        for t in range(_LANES):
            mixed = (b[t] & c[t]) | (b[t] & d[t]) | (c[t] & d[t])
            _step(t, mixed + np.uint32(0x8F1BBCDC) + w[(r & 15) * _LANES + t], a, b, c, d, e)
    for r in range(60, 80):
        _schedule(r, w)
        for t in range(_LANES):
            _step(t, (b[t] ^ c[t] ^ d[t]) + np.uint32(0xCA62C1D6) + w[(r & 15) * _LANES + t], a, b, c, d, e)
    for t in range(_LANES):
        a[t], b[t], c[t] = a[t] + np.uint32(0x67452301), b[t] + np.uint32(0xEFCDAB89), c[t] + np.uint32(0x98BADCFE)
        d[t], e[t] = d[t] + np.uint32(0x10325476), e[t] + np.uint32(0xC3D2E1F0)


def _schedule(r: Any, w: Any) -> None:
    """Word r of the messages, in the place of word r - 16."""
    if r >= 16:
        for t in range(_LANES):
            x = w[((r + 13) & 15) * _LANES + t] ^ w[((r + 8) & 15) * _LANES + t]
            x = x ^ w[((r + 2) & 15) * _LANES + t] ^ w[(r & 15) * _LANES + t]
            w[(r & 15) * _LANES + t] = (x << np.uint32(1)) | (x >> np.uint32(31))


def _step(t: Any, more: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
    fresh = ((a[t] << np.uint32(5)) | (a[t] >> np.uint32(27))) + e[t] + more
    e[t], d[t] = d[t], c[t]
    c[t] = (b[t] << np.uint32(30)) | (b[t] >> np.uint32(2))
    b[t], a[t] = a[t], fresh
