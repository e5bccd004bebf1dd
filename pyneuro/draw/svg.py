"""Boxes with places as SVG text. Colours also read in grey: value and gradient stand on lines of their own."""

from html import escape
from itertools import pairwise

from pyneuro.draw.layout import place

GREEN, RED, INK, LINE, LEAF, NODE = "#1a7f37", "#cf222e", "#24292f", "#8c959f", "#ddf4ff", "#ffffff"
CHAR = 7.3  # width of a character of the 12 px monospace font
ROW = 17
GAP = 14
BETWEEN = 46


def _width(box):
    return max(len(box.title), len(box.value), len(box.gradient)) * CHAR + 18


def _curve(points):
    """A smooth path through points, horizontal at each of them."""
    text = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (x0 + x1) / 2
        text += f" C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return text


def _box(box, x, y, width, height):
    fill = LEAF if box.leaf else NODE
    lines = [(box.title, INK, "bold"), (box.value, GREEN, "normal"), (box.gradient, RED, "normal")]
    text = "".join(
        f'<text x="{x + width / 2:.1f}" y="{y + ROW * (i + 1) - 3:.1f}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="middle">{escape(line)}</text>'
        for i, (line, colour, weight) in enumerate(lines)
        if line
    )
    return (
        f"<g><title>{escape(box.details)}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="5" fill="{fill}" stroke="{LINE}"/>'
        f"{text}</g>"
    )


def render(boxes):
    """The SVG document of a list of `pyneuro.draw.graph.Box`."""
    height = ROW * (3 if any(box.gradient for box in boxes) else 2) + 5
    depth, y, paths = place([box.inputs for box in boxes], height, GAP, 6)
    columns = max(depth, default=0) + 1
    widths = [max((_width(b) for b, d in zip(boxes, depth) if d == c), default=0) for c in range(columns)]
    left = [BETWEEN / 2 + sum(widths[:c]) + BETWEEN * c for c in range(columns)]
    arrows = []
    for path in paths:
        source, target = path[0], path[-1]
        points = [(left[depth[source]] + (widths[depth[source]] + _width(boxes[source])) / 2, y[source] + height / 2)]
        for step, point in enumerate(path[1:-1], depth[source] + 1):
            points += [(left[step], y[point] + height / 2), (left[step] + widths[step], y[point] + height / 2)]
        points.append(
            (left[depth[target]] + (widths[depth[target]] - _width(boxes[target])) / 2 - 6, y[target] + height / 2)
        )
        arrows.append(
            f'<path d="{_curve(points)}" fill="none" stroke="{LINE}" stroke-width="1.3" marker-end="url(#tip)"/>'
        )
    drawn = [
        _box(box, left[d] + (widths[d] - _width(box)) / 2, y[i], _width(box), height)
        for i, (box, d) in enumerate(zip(boxes, depth))
    ]
    total_width = left[-1] + widths[-1] + BETWEEN / 2
    total_height = max((y[i] for i in range(len(boxes))), default=0) + height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width:.0f}" height="{total_height + 20:.0f}" '
        f'viewBox="0 -10 {total_width:.0f} {total_height + 20:.0f}" font-family="monospace" font-size="12">'
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="1" refY="3" orient="auto">'
        f'<path d="M0 0 L7 3 L0 6 z" fill="{LINE}"/></marker></defs>' + "".join(arrows) + "".join(drawn) + "</svg>"
    )
