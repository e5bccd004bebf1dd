"""An update that leaves the range of its numbers is named in its own step, and taken back.

Parameters and state are as of the last completed step then.
"""

import networks
import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim

X, Y = networks.data(80)
HUGE = {
    "SGD": lambda lr=1e30: optim.SGD(lr=lr),
    "SGD with decay": lambda lr=1e30: optim.SGD(lr=lr, weight_decay=0.1),
    "Momentum": lambda lr=1e30: optim.Momentum(lr=lr, nesterov=True),
    "Adagrad": lambda lr=1e38: optim.Adagrad(lr=lr),
    "RMSprop": lambda lr=1e38: optim.RMSprop(lr=lr),
    "RMSprop with momentum": lambda lr=1e38: optim.RMSprop(lr=lr, momentum=0.9),
    "RMSprop centered": lambda lr=1e38: optim.RMSprop(lr=lr, centered=True),
    "Adam": lambda lr=1e38: optim.Adam(lr=lr),
    "AdamW": lambda lr=1e38: optim.AdamW(lr=lr, amsgrad=True),
}


def weights(net):
    return [p.detach().numpy().copy() for p in net.parameters()]


class Last(pn.callbacks.Callback):
    """Weights as of the last completed step, and a rate from some step on."""

    def __init__(self, at=None, rate=None):
        self.at, self.rate = at, rate

    def on_train_begin(self, logs=None):
        self.steps, self.weights = 0, weights(self.model)

    def on_train_batch_end(self, batch, logs=None):
        self.steps, self.weights = self.steps + 1, weights(self.model)
        if self.steps == self.at:
            self.model.optimizer.lr = self.rate


def fit_until_it_fails(net, x, y, rule, **given):
    """The sentence, the weights as of the last completed step, and how many there were."""
    last = Last(given.pop("at", None), given.pop("rate", None))
    given = {"epochs": 40, "batch_size": 20, "seed": 0, "verbose": 0, "callbacks": [last], **given}
    with pytest.raises(FloatingPointError) as error:
        net.fit(x, y, optimizer=rule, **given)
    return str(error.value), last.weights, last.steps


@pytest.mark.parametrize("mode", ["plan", "eager"])
@pytest.mark.parametrize("name", HUGE)
def test_a_rate_that_is_far_too_large(name, mode):
    net = networks.dense()
    text, before, steps = fit_until_it_fails(net, X * 1e3, Y, HUGE[name](), mode=mode)
    assert net.history.steps == steps
    assert all(np.array_equal(a, b) for a, b in zip(weights(net), before))
    assert all(np.isfinite(a).all() for a in before)
    if "learning rate" not in text:  # weights of 1e37 are finite: the next loss is not
        assert steps
    else:
        assert f"step {steps + 1} (epoch {steps // 4 + 1}): the update of " in text
        assert "(layer 0)" in text or "(layer 3)" in text


@pytest.mark.parametrize("mode", ["plan", "eager"])
@pytest.mark.parametrize("name", HUGE)
def test_in_the_middle_of_a_training(name, mode):
    """Weights are large but finite when one step is too much: it says so, and does not blame the weights later."""
    rule = HUGE[name](1e-3)
    net = nn.Sequential(nn.Linear(1, 1, bias=False), seed=0)
    x = np.ones((80, 1))
    # The loss is the output: the gradient is 1 in every step, and the weight goes down by about 2e38 in each
    text, before, steps = fit_until_it_fails(
        net, x, None, rule, mode=mode, loss=lambda y: y.mean(), at=5, rate={"S": 2e38, "M": 1e38}.get(name[0], 2e38)
    )
    assert steps >= 5
    assert text.startswith(
        f"step {steps + 1} (epoch {steps // 4 + 1}): the update of weight of shape (1, 1) in Linear(1, 1"
    )
    assert text.endswith("(layer 0) is not finite: the learning rate may be too large")
    assert np.array_equal(net[0].weight.detach().numpy(), before[0]) and np.isfinite(before[0]).all()
    assert rule.state_dict()["state"][0]["step"] == steps == net.history.steps
    for array in rule.state_dict()["state"][0].values():
        assert np.isfinite(array).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fused_update_is_taken_back(threads):
    """Large weights, whose gradient is never stored."""
    rng = np.random.default_rng(0)
    x, y = 1e3 * rng.standard_normal((80, 300)), rng.integers(0, 7, 80)
    before = pn.get_num_threads()
    pn.set_num_threads(threads)
    try:
        net = networks.wide()
        text, old, steps = fit_until_it_fails(net, x, y, optim.SGD(lr=1e-7), batch_size=40, at=3, rate=3e38)
    finally:
        pn.set_num_threads(before)
    assert (steps, net.history.steps) == (3, 3)
    assert text.startswith("step 4 (epoch 2): the update of ") and "learning rate" in text
    assert all(np.array_equal(a, b) for a, b in zip(weights(net), old))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_steps_that_stay_finite_are_done(dtype):
    """A step that is looked at is the same step: bits of a training by hand."""
    net, other = networks.dense().to(dtype), networks.dense().to(dtype)
    rate = 1e13 if dtype == "float32" else 1e101
    net.fit(
        X, Y, loss=lambda out, y: out.mean(), optimizer=optim.Adam(lr=rate), epochs=1, batch_size=80, seed=0, verbose=0
    )
    rule = optim.Adam(other.parameters(), lr=rate)
    for xb, _ in pn.batches(X, Y, 80, seed=0, dtype=dtype):
        other(xb).mean().backward()
        rule.step()
    assert networks.same_bits(net, other)
