"""Batch norm against PyTorch: values, gradients, running statistics, training, and what a step that fails leaves."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pyneuro as pn  # noqa: E402
from pyneuro import nn, optim  # noqa: E402
from tests import tolerances  # noqa: E402

REAL = ("float32", "float64")
SHAPES = [
    ("BatchNorm1d", (5, 3)), ("BatchNorm1d", (2, 1)), ("BatchNorm1d", (600, 201)), ("BatchNorm1d", (4, 3, 7)),
    ("BatchNorm2d", (4, 3, 5, 6)), ("BatchNorm2d", (1, 2, 1, 2)), ("BatchNorm2d", (3, 20, 70, 80)),
    ("BatchNorm2d", (37, 5, 9, 9)),
]  # fmt: skip
OPTIONS = [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}, {"eps": 0.1, "momentum": 0.3}]


def near(ours, theirs, dtype, what):
    a, b = np.asarray(ours.detach().numpy(), np.float64), np.asarray(theirs.detach().numpy(), np.float64)
    assert a.shape == b.shape, what
    scale = max(1.0, float(np.abs(b).max(initial=0)))
    np.testing.assert_allclose(a / scale, b / scale, **tolerances.LAYERS[dtype], err_msg=what)


def pair(name, channels, options, dtype, rng):
    ours, theirs = getattr(nn, name)(channels, **options), getattr(torch.nn, name)(channels, **options)
    assert repr(ours) == repr(theirs)
    ours.to(dtype), theirs.to(getattr(torch, dtype))
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    for key, values in state.items():
        assert np.array_equal(ours.state_dict()[key].numpy(), values), "first values"
        assert ours.state_dict()[key].dtype == values.dtype.name
    random = {k: (rng.normal(size=v.shape) ** 2 + 0.1).astype(v.dtype) if v.ndim else v for k, v in state.items()}
    ours.load_state_dict(random)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in random.items()})
    return ours, theirs


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=str)
def test_layer(name, shape, options, dtype):
    rng = np.random.default_rng(0)
    ours, theirs = pair(name, shape[1], options, dtype, rng)
    for training in (True, True, False):
        ours.train(training), theirs.train(training)
        x, g = (3 + 2 * rng.normal(size=shape)).astype(dtype), rng.normal(size=shape).astype(dtype)
        a, b = pn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        near(y, z, dtype, "output")
        y.backward(pn.tensor(g)), z.backward(torch.tensor(g))
        near(a.grad, b.grad, dtype, "gradient of x")
        for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            near(p.grad, q.grad, dtype, f"gradient of {key}")
        for key, value in theirs.state_dict().items():
            near(ours.state_dict()[key], value, dtype, key)
        ours.zero_grad(), theirs.zero_grad()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("given", [(), ("weight",), ("weight", "bias"), ("bias",)], ids=str)
def test_function(given, training):
    rng = np.random.default_rng(1)
    x, values = rng.normal(size=(4, 3, 5)), {k: rng.normal(size=3) for k in given}
    mean, var = rng.normal(size=3), rng.uniform(1, 2, 3)
    m, v = pn.tensor(mean), pn.tensor(var)
    y = nn.functional.batch_norm(x, m, v, **values, training=training, momentum=0.3)
    p, q = torch.tensor(mean), torch.tensor(var)
    z = torch.nn.functional.batch_norm(
        torch.tensor(x), p, q, **{k: torch.tensor(w) for k, w in values.items()}, training=training, momentum=0.3
    )
    for ours, theirs in ((y, z), (m, p), (v, q)):
        near(ours, theirs, "float64", "value")


def test_a_channel_far_from_zero_keeps_its_digits():
    """Against exact arithmetic: the mean is a million deviations away."""
    x = np.random.default_rng(2).normal(size=(500, 3)) + 1e6
    for dtype, bound in (("float64", tolerances.SAME), ("float32", tolerances.SINGLE)):
        exact = x.astype(dtype).astype(np.longdouble)
        exact -= exact.mean(0)
        exact /= np.sqrt((exact**2).mean(0) + np.longdouble(1e-5))
        rows = nn.BatchNorm1d(3, dtype=dtype)(x.astype(dtype)).numpy()
        maps = nn.BatchNorm2d(3, dtype=dtype)(x.T.reshape(1, 3, 20, 25).astype(dtype)).numpy()
        for y in (rows, maps.reshape(3, -1).T):
            assert float(np.abs(y - exact).max()) < bound


# ---- training ----


def add_layers(net, lib):
    net.c = lib.Conv2d(3, 8, 3, padding=1, bias=False)
    net.norm = lib.BatchNorm2d(8)
    net.d = lib.Conv2d(8, 8, 3, padding=1)
    net.rows = lib.BatchNorm1d(8 * 49, momentum=None)
    net.out = lib.Linear(8 * 49, 4)


class Ours(nn.Module):
    """One batch norm is met twice in a step: the second call goes on with what the first has made of its statistics."""

    def __init__(self):
        super().__init__()
        add_layers(self, nn)

    def forward(self, x):
        h = self.norm(self.c(x)).relu()
        h = self.norm(self.d(h)) + h
        h = (self.norm(h) + h).tanh()
        return self.out(self.rows(h.flatten(1)))


class Theirs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        add_layers(self, torch.nn)

    forward = Ours.forward


def images(dtype, rows=100):
    rng = np.random.default_rng(3)
    return (rng.normal(size=(rows, 3, 7, 7)) * 3 + 1).astype(dtype), rng.integers(0, 4, rows)


@pytest.mark.parametrize("mode", ["plan", "eager"])
@pytest.mark.parametrize("batch", [32, 37])
@pytest.mark.parametrize("dtype", REAL)
def test_training(dtype, batch, mode):
    x, y = images(dtype)
    torch.manual_seed(0)
    ours, theirs = Ours().to(dtype), Theirs().to(getattr(torch, dtype))
    ours.load_state_dict(theirs.state_dict())
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.02, momentum=0.9)
    for _ in range(2):
        for i in range(0, 100, batch):
            sgd.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                theirs(torch.tensor(x[i : i + batch])), torch.tensor(y[i : i + batch])
            )
            loss.backward()
            sgd.step()
    history = ours.fit(
        x,
        y,
        optimizer=optim.SGD(lr=0.02, momentum=0.9),
        epochs=2,
        batch_size=batch,
        shuffle=False,
        verbose=0,
        mode=mode,
    )
    assert history.mode == mode
    for key, value in theirs.state_dict().items():
        difference = np.abs(ours.state_dict()[key].numpy().astype(np.float64) - value.numpy()).max()
        assert difference < tolerances.MODES_WINOGRAD[dtype], key
    theirs.eval()
    near(pn.tensor(ours.predict(x)), theirs(torch.tensor(x)), dtype, "prediction")


@pytest.mark.parametrize("dtype", REAL)
def test_pytorch_goes_on_with_what_ours_has_learned(dtype):
    """Statistics and counts after training here are those that a training there starts with."""
    x, y = images(dtype)
    torch.manual_seed(0)
    ours, theirs = Ours().to(dtype), Theirs().to(getattr(torch, dtype))
    ours.fit(x, y, optimizer="sgd", epochs=1, batch_size=25, verbose=0)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    assert theirs.rows.num_batches_tracked == 4
    for training in (False, True, False):
        ours.train(training), theirs.train(training)
        near(ours(pn.tensor(x)), theirs(torch.tensor(x)), dtype, f"training={training}")


def state(net):
    return {k: v.numpy().tobytes() for k, v in net.state_dict().items()}


def test_the_same_bits_for_any_number_of_threads():
    before, results = pn.get_num_threads(), []
    x, y = images("float32")
    try:
        for threads in (1, 2, 4):
            pn.set_num_threads(threads)
            net = nn.Sequential(
                nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(),
                nn.Linear(400, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Linear(64, 4), seed=5,
            )  # fmt: skip
            net.fit(x, y, optimizer="sgd", epochs=2, batch_size=37, seed=6, verbose=0, mode="plan")
            results.append(state(net))
    finally:
        pn.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def small():
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2), seed=0)


def rows(n):
    rng = np.random.default_rng(7)
    return rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, 2, n)


@pytest.mark.parametrize("mode", ["plan", "eager"])
def test_a_last_batch_of_one_row_is_refused_before_the_first_step(mode):
    net, (x, y) = small(), rows(33)
    before = state(net)
    with pytest.raises(ValueError, match=r"BatchNorm1d\(3\) \(layer 1\): x has shape \(1, 3\).*drop_last=True"):
        net.fit(x, y, batch_size=32, verbose=0, mode=mode)
    assert state(net) == before
    net.fit(x, y, epochs=1, batch_size=32, verbose=0, mode=mode, drop_last=True)
    assert net[1].num_batches_tracked.item() == 1


@pytest.mark.parametrize("mode", ["plan", "eager"])
def test_a_step_that_fails_leaves_the_statistics(mode):
    net, (x, y) = small(), rows(30)
    net.fit(x, y, batch_size=10, verbose=0, mode=mode)
    before = state(net)
    with pytest.raises(FloatingPointError, match="step 1"):
        net.fit(x * np.float32(1e25), y, batch_size=10, verbose=0, mode=mode, shuffle=False)
    assert state(net) == before


@pytest.mark.parametrize("mode", ["plan", "eager"])
def test_a_resumed_run_ends_in_the_same_bits(mode, tmp_path):
    whole, parts, (x, y) = small(), small(), rows(40)
    given = {"batch_size": 10, "verbose": 0, "mode": mode, "seed": 1, "optimizer": "adam"}
    whole.fit(x, y, epochs=4, **given)
    path = tmp_path / "run.safetensors"
    parts.fit(x, y, epochs=2, checkpoint=path, **given)
    other = small()
    other.fit(x, y, epochs=4, checkpoint=path, resume=True, **given)
    assert state(other) == state(whole)


def test_predicting_and_evaluating_change_nothing():
    net, (x, y) = small(), rows(30)
    net.fit(x, y, batch_size=10, verbose=0)
    before = state(net)
    net.predict(x)
    net.evaluate(x, y)
    net.eval()
    net(x)
    assert state(net) == before


def test_a_file_keeps_the_statistics(tmp_path):
    net, (x, y) = small(), rows(30)
    net.fit(x, y, batch_size=10, verbose=0)
    net.save(tmp_path / "net.safetensors")
    again = pn.load(tmp_path / "net.safetensors")
    assert state(again) == state(net)
    assert np.array_equal(again.predict(x), net.predict(x))
    net[1].reset_running_stats()
    assert net[1].running_var.tolist() == [1, 1, 1] and net[1].num_batches_tracked.item() == 0


REFUSALS = [
    (lambda: nn.BatchNorm2d(3, momentum=0.99), r"share of the past in Keras.*momentum=0.01"),
    (lambda: nn.BatchNorm2d(3, momentum=2), "momentum is 2, expected 0 to 1"),
    (lambda: nn.BatchNorm2d(3, eps=-1), "eps must be at least 0"),
    (lambda: nn.BatchNorm2d(3)(np.zeros((2, 4, 4, 3), np.float32)), r"expected \(N, 3, H, W\). Is it channels-last\?"),
    (lambda: nn.BatchNorm2d(3)(np.zeros((2, 3), np.float32)), r"x has shape \(2, 3\), expected \(N, 3, H, W\)"),
    (lambda: nn.BatchNorm1d(3)(np.zeros((2, 3, 1, 1), np.float32)), r"expected \(N, 3\) or \(N, 3, L\)"),
    (lambda: nn.BatchNorm2d(3)(np.zeros((1, 3, 1, 1), np.float32)), "more than one value a channel"),
    (lambda: nn.BatchNorm2d(3)(np.zeros((0, 3, 1, 1), np.float32)), "more than one value a channel"),
    (lambda: nn.functional.batch_norm(np.zeros((2, 3)), None, None), "evaluation needs running_mean and running_var"),
    (lambda: nn.functional.batch_norm(np.zeros((2, 3)), np.zeros(3), None), "are given together"),
    (lambda: nn.functional.batch_norm(np.zeros((2, 3)), np.zeros(4), np.ones(4)), r"running_mean has shape \(4,\)"),
]


@pytest.mark.parametrize(("call", "sentence"), REFUSALS)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize("conv", [{}, {"bias": False}], ids=str)
@pytest.mark.parametrize("norm", [{}, {"affine": False}, {"bias": False}], ids=str)
def test_in_evaluation_it_goes_into_the_convolution(conv, norm):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, **conv), nn.BatchNorm2d(8, **norm), nn.ReLU(),
        nn.Conv2d(8, 4, 3, groups=2, **conv), nn.BatchNorm2d(4, **norm), nn.Tanh(), nn.Flatten(),
        nn.Linear(100, 4), seed=0,
    ).to("float64")  # fmt: skip
    x, y = images("float64", 40)
    net.fit(x, y, optimizer="sgd", epochs=2, verbose=0)
    net.eval()
    np.testing.assert_allclose(net.predict(x), net(x).detach().numpy(), rtol=0, atol=tolerances.MODES["float64"])
    text = str(net.profile(x))
    assert text.count("fold_batch_norm") == 2 and " batch_norm" not in text


def test_it_stays_where_somebody_else_reads_the_convolution():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            h = self.conv(x)
            return self.norm(h) + h

    net, (x, _) = Both().to("float64"), images("float64", 20)
    net.norm.load_state_dict({**net.norm.state_dict(), "running_mean": np.arange(4.0)})
    net.eval()
    np.testing.assert_allclose(net.predict(x), net(x).detach().numpy(), rtol=0, atol=tolerances.MODES["float64"])
    assert "fold_batch_norm" not in str(net.profile(x))
