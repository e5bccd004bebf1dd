"""``pyneuro/_core.pyi`` is what ``make stubs`` would write."""

import importlib.util
import re
from pathlib import Path

from pyneuro import _core

ROOT = Path(__file__).resolve().parents[1]


def test_stub_file_is_up_to_date():
    spec = importlib.util.spec_from_file_location("stubs", ROOT / "csrc" / "tools" / "stubs.py")
    stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stubs)
    assert stubs.STUB.read_text(encoding="utf-8") == stubs.stub(), "run `make stubs`"
    assert (ROOT / "pyneuro" / "py.typed").exists()


def test_methods_set_from_python_are_in_it():
    """Editors know all of Tensor: what it is called does not hang on the language it is written in."""
    lines = (ROOT / "pyneuro" / "_core.pyi").read_text(encoding="utf-8").split("class Tensor:")[1].split("class ")[0]
    for name in dir(_core.Tensor):
        if not name.startswith("_"):
            assert re.search(rf"^    (def {name}\(self[,)]|{name}: )", lines, re.MULTILINE), name
    assert "    def relu(self" in lines and "    def reshape(self" in lines
