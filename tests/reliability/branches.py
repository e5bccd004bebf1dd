"""Branch coverage of Python functions, by their source: which outcomes of `if`, `while` and `for` were seen.

A small tool, because all that is wanted is one figure for a few modules. A statement has two outcomes: its body is
entered, or it is passed. A condition that raises counts for neither.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Callable
from types import CodeType


class Branches:
    """Collects the steps from line to line of some files, and compares them with what their source could do.

    Example:
        >>> import tests.reliability.branches as here
        >>> seen = Branches([here.__file__])
        >>> seen.run(lambda: None)
    """

    def __init__(self, files: list[str]) -> None:
        self.files = set(files)
        self.steps: dict[str, set[tuple[int, int]]] = defaultdict(set)
        self.entered: dict[str, set[int]] = defaultdict(set)

    def run(self, work: Callable[[], object]) -> None:
        """Calls `work` while lines are recorded."""
        previous = sys.gettrace()
        sys.settrace(self._call)
        try:
            work()
        finally:
            sys.settrace(previous)

    def _call(self, frame, event, arg):
        name = frame.f_code.co_filename
        if name not in self.files:
            return None
        self.entered[name].add(_first_line(frame.f_code))
        last = [0]

        def local(frame, event, arg):
            if event == "line":
                self.steps[name].add((last[0], frame.f_lineno))
                last[0] = frame.f_lineno
            elif event == "return":
                self.steps[name].add((last[0], -1))
            elif event == "exception":
                last[0] = 0  # the next line is a handler, not an outcome
            return local

        return local

    def result(self, name: str, functions: set[str] | None = None) -> tuple[int, int, list[int]]:
        """(outcomes seen, outcomes possible, lines with a missing outcome) of one file.

        Args:
            name: path of the file.
            functions: only these; None: all functions of the file.
        """
        with open(name, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        seen, possible, missing = 0, 0, []
        for function in ast.walk(tree):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if functions is not None and function.name not in functions:
                continue
            for node in ast.walk(function):
                if isinstance(node, (ast.If, ast.While, ast.For)):
                    both = self._outcomes(name, node)
                    seen, possible = seen + sum(both), possible + 2
                    if not all(both):
                        missing.append(node.lineno)
        return seen, possible, sorted(missing)

    def _outcomes(self, name: str, node: ast.If | ast.While | ast.For) -> tuple[bool, bool]:
        """Whether the body was entered, whether it was passed."""
        test = node.iter if isinstance(node, ast.For) else node.test
        head = range(node.lineno, test.end_lineno + 1)
        body = range(node.body[0].lineno, node.body[-1].end_lineno + 1)
        steps = self.steps[name]
        entered = any(a in head and b in body for a, b in steps)
        passed = any(a in head and b not in body and b not in head for a, b in steps)
        return entered, passed


def _first_line(code: CodeType) -> int:
    return code.co_firstlineno
