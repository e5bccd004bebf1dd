"""The command line: ``python -m pyneuro [train | evaluate | info | fetch]``; without a word it trains on the digits.

Exit codes: 0 done, 1 something is wrong with data, model or machine (one sentence on stderr, no traceback), 2 wrong
arguments, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        argv: arguments without the program's name; default: those of the process.

    Example:
        >>> from pyneuro.cli import main
        >>> main(["evaluate", "no-such-model.safetensors", "digits"])
        1
    """
    from .arguments import parse

    options = parse(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of classes and files may have letters that the terminal lacks
            stream.reconfigure(errors="replace")
    try:
        options.run(options)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # People who type a command want to know what is wrong, not where in our code it was noticed. With
        # PYNEURO_TRACEBACK=1 the traceback is printed for a bug report.
        if os.environ.get("PYNEURO_TRACEBACK"):
            raise
        print("pyneuro:", sentence(error), file=sys.stderr)
        return 1


def sentence(error: BaseException) -> str:
    """One line that says what an exception says.

    Example:
        >>> sentence(ValueError("batch_size is 0,\\nexpected at least 1"))
        'batch_size is 0, expected at least 1'
        >>> sentence(MemoryError())
        'not enough memory'
    """
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no file {error.filename}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    # str(KeyError("x")) is "'x'"
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = " ".join(text.split())
    if not text:
        text = "not enough memory" if isinstance(error, MemoryError) else type(error).__name__
    return text
