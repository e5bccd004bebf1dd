"""Paired measurement: contestants take turns in one process, and only ratios of neighbouring turns are compared.

A machine's clock drifts by ten per cent within minutes, so two figures taken one after the other compare weather.
Turns of one round lie side by side; the ratio of a round is free of the drift, and the median over the rounds is free
of the odd interruption.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Turns:
    """Seconds per unit of work, one list per contestant, in order of the rounds."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def best(self, name: str) -> float:
        """Fastest turn of one contestant in seconds per unit."""
        return min(self.seconds[name])

    def median(self, name: str) -> float:
        """Median turn of one contestant in seconds per unit."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """Median over the rounds of (seconds of `slow`) / (seconds of `fast`): how many times faster `fast` is."""
        return statistics.median(s / f for s, f in zip(self.seconds[slow], self.seconds[fast]))


def alternate(contestants: dict[str, Callable[[], float]], rounds: int = 5, warm_up: int = 1) -> Turns:
    """Runs every contestant once a round; each call does its work and returns how many units it did.

    The order is reversed from round to round, so that nobody always runs on a machine that somebody else has just
    heated.
    """
    turns = Turns({name: [] for name in contestants})
    for work in list(contestants.values()) * warm_up:
        work()
    names = list(contestants)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            start = time.perf_counter()
            units = contestants[name]()
            turns.seconds[name].append((time.perf_counter() - start) / units)
    return turns


def repeat_for(work: Callable[[], object], seconds: float = 0.05) -> Callable[[], float]:
    """A contestant that repeats `work` for about `seconds` and returns the number of repetitions.

    The count is found once, so that the clock is not read inside the loop.
    """
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            work()
        spent = time.perf_counter() - start
        if spent > seconds / 4:
            break
        count *= 4
    count = max(1, int(count * seconds / spent))

    def contestant() -> float:
        for _ in range(count):
            work()
        return count

    return contestant


def in_child(threads: int, arguments: list[str], extra: dict[str, str] | None = None) -> int:
    """Runs this script again, bound to `threads` cores, so that all libraries see the same processors from the start.

    Returns the exit code. JAX cannot change its thread count later, hence a process of its own.
    """
    environment = dict(
        os.environ,
        OMP_NUM_THREADS=str(threads),
        PYNEURO_NUM_THREADS=str(threads),
        JAX_PLATFORMS="cpu",
        PYNEURO_BENCHMARK_CHILD="1",
    )
    environment.update(extra or {})
    cores = sorted(os.sched_getaffinity(0))[:threads] if hasattr(os, "sched_getaffinity") else None

    command = [sys.executable, sys.argv[0], *arguments]

    def bind() -> None:
        if cores is not None:
            os.sched_setaffinity(0, cores)

    return subprocess.run(command, check=False, env=environment, preexec_fn=bind if cores else None).returncode


def machine() -> str:
    """One line about the machine and the versions, printed above each table."""
    import numpy

    import pyneuro as pn

    cpu = pn.cpu()
    parts = [
        f"{cpu.get('brand') or platform.machine()}",
        f"{cpu['isa']}",
        f"Python {platform.python_version()}",
        f"NumPy {numpy.__version__}",
    ]
    for name in ("torch", "jax"):
        module = sys.modules.get(name)
        if module is not None:
            parts.append(f"{name} {module.__version__}")
    return " · ".join(parts)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Prints a Markdown table whose columns line up in a terminal too."""
    widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
    print(f"\n{title}\n")
    for number, row in enumerate([columns, ["-" * w for w in widths], *rows]):
        filler = "-" if number == 1 else " "
        print(
            "|"
            + "|".join(f"{filler}{str(cell).ljust(width, filler)}{filler}" for cell, width in zip(row, widths))
            + "|"
        )
    sys.stdout.flush()


def in_units(seconds: float) -> str:
    """A time with three digits and a fitting unit: 0.41 us, 67.2 us, 3.10 ms."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def verdict(value: float, goal: float | None, better_higher: bool = True) -> str:
    """`5.61 x (goal 5.5, reached)` or the like."""
    if goal is None:
        return f"{value:.2f} x"
    reached = value >= goal if better_higher else value <= goal
    return f"{value:.2f} x (goal {goal:g}{'' if reached else ', missed'})"
