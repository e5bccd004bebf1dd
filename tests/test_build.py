"""Building: what a wheel contains, the README's commands in a fresh clone, and what is said without a compiler."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMAND = re.compile(r"^\s*(python3 -m venv \.venv && .*)$", re.M)


def run(command, folder, check=True, **environment):
    """Runs a command in ``folder`` with nothing of this process's Python in its environment."""
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "PYNEURO", "COV", "VIRTUAL_ENV"))
    }
    env.update(environment)
    done = subprocess.run(command, cwd=folder, env=env, shell=isinstance(command, str), text=True, capture_output=True)
    assert not check or done.returncode == 0, "{}\n{}\n{}".format(command, done.stdout[-3000:], done.stderr[-3000:])
    return done


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the files that belong to the project, as a clone would have them; each test makes its own from it."""
    folder = tmp_path_factory.mktemp("clone") / "pyneuro"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode == 0:
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
    else:  # an unpacked source archive
        shutil.copytree(
            ROOT,
            folder,
            ignore=shutil.ignore_patterns("build", "dist", ".*", "*.so", "*.pyd", "__pycache__", "*.egg-info"),
        )
    return folder


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory):
    """A wheel built from the copy with the build tools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), "."], clone)
    return next(folder.glob("pyneuro-*.whl"))


def test_wheel_is_small_and_complete(wheel):
    assert wheel.stat().st_size <= 3 * 1024 * 1024
    names = zipfile.ZipFile(wheel).namelist()
    package = [name for name in names if name.startswith("pyneuro/")]
    assert len([name for name in package if re.match(r"pyneuro/_core\..*(so|pyd)$", name)]) == 1
    for path in (ROOT / "pyneuro").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in names
    for path in (ROOT / "csrc").rglob("*.[ch]"):
        assert "pyneuro/_csrc/" + path.relative_to(ROOT / "csrc").as_posix() in names
    assert {
        "pyneuro/py.typed",
        "pyneuro/_core.pyi",
        "pyneuro/_csrc/ops/ops.def",
        "pyneuro/datasets/digits.npz",
        "pyneuro/datasets/letters.txt",
    } <= set(names)
    others = {name.split("/")[0] for name in names} - {"pyneuro"}
    assert len(others) == 1 and next(iter(others)).endswith(".dist-info"), others
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_one_wheel_serves_all_python_versions(wheel):
    """abi3 from 3.11 on; a free-threaded Python has no stable interface and gets its own."""
    import sysconfig

    assert ("-cp311-abi3-" in wheel.name) != bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def test_a_second_build_compiles_nothing_and_a_changed_header_compiles_its_users(clone, wheel):
    build = [sys.executable, "setup.py", "-q", "build_ext"]

    def objects():
        found = [path for path in (clone / "build").rglob("*") if path.suffix in {".o", ".obj"}]
        return {path.stem: path.stat().st_mtime_ns for path in found}

    first = objects()
    run(build, clone)
    assert len(first) > 20 and objects() == first
    header = clone / "csrc" / "base" / "system.h"
    header.touch()
    run(build, clone)
    assert objects() == first
    made = header.stat()
    header.write_text(header.read_text(encoding="utf-8") + "/* more */\n", encoding="utf-8")
    os.utime(header, ns=(made.st_atime_ns, 10**18))  # long ago, as a copy that keeps times leaves it
    run(build, clone)
    changed = {name for name, time in objects().items() if time != first[name]}
    assert {"team", "cpu", "alloc"} <= changed and "rng" not in changed


def test_without_a_compiler_one_sentence_says_what_to_install(clone):
    done = run([sys.executable, "setup.py", "-q", "build_ext", "--force"], clone, check=False, CC="no-such-compiler")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    for word in ("no-such-compiler", "apt install", "dnf install", "xcode-select", "Windows"):
        assert word in last
    assert "Traceback" not in done.stderr


def test_the_two_commands_of_the_readme(clone, tmp_path):
    """As they stand, in a fresh clone; the second runs its own quick part of the tests, not this one again."""
    commands = COMMAND.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert commands[:2] == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/python -m pyneuro",
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest",
    ]
    for number, command in enumerate(commands[:2]):
        folder = tmp_path / str(number)
        shutil.copytree(clone, folder, ignore=shutil.ignore_patterns("build"))
        done = run(command + (" tests/test_structure.py" if "pytest" in command else ""), folder)
        assert "passed" in done.stdout if "pytest" in command else "accuracy" in done.stdout.lower()
        assert list((folder / "pyneuro").glob("_core*"))
        run([str(folder / ".venv/bin/python"), "-c", "import pyneuro; print(pyneuro.source('relu'))"], tmp_path)
