"""What the package weighs: seconds to import, bytes of the wheel, peak memory of a training run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import machine, table

ROOT = Path(__file__).resolve().parents[2]

TRAIN = """
import numpy as np
x = np.random.default_rng(0).standard_normal((60000, 784), dtype=np.float32)
y = np.random.default_rng(1).integers(0, 10, 60000)
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
"""
OURS = (
    TRAIN
    + """
import pyneuro as pn
from pyneuro import nn
net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10), seed=0)
net.fit(x, y, loss="cross_entropy", optimizer="adam", epochs=1, batch_size=32, verbose=0)
print(peak())
"""
)
THEIRS = (
    TRAIN
    + """
import torch
net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer, loss = torch.optim.Adam(net.parameters()), torch.nn.CrossEntropyLoss()
x, y, order = torch.from_numpy(x), torch.from_numpy(y), torch.randperm(60000)
for i in range(0, 60000, 32):
    optimizer.zero_grad(); loss(net(x[order[i:i + 32]]), y[order[i:i + 32]]).backward(); optimizer.step()
print(peak())
"""
)


CONVOLUTION = """
import sys
sys.path.insert(0, {folder!r})
import convnets
work = next(w for w in convnets.NETWORKS if w.name == {name!r})
x, y = work.data(1)
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
if {ours}:
    from pyneuro import nn, optim
    net, before = work.make(nn), peak()
    net.fit(x, y, optimizer=optim.SGD(lr=0.01, momentum=0.9), epochs=3, batch_size=work.batch, verbose=0)
else:
    import torch
    net, before = work.make(torch.nn), peak()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(3):
        optimizer.zero_grad(); torch.nn.functional.cross_entropy(net(x), y).backward(); optimizer.step()
print(peak() - before)
"""


def convolution_rows() -> list[list[str]]:
    """What three steps of each convolution network need beyond the library and the weights."""
    from convnets import NETWORKS

    lines = []
    for work in NETWORKS:
        if work.trains:
            given = {"folder": str(Path(__file__).parent), "name": work.name}
            ours, theirs = (peak_mb(CONVOLUTION.format(ours=side, **given)) for side in (True, False))
            missed = "" if ours <= theirs else " (goal: PyTorch's, missed)"
            lines.append([f"peak memory of training, {work.name}", f"{ours:.0f} MB{missed}", f"{theirs:.0f} MB"])
    return lines


def seconds_of(code: str) -> float:
    """Wall time of a fresh interpreter that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def peak_mb(code: str) -> float:
    """Peak resident memory of a fresh interpreter that runs `code`, in MB (10^6 bytes)."""
    return (
        int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        * 1024
        / 1e6
    )


def wheel_mb() -> float | None:
    """Size of the wheel built from this tree in MB; None when it cannot be built here."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            folder,
            str(ROOT),
        ]
        if subprocess.run(command, check=False).returncode:
            return None
        return max(path.stat().st_size for path in Path(folder).iterdir()) / 1e6


def run(threads: int, rounds: int) -> bool:
    """Prints the table."""
    code = ("import numpy", "import numpy, pyneuro")
    pairs = [(seconds_of(code[0]), seconds_of(code[1])) for _ in range(rounds * 4 + 1)][1:]
    extra = statistics.median(b - a for a, b in pairs) * 1e3
    lines = [["import, over NumPy's", f"{extra:.1f} ms (goal 30{'' if extra <= 30 else ', missed'})", ""]]
    size = wheel_mb() if "PYNEURO_NO_WHEEL" not in os.environ else None
    if size is not None:
        lines.append(["wheel", f"{size:.2f} MB (goal 3{'' if size <= 3 else ', missed'})", ""])
    if Path("/proc/self/status").exists():
        lines.append(
            [
                "peak memory, one epoch of 784-128-10 on 60000 x 784",
                f"{peak_mb(OURS):.0f} MB",
                f"{peak_mb(THEIRS):.0f} MB",
            ]
        )
        lines += convolution_rows()
    print(machine())
    table("Weight", ["what", "pyneuro", "PyTorch"], lines)
    return True
