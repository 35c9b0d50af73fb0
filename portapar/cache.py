"""The cache folder: code that was compiled, kept for later processes.

What lies there is run, so only what this user wrote is loaded: the folder and every file belong to the user, nobody
else may write there, and links are not followed. A file holds a digest of its content, and appears by an atomic rename:
processes at work on one folder see the old file or the new one, never a part. The folder is an optimisation: when it is
full, damaged or out of reach that is said once, and code is compiled anew.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from portapar import config
from portapar.errors import PortaparWarning

T = TypeVar("T")

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST = 16
_SUFFIX = ".portapar"  #: of every file of ours: what is named otherwise is somebody else's, and left alone
_DRIVERS = {"pocl": "*/*", "opencl": "*"}  #: folders in which OpenCL keeps what it compiles, and where its entries are
_NEW = ".new-"  #: begins the names of what is being written or removed
_USES, _TOLD = f".uses{_SUFFIX}", f".drivers{_SUFFIX}"  #: hits and misses; bytes of the drivers' folders
_LOCKS, _PATIENCE = f".locks{_SUFFIX}", 60.0  #: a file of which bytes are locked; seconds to wait for one
_HOUR = 3600.0  #: seconds after which nobody writes to a new file any more, and drivers' folders are measured again


class Bounded(dict[Any, Any]):
    """What is kept in memory: a dict that lets go the older half of its entries when it has `limit` of them.

    Until that happens again these are forgotten but can be `recalled`, so that what is used stays.
    """

    def __init__(self, limit: int = 4096) -> None:
        self.limit = limit
        self._gone: dict[Any, Any] = {}

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self) >= self.limit and key not in self:
            self._gone = {old: self.pop(old, None) for old in list(self)[: self.limit // 2]}
        super().__setitem__(key, value)

    def recalled(self, key: Any) -> Any:
        """The value of an entry that went, which is among the new ones again; None if there is none."""
        found = self._gone.pop(key, None) if self._gone else None
        if found is not None:
            self[key] = found
        return found

    def clear(self) -> None:
        self._gone = {}
        super().clear()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        found = self.get(key, self)
        if found is self:
            self[key] = found = default
        return found


class Usage(NamedTuple):
    """What the cache folder holds. `hits` and `misses` are those of processes that have ended, and of this one."""

    folder: Path
    files: int
    size: int
    limit: int
    hits: int
    misses: int


def folder() -> Path | None:
    """The cache folder, made if needed; None (after one warning) if there is none that can be used."""
    if config.cache_size() == 0:
        return None
    return _usable(os.environ.get("PORTAPAR_CACHE_DIR") or _default())


def load(name: str, counts: bool = True) -> bytes | None:
    """What `store` kept under `name`, or None. A damaged file counts as missing.

    `counts`: as a hit or a miss of compiled code.
    """
    place = folder()
    if place is None:
        return None
    payload = _read(place, name)
    if counts:
        _count(place)[payload is None] += 1
    return payload


def load_json(name: str, read: Callable[[Any], T], told: str | None) -> T | None:
    """What `read` makes of the JSON kept under `name`; None if there is none, or if it does not take it.

    The latter is told by a warning, with the folder and the error in the places of `told`, if that is not None.
    """
    payload = load(name, counts=False)
    if payload is None:
        return None
    try:
        return read(json.loads(payload))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        if told is not None:
            warnings.warn(told.format(folder(), error), PortaparWarning, stacklevel=2)
        return None


def loads() -> int:
    """How often this process asked for compiled code, whether it was there or not."""
    return sum(map(sum, _uses.values()))


def store(name: str, payload: bytes) -> None:
    """Keep `payload` under `name`, and remove what was longest unused where there is no room."""
    place = folder()
    if place is None:
        return
    import tempfile

    data = config.digest(payload, _DIGEST) + payload
    temporary = None
    try:
        if not _make_room(place, len(data)):
            return
        with tempfile.NamedTemporaryFile(dir=place, prefix=_NEW, suffix=_SUFFIX, delete=False) as file:
            temporary = file.name
            file.write(data)
        os.replace(temporary, place / (name + _SUFFIX))
    except OSError as error:
        _warn_once(f"portapar cannot write to its cache folder {place} ({_why(error)}): compiling in memory only")
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """No other process is here with this name: what one compiles, the others, such as ranks, wait for and load.

    Where none can be kept out, or one stays too long, nobody waits. Such a lock is a process's own, and ends with the
    first of its threads that leaves: it saves work, and nothing may rest on it.
    """
    place = folder()
    if place is None:
        yield
        return
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # a folder that is read-only, or a file system without locks
            file = held.enter_context(open(place / _LOCKS, "a", opener=_open_own))
            _lock(file, int(config.digest(name.encode(), 6).hex(), 16))
        yield


def _lock(file: Any, place: int) -> None:
    """Lock a byte of a file until it is closed. A process that ends, however it does, lets go."""
    import fcntl
    import time

    end, pause = time.monotonic() + _PATIENCE, 0.005
    while time.monotonic() < end:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            return
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):  # no locks are to be had here
                raise
            time.sleep(pause)
            pause = min(2 * pause, 0.2)  # thousands of ranks may ask one server


def usage() -> Usage | None:
    """What the cache folder holds; None if there is none."""
    place = folder()
    if place is None:
        return None
    found = [size for _, size, _ in [*_files(place), *_drivers(place)]]
    hits, misses = (a + b for a, b in zip(_kept_uses(place), _count(place), strict=True))
    return Usage(place, len(found), sum(found), config.cache_size(), hits, misses)


def clear() -> None:
    """Remove every file of the cache folder; processes that are at work compile anew."""
    place = folder()
    if place is None:
        return
    for _, _, path in [*_files(place, everything=True), *_drivers(place)]:
        _remove(place, path)
    _count(place)[:] = [0, 0]
    _sizes.pop(place, None)


# where it is ---------------------------------------------------------------------------------------------


@functools.cache
def _default() -> str:
    import platformdirs

    return platformdirs.user_cache_dir("portapar")


@functools.cache
def _usable(wanted: str) -> Path | None:
    """The folder that is used where `wanted` was asked for."""
    import tempfile
    from pathlib import Path

    first, trouble = Path(wanted).expanduser().absolute(), ""
    for path in (first, Path(_default()), Path(tempfile.gettempdir()) / f"portapar-{os.geteuid()}"):
        try:
            distrust = _secure(path)
        except OSError as error:
            _warn_once(f"portapar cannot use its cache folder {path} ({_why(error)}): compiling in memory only")
            return None
        if distrust is None:
            if path != first:
                _warn_once(f"portapar does not load code from {first}: {trouble}. It uses {path} instead")
            return path
        trouble = trouble or distrust
    _warn_once(f"portapar does not load code from {first}: {trouble}. Compiling in memory only")
    return None


def _secure(path: Path) -> str | None:
    """Make the folder if needed, for this user alone; returns why what lies there is not to be trusted, or None."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for status in (os.lstat(path), os.stat(path)):  # a link too
        if status.st_uid != os.geteuid():
            return f"it belongs to {_user(status.st_uid)}"
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        with os.scandir(path) as found:
            ours = all(_is_ours(entry) for entry in found)
        if ours and not mode & stat.S_ISVTX:
            os.chmod(path, 0o700)
        elif mode & 0o022:
            return "other users may write there"
    return None


