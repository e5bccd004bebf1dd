"""Modules that hold modules: `Sequential`, `ModuleList`, `ModuleDict`, and `ParameterList`. PyTorch's behaviour."""

import operator

from pyneuro.nn import module as _module
from pyneuro.nn.module import Module, Parameter


def _index(container, i):
    """`i` as a position in 0..len-1. IndexError outside, TypeError when it is no whole number."""
    n, i = len(container), operator.index(i)
    if not -n <= i < n:
        raise IndexError(f"{type(container).__name__} has {n} entries, there is no number {i}")
    return i % n


class _List(Module):
    """What `Sequential` and `ModuleList` share: children named "0", "1", ... that behave like a Python list."""

    def _refill(self, modules):
        """Makes `modules` the children, after all were found to be modules."""
        modules = list(modules)
        for i, module in enumerate(modules):
            _check_module(type(self).__name__, i, module)
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(modules):
            self.register_module(str(i), module)

    def _rebuilt(self, modules):
        return type(self)(*modules) if isinstance(self, Sequential) else type(self)(modules)

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __contains__(self, module):
        return any(module is own for own in self._modules.values())

    def __getitem__(self, i):
        if isinstance(i, slice):
            return self._rebuilt(list(self._modules.values())[i])
        if isinstance(i, str):
            return self._modules[i]
        return list(self._modules.values())[_index(self, i)]

    def __setitem__(self, i, module):
        names = list(self._modules)
        name = i if isinstance(i, str) else names[_index(self, i)]
        _check_module(type(self).__name__, i, module)
        self.register_module(name, module)

    def __delitem__(self, i):
        modules = list(self._modules.values())
        del modules[i if isinstance(i, slice) else _index(self, i)]
        self._refill(modules)

    def __iadd__(self, modules):
        return self.extend(modules)

    def __add__(self, other):
        if not isinstance(other, _List):
            return NotImplemented
        return self._rebuilt([*self, *other])

    def append(self, module):
        """Adds `module` at the end. Returns self."""
        return self.extend([module])

    def extend(self, modules):
        """Adds each of `modules` at the end. Returns self."""
        modules, n = list(modules), len(self)
        for i, module in enumerate(modules):
            _check_module(type(self).__name__, n + i, module)
        for i, module in enumerate(modules):
            self.register_module(str(n + i), module)
        return self

    def insert(self, i, module):
        """Puts `module` before position `i`, as `list.insert`. Returns self."""
        modules = list(self._modules.values())
        modules.insert(i, module)
        self._refill(modules)
        return self

    def pop(self, i=-1):
        """Removes and returns the module at position `i`. IndexError when there is none."""
        module = self[_index(self, i)]
        del self[i]
        return module


def _check_module(container, i, module):
    if isinstance(module, Module):
        return
    hint = f"; write {module.__name__}() to make one" if isinstance(module, type) and issubclass(module, Module) else ""
    raise TypeError(f"{container}: entry {i} must be a module, got {module!r:.80}{hint}")


class Sequential(_List):
    """`Sequential(layer, layer, ..., seed=None)`: each layer works on what the one before returns.

    Also takes one list of layers, or one dict of name -> layer. With `seed`, all parameters that still have their first
    values are drawn again, number i from the stream (seed, i): the same seed gives the same network, on any machine and
    whatever was drawn before. Raises TypeError when an entry is no module.

    >>> from pyneuro import nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), seed=0)
    >>> net
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=1, bias=True)
    )
    >>> net([[1.0, 2.0]]).shape, len(net), net[0]
    ((1, 1), 3, Linear(in_features=2, out_features=3, bias=True))
    """

    def __init__(self, *layers, seed=None):
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], dict):
            for name, module in layers[0].items():
                _check_module("Sequential", repr(name), module)
                self.register_module(name, module)
        else:
            if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
                layers = layers[0]
            self.extend(layers)
        if seed is not None:
            self.redraw(seed)

    def redraw(self, seed):
        """Draws all parameters that still have their first values again from `seed`. Returns self."""
        from pyneuro.nn import _check

        _module.redraw(self, _check.size("Sequential", "seed", seed, least=0))
        return self

    def add(self, layer):
        """Adds `layer` at the end, as Keras's `add` and PyTorch's `append`. Returns self."""
        return self.append(layer)

    def forward(self, x):
        """Sends `x` through all layers."""
        for layer in self._modules.values():
            x = layer(x)
        return x


class ModuleList(_List):
    """`ModuleList(modules=())`: a list whose entries are registered. It has no `forward` of its own.

    >>> from pyneuro import nn
    >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules=()):
        super().__init__()
        self.extend(modules)


class ModuleDict(Module):
    """`ModuleDict(modules={})`: a dict of name -> module whose entries are registered. It has no `forward`.

    >>> from pyneuro import nn
    >>> heads = nn.ModuleDict({"mean": nn.Linear(4, 1), "log_var": nn.Linear(4, 1)})
    >>> list(heads), heads["mean"]
    (['mean', 'log_var'], Linear(in_features=4, out_features=1, bias=True))
    """

    def __init__(self, modules=None):
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, name):
        return self._modules[name]

    def __setitem__(self, name, module):
        _check_module("ModuleDict", repr(name), module)
        self.register_module(name, module)

    def __delitem__(self, name):
        if name not in self._modules:
            raise KeyError(name)
        delattr(self, name)

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules)

    def __contains__(self, name):
        return name in self._modules

    def keys(self):
        """The names."""
        return self._modules.keys()

    def values(self):
        """The modules."""
        return self._modules.values()

    def items(self):
        """Pairs (name, module)."""
        return self._modules.items()

    def update(self, modules):
        """Adds all of `modules`, a dict or pairs (name, module)."""
        for name, module in modules.items() if hasattr(modules, "items") else modules:
            self[name] = module

    def pop(self, name):
        """Removes and returns the module `name`. KeyError when there is none."""
        module = self._modules[name]
        del self[name]
        return module

    def clear(self):
        """Removes all modules."""
        for name in list(self._modules):
            del self[name]


class ParameterList(Module):
    """`ParameterList(values=())`: a list of parameters, named "0", "1", ... Arrays and tensors become parameters.

    >>> from pyneuro import nn
    >>> weights = nn.ParameterList([[1.0, 2.0], [3.0]])
    >>> [w.tolist() for w in weights]
    [[1.0, 2.0], [3.0]]
    """

    def __init__(self, values=()):
        super().__init__()
        self.extend(values)

    def __len__(self):
        return len(self._parameters)

    def __iter__(self):
        return iter(self._parameters.values())

    def __getitem__(self, i):
        values = list(self._parameters.values())
        return ParameterList(values[i]) if isinstance(i, slice) else values[_index(self, i)]

    def __setitem__(self, i, value):
        self.register_parameter(str(_index(self, i)), value if isinstance(value, Parameter) else Parameter(value))

    def append(self, value):
        """Adds `value` at the end. Returns self."""
        parameter = value if isinstance(value, Parameter) else Parameter(value)
        self.register_parameter(str(len(self)), parameter)
        return self

    def extend(self, values):
        """Adds each of `values` at the end. Returns self."""
        for value in values:
            self.append(value)
        return self

    def extra_repr(self):
        """Shapes of the parameters."""
        return ", ".join(str(tuple(p.shape)) for p in self)
