"""Deck 002, "Neural networks, lesson 10": items 20-24 and 26-29 with their numbers."""

import math

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim
from tests.lectures.lecture import same, set_weights, t64

F = nn.functional


def test_item_20_neuron_without_bias_and_what_a_line_cannot_do():
    """a(x) = sum w_j x_j; a line through y = x^2 on symmetric x has slope zero, the feature x^2 fits exactly."""
    neuron = nn.Linear(3, 1, bias=False).to("float64")
    set_weights(neuron, [[2.0, -1.0, 0.5]])
    assert neuron(t64([[1.0, 2.0, 4.0]])).item() == 2.0
    assert neuron(t64([[0.0, 0.0, 0.0]])).item() == 0.0
    x = np.linspace(-2, 2, 9)[:, None]
    y = x**2
    line = nn.Linear(1, 1).to("float64")
    set_weights(line, [[1.0]], [0.0])
    line.fit(x, y, loss="mse", optimizer=optim.GD(lr=0.1), epochs=400, batch_size=9, seed=0, verbose=0)
    assert abs(line.weight.item()) < 1e-12
    assert line.bias.item() == pytest.approx(float(y.mean()), abs=1e-12)
    assert line.evaluate(x, y, loss="mse")["loss"] == pytest.approx(float(y.var()), abs=1e-12)
    feature = nn.Linear(1, 1).to("float64")
    set_weights(feature, [[0.0]], [0.0])
    feature.fit(x**2, y, loss="mse", optimizer=optim.GD(lr=0.1), epochs=1500, batch_size=9, seed=0, verbose=0)
    assert feature.evaluate(x**2, y, loss="mse")["loss"] < 1e-20


def test_item_21_layers_are_functions():
    """x(0) -> h_1 -> x(1) -> h_2 -> x(2): the net is the composition, its graph lists the functions."""
    pn.manual_seed(21)
    h1, h2 = nn.Linear(3, 4), nn.Linear(4, 2)
    net = nn.Sequential(h1, nn.Tanh(), h2)
    x = pn.tensor(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    by_hand = h2(h1(x).tanh())
    np.testing.assert_array_equal(net(x).detach().numpy(), by_hand.detach().numpy())
    assert [node["op"] for node in pn._core.graph(by_hand)] == ["linear", "tanh", "linear"]


def test_item_22_number_of_parameters():
    """(n + 1) parameters per output; n = 1,000,000 and m = 1000: 1,000,000,000 weights, 1,000,001,000 with biases."""
    layer = nn.Linear(3, 2).to("float64")
    set_weights(layer, [[1.0, 2.0, 3.0], [-1.0, 0.0, 1.0]], [0.5, -0.5])
    same(layer(t64([[1.0, 1.0, 2.0]]))[0], [9.5, 0.5], 12)
    wide = nn.Linear(1_000_000, 2)  # two of the slide's 1000 outputs: the whole layer would be 4 GB
    with_bias = sum(p.numpy().size for p in wide.parameters()) // 2
    assert with_bias * 1000 == 1_000_001_000
    assert wide.weight.numpy().size // 2 * 1000 == 1_000_000_000


def test_item_23_two_linear_layers_are_one():
    """The slide's numbers: both ways give (10.5, 8.5), VW and Vb + c as printed."""
    w, b, v, c = [[1, 2, -1], [0, 1, 1]], [1, -1], [[2, 1], [-1, 3]], [0.5, -0.5]
    two = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)).to("float64")
    set_weights(two, w, b, v, c)
    x = t64([[1.0, 2.0, 3.0]])
    assert two(x).tolist() == [[10.5, 8.5]]
    product = t64(v).matmul(t64(w))
    assert product.tolist() == [[2.0, 5.0, -1.0], [-1.0, 1.0, 4.0]]
    bias = t64(v).matmul(t64(b)) + t64(c)
    assert bias.tolist() == [1.5, -4.5]
    assert F.linear(x, product, bias).tolist() == [[10.5, 8.5]]


