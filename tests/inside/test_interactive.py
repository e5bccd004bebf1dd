"""Pictures with sliders and live pictures: static without widgets, one widget or one display handle with them."""

import base64
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import pyneuro as pn
from pyneuro.draw import interactive

VIEW = "application/vnd.jupyter.widget-view+json"


def wave(ax, frequency, height=1, shift=0):
    ax.plot(height * np.sin(frequency * np.linspace(0, 6, 50) + shift))
    wave.drawn.append((frequency, height, shift))


wave.drawn = []


def titles(picture):
    return [ax.get_title() for ax in picture.figure.axes]


# ---- the static figure ----


def test_small_multiples_of_one_name():
    assert titles(pn.draw.interact(wave, frequency=range(1, 4))) == [f"frequency = {k}" for k in (1, 2, 3)]
    many = pn.draw.interact(wave, most=5, frequency=range(1, 101))
    assert titles(many) == [f"frequency = {k}" for k in (1, 26, 51, 75, 100)]


def test_two_names_make_rows_and_columns_and_a_third_stays():
    picture = pn.draw.interact(wave, frequency=[1, 2, 3], height=[1.0, 0.25], shift=[7, 8])
    expected = [f"frequency = {f}\nheight = {h}\nshift = 7" for h in (1, 0.25) for f in (1, 2, 3)]
    assert titles(picture) == expected


def test_several_axes_are_a_row():
    def draw(axes, n):
        for ax, title in zip(axes, ("before", "after"), strict=True):
            ax.set_title(title)
            ax.plot(range(n))

    assert titles(pn.draw.interact(draw, axes=2, n=[2, 3])) == ["n = 2\nbefore", "after", "n = 3\nbefore", "after"]


def test_it_is_saved_and_shown_as_a_picture(tmp_path):
    picture = pn.draw.interact(wave, frequency=[1, 2])
    picture.save(tmp_path / "waves.png")
    assert (tmp_path / "waves.png").read_bytes()[:4] == b"\x89PNG"
    shown = picture._repr_mimebundle_()
    assert base64.b64decode(shown["image/png"])[:4] == b"\x89PNG" and VIEW not in shown
    assert shown["text/plain"] == "<Interactive: frequency (2 values)>"


def test_an_error_of_the_drawing_is_raised_at_once():
    with pytest.raises(ZeroDivisionError):
        pn.draw.interact(lambda ax, n: 1 / n, n=[1, 0])


def test_what_is_refused():
    with pytest.raises(ValueError, match="interact: frequency has no values"):
        pn.draw.interact(wave, frequency=[])
    with pytest.raises(ValueError, match="at least one name"):
        pn.draw.interact(wave)


def test_nothing_is_imported_before_it_is_needed():
    code = "import sys, pyneuro.draw; print(*({'matplotlib', 'ipywidgets', 'IPython'} & set(sys.modules)))"
    root = str(Path(pn.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# ---- in a notebook ----


class Slider:
    def __init__(self, options, description):
        self.options, self.description, self.value, self.calls = options, description, options[0][1], []

    def observe(self, call, names):
        assert names == "value"
        self.calls.append(call)

    def slide(self, value):
        self.value = value
        for call in self.calls:
            call({"new": value})


class Box:
    def __init__(self, children):
        self.children = children

    def _repr_mimebundle_(self):
        return {VIEW: {"model_id": "1"}, "text/plain": "VBox"}


class Handle:
    def __init__(self):
        self.updates = []

    def update(self, picture):
        self.updates.append(picture)


@pytest.fixture
def notebook(monkeypatch):
    """A kernel, ipywidgets and IPython's display, as far as they are used."""
    displayed = []

    def display(picture, display_id):
        displayed.append(Handle())
        return displayed[-1]

    def image(format):
        return types.SimpleNamespace(value=b"")

    parts = {
        "IPython": {"get_ipython": lambda: types.SimpleNamespace(kernel=object())},
        "IPython.display": {"display": display, "Image": lambda data, format: data},
        "ipywidgets": {
            "SelectionSlider": Slider,
            "Image": lambda format: types.SimpleNamespace(value=b""),
            "VBox": Box,
        },
    }
    for name, attributes in parts.items():
        module = types.ModuleType(name)
        module.__dict__.update(attributes)
        module.__spec__ = types.SimpleNamespace(name=name)
        monkeypatch.setitem(sys.modules, name, module)
    return displayed


def test_sliders_redraw_one_picture_and_draw_each_state_once(notebook):
    picture = pn.draw.interact(wave, frequency=[1, 2], height=[1, 3])
    shown = picture._repr_mimebundle_()
    assert shown[VIEW] == {"model_id": "1"} and "image/png" in shown  # the static figure stays for who has no widgets
    *sliders, image = picture._shown.children
    assert [s.description for s in sliders] == ["frequency", "height"] and sliders[0].options == [("1", 1), ("2", 2)]
    first, wave.drawn[:] = image.value, []
    sliders[1].slide(3)
    second = image.value
    sliders[1].slide(1)
    assert first[:4] == second[:4] == b"\x89PNG" and first != second and image.value == first
    assert wave.drawn == [(1, 3, 0)]


def test_a_live_picture_has_one_handle(notebook):
    figure = Figure()
    (line,) = figure.subplots().plot([0, 0])
    with pn.draw.Live(figure, every=0) as live:
        for step in range(3):
            line.set_ydata([0, step])
            assert live.update()
    assert len(notebook) == 1 and len(notebook[0].updates) == 3 and live.pictures == 4


def test_a_live_picture_is_not_redrawn_more_often_than_wanted(notebook, monkeypatch):
    now = iter([0.0, 0.0, 0.05, 0.2, 0.2])
    monkeypatch.setattr(interactive.time, "monotonic", lambda: next(now))
    live = pn.draw.Live(Figure(), every=0.1)
    assert [live.update(), live.update(), live.update()] == [True, False, True]


def test_outside_a_notebook_a_live_picture_shows_nothing():
    live = pn.draw.Live(Figure())
    assert live.update() and live._handle is None and not live.update()
