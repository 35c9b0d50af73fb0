"""PoCL on CPUs that are newer than its compiler.

The LLVM within PoCL's wheel names such a CPU "generic", a name that Clang then refuses, so that no kernel compiles
(PoCL's issue 1049; LLVM 14 on AMD's Zen 5). No option or variable of PoCL says another name: it is written to where
PoCL keeps it, in its record of the device, beside the name of the system it compiles for.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

__all__ = ["PLATFORM", "name", "names_cpu"]

PLATFORM = "Portable Computing Language"

_UNKNOWN, _SYSTEM = b"generic\0", b"x86_64-"
_RECORD = 4096  # bytes of a device's record that are looked at; the two names are within its first thousand

#: x86-64's levels and what each needs, the highest first: names that every LLVM since 12 knows
_LEVELS = (("x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
           ("x86-64-v3", ("avx2", "bmi2", "fma", "f16c", "movbe")),
           ("x86-64-v2", ("sse4.2", "popcnt")), ("x86-64", ()))

_names: dict[int, Any] = {}  #: by the address of a device's record, the name that it points to now


def names_cpu(device: Any) -> bool:
    """Whether PoCL can compile for this device; if it has no name for an x86 CPU, it is told one first."""
    unknown = device.version.strip().endswith("-generic") and "x86_64" in device.version
    return not (device.platform.name == PLATFORM and unknown) or name(device.int_ptr)


def name(record: int) -> bool:
    """Write a name that Clang knows into the record of a device at that address; False if there is no place for it."""
    if record in _names:
        return True
    place = _place(record)
    if place is None:
        return False
    level = ctypes.create_string_buffer(_level().encode())
    ctypes.c_void_p.from_address(place).value = ctypes.addressof(level)
    _names[record] = level  # PoCL keeps the address
    return True


def _place(record: int) -> int | None:
    """The address in a record at which the address of "generic" stands, behind that of an x86 system's name."""
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY)  # reading a wrong address from here is an error, not a crash
    except OSError:
        return None
    try:
        known = _read(memory, record, _RECORD)  # less, where less is mapped
        words = memoryview(known[: len(known) // 8 * 8]).cast("Q")
        for i in range(1, len(words)):
            named = _read(memory, words[i], len(_UNKNOWN)) == _UNKNOWN
            if named and _read(memory, words[i - 1], len(_SYSTEM)) == _SYSTEM:
                return record + 8 * i
    finally:
        os.close(memory)
    return None


def _read(memory: int, address: int, size: int) -> bytes:
    try:
        return os.pread(memory, size, address)
    except (OSError, OverflowError):  # nothing is mapped there, or no address
        return b""


def _level() -> str:
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return next(name for name, needs in _LEVELS if all(features.get(need) for need in needs))
