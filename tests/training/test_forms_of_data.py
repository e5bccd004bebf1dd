"""Data in a form that was not meant: a sentence that says which form is."""

import numpy as np
import pytest

from pyneuro import nn

A, L = np.ones((20, 4)), np.arange(20) % 3


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 3)

    def forward(self, x, z):
        return self.a(x), self.b(z)


FORMS = {
    "dict": (lambda n: n.predict({}), ValueError, r"^X is an empty dict, expected one array for each name$"),
    "fit dict": (lambda n: n.fit({}, L, verbose=0), ValueError, "X is an empty dict"),
    "evaluate dict": (lambda n: n.evaluate({}, L), ValueError, "X is an empty dict"),
    "tuple": (
        lambda n: n.fit((A, L), verbose=0),
        TypeError,
        r"X is 2 arrays, which means that many inputs, but Sequential.forward takes \(x\); targets .*: fit\(X, y\)",
    ),
    "names": (lambda n: n.predict({"q": A}), TypeError, r"X is a dict with 'q', .* Sequential.forward takes \(x\)"),
    "list": (lambda n: n.fit([A, L], verbose=0), ValueError, r"arrays of shapes \(20, 4\), \(20,\), which .*fit\(X"),
    "third": (
        lambda n: n.fit(A, L, 32, verbose=0),
        TypeError,
        r"^fit\(X, y, 32\): everything .* by name, such as fit\(X, y, batch_size=32\) or fit\(X, y, epochs=32\)$",
    ),
    "third of evaluate": (lambda n: n.evaluate(A, L, 32), TypeError, r"such as evaluate\(X, y, batch_size=32\)"),
    "second of predict": (lambda n: n.predict(A, 32), TypeError, r"such as predict\(X, batch_size=32\)"),
    "one sample": (
        lambda n: n.predict(np.ones(784)),
        ValueError,
        r"^Linear\(4, 3\) \(layer 0\): x has shape \(784,\), expected \(\*, 4\); rows are samples, .* is X\[None\]$",
    ),
    "swapped": (lambda n: n.fit(np.arange(99.0), np.ones((99, 4)), loss="mse", verbose=0), ValueError, r"e \(99,\)"),
    "integers": (lambda n: n.fit(np.arange(99), np.ones((99, 4)), loss="mse", verbose=0), ValueError, r"shape \(99,\)"),
    "two outputs": (
        lambda n: Pair().fit((A, A), [L, L], verbose=0),
        ValueError,
        "y has 2 rows, but X.* has 20; for several outputs give a tuple of arrays",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_data_in_another_form(case):
    call, kind, text = FORMS[case]
    net = nn.Sequential(nn.Linear(4, 3), seed=0)
    before = net[0].weight.tolist()
    with pytest.raises(kind, match=text):
        call(net)
    assert net[0].weight.tolist() == before


def test_a_batch_is_named_as_it_is_where_rows_are_samples():
    with pytest.raises(ValueError, match=r"^Linear\(4, 3\) \(layer 0\): x has shape \(8, 5\), expected \(\*, 4\)$"):
        nn.Sequential(nn.Linear(4, 3)).fit(np.ones((8, 5)), np.zeros(8, int), verbose=0)


def test_several_inputs_are_a_tuple_or_a_dict():
    net = Pair()
    for x in ((A, A), {"x": A, "z": A}):
        assert [y.shape for y in net.predict(x)] == [(20, 2), (20, 3)]
        net.fit(x, (L % 2, L), epochs=1, verbose=0)
