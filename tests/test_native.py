"""The incremental compiler driver: what is compiled again is decided by commands and contents, not by times."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A "compiler" that joins a source with its header, says what it has read, and may be told to edit the header meanwhile.
COMPILER = """
import pathlib, sys
words = sys.argv[1:]
out, listed, source = (pathlib.Path(words[words.index(flag) + 1]) for flag in ("-o", "-MF", "-c"))
header = source.with_name("a b.h")
text = source.read_text() + header.read_text()
if "edit" in header.read_text():
    header.write_text("later")
out.write_text(text)
names = [str(path).replace(" ", "\\\\ ") for path in (source, header)]
listed.write_text(f"{out}: " + " \\\\\\n ".join(names))
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A function that builds and returns the object's text, whether it was compiled, and the folder."""
    spec = importlib.util.spec_from_file_location("native", ROOT / "csrc" / "tools" / "native.py")
    native = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(native)
    monkeypatch.setattr(native, "ROOT", tmp_path)
    (tmp_path / "compiler.py").write_text(COMPILER)
    (tmp_path / "x_avx2.c").write_text("source ")
    (tmp_path / "a b.h").write_text("first")
    for name in ("x_avx2.c", "a b.h"):
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    last = []

    def run(extra=()):
        compiler = [sys.executable, str(tmp_path / "compiler.py")]
        (made,) = native.compile_objects(compiler, [tmp_path / "x_avx2.c"], tmp_path / "out", "linux-x86_64", extra)
        time = made.stat().st_mtime_ns
        was_compiled, last[:] = last != [time], [time]
        return made.read_text(), was_compiled

    run.folder = tmp_path
    return run


def test_only_contents_and_commands_count(build):
    assert build() == ("source first", True)
    assert build() == ("source first", False)
    (build.folder / "a b.h").touch()
    assert build() == ("source first", False)
    assert build(["-O1"]) == ("source first", True)
    (build.folder / "a b.h").write_text("second")
    os.utime(build.folder / "a b.h", ns=(10**18, 10**18))  # older than the object
    assert build(["-O1"]) == ("source second", True)
    (build.folder / "out" / "x_avx2.made").write_text("nonsense")
    assert build(["-O1"]) == ("source second", True)


def test_a_header_edited_while_it_is_compiled(build):
    (build.folder / "a b.h").write_text("edit")
    assert build() == ("source edit", True)
    assert (build.folder / "a b.h").read_text() == "later"
    assert build() == ("source later", True)
    assert build() == ("source later", False)
