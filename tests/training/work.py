"""One training, the same wherever it runs: in a fork, a pool, a thread, beside others; all its bits in one hash."""

import hashlib

import numpy as np

import pyneuro as pn
from pyneuro import nn, optim


def data(rows=400, features=200, classes=10):
    """float32 data and labels."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, features)).astype(np.float32), rng.integers(0, classes, rows)


def net(features=200, hidden=160, classes=10):
    """Large enough for several threads, with dropout."""
    layers = [nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(0.25), nn.Linear(hidden, 96), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(96, classes), seed=2)


def digest(trained, x):
    """Hash of all weights and of the predictions."""
    found = hashlib.sha256()
    for t in trained.state_dict().values():
        found.update(t.numpy().tobytes())
    found.update(trained.predict(x).tobytes())
    return found.hexdigest()


def train(number=0, threads=2, epochs=1, made=None):
    """Digest after a short fit of a new network or of `made`; `number` is what pools hand out, and no result depends on
    it."""
    pn.set_num_threads(threads)
    x, y = data()
    made = made or net()
    history = made.fit(x, y, optimizer=optim.Adam(lr=1e-3), epochs=epochs, batch_size=80, seed=4, verbose=0)
    assert history.mode == "plan"
    return digest(made, x)


def eager(number=0):
    """Digest of large products and their gradients in teaching mode, which share the pool of threads."""
    rng = np.random.default_rng(1)
    a = pn.tensor(rng.standard_normal((200, 160)).astype(np.float32), requires_grad=True)
    b = pn.tensor(rng.standard_normal((160, 120)).astype(np.float32))
    for _ in range(3):
        ((a @ b).tanh() * (a @ b)).sum().backward()
    return hashlib.sha256(a.grad.numpy().tobytes()).hexdigest()
