"""The peers of the dense table: PyTorch's ordinary eager loop, and JAX with a whole epoch under `jit` and `lax.scan`.

Both get every advantage: tensors in memory, the order of the samples precomputed, compilation outside the clock. All
nets are stacks of `Linear` layers with one activation between them; weights are lists of (out, in) and (out,) arrays
in PyTorch's order.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Work:
    """One row of the table:

    sizes such as (784, 128, 10), activation "relu" or "tanh", loss "cross_entropy" or "mse", optimiser "sgd" or
    "adam".
    """

    name: str
    sizes: tuple[int, ...]
    activation: str
    loss: str
    optimizer: str
    batch: int
    rows: int
    epochs: int  # of one turn
    lr: float

    @property
    def steps(self) -> int:
        """Updates of one turn."""
        return self.epochs * -(-self.rows // self.batch)

    def data(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """X (rows, inputs) float32 and targets made by a random linear teacher:

        labels (rows,) int64, or values (rows, outputs) float32.
        """
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((self.rows, self.sizes[0]), dtype=np.float32)
        scores = x @ rng.standard_normal((self.sizes[0], self.sizes[-1]), dtype=np.float32)
        return x, scores.argmax(1) if self.loss == "cross_entropy" else np.sign(scores).astype(np.float32)

    def initial(self, seed: int = 0) -> list[np.ndarray]:
        """Weights and biases uniform in +-1/sqrt(fan_in), as PyTorch draws them;

        the same arrays go to every contestant.
        """
        rng = np.random.default_rng(seed + 1)
        arrays = []
        for fan_in, out in zip(self.sizes, self.sizes[1:]):
            bound = fan_in**-0.5
            arrays += [
                rng.uniform(-bound, bound, (out, fan_in)).astype(np.float32),
                rng.uniform(-bound, bound, out).astype(np.float32),
            ]
        return arrays

    def flops(self) -> float:
        """Of one step: forward, weight gradients, and input gradients of all layers but the first."""
        products = [2.0 * self.batch * a * b for a, b in zip(self.sizes, self.sizes[1:])]
        return 3 * sum(products) - products[0]


class TorchPeer:
    """What a PyTorch user writes: modules, `zero_grad`, `backward`, `step`, a gather by index per mini-batch."""

    def __init__(self, work: Work, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch, self.work = torch, work
        layers: list[torch.nn.Module] = []
        for i, (fan_in, out) in enumerate(zip(work.sizes, work.sizes[1:])):
            if i:
                layers.append(torch.nn.ReLU() if work.activation == "relu" else torch.nn.Tanh())
            layers.append(torch.nn.Linear(fan_in, out))
        self.net = torch.nn.Sequential(*layers)
        self.set(work.initial())
        self.loss = torch.nn.CrossEntropyLoss() if work.loss == "cross_entropy" else torch.nn.MSELoss()
        make = torch.optim.SGD if work.optimizer == "sgd" else torch.optim.Adam
        self.optimizer = make(self.net.parameters(), lr=work.lr)
        x, y = work.data()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)

    def set(self, arrays: list[np.ndarray]) -> None:
        """Copies the weights in."""
        with self.torch.no_grad():
            for p, array in zip(self.net.parameters(), arrays):
                p.copy_(self.torch.from_numpy(array))

    def double(self) -> None:
        """Goes on in float64."""
        self.net.double()
        self.x = self.x.double()
        self.y = self.y.double() if self.y.is_floating_point() else self.y

    def weights(self) -> list[np.ndarray]:
        """Copies of the weights."""
        return [p.detach().numpy().copy() for p in self.net.parameters()]

    def run(self, orders: list[np.ndarray]) -> int:
        """One epoch per order (rows,) int64; returns the number of steps."""
        x, y, net, loss, optimizer, batch, steps = (
            self.x,
            self.y,
            self.net,
            self.loss,
            self.optimizer,
            self.work.batch,
            0,
        )
        for order in orders:
            order = self.torch.from_numpy(order)
            for first in range(0, len(order), batch):
                index = order[first : first + batch]
                optimizer.zero_grad()
                loss(net(x[index]), y[index]).backward()
                optimizer.step()
                steps += 1
        return steps


class JaxPeer:
    """The strongest rival on dense nets:

    one compiled program per epoch, weights donated, mini-batches gathered inside.
    """

    def __init__(self, work: Work, threads: int) -> None:
        import jax
        import jax.numpy as jnp

        self.jax, self.work = jax, work
        x, y = work.data()
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)
        self.set(work.initial())
        self.epoch = jax.jit(self._epoch, donate_argnums=(0,))
        start = time.perf_counter()
        self.run([np.arange(work.rows)])
        self.compile_seconds = time.perf_counter() - start
        self.set(work.initial())

    def set(self, arrays: list[np.ndarray]) -> None:
        """Copies the weights in and empties the optimiser's state."""
        jnp = self.jax.numpy
        params = [jnp.array(a) for a in arrays]
        self.state = (params,)
        if self.work.optimizer == "adam":
            m, v = ([jnp.zeros_like(p) for p in params] for _ in range(2))
            self.state = (params, m, v, jnp.zeros((), jnp.float32))

    def weights(self) -> list[np.ndarray]:
        """Copies of the weights."""
        return [np.array(p) for p in self.state[0]]

    def _loss(self, params, x, y):
        jax, jnp = self.jax, self.jax.numpy
        activation = jax.nn.relu if self.work.activation == "relu" else jnp.tanh
        for i in range(0, len(params), 2):
            if i:
                x = activation(x)
            x = x @ params[i].T + params[i + 1]
        if self.work.loss == "mse":
            return jnp.mean((x - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1))

    def _step(self, state, x, y):
        jnp, lr = self.jax.numpy, self.work.lr
        gradients = self.jax.grad(self._loss)(state[0], x, y)
        if self.work.optimizer == "sgd":
            return ([p - lr * g for p, g in zip(state[0], gradients)],)
        params, m, v, t = state
        t = t + 1
        m = [0.9 * a + 0.1 * g for a, g in zip(m, gradients)]
        v = [0.999 * a + 0.001 * g * g for a, g in zip(v, gradients)]
        rate, root = lr / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
        return [p - rate * a / (jnp.sqrt(b) * root + 1e-8) for p, a, b in zip(params, m, v)], m, v, t

    def _epoch(self, state, order, x, y):
        batch, whole = self.work.batch, len(order) // self.work.batch

        def body(state, index):
            return self._step(state, x[index], y[index]), None

        state, _ = self.jax.lax.scan(body, state, order[: whole * batch].reshape(whole, batch))
        rest = order[whole * batch :]
        return self._step(state, x[rest], y[rest]) if len(rest) else state

    def run(self, orders: list[np.ndarray]) -> int:
        """One epoch per order (rows,) int64; returns the number of steps once the device has finished."""
        for order in orders:
            self.state = self.epoch(self.state, order.astype(np.int32), self.x, self.y)
        self.jax.block_until_ready(self.state)
        return len(orders) * -(-self.work.rows // self.work.batch)
