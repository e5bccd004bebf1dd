"""Three ways to run epochs, with one interface.

`run(epochs, seconds, steps)` goes on until `epochs` are completed, some time has passed or some steps are done, and
returns why it stopped: "done", "time", "grad" or "step". `log` then has the means of each epoch completed meanwhile,
also after an error; `means()` those of the epoch that has begun. `progress` says where it stands: epoch, position (rows
done in it), step (updates), weight (rows that are in the sums) and sums: of rows times each of the `columns` scalars
that a step gives. What is shown of them, `names`, is up to columns.py.
"""

import contextlib
import math
import signal
import threading
import time

import numpy as np

from pyneuro import _core
from pyneuro._fit import arrays
from pyneuro._fit.columns import as_they_are
from pyneuro._fit.plans import Dynamic, Plans, modes
from pyneuro.nn import _state
from pyneuro.nn.module import layer_labels

Tensor = _core.Tensor


class Rules:
    """What is asked of each step besides the update: clip_norm, and the stopping rules (0: off)."""

    def __init__(self, clip_norm=0.0, grad_below=0.0, step_below=0.0):
        self.clip_norm, self.grad_below, self.step_below = clip_norm, grad_below, step_below

    @property
    def want_gradients(self):
        """Whether gradients must be there as a whole before the update."""
        return self.clip_norm > 0 or self.grad_below > 0


class PlanRunner:
    """Whole epochs in C."""

    mode = "plan"

    def __init__(self, program, rows, batch, optimizer, rules, user_code, seed, shuffle, drop_last, input_max):
        core = optimizer._sync() if optimizer else None
        wants = rules.want_gradients
        self._plans = plans = Plans(
            program.net, program.run, user_code, optimizer is not None, core, wants, program.examine
        )
        left = rows % batch
        whole = plans.get(slice(0, batch)) if rows >= batch else None
        tail = plans.get(slice(0, left)) if left and not (drop_last and whole) else None
        self.optimizer, self.names, self.user_code = optimizer, program.names, user_code
        self.columns, self._show = program.columns, program.show
        self._rows = rows - left if drop_last and whole else rows  # of an epoch
        self._trainer = _core.Trainer(
            whole, tail, tuple(p.array for p in program.parts), core, batch, seed=seed, shuffle=shuffle,
            drop_last=drop_last and whole is not None, input_max=input_max, clip_norm=rules.clip_norm,
            grad_below=rules.grad_below, step_below=rules.step_below, augment=program.augment,
        )  # fmt: skip
        self.steps_an_epoch = rows // batch + (tail is not None)
        self.plan = whole or tail

    @property
    def progress(self):
        """See the module."""
        return self._trainer.progress

    @progress.setter
    def progress(self, p):
        self._trainer.progress = (p["epoch"], p["position"], p["step"], p["weight"], list(p["sums"]))

    def run(self, epochs, seconds=math.inf, steps=0):
        """See the module."""
        if self.optimizer is not None:
            self.optimizer._sync()
        return self._trainer.run(epochs, seconds, steps)

    @property
    def log(self):
        """See the module."""
        log = self._trainer.log
        return log if self._show is as_they_are else [self._show(row, self._rows) for row in log]

    def means(self):
        """See the module."""
        return shown(self)

    def is_current(self):
        """Whether the plans are still what the network and the losses do. Asked when a callback has run."""
        return self._plans.is_current()


def shown(runner):
    """What losses and metrics are on the rows of an epoch so far: [] before the first."""
    p = runner.progress
    return runner._show([s / p["weight"] for s in p["sums"]], p["weight"]) if p["weight"] else []


