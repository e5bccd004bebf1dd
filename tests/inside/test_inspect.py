"""Looking inside: each method on a network whose answer is known, and that nothing changes by looking."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import inspect, nn

RNG = np.random.default_rng(0)


def small(seed=0):
    """Conv, ReLU, pool, conv, ReLU, dense: images 1 x 12 x 12, 3 classes."""
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(96, 3), seed=seed)


X = RNG.random((5, 1, 12, 12)).astype(np.float32)


def state(net):
    return {name: np.array(value.numpy()) for name, value in net.state_dict().items()}


@pytest.fixture(autouse=True)
def unchanged(request):
    """Every test gets a network that must be as before afterwards: values, gradients, modes, hooks."""
    net = small()
    before = state(net)
    request.node.net = net
    yield
    assert all(np.array_equal(before[name], value) for name, value in state(net).items())
    assert all(p.grad is None for p in net.parameters())
    assert all(m.training and not m._hooked for m in net.modules()) and pn.is_grad_enabled()


@pytest.fixture
def net(request):
    return request.node.net


# ---- layers ----


def test_filters_are_a_copy(net):
    pictures = inspect.filters(net[0])
    assert np.array_equal(pictures, net[0].weight.detach().numpy())
    pictures[:] = 0
    assert net[0].weight.detach().numpy().any()
    with pytest.raises(ValueError, match=r"Linear.* has no filters"):
        inspect.filters(net[6])


def test_activations_are_what_the_layers_make(net):
    maps = inspect.activations(net, X)
    assert list(maps) == [str(i) for i in range(7)]
    np.testing.assert_allclose(maps["6"], net.predict(X), rtol=1e-5, atol=1e-6)
    assert np.array_equal(maps["1"], np.maximum(maps["0"], 0))
    assert list(inspect.activations(net, X, [0, "3", net[4]])) == ["0", "3", "4"]


def test_activations_of_many_images_are_joined(net):
    many = np.repeat(X, 120, axis=0)
    assert inspect.activations(net, many, 3)["3"].shape == (600, 6, 4, 4)


def test_gradient_norms_are_those_of_backward(net):
    y = [0, 1, 2, 0, 1]
    norms = inspect.gradient_norms(net, X, y)
    other = small()
    other.forward_backward(X, y)
    for name, p in other.named_parameters():
        assert norms[name] == pytest.approx(np.linalg.norm(p.grad.numpy()), rel=1e-5)
    outputs = inspect.gradient_norms(net, X, y, of="outputs")
    assert list(outputs) == [str(i) for i in range(7)] and all(value > 0 for value in outputs.values())


def test_gradient_norms_leave_running_statistics_alone():
    """The pass is one in training mode, whose batch statistics must not be kept."""
    normed = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(400, 3), seed=0)
    before = state(normed)
    assert inspect.gradient_norms(normed, X, [0, 1, 2, 0, 1])["1.weight"] > 0
    assert all(np.array_equal(before[name], value) for name, value in state(normed).items())


def test_gradients_vanish_through_sigmoids_and_not_past_skips():
    """Item 44: ten sigmoids let at most 0.25^10 through; with y = x + F(x) the first layer hears nearly as much."""

    class Skip(nn.Module):
        def __init__(self, f):
            super().__init__()
            self.f = f

        def forward(self, x):
            return x + self.f(x)

    def chain(skip):
        blocks = [nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()) for _ in range(10)]
        return nn.Sequential(*(Skip(b) if skip else b for b in blocks), nn.Linear(8, 1), seed=0)

    data, target = RNG.normal(size=(16, 8)), RNG.normal(size=(16, 1))
    ratio = {}
    for skip in (False, True):
        blocks = [str(i) for i in range(10)]
        norms = inspect.gradient_norms(chain(skip), data, target, loss="mse", of="outputs", layers=blocks)
        ratio[skip] = norms["0"] / norms["9"]
    assert ratio[False] < 1e-5 < 0.5 < ratio[True]


# ---- patches ----


def test_receptive_field_by_perturbation(net):
    """What changes the unit lies inside, and all of the field can change it: linear layers, no ReLU to hide it."""
    linear = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.AvgPool2d(2), nn.Conv2d(2, 2, 3, stride=2, dilation=2), seed=1
    )  # fmt: skip
    size, step, first = inspect.receptive_field(linear, 2)
    image = RNG.normal(size=(1, 1, 30, 30))
    base = inspect.activations(linear, image, 2)["2"]
    for i, j in ((1, 1), (2, 3)):
        moved = np.zeros((30, 30), bool)
        for r in range(30):
            for c in range(30):
                other = image.copy()
                other[0, 0, r, c] += 100
                moved[r, c] = abs(inspect.activations(linear, other, 2)["2"] - base)[0, :, i, j].max() > 1e-3
        rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
        assert (rows[0], columns[0]) == (first[0] + step[0] * i, first[1] + step[1] * j)
        assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == size


def test_top_patches_find_what_was_hidden(net):
    """A filter that is a small cross finds the cross, at its place."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.float32)
    finder = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.ReLU())
    finder[0].weight.numpy()[0, 0] = cross - cross.mean()
    pictures = (RNG.random((6, 1, 16, 16)) * 0.2).astype(np.float32)
    pictures[4, 0, 7:10, 2:5] += cross
    found = inspect.top_patches(finder, 1, 0, pictures, n=3)
    assert found.rows[0] == 4 and found.corners[0].tolist() == [7, 2]
    assert np.array_equal(found.patches[0], pictures[4, :, 7:10, 2:5])
    assert list(found.values) == sorted(found.values, reverse=True)


