"""Modules that can be called: `pn.draw(y)` is the function, `from pyneuro.draw import ...` still finds the module."""

import sys
import types


class _CallableModule(types.ModuleType):
    def __call__(self, *args, **kwargs):
        return self._function(*args, **kwargs)


def make_callable(name, function):
    """Makes the module `name` call `function`, with its docstring and signature."""
    module = sys.modules[name]
    module._function = function
    module.__wrapped__ = function  # inspect.signature follows it
    module.__class__ = _CallableModule
