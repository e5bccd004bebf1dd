"""Pictures of computations. `pn.draw(y)` draws how y was computed; the result shows itself in a notebook.

`interact` gives a picture sliders, `Live` redraws one in its place.
"""

from pathlib import Path

from pyneuro import _core
from pyneuro._callable import make_callable
from pyneuro.draw.interactive import Interactive, Live, interact

__all__ = ["COLOURS", "Drawing", "Interactive", "Live", "draw", "interact", "style"]

# Okabe and Ito 2008: colours that colour-blind people tell apart, the readable ones on white first.
COLOURS = {
    "blue": "#0072B2", "orange": "#D55E00", "green": "#009E73", "purple": "#CC79A7", "sky": "#56B4E9",
    "yellow": "#E69F00", "black": "#000000",
}  # fmt: skip


class Drawing:
    """What `draw` returns: shown as SVG in a notebook, as a table in a terminal; `save(path)` writes the SVG file.

    >>> import pyneuro as pn
    >>> w = pn.tensor(2.0, requires_grad=True, name="w")
    >>> drawing = pn.draw(w * 3.0)
    >>> isinstance(drawing, pn.draw.Drawing), drawing.svg.startswith("<svg")
    (True, True)
    """

    def __init__(self, boxes):
        self.boxes = boxes
        self._svg = None

    @property
    def svg(self):
        """The SVG document as text."""
        if self._svg is None:
            from pyneuro.draw.svg import render

            self._svg = render(self.boxes)
        return self._svg

    def _repr_svg_(self):
        return self.svg

    def save(self, path):
        """Writes the SVG document to `path`. ValueError when the name does not end in .svg."""
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise ValueError(f"save: the name is {path.name!r}, expected one that ends in .svg")
        path.write_text(self.svg, encoding="utf-8")

    def __repr__(self):
        rows = [("node", "value", "gradient"), *((b.title, b.value, b.gradient) for b in self.boxes)]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        return "\n".join(f"{a:{widths[0]}}  {b:{widths[1]}}  {c}".rstrip() for a, b, c in rows)


def draw(y, *, max_nodes=300):
    """Draws the graph behind the tensor y: at every node the operation, its value (green) and its gradient (red).

    The gradient is that of y, which must have one element to have any; leaves show their `.grad` when there is one.
    Works before and after `y.backward()`. Rest the pointer on a node for its formula and all its numbers.
    TypeError when y is no Tensor, ValueError for more than `max_nodes` operations.

    >>> import pyneuro as pn
    >>> w = pn.tensor(2.0, requires_grad=True, name="w")
    >>> y = w * 3.0
    >>> y.backward()
    >>> pn.draw(y)
    node      value  gradient
    w         2      3
    constant  3
    mul       6      1
    """
    if not isinstance(y, _core.Tensor):
        raise TypeError(f"draw: y is of type {type(y).__name__}, expected a Tensor")
    from pyneuro.draw.graph import boxes

    return Drawing(boxes(y, max_nodes))


def style():
    """Sets matplotlib's defaults for a lecture hall: 10 x 6 inches, text of 16 points, thick lines, `COLOURS`.

    Returns a tuple of colours: blue, orange, green, purple, sky, yellow, black. ImportError without matplotlib.

    >>> import pyneuro as pn
    >>> BLUE, ORANGE, *others = pn.draw.style()
    >>> BLUE
    '#0072B2'
    """
    import matplotlib.pyplot as plt

    colours = tuple(COLOURS.values())
    plt.rcParams.update(
        {
            "figure.figsize": (10, 6), "font.size": 16, "axes.titlesize": 18, "axes.labelsize": 16,
            "lines.linewidth": 2.5, "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False,
            "axes.spines.right": False, "axes.prop_cycle": plt.cycler(color=colours), "image.cmap": "gray",
        }
    )  # fmt: skip
    return colours


make_callable(__name__, draw)
