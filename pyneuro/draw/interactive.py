"""Pictures with sliders, and pictures that are redrawn in their place.

matplotlib draws; ipywidgets and IPython are used where they are there and a notebook runs.
"""

import base64
import importlib.util
import io
import itertools
import math
import sys
import time

LINE = 22  # letters of a title that fit above one Axes


def in_notebook():
    """Whether the code runs in the kernel of a notebook, which can show pictures."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return getattr(ask() if ask else None, "kernel", None) is not None


def png(figure):
    """A matplotlib figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def interact(draw, *, axes=1, most=6, size=(3.4, 3.4), **choices):
    """A picture of `draw(ax, name=value, ...)` with a slider for each name; without widgets small multiples instead.

    draw: draws one state into the matplotlib Axes ax, or into a list of them where `axes` is more than 1. choices: for
    each name a list of values. most: pictures of the static figure at most; with one name there is one for each of that
    many values, spread evenly; with several names it shows them for the first two, the others at their first value.
    size: width and height of one Axes in inches. Returns an `Interactive`; let it be the last line of a cell.
    ValueError for a name without values, ImportError without matplotlib.

    >>> import numpy as np, pyneuro as pn
    >>> def wave(ax, frequency):
    ...     ax.plot(np.sin(frequency * np.linspace(0, 6, 50)))
    >>> picture = pn.draw.interact(wave, frequency=[1, 2, 3])
    >>> [ax.get_title() for ax in picture.figure.axes]
    ['frequency = 1', 'frequency = 2', 'frequency = 3']
    """
    choices = {name: list(values) for name, values in choices.items()}
    for name, values in choices.items():
        if not values:
            raise ValueError(f"interact: {name} has no values to choose from")
    if not choices:
        raise ValueError("interact: give at least one name with its values, such as stride=[1, 2]")
    return Interactive(draw, choices, axes, most, size)


