"""What README.md shows works as it stands."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    """The Python blocks, one after the other in one program, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    said = capsys.readouterr().out
    assert "accuracy" in said and "sigmoid" in said and "\n272\n" in said
    assert names["net"].evaluate(names["X_test"], names["y_test"], metrics=["accuracy"])["accuracy"] > 0.95
    assert names["again"].predict(names["X_test"]).shape == (359, 10)


def test_the_first_screen_has_both_commands():
    """They stand before anything else that a reader could do."""
    first = README.read_text(encoding="utf-8").split("## ")[0]
    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/python -m pyneuro\n" in first
    assert "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest\n" in first
    assert "apt install" in first
