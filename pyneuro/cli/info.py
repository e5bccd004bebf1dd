"""``info``: what a bug report should carry."""

from __future__ import annotations

import argparse


def machine_line() -> str:
    """One line: version, processor, instruction set and threads in use."""
    import pyneuro as pn

    cpu = pn.cpu()
    threads = f"{cpu['threads']} thread{'s' if cpu['threads'] != 1 else ''}"
    return f"pyneuro {pn.__version__}: {cpu['isa']}, {threads}" + (f", {cpu['brand']}" if cpu.get("brand") else "")


def run(options: argparse.Namespace) -> None:
    """Prints versions, instruction set, threads, compiler."""
    import pyneuro as pn

    pn.show_versions()
