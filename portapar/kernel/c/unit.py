"""A unit of C text: the types, constants and helpers that the functions in it have asked for."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba.core import types

from portapar.kernel.c.dialect import HELPERS, Dialect
from portapar.kernel.c.intervals import EXTENTS
from portapar.kernel.c.vecmath import MATH, math_text
from portapar.kernel.jit.messages import ARRAY_AS_A_WHOLE
from portapar.kernel.jit.typing import dtype_of

__all__ = ["GLOBAL", "PRIVATE", "SHARED", "VIEW", "RenderFailure", "Unit", "scalar_name", "strip"]

# Where the elements of an array live, and how its rows are numbered.
GLOBAL = "g"  # an argument of the entry: device memory, possibly the rows from `first` on of a larger array
VIEW = "v"  # a part of such an argument: device memory
UNALIGNED = "u"  # an array inside a packed record: device memory, its numbers not at their alignment
PRIVATE = "p"  # an array of the work-item's own
SHARED = "l"  # one that the work-items of a group share


_OPERATIONS = re.compile(r"[-+*/%&|^]|[<>=!]+|\[|\bFMA\b")
_CALLS = re.compile(r"\b(\w+)\(")


class RenderFailure(Exception):
    """A typed kernel that uses what C text cannot express.

    Attributes
    ----------
    line : int
        Line in the text that was typed (0 when unknown).
    message : str
        What is not possible, and what to write instead.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


def strip(numba_type: types.Type) -> types.Type:
    """A type without its literal value, tuples included."""
    numba_type = types.unliteral(numba_type)
    if isinstance(numba_type, types.BaseAnonymousTuple):
        return types.Tuple(tuple(strip(t) for t in numba_type.types))
    return numba_type


def scalar_name(numba_type: types.Type) -> str | None:
    """The short C name of a number type, or None if it is no number that kernels know."""
    numba_type = strip(numba_type)
    if isinstance(numba_type, types.Boolean):
        return "bool"
    if isinstance(numba_type, types.Integer) and numba_type.bitwidth <= 64:
        return ("i" if numba_type.signed else "u") + str(numba_type.bitwidth)
    if numba_type in (types.float32, types.float64):
        return f"f{numba_type.bitwidth}"
    if isinstance(numba_type, types.Complex):
        return f"c{numba_type.bitwidth}"
    return None


def _component(ctype: str) -> str:
    return "f32" if ctype == "c64" else "f64"


@dataclass(frozen=True)
class Cost:
    """How many operations there are in a text, how many elements it reads or writes, and how many of these anywhere."""

    steps: float = 0.0
    elements: float = 0.0
    anywhere: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.steps + other.steps, self.elements + other.elements, self.anywhere + other.anywhere)

    def __mul__(self, count: float) -> Cost:
        return Cost(*(n * count if n else 0.0 for n in (self.steps, self.elements, self.anywhere)))


