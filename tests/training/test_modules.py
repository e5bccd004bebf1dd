"""Modules and containers: registration, looking around, hooks, state, copies, seeds, summaries."""

import copy
import pickle

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import models, nn


def values(net):
    return {name: t.numpy().copy() for name, t in net.state_dict().items()}


def equal(a, b):
    return list(a) == list(b) and all(np.array_equal(a[k], b[k]) for k in a)


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 8)
        self.b = nn.Linear(8, 1)
        self.register_buffer("count", [0.0])

    def forward(self, x):
        return self.b(self.a(x).tanh())


# ---- registration ----


def test_attributes_are_registered():
    net = Mine()
    assert [n for n, _ in net.named_parameters()] == ["a.weight", "a.bias", "b.weight", "b.bias"]
    assert [n for n, _ in net.named_buffers()] == ["count"]
    assert list(net.children()) == [net.a, net.b]
    assert list(net.modules()) == [net, net.a, net.b]
    assert net.get_submodule("a") is net.a
    assert net.get_parameter("b.bias") is net.b.bias
    net.extra = nn.Parameter([1.0])
    net.extra2 = [1, 2]
    assert "extra" in net.state_dict()
    assert "extra2" not in net.state_dict()
    del net.a
    assert not hasattr(net, "a")
    assert "a.weight" not in net.state_dict()


def test_reassignment():
    net = Mine()
    old = net.a
    net.a = nn.Linear(2, 3)
    assert net.a is not old
    assert net.state_dict()["a.weight"].shape == (3, 2)
    net.b = None
    assert net.b is None
    assert [n for n, _ in net.named_parameters()] == ["a.weight", "a.bias"]
    net.count = pn.tensor([5.0])
    assert net.state_dict()["count"].tolist() == [5.0]
    net.a.weight = nn.Parameter(np.zeros((3, 2), np.float32))
    assert not net.a(np.ones((1, 2), np.float32)).numpy().any() or net.a.bias is not None
    assert net.a.weight is net.a._parameters["weight"]


@pytest.mark.parametrize("value", [3, "text", np.zeros((8, 2), np.float32)])
def test_a_parameter_cannot_become_something_else(value):
    layer = nn.Linear(2, 8)
    with pytest.raises(TypeError, match=r"Linear\.weight is registered as nn\.Parameter"):
        layer.weight = value
    assert isinstance(layer.weight, nn.Parameter)
    net = Mine()
    with pytest.raises(TypeError, match=r"Mine\.a is registered as nn\.Module"):
        net.a = value


def test_super_init_must_come_first():
    class Forgetful(nn.Module):
        def __init__(self):
            self.a = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"super\(\)\.__init__\(\)"):
        Forgetful()


def test_names_that_cannot_be():
    net = Mine()
    for name in ("", "a.b"):
        with pytest.raises(KeyError, match="name"):
            net.register_module(name, nn.ReLU())
    with pytest.raises(KeyError, match="exists already"):
        net.register_buffer("forward", [1.0])
    with pytest.raises(TypeError, match=r"write ReLU\(\)"):
        net.register_module("c", nn.ReLU)
    with pytest.raises(TypeError, match=r"must be an nn\.Parameter"):
        net.register_parameter("c", pn.tensor([1.0]))
    with pytest.raises(NotImplementedError, match="define forward"):
        nn.Module()(1)


def test_parameter():
    p = nn.Parameter([1.0, 2.0])
    assert isinstance(p, nn.Parameter)
    assert p.requires_grad
    assert not isinstance(pn.tensor([1.0]), nn.Parameter)
    assert not isinstance(p.detach(), nn.Parameter)
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    t = pn.tensor([1.0, 2.0])
    q = nn.Parameter(t)
    t.numpy()[0] = 7
    assert q.tolist() == [7, 2]
    with pytest.raises((TypeError, RuntimeError)):
        nn.Parameter([1, 2])


# ---- modes, types, freezing ----


def test_modes():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.5)))
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert net.train()[1][0].training
    with pytest.raises(ValueError, match="True or False"):
        net.train("yes")


