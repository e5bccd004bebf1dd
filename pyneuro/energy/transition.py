"""The transition matrix of a rule on a small model, and whether the rule keeps detailed balance."""

from functools import cached_property

import numpy as np

from pyneuro import _core
from pyneuro.energy.exact import spins_of, temperatures

__all__ = ["RULES", "Transition"]

RULES = {"metropolis": 0, "glauber": 1, "heat_bath": 1, "lecture": 2}
MAX_SPINS = 12


class Transition:
    """The matrix of a rule, and its detailed-balance report: `model.transition_matrix(T, rule)` makes it.

    `matrix` float64 (2^n, 2^n): [a, b] is the probability of b after a, states by number (`states()`), rows sum to 1.
    `boltzmann` (2^n): exp(-E / T) / Z. `stationary` (2^n): the law that the matrix leaves as it is.
    `total_variation`: half the sum of |stationary - boltzmann|. `violation`: the largest |p_a M_ab - p_b M_ba| with p
    of Boltzmann, 0 for detailed balance. `current`: the same with p stationary, the largest probability current.

    The lecture's rule has a current: it is no rule of equilibrium.

    >>> from pyneuro import energy
    >>> model = energy.Ising([[0, 1, -0.7], [1, 0, 0.5], [-0.7, 0.5, 0]])
    >>> report = model.transition_matrix(1.0, "lecture", proposals="draw")
    >>> round(float(report.total_variation), 7), round(float(report.current), 7)
    (0.1046295, 0.0028531)
    >>> print(model.transition_matrix(1.0, "glauber"))
    glauber at T = 1, order random, proposals flip: detailed balance holds to 1e-12; distance of its stationary law from
    Boltzmann 0.0000000, largest current 0.0000000
    """

    def __init__(self, model, T, rule="metropolis", order="random", proposals="flip"):
        values, scalar = temperatures(T)
        if not scalar:
            raise ValueError(f"T must be one temperature, got {len(values)}")
        if not isinstance(rule, str) or rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r:.40}")
        if proposals not in ("flip", "draw"):
            raise ValueError(f'proposals must be "flip" or "draw", got {proposals!r:.40}')
        if model.n > MAX_SPINS:
            raise ValueError(
                f"a transition matrix takes at most {MAX_SPINS} spins, got {model.n}: 4^{model.n} numbers are "
                f"{8 * 4.0**model.n:.3g} bytes"
            )
        self.T, self.rule, self.order, self.proposals = float(values[0]), rule, order, proposals
        self.n, self._model = model.n, model
        self.matrix = np.zeros((1 << self.n, 1 << self.n))
        visits = None if order == "random" else self._visits(order)
        share = 1.0 if proposals == "flip" else 0.5
        _core.transition_matrix(model._couplings, RULES[rule], self.T, share, visits, self.matrix)

    def _visits(self, order):
        if isinstance(order, str):
            if order != "sequential":
                raise ValueError(f'order must be "random", "sequential" or a list of spins, got {order!r:.40}')
            return np.arange(self.n, dtype=np.int32)
        visits = np.asarray(order)
        if visits.ndim != 1 or not visits.size or visits.dtype.kind not in "iu":
            raise ValueError(f'order must be "random", "sequential" or a list of spins, got {order!r:.60}')
        if visits.min() < 0 or visits.max() >= self.n:
            raise ValueError(f"order visits spin {visits.max()}, the spins are 0 to {self.n - 1}")
        return visits.astype(np.int32)

    def states(self):
        """All states by number, int8 (2^n, n): spin 0 is the first binary digit, 0 for -1."""
        return spins_of(np.arange(1 << self.n), self.n)

    @cached_property
    def boltzmann(self):
        """exp(-E / T) / Z of every state, float64 (2^n)."""
        from pyneuro.energy.exact import Exact

        return Exact(self._model, self.T).probabilities

    @cached_property
    def stationary(self):
        """The law p with p = p matrix, float64 (2^n). Where the chain has several, one of them."""
        size = len(self.matrix)
        system = self.matrix.T - np.eye(size)
        system[-1] = 1.0  # one equation follows from the others; the sum takes its place
        wanted = np.zeros(size)
        wanted[-1] = 1.0
        try:
            law = np.linalg.solve(system, wanted)
        except np.linalg.LinAlgError:
            law = np.linalg.lstsq(system, wanted, rcond=None)[0]
        return law

    @property
    def total_variation(self):
        """Half the sum of |stationary - boltzmann|."""
        return 0.5 * np.abs(self.stationary - self.boltzmann).sum()

    def _largest_flow(self, law):
        flow = law[:, None] * self.matrix
        return np.abs(flow - flow.T).max()

    @property
    def violation(self):
        """Largest |p_a M_ab - p_b M_ba| with the law of Boltzmann: 0 when there is detailed balance."""
        return self._largest_flow(self.boltzmann)

    @property
    def current(self):
        """Largest probability current between two states under the stationary law."""
        return self._largest_flow(self.stationary)

    def __str__(self):
        order = self.order if isinstance(self.order, str) else list(map(int, self.order))
        balance = "holds to 1e-12" if self.violation < 1e-12 else f"is violated by {self.violation:.1e}"
        return (
            f"{self.rule} at T = {self.T:g}, order {order}, proposals {self.proposals}: detailed balance {balance}; "
            f"distance of its stationary law from\n"
            f"Boltzmann {self.total_variation:.7f}, largest current "
            f"{self.current:.7f}"
        )

    def __repr__(self):
        return f"Transition(n={self.n}, T={self.T:g}, rule={self.rule!r}, order={self.order!r:.40})"
