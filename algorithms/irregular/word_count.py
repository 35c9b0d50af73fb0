"""word_count: the words of a text, and how often each stands there.

Words get keys of 64 bits, equal keys are brought together by a sort, and words of one key are compared letter by
letter: if two differ, which has never been seen, all get other keys. The keys are those of G. Fowler, L. C. Noll,
K.-P. Vo (FNV-1a). The problem is one of J. Shun et al., "Brief announcement: the problem based benchmark suite",
SPAA 2012.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import lazy
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.irregular.points import on_text
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.sort import argsort, sort_by_key
from portapar.algorithms.transform import iota
from portapar.part import LocalPart
from portapar.policy import Policy


def word_count(policy: Policy | None, text: Any) -> tuple[Any, Any, Any]:
    """The words of a text, longest runs of the letters a to z of either case, and how often each stands there.

    Parameters
    ----------
    policy : Policy
    text : bytes, or array of uint8, (n,)

    Returns
    -------
    starts : array of int32
        Where each word stands first, in this order; upper and lower case are one.
    lengths, counts : array of int32
        Its letters, and how often it stands in the text. With ``policy.task`` a Future of all three.

    Raises
    ------
    ArgumentError
        The text is no bytes.

    Notes
    -----
    Exact, and the same on every executor. O(n) work, and two sorts of keys of the words.

    Examples
    --------
    >>> import portapar as pp
    >>> text = b"The cat and the dog; the END"
    >>> starts, lengths, counts = pp.irregular.word_count(pp.par, text)
    >>> {text[a : a + n].decode(): int(c) for a, n, c in zip(starts, lengths, counts)}
    {'The': 3, 'cat': 1, 'and': 1, 'dog': 1, 'END': 1}
    """
    return on_text("irregular.word_count", policy, text, _words)


def _words(part: LocalPart, text: Any) -> tuple[Any, Any, Any]:
    how = part.how
    begin = copy_if(how, lazy.iota(len(text)), _begins(text))
    m = len(begin)
    keys, sizes, seed = part.empty(m, np.uint64), part.empty(m, np.int32), 0
    while True:
        for_each(how._dealt(1024), m, _key, np.uint64(14695981039346656037 + seed), text, begin, keys, sizes)
        found, order = sort_by_key(how, keys, iota(how, part.empty(m, np.int32)))
        strange = _strange(text, begin, sizes, found, order)
        if m < 2 or not int(transform_reduce(how, lazy.iota(m), transform=strange)):
            break
        seed += 2
    heads = copy_if(how, lazy.iota(m), _heads(found))
    words = len(heads)
    starts, lengths, counts = (part.empty(words, np.int32) for _ in range(3))
    for_each(how, words, _gather, m, heads, order, begin, sizes, starts, lengths, counts)
    turn = argsort(how, starts)
    placed = tuple(part.empty(words, np.int32) for _ in range(3))
    for_each(how, words, _place, turn, starts, lengths, counts, *placed)
    return placed


# kernels ------------------------------------------------------------------------------------------


def _letter(c: Any) -> Any:
    """A letter in lower case, 0 of what is none."""
    low = c | np.uint8(32)
    return low if low >= 97 and low <= 122 else np.uint8(0)


def _begins(text: Any) -> Any:
    def begins(i: Any) -> Any:
        return _letter(text[i]) != 0 and (i == 0 or _letter(text[max(i - 1, 0)]) == 0)

    return begins


def _heads(keys: Any) -> Any:
    def first(k: Any) -> Any:
        return k == 0 or keys[k] != keys[max(k - 1, 0)]

    return first


def _strange(text: Any, begin: Any, sizes: Any, keys: Any, order: Any) -> Any:
    def strange(k: Any) -> Any:
        """Whether a word has the key of the one before, and is another."""
        b = max(k - 1, 0)
        if k == 0 or keys[k] != keys[b]:
            return 0
        one, other = np.uint64(order[k]), np.uint64(order[b])
        if sizes[one] != sizes[other]:
            return 1
        differ = 0
        for t in range(sizes[one]):
            differ += _letter(text[np.uint64(begin[one] + t)]) != _letter(text[np.uint64(begin[other] + t)])
        return 1 if differ > 0 else 0

    return strange


def _key(k: Any, seed: Any, text: Any, begin: Any, keys: Any, sizes: Any) -> None:
    key, at = seed, begin[k]
    while at < len(text) and _letter(text[np.uint64(at)]) != 0:
        key = (key ^ np.uint64(_letter(text[np.uint64(at)]))) * np.uint64(1099511628211)
        at += 1
    keys[k], sizes[k] = key, at - begin[k]


def _gather(
    w: Any, m: Any, heads: Any, order: Any, begin: Any, sizes: Any, starts: Any, lengths: Any, counts: Any
) -> None:
    """Of the words of one key the first, since equal keys keep their order."""
    first = np.uint64(order[np.uint64(heads[w])])
    starts[w], lengths[w] = begin[first], sizes[first]
    counts[w] = (heads[w + 1] if w + 1 < len(heads) else m) - heads[w]


def _place(w: Any, turn: Any, starts: Any, lengths: Any, counts: Any, a: Any, b: Any, c: Any) -> None:
    v = np.uint64(turn[w])
    a[w], b[w], c[w] = starts[v], lengths[v], counts[v]