POINTS = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
# name: (printed values, printed derivatives): the deck prints derivatives up to x = 0, the table is symmetric beyond
TABLE = {
    "sigmoid": (
        [0.119203, 0.268941, 0.377541, 0.5, 0.622459, 0.731059, 0.880797],
        [0.104994, 0.196612, 0.235004, 0.25],
    ),
    "tanh": ([-0.964028, -0.761594, -0.462117, 0.0], [0.070651, 0.419974, 0.786448, 1.0]),
    "softsign": ([-2 / 3, -1 / 2, -1 / 3, 0, 1 / 3, 1 / 2, 2 / 3], [1 / 9, 1 / 4, 4 / 9, 1.0]),
    "softplus": (
        [0.126928, 0.313262, 0.474077, 0.693147, 0.974077, 1.313262, 2.126928],
        [0.119203, 0.268941, 0.377541, 0.5, 0.622459, 0.731059, 0.880797],
    ),
    "elu": ([-0.864665, -0.632121, -0.393469, 0.0, 0.5, 1.0, 2.0], [0.135335, 0.367879, 0.606531, 1.0, 1.0, 1.0, 1.0]),
}


@pytest.mark.parametrize("name", TABLE)
def test_item_24_activation_table(name):
    """Values and derivatives at -2, -1, -.5, 0, .5, 1, 2."""
    values, derivatives = TABLE[name]
    x = t64(POINTS, grad=True)
    y = getattr(F, name)(x)
    y.sum().backward()
    same(y[: len(values)], values, 6)
    same(x.grad[: len(derivatives)], derivatives, 6)


def test_item_24_step_and_rectifiers():
    """step with both values at 0; ReLU, leaky ReLU with the deck's derivative 1 at 0 and PyTorch's 0."""
    x = t64(POINTS)
    assert nn.Step()(x).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert nn.Step(at_zero=1)(x).tolist() == [0, 0, 0, 1, 1, 1, 1]

    def derivative(function):
        point = t64(POINTS, grad=True)
        value = function(point)
        value.sum().backward()
        return value.tolist(), point.grad.tolist()

    assert derivative(nn.ReLU(relu_grad_at_zero=1)) == ([0, 0, 0, 0, 0.5, 1, 2], [0, 0, 0, 1, 1, 1, 1])
    assert derivative(nn.ReLU())[1] == [0, 0, 0, 0, 1, 1, 1]
    values, slopes = derivative(nn.LeakyReLU(0.1, relu_grad_at_zero=1))
    same(values, [-0.2, -0.1, -0.05, 0, 0.5, 1, 2], 15)
    assert slopes == [0.1, 0.1, 0.1, 1, 1, 1, 1]


def test_item_24_parametric_relu_learns_its_slope():
    """PReLU(a): value and derivative by x as leaky ReLU, derivative by a = sum of the negative x."""
    x, a = t64([POINTS], grad=True), t64([0.25], grad=True)
    y = F.prelu(x, a, relu_grad_at_zero=1)
    y.sum().backward()
    assert y.tolist() == [[-0.5, -0.25, -0.125, 0, 0.5, 1, 2]]
    assert x.grad.tolist() == [[0.25, 0.25, 0.25, 1, 1, 1, 1]]
    assert a.grad.item() == -3.5


def test_item_26_lego_nets():
    """FC-ReLU-Dropout-FC-ReLU-FC, for regression and with softmax; 784-300-100-10 has 266,610 parameters."""
    big = nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    assert sum(p.numpy().size for p in big.parameters()) == 266_610
    x = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)

    def bricks(outputs, *tail, seed):
        hidden = nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 8), nn.ReLU()
        return nn.Sequential(*hidden, nn.Linear(8, outputs), *tail, seed=seed)

    regression = bricks(3, seed=0)  # "as many outputs as target variables"
    y = np.stack([x[:, 0], x[:, 1] * 2, -x[:, 2]], axis=1)
    first = regression.evaluate(x, y, loss="mse")["loss"]
    regression.fit(x, y, loss="mse", optimizer=optim.Adam(lr=0.01), epochs=60, batch_size=16, seed=0, verbose=0)
    assert regression.evaluate(x, y, loss="mse")["loss"] < 0.5 * first
    classification = bricks(4, nn.Softmax(dim=1), seed=1)
    assert classification.predict(x).shape == (64, 4)
    np.testing.assert_allclose(classification.predict(x).sum(1), 1, atol=1e-6)


def test_item_27_dropout():
    """Bern(p) with p the probability to keep: E[output] = input, p = 1 is the identity, the mask has its statistics."""
    n, keep = 1_000_000, 0.8
    pn.manual_seed(27)
    layer = nn.Dropout(keep=keep)
    y = layer(pn.ones(n)).numpy()
    kept = np.count_nonzero(y)
    assert set(np.unique(y).tolist()) == {0.0, np.float32(1 / keep).item()}
    assert abs(kept - n * keep) < 5 * math.sqrt(n * keep * (1 - keep))
    assert y.mean() == pytest.approx(1.0, abs=5 * math.sqrt((1 - keep) / keep / n))
    neighbours = np.corrcoef(y[:-1], y[1:])[0, 1]
    assert abs(neighbours) < 5 / math.sqrt(n)
    assert not np.array_equal(layer(pn.ones(n)).numpy(), y)  # a new mask each time
    values = pn.tensor(np.linspace(-3, 3, 100, dtype=np.float32))
    np.testing.assert_array_equal(nn.Dropout(keep=1)(values).numpy(), values.numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(values).numpy(), values.numpy())
    assert np.count_nonzero(nn.Dropout(p=1.0)(values).numpy()) == 0  # PyTorch's p is the probability to drop


