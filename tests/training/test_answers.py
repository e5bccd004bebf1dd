"""What outputs mean: one threshold for the metric, for labels and for probabilities, whatever loss and last layer."""

import numpy as np
import pytest

from pyneuro import nn, optim

HEADS = {"linear": [], "sigmoid": [nn.Sigmoid], "tanh": [nn.Tanh], "log_sigmoid": [nn.LogSigmoid]}
LOSSES = ("mse", "half_mse", "mae", "huber", "smooth_l1", "bce", "bce_with_logits", "hinge", "own")
SIGNED = ("mse", "half_mse", "mae", "huber", "smooth_l1", "hinge", "own")


def own(output, target):
    return ((output - target) ** 2).mean()


def data():
    x = np.random.default_rng(3).standard_normal((200, 2))
    return x, (x[:, 0] + x[:, 1] > 0.4).astype(int)


def trained(head, loss, y, epochs=20, columns=1, **more):
    x, _ = data()
    last = [layer() for layer in HEADS[head]]
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, columns), *last, seed=0).to("float64")
    more = {"metrics": ["accuracy"], **more}
    net.fit(
        x,
        y,
        loss=own if loss == "own" else loss,
        optimizer=optim.Adam(lr=0.03),
        epochs=epochs,
        seed=0,
        verbose=0,
        **more,
    )
    return net


def possible(head, loss):
    return not (head == "sigmoid" and loss == "bce_with_logits") and not (loss == "bce" and head != "sigmoid")


@pytest.mark.parametrize("dtype", [int, float])
@pytest.mark.parametrize(("head", "loss"), [(h, c) for h in HEADS for c in LOSSES if possible(h, c) and c != "hinge"])
def test_accuracy_is_the_share_of_right_labels(head, loss, dtype):
    x, y = data()
    net = trained(head, loss, y[:, None].astype(dtype))
    labels = net.predict_labels(x)
    assert set(labels.tolist()) <= {0, 1}
    assert net.evaluate(x, y[:, None])["accuracy"] == pytest.approx((labels == y).mean(), abs=1e-12)
    if head in ("linear", "sigmoid"):
        assert (labels == y).mean() > 0.9


@pytest.mark.parametrize("dtype", [int, float])
@pytest.mark.parametrize(("head", "loss"), [(h, c) for h in HEADS for c in SIGNED])
def test_labels_of_minus_one_and_one(head, loss, dtype):
    x, y = data()
    y = 2 * y - 1
    net = trained(head, loss, y[:, None].astype(dtype))
    labels = net.predict_labels(x)
    assert set(labels.tolist()) <= {-1, 1}
    assert net.evaluate(x, y[:, None])["accuracy"] == pytest.approx((labels == y).mean(), abs=1e-12)
    if head in ("linear", "tanh"):
        assert (labels == y).mean() > 0.9
    ones = y > 0  # rows of one class alone do not say which labels the others have
    assert net.evaluate(x[ones], y[ones, None])["accuracy"] == pytest.approx((labels[ones] == 1).mean(), abs=1e-12)


@pytest.mark.parametrize("loss", ["bce", "bce_with_logits"])
def test_several_answers_a_sample(loss):
    x, y = data()
    both = np.stack([y, x[:, 0] > 0], axis=1).astype(float)
    net = trained("sigmoid" if loss == "bce" else "linear", loss, both, columns=2)
    labels = net.predict_labels(x)
    assert labels.shape == (200, 2)
    assert net.evaluate(x, both)["accuracy"] == pytest.approx((labels == both).mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "target"), [("cross_entropy", "class"), ("cross_entropy", "row"), ("mse", "row"), ("mae", "row")]
)
def test_classes(loss, target):
    x, y = data()
    net = trained("linear", loss, y if target == "class" else np.eye(2)[y], columns=2)
    found = net.predict_labels(x)
    given = y if target == "class" else np.eye(2)[y]
    result = net.evaluate(x, given, metrics=["accuracy", "zero_one"] if loss == "cross_entropy" else ["accuracy"])
    assert result["accuracy"] == pytest.approx((found == y).mean(), abs=1e-12)
    assert result.get("zero_one", 1 - result["accuracy"]) == pytest.approx(1 - result["accuracy"], abs=1e-12)
    np.testing.assert_allclose(net.predict_proba(x).sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.8, 1.0])
