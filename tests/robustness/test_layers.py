"""Bad arguments of layers and losses: each a sentence that names the layer, and nothing changed."""

import gc

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import nn


def test_wrong_feature_count_names_layer_and_shapes():
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    with pytest.raises(ValueError) as error:
        net(np.zeros((32, 785), np.float32))
    assert str(error.value) == "Linear(784, 128) (layer 0): x has shape (32, 785), expected (*, 784)"


def test_the_same_sentence_from_fit_and_predict():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 3)))
    x, y = np.zeros((40, 5), np.float32), np.zeros(40, np.int64)
    for call in (lambda: net.fit(x, y, loss="cross_entropy", batch_size=8, verbose=0), lambda: net.predict(x[:8])):
        with pytest.raises(ValueError, match=r"^Linear\(4, 8\) \(layer 0\): x has shape \(8, 5\), expected \(\*, 4\)$"):
            call()
    net[2][0] = nn.Linear(9, 3)
    with pytest.raises(ValueError, match=r"^Linear\(9, 3\) \(layer 2\.0\): x has shape \(8, 8\), expected \(\*, 9\)$"):
        net.predict(x[:8, :4])


def test_path_of_the_innermost_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(4, 5)))
            self.list = nn.ModuleList([nn.Linear(2, 2), nn.Linear(9, 1)])

        def forward(self, x, which):
            return self.body(x) if which == "body" else self.list[1](x)

    net, x = Net(), np.zeros((1, 2), np.float32)
    with pytest.raises(ValueError, match=r"^Linear\(4, 5\) \(layer body\.1\.1\): x has shape \(1, 3\)"):
        net(x, "body")
    with pytest.raises(ValueError, match=r"^Linear\(4, 5\) \(layer 1\.1\): x has"):
        net.body(x)
    with pytest.raises(ValueError, match=r"^Linear\(9, 1\) \(layer list\.1\): x has"):
        net(x, "list")
    with pytest.raises(ValueError, match=r"^Linear\(2, 3\): x has shape \(1, 3\)"):
        net.body[0](np.zeros((1, 3), np.float32))
    with pytest.raises(TypeError, match=r"^Net: .*which"):
        net(x)


def test_hooks_do_not_change_messages():
    net = nn.Sequential(nn.Linear(3, 2))
    net[0].register_forward_hook(lambda m, args, y: None)
    with pytest.raises(ValueError, match=r"^Linear\(3, 2\) \(layer 0\): x has shape \(1, 2\), expected \(\*, 3\)$"):
        net(np.zeros((1, 2), np.float32))


