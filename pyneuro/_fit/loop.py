"""`fit`: prepares data, losses and optimiser, then runs epochs with callbacks, validation, stopping and checkpoints."""

import contextlib
import math
import os
import sys
import warnings
import weakref
from collections.abc import Iterator

from pyneuro import _core, optim
from pyneuro import checkpoint as checkpoints
from pyneuro import stop as stop_rules
from pyneuro._fit import arguments, arrays, pictures
from pyneuro._fit import program as programs
from pyneuro._fit.ask import Evaluator
from pyneuro._fit.metrics import metric_list
from pyneuro._fit.plans import Dynamic, fingerprint, is_own, look_of
from pyneuro._fit.runners import EagerRunner, PlanRunner, Rules, StreamRunner, uninterrupted
from pyneuro._fit.scrutiny import outside
from pyneuro.callbacks import Callback, History, Monitor, defines
from pyneuro.nn import _check

SLICE = 0.05  # seconds between two looks at the progress bar
MOST = 1 << 62  # rows of a batch, epochs: more is the same

# Arguments of Keras's fit and compile that mean something else, or belong elsewhere.
FOREIGN = {
    "from_logits": "from_logits is Keras's; loss='cross_entropy' and 'bce_with_logits' take raw scores, 'nll' "
    "log-probabilities, 'bce' probabilities",
    "lr": "lr belongs to the optimiser: optimizer=optim.Adam(lr=...)",
    "learning_rate": "learning_rate belongs to the optimiser: optimizer=optim.Adam(lr=...)",
    "momentum": "momentum belongs to the optimiser: optimizer=optim.SGD(lr=..., momentum=...)",
    "clipnorm": "clipnorm is Keras's, by parameter; clip_norm limits the norm of all gradients together",
    "clipvalue": "there is no clipvalue; clip_norm limits the norm of all gradients together",
    "steps_per_epoch": "an epoch is one pass over the data; give fewer rows, or an iterable of batches",
    "initial_epoch": "a training goes on with checkpoint=PATH, resume=True",
    "validation_batch_size": "validation takes batches of its own",
    "validation_freq": "validation runs after each epoch",
    "validation_steps": "validation takes all its data",
    "target": "targets are the second argument, y",
    "num_epochs": "it is called epochs",
    "patience": "stop=pn.stop.Patience(n), or callbacks=[pn.callbacks.EarlyStopping(patience=n)]",
    "device": "pyneuro computes on the CPU",
}


_busy = weakref.WeakSet()  # networks that are being trained


def _in_child():
    """After a fork the trainings of the parent are not ours: its networks may be trained here."""
    for net in list(_busy):
        net.__dict__.pop("_fitting", None)
    _busy.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def fit(net, X, y=None, **given):
    """See `Trainable.fit`."""
    here = object()
    try:
        _busy.add(net)
        if net.__dict__.setdefault("_fitting", here) is not here:  # in one step, so that one of two threads gets in
            raise RuntimeError(
                "fit is already running on this network: a callback, a pn.Function or another thread cannot start a "
                "second one"
            )
        other = given.pop("other")
        for name in other:
            if name in FOREIGN:
                raise TypeError(f"fit: {FOREIGN[name]}")
        _check.refuse("fit", other, tuple(given))
        this = Fit(net, X, y, **given)
        try:
            return this.run()
        except BaseException as error:
            this.history.stopped_by = type(error).__name__
            raise
    finally:
        if net.__dict__.get("_fitting") is here:
            del net.__dict__["_fitting"]
            _busy.discard(net)


