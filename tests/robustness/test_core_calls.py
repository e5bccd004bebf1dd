"""The core's own entry points for training, called directly with what does not fit: one sentence, and nothing changed.

`fit` never calls them like that. Whoever writes a training loop of his own on `pyneuro._core` may.
"""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import _core, nn, optim

ROWS, BATCH = 20, 8


def data(rows=ROWS):
    """(x, y): numbers and classes."""
    rng = np.random.default_rng(3)
    return rng.random((rows, 4), np.float32), rng.integers(0, 3, rows)


class Training:
    """A network, its optimiser, and plans for batches of 8 rows and for the last 4."""

    def __init__(self, rule="adam"):
        self.net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), seed=1)
        self.params = list(self.net.parameters())
        hypers = [{"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}]
        self.optimizer = _core.Optimizer(rule, self.params, [0] * 4, hypers)
        self.plan, self.tail = self.build(BATCH), self.build(ROWS % BATCH)

    def record(self, rows):
        """(recorder, inputs, loss) of one step."""
        recorder, (x, y) = _core.Recorder(), data(rows)
        with recorder:
            inputs = [recorder.input(x), recorder.input(y)]
            loss = nn.functional.cross_entropy(self.net(inputs[0]), inputs[1])
        return recorder, inputs, loss

    def build(self, rows):
        recorder, inputs, loss = self.record(rows)
        return _core.Plan(recorder, inputs, [loss], True, self.optimizer)

    def trainer(self, **changed):
        given = {"plan": self.plan, "tail": self.tail, "arrays": data(), "optimizer": self.optimizer, "batch": BATCH}
        return _core.Trainer(**{**given, **changed})

    def bits(self):
        return [p.detach().numpy().tobytes() for p in self.params], self.optimizer.steps


def test_a_loop_of_ones_own():
    """The pieces do what fit does: the same bits."""
    ours, (x, y) = Training(), data()
    trainer = ours.trainer(seed=7, shuffle=True)
    assert trainer.run(3, np.inf) == "done"
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), seed=1)
    history = net.fit(x, y, optimizer=optim.Adam(lr=0.1), epochs=3, batch_size=BATCH, seed=7, verbose=0)
    np.testing.assert_array_equal(trainer.log[:, 0], history.history["loss"])
    assert all(np.array_equal(a.detach().numpy(), b.detach().numpy()) for a, b in zip(ours.params, net.parameters()))
    assert trainer.progress["step"] == 9
    assert trainer.outputs is None
    assert ours.optimizer.steps == [9] * 5


