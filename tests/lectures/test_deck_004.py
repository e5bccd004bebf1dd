"""Deck 004, "Deep learning: introduction": items 52-58 with their numbers."""

import math

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim
from tests.lectures.lecture import same, set_weights, t64

F = nn.functional


def test_item_52_two_linear_layers_are_one_scalar_form():
    """gamma0 = w0 w00 + w1 w01, gamma1 = w0 w10 + w1 w11: (1, 2, -1, 3, .5, 2) gives (-1.5, 7)."""
    w00, w10, w01, w11, w0, w1 = 1.0, 2.0, -1.0, 3.0, 0.5, 2.0
    net = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1, bias=False)).to("float64")
    set_weights(net, [[w10], [w11]], [w00, w01], [[w0, w1]])
    assert net(t64([[0.0]])).item() == -1.5
    assert net(t64([[1.0]])).item() - net(t64([[0.0]])).item() == 7.0
    x = np.linspace(-2, 2, 5)[:, None]
    np.testing.assert_allclose(net.predict(x), -1.5 + 7 * x, rtol=0, atol=1e-14)


def test_item_53_activations_with_the_lecture_derivative_at_zero():
    """sigmoid, tanh, ReLU, LReLU(.1), ELU(1) and their derivatives at -1, 0, 2, with ReLU'(0) = 1."""

    def at(function):
        x = t64([-1.0, 0.0, 2.0], grad=True)
        y = function(x)
        y.sum().backward()
        return y.tolist(), x.grad.tolist()

    e = math.exp
    s = [1 / (1 + e(1)), 0.5, 1 / (1 + e(-2))]
    h = [math.tanh(-1), 0, math.tanh(2)]
    cases = [
        (F.sigmoid, s, [p * (1 - p) for p in s]),
        (F.tanh, h, [1 - p * p for p in h]),
        (nn.ReLU(relu_grad_at_zero=1), [0, 0, 2], [0, 1, 1]),
        (nn.LeakyReLU(0.1, relu_grad_at_zero=1), [-0.1, 0, 2], [0.1, 1, 1]),
        (nn.ELU(1.0), [e(-1) - 1, 0, 2], [e(-1), 1, 1]),
    ]
    for function, values, slopes in cases:
        found, derivative = at(function)
        np.testing.assert_allclose(found, values, rtol=0, atol=4e-16)
        np.testing.assert_allclose(derivative, slopes, rtol=0, atol=4e-16)
    layer = nn.ReLU(relu_grad_at_zero=1)
    x = t64([0.0], grad=True)
    layer(x).backward()
    assert x.grad.item() == 1.0


def test_item_53_paralysis_of_the_network():
    """Share of units with |f'| < eps: large weights saturate sigmoids, small ones do not."""
    x = t64(np.random.default_rng(0).standard_normal((200, 20)))

    def share(scale):
        pn.manual_seed(53)
        layer = nn.Linear(20, 50).to("float64")
        with pn.no_grad():
            layer.weight *= scale
        s = layer(x).detach()
        s.requires_grad_()
        s.sigmoid().sum().backward()
        return float((np.abs(s.grad.numpy()) < 0.01).mean())

    assert share(1.0) == 0.0
    assert share(100.0) > 0.8
    assert share(1.0) <= share(10.0) <= share(100.0)


