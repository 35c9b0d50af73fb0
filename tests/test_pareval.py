"""ParEval's problems in examples/pareval/: results against NumPy and SciPy, which bench.pareval knows."""

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import executor

import portapar as pp

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from bench import pareval  # noqa: E402
from bench.native.compilers import BuildError  # noqa: E402

PROBLEMS = {problem.name: problem for problem in pareval.PROBLEMS}


def solve(name, policy, *args):
    return PROBLEMS[name].solve(policy, *args)


def test_every_example_is_a_problem():
    files = {path.stem for path in (ROOT / "examples" / "pareval").glob("*.py")} - {"__init__"}
    assert files == set(PROBLEMS) and len(files) == 40
    for name in files:
        function = getattr(importlib.import_module(f"examples.pareval.{name}"), name)
        assert function.__doc__


@pytest.mark.parametrize("problem", pareval.PROBLEMS, ids=list(PROBLEMS))
def test_results(problem, renderer):
    for n in problem.sizes:
        args = problem.arguments(n)
        given = problem.fresh(args)
        found = problem.solve(renderer, *given)
        problem.compare(found, problem.oracle(*args))
        for k, (x, before) in enumerate(zip(given, args, strict=True)):
            if isinstance(x, np.ndarray) and k not in problem.writes:
                np.testing.assert_array_equal(x, before)


@pytest.mark.extra
@pytest.mark.parametrize(
    ("members", "resident"),
    [("threads:2+simd", True), *(pytest.param(*case, marks=pytest.mark.rare) for case in (
        ("threads:2+simd", False), ("threads:2+opencl:0", True), ("threads:2+opencl:0", False)
    ))],
)  # fmt: skip
def test_on_several_parts(members, resident):
    """Right, or refused for what docs/algorithms.md tells of."""
    for problem in pareval.PROBLEMS:
        for n in problem.sizes[-2:]:
            assert not pareval.check(problem, executor(f"hybrid:{members}"), n, resident) or resident, problem.name


@pytest.mark.parametrize("problem", pareval.PROBLEMS, ids=list(PROBLEMS))
def test_native_results(problem):
    try:
        lib = pareval.library()
    except BuildError as error:
        pytest.skip(str(error))
    for n in problem.sizes:
        args = problem.arguments(n, 1)
        problem.compare(problem.native(lib, *problem.fresh(args)), problem.oracle(*args))


def test_an_element_of_100_is_reported(renderer):
    for place in (0, 499, 999):
        x = np.linspace(0, 99, 1000)
        x[place] = 100.0
        with pytest.raises(ValueError, match=f"x\\[{place}\\] is 100"):
            solve("histogram_tens", renderer, x)


def test_borders_of_bins(renderer):
    x = np.array([0.0, 9.999999999999998, 10.0, 29.999999999999996, 30.0, 99.99999999999999, 70.0])
    np.testing.assert_array_equal(solve("histogram_tens", renderer, x), [2, 1, 1, 1, 0, 0, 0, 1, 0, 1])
    x = np.array([0.0, -0.25, -0.1, 0.25, 0.5, 0.75, 0.7499999999999999, -3.0, 7.5])
    np.testing.assert_array_equal(solve("histogram_quartiles", renderer, x), [2, 1, 3, 3])


def test_hulls_of_special_points(renderer):
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)
    inside = np.array([[1, 1], [1, 0], [0, 1], [1, 2], [2, 1], [0.5, 1.5]])
    for points, expected in (
        (np.concatenate([inside, square]), [6, 7, 8, 9]),
        (np.concatenate([square, inside, square]), [0, 1, 2, 3]),
        (np.zeros((5, 2)), [0]),
        (np.array([[0, 0], [1, 1], [2, 2], [3, 3.0]]), [0, 3]),
        (np.array([[1, 3], [1, 1], [1, 2], [1, 1.0]]), [0, 1]),
        (np.array([[3, 1], [1, 1], [2, 1], [1, 1.0]]), [0, 1]),
        (np.array([[0, 0], [4, 0], [2, 1], [2, 5.0]]), [0, 1, 3]),
    ):
        x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        np.testing.assert_array_equal(solve("geometry_convex_hull", renderer, x, y), expected)


def test_triangles_without_area_and_too_few_points(renderer):
    line = np.arange(100.0)
    assert solve("geometry_smallest_triangle", renderer, line, 2 * line) == 0
    assert solve("geometry_smallest_triangle", renderer, line[:2], line[:2]) == math.inf
    assert solve("geometry_closest_pair", renderer, line[:1]) == math.inf
    assert solve("geometry_closest_pair", renderer, np.array([3.0, 1.0, 3.0])) == 0


