"""Results on real data, with seeds, epochs and seconds: `run.py results` prints the table that the README carries.

Every line says its whole recipe. The line of LeNet-5 runs the same recipe in PyTorch too: same initial weights, same
batches, so that seconds and accuracy can be compared. Needs MNIST, Fashion-MNIST and CIFAR-10 (in PYNEURO_DATA, or
fetched).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from paired import machine, table

import pyneuro as pn
from pyneuro import augment, datasets, models, nn, optim

MEAN, DEVIATION = 0.1307, 0.3081  # of the pixels of MNIST
LENET = {"epochs": 5, "batch": 64, "lr": 0.05}


def cosine(epochs: int) -> Callable[[int], float]:
    """Half a cosine from 1 to nearly 0."""
    return lambda epoch: 0.5 * (1 + np.cos(np.pi * min(epoch, epochs) / epochs)) + 0.01


def digits(load=datasets.mnist):
    """Pictures (N, 1, 28, 28) with mean 0 and deviation 1, and labels."""
    x, y, xt, yt = load(flat=False)
    return (
        ((x[:, None] - MEAN) / DEVIATION).astype(np.float32),
        y,
        ((xt[:, None] - MEAN) / DEVIATION).astype(np.float32),
        yt,
    )


def train(net, data, epochs: int, batch: int, lr: float, seed: int, **more) -> tuple[float, float]:
    """SGD with momentum .9 and the cosine: (seconds of training, test accuracy)."""
    x, y, xt, yt = data
    optimizer = optim.SGD(lr=lr, momentum=0.9, weight_decay=more.pop("weight_decay", 0.0))
    schedule = optim.lr_scheduler.LambdaLR(optimizer, cosine(epochs))
    start = time.perf_counter()
    history = net.fit(
        x, y, optimizer=optimizer, epochs=epochs, batch_size=batch, seed=seed, callbacks=[schedule], verbose=0, **more
    )
    seconds = time.perf_counter() - start
    if history.mode != "plan":
        raise SystemExit(f"the network ran in mode {history.mode!r}, not in a plan")
    return seconds, net.evaluate(xt, yt, metrics=["accuracy"])["accuracy"]


def torch_lenet(data, seed: int, threads: int) -> tuple[float, float]:
    """The recipe of the first line in PyTorch's ordinary loop."""
    import torch
    from convnets import lenet

    torch.set_num_threads(threads)
    x, y, xt, yt = (torch.from_numpy(a) for a in data)
    net = lenet(torch.nn)
    first = models.lenet5(seed=seed).state_dict().values()
    named = zip(net.state_dict().items(), first, strict=True)
    net.load_state_dict({name: torch.tensor(v.numpy().reshape(w.shape)) for (name, w), v in named})
    optimizer = torch.optim.SGD(net.parameters(), lr=LENET["lr"], momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine(LENET["epochs"]))
    begin = time.perf_counter()
    for epoch in range(LENET["epochs"]):
        order = torch.from_numpy(pn._core.permutation(len(x), seed, epoch))
        for i in range(0, len(order), LENET["batch"]):
            index = order[i : i + LENET["batch"]]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[index]), y[index]).backward()
            optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        return seconds, float((net(xt).argmax(1) == yt).double().mean())


def lenet_rows(threads: int) -> list[list[str]]:
    """LeNet-5 on MNIST: seconds beside PyTorch's; and the error over five seeds when it learns twice as long."""
    data = digits()
    seconds, accuracy = train(models.lenet5(seed=0), data, LENET["epochs"], LENET["batch"], LENET["lr"], 0)
    theirs = torch_lenet(data, 0, threads)
    long = [train(models.lenet5(seed=k), data, 2 * LENET["epochs"], LENET["batch"], LENET["lr"], k) for k in range(5)]
    errors = [100 * (1 - accuracy) for _, accuracy in long]
    recipe = "{} epochs, batch 64, SGD .05 momentum .9 cosine"
    return [
        ["LeNet-5 (tanh), MNIST", recipe.format(LENET["epochs"]), "0", f"{accuracy:.2%} (goal 99.0%)",
         f"{seconds:.1f} s (goal 8)", f"PyTorch {theirs[0]:.1f} s, {theirs[1]:.2%}"],
        ["the same", recipe.format(2 * LENET["epochs"]), "0 to 4",
         f"error {np.mean(errors):.2f}% ({min(errors):.2f} to {max(errors):.2f})",
         f"{np.mean([s for s, _ in long]):.1f} s each", "goal: LeCun 1998, 0.95%"],
    ]  # fmt: skip


