"""The pickles of CIFAR-10, read without running them: text, whole numbers, lists, dicts and arrays of bytes.

A pickle is a program, and `pickle.load` runs it: a file from elsewhere could do anything. Here `pickletools` only cuts
the file into its instructions, and a small machine follows those that build data. What would be called is never looked
up: the four names that NumPy's arrays need stand for themselves, and every other name is an error.
"""

import pickletools

import numpy as np

from pyneuro.datasets.idx import DataError

_NAMES = {
    "numpy.core.multiarray _reconstruct": "array", "numpy._core.multiarray _reconstruct": "array",
    "numpy ndarray": "ndarray", "numpy dtype": "dtype", "_codecs encode": "encode",
}  # fmt: skip
_MARK = object()
_VALUES = (
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINSTRING", "SHORT_BINSTRING", "STRING", "BINUNICODE",
    "SHORT_BINUNICODE", "UNICODE", "BINBYTES", "SHORT_BINBYTES",
)  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_MAKERS = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name:
    """A global name of the file; `of` says which of the known ones."""

    def __init__(self, of):
        self.of = of


class _Array:
    """An array in the making: BUILD fills it."""

    values = None


def read_pickle(data, name="the file"):
    """What the pickle `data` (bytes) holds: dicts, lists, tuples, text, numbers, None and uint8 arrays.

    Text of Python 2 comes as str, one character a byte. Raises DataError, naming the file, for a pickle that is
    truncated or damaged, or that wants anything else.

    >>> import pickle
    >>> read_pickle(pickle.dumps({"labels": [1, 2]}, 2))
    {'labels': [1, 2]}
    >>> read_pickle(pickle.dumps(print, 2))
    Traceback (most recent call last):
    pyneuro.datasets.idx.DataError: the file wants ... print, which no data needs
    """
    machine = _Machine(name)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except DataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{name} is truncated or damaged ({error!s:.120})") from None
    raise DataError(f"{name} is truncated")


class _Machine:
    """A stack and a memory, as every reader of pickles has."""

    def __init__(self, name):
        self.name, self.stack, self.memory = name, [], {}

    def result(self):
        """The one value that is left."""
        if len(self.stack) != 1 or self.stack[0] is _MARK or isinstance(self.stack[0], _Name):
            raise DataError(f"{self.name} is damaged: it does not end with one value")
        return _finished(self.stack[0])

    def step(self, op, argument):
        """Follows one instruction."""
        stack = self.stack
        if op in _VALUES:
            stack.append(argument)
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op])
        elif op in _MAKERS:
            stack.append(_MAKERS[op]())
        elif op in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memory[argument] = stack[-1]
        elif op == "MEMOIZE":
            self.memory[len(self.memory)] = stack[-1]
        elif op in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memory[argument])
        elif op == "MARK":
            stack.append(_MARK)
        elif op == "GLOBAL":
            stack.append(self._name(argument))
        elif op == "STACK_GLOBAL":
            stack.append(self._name(f"{stack.pop(-2)} {stack.pop()}"))
        elif op == "REDUCE":
            self._call()
        elif op == "BUILD":
            self._build()
        elif op not in ("PROTO", "FRAME"):
            self._collect(op)

    def _name(self, text):
        if text not in _NAMES:
            raise DataError(f"{self.name} wants {text:.80}, which no data needs")
        return _Name(_NAMES[text])

    def _since_mark(self):
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise DataError(f"{self.name} is damaged: an end without a beginning")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _collect(self, op):
        """Instructions that put values into tuples, lists and dicts."""
        stack = self.stack
        if op in _SHORT_TUPLES:
            n = _SHORT_TUPLES[op]
            if len(stack) < n:
                raise DataError(f"{self.name} is damaged: {op} without values")
            items = tuple(stack[-n:])
            del stack[-n:]
            stack.append(items)
        elif op in ("TUPLE", "LIST", "DICT"):
            items = self._since_mark()
            pairs = zip(items[::2], items[1::2], strict=True) if op == "DICT" else ()
            stack.append(tuple(items) if op == "TUPLE" else items if op == "LIST" else dict(pairs))
        elif op in ("APPEND", "APPENDS"):
            items = self._since_mark() if op == "APPENDS" else [stack.pop()]
            list.extend(stack[-1], items)
        elif op in ("SETITEM", "SETITEMS"):
            items = self._since_mark() if op == "SETITEMS" else [stack.pop(-2), stack.pop()]
            dict.update(stack[-1], zip(items[::2], items[1::2], strict=True))
        else:
            raise DataError(f"{self.name} has the instruction {op}, which no data needs")

    def _call(self):
        """REDUCE: one of the known names with its arguments."""
        arguments, function = self.stack.pop(), self.stack.pop()
        kind = function.of if isinstance(function, _Name) else None
        if kind == "array":
            self.stack.append(_Array())
        elif kind == "dtype" and arguments[0] in ("u1", "|u1", b"u1"):
            self.stack.append(_Name("bytes"))
        elif kind == "encode":
            self.stack.append(arguments[0].encode("latin-1"))
        else:
            raise DataError(f"{self.name} holds an array of other numbers than bytes, or something else than an array")

    def _build(self):
        """BUILD: the state of an array (version, shape, dtype, by columns, bytes), or of a dtype."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, _Array):
            _, shape, kind, by_columns, raw = state
            if not isinstance(kind, _Name) or kind.of != "bytes" or by_columns:
                raise DataError(f"{self.name} holds an array of another kind than bytes by rows")
            raw = raw.encode("latin-1") if isinstance(raw, str) else raw
            target.values = np.frombuffer(raw, np.uint8).reshape(shape)
        elif not isinstance(target, _Name) or target.of != "bytes":
            raise DataError(f"{self.name} is damaged: something that is no array has a state")


def _finished(value):
    """Arrays at the top, and in the dict at the top, become ndarrays."""
    if isinstance(value, dict):
        return {key: item.values if isinstance(item, _Array) else item for key, item in value.items()}
    return value.values if isinstance(value, _Array) else value
