"""How the C core is compiled: which flags each file gets, and an incremental parallel compiler driver.

``setup.py`` builds the extension with it and ``tests/c/run.py`` the C tests, so that both compile the same code.
"""

import hashlib
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"

COMMON = ["-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-Wall", "-Wextra"]
# gcc takes a buffer that a kernel fills through a pointer for uninitialised; clang does not know that warning.
# And gcc says that functions with vectors wider than registers depend on flags; no such function crosses a unit here.
COMMON += ["-Wno-maybe-uninitialized", "-Wno-unknown-warning-option", "-Wno-psabi"]

# Extra flags by the end of a file's name: one translation unit per instruction set. All other files are compiled
# without contraction, so that their results have the same bits on every machine, and so are the kernels of the energy
# models: what spins do does not depend on the instruction set.
LEVELS = {
    "_avx2.c": ("x86", ["-mavx2", "-mfma"]),
    "_avx512.c": ("x86", ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"]),
    "_neon.c": ("arm", []),
}


def sources(python=True):
    """All C files of the core, sorted; without ``csrc/python`` when ``python`` is false."""
    found = sorted(CSRC.rglob("*.c"))
    return [path for path in found if python or path.relative_to(CSRC).parts[0] != "python"]


def family(platform):
    """``"x86"``, ``"arm"`` or ``"other"`` from a platform tag such as ``linux-x86_64``."""
    platform = platform.lower()
    if any(name in platform for name in ("x86_64", "amd64", "i686", "win32")):
        return "x86"
    return "arm" if any(name in platform for name in ("aarch64", "arm64")) else "other"


def flags(path, platform):
    """The compiler flags of one C file on one platform."""
    common = [*COMMON, "-D__USE_MINGW_ANSI_STDIO=1"] if platform.startswith("win") else COMMON
    for ending, (machine, extra) in LEVELS.items():
        if path.name.endswith(ending):
            if platform.startswith("macosx"):  # one compiler call may serve both machines
                extra = [word for flag in extra for word in ("-Xarch_x86_64", flag)]
            elif machine != family(platform):
                extra = []
            contract = "off" if path.name.startswith("energy_") else "fast"
            return [*common, "-ffp-contract=" + contract, *extra]
    return [*common, "-ffp-contract=off"]


def for_clang_cl(words):
    """The same flags in the spelling of clang-cl, which passes ``-m`` on and wants the rest marked."""
    return [word if word.startswith(("-m", "-W", "-I", "-D")) else "/clang:" + word for word in words]


class Notes:
    """What each object was made of: the command, and a digest of every file that went into it.

    Times of files do not decide. Copies and version control set them back, and a file may be edited while the compiler
    reads it.
    """

    def __init__(self):
        self._digests = {}

    def _digest(self, name):
        if name not in self._digests:
            self._digests[name] = hashlib.sha256(Path(name).read_bytes()).hexdigest()
        return self._digests[name]

    def _text(self, command, names):
        return "\n".join([*command, "", *(f"{self._digest(name)} {name}" for name in names)])

    def is_up_to_date(self, target, command):
        """Whether ``target`` was made by this command from the files as they are now."""
        note = target.with_suffix(".made")
        try:
            text = note.read_text(encoding="utf-8")
            names = [line.split(" ", 1)[1] for line in text.split("\n\n", 1)[1].splitlines()]
            return target.exists() and bool(names) and text == self._text(command, names)
        except (OSError, IndexError):
            return False

    def make(self, target, command):
        """Runs the command, which leaves the list of files it has read beside ``target``, and notes them."""
        note = target.with_suffix(".made")
        note.unlink(missing_ok=True)
        begun = time.time_ns()
        subprocess.run(command, check=True)
        names = _read_names(target.with_suffix(".d"))
        # A file changed meanwhile may not be what the compiler has read: no note, and the next build compiles again.
        if max(max(os.stat(name).st_mtime_ns, os.stat(name).st_ctime_ns) for name in names) < begun:
            note.write_text(self._text(command, names), encoding="utf-8")


def _read_names(depends):
    """The files in the list that a compiler wrote for make."""
    words = depends.read_text().replace("\\\n", " ").split(": ", 1)[-1].replace("\\ ", "\0").split()
    return [word.replace("\0", " ") for word in words]


def compile_objects(compiler, paths, out, platform, extra=(), jobs=None, clang_cl=False):
    """Compiles ``paths`` that changed, a few at a time; returns the object files in the order of ``paths``.

    Args:
        compiler: the command as a list, such as ``["gcc", "-fPIC"]``.
        paths: C files below the project's folder.
        out: folder of the object files.
        platform: tag such as ``linux-x86_64``, which decides the instruction sets.
        extra: more flags for every file.
        jobs: how many at a time; default: one per CPU.

    Raises:
        subprocess.CalledProcessError: the compiler refused a file; it has said why.
        FileNotFoundError: there is no such compiler.
    """

    notes = Notes()

    def one(path):
        target = Path(out) / path.relative_to(ROOT).with_suffix(".obj" if clang_cl else ".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        depends = target.with_suffix(".d")
        words = [*flags(path, platform), "-I" + str(CSRC), *extra]
        track = ["-MMD", "-MF", str(depends)]
        if clang_cl:
            words, track = for_clang_cl(words), for_clang_cl(track)
        command = [*compiler, *words, *track, "-c", str(path), "-o", str(target)]
        if not notes.is_up_to_date(target, command):
            notes.make(target, command)
        return target

    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        return list(pool.map(one, paths))