@dataclass
class Unit:
    """Collects declarations in the order in which they were first needed."""

    dialect: Dialect
    extent: int = EXTENTS[0]  # see `Intervals`
    line: int = 0  # of the statement being rendered, for messages
    declarations: dict[str, str] = field(default_factory=dict)
    instances: dict[Any, str] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    used_scalars: set[str] = field(default_factory=set)
    tuples: dict[Any, str] = field(default_factory=dict)
    records: dict[Any, str] = field(default_factory=dict)
    loose: set[Any] = field(default_factory=set)  # records that lie unaligned in another one
    pragmas: dict[str, str] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)  # of functions
    interleave: int = 0  # how many vectors of indices should be under way at a time; 0: the compiler decides

    def cost(self, text: str) -> Cost:
        """What there is in a statement, roughly, with the functions that it calls."""
        called = [self.costs[name] for name in _CALLS.findall(text) if name in self.costs]
        return sum(called, Cost(len(_OPERATIONS.findall(text)), text.count(".data["), text.count("wrap(")))

    def fail(self, message: str) -> RenderFailure:
        """The exception for what is wrong with the present statement."""
        return RenderFailure(self.line, message)

    # -- types ---------------------------------------------------------------------------------------

    def scalar(self, numba_type: types.Type) -> str:
        """The C name of a number type."""
        name = scalar_name(numba_type)
        if name is None:
            if isinstance(numba_type, types.Array):
                raise self.fail(f"{ARRAY_AS_A_WHOLE[0]}; {ARRAY_AS_A_WHOLE[1]}")
            hint = "; use float32" if numba_type == types.float16 else ""
            raise self.fail(f"values of type {numba_type} are not possible on this device{hint}")
        return self.use(name)

    def use(self, name: str) -> str:
        """Declare a number type by its short name."""
        if name in ("c64", "c128"):
            part = self.use(_component(name))
            self.declarations.setdefault(name, f"typedef struct {{ {part} re, im; }} {name};")
            self.declarations.setdefault(
                f"{name}_make",
                f"DEVICE {name} {name}_make({part} re, {part} im) {{ {name} z; z.re = re; z.im = im; return z; }}",
            )
        self.used_scalars.add(name)
        return name

    def memory(self, numba_type: types.Type) -> str:
        """The C type of an array's element: as `value`, but a bool is a byte and a record a struct."""
        if isinstance(numba_type, types.Record):
            return self.record(numba_type)
        name = self.scalar(numba_type)
        return self.use("u8") if name == "bool" else name

    def value(self, numba_type: types.Type, space: str = GLOBAL) -> str:
        """The C type of a variable."""
        numba_type = strip(numba_type)
        if isinstance(numba_type, types.NoneType):
            return "void"
        if isinstance(numba_type, types.Array):
            return self.array(numba_type, space)
        if isinstance(numba_type, types.Record):
            return f"{self.qualifier(space)}{self.record(numba_type)}*"
        if isinstance(numba_type, types.BaseTuple):
            return self.tuple(numba_type)
        return self.scalar(numba_type)

    def qualifier(self, space: str) -> str:
        """The address space of what a pointer points to."""
        if space == SHARED:
            return self.dialect.group[1] and f"{self.dialect.group[1]} "
        return "" if space == PRIVATE else "GLOBAL "

    def function_name(self, name: str) -> str:
        """A new name for a kernel function: no other one ends like these, see `variable_name`."""
        base = identifier(name)
        taken = set(self.instances.values())
        return next(n for k in itertools.count(1) if (n := f"{base}_f{k if k > 1 else ''}") not in taken)

    def tuple(self, numba_type: types.BaseTuple) -> str:
        """A struct with fields f0, f1, … or, if all elements are alike, one array f."""
        members = [self.value(t) for t in numba_type.types]
        uniform = self.uniform(numba_type)
        key = (*members, uniform)
        if key in self.tuples:
            return self.tuples[key]
        name = self.tuples[key] = f"tuple{len(self.tuples)}"
        if not members:
            fields = "i32 empty;"
        elif uniform:
            fields = f"{members[0]} f[{len(members)}];"
        else:
            fields = " ".join(f"{m} f{k};" for k, m in enumerate(members))
        self.declarations[name] = f"typedef struct {{ {fields} }} {name};"
        parameters = ", ".join(f"{m} x{k}" for k, m in enumerate(members))
        assign = " ".join(f"t.{self.member(numba_type, k)} = x{k};" for k in range(len(members)))
        self.declarations[f"{name}_make"] = (
            f"DEVICE {name} {name}_make({parameters}) {{ {name} t; {assign or 't.empty = 0;'} return t; }}"
        )
        return name

    @staticmethod
    def uniform(numba_type: types.BaseTuple) -> bool:
        """Whether a tuple's struct is an array, so that it can be indexed by a variable."""
        return len({strip(t) for t in numba_type.types}) == 1

    def member(self, numba_type: types.BaseTuple, k: int) -> str:
        """The struct's field of a tuple's element."""
        return f"f[{k}]" if self.uniform(numba_type) else f"f{k}"

    def array(self, numba_type: types.Array, space: str) -> str:
        """A struct of data pointer, extents n0…, strides s0… in elements if not contiguous, and first row."""
        if numba_type.layout not in "CA" or numba_type.ndim == 0:
            raise self.fail(f"arrays of type {numba_type} are not possible here; pass C-contiguous arrays")
        element, pointer = self.memory(numba_type.dtype), self.pointer(numba_type.dtype, space)
        name = f"array{numba_type.ndim}{numba_type.layout}_{element}_{space}".lower()
        axes = range(numba_type.ndim)
        fields = [f"i64 n{k};" for k in axes]
        if numba_type.layout == "A":
            fields += [f"i64 s{k};" for k in axes]
        if space == GLOBAL:
            fields.append("i64 first;")
        self.declarations.setdefault(name, f"typedef struct {{ {pointer} data; {' '.join(fields)} }} {name};")
        return name

    def pointer(self, element: types.Type, space: str) -> str:
        """The type of a pointer to elements of an array."""
        ctype = self.memory(element)
        if space == UNALIGNED:  # compilers for CUDA heed the alignment of structs, not that of numbers
            name, ctype = ctype, f"{ctype}_unaligned"
            self.declarations.setdefault(
                ctype, f"typedef struct __attribute__((packed, aligned(1))) {{ {name} v; }} {ctype};"
            )
        return f"{self.qualifier(space)}{ctype}*"

    def record(self, numba_type: types.Record) -> str:
        """A struct with NumPy's exact offsets: padding is written out, alignment is the fields' own."""
        key = numba_type
        if key in self.records:
            return self.records[key]
        name = f"record{len(self.records)}"
        self.records[key] = name
        fields, offset, pad = [], 0, 0
        for label in by_offset(numba_type):
            member = numba_type.fields[label]
            if member.offset < offset:
                raise self.fail(f"the fields of the record overlap at `{label}`")
            if member.offset > offset:
                fields.append(f"{self.use('u8')} pad{pad}[{member.offset - offset}];")
                pad += 1
            inner, dimensions, count = member.type, "", 1
            if isinstance(inner, types.NestedArray):
                dimensions, count = "".join(f"[{n}]" for n in inner.shape), math.prod(inner.shape)
                inner = inner.dtype
            size = dtype_of(inner).itemsize
            if scalar_name(inner) is None and not isinstance(inner, types.Record):
                dimensions, inner = f"{dimensions}[{size}]", types.uint8  # text and the like, which no kernel reads
            fields.append(f"{self.memory(inner)} {field_name(numba_type, label)}{dimensions};")
            offset = member.offset + size * count
        if numba_type.size > offset:
            fields.append(f"{self.use('u8')} pad{pad}[{numba_type.size - offset}];")
        aligned = _alignment(numba_type)
        self.declarations[name] = (
            f"typedef struct __attribute__((packed, aligned({aligned}))) {{ {' '.join(fields)} }} {name};"
        )
        if aligned == 1:
            self._loosen(numba_type)
        return name

    def _loosen(self, record: types.Record) -> None:
        """Take the records inside of an unaligned one to be unaligned wherever they are."""
        for inner in (member.type for member in record.fields.values()):
            if isinstance(inner, types.Record) and inner not in self.loose and _alignment(inner) > 1:
                self.loose.add(inner)
                name = self.records[inner]
                self.declarations[name] = re.sub(r"aligned\(\d+\)", "aligned(1)", self.declarations[name])
                self._loosen(inner)

    def aligned(self, record: types.Record, inner: types.NestedArray) -> bool:
        """Whether the numbers of an array inside a record lie at their own alignment, where pointers need them."""
        return self._alignment(record) >= dtype_of(inner).alignment

    def _alignment(self, record: types.Record) -> int:
        return 1 if record in self.loose else _alignment(record)

    # -- values --------------------------------------------------------------------------------------

    def constant(self, value: Any, numba_type: types.Type) -> str:
        """A Python or NumPy value as a C constant of a type, exactly."""
        numba_type = strip(numba_type)
        if isinstance(numba_type, types.BaseTuple):
            parts = [self.constant(v, t) for v, t in zip(value, numba_type.types, strict=True)]
            return f"{self.tuple(numba_type)}_make({', '.join(parts)})"
        ctype = self.scalar(numba_type)
        if ctype == "bool":
            return "true" if value else "false"
        if ctype[0] == "c":
            part = types.float32 if ctype == "c64" else types.float64
            number = complex(value)
            return f"{ctype}_make({self.constant(number.real, part)}, {self.constant(number.imag, part)})"
        if ctype[0] == "f":
            with np.errstate(over="ignore"):  # 1e300 is infinite then, as it is in NumPy
                return _float_text(float(np.float32(value)) if ctype == "f32" else float(value), ctype)
        width, signed = int(ctype[1:]), ctype[0] == "i"
        number = int(value) & ((1 << width) - 1)
        if signed and number >> (width - 1):
            number -= 1 << width
        if not signed:
            return f"{number}u" if width <= 32 else f"(u64){number}u" if number < 2**32 else f"{number}ul"
        if number == -(1 << (width - 1)):
            return f"(-{2**63 - 1}l - 1)" if width == 64 else f"({number + 1} - 1)"
        text = f"{number}" if abs(number) < 2**31 else f"{number}l"
        return f"({text})" if number < 0 else text

    def cast(self, text: str, source: types.Type, target: types.Type) -> str:
        """A value converted to another type, by Numba's rules."""
        source, target = strip(source), strip(target)
        if source == target or isinstance(target, types.NoneType):
            return text
        if isinstance(source, types.BaseTuple) and isinstance(target, types.BaseTuple):
            return f"{self._tuple_cast(source, target)}({text})"
        if isinstance(source, types.Array) and isinstance(target, types.Array):
            if (source.dtype, source.ndim, source.layout) == (target.dtype, target.ndim, target.layout):
                return text
            raise self.fail(f"an array of type {source} cannot stand for one of type {target}")
        a, b = self.scalar(source), self.scalar(target)
        if b == "bool":
            return f"({text}.re != 0 || {text}.im != 0)" if a[0] == "c" else f"({text} != 0)"
        if a[0] == "c" and b[0] == "c":
            self.declarations.setdefault(
                f"{b}_from_{a}",
                f"DEVICE {b} {b}_from_{a}({a} z) {{ return {b}_make(({_component(b)})z.re, ({_component(b)})z.im); }}",
            )
            return f"{b}_from_{a}({text})"
        if b[0] == "c":
            return f"{b}_make(({_component(b)}){text}, 0)"
        if a[0] == "c":
            raise self.fail("a complex number cannot become a real one; take its .real or abs()")
        if a[0] == "f" and b[0] in "iu":
            # C says nothing of a negative number, or a large one, as an unsigned or narrow one: NumPy's loses digits.
            if b == "u64":
                return f"{self.helper('unsigned_of', a)}({text})"
            return f"({b}){'' if b in ('i64', 'i32') else '(i64)' if b == 'u32' else '(i32)'}{text}"
        return f"({b}){text}"

    def _tuple_cast(self, source: types.BaseTuple, target: types.BaseTuple) -> str:
        a, b = self.tuple(source), self.tuple(target)
        name = f"{b}_from_{a}"
        if name not in self.declarations:
            pairs = enumerate(zip(source.types, target.types, strict=True))
            parts = [self.cast(f"t.{self.member(source, k)}", s, t) for k, (s, t) in pairs]
            self.declarations[name] = f"DEVICE {b} {name}({a} t) {{ return {b}_make({', '.join(parts)}); }}"
        return name

    def helper(self, name: str, ctype: str = "i64") -> str:
        """Declare a helper function for a type; its C name."""
        instance = name if name in ("wrap", "clamp") else f"{name}_{ctype}"
        if instance not in self.declarations:
            unsigned = "u64" if ctype.endswith("64") else "u32"
            text = HELPERS[name].replace("@N", instance).replace("@T", ctype).replace("@U", unsigned)
            text = re.sub(r"@H\((\w+)\)", lambda m: self.helper(m[1], ctype), text)
            text = text.replace("@R", _component(ctype)) if ctype[0] == "c" else text
            part = _component(ctype) if ctype[0] == "c" else ctype
            text = re.sub(r"@F\((\w+)\)", lambda m: self.math(m[1], part), text)
            self.declarations[instance] = text
        return instance

    def math(self, name: str, ctype: str) -> str:
        """The C name of a function of mathematics for f32 or f64; it is declared if it is one of our own."""
        if name not in self.dialect.own:
            return self.dialect.math(name, ctype)
        return self._vector_math(name, ctype) if self.dialect.serial else self.helper(name, ctype)

    def _vector_math(self, name: str, ctype: str = "f64") -> str:
        instance = f"{name}_{ctype}"
        if instance not in self.declarations:
            text = math_text(name).replace("@N", instance)
            text = re.sub(r"@H\((\w+)\)", lambda m: self._vector_math(m[1]), text)
            if ctype == "f32":
                names = re.findall(r"f64 (\w+)[,)]", text.partition("{")[0])
                given = ", ".join(f"f32 {x}" for x in names)
                text = f"DEVICE f32 {instance}({given}) {{ return {self._vector_math(name)}({', '.join(names)}); }}"
            self.use("f64")
            self.costs[instance] = self.cost(text)
            instead = f"\n#else\n#define {instance} {name}" if name in MATH else ""
            self.declarations[instance] = f"#ifdef FUSED\n{text}{instead}\n#endif"
        return instance

    def text(self) -> str:
        """The whole unit."""
        words, preamble = dict(self.dialect.types), self.dialect.preamble
        if "f64" in self.used_scalars:
            preamble += self.dialect.float64_preamble
        else:
            del words["f64"]
        typedefs = [f"typedef {full} {short};" for short, full in words.items()]
        parts = [*self.pragmas.values(), preamble.strip(), *typedefs, "", *self.declarations.values(), ""]
        return "\n".join([*parts, *self.functions])


