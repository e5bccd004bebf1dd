"""Python threads beside one another and inside a fit: right results, sentences instead of races, and no crash."""

import threading
from typing import ClassVar

import networks
import numpy as np
import pytest
import work

import pyneuro as pn
from pyneuro import nn, optim

WORKERS = 8


@pytest.fixture(autouse=True)
def threads_put_back():
    before = pn.get_num_threads()
    yield
    pn.set_num_threads(before)


def together(jobs, seconds=60):
    """Runs functions in threads of their own, started at one moment; returns their results, raises the first error."""
    results, errors, gate = [None] * len(jobs), [], threading.Barrier(len(jobs))

    def call(i):
        try:
            gate.wait(seconds)
            results[i] = jobs[i]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(i,), daemon=True) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads), f"hangs after {seconds} s"
    if errors:
        raise errors[0]
    return results


# ---- several fits ----


def test_two_fits_at_once_give_the_bits_of_one():
    """One has the pool of threads, the other computes alone meanwhile."""
    alone = work.train(epochs=4)
    assert together([lambda: work.train(epochs=4)] * 2) == [alone] * 2


def test_eight_threads_on_objects_of_their_own():
    """Operations, gradients, fits and predictions, each several times, all mixed."""
    expected = work.train(), work.eager()

    def job(first):
        calls = [work.train, work.eager]
        return tuple(calls[(first + i) % 2]() for i in range(4))

    found = together([lambda k=k: job(k) for k in range(WORKERS)])
    for k, result in enumerate(found):
        assert result == tuple(expected[(k + i) % 2] for i in range(4))


def test_predictions_of_a_shared_network():
    """Plans are built, taken and given back by all threads; the modes of the layers never leak from one to another."""
    net = networks.dense(dropout=0.5)
    x, y = networks.data()
    sizes = [90, 33, 7]
    expected = [(net.predict(x[:n]), net.evaluate(x[:n], y[:n])) for n in sizes]

    def job(first):
        for i in range(20):
            k = (first + i) % len(sizes)
            n = sizes[k]
            if i % 5 == 0:
                net._plans.__init__()  # so that plans are recorded again and again
            assert np.array_equal(net.predict(x[:n]), expected[k][0])
            assert net.evaluate(x[:n], y[:n]) == expected[k][1]
            assert all(m.training for m in net.modules())

    together([lambda k=k: job(k) for k in range(WORKERS)])


def test_modes_of_a_thread_are_its_own():
    """A forward hook stops predict in the middle: other threads see the network as they left it, and may train it."""
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), seed=0)
    inside, go_on, seen = threading.Event(), threading.Event(), []

    def look(module, args):
        seen.append(module.training)
        inside.set()
        assert go_on.wait(30)

    with net[1].register_forward_pre_hook(look):
        other = threading.Thread(target=net.predict, args=(np.ones((3, 4)),))
        other.start()
        assert inside.wait(30)
        assert [m.training for m in net.modules()] == [True] * 3
        net[0].eval()
        go_on.set()
        other.join(30)
    assert not other.is_alive()
    assert set(seen) == {False}
    assert [m.training for m in net.modules()] == [True, False, True]


def test_gradients_of_a_shared_parameter_add_up():
    """Each thread sweeps its own graph into one leaf: no contribution is lost, whatever the size."""
    for shape in ((3, 4), (300, 200)):
        w = pn.tensor(np.ones(shape), requires_grad=True)
        each = [np.random.default_rng(k).standard_normal((5, shape[0])) for k in range(WORKERS)]

        def job(x, w=w):
            for _ in range(10):
                (pn.tensor(x) @ w).sum().backward()

        together([lambda x=x: job(x) for x in each])
        expected = 10 * sum(x.sum(axis=0) for x in each)
        np.testing.assert_allclose(w.grad.numpy(), np.repeat(expected[:, None], shape[1], 1), rtol=1e-10, atol=1e-10)


def test_sweeps_of_a_shared_graph():
    """One backward at a time in one graph: others raise a sentence or come before or after it."""
    x = pn.tensor(np.random.default_rng(0).standard_normal((200, 200)), requires_grad=True)
    loss = ((x @ x).tanh() @ x).sum()
    (expected,) = pn._core.gradients(loss, [x], None, True)
    expected, refused = expected.numpy().copy(), []

    def job():
        good = 0
        for _ in range(6):
            try:
                (grad,) = pn._core.gradients(loss, [x], None, True)
            except RuntimeError as error:
                refused.append(str(error))
                continue
            assert np.array_equal(grad.numpy(), expected)
            good += 1
        return good

    assert sum(together([job] * 4)) + len(refused) == 24
    assert all("another backward is under way" in sentence for sentence in refused)
    assert np.array_equal(pn._core.gradients(loss, [x], None, True)[0].numpy(), expected)


