"""Values of several numbers: a tuple where kernels compute, a record where arrays keep it.

An algorithm that keeps values of a kind that it does not know (partial results, carries) uses the two
functions of a `Codec`; then it works for numbers and for tuples alike::

    def carry(_, sums):
        for k in range(1, len(sums)):
            store(k, sums, op(load(k - 1, sums), load(k, sums)))

where ``load, store = codec(dtype).load, codec(dtype).store`` are captured as `op` is, and `sums` is an array
of that dtype, such as ``part.empty(n, dtype)``. Of plain numbers they read and assign an element, which
costs nothing; of records with fields f0, f1, … they make a tuple and take one.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from portapar.kernel.front.sources import function

__all__ = ["Codec", "Kind", "as_scalars", "codec", "from_text", "to_text", "tuple_dtype"]

#: what a kernel returns: numbers or records of a dtype, or tuples of numbers of those dtypes
Kind: TypeAlias = np.dtype | tuple[np.dtype, ...]


@dataclass(frozen=True)
class Codec:
    """The kernel functions between a value and the element that keeps it.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the elements.
    load : callable
        ``load(i, a)`` is the value that ``a[i]`` keeps.
    store : callable
        ``store(i, a, value)`` keeps it there.
    unpack : callable
        ``unpack(element)`` is the value of an element.
    """

    dtype: np.dtype
    load: Callable[[Any, Any], Any]
    store: Callable[[Any, Any, Any], None]
    unpack: Callable[[Any], Any]


@functools.cache
def codec(dtype: Any) -> Codec:
    """The codec of a dtype: numbers, or records whose fields are numbers.

    Raises
    ------
    TypeError
        If a field is a record or a sub-array: it has no place in a tuple of numbers.
    """
    dtype = np.dtype(dtype)
    if dtype.names is None:
        texts = "lambda i, a: a[i]", "def store(i, a, value): a[i] = value", "lambda x: x"
    else:
        for name in dtype.names:
            if dtype[name].names is not None or dtype[name].subdtype is not None:
                raise TypeError(f"field {name!r} is no number but {dtype[name]}")
        fields = [repr(str(name)) for name in dtype.names]
        texts = (
            f"lambda i, a: ({''.join(f'a[i][{name}], ' for name in fields)})",
            "def store(i, a, value): " + "; ".join(f"a[i][{name}] = value[{k}]" for k, name in enumerate(fields)),
            f"lambda x: ({''.join(f'x[{name}], ' for name in fields)})",
        )
    return Codec(dtype, *map(function, texts))


def tuple_dtype(parts: Sequence[Any]) -> np.dtype:
    """The dtype of records that keep a tuple: fields f0, f1, … of those dtypes."""
    return np.dtype([(f"f{k}", part) for k, part in enumerate(parts)], align=True)


def as_scalars(element: Any) -> Any:
    """An element of an array as the user gets it: a NumPy scalar, or a tuple of them."""
    return element if element.dtype.names is None else tuple(element[name] for name in element.dtype.names)


def to_text(kind: Kind) -> str:
    """What kernels return, as text."""
    return f"({''.join(f'{part.str!r}, ' for part in kind)})" if isinstance(kind, tuple) else repr(_described(kind))


@functools.cache
def from_text(text: str) -> Kind:
    """The kind that `to_text` wrote down."""
    found = ast.literal_eval(text)
    return tuple(map(np.dtype, found)) if isinstance(found, tuple) else _made(found)


def _described(dtype: np.dtype) -> Any:
    if dtype.subdtype is not None:
        return [_described(dtype.base), dtype.shape]
    if dtype.names is None:
        return dtype.str
    fields = [(name, _described(dtype[name]), dtype.fields[name][1]) for name in dtype.names]  # type: ignore[index]
    return {"fields": fields, "itemsize": dtype.itemsize, "align": dtype.isalignedstruct}


def _made(text: Any) -> np.dtype:
    if isinstance(text, list):
        return np.dtype((_made(text[0]), text[1]))
    if isinstance(text, str):
        return np.dtype(text)
    names, formats, offsets = zip(*text["fields"], strict=True)
    parts: Any = {"names": names, "formats": [*map(_made, formats)], "offsets": offsets, "itemsize": text["itemsize"]}
    return np.dtype(parts, align=text["align"])
