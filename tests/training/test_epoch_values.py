"""Values of an epoch are those of all samples at once, whatever the size of the batches."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim

RNG = np.random.default_rng(5)
X, T, Y = RNG.standard_normal((100, 3)), RNG.standard_normal((100, 2)), RNG.integers(0, 4, 100)
IGNORED = np.where(np.arange(100) < 40, -100, Y)
WEIGHT = np.array([1.0, 5.0, 0.5, 0.0])

CASES = {
    "sum": (2, T, lambda: nn.MSELoss(reduction="sum")),
    "mean": (2, T, nn.MSELoss),
    "cross_entropy sum": (4, Y, lambda: nn.CrossEntropyLoss(reduction="sum")),
    "weights": (4, Y, lambda: nn.CrossEntropyLoss(weight=WEIGHT)),
    "weights and smoothing": (4, Y, lambda: nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2)),
    "ignored": (4, IGNORED, nn.CrossEntropyLoss),
    "ignored and weights": (4, IGNORED, lambda: nn.CrossEntropyLoss(weight=WEIGHT)),
    "ignored class": (4, Y, lambda: nn.CrossEntropyLoss(ignore_index=2)),
    "nll": (4, IGNORED, nn.NLLLoss),
    "probabilities": (4, np.eye(4)[Y], lambda: nn.CrossEntropyLoss(weight=WEIGHT)),
    "bce weights": (2, (T > 0) * 1.0, lambda: nn.BCEWithLogitsLoss(pos_weight=[2.0, 3.0])),
}


def dynamic(net):
    """The same network, whose forward looks at values."""

    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            y = self.net(x)
            float(y.sum())
            return y

    return Looks()


def network(columns):
    return nn.Sequential(nn.Linear(3, columns), nn.LogSoftmax(dim=1), seed=0).to("float64")


@pytest.mark.filterwarnings("ignore:.*step by step")
@pytest.mark.parametrize("mode", ["plan", "eager"])
@pytest.mark.parametrize("batch", [10, 33, 100])
@pytest.mark.parametrize("case", CASES)
def test_evaluate_is_the_loss_of_all_rows(case, batch, mode):
    columns, y, make = CASES[case]
    net, loss = network(columns), make()
    want = loss(net(X), y).item()
    asked = dynamic(net) if mode == "eager" else net
    assert asked.evaluate(X, y, loss=make(), batch_size=batch)["loss"] == pytest.approx(want, rel=1e-12)
    as_metric = asked.evaluate(X, y, loss=make(), metrics=[make()], batch_size=batch)
    assert as_metric[type(loss).__name__] == pytest.approx(want, rel=1e-12)


@pytest.mark.filterwarnings("ignore:.*step by step")
@pytest.mark.parametrize("mode", ["plan", "eager", "stream"])
@pytest.mark.parametrize("case", CASES)
def test_history_is_the_loss_of_all_rows(case, mode):
    columns, y, make = CASES[case]
    net, loss, rate = network(columns), make(), optim.SGD(lr=0.0)
    order = np.random.default_rng(0).permutation(100)  # no batch without a row that counts
    x, y = X[order], y[order]
    want = loss(net(x), y).item()
    more = {"loss": make(), "optimizer": rate, "epochs": 2, "verbose": 0, "shuffle": False}
    if mode == "stream":
        history = net.fit([(x[i : i + 32], y[i : i + 32]) for i in range(0, 100, 32)], **more)
    else:
        history = net.fit(x, y, batch_size=32, mode=mode, validation_data=(x, y), **more)
        np.testing.assert_allclose(history.history["val_loss"], [want, want], rtol=1e-12)
    np.testing.assert_allclose(history.history["loss"], [want, want], rtol=1e-12)


@pytest.mark.parametrize("batch", [10, 33, 100])
def test_rows_that_do_not_count_are_neither_right_nor_wrong(batch):
    net = network(4)
    right = (net.predict(X).argmax(axis=1) == Y)[40:].mean()
    found = net.evaluate(X, IGNORED, metrics=["accuracy", "top_2_accuracy", "zero_one"], batch_size=batch)
    assert found["accuracy"] == pytest.approx(right, rel=1e-12)
    assert found["zero_one"] == pytest.approx(1 - right, rel=1e-12)
    assert right < found["top_2_accuracy"] <= 1


def test_nothing_counts():
    found = network(4).evaluate(X, np.full(100, -100), metrics=["accuracy"])
    assert np.isnan(found["loss"])
    assert np.isnan(found["accuracy"])


def test_sums_with_weights_of_samples_and_of_several_outputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 4)

        def forward(self, x):
            return {"a": self.a(x), "b": self.b(x)}

    net, w = Two().to("float64"), RNG.random(100)
    outputs = net.predict(X)
    losses = {"a": nn.MSELoss(reduction="sum"), "b": nn.CrossEntropyLoss(weight=WEIGHT)}
    want = ((outputs["a"] - T) ** 2).sum(), nn.CrossEntropyLoss(weight=WEIGHT)(outputs["b"], Y).item()
    for batch in (10, 33):
        found = net.evaluate(X, {"a": T, "b": Y}, loss=losses, batch_size=batch)
        assert (found["a_loss"], found["b_loss"]) == pytest.approx(want, rel=1e-12)
        assert found["loss"] == pytest.approx(sum(want), rel=1e-12)
    net = nn.Linear(3, 2).to("float64")
    want = (((net.predict(X) - T) ** 2).sum(axis=1) * w).sum()
    for batch in (10, 33):
        found = net.evaluate(X, T, loss=nn.MSELoss(reduction="sum"), sample_weight=w, batch_size=batch)
        assert found["loss"] == pytest.approx(want, rel=1e-12)


def test_a_run_that_was_interrupted_goes_on_to_the_same_values(tmp_path):
    def run(resume=False, interrupt=None):
        class Stop(pn.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if interrupt == (len(self.model.history.epoch), batch):
                    raise KeyboardInterrupt

        net = network(4)
        more = {"loss": nn.CrossEntropyLoss(weight=WEIGHT), "callbacks": [Stop()], "checkpoint": tmp_path / "c.st"}
        return net.fit(X, Y, batch_size=32, epochs=3, verbose=0, seed=0, resume=resume, **more).history["loss"]

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(interrupt=(1, 2))
    assert run(resume=True) == whole


def test_real_targets_of_cross_entropy_are_probabilities():
    net, wrong = network(2), np.full((100, 2), 7.0)
    for call in (lambda **k: net.fit(X, wrong, verbose=0, **k), lambda **k: net.evaluate(X, wrong, **k)):
        with pytest.raises(ValueError, match=r"y has the numbers 7, 7 in row 0, .*for a regression take loss='mse'"):
            call()
    soft = np.full((100, 2), 0.5)
    soft[70] = 1.5, -0.5
    with pytest.raises(ValueError, match=r"the numbers 1\.5, -0\.5 in row 70"):
        net.fit(X, soft, verbose=0)
    assert net.evaluate(X, wrong, loss=nn.CrossEntropyLoss())["loss"] > 0  # any numbers, as in PyTorch
