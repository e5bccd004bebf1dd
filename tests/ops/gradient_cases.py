"""Inputs for every op: what test_gradients.py differentiates. An op that is missing here fails its test."""

import math

import numpy as np

from pyneuro import _core

# Odd sizes around the widths of vectors (4, 8, 16) and of blocks, scalars, and broadcasting pairs.
SHAPES = [(), (1,), (3, 5), (17,), (2, 1, 33)]
PAIRS = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((3, 1), (1, 5)),
    ((), (2, 3)),
    ((2, 3), ()),
    ((17,), (17,)),
    ((2, 1, 4), (3, 1)),
]
REDUCTIONS = ("mean", "sum", "none")


def spread(rng, shape, kinks=(0.0,), gap=0.02, lo=-2.0, hi=2.0):
    """Values in lo..hi, none closer than `gap` to a kink, where a difference quotient means nothing."""
    x = rng.uniform(lo, hi, shape)
    for kink in kinks:
        x = np.where(np.abs(x - kink) < gap, kink + gap * 2, x)
    return x


def distinct(rng, shape):
    """Values that are all apart: the largest one stays the largest under a small change."""
    n = int(np.prod(shape))
    return (rng.permutation(n) * 0.1 - 0.05 * n).reshape(shape)


def unary(rng, name):
    whole, middle = (-2.0, -1.0, 0.0, 1.0, 2.0), (-1.5, -0.5, 0.5, 1.5)
    kinks = {"hardtanh": (-1.0, 1.0), "floor": whole, "ceil": whole, "round": middle}.get(name, (0.0,))
    lo = {"log": 0.2, "sqrt": 0.2, "reciprocal": 0.3}.get(name, -2.0)
    attrs = {
        "relu": [{}, {"grad_at_zero": 1.0}],
        "leaky_relu": [{}, {"slope": 0.3}],
        "elu": [{}, {"alpha": 1.7}],
        "hardtanh": [{}, {"min_val": -0.5, "max_val": 1.5}],
        "step": [{}, {"at_zero": 1.0}],
    }.get(name, [{}])
    kinks += tuple(v for a in attrs for k, v in a.items() if k in ("min_val", "max_val"))
    for a in attrs:
        for shape in SHAPES:
            yield [spread(rng, shape, kinks, lo=lo)], a


def binary(rng, name):
    for sa, sb in PAIRS:
        a = spread(rng, sa, lo=0.3 if name == "pow" else -2.0)
        b = spread(rng, sb, (0.0,), 0.3) if name == "div" else spread(rng, sb)
        if name == "remainder":  # a / b in the middle between two integers, which it does not leave
            b = spread(rng, sb, (0.0,), 0.3)
            a = (rng.integers(-3, 3, np.broadcast_shapes(sa, sb)) + 0.5) * b
            if a.shape != tuple(sa):
                continue
        if name in ("maximum", "minimum"):
            a, b = np.round(a, 1) + 0.05, np.round(b, 1)
        yield [a, b], {}


def reduction(rng, name):
    for shape, dims in (((7,), ()), ((3, 4), 0), ((3, 4), (1,)), ((2, 3, 17), (0, 2)), ((2, 3, 5), -2), ((), ())):
        x = distinct(rng, shape) if name in ("max", "min") else spread(rng, shape)
        if name == "prod" and x.size > 4:
            x.reshape(-1)[2] = 0.0
        for keepdim in (False, True):
            yield [x], {"dim": dims, "keepdim": keepdim}


def softmax(rng, name):
    for shape, dim in (((5,), 0), ((3, 17), -1), ((2, 3, 4), 1)):
        for stable in (True, False):
            yield [spread(rng, shape)], {"dim": dim, "stable": stable}


def loss(rng, name):
    extra = {
        "huber": {"delta": 0.7},
        "smooth_l1": {"beta": 0.7},
        "mse": {"half": True},
        "kl_div": {"log_target": True},
    }.get(name, {})
    for shape in ((5,), (3, 4), (2, 3, 17)):
        for reduction in REDUCTIONS:
            for attrs in ({}, extra) if extra else ({},):
                # Differences -1.5..1.5 that keep away from 0 and from the corner of huber and smooth_l1.
                target = rng.uniform(-1, 1, shape)
                difference = spread(rng, shape, (0.0, -1.0, 1.0, -0.7, 0.7), 0.02, -1.5, 1.5)
                x = target + difference
                if name == "bce":
                    x, target = rng.uniform(0.1, 0.9, shape), rng.uniform(0.1, 0.9, shape)
                elif name == "bce_with_logits":
                    target = rng.uniform(0.1, 0.9, shape)
                elif name == "kl_div":
                    x, target = -rng.uniform(0.1, 2, shape), rng.uniform(0.1, 0.9, shape)
                elif name == "hinge":
                    target = rng.choice([-1.0, 1.0], shape)
                    x = spread(rng, shape, (-1.0, 1.0), 0.02)
                yield [x, target], {"reduction": reduction, **attrs}


