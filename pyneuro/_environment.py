"""Environment variables that cannot be followed are named at import: silence would mean measuring something else."""

import os
import re
import warnings

from pyneuro import _core


def check():
    """RuntimeWarning for a PYNEURO_ISA or PYNEURO_NUM_THREADS that the core cannot follow, saying what it does instead.

    >>> check()
    """
    isa, threads = os.environ.get("PYNEURO_ISA"), os.environ.get("PYNEURO_NUM_THREADS")
    if isa:
        found = _core.cpu()
        if isa not in found["available"]:
            _warn("PYNEURO_ISA", isa, f"one of {', '.join(found['available'])}", found["isa"])
    if threads and not re.fullmatch(r"\s*\+?0*[1-9]\d*\s*(,.*)?", threads):
        _warn("PYNEURO_NUM_THREADS", threads, "a whole number of at least 1", _core.get_num_threads())


def _warn(name, value, expected, used):
    text = f"{name} is {value!r:.80}, expected {expected} on this machine; {used} is used"
    warnings.warn(text, RuntimeWarning, stacklevel=4)
