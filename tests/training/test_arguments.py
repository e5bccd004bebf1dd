"""What fit and the optimisers refuse, in one sentence that names the argument; and networks that callbacks change."""

import networks
import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim

X, Y = networks.data(60)


def fit(**given):
    return networks.dense().fit(X, Y, **{"epochs": 1, "seed": 0, "verbose": 0, **given})


# ---- weights of samples and classes ----


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_weights_that_are_no_weights(value):
    weight = np.ones(60)
    weight[7] = value
    for given in ({"sample_weight": weight}, {"sample_weight": weight, "class_weight": {0: 1.0}}):
        with pytest.raises(ValueError, match=r"^sample_weight (is -1|holds NaN|holds infinity) in row 7"):
            fit(**given)
    with pytest.raises(ValueError, match="class_weight: weight of class 2 must be"):
        fit(class_weight={2: value})
    with pytest.raises(ValueError, match=r"sample_weight of validation_data .* in row 7"):
        fit(validation_data=(X, Y, weight))
    with pytest.raises(ValueError, match=r"^sample_weight of batch 1 \(epoch 1\) .* in row 7"):
        networks.dense().fit([(X, Y, weight)], verbose=0)
    with pytest.raises(ValueError, match=r"sample_weight .* in row 7"):
        networks.dense().evaluate(X, Y, sample_weight=weight)


def test_weights_of_zero_are_fine():
    assert fit(sample_weight=np.zeros(60)).history["loss"] == [0.0]


# ---- switches and seeds ----


@pytest.mark.parametrize("name", ["shuffle", "drop_last", "resume"])
def test_a_switch_is_no_text(name):
    with pytest.raises(TypeError, match=f"fit: {name} must be True or False, got 'no'"):
        fit(**{name: "no"})
    if name != "resume":
        assert fit(**{name: np.bool_(False)}).steps
        with pytest.raises(TypeError, match=f"batches: {name} must be True or False"):
            next(pn.batches(X, Y, **{name: "no"}))


def test_verbosity():
    for wrong in ("yes", 3, -1, 0.5):
        with pytest.raises(ValueError, match="fit: verbose must be 0, 1 or 2"):
            fit(verbose=wrong)


@pytest.mark.parametrize("seed", [-1, 2**64, 2**80])
def test_seeds_out_of_range(seed):
    for call in (lambda: fit(seed=seed), lambda: next(pn.batches(X, Y, seed=seed))):
        with pytest.raises(ValueError, match=r"seed must be (at least 0|below 2\*\*64)"):
            call()
    assert fit(seed=2**64 - 1).seed == 2**64 - 1


# ---- optimisers ----


def parameters():
    return networks.dense().parameters()


def test_two_spellings_of_the_betas():
    for call in (
        lambda: optim.Adam(parameters(), betas=(0.9, 0.99), beta_1=0.5),
        lambda: optim.AdamW(parameters(), betas=(0.9, 0.99), beta_2=0.5),
        lambda: optim.Adam([{"params": list(parameters()), "betas": (0.1, 0.2), "beta_1": 0.5}]),
    ):
        with pytest.raises(TypeError, match=r"betas and beta_[12] are two spellings"):
            call()
    assert optim.Adam(parameters(), beta_1=0.5, beta_2=0.25).param_groups[0]["betas"] == (0.5, 0.25)
    group = {"params": list(parameters()), "beta_1": 0.5}
    assert optim.Adam([group], beta_2=0.25).param_groups[0]["betas"] == (0.5, 0.25)


@pytest.mark.parametrize("rate", ["0.1", [0.1], True, -1, float("nan"), float("inf")])
def test_learning_rates_that_are_none(rate):
    """Given to the optimiser, set on it, or written into a group: by hand, and so by a schedule."""
    error = ValueError if isinstance(rate, (int, float)) and not isinstance(rate, bool) else TypeError
    net = networks.dense()

    def write(optimizer, run):
        optimizer.param_groups[0]["lr"] = rate
        run(optimizer)

    def step(optimizer):
        net(X[:2]).sum().backward()
        optimizer.step()

    for call in (
        lambda: optim.SGD(net.parameters(), lr=rate),
        lambda: optim.Adam(learning_rate=rate),
        lambda: setattr(optim.SGD(net.parameters()), "lr", rate),
        lambda: write(optim.SGD(net.parameters()), step),
        lambda: write(optim.SGD(), lambda optimizer: net.fit(X, Y, optimizer=optimizer, verbose=0)),
    ):
        with pytest.raises(error, match=r"(SGD|Adam): lr must be "):
            call()


