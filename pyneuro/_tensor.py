"""What Tensor can do beyond its C methods: functions as methods, conversion, writing in place, hooks, printing."""

import builtins

import numpy as np

from pyneuro import _core, _create, _functions, _modes, _reductions, _shapes, _ufunc
from pyneuro._create import *  # noqa: F403
from pyneuro._functions import *  # noqa: F403
from pyneuro._modes import *  # noqa: F403
from pyneuro._reductions import *  # noqa: F403
from pyneuro._shapes import *  # noqa: F403

Tensor = _core.Tensor

__all__ = [*_create.__all__, *_functions.__all__, *_modes.__all__, *_reductions.__all__, *_shapes.__all__]

# Functions whose first argument is the tensor, under the same name as methods.
_NO_METHODS = {"where", "cat", "concat", "stack", "step"}
_AS_METHODS = sorted({*_functions.__all__, *_reductions.__all__, *_shapes.__all__} - _NO_METHODS)


# ---- shape and dtype ----


def size(self, dim=None):
    """The shape, or the size of one dimension.

    >>> import pyneuro as pn
    >>> pn.zeros(2, 3).size(1)
    3
    """
    return self.shape if dim is None else self.shape[dim]


def numel(self):
    """Number of elements.

    >>> import pyneuro as pn
    >>> pn.zeros(2, 3).numel()
    6
    """
    n = 1
    for d in self.shape:
        n *= d
    return n


def dim(self):
    """Number of dimensions.

    >>> import pyneuro as pn
    >>> pn.zeros(2, 3).dim()
    2
    """
    return self.ndim


def t(self):
    """The transpose of a matrix; vectors and scalars as they are. ValueError for more dimensions.

    >>> import pyneuro as pn
    >>> pn.zeros(2, 3).t().shape
    (3, 2)
    """
    if self.ndim > 2:
        raise ValueError(f"t() needs at most 2 dimensions, got shape {self.shape}")
    return _shapes.transpose(self, 0, 1) if self.ndim == 2 else self


def as_wji(self):
    """A weight by the lectures' indices w_ji, row j an output and column i an input: z_j = sum_i w_ji x_i, z = W x.

    That is how layers keep it, (out, in), so it is the tensor itself. ValueError when it is no matrix.

    >>> from pyneuro import nn
    >>> nn.Linear(3, 2).weight.as_wji().shape
    (2, 3)
    """
    if self.ndim != 2:
        raise ValueError(f"as_wji() needs a matrix (out, in), got shape {self.shape}")
    return self


def as_wij(self):
    """A weight (out, in) by the indices w_ij, row i an input and column j an output: z_j = sum_i w_ij x_i, Z = X W.

    Returns the transpose (in, out), a copy through which gradients flow. ValueError when it is no matrix.

    >>> from pyneuro import nn
    >>> nn.Linear(3, 2).weight.as_wij().shape
    (3, 2)
    """
    if self.ndim != 2:
        raise ValueError(f"as_wij() needs a matrix (out, in), got shape {self.shape}")
    return _shapes.transpose(self, 0, 1)


def expand(self, *sizes):
    """Repeated to a larger shape, see `broadcast_to`.

    >>> import pyneuro as pn
    >>> pn.ones(1, 2).expand(3, -1).shape
    (3, 2)
    """
    return _shapes.broadcast_to(self, *sizes)


def expand_as(self, other):
    """Repeated to the shape of `other`.

    >>> import pyneuro as pn
    >>> pn.ones(1).expand_as(pn.zeros(3)).shape
    (3,)
    """
    return _shapes.broadcast_to(self, _core.as_tensor(other).shape)


