"""The CPU renderer: from a program to a native chunk function, by way of Numba.

A chunk runs the program over the flat indices [lo, hi) of its index space; the threads and SIMD
backends call it with the ranges that are theirs.
"""

from __future__ import annotations

import ast
import copy
import ctypes
import functools
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from portapar import cache
from portapar.errors import PlacementError
from portapar.kernel.cpu import registers
from portapar.kernel.cpu.choices import chosen, updated_always
from portapar.kernel.cpu.listed import Listed, listed
from portapar.kernel.cpu.loops import STREAM_LINES, does_ends
from portapar.kernel.cpu.quotients import Quotients, quotients
from portapar.kernel.cpu.residues import Residue, residue
from portapar.kernel.cpu.rounds import few_rounds
from portapar.kernel.cpu.texts import chunk_text, keep_text, value_functions, width_of
from portapar.kernel.front.bounds import Bounded, bounded
from portapar.kernel.front.sources import tree_of
from portapar.kernel.jit import vecmath
from portapar.kernel.jit.functions import function_texts, functions, namespace
from portapar.kernel.jit.native import callee, lower, native
from portapar.kernel.lanes.functions import inner_bodies, inner_functions, kept_apart, strip_bodies, strip_function
from portapar.kernel.lanes.kinds import lanes_of
from portapar.kernel.lanes.straight import straight
from portapar.kernel.lanes.together import runs_together
from portapar.kernel.program import Program, Spec
from portapar.kernel.tiles import BLOCK, LANES


def block_specs(program: Program) -> tuple[Spec, ...]:
    """The arguments of a chunk: the program's, and for a reduction the array of its partials."""
    if program.acc is None:
        return program.specs
    return (*program.specs, Spec(program.acc, 1))


@functools.lru_cache(maxsize=4096)
def packer(program: Program) -> Callable[..., bytes]:
    """Packs an argument block: (address, first) per array, scalars, then the extra integers."""
    formats = []
    for spec in block_specs(program):
        if spec.is_array:
            formats.append("Qq")
        else:
            code = {"c8": "ff", "c16": "dd", "b1": "?7x", "f4": "f4x", "f8": "d"}.get(spec.dtype.str[1:])
            if code is None and spec.dtype.kind in "iu":
                size = spec.dtype.itemsize
                code = {1: "b", 2: "h", 4: "i", 8: "q"}[size] + (f"{8 - size}x" if size < 8 else "")
                code = code.upper() if spec.dtype.kind == "u" else code
                code = code.replace("X", "x")
            if code is None:
                raise PlacementError(f"a scalar argument of dtype {spec.dtype} is not supported; pass it as an array")
            formats.append("ff8x" if code == "ff" else code)
    return struct.Struct("=" + "".join(formats) + "q" * extras(program)).pack


@functools.lru_cache(maxsize=4096)
def quick_packer(program: Program) -> Callable[..., bytes]:
    """Packs an argument block of the arguments themselves, whose arrays are whole, then the extra integers."""
    names, words = [], []
    for k, spec in enumerate(block_specs(program)):
        names.append(f"a{k}")
        if spec.is_array:
            words.append(f"id(a{k}), 0")
        else:
            words.append(f"a{k}.real, a{k}.imag" if spec.dtype.kind == "c" else f"a{k}")
    text = f"lambda {', '.join([*names, '*extra'])}: pack({', '.join([*words, '*extra'])})"
    return eval(text, {"pack": packer(program)})


def extras(program: Program) -> int:
    """Integers behind the arguments in a block: the space, and the address of a table for the chunk function."""
    return program.ndim + (0 if program.unit else 2 * program.ndim)


