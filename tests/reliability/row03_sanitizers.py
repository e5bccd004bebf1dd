"""Row 3: sanitizer reports, suppressions, and eight Python threads at once.

The C tests run under AddressSanitizer with UndefinedBehaviorSanitizer and under ThreadSanitizer, and under valgrind
where it is installed. Eight Python threads then train, predict and differentiate at the same time; each must get the
bits it gets alone. (No free-threaded Python is needed: the core gives up the GIL while it works.)
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import pyneuro as pn
from pyneuro import nn, optim

from . import nets
from .figure import Figure, pick

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer")


def c_tests(*arguments: str) -> tuple[int, int]:
    """(reports, exit code) of the C tests."""
    command = [sys.executable, str(ROOT / "tests" / "c" / "run.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    return sum(text.count(words) for words in REPORTS), done.returncode


def suppressions() -> int:
    """Lines in suppression files, and attributes that switch a sanitizer off, in the tree."""
    found = 0
    for path in [*ROOT.glob("csrc/**/*.[ch]"), *ROOT.glob("tests/c/*.[ch]")]:
        found += path.read_text(encoding="utf-8").count("no_sanitize")
    for path in [*ROOT.glob("tests/**/*.supp"), *ROOT.glob("tests/**/*suppress*.txt")]:
        found += len(path.read_text(encoding="utf-8").splitlines())
    return found


def work(kind: int) -> str:
    """What one thread does; a hash of the result."""
    x, y = nets.data(320, seed=kind)
    net = (nets.dense, nets.with_dropout, nets.wide)[kind % 3](seed=kind)
    nets.fit(net, x, y, optim.Adam(lr=1e-3), epochs=2)
    net.predict(x)
    net.eval()  # dropout outside of fit draws from the thread's own stream
    a = pn.tensor(x, requires_grad=True)
    nn.functional.cross_entropy(net(a), pn.tensor(y)).backward()
    return nets.digest(net) + str(float(np.abs(a.grad.numpy()).sum()))


def threads_agree(rounds: int) -> tuple[int, int]:
    """(same bits, tried) with eight threads at once."""
    kinds = list(range(8))
    alone = [work(kind) for kind in kinds]
    good = tried = 0
    with ThreadPoolExecutor(8) as pool:
        for _ in range(rounds):
            found = list(pool.map(work, kinds))
            good += sum(a == b for a, b in zip(found, alone))
            tried += len(kinds)
    return good, tried


def measure(size: str) -> list[Figure]:
    """Reports of the sanitizers (not in the sample: `make asan tsan` run beside it), suppressions, threads."""
    figures = []
    if size != "sample":
        for name, arguments in (
            ("address-undefined", ["--sanitize", "address,undefined"]),
            ("thread", ["--sanitize", "thread", "--only", "test_team,test_graph,test_races"]),
        ):
            reports, code = c_tests(*arguments)
            figures.append(Figure(f"3-{name}-sanitizer-reports", reports, "reports", reports == 0 and code == 0))
        if shutil.which("valgrind"):
            _, code = c_tests("--runner", "valgrind --quiet --error-exitcode=9", "--only", "test_base")
            figures.append(Figure("3-valgrind-failures", int(code != 0), "failures", code == 0))
    count = suppressions()
    figures.append(Figure("3-suppressions", count, "lines", count == 0))
    good, tried = threads_agree(pick(size, 3, 30, 300))
    figures.append(Figure("3-eight-threads-same-bits", good, f"of {tried}", good == tried))
    return figures
