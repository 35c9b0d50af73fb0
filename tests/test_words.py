"""What users read: sources that are of no file, public names, and calls without a policy."""

import inspect
import math
import os
import re
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest

import portapar as pp

PROGRAM = """
import numpy as np, portapar as pp
k = 2.0
def helper(x): return x * k
def kernel(x):
    return helper(x) + 1
print(pp.transform(pp.seq, np.arange(3.0), op=kernel), pp.reduce(pp.seq, np.arange(4.0), op=lambda a, b: a + b))
try:
    pp.transform(pp.seq, np.arange(3.0), op=lambda v: v + 'a')
except pp.KernelError as error:
    print(error)
"""


def interpreter(*arguments, text=None):
    done = subprocess.run(
        [sys.executable, *arguments], input=text, capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [["-c"], ["-Bc"], ["-X", "dev", "-W", "ignore", "-c"]], ids=" ".join)
def test_kernels_of_the_command_line(options):
    told = interpreter(*options, PROGRAM)
    assert "[1. 3. 5.] 6.0" in told
    assert "python -c:9" in told and "op=lambda v: v + 'a'" in told


def test_kernels_read_from_standard_input():
    text = """
import numpy as np, portapar as pp
try:
    pp.transform(pp.seq, np.arange(3.0), op=lambda v: v)
except pp.KernelError as error:
    print(error)
"""
    told = interpreter("-", text=text)
    assert "(<stdin>:4)" in told and "standard input" in told and "put it into a file or a notebook cell" in told


def shell(monkeypatch, cells):
    """A notebook with these cells, as far as sources go."""
    history = types.SimpleNamespace(input_hist_raw=["", *cells])
    module = types.ModuleType("IPython")
    module.get_ipython = lambda: types.SimpleNamespace(history_manager=history)
    monkeypatch.setitem(sys.modules, "IPython", module)


TIMED = {
    "%%time\ndef kernel(x):\n    return x * 3\n": "<timed exec>",
    "%%time\n\n%%capture\nk = 1\nkernel = lambda x: x * 3": "<timed exec>",
    "y = 1\n%time kernel = lambda x: x * 3": "<timed exec>",
    "%timeit -n 2 -r 3 run(lambda x: x * 3)": "<magic-timeit>",
}


@pytest.mark.parametrize("cell", TIMED, ids=repr)
def test_kernels_that_magics_of_notebooks_compile(monkeypatch, cell):
    shell(monkeypatch, ["other = lambda x: x * 4", cell, "print(1)"])
    body = cell
    while body.lstrip().startswith("%%"):
        body = body.lstrip().partition("\n")[2]
    body = body.rpartition("%time ")[2].rpartition("-r 3 ")[2]
    found = []
    space = {"run": found.append}
    exec(compile(body, TIMED[cell], "exec"), space)
    kernel = space.get("kernel") or found[0]
    np.testing.assert_array_equal(pp.transform(pp.seq, np.arange(3.0), op=kernel), [0, 3, 6])


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("<timed exec>", "a magic of the notebook.*a cell without the magic"),
        ("<string>", "made by exec.*a file or a notebook cell"),
        ("/tmp/ipykernel_77/12345.py", "another process than the notebook's.*a module that both import"),
        ("<ipython-input-3-abc>", "another process than the notebook's.*a module that both import"),
        ("/nowhere/job.py", "no such file here.*a module that this process can import"),
    ],
)
def test_sources_that_are_not_to_be_had(file, says):
    space = {}
    exec(compile("def kernel(x):\n    return x + 1\n", file, "exec"), space)
    with pytest.raises(pp.KernelError, match=f"source text is not to be had.*{says}"):
        pp.transform(pp.seq, np.arange(3.0), op=space["kernel"])


@pytest.mark.parametrize("module", [pp, pp.lazy, pp.random, pp.atomic], ids=lambda m: m.__name__)
def test_namespaces_show_public_names_alone(module):
    shown = {name for name in dir(module) if not name.startswith("__")}
    assert shown == {name for name in module.__all__ if not name.startswith("__")}
    assert shown.isdisjoint({"Any", "ast", "np", "math", "annotations", "flat", "Spec", "OPERATIONS"})


