"""How a Hopfield network learns patterns when Hebb's rule is not enough: each rule gives weights, float64 (n, n)."""

import contextlib
import sys

import numpy as np

from pyneuro import _core

__all__ = ["perceptron", "pseudo_inverse", "storkey", "unlearn"]

PIECE = 2e8  # multiply-adds that one call of the core does: about a tenth of a second


def pseudo_inverse(rows):
    """The projection on the span of the patterns (Personnaz, Guyon, Dreyfus 1985), its diagonal taken off: every
    pattern is a fixed point, up to n independent ones, however alike they are."""
    _, size, basis = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    basis = basis[size > size[0] * max(rows.shape) * np.finfo(float).eps]
    w = basis.T @ basis
    w = (w + w.T) / 2
    np.fill_diagonal(w, 0)
    return w


def storkey(rows, verbose):
    """Storkey's rule (1997): one pass, each pattern once, local."""
    n = rows.shape[1]
    w, done = np.zeros((n, n)), np.zeros(1, np.int64)
    for part in _parts(len(rows), n * n, verbose, "pattern"):
        _core.hopfield_storkey(w, rows[part], done)
    return w


def perceptron(w, rows, margin, errors, verbose):
    """Perceptron learning into `w`, in whole numbers, until all patterns are stable.

    `errors` (epochs) int64 takes those of each epoch and keeps what it had where none was needed.
    """
    done = np.zeros(1, np.int64)
    for part in _parts(len(errors), rows.size * rows.shape[1], verbose, "epoch"):
        _core.hopfield_perceptron(w, rows, margin, errors[part], done)
        if errors[part.start + done[0] - 1] == 0:
            return


def unlearn(w, rate, plus, seed, energies, verbose):
    """Unlearns from `w` as many states as `energies` float64 has entries, which takes theirs."""
    done = np.zeros(1, np.int64)
    for part in _parts(len(energies), 4 * w.size, verbose, "state"):
        _core.hopfield_unlearn(w, rate, plus, seed, part.start, energies[part], done)


def _parts(count, work, verbose, unit):
    """Slices of 0 .. count - 1, each about a tenth of a second of `work` apiece, with a progress bar where there is
    much to do. What a slice computes does not depend on how they are cut."""
    piece = max(1, int(PIECE / work))
    with contextlib.ExitStack() as stack:
        bar = None
        if verbose and count > piece:
            from tqdm import tqdm

            bar = stack.enter_context(tqdm(total=count, unit=unit, file=sys.stderr, mininterval=0.1))
        for start in range(0, count, piece):
            part = slice(start, min(start + piece, count))
            yield part
            if bar is not None:
                bar.update(part.stop - part.start)
