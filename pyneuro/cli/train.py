"""``train``: a network from data to a confusion matrix, in one screen."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from . import screen
from .arguments import PICTURE_MODELS
from .data import Data, channel_statistics, load, standardise, standardised

MISREAD = 6  # pictures shown


def run(options: argparse.Namespace) -> None:
    """Trains, prints, saves and plots as the options say."""
    _check_targets(options)
    from .info import machine_line

    print(machine_line())
    data = load(options.data, options.seed)
    features = data.x.shape[1]
    print(f"data: {data.title}: {len(data.y)} samples to learn from, {len(data.yt)} to test on, {features} features\n")
    x, xt, shape = data.x, data.xt, (features,)
    if options.model in PICTURE_MODELS:
        net = build_for_pictures(options.model, data, options.seed)
        x, xt = data.pictures(x), data.pictures(xt)
        shape = x.shape[1:]
    elif options.augment:
        raise ValueError(f"--augment moves pictures, but {options.model} takes rows of numbers: choose another --model")
    else:
        net = build(options.model, options.hidden, features, len(data.names), options.seed)
    show_summary(net, shape)
    history, seconds = (fit if len(shape) == 1 else fit_pictures)(net, data, options)
    show_epochs(history)
    print(f"trained in {seconds:.2f} s\n")
    show_results(net, xt, data.yt, data)
    if options.save:
        net.save(options.save)
        print(f"\nmodel saved in {options.save}")
    if options.plot:
        plot(history, options.plot)
        print(f"learning curves drawn in {options.plot}")


def _check_targets(options: argparse.Namespace) -> None:
    """Finds out before the training whether its fruits can be kept."""
    for path, endings in ((options.save, (".safetensors",)), (options.plot, (".svg", ".png", ".pdf"))):
        if path is None:
            continue
        if Path(path).suffix.lower() not in endings:
            raise ValueError(f"{path} should end with {' or '.join(endings)}")
        if not Path(path).resolve().parent.is_dir():
            raise ValueError(f"there is no folder {Path(path).resolve().parent} for {Path(path).name}")
    if options.plot:
        _pyplot()


def build(model: str, hidden: list[int], features: int, classes: int, seed: int):
    """The network: dense layers with ReLU between them; `softmax` has none hidden. Raw outputs, one per class."""
    from pyneuro import nn

    sizes = [features, *(hidden if model == "mlp" else []), classes]
    layers: list = []
    for fan_in, out in pairwise(sizes):
        layers += [nn.Linear(fan_in, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1], seed=seed)


def build_for_pictures(model: str, data: Data, seed: int):
    """A convolutional network; its first layer scales raw values by mean and deviation of the channels."""
    from pyneuro import models, nn

    if data.image is None:
        raise ValueError(
            f"{model} takes pictures, but the samples of {data.title} are rows of numbers: take --model mlp"
        )
    sizes = {"num_classes": len(data.names), "in_channels": data.channels, "seed": seed}
    if model in ("lenet5", "mnist_cnn"):
        sizes["size"] = data.image[0]
    if model == "lenet5" and data.image[0] not in (28, 32):
        raise ValueError(f"lenet5 takes pictures of 28 or 32 pixels a side, not of {data.image[0]} ({data.title})")
    scaling = nn.Normalize(*channel_statistics(data.pictures(data.x)))
    return nn.Sequential({"scaling": scaling, "net": models.get(model, **sizes)})


def _rule(options: argparse.Namespace):
    """The optimiser that the options name."""
    from pyneuro import optim

    adaptive = options.optimizer in ("adam", "adamw", "rmsprop")
    rules = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}
    rules |= {"momentum": optim.Momentum, "rmsprop": optim.RMSprop, "adagrad": optim.Adagrad}
    return rules[options.optimizer](lr=options.lr or (2e-3 if adaptive else 0.1))


def _train(net, x, xt, data: Data, options: argparse.Namespace, verbose: int, augment=None):
    """(history, seconds of training) on x, tested on xt."""
    start = time.perf_counter()
    history = net.fit(
        x, data.y, loss="cross_entropy", optimizer=_rule(options),
        epochs=options.epochs or (5 if len(x) > 20_000 else 20), batch_size=options.batch_size,
        validation_data=(xt, data.yt), metrics=["accuracy"], seed=options.seed, verbose=verbose, augment=augment,
    )  # fmt: skip
    return history, time.perf_counter() - start


def fit(net, data: Data, options: argparse.Namespace, verbose: int = 1):
    """Trains on standardised features, then moves the standardisation into the first layer.

    Afterwards the net takes raw values, so that a saved model needs nothing beside its file.

    Returns:
        (history, seconds of training).
    """
    mean, scale = standardise(data.x, data.image is not None)
    x, xt = (standardised(part, mean, scale) for part in (data.x, data.xt))
    history, seconds = _train(net, x, xt, data, options, verbose)
    first = net[0]
    state = net.state_dict()
    weight, bias = (np.asarray(p.detach().numpy(), dtype=np.float64) for p in (first.weight, first.bias))
    state["0.weight"] = (weight / scale).astype(np.float32)
    state["0.bias"] = (bias - (weight / scale) @ mean).astype(np.float32)
    net.load_state_dict(state)
    return history, seconds


def fit_pictures(net, data: Data, options: argparse.Namespace, verbose: int = 1):
    """Trains on raw pictures: scaling is the network's first layer."""
    from pyneuro import augment

    changes = None
    if options.augment:
        changes = [augment.RandomShift(data.image[0] // 8)]
        changes += [augment.RandomHorizontalFlip()] if data.channels == 3 else []
    return _train(net, data.pictures(data.x), data.pictures(data.xt), data, options, verbose, changes)


def show_summary(net, shape: tuple) -> None:
    """Prints the layers with shapes and numbers of parameters, for samples of `shape`."""
    text = net.summary(shape)
    if isinstance(text, str):
        print(text)
    print()


def show_epochs(history) -> None:
    """Prints loss and accuracy by epoch."""
    h = history.history
    print("epoch    loss  accuracy   test loss  test accuracy")
    rows = zip(h["loss"], h["accuracy"], h["val_loss"], h["val_accuracy"])
    for epoch, (loss, accuracy, val_loss, val_accuracy) in enumerate(rows, 1):
        print(f"{epoch:5d}  {loss:6.4f}   {accuracy:7.2%}      {val_loss:6.4f}        {val_accuracy:7.2%}")


def show_results(net, x: np.ndarray, y: np.ndarray, data: Data) -> None:
    """Prints test accuracy, the confusion matrix, and a few samples that were misread."""
    found = np.asarray(net.predict_labels(x)).reshape(-1)
    right = int((found == y).sum())
    print(f"test accuracy {right / len(y):.2%} ({right} of {len(y)})\n")
    if len(data.names) <= 20:
        print("true class by row, class found by column")
        print("\n".join(screen.confusion(y, found, data.names)))
    wrong = np.flatnonzero(found != y)[:MISREAD]
    if data.image is None or not len(wrong):
        return
    style = screen.style_of()
    pictures = [screen.picture(x[i].reshape(-1, *data.image).mean(axis=0), style) for i in wrong]
    arrow = "→" if screen.can_show("→") else "->"
    titles = [f"{data.names[y[i]]} {arrow} {data.names[found[i]]}" for i in wrong]
    width = data.image[1] * (2 if style == "ascii" else 1)
    per_row = max(1, 78 // (max(width, 8) + 3))
    print(f"\nmisread ({len(wrong)} of {int((found != y).sum())}): true {arrow} found\n")
    for first in range(0, len(wrong), per_row):
        part = slice(first, first + per_row)
        print("\n".join(screen.side_by_side(pictures[part], titles[part], width)) + "\n")


def _pyplot():
    try:
        import matplotlib
    except ImportError:
        raise ValueError("--plot needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot


def plot(history, path: str) -> None:
    """Draws loss and accuracy by epoch into an SVG, PNG or PDF file."""
    plt = _pyplot()
    h = history.history
    epochs = np.arange(1, len(h["loss"]) + 1)
    with plt.rc_context({"font.size": 16, "lines.linewidth": 2, "svg.hashsalt": "pyneuro"}):
        figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
        for ax, key, label in zip(axes, ("loss", "accuracy"), ("cross-entropy", "accuracy")):
            ax.plot(epochs, h[key], color="#0072B2", marker="o", label="training")
            ax.plot(epochs, h["val_" + key], color="#D55E00", marker="s", linestyle="--", label="test")
            ax.set(xlabel="epoch", ylabel=label)
            ax.grid(alpha=0.3)
            ax.legend(frameon=False)
        axes[0].set_yscale("log")
        figure.savefig(path)
        plt.close(figure)
    sys.stdout.flush()
