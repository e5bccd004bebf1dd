"""CSVLogger: the log of a run that was broken off is complete and closed."""

import gc
import os
import warnings

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn

ZERO = np.zeros((8, 1), np.float32)


class Stop(pn.callbacks.Callback):
    """Breaks the run off at the end of an epoch, as Ctrl-C in a callback does."""

    def __init__(self, error, epoch):
        self.error, self.epoch = error, epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise self.error


def train(log, *more, epochs=5):
    net = nn.Linear(1, 1, bias=False)
    net.fit(ZERO, ZERO, loss="mse", epochs=epochs, callbacks=[log, *more], seed=0, verbose=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine")])
def test_a_run_that_is_broken_off_leaves_a_closed_log(tmp_path, error):
    log = pn.callbacks.CSVLogger(tmp_path / "log.csv")
    with pytest.raises(type(error)):
        train(log, Stop(error, 2))
    if os.path.isdir("/proc/self/fd"):
        opened = [os.path.realpath(os.path.join("/proc/self/fd", name)) for name in os.listdir("/proc/self/fd")]
        assert str(tmp_path / "log.csv") not in opened
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)  # what Python says about files that nobody closed
        del log
        gc.collect()
    assert (tmp_path / "log.csv").read_text().split() == ["epoch,loss", "0,0.0", "1,0.0", "2,0.0"]


def test_append_and_overwrite(tmp_path):
    name = tmp_path / "log.csv"
    for log in (pn.callbacks.CSVLogger(name), pn.callbacks.CSVLogger(name, append=True)):
        train(log, epochs=1)
    assert name.read_text().split() == ["epoch,loss", "0,0.0", "0,0.0"]
    train(pn.callbacks.CSVLogger(name, separator=";"), epochs=1)
    assert name.read_text().split() == ["epoch;loss", "0;0.0"]
