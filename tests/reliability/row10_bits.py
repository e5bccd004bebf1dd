"""Row 10: the same bits whatever the number of threads, the process, the repetition and the alignment of the data.

Golden hashes stand in golden.json, one set per instruction set; `portable` must agree on every machine. A change of the
arithmetic (not of the speed) is the only reason to write them anew: `python -m tests.reliability.row10_bits --write`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import pyneuro as pn
from pyneuro import optim

from . import nets
from .figure import Figure, pick

GOLDEN = Path(__file__).with_name("golden.json")
ROOT = Path(__file__).resolve().parents[2]


def misaligned(array: np.ndarray) -> np.ndarray:
    """The same values at an address that is a multiple of 4 but not of 64."""
    raw = np.empty(array.nbytes + 64, np.uint8)
    offset = (4 - raw.ctypes.data) % 64
    copy = raw[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def digests(threads: int, aligned: bool = True) -> dict[str, str]:
    """Hashes of four networks after training with the given number of threads."""
    pn.set_num_threads(threads)
    rows, pictures = nets.data(640), nets.pictures(200)
    runs = {
        "convolutional-sgd": (nets.convolutional(), pictures, optim.SGD(lr=0.05, momentum=0.9), {"batch_size": 48}),
        "dense-sgd": (nets.dense(), rows, optim.SGD(lr=0.1, momentum=0.9), {"batch_size": 33}),
        "dropout-adamw": (nets.with_dropout(), rows, optim.AdamW(lr=1e-3), {}),
        "wide-adam": (nets.wide(), rows, optim.Adam(lr=1e-3), {"batch_size": 128, "clip_norm": 1.0}),
    }
    found = {}
    for name, (net, (x, y), optimizer, more) in runs.items():
        nets.fit(net, x if aligned else misaligned(x), y, optimizer, **more)
        found[name] = nets.digest(net)
    pn.set_num_threads(0)
    return found


def in_process(threads: int, isa: str | None = None) -> dict[str, str]:
    """The same from a fresh process."""
    code = f"import json; from tests.reliability.row10_bits import digests; print(json.dumps(digests({threads})))"
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]))
    if isa:
        environment["PYNEURO_ISA"] = isa
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure(size: str) -> list[Figure]:
    """How many configurations agree with one thread, and whether the golden hashes are met."""
    threads = pick(size, (1, 2, 4), (1, 2, 3, 4, 8), (1, 2, 3, 4, 8))
    reference = digests(1)
    tried = agreed = 0
    for _ in range(pick(size, 1, 4, 20)):
        for count in threads:
            for aligned in (True, False):
                for name, value in digests(count, aligned).items():
                    tried += 1
                    agreed += value == reference[name]
    for count in threads[-2:]:
        for name, value in in_process(count).items():
            tried += 1
            agreed += value == reference[name]
    figures = [Figure("10-same-bits", agreed, f"of {tried}", agreed == tried)]
    golden = json.loads(GOLDEN.read_text())
    isas = [isa for isa in pn.cpu()["available"] if isa in golden]
    met = [isa for isa in isas if in_process(1, isa) == golden[isa]]
    missing = ", ".join(sorted(set(isas) - set(met)))
    note = (
        f"differs: {missing}; after a change of the arithmetic write them anew, see this file"
        if missing
        else ", ".join(met)
    )
    return [*figures, Figure("10-golden-hashes", len(met), f"of {len(isas)}", len(met) == len(isas), note)]


if __name__ == "__main__" and "--write" in sys.argv:
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    known |= {isa: in_process(1, isa) for isa in pn.cpu()["available"]}
    GOLDEN.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
