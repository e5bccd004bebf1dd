"""Row 11: a run that is killed at any moment goes on from its last checkpoint to the same bits.

A child trains and checkpoints without pause; the parent kills it with SIGKILL, half of the time at a random moment,
half of the time inside a save (when the temporary file is there). Then the child is started again with `resume=True`
until it ends; its weights must be those of an uninterrupted run. The two more figures cut the file system instead: a
checkpoint that was only partly written, and a disk that is full.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pyneuro as pn
from pyneuro import _files, nn, optim

from . import nets
from .figure import Figure, pick

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 60


def train(path: str | None) -> str:
    """The run that is killed: a net with dropout, a checkpoint at every epoch; returns the hash of its weights."""
    x, y = nets.data(512)
    net = nets.with_dropout()
    nets.fit(net, x, y, optim.Adam(lr=1e-3), epochs=EPOCHS, checkpoint=path, resume=path is not None)
    return nets.digest(net)


def start(path: str) -> subprocess.Popen:
    """A child that trains; it says "ready" before and prints the hash at the end."""
    code = (
        "import sys; from tests.reliability import row11_kill as r; print('ready', flush=True); "
        "print(r.train(sys.argv[1]), flush=True)"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]), PYNEURO_NUM_THREADS="1")
    return subprocess.Popen([sys.executable, "-c", code, path], env=environment, stdout=subprocess.PIPE, text=True)


def wait_for_temporary(folder: Path, seconds: float) -> None:
    """Returns when a file is being written, or after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any(name.endswith(".tmp") for name in os.listdir(folder)):
            return


def killed_and_resumed(number: int, whole: str, duration: float) -> bool:
    """One kill: at a random time of the run, or inside a save; then on to the end."""
    rng = random.Random(number)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "run.safetensors"))
        child = start(path)
        child.stdout.readline()
        time.sleep(rng.uniform(0, duration))
        if number % 2:
            wait_for_temporary(Path(folder), 0.2)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        again = start(path)
        text = again.communicate(timeout=120)[0].split()
        return again.returncode == 0 and text[-1] == whole


@contextlib.contextmanager
def trained(epochs: int) -> Iterator[tuple[nn.Module, Callable[[nn.Module, int], object], Path]]:
    """(a net after some epochs, what trains a net on to a number of epochs, its checkpoint) in their own folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.safetensors")
        x, y = nets.data(128)

        def on(net: nn.Module, epochs: int) -> object:
            return nets.fit(net, x, y, epochs=epochs, checkpoint=str(path), resume=path.exists())

        net = nets.dense()
        on(net, epochs)
        yield net, on, path


def truncated_writes() -> tuple[int, int]:
    """(good, tried): the temporary file cut at many lengths, as after a power failure; the old checkpoint still loads.

    Then the checkpoint itself is cut, by a file system that broke its promise: refused, in one sentence.
    """
    good = tried = 0
    with trained(1) as (net, on, path):
        complete = path.read_bytes()
        lengths = range(0, len(complete), max(1, len(complete) // 40))
        for length in lengths:
            path.with_name(".pyneuro-0123456789abcdef.tmp").write_bytes(complete[:length])
            other = nets.dense()
            on(other, 1)
            tried += 1
            good += nets.digest(other) == nets.digest(net)
        for length in lengths:
            path.write_bytes(complete[:length])
            other = nets.dense()
            before = nets.digest(other)
            tried += 1
            try:
                on(other, 1)
            except ValueError:
                good += nets.digest(other) == before
    return good, tried


def full_disk() -> tuple[int, int]:
    """(good, tried): the k-th write, flush or rename fails with ENOSPC; the last checkpoint stays and loads."""
    good = tried = 0
    for name in ("write", "fsync", "replace"):
        with trained(2) as (net, on, path):
            kept = path.read_bytes()
            with failing(name):
                tried += 1
                try:
                    on(net, 4)
                except OSError as error:
                    left = list(path.parent.glob("*.tmp"))
                    good += error.errno == errno.ENOSPC and path.read_bytes() == kept and not left
    return good, tried


def failing(name: str):
    """Makes one call of the file layer fail as a full disk does."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if name != "write":
        return mock.patch.object(_files.os, name, side_effect=full)
    opened = os.fdopen

    def fdopen(*args, **kwargs):
        file = opened(*args, **kwargs)
        wrapped = mock.MagicMock(wraps=file)
        wrapped.__enter__.return_value = wrapped
        wrapped.__exit__.side_effect = lambda *_: file.close()
        wrapped.write.side_effect = full
        return wrapped

    return mock.patch.object(_files.os, "fdopen", side_effect=fdopen)


def measure(size: str) -> list[Figure]:
    """Kills, truncated files, full disks."""
    pn.set_num_threads(1)
    whole = train(None)
    pn.set_num_threads(0)
    with tempfile.TemporaryDirectory() as folder:
        child = start(str(Path(folder, "run.safetensors")))
        child.stdout.readline()
        begin = time.monotonic()
        child.communicate()
        duration = time.monotonic() - begin
    tried = pick(size, 6, 200, 1000)
    good = sum(killed_and_resumed(number, whole, duration) for number in range(tried))
    cut, cuts = truncated_writes()
    full, fulls = full_disk()
    return [
        Figure(
            "11-killed-and-resumed-to-the-same-bits", good, f"of {tried}", good == tried, f"run of {duration:.2f} s"
        ),
        Figure("11-truncated-checkpoints-survived-or-refused", cut, f"of {cuts}", cut == cuts),
        Figure("11-full-disk-keeps-the-last-checkpoint", full, f"of {fulls}", full == fulls),
    ]
