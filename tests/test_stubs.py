"""``pyneuro/_core.pyi`` is what ``make stubs`` would write."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_stub_file_is_up_to_date():
    spec = importlib.util.spec_from_file_location("stubs", ROOT / "csrc" / "tools" / "stubs.py")
    stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stubs)
    assert stubs.STUB.read_text(encoding="utf-8") == stubs.stub(), "run `make stubs`"
    assert (ROOT / "pyneuro" / "py.typed").exists()
