"""Entries in C that reduce: every tile of the index range to one partial, in the order that all backends share.

A tile is folded in lanes, or by a binary tree over neighbours; by one work-item on CPUs, by a group of items or a warp
on GPUs (see "Reductions" in ARCHITECTURE.md).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from numba.core import types

from portapar.kernel.c.dialect import Dialect
from portapar.kernel.c.entries import Entry, in_a_vector, reduce_parameters
from portapar.kernel.c.function import add_function
from portapar.kernel.c.intervals import EXTENTS, Interval
from portapar.kernel.c.unit import GLOBAL, Unit, field_name, scalar_name
from portapar.kernel.jit.typing import TypedFunction, dtype_of, value_type
from portapar.kernel.tiles import BLOCK, LANES, TILE


def render_reduce(
    elem: TypedFunction,
    op: TypedFunction,
    acc_type: types.Type,
    dialect: Dialect,
    name: str,
    *,
    grouped: bool = False,
    ordered: bool = False,
    extent: int = EXTENTS[0],
    tails: Sequence[tuple[int, ...]] = (),
    near: TypedFunction | None = None,
    holds: TypedFunction | None = None,
) -> str:
    """An entry that reduces elem(i, *args) over [lo, hi) to one partial per tile, in one fixed order.

    Tile t holds the indices [t * TILE, min((t + 1) * TILE, hi)); its partial is written to
    partials[t - lo / TILE]. (CUDA: if the argument `group` is the number of a block's warps, and lo is 0, as many
    neighbouring tiles give one partial; otherwise it must be 1.) Lane l of a tile folds the elements l,
    l + LANES, … of the tile in order; the lanes are then combined by a tree of strides LANES / 2, …, 1. No identity
    is used. If neighbours must be combined first, a tile is folded by a binary tree over its elements. Before the
    partials are the values of the `before` elements that come before lo, behind them those of the `after` elements
    from hi on (CUDA: if `group` is 1).

    Parameters
    ----------
    elem : TypedFunction
        Takes an index (int64), then the arguments.
    op : TypedFunction
        Takes two values of `acc_type`, tuples if that is a record, and returns one.
    acc_type : numba type
        A number type, or a record for tuples of numbers (partials are such records): elements and op's
        results are cast to it.
    dialect : Dialect
        `OPENCL` or `CUDA`. For CUDA a warp reduces a tile: the block size must be a multiple of 32.
    name : str
        The entry's name.
    grouped : bool
        For OpenCL on GPUs: a work-group of `LANES` items (the local size that must be launched) reduces a
        tile. Otherwise one work-item does, in a form that compilers for CPUs vectorize over the lanes.
    ordered : bool
        Neighbours are combined first.
    extent : int
        No array is longer along an axis, and no index is larger.
    tails : sequence of tuple of int
        See `render_map`.
    near, holds : TypedFunction, optional
        On CPUs: the element for indices that are not negative, and what says where it is right; see `render_map`.

    Returns
    -------
    str
        A complete unit. For the parameters see `reduce_parameters`; lo must be a multiple of TILE.
    """
    unit = Unit(dialect, extent)
    known = [Interval(0, extent)]
    element = add_function(unit, near if near and not holds else elem, [GLOBAL] * len(elem.argtypes), known)
    fold = add_function(unit, op)
    entry = Entry(unit, elem.argtypes[1:], reduce_parameters(elem.argtypes, dialect), tails)
    memory, kind = unit.memory(acc_type), value_type(dtype_of(acc_type))
    acc = unit.value(kind)

    def load(index: str, function: str = element) -> str:
        return unit.cast(f"{function}({index}{entry.arguments()})", elem.return_type, kind)

    def combine(a: str, b: str) -> str:
        x, y = (unit.cast(v, kind, t) for v, t in zip((a, b), op.argtypes, strict=True))
        return unit.cast(f"{fold}({x}, {y})", op.return_type, kind)

    def keep(value: str, place: str = "out[t]") -> str:
        if not isinstance(acc_type, types.Record):
            return f"{place} = {value};"
        fields = enumerate(acc_type.fields)
        parts = (f"{place}.{field_name(acc_type, name)} = {value}.{unit.member(kind, k)};" for k, name in fields)
        return f"{{ {' '.join(parts)} }}"

    offset = "partials + partials_offset" if dialect.offsets else "partials"
    lines = [entry.head(name, memory), *entry.locals()]
    lines += [f"    GLOBAL {memory} *found_all = {offset}, *out = found_all + before - lo / {TILE};"]
    if dialect.shuffle:
        lines += _warp_per_tile(acc, load, combine, keep, ordered)
    else:
        if grouped:
            lines += (_neighbours_per_group if ordered else _group_per_tile)(acc, load, combine, keep)
        else:
            ways = [("", load)]
            if near is not None and holds is not None:
                fast = add_function(unit, near, [GLOBAL] * len(near.argtypes), known)
                test = add_function(unit, holds, [GLOBAL] * len(holds.argtypes), known * 2)
                arguments = entry.arguments()
                ways.insert(0, (f"{test}(@first, @last{arguments})", functools.partial(load, function=fast)))
            if ordered:
                lines += _neighbours_per_item(acc, ways, combine, keep)
            else:
                lines += _item_per_tile(_Lanes(unit, kind, acc), ways, combine, keep)
    lines += _values(acc, memory, dialect, load, keep)
    text = "\n".join([*lines, "}"]) + "\n"
    if dialect.shuffle:
        exchanges = zip(_LANES, dialect.shuffle, strict=True)
        unit.functions += [_EXCHANGE.replace("@F", head).replace("@W", word) for head, word in exchanges]
    elif not grouped:
        unit.functions.append(_VECTORS)
    unit.functions.append(text)
    return unit.text()


_TILES = f"""\
    for (i64 t = lo / {TILE} + @first; lo < hi && t * {TILE} < hi; t += @step) {{
        i64 first = t * {TILE}, count = hi - first < {TILE} ? hi - first : {TILE};"""

# CPUs prefetch what lies ahead: a work-item takes neighbouring tiles.
_RUN_OF_TILES = f"""\
    i64 each = ((hi - lo + {TILE - 1}) / {TILE} + (i64)get_global_size(0) - 1) / (i64)get_global_size(0);
    i64 begin = lo / {TILE} + (i64)get_global_id(0) * each;
    for (i64 t = begin; t < begin + each && t * {TILE} < hi; ++t) {{
        i64 first = t * {TILE}, count = hi - first < {TILE} ? hi - first : {TILE};"""

# Turn the next loop into vectors, then unroll it: an array of lanes that only such loops work on lives in registers.
_VECTORS = f"""\
#ifdef LOOP
#define VECTORS LOOP(vectorize(enable) unroll_count({LANES}))
#define VECTORS_OF(n) LOOP(vectorize(enable) unroll_count({LANES}) WIDE(n))
#else
#define VECTORS
#define VECTORS_OF(n)
#endif
"""

_LANES = ("lane_below(T value, int distance)", "lane_first(T value)")
_EXCHANGE = """\
template <typename T> DEVICE T @F {
    T other = value;
    unsigned words[(sizeof(T) + 3) / 4] = {0};
    memcpy(words, &value, sizeof(T));
    for (int w = 0; w < (int)(sizeof(words) / 4); ++w) {
        unsigned word = words[w];
        words[w] = @W;
    }
    memcpy(&other, words, sizeof(T));
    return other;
}
"""


def _values(acc: str, memory: str, dialect: Dialect, load: Any, keep: Any) -> list[str]:
    """The elements of tiles that others have in part: CPUs do runs of neighbours, GPUs neighbours at a time."""
    item, items = dialect.thread
    first, last, step = f"({item})", "count", f"({items})"
    if dialect.serial:
        first, last, step = f"({item}) * piece", "(first + piece < count ? first + piece : count)", "1"
    text = f"""\
    for (int side = 0; side < 2; ++side) {{
        i64 count = side ? after : before, piece = (count + ({items}) - 1) / ({items}), first = {first};
        GLOBAL {memory}* values = side ? found_all + before + (hi - lo + {TILE - 1}) / {TILE} : found_all;
        for (i64 k = first; k < {last}; k += {step}) {{
            {acc} value = {load("(side ? hi : lo - before) + k")};
            {keep("value", "values[k]")}
        }}
    }}"""
    return text.split("\n")


class _Lanes:
    """An array of lanes on a CPU; of tuples of numbers one for each of these, so that they are in vectors."""

    def __init__(self, unit: Unit, kind: types.Type, acc: str) -> None:
        self.acc = acc
        parts = list(kind.types) if isinstance(kind, types.BaseTuple) else []
        self.members = [unit.member(kind, k) for k in range(len(parts))] if all(map(scalar_name, parts)) else []
        kinds = [unit.value(part) for part in parts] if self.members else [acc]
        names = [f"lane{k}" for k in range(len(self.members))] or ["lane"]
        self.made = " ".join(f"{ctype} {name}[{LANES}];" for ctype, name in zip(kinds, names, strict=True))
        self.width = in_a_vector(parts if self.members else [kind])

    def get(self, place: str) -> str:
        """The value of a lane."""
        if not self.members:
            return f"lane[{place}]"
        return f"{self.acc}_make({', '.join(f'lane{k}[{place}]' for k in range(len(self.members)))})"

    def over(self, count: int) -> str:
        """A loop in vectors over so many lanes."""
        vectors = f"VECTORS_OF({self.width})" if 0 < self.width <= count else "VECTORS"
        return f"{vectors} for (int l = 0; l < {count}; ++l)"

    def put(self, value: str) -> str:
        """Give lane l a value."""
        if not self.members:
            return f"lane[l] = {value};"
        stores = " ".join(f"lane{k}[l] = value.{member};" for k, member in enumerate(self.members))
        return f"{{ {self.acc} value = {value}; {stores} }}"


def _item_per_tile(lanes: _Lanes, ways: Sequence[tuple[str, Any]], combine: Any, keep: Any) -> list[str]:
    acc, load = lanes.acc, ways[-1][1]
    tree = "\n".join(
        f"            {lanes.over(s)} {lanes.put(combine(lanes.get('l'), lanes.get(f'l + {s}')))}"
        for s in (LANES >> k for k in range(1, LANES.bit_length()))
    )
    loops: list[str] = []
    for test, way in ways:
        condition = f"if ({test.replace('@first', 'first').replace('@last', f'first + {TILE - 1}')}) " if test else ""
        loops.append(f"""\
            {"else " * bool(loops)}{condition}{{
                {lanes.over(LANES)} {lanes.put(way("first + l"))}
                for (i64 k = first + {LANES}; k < first + {TILE}; k += {LANES}) {{
                    {lanes.over(LANES)} {lanes.put(combine(lanes.get("l"), way("k + l")))}
                }}
            }}""")
    filled = "\n".join(loops)
    text = f"""\
{_RUN_OF_TILES}
        if (count == {TILE}) {{
            {lanes.made}
{filled}
{tree}
            {keep(lanes.get("0"))}
        }} else {{
            {acc} lane[{LANES}];
            for (int l = 0; l < {LANES} && l < count; ++l) lane[l] = {load("first + l")};
            for (i64 k = {LANES}; k < count; ++k)
                lane[k % {LANES}] = {combine(f"lane[k % {LANES}]", load("first + k"))};
            for (int s = {LANES // 2}; s > 0; s /= 2)
                for (int l = 0; l < s && l + s < count; ++l) lane[l] = {combine("lane[l]", "lane[l + s]")};
            {keep("lane[0]")}
        }}
    }}"""
    return text.split("\n")


def _neighbours_per_item(acc: str, ways: Sequence[tuple[str, Any]], combine: Any, keep: Any) -> list[str]:
    load = ways[-1][1]

    def level(source: str, target: str, indent: int) -> str:
        """Neighbours of `n` values become one each."""
        pad, left, right, last = " " * indent, f"{source}[2 * k]", f"{source}[2 * k + 1]", f"{source}[n - 1]"
        loops = [f"{pad}VECTORS for (int k = 0; k < n / 2; ++k) {target}[k] = {combine(left, right)};\n"]
        if not source:
            last, loops = load("first + n - 1"), []
            for test, way in ways:
                start = f"if ({test.replace('@first', 'first').replace('@last', 'first + n - 1')}) " if test else ""
                value = combine(way("first + 2 * k"), way("first + 2 * k + 1"))
                loops.append(
                    f"{pad}{'else ' * bool(loops)}{start}{{\n"
                    f"{pad}    VECTORS for (int k = 0; k < n / 2; ++k) {target}[k] = {value};\n{pad}}}\n"
                )
        return f"{''.join(loops)}{pad}if (n % 2) {target}[n / 2] = {last};\n{pad}n = n / 2 + n % 2;"

    text = f"""\
{_RUN_OF_TILES}
        {acc} a[{BLOCK // 2}], b[{BLOCK // 2}], top[{TILE // BLOCK}];
        int n, blocks = (int)((count + {BLOCK - 1}) / {BLOCK});
        for (int block = 0; block < blocks; ++block, first += {BLOCK}, count -= {BLOCK}) {{
            n = count < {BLOCK} ? (int)count : {BLOCK};
{level("", "a", 12)}
            while (n > 1) {{
{level("a", "b", 16)}
{level("b", "a", 16)}
            }}
            top[block] = a[0];
        }}
{_tops(combine, keep)}
    }}"""
    return text.split("\n")


def _tops(combine: Any, keep: Any) -> str:
    """The tree over what a tile's blocks came to."""
    return f"""\
        for (int s = 1; s < blocks; s *= 2)
            for (int k = 0; k + s < blocks; k += 2 * s) top[k] = {combine("top[k]", "top[k + s]")};
        {keep("top[0]")}"""


def _folding(acc: str, load: Any, combine: Any) -> str:
    """One lane's fold, eight loads at a time; `used` lanes have something to fold."""
    loads = " ".join(f"x{u} = {load(f'k + {u * LANES}')};" for u in range(8))
    folds = " ".join(f"value = {combine('value', f'x{u}')};" for u in range(8))
    return f"""\
        i64 k = first + l, end = first + count;
        int used = count < {LANES} ? (int)count : {LANES};
        {acc} value, {", ".join(f"x{u}" for u in range(8))};
        if (l < count) value = {load("k")};
        for (k += {LANES}; k + {7 * LANES} < end; k += {8 * LANES}) {{
            {loads}
            {folds}
        }}
        for (; k < end; k += {LANES}) value = {combine("value", load("k"))};"""


def _group_per_tile(acc: str, load: Any, combine: Any, keep: Any) -> list[str]:
    text = f"""\
    __local {acc} lane[{LANES}];
    int l = (int)get_local_id(0);
{_TILES.replace("@first", "(i64)get_group_id(0)").replace("@step", "(i64)get_num_groups(0)")}
{_folding(acc, load, combine)}
        if (l < used) lane[l] = value;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int s = {LANES // 2}; s > 0; s /= 2) {{
            if (l < s && l + s < used) lane[l] = value = {combine("value", "lane[l + s]")};
            barrier(CLK_LOCAL_MEM_FENCE);
        }}
        if (l == 0) {keep("lane[0]")}
        barrier(CLK_LOCAL_MEM_FENCE);
    }}"""
    return text.split("\n")


def _neighbours_per_group(acc: str, load: Any, combine: Any, keep: Any) -> list[str]:
    def level(source: str, target: str, indent: int) -> str:
        pad, left, right, last = " " * indent, f"{source}[2 * k]", f"{source}[2 * k + 1]", f"{source}[n - 1]"
        if not source:
            left, right, last = load("first + 2 * k"), load("first + 2 * k + 1"), load("first + n - 1")
        return (
            f"{pad}for (int k = l; k < n / 2; k += {LANES}) {target}[k] = {combine(left, right)};\n"
            f"{pad}if (l == 0 && n % 2) {target}[n / 2] = {last};\n"
            f"{pad}n = n / 2 + n % 2;\n"
            f"{pad}barrier(CLK_LOCAL_MEM_FENCE);"
        )

    text = f"""\
    __local {acc} a[{BLOCK // 2}], b[{BLOCK // 2}], top[{TILE // BLOCK}];
    int l = (int)get_local_id(0);
{_TILES.replace("@first", "(i64)get_group_id(0)").replace("@step", "(i64)get_num_groups(0)")}
        int blocks = (int)((count + {BLOCK - 1}) / {BLOCK});
        for (int block = 0; block < blocks; ++block, first += {BLOCK}, count -= {BLOCK}) {{
            int n = count < {BLOCK} ? (int)count : {BLOCK};
{level("", "a", 12)}
            for (int twice = 0; twice < {(BLOCK.bit_length() - 1) // 2}; ++twice) {{
{level("a", "b", 16)}
{level("b", "a", 16)}
            }}
            if (l == 0) top[block] = a[0];
            barrier(CLK_LOCAL_MEM_FENCE);
        }}
        if (l == 0) {{
{_tops(combine, keep)}
        }}
        barrier(CLK_LOCAL_MEM_FENCE);
    }}"""
    return text.split("\n")


def _warp_folds(acc: str, load: Any, combine: Any) -> str:
    """CUDA: `value` of lane 0 is what a tile comes to."""
    return f"""\
{_folding(acc, load, combine)}
        for (int s = {LANES // 2}; s > 0; s /= 2) {{
            {acc} other = lane_below(value, s);
            if (l < s && l + s < used) value = {combine("value", "other")};
        }}"""


def _warp_combines_neighbours(acc: str, load: Any, combine: Any) -> str:
    """The same by a binary tree: over a row of lanes, over as many rows, over what these come to."""
    square, rows = LANES * LANES, 8  # rows that are loaded at a time
    pad = " " * 16
    loads = "\n".join(f"{pad}if (l + {LANES * u} < n) x{u} = {load(f'k + {LANES * u}')};" for u in range(rows))

    def tree(value: str, used: str, indent: int) -> str:
        pad = " " * indent
        return (
            f"{pad}for (int s = 1; s < {LANES}; s *= 2) {{\n"
            f"{pad}    {acc} other = lane_below({value}, s);\n"
            f"{pad}    if (l % (2 * s) == 0 && l + s < {used}) {value} = {combine(value, 'other')};\n"
            f"{pad}}}"
        )

    folds = "\n".join(
        f"{tree(f'x{u}', f'n - {LANES * u}', 16)}\n"
        f"                {{ {acc} other = lane_first(x{u}); if (l == row + {u}) mine = other; }}"
        for u in range(rows)
    )
    found = [f"y{q}" for q in range(TILE // square)]
    save = " ".join(f"if (q == {q}) {y} = mine;" for q, y in enumerate(found))
    last = []
    for s in (1 << k for k in range(len(found).bit_length() - 1)):
        for q in range(0, len(found) - s, 2 * s):
            last.append(f"        if (count > {(q + s) * square}) {found[q]} = {combine(found[q], found[q + s])};")
    tops = "\n".join(last)
    return f"""\
        {acc} {", ".join(found)};
        for (int q = 0; q < {len(found)} && q * {square} < count; ++q) {{
            {acc} mine, {", ".join(f"x{u}" for u in range(rows))};
            int left = count - q * {square} < {square} ? (int)(count - q * {square}) : {square};
            for (int row = 0; row < {LANES} && row * {LANES} < left; row += {rows}) {{
                i64 k = first + q * {square} + row * {LANES} + l;
                int n = left - row * {LANES};
{loads}
{folds}
            }}
            int used = (left + {LANES - 1}) / {LANES};
{tree("mine", "used", 12)}
            {save}
        }}
{tops}
        {acc} value = y0;"""


def _warp_per_tile(acc: str, load: Any, combine: Any, keep: Any, ordered: bool) -> list[str]:
    tiles = f"""\
    int l = threadIdx.x % {LANES}, warp = threadIdx.x / {LANES}, warps = blockDim.x / {LANES};
    __shared__ {acc} found[32];
    for (i64 t = lo / {TILE} + blockIdx.x * (i64)warps + warp; lo < hi && (t - warp) * {TILE} < hi;
         t += gridDim.x * (i64)warps) {{
        i64 first = t * {TILE}, count = hi - first < {TILE} ? hi - first : {TILE};"""
    text = f"""\
{tiles}
{(_warp_combines_neighbours if ordered else _warp_folds)(acc, load, combine)}
        if (group == 1) {{
            if (l == 0 && count > 0) {keep("value")}
            continue;
        }}
        if (l == 0 && count > 0) found[warp] = value;
        __syncthreads();
        if (threadIdx.x == 0) {{
            i64 left = (hi - first + {TILE - 1}) / {TILE};
            int full = left < warps ? (int)left : warps;
            for (int s = 1; s < full; s *= 2)
                for (int k = 0; k + s < full; k += 2 * s) found[k] = {combine("found[k]", "found[k + s]")};
            {keep("found[0]", "out[t / warps]")}
        }}
        __syncthreads();
    }}"""
    return text.split("\n")
