"""Row 4: which lines and branches of the C core the tests take, and how many wrong versions of it they notice.

Measured and printed, without a verdict here. Coverage: the core is built without optimisation and with gcov's counters
in a copy of the tree; the C tests and the Python tests run there, every allocation of the core and of Python fails in
turn, and hostile calls are made. Mutants: kernels, ops and graph are made wrong in one place at a time (an operator, a
bound, a sign), built, and tested: a mutant that every test accepts has survived.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .calls import CASES
from .copy_of_tree import ROOT, Copy, Coverage
from .figure import Figure, pick

TESTS = ["tests/ops", "tests/lectures", "tests/training", "tests/robustness", "tests/parity"]
# no forks: a child that ends at once would take its counters with it
PYTHON_FAILS = (
    "import importlib.util\n"
    "from tests.reliability import row01_allocation as row\n"
    "if importlib.util.find_spec('_testcapi'): row.python_failures({!r}, list(range(400)))"
)
IN_ONE_PROCESS = [
    *map(PYTHON_FAILS.format, CASES),
    "from tests.reliability import row01_allocation as row, calls\n"
    "for name in calls.CASES:\n"
    "    for sticky in (False, True): row.core_failures(name, sticky, 2000)",
    "from tests.reliability import row06_hostile as row\nrow.batch(1, 10_000)",
]
# what judges a mutant, quickest first; together well below a minute
JUDGES = [
    "tests/ops",
    "tests/lectures",
    "tests/robustness/test_tensor.py",
    "tests/training/test_modes.py",
    "tests/training/test_same_bits.py",
]
SECONDS = 120  # a mutant, on a machine that is fast enough
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


def covered(work: Path) -> tuple[Coverage, str]:
    """What all tests take, and what failed of them.

    Arrays of a plan are allocations of their own here, so that each of them can be made to fail.
    """
    copy = Copy(work, ["-O0", "--coverage", "-DNDEBUG", "-DPN_POOL_CHUNK=0"])
    copy.without_inlining()
    copy.build()
    failed = [program.name for program in copy.programs if copy.run([str(program)], 1800)]
    # a process for each file: the counters are written when it ends
    files = [str(file.relative_to(ROOT)) for test in TESTS for file in sorted((ROOT / test).glob("test_*.py"))]
    failed += [file for file in files if copy.pytest([file], 1800) not in (0, 5)]  # 5: nothing but skipped tests
    failed += [code[:60] for code in IN_ONE_PROCESS if copy.run([sys.executable, "-c", code], 3600)]
    return Coverage(copy), ", ".join(failed)


def places() -> list[tuple[Path, int, str, str]]:
    """(file, offset, text, wrong text) of all places in kernels, ops and graph that can be mutated.

    Comments, strings and preprocessor lines are left alone, and so are instruction sets of other machines.
    """
    found = []
    files = [*ROOT.glob("csrc/ops/*.[ch]"), *ROOT.glob("csrc/kernels/*.h"), *ROOT.glob("csrc/graph/*.c")]
    for path in sorted(files):
        text = path.read_text(encoding="utf-8")
        hidden = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|^#[^\n]*', lambda m: " " * len(m[0]), text, flags=re.S | re.M)
        for old, new in SWAPS:
            at = hidden.find(old)
            while at >= 0:
                found.append((path.relative_to(ROOT), at, old, new))
                at = hidden.find(old, at + 1)
    return found


def judge(copy: Copy, seconds: float) -> str:
    """The first test that notices something, or that has not ended after `seconds` in all; empty when none does."""
    end = time.monotonic() + seconds
    for program in sorted(copy.programs, key=lambda path: path.name in ("test_accuracy", "test_gemm")):
        if copy.run([str(program)], max(1, end - time.monotonic())):
            return program.name
    for test in JUDGES:
        if copy.pytest([test], max(1, end - time.monotonic()), "-x"):
            return test
    return ""


def mutants(work: Path, count: int, seed: int) -> tuple[int, int, list[str]]:
    """(killed, built, survivors) of `count` random mutants, each built in the same copy of the tree."""
    copy = Copy(work, ["-O1", "-g0"])
    copy.build()
    begin = time.monotonic()
    unhappy = judge(copy, 1800)
    if unhappy:
        raise RuntimeError(f"{unhappy} fails without any change")
    seconds = max(SECONDS, 3 * (time.monotonic() - begin))  # what ends by itself must not be cut on a busy machine
    killed = built = 0
    survivors = []
    for path, at, old, new in random.Random(seed).sample(places(), count):
        file = copy.tree / path
        text = file.read_text(encoding="utf-8")
        file.write_text(text[:at] + new + text[at + len(old) :], encoding="utf-8")
        try:
            copy.build()
            built += 1
            found = judge(copy, seconds)
            killed += found != ""
            if not found:
                line = text.count("\n", 0, at) + 1
                survivors.append(f"{path}:{line} {old.strip()} -> {new.strip()}")
        except subprocess.CalledProcessError:  # one that does not compile is no mutant
            pass
        file.write_text(text, encoding="utf-8")
    return killed, built, survivors


def measure(size: str) -> list[Figure]:
    """Coverage of lines and branches, share of mutants killed; the missing lines go into a file when one is named.

    The environment variable PYNEURO_COVERAGE names it.
    """
    figures = []
    with tempfile.TemporaryDirectory() as work:
        coverage, failed = covered(Path(work))
    for what, python in (("core", False), ("binding", True)):
        lines, branches = coverage.share(python)
        note = f"failed: {failed}" if failed else ""
        figures.append(Figure(f"4-lines-of-the-{what}-covered", round(lines, 2), "%", None, note))
        figures.append(Figure(f"4-branches-of-the-{what}-covered", round(branches, 2), "%", None))
    if "PYNEURO_COVERAGE" in os.environ:
        Path(os.environ["PYNEURO_COVERAGE"]).write_text("\n".join(coverage.missing()) + "\n", encoding="utf-8")
    seed = random.SystemRandom().randrange(2**31)
    with tempfile.TemporaryDirectory() as work:
        killed, built, survivors = mutants(Path(work), pick(size, 2, 60, 500), seed)
    share = round(100 * killed / max(1, built), 1)
    note = f"seed {seed}" + "".join(f"; {line}" for line in survivors)
    return [*figures, Figure("4-mutants-killed", share, f"% of {built}", None, note)]
