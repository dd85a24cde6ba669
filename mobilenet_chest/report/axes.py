"""Line plots as SVG shapes. Colours and dashes are classes of the style sheet, so plots follow its colour scheme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mobilenet_chest.report.elements import Drawing, Shape

PlotPoints = Sequence[tuple[float, float]]
"""Points (x, y) in the units of the data."""

WIDTH, HEIGHT = 400, 270
"""Of a plot, in its own units: about a CSS pixel each on a narrow screen, so 12 units of type stay legible."""

LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 42
"""Margins, which hold ticks and labels."""


@dataclass(frozen=True)
class Axes:
    """Axes of one plot.

    Attributes:
        x: Left and right end, in the units of the data.
        y: Lower and upper end.
        x_label: Quantity, with its unit.
        y_label: Likewise.
        integers: Ticks of the x axis are integers.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    integers: bool = False

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the data is, in units of the plot; a point outside is moved to the edge."""
        across = (min(max(x, self.x[0]), self.x[1]) - self.x[0]) / (self.x[1] - self.x[0])
        up = (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def line(self, points: PlotPoints, style: str) -> Shape:
        """Return a line through the points; ``style`` is a class of the style sheet: first, second, third, guide."""
        return Shape("polyline", {"class": f"line {style}", "points": self._path(points)})

    def band(self, low: PlotPoints, high: PlotPoints, style: str) -> Shape:
        """Return the area between two lines."""
        return Shape("polygon", {"class": f"band {style}", "points": self._path([*low, *reversed(high)])})

    def dot(self, x: float, y: float, style: str) -> Shape:
        """Return a single point."""
        across, down = self.at(x, y)
        return Shape("circle", {"class": f"dot {style}", "cx": f"{across:.1f}", "cy": f"{down:.1f}", "r": "4.5"})

    def whisker(self, x: float, low: float, high: float, style: str) -> Shape:
        """Return an interval of y at one x."""
        (across, bottom), (_, top) = self.at(x, low), self.at(x, high)
        path = f"M{across:.1f} {bottom:.1f}V{top:.1f}M{across - 3:.1f} {top:.1f}h6m-6 {bottom - top:.1f}h6"
        return Shape("path", {"class": f"line {style}", "d": path})

    def upright(self, x: float) -> Shape:
        """Return a dashed line from bottom to top."""
        return self.line([(x, self.y[0]), (x, self.y[1])], "guide")

    def frame(self) -> list[Shape]:
        """Return grid, ticks and labels."""
        shapes = []
        for value in ticks(*self.x, integers=self.integers):
            across, bottom = self.at(value, self.y[0])
            shapes.append(Shape("path", {"class": "grid", "d": f"M{across:.1f} {bottom:.1f}V{TOP}"}))
            shapes.append(_tick(across, bottom + 16, "middle", value))
        for value in ticks(*self.y):
            left, down = self.at(self.x[0], value)
            shapes.append(Shape("path", {"class": "grid", "d": f"M{left:.1f} {down:.1f}H{WIDTH - RIGHT}"}))
            shapes.append(_tick(left - 6, down + 4, "end", value))
        label = {"class": "label", "text-anchor": "middle"}
        below = {"x": f"{LEFT + (WIDTH - LEFT - RIGHT) / 2}", "y": f"{HEIGHT - 6}"}
        beside = {"transform": f"translate(13 {TOP + (HEIGHT - TOP - BOTTOM) / 2}) rotate(-90)"}
        return [
            *shapes,
            Shape("text", label | below, self.x_label),
            Shape("text", label | beside, self.y_label),
        ]

    def _path(self, points: PlotPoints) -> str:
        return " ".join(f"{across:.1f},{down:.1f}" for across, down in (self.at(x, y) for x, y in points))


def _tick(x: float, y: float, anchor: str, value: float) -> Shape:
    attributes = {"class": "tick", "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    return Shape("text", attributes, f"{value:g}")


def drawing(key: str, title: str, description: str, shapes: Sequence[Shape]) -> Drawing:
    """Return a plot of the usual size; arguments as :class:`~mobilenet_chest.report.elements.Drawing` has them."""
    return Drawing(key, title, description, WIDTH, HEIGHT, shapes)


def ticks(low: float, high: float, integers: bool = False) -> list[float]:
    """Return about five round numbers from ``low`` to ``high``."""
    from matplotlib.ticker import MaxNLocator  # its import takes long

    tolerance = 1e-9 * (high - low)
    candidates = MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=integers).tick_values(low, high)
    return [round(float(value), 10) for value in candidates if low - tolerance <= value <= high + tolerance]


def around(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    """Return the ends of an axis that holds all values with a little room. The axis always has a length."""
    low, high = min(values), max(values)
    room = margin * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room