class Stepper:
    """Teaching mode: steps in Python, with the same semantics as the C loop."""

    def __init__(self, program, optimizer, rules, seed):
        self.program, self.optimizer, self.rules, self.seed = program, optimizer, rules, seed
        self.epoch = self.position = self.step = 0
        self.weight, self.sums = 0.0, None
        self.step_norm = self.grad_norm = 0.0
        self.log = []
        self.columns, self._show = None, None

    means = shown

    @property
    def progress(self):
        """See the module."""
        names = ("epoch", "position", "step", "weight", "step_norm", "grad_norm")
        return {**{name: getattr(self, name) for name in names}, "sums": list(self.sums or [])}

    @progress.setter
    def progress(self, p):
        for name in ("epoch", "position", "step", "weight"):
            setattr(self, name, p[name])
        self.sums = list(p["sums"]) or None

    def take(self, index, rows):
        """One step on the rows at `index`. Returns "", or which stopping rule has fired."""
        training = self.optimizer is not None
        with Rollback(self.program.net if training else None) as rollback:
            end = self._compute(index, rows, rollback)
            rollback.is_done = end != "grad"
        return end

    def _compute(self, index, rows, rollback):
        training = self.optimizer is not None
        random = _core.get_random()
        try:
            with modes(self.program.net, training):
                _core.set_random(self.seed, self.step)
                self.program.draws = self.seed, self.step
                _, scalars = self.program.run(index, Tensor)
                values = [float(s.detach().numpy()) for s in scalars]
                scale = self._gradients(scalars[0], values[0], index) if training else 1.0
                if rollback.overflowed():
                    self._fail(self._first_not_finite(index) or "a running value is not finite")
        finally:
            _core.set_random(random[0], random[1])
        if scale is None:
            return "grad"
        with uninterrupted():  # the update and its books belong together
            end = self._update(scale) if training else ""
            self.sums = [s + rows * v for s, v in zip(self.sums or [0.0] * len(values), values, strict=True)]
            self.weight += rows
            self.position += rows
        return end

    def _gradients(self, loss, value, index):
        """Backward; returns the factor of clipping, or None when a rule wants to stop here."""
        core, rules = self.optimizer._sync(), self.rules
        params = core.params
        for p in params:
            p.grad = None
        if not loss.requires_grad:
            raise ValueError("the loss has no gradient: it does not depend on any parameter that is trained")
        if not math.isfinite(value):
            self._fail(self._first_not_finite(index) or f"the loss is {value}")
        loss.backward()
        squares = core.gradient_norm2()
        if not math.isfinite(squares):
            self._blame(params)
        self._largest = math.sqrt(squares)  # at least: of all elements of the gradients
        if not rules.want_gradients:
            return 1.0
        self.grad_norm = norm = math.sqrt(squares)
        if norm < rules.grad_below:
            return None
        return rules.clip_norm / (norm + 1e-6) if 0 < rules.clip_norm < norm + 1e-6 else 1.0

    def _update(self, scale):
        """One step of the optimiser. Returns "" or "step" when that rule has fired."""
        core, rules = self.optimizer._sync(), self.rules
        params = core.params
        before = [np.array(p.detach().numpy()) for p in params] if rules.step_below else None
        failed = core.step(scale, self._largest)
        if failed is not None:
            what = self._describe(params[failed])
            self._fail(f"the update of {what} is not finite: the learning rate may be too large")
        self.step += 1
        if before is None:
            return ""
        moved = (
            np.square(p.detach().numpy().astype(np.float64) - b).sum() for p, b in zip(params, before, strict=True)
        )
        self.step_norm = math.sqrt(sum(moved))
        return "step" if self.step_norm < rules.step_below else ""

    def _first_not_finite(self, index):
        """The forward pass once more, with the same random numbers: which operation made the first NaN or infinity?"""
        _core.set_random(self.seed, self.step)
        with layer_labels(self.program.net):
            _, scalars = self.program.run(index, Tensor)
        return first_not_finite(scalars[0])

    def _blame(self, params):
        for p in params:
            if p.grad is not None and not np.isfinite(p.grad.numpy()).all():
                self._fail(f"the gradient of {self._describe(p)} is not finite")

    def _describe(self, parameter):
        """The name, the shape and the layer of a parameter."""
        shape = f"of shape {tuple(parameter.shape)}"
        for path, module in self.program.net.named_modules():
            for name, p in module._parameters.items():
                if p is parameter:
                    return f"{name} {shape} in {module._label()}" + (f" (layer {path})" if path else "")
        return f"a parameter {shape}"

    def _fail(self, what):
        raise FloatingPointError(f"step {self.step + 1} (epoch {self.epoch + 1}): {what}")

    def end_epoch(self):
        """Writes the means of the epoch into the log; a fresh start."""
        with uninterrupted():
            self.log.append(shown(self))
            self.epoch, self.position, self.weight, self.sums = self.epoch + 1, 0, 0.0, None