def repeat(self, *sizes):
    """The tensor beside itself, sizes[d] times along dimension d; more sizes than dimensions make new leading ones.

    ValueError for fewer sizes than dimensions; `tile` takes them.

    >>> import pyneuro as pn
    >>> pn.tensor([1, 2]).repeat(2, 2).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    sizes = _shapes._sizes(sizes)
    if len(sizes) < self.ndim:
        raise ValueError(f"repeat: sizes is {sizes}, expected at least one for each dimension of shape {self.shape}")
    return _shapes.tile(self, sizes)


def _where(self, condition, other):
    """The tensor where `condition` is not 0, else `other`; broadcast.

    >>> import pyneuro as pn
    >>> t = pn.tensor([1.0, -2.0])
    >>> t.where(t > 0, 0.0).tolist()
    [1.0, 0.0]
    """
    return _functions.where(condition, self, other)


def to(self, *args, dtype=None):
    """The tensor in another dtype, `to("float64")`; itself when it has it. "cpu" is accepted: there is nothing else.

    >>> import pyneuro as pn
    >>> pn.tensor([1, 2]).to("float32")
    tensor([1., 2.])
    """
    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif arg != "cpu":
            dtype = arg
    return self if dtype is None or dtype == self.dtype else _core.ops["cast"](self, dtype)


def _converter(name, dtype):
    def convert(self):
        return self if self.dtype == dtype else _core.ops["cast"](self, dtype)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"The tensor as {dtype}; itself when it is."
    return convert


def masked_fill_(self, mask, value):
    """Writes `value` where `mask` is not 0; returns the tensor."""
    return self.copy_(_functions.masked_fill(self.detach(), mask, value))


# ---- writing in place ----


def fill_(self, value):
    """Writes `value` everywhere; returns the tensor. Under `no_grad` for tensors that require grad.

    >>> import pyneuro as pn
    >>> pn.zeros(2).fill_(3)
    tensor([3., 3.])
    """
    return self.copy_(value.detach() if isinstance(value, Tensor) else np.asarray(value))


def _in_place(name, function):
    """`function` of the values, written into the tensor. Refused, as by copy_, where a gradient would get lost."""

    def write(self, *args, **kwargs):
        with _modes.no_grad():
            result = function(self, *args, **kwargs)
        return self.copy_(result)

    write.__name__ = write.__qualname__ = name + "_"
    write.__doc__ = f"`{name}` in place; returns the tensor. Under `no_grad` for tensors that require grad."
    return write


def uniform_(self, low=0.0, high=1.0):
    """Fills with uniform numbers from a fresh child of the root seed; returns the tensor."""
    return self.copy_(_core.uniform(self.shape, low, high, _core.seed_child(), 0, self.dtype))


def normal_(self, mean=0.0, std=1.0):
    """Fills with normal numbers from a fresh child of the root seed; returns the tensor."""
    return self.copy_(_core.normal(self.shape, mean, std, _core.seed_child(), 0, self.dtype))


# ---- hooks ----


class HookHandle:
    """What register_hook returns: `remove()` takes the hook away."""

    def __init__(self, hooks, key):
        self._hooks, self._key = hooks, key

    def remove(self):
        """Takes the hook away; nothing happens the second time."""
        self._hooks.pop(self._key, None)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


def register_hook(self, hook):
    """Calls `hook(grad)` when a backward has the complete gradient of this tensor; a result replaces it.

    Returns a handle with remove(). RuntimeError for a tensor that does not require grad.

    >>> import pyneuro as pn
    >>> w = pn.tensor(1.0, requires_grad=True)
    >>> handle = w.register_hook(lambda g: g * 10)
    >>> (w * 2).backward(); w.grad
    tensor(20.)
    """
    if not callable(hook):
        raise TypeError(f"register_hook: hook is of type {type(hook).__name__}, expected something to call")
    hooks = self._hooks()
    key = builtins.max(hooks, default=-1) + 1
    hooks[key] = hook
    return HookHandle(hooks, key)


# ---- printing ----


def _repr(self):
    """tensor([[1., 2.]], dtype=float64, requires_grad=True), as PyTorch prints; float32 and int64 go without saying."""
    values = self.numpy()
    if self.is_mask:
        values = values.astype(bool)
    text = np.array2string(values, separator=", ", prefix="tensor(", precision=4, threshold=1000, edgeitems=3)
    parts = [text]
    if values.size == 0 and self.ndim != 1:
        parts.append(f"shape={self.shape}")
    if self.dtype == "float64":
        parts.append("dtype=float64")
    if self.name:
        parts.append(f"name={self.name!r}")
    if self.grad_fn is not None:
        parts.append(f"grad_fn={self.grad_fn!r}")
    elif self.requires_grad:
        parts.append("requires_grad=True")
    return ("parameter(" if self.kind == "parameter" else "tensor(") + ", ".join(parts) + ")"


def _format(self, spec):
    """f"{loss:.4f}" for tensors of one element; without a spec as repr."""
    return format(self.item(), spec) if spec and self.ndim == 0 else format(repr(self), spec)


def _install():
    """Puts the methods on the type. Done once, at import."""
    functions = {name: globals()[name] for name in _AS_METHODS}
    own = (size, numel, dim, t, as_wji, as_wij, expand, expand_as, repeat, to)
    own += (fill_, masked_fill_, uniform_, normal_, register_hook)
    functions.update({f.__name__: f for f in own})
    functions.update({"view": _shapes.reshape, "ravel": _shapes.flatten, "nelement": numel, "mm": _functions.matmul})
    functions["where"] = _where
    names = {"float": "float32", "double": "float64", "long": "int64", "int": "int64"}
    functions.update({name: _converter(name, dtype) for name, dtype in names.items()})
    for name in ("add", "sub", "mul", "div", "clamp", "relu", "sigmoid", "tanh", "exp", "neg", "sqrt"):
        functions[name + "_"] = _in_place(name, functions[name])
    functions.update({"__repr__": _repr, "__format__": _format})
    functions["cpu"] = lambda self: self
    functions["contiguous"] = functions["cpu"]
    for name, function in functions.items():
        setattr(Tensor, name, function)
    _ufunc.install(Tensor)
    Tensor.T = property(
        lambda self: _shapes.permute(self, *reversed(range(self.ndim))), doc="Dimensions in reverse order."
    )
    Tensor.mT = property(lambda self: _shapes.transpose(self, -2, -1), doc="The last two dimensions exchanged.")


_install()
