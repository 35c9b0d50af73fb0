"""Settings from the environment, and the cache folder.

``PORTAPAR_CACHE_DIR``
    Where generated code and measurements are kept; default: the user's cache folder.
``PORTAPAR_EXECUTOR``
    The default executor of the process, as `portapar.executor` spells it.
``PORTAPAR_NUM_THREADS``
    Threads of the default executor; default: the CPUs that this process may use.
"""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST = 16


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)


@functools.cache
def _usable(folder: str) -> Path | None:
    from pathlib import Path

    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _warn_once(f"portapar cannot use its cache folder {path} ({error}): compiling in memory only")
        return None
    return path


def cache_dir() -> Path | None:
    """The cache folder, made if needed; None (after one warning) if it cannot be used."""
    folder = os.environ.get("PORTAPAR_CACHE_DIR")
    if folder is None:
        import platformdirs

        folder = platformdirs.user_cache_dir("portapar")
    return _usable(folder)


def digest(data: bytes, size: int) -> bytes:
    """A fingerprint of `size` bytes."""
    import hashlib  # here: it loads OpenSSL, which imports of portapar need not wait for

    return hashlib.blake2b(data, digest_size=size).digest()


def load(name: str) -> bytes | None:
    """What `store` kept under `name`, or None. A damaged file counts as missing."""
    folder = cache_dir()
    if folder is None:
        return None
    try:
        data = (folder / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn_once(f"portapar cannot read its cache folder {folder} ({error}): compiling in memory only")
        return None
    expected, payload = data[:_DIGEST], data[_DIGEST:]
    if digest(payload, _DIGEST) != expected:
        _warn_once(f"portapar found damaged files in its cache folder {folder}: compiling anew")
        return None
    return payload


def store(name: str, payload: bytes) -> None:
    """Keep `payload` under `name`; readers see the old file or the new one, never a part.

    A folder that is full or read-only is warned about once and otherwise ignored: the cache is an
    optimisation.
    """
    folder = cache_dir()
    if folder is None:
        return
    import tempfile

    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            temporary = file.name
            file.write(digest(payload, _DIGEST) + payload)
        os.replace(temporary, folder / name)
    except OSError as error:
        _warn_once(f"portapar cannot write to its cache folder {folder} ({error}): compiling in memory only")
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def default_threads() -> int:
    """Threads to use: PORTAPAR_NUM_THREADS, else the CPUs that this process may run on."""
    text = os.environ.get("PORTAPAR_NUM_THREADS")
    if text is not None:
        if not text.isdigit() or int(text) < 1:
            raise ValueError(f"PORTAPAR_NUM_THREADS={text!r}: must be a whole number from 1")
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
