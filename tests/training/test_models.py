"""Convolutional models: sizes of the papers, training, saving, seeds, and what must be refused."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import models, nn, optim


def count(net):
    return sum(p.numel() for p in net.parameters())


SMALL = {
    "lenet5": (lambda seed: models.lenet5(seed=seed), (1, 28, 28), 61_706),
    "lenet5 of 32": (lambda seed: models.lenet5(in_channels=3, size=32, seed=seed), (3, 32, 32), 62_006),
    "lenet5 with coefficients": (lambda seed: models.lenet5(trainable_pooling=True, seed=seed), (1, 28, 28), 61_750),
    "modern lenet5": (lambda seed: models.lenet5("modern", seed=seed), (1, 28, 28), 61_706),
    "mnist_cnn": (lambda seed: models.mnist_cnn(seed=seed), (1, 28, 28), 1_199_882),
    "resnet20": (lambda seed: models.resnet20(seed=seed), (3, 16, 16), 269_722),
    "resnet20 B": (lambda seed: models.resnet20(num_classes=4, shortcut="B", seed=seed), (3, 16, 16), 272_084),
    "plain20": (lambda seed: models.plain20(seed=seed), (3, 16, 16), 269_722),
    "unet": (lambda seed: models.unet(2, 3, width=4, seed=seed), (2, 8, 12), 7_443),
}  # fmt: skip


@pytest.fixture(params=SMALL)
def model(request):
    return SMALL[request.param]


def targets(net, x):
    rng = np.random.default_rng(1)
    shape = net.predict(x[:1]).shape
    return rng.integers(0, shape[1], (len(x), *shape[2:]))


def test_parameters(model):
    make, _, parameters = model
    assert count(make(0)) == parameters


def test_the_seed_decides(model):
    make, _, _ = model
    a, b, c = (list(make(seed).parameters()) for seed in (3, 3, 4))
    assert all(pn.equal(p, q) for p, q in zip(a, b, strict=True))
    assert not any(pn.equal(p, q) for p, q in zip(a, c, strict=True) if (p.numpy() != p.numpy().flat[0]).any())


def test_fit_learns_as_a_plan_and_what_is_saved_predicts_the_same(model, tmp_path, capsys):
    make, shape, _ = model
    net = make(0)
    x = np.random.default_rng(0).random((12, *shape), np.float32)
    y = targets(net, x)
    history = net.fit(x, y, optimizer=optim.Adam(lr=2e-3), epochs=4, batch_size=6, seed=0, verbose=0)
    assert history.mode == "plan"
    loss = history.history["loss"]
    assert loss[-1] < loss[0]
    net.save(tmp_path / "net.safetensors")
    again = pn.load(tmp_path / "net.safetensors")
    assert repr(again) == repr(net)
    assert np.array_equal(again.predict(x), net.predict(x))
    net.summary(shape)
    assert f"Total params: {count(net):,}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (models.resnet32, 464_154), (models.resnet44, 658_586), (models.resnet56, 853_018), (models.plain32, 464_154),
        (models.plain44, 658_586), (models.plain56, 853_018), (models.resnet18, 11_689_512),
    ],
)  # fmt: skip
def test_parameters_of_deeper_nets(make, parameters):
    with nn.init.loading(1 << 40):  # zeros: nothing is drawn
        net = make()
    assert count(net) == parameters
    depth = int("".join(c for c in make.__name__ if c.isdigit()))
    weighted = [m for path, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear)) and "down" not in path]
    assert len(weighted) == depth


def test_a_residual_block_is_its_input_plus_what_it_learns():
    """With F = 0 (a last batch norm of weight 0) the block passes x on; the plain one passes nothing."""
    x = np.random.default_rng(0).random((2, 4, 6, 6), np.float32)
    for shortcut, stride, channels in (("A", 1, 4), ("B", 1, 4), ("none", 1, 4), ("A", 2, 7)):
        block = models.BasicBlock(4, channels, stride, shortcut)
        nn.init.zeros_(block.bn2.weight)
        expected = np.zeros((2, channels, 6 // stride, 6 // stride), np.float32)
        if shortcut != "none":
            before = (channels - 4) // 2
            expected[:, before : before + 4] = x[:, :, ::stride, ::stride]
        assert np.array_equal(block.predict(x), expected)


def test_residual_gradients_survive_depth():
    """Lecture 003's point: without shortcuts (and batch norm, which would scale them up) gradients fade on the way."""

    def ratio(shortcut):
        net = nn.Sequential(*(models.BasicBlock(4, 4, 1, shortcut) for _ in range(12)), seed=0).eval()
        for block in net:
            for bn in (block.bn1, block.bn2):
                nn.init.constant_(bn.weight, 0.5)
        x = pn.tensor(np.random.default_rng(0).random((2, 4, 8, 8), np.float32), requires_grad=True)
        net(x).sum().backward()
        return float(np.abs(x.grad.numpy()).mean())

    assert ratio("A") > 1e3 * ratio("none")


