"""The estimator of scikit-learn: its checks, its names, and the machine behind it."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.neural_network import BernoulliRBM as Theirs
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from pyneuro.sklearn import BernoulliRBM


def test_checks_of_scikit_learn():
    found = check_estimator(BernoulliRBM(n_components=5, n_iter=2), on_skip=None)
    assert len(found) > 30 and all(check["status"] in ("passed", "skipped") for check in found)


def test_parameters_are_theirs_with_their_defaults():
    assert BernoulliRBM().get_params() == Theirs().get_params()


def test_attributes_have_their_shapes():
    X = np.random.default_rng(0).random((30, 7)).astype(np.float32)
    ours, theirs = (kind(n_components=4, random_state=0, n_iter=2).fit(X) for kind in (BernoulliRBM, Theirs))
    for name in ("components_", "intercept_hidden_", "intercept_visible_", "h_samples_"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
        assert getattr(ours, name).dtype == np.float32
    assert list(ours.get_feature_names_out()) == [f"bernoullirbm{i}" for i in range(4)]
    assert set(np.unique(ours.gibbs(X))) <= {0, 1}


def test_features_help_a_linear_classifier_as_much_as_theirs():
    X, y = load_digits(return_X_y=True)
    X, scores = (X / 16).astype(np.float32), []
    for kind in (BernoulliRBM, Theirs):
        rbm = kind(n_components=64, learning_rate=0.06, n_iter=8, random_state=0)
        scores.append(make_pipeline(rbm, RidgeClassifier()).fit(X[:1200], y[:1200]).score(X[1200:], y[1200:]))
    assert scores[0] > scores[1] - 0.04 and scores[0] > 0.75


def test_curve_of_pseudo_likelihood_is_theirs():
    X = (load_digits().data > 7).astype(np.float64)
    ours, theirs = (
        kind(n_components=32, learning_rate=0.05, n_iter=8, random_state=1).fit(X) for kind in (BernoulliRBM, Theirs)
    )
    other = BernoulliRBM(n_components=32, n_iter=0).fit(X)
    other.rbm_.W[...], other.rbm_.b[...], other.rbm_.c[...] = (
        theirs.components_.T, theirs.intercept_visible_, theirs.intercept_hidden_,
    )  # fmt: skip
    assert abs(ours.score_samples(X).mean() - other.score_samples(X).mean()) < 0.6
