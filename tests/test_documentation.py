"""Every public name says what it is and shows it in an example. The examples of Python code run as doctests of their
modules (`pytest --doctest-modules`); those of the compiled core run here."""

import doctest
import importlib
import inspect
import types

import pytest

MODULES = ["pyneuro", "pyneuro.nn", "pyneuro.nn.functional", "pyneuro.nn.init"]
PUBLIC = [(module, name) for module in MODULES for name in importlib.import_module(module).__all__]


def public(module, name):
    """The object behind a public name; of a module that can be called, what the call does."""
    found = getattr(importlib.import_module(module), name)
    return getattr(found, name, found) if isinstance(found, types.ModuleType) else found


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda word: word)
def test_public_names_are_documented(module, name):
    thing = public(module, name)
    if isinstance(thing, str):
        return  # float32 and its like stand for themselves
    text = inspect.getdoc(thing) or ""
    assert len(text.split("\n")[0]) > 8, "no docstring"
    if not isinstance(thing, types.ModuleType):
        assert ">>>" in text, "no example"


COMPILED = [(m, n) for m, n in PUBLIC if getattr(public(m, n), "__module__", "") == "pyneuro._core"]


@pytest.mark.parametrize(("module", "name"), COMPILED, ids=lambda word: word)
def test_examples_of_the_core(module, name):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(public(module, name)), {}, name, None, 0)
    result = doctest.DocTestRunner(optionflags=options).run(examples)
    assert result.attempted > 0 and result.failed == 0


def test_the_core_has_examples():
    """The list above is made by asking where things come from; it must not become empty unnoticed."""
    assert {"Tensor", "manual_seed", "set_num_threads"} <= {name for _, name in COMPILED}
