"""Vector math on CPUs: exp, sin, pow and their kin of whole vectors, by glibc's libmvec.

LLVM vectorizes a loop only if what it calls exists for vectors. So the math library's functions are replaced by
functions of our own, written here as LLVM text: one takes a number, others short vectors of them, and all call
libmvec's function for the widest vectors of the machine. An attribute tells the vectorizer about them. Since
one code computes all elements, in the vectorized loop as in what is left over, a result depends neither on
where its element lies nor on the number of threads. Where no loop could be vectorized, the scalar function
comes back, which is the faster one for single numbers.

libmvec is off by at most 4 units in the last place. It exists on x86-64 with glibc (from 2.22: exp, log, pow,
sin, cos; from 2.35: the rest). Elsewhere nothing is replaced.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import re
from collections.abc import Iterable
from typing import Any

LIBRARY = "libmvec.so.1"
_ONE = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cos", "cosh", "erf", "erfc", "exp", "exp10", "exp2",
    "expm1", "log", "log10", "log1p", "log2", "sin", "sinh", "tan", "tanh",
)  # fmt: skip
_TWO = ("atan2", "hypot", "pow")
_PURE = "nounwind willreturn nofree nosync memory(none)"

Key = tuple[str, int]  #: a function's name, and the bits of its numbers

_NAMES = "|".join(_ONE + _TWO)
_SCALAR = re.compile(rf"@(?:llvm\.({_NAMES})\.f(32|64)|({_NAMES})(f?))\(")
_DEFINITION = re.compile(r"^define [^\n]*@(portapar_\w+)\(.*?^}\n", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"\bcall [^\n@]*@([\w.]+)\(")
_BEGIN = re.compile(r"^(define [^\n]*?)( !dbg !\d+)? \{$", re.MULTILINE)
_KEPT = re.compile(r"^@llvm\.compiler\.used = .*\n", re.MULTILINE)


@functools.cache
def library() -> ctypes.CDLL | None:
    """libmvec, loaded so that compiled code finds its functions; None where there is none."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return None
    try:
        return ctypes.CDLL(LIBRARY, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None


@functools.cache
def vectors(features: str) -> dict[Key, str]:
    """libmvec's functions for the widest vectors of a CPU with these features (as LLVM lists them), by name.

    Object code depends on them, and needs libmvec loaded: this does it.
    """
    found, have = library(), features.split(",")
    if found is None:
        return {}
    letter, width = "b", 128
    if "+avx512f" in have:
        letter, width = "e", 512
    elif "+avx2" in have:
        letter, width = "d", 256
    names = {
        (name, bits): f"_ZGV{letter}N{width // bits}{'v' * _arity(name)}_{_plain((name, bits))}"
        for name in _ONE + _TWO
        for bits in (32, 64)
    }
    return {key: name for key, name in names.items() if hasattr(found, name)}


def scalar(module: Any) -> dict[str, Key]:
    """The scalar functions that a module calls, by their names in its text."""
    found = {}
    for function in module.functions:
        match = _SCALAR.fullmatch(f"@{function.name}(") if function.is_declaration else None
        if match:
            found[match[0]] = (match[1], int(match[2])) if match[1] else (match[3], 32 if match[4] else 64)
    return found


def replaced(module: Any, features: str) -> Any:
    """The LLVM module with our functions in place of scalar ones, before it is optimised."""
    known = vectors(features)
    keys = {name: key for name, key in scalar(module).items() if key in known}
    if not keys:
        return module
    there = {function.name for function in module.functions}
    missing = [key for key in sorted(set(keys.values())) if _ours(key) not in there]
    lines = [
        _SCALAR.sub(lambda match: f"@{_ours(keys[match[0]])}(" if match[0] in keys else match[0], line)
        for line in str(module).splitlines()
        if not (line.startswith("declare ") and (match := _SCALAR.search(line)) and match[0] in keys)
    ]
    lines += [f"declare {_head(key, _ours(key), _number(key))}" for key in missing]
    text = _BEGIN.sub(r'\1 "prefer-vector-width"="512"\2 {', "\n".join(lines))  # or LLVM takes half of them
    return _parsed(text, module.name, [_definitions(key, known[key]) for key in missing])


def settled(module: Any, features: str) -> Any:
    """The optimised module with our functions that it uses; scalar ones are back where it uses no vectors."""
    there = {function.name for function in module.functions}
    keys = [key for key in vectors(features) if _ours(key) in there]
    if not keys:
        return module
    text = _KEPT.sub("", str(module))
    used = set(_CALL.findall(own_text(text)))
    single = [key for key in keys if not used & {vectors(features)[key], *(_ours(key, lanes) for lanes in (2, 4, 8))}]
    used -= {_ours(key) for key in single}
    text = _DEFINITION.sub(lambda m: m[0].replace("linkonce_odr", "internal", 1) if m[1] in used else "", text)
    for key in single:
        text = re.sub(rf"@{_ours(key)}\(", f"@{_plain(key)}(", text)
        text += f"declare {_head(key, _plain(key), _number(key))}\n"
    return _parsed(text, module.name)


def own_text(text: str) -> str:
    """The text of a module without the functions that are defined here."""
    return _DEFINITION.sub("", text)


def one_by_one(text: str) -> list[str]:
    """The functions that vectorized loops in the text of an optimised module call for each number."""
    return sorted(set(re.findall(rf"call [^\n@]*@llvm\.({_NAMES})\.v\d+f", text)))


def _parsed(text: str, name: str, more: Iterable[str] = ()) -> Any:
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text)
    module.name = name
    for part in more:
        module.link_in(llvm.parse_assembly(part))
    return module


