"""Deck 003, "Introduction to artificial neural networks": items 36, 39-45 and its optimisers."""

import math

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim
from tests.lectures.lecture import same, t64

F = nn.functional


def test_item_36_max_and_average_pooling():
    """2 x 2 windows with stride 2: largest elements and means, and the mask of ones from backward."""
    table = [[[[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]]]
    x = t64(table, grad=True)
    y = F.max_pool2d(x, 2)
    assert y.tolist() == [[[[6.0, 8.0], [3.0, 4.0]]]]
    y.sum().backward()
    mask = np.zeros((4, 4))
    for place in ((1, 1), (1, 3), (2, 0), (3, 3)):
        mask[place] = 1
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], mask)
    x = t64(table, grad=True)
    y = nn.AvgPool2d(2, stride=2)(x)
    assert y.tolist() == [[[[3.25, 5.25], [2.0, 2.0]]]]
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full((1, 1, 4, 4), 0.25))


def test_item_39_logistic_regression():
    """y = sigma(w . x), L = -(1/n) sum [y log p + (1 - y) log(1 - p)]: probabilities, loss and gradient."""
    x, y = [[1.0, 2.0], [2.0, 1.0], [-1.0, 1.0]], [[1.0], [1.0], [0.0]]
    w = t64([[0.5, -0.25]], grad=True)
    p = F.linear(t64(x), w).sigmoid()
    same(p[:, 0], [0.5, 0.6791787, 0.3208213], 7)
    loss = F.binary_cross_entropy(p, t64(y))
    same(loss, 0.4889630643, 10)
    loss.backward()
    same(w.grad[0], [-0.48748797, -0.33333333], 8)
    # the same on the linear score, which neither overflows nor rounds p to 0 or 1
    w.grad = None
    F.binary_cross_entropy_with_logits(F.linear(t64(x), w), t64(y)).backward()
    same(w.grad[0], [-0.48748797, -0.33333333], 8)


def test_item_40_neuron_hidden_layer_outputs():
    """y = f(w . x + b); h = f(W x + b); outputs identity, sigmoid, softmax."""
    x = t64([[1.0, -2.0]])
    assert F.relu(F.linear(x, t64([[3.0, 1.0]]), t64([0.5]))).item() == 1.5
    hidden = F.linear(x, t64([[3.0, 1.0], [0.0, 1.0], [1.0, 1.0]]), t64([0.5, 0.0, 1.0])).tanh()
    np.testing.assert_allclose(hidden.numpy()[0], [math.tanh(1.5), math.tanh(-2.0), 0.0], rtol=0, atol=2e-16)
    outputs = t64([[1.5, -2.0, 0.0]])
    assert nn.Identity()(outputs).tolist() == outputs.tolist()
    same(nn.Sigmoid()(outputs)[0], [1 / (1 + math.exp(-z)) for z in (1.5, -2.0, 0.0)], 15)
    weights = [math.exp(z) for z in (1.5, -2.0, 0.0)]
    same(nn.Softmax(dim=1)(outputs)[0], [e / sum(weights) for e in weights], 15)


def small_problem():
    """Twelve samples, a 3-4-2 net in float64."""
    rng = np.random.default_rng(41)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=41).to("float64")
    return net, rng.standard_normal((12, 3)), rng.integers(0, 2, 12)


def gradients(net, x, y):
    """Gradients of the mean loss, one array per parameter."""
    net.zero_grad()
    F.cross_entropy(net(t64(x)), pn.tensor(y)).backward()
    return [p.grad.numpy().copy() for p in net.parameters()]


def test_item_41_full_batch_gradient_is_the_mean_of_the_sgd_gradients():
    """grad Q = (1/n) sum_i grad Q_i, and mini-batches lie between."""
    net, x, y = small_problem()
    whole = gradients(net, x, y)
    single = [gradients(net, x[i : i + 1], y[i : i + 1]) for i in range(12)]
    quarter = [gradients(net, x[i : i + 3], y[i : i + 3]) for i in range(0, 12, 3)]
    for parts in (single, quarter):
        for whole_gradient, part in zip(whole, zip(*parts, strict=True), strict=True):
            np.testing.assert_allclose(np.mean(part, axis=0), whole_gradient, rtol=0, atol=1e-15)


