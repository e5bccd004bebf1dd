"""What a first lesson stumbles over: mistakes are found before the first step, and nothing changes without a word."""

import networks
import numpy as np
import pytest
from test_bad_input import X, Y, refused, regression

import pyneuro as pn
from pyneuro import nn, optim

ONE = X[:, :1]


def test_prediction_of_all_rows_by_any_batch_size():
    net = networks.dense()
    expected = net.predict(X)  # fewer rows than the default batch
    for size in (len(X), 256, len(X) - 1, 7, len(X), 1000):
        np.testing.assert_allclose(net.predict(X, batch_size=size), expected, rtol=1e-6, atol=1e-7)


def test_rows_are_those_of_the_user_after_a_validation_split():
    x, y = X.copy(), Y.copy()
    x[39, 0] = np.nan
    assert refused(ValueError, "NaN", x=x, validation_split=0.25) == "X holds NaN in row 39"
    y[38] = 7
    refused(ValueError, "label 7 at row 38", y=y, validation_split=0.25)


@pytest.mark.parametrize(
    ("loss", "y", "match"),
    [
        ("bce_with_logits", Y[:, None], "y has 2 at row [0-9]+, but BCEWithLogitsLoss takes 0, 1 or a probability"),
        ("hinge", Y[:, None] > 0, "y has 0 at row [0-9]+, but HingeLoss takes -1 or 1"),
    ],
)
def test_targets_of_another_loss(loss, y, match):
    refused(ValueError, match, regression(), y=y, loss=loss)


def test_scores_squeezed_twice():
    net = nn.Sequential(nn.Linear(6, 3), nn.Softmax(dim=1))
    refused(ValueError, r"ends with Softmax, but CrossEntropyLoss takes raw scores: .* loss='nll'", net)
    net = nn.Sequential(nn.Linear(6, 1), nn.Sigmoid())
    refused(ValueError, "take loss='bce'", net, y=Y[:, None] > 0, loss="bce_with_logits")


@pytest.mark.parametrize("value", [None, 1.0, np.float32(2)])
def test_a_loss_that_returns_no_tensor(value):
    refused(TypeError, "loss <lambda> returned .*, expected a Tensor", loss=lambda output, target: value)


def test_teaching_mode_names_operation_and_layer_of_the_first_nan():
    class Log(nn.Module):
        def forward(self, x):
            return (x * 0.0 - 1.0).log()

    net = nn.Sequential(nn.Linear(6, 3), Log())
    refused(FloatingPointError, r"step 1 \(epoch 1\): log in Log \(layer 1\): the first NaN", net, mode="eager")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"metrics": 3}, TypeError, "metrics must be a list"),
        ({"callbacks": 3}, TypeError, "callbacks must be a list"),
        ({"class_weight": 3}, TypeError, "class_weight must be a dict"),
        ({"class_weight": "balanced"}, TypeError, "class_weight"),
        ({"class_weight": {"cat": 1.0}}, TypeError, "class_weight must be a dict"),
        ({"class_weight": [1.0, 2.0]}, ValueError, "class_weight has 2 weights, but y has class 2"),
        ({"checkpoint": 3}, TypeError, "checkpoint must be a path"),
        ({"checkpoint": "no/such/folder/x.safetensors"}, FileNotFoundError, "checkpoint=.* there is no folder"),
        ({"callbacks": [pn.callbacks.ModelCheckpoint("no/such/x.safetensors")]}, FileNotFoundError, "no folder"),
        ({"callbacks": [pn.callbacks.ModelCheckpoint("{val_acc}.safetensors")]}, KeyError, "names 'val_acc'.* loss"),
    ],
)
def test_arguments(arguments, error, match):
    refused(error, match, **arguments)


def test_more_rows_and_epochs_than_fit_a_number():
    net = networks.dense()
    history = net.fit(X, Y, batch_size=10**30, epochs=10**30, stop=pn.stop.StepBelow(1e9), verbose=0)
    assert len(history.epoch) == 1


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 3), nn.Linear(6, 1)

    def forward(self, x):
        return {"kind": self.a(x), "size": self.b(x)}


def test_named_outputs_and_their_losses_and_targets():
    both = {"kind": "cross_entropy", "size": "mse"}
    y = {"size": ONE, "kind": Y}
    TwoHeads().fit(X, y, loss=both, epochs=1, verbose=0)
    refused(ValueError, "losses for kind, but the outputs are kind, size", TwoHeads(), y=y, loss={"kind": "mse"})
    wrong = {"sise": ONE, "kind": Y}
    refused(ValueError, "targets for sise, kind, but the outputs are", TwoHeads(), y=wrong, loss=both)