class Fit:
    """One call of fit."""

    def __init__(
        self, net, X, y, *, loss, optimizer, epochs, batch_size, shuffle, drop_last, validation_data, validation_split,
        metrics, class_weight, sample_weight, callbacks, clip_norm, stop, checkpoint, resume, seed, verbose, mode,
        loss_weights, augment,
    ):  # fmt: skip
        self.net = net
        self.epochs = min(_check.size("fit", "epochs", epochs, 0), MOST)
        self.optimizer = optim.get(optimizer)
        self.batch = self._batch_size(batch_size)
        self.shuffle = arguments.flag("fit", "shuffle", shuffle)
        self.drop_last = arguments.flag("fit", "drop_last", drop_last)
        self.verbose = arguments.verbosity(verbose)
        self.items = programs.loss_items(loss, loss_weights)
        self.augment = pictures.changes(augment)
        self.metrics = metric_list(metrics)
        self.mode = None if mode is None else _check.choice("fit", "mode", mode, ("plan", "eager"))
        self.rules, self.stops = self._stop_rules(stop, clip_norm)
        self.callbacks = self._callbacks(callbacks)
        self.path, self.resume = arguments.path(checkpoint), arguments.flag("fit", "resume", resume)
        if self.resume and checkpoint is None:
            raise ValueError("fit: resume=True needs checkpoint=PATH, from which it goes on")
        self.seed = arguments.seed("fit", seed)
        self.saved = checkpoints.read(checkpoint) if self.resume else None
        if self.saved:
            self._take_seed(seed)
        self._bind(net)
        self._check_values(net)
        self.stream = arrays.is_stream(X, y)
        if self.stream:
            if validation_split or class_weight is not None or sample_weight is not None:
                raise ValueError(
                    "fit: validation_split, class_weight and sample_weight need arrays, X is an iterable of batches"
                )
            if isinstance(X, Iterator) and iter(X) is X and self.epochs > 1:
                raise ValueError(
                    f"fit: X is an iterator, which can be read once, but epochs={self.epochs}: give a list of batches, "
                    "an object that can be iterated again, a function that returns a new iterator, or epochs=1"
                )
            self.source, self.validation = X, validation_data
            self.rows = None
        else:
            self._take_arrays(X, y, validation_data, validation_split, class_weight, sample_weight)
        self.history = History()
        self.runner = self.evaluator = None
        self.done = None  # epochs completed; None before the first step
        self.between_epochs = None  # equal to done except while the end of an epoch is being dealt with
        self.by_epoch = True  # something is to be done in Python after each epoch
        self.look = None  # of the network when its plans were made
        self.looked = False  # for parameters that nobody trains
        self.heard = False  # callbacks have run since the plans were looked at

    # ---- arguments ----

    def _batch_size(self, batch_size):
        if batch_size is None:
            return None if self.optimizer.full_batch else 32
        return min(_check.size("fit", "batch_size", batch_size), MOST)

    @staticmethod
    def _stop_rules(stop, clip_norm):
        clip = 0.0 if clip_norm is None else _check.number("fit", "clip_norm", clip_norm, 0)
        if clip_norm is not None and not clip:
            raise ValueError("fit: clip_norm must be above 0")
        rules = [] if stop is None else list(stop) if isinstance(stop, (list, tuple)) else [stop]
        grad = step = 0.0
        for rule in rules:
            if isinstance(rule, stop_rules.GradBelow):
                grad = max(grad, rule.eps)
            elif isinstance(rule, stop_rules.StepBelow):
                step = max(step, rule.eps)
            elif not isinstance(rule, Callback):
                raise TypeError(f"fit: stop must be a rule such as pn.stop.Patience(5), got {rule!r:.80}")
        return Rules(clip, grad, step), rules

    def _callbacks(self, callbacks):
        if callbacks is not None and not isinstance(callbacks, (Callback, list, tuple)):
            raise TypeError(f"fit: callbacks must be a list of callbacks, got {callbacks!r:.80}")
        found = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
        for callback in found:
            if isinstance(callback, type) or not all(hasattr(callback, h) for h in ("on_epoch_end", "set_model")):
                raise TypeError(f"fit: a callback must be an object with Keras's hooks, got {callback!r:.80}")
        return [*found, *(rule for rule in self.stops if isinstance(rule, Callback))]

    def _take_seed(self, seed):
        saved = self.saved.meta["seed"]
        if seed is not None and self.seed != saved:
            raise ValueError(f"fit: the checkpoint was trained with seed {saved}, this fit has seed {self.seed}")
        self.seed = saved

    def _bind(self, net):
        own = list(net.parameters())
        if not any(p.requires_grad for p in own):
            raise ValueError(
                f"fit: {net._label()} has no parameter that can be trained" + (": all are frozen" if own else "")
            )
        if not self.optimizer._bound:
            self.optimizer._bind(own)
        ids = {id(p) for p in own}
        if not any(id(p) in ids for p in self.optimizer._parameters()):
            raise ValueError("fit: the optimizer holds parameters of another network")

    def _check_values(self, net):
        """Parameters and optimiser state must be finite before the first step."""
        for path, module in net.named_modules():
            for name, p in module._parameters.items():
                if p is not None and not _is_finite(p.detach().numpy()):
                    label = f"{module._label()} (layer {path})" if path else module._label()
                    raise ValueError(f"{label}: parameter {name} of shape {tuple(p.shape)} is not finite")
        if self.optimizer._core is not None:
            for name, values in self.optimizer._sync().state().items():
                for i, array in enumerate(values):
                    if not _is_finite(array):
                        raise ValueError(f"the optimizer's {name} of parameter {i} is not finite")

    # ---- data ----

    def _take_arrays(self, X, y, validation_data, split, class_weight, sample_weight):
        x = arrays.tree("X", X)
        targets = arrays.tree("y", y) if y is not None else None
        weight = arrays.weights("sample_weight", sample_weight) if sample_weight is not None else None
        rows = arrays.count_rows([*x.parts, *(targets.parts if targets else []), *([weight] if weight else [])])
        if class_weight is not None:
            factors = programs.class_weights(targets, class_weight)
            weight = arrays.Part("class_weight", factors if weight is None else factors * weight.array.reshape(-1))
        if weight is not None:
            weight.array = weight.array.reshape(rows, -1)
            if weight.array.shape[1] != 1:
                raise ValueError(f"sample_weight has shape {weight.array.shape}, expected one number a row")
            weight.array = weight.array[:, 0]
        x, targets, weight, self.validation = self._split(x, targets, weight, rows, validation_data, split)
        self.rows = len(x.parts[0].array)
        self.batch = self.batch or self.rows
        programs.check_ending(self.net, self.items)
        self.program = programs.Program(self.net, x, targets, weight, self.items, self.metrics)
        self.program.augment = pictures.plan(self.augment, x, targets)

    def _split(self, x, y, weight, rows, validation_data, split):
        if not split:
            return x, y, weight, validation_data
        if validation_data is not None:
            raise ValueError("fit: give validation_data or validation_split, not both")
        split = _check.number("fit", "validation_split", split, 0, 1)
        first = math.floor(rows * (1 - split))
        if not 0 < first < rows:
            raise ValueError(f"fit: validation_split={split:g} of {rows} rows leaves one part empty")

        def part(tree, index):
            return arrays.Tree(tree.kind, arrays.cut(tree.parts, index), tree.keys) if tree else None

        end, start = slice(first, rows), slice(0, first)  # the last rows, before any shuffling, as in Keras
        weights = [arrays.cut([weight], i)[0] if weight else None for i in (start, end)]
        return part(x, start), part(y, start), weights[0], (part(x, end), part(y, end), weights[1])

    # ---- runners ----

    def _user_code(self, program):
        return fingerprint(self.net) is None or program.identity() is None

    def _make_runner(self):
        if self.stream:
            return self._make_stream()
        program = self.program
        self._look_for_strangers(program)
        program.decide(slice(0, min(self.batch, self.rows)))
        bound = max([arrays.check_finite(p) if p.dtype != "int64" else 0.0 for p in program.x.parts])
        bound *= 1.001 if self.augment else 1.0  # an interpolated pixel can be rounded above all others
        if program.weight:
            bound = max(bound, arrays.check_finite(program.weight))
        for p in program.y.parts if program.y else ():
            if p.array.dtype.kind == "f":
                p.dtype = program.real
                bound = max(bound, arrays.check_finite(p))
        data = self.rows, self.batch, self.optimizer, self.rules
        if self.mode != "eager":
            try:
                return PlanRunner(
                    program, *data, self._user_code(program), self.seed, self.shuffle, self.drop_last, bound
                )
            except Dynamic as reason:
                self._say_dynamic(reason)
        return EagerRunner(program, *data, self.seed, self.shuffle, self.drop_last)

    def _look_for_strangers(self, program):
        """Once a fit, and only where there is code of the user's: see scrutiny.py."""
        if not self.looked and self._user_code(program):
            program.trained = [*self.net.parameters(), *self.optimizer._parameters()]
        else:
            program.trained = None
        self.looked = True

    def _say_dynamic(self, reason):
        if self.mode == "plan":
            raise RuntimeError(f"fit: mode='plan' is not possible for {self.net._label()}: {reason}") from None
        if not self.net.__dict__.get("_said_dynamic"):
            self.net.__dict__["_said_dynamic"] = True
            warnings.warn(
                f"{self.net._label()} is trained step by step in Python, not as a compiled plan, because of {reason}",
                stacklevel=outside(),
            )

    def _make_stream(self):
        def make(batch, place):
            parts = batch if isinstance(batch, (tuple, list)) else (batch,)
            if not 1 <= len(parts) <= 3:
                raise ValueError(f"{place} of X must be (x, y) or (x, y, sample_weight), got {len(parts)} parts")
            x = arrays.tree(f"x of {place}", parts[0])
            y = arrays.tree(f"y of {place}", parts[1]) if len(parts) > 1 and parts[1] is not None else None
            weight = arrays.weights(f"sample_weight of {place}", parts[2]) if len(parts) > 2 else None
            rows = arrays.count_rows([*x.parts, *(y.parts if y else []), *([weight] if weight else [])])
            program = programs.Program(self.net, x, y, weight, self.items, self.metrics)
            program.augment = pictures.plan(self.augment, x, y)
            self._look_for_strangers(program)
            program.counted = True  # other batches may have rows that do not count
            return program, rows

        eager = self.mode == "eager"
        return StreamRunner(
            self.source, make, self.optimizer, self.rules, self.seed, self._user_code, eager, self._say_dynamic
        )

    # ---- the run ----

    def run(self):
        """Trains; returns the History."""
        net, history = self.net, self.history
        net.history, net.optimizer, net.stop_training = history, self.optimizer, False
        net._trained_with = self.items, self.metrics
        history.seed = self.seed
        try:
            self._prepare()
            with self._bar() as bar:
                self._epochs(bar)
        except BaseException as error:
            history.stopped_by = type(error).__name__
            if isinstance(error, KeyboardInterrupt) and self._is_consistent():
                self._save()
            self._catch_up()
            raise
        finally:
            if self.done is not None:
                self._count()
        self._call("on_train_end", {})
        history.stopped_by = history.stopped_by or "epochs"
        return history

    def _prepare(self):
        """Everything before the first step: plans, callbacks, and where an earlier training stood."""
        net, history = self.net, self.history
        self.runner = self._make_runner()
        self.parameters = list(net.parameters())  # as long as fit runs, so that their ids are theirs
        self.look = self._look()
        history.mode = self.runner.mode
        if self.validation is not None:
            self.evaluator = Evaluator(net, *self._validation_parts(), self.items, self.metrics)
            self.evaluator.prepare()
        self._check_monitors()
        steps = self.runner.steps_an_epoch
        history.params = {"epochs": self.epochs, "steps": steps, "batch_size": self.batch, "verbose": self.verbose}
        for p in net.parameters():
            p.grad = None
        for callback in self.callbacks:
            callback.set_params(dict(history.params))
            callback.set_model(net)
        self._call("on_train_begin", {})
        if self.saved:
            self.saved.restore(self)
        self.steps_before = self.optimizer._sync().steps[0] - self.runner.progress["step"]
        self.done = self.between_epochs = self.runner.progress["epoch"]

    def _is_consistent(self):
        """Whether Ctrl-C came between two steps, and not while the end of an epoch or a step was being accounted for.

        Otherwise nothing is saved: the last checkpoint holds, and the run that goes on from it ends in the same bits.
        """
        if self.done is None:
            return False
        progress = self.runner.progress
        steps = self.optimizer._core.steps[0] - self.steps_before
        return self.between_epochs == self.done == progress["epoch"] and steps == progress["step"]

    def _check_monitors(self):
        """What a callback watches must be there: better said now than after the first epoch."""
        if self.runner.names is None:  # of a stream
            return
        known = [*self.runner.names, *(f"val_{name}" for name in (self.evaluator.names if self.evaluator else ()))]
        for callback in self.callbacks:
            if isinstance(callback, (Monitor, optim.lr_scheduler.ReduceLROnPlateau)):
                callback._check(dict.fromkeys(known, 0.0))

    def _validation_parts(self):
        given = self.validation
        if not isinstance(given, (tuple, list)) or not 1 <= len(given) <= 3:
            raise ValueError("fit: validation_data must be (X, y) or (X, y, sample_weight)")
        x, y, weight = (*given, None, None)[:3]
        x = x if isinstance(x, arrays.Tree) else arrays.tree("X of validation_data", x)
        y = y if isinstance(y, arrays.Tree) or y is None else arrays.tree("y of validation_data", y)
        if weight is not None and not isinstance(weight, arrays.Part):
            weight = arrays.weights("sample_weight of validation_data", weight)
        return x, y, weight

    def _count(self):
        """History as of the last completed step. A fused fit leaves no gradients behind."""
        self.history.steps = self.runner.progress["step"]
        self.history.mode = self.runner.mode

    def _call(self, hook, *args):
        """Calls a hook of all callbacks; the last argument is always logs."""
        for callback in self.callbacks:
            method = getattr(callback, hook, None)
            if method is not None:
                method(*args)

    def _epochs(self, bar):
        batch_hooks = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
        by_batch = any(defines(c, *batch_hooks) for c in self.callbacks)
        hooks = any(defines(c, "on_epoch_begin", "on_epoch_end") for c in self.callbacks)
        self.by_epoch = by_epoch = bool(by_batch or hooks or self.evaluator or self.path or self.verbose == 2)
        seconds = SLICE if bar or self.path else math.inf
        self.begun = -1
        while self.done < self.epochs and not self.net.stop_training:
            if by_epoch and self.begun < self.done:
                self.begun = self.done
                self._call("on_epoch_begin", self.done, {})
                self.heard = True
            if not by_batch:  # else behind their hooks
                self._renew()
            end = self._slice(self.done + 1 if by_epoch else self.epochs, seconds, by_batch)
            self._show(bar)
            if end in ("grad", "step"):
                self._end_early(end)
                return
        if self.net.stop_training and self.history.stopped_by is None:
            reason = self.net.stop_training
            self.history.stopped_by = reason if isinstance(reason, str) else self._stopper()

    def _renew(self):
        """A callback may have changed the network, a rate or the optimiser: then the plans are made again, and training
        goes on."""
        if not self.callbacks:
            return
        now, before = self._look(), self.look
        self.look = now
        if before is None or (now == before and self._is_current()):
            return
        self._check_added()
        if self.evaluator:
            self.evaluator.forget_plans()
        if self.stream:
            self.runner.forget_plans()
        elif self.runner.mode == "plan":
            self.program.forget_outputs()
            progress, self.runner = self.runner.progress, self._make_runner()
            self.runner.progress = progress

    def _is_current(self):
        """Whether the plans are still what a forward or a loss of the user's does: it may read a value from outside the
        network, which a callback of the user's has changed."""
        if not self.heard or all(is_own(c) for c in self.callbacks):
            return True
        self.heard = False
        if self.evaluator and not self.evaluator.is_current():
            self.evaluator.forget_plans()
        return self.runner.mode != "plan" or self.runner.is_current()

    def _look(self):
        """What a callback could change about the operations and the update."""
        core = self.optimizer._sync()
        return look_of(self.net), core, core.hooked

    def _check_added(self):
        """Parameters that a callback has added or exchanged, and that nobody would train, are a mistake."""
        known = {id(p) for p in (*self.parameters, *self.optimizer._parameters())}
        for name, p in self.net.named_parameters():
            if p.requires_grad and id(p) not in known:
                raise ValueError(
                    f"fit: a callback added parameter {name} of shape {tuple(p.shape)}, which the optimizer does not "
                    "have: give it to optimizer.add_param_group too, or change the network before fit"
                )

    def _stopper(self):
        early = next((c for c in self.callbacks if getattr(c, "stopped_epoch", 0)), None)
        return type(early).__name__ if early else "callback"

    def _slice(self, until, seconds, by_batch):
        """Runs until `until` epochs are completed or the slice is over; writes the completed ones into the history."""
        runner = self.runner
        if not by_batch:
            end = runner.run(until, seconds)
        else:
            number = self._batches_done()
            for hook in ("on_train_batch_begin", "on_batch_begin"):
                self._call(hook, number, {})
            self.heard = True
            self._renew()
            runner = self.runner
            end = runner.run(until, math.inf, 1)
            logs = (
                dict(zip(runner.names, map(float, runner.log[-1]), strict=True)) if len(runner.log) else self._means()
            )
            for hook in ("on_train_batch_end", "on_batch_end"):
                self._call(hook, number, logs)
        if self.by_epoch:
            for means in runner.log:
                self._end_epoch(means)
        else:
            self._catch_up()
        return end

    def _catch_up(self):
        """Writes epochs that the runner has completed into the history, also when an error or Ctrl-C came in between.

        Not with validation: an epoch that was not validated has no values to show.
        """
        if self.done is None or self.evaluator:
            return
        with uninterrupted():
            missing = self.runner.progress["epoch"] - self.done
            log = self.runner.log
            self._note(self.runner.names, log[max(len(log) - missing, 0) :])

    def _note(self, names, rows):
        """Adds completed epochs to the history: one row of means for each."""
        self.history._extend(self.done, names, rows)
        self.done += len(rows)
        self.between_epochs = self.done if not self.by_epoch else self.between_epochs

    def _batches_done(self):
        position = self.runner.progress["position"]
        return position if self.stream else -(-position // self.batch)

    def _means(self):
        means = self.runner.means()
        return dict(zip(self.runner.names, means, strict=True)) if means else {}

    def _end_epoch(self, means):
        names, values = list(self.runner.names), [float(v) for v in means]
        if self.evaluator:
            self._call("on_test_begin", {})
            found = self.evaluator.run()
            names += [f"val_{name}" for name in found]
            values += found.values()
            self._call("on_test_end", {f"val_{name}": v for name, v in found.items()})
        with uninterrupted():
            self._note(names, [values])
        self._count()
        logs = dict(zip(names, values, strict=True))
        self._call("on_epoch_end", self.done - 1, logs)
        if self.verbose == 2:
            text = " - ".join(f"{k}: {v:.4f}" for k, v in logs.items())
            print(f"Epoch {self.done}/{self.epochs} - {text}")
        self._save()
        self.between_epochs = self.done

    def _end_early(self, end):
        """A rule has fired: the epoch it fired in counts with what there is of it."""
        kind = stop_rules.GradBelow if end == "grad" else stop_rules.StepBelow
        means = self._means()
        if means:
            self._end_epoch(means.values())
        self.history.stopped_by = next(rule.reason for rule in self.stops if isinstance(rule, kind))

    def _save(self):
        if self.path is not None:
            checkpoints.write(self.path, self)

    # ---- progress bar ----

    def _bar(self):
        if self.verbose != 1:
            return contextlib.nullcontext()
        from tqdm import tqdm

        total = self.epochs * self.runner.steps_an_epoch if self.runner.steps_an_epoch else None
        return tqdm(
            total=total,
            unit="step",
            leave=True,
            file=sys.stderr,
            mininterval=0.1,
            initial=min(self._steps_done(), total or 0),
        )

    def _steps_done(self):
        p = self.runner.progress
        if not self.runner.steps_an_epoch:
            return p["step"]
        return p["epoch"] * self.runner.steps_an_epoch + self._batches_done()

    def _show(self, bar):
        if bar is None:
            return
        bar.update(max(self._steps_done() - bar.n, 0))
        bar.set_description(f"epoch {min(self.done + 1, self.epochs)}/{self.epochs}", refresh=False)
        last = {name: values[-1] for name, values in self.history.history.items()} or self._means()
        bar.set_postfix({name: f"{v:.4f}" for name, v in last.items()}, refresh=False)


def _is_finite(array):
    if array.dtype.kind != "f" or not array.size:
        return True
    return _core.check_finite(array.reshape(-1), str(array.dtype))[1] is None


__all__ = ["Fit", "fit"]