def test_to_keeps_the_parameter_objects():
    net = Mine()
    before, old = list(net.parameters()), values(net)
    assert net.to("float64") is net
    assert all(p is q for p, q in zip(before, net.parameters(), strict=True))
    assert all(p.dtype == "float64" for p in net.parameters())
    assert net.count.dtype == "float64"
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in net.parameters())
    net(np.ones((1, 2))).sum().backward()
    assert net.a.weight.grad.dtype == "float64"
    net.float()
    assert equal(values(net), old)
    assert net.a.weight.grad.dtype == "float32"
    assert net.to("cpu") is net
    assert net.double().a.bias.dtype == "float64"
    for bad, error in (("cuda", ValueError), ("int64", TypeError), (3, TypeError)):
        with pytest.raises(error):
            net.to(bad)


def test_freezing_and_gradients():
    net = Mine()
    net.a.requires_grad_(False)
    net(np.ones((3, 2), np.float32)).sum().backward()
    assert net.a.weight.grad is None
    assert net.b.weight.grad is not None
    net.zero_grad()
    assert net.b.weight.grad is None
    net(np.ones((3, 2), np.float32)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert not net.b.weight.grad.numpy().any()


def test_apply_goes_bottom_up():
    seen = []
    nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU())).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


# ---- hooks ----


def test_hooks():
    layer, seen = nn.Linear(2, 2), []
    pre = layer.register_forward_pre_hook(lambda m, args: seen.append(("pre", m, args)))
    post = layer.register_forward_hook(lambda m, args, y: y * 2)
    x = pn.ones(1, 2)
    y = layer(x)
    assert seen[0][0] == "pre"
    assert seen[0][1] is layer
    assert seen[0][2][0] is x
    pre.remove()
    pre.remove()
    post.remove()
    assert np.array_equal(y.detach().numpy(), 2 * layer(x).detach().numpy())
    assert len(seen) == 1
    with layer.register_forward_pre_hook(lambda m, args: (args[0] * 0,)):
        assert np.array_equal(layer(x).detach().numpy()[0], layer.bias.detach().numpy())
    assert np.array_equal(y.detach().numpy(), 2 * layer(x).detach().numpy())
    with pytest.raises(TypeError, match="callable"):
        layer.register_forward_hook(3)


# ---- state ----


def test_state_dict_shares_storage_and_needs_no_gradient():
    net = Mine()
    state = net.state_dict()
    assert not any(t.requires_grad for t in state.values())
    state["a.bias"].numpy()[:] = 3
    assert net.a.bias.tolist() == [3.0] * 8


def test_load_state_dict_accepts_arrays_lists_and_other_types():
    net = nn.Linear(2, 1)
    view = net.weight.detach().numpy()
    result = net.load_state_dict({"weight": np.array([[1, 2]]), "bias": [0.5]})
    assert result == ([], [])
    assert view.tolist() == [[1, 2]]
    net.load_state_dict({"weight": np.asfortranarray(np.ones((1, 2))).astype(">f8"), "bias": pn.tensor([1.0])})
    assert net.weight.tolist() == [[1, 1]]


def test_load_state_dict_errors_change_nothing():
    net = Mine()
    old = values(net)
    good = {k: v + 1 for k, v in old.items()}
    cases = [
        ({k: v for k, v in good.items() if k != "b.bias"}, r"missing: b\.bias"),
        ({**good, "c": np.zeros(1)}, r"unexpected: c"),
        ({**good, "b.weight": np.zeros((8, 1))}, r"b\.weight has shape \(8, 1\), expected \(1, 8\)"),
        ({**good, "b.weight": np.zeros((1, 8), object)}, r"b\.weight has type object, expected float32"),
        ({**good, "b.weight": np.zeros((1, 8), complex)}, r"b\.weight has type complex128"),
        ({**good, "b.weight": "text"}, r"b\.weight has shape \(\)"),
        ({}, r"missing: count, a\.weight, a\.bias, b\.weight, b\.bias"),
    ]
    for state, message in cases:
        with pytest.raises(nn.StateError, match=message) as error:
            net.load_state_dict(state)
        assert isinstance(error.value, RuntimeError)
        assert isinstance(error.value, ValueError)
        assert equal(values(net), old)
    with pytest.raises(TypeError, match="dict"):
        net.load_state_dict([1])
    result = net.load_state_dict({"a.bias": np.zeros(8), "x": 1}, strict=False)
    assert result.missing_keys == ["count", "a.weight", "b.weight", "b.bias"]
    assert result.unexpected_keys == ["x"]
    assert net.a.bias.tolist() == [0.0] * 8


