"""`Module` and `Parameter`: how networks are put together. PyTorch's way, names and orders included.

A module holds parameters (trained), buffers (kept, not trained) and other modules, each under the name of the attribute
it was assigned to, and says in `forward` how it computes. Training (`fit`, `predict`, ...) comes from `Trainable`.
"""

import contextlib
import threading
from typing import TYPE_CHECKING

from pyneuro import _core
from pyneuro.nn import _state, init
from pyneuro.train import Trainable

Tensor = _core.Tensor
_labels = threading.local()  # .of: dict id(module) -> label while this thread's recording wants to know layers
_watchers = {}  # contexts that have labels, of any thread: one fast look decides whether a call must bother
_NAMED = (ValueError, TypeError, IndexError)  # errors of ops, whose messages get the layer in front
_forced = threading.local()  # .modes: dict id(module) -> mode that holds for this thread alone, see `modes`


class _ParameterMeta(type):
    def __instancecheck__(cls, value):
        return isinstance(value, Tensor) and value.kind == "parameter"

    if TYPE_CHECKING:  # calling the class makes a Tensor

        def __call__(cls, data, requires_grad: bool = True) -> Tensor: ...


class Parameter(metaclass=_ParameterMeta):
    """`Parameter(data, requires_grad=True)`: a tensor that a module registers and an optimiser trains.

    `data`: a Tensor (its storage is shared), an array, a list or a number. The result is a Tensor of kind "parameter";
    `isinstance(t, nn.Parameter)` asks for that kind. Raises TypeError for integers when `requires_grad`.

    >>> import pyneuro as pn
    >>> w = Parameter([1.0, 2.0])
    >>> isinstance(w, Parameter), w.requires_grad
    (True, True)
    """

    def __new__(cls, data, requires_grad=True):
        """Makes the tensor."""
        tensor = data.detach() if isinstance(data, Tensor) else _core.Tensor(data)
        tensor.kind = "parameter"
        tensor.requires_grad = requires_grad
        return tensor


