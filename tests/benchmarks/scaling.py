"""What the second thread brings: the same turns with one and with two threads, alternating, same bits required."""

from __future__ import annotations

import numpy as np
from dense import ROWS, Ours
from paired import Turns, alternate, in_units, machine, table
from peers import Work

import pyneuro as pn

EXTRA = Work(
    "784-1024-1024-10, batch 256, SGD", (784, 1024, 1024, 10), "relu", "cross_entropy", "sgd", 256, 5120, 1, 0.05
)


def both(work: Work, rounds: int) -> tuple[Turns, bool]:
    """Alternating turns with one and two threads from the same weights; whether the final bits agree."""
    sides = {1: Ours(work), 2: Ours(work)}
    seeds = {1: iter(range(1000)), 2: iter(range(1000))}

    def turn(count: int) -> int:
        pn.set_num_threads(count)
        return sides[count].fit(work.epochs, next(seeds[count]))

    turns = alternate({"one": lambda: turn(1), "two": lambda: turn(2)}, rounds)
    return turns, all(np.array_equal(a, b) for a, b in zip(sides[1].weights(), sides[2].weights()))


def run(threads: int, rounds: int) -> bool:
    """Prints the table; False when the bits differ. `threads` is ignored: the table is about one and two."""
    lines, same = [], True
    for work in [row[0] for row in ROWS] + [EXTRA]:
        turns, equal = both(work, rounds)
        same &= equal
        ratio, step = turns.ratio("one", "two"), turns.median("one")
        goal = 1.7 if step > 1e-3 else 1.0
        # "never slower" within what two turns of the same program differ by
        text = f"{ratio:.2f} x (goal {goal}{'' if ratio >= goal * (1 if goal > 1 else 0.97) else ', missed'})"
        bits = "same" if equal else "DIFFERENT"
        lines.append([work.name, in_units(step), in_units(turns.median("two")), text, bits])
    print(machine())
    table("One training step with one and two threads", ["work", "one thread", "two threads", "ratio", "bits"], lines)
    return same
