"""Random kernels, which must do what Python does with NumPy's scalars: ``python -m tests.fuzz --seed S --count N``.

A kernel is text, made from a seed alone. Every expression in it has a dtype that is known as it is written, so that
nothing is left unspecified: no float out of range becomes an integer, no index leaves its table, Python's own numbers
fit what they meet. All else is wanted: integers of all widths at their limits, shifts by anything, narrow casts as
indices, complex numbers at special values, tuples in tuples, arrays under other names, rows, many arrays, long bodies,
variables that have a value on some paths only.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import random
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

import portapar as pp

N, M = 37, 300  #: iterations; length of the tables
SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
WHOLE, REAL, COMPLEX = SIGNED + UNSIGNED, ("float32", "float64"), ("complex64", "complex128")
NUMBERS = WHOLE + REAL + COMPLEX
DTYPES = ("bool_", *NUMBERS)
CODE = {"bool_": "b1", **{name: np.dtype(name).str[1:] for name in NUMBERS}}
_SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, math.inf, -math.inf, math.nan]
_SPECIAL += [1e308, 5e-324, 1e-40, 3e38, 2.0**53, -2.5, 7.0, 0.1]


_PYTHONS = "  # Python's alone"


class Weak(NamedTuple):
    """One of Python's own integers, and between which numbers it is."""

    text: str
    low: int
    high: int


