"""Deep belief networks: greedy layers, up-down, networks for back-propagation, files."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy, optim


def blocks(rows=40, seed=0):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.random((rows, 4)) < 0.4, 4, axis=1).astype(np.float32)


def network(**given):
    return energy.DBN([12, 7, 5], **{"n_iter": 3, "batch_size": 8, "seed": 1, **given})


def bits(dbn):
    return {name: array.tobytes() for name, array in dbn.state_dict().items()}


def test_a_layer_learns_what_the_one_below_says():
    X, dbn = blocks(), network().fit(blocks())
    h = X
    for i, n in enumerate((12, 7, 5)):
        alone = energy.RBM(n, n_iter=3, batch_size=8, seed=1 + i).fit(h)
        assert (alone.W == dbn.rbms[i].W).all()
        h = alone.transform(h)
    assert (dbn.transform(X) == h).all()


def test_saved_and_resumed_is_as_never_stopped(tmp_path):
    X, whole = blocks(), network().fit(blocks())
    part = network()
    part.rbms[1].n_iter = 1
    part.rbms[0].fit(X)
    h = part.rbms[0].transform(X)
    part.rbms[1].fit(h)  # stopped in the middle layer
    part.rbms[1].n_iter = 3
    part.fit(X, resume=True)
    assert bits(part) == bits(whole)
    whole.fine_tune(X, 2)
    whole.save(tmp_path / "dbn.safetensors")
    again = pn.load(tmp_path / "dbn.safetensors")
    assert bits(again) == bits(whole)
    assert bits(again.fine_tune(X, 2)) == bits(network().fit(X).fine_tune(X, 4))


def test_up_down_teaches_the_way_down():
    """The pixels of a block are equal in the data: samples of a network that has learnt little become as coherent."""
    X, spread = blocks(200), []
    dbn = network(n_iter=5, learning_rate=0.2).fit(X)
    for epochs in (0, 40):
        dbn.fine_tune(X, epochs, learning_rate=0.1)
        samples = dbn.sample(300, steps=200, seed=0).reshape(300, 4, 4)
        spread.append(samples.std(axis=2).mean() / samples.std())
    assert spread[0] > 0.1 and spread[1] < 0.02


def test_networks_begin_with_the_weights():
    X, dbn = blocks(), network().fit(blocks())
    assert np.allclose(dbn.to_network().predict(X), dbn.transform(X), atol=1e-6)
    encoder = dbn.to_autoencoder()
    assert encoder.predict(X).shape == X.shape and len(list(encoder.parameters())) == 12
    net = dbn.to_network(3)
    net.fit(X, np.arange(40) % 3, loss="cross_entropy", epochs=1, verbose=0)
    assert np.allclose(dbn.rbms[0].W.T, network().fit(X).rbms[0].W.T)  # the DBN keeps its own weights


def test_pretraining_helps_a_deep_autoencoder():
    """Hinton and Salakhutdinov 2006, in small: digits of 8 x 8 through a code of 8 units."""
    from sklearn.datasets import load_digits

    X, errors = (load_digits().data / 16).astype(np.float32), []
    dbn = energy.DBN([64, 32, 8], learning_rate=0.1, batch_size=20, n_iter=15, seed=0).fit(X[:1500])
    blank = pn.nn.Sequential(*(pn.nn.Linear(*s) if s else pn.nn.Sigmoid() for s in SIZES), seed=0)
    for net in (dbn.to_autoencoder(), blank):
        net.fit(
            X[:1500], X[:1500], loss="bce_with_logits", optimizer=optim.SGD(lr=3.0), epochs=15, batch_size=20, verbose=0
        )
        errors.append(((1 / (1 + np.exp(-net.predict(X[1500:]))) - X[1500:]) ** 2).mean())
    assert errors[0] < 0.8 * errors[1]


SIZES = [(64, 64), (), (64, 32), (), (32, 8), (), (8, 32), (), (32, 64), (), (64, 64)]


def test_gaussian_units_below():
    X = np.random.default_rng(0).normal(size=(50, 6))
    dbn = energy.DBN([5, 3], visible="gaussian", learning_rate=0.01, n_iter=3, seed=0).fit(X)
    assert dbn.reconstruct(X).shape == (50, 6) and dbn.sample(4, 5, seed=0).shape == (4, 6)
    with pytest.raises(ValueError, match="for binary visible units"):
        dbn.fine_tune(X, 1)


def test_mistakes_are_said_and_change_nothing():
    X, dbn = blocks(), network()
    with pytest.raises(RuntimeError, match="call fit first"):
        dbn.transform(X)
    with pytest.raises(ValueError, match="list of numbers"):
        energy.DBN(5)
    dbn.fit(X)
    before = bits(dbn)
    with pytest.raises(ValueError, match="layer must be at most 3"):
        dbn.transform(X, 4)
    for state in ({}, {**dbn.state_dict(), "9.W": np.zeros(3)}, energy.DBN([4], n_iter=1, seed=0).fit(X).state_dict()):
        with pytest.raises(ValueError):
            dbn.load_state_dict(state)
        assert bits(dbn) == before
