"""inclusive_scan and exclusive_scan: all prefixes of a sequence under an associative operator."""

from __future__ import annotations

from typing import Any

from portapar import ops, parts
from portapar.parts import Parts, Piece
from portapar.policy import Policy


def inclusive_scan(policy: Policy | None, x: Any, op: Any = ops.plus, *, out: Any = None) -> Any:
    """``out[i] = x[0] op x[1] op … op x[i]``"""
    return parts.run("inclusive_scan", policy, (x, out), lambda p: _scan(p, x, ops.monoid(op).py_func, out))


def _scan(p: Parts, x: Any, op: Any, out: Any) -> Any:
    def total(block: int, size: int, x: Any, sums: Any) -> None:
        lo, hi = block * size, min(len(x), (block + 1) * size)
        acc = x[lo]
        for i in range(lo + 1, hi):
            acc = op(acc, x[i])
        sums[block] = acc

    def carry(_: int, sums: Any) -> None:
        for k in range(1, len(sums)):
            sums[k] = op(sums[k - 1], sums[k])

    def scan(block: int, size: int, x: Any, sums: Any, out: Any) -> None:
        lo, hi = block * size, min(len(x), (block + 1) * size)
        acc = x[lo]
        if block > 0:
            acc = op(sums[block - 1], acc)
        out[lo] = acc
        for i in range(lo + 1, hi):
            acc = op(acc, x[i])
            out[i] = acc

    data = p.read(x, "x")
    result = p.new(data.shape, data.dtype) if out is None else p.write(out, "out", [("x", x)])

    def step(piece: Piece) -> Any:
        here = data[piece]
        blocks, size = piece.blocks(len(here))
        sums = piece.empty(blocks, data.dtype)
        piece.run(blocks, total, size, here, sums)
        piece.run(1, carry, sums)
        piece.run(blocks, scan, size, here, sums, result[piece])

    p.each("scan", step)
    return p.give(result)