class Module(Trainable):
    """Base class of all layers and networks.

    >>> from pyneuro import nn
    >>> class Mine(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.a = nn.Linear(2, 8)
    ...         self.b = nn.Linear(8, 1)
    ...
    ...     def forward(self, x):
    ...         return self.b(self.a(x).tanh())
    >>> net = Mine()
    >>> [name for name, p in net.named_parameters()]
    ['a.weight', 'a.bias', 'b.weight', 'b.bias']
    >>> net([[0.0, 1.0]]).shape
    (1, 1)

    Parameters, buffers and modules are plain attributes too: reading `self.weight` costs what any attribute costs.
    A forward hook is called in each step, so a network with one trains and predicts step by step, in Python.
    """

    _hooked = False
    _own_buffers = ()  # buffers that a layer of the library makes itself: a file need not say that they are there

    def __init__(self):
        fresh = {"_parameters": {}, "_buffers": {}, "_modules": {}, "_initial": {}, "_transient": set()}
        self.__dict__.update(fresh)

    # ---- calling ----

    def __call__(self, *args, **kwargs):
        """Runs `forward`, between the hooks. An error from an op is told which layer it happened in."""
        if self._hooked or _watchers:
            return _call_watched(self, args, kwargs)
        try:
            return self.forward(*args, **kwargs)
        except _NAMED as error:
            _name_layer(error, self)
            raise

    def forward(self, *inputs):
        """What the module computes. Subclasses define it; NotImplementedError otherwise."""
        raise NotImplementedError(f"{type(self).__name__} has no forward: define forward(self, x)")

    def register_forward_pre_hook(self, hook):
        """Calls `hook(module, args)` before each forward; a returned tuple replaces the arguments. See `HookHandle`."""
        return self._add_hook("_pre_hooks", hook)

    def register_forward_hook(self, hook):
        """Calls `hook(module, args, output)` after each forward; a returned value replaces the output.

        Returns a handle whose `remove()` takes the hook off.
        """
        return self._add_hook("_post_hooks", hook)

    def _add_hook(self, kind, hook):
        if not callable(hook):
            raise TypeError(f"{type(self).__name__}: a hook must be callable, got {hook!r:.80}")
        handle = HookHandle(self, kind)
        self.__dict__.setdefault(kind, {})[handle] = hook
        self.__dict__["_hooked"] = True
        return handle

    # ---- attributes ----

    def __setattr__(self, name, value):
        """Registers parameters and modules under `name`; keeps what is registered in step with the attribute."""
        if isinstance(value, Tensor) and value.kind == "parameter":
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.register_module(name, value)
        else:
            self._forget_or_keep(name, value)
            object.__setattr__(self, name, value)

    def _forget_or_keep(self, name, value):
        """`name` is about to get a plain value: allowed are None, and tensors where a buffer stands."""
        registries = self.__dict__
        for kind, wanted in (("_parameters", "nn.Parameter"), ("_modules", "nn.Module"), ("_buffers", "Tensor")):
            registry = registries.get(kind)
            if registry and name in registry:
                if kind == "_buffers" and isinstance(value, Tensor):
                    value.kind = "buffer"
                elif value is not None:
                    raise TypeError(
                        f"{type(self).__name__}.{name} is registered as {wanted}, it cannot become a "
                        f"{type(value).__name__}; assign an {wanted} or None"
                    )
                registry[name] = value

    def __delattr__(self, name):
        """Removes an attribute, registered or not."""
        for kind in ("_parameters", "_buffers", "_modules", "_initial"):
            self.__dict__.get(kind, {}).pop(name, None)
        self.__dict__.get("_transient", set()).discard(name)
        object.__delattr__(self, name)

    def _register(self, kind, name, value):
        registry = self.__dict__.get(kind)
        if registry is None:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning {name}")
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: a name must be text, got {name!r:.80}")
        if not name or "." in name:
            raise KeyError(f"{type(self).__name__}: a name must not be empty or contain a dot, got {name!r}")
        if name not in registry:
            if hasattr(type(self), name):
                raise KeyError(f"{type(self).__name__}.{name} exists already: choose another name")
            for other in ("_parameters", "_buffers", "_modules"):
                self.__dict__[other].pop(name, None)
        registry[name] = value
        self.__dict__[name] = value

    def register_parameter(self, name, param):
        """Registers `param`, a Parameter or None, under `name`. TypeError for anything else."""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"{type(self).__name__}.{name} must be an nn.Parameter or None, got {type(param).__name__}")
        self._register("_parameters", name, param)
        self._initial.pop(name, None)

    def register_buffer(self, name, tensor, persistent=True):
        """Registers `tensor` (Tensor, array or None) as state that is saved and moved but not trained.

        `persistent=False` leaves it out of `state_dict`.
        """
        if tensor is not None:
            tensor = tensor.detach() if isinstance(tensor, Tensor) else _core.Tensor(tensor)
            tensor.kind = "buffer"
        self._register("_buffers", name, tensor)
        (self._transient.discard if persistent else self._transient.add)(name)

    def register_module(self, name, module):
        """Registers `module`, a Module or None, under `name`. TypeError for anything else."""
        if module is not None and not isinstance(module, Module):
            hint = f"; write {module.__name__}() to make one" if isinstance(module, type) else ""
            raise TypeError(f"{type(self).__name__}.{name} must be a module, got {module!r:.80}{hint}")
        self._register("_modules", name, module)

    add_module = register_module

    def _new_parameter(self, name, shape, rule, dtype):
        """Registers a new parameter filled by `rule`, and remembers how, so that `Sequential(seed=)` can redraw it."""
        tensor, how = init.create(self._label(), name, shape, rule, dtype)
        self.register_parameter(name, Parameter(tensor))
        self._initial[name] = how

    # ---- looking around ----

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """Yields (dotted path, module), this one first under the path "", each module once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self):
        """Yields this module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self):
        """Yields (name, module) of the direct children, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self):
        """Yields the direct children, each once."""
        for _, module in self.named_children():
            yield module

    def _named_members(self, kind, prefix, recurse, remove_duplicate):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in getattr(module, kind).items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Yields (dotted name, parameter), each parameter once unless `remove_duplicate=False`."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        """Yields the parameters, each once, in the order of registration."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """Yields (dotted name, buffer)."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """Yields the buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target):
        """The module at the dotted path `target`; "" is this module. AttributeError when there is none."""
        module = self
        for name in target.split(".") if target else ():
            if module._modules.get(name) is None:
                raise AttributeError(f"{type(self).__name__} has no module {target!r}: {name!r} is missing")
            module = module._modules[name]
        return module

    def get_parameter(self, target):
        """The parameter with the dotted name `target`. AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        parameter = self.get_submodule(path)._parameters.get(name)
        if parameter is None:
            raise AttributeError(f"{type(self).__name__} has no parameter {target!r}")
        return parameter

    # ---- changing everything at once ----

    @property
    def training(self):
        """Whether the module is in training mode. True at first; `train` and `eval` set it for all modules below."""
        forced = getattr(_forced, "modes", None)
        mode = forced.get(id(self)) if forced else None
        return self.__dict__.get("training", True) if mode is None else mode

    @training.setter
    def training(self, mode):
        forced = getattr(_forced, "modes", None)
        if forced and id(self) in forced:
            forced[id(self)] = mode
        else:
            self.__dict__["training"] = mode

    def apply(self, fn):
        """Calls `fn(module)` on every module below and then on this one. Returns self.

        >>> from pyneuro import nn
        >>> def zero_bias(m):
        ...     if isinstance(m, nn.Linear):
        ...         nn.init.zeros_(m.bias)
        >>> nn.Sequential(nn.Linear(2, 2)).apply(zero_bias)[0].bias.tolist()
        [0.0, 0.0]
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode=True):
        """Sets training mode (dropout draws) or, with `mode=False`, evaluation mode, here and below. Returns self."""
        if not isinstance(mode, bool):
            raise ValueError(f"{type(self).__name__}.train: mode must be True or False, got {mode!r:.80}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Sets evaluation mode here and below. Returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Freezes (False) or thaws (True) all parameters. Returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = bool(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Forgets all gradients, or sets them to zero with `set_to_none=False`."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    def to(self, target):
        """Converts parameters and buffers to the real type `target`: "float32" or "float64". Returns self.

        A parameter stays the same object with new storage, so optimisers made before go on. "cpu" changes nothing.
        Raises ValueError for other devices, TypeError for other types.
        """
        _state.convert(self, target)
        return self

    def float(self):
        """The same as `to("float32")`."""
        return self.to("float32")

    def double(self):
        """The same as `to("float64")`."""
        return self.to("float64")

    # ---- state ----

    def state_dict(self, prefix=""):
        """Dict of dotted name -> Tensor: all parameters and persistent buffers, in PyTorch's order.

        The tensors share their storage with the network and need no gradient; `t.clone()` keeps a copy.
        """
        return _state.state_dict(self, prefix)

    def load_state_dict(self, state_dict, strict=True):
        """Copies values by name from `state_dict` into this network.

        Values may be Tensors, NumPy arrays or PyTorch tensors; real types are converted to the network's. With
        `strict`, missing and unexpected names are an error. Returns (missing_keys, unexpected_keys). Raises StateError
        (a ValueError and, as in PyTorch, a RuntimeError) that names all keys and both shapes; nothing is changed then.
        """
        return _state.load_state_dict(self, state_dict, strict)

    def save(self, path):
        """Saves values and, for networks of pyneuro's own layers, the architecture as safetensors. See `pn.load`."""
        from pyneuro import io

        io.save(self, path)

    def summary(self, input_shape=None, batch_size=None, print_fn=None):
        """Prints Keras's table: layer, output shape, parameters, and the FLOPs of one sample's forward pass.

        `input_shape` is the shape of one sample, `(784,)`; without it a network that starts with Linear is asked.
        `print_fn` takes each line instead of `print`. Raises ValueError when the shape does not fit.
        """
        from pyneuro.nn.summary import summary

        summary(self, input_shape, batch_size, print_fn or print)

    def __getstate__(self):
        """State for pickle and deepcopy: everything but compiled plans, and initial values by functions of others."""
        state = {key: value for key, value in self.__dict__.items() if key not in Trainable._not_pickled}
        known = {
            name: how for name, how in self._initial.items() if how and how[0].function.__module__ == init.__name__
        }
        return {**state, "_initial": known}

    def __setstate__(self, state):
        """Restores what `__getstate__` kept."""
        self.__dict__.update(state)

    # ---- text ----

    def extra_repr(self):
        """What stands in the brackets of a layer's `repr`."""
        return ""

    def _label(self):
        """Short name for messages, such as "Linear(784, 128)"."""
        return type(self).__name__

    def __repr__(self):
        """PyTorch's indented listing."""
        lines = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}({extra}\n  " + "\n  ".join(lines) + "\n)"


