"""The table of a network, as Keras prints it: layer, output shape, parameters, and FLOPs besides."""

import math

import numpy as np

from pyneuro import _core


def summary(root, input_shape, batch_size, write):
    """See `Module.summary`. Shapes come from one forward pass of zeros in evaluation mode."""
    shape = _input_shape(root, input_shape)
    shapes = {} if shape is None else _observe(root, shape)
    batch = "None" if batch_size is None else str(batch_size)
    rows = [_row(root, path, module, shapes.get(id(module)), batch) for path, module in _listed(root)]
    widths = [max(len(row[i]) for row in [*rows, _HEAD]) for i in range(4)]
    rule = "-" * (sum(widths) + 6)
    write(f'Model: "{type(root).__name__}"')
    for line in (rule, _line(_HEAD, widths), "=" * len(rule), *[_line(row, widths) for row in rows], rule):
        write(line)
    total = _count(root.parameters())
    trainable = _count(p for p in root.parameters() if p.requires_grad)
    write(f"Total params: {total:,} ({_bytes(root)})")
    write(f"Trainable params: {trainable:,}")
    write(f"Non-trainable params: {total - trainable:,}")
    if shapes:
        write(f"FLOPs of one sample, forward: {sum(_flops(m, shapes.get(id(m))) for _, m in _listed(root)):,}")


_HEAD = ("Layer (type)", "Output Shape", "Param #", "FLOPs")


def _line(row, widths):
    return f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}"


def _listed(root):
    """Modules with a row of their own: those without children, and the root when it has parameters of its own."""
    return [(path, m) for path, m in root.named_modules() if not m._modules or m._parameters]


def _row(root, path, module, seen, batch):
    name = f"{path or type(root).__name__} ({type(module).__name__})"
    output = "?" if seen is None else f"({', '.join([batch, *map(str, seen[1][1:])])})"
    flops = "?" if seen is None else f"{_flops(module, seen):,}"
    return name, output, f"{_count(module._parameters.values()):,}", flops


def _flops(module, seen):
    """Of one sample: a layer's own formula, else one an element; 0 for containers."""
    if seen is None or module._modules:
        return 0
    x, y = seen
    own = getattr(module, "_flops", None)
    return own(x, y) if own else math.prod(y)


def _count(parameters):
    return sum(math.prod(p.shape) for p in parameters if p is not None)


def _bytes(root):
    size = sum(math.prod(p.shape) * (4 if p.dtype == "float32" else 8) for p in root.parameters())
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"


def _input_shape(root, given):
    """Shape of one sample as a tuple, or None when it is neither given nor known from a first Linear."""
    if given is None:
        first = next((m for m in root.modules() if not m._modules), None)
        n = getattr(first, "in_features", None)
        return None if n is None else (n,)
    shape = (given,) if isinstance(given, int) else tuple(given)
    if shape and shape[0] is None:
        shape = shape[1:]  # Keras writes (None, 784)
    if not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"summary: input_shape is the shape of one sample, such as (784,), got {given!r:.80}")
    return shape


def _observe(root, shape):
    """Dict id(module) -> (input shape, output shape) of one forward pass on a single sample of zeros."""
    seen, handles, modes = {}, [], [(m, m.training) for m in root.modules()]

    def note(module, args, output):
        if args and hasattr(args[0], "shape") and hasattr(output, "shape"):
            seen[id(module)] = tuple(args[0].shape), tuple(output.shape)

    first = next((m for m in root.modules() if not m._modules), root)
    symbols = type(first).__name__ == "Embedding"
    real = next((p.dtype for p in root.parameters()), "float32")
    x = _core.Tensor(np.zeros((1, *shape), "int64" if symbols else real))
    old = _core.set_grad_enabled(False)
    try:
        root.eval()
        handles = [module.register_forward_hook(note) for module in root.modules()]
        root(x)
    finally:
        _core.set_grad_enabled(old)
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.__dict__["training"] = mode
    return seen