X = np.arange(6.0)
FORGOTTEN = {
    "reduce": (X,), "transform": (X,), "sort": (X,), "argsort": (X,), "for_each": (6, lambda i: None),
    "count": (X, 1.0),
    "count_if": (X, lambda v: v > 1), "inclusive_scan": (X,), "fill": (X, 1.0), "copy": (X,), "find": (X, 1.0),
    "histogram": (X,), "bincount": (X,), "merge": (X, X), "unique": (X,), "stencil": (X, lambda v, i: v[i]),
    "gather": (X, [1]), "segmented_reduce": (X, np.array([0, 6])), "min_element": (X,), "iota": (X,),
    "transform_reduce": (X,),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGOTTEN)
def test_a_forgotten_policy_is_told(name):
    with pytest.raises(pp.PortaparError, match=rf"The policy comes first.*pp\.{name}\(pp\.par, "):
        getattr(pp, name)(*FORGOTTEN[name])


def test_what_is_missing_is_told():
    g = pp.graph.kronecker(pp.seq, 2)
    for says, call in {
        r"^transform: op is missing: pp\.transform\(pp\.par, op=…, …\)": lambda: pp.transform(pp.seq, X),
        r"^merge: b is missing: pp\.merge\(pp\.par, a, b, …\)": lambda: pp.merge(None, X),
        r"^graph\.bfs: source is missing: pp\.graph\.bfs": lambda: pp.graph.bfs(pp.seq, g),
        r"^graph\.load: path is missing": lambda: pp.graph.load(pp.seq),
        r"^irregular\.uts: tree is missing": lambda: pp.irregular.uts(pp.seq),
        r"^random\.fill_uniform: seed is missing: pp\.random\.": lambda: pp.random.fill_uniform(pp.seq, X),
        r"policy comes first.*pp\.graph\.random_walks": lambda: pp.graph.random_walks(g, X),
    }.items():
        with pytest.raises(pp.PolicyError, match=says):
            call()
    assert "<required>" in str(inspect.signature(pp.transform))
    for call in (
        lambda: pp.graph.pagerank(pp.seq, g, damping="x"),
        lambda: pp.graph.sssp(pp.seq, g, 0, delta="x"),
        lambda: pp.irregular.uts(pp.seq, pp.irregular.Tree(1, "x", 0)),
    ):
        with pytest.raises(pp.ArgumentError, match=" is 'x': must be "):
            call()


def test_messages_name_what_the_user_called():
    with pytest.raises(pp.PortaparError, match="^transform_reduce: .*pass init="):
        pp.transform_reduce(pp.seq, X[:0], transform=lambda v: v, op=lambda a, b: a + b)
    with pytest.raises(pp.PortaparError, match=r"takes 1 argument \(i\), and the call"):
        pp.for_each(pp.seq, 3, lambda i: None, X)
    with pytest.raises(pp.PortaparError, match=r"takes 1 argument \(a\): must take two"):
        pp.reduce(pp.seq, X, op=lambda a: a)
    from portapar import ranks

    assert all("_" not in kind.__name__ for kind in pp.CommunicationError.__subclasses__()), ranks


def test_messages_of_steps_name_what_the_user_called():
    for name, call in {
        "sort": lambda: pp.sort(pp.par, X, key=lambda v: None),
        "histogram": lambda: pp.histogram(pp.par, X, 3, (0, 1), key=lambda v: None),
        "max_element": lambda: pp.max_element(pp.par, X, key=lambda v: None),
    }.items():
        with pytest.raises(pp.KernelError, match=f"^{name}: .*test_words.py.*returns nothing"):
            call()
    for key, kind in ((lambda v: v * 1j, "complex128"), (lambda v: (v, v), "a tuple")):
        for limits in ((0, 1), None):
            with pytest.raises(pp.KernelError, match=f"^histogram: key .*test_words.py.*returns {kind}.*a real number"):
                pp.histogram(pp.par, X, 3, limits, key=key)


def test_messages_of_algorithms_that_others_use_name_what_the_user_called(where):
    keys, policy = np.zeros(len(X), int), pp.par.on(where)
    for name, call in {
        "reduce_by_key": lambda: pp.reduce_by_key(policy, keys, X, lambda a: a),
        "scan_by_key": lambda: pp.scan_by_key(policy, keys, X, lambda a: a),
        "merge": lambda: pp.merge(policy, X, X, key=lambda a, b: a),
        "set_union": lambda: pp.set_union(policy, X, X, key=lambda a, b: a),
    }.items():
        with pytest.raises(pp.KernelError, match=f"^{name}: .*test_words.py.*takes . argument"):
            call()
    with pytest.raises(pp.ArgumentError, match="Monoid: op is 3, a int: must be a kernel of two values"):
        pp.Monoid(3, 0)


