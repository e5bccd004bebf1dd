"""Energy models: every file `energy_*.py` of this folder prints its tables. One of them needs `run(threads, rounds)`,
which returns False when results disagree."""

from __future__ import annotations

import importlib
from pathlib import Path

from paired import machine


def run(threads: int, rounds: int) -> bool:
    """Prints all tables. False when some results disagree."""
    print(machine())
    names = sorted(path.stem for path in Path(__file__).parent.glob("energy_*.py"))
    results = [importlib.import_module(name).run(threads, rounds) for name in names]
    return all(results)
