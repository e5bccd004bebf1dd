"""From a tensor to boxes and arrows: what pn.draw shows, before it has a place."""

from dataclasses import dataclass, field

import numpy as np

from pyneuro import _core


@dataclass
class Box:
    """One tensor of the graph: how it was made, its value, its gradient."""

    title: str
    value: str = ""
    gradient: str = ""
    details: str = ""  # shown when the pointer rests on the box
    leaf: bool = False
    inputs: list = field(default_factory=list)  # indices of boxes


def number(x):
    """A number in at most about seven characters.

    >>> number(0.123456), number(3.0), number(12)
    ('0.1235', '3', '12')
    """
    return str(x) if isinstance(x, int | np.integer) else f"{x:.4g}"


def short(array):
    """A value or gradient in one line: the number, a few numbers, or the range of many.

    >>> short(np.array(2.0)), short(np.array([1.0, 2.5]))
    ('2', '[1, 2.5]')
    """
    if array.ndim == 0:
        return number(array[()])
    if array.size == 0:
        return f"empty {array.shape}"
    if array.ndim == 1 and array.size <= 4:
        return "[" + ", ".join(number(x) for x in array) + "]"
    if array.ndim == 2 and array.size <= 6:
        return "[" + "; ".join(" ".join(number(x) for x in row) for row in array) + "]"
    return f"{number(array.min())} .. {number(array.max())}"


def _details(tensor, node, gradient):
    lines = [f"shape {tuple(tensor.shape)}, {tensor.dtype}"]
    if node:
        attrs = ", ".join(f"{k}={v}" for k, v in node["attrs"].items())
        lines.append(f"{node['op']}({attrs}): {node['formula']}")
        if node["derivative"]:
            lines.append(f"backward: {node['derivative']}")
        if node["layer"]:
            lines.append(node["layer"])
    with np.printoptions(precision=5, threshold=40, edgeitems=2):
        lines.append(f"value {np.array2string(tensor.detach().numpy())}")
        if gradient is not None:
            lines.append(f"gradient {np.array2string(gradient)}")
    return "\n".join(lines)


def _gradients(root, tensors):
    """d root / d tensor by id, for those that have one; empty when root is not a single number or values are gone."""
    wanted = {i: t for i, t in tensors.items() if t.requires_grad}
    if not root.requires_grad or root.numel() != 1:
        return {}
    try:
        found = _core.gradients(root, list(wanted.values()), retain_graph=True, again=True)
    except RuntimeError:
        return {}
    return {i: g.numpy() for i, g in zip(wanted, found) if g is not None}


def boxes(root, most):
    """All tensors behind root as boxes, producers before consumers. ValueError for more than `most` operations."""
    nodes = sorted(_core.graph(root), key=lambda node: node["sequence"])
    if len(nodes) > most:
        raise ValueError(
            f"draw: the graph has {len(nodes)} operations, a drawing takes at most {most}; draw a part of it"
        )
    tensors, producer = {}, {}
    for node in nodes:
        tensors.update(zip(node["inputs"], node["tensors"]))
        producer.update(dict.fromkeys(node["outputs"], node))
    tensors[_core.tensor_id(root)] = root
    gradients = _gradients(root, tensors)
    order = [i for i in tensors if i not in producer]
    order += [i for node in nodes for i in node["outputs"] if i in tensors]
    place = {identity: at for at, identity in enumerate(order)}
    result = []
    for identity in order:
        tensor, node = tensors[identity], producer.get(identity)
        gradient = gradients.get(identity)
        if tensor.grad is not None:
            gradient = tensor.grad.numpy()
        title = tensor.name or (node["op"] if node else "parameter" if tensor.requires_grad else "constant")
        if node and tensor.name:
            title = f"{tensor.name} = {node['op']}"
        box = Box(title, short(tensor.detach().numpy()), leaf=node is None)
        box.gradient = "" if gradient is None else short(gradient)
        box.details = _details(tensor, node, gradient)
        box.inputs = [place[i] for i in node["inputs"]] if node else []
        result.append(box)
    return result
