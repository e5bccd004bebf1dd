"""Row 4: which lines and branches of the C core the tests take, and how many wrong versions of it they notice.

Measured and printed, without a target here. The core is built without optimisation and with gcov's counters into a
folder of its own, the tests of its behaviour run against that build, and gcov adds up. Then kernels and ops are made
wrong one place at a time (an operator, a bound, a sign), built, and tested: a mutant that every test accepts has
survived.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from .figure import Figure, pick

ROOT = Path(__file__).resolve().parents[2]
TESTS = ["tests/ops", "tests/lectures", "tests/training", "tests/robustness"]
SWAPS = [
    (" + ", " - "),
    (" - ", " + "),
    (" * ", " + "),
    (" < ", " <= "),
    (" <= ", " < "),
    (" > ", " >= "),
    (" >= ", " > "),
    (" == ", " != "),
    (" && ", " || "),
    ("+=", "-="),
    (" = 0;", " = 1;"),
    ("1 - ", "1 + "),
]


def build(folder: Path, tree: Path, flags: str, jobs: int = 2) -> subprocess.CompletedProcess:
    """Builds the extension of `tree` into folder/lib, with the Python files beside it."""
    environment = dict(os.environ, CC=f"{sysconfig.get_config_var('CC') or 'cc'} {flags}")
    command = [
        sys.executable,
        "setup.py",
        "build_ext",
        "--build-temp",
        str(folder / "bt"),
        "--build-lib",
        str(folder / "lib"),
    ]
    done = subprocess.run(
        [*command, f"-j{jobs}"], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    for path in (tree / "pyneuro").rglob("*"):
        if path.is_file() and path.suffix not in (".so", ".pyd", ".pyc"):
            target = folder / "lib" / "pyneuro" / path.relative_to(tree / "pyneuro")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return done


def run_tests(lib: Path, tests: list[str], seconds: float) -> int:
    """Exit code of pytest on the tests against the build in `lib`; 124 after `seconds`."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(lib), str(ROOT)]), PYTHONSAFEPATH="1")
    existing = [test for test in tests if (ROOT / test).exists()]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--override-ini=pythonpath=", "--import-mode=importlib"]
    command = [sys.executable, "-m", "pytest", *options, *existing]
    try:
        return subprocess.run(
            command, cwd=lib, env=environment, capture_output=True, timeout=seconds, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return 124


def gcov(objects: Path) -> tuple[float, float]:
    """(lines, branches) in per cent, over the files of csrc without csrc/python."""
    lines = branches = lines_run = branches_run = 0
    data = [path for path in objects.rglob("*.gcda") if "python" not in path.parts]
    for path in data:
        done = subprocess.run(["gcov", "-b", "-n", str(path)], cwd=ROOT, capture_output=True, text=True, check=False)
        for block in done.stdout.split("\n\n"):
            if "csrc/" not in block:
                continue
            found = re.search(r"Lines executed:([\d.]+)% of (\d+)", block)
            if found:
                lines, lines_run = lines + int(found[2]), lines_run + float(found[1]) * int(found[2]) / 100
            found = re.search(r"Branches executed:[\d.]+% of (\d+)\nTaken at least once:([\d.]+)%", block)
            if found:
                branches, taken = branches + int(found[1]), float(found[2]) * int(found[1]) / 100
                branches_run += taken
    return 100 * lines_run / max(1, lines), 100 * branches_run / max(1, branches)


def places() -> list[tuple[Path, int, str, str]]:
    """(file, offset, text, wrong text) of all places that can be mutated in ops and kernels;

    comments are left alone.
    """
    found = []
    for path in sorted([*ROOT.glob("csrc/ops/*.c"), *ROOT.glob("csrc/kernels/*.h"), *ROOT.glob("csrc/graph/*.c")]):
        text = path.read_text(encoding="utf-8")
        hidden = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|^#.*$', lambda m: " " * len(m[0]), text, flags=re.S | re.M)
        for old, new in SWAPS:
            at = hidden.find(old)
            while at >= 0:
                found.append((path, at, old, new))
                at = hidden.find(old, at + 1)
    return found


def mutants(count: int) -> tuple[int, int, list[str]]:
    """(killed, built, survivors) of `count` random mutants, each in a copy of the tree."""
    rng = random.Random(4)
    chosen = rng.sample(places(), count)
    killed = built = 0
    survivors = []
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work, "tree")
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "build", "*.so", "__pycache__"))
        folder = Path(work, "build")
        build(folder, tree, "-O1")
        for path, at, old, new in chosen:
            copy = tree / path.relative_to(ROOT)
            text = copy.read_text(encoding="utf-8")
            copy.write_text(text[:at] + new + text[at + len(old) :], encoding="utf-8")
            if build(folder, tree, "-O1").returncode == 0:  # one that does not compile is no mutant
                built += 1
                code = run_tests(folder / "lib", TESTS, 120)
                killed += code != 0
                if code == 0:
                    line = text.count("\n", 0, at) + 1
                    survivors.append(f"{path.relative_to(ROOT)}:{line} {old.strip()} -> {new.strip()}")
            copy.write_text(text, encoding="utf-8")
    return killed, built, survivors


def measure(size: str) -> list[Figure]:
    """Coverage of lines and branches, share of mutants killed."""
    figures = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        done = build(folder, ROOT, "-O0 --coverage -DNDEBUG")
        if done.returncode:
            return [Figure("4-coverage-build", 0, "builds", None, done.stderr[-200:])]
        code = run_tests(folder / "lib", TESTS, 3600)
        lines, branches = gcov(folder / "bt")
        note = "" if code == 0 else f"the tests ended with {code}"
        figures.append(Figure("4-lines-of-the-core-covered", round(lines, 1), "%", None, note))
        figures.append(Figure("4-branches-of-the-core-covered", round(branches, 1), "%", None))
    killed, built, survivors = mutants(pick(size, 2, 12, 500))
    share = round(100 * killed / max(1, built), 1)
    figures.append(Figure("4-mutants-killed", share, f"% of {built}", None, "; ".join(survivors[:6])))
    return figures
