"""Public calls of every kind, small and quick: rows 1 and 2 run each of them many times.

A case is made anew by its function; it gives the call and what the call may change only when it succeeds.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import pyneuro as pn
from pyneuro import _core, energy, nn, optim
from tests.training.networks import Double

from . import boltzmann_calls, hopfield_calls, nets


@dataclass
class Case:
    """A call, and what must be unchanged when it fails.

    Attributes:
        call: without arguments.
        state: bytes that describe everything the call may change only by succeeding.
        again: a call that shows the objects are still usable.
    """

    call: Callable[[], object]
    state: Callable[[], object] = field(default=lambda: None)
    again: Callable[[], object] = field(default=lambda: None)


def _tensor() -> Case:
    return Case(lambda: pn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True))


def _arithmetic() -> Case:
    a, b = pn.tensor(np.ones((3, 4), np.float32), requires_grad=True), pn.tensor(np.full((4,), 2, np.float32))
    return Case(lambda: ((a * b).tanh() + a / b - b).sum().item(), lambda: a.numpy().tobytes())


def _reductions() -> Case:
    a = pn.tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 4), requires_grad=True)
    return Case(lambda: (a.mean(dim=1), a.max(dim=2), a.softmax(dim=0), a.logsumexp(dim=1), a.argmax(dim=1)))


def _shapes() -> Case:
    a = pn.tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 4), requires_grad=True)
    return Case(lambda: (pn.cat([a, a], 1), pn.stack([a, a]), a[:, ::-1, 1:3], a.reshape(6, 4), a.expand(2, 3, 4)))


def _backward() -> Case:
    w = pn.tensor(np.ones((5, 4), np.float32), requires_grad=True)
    x = pn.tensor(np.ones((3, 4), np.float32))

    def call():
        w.grad = None
        nn.functional.linear(x, w).tanh().sum().backward()

    return Case(call, lambda: w.numpy().tobytes())


def _layers() -> Case:
    return Case(lambda: nets.with_dropout())


def _forward() -> Case:
    net, x = nets.dense(), pn.tensor(nets.data(8)[0])
    return Case(lambda: net(x), lambda: nets.digest(net))


def _optimizer() -> Case:
    """A step of a new optimiser: state is allocated at its first step."""
    net, (x, y) = nets.dense(), nets.data(8)
    nn.functional.cross_entropy(net(pn.tensor(x)), pn.tensor(y)).backward()

    def call():
        optim.Adam(net.parameters(), lr=1e-3).step()

    return Case(call, lambda: nets.digest(net), call)


def _fit(make_net: Callable[[], nn.Module], optimizer: Callable[[], object], **more) -> Case:
    net, (x, y) = make_net(), nets.data(64)

    def call():
        nets.fit(net, x, y, optimizer(), epochs=1, **more)

    return Case(call, lambda: nets.digest(net), call)


def _fit_pictures() -> Case:
    """A convolution, scaling by channel, and pictures that are changed at random."""
    x, y = np.arange(16 * 50, dtype=np.uint8).reshape(16, 2, 5, 5), np.arange(16) % 3
    layers = nn.Normalize([1.0, 2.0], [3.0, 4.0]), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 3)
    net = nn.Sequential(*layers, seed=0)
    changes = [pn.augment.RandomCrop(5, padding=1), pn.augment.RandomAffine(9)]

    def call():
        pn.augment.apply(x, changes, seed=1)
        nets.fit(net, x, y, optim.SGD(lr=0.01), epochs=1, batch_size=16, augment=changes)

    return Case(call, lambda: nets.digest(net), call)


def _gradients_of(call: Callable[[pn.Tensor], list[pn.Tensor]], *shape: int) -> Case:
    """All results of call(x) and their gradients, for x of that shape; x stays as it is."""
    x = pn.tensor(np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape), requires_grad=True)

    def run():
        for y in call(x):
            pn.autograd.grad(y.sum(), [x])

    return Case(run, lambda: x.numpy().tobytes())


def _convolutions() -> Case:
    """Every algorithm, strided, padded and dilated; transposed; along lines."""
    rng, f = np.random.default_rng(0), nn.functional
    w = pn.tensor(rng.standard_normal((8, 8, 3, 3), np.float32))
    line = pn.tensor(rng.standard_normal((4, 8, 2), np.float32))

    def call(x):
        found = [
            f.conv2d(x, w, padding=1, algorithm=name)
            for name in ("naive", "im2col", "direct", "winograd2", "winograd4")
        ]
        strided = f.conv2d(x, w, stride=2, dilation=2, padding=2), f.conv_transpose2d(x, w, stride=2)
        return [*found, *strided, f.conv1d(x[:, :, 0], line)]

    return _gradients_of(call, 16, 8, 5, 5)


def _pools() -> Case:
    """Pools, padding and resizing."""
    f = nn.functional

    def call(x):
        pooled = f.max_pool2d(x, 2), f.avg_pool2d(x, 3, 2, 1), f.adaptive_avg_pool2d(x, 2), f.adaptive_max_pool2d(x, 3)
        lines = f.max_pool1d(x[:, :, 0], 2), f.avg_pool1d(x[:, :, 0], 2)
        padded = [f.pad(x, (1, 2, 2, 1), mode=mode) for mode in ("constant", "reflect", "replicate", "circular")]
        return [*pooled, *lines, *padded, *(f.interpolate(x, scale_factor=2, mode=m) for m in ("nearest", "bilinear"))]

    return _gradients_of(call, 3, 4, 6, 6)


def _norms() -> Case:
    """Normalisations, dropped channels, slopes that are learnt. Running values change with the last call only."""
    norm = nn.BatchNorm2d(4)
    layers = [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True), nn.LayerNorm(6), nn.PReLU(4), nn.Dropout2d(0.5)]
    case = _gradients_of(lambda x: [*(layer(x) for layer in layers), norm(x)], 5, 4, 6, 6)
    return Case(case.call, case.state, case.call)


def _fit_convolutional() -> Case:
    net, (x, y) = nets.convolutional(), nets.pictures(16)

    def call():
        nets.fit(net, x, y, optim.SGD(lr=0.01), epochs=1, batch_size=16)

    return Case(call, lambda: nets.digest(net), call)


def _predict_convolutional() -> Case:
    net, (x, y) = nets.convolutional(), nets.pictures(16)
    return Case(lambda: (net.predict(x), net.evaluate(x, y)), lambda: nets.digest(net))


class _LooksBack(nn.Module):
    """A forward with a backward pass in it: what the recording has let go of is computed again."""

    def __init__(self):
        super().__init__()
        pn.manual_seed(4)
        self.a, self.b = nn.Linear(20, 8), nn.Linear(8, 5)

    def forward(self, x):
        moved = pn.zeros(x.shape, requires_grad=True)
        (g,) = pn.autograd.grad((self.b(self.a(x + moved).tanh()) ** 2).sum(), [moved])
        return self.b(self.a(x + 0.1 * g).tanh())


def _fit_eager() -> Case:
    """A network that reads a value in `forward` trains step by step in teaching mode."""

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            pn.manual_seed(1)
            self.a = nn.Linear(20, 5)

        def forward(self, x):
            return self.a(x) * (2.0 if x.sum().item() > 0 else 1.0)

    return _fit(Reads, lambda: optim.SGD(lr=0.1), batch_size=64)  # one step: completed steps would stay


def _fit_validated() -> Case:
    """With validation, a stopping rule that keeps the best weights, sample and class weights.

    What fails behind the only step, in the validation, leaves the weights as that step has made them.
    """
    net, (x, y) = nets.with_dropout(), nets.data(64)

    def train(net):
        rule = pn.stop.Patience(3, restore_best=True)
        weights = {"sample_weight": np.ones(64, np.float32), "class_weight": {0: 2.0}}
        given = {"epochs": 1, "batch_size": 64, "validation_data": (x, y), "stop": rule, **weights}
        nets.fit(net, x, y, optim.RMSprop(lr=1e-3), **given)

    whole = {nets.digest(net)}
    twin = nets.with_dropout()
    train(twin)
    whole.add(nets.digest(twin))
    return Case(lambda: train(net), lambda: nets.digest(net) in whole, lambda: train(net))


class _Doubling(nn.Module):
    """A network with an operation of one's own."""

    def __init__(self):
        super().__init__()
        pn.manual_seed(2)
        self.a = nn.Linear(20, 5)

    def forward(self, x):
        return Double.apply(self.a(x))


