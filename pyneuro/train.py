"""What every network can do besides computing: `fit`, `evaluate`, `predict`, and their relatives.

Networks get these methods by inheriting from `Trainable`, as `nn.Module` does. A training runs as a compiled plan: the
network is recorded once for each batch size and then whole epochs run in C, without Python. Only a network whose
forward looks at values ("dynamic") is trained step by step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyneuro import _core

if TYPE_CHECKING:
    import numpy as np

    from pyneuro.callbacks import History

__all__ = ["Trainable"]


def _by_name(call, more, names):
    """Raises TypeError for arguments beyond the data: a number alone does not say what it is."""
    if more:
        ways = " or ".join(f"{call}, {name}={more[0]!r:.40})" for name in names)
        raise TypeError(f"{call}, {more[0]!r:.40}): everything behind the data is given by name, such as {ways}")


class Trainable:
    """Mixin with the methods that train and ask a network.

    history: the last History, also after an error or Ctrl-C. stop_training: set to True in a callback to end the fit.
    """

    history = None
    optimizer = None
    stop_training = False
    _not_pickled = ("_plans", "_fitting", "_trained_with", "_said_dynamic", "optimizer")

    def fit(
        self, X, y=None, *more, loss="cross_entropy", optimizer="adam", epochs=5, batch_size=None, shuffle=True,
        drop_last=False, validation_data=None, validation_split=0.0, metrics=(), class_weight=None, sample_weight=None,
        callbacks=(), clip_norm=None, stop=None, checkpoint=None, resume=False, seed=None, verbose=1, mode=None,
        loss_weights=None, augment=None, **other,
    ) -> History:  # fmt: skip
        """Trains the network on X and y and returns a History.

        X: (N, ...) of any numeric type and strides, converted to the network's dtype batch by batch; a tuple or dict
            for several inputs; or an iterable of batches (x, y). y: (N,) class numbers for cross_entropy, else as the
            output; a tuple or dict for several outputs.
        loss: a name ("mse", "half_mse", "mae", "huber", "bce", "bce_with_logits", "cross_entropy", "nll", "hinge"), a
            loss of nn, any callable(output, target) of tensors, or a list or dict of these (or of pairs (loss, weight))
            for several outputs; loss_weights: their weights.
        optimizer: a name or an optimiser; its state goes on at the next fit. Unbound ones are bound to this network.
        epochs; batch_size: 32, all rows for optim.GD; shuffle; drop_last: leave out a last batch that is not full.
        validation_data: (X, y) or (X, y, sample_weight), evaluated after each epoch. validation_split: the share of the
            last rows, before shuffling, that is taken for it instead.
        metrics: names ("accuracy", "top_5_accuracy" for any number, "mse", "mae", ...), ("top_k_accuracy", k), or
            callables; the history has their means. accuracy cuts single scores as `predict_labels` does.
        class_weight: dict class -> weight; sample_weight: (N,). Keras's meaning: the loss is sum(w_i l_i) / batch rows.
        callbacks: objects of pn.callbacks, and schedules of optim.lr_scheduler.
        clip_norm: largest norm of all gradients together. stop: a rule of pn.stop, or a list of them.
        checkpoint: path that is written after each epoch and on Ctrl-C; resume: go on from it to the same bits.
        seed: decides order and dropout; None draws one, which history.seed keeps. verbose: 1 progress bar, 2 a line an
            epoch, 0 silent. mode: None chooses, "plan" or "eager" insist.

        augment: random changes of pictures X in training, such as [pn.augment.RandomCrop(32, padding=4)], see there.

        Values of an epoch are those of all its samples at once: means over samples, sums for reduction="sum", and for
        class weights or ignore_index means over the weights or samples that count, whatever the batch size. Of a loss
        of one's own they are means of the batches' values, weighted by rows.

        A forward or a loss of one's own is recorded, not called in every step: values that it reads from elsewhere are
        those of the beginning, or those after the last callback of one's own. A network with forward hooks, or whose
        forward looks at values or keeps them in attributes, is trained step by step, with a warning (history.mode).

        Raises ValueError or TypeError with one sentence for arguments and data that do not fit (also NaN in X, with its
        row), FloatingPointError naming layer and step when a number is not finite, RuntimeError for a second fit inside
        a callback. After an error, and after Ctrl-C, parameters are those of the last completed step. Afterwards
        gradients of all parameters are None.

        >>> import numpy as np
        >>> from pyneuro import nn, optim
        >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2), seed=1)
        >>> history = net.fit(x, [0, 1, 1, 0], optimizer=optim.Adam(lr=0.1), epochs=100, seed=0, verbose=0)
        >>> net.predict_labels(x).tolist(), history.mode
        ([0, 1, 1, 0], 'plan')
        """
        from pyneuro._fit.loop import fit

        _by_name("fit(X, y", more, ("batch_size", "epochs"))
        return fit(
            self, X, y, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
            drop_last=drop_last, validation_data=validation_data, validation_split=validation_split, metrics=metrics,
            class_weight=class_weight, sample_weight=sample_weight, callbacks=callbacks, clip_norm=clip_norm, stop=stop,
            checkpoint=checkpoint, resume=resume, seed=seed, verbose=verbose, mode=mode, loss_weights=loss_weights,
            augment=augment, other=other,
        )  # fmt: skip

    def evaluate(
        self, X, y=None, *more, batch_size=None, loss=None, metrics=None, sample_weight=None, loss_weights=None
    ) -> dict[str, float]:
        """Losses and metrics on data, in evaluation mode: a dict of name -> value on all samples at once, as in `fit`.

        loss and metrics default to those of the last fit (else "cross_entropy" and none). Raises as fit does.

        >>> import numpy as np
        >>> from pyneuro import nn
        >>> nn.Identity().evaluate(np.array([[1.0], [3.0]]), np.array([[1.0], [1.0]]), loss="mse")
        {'loss': 2.0}
        """
        from pyneuro._fit.ask import evaluate

        _by_name("evaluate(X, y", more, ("batch_size",))
        return evaluate(self, X, y, batch_size, loss, metrics, sample_weight, loss_weights)

    def predict(self, X, *more, batch_size=None) -> np.ndarray | Any:  # Any: a tuple or dict of arrays
        """Raw outputs for X, (N, K) for most networks, in evaluation mode; a tuple or dict for several outputs.

        No statistics cross rows: the batch size changes results by rounding at most.

        >>> import numpy as np
        >>> from pyneuro import nn
        >>> nn.ReLU().predict(np.array([[-1.0, 2.0]]))
        array([[0., 2.]], dtype=float32)
        """
        from pyneuro._fit import ask

        _by_name("predict(X", more, ("batch_size",))
        return ask.structure(*ask.predict(self, X, batch_size))

    def predict_proba(self, X, *, batch_size=None) -> np.ndarray:
        """Probabilities of the same shape as the raw outputs (N, K) or (N, 1).

        Softmax over K scores, sigmoid of a single one or of each when the network was trained with bce_with_logits;
        outputs that are probabilities already (a Sigmoid or Softmax layer at the end, loss "bce") come as they are.
        After a training with mse, mae or huber (or a loss of one's own, one output) on labels 0 and 1 the outputs
        estimate the probability themselves and are cut to 0..1 (K columns: and divided by their sum); on labels -1 and
        +1 that is (1 + output) / 2. Raises ValueError for networks with several outputs, and where outputs are no
        probabilities: after a training with hinge or on other targets.
        """
        from pyneuro._fit import answers

        return answers.probabilities(self, self._one_output(X, batch_size, "predict_proba"))

    def predict_labels(self, X, threshold=0.5, *, batch_size=None) -> np.ndarray:
        """Class numbers (N,): the most probable of K classes, or 1 where a single probability is above `threshold`.

        The metric "accuracy" has the same rule: with threshold 0.5 a single score of bce_with_logits is cut at 0, a
        probability and an output trained with mse, mae, huber or a loss of one's own on labels 0 and 1 at 0.5. After a
        training on labels -1 and +1 (hinge, or a Tanh output with mse) the cut is at 0 and the answers are -1 and +1.
        A network trained with bce or bce_with_logits on K columns gives one 0 or 1 for each: (N, K).
        Raises ValueError for a threshold outside 0..1 and for networks with several outputs.
        """
        from pyneuro._fit import answers
        from pyneuro.nn import _check

        threshold = _check.number("predict_labels", "threshold", threshold, 0, 1)
        return answers.labels(self, self._one_output(X, batch_size, "predict_labels"), threshold)

    def _one_output(self, X, batch_size, what):
        outputs = self.predict(X, batch_size=batch_size)
        if isinstance(outputs, (tuple, dict)):
            raise ValueError(f"{what} needs a network with one output, this one has {len(outputs)}")
        return outputs

    def forward_backward(self, X, y=None, *, loss="cross_entropy", loss_weights=None, training=True) -> _core.Tensor:
        """One forward and backward pass over all rows in teaching mode; nothing is updated.

        Returns the loss as a Tensor whose graph can be drawn (`pn.draw(loss)`); gradients are in `.grad` of the
        parameters, those of earlier passes are forgotten. training: in training mode (dropout draws).

        >>> from pyneuro import nn
        >>> net = nn.Linear(1, 1, bias=False)
        >>> loss = net.forward_backward([[2.0]], [[0.0]], loss="mse")
        >>> bool(abs(net.weight.grad.item() - 8 * net.weight.item()) < 1e-5)
        True
        """
        from pyneuro._fit import arrays, plans, program

        x, target = arrays.tree("X", X), arrays.tree("y", y) if y is not None else None
        rows = arrays.count_rows([*x.parts, *(target.parts if target else [])])
        whole = program.Program(self, x, target, None, program.loss_items(loss, loss_weights), [])
        with plans.modes(self, bool(training)):
            old = _core.set_grad_enabled(True)
            try:
                whole.decide(slice(0, rows))
                _, values = whole.run(slice(0, rows), _core.Tensor)
                self.zero_grad()
                values[0].backward(retain_graph=True)
            finally:
                _core.set_grad_enabled(old)
        return values[0]

    def profile(
        self, X, y=None, *, loss="cross_entropy", loss_weights=None, optimizer="sgd", repeats=10, print_fn=print
    ):
        """Measures where the time goes: prints and returns a table by layer and op.

        All rows of X are one batch. Without y it is the forward pass in evaluation mode, as `predict` runs it; with y a
        training step of `fit`: forward, backward, the look at the gradients and the update. loss, loss_weights,
        optimizer as in `fit`; an optimiser given is not touched. repeats: runs, up to 65536; a time is their median.

        The columns are time, FLOPs (2 a multiply-add; backward: as much again for each gradient wanted), GFLOP/s, their
        share of what the multiply-add units of the threads in use can do, and the share of the whole time. The clock
        stands in the compiled plan, with a barrier behind every instruction; the sum is therefore a little more than
        an ordinary step takes. `fit` may fuse the gradient of a large dense weight with its update; here they are two.
        Winograd's algorithm does fewer operations than are counted, so that its share may pass 100%.

        Returns an object with `rows` (layer, op, phase, shape, calls, seconds, flops), `seconds`, `flops`, `peak`,
        `by_layer()` and `by_op()`; for many layers the table by op is printed too. print_fn=None prints nothing.
        Parameters, buffers and optimisers stay as they are. Raises as `fit` does, and ValueError for a network that
        runs step by step only.

        >>> import numpy as np
        >>> from pyneuro import nn
        >>> net = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10), seed=0)
        >>> p = net.profile(np.ones((16, 64)), np.zeros(16, int), print_fn=None)
        >>> [row.phase for row in p.rows if row.layer.startswith("Linear(64")], p.rows[0].flops >= 2 * 16 * 64 * 32
        (['forward', 'backward'], True)
        """
        from pyneuro._fit.profile import profile

        return profile(self, X, y, loss, loss_weights, optimizer, repeats, print_fn)
