"""NumPy's functions met with a Tensor: operators become ops, everything else says what to call instead."""

# The operator of Tensor that stands for a ufunc, with the tensor on the left and on the right.
_OPERATORS = {
    name: (f"__{left}__", f"__{right}__")
    for name, left, right in (
        ("add", "add", "radd"),
        ("subtract", "sub", "rsub"),
        ("multiply", "mul", "rmul"),
        ("divide", "truediv", "rtruediv"),
        ("floor_divide", "floordiv", "rfloordiv"),
        ("remainder", "mod", "rmod"),
        ("power", "pow", "rpow"),
        ("matmul", "matmul", "rmatmul"),
        ("bitwise_and", "and", "rand"),
        ("bitwise_or", "or", "ror"),
        ("bitwise_xor", "xor", "rxor"),
        ("equal", "eq", "eq"),
        ("not_equal", "ne", "ne"),
        ("less", "lt", "gt"),
        ("less_equal", "le", "ge"),
        ("greater", "gt", "lt"),
        ("greater_equal", "ge", "le"),
    )
}
_NAMES = {"absolute": "abs", "fabs": "abs", "negative": "neg"}  # NumPy's name -> ours, where they differ


def array_ufunc(self, ufunc, method, *inputs, out=None, **options):
    """What NumPy calls for `array + tensor` and np.add(tensor, 1): the tensor's operator.

    TypeError for other functions, such as np.exp(tensor): NumPy would lose the gradient.

    >>> import numpy as np, pyneuro as pn
    >>> np.float64(2) * pn.tensor([1.0, 3.0])
    tensor([2., 6.])
    """
    name = ufunc.__name__
    if method == "__call__" and name in _OPERATORS and not options and (out is None or out[0] is inputs[0]):
        left, right = _OPERATORS[name]
        first, second = inputs
        own = isinstance(first, type(self))
        return getattr(first, left)(second) if own else getattr(second, right)(first)
    raise TypeError(_advice(name, method))


def _advice(name, method):
    """One sentence: the function of pyneuro when there is one, and the way to a plain array."""
    import pyneuro

    call = name if method == "__call__" else f"{name}.{method}"
    ours = {("add", "reduce"): "sum", ("multiply", "reduce"): "prod"}.get((name, method), _NAMES.get(name, name))
    known = ours in pyneuro.__all__ and (method == "__call__" or ours != name)
    use = f"use pn.{ours}, which keeps the gradient, or " if known else ""
    return f"np.{call} does not take a Tensor: {use}give it the array t.detach().numpy()"


def install(cls):
    """Puts it on the type."""
    cls.__array_ufunc__ = array_ufunc