class Interactive:
    """What `interact` returns: sliders with one picture in a notebook that has ipywidgets, else the static figure.

    A notebook keeps both, so that the figure is there where widgets are not: in a PDF, or where files are only shown.
    figure: the static one, of matplotlib. save(path) writes it to a file whose name says the kind.

    >>> import pyneuro as pn
    >>> picture = pn.draw.interact(lambda ax, n: ax.plot(range(n)), n=[2, 3])
    >>> type(picture) is pn.draw.Interactive, len(picture.figure.axes)
    (True, 2)
    """

    def __init__(self, draw, choices, axes, most, size):
        self._draw, self._choices, self._axes, self._size = draw, choices, axes, size
        self._pictures = {}
        self.figure = self._multiples(most)

    def save(self, path):
        """Writes the static figure: PNG, PDF or SVG, as the ending of the name says."""
        self.figure.savefig(path)

    # ---- the static figure ----

    def _states(self, most):
        """Rows of states {name: value}: one row for each value of the second name, if there is one."""
        names = list(self._choices)
        rest = {name: self._choices[name][0] for name in names[2:]}
        if len(names) == 1:
            return [[{names[0]: value} for value in spread(self._choices[names[0]], most)]]
        down = spread(self._choices[names[1]], max(1, math.isqrt(most)))
        across = spread(self._choices[names[0]], max(1, most // len(down)))
        return [[{names[0]: a, names[1]: b, **rest} for a in across] for b in down]

    def _multiples(self, most):
        rows = self._states(most)
        if self._axes > 1:  # a row for each state
            rows = [[state] for state in itertools.chain(*rows)]
        elif len(rows) == 1 and len(rows[0]) > 4:  # two lines
            half = -(-len(rows[0]) // 2)
            rows = [rows[0][:half], rows[0][half:]]
        width = max(map(len, rows)) * self._axes
        figure, grid = self._canvas(len(rows), width)
        for cells, states in zip(grid, rows, strict=True):
            for place, state in enumerate(states):
                self._fill(cells[place * self._axes : (place + 1) * self._axes], state)
            for ax in cells[len(states) * self._axes :]:
                ax.remove()
        return figure

    def _canvas(self, rows, columns, scale=1.0):
        from matplotlib.figure import Figure

        width, height = self._size
        figure = Figure(figsize=(scale * width * columns, scale * height * rows), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)

    def _fill(self, axes, state):
        self._draw(axes[0] if self._axes == 1 else list(axes), **state)
        words = [f"{name} = {text_of(value)}" for name, value in state.items()]
        words = [", ".join(words)] if sum(map(len, words)) <= LINE else words
        axes[0].set_title("\n".join(filter(None, [*words, axes[0].get_title()])))

    # ---- with sliders ----

    def _picture(self, state):
        """PNG of one state; each is drawn once."""
        key = tuple(map(repr, state.values()))
        if key not in self._pictures:
            figure, grid = self._canvas(1, self._axes, 1.5 if self._axes == 1 else 1.1)
            self._fill(grid[0], state)
            self._pictures[key] = png(figure)
        return self._pictures[key]

    def _widget(self):
        import ipywidgets

        sliders = {
            name: ipywidgets.SelectionSlider(options=[(text_of(v), v) for v in values], description=name)
            for name, values in self._choices.items()
        }
        picture = ipywidgets.Image(format="png")

        def redraw(change=None):
            picture.value = self._picture({name: slider.value for name, slider in sliders.items()})

        for slider in sliders.values():
            slider.observe(redraw, names="value")
        redraw()
        return ipywidgets.VBox([*sliders.values(), picture])

    def _repr_mimebundle_(self, include=None, exclude=None):
        shown = {"text/plain": repr(self), "image/png": base64.b64encode(png(self.figure)).decode()}
        if in_notebook() and importlib.util.find_spec("ipywidgets") is not None:
            widget = self._widget()
            view = "application/vnd.jupyter.widget-view+json"
            shown[view] = widget._repr_mimebundle_()[view]
            self._shown = widget
        return shown

    def __repr__(self):
        names = ", ".join(f"{name} ({len(values)} values)" for name, values in self._choices.items())
        return f"<Interactive: {names}>"


def spread(values, most):
    """At most `most` of the values, first and last among them, evenly spread.

    >>> spread([1, 2, 3, 4, 5], 3)
    [1, 3, 5]
    """
    if len(values) <= most:
        return values
    return [values[0]] if most == 1 else [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def text_of(value):
    """A value as a slider shows it: numbers short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Live:
    """A picture that is redrawn in its place while something runs: no flicker, as one display handle shows it.

    figure: of matplotlib; change what is drawn in it, and call `update`. every: seconds between two pictures at least,
    so that drawing does not slow down what runs. Behind a `with` block the last state is shown. Where no notebook runs
    nothing is shown.

    >>> from matplotlib.figure import Figure
    >>> import pyneuro as pn
    >>> figure = Figure()
    >>> line, = figure.subplots().plot([0.0, 0.0])
    >>> with pn.draw.Live(figure, every=0.2) as live:
    ...     for step in range(3):
    ...         line.set_ydata([0.0, step])
    ...         _ = live.update()
    >>> live.pictures > 0
    True
    """

    def __init__(self, figure, every=0.1):
        self.figure, self.every, self.pictures = figure, every, 0
        self._handle, self._last = None, -float("inf")
        plot = sys.modules.get("matplotlib.pyplot")
        if plot is not None and in_notebook():
            plot.close(figure)  # else the notebook would show it once more at the end of the cell

    def update(self, now=False):
        """Shows the present state, unless the last picture is younger than `every` seconds and `now` is false.

        Returns whether it did.
        """
        if not now and time.monotonic() - self._last < self.every:
            return False
        if in_notebook():
            from IPython.display import Image, display

            picture = Image(data=png(self.figure), format="png")
            if self._handle is None:
                self._handle = display(picture, display_id=True)
            else:
                self._handle.update(picture)
        self.pictures += 1
        self._last = time.monotonic()  # behind the drawing, which may take longer than `every`
        return True

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.update(now=True)
