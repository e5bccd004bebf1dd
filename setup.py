"""Builds the C core ``pyneuro._core``. Everything else about the package is in pyproject.toml."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError, PlatformError

sys.path.insert(0, str(Path(__file__).resolve().parent / "csrc" / "tools"))
import native

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
INSTALL_COMPILER = (
    "pyneuro needs a C compiler, and `{}` was not found. Debian/Ubuntu: sudo apt install gcc python3-dev. "
    "Fedora: sudo dnf install gcc python3-devel. macOS: xcode-select --install. "
    'Windows: the "C++ Clang tools" of the Visual Studio Build Tools, or WSL2.'
)
INSTALL_HEADERS = (
    "pyneuro needs the header files of Python, and {} was not found. "
    "Debian/Ubuntu: sudo apt install python3-dev. Fedora: sudo dnf install python3-devel."
)
INSTALL_CLANG_CL = (
    "pyneuro needs clang-cl on Windows (Microsoft's cl cannot compile its vector types), and it was not found. "
    'Install the "C++ Clang tools for Windows" with the Visual Studio Build Tools, or use WSL2.'
)


class BuildCore(build_ext):
    """Compiles every file with the flags of its instruction set and leaves a copy of the result in the clone."""

    def finalize_options(self):
        super().finalize_options()
        import numpy

        self.include_dirs.append(numpy.get_include())

    def build_extension(self, ext):
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        clang_cl = self.compiler.compiler_type == "msvc"
        compiler = self._clang_cl() if clang_cl else self._unix()
        macros = ["-D{}={}".format(name, value) for name, value in ext.define_macros]
        macros.append(
            '-DPN_BUILD_FLAGS="{}"'.format(" ".join(word for word in native.COMMON if not word.startswith("-W")))
        )
        extra = macros + ["-I" + path for path in self.include_dirs] + ([] if clang_cl else ["-g0", "-pthread"])
        try:
            objects = native.compile_objects(
                compiler,
                [native.ROOT / path for path in ext.sources],
                self.build_temp,
                sysconfig.get_platform(),
                extra,
                self.parallel if isinstance(self.parallel, int) and self.parallel > 1 else None,
                clang_cl,
            )
        except subprocess.CalledProcessError as error:
            raise CompileError("the compiler refused " + error.cmd[-3]) from None
        target.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(
            [str(path) for path in objects],
            str(target),
            libraries=self.get_libraries(ext),
            library_dirs=self.library_dirs,
            extra_postargs=[] if clang_cl else ["-pthread"],
            export_symbols=self.get_export_symbols(ext),
            build_temp=self.build_temp,
            target_lang="c",
        )
        self._leave_in_clone(target)

    def _unix(self):
        command = list(self.compiler.compiler_so)
        if shutil.which(command[0]) is None:
            raise PlatformError(INSTALL_COMPILER.format(command[0]))
        header = Path(sysconfig.get_path("include"), "Python.h")
        if not header.exists():
            raise PlatformError(INSTALL_HEADERS.format(header))
        return command

    def _clang_cl(self):
        if not self.compiler.initialized:
            self.compiler.initialize()
        command = shutil.which("clang-cl")
        if command is None:
            raise PlatformError(INSTALL_CLANG_CL)
        return [command, "/nologo", "/O2", "/MD", "/DNDEBUG"]

    def _leave_in_clone(self, built):
        """Copies the extension beside the Python files: in the clone, ``python -m pyneuro`` finds that folder first.

        A build into a folder outside the clone leaves the clone alone.
        """
        beside = native.ROOT / "pyneuro" / built.name
        if native.ROOT not in built.parents or built == beside:
            return
        part = beside.with_name(beside.name + ".part")
        shutil.copy2(built, part)
        os.replace(part, beside)  # a running program keeps the file it has loaded


class BuildPython(build_py):
    """Adds the C sources, which ``pn.source`` shows, and lets no file of an earlier build slip into the wheel."""

    def run(self):
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib, "pyneuro")
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        for path in native.CSRC.rglob("*"):
            if path.suffix in {".c", ".h", ".def", ".md"}:
                copy = package / "_csrc" / path.relative_to(native.CSRC)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


core = Extension(
    "pyneuro._core",
    [str(path.relative_to(native.ROOT)) for path in native.sources()],
    define_macros=[] if FREE_THREADED else [("Py_LIMITED_API", "0x030B0000")],
    py_limited_api=not FREE_THREADED,
)
setup(
    ext_modules=[core],
    cmdclass={"build_ext": BuildCore, "build_py": BuildPython},
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
