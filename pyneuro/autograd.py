"""Custom derivatives: `Function`, and gradients without touching `.grad`."""

from pyneuro import _core
from pyneuro._modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = ["Function", "enable_grad", "grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]


class Context:
    """What forward leaves for backward: `save_for_backward(*arrays)`, `saved_arrays`, and attributes of your own."""

    def __init__(self, needs_input_grad):
        self.needs_input_grad = needs_input_grad
        self.saved_arrays = ()

    def save_for_backward(self, *arrays):
        """Keeps arrays for backward."""
        self.saved_arrays = arrays

    @property
    def saved_tensors(self):
        """PyTorch's name of `saved_arrays`."""
        return self.saved_arrays


class Function:
    """An operation with its own derivative, written in Python with NumPy arrays.

    Subclass it with two static methods: `forward(ctx, *arrays)` returns an array or a tuple of at most four;
    `backward(ctx, *grads)` gets a gradient for each result and returns one for each argument of `apply`, or None.
    The arrays belong to NumPy: they may be kept or written to. `apply(*arguments)` runs it; arguments that are no
    Tensors reach forward as they are. It works in `fit` too, at the speed of Python. An exception ends the step.

    >>> import numpy as np, pyneuro as pn
    >>> class Cube(pn.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_arrays
    ...         return 3 * x**2 * g
    >>> x = pn.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward(); x.grad
    tensor(12.)
    """

    @staticmethod
    def forward(ctx, *arrays):
        """The result, from arrays."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *arrays)")

    @staticmethod
    def backward(ctx, *grads):
        """A gradient for each argument, from the gradients of the results."""
        raise NotImplementedError("a Function needs a static method backward(ctx, *grads) when gradients are wanted")

    @classmethod
    def apply(cls, *arguments):
        """Runs forward and records the operation. TypeError when no argument is a Tensor."""
        places = [i for i, a in enumerate(arguments) if isinstance(a, _core.Tensor)]
        if not places:
            raise TypeError(f"{cls.__name__}.apply needs at least one Tensor among its arguments")
        tensors = [arguments[i] for i in places]
        ctx = Context(tuple(isinstance(a, _core.Tensor) and a.requires_grad for a in arguments))
        if len(places) == len(arguments):
            return _core.apply_user(cls.__name__, cls.forward, cls.backward, ctx, *tensors)

        def forward(ctx, *arrays):
            full = list(arguments)
            for place, array in zip(places, arrays):
                full[place] = array
            return cls.forward(ctx, *full)

        def backward(ctx, *grads):
            found = cls.backward(ctx, *grads)
            found = found if isinstance(found, tuple | list) else (found,)
            if len(found) != len(arguments):
                raise ValueError(
                    f"{cls.__name__}: backward returned {len(found)} gradients, expected {len(arguments)}, "
                    "one for each argument of apply"
                )
            return tuple(found[place] for place in places)

        # The closures keep only what is no tensor: the node holds the tensors itself.
        arguments = tuple(None if isinstance(a, _core.Tensor) else a for a in arguments)
        return _core.apply_user(cls.__name__, forward, backward, ctx, *tensors)


def grad(outputs, inputs, grad_outputs=None, retain_graph=False):
    """Gradients of `outputs` (one Tensor) with respect to each of `inputs`, as a tuple; no `.grad` changes.

    None stands for an input that outputs does not depend on. `grad_outputs` may be left out for one element.

    >>> import pyneuro as pn
    >>> x = pn.tensor(3.0, requires_grad=True)
    >>> grad(x * x, x)
    (tensor(6.),)
    """
    single = isinstance(inputs, _core.Tensor)
    return tuple(_core.gradients(outputs, [inputs] if single else list(inputs), grad_outputs, retain_graph))
