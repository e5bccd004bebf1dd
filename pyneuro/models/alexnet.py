"""AlexNet, the net that won the ImageNet competition of 2012, and the one that torchvision calls so."""

from pyneuro import nn
from pyneuro.nn import _check


def alexnet(variant="2012", *, towers=None, groups=None, num_classes=1000, in_channels=3, dropout=0.5, seed=None):
    """AlexNet: five convolutions and three dense layers; (N, in_channels, 227, 227) -> raw scores (N, num_classes).

    variant: "2012" (maps 96, 256, 384, 384, 256; sides 227 -> 55 -> 27 -> 27 -> 13 -> 13 -> 13 -> 13 -> 6) or
        "torchvision" (Krizhevsky 2014: 64, 192, 384, 256, 256; any side from 63, 224 as a rule, because its last maps
        are averaged to 6 x 6; `state_dict` has torchvision's names and shapes).
    towers: 1, or 2 as in the figure of 2012: the second, fourth and fifth convolution see their own half of the maps
        (groups, which the argument may also be called): 60,965,224 of 62,378,344 parameters. The variant "torchvision"
        has 61,100,840.
    num_classes, in_channels: of the data.    dropout: in front of the first two dense layers.
    seed: see `nn.Sequential`.

    The net of 2012 normalised neighbouring maps by each other (local response); later nets showed that nothing is lost
    without, and this one leaves it out. The figure's 224 fits its own 55 only with 227, or with padding. ValueError for
    other variants, for other towers, and for two towers of "torchvision".

    Source: Krizhevsky, Sutskever, Hinton 2012; lectures 001 and 003; Krizhevsky 2014 ("one weird trick").

    >>> net = alexnet("torchvision", num_classes=10)
    >>> [name for name in net.state_dict()][:2], tuple(net.classifier[6].weight.shape)
    (['features.0.weight', 'features.0.bias'], (10, 4096))
    """
    variant = _check.choice("alexnet", "variant", variant, ("2012", "torchvision"))
    towers = _check.either("alexnet", {"towers": towers, "groups": groups}, 1)
    towers = _check.choice("alexnet", "towers", towers, (1, 2))
    if variant == "torchvision":
        if towers != 1:
            raise ValueError("alexnet: variant='torchvision' has one tower, towers=2 is of variant='2012'")
        features, pool = _features((64, 192, 384, 256, 256), in_channels, 2, 1), {"avgpool": nn.AdaptiveAvgPool2d(6)}
    else:
        features, pool = _features((96, 256, 384, 384, 256), in_channels, 0, towers), {}
    classifier = nn.Sequential(
        nn.Dropout(dropout), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Linear(4096, num_classes),
    )  # fmt: skip
    return nn.Sequential({"features": features, **pool, "flatten": nn.Flatten(), "classifier": classifier}, seed=seed)


def _features(maps, in_channels, padding, towers):
    """The convolutions with `maps` maps; those between the towers of 2012 are the first and the third."""
    a, b, c, d, e = maps
    return nn.Sequential(
        nn.Conv2d(in_channels, a, 11, stride=4, padding=padding), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(a, b, 5, padding=2, groups=towers), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(b, c, 3, padding=1), nn.ReLU(),
        nn.Conv2d(c, d, 3, padding=1, groups=towers), nn.ReLU(),
        nn.Conv2d(d, e, 3, padding=1, groups=towers), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip
