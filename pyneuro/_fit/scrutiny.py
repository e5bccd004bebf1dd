"""A recording looked at before the first step: indices beyond a table, and parameters that nobody trains.

What a forward or a loss of the user's does with its inputs is known once it was recorded. So all rows of an input that
chooses rows of a table (an embedding), or that holds class numbers, are checked at once, and messages name the rows of
the user's arrays and not those of some batch.
"""

import sys
import warnings

from pyneuro import _core

_TABLES, _LOSSES = ("index_select", "gather"), ("cross_entropy", "nll")


def examine(parts, inputs, outputs, trained=None):
    """Looks at what was recorded between the tensors `inputs` (one a part) and `outputs`.

    trained: the parameters that an optimiser or the network has, None: not asked for. Raises IndexError for an index
    without a row in its table, ValueError for a label without a score. Warns of parameters that are not trained.
    """
    of = {address(t): p for p, t in zip(parts, inputs, strict=True) if t.dtype == "int64"}
    if not of and trained is None:
        return
    found = {node["sequence"]: node for output in outputs for node in _core.graph(output, values=False)}
    nodes = [found[number] for number in sorted(found)]
    shapes = {i: shape for node in nodes for i, shape in zip(node["outputs"], node["shapes"], strict=True)}
    for node in nodes:
        chooser = node["tensors"][1] if len(node["tensors"]) > 1 else None
        p = of.get(address(chooser)) if chooser is not None and chooser.dtype == "int64" else None
        if p is not None:
            first = node["inputs"][0]
            _check(node, tuple(shapes[first] if first in shapes else node["tensors"][0].shape), p)
    if trained is not None:
        _warn_of_strangers(nodes, trained)


def address(tensor):
    """Where a tensor's numbers are: views (reshape) begin at the same place."""
    return tensor.detach().numpy().__array_interface__["data"][0]


def _check(node, shape, p):
    """The rows of `p` as indices into a table, or classes of scores, of this shape."""
    where = node["layer"] or node["op"]
    if node["op"] in _TABLES:
        size = shape[node["attrs"]["dim"]]
        bad = _core.check_labels(p.array, size, 0)  # 0 is a row if there is any
        if bad is not None:
            raise IndexError(
                f"{where}: {p.name} has index {bad[1]} in row {p.first + bad[0]}, allowed are 0 to {size - 1}"
            )
    elif node["op"] in _LOSSES:
        classes = shape[1] if len(shape) > 1 else shape[0]
        bad = _core.check_labels(p.array, classes, node["attrs"]["ignore_index"])
        if bad is not None:
            raise ValueError(
                f"{where}: {p.name} has label {bad[1]} in row {p.first + bad[0]}, expected 0..{classes - 1}: "
                f"the input has {classes} classes"
            )


def _warn_of_strangers(nodes, trained):
    """Leaves that want gradients but that neither the network nor the optimiser knows: a plain list of layers."""
    known = {address(p) for p in trained}
    found = {}
    for node in nodes:
        for t in node["tensors"]:
            if t is not None and t.requires_grad and t.is_leaf and t.numel() and address(t) not in known:
                found.setdefault(address(t), tuple(t.shape))
    if found:
        shapes = ", ".join(map(str, list(found.values())[:4])) + (", ..." if len(found) > 4 else "")
        warnings.warn(
            f"fit: the network computes with {len(found)} tensors that want gradients but are none of its parameters, "
            f"and will not be trained, of shape {shapes}: keep layers in nn.ModuleList or nn.ModuleDict instead of a "
            "list or dict, and numbers in nn.Parameter",
            stacklevel=outside(),
        )


def outside():
    """Stack level of the first caller outside pyneuro, for warnings."""
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_globals.get("__name__", "").startswith("pyneuro"):
        frame, level = frame.f_back, level + 1
    return level
