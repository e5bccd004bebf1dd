"""Winograd's convolution in a plan: tensors stay in blocks of 16 samples between ops that can use them."""

import networks
import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim
from tests import tolerances

TILES = ("winograd2", "winograd4", "auto")


def net_of(algorithm):
    """Two layers of 3 x 3 with activations that a plan fuses, and a dense one."""
    return nn.Sequential(
        nn.Conv2d(8, 16, 3, padding=1, algorithm=algorithm), nn.ReLU(),
        nn.Conv2d(16, 9, 3, algorithm=algorithm), nn.Tanh(), nn.Flatten(), nn.Linear(9 * 5 * 4, 3), seed=2,
    )  # fmt: skip


def data(n, dtype):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, 8, 7, 6)).astype(dtype), rng.integers(0, 3, n)


def plan_of(net, x, y):
    """(plan, its text) of a training step."""
    parameters = list(net.parameters())
    opt = pn._core.Optimizer("sgd", parameters, [0] * len(parameters), [{"lr": 0.1}])
    recorder = pn._core.Recorder()
    with recorder:
        xt, yt = recorder.input(x), recorder.input(y)
        loss = nn.functional.cross_entropy(net(xt), yt)
    plan = pn._core.Plan(recorder, [xt, yt], [loss], True, opt)
    return plan, plan.text()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", TILES)
def test_plan_and_teaching_mode_agree(algorithm, dtype):
    """The last batch has 21 - 16 = 5 samples in its second block, the batches of the other fit no full block."""
    for batch in (21, 12):
        x, y = data(84, dtype)
        a, b = net_of(algorithm).to(dtype), net_of(algorithm).to(dtype)
        for net, mode in ((a, "plan"), (b, "eager")):
            given = {"epochs": 3, "batch_size": batch, "seed": 0, "verbose": 0}
            assert net.fit(x, y, optimizer=optim.SGD(lr=0.1), mode=mode, **given).mode == mode
        assert networks.distance(a, b) < tolerances.MODES[dtype]


def test_the_choice_of_auto():
    """Blocks where most of their lanes are used, and channels that are worth a transformation."""
    x, y = data(32, "float32")
    _, text = plan_of(net_of("auto"), x, y)
    assert text.count("batch-inner") >= 6  # forward, activation's and convolution's gradients of both layers
    _, text = plan_of(net_of("auto"), x[:3], y[:3])
    assert "batch-inner" not in text


@pytest.mark.parametrize("algorithm", ["winograd2", "winograd4"])
def test_same_bits_for_any_number_of_threads(algorithm):
    x, y = data(60, "float32")
    results, before = [], pn.get_num_threads()
    try:
        for threads in (1, 2, 4):
            pn.set_num_threads(threads)
            net = net_of(algorithm)
            net.fit(x, y, epochs=2, batch_size=40, seed=0, verbose=0)
            results.append([p.detach().numpy().tobytes() for p in net.parameters()])
    finally:
        pn.set_num_threads(before)
    assert results[0] == results[1] == results[2]


class Spoilt(nn.Module):
    """log is NaN where it is given the bias of the first layer alone, as in lanes without a sample."""

    def __init__(self, algorithm):
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, algorithm=algorithm)
        with pn.no_grad():
            self.first.weight[...] = 1.0
            self.first.bias[...] = -1.0
        self.second = nn.Conv2d(3, 4, 3, algorithm=algorithm)
        self.out = nn.Linear(16, 3)

    def forward(self, x):
        return self.out(self.second(self.first(x).log()).reshape((-1, 16)))


@pytest.mark.parametrize("algorithm", ["winograd2", "winograd4"])
def test_lanes_without_a_sample_do_not_leak(algorithm):
    rng = np.random.default_rng(5)
    x, y = rng.uniform(1, 2, (19, 2, 6, 6)).astype(np.float32), rng.integers(0, 3, 19)
    nets = [Spoilt(name) for name in (algorithm, "naive")]
    nets[1].load_state_dict(nets[0].state_dict())
    found = []
    for net in nets:
        plan, text = plan_of(net, x, y)
        assert ("log" in text and "batch-inner" in text) == (net is nets[0])
        found.append((plan.run(x, y)[0], *plan.gradients()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=tolerances.WINOGRAD_LAYERS[algorithm][1] * max(1, np.abs(b).max())
        )