def class_loss(rng, name):
    for shape, target_shape in (((4, 3), (4,)), ((17, 5), (17,)), ((2, 3, 4), (2, 4))):
        x = spread(rng, shape)
        if name == "nll":
            x = -np.abs(x)
        target = rng.integers(0, shape[1], target_shape)
        weight = rng.uniform(0.5, 2, shape[1])
        ignored = target.copy()
        ignored[(0,) * target.ndim] = -100
        for reduction in REDUCTIONS:
            yield [x, target], {"reduction": reduction}
            yield [x, target, weight], {"reduction": reduction}
            yield [x, ignored], {"reduction": reduction}
            if name == "cross_entropy":
                yield [x, target, weight], {"reduction": reduction, "label_smoothing": 0.2}


def soft_loss(rng, name):
    for shape in ((4, 3), (2, 3, 4)):
        x, target = spread(rng, shape), rng.uniform(0.1, 1, shape)
        target /= target.sum(1, keepdims=True)
        for reduction in REDUCTIONS:
            yield [x, target], {"reduction": reduction}
            yield [x, target, rng.uniform(0.5, 2, shape[1])], {"reduction": reduction, "label_smoothing": 0.1}


def shapes(rng, name):
    if name == "reshape":
        yield [spread(rng, (2, 6))], {"shape": (3, -1)}
        yield [spread(rng, (1,))], {"shape": ()}
    elif name == "expand":
        yield [spread(rng, (2, 1, 3))], {"shape": (4, 2, 5, 3)}
        yield [spread(rng, ())], {"shape": (17,)}
    elif name == "transpose":
        yield [spread(rng, (3, 5))], {"dims": (1, 0)}
        yield [spread(rng, (2, 3, 4, 5))], {"dims": (2, 0, 3, 1)}
        yield [spread(rng, (2, 3, 4))], {"dims": None}
    elif name == "slice":
        yield [spread(rng, (7, 5))], {"start": (1, 4), "stop": (6, -1), "step": (2, -1)}
        yield [spread(rng, (4,))], {"start": (2,), "stop": (2,), "step": (1,)}
    else:
        for dim in (0, 1, -1):
            same = [spread(rng, (3, 4)) for _ in range(3)]
            yield same, {"dim": dim}
        yield [spread(rng, (2,)) for _ in range(11)], {"dim": 0}


def choice(rng, name):
    if name == "where":
        yield [rng.integers(0, 2, (3, 4)), spread(rng, (3, 4)), spread(rng, (4,))], {}
        yield [rng.integers(0, 2, (3, 1)), spread(rng, ()), spread(rng, (3, 5))], {}
    elif name == "gather":
        yield [spread(rng, (4, 5)), rng.integers(0, 5, (4, 3))], {"dim": 1}
        yield [spread(rng, (4, 5)), rng.integers(0, 4, (7, 2))], {"dim": 0}
    else:
        for dim in (0, 1):
            yield [spread(rng, (4, 5, 3)), rng.integers(0, 4, 7)], {"dim": dim}
        yield [spread(rng, (4, 3)), rng.integers(0, 4, (2, 3))], {"dim": 0}


def product(rng, name):
    if name == "matmul":
        for sa, sb in (
            ((3, 4), (4, 5)),
            ((4,), (4,)),
            ((3, 4), (4,)),
            ((4,), (4, 5)),
            ((2, 3, 4), (4, 5)),
            ((2, 1, 3, 4), (3, 4, 2)),
        ):
            yield [spread(rng, sa), spread(rng, sb)], {}
        yield [spread(rng, (4, 3)), spread(rng, (5, 4))], {"transpose_a": True, "transpose_b": True}
        yield [spread(rng, (2, 4, 3)), spread(rng, (4, 5))], {"transpose_a": True}
        yield [spread(rng, (33, 17)), spread(rng, (19, 17))], {"transpose_b": True}
        return
    for x in ((3, 4), (4,), (2, 3, 4), (1, 4)):
        yield [spread(rng, x), spread(rng, (5, 4)), spread(rng, (5,))], {}
        yield [spread(rng, x), spread(rng, (5, 4))], {}
    yield [spread(rng, (33, 17)), spread(rng, (35, 17)), spread(rng, (35,))], {}


