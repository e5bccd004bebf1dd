"""``fetch NAME ... --to DIR``: data sets for class-rooms without network."""

from __future__ import annotations

import argparse
from pathlib import Path


def run(options: argparse.Namespace) -> None:
    """Downloads the files, checks their SHA-256, and says how to use the folder."""
    from pyneuro import datasets

    folder = Path(options.to)
    folder.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        for path in datasets.fetch(name, folder):
            print(path)
    print(f"use it with: export PYNEURO_DATA={folder.resolve()}")
