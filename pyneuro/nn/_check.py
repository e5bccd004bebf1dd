"""Checks that layers share: sizes, numbers, memory, and arguments that other libraries spell or mean differently."""

import operator
import os
from contextlib import suppress

from pyneuro import _core

# Spellings of other libraries that mean something else here, or belong elsewhere: argument -> advice. `{name}` is the
# layer. Spellings that mean the same are simply accepted by the layer itself.
FOREIGN = {
    "units": "{name} needs both sizes: {name}(in_features, out_features); Keras's units is out_features, and the input "
    "size is not guessed from the data",
    "filters": "{name} calls it out_channels and takes in_channels before it: {name}(in_channels, out_channels, "
    "kernel_size)",
    "activation": "{name} has no activation: put one behind it, such as nn.Sequential({name}(...), nn.ReLU())",
    "input_shape": "{name} has no input_shape: layers are given their sizes, net.summary(shape) takes the input's",
    "input_dim": "{name} has no input_dim: its first argument is the number of inputs",
    "kernel_initializer": "{name} calls it init: init='glorot_uniform'; 'he_normal' is not truncated here, as in "
    "PyTorch",
    "bias_initializer": "{name} calls it bias_init: bias_init='zeros'",
    "kernel_regularizer": "{name} has no regularizer: give the optimiser weight_decay, which is twice Keras's l2",
    "kernel_constraint": "{name} has no constraints: use a callback that changes the weights after a batch",
    "noise_shape": "{name} draws one number for each element: noise_shape has no counterpart",
    "threshold": "{name} has no threshold: its kink is at 0",
    "data_format": "{name} has one layout: channels come right after the batch (N, C, H, W)",
    "from_logits": "{name}: from_logits is Keras's; nn.CrossEntropyLoss and nn.BCEWithLogitsLoss take raw scores, "
    "nn.NLLLoss takes log-probabilities, nn.BCELoss takes probabilities: choose the class instead",
    "size_average": "{name}: size_average is PyTorch's old spelling; use reduction='mean' or 'sum'",
    "reduce": "{name}: reduce is PyTorch's old spelling; use reduction='none' for one value an element",
    "device": "{name} has no device: pyneuro computes on the CPU",
    "momentum": "{name} has no momentum",
}


def nearest(given, names):
    """The one of `names` that `given` may have meant, or None."""
    import difflib  # only mistakes pay for it

    return next(iter(difflib.get_close_matches(str(given), names, 1)), None)


def refuse(name, given, known):
    """Raises TypeError for the unknown keyword arguments `given` (dict) of layer `name`; does nothing when empty.

    `known` are the names that the layer accepts: the nearest one is suggested.
    """
    for argument in given:
        if argument in FOREIGN:
            raise TypeError(FOREIGN[argument].format(name=name))
        near = nearest(argument, known)
        hint = f"; did you mean {near}?" if near else f"; it takes {', '.join(known) or 'none'}"
        raise TypeError(f"{name} has no argument {argument!r}{hint}")


def either(name, spellings, default):
    """The one value given among `spellings` (dict of spelling -> value or None), or `default`.

    Raises TypeError when two spellings of the same argument are given.
    """
    given = {key: value for key, value in spellings.items() if value is not None}
    if len(given) > 1:
        raise TypeError(f"{name}: {' and '.join(given)} are two spellings of one argument, give one of them")
    return next(iter(given.values()), default)


def need(name, given):
    """TypeError for the first of the arguments `given` (dict of argument -> value) that is None, with all of them."""
    for argument, value in given.items():
        if value is None:
            raise TypeError(f"{name}: {argument} is missing; give {name}({', '.join(given)})")


def tensor(x, *beside):
    """`x` as a Tensor: an array or a list takes the real type of the first Tensor `beside` it, else the one of its own.

    Those `beside`, parameters mostly, may be None or no Tensors. A Tensor stays as it is, whatever its type.
    """
    if isinstance(x, _core.Tensor):
        return x
    types = (other.dtype for other in beside if isinstance(other, _core.Tensor))
    return _core.as_tensor(x, next((dtype for dtype in types if dtype != "int64"), None))


def size(name, argument, value, least=1):
    """`value` as an int of at least `least`. TypeError when it is no whole number, ValueError when it is too small."""
    if isinstance(value, bool):
        raise TypeError(f"{name}: {argument} must be a whole number, got {value}")
    try:
        n = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be a whole number, got {value!r:.80}") from None
    if n < least:
        raise ValueError(f"{name}: {argument} must be at least {least}, got {n}")
    return n


def number(name, argument, value, low=None, high=None):
    """`value` as a float from `low` to `high` (both inclusive, None: no bound). TypeError or ValueError otherwise."""
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(f"{name}: {argument} must be a number, got {value!r:.80}")
    try:
        x = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {argument} must be a number, got {value!r:.80}") from None
    if x != x or (low is not None and x < low) or (high is not None and x > high):
        bounds = f"from {low} to {high}" if high is not None else f"at least {low}"
        raise ValueError(f"{name}: {argument} must be {'a number' if low is None else bounds}, got {x:g}")
    return x


def channels(name, mean, std):
    """Tuples (mean, std) of equal length, from numbers or sequences. ValueError when a std is not above 0."""
    lists = []
    for argument, value in (("mean", mean), ("std", std)):
        items = value.tolist() if hasattr(value, "tolist") else value
        items = tuple(items) if isinstance(items, (list, tuple)) else (items,)
        lists.append(tuple(number(name, argument, v, -1e300, 1e300) for v in items))
    mean, std = lists
    if len(mean) != len(std) or not mean:
        raise ValueError(f"{name}: mean has {len(mean)} numbers, std has {len(std)}, expected one each for a channel")
    if min(std) <= 0:
        raise ValueError(f"{name}: std must be above 0, got {min(std):g}")
    return mean, std


def drop(name, p, rate, keep):
    """The probability to drop, from the one of its three spellings that is given; 0.5 when none is."""
    if keep is not None:
        keep = round(1 - number(name, "keep", keep, 0, 1), 15)  # 1 - 0.8 is 0.2, not 0.19999999999999996
    return number(name, "p", either(name, {"p": p, "rate": rate, "keep": keep}, 0.5), 0, 1)


def choice(name, argument, value, options):
    """`value` when it is one of `options`. ValueError with the nearest option otherwise."""
    if value in options:
        return value
    near = nearest(value, options) if all(isinstance(option, str) for option in options) else None
    hint = f"; did you mean {near!r}?" if near else ""
    raise ValueError(f"{name}: {argument} must be one of {', '.join(map(repr, options))}, got {value!r:.80}{hint}")


def memory(name, what, shape, dtype):
    """Raises MemoryError when an array of `shape` and `dtype` cannot fit into this machine's memory.

    Asked before anything is allocated: Linux promises more memory than there is, and ends the process when the promise
    is called in. Drawing initial values needs the array twice for a moment.
    """
    needed = 4 if dtype == "float32" else 8
    for n in shape:
        needed *= n
    if needed < 1 << 26:
        return
    limit = _memory_limit()
    if 2 * needed > limit:
        raise MemoryError(
            f"{name}: {what} of shape {tuple(shape)} needs {needed / 2**30:.1f} GiB, and as much again while it is "
            f"drawn; {limit / 2**30:.1f} GiB are free"
        )


def _memory_limit():
    """Bytes that this process may still hope for: available memory, lowered by the limit of a container."""
    limits = [1 << 62]
    with suppress(AttributeError, OSError, ValueError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, KeyError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
        limits.append(int(fields["MemAvailable"].split()[0]) * 1024)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            limits.append(int(file.read()))
    return min(limits)
