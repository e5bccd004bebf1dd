"""Saving and loading networks: `net.save(path)`, `pn.load(path)`, `pn.load(path, into=net)`.

A model file is plain safetensors: the entries of `state_dict`, and in the metadata the architecture, when it consists
of pyneuro's own layers, and two SHA-256 sums, which are verified. `safetensors.torch.load_file` reads it, and a file
written by `safetensors.torch.save_file` loads with `into=`.

Loading runs no code from the file. The architecture is a list of layers out of the closed list `LAYERS` with the
arguments of their constructors, which check them; a class of the user's own is built by the user and filled.
"""

import json

from pyneuro import _files
from pyneuro._files import FileFormatError, replace_file

__all__ = ["LAYERS", "FileFormatError", "load", "replace_file", "save"]

FORMAT = "1"
MAX_DEPTH = 32
MAX_LAYERS = 4096

# Every class that an architecture may name. A new layer with a `_config` adds its name here.
LAYERS = (
    "Sequential", "ModuleList", "ModuleDict",
    "Conv1d", "Conv2d", "ConvTranspose2d", "Linear", "Embedding", "Flatten", "Dropout", "Normalize", "Rescaling",
    "Identity",
    "Sigmoid", "Tanh", "Softsign", "SELU", "SiLU", "LogSigmoid", "Step", "ReLU", "LeakyReLU", "ELU", "Hardtanh", "GELU",
    "Softplus", "PReLU", "Softmax", "LogSoftmax",
    "LayerNorm", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "BatchNorm1d", "BatchNorm2d",
    "MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d", "Dropout2d", "Unflatten",
    "CircularPad1d", "CircularPad2d", "ConstantPad1d", "ConstantPad2d", "ReflectionPad1d", "ReflectionPad2d",
    "ReplicationPad1d", "ReplicationPad2d", "ZeroPad1d", "ZeroPad2d", "Upsample",
)  # fmt: skip
_CONTAINERS = LAYERS[:3]
# Classes of `pyneuro.models` with layers inside, which their arguments decide.
COMPOSITES = ("BasicBlock", "CCells", "Neocognitron", "SCells", "UNet")


def save(net, path):
    """Saves the network `net` to `path`, replacing the file in one step. See `pn.load`.

    Raises OSError when the file cannot be written; the old file is then as before.

    >>> import os, tempfile
    >>> import pyneuro as pn
    >>> net = pn.nn.Sequential(pn.nn.Linear(2, 1), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.safetensors")
    ...     pn.save(net, path)
    ...     pn.equal(pn.load(path)[0].weight, net[0].weight)
    True
    """
    from pyneuro.nn._state import state_dict, to_numpy

    arrays = {name: to_numpy(tensor) for name, tensor in state_dict(net).items()}
    metadata = {"pyneuro": FORMAT, "class": type(net).__name__}
    architecture = describe(net)
    if architecture is not None:
        metadata["architecture"] = json.dumps(architecture, separators=(",", ":"))
    _files.write_arrays(path, arrays, metadata)


def load(path, into=None):
    """Loads a network from a safetensors file.

    path: file saved by `net.save`, or by any other writer of the format when `into` is given.
    into: a network to fill; its names and shapes must fit. None: the network is built from the file, which works for
    networks of pyneuro's own layers.

    Returns the network, in training mode as any new one. Raises FileFormatError (a ValueError) for a file that is
    truncated, altered, of another kind, or whose architecture is not of pyneuro's layers; StateError when `into` does
    not fit, with both shapes; OSError when the file cannot be read. `into` is unchanged after an error.

    >>> import os, tempfile, pyneuro as pn
    >>> from pyneuro import nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.safetensors")
    ...     net.save(path)
    ...     again = pn.load(path)
    >>> again([[1.0, 2.0]]).tolist() == net([[1.0, 2.0]]).tolist()
    True
    """
    arrays, metadata = _files.read_arrays(path)
    if into is not None:
        into.load_state_dict(arrays)
        return into
    if "energy" in metadata:
        from pyneuro.energy import _model

        try:
            return _model.build(metadata["energy"], arrays)
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from None
    if "architecture" not in metadata:
        raise FileFormatError(_no_architecture(path, metadata))
    try:
        return build(metadata["architecture"], arrays)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None


def _no_architecture(path, metadata):
    if "pyneuro" not in metadata:
        return f"{path} holds tensors but no architecture: build the network and pass it, pn.load(path, into=net)"
    if "checkpoint" in metadata:
        return f"{path} is a checkpoint of a training, not a model: go on with fit(checkpoint=path, resume=True)"
    name = metadata.get("class", "a class")
    return (
        f"{path} holds weights of {name:.80}, which is not made of pyneuro's layers: pn.load(path, into={name:.80}())"
    )


