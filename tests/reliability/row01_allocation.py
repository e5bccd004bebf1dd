"""Row 1: every allocation fails in turn, and each failure is a MemoryError that changes nothing.

For each public call and k = 1, 2, ... the k-th allocation of the core fails (once, and from there on), until the
call passes untouched. Then the same with Python's own allocator, where `_testcapi` is there to make it fail. Each run
sits in a forked child, so that a crash is counted instead of ending the measurement.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyneuro as pn
from pyneuro import _core

from .calls import CASES
from .figure import Figure, in_fork, pick


def attempt(name: str, arm, disarm, again_must_work: bool) -> str:
    """One injected failure: "passed", "handled", or what is wrong."""
    case = CASES[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = case.state()
        gc.collect()
        outcome = "passed"
        try:
            arm()
            try:
                case.call()
            finally:
                disarm()
        except MemoryError as error:
            outcome = "handled" if type(error) is MemoryError else f"{type(error).__name__} instead of MemoryError"
        except SystemError as error:
            return "elsewhere" if not raised_here(error) else f"SystemError: {error}"
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
        if outcome != "passed" and case.state() != before:
            return "the state changed"
        if again_must_work:
            case.again()
            case.call()
    return outcome


def raised_here(error: BaseException) -> bool:
    """Whether the innermost Python frame is pyneuro's: NumPy's C code forgets to set MemoryError in some places."""
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    return str(Path(pn.__file__).parent) in frame.tb_frame.f_code.co_filename


def tally(name: str, domain: str, outcomes: Iterable[tuple[int, str]]) -> str:
    """JSON of [handled, injected, what went wrong first] from (k, outcome)."""
    handled = injected = 0
    wrong = ""
    for k, outcome in outcomes:
        injected += 1
        handled += outcome == "handled"
        if outcome != "handled" and not wrong:
            wrong = f"{name}, {domain} {k}: {outcome}"
    return json.dumps([handled, injected, wrong])


def core_failures(name: str, sticky: bool, most: int) -> str:
    """k = 1, 2, ... in one child, until the call passes; the tally."""

    def outcomes() -> Iterator[tuple[int, str]]:
        for k in range(1, most + 1):
            outcome = attempt(name, lambda k=k: _core.alloc_fail_at(k, sticky), lambda: _core.alloc_fail_at(0), True)
            if outcome == "passed":
                return
            yield k, outcome

    return tally(name, "allocation from" if sticky else "allocation", outcomes())


def python_failures(name: str, ks: list[int]) -> str:
    """The same for the allocator of Python: any call of the interpreter may fail, all end in MemoryError."""
    import _testcapi

    def arm(k: int) -> None:
        gc.disable()
        keep_pairs()
        _testcapi.set_nomemory(k, k + 1)

    sys.unraisablehook = lambda _: None  # a generator that cannot be closed for want of memory is let go: not our words
    attempt(name, lambda: None, lambda: None, False)  # imports and caches first
    outcomes = ((k, attempt(name, lambda k=k: arm(k), _testcapi.remove_mem_hooks, False)) for k in ks)
    return tally(name, "Python allocation", (found for found in outcomes if found[1] not in ("passed", "elsewhere")))


def keep_pairs(count: int = 2000) -> None:
    """Leaves that many tuples of two in Python's free list, so that making a pair allocates nothing for a while.

    CPython 3.11 dies by itself when the pair that `dict.items()` hands out cannot be allocated: dictiter_new
    (Objects/dictobject.c) drops an iterator that the garbage collector does not know yet. This is the one failure that
    is left out. A full collection empties the list, so there must be none until the failure.
    """
    pairs = [(None, number) for number in range(count)]
    del pairs


def measure(size: str) -> list[Figure]:
    """Handled of injected, signals."""
    handled = injected = 0
    signals = {"core": 0, "python": 0}
    problems: list[str] = []

    def run(work, what, domain):
        nonlocal handled, injected
        text, code = in_fork(work, 300)
        if code:
            signals[domain] += 1
            problems.append(f"{what}: ended with {code} {text[-300:]}")
            return
        a, b, wrong = json.loads(text)
        handled, injected = handled + a, injected + b
        if wrong:
            problems.append(wrong)

    most = pick(size, 40, 2000, 100_000)
    for name in CASES:
        for sticky in (False, True):
            run(lambda n=name, s=sticky: core_failures(n, s, most), name, "core")
    core, found = injected, importlib.util.find_spec("_testcapi") is not None
    if found:
        for name in CASES:
            for first in range(0, pick(size, 20, 400, 4000), 20):  # few a child: a MemoryError may upset NumPy's caches
                run(lambda n=name, f=first: python_failures(n, list(range(f, f + 20))), f"{name} (Python)", "python")
    note = "; ".join(problems[:4])
    figures = [
        Figure("1-allocation-failures-handled", handled, f"of {injected}", handled == injected, note),
        Figure("1-allocation-failures-injected-in-the-core", core, "failures", size == "sample" or core > 1000),
        Figure("1-crashes-by-failures-in-the-core", signals["core"], "signals", signals["core"] == 0),
    ]
    if found:
        python = signals["python"]
        figures.append(Figure("1-crashes-by-failures-in-python", python, "signals", python == 0))
    return figures
