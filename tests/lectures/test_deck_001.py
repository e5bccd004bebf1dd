"""Deck 001, "Why the Nobel prize in physics was given for machine learning": items 1, 2 and 4-10."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim
from tests.lectures.lecture import same, set_weights, t64

F = nn.functional

# Item 10: the net g = softmax(V sigma(W x)) of the back-propagation slides.
W, V, X = [[0.1, 0.2], [0.3, 0.4]], [[0.5, -0.5], [-0.3, 0.8]], [1.0, 2.0]
CLASS = 0  # "class 1" of the slide: decks count from 1
DW = [[-0.1160216721, -0.2320433443], [0.1503202678, 0.3006405355]]
DV = [[-0.3841363386, -0.4630056222], [0.3841363386, 0.4630056222]]
NEW_W = [[0.1580108361, 0.3160216721], [0.2248398661, 0.2496797322]]
NEW_V = [[0.6920681693, -0.2684971889], [-0.4920681693, 0.5684971889]]


def slide_net(dtype: str = "float64") -> nn.Sequential:
    """The net of item 10 as layers."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Sigmoid(), nn.Linear(2, 2, bias=False)).to(dtype)
    set_weights(net, W, V)
    return net


def test_item_01_risk_of_a_constant_model():
    """R(b) = sum L(f(x_i, b), y_i): a model that always says 1.5 has the risk that the hand sum gives."""
    net = nn.Linear(1, 1).to("float64")
    set_weights(net, [[0.0]], [1.5])
    x, y = np.array([[0.0], [5.0], [9.0]]), np.array([[1.0], [2.0], [3.0]])
    np.testing.assert_array_equal(net.predict(x), np.full((3, 1), 1.5))
    by_hand = (1 - 1.5) ** 2 + (2 - 1.5) ** 2 + (3 - 1.5) ** 2
    assert by_hand == 2.75
    assert nn.MSELoss(reduction="sum")(net(t64(x)), t64(y)).item() == by_hand
    assert net.evaluate(x, y, loss="mse")["loss"] * 3 == pytest.approx(by_hand, abs=1e-14)
    # fit lowers this risk to that of the best line, here y = 1 + 0.2 x roughly
    best = np.polyfit(x[:, 0], y[:, 0], 1, full=True)[1][0]
    net.fit(x, y, loss="mse", optimizer=optim.GD(lr=0.02), epochs=3000, batch_size=3, seed=0, verbose=0)
    assert nn.MSELoss(reduction="sum")(net(t64(x)), t64(y)).item() == pytest.approx(best, abs=1e-9)


def test_item_02_losses():
    """Square (y - y*)^2, indicator I(y != y*), log-loss: p = (.2, .5, .3), y* = 2 gives .6931472."""
    assert nn.MSELoss()(t64([3.0]), t64([1.0])).item() == 4.0
    p = t64([[0.2, 0.5, 0.3]])
    right, wrong = pn.tensor([1]), pn.tensor([0])
    same(F.nll_loss(p.log(), right), 0.6931472, 7)
    same(F.cross_entropy(p.log(), right), 0.6931472, 7)  # log p is one of the logit vectors with these probabilities
    assert F.cross_entropy(p.log(), wrong).item() == pytest.approx(-np.log(0.2), abs=1e-15)
    classes, found = t64([1.0, 0.0, 2.0, 2.0]), t64([1.0, 2.0, 2.0, 0.0])
    assert F.zero_one_loss(found, classes, reduction="none").tolist() == [0, 1, 0, 1]
    assert F.zero_one_loss(found, classes).item() == 0.5


def test_item_04_logistic_neuron():
    """sigma(0), sigma(1), sigma(2), sigma(-2), as a function and as a neuron with weight 1 and bias 0."""
    x, printed = [0.0, 1.0, 2.0, -2.0], [0.5, 0.7310585786, 0.880797078, 0.119202922]
    same(t64(x).sigmoid(), printed, 9)
    same(t64(x[:2]).sigmoid(), printed[:2], 10)
    neuron = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid()).to("float64")
    set_weights(neuron, [[1.0]], [0.0])
    same(neuron.predict(np.array(x)[:, None])[:, 0], printed, 9)


def test_item_05_softmax_neurons():
    """softmax(1, 2, 3) and the log-loss for each class."""
    x = t64([[1.0, 2.0, 3.0]])
    same(x.softmax(dim=1)[0], [0.0900305732, 0.2447284711, 0.6652409558], 10)
    losses = [F.cross_entropy(x, pn.tensor([k])).item() for k in range(3)]
    same(losses, [2.4076059644, 1.4076059644, 0.4076059644], 10)
    bank = nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=1)).to("float64")  # b_k0 + b_k . x for three classes
    set_weights(bank, [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 0.0, 0.0])
    same(bank(t64([[1.0, 2.0]]))[0], [0.0900305732, 0.2447284711, 0.6652409558], 10)


