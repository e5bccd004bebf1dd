"""A figure of the scorecard: name, value, unit, target, and whether the target is met."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SIZES = ("sample", "ci", "full")  # seconds a row / minutes a row / as long as it takes


@dataclass(frozen=True)
class Figure:
    """One line of the report.

    Attributes:
        name: words joined by hyphens, starting with the row such as "1-allocation-failures-handled".
        value: number.
        unit: for people, such as "of 1204" or "ms".
        good: target met; None: measured only, the target binds elsewhere (a release, another machine).
        note: more for people, printed behind a hash.
    """

    name: str
    value: float
    unit: str
    good: bool | None
    note: str = ""

    def line(self) -> str:
        """`name value unit`, then what is for people."""
        value = f"{self.value:.6g}" if isinstance(self.value, float) else str(self.value)
        verdict = {True: "ok", False: "MISSED", None: "measured"}[self.good]
        return f"{self.name} {value} {self.unit}  # {verdict}{'; ' + self.note if self.note else ''}"


def pick(size: str, sample: Any, ci: Any, full: Any) -> Any:
    """The value for a size."""
    return {"sample": sample, "ci": ci, "full": full}[size]


def in_fork(work: Callable[[], str], seconds: float = 60) -> tuple[str, int]:
    """Runs `work` in a forked child; returns (its text, 0) or (what was printed so far, signal or exit code).

    The child is ended after `seconds`. A crash of the child is what such a test looks for, so it must not take us
    along.
    """
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        faulthandler.disable()  # a crash is counted by the parent; its traceback among pytest's dots would only mislead
        os.close(read)
        code = 0
        try:
            os.write(write, work().encode())
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
            code = 70
        os._exit(code)
    os.close(write)
    parts, end = [], time.monotonic() + seconds
    os.set_blocking(read, False)
    ended = None
    while True:
        try:
            part = os.read(read, 1 << 16)
            if part:
                parts.append(part)
                continue
        except BlockingIOError:
            part = None
        if ended is not None or part == b"":
            break
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            ended = status
            continue
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.001)
    os.close(read)
    if ended is None:
        ended = os.waitpid(child, 0)[1]
    return b"".join(parts).decode(errors="replace"), os.waitstatus_to_exitcode(ended)