def convolution(rng, name):
    """Odd sizes, every attribute, every algorithm. The transposed one's weight begins with the channels of x."""
    turned = name == "conv_transpose2d"
    plain = [
        ((2, 3, 5, 4), (2, 3, 3, 2), {}),
        ((1, 2, 4, 7), (3, 2, 2, 3), {"stride": (2, 3), "padding": (1, 2)}),
        ((2, 2, 5, 5), (2, 2, 3, 3), {"dilation": 2, "padding": 2}),
        ((3, 4, 3, 3), (6, 2, 3, 3), {"groups": 2, "padding": (0, 1, 1, 2)}),
        ((1, 3, 4, 4), (3, 1, 3, 3), {"groups": 3, "padding": 1}),
        ((3, 2, 3, 3), (5, 2, 1, 1), {}),
        ((1, 1, 2, 2), (2, 1, 4, 4), {"padding": 2}),
        ((2, 2, 4, 5), (3, 2, 5, 5), {"padding": (2, 1)}),
        ((2, 3, 4, 3), (2, 3, 2, 2), {}),
    ]
    for k, (x, w, attrs) in enumerate(plain):
        winograd = x[2] >= w[2] == w[3] > 1 and not {"stride", "dilation"} & attrs.keys()
        fewer = ("winograd4", *(["winograd2"] if w[2] == 3 else [])) if winograd else ()
        for algorithm in ("naive", "im2col", "direct", *fewer):
            given = {**attrs, "algorithm": algorithm}
            channels = w[1] * attrs.get("groups", 1)
            if turned:
                x = (x[0], w[0], *x[2:])
                if k == 1:
                    given["output_padding"] = (1, 2)
            else:
                channels = w[0]
            arrays = [spread(rng, x), spread(rng, w)]
            yield arrays + ([spread(rng, (channels,))] if k % 2 == 0 else []), given
    yield [spread(rng, (2, 2, 3, 3)), spread(rng, (2, 2, 2, 2)), spread(rng, (2,))], {"stride": 2}


def uneven(rng, shape, rows):
    """`rows` rows of values that differ: where they hardly do, a difference quotient of a normalisation means nothing.
    Two values that differ much become -1 and 1 whatever they are: those stay as they come."""
    if np.prod(shape) < 3 * rows:
        return spread(rng, shape)
    x = spread(rng, shape, lo=-0.5, hi=0.5).reshape(rows, -1)
    return (x + np.linspace(-1.5, 1.5, x.shape[1])).reshape(shape)


def norm(rng, name):
    if name == "layer_norm":
        shapes = [((3, 5), 1), ((2, 3, 17), 2), ((300, 3), 1), ((4, 1), 1)]
        cases = [(x, x[-k:], math.prod(x[:-k]), {"normalized_shape": x[-k:]}) for x, k in shapes]
    else:
        shapes = [((2, 6, 3, 3), 3), ((3, 4), 2), ((2, 3, 17), 3), ((1, 4, 2), 1)]
        cases = [(x, x[1:2], x[0] * groups, {"num_groups": groups}) for x, groups in shapes]
    for x, w, rows, attrs in cases:
        yield [uneven(rng, x, rows), spread(rng, w), spread(rng, w)], attrs
        yield [uneven(rng, x, rows), spread(rng, w)], {**attrs, "eps": 0.1}
        yield [uneven(rng, x, rows)], attrs


