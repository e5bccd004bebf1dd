"""Row 2: nothing is lost, by calls that succeed or by calls that fail.

After a warm-up each public call runs many rounds; the core's live bytes and allocations, Python's objects, and open
files must be what they were. The same after rounds in which an allocation fails. `full` adds the slope of the resident
memory over 10,000 rounds of making, training and dropping a network; a debug build of Python adds its reference count.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

from pyneuro import _core, optim

from . import nets
from .calls import CASES
from .figure import Figure, in_fork, pick

ROOT = Path(__file__).resolve().parents[2]


def counts() -> dict[str, int]:
    """What must not grow."""
    gc.collect()
    stats = _core.alloc_stats()
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    found = {"bytes": stats["live_bytes"], "allocations": stats["live_count"], "files": files}
    found["objects"] = len(gc.get_objects())
    if hasattr(sys, "gettotalrefcount"):
        found["references"] = sys.gettotalrefcount()
    return found


def growth(name: str, rounds: int, failing: bool) -> str:
    """JSON of what grew over the rounds of one call."""

    def one(k: int) -> None:
        case = CASES[name]()
        if failing:
            _core.alloc_fail_at(k, False)
        try:
            case.call()
        except MemoryError:
            pass
        finally:
            _core.alloc_fail_at(0, False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(1, rounds + 1):  # every path once: imports, caches, the first traceback
            one(k)
        before = counts()
        before = counts()  # the dict of the first count is an object too
        for k in range(1, rounds + 1):
            one(k)
        after = counts()
    return json.dumps({key: after[key] - before[key] for key in before if after[key] != before[key]})


def slope(rounds: int) -> float:
    """Bytes of resident memory a round of make, train, drop, behind a quarter as many rounds to warm up.

    The median of the slopes between all pairs of moments: a leak grows between any two, and one growth of the heap,
    which the allocator of Python or of the system may decide on at any time, does not count.
    """
    x, y = nets.data(64)
    page = os.sysconf("SC_PAGE_SIZE")
    every = max(1, rounds // 400)
    moments = np.ones(-(-rounds // every))  # its memory is there from the beginning
    for number in range(-(rounds // 4), rounds):
        nets.fit(nets.dense(), x, y, optim.SGD(lr=0.1), epochs=1)
        if number >= 0 and number % every == 0:
            with open("/proc/self/statm") as file:
                moments[number // every] = int(file.read().split()[1]) * page
    first, second = np.triu_indices(len(moments), 1)
    return float(np.median((moments[second] - moments[first]) / ((second - first) * every)))


def slope_of_a_new_process(rounds: int) -> float:
    """The slope where nothing else has happened: a heap full of other things still moves after thousands of rounds."""
    code = f"from tests.reliability import row02_leaks; print(row02_leaks.slope({rounds}))"
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]))
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def measure(size: str) -> list[Figure]:
    """Growth by key over all calls, slope of the resident memory."""
    total: dict[str, int] = {"bytes": 0, "allocations": 0, "files": 0, "objects": 0}
    where: list[str] = []
    for failing in (False, True):
        for name in CASES:
            text, code = in_fork(lambda n=name, f=failing: growth(n, pick(size, 12, 60, 300), f), 300)
            if code:
                where.append(f"{name} ended with {code}: {text[-200:]}")
                total["bytes"] += 1
                continue
            for key, value in json.loads(text).items():
                total[key] = total.get(key, 0) + abs(value)
                where.append(f"{name}{' with failures' if failing else ''}: {value} {key}")
    note = "; ".join(where[:4])
    figures = [
        Figure(f"2-growth-of-{key}", value, key, value == 0, note if value else "") for key, value in total.items()
    ]
    if os.path.exists("/proc/self/statm"):
        rounds = pick(size, 400, 10_000, 10_000)
        value = round(slope_of_a_new_process(rounds), 3)
        # below 10,000 rounds a single page shows as many bytes a round
        figures.append(
            Figure("2-resident-memory-slope", value, "bytes a round", value < 1 if rounds >= 10_000 else None)
        )
    return figures
