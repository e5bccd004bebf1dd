"""Places for the boxes of a graph: layers from left to right, few crossings, straight arrows where possible.

Sugiyama's method (Sugiyama, Tagawa, Toda 1981): a layer for each box, helper points where an arrow passes a layer,
an order within each layer by the mean place of the neighbours, then heights.
"""

from itertools import pairwise


def layers(inputs):
    """Layer of each box: behind its last input; a box without inputs stands just before its first consumer.

    inputs[i]: boxes that box i is made of, all before i.

    >>> layers([[], [], [0], [1, 2]])
    [0, 1, 1, 2]
    """
    depth = [0] * len(inputs)
    for box, sources in enumerate(inputs):
        depth[box] = 1 + max((depth[s] for s in sources), default=-1)
    first = {}
    for box, sources in enumerate(inputs):
        for s in sources:
            first[s] = min(first.get(s, depth[box]), depth[box])
    for box, sources in enumerate(inputs):
        if not sources and box in first:
            depth[box] = first[box] - 1
    return depth


def _with_helpers(inputs, depth):
    """Each arrow as a path of neighbours in adjacent layers. Returns layers (lists of points), paths, neighbours."""
    count = len(inputs)
    rows = [[] for _ in range(max(depth, default=0) + 1)]
    for box in range(count):
        rows[depth[box]].append(box)
    paths, left, right = [], {}, {}
    for box, sources in enumerate(inputs):
        for source in dict.fromkeys(sources):
            path = [source]
            for layer in range(depth[source] + 1, depth[box]):
                rows[layer].append(count)
                path.append(count)
                count += 1
            path.append(box)
            paths.append(path)
            for a, b in pairwise(path):
                right.setdefault(a, []).append(b)
                left.setdefault(b, []).append(a)
    return rows, paths, left, right


def _sweep(rows, neighbours, place):
    """Orders each layer by the mean place of its neighbours; points without any stay where they are."""
    for row in rows:
        means = {}
        for point in row:
            near = [place[n] for n in neighbours.get(point, ())]
            means[point] = sum(near) / len(near) if near else place[point]
        row.sort(key=means.__getitem__)
        place.update({point: float(at) for at, point in enumerate(row)})


def _crossings(rows, right, place):
    total = 0
    for row in rows[:-1]:
        edges = sorted((place[a], place[b]) for a in row for b in right.get(a, ()))
        ends = [b for _, b in edges]
        total += sum(1 for i, b in enumerate(ends) for c in ends[:i] if c > b)
    return total


def _order(rows, left, right):
    place = {point: float(at) for row in rows for at, point in enumerate(row)}
    best, fewest = [row[:] for row in rows], _crossings(rows, right, place)
    for turn in range(12):
        if turn % 2:
            _sweep(rows[::-1], right, place)
        else:
            _sweep(rows, left, place)
        crossings = _crossings(rows, right, place)
        if crossings < fewest:
            best, fewest = [row[:] for row in rows], crossings
    return best


def _heights(rows, left, right, tall):
    """y of each point: near its neighbours, never closer than tall(a, b) to the point above."""
    y = {}
    for row in rows:
        at = 0.0
        for i, point in enumerate(row):
            at += tall(row[i - 1], point) if i else 0.0
            y[point] = at
    for turn in range(24):
        for row in rows if turn % 2 else rows[::-1]:
            near = left if turn % 2 else right
            wish = [sum(y[n] for n in near[p]) / len(near[p]) if near.get(p) else y[p] for p in row]
            down, up = wish[:], wish[:]
            for i in range(1, len(row)):
                down[i] = max(down[i], down[i - 1] + tall(row[i - 1], row[i]))
            for i in range(len(row) - 2, -1, -1):
                up[i] = min(up[i], up[i + 1] - tall(row[i], row[i + 1]))
            # The mean of two lists that both keep the distances keeps them too.
            y.update({point: (a + b) / 2 for point, a, b in zip(row, down, up)})
    least = min(y.values(), default=0.0)
    return {point: value - least for point, value in y.items()}


def place(inputs, height, gap, helper):
    """Layers, heights and arrows for a graph.

    inputs: see `layers`. height: of a box; gap: between boxes; helper: room for an arrow that passes a layer.
    Returns (layer of each box, y of each point, paths): a path lists the points of one arrow, boxes at both ends.

    >>> depth, y, paths = place([[], [], [0, 1]], 10, 5, 4)
    >>> depth, y[1] - y[0], paths
    ([0, 0, 1], 15.0, [[0, 2], [1, 2]])
    """
    depth = layers(inputs)
    rows, paths, left, right = _with_helpers(inputs, depth)

    def tall(a, b):
        sizes = [height if p < len(inputs) else helper for p in (a, b)]
        return sum(sizes) / 2 + gap

    rows = _order(rows, left, right)
    return depth, _heights(rows, left, right, tall), paths
