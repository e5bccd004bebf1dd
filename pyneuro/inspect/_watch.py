"""What the inspections share: finding a layer, keeping its output by a hook, images as tensors."""

import contextlib

import numpy as np

from pyneuro import _core, autograd
from pyneuro._fit import program
from pyneuro.nn import _check
from pyneuro.nn._state import to_numpy
from pyneuro.nn.module import Module, modes

BATCH = 256  # images at a time: what is kept of them is then joined


def layer_of(name, net, layer):
    """(path, module) of a layer given as the module, its path ("features.0") or its place in a Sequential."""
    paths = dict(net.named_modules())
    if isinstance(layer, Module):
        path = next((p for p, m in paths.items() if m is layer), None)
        if path is None:
            raise ValueError(f"{name}: layer {layer._label()} is not in {net._label()}")
        return path, layer
    if isinstance(layer, int) and not isinstance(layer, bool):
        module = net[layer]
        return next(p for p, m in paths.items() if m is module), module
    _check.choice(name, "layer", layer, tuple(paths))
    return layer, paths[layer]


@contextlib.contextmanager
def watching(layers):
    """Dict path -> output tensor of the last call, filled while the block runs. `layers`: path -> module."""
    seen = {}

    def keep(path):
        def hook(module, args, output):
            seen[path] = output

        return hook

    handles = [module.register_forward_hook(keep(path)) for path, module in layers.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def differentiating(net):
    """Evaluation mode, with gradients."""
    with modes(net, False), autograd.enable_grad():
        yield


def images(name, net, X):
    """X as an array of the network's type. ValueError unless it has rows."""
    array = np.ascontiguousarray(to_numpy(X), program.real_dtype(net))
    if array.ndim < 2 or not array.size:
        raise ValueError(f"{name}: X has shape {array.shape}, expected one row a sample: (N, ...)")
    return array


def pictures(name, net, X):
    """The same for images (N, C, H, W)."""
    array = images(name, net, X)
    if array.ndim != 4:
        raise ValueError(f"{name}: X has shape {array.shape}, expected images (N, C, H, W)")
    return array


def batches(array):
    """Slices of the array, BATCH rows each."""
    for first in range(0, len(array), BATCH):
        yield array[first : first + BATCH]


def scores_of(name, output):
    """The output of a classifier, checked: one row of scores an image, (N, K)."""
    if not isinstance(output, _core.Tensor) or output.ndim != 2:
        shape = tuple(output.shape) if isinstance(output, _core.Tensor) else type(output).__name__
        raise ValueError(f"{name}: the network's output is {shape}, expected scores (N, K)")
    return output


def classes(name, target, scores):
    """Class numbers (N,): those given (one for all, or one each), else the highest scores."""
    n, k = scores.shape
    if target is None:
        return scores.detach().numpy().argmax(axis=1)
    found = np.broadcast_to(to_numpy(target), (n,)) if np.ndim(to_numpy(target)) == 0 else to_numpy(target)
    if found.shape != (n,) or found.dtype.kind not in "iu":
        raise ValueError(f"{name}: target must be a class number, or {n} of them, got {target!r:.80}")
    if found.min() < 0 or found.max() >= k:
        raise ValueError(f"{name}: target goes from {found.min()} to {found.max()}, expected 0..{k - 1}")
    return found.astype(np.int64)


def chosen(scores, labels):
    """Sum of the scores of the given classes: its gradient by an image is that of the image's own score."""
    return scores.gather(1, _core.as_tensor(labels[:, None])).sum()
