"""What an answer rests on: saliency, occlusion, Grad-CAM. All ask a classifier with scores (N, K) about one class."""

import numpy as np

from pyneuro import _core, autograd
from pyneuro.inspect import _watch
from pyneuro.nn import _check, functional


def saliency(net, X, target=None):
    """|dS_c / dx|: how much each pixel moves the score of class c. Images (N, C, H, W) -> maps (N, H, W).

    target: the class, one for all or one for each image; None: the class with the highest score. Of several channels
    the largest counts. Source: Simonyan, Vedaldi, Zisserman 2013; lecture 004. ValueError unless the output is (N, K).

    >>> import numpy as np
    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), seed=0)
    >>> maps = inspect.saliency(net, np.ones((1, 1, 2, 2)), 1)
    >>> np.allclose(maps[0].ravel(), abs(net[1].weight.detach().numpy()[1]))
    True
    """
    array, parts = _watch.pictures("saliency", net, X), []
    target = None if target is None else np.broadcast_to(np.asarray(target), (len(array),))
    for first in range(0, len(array), _watch.BATCH):
        rows = slice(first, first + _watch.BATCH)
        x = _core.Tensor(array[rows], requires_grad=True)
        with _watch.differentiating(net):
            scores = _watch.scores_of("saliency", net(x))
            labels = _watch.classes("saliency", None if target is None else target[rows], scores)
            (gradient,) = autograd.grad(_watch.chosen(scores, labels), x)
        parts.append(np.array(gradient.abs().amax(dim=1).numpy()))
    return np.concatenate(parts)


def gradcam(net, X, layer, target=None):
    """Where a convolution layer sees class c: images (N, C, H, W) -> maps (N, H, W), not below 0, of the images' size.

    The maps A_k of `layer` (module, name or place) are weighted by the mean of dS_c / dA_k over all positions, summed,
    cut at 0, and enlarged to the image (bilinear). target as in `saliency`. Source: Selvaraju et al. 2017; lecture 004.
    ValueError for a layer without maps, and unless the output is (N, K).

    >>> import numpy as np
    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10), seed=0)
    >>> inspect.gradcam(net, np.ones((2, 1, 8, 8)), layer=1, target=3).shape
    (2, 8, 8)
    """
    array = _watch.pictures("gradcam", net, X)
    path, module = _watch.layer_of("gradcam", net, layer)
    target = None if target is None else np.broadcast_to(np.asarray(target), (len(array),))
    parts = []
    for first in range(0, len(array), _watch.BATCH):
        rows = slice(first, first + _watch.BATCH)
        with _watch.differentiating(net), _watch.watching({path: module}) as seen:
            scores = _watch.scores_of("gradcam", net(_core.Tensor(array[rows], requires_grad=True)))
            maps = seen.get(path)
            if maps is None or maps.ndim != 4:
                shape = None if maps is None else tuple(maps.shape)
                raise ValueError(f"gradcam: {module._label()} makes {shape}, expected maps (N, C, H, W)")
            labels = _watch.classes("gradcam", None if target is None else target[rows], scores)
            (gradient,) = autograd.grad(_watch.chosen(scores, labels), maps)
            heat = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True).relu()
            heat = functional.interpolate(heat, array.shape[2:], mode="bilinear")
        parts.append(np.array(heat.detach().numpy()[:, 0]))
    return np.concatenate(parts)


def occlusion(net, X, target=None, *, size=4, stride=1, value=0.0):
    """How far the probability of class c falls when a square covers a place: images (N, C, H, W) -> maps (N, H, W).

    size, stride: of the square that slides over the image, in pixels; value: what it covers with. A pixel gets the mean
    fall over all squares that cover it. target as in `saliency`. Source: Zeiler, Fergus 2013; lecture 004. ValueError
    for squares larger than the image, and unless the output is (N, K).

    >>> import numpy as np
    >>> from pyneuro import inspect, nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), seed=0)
    >>> inspect.occlusion(net, np.ones((2, 1, 4, 4)), size=2).shape
    (2, 4, 4)
    """
    array = _watch.pictures("occlusion", net, X)
    height, width = array.shape[2:]
    size, stride = _check.size("occlusion", "size", size), _check.size("occlusion", "stride", stride)
    if size > min(height, width):
        raise ValueError(f"occlusion: size is {size}, but the images are {height} x {width}")
    corners = [(r, c) for r in _places(height, size, stride) for c in _places(width, size, stride)]
    scores = _probabilities(net, array)
    labels = _watch.classes("occlusion", target, _core.as_tensor(scores))
    fall, cover = np.zeros((len(array), height, width)), np.zeros((height, width))
    for r, c in corners:
        hidden = array.copy()
        hidden[:, :, r : r + size, c : c + size] = value
        drop = scores - _probabilities(net, hidden)
        fall[:, r : r + size, c : c + size] += drop[np.arange(len(array)), labels][:, None, None]
        cover[r : r + size, c : c + size] += 1
    return (fall / np.maximum(cover, 1)).astype(array.dtype)


def _places(length, size, stride):
    """Where the square begins; the last one ends at the border."""
    return sorted({*range(0, length - size + 1, stride), length - size})


def _probabilities(net, array):
    return np.array(functional.softmax(_watch.scores_of("occlusion", _core.Tensor(net.predict(array))), 1).numpy())
