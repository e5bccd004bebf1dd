"""Optimisers over 50 steps and schedules over 50 epochs against PyTorch's, from equal weights and gradients."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pyneuro as pn  # noqa: E402
from pyneuro import nn, optim  # noqa: E402
from tests import tolerances  # noqa: E402

OPTIONS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "maximize": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.01, "initial_accumulator_value": 0.1, "eps": 1e-6}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.01}),
    ("RMSprop", {"lr": 0.01, "centered": True}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 0.01, "maximize": True}),
]


def names(case):
    return case[0] + "-" + ",".join(f"{k}={v}" for k, v in case[1].items())


def start(dtype, seed=0):
    """Two parameters of each library with the same values."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal((5, 7)).astype(dtype), rng.standard_normal(33).astype(dtype)]
    ours = [pn.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    return ours, theirs


def give_gradients(ours, theirs, rng, dtype, leave_out=None):
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        if i == leave_out:
            p.grad = q.grad = None
            continue
        g = (rng.standard_normal(tuple(q.shape)) + 0.3 * q.detach().numpy()).astype(dtype)
        p.grad, q.grad = pn.tensor(g), torch.tensor(g)


def compare(ours, theirs, dtype, what=""):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), **tolerances.OPTIMISERS[dtype], err_msg=what)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", OPTIONS, ids=names)
def test_fifty_steps(case, dtype):
    name, options = case
    ours, theirs = start(dtype)
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    rng = np.random.default_rng(1)
    for step in range(50):
        give_gradients(ours, theirs, rng, dtype)
        a.step()
        b.step()
        compare(ours, theirs, dtype, f"step {step}")


@pytest.mark.parametrize("case", OPTIONS, ids=names)
def test_parameters_that_miss_gradients(case):
    """A parameter without a gradient stays as it is, and its state counts its own steps."""
    name, options = case
    ours, theirs = start("float64")
    a, b = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    rng = np.random.default_rng(2)
    for step in range(20):
        give_gradients(ours, theirs, rng, "float64", leave_out=1 if step < 4 or step % 5 == 0 else None)
        a.step()
        b.step()
    compare(ours, theirs, "float64")


@pytest.mark.parametrize("case", OPTIONS, ids=names)
def test_state_from_pytorch(case):
    """PyTorch's state_dict after ten steps, taken over: both go on alike."""
    name, options = case
    ours, theirs = start("float64")
    b = getattr(torch.optim, name)(theirs, **options)
    rng = np.random.default_rng(3)
    scratch, _ = start("float64")
    for _ in range(10):
        give_gradients(scratch, theirs, rng, "float64")
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        with pn.no_grad():
            p.copy_(q.detach().numpy())
    a = getattr(optim, name)(ours, **options)
    a.load_state_dict(b.state_dict())
    for _ in range(10):
        give_gradients(ours, theirs, rng, "float64")
        a.step()
        b.step()
    compare(ours, theirs, "float64")
    again = getattr(optim, name)(ours, **options)
    again.load_state_dict(a.state_dict())
    one, two = a.state_dict()["state"], again.state_dict()["state"]
    assert (
        one[0]["step"] == two[0]["step"] == (20 if name != "SGD" else one[0]["step"])
    )  # PyTorch's SGD counts no steps
    for key in one[1]:
        np.testing.assert_array_equal(one[1][key], two[1][key])


def test_groups_with_their_own_options():
    ours, theirs = start("float64")
    groups = [{"lr": 0.3, "weight_decay": 0.1}, {"momentum": 0.9, "dampening": 0.1}]
    a = optim.SGD([{"params": [p], **g} for p, g in zip(ours, groups, strict=True)], lr=0.1)
    b = torch.optim.SGD([{"params": [p], **g} for p, g in zip(theirs, groups, strict=True)], lr=0.1)
    rng = np.random.default_rng(4)
    for step in range(20):
        if step == 10:
            a.param_groups[0]["lr"] = b.param_groups[0]["lr"] = 0.01
        give_gradients(ours, theirs, rng, "float64")
        a.step()
        b.step()
    compare(ours, theirs, "float64")
    assert [g["lr"] for g in a.param_groups] == [0.01, 0.1]


