"""Small SVG charts: bars of ratios and lines over a growing number, readable without a program.

For: the pictures in docs/performance.md.
Not for: anything interactive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_TICK_WIDTH = 40
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 260, 46, 40, 46
ROW = 16
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#eeca3b", "#79706e", "#ff9da6")


def _frame(title: str, body: list[str], names: Sequence[str]) -> str:
    legend = []
    x, row = LEFT, 0
    for number, name in enumerate(names):
        wide = 26 + 6 * len(name)
        if x > LEFT and x + wide > WIDTH:
            x, row = LEFT, row + 1
        legend.append(
            f'<rect x="{x}" y="{24 + row * ROW}" width="10" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>'
        )
        legend.append(f'<text x="{x + 14}" y="{33 + row * ROW}">{name}</text>')
        x += wide
    more = row * ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + more}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT + more}" fill="white"/><text x="{LEFT}" y="15" font-size="13">{title}</text>\n'
        + "\n".join([*legend, f'<g transform="translate(0 {more})">', *body, "</g>"]) + "\n</svg>\n"
    )  # fmt: skip


def _axis(top: float) -> tuple[list[str], float]:
    scale = (HEIGHT - BOTTOM - TOP) / top
    step = 10 ** math.floor(math.log10(top)) / (1 if top / 10 ** math.floor(math.log10(top)) > 3 else 4)
    lines = []
    value = 0.0
    while value <= top:
        y = HEIGHT - BOTTOM - value * scale
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        value = round(value + step, 9)
    return lines, scale


def bars(title: str, cells: Mapping[str, Mapping[str, float]]) -> str:
    """Groups of bars: cell -> place -> value."""
    names = list(next(iter(cells.values())))
    body, scale = _axis(max(max(row.values()) for row in cells.values()) * 1.05)
    wide = (WIDTH - LEFT - 8) / len(cells)
    for group, (cell, row) in enumerate(cells.items()):
        start = LEFT + group * wide
        for number, name in enumerate(names):
            tall = row[name] * scale
            body.append(
                f'<rect x="{start + 4 + number * (wide - 8) / len(names):.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" '
                f'width="{(wide - 10) / len(names):.1f}" height="{tall:.1f}" fill="{COLOURS[number % len(COLOURS)]}"/>'
            )
        body.append(f'<text x="{start + wide / 2:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{cell}</text>')
    return _frame(title, body, names)


def lines(title: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Lines over a logarithmic axis: name -> points."""
    xs = [x for points in curves.values() for x, _ in points]
    body, scale = _axis(max(y for points in curves.values() for _, y in points) * 1.05)
    low, high = math.log10(min(xs)), math.log10(max(xs))
    wide = (WIDTH - LEFT - 40) / max(1e-9, high - low)
    for number, points in enumerate(curves.values()):
        placed = [(LEFT + 12 + (math.log10(x) - low) * wide, HEIGHT - BOTTOM - y * scale) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        colour = COLOURS[number % len(COLOURS)]
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
    last = -WIDTH
    for x in sorted(set(xs)):
        at = LEFT + 12 + (math.log10(x) - low) * wide
        if at - last < _TICK_WIDTH:
            continue
        last = at
        body.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{x:g}</text>')
    return _frame(title, body, list(curves))
