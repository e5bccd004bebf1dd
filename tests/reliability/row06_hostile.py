"""Row 6: any entry point with any input gives a documented exception or a right answer.

The entry points are listed from the module, so that none is forgotten: every op, every function of the core, and the
calls of a network. The inputs are what programs get wrong or enemies try. An answer is right when it equals the answer
for clean copies (contiguous, aligned, native) of the same values. Every batch of calls sits in a forked child with a
limit on its memory: a crash is counted, and sizes that lie cannot take the machine down.
"""

from __future__ import annotations

import json
import operator
import os
import resource
import signal
import tempfile
import warnings

import numpy as np

import pyneuro as pn
from pyneuro import _core, nn, optim

from . import nets
from .figure import Figure, in_fork, pick

DOCUMENTED = (
    TypeError,
    ValueError,
    IndexError,
    RuntimeError,
    MemoryError,
    OverflowError,
    FloatingPointError,
    BufferError,
)
RANDOM = ("dropout", "uniform", "normal", "rand")  # two calls differ
# NumPy's custom for an object without __dlpack__; a dict's for a name that is not there
CUSTOMS = {("core from_dlpack", AttributeError), ("core op_info", KeyError)}
MEMORY = 6 << 30  # address space of a child, bytes
SECONDS = 20  # a call, on a busy machine
# Functions of the core that change the process or run for a wanted time: called by their own tests, not by chance.
LEFT_OUT = {"alloc_fail_at", "set_isa", "peak_gflops", "bench_gemm", "set_num_threads"}


class Liar:
    """Says one thing and does another, in every protocol that asks for data."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def __len__(self) -> int:
        return (3, 2**62, 0)[self.kind % 3]

    def __getitem__(self, i):
        if i > 4:
            raise IndexError
        return ("x", 1.0, [1.0])[self.kind % 3]

    def __array__(self, dtype=None, copy=None):
        return ([1.0, 2.0], np.empty((2, 0)), np.array([object()]))[self.kind % 3]

    def __index__(self):
        return ("1", 2**70, -1)[self.kind % 3]

    def __float__(self):
        return "0.5"


class TooLongError(Exception):
    """A call that has not ended after SECONDS."""


def _too_long(number, frame):
    raise TooLongError(f"has not ended after {SECONDS} s")


class Sub(np.ndarray):
    """A subclass of ndarray."""


def unaligned(a: np.ndarray) -> np.ndarray:
    """The same values one byte off."""
    raw = np.zeros(a.nbytes + 16, np.uint8)
    view = raw[1 : 1 + a.nbytes].view(a.dtype).reshape(a.shape) if a.nbytes else a
    if a.nbytes:
        view[...] = a
    return view


def array(rng: np.random.Generator) -> np.ndarray:
    """An array of any shape and dtype, then spoilt in one of many ways."""
    shape = tuple(int(n) for n in rng.choice([0, 1, 2, 3, 4, 5, 17], int(rng.integers(0, 5))))
    kind = str(rng.choice(["f4", "f8", "i8", "i4", "u1", "b1", "f2", "c8", "O", "U3", "M8[s]", "f4", "f8", "i8"]))
    a = np.asarray(rng.integers(-3, 9, shape)).astype(kind) if kind != "O" else np.full(shape, None, object)
    spoil = int(rng.integers(12))
    if spoil == 0 and a.ndim:
        return a[::-1]
    if spoil == 1:
        return a.T
    if spoil == 2 and a.dtype.kind in "fiu":
        return a.astype(a.dtype.newbyteorder("S"))
    if spoil == 3 and a.dtype.kind in "fiub":
        return unaligned(a)
    if spoil == 4:
        a.flags.writeable = False
        return a
    if spoil == 5 and a.dtype.kind == "f" and a.size:
        a.flat[0] = rng.choice([np.nan, np.inf, -np.inf])
        return a
    if spoil == 6:
        return a.view(Sub)
    if spoil == 7 and a.ndim:
        return np.broadcast_to(a, (int(rng.choice([3, 2**10])), *a.shape))  # strides of zero
    if spoil == 8:
        return np.broadcast_to(np.float32(1), (2**31 + 1,))
    if spoil == 9:
        return np.broadcast_to(np.float64(1), (2**20, 2**20, 2**18))
    if spoil == 10 and a.ndim and a.shape[0] > 2:
        return a[::2]
    return a


def scalar(rng: np.random.Generator):
    """What is no array."""
    choices = [
        0,
        1,
        -1,
        2,
        2**31,
        2**63 - 1,
        -(2**63),
        2**64,
        10**30,
        0.5,
        float("nan"),
        float("inf"),
        -1e308,
        True,
        None,
    ]
    choices += [
        "mean",
        "float32",
        "x" * 300,
        "\0",
        b"abc",
        (),
        (1, 2),
        (0, -1),
        tuple(range(9)),
        [2**62] * 8,
        (1.5,),
        [[]],
    ]
    choices += [
        {},
        object(),
        Ellipsis,
        slice(None),
        print,
        pn.tensor(1.0),
        pn.zeros(0),
        1j,
        Liar(0),
        Liar(1),
        Liar(2),
        [1, [2]],
    ]
    return choices[int(rng.integers(len(choices)))]


def anything(rng: np.random.Generator):
    """An array (two of three times) or something else."""
    return array(rng) if rng.random() < 0.65 else scalar(rng)


def clean(value):
    """The same values in an array of one's own, in native order, aligned and contiguous; other things as they are."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return np.array(value, dtype=value.dtype.newbyteorder("="), order="C", copy=True, subok=False)
    return value