def pooling(rng, name):
    shape = (2, 3, 7, 9)
    x = (lambda s: distinct(rng, s)) if "max" in name else (lambda s: spread(rng, s))
    if name.startswith("adaptive"):
        for size in ((1,), (3, 4), (-1, 2), (9, 11)):
            yield [x(shape)], {"output_size": size}
        return
    yield [x((2, 2, 4, 38))], {"kernel_size": 2}
    yield [x((3, 5, 7))], {"kernel_size": 2}
    yield [x(shape)], {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    yield [x(shape)], {"kernel_size": (2, 3), "stride": (1, 4), "padding": (1, 0)}
    if name == "max_pool2d":
        yield [x(shape)], {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": (2, 3)}
    else:
        yield [x(shape)], {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}
        yield [x(shape)], {"kernel_size": 2, "divisor_override": 3}


def resizing(rng, name):
    shape = (2, 3, 4, 5)
    if name == "pad":
        for mode in ("constant", "reflect", "replicate", "circular"):
            yield [spread(rng, shape)], {"pad": (2, 3, 1, 0), "mode": mode, "value": 1.5}
            yield [spread(rng, shape)], {"pad": (-1, 2, 3, -2), "mode": mode}
            yield [spread(rng, (17,))], {"pad": (16, 9), "mode": mode}
        yield [spread(rng, shape)], {"pad": (0, 1, 2, 0, 1, -1, 0, 2)}
        return
    for mode in ("nearest", "nearest-exact", "bilinear"):
        for size in ((7, 13), (3, 2), (1, 5), (4, 1)):
            yield [spread(rng, shape)], {"size": size, "mode": mode}
        yield [spread(rng, shape)], {"size": (6, 8), "mode": mode, "scale_h": 1.7, "scale_w": 1.6}
    for size in ((7, 13), (2, 1)):
        yield [spread(rng, shape)], {"size": size, "mode": "bilinear", "align_corners": True}


def rest(rng, name):
    if name == "clip":
        yield [spread(rng, (3, 5), (-1.0, 1.0))], {"min": -1.0, "max": 1.0}
        yield [spread(rng, (17,), (0.5,))], {"min": 0.5}
    elif name == "prelu":
        yield [spread(rng, (3, 5)), np.array([0.25])], {}
        yield [spread(rng, (2, 3, 5)), rng.uniform(0.1, 0.9, 3)], {"grad_at_zero": 1.0}
    elif name == "cumsum":
        for dim in (0, 1, -1):
            yield [spread(rng, (3, 17))], {"dim": dim}
        yield [spread(rng, ())], {}
    elif name == "dropout2d":
        yield [spread(rng, (3, 17, 2, 3))], {"p": 0.4}
        yield [spread(rng, (70, 2))], {"p": 0.4}
    elif name == "dropout":
        yield [spread(rng, (3, 17))], {"p": 0.4}
        yield [spread(rng, (3, 17))], {"p": 0.0}
    else:  # cast
        yield [spread(rng, (3, 5))], {"dtype": "float64"}


def batch_norm(rng, name):
    """In training and in evaluation, with and without weights; the running values are constants."""
    for shape in ((4, 3), (70, 33), (3, 2, 5), (2, 3, 3, 7)):
        values = [rng.normal(size=shape), rng.normal(size=shape[1]), rng.uniform(1, 2, shape[1])]
        constants = [*values, np.array(3)]
        yield constants, {"training": True, "track": False}
        yield [*constants, rng.normal(size=shape[1]), rng.normal(size=shape[1])], {"training": True, "track": False}
        weights = [rng.normal(size=shape[1]), rng.normal(size=shape[1]), rng.normal(size=shape)]
        yield [*constants, *weights], {"training": True, "track": False}
        yield [*constants, rng.normal(size=shape[1]), rng.normal(size=shape[1])], {"training": False}


_LOSSES = ("mse", "mae", "huber", "smooth_l1", "bce", "bce_with_logits", "hinge", "kl_div")
_FAMILIES = [
    (unary, [n for n in _core.ops if _core.op_info(n)["file"] == "ops/activations.c"]),
    (binary, ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "remainder"]),
    (reduction, ["sum", "mean", "prod", "max", "min", "logsumexp"]),
    (softmax, ["softmax", "log_softmax"]),
    (loss, _LOSSES),
    (class_loss, ["cross_entropy", "nll"]),
    (soft_loss, ["soft_cross_entropy"]),
    (shapes, ["reshape", "expand", "transpose", "slice", "concat", "stack"]),
    (choice, ["where", "gather", "index_select"]),
    (product, ["matmul", "linear"]),
    (convolution, ["conv2d", "conv_transpose2d"]),
    (norm, ["layer_norm", "group_norm"]),
    (batch_norm, ["batch_norm"]),
    (pooling, ["max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d"]),
    (resizing, ["pad", "interpolate"]),
    (rest, ["clip", "prelu", "dropout", "dropout2d", "cumsum", "cast"]),
]
FAMILY = {name: family for family, names in _FAMILIES for name in names}


def cases(name):
    """List of (inputs, attributes): float64 arrays are differentiated, integer arrays are not."""
    return list(FAMILY[name](np.random.default_rng(abs(hash_of(name))), name))


def hash_of(name):
    """A number from a name that is the same in every process."""
    return int.from_bytes(name.encode()[:8], "little")
