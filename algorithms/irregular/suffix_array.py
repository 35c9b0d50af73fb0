"""suffix_array: the suffixes of a text in order.

Suffixes are put in order by their first seven letters, which fit a key, then by twice as many in every round: the rank
of the suffix itself and that of the one behind those letters are the next key. U. Manber, G. Myers, "Suffix arrays: a
new method for on-line string searches", 1990; N. J. Larsson, K. Sadakane, "Faster suffix sorting", 1999.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays
from portapar.algorithms.for_each import for_each
from portapar.algorithms.irregular.points import on_text
from portapar.algorithms.scan import inclusive_scan
from portapar.algorithms.sort import sort_by_key
from portapar.algorithms.transform import iota
from portapar.part import LocalPart
from portapar.policy import Policy

_FIRST: Final = 7  #: letters of nine bits in the first key


def suffix_array(policy: Policy | None, text: Any) -> Any:
    """Where the suffixes of a text begin, in alphabetical order.

    Parameters
    ----------
    policy : Policy
    text : bytes, or array of uint8, (n,)

    Returns
    -------
    array of int32, (n,)
        A suffix that another one begins with comes before it. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The text is no bytes.

    Notes
    -----
    The same on every executor. A sort of n keys in each of ``log2(r / 7)`` rounds, with r letters that two suffixes
    have in common at most.

    Examples
    --------
    >>> import portapar as pp
    >>> pp.irregular.suffix_array(pp.par, b"banana")
    array([5, 3, 1, 0, 4, 2], dtype=int32)
    """
    return on_text("irregular.suffix_array", policy, text, _suffixes)


def _suffixes(part: LocalPart, text: Any) -> Any:
    how, n, length = part.how, len(text), _FIRST
    keys, rank, fresh = part.empty(n, np.uint64), part.empty(n, np.int32), part.empty(n, np.int32)
    for_each(how, n, _letters, text, keys)
    while True:
        found, order = sort_by_key(how, keys, iota(how, part.empty(n, np.int32)))
        for_each(how, n, _differs, found, fresh)
        ranks = inclusive_scan(how, fresh)
        if n == 0 or int(arrays.asnumpy(ranks[n - 1 :])[0]) == n:
            return order
        for_each(how, n, _place, order, ranks, rank)
        for_each(how, n, _pair, length, rank, keys)
        length *= 2


# kernels ------------------------------------------------------------------------------------------


def _letters(i: Any, text: Any, keys: Any) -> None:
    """The first letters, each one more than it is; 0 behind the end."""
    key = np.uint64(0)
    for k in range(_FIRST):
        at = min(i + k, len(text) - 1)
        key = (key << np.uint64(9)) | (np.uint64(text[at]) + np.uint64(1) if i + k < len(text) else np.uint64(0))
    keys[i] = key


def _differs(k: Any, keys: Any, fresh: Any) -> None:
    fresh[k] = 1 if k == 0 or keys[k] != keys[max(k - 1, 0)] else 0


def _place(k: Any, order: Any, ranks: Any, rank: Any) -> None:
    rank[np.uint64(order[k])] = ranks[k]


def _pair(i: Any, length: Any, rank: Any, keys: Any) -> None:
    behind = np.uint64(rank[min(i + length, len(rank) - 1)]) if i + length < len(rank) else np.uint64(0)
    keys[i] = (np.uint64(rank[i]) << np.uint64(32)) | behind
