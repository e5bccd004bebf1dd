"""What all optimisers share: parameters, groups, state, and the C object that does the work."""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np

from pyneuro import _core
from pyneuro.nn import _check
from pyneuro.nn._state import to_numpy

Tensor = _core.Tensor

# Keras's arguments that mean something else here, or belong elsewhere.
FOREIGN = {
    "clipnorm": "clipnorm is Keras's, by parameter; fit(clip_norm=...) limits the norm of all gradients together",
    "global_clipnorm": "give it to fit: fit(clip_norm=...)",
    "clipvalue": "there is no clipvalue; fit(clip_norm=...) limits the norm of all gradients together",
    "decay": "decay is old Keras; use a schedule such as optim.lr_scheduler.ExponentialLR, or weight_decay",
    "use_ema": "there are no averaged weights",
    "loss_scale_factor": "there is no loss scaling: numbers are float32 or float64",
    "name": "optimisers have no names",
}


class Optimizer:
    """Base of the optimisers. Subclasses say which rule of `csrc/kernels/update.def` they are.

    `param_groups` is PyTorch's list of dicts; changes in it count from the next step. `params` may be an iterable of
    parameters, of (name, parameter) pairs, or of dicts with "params" and own options; None leaves the optimiser
    unbound until `fit`.

    >>> from pyneuro import nn, optim
    >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    >>> opt = optim.SGD([{"params": net[0].parameters()}, {"params": net[2].parameters(), "lr": 0.01}], lr=0.1)
    >>> isinstance(opt, Optimizer), [group["lr"] for group in opt.param_groups]
    (True, [0.1, 0.01])
    """

    full_batch = False  # fit takes all samples at once unless it is told otherwise
    _spellings: ClassVar = {"learning_rate": "lr"}  # other libraries' names of the same thing

    def __init__(self, params, options, other=None):
        options = dict(options)
        self._take_spellings(options, other or {}, self._defaults)
        for name in other or {}:
            if name in FOREIGN:
                raise TypeError(f"{type(self).__name__}: {FOREIGN[name]}")
        _check.refuse(type(self).__name__, other or {}, tuple(options))
        self.defaults = self._fallbacks(options)
        self._check_options(self.defaults)
        self.param_groups = [{"params": [], **self.defaults}]
        self._core = None
        self._pushed = None
        self._bound = False
        if params is not None:
            self._bind(params)

    # ---- what subclasses say ----

    _defaults: ClassVar = {}  # option -> default

    def _rule(self):
        """Name of the update rule for the present options."""
        raise NotImplementedError

    def _hyper(self, group):
        """Options of a group under the names of the core's hyperparameters."""
        return {name: group[name] for name in ("lr", "weight_decay", "eps", "maximize") if name in group}

    def _fill(self):
        """Starting values of the state arrays."""
        return [0.0, 0.0, 0.0]

    def _check_options(self, options):
        """Raises TypeError or ValueError for options that make no sense."""
        name = type(self).__name__
        for key in ("lr", "weight_decay", "eps", "momentum", "lr_decay", "initial_accumulator_value"):
            if key in options:
                options[key] = _check.number(name, key, options[key], 0)
                if options[key] == math.inf:
                    raise ValueError(f"{name}: {key} must be finite, got inf")
        for key in ("alpha",):
            if key in options:
                options[key] = _check.number(name, key, options[key], 0, 1)
        if "betas" in options:
            options["betas"] = self._check_betas(options["betas"])

    def _check_betas(self, betas):
        try:
            first, second = betas
        except (TypeError, ValueError):
            raise TypeError(f"{type(self).__name__}: betas must be two numbers, got {betas!r:.80}") from None
        for i, beta in enumerate((first, second)):
            if not 0 <= _check.number(type(self).__name__, f"betas[{i}]", beta, 0) < 1:
                raise ValueError(f"{type(self).__name__}: betas[{i}] must be below 1, got {beta!r:.80}")
        return float(first), float(second)

    def _fallbacks(self, options):
        return {key: self._defaults[key] if value is None else value for key, value in options.items()}

    def _take_spellings(self, options, other, fallbacks):
        """Moves what is given under other libraries' names from `other` into `options`."""
        given = {key for key, value in options.items() if value is not None}
        for name in [name for name in other if name in self._spellings]:
            value, spelling = other.pop(name), self._spellings[name]
            key = "betas" if spelling in ("beta1", "beta2") else spelling
            if value is None:
                continue
            if key in given or (key == spelling and options.get(key) is not None):
                raise TypeError(f"{type(self).__name__}: {key} and {name} are two spellings of one argument, give one")
            if key == spelling:
                options[key] = value
            else:
                betas = list(options.get(key) or fallbacks[key])
                betas[spelling == "beta2"] = value
                options[key] = tuple(betas)

    # ---- parameters ----

    def _bind(self, params):
        """Takes over parameters, once."""
        name = type(self).__name__
        if isinstance(params, (int, float)):
            raise TypeError(f"{name}: the first argument is the parameters; write {name}(lr={params})")
        if isinstance(params, (Tensor, Mapping, str)) or not isinstance(params, Iterable):
            raise TypeError(f"{name}: params must be an iterable of parameters or dicts, got {params!r:.80}")
        params = list(params)
        if not params:
            raise ValueError(f"{name}: got an empty list of parameters")
        options = {key: value for key, value in self.param_groups[0].items() if key != "params"}
        groups = params if isinstance(params[0], Mapping) else [{"params": params}]
        self.param_groups, before = [], self.param_groups
        try:
            for group in groups:
                self._add_group(group, options)
        except BaseException:
            self.param_groups = before
            raise
        self._bound = True

    def add_param_group(self, param_group):
        """Adds parameters with their own options: a dict with "params" and any of the constructor's options.

        Raises TypeError for things that are no leaf tensors, ValueError for parameters that are there already.
        """
        self._add_group(param_group, self.defaults)

    def _add_group(self, param_group, fallbacks):
        name = type(self).__name__
        group = dict(param_group)
        if "params" not in group:
            raise ValueError(f"{name}: a parameter group needs the key 'params'")
        given = group["params"]
        given = [given] if isinstance(given, Tensor) else list(given)
        group["params"] = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in given]
        options = {key: group.pop(key) for key in list(group) if key in self.defaults}
        self._take_spellings(options, group, fallbacks)
        extra = {key: value for key, value in group.items() if key not in ("params", "initial_lr", "name")}
        _check.refuse(name, extra, tuple(self.defaults))
        options = {**fallbacks, **options}
        self._check_options(options)
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: a parameter must be a Tensor, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(
                    f"{name}: a tensor of shape {tuple(p.shape)} is the result of an operation, not a leaf"
                )
            if id(p) in seen:
                raise ValueError(f"{name}: a parameter of shape {tuple(p.shape)} is given twice")
            seen.add(id(p))
        self.param_groups.append({**group, **options})

    @property
    def lr(self):
        """Learning rate of the first group; setting it sets that of all groups."""
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value):
        option = {"lr": value}
        self._check_options(option)
        for group in self.param_groups:
            group.update(option)

    learning_rate = lr

    def _parameters(self):
        return [p for group in self.param_groups for p in group["params"]]

    # ---- the C object ----

    def _sync(self):
        """The C object with the present parameters and options. Raises RuntimeError while unbound."""
        params = self._parameters()
        if not params:
            raise RuntimeError(f"{type(self).__name__} has no parameters: {type(self).__name__}(net.parameters(), ...)")
        rule, core = self._rule(), self._core
        key = (rule, params[0].dtype, [len(g["params"]) for g in self.param_groups], list(map(id, params)))
        is_new = core is None or key != self._key
        hypers = [self._hyper(group) for group in self.param_groups]
        if is_new or hypers != self._pushed:
            for group in self.param_groups:  # somebody may have written into it
                self._check_options(dict(group))
            if is_new:
                core, self._key = self._build(rule, params), key
            for i, hyper in enumerate(hypers):
                core.set_hyper(i, hyper)
            self._pushed = hypers
        return core

    def _build(self, rule, params):
        """A new C object that goes on with the state of the old one as far as it fits."""
        groups = [i for i, group in enumerate(self.param_groups) for _ in group["params"]]
        core = _core.Optimizer(rule, params, groups, [self._hyper(g) for g in self.param_groups], self._fill())
        if self._core is not None:
            self._carry_over(self._core, core, params)
        self._core, self._pushed = core, None
        return core

    @staticmethod
    def _carry_over(old, new, params):
        before, state, order = old.state(), new.state(), {id(p): i for i, p in enumerate(old.params)}
        steps = old.steps
        counts = [steps[0]]
        for i, p in enumerate(params):
            k = order.get(id(p))
            counts.append(0 if k is None else steps[k + 1])
            for name in state:
                if k is not None and name in before:
                    state[name][i] = np.ascontiguousarray(before[name][k].reshape(p.shape), dtype=p.dtype)
        new.load_state(state)
        new.steps = counts

    # ---- public ----

    def step(self, closure=None):
        """One update from the gradients in `.grad`; parameters without a gradient stay as they are.

        closure: computes the loss and its gradients again; its value is returned.
        """
        loss = None
        if closure is not None:
            old = _core.set_grad_enabled(True)
            try:
                loss = closure()
            finally:
                _core.set_grad_enabled(old)
        self._sync().step()
        return loss

    def zero_grad(self, set_to_none=True):
        """Forgets all gradients, or sets them to zero with `set_to_none=False`."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad.zero_()

    def state_dict(self):
        """PyTorch's layout: {"state": {number: {"step", arrays by name}}, "param_groups": [options and numbers]}."""
        state = {}
        if self._core is not None:
            core = self._sync()
            arrays, steps = core.state(), core.steps[1:]
            for i, count in enumerate(steps):
                if count:
                    state[i] = {"step": count, **{name: arrays[name][i] for name in arrays}}
        first, groups = 0, []
        for group in self.param_groups:
            numbers = list(range(first, first + len(group["params"])))
            first += len(numbers)
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": numbers})
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Takes over options and state from `state_dict()`, also of PyTorch's optimiser of the same name.

        Raises ValueError when groups, numbers of parameters or shapes differ; nothing is changed then.
        """
        name = type(self).__name__
        groups, given = self.param_groups, state_dict["param_groups"]
        sizes, wanted = [len(g["params"]) for g in given], [len(g["params"]) for g in groups]
        if sizes != wanted:
            raise ValueError(f"{name}: the state has groups of {sizes} parameters, this optimiser of {wanted}")
        options = []
        for group in given:
            known = {k: v for k, v in group.items() if k in self.defaults or k == "initial_lr"}
            self._check_options(known)
            options.append(known)
        before = [dict(group) for group in groups]
        for group, known in zip(groups, options, strict=True):
            group.update(known)
        try:
            if state_dict["state"]:
                self._load_state(state_dict["state"])
        except BaseException:
            for group, old in zip(groups, before, strict=True):
                group.clear()
                group.update(old)
            raise

    def _load_state(self, given):
        core = self._sync()
        arrays, steps = core.state(), [0] * len(core.steps)
        params = self._parameters()
        for number, entry in given.items():
            i = int(number)
            steps[i + 1] = int(to_numpy(entry.get("step", 1)))
            for key in arrays:
                if entry.get(key) is None:  # PyTorch's SGD has no buffer before its first momentum step
                    continue
                value = np.ascontiguousarray(to_numpy(entry[key]), dtype=params[i].dtype)
                if value.shape != tuple(params[i].shape):
                    raise ValueError(
                        f"{type(self).__name__}: {key} of parameter {i} has shape {value.shape}, "
                        f"expected {tuple(params[i].shape)}"
                    )
                arrays[key][i] = value
        steps[0] = max(steps)
        core.load_state(arrays)
        core.steps = steps

    def __getstate__(self):
        """State for pickle and deepcopy."""
        kept = {k: v for k, v in self.__dict__.items() if k not in ("_core", "_pushed", "_key")}
        return {**kept, "_saved": self.state_dict()["state"]}

    def __setstate__(self, state):
        """Restores what `__getstate__` kept."""
        saved = state.pop("_saved")
        self.__dict__.update(state)
        self._core = self._pushed = None
        if saved:
            self._load_state(saved)

    def __repr__(self):
        """The options that differ from the defaults, and the learning rate."""
        first = self.param_groups[0]
        shown = {k: first[k] for k in self.defaults if k == "lr" or first[k] != self._defaults[k]}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"