def fashion_rows() -> list[list[str]]:
    """The MNIST CNN on Fashion-MNIST."""
    seconds, accuracy = train(models.mnist_cnn(seed=0), digits(datasets.fashion_mnist), 10, 64, 0.02, 0)
    recipe = "10 epochs, batch 64, SGD .02 momentum .9 cosine"
    return [["MNIST CNN, Fashion-MNIST", recipe, "0", f"{accuracy:.2%}", f"{seconds:.0f} s", "goal 92.5%"]]


def larger(seed: int):
    """Two pairs of 3 x 3 convolutions with batch norm, and a dense layer."""

    def pair(fan_in, out):
        layers = []
        for c in (fan_in, out):
            layers += [nn.Conv2d(c, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        return [*layers, nn.MaxPool2d(2)]

    return nn.Sequential(
        nn.Normalize(MEAN, DEVIATION), *pair(1, 32), *pair(32, 64), nn.Flatten(), nn.Dropout(0.4),
        nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10), seed=seed,
    )  # fmt: skip


def augmented_rows() -> list[list[str]]:
    """A larger net on MNIST whose digits are moved, turned and stretched."""
    x, y, xt, yt = datasets.mnist(flat=False)
    changes = [augment.RandomAffine(10, translate=(0.08, 0.08), scale=(0.9, 1.1), shear=5)]
    data = x[:, None], y, xt[:, None], yt
    seconds, accuracy = train(larger(0), data, 15, 64, 0.05, 0, augment=changes, weight_decay=5e-4)
    recipe = "15 epochs, batch 64, SGD .05 momentum .9 cosine, decay 5e-4; turned, moved, stretched"
    error = f"error {100 * (1 - accuracy):.2f}%"
    return [["conv 32-32-64-64 with batch norm, MNIST", recipe, "0", error, f"{seconds:.0f} s", "goal 0.50%"]]


def residual_rows(epochs: int = 40) -> list[list[str]]:
    """ResNet-20 and the plain net of the same depth on 4000 pictures of CIFAR-10."""
    x, y, xt, yt = datasets.cifar10(small=True)
    changes = [augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip()]
    recipe = f"{epochs} epochs, batch 128, SGD .1 momentum .9 cosine, decay 1e-4; cropped and flipped"
    lines = []
    for name, make in (("ResNet-20", models.resnet20), ("plain net of 20 layers", models.plain20)):
        found = []
        for seed in range(3):
            body = make(seed=seed)
            net = nn.Sequential(nn.Normalize((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)), body)
            found.append(train(net, (x, y, xt, yt), epochs, 128, 0.1, seed, augment=changes, weight_decay=1e-4))
        accuracies = [100 * a for _, a in found]
        lines.append([
            f"{name}, 4000 of CIFAR-10", recipe, "0 to 2",
            f"{np.mean(accuracies):.1f}% ({min(accuracies):.1f} to {max(accuracies):.1f})",
            f"{np.mean([s for s, _ in found]):.0f} s each", "",
        ])  # fmt: skip
    return lines


def run(threads: int, rounds: int) -> bool:
    """Prints the table."""
    pn.set_num_threads(threads)
    print(machine())
    lines = [*lenet_rows(threads), *augmented_rows(), *fashion_rows(), *residual_rows()]
    table(
        f"Results, {threads} threads", ["network and data", "recipe", "seeds", "test", "training", "beside it"], lines
    )
    return True