def test_item_06_fully_connected_net():
    """x -> s -> z -> t -> g, a 2-2-2 net with a softmax output: the layers composed are the net, in both modes."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2), nn.Softmax(dim=1), seed=3).to("float64")
    assert sum(p.numpy().size for p in net.parameters()) == 12
    w, b, v, c = (p.detach().numpy() for p in net.parameters())
    x = np.array([[1.0, 2.0], [-3.0, 0.5], [0.0, 0.0]])
    s = x @ w.T + b
    z = 1 / (1 + np.exp(-s))
    t = z @ v.T + c
    g = np.exp(t) / np.exp(t).sum(1, keepdims=True)
    np.testing.assert_allclose(net(t64(x)).detach().numpy(), g, rtol=1e-14)
    np.testing.assert_allclose(net.predict(x), g, rtol=1e-14)


def test_item_07_square_error_risk():
    """y = (1, 2, 3), f = (1.5, 1.5, 2): sum of squares 1.5, mean .5, the deck's (1/N) sum 1/2 (y - f)^2 .25."""
    y, f = t64([1.0, 2.0, 3.0]), t64([1.5, 1.5, 2.0], grad=True)
    assert F.mse_loss(f, y, reduction="sum").item() == 1.5
    assert F.mse_loss(f, y).item() == 0.5
    half = F.mse_loss(f, y, half=True)
    assert half.item() == 0.25
    half.backward()
    same(f.grad, [0.5 / 3, -0.5 / 3, -1 / 3], 15)  # (f - y) / N: the half takes the 2 away
    net = nn.Linear(1, 1).to("float64")
    set_weights(net, [[1.0]], [0.0])
    x = np.array([[1.5], [1.5], [2.0]])
    assert net.evaluate(x, y.numpy()[:, None], loss="half_mse")["loss"] == pytest.approx(0.25, abs=1e-15)


def test_item_08_cross_entropy_risk():
    """-(1/N) sum_i sum_k I(y_i = k) ln g_k(x_i): the mean of item 5's losses when each class occurs once."""
    logits = t64([[1.0, 2.0, 3.0]] * 3)
    mean = (2.4076059644 + 1.4076059644 + 0.4076059644) / 3
    same(F.cross_entropy(logits, pn.tensor([0, 1, 2])), mean, 10)
    one_hot = t64(np.eye(3))  # the indicator written out: targets as probabilities
    same(F.cross_entropy(logits, one_hot), mean, 10)
    same(-(one_hot * logits.log_softmax(dim=1)).sum() / 3.0, mean, 10)


def test_item_09_sgd_step():
    """W <- W - rho dR_i/dW, one sample at a time: the optimiser does exactly this, and fit with batch 1 repeats it."""
    net = slide_net()
    before = [p.detach().numpy().copy() for p in net.parameters()]
    loss = F.cross_entropy(net(t64([X])), pn.tensor([CLASS]))
    loss.backward()
    gradients = [p.grad.numpy().copy() for p in net.parameters()]
    optim.SGD(net.parameters(), lr=0.5).step()
    for p, w, g in zip(net.parameters(), before, gradients, strict=True):
        np.testing.assert_array_max_ulp(p.detach().numpy(), w - 0.5 * g, maxulp=1)
    # three samples, batch 1, in order: the hand-written loop and fit agree
    x, y = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.0]]), np.array([0, 1, 1])
    by_hand, fitted = slide_net(), slide_net()
    step = optim.SGD(by_hand.parameters(), lr=0.5)
    for i in range(3):
        step.zero_grad()
        F.cross_entropy(by_hand(t64(x[i : i + 1])), pn.tensor(y[i : i + 1])).backward()
        step.step()
    fitted.fit(
        x, y, loss="cross_entropy", optimizer=optim.SGD(lr=0.5), epochs=1, batch_size=1, shuffle=False, verbose=0
    )
    for a, b in zip(by_hand.parameters(), fitted.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-14)


def test_item_10_back_propagation():
    """All named quantities of the slides: s, z, t, g, R, delta_t, delta_s, delta_x, dW, dV, one step, the new risk."""
    w, v, x = t64(W, grad=True, name="W"), t64(V, grad=True, name="V"), t64([X], grad=True, name="x")
    s = F.linear(x, w)
    z = s.sigmoid()
    t = F.linear(z, v)
    risk = F.cross_entropy(t, pn.tensor([CLASS]))
    for node in (s, t):
        node.retain_grad()
    risk.backward()
    same(s[0], [0.5, 1.1], 10)
    same(z[0], [0.6224593312, 0.7502601056], 10)
    same(t[0], [-0.0639003872, 0.4134702851], 10)
    same(t.softmax(dim=1)[0], [0.3828731946, 0.6171268054], 10)
    same(risk, 0.9600514292, 10)
    same(t.grad[0], [-0.6171268054, 0.6171268054], 10)
    same(s.grad[0], [-0.1160216721, 0.1503202678], 10)
    same(x.grad[0], [0.0334939131, 0.0369237727], 10)
    same(w.grad, DW, 10)
    same(v.grad, DV, 10)


def test_item_10_one_step_and_the_new_risk():
    """rho = 0.5: the printed weights and the risk .5756075625, by the optimiser and by fit."""
    net = slide_net()
    history = net.fit(np.array([X]), np.array([CLASS]), optimizer=optim.SGD(lr=0.5), epochs=1, batch_size=1, verbose=0)
    same(history.history["loss"][0], 0.9600514292, 10)
    for p, printed in zip(net.parameters(), (NEW_W, NEW_V), strict=True):
        same(p, printed, 10)
    # the exact value is .57560756242: the tenth decimal of the printed one is rounded up
    assert F.cross_entropy(net(t64([X])), pn.tensor([CLASS])).item() == pytest.approx(0.5756075625, abs=1e-10)


def test_item_10_central_differences():
    """Central differences with 1e-6 agree with the printed gradients to 1e-10."""

    def risk(w, v):
        t = np.asarray(v) @ (1 / (1 + np.exp(-np.asarray(w) @ X)))
        return float(F.cross_entropy(t64([t]), pn.tensor([CLASS])).item())

    for which, printed in ((0, DW), (1, DV)):
        for i in range(2):
            for j in range(2):
                moved = []
                for sign in (1, -1):
                    pair = [np.array(W), np.array(V)]
                    pair[which][i, j] += sign * 1e-6
                    moved.append(risk(*pair))
                assert (moved[0] - moved[1]) / 2e-6 == pytest.approx(printed[i][j], abs=2e-10)
