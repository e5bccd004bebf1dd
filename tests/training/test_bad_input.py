"""Mistakes get a sentence, before the first step where that is possible, and leave all parameters as they were."""

import networks
import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn, optim

X, Y = networks.data(40)
ONE = X[:, :1]


def refused(error, match, net=None, x=X, y=Y, **more):
    """fit raises `error` with a matching sentence and changes no parameter."""
    net = networks.dense() if net is None else net
    before = networks.weights(net)
    with pytest.raises(error, match=match) as caught:
        net.fit(x, y, **{"epochs": 1, "seed": 0, "verbose": 0, **more})
    assert all(np.array_equal(before[k], v, equal_nan=True) for k, v in networks.weights(net).items())
    text = str(caught.value)
    assert "\n" not in text
    return text


def regression():
    return nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1), seed=0)


# ---- data ----


def test_wrong_number_of_features():
    text = refused(
        ValueError,
        "Linear",
        nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
        np.zeros((32, 785)),
        np.zeros(32, int),
    )
    assert text == "Linear(784, 128) (layer 0): x has shape (32, 785), expected (*, 784)"


def test_labels_out_of_range():
    y = Y.copy()
    y[17] = 3
    assert refused(ValueError, "label", y=y) == "y has label 3 at row 17, expected 0..2: the network has 3 outputs"
    y[3] = -1
    refused(ValueError, "label -1 at row 3", y=y)
    refused(ValueError, "row 17", y=np.where(np.arange(40) == 17, 3, Y), loss="nll")
    refused(ValueError, "label 3 at row 17, expected 0..2", y=np.where(np.arange(40) == 17, 3, Y), mode="eager")
    refused(ValueError, "label 3 at row 39", x=X, y=Y, validation_data=(X, np.where(np.arange(40) == 39, 3, Y)))


def test_ignored_labels_are_allowed():
    y = Y.copy()
    y[::2] = -100
    networks.dense().fit(X, y, epochs=1, verbose=0)
    networks.dense().fit(X, np.where(y == -100, 7, y), loss=nn.CrossEntropyLoss(ignore_index=7), epochs=1, verbose=0)


def test_float_labels():
    refused(TypeError, "float64.*class numbers as integers", y=Y.astype(float))
    refused(TypeError, "class numbers as integers", y=Y.astype(float)[:, None])
    refused(TypeError, "class numbers as integers", y=Y.astype(np.float32), loss="nll")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_data_that_are_not_finite(bad):
    x = X.copy()
    x[23, 5] = bad
    kind = "NaN" if np.isnan(bad) else "infinity"
    assert refused(ValueError, "23", x=x) == f"X holds {kind} in row 23"
    refused(ValueError, "23", x=x, mode="eager")
    refused(ValueError, "y holds .* row 2", regression(), y=np.where(np.arange(40)[:, None] == 2, bad, ONE), loss="mse")
    refused(ValueError, "sample_weight holds .* row 4", sample_weight=np.where(np.arange(40) == 4, bad, 1.0))
    refused(ValueError, "validation_data holds .* row 23", validation_data=(x, Y))


def test_numbers_too_large_for_the_dtype():
    x = X.copy()
    x[5, 0] = 1e300
    assert refused(ValueError, "row 5", x=x) == "X has a number in row 5 that is too large for float32"
    networks.dense().to("float64").fit(x * 1e-290, Y, epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("x", "y", "error", "match"),
    [
        (np.zeros((0, 6)), np.zeros(0, int), ValueError, "X is empty"),
        (X, Y[:39], ValueError, "y has 39 rows, but X has 40"),
        (X, None, ValueError, "y is missing"),
        (np.full((4, 6), "a"), np.zeros(4, int), TypeError, "X has dtype"),
        (np.array([[1.0] * 6, None], dtype=object), np.zeros(2, int), TypeError, "dtype object"),
        ([[1.0, 2.0], [3.0]], [0, 1], ValueError, "X is not an array"),
        (X.astype(complex), Y, TypeError, "complex"),
        (np.array(3.0), np.array(1), ValueError, "single number"),
        ("data.csv", Y, TypeError, "array of numbers"),
        (None, Y, TypeError, "dtype object"),
        (np.ma.masked_array(X, X > 0), Y, TypeError, "masked"),
        (X.astype("datetime64[s]"), Y, TypeError, "dtype"),
        (np.zeros((4, 6)), np.array(["a", "b", "c", "d"]), TypeError, "y has dtype"),
    ],
)
def test_data_of_the_wrong_kind(x, y, error, match):
    refused(error, match, x=x, y=y)


def test_targets_that_do_not_fit():
    refused(ValueError, r"input has shape \(32, 1\), target has shape \(32, 2\)", regression(), y=X[:, :2], loss="mse")
    refused(TypeError, r"shape \(40, 5\).*probabilities of shape \(N, 3\)", y=np.zeros((40, 5)))
    refused(ValueError, "2 outputs", Two(), y=(Y, Y), loss=["mse", "mse", "mse"])


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 1), nn.Linear(6, 1)

    def forward(self, x):
        return self.a(x), self.b(x)


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 3)

    def forward(self, x):
        return self.a(x).numpy()


