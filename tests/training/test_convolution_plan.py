"""Convolutions in a plan: an activation behind one is fused with it, which changes nothing but rounding."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn
from tests import tolerances


def fused_and_not(net, x, y):
    """(loss, gradients) of the same recording with and without fusion, and the texts of both plans."""
    core, found, texts = pn._core, [], []
    parameters = list(net.parameters())
    opt = core.Optimizer("sgd", parameters, [0] * len(parameters), [{"lr": 0.1}])
    for fuse in (True, False):
        recorder = core.Recorder()
        with recorder:
            xt, yt = recorder.input(x), recorder.input(y)
            loss = nn.functional.cross_entropy(net(xt), yt)
        plan = core.Plan(recorder, [xt, yt], [loss], True, opt, True, fuse)
        found.append((plan.run(x, y)[0], plan.gradients()))
        texts.append(plan.text())
    return found, texts


@pytest.mark.parametrize("algorithm", ["naive", "im2col", "direct"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, lambda: nn.LeakyReLU(0.2), lambda: nn.ELU(1.5)])
def test_an_activation_is_fused(activation, algorithm):
    net = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1, algorithm=algorithm), activation(),
        nn.Conv2d(5, 4, 3, stride=2, algorithm=algorithm), activation(), nn.Flatten(), nn.Linear(36, 3), seed=2,
    ).to("float64")  # fmt: skip
    rng = np.random.default_rng(2)
    found, texts = fused_and_not(net, rng.standard_normal((6, 2, 8, 8)), rng.integers(0, 3, 6))
    assert [text.count(" conv2d+") for text in texts] == [4, 0]  # two layers, forward and backward
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=tolerances.NEARLY_BITS)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, **tolerances.FUSION)


@pytest.mark.parametrize(("batch", "algorithm"), [(6, "im2col"), (16, "direct")])
@pytest.mark.parametrize(
    ("pool", "features", "behind"),
    [(nn.MaxPool2d(2), 80, True), (nn.MaxPool2d(3, 2), 60, True), (nn.MaxPool2d(3, 2, padding=1), 100, False)],
)
def test_relu_goes_behind_max_pooling(pool, features, behind, batch, algorithm):
    """Windows without a positive number and with equal ones included: pictures of three grey values."""
    net = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1, algorithm=algorithm), nn.ReLU(), pool,
        nn.Flatten(), nn.Linear(features, 3), seed=2,
    ).to("float64")  # fmt: skip
    rng = np.random.default_rng(2)
    x, y = rng.integers(-1, 2, (batch, 2, 9, 8)).astype(np.float64), rng.integers(0, 3, batch)
    pooled = net[2](net[0](x)).numpy()
    assert pooled.min() < 0 < pooled.max()
    found, texts = fused_and_not(net, x, y)
    assert ["conv2d+relu" in text for text in texts] == [not behind, False]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=tolerances.NEARLY_BITS)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, **tolerances.FUSION)


def test_an_output_that_is_used_twice_is_not_fused():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(1, 3, 3, padding=1), nn.Linear(48, 2)

        def forward(self, x):
            z = self.conv(x)
            return self.out((z.relu() + z).reshape((-1, 48)))

    net, rng = Skip().to("float64"), np.random.default_rng(3)
    _, texts = fused_and_not(net, rng.standard_normal((5, 1, 4, 4)), rng.integers(0, 2, 5))
    assert [text.count("conv2d+") for text in texts] == [0, 0]


@pytest.mark.parametrize("batch", [16, 19, 33])
def test_lanes_without_a_sample_do_not_leak(batch):
    """The last block of 16 has lanes that are nobody's. Logarithms of their zeros must not arrive in gradients."""

    class Logarithms(nn.Module):
        def __init__(self, algorithm):
            super().__init__()
            self.first = nn.Conv2d(2, 3, 3, padding=1, bias=False, algorithm=algorithm)
            self.second = nn.Conv2d(3, 4, 2, stride=2, algorithm=algorithm)
            self.turned = nn.ConvTranspose2d(4, 2, 2, 2, algorithm=algorithm)

        def forward(self, x):
            z = self.first(x)
            return self.turned(self.second((z * z).log())).reshape((-1, 72))

    pn.manual_seed(1)  # logarithms of very small numbers would ask for another tolerance
    rng, found = np.random.default_rng(4), {}
    x, y = rng.standard_normal((batch, 2, 6, 6)), rng.integers(0, 72, batch)
    weights = None
    for algorithm in ("direct", "naive"):
        net = Logarithms(algorithm).to("float64")
        weights = weights or net.state_dict()
        net.load_state_dict(weights)
        found[algorithm], texts = fused_and_not(net, x, y)
        assert ("[batch-inner]" in texts[0]) == (algorithm == "direct")
    np.testing.assert_allclose(found["direct"][0][0], found["naive"][0][0], **tolerances.FUSION)
    for a, b in zip(found["direct"][0][1], found["naive"][0][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerances.FUSION["rtol"] * np.abs(b).max())


def test_pooling_stays_in_blocks_of_samples():
    """Reorders stand at the borders alone, an incomplete last block does no harm, and the gradients are eager's."""
    net = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(),
        nn.AvgPool2d(2, ceil_mode=True), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
        seed=2,
    ).to("float64")  # fmt: skip
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((27, 2, 21, 22)), rng.integers(0, 3, 27)
    found, texts = fused_and_not(net, x, y)
    pools = [line for line in texts[0].splitlines() if "_pool2d" in line]
    assert len(pools) == 8 and all("[batch-inner]" in line for line in pools)
    assert texts[0].count("reorder") == 3
    nn.functional.cross_entropy(net(x), y).backward()
    for gradient, parameter in zip(found[0][1], net.parameters(), strict=True):
        np.testing.assert_allclose(gradient, parameter.grad.numpy(), **tolerances.FUSION)