HELD = np.zeros(3)
HELD.flags.writeable = False
ROOM = {"k": HELD}


class Shelf:
    held = HELD


def held(i):
    HELD[i] = 1.0


def test_captured_arrays_have_the_names_that_the_user_wrote(renderer):
    pair = (HELD, 3)
    for told, body, given in (
        ("HELD", lambda i: held(i), ()),
        ("ROOM['k']", lambda i: in_room(i), ()),
        ("pair[0]", lambda i: in_pair(i, pair), ()),
        ("Shelf.held", lambda i: on_shelf(i), ()),
        ("xs[1]", in_second, ((np.ones(3), HELD),)),
    ):
        with pytest.raises(pp.PlacementError) as caught:
            pp.for_each(renderer, 3, body, *given)
        assert f"writes to argument {told!r}, which is read-only" in str(caught.value)


def in_room(i):
    ROOM["k"][i] = 1.0


def in_pair(i, pair):
    pair[0][i] = 1.0


def on_shelf(i):
    Shelf.held[i] = 1.0


def in_second(i, xs):
    xs[1][i] = xs[0][i]


@pytest.mark.parametrize("check", [False, True])
def test_races_and_bounds_are_told_of_captured_arrays_by_their_names(check):
    counts = (np.zeros(3), 1)

    def body(i):
        counts[0][i // 2 if i < 5 else 3] += 1

    if check:
        with pytest.raises(pp.BoundsError, match=r"axis 0 of 'counts\[0\]'"):
            pp.for_each(pp.par.with_(check=True), 6, body)
    else:
        with pytest.warns(pp.PortaparWarning, match=r"counts\[0\]\[.*\] updates 'counts\[0\]' where"):
            pp.for_each(pp.par, 5, body)


def test_plans_of_what_is_no_algorithm():
    for wrong in (pp.par, print, len, np.add, pp.plus, str, pp.Worklist, None, "sort", lambda how, x: None):
        with pytest.raises(pp.PolicyError, match="^plan: the first argument is .*must be an algorithm"):
            pp.plan(wrong, pp.par, X)


def test_plans_with_arguments_that_are_not_taken():
    for ask in (pp.plan, pp.inspect):
        with pytest.raises(pp.PolicyError, match=r"sort: .*unexpected.*'space'. It takes sort\(policy, x, key, desc"):
            ask(pp.sort, pp.par, X, space=3)
        with pytest.raises(pp.PolicyError, match=r"reduce: too many .*It takes reduce\(policy, x, op, init, axis\)"):
            ask(pp.reduce, pp.par, X, pp.plus, 0, 1, 2)


def test_ranges_and_tuples_are_told_what_to_write():
    with pytest.raises(pp.ArgumentError, match=r"argument 'x' is range\(3, 9, 2\).*pp.lazy.iota\(3, 3, 2\)"):
        pp.sort(pp.par, range(3, 9, 2))
    assert (pp.sort(pp.par, pp.lazy.iota(3, 3, 2)) == [3, 5, 7]).all()
    with pytest.raises(pp.ArgumentError, match=r"inputs\[1\].astype"):
        pp.lazy.zip(X, X.astype(np.float16))


def test_one_thread_policies_stay_on_the_calling_thread():
    device = pp.opencl() if any(info.name == "opencl:0" and info.available for info in pp.available()) else pp.threads()
    with pp.using(pp.par.on(device)):
        assert pp.plan(pp.reduce, pp.seq, X).executor.kind == "simd"
        assert pp.plan(pp.reduce, pp.unseq, X).executor.kind == "simd"
        assert pp.plan(pp.reduce, pp.par, X).executor is device
        assert pp.plan(pp.reduce, None, X).executor is device


def test_floats_are_cut_in_arrays_of_whole_numbers(renderer):
    a = np.zeros(4, np.int64)
    pp.for_each(renderer, 4, lambda i, a, x: put(i, a, x[i]), a, np.array([1.9, -1.9, 2.5, 0.1]))
    assert a.tolist() == [1, -1, 2, 0]


def put(i, a, value):
    a[i] = value


POINTS = np.zeros(3, [("a", "f8"), ("in", [("b", "f4"), ("c", "i8", (2,))])])


def too_early(i, x):
    x[i] = later  # noqa: F821
    later = 1.0  # noqa: F841


def tuple_of_three(i, x):
    a, _b = 1, 2, 3
    x[i] = a


def taken_apart(i, x):
    a, b = x[i]
    x[i] = a


def to_numbers(i, x):
    x[i] = POINTS[i]


def to_records(i, x):
    POINTS[i] = x[i]


def algorithm(i, x):
    x[i] = pp.reduce(pp.par, x)


def lazily(i, x):
    x[i] = pp.lazy.iota(3)[i]


def ellipsis(i, x):
    x[i] = x[...].sum()


def rooted(i, x):
    x[i] = np.sqrt(x[i], dtype=np.float32)


def rootless(i, x):
    x[i] = math.sqrt()


def half(i, x):
    x[i] = np.float16(x[i])


def large(i, x):
    x[i] = x[i] + 10**20


def misspelt(i, x):
    x[i] = np.sqroot(x[i])


found: list[int] = []


def listed(i, x):
    if x[i] > 0:
        found.append(i)


SLIPS = {
    listed: ("'found.append', a method of a list", "pp.atomic.add.*pp.copy_if and pp.pack_index"),
    too_early: ("it uses 'later' before it is assigned", "assign it first"),
    tuple_of_three: ("3 values are assigned to 2 names", "as many names"),
    taken_apart: ("float64 cannot be taken apart", "one name"),
    to_numbers: (r"a record is stored.*float64, int64, record[.]$", "fields one by one"),
    to_records: ("a number is stored where records are", "to their fields"),
    algorithm: ("calls pp.reduce", "outside of the kernel"),
    lazily: ("calls pp.lazy.iota", "as an input of the call"),
    ellipsis: ("an ellipsis", "a colon for each axis"),
    rooted: ("sqrt takes no keyword arguments", "by position"),
    rootless: ("`sqrt` is called without arguments", "pass what it takes"),
    half: ("there is no float16", "np.float32"),
    large: ("100000000000000000000 does not fit into 64 bits", "a float"),
    misspelt: ("np.sqroot does not exist", "did you mean 'sqrt'[?]$"),
}


def test_slips_in_kernels_are_told_in_the_words_of_their_line():
    for kernel, (what, remedy) in SLIPS.items():
        with pytest.raises(pp.KernelError) as told:
            pp.for_each(pp.par, 3, kernel, np.ones(3))
        text = str(told.value)
        assert re.search(f"test_words.py:[0-9]+.*{what}", text, re.MULTILINE), text
        assert re.search(f"Instead: .*{remedy}", text, re.MULTILINE), text
        assert any(line.strip() in text for line in inspect.getsource(kernel).splitlines()), text


def what_it_reads(i, x):
    return x[i]


def what_it_adds(i, x):
    return pp.atomic.add(x, 0, 1.0)


def test_what_a_kernel_returns_is_not_dropped_unseen():
    x = np.arange(10.0)
    with pytest.warns(pp.PortaparWarning, match=r"'what_it_reads' stores nothing, .* y\[i\] = …"):
        pp.for_each(pp.par, 10, what_it_reads, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pp.for_each(pp.par, (10,), what_it_reads, np.zeros((10, 2)))  # another program of it: it was told
        pp.for_each(pp.par, 10, what_it_adds, x)
    assert x[0] == 10


def test_index_spaces_that_are_none_are_told_in_few_words():
    x = np.zeros((1000, 3))
    for space, told in ((x, r"shape \(1000, 3\): .* x.shape$"), (x[:, 0], r"len\(x\)$"), (print, "before the kernel$")):
        with pytest.raises(pp.PlacementError, match=told):
            pp.for_each(pp.par, space, what_it_adds, x)


def test_functions_that_fold_arrays_are_no_operators():
    with pytest.raises(pp.KernelError, match=r"np\.max cannot be a kernel.* np\.maximum$"):
        pp.reduce(pp.par, np.arange(3.0), np.max)
