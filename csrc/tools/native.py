"""How the C core is compiled: which flags each file gets, and an incremental parallel compiler driver.

``setup.py`` builds the extension with it and ``tests/c/run.py`` the C tests, so that both compile the same code.
"""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"

COMMON = ["-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-Wall", "-Wextra"]
# gcc takes a buffer that a kernel fills through a pointer for uninitialised; clang does not know that warning.
COMMON += ["-Wno-maybe-uninitialized", "-Wno-unknown-warning-option"]

# Extra flags by the end of a file's name: one translation unit per instruction set. All other files are compiled
# without contraction, so that their results have the same bits on every machine.
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
            return [*common, "-ffp-contract=fast", *extra]
    return [*common, "-ffp-contract=off"]


def for_clang_cl(words):
    """The same flags in the spelling of clang-cl, which passes ``-m`` on and wants the rest marked."""
    return [word if word.startswith(("-m", "-W", "-I", "-D")) else "/clang:" + word for word in words]


def _up_to_date(target, command, depends):
    """Whether ``target`` was made by the same command and is newer than all it was made from."""
    note = target.with_suffix(".command")
    if not target.exists() or not depends.exists() or not note.exists() or note.read_text() != command:
        return False
    made = target.stat().st_mtime_ns
    names = depends.read_text().replace("\\\n", " ").split(": ", 1)[-1].replace("\\ ", "\0").split()
    try:
        return all(os.stat(name.replace("\0", " ")).st_mtime_ns < made for name in names)
    except OSError:
        return False


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

    def one(path):
        target = Path(out) / path.relative_to(ROOT).with_suffix(".obj" if clang_cl else ".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        depends = target.with_suffix(".d")
        words = [*flags(path, platform), "-I" + str(CSRC), *extra]
        track = ["-MMD", "-MF", str(depends)]
        if clang_cl:
            words, track = for_clang_cl(words), for_clang_cl(track)
        command = [*compiler, *words, *track, "-c", str(path), "-o", str(target)]
        note = "\n".join(command)
        if not _up_to_date(target, note, depends):
            subprocess.run(command, check=True)
            target.with_suffix(".command").write_text(note)
        return target

    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        return list(pool.map(one, paths))