# ---- architecture <-> network ----


def describe(net):
    """The architecture of `net` as nested lists and dicts for JSON, or None when a class of the user's own is in it."""
    seen = {}
    for count, (path, module) in enumerate(net.named_modules()):
        name = type(module).__name__
        if name not in (*LAYERS, *COMPOSITES) or type(module) is not _layer(name):
            return None
        if module._modules and name in COMPOSITES and not _is_as_built(module):
            return None
        if set(module._buffers) - set(module._own_buffers) or path.count(".") > MAX_DEPTH or count >= MAX_LAYERS:
            return None
        seen[id(module)] = path
    return {"net": _describe(net, "", seen), "tied": _tied(net)}


def _layer(name):
    from pyneuro import models, nn

    return getattr(models if name in COMPOSITES else nn, name)


def _is_as_built(module):
    """Whether the layers inside are those that its arguments make: somebody may have replaced one."""
    from pyneuro.nn import init

    def inside(root):
        return [(path, type(m), getattr(m, "_config", dict)()) for path, m in root.named_modules()]

    with init.loading(1 << 62):  # parameters stay zeros
        return inside(type(module)(**module._config())) == inside(module)


def _describe(module, path, first):
    if first[id(module)] != path:
        return {"same": first[id(module)]}  # one module in two places
    name = type(module).__name__
    if name not in _CONTAINERS:
        return {"layer": name, "arguments": module._config()}
    children = [
        [key, _describe(child, f"{path}.{key}" if path else key, first)] for key, child in module._modules.items()
    ]
    return {"layer": name, "children": children}


def _tied(net):
    """Pairs [name, first name] of parameters that different modules share."""
    first, pairs = {}, []
    for name, parameter in net.named_parameters():
        first[id(parameter)] = name
    for path, module in net.named_modules():
        for key, parameter in module._parameters.items():
            name = f"{path}.{key}" if path else key
            if parameter is not None and first[id(parameter)] != name:
                pairs.append([name, first[id(parameter)]])
    return pairs


def build(text, arrays):
    """The network that `text` describes, filled with `arrays` (dict of state_dict name -> ndarray).

    Raises FileFormatError when the text is not an architecture or does not fit the arrays. Layers larger than the
    arrays can fill are refused before they take memory.
    """
    from pyneuro.nn import init

    try:
        described = json.loads(text)
        with init.loading(sum(array.size for array in arrays.values())):
            net = _Builder().module(described["net"], "", 0)
            _tie(net, described["tied"])
        _retype(net, arrays)
        net.load_state_dict(arrays)
    except FileFormatError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise FileFormatError(f"its architecture does not describe a network of pyneuro ({error!s:.300})") from None
    return net


class _Builder:
    """Makes modules from their descriptions, and remembers them by path for those that occur twice."""

    def __init__(self):
        self.made = {}
        self.count = 0

    def module(self, described, path, depth):
        """The module that `described` (a dict) stands for; `path` is its place in the network."""
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_LAYERS:
            raise FileFormatError(f"its architecture has more than {MAX_DEPTH} levels or {MAX_LAYERS} layers")
        if not isinstance(described, dict):
            raise FileFormatError(f"its architecture has {described!r:.80} where a layer should be")
        if "same" in described:
            return self.made[described["same"]]
        name = described["layer"]
        if name not in LAYERS and name not in COMPOSITES:
            raise FileFormatError(f"its architecture names {name!r:.80}, which is not a layer of pyneuro")
        if name in _CONTAINERS:
            children = {key: self.module(child, f"{path}.{key}" if path else key, depth + 1)
                        for key, child in described["children"]}  # fmt: skip
            made = self._container(name, children)
        else:
            made = _layer(name)(**described["arguments"])
        self.made[path] = made
        return made

    @staticmethod
    def _container(name, children):
        if name == "ModuleList":
            return _layer(name)(children.values())
        return _layer(name)(children)


def _tie(net, pairs):
    for name, source in pairs:
        path, _, key = name.rpartition(".")
        net.get_submodule(path).register_parameter(key, net.get_parameter(source))


def _retype(net, arrays):
    """Gives each parameter the real type of its array: files may hold float64, or a mixture."""
    from pyneuro.nn._state import retype

    for name, parameter in net.named_parameters():
        stored = str(arrays[name].dtype)
        if stored != parameter.dtype:
            if stored not in ("float32", "float64"):
                raise FileFormatError(f"tensor {name} has type {stored}, parameters are float32 or float64")
            retype(parameter, stored)