def test_reading_and_writing_shared_tensors():
    """Numbers may be old or new while others write, but nothing crashes and no tensor is torn from its memory."""
    shared = pn.zeros(400, 300)

    def job(k):
        for i in range(20):
            with pn.no_grad():
                shared[k] = float(i)
            total = (shared * 2.0).sum().item()
            assert 0 <= total <= 2 * 300 * WORKERS * 19
            shared.grad = pn.ones(400, 300) if i % 2 else None
            _ = shared[k : k + 2].clone(), np.array(shared.numpy()[k])

    together([lambda k=k: job(k) for k in range(WORKERS)])
    assert [row[0] for row in shared[:WORKERS].tolist()] == [19.0] * WORKERS


# ---- a network that is being trained ----


class Hold(pn.callbacks.Callback):
    """Stops the fit behind its first step until it is told to go on, or every step for a moment."""

    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()

    def on_train_batch_end(self, batch, logs=None):
        self.inside.set()
        assert self.go_on.wait(30)


def test_a_network_is_trained_by_one_thread():
    x, y = work.data()
    net, hold = work.net(), Hold()
    given = {"optimizer": optim.SGD(lr=0.01), "epochs": 2, "batch_size": 80, "seed": 1, "verbose": 0}
    first = threading.Thread(target=lambda: net.fit(x, y, callbacks=[hold], **given))
    first.start()
    assert hold.inside.wait(30)
    with pytest.raises(RuntimeError, match="fit is already running on this network"):
        net.fit(x, y, verbose=0)
    with pytest.raises(RuntimeError, match="load_state_dict cannot be called while fit is running"):
        net.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="to cannot be called while fit is running"):
        net.double()
    hold.go_on.set()
    first.join(30)
    assert not first.is_alive()
    other = work.net()
    other.fit(x, y, **{**given, "optimizer": optim.SGD(lr=0.01)})
    assert work.digest(net, x) == work.digest(other, x)
    assert net.history.steps == 10
    net.fit(x, y, **{**given, "optimizer": optim.SGD(lr=0.01)})


def test_one_of_many_threads_gets_to_train():
    x, y = work.data()
    net, refused = work.net(), []

    def job():
        try:
            return net.fit(x, y, epochs=2, batch_size=80, seed=1, verbose=0).steps
        except RuntimeError as error:
            refused.append(str(error))
            return 0

    steps = together([job] * WORKERS)
    assert all("fit is already running on this network" in sentence for sentence in refused)
    assert set(steps) <= {0, 10}
    assert max(steps) == 10


def test_an_optimizer_serves_one_fit_at_a_time():
    """Two networks that share a layer and its optimiser: the second fit raises a sentence, or comes after the first."""
    x, y = work.data()
    shared = nn.Linear(200, 200)
    rule = optim.SGD(shared.parameters(), lr=0.01)
    refused = []
    nets = [nn.Sequential(shared, nn.ReLU(), nn.Linear(200, 10, bias=k > 0)) for k in range(2)]

    def job(net):
        try:
            return net.fit(x, y, optimizer=rule, epochs=20, batch_size=80, seed=1, verbose=0).steps
        except RuntimeError as error:
            refused.append(str(error))
            return 0

    steps = together([lambda net=net: job(net) for net in nets])
    assert max(steps) == 100
    assert all("optimizer" in sentence for sentence in refused)
    assert all(np.isfinite(p.detach().numpy()).all() for p in shared.parameters())


def test_predictions_of_a_network_in_training():
    """From another thread: no crash and finite numbers; the training does not notice."""
    x, y = work.data()
    net, other = work.net(), work.net()
    given = {"epochs": 8, "batch_size": 80, "seed": 1, "verbose": 0}
    done = threading.Event()

    def ask():
        count = 0
        while not done.is_set() or not count:
            assert np.isfinite(net.predict(x[:50])).all()
            assert np.isfinite(net.evaluate(x[:50], y[:50], loss="cross_entropy")["loss"])
            assert all(np.isfinite(t.numpy()).all() for t in net.state_dict().values())
            count += 1

    def train():
        try:
            net.fit(x, y, optimizer=optim.SGD(lr=0.01), **given)
        finally:
            done.set()

    together([train, ask, ask])
    other.fit(x, y, optimizer=optim.SGD(lr=0.01), **given)
    assert work.digest(net, x) == work.digest(other, x)


# ---- Python inside a fit ----


