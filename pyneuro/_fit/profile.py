"""`net.profile`: where the time of a network goes, by layer and op. The clock runs in C, inside the plan."""

import html
from dataclasses import dataclass

import numpy as np

from pyneuro import _core, optim
from pyneuro._fit import arrays
from pyneuro._fit import program as programs
from pyneuro._fit.plans import Dynamic, Plans, fingerprint, forward_plan, modes
from pyneuro.nn import _check

LONG = 20  # rows from which a second table adds up what many layers do alike


@dataclass(frozen=True)
class Row:
    """One line of a profile: an op of a layer, forward or backward.

    layer: "Linear(4, 2) (layer 0)", "" outside of layers; op: with what is fused behind it, "linear+relu"; phase:
    "forward", "backward", "add" (of gradients), "check", "update"; shape: of the op's output; calls: instructions in
    it; seconds: of one run; flops: of one run.
    """

    layer: str
    op: str
    phase: str
    shape: tuple
    calls: int
    seconds: float
    flops: float

    @property
    def gflops(self):
        """Rate in GFLOP/s."""
        return self.flops / self.seconds * 1e-9 if self.seconds > 0 else 0.0


class Profile:
    """What `profile` returns: shown as a table, in a notebook too.

    rows: list of `Row` in the order of execution. seconds, flops: of one run. repeats, threads: how it was measured.
    peak: GFLOP/s that the multiply-add units of these threads could do. training: a step with its gradients and its
    update, or the forward pass alone.

    >>> import numpy as np
    >>> from pyneuro import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2), seed=0)
    >>> p = net.profile(np.ones((8, 4)), print_fn=None)
    >>> [(row.layer, row.op) for row in p.rows]
    [('Linear(4, 3) (layer 0)', 'linear+tanh'), ('Linear(3, 2) (layer 2)', 'linear')]
    """

    def __init__(self, rows, repeats, threads, peak, training, samples, memory):
        self.rows, self.repeats, self.threads, self.peak = rows, repeats, threads, peak
        self.memory, self.thread_memory = memory
        self.training, self.samples = training, samples
        self.seconds = sum(row.seconds for row in rows)
        self.flops = sum(row.flops for row in rows)

    def by_layer(self):
        """Dict of layer -> seconds of all its rows, in the order of execution; "" is what no layer does."""
        found = {}
        for row in self.rows:
            found[row.layer] = found.get(row.layer, 0.0) + row.seconds
        return found

    def by_op(self):
        """Rows of all layers together, one for each op and pass, the slowest first; layer and shape are empty."""
        found = {}
        for row in self.rows:
            key = row.op, row.phase
            old = found.get(key, Row("", *key, (), 0, 0.0, 0.0))
            total = old.calls + row.calls, old.seconds + row.seconds, old.flops + row.flops
            found[key] = Row("", *key, (), *total)
        return sorted(found.values(), key=lambda row: -row.seconds)

    _head = ("layer", "op", "pass", "output", "time", "MFLOP", "GFLOP/s", "of peak", "of time")

    def _cells(self):
        """The table as text: one list of nine a row, the last one for the whole."""
        whole = Row("whole", "", "step" if self.training else "forward", (), 0, self.seconds, self.flops)
        return [self._line(row) for row in self.rows] + [self._line(whole)]

    def _line(self, row):
        op = row.op if row.calls < 2 else f"{row.calls} x {row.op}"
        shape = "x".join(map(str, row.shape))
        rate = (f"{row.gflops:.1f}", f"{row.gflops / self.peak:.1%}") if row.flops else ("", "")
        share = row.seconds / self.seconds if self.seconds else 0.0
        work = f"{row.flops / 1e6:.3f}" if row.flops else ""
        return [row.layer, op, row.phase, shape, _time(row.seconds), work, *rate, f"{share:.1%}"]

    def _sentence(self):
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        what = "training step" if self.training else "forward pass"
        return (
            f"One {what} on {self.samples} samples: {_time(self.seconds)}, median of {self.repeats} on {threads}; "
            f"peak of the multiply-add units {self.peak:.0f} GFLOP/s; memory {self.memory / 1e6:.3g} MB, and "
            f"{self.thread_memory / 1e6:.3g} MB a thread"
        )

    def __repr__(self):
        by_op = self.by_op()
        if len(by_op) > len(self.rows) // 2 or len(self.rows) <= LONG:
            return self._table(self._cells())
        whole = self._cells()[-1]
        return f"{self._table(self._cells())}\n\n{self._table([*map(self._line, by_op), whole], 'All layers together')}"

    def _table(self, cells, title=None):
        """Text of a table under a sentence; its last row stands below a line."""
        cells = [list(self._head), *cells]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self._head))]
        lines = [
            "  ".join(f"{v:<{w}}" if i < 4 else f"{v:>{w}}" for i, (v, w) in enumerate(zip(row, widths, strict=True)))
            for row in cells
        ]
        rule = "-" * len(lines[0])
        return "\n".join([title or self._sentence(), lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def _repr_html_(self):
        """The table with a bar behind each share of the time."""
        *body, whole = self._cells()
        head = "".join(f"<th>{name}</th>" for name in self._head)
        rows = "".join(_html_row(cells, row.seconds / self.seconds) for cells, row in zip(body, self.rows, strict=True))
        return (
            f"<p>{html.escape(self._sentence())}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}"
            f"{_html_row(whole, 0.0, 'th')}</tbody></table>"
        )


def _html_row(cells, share, tag="td"):
    """One row; the last cell carries a bar as long as its share."""
    bar = f"background: linear-gradient(to right, #56B4E966 {share:.1%}, transparent {share:.1%})"
    styles = ["text-align: left"] * 4 + ["text-align: right"] * (len(cells) - 4)
    styles[-1] += f"; {bar}"
    columns = zip(cells, styles, strict=True)
    return "<tr>" + "".join(f'<{tag} style="{s}">{html.escape(c)}</{tag}>' for c, s in columns) + "</tr>"


def _time(seconds):
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1 or unit == "us":
            return f"{seconds * scale:.3g} {unit}"
    return ""


# ---- measuring ----


def profile(net, X, y, loss, loss_weights, optimizer, repeats, print_fn):
    """See `Trainable.profile`."""
    repeats = _check.size("profile", "repeats", repeats, 1)
    x, target = arrays.tree("X", X), arrays.tree("y", y) if y is not None else None
    training = target is not None
    parts = [*x.parts, *(target.parts if target else [])]
    rows = arrays.count_rows(parts)
    make = _training_plan if training else _forward_plan
    try:
        plan = make(net, x, target, rows, loss, loss_weights, optimizer)
    except Dynamic as reason:
        raise ValueError(f"profile: {net._label()} does not run as a plan, step by step only: {reason}") from None
    found, seconds, threads = plan.profile(repeats, *(p.rows(slice(0, rows)) for p in parts))
    real = programs.real_dtype(net)
    peak = max(_core.peak_gflops(0.004, real) for _ in range(12)) * threads  # some of them undisturbed
    lines = _rows(found, np.median(seconds, axis=0), training, sum(p.numel() for p in net.parameters()))
    result = Profile(lines, repeats, threads, peak, training, rows, (plan.bytes, plan.thread_bytes))
    if print_fn is not None:
        print_fn(repr(result))
    return result


def _training_plan(net, x, target, rows, loss, loss_weights, optimizer):
    """A plan with gradients and with an update of learning rate 0, which moves nothing and costs what any does."""
    whole = programs.Program(net, x, target, None, programs.loss_items(loss, loss_weights), [])
    trained = [p for p in net.parameters() if p.requires_grad]
    if not trained:
        raise ValueError(f"profile: {net._label()} has no parameters to train; leave out y to measure the forward pass")
    given = optim.get(optimizer)
    opt = type(given)(trained, **{k: v for k, v in given.defaults.items() if k in given._defaults and k != "lr"}, lr=0)
    with modes(net, True):
        whole.decide(slice(0, rows))
    user_code = fingerprint(net) is None or whole.identity() is None
    return Plans(net, whole.run, user_code, True, opt._sync(), True, whole.examine).get(slice(0, rows))


def _forward_plan(net, x, target, rows, loss, loss_weights, optimizer):
    with modes(net, False):
        programs.decide_inputs(net, x, programs.real_dtype(net), slice(0, rows))

        def run(make):
            inputs = [make(p.rows(slice(0, rows))) for p in x.parts]
            return inputs, programs.flatten(programs.call(net, x, inputs), net._label())[0]

        return forward_plan(net, run, x.parts)


def _rows(found, seconds, training, parameters):
    """Instructions of one layer, op and phase as one row; behind them what every training step does besides."""
    rows = {}
    for (phase, op, activation, layer, layout, shape, flops), spent in zip(found, seconds, strict=False):
        name = (f"{op}+{activation}" if activation else op) + (f" [{layout}]" if layout else "")
        key = layer or "", name, phase
        old = rows.get(key)
        rows[key] = Row(*key, shape, (old.calls if old else 0) + 1, (old.seconds if old else 0.0) + float(spent),
                        (old.flops if old else 0.0) + flops)  # fmt: skip
    if training:
        rows["check"] = Row("", "finite gradients", "check", (parameters,), 1, float(seconds[-2]), 0.0)
        rows["update"] = Row("", "update of weights", "update", (parameters,), 1, float(seconds[-1]), 0.0)
    return list(rows.values())


__all__ = ["Profile", "Row", "profile"]