def outcome(call):
    """(kind, value): the answer as arrays, or the type of the exception."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = call()
        except DOCUMENTED as error:
            return "refused", type(error).__name__ if str(error) or isinstance(error, MemoryError) else "without words"
        parts = found if isinstance(found, (tuple, list)) else [found]
        return "answer", [p.detach().numpy().copy() if isinstance(p, pn.Tensor) else p for p in parts]


def same(a, b) -> bool:
    """Equal in kind and, for arrays, in every bit that means something."""
    if a[0] != b[0]:
        return False
    if a[0] == "refused":
        return True
    for p, q in zip(a[1], b[1]):
        if isinstance(p, np.ndarray) and not (
            p.shape == q.shape and np.array_equal(p, q, equal_nan=p.dtype.kind == "f")
        ):
            return False
    return True


def too_large(value) -> bool:
    """Whether a clean copy would not fit."""
    return isinstance(value, np.ndarray) and value.size > 1 << 22


def network_calls() -> dict:
    """Calls of a network and of an optimiser, each on objects of its own."""

    def fit(x, y, *rest):
        return nets.dense().fit(x, y, epochs=1, verbose=0, seed=0, optimizer=optim.SGD(lr=0.01)).history["loss"]

    return {
        "fit": fit,
        "fit-batch-size": lambda n, *_: nets.dense().fit(*nets.data(8), batch_size=n, epochs=1, verbose=0),
        "fit-epochs": lambda n, *_: None if _many(n) else nets.dense().fit(*nets.data(8), epochs=n, verbose=0),
        "predict": lambda x, *_: nets.dense().predict(x),
        "evaluate": lambda x, y, *_: list(nets.dense().evaluate(x, y).values()),
        "forward": lambda x, *_: nets.dense()(x),
        "load-state-dict": lambda x, *_: nets.dense().load_state_dict(x),
        "linear": lambda a, b, *_: nn.Linear(a, b),
        "dropout": lambda p, *_: nn.Dropout(p),
        "sgd": lambda a, b, *_: optim.SGD(a, lr=b),
        "tensor": lambda a, b, *_: pn.tensor(a, dtype=b if isinstance(b, str) else None),
        "item": lambda a, *_: pn.tensor(a).item(),
        "getitem": lambda a, b, *_: pn.tensor(a)[b],
        "setitem": lambda a, b, c, *_: pn.tensor(a).__setitem__(b, c),
        "backward": lambda a, b, *_: pn.tensor(a, requires_grad=True).tanh().backward(b),
        "zeros": lambda a, *_: pn.zeros(a),
        "arange": lambda a, b, *_: pn.arange(a, b) if not _long_range(a, b) else None,
        "batches": lambda a, b, *_: [t for batch in pn.batches(a, b, 2, seed=0) for t in batch][:4],
        "save": lambda a, *_: nets.dense().save(a) if not isinstance(a, (str, int)) else None,
        "cat": lambda *a: pn.cat(a[:2], a[2]),
    }


def _many(n) -> bool:
    """A billion epochs are legal too, whoever says so."""
    try:
        return operator.index(n) > 10
    except (TypeError, ValueError):
        return False


def _long_range(a, b) -> bool:
    """Ranges of 10^8 numbers and more are legal, and no test of robustness."""
    return all(isinstance(v, (int, float)) for v in (a, b)) and abs(b - a) > 1e7


def entry_points() -> dict:
    """Name -> callable: ops, functions of the core, methods of a tensor, calls of a network."""
    found = {f"op {name}": function for name, function in _core.ops.items()}
    for name in dir(_core):
        function = getattr(_core, name)
        if callable(function) and not isinstance(function, type) and not name.startswith("__") and name not in LEFT_OUT:
            found[f"core {name}"] = function
    for name in dir(pn.Tensor):
        if not name.startswith("__") and callable(getattr(pn.Tensor, name)):
            found[f"method {name}"] = lambda a, *rest, _name=name: getattr(pn.tensor(a), _name)(*rest)
    return found | {f"call {name}": function for name, function in network_calls().items()}


def batch(seed: int, calls: int) -> str:
    """A batch of random calls in this process, in a folder of its own; JSON of [calls, what was wrong]."""
    with tempfile.TemporaryDirectory() as folder:  # calls that save something may do so
        os.chdir(folder)
        return attempts(seed, calls)


def attempts(seed: int, calls: int) -> str:
    """The calls of a batch."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    rng = np.random.default_rng(seed)
    points = entry_points()
    names = sorted(points)
    wrong = []
    for number in range(calls):
        name = names[int(rng.integers(len(names)))]
        arguments = [anything(rng) for _ in range(int(rng.integers(1, 5)))]
        if name.startswith(("core ", "method ")) and any(map(_wants_memory, arguments)):
            continue
        text = f"{name}{tuple(_describe(a) for a in arguments)} (seed {seed}, call {number})"
        signal.alarm(SECONDS)
        try:
            first = outcome(lambda n=name, a=arguments: points[n](*a))
            if first == ("refused", "without words"):
                wrong.append(f"{text}: an exception without words")
            pure = name.startswith(("op ", "method ")) and not any(map(too_large, arguments))
            if pure and not any(word in name for word in RANDOM):
                second = outcome(lambda n=name, a=arguments: points[n](*[clean(v) for v in a]))
                if not same(first, second):
                    wrong.append(f"{text}: another answer for clean copies")
        except (AttributeError, KeyError) as error:
            if (name, type(error)) not in CUSTOMS:
                wrong.append(f"{text}: {type(error).__name__}: {error}")
        except Exception as error:
            wrong.append(f"{text}: {type(error).__name__}: {error}")
        finally:
            signal.alarm(0)
    return json.dumps([calls, wrong[:20], len(wrong)])


def _wants_memory(value) -> bool:
    return isinstance(value, np.ndarray) and value.size > 1 << 31


def _describe(value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}/{value.strides}"
    return repr(value)[:40]


def measure(size: str) -> list[Figure]:
    """Calls, crashes, wrong answers or undocumented exceptions."""
    total = pick(size, 6_000, 200_000, 5_000_000)
    per_child = min(total, 2_000)
    seed = int(np.random.SeedSequence().entropy % 2**31)
    calls = crashes = bad = 0
    notes: list[str] = []
    for number in range(total // per_child):
        text, code = in_fork(lambda n=number: batch(seed + n, per_child), 600)
        if code:
            crashes += 1
            notes.append(f"seed {seed + number}: ended with {code} {text[-300:]}")
            continue
        done, wrong, count = json.loads(text)
        calls, bad = calls + done, bad + count
        notes += wrong
    note = "; ".join(notes[:20])
    return [
        Figure("6-hostile-calls", calls, "calls", calls > 0, f"{len(entry_points())} entry points, seed {seed}"),
        Figure("6-crashes", crashes, f"of {total // per_child} children", crashes == 0, note if crashes else ""),
        Figure("6-wrong-or-undocumented", bad, "calls", bad == 0, note if bad else ""),
    ]