W = pn.Tensor([1.0, 2.0], requires_grad=True)
HYPER = [{"lr": 0.1}]
OPTIMIZERS = {
    "a rule that does not exist": (("adamm", [W], [0], HYPER), ValueError, "there is no update rule adamm"),
    "too few groups": (("sgd", [W], [], HYPER), ValueError, "there are 1 parameters but 0 group numbers"),
    "a group without settings": (("sgd", [W], [1], HYPER), IndexError, "group 1 does not exist: there are 1"),
    "a group that is no number": (("sgd", [W], ["a"], HYPER), TypeError, "int"),
    "settings that are no dict": (("sgd", [W], [0], [3]), TypeError, "hyperparameters are given as a dict"),
    "a setting that is no number": (("sgd", [W], [0], [{"lr": "much"}]), TypeError, "number"),
    "a parameter that is no tensor": (("sgd", [3], [0], HYPER), TypeError, "int"),
    "a parameter twice": (("sgd", [W, W], [0, 0], HYPER), ValueError, r"parameter 1 of shape \(2,\) appears twice"),
    "integers": (("sgd", [pn.Tensor([1, 2])], [0], HYPER), TypeError, "dtype int64, which has no gradient"),
    "two dtypes": (
        ("sgd", [W, pn.Tensor([1.0], dtype="float64")], [0, 0], HYPER),
        TypeError,
        "parameter 1 has dtype float64, the first one float32: an optimiser works on one dtype",
    ),
    "a filling that is no list": (("sgd", [W], [0], HYPER, 3), TypeError, "fill is a list of numbers or None"),
    "a filling that is no number": (("adagrad", [W], [0], HYPER, ["a"]), TypeError, "number"),
    "nothing": ((), TypeError, "argument"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_that_cannot_be(name):
    given, error, message = OPTIMIZERS[name]
    with pytest.raises(error, match=message):
        _core.Optimizer(*given)


def optimizer_calls(t):
    """(call, error, words) on the optimiser of a training."""
    o, state = t.optimizer, t.optimizer.state()
    short = {**state, "exp_avg": state["exp_avg"][:2]}
    double = {**state, "exp_avg": [a.astype(np.float64) for a in state["exp_avg"]]}
    odd = {**state, "exp_avg": [np.zeros(7, np.float32), *state["exp_avg"][1:]]}
    sparse = {**state, "exp_avg": [np.zeros((5, 8), np.float32)[:, ::2], *state["exp_avg"][1:]]}
    return [
        (lambda: o.set_hyper(2, {}), IndexError, "group 2 does not exist"),
        (lambda: o.set_hyper("a", {}), TypeError, "int"),
        (lambda: o.set_hyper(0, None), TypeError, "given as a dict"),
        (lambda: o.hyper(-1), IndexError, "group -1 does not exist"),
        (lambda: o.load_state([]), TypeError, "state is a dict of lists of arrays"),
        (lambda: o.load_state({}), ValueError, "state has no list exp_avg"),
        (lambda: o.load_state(short), ValueError, "one array for each of the 4 parameters"),
        (lambda: o.load_state(double), ValueError, "state exp_avg of parameter 0 does not fit: .* dtype float32"),
        (lambda: o.load_state(odd), ValueError, r"does not fit: expected a contiguous array of shape \(5, 4\)"),
        (lambda: o.load_state(sparse), ValueError, "expected a contiguous array"),
        (lambda: setattr(o, "steps", [1, 2]), ValueError, "steps is a list of 5 counts"),
        (lambda: setattr(o, "steps", 3), ValueError, "steps is a list of 5 counts"),
        (lambda: setattr(o, "steps", [0, 0, -1, 0, 0]), ValueError, "steps are counted from 0"),
        (lambda: setattr(o, "steps", [0, 0, "a", 0, 0]), TypeError, "int"),
        (lambda: delattr(o, "steps"), (ValueError, TypeError, AttributeError), "."),
        (lambda: o.step("a"), TypeError, "number"),
    ]


@pytest.mark.parametrize("number", range(16))
def test_calls_of_an_optimizer(number):
    training = Training()
    before = training.bits()
    call, error, message = optimizer_calls(training)[number]
    with pytest.raises(error, match=message):
        call()
    assert training.bits() == before
    assert training.optimizer.hyper(0)["beta2"] == 0.999
    assert training.trainer().run(1, np.inf) == "done"


def test_settings_and_state_go_round():
    """What an optimiser gives away another one takes."""
    a, b = Training(), Training()
    a.trainer().run(1, np.inf)
    a.optimizer.set_hyper(0, {"lr": 0.25})
    b.optimizer.set_hyper(0, a.optimizer.hyper(0))
    b.optimizer.load_state(a.optimizer.state())
    b.optimizer.steps = a.optimizer.steps
    assert b.optimizer.hyper(0) == a.optimizer.hyper(0)
    assert b.optimizer.hyper(0)["lr"] == 0.25
    assert all(np.array_equal(x, y) for x, y in zip(a.optimizer.state()["exp_avg"], b.optimizer.state()["exp_avg"]))


def trainer_calls(t):
    """(arguments, error, words) for a trainer on what does not belong together."""
    x, y = data()
    other = Training()
    recorder, inputs, loss = t.record(BATCH)
    one = {"tail": None, "drop_last": True, "optimizer": None}
    many = _core.Plan(recorder, inputs, [loss] * 40)
    recorder, inputs, loss = t.record(BATCH)
    scores = _core.Plan(recorder, inputs, [loss, inputs[0]])
    return [
        ({"plan": 3}, TypeError, "plan is of type .*int.*, expected a Plan or None"),
        ({"tail": "a"}, TypeError, "tail is of type .*str.*, expected a Plan or None"),
        ({"optimizer": optim.SGD()}, TypeError, "optimizer is of type .*SGD.*, expected _core.Optimizer"),
        ({"plan": None, "tail": None}, ValueError, "there is no plan to run"),
        ({"arrays": (x,)}, ValueError, "the plan takes 2 arrays, got 1"),
        ({"arrays": ()}, ValueError, "the plan takes 2 arrays, got 0"),
        ({"arrays": (x[:0], y[:0])}, ValueError, "0 rows in batches of 8 cannot be run"),
        ({"batch": 0}, ValueError, "20 rows in batches of 0 cannot be run"),
        ({"arrays": (list(x), y)}, ValueError, "0 rows in batches of 8"),
        ({"arrays": (np.array(1.0), y)}, ValueError, "0 rows in batches of 8"),
        ({"arrays": (x, list(y))}, TypeError, "array 1"),
        ({"arrays": (x, y[:19])}, ValueError, "array 1 has 19 rows, array 0 has 20"),
        ({"plan": None}, ValueError, "a plan is missing for 20 rows in batches of 8"),
        ({"tail": None}, ValueError, "a plan is missing for 20 rows in batches of 8"),
        ({"arrays": (x[:, :3].copy(), y)}, ValueError, r"rows of array 0 have 3 elements, which do not make"),
        ({"batch": 4, "tail": None}, ValueError, r"do not make batches of shape \(8, 4\)"),
        ({"tail": t.plan}, ValueError, r"do not make batches of shape \(8, 4\)"),
        ({"optimizer": other.optimizer}, ValueError, "the plan was built for another optimizer"),
        ({"tail": other.tail}, ValueError, "the plan was built for another optimizer"),
        ({"plan": many, **one}, ValueError, "40 losses and metrics, at most 32"),
        ({"plan": scores, **one}, ValueError, "output 1 .* expected a single"),
        ({"plan": scores, **one, "collect": True}, ValueError, "one row for"),
        ({"wrong": 1}, TypeError, "wrong"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(23))
def test_trainers_that_cannot_be(number):
    training = Training()
    before = training.bits()
    given, error, message = trainer_calls(training)[number]
    with pytest.raises(error, match=message):
        training.trainer(**given)
    assert training.bits() == before


def progress_calls(t):
    return [
        (lambda: setattr(t, "progress", (0, 0, 0, 0.0, [])), ValueError, "expected counts from 0 and 1 sums"),
        (lambda: setattr(t, "progress", (0, -1, 0, 0.0, [0.0])), ValueError, "expected counts from 0"),
        (lambda: setattr(t, "progress", (0, 0, 0, 0.0, ["a"])), TypeError, "number"),
        (lambda: setattr(t, "progress", (0, 0)), TypeError, "progress"),
        (lambda: delattr(t, "progress"), TypeError, "progress cannot be deleted"),
        (lambda: t.run("a", 1), TypeError, "."),
    ]


@pytest.mark.parametrize("number", range(6))
def test_progress_that_cannot_be(number):
    trainer = Training().trainer(seed=1)
    trainer.run(2, np.inf, 4)
    before = trainer.progress
    call, error, message = progress_calls(trainer)[number]
    with pytest.raises(error, match=message):
        call()
    assert trainer.progress == before
    assert (before["epoch"], before["position"], before["step"]) == (1, 8, 4)


def plan_calls(t):
    """(call, error, words) around recordings and plans."""
    x, y = data(BATCH)
    recorder, inputs, loss = t.record(BATCH)
    closed = _core.Recorder()
    with closed:
        closed.input(x)
    closed.close()
    return [
        (lambda: _core.Plan(3, [], []), TypeError, "Recorder"),
        (lambda: _core.Plan(recorder, inputs, []), RuntimeError, "a plan needs at least one output"),
        (lambda: _core.Plan(closed, inputs, [loss]), RuntimeError, "this recording is closed"),
        (lambda: _core.Plan(recorder, [3], [loss]), TypeError, "."),
        (lambda: _core.Plan(recorder, 3, [loss]), TypeError, "."),
        (lambda: _core.Plan(recorder, inputs, [loss], True, 3), TypeError, "expected _core.Optimizer"),
        (lambda: _core.Plan(recorder, inputs, inputs[1:], True, t.optimizer), TypeError, "the loss has dtype int64"),
        (lambda: _core.Plan(recorder, inputs, inputs[:1], True, t.optimizer), ValueError, "the loss has shape"),
        (lambda: recorder.same(3), TypeError, "expected a Recorder"),
        (lambda: closed.__enter__(), RuntimeError, "."),
        (lambda: t.plan.run(x), TypeError, "the plan takes 2 arrays, got 1"),
        (lambda: t.plan.run(x[:4], y[:4]), ValueError, r"input 0 has another shape .* \(8, 4\)"),
        (lambda: t.plan.run(x.tolist(), y), TypeError, "input 0"),
        (lambda: t.plan.run(x * np.float32(np.nan), y), FloatingPointError, "not finite|NaN"),
        (lambda: _core.check_finite(x, "int64"), TypeError, "float32 or float64"),
        (lambda: _core.check_finite(3, "float32"), TypeError, "array"),
        (lambda: _core.check_labels(3, 2, 0), TypeError, "array"),
        (lambda: _core.check_finite(x, "floot"), (TypeError, ValueError), "."),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(18))
def test_recordings_and_plans(number):
    training = Training()
    before = training.bits()
    call, error, message = plan_calls(training)[number]
    with pytest.raises(error, match=message):
        call()
    assert training.bits() == before


def test_parameters_that_changed_their_dtype():
    """A plan and a trainer notice it, each in its words; the next fit makes new ones."""
    training = Training()
    recorder, inputs, loss = training.record(BATCH)
    trainer = training.trainer()
    training.net.to("float64")
    with pytest.raises(RuntimeError, match="converted to another dtype after the optimiser was made"):
        _core.Plan(recorder, inputs, [loss], True, training.optimizer)
    with pytest.raises(RuntimeError, match="parameters got new memory after the plan was built"):
        training.trainer()
    with pytest.raises(RuntimeError, match="parameters got new memory after the plan was built"):
        training.plan.run(*data(BATCH))
    with pytest.raises(TypeError, match="converted to another dtype after the optimiser was made"):
        training.optimizer.step()
    del trainer


def test_what_a_plan_tells():
    """Its shapes, work, memory, threads, text."""
    plan, recorder = Training().plan, _core.Recorder()
    with recorder:
        x = recorder.input(np.ones((2, 3), np.float32))
        y = x * 2.0
    assert recorder.nodes == 1
    assert _core.Plan(recorder, [x], [y]).output_shapes == [(2, 3)]
    with pytest.raises(RuntimeError, match="depends on the input but was not computed by recorded operations"):
        _core.Plan(recorder, [], [y])
    assert plan.output_shapes == [()]
    assert plan.flops > 2 * BATCH * (4 * 5 + 5 * 3)
    assert plan.bytes > 0
    assert plan.threads >= 1
    assert plan.fused == 0
    wide = nn.Sequential(nn.Linear(300, 130), seed=0)
    optimizer = _core.Optimizer("sgd", list(wide.parameters()), [0, 0], HYPER)
    recorder = _core.Recorder()
    with recorder:
        x = recorder.input(np.ones((4, 300), np.float32))
        loss = wide(x).square().mean()
    plan = _core.Plan(recorder, [x], [loss], True, optimizer)
    assert plan.fused == 1
    assert "update   (130, 300) with its gradient, fused" in plan.text()


# ---- when two recordings are the same ----


class Double(pn.Function):
    """An operation of one's own."""

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


class Triple(Double):
    """Another one."""


V = pn.Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
U = pn.Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
V.kind = U.kind = "parameter"
F = nn.functional
DIFFERENT = {
    "operation": (lambda x: x.exp(), lambda x: x.tanh()),
    "number": (lambda x: F.leaky_relu(x, 0.1), lambda x: F.leaky_relu(x, 0.2)),
    "given or not": (lambda x: F.leaky_relu(x), lambda x: F.leaky_relu(x, relu_grad_at_zero=0.01)),
    "dimension": (lambda x: x.sum(0), lambda x: x.sum(1)),
    "dimensions": (lambda x: x.sum((0, 1)), lambda x: x.sum(())),
    "count": (lambda x: x.exp(), lambda x: x.exp().exp()),
    "inputs": (lambda x: pn.cat([x, x]), lambda x: pn.cat([x, x, x])),
    "order": (lambda x: x - x.exp(), lambda x: x.exp() - x),
    "wiring": (lambda x: x.exp() + x.exp().tanh(), lambda x: (lambda e: e + e.tanh())(x.exp())),
    "producer": (lambda x: (lambda e: e.tanh() * e)(x.exp()), lambda x: (lambda e: e.tanh() * x)(x.exp())),
    "constant": (lambda x: x * np.ones(4, np.float32), lambda x: x * np.full(4, 2, np.float32)),
    "shape of a constant": (lambda x: x * np.ones(4, np.float32), lambda x: x * np.ones((1, 4), np.float32)),
    "parameter": (lambda x: x * V, lambda x: x * U),
    "parameter or constant": (lambda x: x * V, lambda x: x * V.numpy().copy()),
    "gradient": (lambda x: x * V.detach(), lambda x: x * V),
    "training": (lambda x: F.dropout(x), lambda x: F.dropout(x, training=False)),
    "own operation": (lambda x: Double.apply(x), lambda x: Triple.apply(x)),
}


def recorded(function, rows=3):
    recorder = _core.Recorder()
    with recorder, pn.enable_grad():
        function(recorder.input(np.ones((rows, 4), np.float32)))
    return recorder


@pytest.mark.parametrize("name", DIFFERENT)
def test_recordings_are_told_apart(name):
    first, second = DIFFERENT[name]
    with np.errstate(all="ignore"):
        assert recorded(first).same(recorded(first))
        assert recorded(second).same(recorded(second))
        assert not recorded(first).same(recorded(second))
        assert not recorded(second).same(recorded(first))
    assert not recorded(first).same(recorded(first, 5))


def test_a_long_recording():
    """More operations than the first room of a recording, trained as a plan and step by step."""
    x, y = data(64)
    found = []
    for mode in (None, "eager"):
        net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(45)), nn.Linear(4, 3), seed=5)
        history = net.fit(x, y, optimizer=optim.SGD(lr=0.1), epochs=2, batch_size=16, seed=0, verbose=0, mode=mode)
        assert history.mode == ("eager" if mode else "plan")
        found.append([p.detach().numpy() for p in net.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_more_random_operations_than_a_step_counts():
    """A node's random numbers have 16 bits for its number: beyond, the next step's are drawn; no mask comes twice."""
    x = pn.ones(64)
    pn.manual_seed(3)
    drawn = {F.dropout(x).numpy().tobytes() for _ in range(1 << 16 | 50)}
    assert len(drawn) > (1 << 16)
    pn.manual_seed(3)
    assert F.dropout(x).numpy().tobytes() in drawn


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_operations_side_by_side(threads):
    """More memory touched between two barriers than the plan keeps in mind."""
    numbers = np.random.default_rng(1).standard_normal((200, 300)).astype(np.float32)
    recorder = _core.Recorder()
    with recorder:
        x = recorder.input(numbers)
        outputs = [x * float(i) for i in range(70)]
        outputs += [(outputs[i] + outputs[69 - i]).sum(0) for i in range(35)]
    before = pn.get_num_threads()
    pn.set_num_threads(threads)
    try:
        found = _core.Plan(recorder, [x], outputs).run(numbers)
    finally:
        pn.set_num_threads(before)
    for i in range(70):
        np.testing.assert_array_equal(found[i], numbers * np.float32(i))
    for i in range(35):
        np.testing.assert_allclose(found[70 + i], 69 * numbers.astype(np.float64).sum(0), rtol=1e-5, atol=1e-3)
