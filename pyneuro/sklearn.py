"""Estimators for scikit-learn, which is imported here and nowhere else: `pip install pyneuro[sklearn]`."""

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from pyneuro import energy

__all__ = ["BernoulliRBM"]


class BernoulliRBM(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """pyneuro.energy.RBM with the parameters of scikit-learn's BernoulliRBM: persistent contrastive divergence.

    n_components, learning_rate, batch_size, n_iter, random_state: as there. verbose: 1 shows a progress bar.
    After `fit`: components_ (n_components, n_features), intercept_hidden_ (n_components,), intercept_visible_
    (n_features,), h_samples_ (batch_size, n_components), and rbm_, the machine, with its history, samples and ln Z.
    Data are meant to lie between 0 and 1; float32 stays float32, everything else becomes float64.

    `score_samples` is the exact pseudo-log-likelihood, not an estimate from one random unit.

    >>> import numpy as np
    >>> from pyneuro.sklearn import BernoulliRBM
    >>> X = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> BernoulliRBM(n_components=2, random_state=0).fit(X).transform(X).shape
    (4, 2)
    """

    def __init__(
        self, n_components=256, *, learning_rate=0.1, batch_size=10, n_iter=10, verbose=0, random_state=None
    ):  # fmt: skip
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.verbose = verbose
        self.random_state = random_state

    def _machine(self, X):
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        given = {"n_iter": self.n_iter, "verbose": int(self.verbose), "dtype": str(X.dtype)}
        machine = energy.RBM(self.n_components, self.learning_rate, self.batch_size, seed=seed, **given)
        machine._takes_all = True
        return machine

    def _data(self, X, reset=False):
        return validate_data(self, X, reset=reset, dtype=(np.float64, np.float32))

    def fit(self, X, y=None):
        """Learns X (n_samples, n_features); y is ignored. Returns self."""
        X = self._data(X, reset=True)
        self.rbm_ = self._machine(X).fit(X)
        return self._take()

    def partial_fit(self, X, y=None):
        """One more pass over X in mini-batches; the chains go on. Returns self."""
        first = not hasattr(self, "rbm_")
        X = self._data(X, reset=first)
        if first:
            self.rbm_ = self._machine(X)
        self.rbm_.partial_fit(X)
        return self._take()

    def _take(self):
        self.components_ = self.rbm_.W.T.copy()
        self.intercept_hidden_ = self.rbm_.c.copy()
        self.intercept_visible_ = self.rbm_.b.copy()
        self.h_samples_ = self.rbm_.state_dict()["chain"]
        return self

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def _ready(self, X):
        check_is_fitted(self)
        return self.rbm_, self._data(X)

    def transform(self, X):
        """Probabilities of the hidden units: (n_samples, n_components)."""
        rbm, X = self._ready(X)
        return rbm.transform(X).astype(X.dtype, copy=False)

    def score_samples(self, X):
        """Exact pseudo-log-likelihood of each row: (n_samples,)."""
        rbm, X = self._ready(X)
        return rbm.pseudo_likelihood(X)

    def gibbs(self, v):
        """One sweep of Gibbs sampling from each row of v: (n_samples, n_features) of 0 and 1, another at each call."""
        rbm, v = self._ready(v)
        return rbm.gibbs(v)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