class HookHandle:
    """Takes a hook off again: `handle.remove()`, or the end of a `with` block."""

    def __init__(self, module, kind):
        self._module, self._kind = module, kind

    def remove(self):
        """Takes the hook off; a second call does nothing."""
        state = self._module.__dict__
        state[self._kind].pop(self, None)
        state["_hooked"] = bool(state.get("_pre_hooks") or state.get("_post_hooks"))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


class layer_labels:
    """Context in which every op that a layer below `root` computes is labelled, "Linear(784, 128) (layer 0)".

    `fit` opens it while it records a network, so that the first NaN can be traced to its layer.
    """

    def __init__(self, root):
        names = ((path, module) for path, module in root.named_modules())
        self._of = {id(m): f"{m._label()} (layer {path})" if path else m._label() for path, m in names}

    def __enter__(self):
        self._old = getattr(_labels, "of", None)
        _labels.of = self._of
        _watchers[id(self)] = True
        return self

    def __exit__(self, *exception):
        _watchers.pop(id(self), None)
        _labels.of = self._old


@contextlib.contextmanager
def modes(net, training):
    """Training or evaluation mode for a network, and gradients accordingly, in this thread until the block ends.

    The modules themselves stay as they are: another thread may predict with the network at the same time.
    """
    old_modes = getattr(_forced, "modes", None)
    old = _core.set_training(training), _core.set_grad_enabled(training)
    try:
        _forced.modes = {**(old_modes or {}), **{id(m): training for m in net.modules()}}
        yield
    finally:
        _forced.modes = old_modes
        _core.set_training(old[0])
        _core.set_grad_enabled(old[1])


