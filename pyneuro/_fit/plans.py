"""Recording a program and keeping the plans made of it.

A network of pyneuro's own layers is recorded once for each batch size, and `predict` keeps its plans with the network.
User code is recorded twice and compared, and again at every call, because what it does may hang on anything.
"""

from collections import OrderedDict

from pyneuro import _core
from pyneuro._fit import scrutiny
from pyneuro.nn.module import layer_labels, modes

MOST = 16  # plans kept with one network


class Dynamic(Exception):
    """The network cannot be recorded: it computes with values that change from step to step."""


def is_own(thing):
    """Whether the class of a module (or loss) is pyneuro's."""
    return type(thing).__module__.startswith("pyneuro.")


def fingerprint(net):
    """What decides the operations of a network made of pyneuro's layers; None when user code or a hook is in it."""
    found = []
    for module in net.modules():
        if not is_own(module) or module._hooked:
            return None
        config = module._config() if hasattr(module, "_config") else module.extra_repr()
        params = tuple((id(p), p.requires_grad) for p in module._parameters.values() if p is not None)
        found.append((id(module), repr(config), params))
    return tuple(found)


def look_of(net):
    """What a callback could change about the operations of a network: its modules, their options, what is frozen.

    Of user code it sees numbers, truth values and texts among the attributes.
    """
    found = []
    for module in net.modules():
        params = tuple((id(p), p.requires_grad) for p in module._parameters.values() if p is not None)
        simple = [
            (k, v) for k, v in vars(module).items() if k not in PASSING and isinstance(v, (bool, int, float, str))
        ]
        hooks = [tuple(map(id, vars(module).get(kind, ()))) for kind in ("_pre_hooks", "_post_hooks")]
        found.append((id(module), simple, hooks, params))
    return found


PASSING = ("training", "stop_training", "_said_dynamic", "_hooked", "_fitting")  # attributes that decide no operation
_OF_MODULES = ("_parameters", "_buffers", "_modules", "_initial", "_transient", "_pre_hooks", "_post_hooks")


class Cache:
    """Plans of one network by key, least recently used first. A plan is taken out while it is in use."""

    def __init__(self):
        self._plans = OrderedDict()

    def take(self, key):
        """What is kept under `key`, a tuple that begins with a plan, if that still holds; out of the cache."""
        found = self._plans.pop(key, None) if key is not None else None
        return found if found is not None and found[0].valid else None

    def give(self, key, entry):
        """Puts a plan (back) in; a key of None keeps nothing."""
        if key is None:
            return
        self._plans[key] = entry
        while len(self._plans) > MOST:
            self._plans.popitem(last=False)


def cache_of(net):
    """The cache that belongs to a network."""
    return net.__dict__.setdefault("_plans", Cache())


def record(net, run, twice):
    """Records `run(make)`, twice if asked to; returns the recorder and what run returned, or raises Dynamic.

    Dynamic is also what has to happen in every step besides computing: forward hooks, and what a forward of the user's
    keeps or counts in attributes.
    """
    hooked = next((module for module in net.modules() if module._hooked), None)
    if hooked is not None:
        raise Dynamic(f"a forward hook of {hooked._label()}, which is called in every step")
    first = record_once(net, run)
    if twice:
        before = _kept(net)
        second, _ = record_once(net, run)
        same = first[0].same(second)
        second.close()
        changed = _changed(before, _kept(net))
        if not same or changed:
            first[0].close()
            raise Dynamic(changed or "two runs on the same data did different things")
    return first


def _kept(net):
    """What modules of the user's keep in attributes: tensors, numbers and texts, and how much is in lists and dicts."""
    found = {}
    for module in net.modules():
        for name, value in vars(module).items() if not is_own(module) else ():
            if name in PASSING or name in _OF_MODULES:
                continue
            if isinstance(value, (bool, int, float, str, _core.Tensor)):
                found[id(module), name] = module, value
            elif isinstance(value, (list, dict, set)):
                found[id(module), name] = module, len(value)
    return found


def _changed(before, after):
    """Words for an attribute that differs, or None."""
    for key, (module, value) in after.items():
        old = before.get(key, (None, None))[1]
        if old is not value and (isinstance(value, _core.Tensor) or repr(old) != repr(value)):
            return f"the attribute {key[1]} of {module._label()}, which its forward changes"
    return None


def record_once(net, run):
    """One recording of `run(make)` and what it returned. Raises Dynamic when values were looked at."""
    recorder = _core.Recorder()
    with layer_labels(net), recorder:
        result = run(recorder.input)
    if recorder.dynamic:
        reason = recorder.reason
        recorder.close()
        raise Dynamic(reason)
    return recorder, result


def compile_run(net, run, user_code, examine=None, options=(), keep=False):
    """Records `run(make)` -> (input tensors, output tensors) and compiles it: (plan, recorder when it is to be kept).

    examine(inputs, outputs) looks at the recording before. options: of `_core.Plan`. Raises Dynamic when there can be
    no plan.
    """
    recorder, (inputs, outputs) = record(net, run, user_code)
    plan = None
    try:
        if examine is not None:
            examine(inputs, outputs)
        plan = _core.Plan(recorder, inputs, outputs, *options)
    except RuntimeError as error:  # hooks, or values written in place: only teaching mode does them justice
        raise Dynamic(str(error)) from None
    finally:
        if plan is None or not keep:
            recorder.close()
    return plan, recorder if keep else None


def forward_plan(net, run, parts):
    """The plan of a forward pass `run(make)` on rows of `parts`, see `compile_run`."""
    return compile_run(
        net, run, fingerprint(net) is None, lambda inputs, outputs: scrutiny.examine(parts, inputs, outputs)
    )[0]


class Plans:
    """Plans of one program for the batch sizes of one call of fit, evaluate or predict.

    run(index, make) -> (input tensors, output tensors). `core`: the optimiser's C object when training. examine(inputs,
    outputs) looks at each recording before it is compiled.
    """

    def __init__(self, net, run, user_code, training=False, core=None, keep_gradients=False, examine=None):
        self.net, self.run, self.user_code = net, run, user_code
        self.training, self.core, self.keep_gradients = training, core, keep_gradients
        self.examine = examine
        self._used, self._first = {}, None

    def get(self, index):
        """The plan for as many rows as the slice has. Raises Dynamic when there can be none."""
        rows = index.stop - index.start
        if rows not in self._used:
            with modes(self.net, self.training):
                self._used[rows] = self._build(index)
        return self._used[rows]

    def _build(self, index):
        keep = self.user_code and self._first is None  # to be compared with
        options = self.training, self.core, self.keep_gradients
        plan, recorder = compile_run(
            self.net, lambda make: self.run(index, make), self.user_code, self.examine, options, keep
        )
        if keep:
            self._first = index, recorder
        return plan

    def is_current(self):
        """Whether the user's code still does what was recorded: a value from outside the network, which a loss or a
        forward reads, may have been changed by a callback."""
        if self._first is None:
            return True
        index, recorder = self._first
        try:
            with modes(self.net, self.training):
                again, _ = record_once(self.net, lambda make: self.run(index, make))
        except Dynamic:
            return False
        same = recorder.same(again)
        again.close()
        return same
