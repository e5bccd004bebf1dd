"""The benchmarks: `python tests/benchmarks/run.py dense` prints the table of the README.

    run.py [dense|cnn|gemm|eager|race|scaling|weight|results|hopfield|annealing|rbm|energy|all ...]
           [--threads N] [--rounds N] [--isa avx2] [--no-random]

Ratios are medians of paired ratios of turns that alternate in one process (paired.py). Never run by the tests, never
timed in a test. Each table runs in a process of its own, bound to as many cores as it has threads. Exit code 1 when
weights or bits disagree or a network ran in teaching mode.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from paired import in_child

sys.path.append(str(Path(__file__).resolve().parents[2]))  # behind an installed pyneuro

TABLES = (
    "dense",
    "cnn",
    "gemm",
    "eager",
    "race",
    "scaling",
    "weight",
    "results",
    "hopfield",
    "annealing",
    "rbm",
    "energy",
)
THREADS = {"gemm": 1, "eager": 1, "hopfield": 1, "energy": 1}  # the others: two


def main() -> int:
    """Parses the arguments, runs each table in a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=["dense"], help="|".join((*TABLES, "all")))
    parser.add_argument("--threads", type=int, help="threads of both sides (default 2; gemm and eager 1)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contestant (default 7)")
    parser.add_argument("--isa", help="instruction set of pyneuro: portable, avx2, avx512 (the same as PYNEURO_ISA)")
    parser.add_argument("--no-random", action="store_true", help="dense, cnn: leave out the shapes drawn at random")
    options = parser.parse_args()
    wanted = TABLES if "all" in options.tables else options.tables
    unknown = [name for name in wanted if name not in TABLES]
    if unknown:
        parser.error(f"unknown table {unknown[0]!r}: {', '.join(TABLES)} or all")
    if os.environ.get("PYNEURO_BENCHMARK_CHILD"):
        table = importlib.import_module(wanted[0])
        threads = options.threads or THREADS.get(wanted[0], 2)
        extra = {"random_shapes": not options.no_random} if wanted[0] in ("dense", "cnn") else {}
        return 0 if table.run(threads, options.rounds, **extra) else 1
    code = 0
    for name in wanted:
        arguments = [name, "--rounds", str(options.rounds)] + (["--no-random"] if options.no_random else [])
        threads = options.threads or THREADS.get(name, 2)
        code |= in_child(
            threads, [*arguments, "--threads", str(threads)], {"PYNEURO_ISA": options.isa} if options.isa else None
        )
    return code


if __name__ == "__main__":
    sys.exit(main())
