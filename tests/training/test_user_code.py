"""Code of the user's in a compiled training: hooks, what a forward keeps, values from outside, layers nobody knows."""

import warnings

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((64, 3)), RNG.integers(0, 2, 64)
QUIET = {"verbose": 0, "seed": 0}


def values(net):
    return [np.array(p.detach().numpy()) for p in net.parameters()]


def unchanged(net, before):
    return all(np.array_equal(a, b) for a, b in zip(values(net), before, strict=True))


# ---- what happens in every step ----


def test_a_hook_is_called_in_every_step_and_sees_its_values():
    net, calls, last = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=0), [], {}

    def keep(module, inputs, output):
        calls.append(len(output))
        last["h"] = output

    with net[0].register_forward_hook(keep):
        with pytest.warns(UserWarning, match=r"a forward hook of Linear\(3, 4\), which is called in every step"):
            history = net.fit(X, Y, epochs=3, batch_size=32, shuffle=False, optimizer=optim.SGD(lr=0.0), **QUIET)
        assert history.mode == "eager"
        assert calls[-6:] == [32] * 6
        np.testing.assert_allclose(last["h"].detach().numpy(), net[0](X[32:]).numpy(), rtol=1e-6)
        net[0].weight.detach().numpy()[:] += 1
        for n in (64, 10):  # a second time too
            net.predict(X[:n])
            kept = np.array(last["h"].detach().numpy())
            np.testing.assert_allclose(kept, net[0](X[:n]).numpy(), rtol=1e-6)
    assert net.fit(X, Y, epochs=1, **QUIET).mode == "plan"


