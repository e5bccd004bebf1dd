"""Each row of the scorecard at its smallest size. Row 4 (coverage, mutants) is measured by `make full` alone."""

import pytest

from tests.reliability.run import ROWS, measure


@pytest.mark.parametrize("row", [row for row in ROWS if row != 4], ids=lambda row: f"{row:02d}-{ROWS[row]}")
def test_row(row):
    figures = measure(row, "sample")
    assert figures
    print(*(figure.line() for figure in figures), sep="\n")
    missed = [figure.line() for figure in figures if figure.good is False]
    assert not missed, "\n".join(missed)
