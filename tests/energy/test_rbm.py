"""Learning of restricted Boltzmann machines: bits, resuming, files, mistakes."""

import numpy as np
import pytest

import pyneuro as pn
from pyneuro import energy

KINDS = {
    "pcd": {},
    "pcd-2": {"k": 2, "n_chains": 5},
    "cd": {"persistent": False},
    "cd-3": {"persistent": False, "k": 3, "momentum": 0.5},
    "tempered": {"temperatures": 4, "n_chains": 6, "momentum": 0.3},
    "all terms": {"momentum": 0.5, "weight_decay": 1e-3, "sparsity": 0.2},
    "float64": {"dtype": "float64"},
    "gaussian": {"visible": "gaussian", "learning_rate": 0.01, "sigma": 0.5},
    "softmax": {"visible": "softmax", "classes": 4},
}


def patterns(kind, rows=50, seed=0):
    rng = np.random.default_rng(seed)
    if KINDS[kind].get("visible") == "softmax":
        return np.eye(4, dtype=np.uint8)[rng.integers(0, 4, (rows, 9))].reshape(rows, 36)
    if KINDS[kind].get("visible") == "gaussian":
        return rng.normal(size=(rows, 36))
    return rng.random((rows, 36)) < 0.3


def machine(kind, n_iter=3, **more):
    return energy.RBM(**{"n_components": 17, "batch_size": 8, "n_iter": n_iter, "seed": 5, **KINDS[kind], **more})


def bits(rbm):
    return {name: array.tobytes() for name, array in rbm.state_dict().items()}


@pytest.fixture
def threads():
    yield pn.set_num_threads
    pn.set_num_threads(0)


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_gives_the_same_bits(kind, threads):
    X, found = patterns(kind), []
    for n in (1, 2, 3, 4):
        threads(n)
        rbm = machine(kind).fit(X)
        found.append((bits(rbm), rbm.gibbs(X, 3, seed=1).tobytes(), rbm.transform(X).tobytes()))
    assert all(other == found[0] for other in found[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_resumed_is_as_never_stopped(kind, tmp_path):
    X, whole = patterns(kind), machine(kind, 5)
    whole.fit(X)
    part = machine(kind, 2).fit(X)
    part.save(tmp_path / "rbm.safetensors")
    again = pn.load(tmp_path / "rbm.safetensors")
    again.n_iter = 5
    again.fit(X, resume=True)
    assert bits(again) == bits(whole)
    assert again.history["reconstruction_error"] == whole.history["reconstruction_error"][2:]


def test_types_and_strides_of_the_data_change_nothing():
    X = patterns("pcd")
    forms = [X, X.astype(np.uint8), X.astype(">f8"), np.asfortranarray(X.astype(np.float16)), X.reshape(50, 6, 6)]
    found = [bits(machine("pcd").fit(form)) for form in forms]
    assert all(other == found[0] for other in found[1:])


def test_partial_fit_goes_on_as_fit_does():
    X = patterns("pcd")
    whole = machine("pcd", 3).fit(X)
    part = machine("pcd")
    for _ in range(3):
        part.partial_fit(X)
    assert bits(part) == bits(whole)


def test_learning_that_runs_away_is_stopped_with_the_last_good_weights():
    rbm = machine("gaussian", 50, learning_rate=5.0)
    with pytest.raises(FloatingPointError, match="smaller learning_rate"):
        rbm.fit(100 * patterns("gaussian"))
    assert all(np.isfinite(array).all() for array in rbm.state_dict().values())
    assert rbm.history.stopped_by == "FloatingPointError"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"n_components": 0}, "n_components must be at least 1"),
        ({"visible": "ternary"}, "visible must be one of"),
        ({"visible": "softmax"}, "softmax units need classes"),
        ({"classes": 3}, "classes is for softmax units"),
        ({"sigma": 2.0}, "sigma is for gaussian units"),
        ({"visible": "gaussian", "sigma": -1}, "sigma must be positive"),
        ({"temperatures": 3, "persistent": False}, "temperatures are for persistent chains"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"dtype": "float16"}, "dtype must be one of"),
    ],
)
def test_arguments_that_make_no_sense(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        energy.RBM(**given)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([[0, 2]], "between 0 and 1"),
        ([[0, 200]], "divide grey values by 255"),
        ([[0, float("nan")]], "not finite"),
        ([0, 1], r"shape \(rows, units\)"),
        ([[0, 1], [1]], "equal lengths"),
        (np.zeros((0, 4)), "at least one row"),
    ],
)
def test_data_that_make_no_sense(data, sentence):
    rbm = energy.RBM(n_components=2, n_visible=4, seed=0)
    before = bits(rbm)
    with pytest.raises(ValueError, match=sentence):
        rbm.fit(data)
    assert bits(rbm) == before


def test_rows_of_another_width_are_refused():
    rbm = energy.RBM(n_components=2, n_visible=4, seed=0)
    with pytest.raises(ValueError, match=r"3 numbers in a row .*expected 4"):
        rbm.transform(np.zeros((5, 3)))
    with pytest.raises(RuntimeError, match="call fit first"):
        energy.RBM().transform(np.zeros((5, 3)))


def test_a_state_that_does_not_fit_changes_nothing():
    X = patterns("pcd")
    rbm, other = machine("pcd").fit(X), machine("all terms").fit(X)
    before = bits(rbm)
    for state in (other.state_dict(), {"W": np.zeros((3, 3))}, {**rbm.state_dict(), "b": np.full(36, np.nan, "f4")}):
        with pytest.raises(ValueError):
            rbm.load_state_dict(state)
        assert bits(rbm) == before