def test_running_statistics_are_saved_with_a_net(tmp_path):
    net = models.resnet20(seed=0)
    x = np.random.default_rng(0).random((8, 3, 8, 8), np.float32)
    net.fit(x, np.arange(8), epochs=1, seed=0, verbose=0)
    assert net.layer3[2].bn2.num_batches_tracked.item() == 1
    net.save(tmp_path / "net")
    again = pn.load(tmp_path / "net")
    for (name, a), (other, b) in zip(net.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other
        assert pn.equal(a, b), name


def test_lenet_follows_its_variant():
    def kinds(net):
        return [type(m).__name__ for m in net]

    classic, modern = kinds(models.lenet5()), kinds(models.lenet5("modern"))
    assert classic.count("Tanh") == modern.count("ReLU") == 4
    assert classic.count("AvgPool2d") == modern.count("MaxPool2d") == 2
    trained = models.lenet5(trainable_pooling=True)
    s2 = [m for m in trained if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert [count(m) for m in s2] == [12, 32]  # as in the table of the paper
    x = np.random.default_rng(0).random((1, 6, 14, 14), np.float32)
    assert np.array_equal(s2[0].predict(x), x)  # it begins as the plain mean


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: models.lenet5("modren"), "variant must be one of .* did you mean 'modern'"),
        (lambda: models.lenet5(size=30), "lenet5: size must be one of 28, 32, got 30"),
        (lambda: models.lenet5("modern", trainable_pooling=True), "trainable_pooling is of variant='classic'"),
        (lambda: models.mnist_cnn(size=5), "mnist_cnn: size must be at least 6, got 5"),
        (lambda: models.alexnet(towers=3), "alexnet: towers must be one of 1, 2, got 3"),
        (lambda: models.alexnet("torchvision", towers=2), "'torchvision' has one tower"),
        (lambda: models.resnet20(shortcut="C"), "BasicBlock: shortcut must be one of 'A', 'B', 'none', got 'C'"),
        (lambda: models.BasicBlock(8, 4, shortcut="A"), "it cannot make 4 of 8"),
        (lambda: models.resnet20().predict(np.zeros((1, 8, 8, 3), np.float32)), r"Is it channels-last\? Use"),
        (lambda: models.unet(depth=9), "UNet: depth must be at most 6, got 9"),
        (lambda: models.unet(1, 2)(np.zeros((1, 1, 10, 8), np.float32)), r"\(1, 1, 10, 8\).*multiples of .* 4"),
        (lambda: models.unet(1, 2).predict(np.zeros((1, 3, 8, 8), np.float32)), r"\(1, 3, 8, 8\)"),
        (lambda: models.SCells(1, 2, size=4), "SCells: size must be odd"),
        (lambda: models.Neocognitron(18), "size must be a multiple of 4, got 18"),
        (lambda: models.Neocognitron(planes=(1, 2)), "planes must be three numbers"),
        (lambda: models.Neocognitron().predict(np.zeros((1, 16, 16))), r"\(1, 16, 16\), expected \(N, 1, 16, 16\)"),
    ],
)  # fmt: skip
def test_wrong_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_layer_that_was_exchanged_is_not_lost_without_a_word(tmp_path):
    """The arguments of a U-Net no longer say what is in it: the file has weights only, and says so."""
    net = models.unet(width=4)
    net.head = nn.Conv2d(4, 7, 1)
    net.save(tmp_path / "net")
    with pytest.raises(pn.io.FileFormatError, match="not made of pyneuro's layers"):
        pn.load(tmp_path / "net")
    other = models.unet(width=4)
    other.head = nn.Conv2d(4, 7, 1)
    assert pn.equal(pn.load(tmp_path / "net", into=other).head.weight, net.head.weight)


def test_a_file_cannot_ask_for_a_larger_net_than_it_fills(tmp_path):
    from pyneuro import _files

    net = models.unet(width=4)
    net.save(tmp_path / "net")
    arrays, metadata = _files.read_arrays(tmp_path / "net")
    for old, new in (('"width":4', '"width":4000000'), ('"depth":2', '"depth":60'), ("UNet", "BY_NAME")):
        assert old in metadata["architecture"]
        changed = {**metadata, "architecture": metadata["architecture"].replace(old, new)}
        _files.write_arrays(tmp_path / "bad", arrays, changed)
        with pytest.raises(pn.io.FileFormatError):
            pn.load(tmp_path / "bad")