@pytest.mark.parametrize(
    ("head", "loss"),
    [("linear", "mse"), ("linear", "bce_with_logits"), ("sigmoid", "bce"), ("sigmoid", "mse"), ("log_sigmoid", "mse")],
)
def test_a_threshold_is_one_of_probabilities(head, loss, threshold):
    x, y = data()
    net = trained(head, loss, y[:, None])
    p = net.predict_proba(x)[:, 0]
    assert ((p >= 0) & (p <= 1)).all()
    far = abs(p - threshold) > 1e-12
    np.testing.assert_array_equal(net.predict_labels(x, threshold)[far], (p > threshold)[far])


def test_a_regression_on_labels_estimates_probabilities():
    x, y = data()
    net = trained("linear", "mse", y[:, None])
    np.testing.assert_array_equal(net.predict_proba(x), np.clip(net.predict(x), 0, 1))
    net = trained("tanh", "mse", 2 * y[:, None] - 1)
    np.testing.assert_allclose(net.predict_proba(x), (1 + net.predict(x)) / 2)


def test_what_is_no_probability_is_refused():
    x, y = data()
    net = trained("linear", "hinge", 2 * y[:, None] - 1)
    with pytest.raises(ValueError, match="HingeLoss are no probabilities: predict"):
        net.predict_proba(x)
    net = trained("linear", "mse", x[:, :1], metrics=[])
    with pytest.raises(ValueError, match="follow targets other than 0 and 1: predict"):
        net.predict_proba(x)
    with pytest.raises(ValueError, match="threshold must be from 0 to 1, got 50"):
        net.predict_labels(x, threshold=50)


@pytest.mark.parametrize("y", [np.arange(200) % 2 + 1, np.arange(200) % 3 - 1, np.linspace(0, 1, 200)])
def test_accuracy_of_other_targets_is_refused(y):
    with pytest.raises(
        ValueError, match=r"accuracy needs targets of 0 and 1, or of -1 and 1, but y has .*'mse' or 'mae'"
    ):
        trained("linear", "mse", y[:, None])
    assert trained("linear", "mse", y[:, None], metrics=["mae"]).history.history["mae"]


def test_probabilities_as_targets_are_told_apart_at_one_half():
    x, y = data()
    net = trained("linear", "bce_with_logits", 0.1 + 0.8 * y[:, None])
    assert net.evaluate(x, 0.1 + 0.8 * y[:, None])["accuracy"] == pytest.approx(
        (net.predict_labels(x) == y).mean(), abs=1e-12
    )


# ---- metrics ----


@pytest.mark.parametrize(
    ("metric", "k"), [(("top_k_accuracy", 2), 2), ("top_2_accuracy", 2), ("top_7_accuracy", 7), ("top_k_accuracy", 5)]
)
def test_top_k(metric, k):
    rng = np.random.default_rng(0)
    scores, y = rng.standard_normal((300, 9)), rng.integers(0, 9, 300)
    right = (np.argsort(-scores, axis=1)[:, :k] == y[:, None]).any(axis=1).mean()
    for metrics in ([metric], metric):
        found = nn.Identity().evaluate(scores, y, metrics=metrics)
        name = metric if isinstance(metric, str) else "top_2_accuracy"
        assert found[name] == pytest.approx(right, abs=1e-6)


def test_top_k_needs_classes():
    with pytest.raises(
        ValueError, match=r"top_5_accuracy needs at least 5 classes, the network's output has shape \(4, 3\)"
    ):
        nn.Identity().evaluate(np.eye(4)[:, :3], [0, 1, 2, 0], metrics=["top_5_accuracy"])
    with pytest.raises(ValueError, match="k of top_k_accuracy must be at least 1"):
        nn.Identity().evaluate(np.eye(4), [0, 1, 2, 0], metrics=[("top_k_accuracy", 0)])
    with pytest.raises(ValueError, match="did you mean 'top_5_accuracy'"):
        nn.Identity().evaluate(np.eye(4), [0, 1, 2, 0], metrics=["top_5_acuracy"])


def test_the_indicator_loss_of_classes():
    rng = np.random.default_rng(0)
    scores, y = rng.standard_normal((300, 5)), rng.integers(0, 5, 300)
    wrong = (scores.argmax(axis=1) != y).mean()
    net = nn.Identity()
    assert nn.functional.zero_one_loss(scores, y).item() == pytest.approx(wrong)
    assert nn.ZeroOneLoss(reduction="none")(scores, y).shape == (300,)
    assert net.evaluate(scores, y, loss="zero_one")["loss"] == pytest.approx(wrong, abs=1e-6)
    assert net.evaluate(scores, y, loss="zero_one", batch_size=7)["loss"] == pytest.approx(wrong, abs=1e-6)
    assert net.evaluate(scores, y, metrics=["zero_one"])["zero_one"] == pytest.approx(wrong, abs=1e-6)
