"""The notebooks run top to bottom in a kernel of their own, and keep the conventions of notebooks/README.md."""

import os
import re
import time
from pathlib import Path

import nbformat
import pytest
from nbmake.nb_run import NotebookRun

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 60

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


@each
def test_runs_top_to_bottom(path, monkeypatch, tmp_path):
    """Every cell, its assertions included, in less than a minute, without network."""
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *([inherited] if inherited else [])]))
    monkeypatch.setenv("PYNEURO_DATA", str(tmp_path))  # an empty folder, and no way out: bundled data must do
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    begin = time.monotonic()
    result = NotebookRun(path, SECONDS, kernel="python3").execute()
    if result.error is not None:
        cell = result.nb.cells[result.error.failing_cell_index]
        pytest.fail(f"cell {cell.id}:\n{cell.source}\n\n{result.error.trace or result.error.summary}")
    assert time.monotonic() - begin < SECONDS


@each
def test_output_is_stripped(path):
    for cell in code_cells(path):
        assert cell.outputs == [] and cell.execution_count is None, cell.id


@each
def test_first_cell_imports_and_shows_versions(path):
    first = code_cells(path)[0].source
    assert "import pyneuro as pn" in first and "pn.show_versions()" in first and "SEED" in first
    assert "pip install" in first  # what to do when that fails


@each
def test_cells_are_short_and_fit_slides(path):
    for cell in nbformat.read(path, 4).cells:
        assert cell.metadata.slideshow.slide_type in {"slide", "subslide", "fragment", "skip", "notes", "-"}, cell.id
        lines = [line for line in cell.source.split("\n") if line.strip() and not line.lstrip().startswith("#")]
        assert cell.cell_type != "code" or len(lines) <= 12, cell.id
        assert all(len(line) <= 140 for line in lines) or cell.cell_type != "code", cell.id


@each
def test_claims_are_checked_and_questions_asked(path):
    cells = nbformat.read(path, 4).cells
    assert sum("assert" in cell.source for cell in cells) >= 3
    assert cells[-1].source.startswith("## Questions")


@each
def test_exercises_are_marked_in_pairs(path):
    for cell in code_cells(path):
        marks = re.findall(r"^# (BEGIN|END) SOLUTION$", cell.source, re.M)
        assert marks in ([], ["BEGIN", "END"]), cell.id


@each
def test_only_public_names(path):
    for cell in code_cells(path):
        private = re.findall(r"\b(?:pn|pyneuro|nn|optim|datasets)(?:\.\w+)*\.(_\w+)", cell.source)
        assert private == [], cell.id