def test_graphs_of_all_kinds(renderer):
    n = 80
    empty, full = np.zeros((n, n), np.int32), np.ones((n, n), np.int32)
    path = np.eye(n, k=1, dtype=np.int32) + np.eye(n, k=-1, dtype=np.int32)
    blocks = np.kron(np.eye(8, dtype=np.int32), np.ones((10, 10), np.int32))
    for a, components in ((empty, n), (full, 1), (path, 1), (blocks, 8)):
        assert solve("graph_components", renderer, a) == components
        assert solve("graph_count_edges", renderer, a) == a.sum()
        assert solve("graph_largest_degree", renderer, a) == a.sum(axis=1).max()


def test_searches_find_the_first(renderer):
    x = np.ones(10_000, np.int32)
    assert solve("search_first_even", renderer, x) == len(x)
    x[[77, 5000, 9999]] = -2, 0, 4
    assert solve("search_first_even", renderer, x) == 77
    assert solve("search_contains", renderer, x, 4) and not solve("search_contains", renderer, x, 3)
    y = np.zeros(10_000)
    y[[321, 322, 9000]] = math.pi + 0.5, math.pi - 0.5, math.pi + 0.5
    assert solve("search_closest_to_pi", renderer, y) == np.abs(y - math.pi).argmin()


def test_equal_elements(renderer):
    x = np.array([2.0, 1.0, 2.0, 1.0, 0.0, -0.0] * 50, np.float32)
    expected = np.empty(len(x), np.int64)
    expected[np.argsort(x, kind="stable")] = np.arange(len(x))
    np.testing.assert_array_equal(solve("sort_ranks", renderer, x, np.empty(len(x), np.int64)), expected)
    x = np.full(1000, 7, np.int32)
    assert solve("sort_kth_smallest", renderer, x, 1) == solve("sort_kth_smallest", renderer, x, 1000) == 7


def test_the_last_of_several_entries_counts(renderer):
    row, column = np.array([0, 1, 1, 0, 0], np.int32), np.array([0, 1, 0, 1, 0], np.int32)
    value = np.array([9.0, 4.0, 1.0, 2.0, 3.0])  # [[3, 2], [1, 4]]
    b = np.array([7.0, 9.0])
    np.testing.assert_allclose(solve("sparse_solve", renderer, row, column, value, b, np.empty(2)), [1, 2])
    lower, upper = solve("sparse_lu", renderer, row, column, value, np.empty((2, 2)), np.empty((2, 2)))
    np.testing.assert_allclose(lower, [[1, 0], [1 / 3, 1]])
    np.testing.assert_allclose(upper, [[3, 2], [0, 10 / 3]])
    found = solve("sparse_spmv", renderer, row, column, value, np.array([1.0, 2.0]), np.array([1.0, 1.0]), 2.0, 0.5)
    np.testing.assert_allclose(found, 2 * np.array([[12, 2], [1, 4]]) @ [1, 2] + 0.5)


def test_the_runner(tmp_path, capsys):
    try:
        pareval.library()
    except BuildError as error:
        pytest.skip(str(error))
    saved = tmp_path / "pareval.json"
    assert pareval.main(["--only", "reduce", "--size", "1000", "--seconds", "0", "--json", str(saved)]) == 0
    table = capsys.readouterr().out
    assert "reduce_mean" in table and "geometric mean" in table and saved.exists()
    with pytest.raises(SystemExit):
        pareval.main(["--only", "nothing"])


def test_the_runner_checks(monkeypatch, capsys):
    arguments = ["--check", "--only", "reduce_mean|scan_rev", "--executor", "hybrid:threads:2+simd"]
    assert pareval.main(arguments) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["reduce_mean", "right", "right"], ["scan_reversed_prefix_sum", "right", "slices"]]
    right = pp.reduce
    monkeypatch.setattr(pp, "reduce", lambda *args, **more: right(*args, **more) + 1)
    assert pareval.main(arguments) == 1
    assert "WRONG: AssertionError" in capsys.readouterr().out


def test_wrong_results_end_the_runner(monkeypatch, capsys):
    try:
        pareval.library()
    except BuildError as error:
        pytest.skip(str(error))
    right = pp.reduce
    monkeypatch.setattr(pp, "reduce", lambda *args, **more: right(*args, **more) + 1)
    assert pareval.main(["--only", "reduce_mean", "--size", "1000", "--seconds", "0"]) == 1
    assert "reduce_mean" in capsys.readouterr().err
