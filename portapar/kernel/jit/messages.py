"""What Numba says of a kernel that it cannot type, in the user's words, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["ARRAY_AS_A_WHOLE", "ELSE", "FIELDS", "RETURNED", "TypingFailure", "failure", "message_of"]


class TypingFailure(Exception):
    """A kernel that Numba cannot type.

    Attributes
    ----------
    line : int
        Line in the text that was typed (0 when unknown).
    message : str
        What is not possible, in the user's terms.
    remedy : str
        What to write instead.
    """

    def __init__(self, line: int, message: str, remedy: str) -> None:
        super().__init__(f"line {line}: {message}; {remedy}")
        self.line = line
        self.message = message
        self.remedy = remedy


FIELDS = (
    "check its spelling in the dtype; kernels see numbers of NumPy's usual types in this machine's byte order: for "
    "strings and dates pass an array of numbers that stand for them, such as "
    "np.unique(records['name'], return_inverse=True)[1]"
)


RETURNED = (
    "a function returns a row, or an expression that is one of several arrays",
    "return an argument as it is, such as if c: return a, or take its row or element where the function is called",
)
ARRAY_AS_A_WHOLE = (
    "it computes with an array as a whole, such as a field of records that has several elements",
    "write a loop over its elements: for k in range(3), with r['x'][k]",
)
# Numba's message, ours, and what to write instead. The first match is used; groups fill the braces.
_MESSAGES: tuple[tuple[str, str, str], ...] = (
    (
        r"compiler re-entrant|type inference of recursive|Type-inference on recursive",
        "a function calls itself",
        "write a loop: kernels cannot recurse",
    ),
    (
        r"Untyped global name '(\w+)'",
        "`{0}` is not something that a kernel can use",
        "pass numbers and arrays, and call plain functions",
    ),
    (r"Field ('.*?') was not found in record", "there is no field {0} that kernels see", FIELDS),
    (r"name '(\w+)' is not defined", "`{0}` is not defined", "assign it on every path"),
    (
        r"Unknown attribute '(\w+)' of type .*[Tt]uple.*",
        "it takes `{0}` of a tuple: operators get records as tuples of their fields",
        "write the place of the field, a[0], or r.x of elements of arrays",
    ),
    (
        r"Unknown attribute '(\w+)' of type (.+)",
        "there is no `{0}` of {1} in kernels",
        "check its spelling, or write it with arithmetic, math.* and np.*",
    ),
    (
        r"Cannot unify (.+?) and (.+?) for '(?!\$)([\w]+)[\w.]*'",
        "`{2}` is {0} on one path and {1} on another",
        "give it one type",
    ),
    (r"Cannot unify (.+?) and (.+?) for '", "a value is {0} on one path and {1} on another", "give it one type"),
    (r"No conversion from (.+?) to (.+?) for '", "cannot convert {0} to {1}", "give it one type on every path"),
    (r"Variable '(\w+?)[\d.]*' is not defined", "`{0}` is used before it is assigned", "assign it on every path"),
    (
        r"Variable '(\w+)' has no array on a path",
        "`{0}` is an array or a record on some paths, and is read where it may be none",
        "assign one before the condition or the loop, or read it where it is assigned",
    ),
    (r"Int value is too large: (-?\d+)", "{0} does not fit into 64 bits", "write a float, such as 1e20"),
    (r"(?m)^(float16|float128|complex256)$", "there is no {0} in kernels", "use np.float32 or np.float64"),
    (r"failed to unpack (.+)", "{0} cannot be taken apart", "assign it to one name"),
    (
        r"wrong tuple length for .*?expected (\d+), got (\d+)",
        "{1} values are assigned to {0} names",
        "write as many names as there are values",
    ),
    (
        r"unsupported keyword arguments when calling (.+)",
        "{0} takes no keyword arguments in kernels",
        "pass its arguments by position, and cast what it gives, such as np.float32(y)",
    ),
    (r"(-?\d+) does not fit into (\w+)", "{0} does not fit into {1}", "cast one of the two, such as np.int64(x)"),
    (r"Cannot modify readonly array", "the kernel writes to a read-only array", "pass a writable copy"),
    (r"Use of unsupported NumPy function '([\w.]+)'", "`{0}` is not available in kernels", "write a loop"),
    (
        r"Use of unknown opcode|Unsupported opcode|op_\w+",
        "this statement is not possible in a kernel",
        "write it with if, for, while and plain assignments",
    ),
    (r"missing a required argument: '(\w+)'", "a function is called without its argument `{0}`", "pass it"),
    (r"too many positional arguments", "a function is called with too many arguments", "pass what it takes"),
    (
        r"not enough arguments|takes (\d+) positional argument",
        "a function is called with the wrong arguments",
        "pass what it takes",
    ),
    (
        r"Invalid use of getiter with parameters \(Tuple\(",
        "it loops over a tuple whose items are of several types, and leaves a round or the loop by break or continue",
        "give them one type, (1.0, 2.5), or write `if` in the place of break and continue",
    ),
    (r"Invalid use of getiter with parameters \((.+)\)", "`for` does not run over {0}", "write for k in range(...)"),
    (
        r"No definition for lowering <[^>]*? '?(\w+)'?>\((.*?)\)(?: ->|$)",
        "`{0}` is not possible for ({1})",
        "convert its operands, such as x.real",
    ),
    (r"Invalid use of (.+?) with parameters \((.*)\)", "{0} cannot be called", "call a function by its name"),
    (r"tuple index out of range", "a tuple has no item of that number", "use an index below its length"),
    (
        r"Type of variable '[^']*' cannot be determined",
        "the type of a value depends on itself",
        "give the variable a value of its type before the loop or the branch",
    ),
    (
        r"Only accept returning of array",
        *RETURNED,
    ),
    (
        r"cannot assign slice|Cannot assign|array_allocate|NRT required|nopython frontend",
        "it makes an array",
        "write a loop, for k in range(len(x)), into an array argument or a private array, np.zeros(4)",
    ),
)
ELSE = "write it with arithmetic, if, for and while on numbers and array elements"
#: Numba's words for types, and the user's
_TYPES: tuple[tuple[str, str], ...] = (
    (r"Literal\[\w+\]\((.*?)\)", r"\1"),
    (r"(?:unaligned |readonly |nonconst )*array\(Record\(.*?\), (\d)d, \w\)", r"\1-d array of records"),
    (r"(?:unaligned |readonly |nonconst )*array\((\w+), (\d)d, \w\)", r"\2-d array of \1"),
    (r"Record\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)", "record"),  # with others inside
    (r"(?:Uni|Named|NamedUni)?Tuple\((?:[^()]|\([^()]*\))*\)", "tuple"),
    (r"range_(?:state|iter)_\w+", "range"),
    (r"(?:type\(CPUDispatcher|Function|type)\(<[^>]*? '?([\w.]+)'?(?: at [^>]*)?>\)+", r"function \1"),
    (r"class\((\w+)\)", r"type \1"),
    (r"UnicodeType|unicode_type|unicode", "string"),
    (r"OptionalType\((.*?)\)|Optional\((.*?)\)|\?(\w+)", r"\1\2\3 or None"),
    (r"(?<!\w)none(?!\w)", "None"),
    (r"reflected list\([^()]*\)<?\w*>?", "list"),
)


def _shown(text: str) -> str:
    """Types as a user knows them."""
    for pattern, ours in _TYPES:
        text = re.sub(pattern, ours, text)
    return text


_OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "lshift": "<<", "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=", "eq": "==", "ne": "!=", "neg": "-", "invert": "~",
}  # fmt: skip


def failure(error: Exception, func: Callable[..., Any]) -> TypingFailure:
    """Numba's page of text as one sentence and the line that it is about."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    line = 0
    own_file = func.__code__.co_filename
    for name, number in re.findall(r'File "([^"]+)", line (\d+)', text):
        if own_file.endswith(name.removeprefix("../").split("/")[-1]):
            line = int(number)
            break
    location = getattr(error, "loc", None)
    if not line and location is not None and location.line:
        line = location.line
    return TypingFailure(line or func.__code__.co_firstlineno, *message_of(text))