def test_each_batch_of_a_stream_is_checked():
    batches = [(X[:20], Y[:20]), (X[20:], Y[20:] + 5)]
    with pytest.raises(
        ValueError, match=r"^y of batch 2 \(epoch 1\) has label . at row .*, expected 0..2: the network has 3 outputs"
    ):
        networks.dense().fit(batches, epochs=1, verbose=0)


@pytest.mark.parametrize("mode", [None, "eager"])
def test_nan_in_a_stream_is_named_by_batch_epoch_and_row(mode):
    def batches():
        for part in np.array_split(np.arange(40), 4):
            yield X[part], Y[part]

    def spoilt():
        calls.append(1)
        for number, (x, y) in enumerate(batches()):
            if number == 2 and len(calls) == 2:
                x[4, 1] = np.nan
            yield x, y

    calls = []
    net, same = networks.dense(), networks.dense()
    with pytest.raises(ValueError, match=r"^x of batch 3 \(epoch 2\) holds NaN in row 4$"):
        net.fit(spoilt, epochs=3, seed=0, verbose=0, mode=mode)
    assert net.history.steps == 6

    steps = [b for _ in range(2) for b in batches()][:6]
    same.fit(steps, epochs=1, seed=0, verbose=0, mode=mode)
    assert networks.same_bits(net, same)


def test_a_step_that_fails_in_a_later_epoch_of_a_stream_says_which():
    net = networks.dense()

    class Spoil(pn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pn.no_grad():
                self.model[0].weight[0, 0] = 3e38 if epoch == 1 else 0.5

    with pytest.raises(FloatingPointError, match=r"^step 5 \(epoch 3\): "):
        net.fit([(X[:20] + 9, Y[:20]), (X[20:] + 9, Y[20:])], epochs=3, verbose=0, callbacks=[Spoil()])


class AtEpoch(pn.callbacks.Callback):
    """Does something to the network after the first epoch."""

    def __init__(self, change):
        self.change = change

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            self.change(self.model)
            self.weight = np.array(self.model[0].weight.numpy())


def test_a_layer_frozen_between_epochs_stays_as_it_is():
    def freeze(net):
        net[0].requires_grad_(False)

    nets = [networks.dense() for _ in range(2)]
    for net, mode in zip(nets, ("plan", "eager"), strict=True):
        callback = AtEpoch(freeze)
        history = net.fit(X, Y, epochs=3, batch_size=16, seed=3, callbacks=[callback], mode=mode, verbose=0)
        np.testing.assert_array_equal(callback.weight, net[0].weight.numpy())
        assert history.mode == mode
        assert len(history.epoch) == 3
    assert networks.distance(*nets) < 1e-5


def test_a_layer_thawed_between_epochs_is_trained():
    def thaw(net):
        net[0].requires_grad_(True)

    net = networks.dense()
    net[0].requires_grad_(False)
    callback = AtEpoch(thaw)
    net.fit(X, Y, epochs=2, optimizer=optim.SGD(lr=0.1), callbacks=[callback], verbose=0)
    assert np.abs(callback.weight - net[0].weight.numpy()).max() > 0


def test_a_dropout_rate_changed_between_epochs():
    def drop(net):
        net[2].p = 0.9

    losses = {}
    for mode in ("plan", "eager"):
        net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3), seed=0)
        history = net.fit(X, Y, epochs=3, seed=0, callbacks=[AtEpoch(drop)], mode=mode, verbose=0)
        losses[mode] = history.history["loss"]
    np.testing.assert_allclose(losses["plan"], losses["eager"], rtol=1e-5)


def test_initial_values_that_a_function_returns():
    assert nn.Linear(2, 2, init=lambda w: np.eye(2)).weight.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(ValueError, match=r"shape \(7,\), expected \(2, 2\)"):
        nn.Linear(2, 2, init=lambda w: np.ones(7))


def test_gradcheck_of_a_function_that_returns_a_number():
    with pytest.raises(TypeError, match="fn returned float, expected a Tensor"):
        pn.gradcheck(lambda x: 1.0, [1.0])


def test_a_model_saved_into_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="cannot be written: there is no folder"):
        networks.dense().save(tmp_path / "no" / "m.safetensors")