def _call_watched(module, args, kwargs):
    """`Module.__call__` when there are hooks or a recording that wants labels."""
    for hook in tuple(module.__dict__.get("_pre_hooks", {}).values()):
        result = hook(module, args)
        if result is not None:
            args = result if isinstance(result, tuple) else (result,)
    label = (getattr(_labels, "of", None) or {}).get(id(module))
    old = _core.set_layer(label) if label else None
    try:
        output = module.forward(*args, **kwargs)
    except _NAMED as error:
        _name_layer(error, module)
        raise
    finally:
        if label:
            _core.set_layer(old)
    for hook in tuple(module.__dict__.get("_post_hooks", {}).values()):
        result = hook(module, args, output)
        if result is not None:
            output = result
    return output


_COMPLETE = {}  # notes on an exception whose message needs nothing more


def _name_layer(error, module):
    """Puts "Linear(784, 128) (layer 0): " in front of a message: the innermost layer, and its path in the outermost.

    Called once a level while the exception rises. The innermost module writes its label, each module above completes
    the path; the notes for that are kept on the exception itself.
    """
    if type(error) not in _NAMED or len(error.args) != 1 or not isinstance(error.args[0], str):
        return
    notes = getattr(error, "_pyneuro", None)
    if notes is None:
        label, message = module._label(), error.args[0]
        if message.startswith(label):  # the core knew layer and path already, from `layer_labels`
            error._pyneuro = _COMPLETE
            return
        op, _, rest = message.partition(": ")
        if op in _core.ops and type(module).__module__.startswith("pyneuro."):
            message = rest  # "linear: x has ..." in a Linear says the same twice; in a user's module it says which op
        notes = {"label": label, "message": message, "path": "", "last": module}
    elif notes is _COMPLETE:
        return
    else:
        step = next((path for path, child in module.named_modules() if child is notes["last"]), None)
        if step:
            notes["path"] = f"{step}.{notes['path']}" if notes["path"] else step
        notes["last"] = module
    error._pyneuro = notes
    where = f" (layer {notes['path']})" if notes["path"] else ""
    error.args = (f"{notes['label']}{where}: {notes['message']}",)


def redraw(root, seed):
    """Draws all parameters of `root` that still have their first values again, number i from the stream (seed, i).

    Parameters that were loaded, trained or written to stay. That is found by drawing the first values once more and
    comparing, so it also holds for values written through `weight.numpy()`.
    """
    import numpy as np

    ordinal, seen = 0, set()
    for module in root.modules():
        for name, parameter in module._parameters.items():
            if parameter is None or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            how = module._initial.get(name)
            if how:
                first = _core.Tensor(np.zeros(parameter.shape, parameter.dtype))
                init.draw(how[0], first, how[1], how[2])
                if np.array_equal(first.numpy(), parameter.detach().numpy()):
                    init.draw(how[0], parameter, seed, ordinal)
                    module._initial[name] = (how[0], seed, ordinal)
            ordinal += 1