class Writer:
    """Writes one kernel.

    Attributes
    ----------
    text : str
        The module.
    arrays : dict
        Name of an argument → (dtype, shape).
    """

    def __init__(self, seed: str, size: int = 0) -> None:
        self.random = random.Random(seed)
        self.chance, self.pick = self.random.random, self.random.choice
        kinds = self.random.sample(DTYPES, 6)
        many = self.chance() < 0.1
        tables = kinds + kinds[:2] + self.random.choices(kinds, k=24 * many)
        outs = kinds[:4] + kinds[:2] + self.random.choices(kinds, k=6 * many)
        self.tables = {f"a{k}": kind for k, kind in enumerate(tables)}
        self.outs = {f"o{k}": kind for k, kind in enumerate(outs)}
        self.row = self.pick(SIGNED[2:] + REAL)
        self.rows = {"X": (N, 3), "Z": (5, 3), "Y": (N, 3)}
        self.arrays = {name: (kind, (M,)) for name, kind in self.tables.items()}
        self.arrays |= {name: (kind, (N,)) for name, kind in self.outs.items()}
        self.arrays |= {name: (self.row, shape) for name, shape in self.rows.items()}
        self.variables: dict[str, str] = {}
        self.weak = [Weak("i", 0, N - 1), Weak("k", 5, 5), Weak("H", 7, 7)]
        self.weak += [Weak("len(X)", N, N), Weak("X.shape[1]", 3, 3)]
        self.loops = self.named = 0
        self.helpers = {kind: f"mix_{kind}" for kind in self.random.sample(NUMBERS, 3)}
        body = []
        for k, kind in enumerate([*kinds, *self.random.choices(DTYPES, k=3)]):
            body.append(f"v{k} = {self.cast_to(kind, 1)}")
            self.variables[f"v{k}"] = kind
        for _ in range(size or (160 if self.chance() < 0.012 else self.pick((2, 4, 6)))):
            body += self.statement(2)
        for name, kind in self.outs.items():
            body.append(f"{name}[i] = {self.of(kind, 2)}")
        body.append(f"Y[i] = {self.row_value()}")
        body += self.loops_over_rows(random.Random(f"{seed} rows"))
        body += self.without_value(random.Random(f"{seed} perhaps"))
        lines = ["import numpy as np", "", *self.constants(), ""]
        for kind, name in self.helpers.items():
            lines += [f"def {name}(x, y, n):", "    t = (x, (y, n))", f"    return {self.mixed(kind)}", ""]
        lines += ["def pair(x, y):", "    return y, (x, y)", "", "def choose(x, y, c):", "    return x if c else y", ""]
        lines += ["def put(x, i, value):", "    x[i] = value", ""]
        lines.append(f"def kernel(i, {', '.join(self.arrays)}, k, s, w):")
        self.text = "\n".join(lines + ["    " + line for line in body]) + "\n"

    def constants(self) -> list[str]:
        return ["H = 7", f"W = {self.number('int16')}", f"F = {self.number('float32')}", "T = (W, (F, 3))"]

    def mixed(self, kind: str) -> str:
        """What a helper returns, of `x`, `y` and `n` (an int of Python's, at most 3)."""
        if kind in WHOLE:
            return self.pick(("t[0] * t[1][0] + n", "(t[0] ^ y) - x", "x // y", "(x % y) << n", "max(x, y) + t[1][1]"))
        if kind in REAL:
            return self.pick(("t[0] * t[1][0] + n", "x - y / 2", "x % y", "min(t[0], t[1][0])"))
        return self.pick(("t[0] * y + n", "x / y", "y - t[0] * 1j"))

    # expressions ------------------------------------------------------------------------------------

    def number(self, kind: str) -> str:
        """A constant of a dtype, near its limits more often than not."""
        if kind == "bool_":
            return self.pick(("np.bool_(True)", "np.bool_(False)"))
        if kind in WHOLE:
            info = np.iinfo(kind)
            near = [info.min, info.min + 1, info.max, info.max - 1, info.max // 2 + 1, 0, 1, 2, 3, 100]
            if kind in SIGNED:
                near += [-1, -2, -7]
            return f"np.{kind}({self.pick(near)})"
        part = self.pick(("0.0", "-0.0", "1.5", "-2.25", "1e30", "3e-5", "7.0", "0.1"))
        if kind in REAL:
            return f"np.{kind}({part})"
        return f"np.{kind}({part} + {self.pick(('0.5', '2.0', '1e20', '0.0'))} * 1j)"

    def small(self, low: int = 0, high: int = 127) -> str:
        """An integer of Python's own between these."""
        fits = [w for w in self.weak if low <= w.low and w.high <= high]
        if fits and self.chance() < 0.6:
            chosen = self.pick(fits)
            more = self.pick((1, 2, 3))
            if self.chance() < 0.3 and chosen.high * more <= high and chosen.low * more >= low:
                return f"({chosen.text} * {more})"
            return chosen.text
        return str(self.random.randint(max(low, -9), min(high, 99)))

    def index(self, depth: int) -> str:
        """An index of a table."""
        kind = self.pick(WHOLE)
        wide = [name for name in WHOLE if name not in ("int8", "uint8")]
        return self.pick((
            lambda: "i",
            lambda: f"i + {self.random.randint(0, M - N)}",
            lambda: f"{self.random.randint(-M, -N)} + i",
            lambda: f"-1 - {self.small(0, 120)}",
            lambda: f"np.int8({self.of(kind, depth)})",
            lambda: f"np.uint8({self.of(kind, depth)})",
            lambda: f"np.int16({self.of(kind, depth)}) // 256",
            lambda: f"{self.of(self.pick(wide), depth)} % {M}",
            lambda: f"{self.of(kind, depth)} & 63",
            lambda: f"-({self.of(self.pick(SIGNED[1:]), depth)} % {M})",
            lambda: f"np.int64({self.of(kind, depth)} >> {self.small(0, 9)}) % {M}",
        ))()  # fmt: skip

    def leaf(self, kind: str) -> str:
        found = [name for name, own in self.variables.items() if own == kind] * 2
        found += [f"{name}[i]" for name, own in self.outs.items() if own == kind]
        found += [f"{name}[i]" for name, own in self.tables.items() if own == kind] * 2
        found += ["W"] * (kind == "int16") + ["F", "T[1][0]"] * (kind == "float32")
        found += [f"X[i, {self.random.randint(0, 2)}]", "X[i][-1]", "Z[k - 3, 1]"] * (kind == self.row)
        return self.pick(found) if found and self.chance() < 0.85 else self.number(kind)

    def cast_to(self, kind: str, depth: int) -> str:
        """A value of any dtype, cast."""
        source = self.pick(DTYPES)
        text = self.of(source, depth)
        if source in COMPLEX and kind not in COMPLEX:
            text, source = f"({text}).{self.pick(('real', 'imag'))}", REAL[COMPLEX.index(source)]
        if source in REAL and kind in WHOLE:
            low, high = max(-30000, np.iinfo(kind).min), min(30000, np.iinfo(kind).max)
            text = f"max({float(low)}, min({float(high)}, {text}))"
        return f"np.{kind}({text})"

    def within(self, kind: str) -> str:
        """A dtype that leaves `kind` as it is where both meet."""
        return self.pick([other for other in DTYPES if np.result_type(CODE[kind], CODE[other]) == CODE[kind]])

    def other(self, kind: str, depth: int) -> str:
        """Something to meet a value of `kind`, which stays what it is."""
        if self.chance() < 0.35:
            if kind in REAL + COMPLEX and self.chance() < 0.5:
                return self.pick(("s", "2.0", "-0.75", "1e300", "1e-3"))
            return self.small()
        return self.of(kind if self.chance() < 0.6 else self.within(kind), depth)

    def of(self, kind: str, depth: int) -> str:
        """An expression of a dtype."""
        if depth <= 0:
            return self.leaf(kind)
        d = depth - 1
        a, any_kind = self.of(kind, d), self.pick(NUMBERS)
        common = [
            lambda: f"np.{kind}({a})",
            lambda: self.cast_to(kind, d),
            lambda: f"({a} if {self.condition(d)} else {self.of(kind, d)})",
            lambda: f"({self.of(any_kind, d)}, {a})[1]",
            lambda: f"(({a}, {self.of(kind, d)}), {self.of(any_kind, d)})[0][{self.small(0, 0)}]",
            lambda: f"({a}, {self.of(kind, d)}, {self.of(kind, d)})[{self.pick(('i % 3', '-1', 'i % 3 - 3', '1'))}]",
            lambda: f"pair({self.of(kind, d)}, {a})[1][0]",
            lambda: f"choose({a}, {self.of(kind, d)}, {self.condition(d)})",
        ]
        found = [name for name, own in self.tables.items() if own == kind]
        if found:
            common += [lambda: f"{self.pick(found)}[{self.index(d)}]"] * 3
        if len(found) > 1:
            common += [
                lambda: f"({found[0]} if {self.condition(d)} else {found[1]})[{self.index(0)}]",
                lambda: f"choose({found[0]}, {found[1]}, {self.condition(d)})[{self.index(0)}]",
                lambda: f"({found[0]}, {found[1]})[{self.small(0, 0)}][{self.index(0)}]",
            ]
        if kind in self.helpers:
            common.append(lambda: f"{self.helpers[kind]}({a}, {self.of(kind, d)}, {self.small(0, 3)})")
        if kind == self.row:
            least = lambda: f"({self.whole_row()}.{self.pick(('min', 'max'))}() + 0)"  # of 0.0 and -0.0 it is either
            common.append(least)
        return self.pick(common + self.own(kind, a, d) * 2)()

    def own(self, kind: str, a: str, d: int) -> list:
        """What only some dtypes have."""
        if kind == "bool_":
            return [
                lambda: f"np.bool_({self.condition(d)})",
                lambda: f"({a} {self.pick('&|^')} {self.of(kind, d)})",
                lambda: f"np.{self.pick(('isnan', 'isfinite', 'isinf'))}({self.of(self.pick(REAL), d)})",
                lambda: f"({a} {self.pick('+*')} {self.of(kind, d)})",
            ]
        b = lambda: self.other(kind, d)
        sides = (lambda sign: f"({a} {sign} {b()})", lambda sign: f"({b()} {sign} {a})")
        binary = lambda signs: self.pick(sides)(self.pick(signs))
        if kind in COMPLEX:
            part = REAL[COMPLEX.index(kind)]
            return [
                lambda: binary("+-*/"),
                lambda: f"({self.of(part, d)} + {self.of(part, d)} * 1j)",
                lambda: f"{self.pick(('np.conj(', '-(', '+('))}{a})",  # np.square's last bits depend on the CPU
                lambda: f"({a} ** {self.pick((0, 1, 2))})",
            ]
        functions = "minimum maximum fmin fmax".split()
        zero = "0" if kind in WHOLE else "0.0"  # which zero the less one is, is open
        both = [
            lambda: binary("+-*"),
            lambda: binary(("//", "%")),
            lambda: f"(np.{self.pick(functions[: None if kind in WHOLE else 2])}({a}, {self.of(kind, d)}) + {zero})",
            lambda: f"{self.pick(('min', 'max'))}({a}, {self.of(kind, d)})",
            lambda: f"{self.pick(('-', 'abs', '+', 'np.sign', 'np.absolute'))}({a})",
            lambda: f"divmod({a}, {self.of(kind, d)})[{self.small(0, 0)}]",
            lambda: f"np.clip({a}, {self.number(kind)}, {self.number(kind)})",
        ]
        if kind in REAL:
            more = [
                lambda: binary("+-*/"),
                lambda: f"np.{self.pick(('floor', 'ceil', 'trunc', 'rint', 'sqrt', 'fabs', 'square'))}({a})",
                lambda: f"np.copysign({a}, np.fmax({self.of(kind, d)}, -7.0))",  # the sign of nan is open
            ]
            if kind == "float64":
                more.append(lambda: f"({self.of(self.pick(WHOLE), d)} / {self.of(self.pick(WHOLE), d)})")
            else:
                more.append(lambda: f"({self.of('complex64', d)}).{self.pick(('real', 'imag'))}")
            return both + more
        return [
            *both,
            lambda: binary("&|^"),
            lambda: f"({a} {self.pick(('<<', '>>'))} {self.other(kind, d)})",
            lambda: f"({a} {self.pick(('<<', '>>'))} {self.pick((0, 1, 7, 8, 15, 31, 32, 63, 64, 100))})",
            lambda: f"({a} ** ({self.of(kind, d)} & {self.pick((1, 3, 7))}))",
            lambda: f"(~{a})",
        ]

    def condition(self, depth: int) -> str:
        d = max(0, depth - 1)
        sign = lambda: self.pick(("<", "<=", ">", ">=", "==", "!="))
        kind = self.pick(WHOLE + REAL)
        plain = [
            lambda: f"{self.of(kind, d)} {sign()} {self.of(self.pick(WHOLE + REAL), d)}",
            lambda: f"{self.of(kind, d)} {sign()} {self.pick((300, -1, 0, 2.5, 70000))}",
            lambda: f"{self.small()} {sign()} {self.small()}",
            lambda: f"{self.of(kind, d)} < {self.of(kind, d)} <= {self.of(kind, d)}",
            lambda: f"{self.of(self.pick(COMPLEX), d)} {self.pick(('==', '!='))} {self.of(self.pick(COMPLEX), d)}",
            lambda: self.of("bool_", d),
            lambda: f"{self.of(kind, d)} % 3",
        ]
        if depth <= 0:
            return self.pick(plain)()
        return self.pick((
            self.pick(plain),
            lambda: f"({self.condition(d)} {self.pick(('and', 'or'))} {self.condition(d)})",
            lambda: f"(not {self.condition(d)})",
        ))()  # fmt: skip

    # rows -------------------------------------------------------------------------------------------

    def whole_row(self) -> str:
        return self.pick(("X[i]", "Z[k - 1]", "Z[i % 5]", "X[i - 1]"))

    def row_value(self) -> str:
        """A row of `self.row`."""
        x, y, c = self.whole_row(), self.whole_row(), self.of(self.row, 1)
        return self.pick((
            f"{x} {self.pick('+-*')} {y}",
            f"({x} - {self.small()}) * {y} + {x}",
            f"np.where({x} > {y}, {x}, {c})",
            f"abs({x}) * {c}",
            f"np.sign({x}) * {y}",
            f"{x} % {y}",
        ))  # fmt: skip

    def row_of_its_own(self, name: str) -> list[str]:
        """A variable that holds a row, with a name for each: several rows in one are refused where they may differ."""
        self.named += 1
        row = f"row{self.named}"
        return [f"{row} = {self.row_value()}", f"{name} = {row}.{self.pick(('min', 'max'))}() + 0"]

    def loops_over_rows(self, own: random.Random) -> list[str]:
        """Some statements at the end, with draws of their own: loops over rows, generators, rows that are exchanged."""
        rows = ("X[i]", "Z[i % 5]", "X[i - 1]", "Z[2, ::-1]", "X[0] * Z[1]")
        x, y, z = own.choice(rows), own.choice(rows), own.choice(rows)
        part = own.choice(("Y[i, 0]", "Y[i, -1]", "Y[i][1]"))
        pairs = own.choice((f"zip({x}, {y})", f"zip({x}, reversed({y}))", f"zip({x}, {y}, strict=True)"))
        sign, fold = own.choice("+-*"), own.choice(("min", "max"))
        forms = (
            [f"for at, (one, two) in enumerate({pairs}, 1):", f"    Y[i, at - 1] = one {sign} two"],
            [f"for one, at in zip({x}, range(2, -1, -1)):", "    if one < 1:", "        continue",
             "    Y[i, at] = one"],
            [f"for (at, one), two in zip(enumerate(reversed({x})), {y}):", f"    Y[i, at] = two {sign} one * at"],
            [f"{part} = sum(a {sign} b for a, b in {pairs} if a != b)"],
            [f"{part} = {fold}((a for a in {x} if a > Z[0, 1]), default={part})"],
            [f"{part} = {fold}(a {sign} b for a, b in {pairs})"],
            [f"if any(a > b for a, b in {pairs}) and not all(a > b for a in {z} for b in Z[0]):", f"    {part} = 3"],
            [f"left, right = {x} * 1, {y} * 1", "for at in range(3):", f"    left, right = right, left {sign} right",
             "Y[i] = left"],
            [f"mine = {x} * 1", "mine[0], mine[2] = mine[2], mine[0]",
             f"Y[i, 1:], {part} = mine[:2] * 1, mine.{fold}() + 0"],
        )  # fmt: skip
        return [line for form in own.sample(forms, own.choice((0, 1, 2))) for line in form]

    def without_value(self, own: random.Random) -> list[str]:
        """Variables that are assigned under a condition, or in a loop that may not run, and read: they are zero there.

        In Python they are zero by lines that kernels do not have, see `load`.
        """
        lines = []
        tests = ("i % 3 == 1", "X[i, 0] > 1", "k > i", "i < 20", "not i % 2")
        for k in range(own.choice((0, 0, 1, 2, 3))):
            out = own.choice(list(self.outs))
            kind = self.outs[out]
            zero = f"np.{kind}(0)"
            value = own.choice([f"{name}[i]" for name, other in self.tables.items() if other == kind])
            begin = own.choice((f"if {own.choice(tests)}:", "for at in range(i % 3 - 1):"))
            zero, value, read = own.choice((
                (zero, value, f"p{k}"),
                ("0", "1", f"np.{kind}(p{k})"),
                ("False", "True", f"{value} if p{k} else {zero}"),
                (f"({zero}, 0)", f"({value}, 3)", f"p{k}[0] if p{k}[1] != 0 else np.{kind}(1)"),
                ("[0, 0, 0]", f"np.zeros(3); p{k}[i % 3] = 1", f"np.{kind}(p{k}[1])"),
            ))  # fmt: skip
            lines += [f"p{k} = {zero}{_PYTHONS}", f"{begin} p{k} = {value}"]
            lines += [f"if {own.choice(tests)}: {out}[i] = {read}"]
        return lines

    # statements -------------------------------------------------------------------------------------

    def statement(self, depth: int) -> list[str]:
        name = self.pick(list(self.variables))
        kind = self.variables[name]
        out = self.pick(list(self.outs))
        same = [other for other, own in self.outs.items() if own == self.outs[out]]
        pad = lambda lines: ["    " + line for line in lines]
        value, stored = self.of(kind, 2), self.of(self.outs[out], 1)
        simple = [
            lambda: [f"{name} = {value}"],
            lambda: [f"{name} = {value}"],
            lambda: [f"{out}[i] = {stored}"],
            lambda: [f"put({out}, i, {stored})"],
            lambda: [f"t = ({value}, ({self.small()}, {stored}))", f"{name} = t[0]", f"{out}[i] = t[1][1]"],
            lambda: [f"e, (f, g) = pair({value}, {self.of(kind, 1)})", f"{name} = g if {self.condition(1)} else f"],
            lambda: [f"{out}[i] = (z := {stored})", *([f"{out}[i] = z + z"] if self.outs[out] != "bool_" else [])],
            lambda: [f"if (q := {self.of('int32', 1)}) > 3:", f"    {name} = {value}", f"    {self.set_int('q')}"],
        ]
        if kind in NUMBERS:
            simple.append(lambda: [f"{name} {self.pick(('+=', '-=', '*='))} {self.other(kind, 1)}"])
        if self.outs[out] in WHOLE:
            simple.append(lambda: [f"{out}[i] {self.pick(('^=', '+=', '-=', '|='))} {self.of(self.outs[out], 1)}"])
        if len(same) > 1:
            x, y = same[:2]
            simple += [
                lambda: [f"w0 = {x} if {self.condition(1)} else {y}", f"w0[i] = {stored}"],
                lambda: [f"({x} if {self.condition(1)} else {y})[i] = {stored}"],
                lambda: [f"choose({x}, {y}, {self.condition(1)})[i] = {stored}"],
                lambda: [f"pair({x}, {y})[1][{self.small(0, 0)}][i] = {stored}"],
                lambda: [f"({x}, {y})[1][i] = {stored}"],
                lambda: [f"put(({x}, {y})[{self.small(0, 0)}], i, {stored})"],
            ]
        if kind == self.row:
            simple += [
                lambda: self.row_of_its_own(name),
                lambda: [f"Y[i] = {self.row_value()}"],
                lambda: [f"d0, d1, d2 = {self.whole_row()}", f"{name} = d1 - d2"],
            ]
        if kind == "int64":
            simple.append(lambda: [f"{name} = np.int64({self.whole_row()}.{self.pick(('argmin', 'argmax'))}())"])
        if not depth or self.chance() < 0.7:
            return self.pick(simple)()
        inner = lambda: pad([line for _ in range(self.pick((1, 2))) for line in self.statement(depth - 1)])
        form = self.pick(("if", "else", "for", "while"))
        if form in ("if", "else"):
            lines = [f"if {self.condition(1)}:", *inner()]
            return lines if form == "if" else [*lines, "else:", *inner()]
        self.loops += 1
        counter, n = f"n{self.loops}", self.random.randint(0, 4)
        if form == "while":
            return [f"{counter} = {n}", f"while {counter} > 0:", f"    {counter} -= 1", *inner()]
        ranges = ((f"{n}", 0, n), (f"{n}, -2, -1", -1, n), (f"-3, {n}, 2", -3, n), ("i % 4", 0, 3))
        bounds, low, high = self.pick(ranges)
        self.weak.append(Weak(counter, low, high))
        leave = [f"    if {self.condition(0)}:", f"        {self.pick(('break', 'continue'))}"]
        lines = [f"for {counter} in range({bounds}):", *(leave if self.chance() < 0.4 else []), *inner()]
        self.weak.pop()
        return lines

    def set_int(self, name: str) -> str:
        found = [own for own, kind in self.variables.items() if kind == "int32"]
        return f"{found[0]} = {name}" if found else "pass"


def values(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Numbers of a dtype: a third of them at its limits."""
    if kind == "bool_":
        return rng.integers(0, 2, shape).astype(bool)
    if kind in COMPLEX:
        part = REAL[COMPLEX.index(kind)]
        made = np.empty(shape, kind)
        made.real, made.imag = values(part, shape, rng), values(part, shape, rng)
        return made
    if kind in REAL:
        with np.errstate(over="ignore"):
            limits, common = np.array(_SPECIAL).astype(kind), (rng.integers(-999, 999, shape) / 8).astype(kind)
    else:
        info = np.iinfo(kind)
        limits = np.array([info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2], kind)
        common = rng.integers(info.min, info.max, shape, kind, endpoint=True)
        common = np.where(rng.random(shape) < 0.5, common, rng.integers(0, 9, shape).astype(kind))
    return np.where(rng.random(shape) < 0.35, rng.choice(limits, shape), common)


def arguments(arrays: dict[str, tuple[str, tuple[int, ...]]]) -> list:
    """The arguments of a kernel: arrays, an int and a float of Python's, and a number of NumPy's."""
    rng = np.random.default_rng(7)
    return [*(values(kind, shape, rng) for kind, shape in arrays.values()), 5, -1.75, np.int16(-32768)]


def load(text: str, folder: Path):
    file = folder / f"fuzz_{abs(hash(text)):x}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    made = importlib.util.module_from_spec(spec)
    with np.errstate(all="ignore"):
        spec.loader.exec_module(made)
    return made.kernel


def expected(function, arguments: list, n: int = N) -> None:
    """What plain Python makes of it, element by element, on NumPy's scalars."""
    with np.errstate(all="ignore"):
        for i in range(n):
            function(i, *arguments)


def differences(text: str, arrays: dict, folder: Path, policies: list) -> str:
    """What policies make of a kernel that Python does not; empty if they agree."""
    want = arguments(arrays)
    expected(load(text, folder), want)
    function = load("\n".join(line for line in text.split("\n") if not line.endswith(_PYTHONS)), folder)
    for policy in policies:
        got = arguments(arrays)
        try:
            pp.for_each(policy, N, function, *got)
        except pp.PortaparError as error:
            return f"{policy!r}: {type(error).__name__}: {error}"
        for name, x, y in zip(arrays, got, want, strict=False):
            parts = [(x.real, y.real), (x.imag, y.imag)] if x.dtype.kind == "c" else [(x, y)]
            for a, b in parts:
                same = a == b
                if a.dtype.kind == "f":
                    same = np.where(same, np.signbit(a) == np.signbit(b), np.isnan(a) & np.isnan(b))
                if not same.all():
                    at = tuple(int(k[0]) for k in np.nonzero(~same))
                    return f"{policy!r}: {name}{list(at)} is {x[at]!r}, and {y[at]!r} in Python"
    return ""


def reduced(text: str, fails) -> str:
    """A text that still fails, without the lines that it can do without."""
    lines = text.split("\n")
    first = next(k for k, line in enumerate(lines) if line.startswith("def kernel")) + 1
    width = len(lines)
    while width:
        k = first
        while k < len(lines):
            left = lines[:k] + lines[k + width :]
            if fails("\n".join(left)):
                lines = left
            else:
                k += width
        width //= 2
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="the first kernel's number")
    parser.add_argument("--count", type=int, default=100, help="how many kernels")
    parser.add_argument("--on", nargs="+", default=["threads:2", "simd", "opencl:0"], help="executors")
    parser.add_argument("--reduce", action="store_true", help="leave out what a failing kernel can do without")
    given = parser.parse_args()
    policies, failed = [pp.par.on(pp.executor(name)) for name in given.on], 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seed, given.seed + given.count):
            made = Writer(str(seed))
            found = differences(made.text, made.arrays, Path(folder), policies)
            if found:
                failed += 1
                text = made.text
                if given.reduce:
                    text = reduced(text, lambda text, made=made: _fails(text, made.arrays, Path(folder), policies))
                    found = differences(text, made.arrays, Path(folder), policies)
                print(f"seed {seed}: {found}\n{text}", flush=True)
    print(f"{given.count} kernels, {failed} of them wrong")
    return bool(failed)


def _fails(text: str, arrays: dict, folder: Path, policies: list) -> bool:
    try:
        return bool(differences(text, arrays, folder, policies))
    except Exception:  # noqa: BLE001 - a text that Python does not run is no reduced one
        return False


if __name__ == "__main__":
    sys.exit(main())
