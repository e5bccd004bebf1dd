"""What machines that learn share: histories, seeds, the bar, and one learning at a time."""

import contextlib
import sys
import threading

from pyneuro.callbacks import History

__all__ = ["Learning", "bar", "once"]

SLICE = 0.05  # seconds between two looks at the bar


class Learning(History):
    """What a learning was: values by epoch, `learning["seconds"]` is a list. Kept as `history`, also after Ctrl-C.

    See pn.callbacks.History: history, epoch, params, seed, steps, stopped_by.
    """

    def __getitem__(self, name):
        return self.history[name]

    def __contains__(self, name):
        return name in self.history

    def _add(self, values):
        """One more epoch."""
        self._extend(len(self.epoch), list(values), [list(values.values())])


_lock = threading.Lock()


@contextlib.contextmanager
def once(model, what):
    """Raises RuntimeError when `model` is learning already, in a callback or another thread."""
    with _lock:
        if getattr(model, "_learning", False):
            raise RuntimeError(f"{type(model).__name__}: {what} is already running on this machine")
        model._learning = True
    try:
        yield
    finally:
        model._learning = False


def bar(verbose, total, unit, initial=0):
    """A progress bar on stderr, or nothing for verbose=0."""
    if not verbose:
        return contextlib.nullcontext()
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, file=sys.stderr, mininterval=0.1, initial=initial)