def test_item_41_batch_of_all_samples_is_gradient_descent():
    """m = n equals GD: ten epochs of fit with batch n are ten hand-written full-batch steps."""
    net, x, y = small_problem()
    by_hand, _, _ = small_problem()
    net.fit(x, y, optimizer=optim.SGD(lr=0.3), epochs=10, batch_size=12, shuffle=False, verbose=0)
    for _ in range(10):
        for p, g in zip(by_hand.parameters(), gradients(by_hand, x, y), strict=True):
            with pn.no_grad():
                p -= 0.3 * pn.tensor(g)
    for a, b in zip(net.parameters(), by_hand.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-14)


def test_item_41_stop_on_validation():
    """Epochs go on until the validation loss stops falling; the reason stands in the history."""
    rng = np.random.default_rng(5)
    x, y = (
        rng.standard_normal((30, 10)),
        rng.integers(0, 2, 30),
    )  # labels are noise: only over-fitting can lower the loss
    xv, yv = rng.standard_normal((200, 10)), rng.integers(0, 2, 200)
    net = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 2), seed=1).to("float64")
    stop = pn.stop.Patience(5, restore_best=True)
    given = {"optimizer": optim.Adam(lr=0.01), "epochs": 500, "batch_size": 10, "stop": stop, "verbose": 0, "seed": 0}
    history = net.fit(x, y, validation_data=(xv, yv), **given)
    losses = history.history["val_loss"]
    assert len(losses) < 500
    assert len(losses) == int(np.argmin(losses)) + 1 + 5
    assert net.evaluate(xv, yv)["loss"] == pytest.approx(min(losses), abs=1e-12)


def test_item_42_values_and_derivatives_on_the_graph():
    """1 / (1 + exp(-(w0 x0 + w1 x1 + b))): green values and red derivatives at every node."""
    w0, x0, w1, x1, b = (
        t64(v, grad=True, name=n) for v, n in ((2.0, "w0"), (-1.0, "x0"), (-3.0, "w1"), (-2.0, "x1"), (-3.0, "b"))
    )
    first, second = w0 * x0, w1 * x1
    total = first + second
    z = total + b
    minus = -z
    power = minus.exp()
    below = power + 1.0
    y = below.reciprocal()
    nodes = [first, second, total, z, minus, power, below, y]
    for node in nodes:
        node.retain_grad()
    y.backward()
    assert [node.item() for node in nodes[:5]] == [-2.0, 6.0, 4.0, 1.0, -1.0]
    same([node.item() for node in nodes[5:]], [0.36787944, 1.36787944, 0.73105858], 8)
    backward = [y.grad, below.grad, power.grad, minus.grad, z.grad]
    same([g.item() for g in backward], [1, -0.53444665, -0.53444665, -0.19661193, 0.19661193], 8)
    leaves = [w0.grad, x0.grad, w1.grad, x1.grad, b.grad]
    same([g.item() for g in leaves], [-0.19661193, 0.39322387, -0.39322387, -0.58983580, 0.19661193], 8)
    # the picture of the slide carries the same figures
    picture = pn.draw(y)
    svg = picture if isinstance(picture, str) else picture._repr_svg_()
    assert svg.lstrip().startswith("<svg")
    for text in ("w0", "x1", "0.7311", "-0.1966", "0.3932"):
        assert text in svg


