"""Places in memory: elements and rows of arrays, fields of records, and where each array lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba.core import ir, types

from portapar.kernel.c.intervals import Interval
from portapar.kernel.c.temporaries import Temporaries
from portapar.kernel.c.text import enclosed
from portapar.kernel.c.unit import GLOBAL, PRIVATE, UNALIGNED, VIEW, Unit, field_name, strip
from portapar.kernel.jit.typing import TypedFunction, dtype_of


class Memory(Temporaries):
    """Reads and writes what variables point to.

    Parameters
    ----------
    unit, typed, known
        See `Temporaries`.
    spaces : tuple of str
        Where each array argument lives.
    """

    def __init__(
        self, unit: Unit, typed: TypedFunction, known: tuple[Interval | None, ...], spaces: tuple[str, ...]
    ) -> None:
        super().__init__(unit, typed, known)
        self.argument_spaces = spaces
        self.spaces = self._find_spaces()
        self.places: dict[str, str] = {}

    def _find_spaces(self) -> dict[str, str]:
        """Where the array or record in each variable lives."""
        spaces: dict[str, str] = {}
        typemap = self.typed.typemap
        changed = True
        while changed:
            changed = False
            for name, values in self.intervals.values.items():
                if not isinstance(typemap.get(name), types.Array | types.Record):
                    continue
                for value in values:
                    space = self._space_of(value, spaces)
                    if space is None:
                        continue
                    if spaces.get(name, space) != space:
                        told = "an array" if name.startswith("$") else f"`{name.partition('.')[0]}`"
                        raise self.unit.fail(f"{told} is now one kind of array and now another; use two names")
                    changed |= name not in spaces
                    spaces[name] = space
        return spaces

    def _space_of(self, value: Any, spaces: dict[str, str]) -> str | None:
        if isinstance(value, ir.Arg):
            return self.argument_spaces[value.index]
        if isinstance(value, ir.Var):
            return spaces.get(value.name)
        if isinstance(value, ir.Expr):
            if value.op in ("getitem", "static_getitem", "getattr", "cast"):
                owner, space = self.typed.typemap[value.value.name], spaces.get(value.value.name)
                if isinstance(owner, types.BaseTuple):
                    return self._space_in_tuple(value, spaces)
                if isinstance(owner, types.Record) and value.op != "cast":
                    return self._space_inside(owner, value.attr if value.op == "getattr" else value.index)
                return VIEW if space == GLOBAL and value.op != "cast" else space
            if value in self.typed.callees and isinstance(self.typed.callees[value].return_type, types.Array):
                made = self.typed.callees[value].return_type
                given = {spaces.get(a.name) for a in value.args if self.typed.typemap[a.name] == made}
                return given.pop() if len(given) == 1 else None
            if value.op == "call":  # a private array, or a record, which is never private
                return VIEW if isinstance(self.typed.calltypes[value].return_type, types.Record) else PRIVATE
        return None

    def _space_in_tuple(self, value: ir.Expr, spaces: dict[str, str]) -> str | None:
        """Where an array that is taken out of a tuple lives; those that are passed on and returned hold global ones."""
        made = self.intervals.values.get(value.value.name, [])
        if len(made) == 1 and isinstance(made[0], ir.Expr) and made[0].op == "build_tuple":
            items = made[0].items
            index = value.index if value.op == "static_getitem" else None
            items = [items[index]] if isinstance(index, int) and -len(items) <= index < len(items) else items
            found = {spaces.get(item.name) for item in items if isinstance(self.typed.typemap[item.name], types.Array)}
            return found.pop() if len(found) == 1 else None
        return GLOBAL

    def _space_inside(self, owner: types.Record, label: Any) -> str:
        """Where an array inside a record lives."""
        inner = owner.fields[label].type if isinstance(label, str) else None
        return VIEW if not isinstance(inner, types.NestedArray) or self.unit.aligned(owner, inner) else UNALIGNED

    def components(self, index: ir.Var | None, constant: Any) -> list[tuple[str, bool]]:
        """Texts of an index's components, and whether each needs no wrap-around."""
        if constant is not None and isinstance(constant, int | tuple):
            items = constant if isinstance(constant, tuple) else (constant,)
            if all(isinstance(k, int) for k in items):
                return [(self.unit.constant(k, types.int64), k >= 0) for k in items]
        if index is None:
            raise self.unit.fail("arrays are indexed by integers in a kernel; write a loop for slices")
        kept = self.indices.get(index.name) or self.tuples.pop(index.name, None)
        if kept is not None:
            return [component for item in kept for component in self.components(item, None)]
        numba_type = strip(self.type_of(index))
        if isinstance(numba_type, types.Integer):
            return [(self.read_as(index, types.int64), self.intervals.nonnegative(index))]
        if isinstance(numba_type, types.BaseTuple) and all(isinstance(t, types.Integer) for t in numba_type.types):
            text = self.read(index)
            return [
                (self.unit.cast(f"{text}.{self.unit.member(numba_type, k)}", t, types.int64), not t.signed)
                for k, t in enumerate(numba_type.types)
            ]
        raise self.unit.fail("arrays are indexed by integers in a kernel; write a loop for slices and masks")

    def element(self, array: ir.Var, index: ir.Var | None, constant: Any = None) -> tuple[str, int]:
        """The offset of an element or row from an array's data, and the number of axes used."""
        numba_type = self.type_of(array)
        components = self.components(index, constant)
        if len(components) > numba_type.ndim:
            raise self.unit.fail(f"{len(components)} indices for an array with {numba_type.ndim} axes")
        text, unit = self.read(array), self.unit
        space = self.spaces.get(array.name, GLOBAL)
        offset = ""
        for axis in range(numba_type.ndim):
            term = ""
            if axis < len(components):
                term, nonnegative = components[axis]
                if not nonnegative:
                    term = f"{unit.helper('wrap')}({term}, {text}.n{axis})"
                if axis == 0 and space == GLOBAL:
                    term = f"({term} - {text}.first)"
            if numba_type.layout == "C" and offset:
                offset = f"{offset if enclosed(offset) else f'({offset})'} * {text}.n{axis}"
            elif numba_type.layout == "A" and term:
                term = f"{term} * {text}.s{axis}"
            offset = f"{offset} + {term}" if offset and term not in ("", "0") else offset or term
        return offset or "0", len(components)

    def load(self, array: ir.Var, index: ir.Var | None, constant: Any, result: types.Type) -> tuple[str, bool, bool]:
        numba_type = self.type_of(array)
        if isinstance(constant, str):
            return self.column(array, constant, result), False, False
        offset, used = self.element(array, index, constant)
        if used < numba_type.ndim:
            return self.row(array, offset, used, result), False, False
        if isinstance(numba_type.dtype, types.Record):
            return f"({self.read(array)}.data + {offset})", False, False
        place = self.place(array, offset)
        return (f"({place} != 0)" if isinstance(numba_type.dtype, types.Boolean) else place), True, False

    def column(self, array: ir.Var, label: str, result: types.Array) -> str:
        """A field of all records of an array, as an array."""
        owner, text, unit = self.type_of(array), self.read(array), self.unit
        inner = owner.dtype.fields[label].type
        if isinstance(inner, types.Record | types.NestedArray):
            raise unit.fail(f"take the element first: a[i][{label!r}] instead of a[{label!r}][i]")
        width = dtype_of(inner).itemsize
        if not unit.aligned(owner.dtype, inner) or owner.dtype.size % width:
            raise unit.fail("this field is not aligned in its record; make the dtype with np.dtype(…, align=True)")
        space = self.spaces.get(array.name, GLOBAL)
        data = f"({text}.data - {text}.first)" if space == GLOBAL else f"{text}.data"
        pointer = f"({unit.pointer(inner, VIEW)})&{data}->{field_name(owner.dtype, label)}"
        strides: list[str] = []
        step = f"{owner.dtype.size // width}"
        for k in reversed(range(owner.ndim)):
            strides.insert(0, f"{text}.s{k} * {step}" if owner.layout == "A" else step)
            step = f"{step} * {text}.n{k}"
        return self.make_array(result, VIEW, [pointer, *(f"{text}.n{k}" for k in range(owner.ndim)), *strides])

    def place(self, array: ir.Var, offset: str) -> str:
        """An element of an array by its offset."""
        place = f"{self.read(array)}.data[{offset}]"
        return f"{place}.v" if self.spaces.get(array.name) == UNALIGNED else place

    def row(self, array: ir.Var, offset: str, used: int, result: types.Array) -> str:
        source, text = self.type_of(array), self.read(array)
        space = self.spaces.get(array.name, GLOBAL)
        extents = [f"{text}.n{k}" for k in range(used, source.ndim)]
        if source.layout == "A":
            extents += [f"{text}.s{k}" for k in range(used, source.ndim)]
        return self.make_array(result, VIEW if space == GLOBAL else space, [f"{text}.data + {offset}", *extents])

    def item(self, container: ir.Var, position: str) -> str:
        """The element of a 1-D array or tuple at a position that is known to be inside."""
        numba_type, text = strip(self.type_of(container)), self.read(container)
        if isinstance(numba_type, types.BaseTuple):
            return f"{text}.f[{position}]"
        if numba_type.ndim != 1 or isinstance(numba_type.dtype, types.Record):
            raise self.unit.fail("a kernel loops over 1-D arrays of numbers; index with range(len(a)) instead")
        row = position if self.spaces.get(container.name, GLOBAL) != GLOBAL else f"({position} - {text}.first)"
        load = self.place(container, f"{row}{f' * {text}.s0' if numba_type.layout == 'A' else ''}")
        return f"({load} != 0)" if isinstance(numba_type.dtype, types.Boolean) else load

    def make_array(self, numba_type: types.Array, space: str, parts: Sequence[str]) -> str:
        """An array struct from its data pointer, extents and strides."""
        unit = self.unit
        ctype = unit.array(numba_type, space)
        labels = ["data", *(f"n{k}" for k in range(numba_type.ndim))]
        labels += [f"s{k}" for k in range(numba_type.ndim)] if numba_type.layout == "A" else []
        kinds = [unit.pointer(numba_type.dtype, space)] + ["i64"] * (len(labels) - 1)
        parameters = ", ".join(f"{kind} {label}" for kind, label in zip(kinds, labels, strict=True))
        assign = " ".join(f"a.{label} = {label};" for label in labels)
        unit.declarations.setdefault(
            f"{ctype}_make", f"DEVICE {ctype} {ctype}_make({parameters}) {{ {ctype} a; {assign} return a; }}"
        )
        return f"{ctype}_make({', '.join(parts)})"

    def field(self, record: ir.Var, label: str, result: types.Type) -> tuple[str, bool, bool]:
        member = f"{self.read(record)}->{field_name(self.type_of(record), label)}"
        owner = self.type_of(record)
        inner = owner.fields[label].type
        if isinstance(inner, types.Record):
            return f"(&{member})", False, False
        if isinstance(inner, types.NestedArray):
            space = VIEW if isinstance(inner.dtype, types.Record) else self._space_inside(owner, label)
            first = "[0]" * len(inner.shape)
            pointer = f"({self.unit.pointer(inner.dtype, space)})&{member}{first}"
            array = types.Array(inner.dtype, inner.ndim, "C")
            return self.make_array(array, space, [pointer, *(str(n) for n in inner.shape)]), False, False
        return (f"({member} != 0)" if isinstance(inner, types.Boolean) else member), True, False

    def store(self, target: ir.Var, index: ir.Var | None, constant: Any, value: ir.Var) -> None:
        owner = strip(self.type_of(target))
        if isinstance(owner, types.Record) and isinstance(constant, str):
            place = f"{self.read(target)}->{field_name(owner, constant)}"
            inner = owner.fields[constant].type
            if isinstance(inner, types.NestedArray):
                self._store_array(place, inner, value)
                return
        elif isinstance(owner, types.Array):
            offset, used = self.element(target, index, constant)
            if used < owner.ndim:
                raise self.unit.fail("a kernel assigns one element at a time; write a loop over the row")
            place, inner = self.place(target, offset), owner.dtype
        else:
            raise self.unit.fail(f"{owner} cannot be assigned to in a kernel")
        if isinstance(inner, types.Record):
            if self.type_of(value) != inner:
                raise self.unit.fail(f"a record of {self.type_of(value)} is no record of {inner}; assign its fields")
            text = f"*{self.read(value)}"
        else:
            text = self.read_as(value, inner)
            self.places[place] = self.unit.memory(inner)
        self.flush(memory=True)
        self.emit(f"{place} = {text};")

    def _store_array(self, place: str, inner: types.NestedArray, value: ir.Var) -> None:
        """Assign to an array inside a record, from one of the same kind."""
        source = self.definition(value)
        label = source.attr if source is not None and source.op == "getattr" else getattr(source, "index", None)
        owner = self.type_of(source.value) if source is not None and isinstance(label, str) else None
        if not isinstance(owner, types.Record) or owner.fields[label].type != inner:
            raise self.unit.fail("assign the elements of an array inside a record one by one")
        self.flush(memory=True)
        ranges = "".join(f"for (int k{d} = 0; k{d} < {n}; ++k{d}) " for d, n in enumerate(inner.shape))
        flat = "k0"
        for d, n in enumerate(inner.shape[1:], 1):
            flat = f"({flat} * {n} + k{d})"
        self.emit(f"{ranges}{place}{''.join(f'[k{d}]' for d in range(inner.ndim))} = {self.place(value, flat)};")

    def definition(self, variable: ir.Var) -> ir.Expr | None:
        values = self.intervals.values.get(variable.name, [])
        return values[0] if len(values) == 1 and isinstance(values[0], ir.Expr) else None