class Keeps(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.a, self.what, self.n, self.log, self.h = nn.Linear(3, 2), what, 0, [], None

    def forward(self, x):
        y = self.a(x)
        if self.what == "count":
            self.n += 1
        elif self.what == "list":
            self.log.append(y)
        elif self.what == "tensor":
            self.h = y
        return y


@pytest.mark.parametrize(("what", "name"), [("count", "n"), ("list", "log"), ("tensor", "h")])
def test_what_a_forward_keeps_is_of_the_last_step(what, name):
    net = Keeps(what).to("float64")
    with pytest.warns(UserWarning, match=f"the attribute {name} of Keeps, which its forward changes"):
        assert (
            net.fit(X, Y, epochs=2, batch_size=64, shuffle=False, optimizer=optim.SGD(lr=0.0), **QUIET).mode == "eager"
        )
    with pn.no_grad():
        net.a.weight += 1.0
    before = net.n
    net.predict(X)
    if what == "count":
        assert net.n > before
    kept = net.h if what == "tensor" else net.log[-1] if what == "list" else net.a(X)
    np.testing.assert_allclose(kept.detach().numpy(), net.a(X).numpy(), rtol=1e-12)


def test_what_was_kept_once_is_no_hindrance():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.table, self.scale = nn.Linear(3, 2), {}, None

        def forward(self, x):
            if self.scale is None:
                self.scale = 2.0
                self.table["x"] = pn.ones(2)
            return self.a(x) * self.scale * self.table["x"]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Lazy().fit(X, Y, epochs=1, **QUIET).mode == "plan"


# ---- values from outside ----


class Sets(pn.callbacks.Callback):
    """Sets the factor of the loss before epochs, or before steps."""

    def __init__(self, factors, by_batch=False):
        self.factors, self.by_batch = list(factors), by_batch

    def on_epoch_begin(self, epoch, logs=None):
        if not self.by_batch:
            FACTOR["of"] = self.factors[epoch]


class SetsByBatch(Sets):
    def on_train_batch_begin(self, batch, logs=None):
        FACTOR["of"] = self.factors[batch]


FACTOR = {"of": 1.0}


def scaled(output, target):
    return ((output - target) ** 2).mean() * FACTOR["of"]


class Scales(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 2)

    def forward(self, x):
        return self.a(x) * FACTOR["of"]


@pytest.mark.parametrize("where", ["loss", "forward"])
@pytest.mark.parametrize("given", ["arrays", "stream", "validated"])
def test_a_value_that_a_callback_changes_is_read_again(where, given):
    def run(mode):
        FACTOR["of"] = 0.5
        net = nn.Sequential(Scales() if where == "forward" else nn.Linear(3, 2)).to("float64")
        for p, v in zip(net.parameters(), (0.1, 0.2), strict=True):
            p.detach().numpy()[:] = v
        loss = scaled if where == "loss" else "mse"
        t = np.stack([Y, 1 - Y], axis=1) * 1.0
        data = (X, t) if given != "stream" else ([(X[:32], t[:32]), (X[32:], t[32:])],)
        more = {"validation_data": (X[:10], t[:10])} if given == "validated" else {}
        rule = optim.SGD(lr=0.1)
        history = net.fit(
            *data, loss=loss, optimizer=rule, epochs=4, batch_size=32, shuffle=False, mode=mode, **more, **QUIET,
            callbacks=[Sets([0.0, 1.0, 1.0, 3.0])],
        )  # fmt: skip
        return history, values(net)

    (plan, a), (eager, b) = run(None), run("eager")
    assert (plan.mode, eager.mode) == ("plan", "eager")
    for name, curve in eager.history.items():
        np.testing.assert_allclose(plan.history[name], curve, rtol=1e-10)
    for v, w in zip(a, b, strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-10)
    assert where == "forward" or plan.history["loss"][0] == 0


def test_a_value_that_is_changed_in_every_step():
    FACTOR["of"] = 0.0
    net = nn.Linear(3, 2)
    t, seen = np.zeros((64, 2)), []

    class Sees(SetsByBatch):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    net.fit(
        X, t, loss=scaled, optimizer=optim.SGD(lr=0.0), epochs=1, batch_size=16, shuffle=False, **QUIET,
        callbacks=[Sees([0.0, 1.0, 0.0, 2.0], by_batch=True)],
    )  # fmt: skip
    each = [(net.predict(X[i : i + 16]) ** 2).mean() for i in range(0, 64, 16)]
    sums = np.cumsum(np.multiply(each, [0.0, 1.0, 0.0, 2.0])) / np.arange(1, 5)
    np.testing.assert_allclose(seen, sums, rtol=1e-5)


# ---- what nobody trains ----


class Hidden(nn.Module):
    def __init__(self, kind=list):
        super().__init__()
        self.out = nn.Linear(4, 2)
        self.layers = kind([nn.Linear(3, 4)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).tanh()
        return self.out(x)


@pytest.mark.filterwarnings("ignore:.*step by step")
@pytest.mark.parametrize("mode", [None, "eager"])
def test_layers_in_a_plain_list_are_noticed(mode):
    with pytest.warns(
        UserWarning, match=r"2 tensors .* not be trained, of shape \(4, 3\), \(4,\): keep layers in nn.Mod"
    ):
        Hidden().fit(X, Y, epochs=1, mode=mode, **QUIET)
    with pytest.warns(UserWarning, match="2 tensors"):
        Hidden().fit([(X, Y), (X[:7], Y[:7])], epochs=1, mode=mode, **QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Hidden(nn.ModuleList).fit(X, Y, epochs=1, mode=mode, **QUIET)
        net = Hidden()  # known to the optimiser
        net.fit(
            X,
            Y,
            epochs=1,
            mode=mode,
            optimizer=optim.SGD([*net.parameters(), *net.layers[0].parameters()], lr=0.1),
            **QUIET,
        )
        net = Hidden()
        net.layers[0].requires_grad_(False)
        net.fit(X, Y, epochs=1, mode=mode, **QUIET)


# ---- indices and labels ----


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.out = nn.Embedding(10, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.e(x.reshape((-1,))).reshape((*x.shape, 4)).mean(1))


@pytest.mark.parametrize("mode", [None, "eager"])
@pytest.mark.parametrize("wrong", [10, -1, 1 << 40])
def test_indices_are_checked_before_the_first_step(wrong, mode):
    words = RNG.integers(0, 10, (64, 5))
    words[63, 2] = wrong
    net = Words()
    before = values(net)
    for data in ((words, Y), (words, Y)):
        with pytest.raises(IndexError, match=rf"^Embedding.*: X has index {wrong} in row 63, allowed are 0 to 9"):
            net.fit(*data, epochs=1, shuffle=False, mode=mode, **QUIET)
    assert unchanged(net, before)
    with pytest.raises(IndexError, match=rf"index has value {wrong} at position 317, allowed are 0 to 9"):
        net.fit(words[:60], Y[:60], validation_data=(words, Y), mode=mode, **QUIET)  # all in one batch
    with pytest.raises(IndexError, match=rf"Embedding\(10, 4\) \(layer e\): X has index {wrong} in row 63"):
        Words().predict(words, batch_size=32)
    assert unchanged(net, before)


def test_indices_of_own_layers_alone():
    net = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(8, 2))
    words = RNG.integers(0, 10, (64, 2))
    words[50, 1] = 11
    before = values(net)
    with pytest.raises(IndexError, match=r"Embedding\(10, 4\) \(layer 0\): X has index 11 in row 50"):
        net.fit(words, Y, shuffle=False, **QUIET)
    assert unchanged(net, before)


@pytest.mark.parametrize("mode", [None, "eager"])
@pytest.mark.parametrize(
    "loss",
    [nn.functional.cross_entropy, lambda y, t: nn.functional.cross_entropy(y, t), lambda y, t: nn.NLLLoss()(y, t) + 1],
)
def test_labels_are_checked_before_the_first_step(loss, mode):
    wrong = Y.copy()
    wrong[63] = 7
    net = nn.Linear(3, 2)
    before = values(net)
    with pytest.raises(ValueError, match=r"y has label 7 (at|in) row 63, expected 0\.\.1"):
        net.fit(X, wrong, loss=loss, shuffle=False, mode=mode, **QUIET)
    assert unchanged(net, before)


def test_functions_are_losses():
    functional = nn.functional
    pairs = {
        "mse": functional.mse_loss, "mae": functional.l1_loss, "huber": functional.huber_loss,
        "smooth_l1": functional.smooth_l1_loss, "bce": functional.binary_cross_entropy,
        "bce_with_logits": functional.binary_cross_entropy_with_logits, "cross_entropy": functional.cross_entropy,
        "nll": functional.nll_loss, "hinge": functional.hinge_loss, "kl_div": functional.kl_div,
        "zero_one": functional.zero_one_loss,
    }  # fmt: skip
    assert set(pairs) <= set(nn.losses.BY_NAME)
    for name, function in pairs.items():
        assert type(nn.losses.get(function)) is nn.losses.BY_NAME[name]
    found = nn.Linear(3, 2).evaluate(X, Y, loss=functional.cross_entropy, sample_weight=np.ones(64))
    assert found["loss"] > 0


def test_an_op_names_itself_once():
    net = nn.Linear(3, 1, init=0.0, bias_init=0.5)
    with pytest.raises(ValueError, match=r"^bce: input has [0-9.]+ at element \d+, expected probabilities"):
        net.fit(X, Y, loss="bce", optimizer=optim.SGD(lr=5.0), batch_size=8, **QUIET)


# ---- before the first step ----


def test_an_iterator_is_good_for_one_epoch():
    net = nn.Linear(3, 2)
    before = values(net)
    with pytest.raises(ValueError, match="X is an iterator, which can be read once, but epochs=2: give a list"):
        net.fit((batch for batch in [(X, Y)]), epochs=2, **QUIET)
    assert unchanged(net, before)
    assert net.fit((batch for batch in [(X, Y)]), epochs=1, **QUIET).steps == 1
    assert net.fit(lambda: (batch for batch in [(X, Y)]), epochs=2, **QUIET).steps == 2


def test_a_folder_is_no_file(tmp_path):
    net = nn.Linear(3, 2)
    before = values(net)
    for given in (
        {"checkpoint": tmp_path},
        {"callbacks": [pn.callbacks.ModelCheckpoint(tmp_path)]},
        {"callbacks": [pn.callbacks.CSVLogger(tmp_path)]},
    ):
        with pytest.raises(IsADirectoryError, match="cannot be written: it is a folder, give the path of a file"):
            net.fit(X, Y, **given, **QUIET)
    assert unchanged(net, before)
    with pytest.raises(IsADirectoryError, match="cannot be written: it is a folder, give the path of a file"):
        net.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_value_is_named_in_a_plain_sentence():
    with pytest.raises(KeyError) as error:
        nn.Linear(3, 2).fit(X, Y, callbacks=[pn.callbacks.EarlyStopping(monitor="val_acc")], **QUIET)
    assert str(error.value) == (
        "EarlyStopping: there is no 'val_acc', only loss; give validation_data or validation_split"
    )
    assert isinstance(error.value, ValueError)
    net = nn.Linear(3, 2)
    before, rule = values(net), optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(KeyError) as error:
        net.fit(X, Y, optimizer=rule, callbacks=[optim.lr_scheduler.ReduceLROnPlateau(rule, monitor="acc")], **QUIET)
    assert str(error.value) == "ReduceLROnPlateau: there is no 'acc', only loss"
    assert unchanged(net, before)