def _arity(name: str) -> int:
    return 2 if name in _TWO else 1


def _number(key: Key) -> str:
    return "float" if key[1] == 32 else "double"


def _plain(key: Key) -> str:
    return key[0] + ("f" if key[1] == 32 else "")


def _ours(key: Key, lanes: int = 1) -> str:
    return f"portapar_{key[0]}_{lanes}f{key[1]}"


def _head(key: Key, name: str, kind: str) -> str:
    """A function's type and name, for numbers or vectors of this kind."""
    parameters = ", ".join(f"{kind} %x{k}" for k in range(_arity(key[0])))
    return f"{kind} @{name}({parameters})"


@functools.cache
def _definitions(key: Key, vector: str) -> str:
    """LLVM text of our functions of 1, 2, 4, … numbers, by way of libmvec's for `full` numbers."""
    lanes = re.search(r"N(\d+)v", vector)
    assert lanes is not None
    full, number, count = int(lanes[1]), _number(key), _arity(key[0])
    wide = f"<{full} x {number}>"
    spare = f"{number} {1.5 if key[0] == 'acosh' else 0.5}"  # in unused lanes: no function is slow there
    widths = [1 << k for k in range(full.bit_length() - 1)]
    variants = [(width, _ours(key, width)) for width in widths[1:]] + [(full, vector)]
    note = ",".join(f"_ZGV_LLVM_N{width}{'v' * count}_{_ours(key)}({name})" for width, name in variants)
    text = [f"declare {_head(key, vector, wide)} {_PURE}"]
    for width in widths:
        kind = number if width == 1 else f"<{width} x {number}>"
        about = f' "vector-function-abi-variant"="{note}"' if width == 1 else ""
        text.append(f"define linkonce_odr {_head(key, _ours(key, width), kind)} noinline {_PURE}{about} {{")
        for k in range(count):
            if width == 1:
                text.append(f"  %v{k} = insertelement {wide} <{', '.join([spare] * full)}>, {kind} %x{k}, i64 0")
            else:
                picked = ", ".join(f"i32 {min(lane, width)}" for lane in range(full))
                spares = f"<{', '.join([spare] * width)}>"
                text.append(f"  %v{k} = shufflevector {kind} %x{k}, {kind} {spares}, <{full} x i32> <{picked}>")
        text.append(f"  %r = call {wide} @{vector}({', '.join(f'{wide} %v{k}' for k in range(count))})")
        if width == 1:
            text.append(f"  %s = extractelement {wide} %r, i64 0")
        else:
            picked = ", ".join(f"i32 {lane}" for lane in range(width))
            text.append(f"  %s = shufflevector {wide} %r, {wide} poison, <{width} x i32> <{picked}>")
        text += [f"  ret {kind} %s", "}"]
    names = [vector, *(_ours(key, width) for width in widths)]
    kept = f"[{len(names)} x ptr] [{', '.join(f'ptr @{name}' for name in names)}]"  # until loops are vectorized
    return "\n".join([*text, f'@llvm.compiler.used = appending global {kept}, section "llvm.metadata"'])


def verdict(llvm: str) -> str:
    """Whether the loops of an optimised module were vectorized, and what makes them slow all the same."""
    own = own_text(llvm)
    widths = [int(n) for n in re.findall(r"<(\d+) x (?:double|float|i\d+)>", own)]
    loops = len(re.findall(r"^vector\.body", own, re.MULTILINE))
    if not loops or not widths:
        return "no"
    scalar = one_by_one(own)
    moves = [f"{n} {kind}s" for kind in ("gather", "scatter") if (n := own.count(f"@llvm.masked.{kind}.") // 2)]
    but = [f"{', '.join(scalar)} one at a time"] * bool(scalar) + [f"with {' and '.join(moves)}"] * bool(moves)
    return f"yes: {loops} loop(s), up to {max(widths)} elements at a time{', but ' * bool(but)}{' and '.join(but)}"