class Rollback:
    """Buffers of a network as they were, such as the running means of batch norm, put back unless the step is done."""

    def __init__(self, net):
        self._buffers = [(b, np.array(b.detach().numpy())) for b in net.buffers()] if net is not None else []
        self.is_done = False

    def overflowed(self):
        """Whether a buffer has become NaN or infinite."""
        return any(
            b.dtype != "int64" and np.isfinite(old).all() and not np.isfinite(b.detach().numpy()).all()
            for b, old in self._buffers
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for buffer, values in () if self.is_done else self._buffers:
            _state.assign(buffer, values)


@contextlib.contextmanager
def uninterrupted():
    """Holds back KeyboardInterrupt until the end of the block. Only for short blocks; elsewhere than in the main thread
    there are no interrupts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, caught = signal.getsignal(signal.SIGINT), []
    if not callable(handler):
        yield
        return
    signal.signal(signal.SIGINT, lambda *args: caught.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if caught:
        handler(*caught[0])


def first_not_finite(loss):
    """A sentence about the first operation behind `loss` that made NaN or infinity, in the order of computing."""
    nodes, values = sorted(_core.graph(loss), key=lambda node: node["sequence"]), {}
    if nodes:
        values[nodes[-1]["outputs"][0]] = loss
    for node in nodes:
        values.update(zip(node["inputs"], node["tensors"], strict=True))
    for node in nodes:
        place = f"{node['op']} in {node['layer']}" if node["layer"] else node["op"]
        for role, numbers in (("an input", node["inputs"]), ("its output", node["outputs"])):
            for number in numbers:
                found = np.asarray(values[number].detach().numpy()) if number in values else np.zeros(0)
                if found.dtype.kind == "f" and not np.isfinite(found).all():
                    kind = "NaN" if np.isnan(found).any() else "Inf"
                    return f"{place}: the first {kind} is in {role} of shape {found.shape}"
    return None


def examine(program, index, training):
    """One run before the first step: finds the names, and mistakes."""
    with modes(program.net, training), layer_labels(program.net), Rollback(program.net):
        program.examine(*program.run(index, Tensor))


class EagerRunner(Stepper):
    """Epochs over arrays, step by step."""

    mode = "eager"

    def __init__(self, program, rows, batch, optimizer, rules, seed, shuffle, drop_last):
        super().__init__(program, optimizer, rules, seed)
        self.rows, self.batch, self.shuffle = rows, batch, shuffle
        self.last = rows // batch * batch if drop_last and rows >= batch else rows
        self.steps_an_epoch = -(-self.last // batch)
        self._order = None, None
        examine(program, slice(0, min(batch, rows)), optimizer is not None)
        if self.last % batch and optimizer is not None and any(True for _ in program.net.buffers()):
            examine(program, slice(0, self.last % batch), True)  # too small for batch norm? Before the first step
        self.names, self.columns, self._show = program.names, program.columns, program.show

    def _batch(self):
        stop = min(self.position + self.batch, self.last)
        if not self.shuffle:
            return slice(self.position, stop), stop - self.position
        if self._order[0] != self.epoch:
            self._order = self.epoch, _core.permutation(self.rows, self.seed, self.epoch)
        return np.ascontiguousarray(self._order[1][self.position : stop]), stop - self.position

    def run(self, epochs, seconds=math.inf, steps=0):
        """See the module."""
        self.log, done, deadline = [], 0, time.perf_counter() + seconds
        while True:
            if self.position >= self.last:
                self.end_epoch()
            if self.epoch >= epochs:
                return "done"
            if (steps and done >= steps) or time.perf_counter() >= deadline:
                return "time"
            end = self.take(*self._batch())
            done += 1
            if end:
                if self.position >= self.last:
                    self.end_epoch()
                return end


class StreamRunner(Stepper):
    """Epochs over an iterable of batches (x, y) or (x, y, weights): a plan for each shape, or step by step.

    make(batch, its name in messages) -> (program on that batch, rows). Batches are drawn in Python, steps run in C
    where they can.
    """

    def __init__(self, source, make, optimizer, rules, seed, user_code_of, eager, on_dynamic):
        super().__init__(None, optimizer, rules, seed)
        self.source, self.make, self.user_code_of, self.on_dynamic = source, make, user_code_of, on_dynamic
        self.mode = "eager" if eager else "plan"
        self.names, self.steps_an_epoch = None, None
        self._iterator, self._plans, self._ahead = None, {}, None
        self._user_code = False

    def _next(self):
        """The next batch, or None at the end of the epoch."""
        if self._iterator is None:
            batches = self.source() if callable(self.source) else self.source
            self._iterator = iter(batches)
            if self.epoch and self._iterator is batches and not callable(self.source):
                raise ValueError(
                    "X is an iterator, which can be read once: give a list, an object that can be iterated again, a "
                    "function that returns a new iterator, or epochs=1"
                )
            for _ in range(self.position):  # a resumed epoch
                next(self._iterator, None)
        return next(self._iterator, None)

    def forget_plans(self):
        """The network has changed: the plans are made again."""
        self._plans.clear()

    def is_current(self):
        """Whether no code of the user's is in the plans; otherwise they are made again."""
        return not self._user_code

    def _take(self, batch):
        self.program, rows = self.make(batch, f"batch {self.position + 1} (epoch {self.epoch + 1})")
        position = self.position
        try:
            end = self._step(slice(0, rows), rows)
        except FloatingPointError as error:
            raise self._bad_data() or error from None
        if self.names is None:
            self.names, self.columns, self._show = self.program.names, self.program.columns, self.program.show
        self.position = position + (end != "grad")  # of a stream it counts batches
        return end

    def _step(self, whole, rows):
        if self.mode != "eager":
            try:
                return self._take_plan(whole, rows)
            except Dynamic as reason:
                self.on_dynamic(reason)
                self.mode = "eager"
                return self.take(whole, rows)
        self.program.decide(whole)
        if self.program.trained is not None:
            examine(self.program, whole, True)
        return self.take(whole, rows)

    def _bad_data(self):
        """The error about the batch, when the batch is to blame: its x was not looked at before."""
        try:
            for p in self.program.parts:
                if p.dtype != "int64":
                    arrays.check_finite(p)
        except ValueError as error:
            return error
        return None

    def _take_plan(self, whole, rows):
        program, core = self.program, self.optimizer._sync()
        key = tuple((p.array.shape, p.array.dtype.str) for p in program.parts)
        if key in self._plans:
            plan, first = self._plans[key]
            program.decide_as(first)
        else:
            program.decide(whole)
            wants, code = self.rules.want_gradients, self.user_code_of(program)
            self._user_code = code
            plans = Plans(program.net, program.run, code, True, core, wants, program.examine)
            plan = plans.get(whole)
            self._plans[key] = plan, program
        rules = self.rules
        trainer = _core.Trainer(
            plan, None, tuple(p.array for p in program.parts), core, rows, seed=self.seed, clip_norm=rules.clip_norm,
            grad_below=rules.grad_below, step_below=rules.step_below, augment=program.augment,
        )  # fmt: skip
        trainer.progress = (self.epoch, 0, self.step, 0.0, [0.0] * program.columns)
        end = trainer.run(self.epoch + 1, math.inf)
        self.step = trainer.progress["step"]
        for values in trainer.log:
            self.sums = [s + rows * v for s, v in zip(self.sums or [0.0] * len(values), values, strict=True)]
            self.weight += rows
        return end if end in ("grad", "step") else ""

    def run(self, epochs, seconds=math.inf, steps=0):
        """See the module."""
        self.log, done, deadline = [], 0, time.perf_counter() + seconds
        while self.epoch < epochs:
            if (steps and done >= steps) or time.perf_counter() >= deadline:
                return "time"
            batch = self._next() if self._ahead is None else self._ahead
            if batch is None:
                raise ValueError(
                    "X has no batches" if not self.epoch else f"X has no batches in epoch {self.epoch + 1}"
                )
            self._ahead = None
            end = self._take(batch)
            done += 1
            if end:
                return end
            self._ahead = self._next()  # one batch ahead, so that the end of an epoch is known with its last step
            if self._ahead is None:
                self._iterator = None
                self.end_epoch()
        return "done"


__all__ = ["Dynamic", "EagerRunner", "PlanRunner", "Rules", "StreamRunner", "uninterrupted"]
