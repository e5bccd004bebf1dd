"""Row 5: no file makes a reader crash, hang, take too much memory or raise what is not documented.

Seeds of each reader are spoilt by mutations that know the format (checksums are made to fit again, so that the code
behind them is reached) and fed to the reader. Then every truncation of the good seeds, and changes of every single
byte. The readers are in Python, so that the coverage of their branches by the seeds alone can be measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import pyneuro as pn
from pyneuro import _files, checkpoint, energy, io
from pyneuro.cli import tables
from pyneuro.datasets import idx
from pyneuro.energy import _model, formats, hopfield, ising, tsplib

from . import corpus
from .branches import Branches
from .figure import Figure, in_fork, pick

FREE = 2 << 20  # bytes that any reader may take whatever the file's size: buffers, a JSON parser, a network's objects


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        name, ending: of its files.
        read: takes a path.
        seeds: good and bad files.
        spoil: (bytes, generator) -> bytes.
        source: (module, functions that read; None: all of them).
    """

    name: str
    ending: str
    read: Callable[[str], object]
    seeds: Callable[[], list[bytes]]
    spoil: Callable[[bytes, np.random.Generator], bytes]
    source: list[tuple[object, set[str] | None]]


FILES_READ = {"read_arrays", "_parse_header", "_unique", "_no_constant", "_check_entry", "_verify", "_decode"}
CHECKPOINT_READ = {"read", "check", "restore", "_array", "_weights", "_optimizer", "_callback_arrays"}
IO_READ = {"load", "_no_architecture", "build", "module", "_container", "_tie", "_retype"}
ENERGY_READ = {"of", "_check", "_fill", "_finite", "_empty", "_set_lattice"}
GSET_READ = {"read_gset", "_parse", "_header", "_is_whole", "_edge"}
HOPFIELD_READ = {"load_state_dict", "_fill", "_empty"}


def read_tsplib(path: str) -> None:
    """As a problem, or else as a tour."""
    try:
        energy.TSP.read(path)
    except ValueError:
        tsplib.read_tour(path)


READERS = [
    Reader(
        "model", ".safetensors", pn.load, corpus.model_seeds, corpus.spoil_model, [(_files, FILES_READ), (io, IO_READ)]
    ),
    Reader(
        "checkpoint",
        ".safetensors",
        corpus.resume,
        corpus.checkpoint_seeds,
        corpus.spoil_model,
        [(checkpoint, CHECKPOINT_READ)],
    ),
    Reader(
        "energy",
        ".safetensors",
        pn.load,
        corpus.energy_seeds,
        corpus.spoil_model,
        [(_model, {"build"}), (ising, ENERGY_READ), (hopfield, HOPFIELD_READ)],
    ),
    Reader("gset", ".txt", energy.Ising.from_maxcut, corpus.gset_seeds, corpus.spoil_csv, [(formats, GSET_READ)]),
    Reader("tsplib", ".tsp", read_tsplib, corpus.tsplib_seeds, corpus.spoil_csv, [(tsplib, None)]),
    Reader("idx", ".idx", idx.read_idx, corpus.idx_seeds, corpus.spoil_bytes, [(idx, None)]),
    Reader("csv", ".csv", tables.read, corpus.csv_seeds, corpus.spoil_csv, []),
    Reader("npz", ".npz", tables.read, corpus.npz_seeds, corpus.spoil_zip, [(tables, None)]),
]


def feed(reader: Reader, path: str, data: bytes, measure_memory: bool = False) -> str:
    """What is wrong with the reader's answer to `data`; empty when nothing is."""
    with open(path, "wb") as file:
        file.write(data)
    start = time.perf_counter()
    if measure_memory:
        tracemalloc.start()
    problem = ""
    try:
        reader.read(path)
    except ValueError as error:
        problem = "" if str(error) else "an error without words"
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    if measure_memory:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # a compressed file may unpack; what it unpacks to was bounded before: see the readers
        allowed = (
            4 * len(data) + FREE
            if reader.name in ("model", "energy", "checkpoint", "csv")
            else 70 * len(data) + FREE + (64 << 20)
        )
        if peak > allowed:
            problem = problem or f"took {peak} bytes for a file of {len(data)}"
    elif time.perf_counter() - start > 1:
        problem = problem or "took more than a second"
    return problem