def _fit_regression() -> Case:
    net, (x, _) = nn.Sequential(nn.Linear(20, 1), seed=0), nets.data(64)
    target = x[:, :1].copy()

    def call():
        net.fit(x, target, loss="mse", optimizer=optim.SGD(lr=0.01), epochs=1, batch_size=16, verbose=0, seed=0)

    return Case(call, lambda: nets.digest(net), call)


def _predict() -> Case:
    net, (x, _) = nets.dense(), nets.data(64)
    return Case(lambda: net.predict(x), lambda: nets.digest(net))


def _evaluate() -> Case:
    net, (x, y) = nets.dense(), nets.data(64)
    return Case(lambda: net.evaluate(x, y, metrics=["accuracy"]), lambda: nets.digest(net))


def _state() -> Case:
    net = nets.dense()
    other = nets.dense(seed=9).state_dict()
    return Case(lambda: net.load_state_dict(other))


def _files() -> Case:
    net = nets.dense()
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "net.safetensors")
    net.save(path)

    def call():
        net.save(path)
        pn.load(path)

    return Case(call, lambda: nets.digest(pn.load(path)))


def _batches() -> Case:
    x, y = nets.data(64)
    return Case(lambda: list(pn.batches(x, y, 16, seed=0)))


def _indexing() -> Case:
    """Read and written: slices, lists, masks; nothing is written when it fails."""
    a = pn.tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    mask = a > 5

    def call():
        parts = a[1, ..., ::2], a[[0, 1, 0]], a[mask], a[:, [2, 0], None], a[(a < 3)[:, :, 0]], a.tolist()
        a[0, 1:] = 0.0
        return parts

    return Case(call, lambda: a.numpy().tobytes())


