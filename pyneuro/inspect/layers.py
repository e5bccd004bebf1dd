"""What is in the layers of a network: filters, activation maps, gradient norms."""

import numpy as np

from pyneuro import _core, autograd
from pyneuro.inspect import _watch
from pyneuro.nn import _check
from pyneuro.nn.module import modes


def filters(layer):
    """The weights of a convolution as pictures: an array (out, in, h, w), a copy.

    layer: a Conv2d, or any layer with a `weight` of four dimensions. The first layer's filters show what the network
    looks for in the image itself: edges, spots, colours. ValueError for other layers.

    >>> from pyneuro import inspect, nn
    >>> inspect.filters(nn.Conv2d(1, 6, 5)).shape
    (6, 1, 5, 5)
    """
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, _core.Tensor) or weight.ndim != 4:
        label = layer._label() if hasattr(layer, "_label") else repr(layer)[:80]
        raise ValueError(f"filters: {label} has no filters of four dimensions; give a Conv2d, such as net[0]")
    return np.array(weight.detach().numpy())


def activations(net, X, layers=None):
    """What each layer makes of X, in evaluation mode: a dict of dotted layer name -> array (N, ...).

    layers: names or modules to keep; None: all layers without children, in the order in which they run. Of a layer
    that runs several times it is the last output. Raises ValueError for names that are not there, and as `net(X)` does.

    >>> import numpy as np
    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), seed=0)
    >>> [(name, maps.shape) for name, maps in inspect.activations(net, np.ones((1, 1, 4, 4))).items()]
    [('0', (1, 2, 4, 4)), ('1', (1, 2, 4, 4))]
    """
    array, parts = _watch.images("activations", net, X), []
    with modes(net, False), _watch.watching(_wanted("activations", net, layers)) as seen:
        for batch in _watch.batches(array):
            net(_core.Tensor(batch))
            parts.append({path: np.array(t.numpy()) for path, t in seen.items() if isinstance(t, _core.Tensor)})
    return {path: np.concatenate([part[path] for part in parts]) for path in parts[0]}


def _wanted(name, net, layers):
    """Dict path -> module of the layers asked for."""
    if layers is None:
        return {path: module for path, module in net.named_modules() if not module._modules}
    given = layers if isinstance(layers, (list, tuple)) else [layers]
    return dict(_watch.layer_of(name, net, layer) for layer in given)


def gradient_norms(net, X, y=None, *, loss="cross_entropy", of="parameters", layers=None):
    """How large the gradient of the loss is, layer by layer: where it vanishes, nothing is learnt.

    of: "parameters" gives a dict of parameter name -> Euclidean norm of its gradient; "outputs" of layer name -> norm
    of the gradient with respect to what the layer makes, for `layers` as in `activations`. loss as in `fit`, in
    training mode on all rows of X together. Lecture 003: a chain of ten sigmoids multiplies by at most 0.25^10; with
    y = x + F(x) the identity carries the gradient past F.

    Parameters, their gradients and buffers stay as they are. Raises as `forward_backward` does.

    >>> import numpy as np
    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(*[layer for i in range(8) for layer in (nn.Linear(4, 4), nn.Sigmoid())], seed=0)
    >>> norms = inspect.gradient_norms(net, np.ones((3, 4)), np.zeros((3, 4)), loss="mse")
    >>> norms["0.weight"] < 1e-4 * norms["14.weight"]
    True
    """
    _check.choice("gradient_norms", "of", of, ("parameters", "outputs"))
    parameters = [p for p in net.parameters() if p.requires_grad]
    gradients = [p.grad for p in parameters]
    buffers = [(b, b.clone()) for b in net.buffers()]
    watched = _wanted("gradient_norms", net, layers) if of == "outputs" else {}
    try:
        with _watch.watching(watched) as seen:
            value = net.forward_backward(X, y, loss=loss)
        named = dict(net.named_parameters()) if of == "parameters" else seen
        asked = {name: t for name, t in named.items() if isinstance(t, _core.Tensor) and t.requires_grad}
        found = autograd.grad(value, list(asked.values()))
    finally:
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        with autograd.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
    pairs = zip(asked, found, strict=True)
    return {name: float((g * g).sum().sqrt().item()) if g is not None else 0.0 for name, g in pairs}