def folder() -> tempfile.TemporaryDirectory:
    """In memory where there is such a place."""
    return tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def fuzz(reader: Reader, seed: int, count: int) -> str:
    """JSON of [inputs, problems]; inputs that were accepted join the seeds, so that changes add up."""
    rng = np.random.default_rng(seed)
    seeds = [data for data in reader.seeds() if len(data) < 1 << 16]
    problems = []
    with folder() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = os.path.join(place, "file" + reader.ending)
        for number in range(count):
            data = reader.spoil(seeds[int(rng.integers(len(seeds)))], rng)
            problem = feed(reader, path, data, number % 500 == 0)
            if problem:
                problems.append(f"{reader.name} seed {seed} input {number}: {problem}")
            if len(seeds) < 400 and rng.random() < 0.01:
                seeds.append(data)
    return json.dumps([count, problems[:3], len(problems)])


def exhaustive(reader: Reader, step: int, values: int) -> str:
    """JSON of [inputs, problems] for every step-th truncation and every step-th byte set to some values."""
    problems, count = [], 0
    with folder() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = os.path.join(place, "file" + reader.ending)
        for seed in reader.seeds()[:5]:
            changes = [seed[:length] for length in range(0, len(seed), step)]
            for at in range(0, len(seed), step):
                for value in range(0, 256, 256 // values):
                    changes.append(seed[:at] + bytes([seed[at] ^ (value or 1)]) + seed[at + 1 :])
            for data in changes:
                count += 1
                problem = feed(reader, path, data)
                if problem:
                    problems.append(f"{reader.name}, {len(data)} bytes: {problem}")
    return json.dumps([count, problems[:3], len(problems)])


def read_quietly(reader: Reader, path: str) -> None:
    """Reads; refusals are fine."""
    with contextlib.suppress(ValueError, OSError):
        reader.read(path)


def coverage() -> tuple[float, str]:
    """Share of the branches of the readers that the seeds alone take, and the lines that miss one."""
    modules = {module.__file__: module for reader in READERS for module, _ in reader.source}
    seen = Branches(list(modules))
    with folder() as place:
        for reader in READERS:
            path = os.path.join(place, "file" + reader.ending)
            for data in reader.seeds():
                if len(data) < 1 << 20:
                    Path(path).write_bytes(data)
                    seen.run(partial(read_quietly, reader, path))
            seen.run(partial(read_quietly, reader, os.path.join(place, "nothing" + reader.ending)))
            seen.run(partial(read_quietly, reader, place))  # a folder
    taken = possible = 0
    notes = []
    for reader in READERS:
        for module, functions in reader.source:
            a, b, missing = seen.result(module.__file__, functions)
            taken, possible = taken + a, possible + b
            if missing:
                notes.append(f"{Path(module.__file__).name}: {', '.join(map(str, missing))}")
    return taken / possible, "; ".join(notes)


def measure(size: str) -> list[Figure]:
    """Inputs survived, exhaustive changes survived, branches taken."""
    each = pick(size, 1_500, 250_000, 12_500_000)
    seed = int(np.random.SeedSequence().entropy % 2**31)
    inputs = bad = crashes = 0
    notes: list[str] = []

    def collect(text: str, code: int, what: str) -> int:
        nonlocal bad, crashes
        if code:
            crashes += 1
            notes.append(f"{what}: ended with {code} {text[-200:]}")
            return 0
        count, problems, number = json.loads(text)
        bad += number
        notes.extend(problems)
        return count

    for reader in READERS:
        part = min(each, 50_000)
        for number in range(each // part):
            done = in_fork(partial(fuzz, reader, seed + number, part), 3600)
            inputs += collect(*done, reader.name)
    changed = 0
    for reader in READERS:
        step, values = pick(size, (7, 2), (1, 4), (1, 256))
        changed += collect(*in_fork(partial(exhaustive, reader, step, values), 36000), reader.name)
    share, missing = coverage()
    return [
        Figure("5-spoilt-files-read", inputs, "files", inputs > 0, f"seed {seed}"),
        Figure("5-truncations-and-single-bytes", changed, "files", changed > 0),
        Figure("5-crashes", crashes, "crashes", crashes == 0, "; ".join(notes[:3]) if crashes else ""),
        Figure("5-hangs-memory-or-undocumented-errors", bad, "files", bad == 0, "; ".join(notes[:3]) if bad else ""),
        Figure("5-branches-of-the-readers-by-seeds-alone", round(100 * share, 1), "%", share >= 0.95, missing),
    ]
