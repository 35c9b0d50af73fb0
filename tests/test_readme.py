"""Every Python example of the README and of docs/ runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = {
    file.name: re.findall(r"^```python\n(.*?)^```", file.read_text(), re.DOTALL | re.MULTILINE)
    for file in (*sorted(ROOT.glob("docs/**/*.md")), README)
}
RUN = "import runpy, sys\nfor file in sys.argv[1:]:\n    runpy.run_path(file, run_name='__main__')\n"


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.extra] * (page != README.name)) for page, found in PAGES.items() if found],
)
def test_examples_run(page, tmp_path):
    """One after the other, each a main program of its own."""
    files = [tmp_path / f"{page.replace('.', '_')}_{number}.py" for number in range(len(PAGES[page]))]
    for file, text in zip(files, PAGES[page], strict=True):
        file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", RUN, *files], capture_output=True, text=True, timeout=800, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_the_first_screen_shows_the_two_commands():
    first = "\n".join(README.read_text().splitlines()[:40])
    assert "make stream" in first and "make test" in first