def _make(program: Program, stream: bool, plain: bool = False, strips: int = 0, alone: bool = False) -> Any:
    """The Python function that Numba compiles for a program; `plain` is right for all arguments.

    `strips` is the width of strips, 0 for none, or `INNER`. `alone`: atomic updates will be plain ones.
    """
    from portapar.kernel.jit import intrinsics, loops

    # some of them stand beside a kernel's own names
    names = "vectors", "few", "one_by_one", "steps_apart", "two_rounds_", "one_round_"
    called = {name: getattr(loops, name) for name in names} | {"choose": intrinsics.choose}
    bound, apart = (None, False) if plain else (_bounded(program), kept_apart(program))
    trees = {} if bound is None else bound.trees
    space = functions(program, lambda texts: _forms(program, texts, trees, alone), **called)
    inner = inner_bodies(program) if strips == INNER else None
    if inner is not None:
        body, rounds = inner
        called["nonneg"] = intrinsics.nonneg
        for each in rounds:
            called |= inner_functions(each, space)
        space = functions(program, lambda texts: _forms(program, texts, trees | {"body": body}, alone), **called)
        strips = 0
    if bound is not None:
        space.update(fast=space.get("body"), fast_elem=space.get("elem"))
        if ((does_ends(program) and bound.test) or program.last) and program.acc is None:
            slow = functions(program, lambda texts: _forms(program, texts, {}), **called)
            space.update(slow=slow["body"])
    space.update(
        called,
        nonneg=intrinsics.nonneg,
        narrow=intrinsics.narrow,
        wide=intrinsics.wide,
        no_gathers=intrinsics.no_gathers,
        unpack=intrinsics.unpacker(block_specs(program), extras(program), apart),
        given=intrinsics.unpacker(block_specs(program), extras(program)),
        seldom=intrinsics.seldom,
        apart=intrinsics.apart(program.specs, program.written or (), program.idle),
        rest=intrinsics.rest,
        extremes=intrinsics.extremes,
    )
    if (lanes := lanes_of(program, function_texts(program))) is not None:
        space.update(value_functions(lanes, BLOCK // 2 if program.ordered else LANES))
    if stream:
        dtype = program.specs[program.out].dtype
        space.update(
            until_aligned=intrinsics.until_aligned,
            stream=intrinsics.stream_out(STREAM_LINES),
            fence=intrinsics.fence,
            tile=intrinsics.scratch(dtype, STREAM_LINES * 64 // dtype.itemsize),
        )
    bodies = strip_bodies(program)[1] if strips else ()
    for name, body in zip(("strip", "fewer"), bodies, strict=False):
        space[f"{name}{strips}"] = strip_function(program, body, name == "fewer", space)
    cut = None if plain else _quotients(program)
    runs = None if plain else _listed(program, stream)
    for found in (cut, runs):
        space.update(found.functions(program, space) if found is not None else {})
    free = not plain and runs_together(program)
    text = chunk_text(program, stream, bound, apart, strips, cut, not plain and _short(program), free, runs)
    exec(compile(text, "<portapar chunk>", "exec"), space)
    for name in ("holds", "sound", "inside", "wider", "fitting", "short", "runs"):
        if name in space:
            seldom = name in ("holds", "inside", "wider", "fitting", "runs")
            space[name] = callee(space[name], once=seldom or program.once, inline=not seldom)
    return space["chunk"]


@functools.lru_cache(maxsize=4096)
def _bounded(program: Program) -> Bounded | None:
    """The form of a program's functions for indices that are not negative, if it differs."""
    return bounded(program, function_texts(program), "elem" if program.acc is not None else "body")


@functools.lru_cache(maxsize=4096)
def _quotients(program: Program) -> Quotients | Residue | None:
    """The body for indices that have one quotient or residue, if there is one."""
    if program.form == "reduce" or strip_bodies(program)[0] or not re.search(r"//|%|&|\bdivmod\(", program.text):
        return None
    bound, texts = _bounded(program), function_texts(program)
    trees = {name: tree_of(text) for name, text in texts.items()}
    body = straight(trees | _forms(program, texts, {} if bound is None else bound.trees), "body")
    return None if body is None else quotients(program, body) or residue(program, body)


@functools.lru_cache(maxsize=4096)
def _listed(program: Program, stream: bool) -> Listed | None:
    """The body for runs of a list of indices, if it has such a list."""
    bound, texts = _bounded(program), function_texts(program)
    if bound is None or not bound.elements or not kept_apart(program):
        return None
    if stream or strip_bodies(program)[0] or _quotients(program):
        return None
    trees = {name: tree_of(text) for name, text in texts.items()}
    body = straight(trees | _forms(program, texts, bound.trees), "body")
    return None if body is None else listed(program, body)


def _short(program: Program) -> bool:
    """Whether rows are done several at a time."""
    return program.last > 0 and not strip_bodies(program)[0] and not _quotients(program)


def has_rest(program: Program) -> bool:
    """Whether there are arguments for which a second chunk function does some of the work."""
    bound = _bounded(program)
    return (kept_apart(program) and program.form == "map") or (bound is not None and bound.test + bound.elements != "")


def _forms(program: Program, texts: dict[str, str], trees: dict[str, Any], alone: bool = False) -> dict[str, Any]:
    """The functions in the form that is best on CPUs, from their texts, or `trees` where there are such."""
    trees = {name: copy.deepcopy(tree) for name, tree in trees.items()}
    always = updated_always(program, texts["body"], trees.get("body")) if alone and program.form == "map" else None
    if always is not None:
        trees["body"] = always
    trees |= chosen(program, texts, trees)
    trees |= registers.hinted(texts, trees)
    return trees | few_rounds(texts, trees)


def can_stream(program: Program) -> bool:
    """Whether the output can bypass the caches: contiguous elements that fill cache lines."""
    if (
        program.form != "transform"
        or not program.unit
        or _short(program)
        or strip_bodies(program)[0]
        or _quotients(program)
    ):
        return False
    spec = program.specs[program.out]
    return spec.contiguous and spec.dtype.names is None and 64 % spec.dtype.itemsize == 0


INNER = -1  #: strips of rounds of a body's own loops


def _strips(program: Program) -> int:
    return strip_bodies(program)[0] or (INNER if inner_bodies(program) is not None else 0)


@functools.lru_cache(maxsize=4096)
def chunk(program: Program, stream: bool = False, alone: bool = False) -> int:
    """The address of the native chunk function of a program; `alone`: the one to run while no other code does."""
    key, strips = f"{program.key}|{stream}{'|alone' * alone}", _strips(program)

    def made(strips: int) -> Any:
        function = _make(program, stream, strips=strips, alone=alone)
        function.alone = alone
        return function

    return _compiled(program, key, made, strips).address  # type: ignore[attr-defined]


def _compiled(program: Program, key: str, make: Callable[[int], Any], strips: int = 0) -> Callable[..., int]:
    """A program's native function, which `make` gives the Python for, with strips of a width if these have types."""
    space: dict[str, Any] = {}

    def function() -> Any:
        nonlocal space
        made = make(strips)
        space = made.__globals__
        return made

    try:
        return native(key, function, 3)
    except Exception as error:
        if not _is_numbas(error):
            raise
        if not strips:
            from portapar.kernel.jit.check import explain

            raise explain(program, error) from None
    finally:
        space.clear()  # Numba keeps functions that know each other until nobody holds one of them
    return _compiled(program, key, make)  # what is wrong with the kernel itself is said of that


def _is_numbas(error: Exception) -> bool:
    """Whether Numba cannot compile it: told by the module, which is imported only where code is not in the cache."""
    return type(error).__module__.startswith("numba.") or isinstance(error, (KeyError, NotImplementedError))


class Table:
    """What a chunk function calls, by address: that for the rest of its work, and what looks at arrays of indices.

    The one for the rest is compiled when a call needs it.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.error: BaseException | None = None
        self._words = (ctypes.c_int64 * 9)()
        self.address = ctypes.addressof(self._words)
        if has_rest(program):
            self._begin = _CHUNK(self._first)
            self._words[0] = ctypes.cast(self._begin, ctypes.c_void_p).value or 0
        bound = _bounded(program)
        for k in re.findall(r"extremes\(table, a(\d+),", bound.elements if bound else ""):
            dtype = program.specs[int(k)].dtype
            dtype = np.dtype(f"i{dtype.itemsize}") if dtype.kind == "f" else dtype  # as bits
            place = 2 * (dtype.itemsize.bit_length() - 1) + 1 + (dtype.kind == "u")
            self._words[place] = _extremes(dtype).address  # type: ignore[attr-defined]

    def _first(self, *args: int) -> int:
        """Compile what is missing, run it, and let it be called from now on."""
        try:
            program = self.program
            function = _compiled(program, f"{program.key}|rest", lambda _: _make(program, False, True))
            self._words[0] = function.address  # type: ignore[attr-defined]
            return int(function.raw(*args))  # type: ignore[attr-defined]
        except BaseException as error:  # noqa: BLE001 the thread that made the call raises it
            self.error = error
            return 1


_CHUNK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64, ctypes.c_int64, *[ctypes.c_int64] * 3)


@functools.lru_cache(maxsize=4096)
def table(program: Program) -> Table | None:
    """The table of a program's chunk functions, if they have one."""
    return Table(program) if has_rest(program) else None


def _extremes(dtype: np.dtype) -> Callable[..., int]:
    """The native function that finds the least and the greatest of `count` whole numbers from an address on."""

    def make() -> Any:
        from portapar.kernel.jit.intrinsics import LONGEST
        from portapar.kernel.jit.intrinsics import elements as elements_of
        from portapar.kernel.jit.system import store

        elements, unsigned = elements_of(dtype), dtype.kind == "u"

        def extremes(address, count, out):
            x = elements(address, count)
            low = high = x[0]
            for k in range(count):
                v = x[np.uint64(k)]
                if v < low:
                    low = v
                if v > high:
                    high = v
            if unsigned and np.int64(high) < 0:  # what the kernel takes for a signed number may be negative
                store(out, -LONGEST)
                store(out + 8, LONGEST)
                return 0
            store(out, np.int64(low))
            store(out + 8, np.int64(high))
            return 0

        return extremes

    return native(f"extremes|{dtype}", make, 3)


@functools.lru_cache(maxsize=4096)
def fold(program: Program) -> Callable[..., int]:
    """The native function that combines a reduction's partials in their fixed tree.

    Called with (has_init, count, block); the block holds the partials array, with the initial value
    behind the partials if there is one. The result lands in element 0.
    """
    acc = program.acc
    assert acc is not None
    width = width_of(acc)
    load = "load({}, partials)" if width else "partials[{}]"

    def combine(x: str, y: str) -> str:
        return f"ACC(op({load.format(x)}, {load.format(y)}))"

    last = f"{combine('total', '0')} if total else {load.format('total')}"
    text = (
        "def fold(has_init, count, block):\n"
        "    (partials,) = unpack(block)\n"
        "    total = count\n"
        "    while count > 1:\n"
        "        half = count // 2\n"
        "        for k in range(half):\n"
        f"            {keep_text(width, 'k', combine('2 * k', '2 * k + 1'))}\n"
        "        if count % 2:\n"
        f"            {keep_text(width, 'half', load.format('count - 1'))}\n"
        "        count = half + count % 2\n"
        "    if has_init:\n"
        f"        {keep_text(width, '0', last)}\n"
        "    return 0\n"
    )

    def make() -> Any:
        from portapar.kernel.jit import intrinsics

        space = dict(namespace(program))
        space.update(value_functions(acc), unpack=intrinsics.unpacker((Spec(acc, 1),), 0))
        exec(compile(text, "<portapar fold>", "exec"), space)
        return space["fold"]

    key = f"{'|'.join(_needed(program, 'op'))}|{acc!r}|{program.once}|{text}"
    found = _folds.get(key)
    if found is None:
        found = _folds[key] = native(key, make, 3)
    return found


_folds: dict[str, Callable[..., int]] = cache.Bounded()  #: one for all programs that combine alike


def _needed(program: Program, name: str) -> list[str]:
    """The texts of a program's function and of those that it calls, in their order."""
    texts = function_texts(program)
    needed = {name}
    for other in reversed(texts):  # callees come first
        if other in needed:
            needed.update(texts.keys() & re.findall(r"\w+", texts[other]))
    return [text for other, text in texts.items() if other in needed]


def inspect(program: Program, stream: bool = False) -> dict[str, str]:
    """What is generated for a program: the Python for Numba, LLVM's IR, the assembly, and a verdict.

    The verdict is on the loop that runs where no index is negative, if there is one of its own.
    """
    strips = _strips(program)
    try:
        library, _ = lower(_make(program, stream, strips=strips), 3)
    except Exception as error:
        if not (strips and _is_numbas(error)):
            raise
        strips, (library, _) = 0, lower(_make(program, stream), 3)
    llvm = library.get_llvm_str()
    verdict, bound = vecmath.verdict(llvm), _bounded(program)
    if bound is not None and bound.test + bound.elements:
        slow = vecmath.verdict(lower(_make(program, stream, True), 3)[0].get_llvm_str())
        verdict = f"{verdict}\nwhere an index is negative: {slow}"
    inner = inner_bodies(program) if strips == INNER else None
    return {
        "vectorized": verdict,
        "Numba": (ast.unparse(inner[0]) if inner else program.text) + "\n" + chunk_text(
            program, stream, bound, kept_apart(program), max(strips, 0), _quotients(program), _short(program),
            runs_together(program), _listed(program, stream),
        ),
        "LLVM": llvm,
        "assembly": library.get_asm_str(),
    }  # fmt: skip
