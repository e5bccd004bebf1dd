"""What `fit` means: validation, weights, several inputs and outputs, streams, callbacks, stopping, schedules."""

import csv
import itertools

import networks
import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim

F = nn.functional


def quick(net, x, y, **more):
    return net.fit(
        x, y, **{"optimizer": optim.SGD(lr=0.1), "epochs": 2, "batch_size": 10, "seed": 0, "verbose": 0, **more}
    )


def double(make=networks.dense):
    return make().to("float64")


# ---- data in any form ----


@pytest.mark.parametrize(
    "kind", ["float64", "float32", "list", "tensor", "fortran", "reversed", "big-endian", "float16"]
)
def test_any_kind_of_array(kind):
    """The same numbers in another form give the same training."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(-4, 5, (40, 6)) / 4.0, rng.integers(0, 3, 40)
    a, b = double(), double()
    quick(a, x, y)
    forms = {
        "float64": x.copy(), "float32": x.astype(np.float32), "list": x.tolist(), "tensor": pn.tensor(x),
        "fortran": np.asfortranarray(x), "reversed": x[::-1].copy()[::-1], "big-endian": x.astype(">f8"),
        "float16": x.astype(np.float16),
    }  # fmt: skip
    quick(b, forms[kind], y.astype(np.int16) if kind == "float16" else y.tolist() if kind == "list" else y)
    assert networks.same_bits(a, b)


def test_bytes_and_booleans_become_real():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 6), dtype=np.uint8), rng.integers(0, 3, 40).astype(np.uint8)
    a, b = double(), double()
    quick(a, x, y, optimizer=optim.SGD(lr=1e-5))
    quick(b, x.astype(np.float64), y, optimizer=optim.SGD(lr=1e-5))
    assert networks.same_bits(a, b)
    quick(double(), x > 128, y)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    x, y = networks.data()
    a, b = double(), double()
    quick(a, x, y)
    quick(b, torch.tensor(x), torch.tensor(y))
    assert networks.same_bits(a, b)
    assert np.array_equal(a.predict(x), b.predict(torch.tensor(x)))


def test_labels_in_a_column_and_one_hot():
    x, y = networks.data()
    a, b, c = double(), double(), double()
    quick(a, x, y)
    quick(b, x, y[:, None])
    assert networks.same_bits(a, b)
    quick(c, x, np.eye(3)[y])
    assert networks.distance(a, c) < 1e-12


def test_integers_feed_an_embedding():
    net = nn.Sequential(nn.Embedding(11, 4), nn.Flatten(), nn.Linear(12, 2), seed=0)
    x = np.random.default_rng(0).integers(0, 11, (60, 3))
    history = quick(net, x, (x[:, 0] > 5).astype(int), optimizer=optim.Adam(lr=0.05), epochs=30)
    assert history.mode == "plan"
    assert history.history["loss"][-1] < 0.2
    assert net.predict(x).shape == (60, 2)


# ---- losses ----


@pytest.mark.parametrize(
    "loss", ["mse", "half_mse", "mae", "huber", "smooth_l1", nn.MSELoss(), nn.HuberLoss(delta=0.5)]
)
def test_regression_losses(loss):
    x, _ = networks.data()
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1), seed=0)
    target = x[:, :1] * 0.5 - x[:, 1:2]
    before = net.evaluate(x, target, loss=loss)["loss"]
    history = quick(net, x, target[:, 0] if loss == "mse" else target, loss=loss, epochs=30)
    assert history.history["loss"][-1] < 0.5 * before


def test_binary_losses_and_their_labels():
    x, _ = networks.data()
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    for loss, last in (("bce_with_logits", []), ("bce", [nn.Sigmoid()])):
        net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1), *last, seed=0)
        history = quick(net, x, y[:, None], loss=loss, optimizer=optim.Adam(lr=0.05), epochs=30, metrics=["accuracy"])
        assert history.history["accuracy"][-1] > 0.95
        labels, proba = net.predict_labels(x), net.predict_proba(x)
        assert labels.shape == (90,)
        assert proba.shape == (90, 1)
        assert ((proba >= 0) & (proba <= 1)).all()
        np.testing.assert_array_equal(labels, (proba[:, 0] > 0.5).astype(int))
        np.testing.assert_array_equal(net.predict_labels(x, threshold=0.9), (proba[:, 0] > 0.9).astype(int))
        assert net.evaluate(x, y[:, None])["accuracy"] == pytest.approx((labels == y).mean())


def test_hinge_and_its_accuracy():
    x, _ = networks.data()
    y = np.where(x[:, 0] > 0, 1, -1)
    net = nn.Sequential(nn.Linear(6, 1), seed=0)
    history = quick(net, x, y[:, None], loss="hinge", epochs=30, metrics=["accuracy"])
    assert history.history["accuracy"][-1] > 0.95


def test_probabilities_of_classes():
    x, y = networks.data()
    net = networks.dense()
    quick(net, x, y)
    proba = net.predict_proba(x)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(proba.argmax(1), net.predict_labels(x))
    softmax = nn.Sequential(*net, nn.Softmax())
    np.testing.assert_allclose(softmax.predict_proba(x), proba, rtol=1e-6)


def test_callable_loss_and_metric():
    x, y = networks.data()
    a, b = double(), double()
    quick(a, x, y)

    def largest(output, target):
        return output.max()

    history = quick(b, x, y, loss=lambda output, target: F.cross_entropy(output, target), metrics=[largest, "accuracy"])
    assert networks.distance(a, b) < 1e-12
    assert history.mode == "plan"
    assert list(history.history) == ["loss", "largest", "accuracy"]


def test_without_targets():
    x, _ = networks.data()
    net = nn.Sequential(nn.Linear(6, 2), seed=0)
    history = net.fit(x, loss=lambda output: (output * output).mean(), epochs=3, verbose=0, seed=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


class TwoHeads(nn.Module):
    def __init__(self, as_dict=False):
        super().__init__()
        self.a, self.b = nn.Linear(6, 3), nn.Linear(4, 1)
        self.as_dict = as_dict

    def forward(self, left, right):
        classes, value = self.a(left), self.b(right)
        return {"classes": classes, "value": value} if self.as_dict else (classes, value)


def test_several_inputs_and_outputs():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((50, 6)), rng.standard_normal((50, 4))
    y, v = left[:, :3].argmax(1), right[:, :1]
    net = TwoHeads().to("float64")
    one = quick(net, (left, right), (y, v), loss=["cross_entropy", ("mse", 0.5)])
    assert list(one.history) == ["loss", "output_0_loss", "output_1_loss"]
    np.testing.assert_allclose(
        one.history["loss"], np.add(one.history["output_0_loss"], one.history["output_1_loss"]), rtol=1e-12
    )
    named = TwoHeads(True).to("float64")
    named.load_state_dict(TwoHeads().state_dict() | net.state_dict())
    data = {"right": right, "left": left}, {"value": v, "classes": y}
    losses = {"classes": "cross_entropy", "value": "mse"}
    two = quick(named, *data, loss=losses, loss_weights={"classes": 1.0, "value": 0.5})
    assert list(two.history) == ["loss", "classes_loss", "value_loss"]
    out = named.predict({"right": right, "left": left})
    assert {k: a.shape for k, a in out.items()} == {"classes": (50, 3), "value": (50, 1)}
    assert [a.shape for a in net.predict((left, right))] == [(50, 3), (50, 1)]
    assert one.mode == two.mode == "plan"


# ---- weights ----


def test_sample_weights_mean_what_they_mean_in_keras():
    x, y = networks.data(30)
    w = np.random.default_rng(1).uniform(0, 2, 30)
    net = double()
    history = quick(net, x, y, sample_weight=w, batch_size=30, epochs=1, optimizer=optim.SGD(lr=0.0))
    each = F.cross_entropy(net(pn.tensor(x)), pn.tensor(y), reduction="none").detach().numpy()
    assert history.history["loss"][0] == pytest.approx((w * each).sum() / 30, rel=1e-12)
    assert net.evaluate(x, y, sample_weight=w)["loss"] == pytest.approx((w * each).sum() / 30, rel=1e-12)


def test_class_weights_are_sample_weights():
    x, y = networks.data()
    a, b, c = double(), double(), double()
    quick(a, x, y, class_weight={0: 2.0, 2: 0.5})
    quick(b, x, y, sample_weight=np.array([2.0, 1.0, 0.5])[y])
    assert networks.same_bits(a, b)
    quick(c, x, y, class_weight=[2.0, 1.0, 0.5], sample_weight=np.full(len(y), 0.5))
    assert not networks.same_bits(a, c)


def test_weight_two_is_twice_the_sample():
    x, y = networks.data(20)
    a, b = double(), double()
    w = np.ones(20)
    w[:5] = 2
    quick(a, x, y, sample_weight=w, batch_size=20, epochs=1, optimizer=optim.SGD(lr=0.25))
    rows = np.concatenate([np.arange(20), np.arange(5)])
    quick(b, x[rows], y[rows], batch_size=25, epochs=1, optimizer=optim.SGD(lr=0.25 * 25 / 20))
    assert networks.distance(a, b) < 1e-12


# ---- validation ----


def test_validation_is_evaluate():
    x, y = networks.data()
    net = double()
    history = quick(net, x, y, validation_data=(x[:33], y[:33]), metrics=["accuracy"])
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    found = net.evaluate(x[:33], y[:33])
    assert found == {"loss": history.history["val_loss"][-1], "accuracy": history.history["val_accuracy"][-1]}


def test_validation_split_takes_the_last_rows():
    x, y = networks.data(100)
    a, b = double(), double()
    one = quick(a, x, y, validation_split=0.2)
    two = quick(b, x[:80], y[:80], validation_data=(x[80:], y[80:]))
    assert networks.same_bits(a, b)
    assert one.history == two.history


def test_predictions_do_not_depend_on_the_batch():
    x, _ = networks.data(700)
    net = networks.wide()
    x = np.random.default_rng(0).standard_normal((700, 300)).astype(np.float32)
    whole = net.predict(x)
    np.testing.assert_allclose(net.predict(x, batch_size=17), whole, rtol=1e-4, atol=1e-6)
    assert np.array_equal(net.predict(x[:256]), whole[:256])
    assert np.array_equal(net.predict(x), whole)
    with pn.no_grad():
        net[0].bias += 1.0
    assert not np.array_equal(net.predict(x), whole)
    net[1] = nn.Tanh()
    np.testing.assert_allclose(net.predict(x[:9]), net(pn.tensor(x[:9])).detach().numpy(), rtol=1e-4, atol=1e-6)


# ---- streams ----


class Batches:
    def __init__(self, x, y, n):
        self.x, self.y, self.n = x, y, n

    def __iter__(self):
        for i in range(0, len(self.x), self.n):
            yield self.x[i : i + self.n], self.y[i : i + self.n]


def test_an_iterable_of_batches():
    x, y = networks.data(50)
    a, b, c = double(), double(), double()
    one = quick(a, x, y, shuffle=False, batch_size=7, epochs=3, metrics=["accuracy"], validation_data=(x, y))
    two = quick(b, Batches(x, y, 7), None, epochs=3, metrics=["accuracy"], validation_data=(x, y))
    three = quick(c, lambda: iter(Batches(x, y, 7)), None, epochs=3, mode="eager")
    assert networks.same_bits(a, b)
    assert networks.distance(a, c) < 1e-12
    assert (one.mode, two.mode, three.mode) == ("plan", "plan", "eager")
    np.testing.assert_allclose(one.history["loss"], two.history["loss"], rtol=1e-14)
    assert one.history["val_accuracy"] == two.history["val_accuracy"]
    assert one.steps == two.steps == three.steps == 24
    with pytest.raises(ValueError, match="read once"):
        quick(double(), iter(Batches(x, y, 7)), None)
    assert quick(double(), list(Batches(x, y, 7)), None, epochs=1).steps == 8


# ---- callbacks ----


class Record(pn.callbacks.Callback):
    def __init__(self):
        self.seen = []

    def on_train_begin(self, logs=None):
        self.seen.append("train begin")

    def on_train_end(self, logs=None):
        self.seen.append("train end")

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(f"epoch {epoch} begin")

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(f"epoch {epoch} end {sorted(logs)}")

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(f"batch {batch} begin")

    def on_batch_end(self, batch, logs=None):
        self.seen.append(f"batch {batch} end {sorted(logs)}")

    def on_test_begin(self, logs=None):
        self.seen.append("test begin")


@pytest.mark.parametrize("mode", ["plan", "eager"])
def test_hooks_come_in_keras_order(mode):
    x, y = networks.data(20)
    record = Record()
    quick(double(), x, y, callbacks=[record], validation_data=(x, y), mode=mode)
    epoch = [
        "epoch {} begin", "batch 0 begin", "batch 0 end ['loss']", "batch 1 begin", "batch 1 end ['loss']",
        "test begin", "epoch {} end ['loss', 'val_loss']",
    ]  # fmt: skip
    expected = itertools.chain(["train begin"], *([line.format(i) for line in epoch] for i in (0, 1)), ["train end"])
    assert record.seen == list(expected)


def test_inside_a_callback():
    """Predictions and values are those of the last completed step; a second fit and load_state_dict are refused."""
    x, y = networks.data(40)
    seen = []

    class Look(pn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            out = self.model.predict(x[:5])
            state = {k: np.array(v.numpy()) for k, v in self.model.state_dict().items()}
            copy = networks.dense().to("float64")
            copy.load_state_dict(state)
            seen.append(np.array_equal(out, copy.predict(x[:5])))
            for forbidden in (lambda: quick(self.model, x, y), lambda: self.model.load_state_dict(state)):
                with pytest.raises(RuntimeError, match="fit"):
                    forbidden()

    a, b = double(), double()
    quick(a, x, y, callbacks=[Look()])
    quick(b, x, y)
    assert seen == [True] * 8
    assert networks.same_bits(a, b)


def test_a_callback_may_end_the_training():
    x, y = networks.data(40)

    class End(pn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    history = quick(double(), x, y, callbacks=[End()], epochs=5)
    assert history.steps == 3
    assert history.stopped_by == "callback"


def test_an_error_in_a_callback_leaves_the_last_step():
    x, y = networks.data(40)

    class Break(pn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyError("mine")

    a, b = double(), double()
    with pytest.raises(KeyError, match="mine"):
        quick(a, x, y, callbacks=[Break()], epochs=9)
    quick(b, x, y, epochs=2)
    assert networks.same_bits(a, b)
    assert a.history.steps == 8
    assert len(a.history.history["loss"]) == 2
    quick(a, x, y, epochs=1)


def test_early_stopping_and_best_weights():
    x, _ = networks.data(60)
    y = np.random.default_rng(0).integers(0, 3, 60)  # noise: validation can only get worse
    val = networks.data(60, seed=5)
    for stop in ("callback", "rule"):
        net = networks.dense(64).to("float64")
        early = pn.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
        rule = pn.stop.Patience(3, restore_best=True)
        more = {"callbacks": [early]} if stop == "callback" else {"stop": rule}
        history = quick(net, x, y, optimizer=optim.Adam(lr=0.02), epochs=100, validation_data=val, **more)
        losses = history.history["val_loss"]
        assert len(losses) == int(np.argmin(losses)) + 1 + 3 < 100
        assert net.evaluate(*val)["loss"] == min(losses)
        assert history.stopped_by == ("EarlyStopping" if stop == "callback" else rule.reason)


def test_model_checkpoint_and_csv(tmp_path):
    x, y = networks.data(40)
    net = networks.dense()
    table = tmp_path / "log.csv"
    keep = pn.callbacks.ModelCheckpoint(tmp_path / "net-{epoch:02d}-{loss:.2f}.safetensors")
    best = pn.callbacks.ModelCheckpoint(tmp_path / "best.safetensors", monitor="loss", save_best_only=True)
    history = quick(net, x, y, epochs=3, callbacks=[keep, best, pn.callbacks.CSVLogger(table)], metrics=["accuracy"])
    assert len(list(tmp_path.glob("net-*.safetensors"))) == 3
    assert np.array_equal(pn.load(tmp_path / "best.safetensors").predict(x), net.predict(x))
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["epoch"] for r in rows] == ["0", "1", "2"]
    assert [float(r["loss"]) for r in rows] == history.history["loss"]


def test_schedules_are_callbacks():
    x, y = networks.data(40)
    opt = optim.SGD(lr=0.4)
    rates = []

    class Rate(pn.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            rates.append(opt.lr)

    net = double()
    quick(net, x, y, optimizer=opt, epochs=5, callbacks=[Rate(), optim.StepLR(opt, 2, 0.5)])
    assert rates == [0.4, 0.4, 0.2, 0.2, 0.1]
    plateau = optim.ReduceLROnPlateau(opt, patience=0, factor=0.1, threshold=1e9)
    quick(net, x, y, optimizer=opt, epochs=3, callbacks=[plateau])
    assert opt.lr < 0.1
    with pytest.raises(ValueError, match="another optimiser"):
        quick(double(), x, y, callbacks=[optim.StepLR(opt, 2)])


def test_a_schedule_acts_in_the_plan_as_by_hand():
    x, y = networks.data(40)
    a, b = double(), double()
    one = optim.Adam(lr=0.1)
    quick(a, x, y, optimizer=one, epochs=4, shuffle=False, callbacks=[optim.ExponentialLR(one, 0.5)])
    two = optim.Adam(b.parameters())
    for lr in (0.1, 0.05, 0.025, 0.0125):
        two.lr = lr
        quick(b, x, y, optimizer=two, epochs=1, shuffle=False)
    assert networks.distance(a, b) < 1e-15


# ---- stopping, history, verbose ----


@pytest.mark.parametrize("mode", ["plan", "eager"])
def test_step_and_gradient_rules(mode):
    """Item 29 of lecture 002: t = 30 and t = 39, also when a batch is not an epoch."""
    for rows, rule, steps, w in (
        (1, pn.stop.StepBelow(1e-3), 30, 2.9962862),
        (5, pn.stop.GradBelow(1e-3), 39, 2.9995015),
    ):
        net = nn.Linear(1, 1, bias=False).to("float64")
        net.load_state_dict({"weight": [[0.0]]})
        x, y = np.ones((rows, 1)), np.full((rows, 1), 3.0)
        given = {
            "loss": "mse",
            "optimizer": optim.GD(lr=0.1),
            "epochs": 500,
            "batch_size": 1,
            "stop": rule,
            "mode": mode,
        }
        history = net.fit(x, y, verbose=0, **given)
        assert history.steps == steps
        assert net.weight.item() == pytest.approx(w, abs=5e-8)
        assert history.stopped_by == rule.reason
        assert len(history.history["loss"]) == -(-steps // rows)


def test_gd_takes_all_rows():
    x, y = networks.data(70)
    net = double()
    assert net.fit(x, y, optimizer=optim.GD(lr=0.1), epochs=3, verbose=0).steps == 3
    assert net.history.params["batch_size"] == 70
    assert net.fit(x, y, optimizer=optim.SGD(lr=0.1), epochs=3, verbose=0).steps == 9


def test_history_and_seed():
    x, y = networks.data()
    net = networks.dense(dropout=0.3)
    history = net.fit(x, y, epochs=2, verbose=0)
    assert net.history is history
    assert isinstance(history.seed, int)
    assert history.stopped_by == "epochs"
    assert history.epoch == [0, 1]
    assert history.params["steps"] == 3
    a, b = networks.dense(dropout=0.3), networks.dense(dropout=0.3)
    for one in (a, b):
        one.fit(x, y, epochs=2, seed=history.seed, verbose=0)
    assert networks.same_bits(a, b)


def test_seedless_fits_follow_manual_seed():
    x, y = networks.data()
    found = []
    for _ in range(2):
        pn.manual_seed(11)
        net = networks.dense()
        net.fit(x, y, epochs=1, verbose=0)
        found.append(net)
    assert networks.same_bits(*found)


def test_progress_bar_and_lines(capsys):
    x, y = networks.data()
    net = networks.dense()
    quick(net, x, y, verbose=1, epochs=3)
    shown = capsys.readouterr()
    assert "27/27" in shown.err and "loss" in shown.err
    quick(net, x, y, verbose=2)
    assert "Epoch 2/2 - loss: " in capsys.readouterr().out
    quick(net, x, y, verbose=0)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_forward_backward_leaves_gradients_and_a_graph():
    x, y = networks.data()
    net = double()
    before = networks.weights(net)
    loss = net.forward_backward(x, y)
    F.cross_entropy(net(pn.tensor(x)), pn.tensor(y)).backward()  # accumulates: twice the gradient now
    twice = [p.grad.numpy().copy() for p in net.parameters()]
    again = net.forward_backward(x, y)
    for p, g in zip(net.parameters(), twice, strict=True):
        np.testing.assert_allclose(2 * p.grad.numpy(), g, rtol=1e-12, atol=1e-15)
    assert loss.item() == again.item()
    assert loss.grad_fn is not None
    assert all(np.array_equal(before[k], v) for k, v in networks.weights(net).items())


def test_gradient_hooks_are_called():
    """Hooks on parameters want gradients in Python: the network trains step by step, and says so."""
    x, y = networks.data()
    net, seen = networks.dense(), []
    net[0].weight.register_hook(lambda g: seen.append(g.shape))
    with pytest.warns(UserWarning, match="hooks"):
        assert quick(net, x, y, epochs=1).mode == "eager"
    assert len(seen) == 9


class Scaled(nn.Module):
    def forward(self, x):
        return networks.Double.apply(x)


def test_python_functions_train_in_the_plan():
    x, y = networks.data()
    a = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), Scaled(), nn.Linear(8, 3), seed=0).to("float64")
    b = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), Scaled(), nn.Linear(8, 3), seed=0).to("float64")
    assert quick(a, x, y).mode == "plan"
    assert quick(b, x, y, mode="eager").mode == "eager"
    assert networks.distance(a, b) < 1e-12


def test_conversion_between_fits():
    """`to` gives parameters new memory: plans and optimiser state follow."""
    x, y = networks.data()
    net, opt = networks.dense(), optim.Adam(lr=0.01)
    quick(net, x, y, optimizer=opt)
    single = net.predict(x)
    net.to("float64")
    np.testing.assert_allclose(net.predict(x), single, rtol=1e-4, atol=1e-5)
    quick(net, x, y, optimizer=opt)
    assert opt.state_dict()["state"][0]["exp_avg"].dtype == np.float64
    assert opt.state_dict()["state"][0]["step"] == 36


def test_copies_and_pickles_go_on_training():
    import copy
    import pickle

    x, y = networks.data()
    net, opt = networks.dense(), optim.Adam(lr=0.01)
    quick(net, x, y, optimizer=opt)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(other.predict(x), net.predict(x))
        quick(other, x, y)
    again = copy.deepcopy(opt)
    assert again.state_dict()["state"][0]["step"] == 18
    assert pickle.loads(pickle.dumps(net.history)).history == net.history.history
