"""``portapar stream``, ``info``, ``cache``, ``tune``, ``plan``, ``roofline``, ``inspect`` and ``graph``.

Exit codes: 0, all is well; 1, something ran and failed, such as a check; 2, the command cannot be
carried out as it was typed. Under ``mpirun`` every rank runs this, and rank 0 speaks.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import portapar as pp
from portapar import bandwidth, cache, rates, report, topology, tuning, validate, whatif
from portapar import trials as gap
from portapar import tune as measuring
from portapar.terminal import UsageError, console, drawable, silent, writable
from portapar.topology import RANK

_PATIENCE = 5.0  #: seconds that a rank leaves to rank 0 to say what is wrong with a command


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    rank = next((os.environ[name] for name in RANK if name in os.environ), None)
    if rank in (None, "0"):
        return _run(argv, in_job=rank is not None)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return _run(argv, in_job=True)


def _run(argv: Sequence[str] | None, in_job: bool) -> int:
    try:
        options = _parser().parse_args(argv)
        return options.run(options, in_job)
    except UsageError as error:
        return _say(f"portapar: error: {error}", 2, in_job)
    except pp.BackendUnavailableError as error:
        return _say(f"portapar: error: {error}", 2, in_job)
    except pp.PortaparError as error:
        return _say(f"portapar: error: {error}", 1, in_job)
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _say("portapar: interrupted", 130, in_job)
    except Exception:  # whatever it is: the other ranks wait
        if not in_job:
            raise
        traceback.print_exc()
        return _say("portapar: a rank failed", 1, in_job)


def _say(message: str, code: int, in_job: bool) -> int:
    """Print why the command ends. A rank that ends early ends all: the others may wait for it."""
    if not in_job:
        print(message, file=sys.stderr)
        return code
    if code == 2 and not any(os.environ.get(name) == "0" for name in RANK):
        # What was typed wrongly is so on all ranks. A launcher ends all with the first one that fails: let
        # that be rank 0, which says why. A rank that is still here then found a fault of its own.
        time.sleep(_PATIENCE)
    print(message, file=sys.stderr, flush=True)
    if "mpi4py.MPI" in sys.modules:
        sys.modules["mpi4py.MPI"].COMM_WORLD.Abort(code)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="portapar", description=pp.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"portapar {pp.__version__}")
    names = "{stream,info,cache,tune,plan,roofline,inspect,graph}"
    commands = parser.add_subparsers(dest="command", required=True, metavar=names)
    one = commands.add_parser(
        "stream", allow_abbrev=False, help="memory bandwidth of every executor: Copy, Scale, Add, Triad, Dot, NStream"
    )
    bandwidth.arguments(one)
    one.set_defaults(run=bandwidth.run)
    two = commands.add_parser("info", allow_abbrev=False, help="the machine, its executors, and what is missing")
    two.add_argument("--json", action="store_true", help="as JSON")
    two.add_argument("--profile", action="store_true", help="the numbers that decide which way is taken")
    two.set_defaults(run=_info)
    three = commands.add_parser("cache", allow_abbrev=False, help="where compiled code is kept: its size, hits, misses")
    three.add_argument("--clear", action="store_true", help="remove it")
    three.set_defaults(run=_cache)
    tune = commands.add_parser("tune", allow_abbrev=False, help="measure what this machine and its executors can do")
    either = tune.add_mutually_exclusive_group()
    either.add_argument("--show", action="store_true", help="what was measured before")
    either.add_argument("--validate", action="store_true", help="hold predictions against measurements")
    either.add_argument("--save", type=Path, metavar="FILE", help="write what was measured, for `portapar plan`")
    tune.add_argument("--threads", type=_count, metavar="N", help="of --validate: on so many of this machine's threads")
    tune.set_defaults(run=_tune)
    plan = commands.add_parser("plan", allow_abbrev=False, help="what a call would take on a machine that is not here")
    plan.add_argument("algorithm", metavar="ALGORITHM", help=f"{', '.join(validate.CASES)}, or FILE.py:NAME: "
                      "NAME(n) returns a call of n elements, call(policy, *values), and a tuple of values")  # fmt: skip
    plan.add_argument("--n", type=_count, required=True, metavar="N", help="elements, such as 1e9")
    plan.add_argument("--machine", type=Path, required=True, metavar="FILE", help="a profile, as in bench/profiles/")
    plan.add_argument("--ranks", type=_count, default=1, metavar="N", help="machines, or parts of them (default: 1)")
    plan.add_argument("--threads", type=_count, metavar="N", help="CPU threads that are used (default: all)")
    plan.add_argument("--network", type=_network, metavar="LATENCY,BANDWIDTH", help="seconds, and bytes per second")
    scaling = plan.add_mutually_exclusive_group()
    scaling.add_argument("--weak", action="store_true", help="1, 2, 4 … ranks with N elements each")
    scaling.add_argument("--strong", action="store_true", help="1, 2, 4 … ranks with N elements all together")
    plan.add_argument("--executor", metavar="NAME", help="of the machine (default: the fastest)")
    plan.add_argument("--plot", type=Path, metavar="FILE.png", help="save --weak or --strong as a chart")
    plan.set_defaults(run=_plan)
    roof = commands.add_parser("roofline", allow_abbrev=False, help="algorithms beside what the executors can do")
    roof.add_argument("--plot", type=Path, required=True, metavar="FILE.png", help="where to save the chart")
    roof.add_argument(
        "--size", type=_elements, default=(1_000_000,), metavar="N,…", help="elements, such as 1e5,1e6 (default: 1e6)"
    )
    roof.set_defaults(run=_roofline)
    four = commands.add_parser("inspect", allow_abbrev=False, help="what is made of a kernel, and what makes it slow")
    four.add_argument("kernel", metavar="FILE.py:NAME", help="a kernel; the file is imported")
    four.add_argument("args", nargs="*", metavar="ARGUMENT", help="float64[1000,3] for an array, 7 or 0.5 for a number")
    four.add_argument("--space", metavar="N,…", help="the index space, each axis as 1000, lo:hi or lo:hi:step")
    four.add_argument("--executor", default="threads", metavar="NAME", help="such as opencl:0 (default: threads)")
    four.add_argument("--full", action="store_true", help="all that is in the way, and all the code")
    four.set_defaults(run=_inspect)
    five = commands.add_parser("graph", allow_abbrev=False, help="time a graph kernel by the GAP benchmark's rules")
    five.add_argument("kernel", choices=tuple(gap.KERNELS))
    made = five.add_mutually_exclusive_group(required=True)
    made.add_argument("-g", type=int, metavar="SCALE", help="a Kronecker graph of 2**SCALE vertices")
    made.add_argument("-u", type=int, metavar="SCALE", help="a uniform random graph")
    made.add_argument("-f", type=Path, metavar="FILE", help=".el .wel .sg .wsg .mtx .metis .graph .npz")
    five.add_argument("-k", type=int, default=16, metavar="DEGREE", help="edges drawn for each vertex (default: 16)")
    five.add_argument("-s", action="store_true", help="take the edges of a list of a file in both directions")
    five.add_argument("-n", type=_trials, default=16, metavar="TRIALS", help="(default: 16)")
    five.add_argument("--executor", metavar="NAME", help="such as opencl:0 (default: threads; under mpirun all ranks)")
    five.add_argument("--verify", action="store_true", help="look at every result from its definition")
    five.add_argument("--json", type=Path, metavar="FILE", help="save everything that was measured")
    five.set_defaults(run=_graph)
    return parser


def _trials(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of trials, at least 1")
    return int(text)


# info ---------------------------------------------------------------------------------------------------


def _info(options: argparse.Namespace, in_job: bool) -> int:
    infos = pp.available()
    if options.json:
        listed = [
            {"name": i.name, "available": i.available, "description": i.description, "reason": i.reason,
             "remedy": i.remedy, "properties": i.properties}
            for i in infos
        ]  # fmt: skip
        print(json.dumps({**report.header(), "executors": listed, "tuning": tuning.measured()}, indent=1))
        return 0
    out = console(in_job)
    machine = topology.machine()
    caches = ", ".join(f"{level} {size // 1024} KiB" for level, size in machine["caches"].items())
    out.print(f"{machine['cpu']} ({machine['architecture']}), {machine['cores']} cores, {machine['logical_cpus']} CPUs")
    out.print(f"caches: {caches or 'unknown'}; memory: {machine['memory'] / 2**30:.1f} GiB")
    out.print(f"{machine['system']}, Python {machine['python']}")
    out.print(", ".join(f"{name} {version}" for name, version in report.versions().items()))
    width = max(len(info.name) for info in infos)
    for title, wanted in (("Executors", True), ("Not here", False)):
        some = [info for info in infos if info.available is wanted]
        if some:
            out.print(f"\n{title}:")
        for info in some:
            text = info.description if wanted else f"{info.reason}. {info.remedy}"
            out.print(f"  {info.name:<{width}}  {text}")
    if options.profile:
        out.print("\nWhat decides (portapar tune measures it):")
        for name in tuning.NUMBERS:
            out.print(_number(name))
        out.print("\n".join(_profile()))
    return 0


def _number(name: str) -> str:
    """One of the numbers of `tuning`, in words."""
    about, known = tuning.NUMBERS[name], tuning.measured()
    value, scale = tuning.value(name), {"bytes": (1 << 20, "MiB"), "seconds": (1e-6, "µs")}[about.unit]
    how = "measured" if name in known else "built in"
    return f"  {name:<12}  {value / scale[0]:8.2f} {scale[1]}, {how}: {about.meaning}"


def _tune(options: argparse.Namespace, in_job: bool) -> int:
    if options.threads is not None and (in_job or not options.validate):
        raise UsageError("--threads belongs to --validate outside of mpirun: how many of this machine's threads")
    if options.validate and in_job:  # all ranks
        return _validate(validate.cases_of_ranks())
    if silent(in_job):
        return 0
    if options.show:
        print("\n".join([*map(_number, tuning.NUMBERS), *_profile()]))
        return 0
    if options.save:
        writable(options.save)
        if not rates.profile().executors:
            raise UsageError("--save: nothing was measured yet: run `portapar tune` first")
        options.save.write_text(rates.told(rates.profile()) + "\n")
        return 0
    if options.validate:
        names = () if options.threads is None else ("threads",)
        return _validate(validate.cases(names=names, threads=options.threads))
    for name, _ in measuring.tune():
        print(_number(name), flush=True)
    for name, found in measuring.executors():
        print(_rates(name, found), flush=True)
    print("\n".join(_shared()))
    if cache.folder() is None:
        print("None of it is kept for later processes: there is no cache folder (PORTAPAR_CACHE_DIR, _SIZE)")
    return 0


def _count(text: str) -> int:
    found = _elements(text)
    if len(found) > 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be one number, such as 1e9")
    return found[0]


def _network(text: str) -> tuple[float, float]:
    try:
        latency, bandwidth = map(float, text.split(","))
    except ValueError:
        latency, bandwidth = -1.0, 0.0
    if not (0 <= latency < math.inf and 0 < bandwidth < math.inf):
        raise argparse.ArgumentTypeError(f"{text!r}: must be seconds and bytes per second, such as 2e-6,1.2e10")
    return latency, bandwidth


def _plan(options: argparse.Namespace, in_job: bool) -> int:
    if silent(in_job):
        return 0
    scaling = options.weak or options.strong
    if options.plot:
        drawable(options.plot)
        if not scaling:
            raise UsageError("--plot needs --weak or --strong")
    make = validate.CASES.get(options.algorithm)
    if make is None and ":" not in options.algorithm:
        raise UsageError(f"{options.algorithm!r} is none of {', '.join(validate.CASES)}; or name FILE.py:NAME")
    try:
        machine = rates.machine(options.machine)
        machine = machine if options.threads is None else machine.fewer(options.threads)
        one = whatif.WhatIf(make or _function(options.algorithm), machine)
        names = [options.executor] if options.executor else list(machine.executors)
        found = [one.on(name, options.n, options.ranks, options.network) for name in names]
    except pp.ArgumentError as error:
        raise UsageError(str(error)) from None
    found.sort(key=lambda x: x.seconds)
    rows = found
    if scaling:
        rows = list(whatif.scaled(one, found[0].executor, options.n, options.ranks, options.weak, options.network))
    print(f"{machine.source or 'measured by portapar tune'}\nwork of a rank: {found[0].work}")
    heads = ("elements", 9), ("seconds", 10), ("computing", 10), ("messages", 10), ("bytes", 9)
    print(f"{'executor':12} {'ranks':>7}", *(f"{head:>{width}}" for head, width in heads))
    for x in rows:
        sent = x.messages.bytes(x.ranks)
        line = f"{x.executor:12} {x.ranks:7} {x.elements:9.3g} {x.seconds:10.3g} {x.computing:10.3g} {x.talking:10.3g}"
        more = [f"{x.joules:.3g} J"] * (x.joules == x.joules) + [f"price {x.price:.3g}"] * (x.price == x.price)
        more += [f"{x.moving:.3g} s more from and to the host's memory"] * (x.moving > 0)
        print(f"{line} {sent:9.3g}", *more, sep="  ")
    if options.plot:
        whatif.plotted(rows, options.weak, options.plot)
        print(f"chart: {options.plot}")
    return 0


def _elements(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(float(n)) for n in text.split(","))
    except (ValueError, OverflowError):
        found = ()
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be numbers of elements with commas between, such as 1e5,1e6")
    return found


def _roofline(options: argparse.Namespace, in_job: bool) -> int:
    if silent(in_job):
        return 0
    drawable(options.plot)
    found: list[validate.Case] = []
    for one in validate.cases(options.size):
        found.append(one)
        speed = one.work.operations / one.measured / 1e9
        print(f"{one.executor:10} {one.name:22} {one.size:10} {speed:8.3g} Gflop/s", flush=True)
    validate.roofline(found, options.plot)
    print(f"chart: {options.plot}")
    return 0


def _validate(measured: Iterable[validate.Case]) -> int:
    found: list[validate.Case] = []
    print("Up to 1e8 elements, as far as these take a quarter of the memory and two seconds a call.")
    print(f"{'':20} {'elements':>10} {'executor':10} {'predicted':>12} {'measured':>12} {'error':>7}")
    for one in measured:
        found.append(one)
        print(
            f"{one.name:20} {one.size:10} {one.executor:10} {one.predicted * 1e6:9.5g} µs {one.measured * 1e6:9.5g} µs "
            f"{100 * one.error:5.0f} %",
            flush=True,
        )
    for executor in dict.fromkeys(one.executor for one in found):
        errors = sorted(one.error for one in found if one.executor == executor)
        middle, most = errors[len(errors) // 2], errors[len(errors) * 9 // 10]
        print(f"{executor}: median error {100 * middle:.0f} %, 90th percentile {100 * most:.0f} %, {len(errors)} cases")
    return 0


def _profile() -> list[str]:
    """What each executor can do, in words."""
    found = rates.profile().executors
    if not found:
        return ["  executors were not measured: what they can do is built in"]
    return [*(_rates(name, one) for name, one in found.items()), *_shared()]


def _rates(name: str, found: rates.Rates) -> str:
    streams = ", ".join(f"{speed / 1e9:.3g} GB/s of {size / 2**20:.3g} MiB" for size, speed in found.streams)
    lines = [
        f"  {name}: a call takes {found.launch * 1e6:.3g} µs; {streams}",
        f"    {found.doubles / 1e9:.3g} and, in single precision, {found.singles / 1e9:.3g} Gflop/s; "
        f"{found.special / 1e9:.3g}e9 exp, {found.chained / 1e9:.3g}e9 operations one by one a second",
        f"    {found.close / 1e6:.3g}e6 scattered accesses a second in the first cache, {found.near / 1e6:.3g}e6 in "
        f"the second, {found.far / 1e6:.3g}e6 in memory; {found.atomics / 1e6:.3g}e6 atomic operations",
        f"    {found.few * 1e6:.3g} µs for an algorithm in one step, {found.step * 1e6:.3g} µs for each step of others",
    ]
    if found.sorts:
        sorts = ", ".join(f"{speed / 1e9:.3g} GB/s of {size / 2**20:.3g} MiB" for size, speed in found.sorts)
        lines.append(f"    keys that its own sort sorts: {sorts}")
    for what, way in (("to the device", found.into), ("back", found.out)):
        if way is not None:
            told = [f"{seconds * 1e6:.3g} µs of {size / 2**20:.3g} MiB" for size, seconds in way]
            lines.append(f"    {what}: {', '.join(told)}")
    return "\n".join(lines)


def _shared() -> list[str]:
    return [
        f"  {pair} at once: {100 * sums:.0f} % of their speeds are left for arithmetic, {100 * memory:.0f} % for memory"
        for pair, (sums, memory) in rates.profile().shared.items()
    ]


# graph --------------------------------------------------------------------------------------------------


def _graph(options: argparse.Namespace, in_job: bool) -> int:
    name = options.executor or ("mpi" if in_job else "threads")
    if silent(in_job) and not name.startswith("mpi"):
        return 0
    if options.json:
        writable(options.json)
    where = pp.executor(name)
    policy, weights = pp.par.on(where), options.kernel == "sssp"
    if options.f is not None:
        try:
            graph = pp.graph.load(policy, options.f, directed=not options.s)
        except OSError as error:
            raise UsageError(f"{options.f}: {error.strerror}") from None
    else:
        make, scale = (pp.graph.kronecker, options.g) if options.g is not None else (pp.graph.uniform, options.u)
        graph = make(policy, scale, options.k, weights=weights)
    print(f"{graph!r} on {where!r}", flush=True)
    found: list[gap.Trial] = []
    try:
        for trial in gap.trials(options.kernel, graph, policy, options.n, options.verify):
            print(f"Trial Time:   {trial.seconds:.5f}", flush=True)
            found.append(trial)
    except AssertionError as error:
        print(f"WRONG: {error}")
        return 1
    print(f"Average Time: {gap.summary(found)['mean']:.5f}")
    if options.json and not silent(in_job):
        seconds = {"graph": repr(graph), "kernel": options.kernel, "seconds": [trial.seconds for trial in found]}
        options.json.write_text(json.dumps({**report.header(), **seconds, **gap.summary(found)}, indent=1) + "\n")
    return 0


# cache --------------------------------------------------------------------------------------------------


def _cache(options: argparse.Namespace, in_job: bool) -> int:
    if silent(in_job):
        return 0
    found = cache.usage()
    if found is None:
        print("nothing is kept: PORTAPAR_CACHE_SIZE is 0, or there is no folder that can be used")
        return 0
    files = f"{found.files} file{'s' * (found.files != 1)}, {found.size / 2**20:.1f} MiB"
    if options.clear:
        cache.clear()
        print(f"removed {files} from {found.folder}")
        return 0
    print(found.folder)
    print(f"{files}; at most {found.limit / 2**20:g} MiB (PORTAPAR_CACHE_SIZE), the longest unused go first")
    print(f"{found.hits} hits and {found.misses} misses since it was made or cleared")
    return 0


# inspect ------------------------------------------------------------------------------------------------


def _inspect(options: argparse.Namespace, in_job: bool) -> int:
    if silent(in_job):
        return 0
    kernel = _function(options.kernel)
    more = {} if options.space is None else {"space": tuple(_axis(text) for text in options.space.split(","))}
    found = pp.inspect(kernel, pp.executor(options.executor), *(_argument(text) for text in options.args), **more)
    print(found.full if options.full else found)
    return 0


def _function(text: str) -> Any:
    """A function of a file, FILE.py:NAME."""
    file, _, name = text.rpartition(":")
    if not name or not Path(file).is_file():
        raise UsageError(f"{text!r} is not FILE.py:NAME of a file that exists")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file!r} cannot be imported: give a file that ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(Path(file).resolve().parent))
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        functions = ", ".join(sorted(k for k, v in vars(module).items() if callable(v) and not k.startswith("_")))
        raise UsageError(f"{file} has no function {name!r}; it has {functions or 'none'}")
    return found


def _axis(text: str) -> Any:
    try:
        numbers = [int(number) for number in text.split(":")]
    except ValueError:
        raise UsageError(f"--space {text!r} is no axis: 1000, 1:1000 or 0:1000:2") from None
    return numbers[0] if len(numbers) == 1 else pp.range(*numbers)


def _argument(text: str) -> Any:
    """An argument as typed: a dtype with a shape, or a number."""
    found = re.fullmatch(r"(\w+)\[([\d, ]+)\]", text)
    with contextlib.suppress(TypeError, ValueError):
        if found:
            return np.zeros([int(n) for n in found[2].split(",")], found[1])
        return float(text) if re.search(r"[.en]", text) else int(text)
    raise UsageError(f"{text!r} is no argument: float64[1000] for an array, float32[100,3], a number such as 7 or 0.5")
