"""The cache folder: used by later processes, harmless when it cannot be used or holds rubbish, closed to others."""

import errno
import gc
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
from conftest import executor

import portapar as pp
from portapar import cache

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
    """What compiling left there; how often it was of use is another matter."""
    return {file: file.read_bytes() for file in folder.iterdir() if not file.name.startswith(".")}


@pytest.fixture
def kept(monkeypatch, folder):
    """The functions of the cache, on a folder of its own, as in a new process."""
    monkeypatch.setenv("PORTAPAR_CACHE_DIR", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "home"))  # where a private folder would be
    for function in (cache._warn_once, cache._usable, cache._default):
        function.cache_clear()
    monkeypatch.setattr(cache, "_uses", {})
    monkeypatch.setattr(cache, "_sizes", {})
    yield cache
    cache._default.cache_clear()
    cache._usable.cache_clear()


def warned(call):
    """(what the call returns, its warnings)"""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = call()
    return value, [str(warning.message) for warning in caught]


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_second_process_starts_without_compiling(python, kept, folder):
    """What one process compiles the next one loads; hits and misses of all are counted."""
    assert python(SCRIPT, 2, PORTAPAR_CACHE_DIR=str(folder)).split() == ["True", "0"]
    before = files(folder)
    assert before and mode(folder) == 0o700
    # the captured number is an argument
    assert python(SCRIPT, 3, PORTAPAR_CACHE_DIR=str(folder)).split() == ["False", "0"]
    assert files(folder) == before
    first = kept.usage()
    assert first.folder == folder and first.size == size(folder) and first.files == len(before)
    assert first.hits == first.misses == first.files and first.limit == 512 << 20
    kept.load("nothing")
    kept.store("name", b"content")
    kept.load("name")
    assert kept.usage()[-2:] == (first.hits + 1, first.misses + 1)
    kept.clear()
    assert kept.usage()[1:3] == (0, 0) and kept.usage()[-2:] == (0, 0)


HELPED = """
    import numpy as np
    import portapar as pp

    x = np.arange(1.0, 5.0)
    assert (pp.transform(pp.par.on(pp.simd()), x, op=lambda v: np.nextafter(v, 0.0)) == np.nextafter(x, 0.0)).all()
"""


@pytest.mark.extra
def test_code_that_calls_numbas_helpers_is_loaded_by_later_processes(python, folder):
    for _ in range(2):
        python(HELPED, PORTAPAR_CACHE_DIR=str(folder))