def test_groups_in_fit():
    """Own rates by group, through the plan."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 6)), rng.integers(0, 3, 40)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3), seed=0).double()
    peer = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
    peer.load_state_dict({k: torch.tensor(v.numpy()) for k, v in net.state_dict().items()})
    ours = [{"params": net[0].parameters(), "lr": 0.5}, {"params": net[2].parameters(), "weight_decay": 0.1}]
    theirs = [{"params": peer[0].parameters(), "lr": 0.5}, {"params": peer[2].parameters(), "weight_decay": 0.1}]
    a, b = optim.AdamW(ours, lr=0.01), torch.optim.AdamW(theirs, lr=0.01)
    net.fit(x, y, optimizer=a, epochs=3, batch_size=10, shuffle=False, verbose=0)
    for _ in range(3):
        for i in range(0, 40, 10):
            b.zero_grad()
            out = peer(torch.tensor(x[i : i + 10]))
            torch.nn.functional.cross_entropy(out, torch.tensor(y[i : i + 10])).backward()
            b.step()
    compare(list(net.parameters()), list(peer.parameters()), "float64")


# ---- schedules ----

SCHEDULES = [
    ("StepLR", {"step_size": 7, "gamma": 0.3}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 30], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("CosineAnnealingLR", {"T_max": 9}),
    ("CosineAnnealingLR", {"T_max": 15, "eta_min": 0.02}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.6, "total_iters": 11}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.9 + 0.001 * epoch}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.2, "total_iters": 13}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 60, "power": 2.5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 50}),
    ("OneCycleLR", {"max_lr": 2.0, "epochs": 10, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": [2.0], "total_steps": 50, "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 70, "cycle_momentum": False, "div_factor": 5.0}),
]


def give_both(make):
    """(our optimiser, PyTorch's, our schedule, PyTorch's) for make(module of schedules, optimiser)."""
    ours, theirs = start("float64")
    a, b = optim.SGD(ours, lr=0.7, momentum=0.5), torch.optim.SGD(theirs, lr=0.7, momentum=0.5)
    return a, b, make(optim.lr_scheduler, a), make(torch.optim.lr_scheduler, b)


def follow(a, b, one, two, steps=50):
    """Both schedules give the same rates and momenta."""
    for _ in range(steps):
        np.testing.assert_allclose(a.lr, b.param_groups[0]["lr"], rtol=tolerances.SAME, atol=tolerances.LAST_PLACE)
        assert abs(a.param_groups[0]["momentum"] - b.param_groups[0]["momentum"]) < 1e-12
        np.testing.assert_allclose(
            one.get_last_lr(), two.get_last_lr(), rtol=tolerances.SAME, atol=tolerances.LAST_PLACE
        )
        b.step()  # PyTorch warns otherwise
        one.step()
        two.step()


COMPOUND = {
    "warm-up": lambda lib, opt: lib.SequentialLR(
        opt, [lib.LinearLR(opt, total_iters=6), lib.CosineAnnealingLR(opt, T_max=20)], milestones=[6]
    ),
    "three": lambda lib, opt: lib.SequentialLR(
        opt,
        [lib.ConstantLR(opt, 0.1), lib.MultiStepLR(opt, [0, 4], 0.5), lib.CosineAnnealingWarmRestarts(opt, 5)],
        milestones=[4, 17],
    ),
    "chained": lambda lib, opt: lib.ChainedScheduler([lib.ConstantLR(opt, 0.1), lib.ExponentialLR(opt, 0.95)]),
}


@pytest.mark.parametrize("name", COMPOUND)
def test_compound_schedules(name):
    follow(*give_both(COMPOUND[name]))


def test_one_cycle_moves_the_first_beta():
    ours, theirs = start("float64")
    a, b = optim.Adam(ours), torch.optim.Adam(theirs)
    one, two = (lib.OneCycleLR(opt, 0.1, total_steps=30) for lib, opt in ((optim, a), (torch.optim.lr_scheduler, b)))
    for _ in range(30):
        np.testing.assert_allclose(a.param_groups[0]["betas"], b.param_groups[0]["betas"], rtol=tolerances.SAME)
        b.step()
        one.step()
        two.step()
    with pytest.raises(ValueError, match="OneCycleLR: step 31, but total_steps is 30"):
        one.step()


@pytest.mark.parametrize("name", [*COMPOUND, "one cycle", "restarts"])
def test_schedules_go_on_from_their_state(name):
    """State and groups pass through JSON, as in a checkpoint."""
    make = {
        **COMPOUND,
        "one cycle": lambda lib, opt: lib.OneCycleLR(opt, 2.0, total_steps=60),
        "restarts": lambda lib, opt: lib.CosineAnnealingWarmRestarts(opt, 3, 2),
    }[name]
    a, b, one, two = give_both(make)
    follow(a, b, one, two, 23)
    state = json.loads(json.dumps(one.state_dict()))
    fresh = optim.SGD(start("float64")[0], lr=0.7, momentum=0.5)
    again = make(optim.lr_scheduler, fresh)
    fresh.load_state_dict(a.state_dict())
    again.load_state_dict(state)
    follow(fresh, b, again, two, 27)


@pytest.mark.parametrize("case", SCHEDULES, ids=names)
def test_schedules(case):
    name, options = case
    a, b, one, two = give_both(lambda lib, opt: getattr(lib, name)(opt, **options))
    assert getattr(optim, name) is type(one)
    follow(a, b, one, two)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau(mode, threshold_mode):
    ours, theirs = start("float64")
    a, b = optim.SGD(ours, lr=0.7), torch.optim.SGD(theirs, lr=0.7)
    options = {
        "mode": mode,
        "threshold_mode": threshold_mode,
        "patience": 2,
        "cooldown": 1,
        "min_lr": 1e-3,
        "threshold": 0.01,
    }
    one = optim.ReduceLROnPlateau(a, factor=0.5, **options)
    two = torch.optim.lr_scheduler.ReduceLROnPlateau(b, factor=0.5, **options)
    rng = np.random.default_rng(0)
    for _ in range(60):
        value = float(rng.uniform(0.5, 1.5))
        one.step(value)
        two.step(value)
        assert a.lr == b.param_groups[0]["lr"]
    assert a.lr < 0.7


def test_defaults_are_pytorchs():
    ours, theirs = start("float64")
    for name in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW"):
        a, b = getattr(optim, name)(ours).defaults, getattr(torch.optim, name)(theirs).defaults
        assert {k: b[k] for k in a} == a, name
