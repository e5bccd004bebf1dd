"""Gradient mode: context managers that are decorators too."""

from contextlib import ContextDecorator

from pyneuro import _core

__all__ = ["enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]


class set_grad_enabled(ContextDecorator):
    """`set_grad_enabled(flag)`: from now on record operations, or do not; as `with` block, until its end.

    >>> import pyneuro as pn
    >>> w = pn.tensor(1.0, requires_grad=True)
    >>> with pn.set_grad_enabled(False):
    ...     (w * 2).requires_grad
    False
    """

    def __init__(self, mode):
        self._mode = bool(mode)
        self._before = [_core.set_grad_enabled(self._mode)]

    def __enter__(self):
        if not self._before:
            self._before.append(_core.set_grad_enabled(self._mode))
        return self

    def __exit__(self, *exception):
        _core.set_grad_enabled(self._before.pop())

    def _recreate_cm(self):
        return type(self)(self._mode)


class _Mode(ContextDecorator):
    _mode = False

    def __init__(self):
        self._before = []  # a stack: one object may be entered again inside its own block

    def __enter__(self):
        self._before.append(_core.set_grad_enabled(self._mode))
        return self

    def __exit__(self, *exception):
        _core.set_grad_enabled(self._before.pop())

    def _recreate_cm(self):
        return type(self)()


class no_grad(_Mode):
    """Within `with pn.no_grad():`, or a function decorated with it, operations are not recorded.

    >>> import pyneuro as pn
    >>> w = pn.tensor(1.0, requires_grad=True)
    >>> with pn.no_grad():
    ...     w += 1
    >>> w.item()
    2.0
    """


class enable_grad(_Mode):
    """Undoes `no_grad` within its block.

    >>> import pyneuro as pn
    >>> with pn.no_grad(), pn.enable_grad():
    ...     pn.is_grad_enabled()
    True
    """

    _mode = True


is_grad_enabled = _core.is_grad_enabled