@pytest.mark.parametrize(
    "sizes", [(10**9, 10**9), (784, 10**9), (10**9, 784), (10**30, 2), (2**62, 2**62), (1, 10**13)]
)
def test_huge_layers_are_a_memory_error(sizes):
    gc.collect()
    live = pn._core.alloc_stats()["live_bytes"]
    with pytest.raises(MemoryError, match=r"Linear\(\d+, \d+\): weight of shape \(\d+, \d+\)"):
        nn.Linear(*sizes)
    assert pn._core.alloc_stats()["live_bytes"] == live
    assert nn.Linear(2, 2)(np.zeros((1, 2), np.float32)).shape == (1, 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(-1, 2), ValueError, "Linear: in_features must be at least 1, got -1"),
        (lambda: nn.Linear(2, 0), ValueError, "Linear: out_features must be at least 1, got 0"),
        (lambda: nn.Linear(2.0, 3), TypeError, "Linear: in_features must be a whole number, got 2.0"),
        (lambda: nn.Linear("2", 3), TypeError, "in_features must be a whole number, got '2'"),
        (lambda: nn.Linear(True, 3), TypeError, "in_features must be a whole number"),
        (lambda: nn.Linear(None, 3), TypeError, "needs both sizes"),
        (lambda: nn.Linear(2), TypeError, "needs both sizes"),
        (lambda: nn.Dense(10), TypeError, r"Linear\(in_features, out_features\)"),
        (lambda: nn.Linear(2, units=3), TypeError, "Keras's units is out_features"),
        (lambda: nn.Linear(2, 3, activation="relu"), TypeError, "has no activation"),
        (lambda: nn.Linear(2, "relu"), TypeError, "has no activation"),
        (lambda: nn.Linear(2, 3, kernel_initializer="he_normal"), TypeError, "init="),
        (lambda: nn.Linear(2, 3, device="cuda"), TypeError, "computes on the CPU"),
        (lambda: nn.Linear(2, 3, bais=False), TypeError, "did you mean bias"),
        (lambda: nn.Linear(2, 3, bias="zeros"), TypeError, "bias must be True or False"),
        (lambda: nn.Linear(2, 3, dtype="float16"), TypeError, "'float32' or 'float64'"),
        (lambda: nn.Linear(2, 3, True, use_bias=True), TypeError, "two spellings"),
        (lambda: nn.Dropout(1.5), ValueError, "Dropout: p must be from 0 to 1, got 1.5"),
        (lambda: nn.Dropout(float("nan")), ValueError, "got nan"),
        (lambda: nn.Dropout("0.5"), TypeError, "Dropout: p must be a number"),
        (lambda: nn.Dropout(0.5, keep=0.5), TypeError, "two spellings"),
        (lambda: nn.Dropout(noise_shape=(1,)), TypeError, "noise_shape"),
        (lambda: nn.Embedding(0, 3), ValueError, "num_embeddings must be at least 1"),
        (lambda: nn.Softmax(dim="x"), TypeError, "dim must be a whole number"),
        (lambda: nn.GELU("sigmoid"), ValueError, "approximate must be one of 'none', 'tanh'"),
        (lambda: nn.ReLU(relu_grad_at_zero=2), ValueError, "from 0 to 1"),
        (lambda: nn.ReLU(threshold=1), TypeError, "kink is at 0"),
        (lambda: nn.Hardtanh(1, -1), ValueError, "max_val must be at least 1"),
        (lambda: nn.MSELoss(reduction="avg"), ValueError, "reduction must be one of 'mean', 'sum', 'none'"),
        (lambda: nn.CrossEntropyLoss(from_logits=True), TypeError, "take raw scores"),
        (lambda: nn.BCELoss(from_logits=True), TypeError, "nn.BCEWithLogitsLoss"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=1.1), ValueError, "from 0 to 1"),
        (lambda: nn.MSELoss(size_average=True), TypeError, "reduction='mean'"),
        (lambda: nn.losses.get("msee"), ValueError, "did you mean 'mse'"),
        (lambda: nn.losses.get("categorical_crossentropy"), ValueError, "leave out the softmax layer"),
        (lambda: nn.losses.get("binary_crossentropy"), ValueError, "'bce_with_logits' on raw scores"),
        (lambda: nn.losses.get(3), TypeError, "a name, a loss or a callable"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_both_spellings_mean_the_same():
    assert nn.Dense is nn.Linear
    assert nn.Linear(2, 3, use_bias=False).bias is None
    assert nn.Dropout(rate=0.3).p == nn.Dropout(0.3).p == nn.Dropout(keep=0.7).p == 0.3
    assert nn.Softmax(axis=1).dim == 1
    assert nn.LeakyReLU(slope=0.3).negative_slope == 0.3
    assert type(nn.losses.get("mean_squared_error")) is nn.MSELoss


# ---- losses ----


def test_prediction_and_target_must_have_equal_shapes():
    F = nn.functional
    x = np.random.default_rng(0).normal(size=(6, 1)).astype(np.float32)
    losses = (F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss, F.binary_cross_entropy_with_logits, F.hinge_loss)
    for loss in losses:
        assert loss(x, x[:, 0] * 0.5).item() == loss(x[:, 0], x * 0.5).item() == loss(x, x * 0.5).item()
        for bad in (np.zeros((5, 1)), np.zeros((1, 6)), np.zeros((6, 6)), np.zeros(()), np.zeros((6, 1, 1, 1))):
            with pytest.raises(ValueError, match="shape"):
                loss(x, bad.astype(np.float32))
    weights = {"pos_weight": [2.0]}
    a = F.binary_cross_entropy_with_logits(x, x[:, 0] > 0, **weights)
    assert a.item() == F.binary_cross_entropy_with_logits(x, (x > 0).astype(np.float32), **weights).item()
    with pytest.raises(ValueError, match=r"input has shape \(6, 1\), target has shape \(1, 6\)"):
        F.binary_cross_entropy_with_logits(x, x.T, **weights)


@pytest.mark.parametrize("bad", [3, -1, 10**12, -(10**12)])
def test_labels_out_of_range(bad):
    x = np.zeros((4, 3), np.float32)
    for loss in (nn.functional.cross_entropy, nn.functional.nll_loss):
        with pytest.raises((ValueError, IndexError), match=f"label {bad} at row 2, expected 0..2"):
            loss(x, [0, 1, bad, 2])


def test_float_labels_for_cross_entropy():
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(TypeError, match=r"class numbers must be integers, y\.astype\('int64'\)"):
        nn.functional.cross_entropy(x, np.zeros(4))
    with pytest.raises(TypeError, match="class numbers must be integers"):
        nn.functional.nll_loss(x, np.zeros(4))
    with pytest.raises(ValueError, match="shape"):
        nn.functional.cross_entropy(x, np.zeros((4, 2), np.float32))
    with pytest.raises(ValueError, match="shape"):
        nn.functional.cross_entropy(x, [0, 1])


def test_probabilities_of_bce_are_checked():
    with pytest.raises(ValueError, match="bce_with_logits"):
        nn.functional.binary_cross_entropy(np.array([0.5, 1.5], np.float32), np.array([0, 1]))


def test_integer_targets_are_fine_for_real_losses():
    x = np.array([[0.5], [2.0]], np.float32)
    assert nn.functional.mse_loss(x, np.array([0, 1])).item() == pytest.approx((0.25 + 1) / 2)
    assert nn.functional.binary_cross_entropy_with_logits(x, [0, 1]).item() > 0


def test_object_and_text_input():
    net = nn.Sequential(nn.Linear(2, 1))
    for bad in (np.array([["a", "b"]]), np.array([[1, None]]), "text", None, object()):
        with pytest.raises((TypeError, ValueError)):
            net(bad)


def test_embedding_out_of_range():
    layer = nn.Embedding(3, 2)
    for bad in ([3], [-1], [10**12]):
        with pytest.raises((ValueError, IndexError)):
            layer(bad)
    with pytest.raises(TypeError):
        layer(np.array([0.5]))


def test_loss_conventions_of_the_lectures():
    y, f = [1.0, 2.0, 3.0], [1.5, 1.5, 2.0]
    assert nn.MSELoss(reduction="sum")(f, y).item() == 1.5
    assert nn.MSELoss()(f, y).item() == 0.5
    assert nn.losses.get("half_mse")(f, y).item() == 0.25
    half = nn.losses.get("half_mse").with_reduction("none")(f, y)
    assert half.tolist() == [0.125, 0.125, 0.5]
    assert nn.ZeroOneLoss()([1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]).item() == 0.5
    assert nn.HingeLoss()([0.5, 2.0], [1.0, -1.0]).item() == pytest.approx((0.5 + 3) / 2)


def test_symbols_out_of_range_name_the_layer():
    """In teaching mode as in fit."""
    net = nn.Sequential(nn.Embedding(10, 3), nn.Flatten(), nn.Linear(6, 2))
    with pytest.raises(IndexError, match=r"^Embedding\(10, 3\) \(layer 0\): .*value 10"):
        net(np.array([[1, 10]]))
    handle = net[0].register_forward_hook(lambda module, args, output: None)
    with pytest.raises(IndexError, match=r"^Embedding\(10, 3\)"):
        net(np.array([[1, 10]]))
    handle.remove()
    with pytest.raises((IndexError, ValueError), match=r"Embedding\(10, 3\)"):
        net.fit(np.array([[1, 2], [3, 10]]), np.array([0, 1]), verbose=0, mode="eager")


def test_kink_conventions():
    def slope(layer, *values, **convention):
        x = pn.tensor([0.0], requires_grad=True)
        layer(x, *values, **convention).sum().backward()
        return x.grad.item()

    assert slope(nn.ReLU()) == 0
    assert slope(nn.ReLU(relu_grad_at_zero=1)) == 1
    assert slope(nn.LeakyReLU(0.25)) == 0.25
    assert slope(nn.LeakyReLU(0.25, relu_grad_at_zero=1)) == 1
    assert slope(nn.ELU(0.5, relu_grad_at_zero=1)) == 1
    assert slope(nn.PReLU(init=0.25)) == 0.25
    assert slope(nn.PReLU(init=0.25, relu_grad_at_zero=1)) == 1
    assert [slope(nn.functional.prelu, [0.25], relu_grad_at_zero=kink) for kink in (None, 0, 1)] == [0.25, 0, 1]
    assert nn.Step()([0.0]).item() == 0
    assert nn.Step(at_zero=1)([0.0]).item() == 1
    for functions in (pn, nn.functional, pn.Tensor):
        assert slope(functions.relu) == 0
        assert slope(functions.leaky_relu, 0.25) == 0.25
        assert slope(functions.elu, 0.5) == 0.5
        for function in (functions.relu, functions.leaky_relu, functions.elu):
            for kink in (0, 0.5, 1):
                assert slope(function, relu_grad_at_zero=kink) == kink
    for functions in (pn, nn.functional):
        assert [functions.step([0.0], at_zero=v).item() for v in (0, 0.5, 1)] == [0, 0.5, 1]


def test_dropout_has_one_set_of_spellings():
    """The function takes what the layer takes: the lectures give the probability to keep."""
    x = np.ones(10000, np.float32)
    for spelling, dropped in (({"p": 0.2}, 0.2), ({"rate": 0.2}, 0.2), ({"keep": 0.8}, 0.2), ({}, 0.5)):
        assert nn.Dropout(**spelling).p == dropped
        y = nn.functional.dropout(x, **spelling).numpy()
        assert set(y.tolist()) == {0.0, float(np.float32(1 / (1 - dropped)))}
        assert abs((y == 0).mean() - dropped) < 0.03  # six standard deviations
    assert nn.functional.dropout(x, keep=1).numpy().all()
    assert not nn.functional.dropout(x, keep=0).numpy().any()
    for make in (nn.Dropout, lambda **words: nn.functional.dropout(x, **words)):
        with pytest.raises(TypeError, match="two spellings"):
            make(p=0.2, keep=0.8)
        with pytest.raises(ValueError, match="from 0 to 1"):
            make(keep=1.5)


def test_every_line_of_the_table_of_activations_is_a_function():
    """Of pn, of nn.functional and of tensors; `logsigmoid` is PyTorch's name."""
    table = [name for name in pn._core.ops if pn._core.op_info(name)["file"] == "ops/activations.c"]
    x = pn.tensor([0.5, 1.0])
    for name in set(table) - {"identity", "gelu_tanh"}:
        want = pn._core.ops[name](x).tolist()
        assert getattr(pn, name)(x).tolist() == want
        if name != "step":  # a method of this name would be an optimiser's
            assert getattr(x, name)().tolist() == want
    activations = {"sigmoid", "tanh", "softsign", "step", "softplus", "relu", "leaky_relu", "elu", "selu", "gelu",
                   "silu", "hardtanh", "log_sigmoid"}  # fmt: skip
    for name in activations:
        assert getattr(nn.functional, name)(x).tolist() == pn._core.ops[name](x).tolist()