def test_patches_beyond_the_border_are_zero(net):
    finder = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False))
    finder[0].weight.numpy()[:] = 1
    picture = np.zeros((1, 1, 6, 6), np.float32)
    picture[0, 0, 0, 0] = 1
    found = inspect.top_patches(finder, 0, 0, picture, n=1)
    assert found.corners[0].tolist() == [-1, -1] and found.patches[0, 0, 1, 1] == 1 and found.patches.sum() == 1


# ---- attribution ----


def test_saliency_of_a_linear_network_is_its_weights(net):
    line = nn.Sequential(nn.Flatten(), nn.Linear(2 * 9, 4), seed=0)
    maps = inspect.saliency(line, RNG.random((3, 2, 3, 3)), [0, 1, 2])
    weights = np.abs(line[1].weight.detach().numpy()).reshape(4, 2, 3, 3).max(axis=1)
    np.testing.assert_allclose(maps, weights[:3], rtol=1e-6)


def test_saliency_takes_the_highest_score_by_default(net):
    best = net.predict(X).argmax(axis=1)
    assert np.array_equal(inspect.saliency(net, X), inspect.saliency(net, X, best))


def test_occlusion_finds_the_only_pixels_that_count(net):
    """A network that looks at one corner alone."""
    corner = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    weight = np.zeros((2, 8, 8), np.float32)
    weight[1, 5:7, 1:3] = 2
    corner[1].weight.numpy()[:] = weight.reshape(2, 64)
    heat = inspect.occlusion(corner, np.ones((1, 1, 8, 8)), 1, size=2)[0]
    assert heat.argmax() in {5 * 8 + 1, 5 * 8 + 2, 6 * 8 + 1, 6 * 8 + 2}
    assert heat[0, 7] == 0 and heat[5:7, 1:3].min() > 0
    coarse = inspect.occlusion(corner, np.ones((1, 1, 8, 8)), 1, size=3, stride=3)
    assert coarse.shape == (1, 8, 8) and np.all(np.isfinite(coarse))


def test_gradcam_with_a_global_mean_is_the_class_activation_map(net):
    """Conv, global mean, dense: the weights of Grad-CAM are the dense layer's over the number of positions."""
    cam = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(5, 3), seed=2)  # fmt: skip
    maps = inspect.activations(cam, X, 1)["1"]
    expected = np.maximum(np.einsum("k,nkhw->nhw", cam[4].weight.detach().numpy()[2], maps) / 144, 0)
    np.testing.assert_allclose(inspect.gradcam(cam, X, 1, 2), expected, rtol=1e-4, atol=1e-7)


def test_frozen_networks_can_be_asked(net):
    maps = inspect.saliency(net, X), inspect.gradcam(net, X, 3)
    frozen = small().requires_grad_(False)
    for ours, theirs in zip((inspect.saliency(frozen, X), inspect.gradcam(frozen, X, 3)), maps, strict=True):
        assert np.array_equal(ours, theirs)