def test_copies():
    net = Mine()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert equal(values(net), values(other))
        assert other.a.weight is other.a._parameters["weight"]
        assert isinstance(other.a.weight, nn.Parameter)
        assert other.a.weight.requires_grad
        assert [n for n, _ in other.named_buffers()] == ["count"]
        other.a.weight.detach().numpy()[:] = 0
        assert net.a.weight.detach().numpy().any()
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    again = pickle.loads(pickle.dumps(tied))
    assert again[1].weight is again[0].weight


def test_trained_networks_are_copied_without_their_plans(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)).astype(np.float32), rng.normal(size=(40, 1)).astype(np.float32)
    net = Mine()
    net.fit(X, y, loss="mse", optimizer="sgd", epochs=2, checkpoint=tmp_path / "training", verbose=0)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(net.predict(X), other.predict(X))
        other.fit(X, y, loss="mse", optimizer="sgd", epochs=1, verbose=0)
        assert not np.array_equal(net.predict(X), other.predict(X))
    with pytest.raises(ValueError, match="checkpoint of a training"):
        pn.load(tmp_path / "training")


# ---- containers ----


def test_sequential_is_a_sequence():
    a, b, c, d = nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3), nn.Tanh()
    net = nn.Sequential(a, b)
    assert list(net) == [a, b]
    assert list(net.append(c)) == [a, b, c]
    assert list(net.add(d)) == [a, b, c, d]
    assert net[-1] is d
    assert net["2"] is c
    assert list(net[1:3]) == [b, c]
    assert isinstance(net[1:3], nn.Sequential)
    assert net.pop(1) is b
    assert [n for n, _ in net.named_children()] == ["0", "1", "2"]
    assert list(net.insert(1, b)) == [a, b, c, d]
    del net[3]
    assert len(net) == 3
    net[1] = d
    assert net[1] is d
    assert list(net + nn.Sequential(b)) == [a, d, c, b]
    net += [b]
    assert list(net) == [a, d, c, b]
    assert c in net
    with pytest.raises(IndexError, match="4 entries"):
        net[4]
    for wrong in (nn.ReLU, "relu", None):
        with pytest.raises(TypeError, match="entry 4 must be a module"):
            net.append(wrong)
    assert len(net) == 4
    assert list(nn.Sequential([a, b])) == [a, b]
    assert list(nn.Sequential({"x": a}).state_dict()) == ["x.weight", "x.bias"]
    assert np.array_equal(nn.Sequential()(pn.ones(2)).numpy(), [1, 1])


def test_lists_and_dicts():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.extend([nn.ReLU(), nn.Tanh()])
    assert [type(m).__name__ for m in layers] == ["Linear", "ReLU", "Tanh"]
    assert isinstance(layers[1:], nn.ModuleList)
    heads = nn.ModuleDict({"x": nn.Linear(1, 1)})
    heads["y"] = nn.ReLU()
    assert list(heads.keys()) == ["x", "y"]
    assert "y" in heads
    del heads["y"]
    assert len(heads) == 1
    with pytest.raises(KeyError):
        heads["y"]
    weights = nn.ParameterList([[1.0], nn.Parameter([2.0])])
    assert [n for n, _ in weights.named_parameters()] == ["0", "1"]
    weights[0] = [5.0]
    assert weights[0].tolist() == [5.0]


# ---- seeds ----


def net_of(seed=None, **options):
    return nn.Sequential(nn.Linear(5, 4, **options), nn.ReLU(), nn.Linear(4, 3), seed=seed)


def test_seed_fixes_the_network():
    pn.manual_seed(1)
    a = values(net_of(seed=7))
    pn.manual_seed(2)
    nn.Linear(3, 3)
    b = values(net_of(seed=7))
    assert equal(a, b)
    assert not equal(a, values(net_of(seed=8)))
    assert not np.array_equal(a["0.weight"][:3, :4], a["2.weight"])
    assert np.abs(a["0.weight"]).max() <= 1 / np.sqrt(5)


def test_manual_seed_fixes_the_network():
    pn.manual_seed(3)
    a, b = values(net_of()), values(net_of())
    assert not equal(a, b)
    pn.manual_seed(3)
    assert equal(a, values(net_of()))


