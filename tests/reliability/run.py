"""The scorecard of reliability: `python tests/reliability/run.py` prints each figure as `name value unit`.

    run.py [--size sample|ci|full] [rows ...]

The numbers of the rows are those of the scorecard: 1 allocation failures, 2 leaks, 3 sanitizers and threads, 4 coverage
and mutants (measured, printed), 5 file fuzzing, 6 hostile calls, 7 gradients, 8 kernels, 9 samplers, 10 same bits,
11 kill -9, 12 Ctrl-C, 13 NaN. `make full` runs size ci; the test suite runs size sample. Exit code 1 when a target is
missed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))  # behind an installed pyneuro

from tests.reliability.figure import SIZES, Figure

ROWS = {
    1: "allocation",
    2: "leaks",
    3: "sanitizers",
    4: "coverage",
    5: "files",
    6: "hostile",
    7: "gradients",
    8: "kernels",
    9: "samplers",
    10: "bits",
    11: "kill",
    12: "interrupt",
    13: "nonfinite",
}


def measure(row: int, size: str) -> list[Figure]:
    """The figures of one row."""
    return importlib.import_module(f"tests.reliability.row{row:02d}_{ROWS[row]}").measure(size)


def main() -> int:
    """Prints the figures of the wanted rows; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", type=int, default=list(ROWS), help="default: all")
    parser.add_argument("--size", choices=SIZES, default="ci")
    options = parser.parse_args()
    missed = 0
    for row in options.rows:
        if row not in ROWS:
            parser.error(f"there is no row {row}: {', '.join(map(str, ROWS))}")
        start = time.perf_counter()
        for figure in measure(row, options.size):
            print(figure.line(), flush=True)
            missed += figure.good is False
        print(f"# row {row} took {time.perf_counter() - start:.1f} s", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
