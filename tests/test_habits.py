"""The habits of the project: what `make` runs and what continuous integration installs fits the tests."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = {"sklearn": "scikit-learn", "PIL": "pillow"}  # where it is not the module's name


def test_continuous_integration_installs_what_a_test_would_skip_without():
    """CI lets no test be skipped, so every package that a test may miss has to be there."""
    installed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    words = " ".join(installed["project"]["optional-dependencies"]["test"])
    for line in re.findall(r"^pip install (.*)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.M):
        words += " " + line
    names = {re.split(r"[=<>\[]", word)[0] for word in words.split()}
    wanted = set()
    for path in (ROOT / "tests").rglob("*.py"):
        wanted |= set(re.findall(r'importorskip\("(\w+)', path.read_text(encoding="utf-8")))
    assert {DISTRIBUTION.get(name, name) for name in wanted} <= names


def made(target, folder=ROOT):
    """The commands of a target of the Makefile, as `make` in `folder` would run them."""
    if not shutil.which("make"):  # Windows; there is nothing to check then
        return []
    command = ["make", "-n", "-f", str(ROOT / "Makefile"), target]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("target", ["lint", "format", "fuzz", "test", "bench", "stubs", "asan", "tsan"])
def test_make_runs_the_tools_of_the_virtual_environment(target, tmp_path):
    """`make dev` installs the tools there, and nowhere else."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "clang-format"):
        (tmp_path / ".venv" / "bin" / name).touch()
    assert all(line.startswith(".venv/bin/") for line in made(target, tmp_path))


def test_make_fuzz_selects_the_property_tests():
    """A selection without tests would end well and check nothing."""
    line = next((line for line in made("fuzz") if "pytest" in line), None)
    if line is None:
        return
    words = line.split()[1:]
    done = subprocess.run([sys.executable, *words, "--collect-only", "-q"], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    files = {row.split("::")[0] for row in done.stdout.splitlines() if "::" in row}
    assert {"tests/robustness/test_tensor.py", "tests/robustness/test_properties.py"} <= files


def test_wheels_for_free_threaded_python_are_built_only_when_the_core_needs_no_gil():
    """Importing one that needs it switches the GIL on again, with a warning: no such wheel is better."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = "Py_MOD_GIL_NOT_USED" in (ROOT / "csrc" / "python" / "module.c").read_text(encoding="utf-8")
    versions = [word.split("-")[0] for word in project["tool"]["cibuildwheel"]["build"].split()]
    assert declared == any(version.endswith("t") for version in versions)


def test_tolerances_stand_in_one_table():
    """Comparisons with PyTorch, of the modes and of gradients take them from tests/tolerances.py."""
    files = [*(ROOT / "tests" / "parity").glob("*.py"), *(ROOT / "tests" / "ops").glob("test_gra*s.py")]
    files += [ROOT / "tests" / name for name in ("training/test_modes.py", "robustness/test_properties.py")]
    literal = re.compile(r"\b(?:rtol|atol|rel)=\d[\d.]*e-\d+|^[A-Z\d_]+ = (?:\{.*)?\d[\d.]*e-\d+", re.M)
    assert len(files) >= 8
    for path in files:
        assert literal.findall(path.read_text(encoding="utf-8")) == [], path.name


NAMES = re.compile(r"`((?:[\w.*-]+/)*[\w*-]+\.(?:c|h|def|py|md|ipynb)|(?:[\w.-]+/)+)`")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "csrc/README.md", "notebooks/README.md"])
def test_documents_name_files_that_exist(document):
    """In backticks; csrc/README.md names files of the core from its folder, or from the folder of their row."""
    text = (ROOT / document).read_text(encoding="utf-8")
    new = set(re.findall(r"\*\*1\. The file\*\*, `([^`]+)`", text))  # what the guide adds
    found = set(NAMES.findall(text)) - new - {"Python.h"}
    assert document.startswith("notebooks") or found
    for name in found:
        places = [ROOT.glob(name), (ROOT / "csrc").glob(name), (ROOT / document).parent.rglob(name)]
        assert any(next(place, None) for place in places), name
