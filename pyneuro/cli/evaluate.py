"""``evaluate MODEL DATA``: loss, accuracy and confusion matrix of a saved network."""

from __future__ import annotations

import argparse

import numpy as np

from .data import load, takes_pictures


def run(options: argparse.Namespace) -> None:
    """Tests the model on the test part of a named data set or of a file that has one, else on the whole file."""
    import pyneuro as pn

    from .train import show_results

    net = pn.load(options.model)
    data = load(options.data, options.seed)
    x, y = data.xt, data.yt
    if data.drawn:  # a model from elsewhere has seen none of it: the seed of this command decides nothing
        x, y = np.concatenate([data.x, data.xt]), np.concatenate([data.y, data.yt])
    if takes_pictures(net):
        if data.image is None:
            raise ValueError(f"{options.model} takes pictures, but the samples of {options.data} are rows of numbers")
        x = data.pictures(x)
    outputs = net.predict(x[:1]).shape[-1]
    if outputs != len(data.names):
        raise ValueError(f"{options.model} tells {outputs} classes apart, {options.data} has {len(data.names)}")
    loss = net.evaluate(x, y, loss="cross_entropy")["loss"]
    print(f"{options.model} on {data.title}: {len(y)} samples, loss {loss:.4f}")
    show_results(net, x, y, data)
