"""Every Python example of the README runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(number, tmp_path):
    file = tmp_path / f"example_{number}.py"
    file.write_text(EXAMPLES[number])
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_first_screen_shows_the_two_commands():
    first = "\n".join(README.read_text().splitlines()[:40])
    assert "make stream" in first and "make test" in first
