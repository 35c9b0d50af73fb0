"""The tables of contents of `portapar.algorithms` and of the rooms of `portapar.kernel`."""

import importlib
import re
from pathlib import Path

import pytest

import portapar as pp
from portapar import algorithms


def test_every_name_and_its_file_is_in_the_table():
    table = dict(re.findall(r"^`(\w+)` +(.*)$", algorithms.__doc__, re.MULTILINE))
    files = {file.stem for file in Path(algorithms.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {*table, *re.findall(r"`(\w+)` \(", algorithms.__doc__), "segments"}
    homes = {name: getattr(getattr(pp, name), "__module__", None) or "" for name in pp.__all__}
    found = {name: home.rsplit(".", 1)[1] for name, home in homes.items() if home.startswith("portapar.algorithms.")}
    told = {name: file for file, names in table.items() for name in names.split(", ") if name in found}
    assert told == found


@pytest.mark.parametrize("room", ["front", "jit", "cpu", "lanes", "c"])
def test_every_file_of_a_room(room):
    package = importlib.import_module(f"portapar.kernel.{room}")
    folder = Path(package.__file__).parent
    told = re.findall(r"^`(\w+)`", package.__doc__, re.MULTILINE)
    assert sorted(told) == sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")


def test_every_algorithm_is_in_the_tables_of_the_docs():
    text = (Path(__file__).parent.parent / "docs" / "algorithms.md").read_text()
    told = set(re.findall(r"\bpp\.(\w+)", text))
    assert told <= set(dir(pp))
    homes = {name: getattr(getattr(pp, name), "__module__", None) or "" for name in pp.__all__}
    assert {name for name, home in homes.items() if home.startswith("portapar.algorithms.")} <= told


def test_texts_become_trees_in_one_place():
    """CPython 3.11 mixes up the depths of threads that parse at the same time: `tree_of` lets one after another."""
    package = Path(pp.__file__).parent
    assert [file.name for file in package.rglob("*.py") if "ast.parse(" in file.read_text()] == ["sources.py"]
