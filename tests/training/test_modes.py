"""The two modes agree: the plan, teaching mode inside fit, and a loop written by hand over `pn.batches`."""

import networks
import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim
from tests import tolerances

CLOSE = tolerances.MODES
NETS = {
    "dense": networks.dense,
    "dropout": lambda: networks.dense(dropout=0.4),
    "own forward": networks.Twice,
    "tied and frozen": networks.Tied,
    "smooth": networks.smooth,
    "normalized": networks.normalized,
}
RULES = {
    "sgd": lambda: optim.SGD(lr=0.1),
    "nesterov": lambda: optim.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda: optim.Adam(lr=0.01),
    "adamw": lambda: optim.AdamW(lr=0.01, amsgrad=True),
    "rmsprop": lambda: optim.RMSprop(lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda: optim.Adagrad(lr=0.1, lr_decay=0.01),
}


def pair(make, dtype):
    a = make().to(dtype)
    return a, networks.copy_of(a, make)


def fit(net, optimizer, mode=None, **more):
    x, y = networks.data()
    given = {"epochs": 2, "batch_size": 9, "seed": 3, "verbose": 0, "mode": mode, **more}
    history = net.fit(x, y, optimizer=optimizer, **given)
    assert history.steps == 20
    return history


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NETS)
def test_plan_and_teaching_mode_agree(name, dtype):
    a, b = pair(NETS[name], dtype)
    first = fit(a, optim.SGD(lr=0.1), "plan", metrics=["accuracy"])
    second = fit(b, optim.SGD(lr=0.1), "eager", metrics=["accuracy"])
    assert (first.mode, second.mode) == ("plan", "eager")
    assert networks.distance(a, b) < CLOSE[dtype]
    np.testing.assert_allclose(first.history["loss"], second.history["loss"], rtol=CLOSE[dtype])
    np.testing.assert_allclose(first.history["accuracy"], second.history["accuracy"], rtol=tolerances.SINGLE)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_agrees(rule):
    a, b = pair(networks.dense, "float64")
    fit(a, RULES[rule](), "plan")
    fit(b, RULES[rule](), "eager")
    assert networks.distance(a, b) < CLOSE["float64"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_fused_updates_agree(rule, dtype):
    """Weights beyond the threshold: the gradient never goes to memory, and the result is that of teaching mode."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 300)), rng.integers(0, 7, 200)
    a, b = pair(networks.wide, dtype)
    given = {"epochs": 2, "batch_size": 20, "seed": 3, "verbose": 0}
    a.fit(x, y, optimizer=RULES[rule](), mode="plan", **given)
    b.fit(x, y, optimizer=RULES[rule](), mode="eager", **given)
    factor = 1 if rule == "sgd" or dtype == "float64" else tolerances.ADAM_FACTOR
    assert networks.distance(a, b) < CLOSE[dtype] * factor
    assert all(p.grad is None for p in a.parameters())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_loop_by_hand_agrees_with_fit(dtype):
    """The same batches, the same dropout masks, the same steps."""
    a, b = pair(lambda: networks.dense(dropout=0.5), dtype)
    x, y = networks.data()
    fit(a, optim.Adam(lr=0.01))
    opt = optim.Adam(b.parameters(), lr=0.01)
    steps = 0
    for epoch in range(2):
        for xb, yb in pn.batches(x, y, 9, seed=3, epoch=epoch, dtype=dtype):
            opt.zero_grad()
            nn.functional.cross_entropy(b(xb), yb).backward()
            opt.step()
            steps += 1
    assert steps == 20
    assert networks.distance(a, b) < CLOSE[dtype]


def test_clipping_agrees():
    a, b = pair(networks.dense, "float64")
    free, _ = pair(networks.dense, "float64")
    fit(a, optim.SGD(lr=0.5), "plan", clip_norm=0.1)
    fit(b, optim.SGD(lr=0.5), "eager", clip_norm=0.1)
    fit(free, optim.SGD(lr=0.5))
    assert networks.distance(a, b) < CLOSE["float64"]
    assert networks.distance(a, free) > 1e-3


def test_one_clipped_step_has_the_norm_asked_for():
    net = networks.dense().to("float64")
    before = networks.weights(net)
    x, y = networks.data()
    net.fit(x, y, optimizer=optim.SGD(lr=1.0), epochs=1, batch_size=len(x), clip_norm=0.01, seed=0, verbose=0)
    moved = np.sqrt(sum(((networks.weights(net)[k] - before[k]) ** 2).sum() for k in before))
    assert moved == pytest.approx(0.01, rel=tolerances.REACHED)


def test_fusion_changes_nothing_but_rounding():
    """The same recording with and without fusion: equal losses and gradients."""
    core = pn._core
    net = networks.wide().to("float64")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 300)), rng.integers(0, 7, 20)
    opt = core.Optimizer("sgd", list(net.parameters()), [0] * 6, [{"lr": 0.1}])
    found = []
    for fuse in (True, False):
        recorder = core.Recorder()
        with recorder:
            xt, yt = recorder.input(x), recorder.input(y)
            loss = nn.functional.cross_entropy(net(xt), yt)
        plan = core.Plan(recorder, [xt, yt], [loss], True, opt, True, fuse)
        assert ("linear+relu" in plan.text()) == fuse
        found.append((plan.run(x, y)[0], plan.gradients()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=tolerances.NEARLY_BITS)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, **tolerances.FUSION)


def large_numbers(rows, mode):
    """One step on a weight of 12000 numbers, whose gradient is 1.25e38 from each of the first `rows` rows."""
    x = np.zeros((4, 300), np.float32)
    x[:rows, 0] = 1e37
    net = nn.Sequential(nn.Linear(300, 40, bias=False), seed=0)
    with pn.no_grad():
        net[0].weight *= 0.0
    given = {"optimizer": optim.SGD(lr=1e-37), "epochs": 1, "batch_size": 4, "seed": 0, "verbose": 0, "mode": mode}
    net.fit(x, np.full((4, 40), 1000.0, np.float32), loss="mse", **given)
    return net[0].weight.numpy()


@pytest.mark.parametrize("threads", [1, 2])
def test_large_numbers_run_unfused(threads):
    """Factors whose product could overflow: the gradient is stored and looked at, the step that of teaching mode."""
    before = pn.get_num_threads()
    pn.set_num_threads(threads)
    try:
        a, b = large_numbers(1, None), large_numbers(1, "eager")
    finally:
        pn.set_num_threads(before)
    np.testing.assert_allclose(a, b, rtol=tolerances.SINGLE)
    np.testing.assert_allclose(a[:, 0], 12.5, rtol=tolerances.MODES["float32"])
    assert not a[:, 1:].any()


def test_gradients_that_overflow_are_found_where_they_are_fused():
    """The sum over four rows is beyond float32: both modes name the weight, and nothing is updated."""
    for mode in (None, "eager"):
        with pytest.raises(
            FloatingPointError, match=r"^step 1 \(epoch 1\): the gradient of weight of shape \(40, 300\) in Linear"
        ):
            large_numbers(4, mode)


def test_second_fit_goes_on_with_the_state():
    """Two fits of one epoch are the halves of a run whose optimiser never stopped."""
    a, b = pair(networks.dense, "float64")
    x, y = networks.data()
    one, two = optim.Adam(lr=0.01), optim.Adam(lr=0.01)
    for seed in (5, 6):
        a.fit(x, y, optimizer=one, epochs=1, batch_size=9, seed=seed, verbose=0)
        b.fit(x, y, optimizer=two, epochs=1, batch_size=9, seed=seed, verbose=0, mode="eager")
    assert one.state_dict()["state"][0]["step"] == 20
    assert networks.distance(a, b) < CLOSE["float64"]


def test_last_batch_and_drop_last():
    """A last batch that is not full has a plan of its own, or is left out."""
    x, y = networks.data(50)
    for drop, steps in ((False, 8), (True, 7)):
        a, b = pair(networks.dense, "float64")
        given = {"epochs": 1, "batch_size": 7, "seed": 0, "verbose": 0, "drop_last": drop}
        first = a.fit(x, y, optimizer=optim.SGD(lr=0.1), **given)
        second = b.fit(x, y, optimizer=optim.SGD(lr=0.1), mode="eager", **given)
        assert first.steps == second.steps == steps
        assert networks.distance(a, b) < CLOSE["float64"]
        assert first.history["loss"][0] == pytest.approx(second.history["loss"][0], rel=tolerances.SAME)


def test_epoch_values_are_means_over_samples():
    net = networks.dense().to("float64")
    x, y = networks.data(50)
    opt = optim.SGD(lr=0.0)
    history = net.fit(x, y, optimizer=opt, epochs=1, batch_size=32, metrics=["accuracy"], seed=0, verbose=0)
    whole = net.evaluate(x, y, metrics=["accuracy"])
    assert history.history["loss"][0] == pytest.approx(whole["loss"], rel=tolerances.SAME)
    assert history.history["accuracy"][0] == pytest.approx(whole["accuracy"], rel=tolerances.SAME)
    out = net(pn.tensor(x))
    assert whole["loss"] == pytest.approx(nn.functional.cross_entropy(out, pn.tensor(y)).item(), rel=tolerances.SAME)
    assert whole["accuracy"] == pytest.approx(float((out.detach().numpy().argmax(1) == y).mean()))


def test_dynamic_networks_train_step_by_step():
    net = networks.Looks()
    x, y = networks.data()
    with pytest.warns(UserWarning, match="step by step"):
        history = net.fit(x, y, epochs=1, seed=0, verbose=0)
    assert history.mode == "eager"
    assert history.steps == 3
    assert net.predict(x).shape == (90, 3)
    with pytest.raises(RuntimeError, match="mode='plan'"):
        net.fit(x, y, epochs=1, verbose=0, mode="plan")


def test_forward_that_differs_is_dynamic():
    class Random(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 3)
            self.rng = np.random.default_rng(0)

        def forward(self, x):
            return self.a(x) * float(self.rng.uniform(0.5, 1.5))

    x, y = networks.data()
    with pytest.warns(UserWarning, match="different things"):
        assert Random().fit(x, y, epochs=1, seed=0, verbose=0).mode == "eager"


def test_evaluation_mode_and_flags_come_back():
    net = networks.dense(dropout=0.5)
    net[2].eval()
    x, y = networks.data()
    net.fit(x, y, epochs=1, seed=0, verbose=0, validation_data=(x, y))
    assert [m.training for m in net.modules()] == [True, True, True, False, True]
    assert np.array_equal(net.predict(x), net.predict(x))
