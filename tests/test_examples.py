"""Every public name around the training shows itself in an example, which runs as a doctest of its module."""

import importlib
import inspect

import pytest

MODULES = (
    "optim", "optim.lr_scheduler", "callbacks", "stop", "checkpoint", "io", "augment", "data", "datasets", "models",
    "draw", "inspect", "energy", "energy.reference",
)  # fmt: skip
NAMES = [
    (module, name) for module in MODULES for name in importlib.import_module(f"pyneuro.{module}").__all__
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda word: word)
def test_an_example(module, name):
    thing = getattr(importlib.import_module(f"pyneuro.{module}"), name)
    if not inspect.isclass(thing) and not inspect.isroutine(thing):
        return  # a module or a table
    text = inspect.getdoc(thing) or ""
    assert ">>> " in text, "no example"
    assert len(text.split("\n\n")[0]) > 20, "no sentence that says what it is"


def test_the_list_is_not_empty():
    assert len(NAMES) > 50
