"""What commands share: how they fail, whether this rank speaks, where they write."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portapar.topology import RANK


class UsageError(Exception):
    """The command cannot be carried out as typed; the message is one line with the remedy."""


def silent(in_job: bool) -> bool:
    """Whether another rank writes the files."""
    return in_job and not any(os.environ.get(name) == "0" for name in RANK)


def writable(path: Path) -> None:
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if not folder.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {folder}. Make it, or name another file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(f"{path} cannot be written: permission denied. Name another file")


def drawable(path: Path) -> None:
    """`writable`, for a chart."""
    writable(path)
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--plot {path}: must end with .png, .svg or .pdf")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'portapar[plot]'")


def console(in_job: bool) -> Any:
    """A console that leaves long lines whole and numbers uncoloured."""
    from rich.console import Console

    # Open MPI gives its ranks a terminal of their own, wherever their output goes in the end.
    return Console(force_terminal=False if in_job else None, soft_wrap=True, highlight=False, markup=False, emoji=False)


@contextlib.contextmanager
def progress(in_job: bool) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    if in_job or not console.is_terminal:
        yield lambda done, name: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # No refreshing thread: it would take time from what is measured.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=1.0)

        def show(done: float, name: str) -> None:
            bar.update(task, completed=done, description=name)
            bar.refresh()

        yield show