def test_item_54_mlp_with_a_bias_in_the_first_layer_only():
    """h1 = f1(X W1), ..., y = fk(h_{k-1} Wk); the column of ones stands in X only."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    net = net.to("float64")
    w1 = np.array([[0.1, 0.2, 0.3], [1.0, -1.0, 0.5], [0.0, 2.0, -0.5]])  # rows: 1, x1, x2; columns: units
    w2, w3 = np.array([[1.0, 0, -1], [0.5, 1, 0], [0, 2, 1]]), np.array([[1.0], [-2.0], [0.5]])
    set_weights(net, w1[1:].T, w1[0], w2.T, w3.T)
    assert sum(p.numpy().size for p in net.parameters()) == 9 + 9 + 3
    x = np.array([[0.5, -1.0], [2.0, 1.0], [0.0, 0.0]])
    ones = np.hstack([np.ones((3, 1)), x])
    by_hand = np.maximum(np.tanh(ones @ w1) @ w2, 0) @ w3
    np.testing.assert_allclose(net.predict(x), by_hand, rtol=0, atol=1e-15)


def test_item_55_heads_and_losses():
    """Regression, several targets, binary, multi-label, multi-class: each head with its loss, each trains."""
    rng = np.random.default_rng(55)
    x = rng.standard_normal((90, 4))
    scores = x @ rng.standard_normal((4, 3))
    tasks = {
        "regression": (1, "mse", scores[:, :1]),
        "multi-regression": (3, "mse", scores),
        "binary": (1, "bce_with_logits", (scores[:, :1] > 0).astype(np.float64)),
        "multi-label": (3, "bce_with_logits", (scores > 0).astype(np.float64)),
        "multi-class": (3, "cross_entropy", scores.argmax(1)),
    }
    for name, (outputs, loss, y) in tasks.items():
        pn.manual_seed(55)
        net = nn.Linear(4, outputs).to("float64")
        before = net.evaluate(x, y, loss=loss)["loss"]
        net.fit(x, y, loss=loss, optimizer=optim.Adam(lr=0.05), epochs=120, batch_size=30, seed=0, verbose=0)
        assert net.evaluate(x, y, loss=loss)["loss"] < 0.3 * before, name


def test_item_55_threshold_and_argmax():
    """[score > gamma] for one output, argmax over classes for several; probabilities and labels have two names."""
    score = nn.Linear(1, 1).to("float64")
    set_weights(score, [[1.0]], [0.0])
    x = np.array([[-1.0], [0.2], [0.5], [0.7], [3.0]])
    raw = score.predict(x)[:, 0]
    np.testing.assert_array_equal(raw, x[:, 0])
    probability = nn.Sequential(score, nn.Sigmoid())
    same(probability.predict(x)[:, 0], 1 / (1 + np.exp(-x[:, 0])), 15)
    labels = probability.predict_labels(x, threshold=0.6).reshape(-1)
    assert labels.tolist() == [0, 0, 1, 1, 1]  # sigma(.2) = .5498, sigma(.5) = .6225
    classes = nn.Linear(1, 3).to("float64")
    set_weights(classes, [[1.0], [0.0], [-1.0]], [0.0, 0.1, 0.0])
    assert classes.predict_labels(np.array([[2.0], [0.0], [-2.0]])).tolist() == [0, 1, 2]


def test_item_56_binary_cross_entropy():
    """y = (1, 0, 1), p = (.9, .2, .6): .2797765636."""
    y, p = t64([1.0, 0.0, 1.0]), t64([0.9, 0.2, 0.6])
    same(F.binary_cross_entropy(p, y), 0.2797765636, 10)
    score = (p / (1.0 - p)).log()
    same(F.binary_cross_entropy_with_logits(score, y), 0.2797765636, 10)
    same(nn.BCELoss()(p, y), 0.2797765636, 10)


def test_item_57_cross_entropy_full_and_simplified():
    """Logits (2, 1, .1), (0, 3, 1), (1000, 1001, 1002) with y = 0, 1, 2: .3314940001 in both forms."""
    logits, y = t64([[2.0, 1.0, 0.1], [0.0, 3.0, 1.0], [1000.0, 1001.0, 1002.0]]), pn.tensor([0, 1, 2])
    same(F.cross_entropy(logits, y), 0.3314940001, 10)
    same(F.cross_entropy(logits, t64(np.eye(3))), 0.3314940001, 10)
    chosen = logits.gather(1, y.reshape(3, 1)).reshape(3)  # -score of the class + log sum exp
    same((logits.logsumexp(dim=1) - chosen).mean(), 0.3314940001, 10)


def test_item_58_softmax_shift_and_the_stable_form():
    """softmax(1000, 1001, 1002), logsumexp 1002.4076059644; the naive form overflows, and can be chosen to show it."""
    x = t64([1000.0, 1001.0, 1002.0])
    same(F.softmax(x, dim=0), [0.09003057, 0.24472847, 0.66524096], 8)
    same(x.logsumexp(dim=0), 1002.4076059644, 10)
    np.testing.assert_array_equal(F.softmax(x, dim=0).numpy(), F.softmax(t64([0.0, 1.0, 2.0]), dim=0).numpy())
    assert np.isnan(F.softmax(x, dim=0, stable=False).numpy()).all()  # inf / inf
    assert not np.isfinite(F.log_softmax(x, dim=0, stable=False).numpy()).any()
    small = t64([1.0, 2.0, 3.0])
    same(F.softmax(small, dim=0, stable=False), [0.0900305732, 0.2447284711, 0.6652409558], 10)
    with pytest.raises((ValueError, IndexError)):
        F.softmax(x, dim=1)
