"""`pp.inspect`: the code that a call runs, whether its loop is made of vectors, and what makes it slow all the same."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portapar import arrays, elementwise, indexed, policy
from portapar.call import plan, resolve
from portapar.devices import DeviceExecutor
from portapar.errors import ArgumentError, KernelError, PlacementError
from portapar.executor import Executor
from portapar.kernel.front.kernel import Kernel, holding
from portapar.kernel.front.lift import lift
from portapar.kernel.jit.check import needs
from portapar.kernel.jit.hindrances import Hindrance, hindrances
from portapar.kernel.program import Program
from portapar.policy import Policy, Recording

_SHOWN = 3  #: hindrances that are told if nobody asks for all
_OWN = tuple(str((Path(__file__).parent / part).resolve()) for part in (".", "algorithms"))


class Inspection(dict[str, str]):
    """What a call runs: generated code by its name. ``print`` tells the main things in a few lines.

    Attributes
    ----------
    name : str
        The call, the kernel's place and the device.
    hindrances : list of Hindrance
        What makes the loop slow, with the line.
    steps : tuple of Inspection
        Of an algorithm of several steps, one for each program of it that has code of the user's.
    full : str
        All of it: every hindrance and all the code.
    """

    def __init__(self, name: str, code: dict[str, str], found: Sequence[Hindrance]) -> None:
        super().__init__(code)
        self.name, self.hindrances = name, list(found)
        self.steps: tuple[Inspection, ...] = (self,)

    def __str__(self) -> str:
        return "\n".join(step._summary(_SHOWN) for step in self.steps)

    @property
    def full(self) -> str:
        found = []
        for step in self.steps:
            found.append(step._summary(len(step.hindrances)))
            found += [f"===== {name}\n{text.rstrip()}\n" for name, text in step.items()]
        return "\n".join(found)

    def _summary(self, most: int) -> str:
        lines = [self.name]
        if "vectorized" in self:
            lines += [f"  vectorized: {self['vectorized']}".replace("\n", "\n  ")]
        lines += [f"  {_told(one)}" for one in self.hindrances[:most]]
        left = len(self.hindrances) - most
        if left > 0:
            lines.append(f"  and {left} more, and the code ({', '.join(self)}): .full")
        return "\n".join(lines)


def _told(one: Hindrance) -> str:
    if one.place is None:
        return f"{one.kind}: {one.what}"
    file, line = one.place
    return f"{one.kind}: {one.what} ({Path(file).name}:{line}: {linecache.getline(file, line).strip()})"


def inspect(what: Callable[..., Any], where: Executor | Policy | None, *args: Any, **keywords: Any) -> Inspection:
    """The code that an executor generates for a call, whether its loop was vectorized, and what makes it slow.

    Parameters
    ----------
    what : callable
        An algorithm, such as `pp.reduce`, with its arguments as for the call itself; it runs once, on copies of the
        arrays. Or a kernel: one of `for_each` (it takes an index for every argument that `args` lacks), or, if it takes
        exactly `args`, one of `transform`.
    where : Executor or Policy or None
    *args : array or number
    **keywords
        As for the algorithm. A kernel of `for_each` has ``space=``, its index space: code for one that begins at 1, or
        counts down, is another than for 0, 1, 2, ….

    Returns
    -------
    Inspection
        A dict: ``"vectorized"``, ``"Numba"``, ``"LLVM"`` and ``"assembly"`` on CPUs, ``"OpenCL C"``, ``"CUDA C"``,
        ``"PTX"``, … elsewhere. ``print`` tells the main things, ``.full`` is the text of all of it.

    Raises
    ------
    ArgumentError
        The kernel does not take what was given.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x = np.zeros(1000)
    >>> pp.inspect(lambda v: 2 * v, pp.simd(), x)["vectorized"].split(":")[0]
    'yes'
    >>> [one.kind for one in pp.inspect(lambda i, x, y: x[y[i]], pp.simd(), x, np.arange(9)).hindrances]
    ['gather']
    """
    if not callable(what):
        raise ArgumentError(f"inspect: {what!r} is no function: pass an algorithm, such as pp.reduce, or a kernel")
    how = policy.par if where is None else where if isinstance(where, Policy) else policy.par.on(where)
    policy.check_policy(how, "inspect")
    _, where = resolve(how, args, "inspect")
    (member, *_) = where.members
    if not isinstance(member, DeviceExecutor):
        raise PlacementError(f"inspect: {where!r} runs no kernels itself; inspect the executor that it uses")
    if _is_algorithm(what):
        programs = _programs(what, how._but(asynchronous=False, executor=member), args, keywords)
        name = what.__name__
    else:
        programs = [_kernel_program(what, args, keywords)]
        name = "kernel"
    try:
        found = [_inspected(name, program, member) for program in programs]
    except KernelError as error:
        told = "" if _is_algorithm(what) or "space" in keywords else _few(lift(what)[0], len(args))
        raise KernelError(f"{error}{told}") from None
    if not found:
        raise ArgumentError(f"inspect: this call of {name} runs no compiled code: pass arrays that are not empty")
    whole = found[0]
    whole.steps = tuple(found)
    return whole


def _is_algorithm(what: Any) -> bool:
    return str(getattr(what, "__module__", "")).startswith("portapar.algorithms")


def _kernel_program(kernel: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Program:
    space = keywords.pop("space", None)
    if keywords:
        raise ArgumentError(
            f"inspect: a kernel takes no {', '.join(f'{name}=' for name in keywords)}, only space=. An algorithm does: "
            "pp.inspect(pp.transform, policy, x, op=kernel)"
        )
    if space is not None:
        kernel, args = holding(kernel, len(space) if isinstance(space, tuple) else 1, args)
    lifted, _ = lift(kernel)
    indices = len(lifted.params) - len(args)
    if indices < 0:
        raise ArgumentError(
            f"inspect: {lifted.name}() {lifted.takes()} and got {len(args)}: pass what it takes after the indices of a "
            "for_each, or all that it takes in a transform"
        )
    if indices:
        return indexed.for_each("inspect", (1,) * indices if space is None else space, kernel, args).program
    if space is not None:
        raise ArgumentError(f"inspect: {lifted.name}() takes {len(args)} arguments and no index: leave out space=")
    return elementwise.transform("inspect", args, None, kernel, lambda shape, dtype, _: np.empty(shape, dtype)).program


def _few(kernel: Kernel, given: int) -> str:
    """What to look at first, where a kernel was given so few arguments that several are taken as indices."""
    indices = len(kernel.params) - given
    if indices < 2:
        return ""
    return (
        f"\n  inspect: {kernel.name}() {kernel.takes()} and got {given}, so that {', '.join(kernel.params[:indices])} "
        "are taken as indices: give all others an argument"
    )


def _programs(algorithm: Callable[..., Any], how: Policy, args: Any, keywords: Any) -> list[Program]:
    """What a call of an algorithm runs, in order; of several steps those with code of the user's, if there is any."""
    planned = plan(algorithm, how, *args, **keywords)
    if planned.loop is not None:
        return [planned.loop.problem.program]
    block = Recording(policy.current.get())
    token = policy.current.set(block)
    known: dict[int, Any] = {}
    try:
        algorithm(how, *(_copied(x, known) for x in args), **{k: _copied(x, known) for k, x in keywords.items()})
    finally:
        policy.current.reset(token)
    found = list(block.programs.values())
    users = [program for program in found if any(not _own(file) for file, _ in (program.origin or {}).values())]
    return users or found


def _own(file: str) -> bool:
    return file.startswith("<") or str(Path(file).resolve()).startswith(_OWN)


def _copied(x: Any, known: dict[int, Any]) -> Any:
    """An argument that may be written; equal ones stay one."""
    if isinstance(x, arrays.SCALARS) or callable(x) or not hasattr(x, "dtype") or not hasattr(x, "copy"):
        return x
    if id(x) not in known:
        known[id(x)] = x.copy()
    return known[id(x)]


def _inspected(name: str, program: Program, member: DeviceExecutor) -> Inspection:
    places = sorted(where for where in (program.origin or {}).values() if not _own(where[0]))
    at = f" at {Path(places[0][0]).name}:{places[0][1]}" if places else ""
    needs(program)  # says in the user's words what has no types
    found = [one for one in hindrances(program) if one.place is None or not places or not _own(one.place[0])]
    return Inspection(f"{name}{at} on {member.device}", member.device.inspect(program), found)