def _exchange() -> Case:
    """DLPack, arrays, pickles."""
    a, b = pn.tensor([[1.0, 2.0]]), np.arange(6, dtype="i2")[::2]
    return Case(lambda: (np.from_dlpack(a), pn.from_dlpack(b), np.asarray(a), copy.deepcopy(a), repr(a)))


def _hooks() -> Case:
    """A sweep with hooks, chosen inputs, an operation of one's own, and the graph as data."""
    w = pn.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def call():
        y = Double.apply(w) * w
        y.retain_grad()
        handle = y.register_hook(lambda g: g * 2.0)
        try:
            pn.autograd.grad(y.sum(), [w, y], retain_graph=True)
            return _core.graph(y)
        finally:
            handle.remove()

    return Case(call, lambda: w.numpy().tobytes())


def _optimizer_state() -> Case:
    """What an optimiser knows goes into another one, whole or not at all."""
    net, (x, y) = nets.dense(), nets.data(8)
    one, two = (optim.Adam(net.parameters(), lr=1e-3) for _ in range(2))
    nn.functional.cross_entropy(net(pn.tensor(x)), pn.tensor(y)).backward()
    one.step()
    return Case(lambda: two.load_state_dict(one.state_dict()), lambda: nets.digest(net))


def _resume() -> Case:
    """One epoch from a checkpoint on."""
    (x, y), path = nets.data(64), os.path.join(tempfile.mkdtemp(), "run.safetensors")

    def train(epochs, resume):
        net = nets.dense()
        nets.fit(net, x, y, optim.Adam(lr=1e-3), epochs=epochs, batch_size=32, checkpoint=path, resume=resume)

    train(1, False)
    return Case(lambda: train(2, True))


def _stream() -> Case:
    """Batches from a list, of two shapes."""
    net, (x, y) = nets.dense(), nets.data(24)
    batches = [(x[:16], y[:16]), (x[16:], y[16:])]

    def call():
        net.fit(batches, optimizer=optim.SGD(lr=0.0), epochs=1, verbose=0, seed=0)

    return Case(call, lambda: nets.digest(net), call)


def _draw() -> Case:
    a = pn.tensor(2.0, requires_grad=True)
    b = (a * 3.0).tanh()
    b.backward(retain_graph=True)
    return Case(lambda: pn.draw(b))