def by_offset(record: types.Record) -> list[str]:
    """The names of a record's fields in the order in which they lie in memory."""
    return sorted(record.fields, key=lambda label: record.fields[label].offset)


def field_name(record: types.Record, label: str) -> str:
    """A record's field as a C identifier: its place, since names may be any text."""
    return f"f{by_offset(record).index(label)}"


def variable_name(label: str) -> str:
    """A variable of a kernel as a C identifier.

    It ends in an underscore and begins with none, so that it is no word or macro of C and none of our own names.
    """
    return identifier(label) + "_"


def identifier(name: str) -> str:
    """A name as one of C's, without underscores at its ends."""
    base = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_")
    return base if base[:1].isalpha() else f"v{base}"


def _alignment(record: types.Record) -> int:
    """The largest alignment that every field of the record has in every element of an array."""
    alignment = 1
    for member in record.fields.values():
        inner = member.type.dtype if isinstance(member.type, types.NestedArray) else member.type
        own = _alignment(inner) if isinstance(inner, types.Record) else dtype_of(inner).alignment
        if member.offset % own or record.size % own:
            return 1
        alignment = max(alignment, own)
    return alignment


def _float_text(value: float, ctype: str) -> str:
    suffix = "f" if ctype == "f32" else ""
    if math.isnan(value):
        return f"AS_F{ctype[1:]}({'0x7fc00000' if suffix else '0x7ff8000000000000l'})"
    if math.isinf(value):
        text = f"AS_F{ctype[1:]}({'0x7f800000' if suffix else '0x7ff0000000000000l'})"
    else:
        text = repr(abs(float(value))) if not suffix else repr(float(abs(np.float32(value))))
        text = (text if "." in text or "e" in text else text + ".0") + suffix
    return f"(-{text})" if math.copysign(1.0, value) < 0 else text
