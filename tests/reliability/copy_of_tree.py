"""A copy of the tree whose core is compiled with flags of its own, and what gcov says about it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "build", "*.so", "*.pyd", "__pycache__"
)

# What no test on one machine can reach, by file and function ("" for all of a file).
EXCLUDED = {
    "measures speed for the benchmarks": {"csrc/kernels/probe.h": [""], "csrc/python/bench.c": [""]},
    "another machine's": {
        "csrc/kernels/isa_neon.c": [""],
        "csrc/base/cpu.c": ["saved_states", "pn_cpu_supports", "pn_cpu_brand", "pn_cpu_best"],
    },
    "what an operating system may refuse or answer elsewhere": {
        "csrc/base/system_posix.c": [
            *("pn_thread_start", "affinity_cpus", "read_text", "group_cpus"),
            *("quota_of", "quota_cpus", "pn_large_pages", "pn_system_cpus"),
        ]
    },
    "runs in forked children, which end without writing their counters": {"csrc/base/team.c": ["forget_pool"]},
}


def excluded(name: str, function: str) -> bool:
    """Whether a function of a file is left out of the count."""
    return any({"", function} & set(files.get(name, ())) for files in EXCLUDED.values())


class Copy:
    """Sources, tests and objects below a folder; the extension and the C tests share their objects.

    Args:
        folder: where everything goes.
        flags: the last flags of every compilation, such as ["-O1"].
    """

    def __init__(self, folder: Path, flags: list[str]) -> None:
        self.tree, self.objects = folder / "tree", folder / "objects"
        shutil.copytree(ROOT, self.tree, ignore=LEFT_BEHIND)
        self.native = self._native()
        self.compiler = [*(sysconfig.get_config_var("CC") or "cc").split(), "-fPIC", "-pthread"]
        self.flags = flags

    def without_inlining(self) -> None:
        """Lets functions be functions, so that an outcome in a function stands once, and not once at every call."""
        for path in (self.tree / "csrc").rglob("*.h"):
            text = path.read_text(encoding="utf-8")
            changed = text.replace("((always_inline, unused))", "((unused))").replace("((always_inline))", "((unused))")
            if changed != text:
                path.write_text(changed, encoding="utf-8")

    def _native(self) -> ModuleType:
        """The compiler driver of the copy, which knows its paths."""
        spec = importlib.util.spec_from_file_location("native_of_copy", self.tree / "csrc" / "tools" / "native.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def build(self) -> None:
        """Compiles what changed, links the extension and the C tests; CalledProcessError when that is refused."""
        import numpy

        includes = [sysconfig.get_path("include"), numpy.get_include(), str(self.tree / "tests" / "c")]
        extra = ["-w", "-DPy_LIMITED_API=0x030B0000", *("-I" + path for path in includes), *self.flags]
        tests = sorted((self.tree / "tests" / "c").glob("test_*.c"))
        paths = [*self.native.sources(), *tests]
        made = self.native.compile_objects(self.compiler, paths, self.objects, sysconfig.get_platform(), extra)
        core = [target for target, path in zip(made, paths) if path not in tests and path.parent.name != "python"]
        extension = [target for target, path in zip(made, paths) if path not in tests]
        self._link(["-shared", *extension], self.tree / "pyneuro" / "_core.abi3.so")
        self.programs = []
        for target, path in zip(made, paths):
            if path in tests:
                self.programs.append(self.objects / path.stem)
                self._link([target, *core], self.programs[-1])

    def _link(self, words: list, target: Path) -> None:
        subprocess.run([*self.compiler, *self.flags, *map(str, words), "-lm", "-o", str(target)], check=True)

    def run(self, command: list[str], seconds: float, **more: str) -> int:
        """Exit code of a command in the copy, whose pyneuro comes first; 124 after `seconds`."""
        environment = dict(os.environ, PYTHONPATH=str(self.tree), PYTHONDONTWRITEBYTECODE="1", **more)
        given = {"cwd": self.tree, "env": environment, "capture_output": True}
        try:
            return subprocess.run(command, timeout=seconds, check=False, **given).returncode
        except subprocess.TimeoutExpired:
            return 124

    def pytest(self, tests: list[str], seconds: float, *options: str) -> int:
        """Exit code of pytest on tests of the copy."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        return self.run([*command, *tests], seconds)


class Coverage:
    """Lines and branches of csrc that have run, over all objects of a copy.

    Code that is compiled several times (for float and double, for each instruction set) counts once: a line or branch
    has run when it has in one of its forms. An outcome is known by its line and its place among the line's outcomes.
    What is EXCLUDED is not counted.
    """

    def __init__(self, copy: Copy) -> None:
        self.lines: dict[tuple[str, int], int] = defaultdict(int)
        self.branches: dict[tuple[str, int, int, int], int] = defaultdict(int)  # file, line, outcomes, which
        for data in sorted(copy.objects.rglob("*.gcda")):
            command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", str(data)]
            done = subprocess.run(command, cwd=copy.tree, capture_output=True, text=True, check=True)
            for file in json.loads(done.stdout)["files"]:
                path = (copy.tree / file["file"]).resolve()
                if path.is_relative_to(copy.tree / "csrc"):
                    self._add(str(path.relative_to(copy.tree)), file["lines"])

    def _add(self, name: str, lines: list[dict]) -> None:
        for line in lines:
            if excluded(name, line.get("function_name", "")):
                continue
            self.lines[name, line["line_number"]] += line["count"]
            outcomes = line["branches"]
            for which, outcome in enumerate(outcomes):
                self.branches[name, line["line_number"], len(outcomes), which] += outcome["count"]

    def share(self, python: bool) -> tuple[float, float]:
        """(lines, branches) in per cent, of csrc/python or of everything else."""

        def per_cent(counts: dict) -> float:
            own = [count for (name, *_), count in counts.items() if name.startswith("csrc/python/") == python]
            return 100 * sum(count > 0 for count in own) / max(1, len(own))

        return per_cent(self.lines), per_cent(self.branches)

    def missing(self) -> list[str]:
        """`file:line` of each line that has not run, and `file:line a/b` where a of b outcomes are missing."""
        found = [f"{name}:{line}" for (name, line), count in sorted(self.lines.items()) if not count]
        outcomes: dict[tuple[str, int, int], list[int]] = defaultdict(list)
        for (name, line, total, _), count in self.branches.items():
            if self.lines[name, line]:
                outcomes[name, line, total].append(count)
        for (name, line, total), counts in sorted(outcomes.items()):
            if 0 in counts:
                found.append(f"{name}:{line} {counts.count(0)}/{total}")
        return found