@pytest.mark.parametrize(
    ("lr", "path"),
    [(0.1, [0.6, 1.08, 1.464]), (1.0, [6, 0, 6, 0, 6]), (1.1, [3 - 3 * (-1.2) ** t for t in range(1, 9)])],
)
def test_item_28_gradient_descent(lr, path):
    """Q = (w - 3)^2 from w = 0: the printed path, the oscillation with lr = 1, divergence by -1.2 with lr = 1.1."""
    w = t64(0.0, grad=True)
    descent = optim.GD([w], lr=lr)
    found = []
    for _ in path:
        descent.zero_grad()
        ((w - 3.0) ** 2.0).backward()
        descent.step()
        found.append(w.item())
    np.testing.assert_allclose(found, path, rtol=1e-13, atol=1e-13)


def fit_parabola(stop=None, **arguments):
    """Q(w) = (w - 3)^2 as a net with one weight, by full-batch descent with lr 0.1 from w = 0; returns (w, history)."""
    net = nn.Linear(1, 1, bias=False).to("float64")
    set_weights(net, [[0.0]])
    one, three = np.ones((1, 1)), np.full((1, 1), 3.0)
    given = {"loss": "mse", "optimizer": optim.GD(lr=0.1), "epochs": 100, "batch_size": 1, "stop": stop, "verbose": 0}
    history = net.fit(one, three, **{**given, **arguments})
    return net.weight.item(), history


def test_item_29_stop_when_the_step_is_small():
    """|w_t - w_{t-1}| < 1e-3: stops at t = 30, w = 2.9962862."""
    w, history = fit_parabola(pn.stop.StepBelow(1e-3))
    same(w, 2.9962862, 7)
    assert len(history.history["loss"]) == 30
    assert "step" in history.stopped_by.lower()


def test_item_29_stop_when_the_gradient_is_small():
    """|grad Q(w_t)| < 1e-3: stops at t = 39, w = 2.9995015."""
    w, history = fit_parabola(pn.stop.GradBelow(1e-3))
    same(w, 2.9995015, 7)
    assert "grad" in history.stopped_by.lower()


def test_item_29_stop_when_validation_stops_falling():
    """Validation on w = 2 falls while w < 2 and rises after: patience 3 stops, the best weights come back."""
    validation = np.ones((1, 1)), np.full((1, 1), 2.0)
    w, history = fit_parabola(pn.stop.Patience(3, restore_best=True), validation_data=validation)
    path = [3 * (1 - 0.8**t) for t in range(1, 100)]
    best = int(np.argmin([(p - 2) ** 2 for p in path]))
    assert w == pytest.approx(path[best], abs=1e-12)
    assert len(history.history["val_loss"]) == best + 1 + 3
    assert np.argmin(history.history["val_loss"]) == best


def test_position_0_12_weights_by_either_index():
    """One slide has z_j = sum w_ji x_i + b_j, the next w_ij; deck 004 writes X W: the same numbers, named."""
    layer = nn.Linear(3, 2).to("float64")
    w, b, x = np.array([[1.0, 2, -1], [0, 1, 1]]), [1.0, -1.0], np.array([[1.0, 2, 3], [0, 1, 0]])
    set_weights(layer, w, b)
    wji, wij = layer.weight.as_wji(), layer.weight.as_wij()
    assert wji[0, 1].item() == wij[1, 0].item() == 2.0
    by_hand = [[sum(w[j, i] * x[n, i] for i in range(3)) + b[j] for j in range(2)] for n in range(2)]
    for z in (wji @ t64(x).T + t64(b).reshape(2, 1)).T, t64(x) @ wij + t64(b), layer(t64(x)):
        assert z.tolist() == by_hand
    (t64(x) @ wij).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 3.0, 3.0]] * 2
    assert wji is layer.weight
    for call in (layer.bias.as_wji, layer.bias.as_wij):
        with pytest.raises(ValueError, match=r"needs a matrix \(out, in\), got shape \(2,\)"):
            call()
