"""Builds every ``tests/c/test_*.c`` with the core (without ``csrc/python``) and runs it.

Examples::

    python tests/c/run.py --sanitize address,undefined
    python tests/c/run.py --sanitize thread --only test_team
    python tests/c/run.py --cc x86_64-w64-mingw32-gcc --platform win-amd64 --build-only
"""

import argparse
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "csrc" / "tools"))
import native  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"), help="compiler command")
    parser.add_argument("--platform", default=sysconfig.get_platform(), help="decides the instruction sets")
    parser.add_argument("--sanitize", help="a list for -fsanitize=")
    parser.add_argument("--flags", default="", help="more compiler flags")
    parser.add_argument("--core", help="only these folders of csrc, such as base,kernels; default: all but python")
    parser.add_argument("--only", help="only these test files, such as test_base,test_team")
    parser.add_argument("--runner", default="", help="command in front of each program, such as an emulator")
    parser.add_argument("--program", help="run this program of the folder with --words instead of the tests")
    parser.add_argument("--words", default="", help="command line of that program")
    parser.add_argument("--leave-out", help="leave out tests whose name contains this")
    parser.add_argument("--build-only", action="store_true", help="compile and link, run nothing")
    parser.add_argument("--out", help="folder of the build; default build/c/<what is built>")
    return parser.parse_args()


def link(compiler, objects, test, program, windows):
    libraries = [] if windows else ["-lm"]
    subprocess.run([*compiler, str(test), *map(str, objects), "-pthread", *libraries, "-o", str(program)], check=True)


def run(command, clang):
    env = dict(os.environ)
    # gcc's frames for finding uses after return lie at multiples of 32 bytes, and vectors need 64 (GCC bug 110027)
    env.setdefault("ASAN_OPTIONS", f"detect_leaks=1:detect_stack_use_after_return={int(clang)}")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1:die_after_fork=0")
    return subprocess.run(command, env=env).returncode


def main():
    args = arguments()
    windows = "mingw" in args.cc
    compiler = [*shlex.split(args.cc), "-g"]
    if args.sanitize:
        compiler += ["-fsanitize=" + args.sanitize, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    label = "-".join(filter(None, [Path(shlex.split(args.cc)[0]).name, args.platform, args.sanitize, args.flags]))
    out = (
        Path(args.out) if args.out else native.ROOT / "build" / "c" / "".join(c if c.isalnum() else "-" for c in label)
    )
    tests = [path for path in sorted(HERE.glob("test_*.c")) if not args.only or path.stem in args.only.split(",")]
    if args.program:
        tests = [HERE / args.program]
    extra = ["-pthread", "-I" + str(HERE), *shlex.split(args.flags)]
    folders = args.core.split(",") if args.core else None
    core = [
        path
        for path in native.sources(python=False)
        if not folders or path.relative_to(native.CSRC).parts[0] in folders
    ]
    core = native.compile_objects(compiler, core, out, args.platform, extra)
    mains = native.compile_objects(compiler, tests, out, args.platform, extra)
    failed = []
    for test, path in zip(mains, tests):
        program = out / (path.stem + (".exe" if windows else ""))
        link(compiler, core, test, program, windows)
        print("== {} ({})".format(path.stem, label), flush=True)
        command = [*shlex.split(args.runner), str(program)] + (["-" + args.leave_out] if args.leave_out else [])
        command += shlex.split(args.words)
        if not args.build_only and run(command, "clang" in args.cc):
            failed.append(path.stem)
    print("C tests: {} files, {}".format(len(tests), "failed: " + ", ".join(failed) if failed else "all good"))
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit("C tests: {} refused {}".format(error.cmd[0], error.cmd[-3]))
    except FileNotFoundError as error:
        sys.exit("C tests: {} was not found".format(error.filename))
