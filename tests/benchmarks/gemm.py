"""Matrix products: share of the FMA peak, and against NumPy's OpenBLAS, in float32 and float64."""

from __future__ import annotations

import statistics
import time

import numpy as np
from paired import machine, table, verdict

import pyneuro as pn

SQUARES = (512, 768, 1024, 1536, 2048)
THIN = ((32, 128, 784), (128, 784, 32), (32, 10, 128))  # m, n, k: the products of a 784-128-10 net


def numpy_gflops(a: np.ndarray, b: np.ndarray, out: np.ndarray, seconds: float) -> float:
    """NumPy's rate over about `seconds`."""
    work, done, start = 2.0 * a.shape[0] * a.shape[1] * b.shape[1], 0, time.perf_counter()
    burst = max(1, int(1e6 / work))  # read the clock once a burst: a product of 32 x 10 x 128 takes a microsecond
    while True:
        for _ in range(burst):
            np.matmul(a, b, out=out)
        done += burst
        spent = time.perf_counter() - start
        if spent >= seconds:
            return done * work / spent * 1e-9


def one_shape(dtype: str, m: int, n: int, k: int, rounds: int, with_peak: bool) -> tuple[float, float | None, float]:
    """Median rate in GFLOP/s, median paired share of the peak, median paired ratio to NumPy;

    slices of 50 ms take turns.
    """
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    out = np.empty((m, n), dtype)
    rates, shares, ratios = [], [], []
    for number in range(rounds + 1):
        peak = pn._core.peak_gflops(0.05, dtype) if with_peak else None
        ours = pn._core.bench_gemm(dtype, m, n, k, False, False, 0.05)
        theirs = numpy_gflops(a, b, out, 0.05)
        if number == 0:
            continue  # warm-up
        rates.append(ours)
        ratios.append(ours / theirs)
        if peak:
            shares.append(ours / peak)
    return statistics.median(rates), statistics.median(shares) if shares else None, statistics.median(ratios)


def run(threads: int, rounds: int) -> bool:
    """Prints the tables; one thread is what the goals speak of."""
    from threadpoolctl import threadpool_limits

    print(machine())
    with threadpool_limits(threads):
        for dtype in ("float32", "float64"):
            lines = []
            for m, n, k in [(s, s, s) for s in SQUARES] + list(THIN):
                square = m == n == k
                rate, share, ratio = one_shape(dtype, m, n, k, rounds, square)
                goal_share = 0.92 if square and dtype == "float32" else None
                share_text = (
                    "-"
                    if share is None
                    else f"{share:.1%}"
                    + ("" if goal_share is None else f" (goal 92%{'' if share >= goal_share else ', missed'})")
                )
                lines.append(
                    [
                        f"{m} x {n} x {k}",
                        f"{rate:.1f}",
                        share_text,
                        verdict(ratio, 1.05 if dtype == "float32" else None),
                    ]
                )
            table(
                f"Matrix product, {dtype}, one thread (m x n x k)",
                ["shape", "GFLOP/s", "share of the FMA peak", "against NumPy (OpenBLAS)"],
                lines,
            )
    return True
