"""Statistical tests of samplers: fresh seeds, and an alarm that rings by chance once in a million."""

import secrets

import numpy as np

ALARM = 1e-6


def fresh_seed():
    """Another one at each run; a failing test says it."""
    return secrets.randbits(40)


def chi_square(counts, p):
    """Probability of a chi-square at least as large, for `counts` of independent draws from the law `p`; states that
    are expected fewer than 5 times are put together."""
    from scipy.stats import chi2

    expected = counts.sum() * p
    rare = expected < 5
    if rare.any():
        expected = np.append(expected[~rare], expected[rare].sum())
        counts = np.append(counts[~rare], counts[rare].sum())
    if expected[-1] == 0:
        expected, counts = expected[:-1], counts[:-1]
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, len(counts) - 1))
