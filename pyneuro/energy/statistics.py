"""Means of correlated records: integrated autocorrelation time, binning errors."""

import numpy as np

__all__ = ["autocorrelation_time", "binned_error"]


def _rows(records):
    rows = np.atleast_2d(np.asarray(records, float))
    if rows.ndim != 2 or not rows.size:
        raise ValueError(f"records must have shape (records,) or (replicas, records), got {np.shape(records)}")
    return rows


def autocorrelation_time(records, window=6.0):
    """Integrated autocorrelation time tau = 1/2 + sum_k rho(k), in records, of (records,) or (replicas, records): the
    sum ends at the first k >= `window` tau. Independent records have tau = 1/2, and the mean of N records the error
    sigma sqrt(2 tau / N). Replicas share one mean and one rho. NaN for fewer than 4 records, 1/2 for constant ones.

    Source: Sokal 1997, "Monte Carlo methods in statistical mechanics".

    >>> import numpy as np
    >>> from pyneuro import energy
    >>> x = np.cumsum(np.random.default_rng(0).standard_normal(4096) * 0.1)
    >>> energy.autocorrelation_time(x) > 100
    True
    """
    rows = _rows(records)
    n = rows.shape[1]
    if n < 4:
        return float("nan")
    centred = rows - rows.mean()
    padded = np.fft.rfft(centred, 2 * n, axis=1)
    covariance = np.fft.irfft(padded * padded.conj(), axis=1)[:, :n].mean(axis=0) / np.arange(n, 0, -1)
    if covariance[0] <= 1e-14 * max(np.abs(rows).max() ** 2, 1e-300):
        return 0.5
    tau = 0.5 + np.cumsum(covariance[1:] / covariance[0])
    ends = np.flatnonzero(np.arange(1, n) >= window * tau)
    return float(max(tau[ends[0] if ends.size else -1], 0.5))


def binned_error(records, bins=32):
    """Error of the mean of (records,) or (replicas, records) from `bins` bins of consecutive records in each replica:
    right when a bin is much longer than the autocorrelation time. NaN when there are fewer than 2 bins in all.

    Source: Flyvbjerg and Petersen 1989.

    >>> from pyneuro import energy
    >>> energy.binned_error([1.0, 1.0, 2.0, 2.0], bins=2)
    0.5
    """
    rows = _rows(records)
    length = max(rows.shape[1] // bins, 1)
    count = rows.shape[1] // length
    means = rows[:, rows.shape[1] - count * length :].reshape(len(rows) * count, length).mean(axis=1)
    if means.size < 2:
        return float("nan")
    return float(means.std(ddof=1) / np.sqrt(means.size))
