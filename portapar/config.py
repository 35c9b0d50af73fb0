"""Settings from the environment.

``PORTAPAR_CACHE_DIR``
    Where compiled code is kept (`portapar.cache`); default: the user's cache folder.
``PORTAPAR_CACHE_SIZE``
    How many bytes it may have, such as ``200M`` or ``2G``; default: 512M. 0: nothing is kept.
``PORTAPAR_CHECK``
    1: every index that a kernel takes is tested, as under `policy.with_(check=True)`.
``PORTAPAR_EXECUTOR``
    The default executor of the process, as `portapar.executor` spells it.
``PORTAPAR_NUM_THREADS``
    Threads of the default executor; default: the CPUs that this process may use.
"""

from __future__ import annotations

import functools
import os

from portapar.errors import PortaparError

_CACHE_SIZE = "512M"


def digest(data: bytes, size: int) -> bytes:
    """A fingerprint of `size` bytes."""
    import hashlib  # here: it loads OpenSSL, which imports of portapar need not wait for

    return hashlib.blake2b(data, digest_size=size).digest()


def cache_size() -> int:
    """Bytes that the cache folder may have: PORTAPAR_CACHE_SIZE."""
    return _bytes(os.environ.get("PORTAPAR_CACHE_SIZE") or _CACHE_SIZE)


@functools.cache
def _bytes(text: str) -> int:
    number, unit = (text[:-1], text[-1]) if text[-1] in "kKMGT" else (text, "")
    if not (number.isascii() and number.isdigit()):
        raise PortaparError(
            f"PORTAPAR_CACHE_SIZE={text!r} is not a number of bytes: write one such as 200M, 2G or 1000000, "
            "or 0 to keep nothing"
        )
    return int(number) << {"": 0, "k": 10, "K": 10, "M": 20, "G": 30, "T": 40}[unit]


@functools.cache
def check() -> bool:
    """Whether all calls are checked: PORTAPAR_CHECK."""
    text = os.environ.get("PORTAPAR_CHECK", "")
    if text not in ("", "0", "1"):
        raise PortaparError(f"PORTAPAR_CHECK={text!r}: set it to 1 to test every index, or to 0")
    return text == "1"


def default_threads() -> int:
    """Threads to use: PORTAPAR_NUM_THREADS, else the CPUs that this process may run on."""
    text = os.environ.get("PORTAPAR_NUM_THREADS")
    if text:
        if not (text.isascii() and text.isdigit() and int(text)):
            raise PortaparError(
                f"PORTAPAR_NUM_THREADS={text!r} is not a number of threads: set it to a whole number from 1, "
                f"or unset it to use the {available_cpus()} CPUs that this process may run on"
            )
        return int(text)
    return available_cpus()


def available_cpus() -> int:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
