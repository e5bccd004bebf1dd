"""Transfer and metric learning on real digits: freezing, a new head, fine-tuning, and distances that carry over."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import datasets, nn, optim

FEW = 5  # labelled samples of each new class


@pytest.fixture(scope="module")
def digits():
    return datasets.digits(seed=0)


def chosen(X, y, classes):
    """Samples of these classes, their labels counted from 0."""
    mine = np.isin(y, classes)
    return X[mine], np.searchsorted(classes, y[mine])


def features(*head):
    """Convolutions, whose features carry over to other digits; those of dense layers hardly do."""
    layers = nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1)
    return nn.Sequential(*layers, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), *head, seed=0)


def body():
    return features(nn.Linear(512, 5))


def new_head(net, seed):
    pn.manual_seed(seed)
    net[7] = nn.Linear(512, 5)


@pytest.fixture(scope="module")
def trained(digits):
    """A network that knows the digits 0 to 4."""
    X, y = chosen(digits[0], digits[1], range(5))
    net = body()
    net.fit(X, y, optimizer=optim.Adam(lr=3e-3), epochs=15, seed=0, verbose=0)
    return net.state_dict()


@pytest.fixture
def task(digits):
    """A few samples of the digits 5 to 9, and all test samples of them."""
    X, y = chosen(digits[0], digits[1], range(5, 10))
    few = np.concatenate([np.flatnonzero(y == k)[:FEW] for k in range(5)])
    return X[few], y[few], *chosen(digits[2], digits[3], range(5, 10))


def test_a_frozen_body_with_a_new_head(trained, task):
    """Only the head is trained: nothing below it moves, and what it sees there is enough."""
    X, y, X_test, y_test = task
    net = body()
    net.load_state_dict(trained)
    net.requires_grad_(False)
    new_head(net, 0)
    before = [np.array(p.numpy()) for p in net[:7].parameters()]
    net.fit(X, y, optimizer=optim.Adam(lr=3e-3), epochs=16, batch_size=10, seed=0, verbose=0)
    assert all(np.array_equal(a, p.numpy()) for a, p in zip(before, net[:7].parameters(), strict=True))
    assert net.evaluate(X_test, y_test, metrics=["accuracy"])["accuracy"] > 0.88


def test_fine_tuning_starts_ahead_of_a_fresh_network(trained, task):
    """After the same few epochs the network that knows other digits is better: by 0.1 and more in the mean of three."""
    X, y, X_test, y_test = task
    accuracy = {"transfer": 0.0, "fresh": 0.0}
    for name in accuracy:
        for seed in range(3):
            net = body()
            if name == "transfer":
                net.load_state_dict(trained)
                new_head(net, seed)
            net.fit(X, y, optimizer=optim.Adam(lr=1e-3), epochs=6, batch_size=10, seed=seed, verbose=0)
            accuracy[name] += net.evaluate(X_test, y_test, metrics=["accuracy"])["accuracy"] / 3
    assert accuracy["transfer"] > accuracy["fresh"] + 0.1


def test_thawing_trains_on_with_the_same_optimiser(trained, task):
    """First the head alone, then everything: parameters that were frozen join in."""
    X, y, _, _ = task
    net = body()
    net.load_state_dict(trained)
    net[:7].requires_grad_(False)
    adam = optim.Adam(net.parameters(), lr=1e-3)
    net.fit(X, y, optimizer=adam, epochs=2, seed=0, verbose=0)
    before = np.array(net[1].weight.numpy())
    net.requires_grad_(True)
    net.fit(X, y, optimizer=adam, epochs=2, seed=0, verbose=0)
    assert np.any(net[1].weight.detach().numpy() != before)


class Triplet(nn.Module):
    """One embedding, applied to anchor, positive and negative."""

    def __init__(self):
        super().__init__()
        self.embed = features(nn.Linear(512, 16))

    def forward(self, anchor, positive, negative):
        return self.embed(anchor), self.embed(positive), self.embed(negative)


def triplets(X, y, n, rng):
    """n rows of anchor, another sample of its class, and one of another class."""
    order = np.argsort(y, kind="stable")
    classes, starts, counts = np.unique(y[order], return_index=True, return_counts=True)
    a = rng.integers(0, len(classes), n)
    b = (a + rng.integers(1, len(classes), n)) % len(classes)
    pick = [order[starts[k] + rng.integers(0, counts[k])] for k in (a, a, b)]
    return tuple(X[i] for i in pick)


def nearest(embedded, labels, queries):
    """The label of the nearest embedded sample."""
    distances = ((queries[:, None] - embedded[None]) ** 2).sum(axis=2)
    return labels[distances.argmin(axis=1)]


def test_triplets_learn_a_distance(digits):
    """One labelled sample of each class is enough for the others: by far not so for distances between pixels."""
    X, y = chosen(digits[0], digits[1], range(5))
    X_test, y_test = chosen(digits[2], digits[3], range(5))
    net, criterion = Triplet(), nn.TripletMarginLoss(margin=1.0)
    samples = triplets(X, y, 2000, np.random.default_rng(0))
    adam = optim.Adam(lr=2e-3)
    net.fit(samples, loss=lambda out: criterion(*out), optimizer=adam, epochs=3, seed=0, verbose=0)
    assert net.history.mode == "plan"
    one = X[[np.flatnonzero(y == k)[0] for k in range(5)]]
    learnt = np.mean(nearest(net.embed.predict(one), np.arange(5), net.embed.predict(X_test)) == y_test)
    pixels = np.mean(nearest(one, np.arange(5), X_test) == y_test)
    assert learnt > 0.95 and learnt > pixels + 0.05