DAMAGES = (
    lambda b: b[: len(b) // 2],
    lambda b: b[:-1] + bytes([b[-1] ^ 1]),
    lambda b: b"",
    lambda b: os.urandom(len(b)),
)


@pytest.mark.extra
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
def test_a_damaged_file_counts_as_missing(kept, folder, damage):
    kept.store("name", b"content")
    assert kept.load("name") == b"content"
    (file,) = files(folder)
    file.write_bytes(damage(file.read_bytes()))
    value, (message,) = warned(lambda: kept.load("name"))
    assert value is None and "damaged" in message
    kept.store("name", b"anew")
    assert warned(lambda: kept.load("name")) == (b"anew", [])


@pytest.mark.extra
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
    cache._warn_once.cache_clear()

    def full(*name, **__):
        raise OSError(errno.ENOSPC, "No space left on device", f"{len(os.listdir(tmp_path))}{name}")

    if step == "replace":
        monkeypatch.setattr(cache.os, "replace", full)
    else:
        monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = np.arange(100.0)
        for number in (len(step), len(step) + 0.5):
            made = module(f"def kernel(v):\n    return v + {number}\n")
            assert (pp.transform(pp.seq, x, op=made.kernel) == x + number).all()
    assert len(caught) == 1 and "No space left" in str(caught[0].message)
    left = {file.name for file in (tmp_path / step).iterdir()}
    assert left <= {".locks.portapar"}  # no half-written files


@pytest.mark.extra
def test_two_processes_compile_the_same_kernel_at_once(tmp_path, folder):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PORTAPAR_CACHE_DIR": str(folder)}
    running = [
        subprocess.Popen([sys.executable, str(script), "2"], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in running:
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0 and out.split()[1] == "0", out
    again = subprocess.run(
        [sys.executable, str(script), "5"], env=environment, capture_output=True, text=True, timeout=600
    )
    assert again.stdout.split() == ["False", "0"], again


def test_key_depends_on_what_the_code_does(folder, monkeypatch, module):
    monkeypatch.setenv("PORTAPAR_CACHE_DIR", str(folder))
    x = np.arange(10.0)
    for number in (1, 2, 3):
        made = module(f"def helper(v):\n    return v + {number}\ndef kernel(v):\n    return helper(v) * 2\n")
        assert (pp.transform(pp.seq, x, op=made.kernel) == (x + number) * 2).all()
        assert (pp.transform(pp.seq, x.astype("f4"), op=made.kernel) == (x + number) * 2).all()


# only this user's code is loaded ------------------------------------------------------------------------


def test_the_folder_is_closed_to_others(kept, folder):
    old = os.umask(0)
    kept.store("name", b"content")
    os.umask(old)
    assert mode(folder) == 0o700
    assert [mode(file) for file in files(folder)] == [0o600]


@pytest.mark.parametrize("loose", [0o755, 0o775, 0o777])
def test_a_folder_of_ours_that_was_open_is_closed(kept, folder, loose):
    kept.store("name", b"content")
    os.chmod(folder, loose)
    cache._usable.cache_clear()
    assert warned(lambda: kept.load("name")) == (b"content", [])
    assert mode(folder) == 0o700


def test_a_folder_with_other_things_keeps_its_mode_and_they_are_left_alone(kept, folder):
    folder.mkdir(mode=0o755)
    (folder / "report.txt").write_text("mine")
    kept.store("name", b"content")
    assert kept.load("name") == b"content" and mode(folder) == 0o755
    kept.clear()
    assert [file.name for file in folder.iterdir()] == ["report.txt"]
    os.chmod(folder, 0o1777)  # as /tmp is
    cache._usable.cache_clear()
    used, (message,) = warned(kept.folder)
    assert used != folder and mode(used) == 0o700 and mode(folder) == 0o1777
    assert str(folder) in message and "other users may write there" in message and str(used) in message


def give_away(path):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(path, 12345, 12345, follow_symlinks=False)


def test_a_folder_of_another_user_is_not_loaded_from(kept, folder):
    kept.store("name", b"evil")
    give_away(folder)
    cache._usable.cache_clear()
    value, (message,) = warned(lambda: kept.load("name"))
    assert value is None and "12345" in message and str(folder) in message
    assert warned(lambda: (kept.store("name", b"good"), kept.load("name"))) == ((None, b"good"), [])
    assert kept.folder() != folder and mode(kept.folder()) == 0o700
    assert [len(files(place)) for place in (folder, kept.folder())] == [1, 1]


def test_without_any_folder_of_ours_code_is_kept_in_memory(kept, folder, monkeypatch):
    for place in (folder, folder.parent / "home" / "portapar", folder.parent / f"portapar-{os.geteuid() + 1}"):
        place.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    value, (message,) = warned(lambda: (kept.store("name", b"content"), kept.load("name")))
    assert value == (None, None) and "belongs to" in message and "in memory" in message
    assert kept.usage() is None and kept.clear() is None


def test_a_file_of_another_user_is_not_loaded(kept, folder):
    kept.store("name", b"evil")
    (file,) = files(folder)
    give_away(file)
    value, (message,) = warned(lambda: kept.load("name"))
    assert value is None and "another user" in message
    kept.store("name", b"good")
    assert warned(lambda: kept.load("name")) == (b"good", [])


def test_links_to_files_are_not_followed(kept, folder, tmp_path):
    kept.store("name", b"content")
    (file,) = files(folder)
    target = tmp_path / "target"
    file.rename(target)
    file.symlink_to(target)
    assert warned(lambda: kept.load("name"))[0] is None
    kept.clear()
    assert target.exists() and not files(folder)
    file.symlink_to(target)
    kept.store("name", b"good")
    assert kept.load("name") == b"good" and b"good" not in target.read_bytes()


def test_a_link_to_a_folder_is_followed_if_it_is_ours(kept, folder, tmp_path):
    (tmp_path / "disk").mkdir()
    folder.symlink_to(tmp_path / "disk")
    kept.store("name", b"content")
    assert kept.load("name") == b"content" and kept.folder() == folder and mode(tmp_path / "disk") == 0o700
    give_away(folder)
    cache._usable.cache_clear()
    value, messages = warned(lambda: kept.load("name"))
    assert value is None and len(messages) == 1


def test_a_pipe_does_not_hold_up_the_reader(kept, folder):
    kept.store("name", b"content")
    (file,) = files(folder)
    file.unlink()
    os.mkfifo(file)
    assert warned(lambda: kept.load("name"))[0] is None


def test_an_unwritable_folder_is_read_and_said_once(kept, folder, monkeypatch):
    kept.store("name", b"content")
    os.chmod(folder, 0o500)

    def refuse(*_, **__):  # root may write everywhere
        raise PermissionError(errno.EACCES, "Permission denied", f"{time.perf_counter_ns()}")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    value, messages = warned(lambda: [kept.store(name, b"more") for name in "abc"] and kept.load("name"))
    assert value == b"content" and len(messages) == 1 and "Permission denied" in messages[0]


# its size is bounded ------------------------------------------------------------------------------------


def size(folder):
    return sum(map(len, files(folder).values()))


def test_what_was_longest_unused_goes(kept, folder, monkeypatch):
    monkeypatch.setenv("PORTAPAR_CACHE_SIZE", "10k")
    for name in "abcdefgh":
        kept.store(name, bytes(1000))
    assert kept.load("a") is not None
    for name in "ijk":
        kept.store(name, bytes(1000))
        assert size(folder) <= 10 << 10
    assert kept.load("a") and kept.load("k") and kept.load("b") is None and kept.load("c") is None


def test_the_size_holds_in_a_folder_that_was_full(kept, folder, monkeypatch):
    for number in range(50):
        kept.store(str(number), bytes(1000))
    monkeypatch.setenv("PORTAPAR_CACHE_SIZE", "20000")
    cache._sizes.clear()  # a new process
    kept.store("new", bytes(1000))
    assert size(folder) <= 20_000 and kept.load("new") and kept.load("49") and kept.load("0") is None


def test_what_is_larger_than_the_folder_is_not_kept(kept, folder, monkeypatch):
    monkeypatch.setenv("PORTAPAR_CACHE_SIZE", "1k")
    assert warned(lambda: kept.store("large", bytes(2000)))[1] == []
    assert kept.load("large") is None and not files(folder)


def test_a_size_of_nothing_keeps_nothing(kept, folder, monkeypatch, module):
    monkeypatch.setenv("PORTAPAR_CACHE_SIZE", "0")
    made, x = module("def kernel(v):\n    return v * 2 + 0.6875\n"), np.arange(9.0)
    found, messages = warned(lambda: pp.transform(pp.seq, x, op=made.kernel))
    assert (found == x * 2 + 0.6875).all() and messages == [] and not folder.exists()


@pytest.mark.parametrize("text", ["much", "-1", "1.5G", "10 M", "M", "\u0661"])
def test_a_size_that_is_none(kept, monkeypatch, text):
    monkeypatch.setenv("PORTAPAR_CACHE_SIZE", text)
    with pytest.raises(pp.PortaparError, match="PORTAPAR_CACHE_SIZE=.*write"):
        kept.folder()


def test_files_of_ended_writers_go_and_those_of_running_ones_stay(kept, folder, monkeypatch):
    kept.store("name", b"content")
    old, new = folder / ".new-old.portapar", folder / ".new-new.portapar"
    old.write_bytes(b"part")
    new.write_bytes(b"part")
    os.utime(old, (1, 1))
    cache._sizes.clear()
    kept.store("more", b"content")
    assert not old.exists() and new.exists()


WORKER = """
    import os, sys
    from portapar import cache

    for turn in range(200):
        name = str((turn * 7 + int(sys.argv[1])) % 60)
        found = cache.load(name)
        assert found is None or found == name.encode() * 500, name
        cache.store(name, name.encode() * 500)
"""


def test_many_processes_prune_at_once(tmp_path, folder):
    """Nobody fails, nobody reads a part, and the folder is not much larger than allowed."""
    (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER))
    more = {"PORTAPAR_CACHE_DIR": str(folder), "PORTAPAR_CACHE_SIZE": "16k", "PYTHONWARNINGS": "error"}
    command = [sys.executable, str(tmp_path / "worker.py")]
    running = [subprocess.Popen([*command, str(number)], env={**os.environ, **more}) for number in range(4)]
    assert [process.wait(600) for process in running] == [0] * 4
    assert size(folder) <= 4 * (16 << 10)
    assert not list(folder.glob(".new-*"))


def test_what_opencl_keeps_counts_and_goes_too(kept, folder, monkeypatch):
    kept.store("name", bytes(1000))
    for number, name in enumerate(("pocl/AB/OLD", "pocl/AB/NEW", "opencl/KEY")):
        (folder / name / "kernel").mkdir(parents=True)
        (folder / name / "kernel" / "code.so").write_bytes(bytes(3000))
        os.utime(folder / name / "kernel" / "code.so", (1000 + number, 1000 + number))
        for path in (folder / name / "kernel", folder / name):
            os.utime(path, (1000 + number, 1000 + number))
    assert kept.usage().files == 4 and kept.usage().size > 10_000
    cache._sizes.clear()
    monkeypatch.setenv("PORTAPAR_CACHE_SIZE", str(kept.usage().size + 500))
    kept.store("more", bytes(1000))
    assert not (folder / "pocl/AB/OLD").exists() and (folder / "opencl/KEY/kernel/code.so").exists()
    assert kept.load("name") and kept.load("more")
    kept.clear()
    assert not any(file.is_file() for file in folder.rglob("*"))


def test_opencl_keeps_its_code_there(python, folder):
    executor("opencl:0")
    script = """
        import os
        os.environ.pop("POCL_CACHE_DIR", None)
        import numpy as np, portapar as pp
        from portapar import cache

        pp.transform(pp.par.on(pp.opencl()), np.ones(10), op=lambda v: v + 0.375)
        print(len(list(cache._drivers(cache.folder()))))
    """
    assert int(python(script, PORTAPAR_CACHE_DIR=str(folder))) > 0


# hits and misses ----------------------------------------------------------------------------------------


def test_the_record_of_uses_stays_short(kept, folder):
    kept.store("name", b"content")
    record = folder / ".uses.portapar"
    record.write_text("3 4\n" * 20_000 + "rubbish\n")
    kept.load("name")
    kept._keep_uses()
    assert len(record.read_text()) < 100 and kept._kept_uses(folder) == (60_001, 80_000)


def test_what_is_kept_in_memory_is_bounded(module, monkeypatch):
    """Kernels that are made again and again go; those that come back are right."""
    from portapar import expression, lazy, looks, problem, remembered
    from portapar.kernel.front import lift, rows, sources

    kept = [lift._lifted, lift._by_code, lift._recent, problem._texts, problem._programs, rows._expanded]
    kept += [expression._expressions, lazy._made, lazy._kinds, sources._parsed, sources._compiled]
    kept += [remembered.ready_calls, looks.simple_codes]
    for each in kept:
        each.clear()
        monkeypatch.setattr(each, "limit", 2)
    x = np.arange(4.0)
    for k in [*range(3), *range(3)]:
        text = f"def f(v):\n    return v + {k}\n\n\ndef capture(c):\n    return lambda v: v * c - {k}\n"
        made = module(text, f"m{k}")
        for _ in range(2):
            np.testing.assert_array_equal(pp.transform(pp.seq, x, op=made.f), x + k)
            np.testing.assert_array_equal(pp.transform(pp.seq, x, op=made.capture(float(k))), x * k - k)
            assert pp.reduce(pp.seq, pp.lazy.transform(x, made.f)) == (x + k).sum()
    assert all(len(each) <= 2 for each in kept)


def test_keys_of_remembered_calls_keep_their_codes(newer, module):
    """Of all kernels of a call, whenever others are forgotten: else another could come to have the place of one."""
    from portapar import looks, remembered
    from portapar.kernel.front import lift

    made = [module(f"def f(v):\n    return v + {k}\n", f"kept{k}").f for k in range(3)]
    how, x = pp.par.on(pp.threads(2)), np.ones(3)
    key, _ = remembered.signature(how, tuple(made), (x,), None)
    assert remembered.signature(how, tuple(made), (x,), None)[0] == key
    codes = [weakref.ref(f.__code__) for f in made]
    made.clear()
    for each in (looks.simple_codes, lift._lifted, lift._by_code, lift._recent):
        each.clear()
    gc.collect()
    assert all(code() is not None for code in codes) and key is not None


def test_what_numba_made_goes_where_nobody_needs_it_any_more(newer, module):
    from portapar.kernel.jit import functions, typing

    def alive():
        for _ in range(5):  # what a function calls goes after it
            gc.collect()
        found = [each.py_func for each in gc.get_objects() if type(each).__name__ == "CPUDispatcher"]
        return {id(each) for each in found if each.__code__.co_filename.startswith("<portapar")}

    made = module("def f(v):\n    return v + 4321\n\n\ndef g(i, y, x):\n    y[i] = f(x[i - 1]) + x[i - 2]\n")
    before, x, y = alive(), np.arange(9.0), np.zeros(9)
    pp.for_each(pp.seq, 9, made.g, y, x)
    np.testing.assert_array_equal(y, np.roll(x, 1) + 4321 + np.roll(x, 2))
    assert pp.transform_reduce(pp.seq, x, transform=made.f) == (x + 4321).sum()
    assert not alive() <= before
    for each in (functions.namespace.cache_clear, functions._function.cache_clear, typing._memo.clear):
        each()
    typing._typings.clear()
    assert alive() <= before


def test_processes_compile_a_kernel_once_and_the_others_load_it(tmp_path):
    code = """
        import sys, time, pathlib
        import portapar.kernel.jit.native as native

        compiled, compile_native = [], native.compile_native

        def counted(*how):
            compiled.append(how)
            return compile_native(*how)

        native.compile_native = counted
        here = pathlib.Path(sys.argv[1])
        (here / f"ready-{sys.argv[2]}").touch()
        while len(list(here.glob("ready-*"))) < 3:
            time.sleep(0.01)
        assert native.native("twice", lambda: lambda x: 2 * x, 1)(21) == 42
        print(len(compiled))
    """
    script, cache = tmp_path / "script.py", tmp_path / "cache"
    script.write_text(textwrap.dedent(code))
    environment = {**os.environ, "PORTAPAR_CACHE_DIR": str(cache)}
    started = [
        subprocess.Popen([sys.executable, script, tmp_path, str(k)], env=environment, stdout=subprocess.PIPE, text=True)
        for k in range(3)
    ]
    counts = [process.communicate(timeout=600)[0].strip() for process in started]
    assert sorted(counts) == ["0", "0", "1"]
