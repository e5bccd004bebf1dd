"""What runs here: versions, processor, threads, compiler."""

from __future__ import annotations

import platform
import sys

__all__ = ["cpu", "show_versions"]


def cpu() -> dict:
    """What the core found out about the processor.

    Returns:
        dict with "isa" (the instruction set in force: "portable", "avx2", "avx512", "neon"), "available" (those that
        this machine and build have), "brand" (the processor's name, "" when unknown), "threads" (in use), "cores",
        "compiler", "flags".

    Source: the core asks the processor and the operating system at start; `PYNEURO_ISA` and `PYNEURO_NUM_THREADS` lower
    what it finds. A value that cannot be followed is a RuntimeWarning at import.

    Example:
        >>> import pyneuro as pn
        >>> pn.cpu()["isa"] in pn.cpu()["available"]
        True
    """
    from . import _core

    return _core.cpu()


def show_versions() -> None:
    """Prints versions, instruction set, threads and compiler: the first cell of every notebook, and of a bug report.

    Example:
        >>> import pyneuro as pn
        >>> pn.show_versions()
        pyneuro ...
    """
    from importlib import metadata

    from . import __version__

    found = cpu()
    rows = [
        ("pyneuro", __version__),
        ("instruction set", f"{found['isa']} (of {', '.join(found['available'])})"),
        ("threads", found["threads"]),
        ("processor", found["brand"] or platform.processor() or platform.machine()),
        ("compiler", found["compiler"]),
        ("Python", f"{platform.python_version()} ({platform.system()} {platform.machine()})"),
    ]
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        rows.append(("GIL", "disabled"))
    for name in ("numpy", "safetensors", "matplotlib", "torch"):
        try:  # asks the installed package's record: importing it would take seconds
            rows.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    for name, value in rows:
        print(f"{name:16s}{value}")