def _ising() -> Case:
    """Models of spins by rows and as lattices: energies, exact answers, the matrix of a rule."""
    edges, spins = ([0, 1, 2], [1, 2, 0], [1.0, -1.0, 0.5]), np.array([1, -1, 1])

    def call():
        rows, lattice = energy.Ising(edges, h=0.5), energy.Ising.lattice((3, 3), J="+-J", seed=0)
        rows.energy(spins), rows.local_field(spins), rows.cut(spins), rows.to_qubo()
        exact = lattice.exact([1.0, 2.0])
        rows.transition_matrix(1.0, "lecture", order="sequential")
        return exact.mean_spins, exact.ground_states, exact.probabilities, rows.exact(1.0).density_of_states

    return Case(call)


def _sampling() -> Case:
    """Every engine, a run that is continued, ladders, annealing."""
    lattice, glass = energy.Ising.lattice((4, 4)), energy.Ising.sherrington_kirkpatrick(6, seed=0)
    quick = {"sweeps": 2, "replicas": 2, "seed": 0, "verbose": 0}

    def call():
        for model in (lattice, glass):
            for method in ("single", "wolff", "swendsen_wang", "rejection_free"):
                r = model.sample(2.0, method=method, **quick)
            model.sample(2.0, order="checkerboard", **quick)
            r = model.sample([1.0, 2.0], **quick)
            model.sample([1.0, 2.0], start=r, **quick)
            model.sample((1.0, 2.0, 3), method="tempering", **quick)
            model.sample((1.0, 2.0, 3), method="population", **quick)
            model.anneal(sweeps=3, reads=2, seed=0, verbose=0)

    return Case(call, again=call)


def _ising_files() -> Case:
    model, path = energy.Ising.lattice((3, 4), J="+-J", seed=0), os.path.join(tempfile.mkdtemp(), "model.safetensors")
    model.save(path)
    other = energy.Ising.lattice((3, 4), J="+-J", seed=1).state_dict()

    def call():
        pn.load(path)
        model.load_state_dict(other)

    return Case(call, lambda: model.state_dict()["sign"].tobytes())


def _of(make: Callable[[], tuple]) -> Case:
    """A case from (call, state, again or None)."""
    call, state, again = make()
    return Case(call, state, again or (lambda: None))


CASES: dict[str, Callable[[], Case]] = {
    "tensor": _tensor,
    "arithmetic": _arithmetic,
    "reductions": _reductions,
    "shapes": _shapes,
    "backward": _backward,
    "layers": _layers,
    "forward": _forward,
    "optimizer-step": _optimizer,
    "fit-sgd": lambda: _fit(nets.dense, lambda: optim.SGD(lr=0.1)),
    "fit-adam-clip": lambda: _fit(nets.with_dropout, lambda: optim.Adam(lr=1e-3), clip_norm=1.0, metrics=["accuracy"]),
    "convolutions": _convolutions,
    "pools": _pools,
    "norms": _norms,
    "fit-convolutional": _fit_convolutional,
    "predict-convolutional": _predict_convolutional,
    "fit-eager": _fit_eager,
    "fit-looks-back": lambda: _fit(_LooksBack, lambda: optim.SGD(lr=0.01), batch_size=64),
    "fit-pictures": _fit_pictures,
    "fit-regression": _fit_regression,
    "fit-validated": _fit_validated,
    "fit-function": lambda: _fit(_Doubling, lambda: optim.SGD(lr=0.1)),
    "predict": _predict,
    "evaluate": _evaluate,
    "load-state-dict": _state,
    "save-and-load": _files,
    "batches": _batches,
    "draw": _draw,
    "indexing": _indexing,
    "exchange": _exchange,
    "hooks": _hooks,
    "optimizer-state": _optimizer_state,
    "resume": _resume,
    "stream": _stream,
    "ising": _ising,
    "ising-files": _ising_files,
    **{name: lambda make=make: _of(make) for name, make in hopfield_calls.CASES.items()},
    "sampling": _sampling,
    **{name: lambda make=make: _of(make) for name, make in boltzmann_calls.CASES.items()},
}
