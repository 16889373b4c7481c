"""Shapes and scales: numbers in, SVG paths and places out. Colours and sizes of text are the style sheet's."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]

MILLION = 1_000_000
# With fewer powers of ten than these, an axis has ticks between them.
FEW = 3

# A shape for each segment says the same as its colour. The first eight are those that Plotly draws in space too.
SHAPES = (
    "circle",
    "diamond",
    "square",
    "cross",
    "x",
    "circle-open",
    "diamond-open",
    "square-open",
    "triangle",
    "wedge",
)

# Outlines around the origin, of half-width 1.
OUTLINES: dict[str, Sequence[Point]] = {
    "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "cross": (
        *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
        *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
    ),
    "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
    "wedge": ((0, 1.2), (1.2, -1), (-1.2, -1)),
}
OUTLINES["x"] = tuple(((x - y) * 0.75, (x + y) * 0.75) for x, y in OUTLINES["cross"])


@dataclass(frozen=True)
class Axis:
    """A scale from values to places.

    Attributes:
        low: The value at its start.
        high: The value at its end.
        start: Place of its start, in the units of the drawing.
        end: Place of its end.
        ticks: Round values within it.
        is_log: Whether places go by the logarithm of 1 and the value.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies."""
        low, at, high = map(math.log1p, (self.low, value, self.high)) if self.is_log else (self.low, value, self.high)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def write(self, tick: float) -> str:
        """A tick in as few letters as tell it from the others."""
        if abs(tick) >= MILLION:
            return f"{tick / MILLION:,g}M"
        step = min((b - a for a, b in pairwise(self.ticks)), default=1.0)
        # The ticks of a logarithmic axis are whole.
        decimals = 0 if self.is_log else next((d for d in range(6) if math.isclose(step, round(step, d))), 6)
        return f"{tick:z,.{decimals}f}"


def axis(values: Iterable[float], start: float, end: float, ticks: int = 5, low: float | None = None) -> Axis:
    """An axis over values, with ticks at round numbers.

    Args:
        values: What it must hold.
        start: Place of its start.
        end: Place of its end.
        ticks: About how many ticks.
        low: Where it begins; None for the least value.

    Returns:
        The axis.
    """
    known = list(values) or [0.0]
    low = min(known) if low is None else low
    high = max(known) if max(known) > low else low + 1
    step = _round_step((high - low) / ticks)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(low, high, start, end, tuple(number * step for number in range(first, last + 1)))


def log_axis(values: Iterable[float], start: float, end: float, ticks: int = 5) -> Axis:
    """A logarithmic axis over values of which none is negative, with ticks at powers of ten, or between them too.

    Args:
        values: What it must hold.
        start: Place of its start.
        end: Place of its end.
        ticks: At most so many ticks, besides 0.

    Returns:
        The axis.
    """
    known = list(values) or [0.0]
    low, high = min(known), max(*known, min(known) + 1, 1)
    within = [10.0**power for power in range(math.floor(math.log10(high)) + 1) if 10**power >= low]
    if len(within) < FEW:
        steps = [factor * 10.0**power for power in range(math.floor(math.log10(high)) + 1) for factor in (1, 2, 5)]
        within = [step for step in steps if low <= step <= high]
    thinned = within[:: math.ceil(len(within) / ticks) or 1]
    return Axis(low, high, start, end, (*([0.0] if low == 0 else []), *thinned), is_log=True)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if step <= factor * power * (1 + 1e-9))


def mark(shape: str, size: float) -> str:
    """The outline of a mark, beginning where it stands.

    Args:
        shape: One of `SHAPES`.
        size: Its half-width.

    Returns:
        The part of an SVG path that follows after moving to its middle; the inner outline of an open shape runs the
        other way round, so that it stays empty while marks that overlap do not cancel each other.
    """
    name, _, is_open = shape.partition("-")
    return _outline(name, size) + (_outline(name, size * 0.55, clockwise=False) if is_open else "")


def _outline(name: str, size: float, clockwise: bool = True) -> str:
    """An outline around the place where the pen is, and back to it."""
    if name == "circle":
        r, sweep = abs(size), int(clockwise)
        return f"m{-r:g} 0a{r:g} {r:g} 0 1 {sweep} {2 * r:g} 0a{r:g} {r:g} 0 1 {sweep} {-2 * r:g} 0zm{r:g} 0"
    corners = [(x * size, y * size) for x, y in (OUTLINES[name] if clockwise else OUTLINES[name][::-1])]
    sides = [(x - from_x, y - from_y) for (from_x, from_y), (x, y) in pairwise(corners)]
    first, *rest = [f"{x:.3g} {y:.3g}" for x, y in [corners[0], *sides]]
    return f"m{first}l{' '.join(rest)}zm{-corners[0][0]:.3g} {-corners[0][1]:.3g}"


def marks(points: Iterable[Point], shape: str, size: float) -> str:
    """Marks of one shape at many places, as one path.

    Args:
        points: Where they stand.
        shape: One of `SHAPES`.
        size: Half-width of a mark.

    Returns:
        An SVG path.
    """
    outline = mark(shape, size)
    return "".join([f"M{x:.1f} {y:.1f}{outline}" for x, y in points])


def line(points: Sequence[Point]) -> str:
    """A line through points.

    Args:
        points: Where it goes.

    Returns:
        An SVG path.
    """
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def view(eye: tuple[float, float, float]) -> Callable[[Sequence[float]], Point]:
    """A look at space from afar: each point to its place on a plane across the line of sight.

    Args:
        eye: Where the eye is, seen from the middle; the third axis stands upright.

    Returns:
        A function from (x, y, z) to (right, down).
    """
    x, y, z = eye
    across = math.hypot(x, y)
    length = math.hypot(across, z)
    right = (-y / across, x / across)
    up = (-x * z / (across * length), -y * z / (across * length), across / length)

    def see(point: Sequence[float]) -> Point:
        return (
            point[0] * right[0] + point[1] * right[1],
            -(point[0] * up[0] + point[1] * up[1] + point[2] * up[2]),
        )

    return see