def test_network_that_returns_no_tensor():
    refused(TypeError, "expected a Tensor", Broken())


# ---- arguments ----


@pytest.mark.parametrize(
    ("more", "error", "match"),
    [
        ({"loss": "cross_entorpy"}, ValueError, "did you mean 'cross_entropy'"),
        ({"loss": "categorical_crossentropy"}, ValueError, "probabilities"),
        ({"loss": 3}, TypeError, "loss must be"),
        ({"loss": []}, ValueError, "loss is empty"),
        ({"optimizer": "adamm"}, ValueError, "did you mean 'adam'"),
        ({"optimizer": 0.1}, TypeError, "optimizer must be"),
        ({"metrics": ["acuracy"]}, ValueError, "did you mean 'accuracy'"),
        ({"metrics": ["accuracy", "accuracy"]}, ValueError, "given twice"),
        ({"epochs": -1}, ValueError, "epochs must be at least 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"from_logits": True}, TypeError, "from_logits is Keras's"),
        ({"lr": 0.1}, TypeError, "belongs to the optimiser"),
        ({"learning_rate": 0.1}, TypeError, "belongs to the optimiser"),
        ({"epoch": 3}, TypeError, "did you mean epochs"),
        ({"steps_per_epoch": 3}, TypeError, "steps_per_epoch|one pass"),
        ({"validation_split": 1.0}, ValueError, "leaves one part empty"),
        ({"validation_split": 0.5, "validation_data": (X, Y)}, ValueError, "not both"),
        ({"validation_data": X}, ValueError, "validation_data must be"),
        ({"clip_norm": 0}, ValueError, "clip_norm must be above 0"),
        ({"clip_norm": "1"}, TypeError, "clip_norm must be a number"),
        ({"stop": 1e-3}, TypeError, "stop must be a rule"),
        ({"callbacks": [pn.callbacks.EarlyStopping]}, TypeError, "callback must be an object"),
        ({"mode": "fast"}, ValueError, "mode must be one of"),
        ({"resume": True}, ValueError, "needs checkpoint"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"class_weight": {0: 1.0}, "y": np.full(40, 0.5)}, ValueError, "class_weight needs one class number a row"),
        ({"sample_weight": np.ones(39)}, ValueError, "sample_weight has 39 rows"),
        ({"sample_weight": np.ones((40, 2))}, ValueError, "expected one number a row"),
        ({"sample_weight": np.ones(40), "loss": lambda a, b: (a * 0.0).mean()}, ValueError, "one loss value a sample"),
        ({"stop": pn.stop.Patience(2)}, KeyError, "validation_data"),
        ({"loss": "zero_one", "y": X[:, :3]}, ValueError, "no gradient"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_arguments(more, error, match):
    refused(error, match, **more)


def test_optimisers_refuse_nonsense():
    w = [pn.tensor([1.0], requires_grad=True)]
    for make, error, match in [
        (lambda: optim.SGD(0.1), TypeError, r"write SGD\(lr=0.1\)"),
        (lambda: optim.SGD(w, lr=-1), ValueError, "lr must be at least 0"),
        (lambda: optim.SGD(w, lr=float("nan")), ValueError, "lr"),
        (lambda: optim.SGD(w, lr="fast"), TypeError, "lr must be a number"),
        (lambda: optim.SGD(w, lr=0.1, learning_rate=0.2), TypeError, "two spellings"),
        (lambda: optim.SGD(w, nesterov=True), ValueError, "nesterov"),
        (lambda: optim.SGD([]), ValueError, "empty"),
        (lambda: optim.SGD(w[0]), TypeError, "iterable of parameters"),
        (lambda: optim.SGD([1.0]), TypeError, "must be a Tensor"),
        (lambda: optim.SGD(w + w), ValueError, "given twice"),
        (lambda: optim.SGD([w[0] * 2.0]), ValueError, "not a leaf"),
        (lambda: optim.SGD(w, clipnorm=1.0), TypeError, "clip_norm"),
        (lambda: optim.SGD(w, momentun=1.0), TypeError, "did you mean momentum"),
        (lambda: optim.Adam(w, betas=(0.9, 1.0)), ValueError, r"betas\[1\]"),
        (lambda: optim.Adam(w, betas=0.9), TypeError, "betas must be two numbers"),
        (lambda: optim.SGD(lr=0.1).step(), RuntimeError, "has no parameters"),
        (lambda: optim.StepLR(optim.SGD(w), 0), ValueError, "step_size"),
        (lambda: optim.StepLR(0.1, 2), TypeError, "must be an optimiser"),
        (lambda: optim.ReduceLROnPlateau(optim.SGD(w), factor=1.5), ValueError, "below 1"),
        (
            lambda: optim.Adam(w).load_state_dict(optim.Adam([*w, pn.tensor([1.0])]).state_dict()),
            ValueError,
            "groups of",
        ),
    ]:
        with pytest.raises(error, match=match):
            make()


def test_both_spellings():
    assert optim.Adam(learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-5).defaults == {
        **optim.Adam().defaults, "lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-5,
    }  # fmt: skip
    assert optim.RMSprop(rho=0.5).defaults["alpha"] == 0.5


def test_frozen_and_empty_networks():
    net = networks.dense()
    net.requires_grad_(False)
    refused(ValueError, "no parameter that can be trained", net)
    refused(ValueError, "no parameter", nn.Sequential(nn.ReLU()))
    refused(ValueError, "another network", optimizer=optim.SGD(networks.dense().parameters(), lr=0.1))


def test_weights_and_state_that_are_not_finite():
    net = networks.dense()
    with pn.no_grad():
        net[3].weight[1, 3] = float("nan")
    text = refused(ValueError, "layer 3", net)
    assert text == "Linear(16, 3) (layer 3): parameter weight of shape (3, 16) is not finite"
    net, opt = networks.dense(), optim.Adam(lr=0.01)
    net.fit(X, Y, optimizer=opt, epochs=1, verbose=0)
    state = opt.state_dict()
    state["state"][2]["exp_avg"][0, 0] = np.inf
    opt.load_state_dict(state)
    refused(ValueError, "exp_avg of parameter 2", net, optimizer=opt)


# ---- NaN in training: the first op, its layer and the step ----


class Power(nn.Module):
    def forward(self, x):
        return (x * 100.0).exp()


@pytest.mark.parametrize("threads", [1, 2])
def test_overflow_is_named(threads):
    before = pn.get_num_threads()
    pn.set_num_threads(threads)
    try:
        net = nn.Sequential(nn.Linear(6, 400), Power(), nn.Linear(400, 3), seed=0)
        x = np.tile(X * 4, (40, 1))
        text = refused(FloatingPointError, "step 1", net, x=x, y=np.tile(Y, 40), batch_size=800)
    finally:
        pn.set_num_threads(before)
    assert text.startswith(
        "step 1 (epoch 1): exp in Power (layer 1): the first Inf is in its output of shape (800, 400)"
    )


def test_gradient_that_overflows_is_named():
    class Steep(nn.Module):
        def forward(self, x):
            return (x * 0.0).sqrt() + x  # slope infinity at 0, times 0

    net = nn.Sequential(nn.Linear(6, 4), Steep(), nn.Linear(4, 3), seed=0)
    text = refused(FloatingPointError, "sqrt in Steep .layer 1.*gradient", net)
    assert "step 1" in text
    refused(FloatingPointError, "step 1 .epoch 1.: the gradient of weight of shape .4, 6. in Linear", net, mode="eager")


def test_steps_before_the_bad_one_stay():
    """A learning rate that explodes: the parameters are those of the last good step; the message says which failed."""
    net = regression()
    with pytest.raises(FloatingPointError, match=r"step \d+ \(epoch \d+\)"):
        net.fit(X * 1e3, ONE * 1e3, loss="mse", optimizer=optim.SGD(lr=1e4), epochs=500, seed=0, verbose=0)
    steps = net.history.steps
    assert net.history.stopped_by == "FloatingPointError"
    again = regression()
    left = steps
    opt = optim.SGD(lr=1e4)

    class End(pn.callbacks.Callback):
        done = 0

        def on_train_batch_end(self, batch, logs=None):
            self.done += 1
            self.model.stop_training = self.done == left

    if left:
        again.fit(X * 1e3, ONE * 1e3, loss="mse", optimizer=opt, epochs=500, seed=0, verbose=0, callbacks=[End()])
    assert networks.same_bits(net, again)


def test_error_in_user_code_ends_the_step():
    class Fails(pn.Function):
        calls = 0

        @staticmethod
        def forward(ctx, x):
            Fails.calls += 1
            if Fails.calls > 4:
                raise ZeroDivisionError("mine")
            return x.copy()

        @staticmethod
        def backward(ctx, g):
            return g

    class Layer(nn.Module):
        def forward(self, x):
            return Fails.apply(x)

    net = nn.Sequential(nn.Linear(6, 3), Layer(), seed=0)
    with pytest.raises(ZeroDivisionError, match="mine"):
        net.fit(X, Y, epochs=5, batch_size=10, seed=0, verbose=0)
    assert net.history.steps == 2  # two calls recorded the network, two steps were done
    net2 = nn.Sequential(nn.Linear(6, 3), seed=0)
    net2.fit(X[:20], Y[:20], epochs=1, verbose=0)


def test_predict_and_evaluate_refuse_too():
    net = networks.dense()
    with pytest.raises(ValueError, match=r"Linear\(6, 16\) \(layer 0\): x has shape \(40, 5\), expected \(\*, 6\)"):
        net.predict(X[:, :5])
    with pytest.raises(ValueError, match="X is empty"):
        net.predict(X[:0])
    with pytest.raises(ValueError, match="y has label 3 at row 0"):
        net.evaluate(X, np.full(40, 3))
    with pytest.raises(ValueError, match="one output"):
        Two().predict_labels(X)
