"""The table of contents of `portapar.algorithms`."""

import re
from pathlib import Path

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