def test_attribution_against_pytorch(net):
    torch = pytest.importorskip("torch")
    t = torch.nn
    other = t.Sequential(t.Conv2d(1, 4, 3, padding=1), t.ReLU(), t.MaxPool2d(2), t.Conv2d(4, 6, 3), t.ReLU(),
                         t.Flatten(), t.Linear(96, 3))  # fmt: skip
    other.load_state_dict({name: torch.tensor(value) for name, value in state(net).items()})
    x = torch.tensor(X, requires_grad=True)
    maps = other[:5](x)
    other[5:](maps)[:, 1].sum().backward(inputs=[x, maps])
    np.testing.assert_allclose(inspect.saliency(net, X, 1), x.grad.abs().amax(1), rtol=1e-4, atol=1e-6)
    heat = (maps.grad.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
    heat = t.functional.interpolate(heat, (12, 12), mode="bilinear")[:, 0].detach().numpy()
    np.testing.assert_allclose(inspect.gradcam(net, X, 4, 1), heat, rtol=1e-4, atol=1e-6)


# ---- maximisation ----


def test_maximize_climbs_towards_the_filter(net):
    """The best image of a single filter is the filter itself, up to its scale."""
    one = nn.Sequential(nn.Conv2d(1, 3, 5), seed=3)
    found = inspect.maximize(one, 0, 2, (1, 5, 5), jitter=0, blur=0)
    wanted = one[0].weight.detach().numpy()[2, 0]
    assert np.corrcoef(found.image.ravel(), wanted.ravel())[0, 1] > 0.99
    assert found.values[-1] > found.values[0]


def test_maximize_repeats_and_keeps_bounds(net):
    options = {"steps": 20, "bounds": (0, 1)}
    first, second = (inspect.maximize(net, 3, 1, (1, 12, 12), **options).image for _ in range(2))
    assert np.array_equal(first, second) and first.min() >= 0 and first.max() <= 1
    assert not np.array_equal(first, inspect.maximize(net, 3, 1, (1, 12, 12), seed=1, **options).image)


def test_maximize_raises_the_score_of_a_class(net):
    found = inspect.maximize(net, 6, 2, (1, 12, 12))
    assert net.predict(found.image[None]).argmax() == 2


# ---- cells ----


@pytest.mark.parametrize("k", range(4))
def test_cells_answer_to_their_direction(k):
    """Stripes at each of the four angles: the cell of this angle answers most."""
    y, x = np.mgrid[:41, :41]
    angle = k * np.pi / 4
    stripes = np.sin(2 * np.pi / 6 * (x * np.cos(angle) + y * np.sin(angle)))
    for cells in (inspect.simple_cells, inspect.complex_cells):
        assert cells(stripes)[0, :, 15:26, 15:26].mean(axis=(1, 2)).argmax() == k


def test_complex_cells_forget_where():
    """A shift by a quarter of a wave changes a simple cell fully, a complex cell hardly."""
    x = np.arange(41)
    pictures = np.stack([np.tile(np.cos(2 * np.pi / 6 * (x - shift)), (41, 1)) for shift in (0, 1.5, 3)])
    simple, complex_ = (cells(pictures)[:, 0, 20, 20] for cells in (inspect.simple_cells, inspect.complex_cells))
    assert simple.max() > 10 * (simple.min() + 1e-6)
    assert complex_.min() > 0.9 * complex_.max()


def test_even_light_gives_nothing():
    assert np.abs(inspect.complex_cells(np.full((31, 31), 5.0))[0, :, 15, 15]).max() < 1e-4


# ---- mistakes, pictures ----


def test_sentences(net):
    with pytest.raises(ValueError, match=r"saliency: X has shape \(12, 12\), expected images"):
        inspect.saliency(net, X[0, 0])
    with pytest.raises(ValueError, match=r"target goes from 0 to 3, expected 0..2"):
        inspect.saliency(net, X, [0, 1, 2, 3, 0])
    with pytest.raises(ValueError, match="layer must be one of"):
        inspect.activations(net, X, "conv1")
    with pytest.raises(ValueError, match="is not in Sequential"):
        inspect.gradcam(net, X, nn.ReLU())
    with pytest.raises(ValueError, match=r"Linear\(96, 3\) makes \(5, 3\), expected maps"):
        inspect.gradcam(net, X, 6)
    with pytest.raises(ValueError, match="size is 13, but the images are 12 x 12"):
        inspect.occlusion(net, X, size=13)
    with pytest.raises(ValueError, match="channel is 6, but Conv2d"):
        inspect.maximize(net, 3, 6, (1, 12, 12))
    with pytest.raises(ValueError, match="behind Flatten"):
        inspect.receptive_field(net, 6)
    with pytest.raises(ValueError, match=r"output is .*, expected scores"):
        inspect.saliency(nn.Conv2d(1, 1, 3), X)
    with pytest.raises(ValueError, match="size must be odd"):
        inspect.gabor(8)


def test_pictures_are_readable():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    figure = inspect.show(X, titles=range(5), columns=3, title="five")
    assert len(figure.axes) == 5 and figure.axes[0].title.get_fontsize() >= 16
    figure = inspect.overlay(X, np.ones((5, 12, 12)) * np.arange(12), titles=range(5))
    assert len(figure.axes) == 5
    limits = inspect.show(np.array([[[-1.0, 0.5]], [[0.0, 3.0]]]), signed=True, share=True).axes[0].images[0].get_clim()
    assert limits == (-3, 3)
    with pytest.raises(ValueError, match=r"images have shape \(5, 2\)"):
        inspect.show(np.ones((5, 2)))
    matplotlib.pyplot.close("all")