def test_seed_leaves_what_was_loaded_or_written():
    layer, other = nn.Linear(5, 4), nn.Linear(4, 3)
    layer.load_state_dict({"weight": np.ones((4, 5)), "bias": np.zeros(4)})
    other.weight.detach().numpy()[0, 0] = 9
    net = nn.Sequential(layer, nn.ReLU(), other, seed=7)
    fresh = values(net_of(seed=7))
    found = values(net)
    assert (found["0.weight"] == 1).all()
    assert found["2.weight"][0, 0] == 9
    assert np.array_equal(found["2.bias"], fresh["2.bias"])


def test_seed_goes_by_ordinal_in_nested_networks():
    flat, nested = net_of(seed=7), nn.Sequential(nn.Sequential(nn.Linear(5, 4), nn.ReLU()), nn.Linear(4, 3), seed=7)
    assert np.array_equal(flat[2].weight.detach().numpy(), nested[1].weight.detach().numpy())
    assert equal(values(nested), values(pickle.loads(pickle.dumps(nested)).redraw(7)))


@pytest.mark.parametrize("init", ["he_normal", nn.init.orthogonal_, 0.25, lambda t: nn.init.normal_(t, 0, 0.1)])
def test_seed_works_with_every_rule(init):
    a, b = values(net_of(seed=7, init=init)), values(net_of(seed=7, init=init))
    assert equal(a, b)


def test_init_by_name_function_and_number():
    def std(init):
        return nn.Linear(400, 300, init=init).weight.detach().numpy().std()

    pn.manual_seed(0)
    expected = {
        "he_normal": np.sqrt(2 / 400), "kaiming_normal": np.sqrt(2 / 400), "he_uniform": np.sqrt(2 / 400),
        "glorot_uniform": np.sqrt(2 / 700), "xavier_normal": np.sqrt(2 / 700), "fan_in_normal": np.sqrt(1 / 400),
        "normal": 1, "zeros": 0, 0.5: 0, None: 1 / np.sqrt(3 * 400),
    }  # fmt: skip
    for init, value in expected.items():
        assert std(init) == pytest.approx(value, rel=0.02), init
    layer = nn.Linear(3, 2, init=lambda t: nn.init.constant_(t, 4), bias_init="ones")
    assert layer.weight.tolist() == [[4] * 3] * 2
    assert layer.bias.tolist() == [1, 1]
    with pytest.raises(ValueError, match="did you mean 'he_normal'"):
        nn.Linear(2, 2, init="he_norml")
    with pytest.raises(ValueError, match="needs its value"):
        nn.Linear(2, 2, init="constant")
    with pytest.raises(TypeError, match="name, a function or a number"):
        nn.Linear(2, 2, init=[1])
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        nn.init.xavier_uniform_(pn.zeros(3))


# ---- summary ----


def test_summary():
    lines = []
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    net[0].requires_grad_(False)
    net.summary((784,), print_fn=lines.append)
    text = "\n".join(lines)
    assert "0 (Linear) (None, 128) 100,480 200,704" in " ".join(text.split())
    assert "Total params: 101,770 (397.54 KB)" in text
    assert "Trainable params: 1,290" in text
    assert "Non-trainable params: 100,480" in text
    assert net.training
    again = []
    net.summary(print_fn=again.append)
    assert again == lines
    with pytest.raises(ValueError, match=r"Linear\(784, 128\) \(layer 0\)"):
        net.summary((785,), print_fn=lines.append)
    assert net.training
    assert net[2].training
    with pytest.raises(ValueError, match="shape of one sample"):
        net.summary((0,))
    Mine().summary((2,), print_fn=lines.append)
    nn.Sequential(nn.Tanh()).summary(print_fn=lines.append)


def test_models():
    net = models.mlp(8, (5, 4), 3, activation="tanh", dropout=0.1, seed=0)
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "Dropout", "Linear", "Tanh", "Dropout", "Linear"]
    assert net(np.zeros((2, 8), np.float32)).shape == (2, 3)
    assert equal(values(models.get("softmax", 4, 2, seed=1)), values(models.softmax(4, 2, seed=1)))
    with pytest.raises(ValueError, match="did you mean 'mlp'"):
        models.get("mpl", 1, 1, 1)
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        models.mlp(1, 2, 3, activation="rleu")
