"""The cache folder: used by later processes, harmless when it cannot be used or holds rubbish."""

import errno
import os
import subprocess
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

import portapar as pp
from portapar import config

SCRIPT = """
    import sys, warnings
    import numpy as np
    import portapar as pp

    factor = float(sys.argv[1])
    x = np.arange(10_000.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = pp.transform(pp.par, x, op=lambda v: v * factor + 0.625)
        total = pp.reduce(pp.par, x)
    assert (y == x * factor + 0.625).all() and total == x.sum()
    print("numba" in sys.modules, len(caught))
    for warning in caught:
        print(warning.message)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def files(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_second_process_starts_without_compiling(python, folder):
    assert python(SCRIPT, 2, PORTAPAR_CACHE_DIR=str(folder)).split() == ["True", "0"]
    before = files(folder)
    assert before
    for factor in (2, 3):  # the captured number is an argument
        assert python(SCRIPT, factor, PORTAPAR_CACHE_DIR=str(folder)).split() == ["False", "0"]
    assert files(folder) == before


DAMAGES = (
    lambda b: b[: len(b) // 2],
    lambda b: b[:-1] + bytes([b[-1] ^ 1]),
    lambda b: b"",
    lambda b: os.urandom(len(b)),
)


def test_damaged_files_are_made_anew(python, folder):
    python(SCRIPT, 2, PORTAPAR_CACHE_DIR=str(folder))
    good = files(folder)
    assert len(good) >= len(DAMAGES)
    for k, (file, content) in enumerate(good.items()):
        file.write_bytes(DAMAGES[k % len(DAMAGES)](content))
    numba, count, *message = python(SCRIPT, 2, PORTAPAR_CACHE_DIR=str(folder)).split(maxsplit=2)
    assert numba == "True" and count == "1" and "damaged" in message[0] and str(folder) in message[0]
    assert python(SCRIPT, 2, PORTAPAR_CACHE_DIR=str(folder)).split() == ["False", "0"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_counts_as_missing(monkeypatch, folder, damage):
    monkeypatch.setenv("PORTAPAR_CACHE_DIR", str(folder))
    config._warn_once.cache_clear()
    config.store("name", b"content")
    assert config.load("name") == b"content"
    (folder / "name").write_bytes(damage((folder / "name").read_bytes()))
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert config.load("name") is None


def test_folder_that_cannot_be_made(python, monkeypatch, module, tmp_path):
    (tmp_path / "taken").write_text("a file")
    numba, count, message = python(SCRIPT, 2, PORTAPAR_CACHE_DIR=str(tmp_path / "taken")).split(maxsplit=2)
    assert numba == "True" and count == "1" and "cannot use its cache folder" in message
    x = np.arange(100.0)
    for number, place in enumerate((tmp_path / "taken" / "below", Path("/proc/portapar"))):
        monkeypatch.setenv("PORTAPAR_CACHE_DIR", str(place))
        with pytest.warns(RuntimeWarning, match="cannot use its cache folder") as caught:
            made = module(f"def kernel(v):\n    return v + {number + 0.625}\n")
            assert (pp.transform(pp.seq, x, op=made.kernel) == x + number + 0.625).all()
        assert len(caught) == 1


@pytest.mark.parametrize("step", ["replace", "write"])
def test_full_disk(monkeypatch, module, tmp_path, step):
    monkeypatch.setenv("PORTAPAR_CACHE_DIR", str(tmp_path / step))
    config._warn_once.cache_clear()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "replace":
        monkeypatch.setattr(config.os, "replace", full)
    else:
        monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = np.arange(100.0)
        for number in (len(step), len(step) + 0.5):
            made = module(f"def kernel(v):\n    return v + {number}\n")
            assert (pp.transform(pp.seq, x, op=made.kernel) == x + number).all()
    assert len(caught) == 1 and "No space left" in str(caught[0].message)
    assert not list((tmp_path / step).glob("*"))  # no half-written files


def test_two_processes_compile_the_same_kernel_at_once(tmp_path, folder):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PORTAPAR_CACHE_DIR": str(folder)}
    running = [
        subprocess.Popen([sys.executable, str(script), "2"], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in running:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and out.split()[1] == "0", out
    again = subprocess.run(
        [sys.executable, str(script), "5"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert again.stdout.split() == ["False", "0"], again


def test_key_depends_on_what_the_code_does(folder, monkeypatch, module):
    monkeypatch.setenv("PORTAPAR_CACHE_DIR", str(folder))
    x = np.arange(10.0)
    for number in (1, 2, 3):
        made = module(f"def helper(v):\n    return v + {number}\ndef kernel(v):\n    return helper(v) * 2\n")
        assert (pp.transform(pp.seq, x, op=made.kernel) == (x + number) * 2).all()
        assert (pp.transform(pp.seq, x.astype("f4"), op=made.kernel) == (x + number) * 2).all()
