"""Each row of the scorecard at its smallest size. Row 4 (coverage, mutants) is measured by `make full` alone.

The rows run in one process of their own: some fork for each call, which is slow and says less in a process that has
imported PyTorch and a thousand tests.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.run import ROWS

ROOT = Path(__file__).resolve().parents[2]
SAMPLED = [row for row in ROWS if row != 4]


@pytest.fixture(scope="module")
def report():
    """What `run.py` prints for all rows, and its complaints."""
    command = [sys.executable, str(ROOT / "tests" / "reliability" / "run.py"), "--size", "sample"]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))  # the same pyneuro as here
    done = subprocess.run(
        [*command, *map(str, SAMPLED)], env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("row", SAMPLED, ids=lambda row: f"{row:02d}-{ROWS[row]}")
def test_row(row, report):
    lines, complaints = report
    figures = [line for line in lines if line.startswith(f"{row}-")]
    print(*figures, sep="\n")
    assert any(line.startswith(f"# row {row} took") for line in lines), complaints
    assert figures
    missed = [line for line in figures if "# MISSED" in line]
    assert not missed, "\n".join(missed)