@pytest.mark.parametrize("mode", ["plan", "eager"])
def test_a_callback_sees_the_last_completed_step(mode):
    """What predict, evaluate and state_dict say behind step k is what a training of k steps leaves."""
    x, y = networks.data(40)
    given = {"batch_size": 10, "seed": 3, "verbose": 0, "mode": mode, "shuffle": False}
    seen = []

    class Look(pn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((self.model.predict(x), self.model.evaluate(x, y), networks.weights(self.model)))
            for forbidden in (lambda: self.model.fit(x, y), lambda: self.model.load_state_dict({})):
                with pytest.raises(RuntimeError, match="fit"):
                    forbidden()

    networks.dense(dropout=0.3).fit(x, y, optimizer=optim.Adam(lr=0.01), epochs=1, callbacks=[Look()], **given)
    for k, (out, values, weights) in enumerate(seen, 1):
        other = networks.dense(dropout=0.3)
        rows = slice(0, 10 * k)
        other.fit(x[rows], y[rows], optimizer=optim.Adam(lr=0.01), epochs=1, **given)
        assert np.array_equal(out, other.predict(x))
        assert values == other.evaluate(x, y)
        assert all(np.array_equal(w, networks.weights(other)[name]) for name, w in weights.items())
    assert len(seen) == 4


class Fragile(pn.Function):
    """The identity, which raises at a chosen call of forward or backward."""

    left: ClassVar = {}

    @staticmethod
    def forward(ctx, x):
        Fragile.count("forward")
        return x.copy()

    @staticmethod
    def backward(ctx, g):
        Fragile.count("backward")
        return g.copy()

    @classmethod
    def count(cls, what):
        cls.left[what] -= 1
        if not cls.left[what]:
            raise LookupError(f"broken {what}")


class WithFragile(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 16)
        self.b = nn.Linear(16, 3)

    def forward(self, x):
        return self.b(Fragile.apply(self.a(x)).tanh())


NEVER = {"forward": 10**9, "backward": 10**9}


@pytest.mark.parametrize("mode", ["plan", "eager"])
@pytest.mark.parametrize("what", ["forward", "backward"])
def test_an_exception_in_a_function_ends_the_step(what, mode):
    """Weights and history are those of the last completed step, whichever step that is, and training goes on."""
    x, y = networks.data(40)
    given = {"batch_size": 10, "seed": 3, "verbose": 0, "mode": mode, "epochs": 4}
    start = networks.weights(WithFragile())
    for calls in (9, 12):
        a, b = WithFragile(), WithFragile()
        a.load_state_dict(start), b.load_state_dict(start)
        Fragile.left = {**NEVER, what: calls}
        with pytest.raises(LookupError, match=f"broken {what}"):
            a.fit(x, y, optimizer=optim.SGD(lr=0.1), **given)
        done = a.history.steps
        assert done > 0
        assert a.history.stopped_by == "LookupError"
        Fragile.left = dict(NEVER)
        b.fit(x, y, optimizer=optim.SGD(lr=0.1), callbacks=[EndAfter(done)], **given)
        assert b.history.steps == done
        assert networks.same_bits(a, b)
        assert a.history.history.get("loss", []) == b.history.history.get("loss", [])[: done // 4]
        a.fit(x, y, optimizer=optim.SGD(lr=0.1), **given)
        assert a.history.steps == 16


class EndAfter(pn.callbacks.Callback):
    """Ends a fit after a number of steps."""

    def __init__(self, steps):
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        self.model.stop_training = self.left == 0


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end",
                                  "on_test_end", "on_epoch_end", "on_train_end"])  # fmt: skip
def test_an_exception_in_any_hook(hook):
    x, y = networks.data(40)
    calls = []

    def fail(self, *args):
        calls.append(args)
        if len(calls) == 2 or hook in ("on_train_begin", "on_train_end"):
            raise LookupError("mine")

    class Break(pn.callbacks.Callback):
        pass

    setattr(Break, hook, fail)
    steps = {"on_train_begin": 0, "on_epoch_begin": 4, "on_train_batch_begin": 1, "on_train_batch_end": 2,
             "on_test_end": 8, "on_epoch_end": 8, "on_train_end": 12}[hook]  # fmt: skip
    epochs = {"on_epoch_end": 2, "on_train_end": 3}.get(hook, 1 if steps >= 4 else 0)
    given = {"batch_size": 10, "seed": 3, "verbose": 0, "epochs": 3, "validation_data": (x, y)}
    a, b = networks.dense(), networks.dense()
    with pytest.raises(LookupError, match="mine"):
        a.fit(x, y, optimizer=optim.SGD(lr=0.1), callbacks=[Break()], **given)
    assert a.history.steps == steps
    assert len(a.history.history.get("loss", [])) == epochs
    if steps:
        b.fit(x, y, optimizer=optim.SGD(lr=0.1), callbacks=[EndAfter(steps)], **given)
    assert networks.same_bits(a, b)
    assert a.fit(x, y, **given).steps == 12
