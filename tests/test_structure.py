"""The rules that keep the C core what it is: which folder may include which, and what only some folders may use."""

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[1] / "csrc"
FILES = sorted(path for path in CSRC.rglob("*") if path.suffix in {".c", ".h", ".def"})

# Each folder may include itself and these; the arrow points one way, so no cycle is possible.
BELOW = {
    "base": set(),
    "kernels": {"base"},
    "ops": {"kernels", "base"},
    "data": {"kernels", "base"},
    "energy": {"kernels", "base"},
    "classic": {"kernels", "base"},
    "graph": {"ops", "kernels", "base"},
    "train": {"graph", "data", "ops", "kernels", "base"},
    "python": {"train", "energy", "classic", "graph", "data", "ops", "kernels", "base"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)


def folder(path):
    return path.relative_to(CSRC).parts[0]


def code(path):
    """The file without comments and strings, lines kept."""
    return COMMENT.sub(lambda match: "\n" * match[0].count("\n"), path.read_text(encoding="utf-8"))


def offenders(pattern, folders):
    found = re.compile(pattern)
    return [
        "{}:{}: {}".format(path.relative_to(CSRC), number, line.strip())
        for path in FILES
        if folder(path) in folders
        for number, line in enumerate(code(path).split("\n"), 1)
        if found.search(line)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CSRC)))
def test_includes_point_down(path):
    own = folder(path)
    assert own in BELOW, "a new folder needs a line in BELOW"
    for quote, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        if quote == "<":
            assert own == "python" or not name.startswith(("Python", "numpy/")), name
            continue
        target = CSRC / name if (CSRC / name).exists() else path.parent / name
        assert target.exists(), "{} includes {}, which does not exist".format(path.name, name)
        below = folder(target.resolve())
        assert below == own or below in BELOW[own], "{} must not include {}".format(own, name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CSRC)))
def test_files_are_short(path):
    assert path.read_text(encoding="utf-8").count("\n") <= 600


def test_the_core_never_ends_the_process_or_prints():
    calls = r"\b(abort|exit|_Exit|quick_exit|v?f?printf|f?puts|f?putc|putchar|fwrite|perror)\s*\("
    assert offenders(calls, set(BELOW) - {"python"}) == []


def test_memory_comes_from_one_allocator():
    assert (
        offenders(r"\b(malloc|calloc|realloc|free|aligned_alloc|posix_memalign)\s*\(", set(BELOW) - {"base", "python"})
        == []
    )


def test_only_the_system_files_ask_the_operating_system():
    names = r"\b(pthread_|CreateThread|fork\s*\(|clock_gettime|sched_|fopen|getenv)"
    found = [line for line in offenders(names, set(BELOW) - {"python"}) if not line.startswith("base/")]
    assert found == []


def test_sizes_are_not_long():
    """``long`` has 32 bits on Windows."""
    assert [
        line
        for line in offenders(r"\b(unsigned\s+)?long\b(?!\s+long)", {"ops", "graph", "kernels", "train", "data"})
        if "long long" not in line
    ] == []


def test_what_other_files_see_begins_with_pn():
    """Functions that are not static. Macros such as PN_INLINE in front say static."""
    function = re.compile(r"^(?!static\b|typedef\b|return\b|else\b)[a-z_][\w \*]*[ \*](?:R_\()?(\w+)\)?\(", re.M)
    found = [(path.name, match[1]) for path in FILES for match in function.finditer(code(path))]
    assert len(found) > 100
    assert [name for name in found if not name[1].lower().startswith("pn_")] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CSRC)))
def test_files_begin_with_a_comment(path):
    assert path.read_text(encoding="utf-8").startswith("/* ")


def test_headers_have_guards():
    """All but the templates that are read once for float and once for double."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert path.suffix != ".h" or "R_(" in text or re.search(r"#\s*ifndef (PN_\w+_H)\n#\s*define \1\n", text), path
