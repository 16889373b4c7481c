"""The picture of customers in which segments are seen to lie apart: two numbers of the model against each other."""

from dataclasses import dataclass
from typing import Any

from smartcart_pipeline.declaration.recipe import Words
from smartcart_pipeline.report import charts
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.report.segment import Segment
from smartcart_pipeline.report.wording import capitalise
from smartcart_pipeline.segmentation import Rows

# How large one picture is, and each of several beside each other.
WHOLE, PART = (760, 470), (520, 400)
# What a letter beside the picture needs on a phone.
LETTER = 12.5


@dataclass(frozen=True)
class Panel:
    """One picture: all customers, or those of one group of a category.

    Attributes:
        title: What the group is called; empty where all are drawn.
        paths: The marks of each segment, as an SVG path; empty for one that has none here.
    """

    title: str
    paths: list[str]


def draw_scatter(segments: list[Segment], findings: Findings) -> dict[str, Any] | None:
    """Two numbers against each other.

    Where the model parts customers by a category, each of its groups has a picture of its own: in one picture, the
    segments of one group would lie on those of another.

    Args:
        segments: As the page shows them.
        findings: What was read.

    Returns:
        What the template shows; None where the model sees no two numbers.
    """
    if not findings.axes:
        return None
    recipe = findings.declaration.recipe
    upwards, across = findings.axes
    split = recipe.by_name[findings.split] if findings.split else None
    width, height = PART if split else WHOLE
    y = _axis(findings, upwards, height - 64, 40)
    # As much room beside the picture as the longest number needs.
    left = max(74, 16 + LETTER * max(len(y.write(tick)) for tick in y.ticks))
    x = _axis(findings, across, left, width - 24)

    def draw(rows: Rows, shape: str) -> str:
        return charts.marks(((x.place(row[across]), y.place(row[upwards])) for row in rows), shape, 3.4)

    groups = split.groups if split else (None,)
    panels = [
        Panel(
            capitalise(split.levels[group].named) if split and group else "",
            [
                draw([row for row in each.plotted if not split or row[split.name] == group], each.shape)
                for each in segments
            ],
        )
        for group in groups
    ]
    words = recipe.by_name[across].words, recipe.by_name[upwards].words
    named = [capitalise(words[0].named), words[1].named]
    return {
        "width": width,
        "height": height,
        "x": x,
        "y": y,
        "panels": panels,
        "across": _label(words[0], x),
        "upwards": _label(words[1], y),
        "title": " against ".join(named),
    }


def _label(words: Words, axis: charts.Axis) -> str:
    return f"{words.label}, logarithmic" if axis.is_log else words.label


def _axis(findings: Findings, name: str, start: float, end: float) -> charts.Axis:
    values = [row[name] for row in findings.plotted]
    if findings.declaration.recipe.is_uneven(name) and min(values, default=0) >= 0:
        return charts.log_axis(values, start, end)
    # An axis begins at 0, unless somebody has less.
    return charts.axis(values, start, end, low=0 if all(value >= 0 for value in values) else None)