def message_of(text: str) -> tuple[str, str]:
    """A message of Numba: (what is not possible, what to write instead)."""
    own = re.search(r"atomic\.\w+ (?:is not possible|needs|takes) .*", text)  # what `llvm` says
    if own:
        allowed = "atomics are for 32- and 64-bit integers and floats, those of bits for integers"
        if "possible" in own[0]:
            return f"{_shown(own[0].strip())}; {allowed}", "use an array of such a dtype"
        return own[0].strip(), "write pp.atomic.add(array, index, value)"
    found = re.search(r"No implementation of function Function\((.+?)\) found for signature:\s*>>> (.+)", text)
    if found:
        name = re.search(r"(?:function|ufunc|class) '?([\w.]+)", found[1])
        call = re.sub(r"^\S+?\(", "", found[2].strip()).removesuffix(")")
        return _call_message(name[1].split(".")[-1] if name else _shown(found[1]), call, _shown(call))
    for pattern, message, remedy in _MESSAGES:
        found = re.search(pattern, text)
        if found:
            return message.format(*(_shown(group or "") for group in found.groups())), remedy
    lines = [part.strip() for part in text.splitlines()]
    kept = [part for part in lines if part and not part.startswith(("Failed in", "During:", "File ", "- "))]
    return _shown(kept[0]) if kept else "the kernel cannot be typed", ELSE


