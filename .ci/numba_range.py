"""The ends of Numba's pinned range: the tests that read its internals, with the lowest and the newest version allowed.

Run by the environment's own Python. A version that is installed already, or that cannot be had here, is passed over,
and the reason is printed. Others are installed beside the environment, once.
"""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CANARIES = ("test_registers.py", "test_vecmath.py", "test_atomic.py")
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:")


def pip(*arguments):
    """(whether it succeeded, what it printed)"""
    done = subprocess.run([*PIP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0, done.stdout


def found(requirement, report):
    """The version that pip would install, or None and why."""
    well, output = pip("--dry-run", "--ignore-installed", "--no-deps", "--report", str(report), requirement)
    if not well:
        return None, next((line for line in reversed(output.splitlines()) if "ERROR" in line), output.strip())
    return json.loads(report.read_text())["install"][0]["metadata"]["version"], ""


def main():
    low, high = re.search(r'"numba>=([\d.]+),<([\d.]+)"', (ROOT / "pyproject.toml").read_text()).groups()
    folder = Path(sys.prefix) / "numba"
    folder.mkdir(exist_ok=True)
    for requirement in (f"numba>={low},<{high}", f"numba=={low}.*"):
        wanted, reason = found(requirement, folder / "report.json")
        if wanted is None or wanted == version("numba"):
            print(f"{requirement}: passed over: {reason or f'{wanted} is installed, and was tested'}")
            continue
        target = folder / wanted
        if not target.exists():
            well, output = pip("--target", str(target), f"numba=={wanted}")
            if not well:
                print(f"{requirement}: passed over: {output.strip().splitlines()[-1]}")
                continue
        print(f"{requirement}: {wanted}", flush=True)
        environment = {**os.environ, "PYTHONPATH": f"{target}{os.pathsep}{ROOT}"}
        tests = [f"tests/{name}" for name in CANARIES]
        command = [sys.executable, "-m", "pytest", "-q", "-n", "logical", "-m", "not extra", *tests]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    main()
