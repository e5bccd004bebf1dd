"""`pn.source("relu")`: formula, derivative and the C code of an op or of an update rule."""

import difflib
import re
from pathlib import Path

from pyneuro import _core
from pyneuro._callable import make_callable

__all__ = ["Source", "source"]


class Source:
    """What `source` returns. `name`, `formula`, `derivative` (None without one), `file` (below csrc/), `code`."""

    def __init__(self, name, formula, derivative, file, code):
        self.name, self.formula, self.derivative, self.file, self.code = name, formula, derivative, file, code

    def __repr__(self):
        lines = [f"{self.name}: {self.formula}"]
        if self.derivative:
            lines.append(f"backward: {self.derivative}")
        return "\n".join([*lines, f"csrc/{self.file}", "", self.code])


def _folder():
    """The C sources: inside the installed package, or beside it in a clone."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_csrc", package.parent / "csrc"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("the C sources of pyneuro are not installed with the package")


def _entry(text, macro, name):
    """The call `MACRO(name, ...)` in a list of such calls, with balanced brackets; None when absent."""
    match = re.search(rf"^{macro}\({name}\s*,", text, re.MULTILINE)
    if not match:
        return None
    depth = 0
    for at in range(match.start(), len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0 and text[at] == ")":
            return text[match.start() : at + 1]
    return None


def _plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _rules(folder):
    return re.findall(r"^UPDATE\((\w+)", (folder / "kernels/update.def").read_text(encoding="utf-8"), re.MULTILINE)


def _find(thing, folder):
    """The name of an op or rule from a name, a layer, a function: `ReLU`, `nn.ReLU()`, `F.relu`, "relu"."""
    if not isinstance(thing, str):
        thing = getattr(thing, "__name__", type(thing).__name__)
    known = {_plain(name): name for name in [*_rules(folder), *_core.ops]}
    for word in (_plain(thing), _plain(thing).removesuffix("loss")):
        if word in known:
            return known[word]
    near = difflib.get_close_matches(_plain(thing), known, 1)
    hint = f"; did you mean {known[near[0]]!r}?" if near else ""
    raise ValueError(f"source: there is no op or update rule {thing!r}{hint}")


def source(thing):
    """Formula, derivative and C source of an op or update rule, by name or by the layer or function that uses it.

    For an activation or a rule the code is its one line of the list that all its functions are made from; for other ops
    the file. ValueError for an unknown name, with the nearest one.

    >>> import pyneuro as pn
    >>> s = pn.source("relu")
    >>> s.formula, s.file
    ('y = max(x, 0)', 'kernels/activation.def')
    >>> pn.source("rleu")
    Traceback (most recent call last):
    ValueError: source: there is no op or update rule 'rleu'; did you mean 'relu'?
    """
    folder = _folder()
    name = _find(thing, folder)
    for file, macro in (("kernels/activation.def", "ACTIVATION"), ("kernels/update.def", "UPDATE")):
        code = _entry((folder / file).read_text(encoding="utf-8"), macro, name)
        if code and name in _core.ops:
            info = _core.op_info(name)
            return Source(name, info["formula"], info["derivative"], file, code)
        if code:
            texts = re.findall(r'"((?:[^"\\]|\\.)*)"', code)
            return Source(name, texts[-2] if len(texts) > 1 else "", None, file, code)
    info = _core.op_info(name)
    code = (folder / info["file"]).read_text(encoding="utf-8")
    return Source(name, info["formula"], info["derivative"], info["file"], code)


make_callable(__name__, source)