def _call_message(short: str, call: str, shown: str) -> tuple[str, str]:
    """The message for a function or an operator that there is not for these types."""
    if "array_allocate" in short:
        return ARRAY_AS_A_WHOLE
    if short.startswith("private_"):
        return "the shape of a private array must be constant", "write it as numbers"
    if short == "setitem" and call.startswith("readonly"):
        return "the kernel writes to a read-only array", "pass a writable copy"
    if short == "setitem" and shown.endswith("tuple"):
        return f"a tuple cannot be assigned to an element: {shown}", "assign the numbers, or fields, one by one"
    if short == "setitem" and re.search(r"\d-d array of \w+$", shown):
        what = f"it stores an array in an element: {shown}"
        return what, "store its elements in a loop: for k in range(3): out[i, k] = r['x'][k]"
    if short == "setitem" and re.search(r"complex\d+$", call) and "array(complex" not in call:
        return f"a complex number does not fit into what it is stored in: {shown}", "store its .real, .imag or abs()"
    if short == "setitem" and "array of records" in shown and not shown.endswith("record"):
        return f"a number is stored where records are: {shown}", "assign to their fields: q[i].x = 1.0"
    if short == "setitem" and shown.endswith("record"):
        return f"a record is stored where other things are: {shown}", "assign its fields one by one: q[i].x = r[i].x"
    if short.endswith(("getitem", "setitem")) and re.match(r"(u?int|float|complex|bool)\w*,", shown):
        return f"a number has no elements: {shown}", "pass an array, or leave the index out"
    if short.endswith("setitem") and shown.startswith("tuple, "):
        return "it stores in an element of a tuple or list, which kernels only read", "pass an array: np.array(…)"
    named = re.search(r"(?i)string|unicode|Literal\[str", call) is not None
    if short.endswith("getitem") and shown.startswith("tuple, ") and named:
        what = f"it takes a field of a tuple: {shown}; operators get records as tuples of their fields"
        return what, "write the place of the field, a[0]"
    if short == "getitem" and shown.startswith("tuple, "):
        what = f"a tuple whose items are of several types, or an index that is no whole number: {shown}"
        return what, "convert them, such as (float(a), b)[int(k)], or write if"
    if short in ("getitem", "setitem", "static_getitem", "static_setitem"):
        return f"cannot index with these types: {shown}", "index arrays with one whole number for each axis"
    if "string" in shown or "unichr" in call or "charseq" in call:
        return f"it computes with a string: {shown}", "kernels compute with numbers: use codes for the strings"
    sign = _OPERATORS.get(short.removeprefix("i") if short.removeprefix("i") in _OPERATORS else short, short)
    if "array" in shown:
        return f"`{sign}` is not possible for ({shown})", "write a loop over the elements: for k in range(len(x))"
    if "record" in shown:
        return f"`{sign}` is not possible for ({shown})", "name a field of the record: r.x"
    if "tuple" in shown:
        return f"`{sign}` is not possible for ({shown})", "name an element of the tuple: t[0]"
    if short == "len":
        return f"`len` is not possible for ({shown})", "leave it out: a number has no length"
    if short == "contains":
        return f"`in` is not possible for ({shown})", "compare the numbers: x == a or x == b"
    if not shown:
        return f"`{sign}` is called without arguments", "pass what it takes"
    convert = "convert its operands" if sign in _OPERATORS.values() else "pass as many as it takes, converted"
    return f"`{sign}` is not possible for ({shown})", f"{convert}, such as int(x), float(x), x.real"