# ---- Neocognitron ----


def figures():
    """Five line drawings of 16 x 16: the figures 0 to 4."""
    strokes = [
        [(3, 6, 3, 9), (12, 6, 12, 9), (4, 5, 11, 5), (4, 10, 11, 10)],
        [(3, 8, 12, 8), (3, 8, 5, 6)],
        [(4, 5, 3, 6), (3, 6, 3, 9), (3, 9, 5, 10), (5, 10, 12, 5), (12, 5, 12, 10)],
        [(3, 5, 3, 10), (3, 10, 7, 7), (7, 7, 9, 10), (9, 10, 12, 8), (12, 8, 12, 5)],
        [(3, 8, 9, 4), (9, 4, 9, 11), (5, 9, 12, 9)],
    ]
    x = np.zeros((5, 1, 16, 16), np.float32)
    for k, lines in enumerate(strokes):
        for r0, c0, r1, c1 in lines:
            n = max(abs(r1 - r0), abs(c1 - c0))
            for t in range(n + 1):
                x[k, 0, round(r0 + (r1 - r0) * t / n), round(c0 + (c1 - c0) * t / n)] = 1
    return x


SEEDS = range(4)


def test_neocognitron_tells_patterns_apart_and_forgives_shifts():
    """Without a label each pattern finds a cell of its own, which nearly always answers to the shifted pattern too;
    the same measure on the pixels themselves fails."""
    x = figures()
    shifts = [(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (2, 0), (0, 2)]
    kept = 0
    for seed in SEEDS:
        net = models.Neocognitron(seed=seed)
        untrained = net.predict(x).argmax(axis=1)
        assert len(set(untrained)) < 5
        answers = net.learn(x).predict(x)
        own = answers.argmax(axis=1)
        assert sorted(set(own)) == sorted(own)
        assert (answers.max(axis=1) > 0.1).all()
        for by in shifts:
            kept += (net.predict(np.roll(x, by, (2, 3))).argmax(axis=1) == own).sum()
    pixels = 0
    for by in shifts:
        moved = np.roll(x, by, (2, 3)).reshape(5, -1)
        plain = x.reshape(5, -1)
        cosine = moved @ plain.T / np.linalg.norm(plain, axis=1)
        pixels += (cosine.argmax(axis=1) == np.arange(5)).sum()
    cells = kept / (5 * len(shifts) * len(SEEDS))
    assert cells > 0.8
    assert cells > pixels / (5 * len(shifts)) + 0.1


def test_s_cells_answer_to_form_not_to_strength():
    """r relu(cosine-like ratio - ...): a strengthened plane passes its own pattern at any strength, not another."""
    layer = models.SCells(1, 2, selectivity=4.0, gain=1e4)
    bar = np.zeros((1, 1, 9, 9), np.float32)
    bar[0, 0, 2:7, 4] = 1
    other = np.ascontiguousarray(bar.transpose(0, 1, 3, 2))
    chosen = layer.learn(bar)
    assert len(chosen) <= 2
    plane, row, column = chosen[0]
    seen = layer.predict(bar)[0, plane, row, column]
    assert seen > 0.5
    assert layer.predict(3 * bar)[0, plane, row, column] == pytest.approx(seen, rel=1e-2)
    assert layer.predict(other)[0, plane, row, column] == 0
    nothing = [p.numpy().copy() for p in layer.parameters()]
    assert layer.learn(np.zeros((1, 1, 9, 9), np.float32)) == []
    assert all(np.array_equal(p.numpy(), q) for p, q in zip(layer.parameters(), nothing, strict=True))


def test_neocognitron_is_saved_and_trains_the_same_from_the_same_seed(tmp_path):
    x = figures()
    a, b = (models.Neocognitron(seed=7).learn(x, 3) for _ in range(2))
    assert np.array_equal(a.predict(x), b.predict(x))
    a.save(tmp_path / "net")
    assert np.array_equal(pn.load(tmp_path / "net").predict(x), a.predict(x))
    wide = models.Neocognitron(seed=7).to("float64").learn(x.astype(np.uint8), 3)
    np.testing.assert_allclose(wide.predict(x), a.predict(x), atol=1e-4)
    with pytest.raises(ValueError, match="no parameter that can be trained"):
        a.fit(x, np.arange(5), verbose=0)