# ---- fit where it cannot be ----


def test_fit_inside_a_function_that_is_recorded():
    class Train(pn.Function):
        @staticmethod
        def forward(ctx, x):
            networks.dense().fit(X, Y, verbose=0)
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = networks.dense()

        def forward(self, x):
            return self.layers(Train.apply(x))

    with pytest.raises(RuntimeError, match="fit, predict and evaluate cannot be called inside the forward"):
        Net().fit(X, Y, verbose=0)


# ---- networks that a callback changes ----


class Change(pn.callbacks.Callback):
    """Calls `change(net)` after the first epoch."""

    def __init__(self, change):
        self.change = change

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            self.change(self.model)


def forward_hook(net):
    net[0].register_forward_hook(lambda module, inputs, output: output * 0.5)


CHANGES = {
    "append": lambda net: net.append(nn.Tanh()),
    "remove": lambda net: net.__delitem__(1),
    "exchange": lambda net: net.__setitem__(1, nn.Tanh()),
    "forward hook": forward_hook,
    "gradient hook": lambda net: net[0].weight.register_hook(lambda grad: grad * 0.0),
}


def changed(change, **given):
    """A network that was changed after its first epoch of three."""
    net = networks.dense()
    rule = optim.SGD(lr=0.05)
    net.fit(X, Y, optimizer=rule, epochs=3, batch_size=20, seed=0, verbose=0, callbacks=[Change(change)], **given)
    return net


@pytest.mark.filterwarnings("ignore:.*is trained step by step")
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("given", [{}, {"validation_split": 0.25}], ids=["", "validated"])
def test_plans_follow_a_change(name, given):
    """The rest of the training is that of teaching mode, which looks at the network anew in every step."""
    plan, eager = changed(CHANGES[name], **given), changed(CHANGES[name], mode="eager", **given)
    assert plan.history.mode == ("eager" if name.endswith("hook") else "plan")
    for a, b in zip(plan.parameters(), eager.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-6)
    for key, values in plan.history.history.items():
        np.testing.assert_allclose(values, eager.history.history[key], rtol=1e-4)
    untouched = changed(lambda net: None, **given)
    assert any(
        not np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(plan.state_dict().values(), untouched.state_dict().values())
    )


@pytest.mark.parametrize("mode", [None, "eager"])
def test_a_new_layer_must_be_given_to_the_optimizer(mode):
    """Otherwise nobody would train it, and nobody would notice."""
    for change in (
        lambda net: net.append(nn.Linear(3, 3)),
        lambda net: setattr(net[0], "weight", nn.Parameter(net[0].weight.numpy())),
    ):
        with pytest.raises(
            ValueError, match=r"a callback added parameter \d.weight of shape .* optimizer does not have"
        ):
            changed(change, mode=mode)


@pytest.mark.parametrize("mode", [None, "eager"])
def test_a_new_layer_with_its_parameters_is_trained(mode):
    layers = []

    def add(net):
        layers.append(nn.Linear(3, 3, init="zeros"))
        net.append(layers[0])
        net.optimizer.add_param_group({"params": layers[0].parameters()})

    changed(add, mode=mode)
    assert np.abs(layers[0].bias.numpy()).max() > 0


def test_labels_are_compared_with_the_new_outputs():
    """A network that ends with fewer scores than there are classes is refused as at the beginning."""

    def narrow(net):
        net.append(nn.Linear(3, 2))
        net.optimizer.add_param_group({"params": net[-1].parameters()})

    with pytest.raises(ValueError, match=r"y has label \d at row \d+, expected 0..1"):
        changed(narrow)
