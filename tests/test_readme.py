"""Every Python example of the README and of docs/ runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
EXAMPLES = {
    f"{file.name}-{number}": text
    for file in (README, *sorted(ROOT.glob("docs/**/*.md")))
    for number, text in enumerate(re.findall(r"^```python\n(.*?)^```", file.read_text(), re.DOTALL | re.MULTILINE))
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path):
    file = tmp_path / f"{name.replace('.', '_')}.py"
    file.write_text(EXAMPLES[name])
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_first_screen_shows_the_two_commands():
    first = "\n".join(README.read_text().splitlines()[:40])
    assert "make stream" in first and "make test" in first
