"""CONTRIBUTING.md, "An op in ten minutes", followed to the letter in a copy of the tree: it works as it stands."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.reliability.copy_of_tree import Copy

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## An op in ten minutes")[1].split("\n## ")[0]


def block(kind, number):
    """The text of a code block of the guide."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.M | re.S)[number]


FILE = re.search(r"`(csrc/ops/\w+\.c)`\. The first half", GUIDE)[1]
OP = Path(FILE).stem
ACTIVATION = re.search(r"^ACTIVATION\((\w+)", GUIDE, re.M)[1]


def append(path, text):
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + text)


def put_before(path, place, text):
    """Inserts the text in front of the one place in a file."""
    old = path.read_text(encoding="utf-8")
    assert old.count(place) == 1, (path, place)
    path.write_text(old.replace(place, text + place), encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A built copy of the tree with what the guide adds. Without optimisation: nothing here depends on speed."""
    copy = Copy(tmp_path_factory.mktemp("guide"), ["-O0"])
    folder = copy.tree
    assert not (folder / FILE).exists(), "the library has this op: the guide needs another one"
    (folder / FILE).write_text(block("c", 0), encoding="utf-8")
    append(folder / "csrc/ops/ops.def", block("c", 1))
    put_before(folder / "tests/ops/gradient_cases.py", "    else:  # cast\n", block("python", 0))
    put_before(folder / "tests/ops/gradient_cases.py", '"cast"]),', f'"{OP}", ')
    put_before(folder / "tests/c/test_ops.c", "TEST(ops_none_forgotten)", block("c", 2))
    append(folder / "csrc/kernels/activation.def", block("c", 3))
    for path in (folder / "tests" / "c").glob("test_*.c"):
        if path.stem != "test_ops":
            path.unlink()  # nothing to do with the guide
    copy.build()
    return copy


def run(tree, *command):
    environment = {**os.environ, "PYTHONPATH": str(tree.tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree.tree, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_session_of_the_guide(tree):
    """What is typed after >>> answers what is printed below it."""
    session = "\n".join(line for line in block("", 0).splitlines() if not line.startswith("$"))
    (tree.tree / "session.txt").write_text(session, encoding="utf-8")
    said = run(tree, sys.executable, "-m", "doctest", "-v", "session.txt")
    assert f"{session.count('>>>')} passed" in said or f"{session.count('>>>')} tests in" in said


def test_the_tests_of_the_guide(tree):
    """Gradients at every instruction set for the op and for the activation, the C driver, style and structure."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"{OP} or {ACTIVATION} or stale"]
    said = run(tree, sys.executable, *words, "tests/ops/test_gradients.py")
    assert int(re.search(r"(\d+) passed", said)[1]) >= 7  # two ops, three tests, and the list of names
    run(tree, str(tree.objects / "test_ops"))
    run(tree, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_structure.py")
    if shutil.which("clang-format"):  # `make dev` and the continuous integration install it
        run(tree, "clang-format", "--dry-run", "-Werror", FILE)


def test_the_activation_is_a_function_everywhere(tree):
    run(
        tree,
        sys.executable,
        "-c",
        textwrap.dedent(f"""
            import pyneuro as pn
            from pyneuro import nn
            x = pn.tensor([-1.0, 2.0])
            want = pn._core.ops["{ACTIVATION}"](x).tolist()
            assert want == [-1.0, 8.0], want
            for y in (pn.{ACTIVATION}(x), nn.functional.{ACTIVATION}(x), x.{ACTIVATION}()):
                assert y.tolist() == want
            assert "{OP}" in pn._core.ops
            """),
    )
