"""Recording a program and keeping the plans made of it.

A network of pyneuro's own layers is recorded once for each batch size, and `predict` keeps its plans with the network.
User code is recorded twice and compared, and again at every call, because what it does may hang on anything.
"""

from collections import OrderedDict

from pyneuro import _core
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
    """Records `run(make)`, twice if asked to; returns the recorder and what run returned, or raises Dynamic."""
    first = _record_once(net, run)
    if twice:
        second, _ = _record_once(net, run)
        same = first[0].same(second)
        second.close()
        if not same:
            first[0].close()
            raise Dynamic("two runs on the same data did different things")
    return first


def _record_once(net, run):
    recorder = _core.Recorder()
    with layer_labels(net), recorder:
        result = run(recorder.input)
    if recorder.dynamic:
        reason = recorder.reason
        recorder.close()
        raise Dynamic(reason)
    return recorder, result


class Plans:
    """Plans of one program for the batch sizes of one call of fit, evaluate or predict.

    run(index, make) -> (input tensors, output tensors). `core`: the optimiser's C object when training.
    """

    def __init__(self, net, run, user_code, training=False, core=None, keep_gradients=False):
        self.net, self.run, self.user_code = net, run, user_code
        self.training, self.core, self.keep_gradients = training, core, keep_gradients
        self._used = {}

    def get(self, index):
        """The plan for as many rows as the slice has. Raises Dynamic when there can be none."""
        rows = index.stop - index.start
        if rows not in self._used:
            with modes(self.net, self.training):
                self._used[rows] = self._build(index)
        return self._used[rows]

    def _build(self, index):
        recorder, (inputs, outputs) = record(self.net, lambda make: self.run(index, make), self.user_code)
        try:
            return _core.Plan(recorder, inputs, outputs, self.training, self.core, self.keep_gradients)
        except RuntimeError as error:  # hooks, or values written in place: only teaching mode does them justice
            raise Dynamic(str(error)) from None
        finally:
            del inputs, outputs
            recorder.close()