def test_item_43_back_propagation_through_a_node():
    """z = f(x, y): dL/dx = dL/dz dz/dx for a node written by hand, here z = x^2 y."""

    class SquareTimes(pn.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * x * y

        @staticmethod
        def backward(ctx, gz):
            x, y = ctx.saved_tensors
            return gz * 2 * x * y, gz * x * x

    x, y = t64([3.0, -1.0], grad=True), t64([2.0, 5.0], grad=True)
    z = SquareTimes.apply(x, y)
    z.retain_grad()
    (z.sin() * t64([1.0, 2.0])).sum().backward()
    dz = np.array([math.cos(18.0), 2 * math.cos(5.0)])
    np.testing.assert_allclose(z.grad.numpy(), dz, rtol=1e-15)
    np.testing.assert_allclose(x.grad.numpy(), dz * [12.0, -10.0], rtol=1e-15)
    np.testing.assert_allclose(y.grad.numpy(), dz * [9.0, 1.0], rtol=1e-15)


def test_item_44_vanishing_gradients_and_skip_connections():
    """Ten sigmoids in a row pass at most 0.25^10 = 9.54e-7; y = x + F(x) keeps the identity term."""
    bound = 0.25**10
    assert f"{bound:.2e}" == "9.54e-07"
    x = t64(np.linspace(-3, 3, 61), grad=True)
    y = x
    for _ in range(10):
        y = y.sigmoid()
    y.sum().backward()
    assert 0 < x.grad.numpy().max() <= bound
    # the bound is sharp when every neuron sits at its steepest point: centre each input on 0
    top = t64(0.0, grad=True)
    y = top
    for _ in range(10):
        y = (y - y.item()).sigmoid()
    y.backward()
    assert top.grad.item() == pytest.approx(bound, rel=1e-14)
    x = t64(np.linspace(-3, 3, 61), grad=True)
    y = x
    for _ in range(10):
        y = y + (y.sigmoid() - 0.5) * 0.1
    y.sum().backward()
    assert x.grad.numpy().min() >= 1.0  # 1 + F' > 1 at each layer
    assert x.grad.numpy().max() == pytest.approx(1.025**10, rel=1e-12)


def test_item_45_derivative_bounds_and_xavier():
    """tanh' <= 1, ReLU' is 0 or 1; the Xavier bound sqrt(6 / (fan_in + fan_out)) is .2 for (100, 50)."""
    x = t64(np.linspace(-5, 5, 1001), grad=True)
    x.tanh().sum().backward()
    slope = x.grad.numpy()
    assert slope.max() == 1.0 and np.argmax(slope) == 500 and slope.min() > 0
    x.grad = None
    x.relu().sum().backward()
    assert set(x.grad.tolist()) == {0.0, 1.0}
    layer = nn.Linear(100, 50)
    pn.manual_seed(0)
    nn.init.xavier_uniform_(layer.weight)
    w = layer.weight.detach().numpy()
    assert np.abs(w).max() <= np.float32(0.2)
    assert np.abs(w).max() > 0.199  # 5000 draws come within half a per cent of the bound
    assert w.std() == pytest.approx(0.2 / math.sqrt(3), rel=0.05)


def test_item_45_constant_initialisation_never_breaks_the_symmetry():
    """All hidden units of a layer stay equal for ever: exactly, over 100 steps."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 3)).astype(np.float32), rng.integers(0, 2, 40)
    net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))
    for p in net.parameters():
        nn.init.constant_(p, 0.3)
    history = net.fit(x, y, optimizer=optim.SGD(lr=0.5), epochs=10, batch_size=4, seed=0, verbose=0)
    assert len(history.history["loss"]) * 10 == 100
    first, bias, last, _ = (p.detach().numpy() for p in net.parameters())
    assert not np.allclose(first, 0.3)  # it did learn
    for rows in (first, bias, last.T):
        for unit in rows[1:]:
            np.testing.assert_array_equal(unit, rows[0])
    random = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2), seed=0)
    random.fit(x, y, optimizer=optim.SGD(lr=0.5), epochs=10, batch_size=4, seed=0, verbose=0)
    assert len({tuple(unit) for unit in random[0].weight.tolist()}) == 6


@pytest.mark.parametrize(
    ("make", "path", "digits"),
    [
        (lambda w: optim.Momentum(w, lr=0.1, momentum=0.9), [0.9, 0.72, 0.486], 12),
        (lambda w: optim.RMSprop(w, lr=0.1, alpha=0.9), [0.68377224, 0.49887062, 0.36918057], 8),
        (lambda w: optim.Adam(w, lr=0.1), [0.900000001, 0.8004122297, 0.7015862745], 10),
    ],
    ids=["momentum", "rmsprop", "adam"],
)
def test_named_optimisers(make, path, digits):
    """Q = w^2 / 2 from w = 1 with lr .1: three steps of Momentum(.9), RMSProp(.9) and Adam."""
    w = t64(1.0, grad=True)
    optimizer = make([w])
    found = []
    for _ in range(3):
        optimizer.zero_grad()
        (w * w / 2.0).backward()
        optimizer.step()
        found.append(w.item())
    same(found, path, digits)