def _is_ours(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    if entry.name in _DRIVERS and status.st_mode & 0o022:
        return False
    return status.st_uid == os.geteuid() and (entry.name in _DRIVERS or entry.name.endswith(_SUFFIX))


def _user(number: int) -> str:
    import pwd

    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user with the number {number}"


# files ---------------------------------------------------------------------------------------------------


def _read(place: Path, name: str) -> bytes | None:
    """The content of a file, which from now on was used last."""
    path = str(place / (name + _SUFFIX))
    try:
        with open(path, "rb", opener=_open_own) as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                raise PermissionError(f"{path} belongs to another user")
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn_once(f"portapar cannot read its cache folder {place} ({_why(error)}): compiling in memory only")
        return None
    if config.digest(data[_DIGEST:], _DIGEST) != data[:_DIGEST]:
        _warn_once(f"portapar found damaged files in its cache folder {place}: compiling anew")
        return None
    with contextlib.suppress(OSError):  # a folder that is read-only, or a file that another process just removed
        os.utime(path)
    return data[_DIGEST:]


def _open_own(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


_Entry = tuple[float, int, str]  #: when it was used, bytes, path


def _files(place: Path, everything: bool = False) -> Iterator[_Entry]:
    """Every file of ours, or `everything` that we write."""
    with os.scandir(place) as found:
        for entry in found:
            if entry.name.endswith(_SUFFIX) and (everything or not entry.name.startswith(".")):
                with contextlib.suppress(FileNotFoundError):  # here and below: another process was faster
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, entry.path


def _drivers(place: Path) -> Iterator[_Entry]:
    """Everything that OpenCL keeps: files, and folders which PoCL marks at every use."""
    for name, pattern in _DRIVERS.items():
        for path in (place / name).glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                files = [path, *path.rglob("*")] if path.is_dir() else [path]
                found = [file.lstat() for file in files]
                yield max(f.st_mtime for f in found), sum(f.st_size for f in found), str(path)


def _remove(place: Path, path: str) -> None:
    """A folder disappears at once: nobody finds a part of it."""
    with contextlib.suppress(FileNotFoundError):
        if not os.path.isdir(path) or os.path.islink(path):
            os.unlink(path)
            return
        import shutil
        import tempfile

        gone = tempfile.mkdtemp(dir=place, prefix=_NEW, suffix=_SUFFIX)
        try:
            os.rename(path, os.path.join(gone, "folder"))
        finally:
            shutil.rmtree(gone, ignore_errors=True)


_sizes: dict[Path, tuple[int, int]] = {}  #: folder → (bytes when this process last looked, bytes it wrote since then)


def _make_room(place: Path, size: int) -> bool:
    """Whether `size` bytes more may be kept. Other processes write too: now and then this one looks."""
    limit = config.cache_size()
    known, own = _sizes.get(place, (limit, limit))
    if known + own + size > limit or own > limit // 16:
        known, own = _prune(place, limit, size), 0
    fits = known + own + size <= limit
    _sizes[place] = (known, own + size if fits else own)
    return fits


def _prune(place: Path, limit: int, size: int) -> int:
    """Where `size` bytes more exceed the limit, remove what was longest unused down to three quarters of it.

    Returns the bytes that are left.
    """
    import time

    for used, _, path in _files(place, everything=True):
        if os.path.basename(path).startswith(_NEW) and time.time() - used > _HOUR:  # its writer was ended
            _remove(place, path)
    total = sum(bytes_ for _, bytes_, _ in _files(place)) + _driver_bytes(place)
    if total + size > limit:
        found = sorted([*_files(place), *_drivers(place)])
        total = sum(bytes_ for _, bytes_, _ in found)
        for _, bytes_, path in found:
            if total + size <= limit * 3 // 4:
                break
            _remove(place, path)
            total -= bytes_
        _remove(place, str(place / _TOLD))
    return total


def _driver_bytes(place: Path) -> int:
    """Bytes that OpenCL keeps: measured once in an hour, since its folders are many."""
    import time

    file = place / _TOLD
    with contextlib.suppress(FileNotFoundError, ValueError):
        if time.time() - file.stat().st_mtime < _HOUR:
            return int(file.read_text())
    total = sum(bytes_ for _, bytes_, _ in _drivers(place))
    if total:
        with open(file, "w", opener=_open_own) as out:
            out.write(str(total))
    return total


# hits and misses -----------------------------------------------------------------------------------------

_uses: dict[Path, list[int]] = {}  #: folder → [hits, misses] of this process
os.register_at_fork(after_in_child=_uses.clear)


def _count(place: Path) -> list[int]:
    if not _uses:
        import atexit

        atexit.unregister(_keep_uses)
        atexit.register(_keep_uses)
    return _uses.setdefault(place, [0, 0])


def _keep_uses() -> None:
    """Add what this process counted to what the folder knows: a line, which processes append without waiting."""
    for place, (hits, misses) in _uses.items():
        with contextlib.suppress(OSError):  # of no importance
            if hits or misses:
                path = str(place / _USES)
                with open(path, "a", opener=_open_own) as file:
                    file.write(f"{hits} {misses}\n")
                    long = file.tell() > 1 << 16
                if long:
                    total = _kept_uses(place)
                    with open(f"{path}{os.getpid()}{_SUFFIX}", "w", opener=_open_own) as file:
                        file.write("{} {}\n".format(*total))
                    os.replace(file.name, path)


def _kept_uses(place: Path) -> tuple[int, int]:
    try:
        with open(place / _USES, opener=_open_own) as file:
            pairs = [line.split() for line in file]
    except OSError:
        return 0, 0
    known = [(int(pair[0]), int(pair[1])) for pair in pairs if len(pair) == 2 and "".join(pair).isdigit()]
    return sum(hits for hits, _ in known), sum(misses for _, misses in known)


def _why(error: OSError) -> str:
    """Without the name of the file, which may be another one each time."""
    return error.strerror or str(error)


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)
