"""Pictures for the page of results: SVG as text, in the colours of the page."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 15, 15, 45
COLOURS = ("var(--a)", "var(--b)", "var(--c)")
BAR = 24


def bars(values: Sequence[tuple[str, float]], caption: str) -> str:
    """Return bars with names; a line marks 1."""
    most = max([1.0, *(value for _, value in values)])
    scale = (WIDTH - 220) / most
    rows = []
    for number, (name, value) in enumerate(values):
        y = number * BAR
        rows.append(
            f'<text x="150" y="{y + 16}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="160" y="{y + 4}" width="{value * scale:.1f}" height="{BAR - 8}" '
            f'fill="var(--a)"/><text x="{165 + value * scale:.1f}" y="{y + 16}">{value:.2f}</text>'
        )
    bottom = len(values) * BAR
    one = 160 + scale
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 24}" role="img" aria-label="{html.escape(caption)}">'
        f'{"".join(rows)}<line class="axis" x1="{one:.1f}" x2="{one:.1f}" y1="0" y2="{bottom}"/>'
        f'<text x="160" y="{bottom + 18}">{html.escape(caption)}</text></svg>'
    )


def lines(curves: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str) -> str:
    """Return curves on logarithmic axes, with their names."""
    frame = _Frame.around([point for curve in curves.values() for point in curve])
    if frame is None:
        return ""
    parts = []
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [frame.place(x, y) for x, y in curve]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(_legend(number, name, colour))
    ticks = sorted({x for curve in curves.values() for x, _ in curve})
    return frame.svg("".join(parts), ticks, x_label, y_label)


def roofline(results: Sequence[Mapping[str, Any]]) -> str:
    """Return kernels by arithmetic intensity and speed, below the two roofs; area is time."""
    shown = [r for r in results if r["operations"] and r["intensity"]]
    if not shown:
        return ""
    peak, bandwidth = shown[0]["peak_gflops"], shown[0]["bandwidth_gbytes"]
    ridge = peak / bandwidth
    low = min([ridge, *(r["intensity"] for r in shown)]) / 1.5
    high = max([ridge, *(r["intensity"] for r in shown)]) * 1.5
    roof = [(low, low * bandwidth), (ridge, peak), (high, peak)]
    frame = _Frame.around([*roof, *((r["intensity"], r["gflops"]) for r in shown)])
    if frame is None:
        return ""
    total = sum(r["seconds"] for r in results)
    path = " ".join("{:.1f},{:.1f}".format(*frame.place(x, y)) for x, y in roof)
    parts = [f'<polyline points="{path}" fill="none" stroke="var(--b)" stroke-width="2"/>']
    for r in shown:
        x, y = frame.place(r["intensity"], r["gflops"])
        radius = 3 + 25 * math.sqrt(r["seconds"] / total)
        words = f"{r['layer']}: {r['kernel']}, {r['gflops']:.0f} GFLOP/s"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="var(--a)" '
            f'fill-opacity="0.4"><title>{html.escape(words)}</title></circle>'
        )
    ticks = [10.0**k for k in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return frame.svg("".join(parts), ticks, "FLOP per byte of operands", "GFLOP/s")


def _legend(number: int, name: str, colour: str) -> str:
    y = TOP + 16 * (number + 1)
    return (
        f'<circle cx="{LEFT + 15}" cy="{y - 4}" r="4" fill="{colour}"/>'
        f'<text x="{LEFT + 25}" y="{y}">{html.escape(name)}</text>'
    )


class _Frame:
    """Logarithmic axes around points."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]]) -> _Frame | None:
        """Return the axes that hold all points; None if there is nothing to draw."""
        positive = [(x, y) for x, y in points if x > 0 and y > 0]
        if not positive:
            return None
        xs, ys = zip(*positive, strict=True)
        return cls((min(xs) / 1.1, max(xs) * 1.1), (min(ys) / 1.6, max(ys) * 1.6))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies in the picture."""
        across = _part(max(x, self._x[0]), self._x)
        up = _part(max(y, self._y[0]), self._y)
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    def svg(self, content: str, ticks: Sequence[float], x_label: str, y_label: str) -> str:
        """Return the picture with axes and their labels."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        marks = []
        for tick in ticks:
            x, _ = self.place(tick, self._y[0])
            marks.append(
                f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
            )
        for tick in _decades(self._y):
            _, y = self.place(self._x[0], tick)
            marks.append(
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
                f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        label = f"{y_label} over {x_label}"
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}">'
            f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>{"".join(marks)}{content}'
            f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">{html.escape(x_label)}</text>'
            f'<text x="{LEFT}" y="{TOP - 3}">{html.escape(y_label)}</text></svg>'
        )


def _part(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return math.log(value / low) / math.log(high / low)


def _decades(bounds: tuple[float, float]) -> list[float]:
    """Return round numbers within bounds: 1, 2 and 5 times powers of ten."""
    low, high = bounds
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**k for k in powers for m in (1, 2, 5) if low <= m * 10.0**k <= high]
