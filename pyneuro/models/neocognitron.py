"""The Neocognitron of 1980, the first deep convolutional net: S-cells find features, C-cells forgive their place.

It learns without labels and without gradients. For each pattern the S-cells that answer most, each the best of its own
plane and of its own neighbourhood, are strengthened towards what they see; all cells of a plane share their weights,
so that a feature learnt at one place is found at every other.
"""

import numpy as np

from pyneuro import _core, _modes
from pyneuro.nn import _check, functional
from pyneuro.nn.init import Rule
from pyneuro.nn.module import Module, redraw


def _weights_of_distance(size, decay):
    """(size, size) of decay^distance from the middle: nearer cells count more."""
    middle = (size - 1) / 2
    return [[decay ** (((i - middle) ** 2 + (j - middle) ** 2) ** 0.5) for j in range(size)] for i in range(size)]


def _from_zero(tensor, high):
    from pyneuro.nn import init

    init.uniform_(tensor, 0.0, high)


class SCells(Module):
    """`SCells(in_planes, planes, size=5, selectivity=4.0, gain=1.0, reach=None)`: planes of cells, each for a feature.

    x (N, in_planes, H, W) -> (N, planes, H, W):

        u = r relu((1 + sum a x) / (1 + 2 r / (1 + r) b v) - 1),    v = sqrt(sum c x^2)

    over a window of size x size around each cell; a (`weight`) excites, b (`inhibition`, one a plane) inhibits by what
    is there at all, so that only inputs of the right form, about cos(a, x) > r / (1 + r), pass. c falls with the
    distance and sums to 1.

    size: odd.    selectivity: r.    gain: q, the step of `learn`.    reach: how many places around a winner cannot win
    as well; the half of its window by default. ValueError for an even size. Source: Fukushima 1980.

    >>> import numpy as np
    >>> SCells(1, 4)(np.zeros((2, 1, 16, 16), np.float32)).shape
    (2, 4, 16, 16)
    """

    def __init__(self, in_planes, planes, size=5, selectivity=4.0, gain=1.0, reach=None):
        super().__init__()
        self.in_planes = _check.size("SCells", "in_planes", in_planes)
        self.planes = _check.size("SCells", "planes", planes)
        self.size = _check.size("SCells", "size", size)
        if not self.size % 2:
            raise ValueError(f"SCells: size must be odd, so that a window has a middle, got {self.size}")
        self.selectivity = _check.number("SCells", "selectivity", selectivity, 1e-3, 1e6)
        self.gain = _check.number("SCells", "gain", gain, 0, 1e6)
        self.reach = _check.size("SCells", "reach", self.size // 2 if reach is None else reach, 0)
        self._new_parameter("weight", (planes, in_planes, size, size), Rule(_from_zero, 0.01), "float32")
        self._new_parameter("inhibition", (planes,), Rule(_from_zero, 0.0), "float32")
        self.requires_grad_(False)

    def _near(self, dtype):
        """c (1, in_planes, size, size), which sums to 1."""
        rows = _weights_of_distance(self.size, 0.9)
        total = sum(map(sum, rows)) * self.in_planes
        return _core.Tensor([[[[v / total for v in row] for row in rows]] * self.in_planes], dtype=dtype)

    def forward(self, x):
        """x (N, in_planes, H, W) -> (N, planes, H, W)."""
        r, half = self.selectivity, self.size // 2
        excited = functional.conv2d(x, self.weight, padding=half) + 1.0
        b = self.inhibition.reshape(1, self.planes, 1, 1)
        inhibited = b * (2 * r / (1 + r)) * self.amount(x) + 1.0
        return (excited / inhibited - 1.0).relu() * r

    def amount(self, x):
        """v (N, 1, H, W): how much there is in each window."""
        return functional.conv2d(x * x, self._near(x.dtype), padding=self.size // 2).sqrt()

    def learn(self, x):
        """Strengthens the cells that answer most to x (1, in_planes, H, W). Returns a list of (plane, row, column).

        The strongest of all answers is taken, then the strongest outside its plane and its reach, and so on: a += q c
        x, b += q / 2 v for the plane of each. What answers to nothing is not changed.
        """
        with _modes.no_grad():
            x = _core.as_tensor(x, self.weight.dtype)
            answers, amount = self(x)[0] * 1.0, self.amount(x)
            _, _, height, width = x.shape
            half, chosen = self.size // 2, []
            near = self._near(x.dtype) * self.gain
            padded = _core.Tensor(np.zeros((1, self.in_planes, height + 2 * half, width + 2 * half), x.dtype))
            padded[:, :, half : half + height, half : half + width] = x
            while len(chosen) < self.planes:
                place = int(answers.argmax().item())
                plane, (row, column) = place // (height * width), divmod(place % (height * width), width)
                if answers[plane, row, column].item() <= 0:
                    break
                chosen.append((plane, row, column))
                seen = padded[:, :, row : row + self.size, column : column + self.size]
                self.weight[plane : plane + 1] = self.weight[plane : plane + 1] + near * seen
                more = amount[0, 0, row, column].item() * self.gain / 2
                self.inhibition[plane : plane + 1] = self.inhibition[plane : plane + 1] + more
                answers[plane] = 0.0
                rows, columns = (slice(max(0, at - self.reach), at + self.reach + 1) for at in (row, column))
                answers[:, rows, columns] = 0.0
            return chosen

    def extra_repr(self):
        """Sizes and r."""
        return f"{self.in_planes}, {self.planes}, size={self.size}, selectivity={self.selectivity:g}"

    def _config(self):
        return {key: getattr(self, key) for key in ("in_planes", "planes", "size", "selectivity", "gain", "reach")}


class CCells(Module):
    """`CCells(planes, size=7, stride=2, padding=3, saturation=0.5)`: cells that find a feature in a small region.

    x (N, planes, H, W) -> (N, planes, P, Q): each C-cell sees the S-cells of its own plane in a window, nearer ones
    more (weights d, the same for all), and is inhibited by what all planes do there on average:

        u = psi((1 + sum d x) / (1 + mean over the planes of sum d x) - 1),    psi(z) = relu(z) / (saturation + relu(z))

    It answers wherever in its window the feature is, so that stride can thin the positions out: P = floor((H +
    2 padding - size) / stride) + 1.

    >>> import numpy as np
    >>> CCells(4)(np.zeros((2, 4, 16, 16), np.float32)).shape
    (2, 4, 8, 8)
    """

    def __init__(self, planes, size=7, stride=2, padding=3, saturation=0.5):
        super().__init__()
        self.planes = _check.size("CCells", "planes", planes)
        self.size = _check.size("CCells", "size", size)
        self.stride = _check.size("CCells", "stride", stride)
        self.padding = _check.size("CCells", "padding", padding, 0)
        self.saturation = _check.number("CCells", "saturation", saturation, 1e-6, 1e6)

    def forward(self, x):
        """x (N, planes, H, W) -> (N, planes, P, Q)."""
        x = x if isinstance(x, _core.Tensor) else _core.as_tensor(x)
        d = _core.Tensor([[_weights_of_distance(self.size, 0.8)]] * self.planes, dtype=x.dtype)
        found = functional.conv2d(x, d, stride=self.stride, padding=self.padding, groups=self.planes)
        z = ((found + 1.0) / (found.mean(1, keepdim=True) + 1.0) - 1.0).relu()
        return z / (z + self.saturation)

    def extra_repr(self):
        """Sizes."""
        return f"{self.planes}, size={self.size}, stride={self.stride}, padding={self.padding}"

    def _config(self):
        return {key: getattr(self, key) for key in ("planes", "size", "stride", "padding", "saturation")}


class Neocognitron(Module):
    """`Neocognitron(size=16, planes=(16, 32, 10), selectivity=(4, 1.5, 8), gain=(1, 16, 16), seed=None)`.

    Three stages of `SCells` and `CCells`: 16 x 16 -> 8 x 8 -> 4 x 4 -> one C-cell a plane, whose answers are the
    output: (N, 1, size, size) -> (N, planes[2]). Untrained it answers at random; `learn(patterns)` shows it patterns
    until each has cells of its own, which then answer to the pattern shifted or a little changed as well.

    size: a multiple of 4.    planes, selectivity (r), gain (q): of the three stages, see `SCells`.
    seed: decides the small first weights, without which all planes would learn the same.

    The formulas are those of the paper. Apart from it, stages learn one after another instead of all at once, which
    needs fewer presentations; cells compete within the windows of the winners instead of fixed columns, in the last
    stage everywhere; and positions are halved twice (1980: 16, 10, 8, 6, 2, 1, with 24 planes each). ValueError for
    sizes that are no multiple of 4, and for images of another size.

    Source: K. Fukushima, Biological Cybernetics 36, 1980.

    >>> import numpy as np
    >>> bars = np.zeros((2, 1, 16, 16), np.float32)
    >>> bars[0, 0, 3:13, 7] = 1
    >>> bars[1, 0, 7, 3:13] = 1
    >>> net = Neocognitron(seed=0).learn(bars)
    >>> answers = net.predict(bars).argmax(axis=1)
    >>> bool(answers[0] != answers[1])
    True
    """

    def __init__(self, size=16, planes=(16, 32, 10), selectivity=(4.0, 1.5, 8.0), gain=(1.0, 16.0, 16.0), *, seed=None):
        super().__init__()
        self.size = _check.size("Neocognitron", "size", size, 4)
        if self.size % 4:
            raise ValueError(f"Neocognitron: size must be a multiple of 4, got {self.size}")
        for name, values in (("planes", planes), ("selectivity", selectivity), ("gain", gain)):
            if not isinstance(values, (tuple, list)) or len(values) != 3:
                raise ValueError(f"Neocognitron: {name} must be three numbers, one a stage, got {values!r:.80}")
        self.planes, self.selectivity, self.gain = tuple(planes), tuple(selectivity), tuple(gain)
        fan_in = 1
        for i, count in enumerate(planes):
            last = i == 2
            reach = self.size if last else None  # of one pattern, one cell of the last stage learns
            self.register_module(f"s{i + 1}", SCells(fan_in, count, 5, selectivity[i], gain[i], reach))
            self.register_module(f"c{i + 1}", CCells(count, *((self.size // 4, 1, 0) if last else (7, 2, 3))))
            fan_in = count
        if seed is not None:
            redraw(self, _check.size("Neocognitron", "seed", seed, least=0))

    def forward(self, x):
        """x (N, 1, size, size) -> (N, planes[2])."""
        self._check(x)
        for stage in (1, 2, 3):
            x = getattr(self, f"c{stage}")(getattr(self, f"s{stage}")(x))
        return x.reshape(x.shape[0], self.planes[2])

    def _check(self, x):
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) != 4 or shape[1:] != (1, self.size, self.size):
            raise ValueError(f"x has shape {shape}, expected (N, 1, {self.size}, {self.size})")

    def learn(self, patterns, presentations=20):
        """Shows the patterns (N, 1, size, size) `presentations` times to each stage, one stage after another.

        No labels: which cell will stand for which pattern is found by the competition. Returns self.
        """
        self._check(patterns)
        presentations = _check.size("learn", "presentations", presentations)
        x = _core.as_tensor(patterns, self.s1.weight.dtype)
        with _modes.no_grad():
            for stage in (1, 2, 3):
                s, c = getattr(self, f"s{stage}"), getattr(self, f"c{stage}")
                for _ in range(presentations):
                    for i in range(x.shape[0]):
                        s.learn(x[i : i + 1])
                x = c(s(x))
        return self

    def extra_repr(self):
        """Sizes."""
        return f"{self.size}, planes={self.planes}"

    def _label(self):
        return f"Neocognitron({self.size})"

    def _config(self):
        return {"size": self.size, **{k: list(getattr(self, k)) for k in ("planes", "selectivity", "gain")}}
