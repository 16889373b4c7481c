"""How the segments follow what is sensitive, as the page shows it."""

import math
from dataclasses import dataclass

from smartcart_pipeline.report.reading import Findings, Row
from smartcart_pipeline.report.wording import Figure
from smartcart_pipeline.segmentation import Rows

# A ratio of 2, or of a half, is coloured this strongly: text must stay readable on it.
STRONGEST = 45


@dataclass(frozen=True)
class Ratio:
    """How frequent a category is in a segment, beside all customers.

    Attributes:
        share: Its share of the segment.
        ratio: That share divided by the category's share of all customers.
        low: Lower end of the ratio's 95 % interval.
        high: Upper end of it.
    """

    share: Figure
    ratio: Figure
    low: Figure
    high: Figure

    @property
    def side(self) -> str:
        """Whether there are `more` or `less` than among all customers; empty where chance may explain it."""
        return "more" if self.low.value > 1 else "less" if self.high.value < 1 else ""

    @property
    def weight(self) -> float:
        """How strongly it is coloured, 0 to `STRONGEST`."""
        distance = abs(math.log2(self.ratio.value)) if self.ratio.value else 1.0
        return min(distance, 1.0) * STRONGEST if self.side else 0.0


@dataclass(frozen=True)
class Category:
    """A category of a sensitive attribute.

    Attributes:
        name: Its name; of a number a band.
        ratios: Of each segment.
        everyone: Its share of all customers.
    """

    name: str
    ratios: list[Ratio]
    everyone: Figure


@dataclass(frozen=True)
class Attribute:
    """A sensitive attribute.

    Attributes:
        label: What people call it.
        is_seen: Whether the model sees it.
        association: Cramer's V with the segments.
        categories: Its categories.
    """

    label: str
    is_seen: bool
    association: Figure
    categories: list[Category]


def tell_sensitive(findings: Findings) -> list[Attribute]:
    """How the segments follow each sensitive attribute.

    Args:
        findings: What was read.

    Returns:
        The attributes in the order of the recipe; none where it lists none.
    """
    recipe = findings.declaration.recipe
    seen = {feature.name for feature in recipe.seen}
    attributes: dict[str, dict[str, Rows]] = {}
    for row in findings.sensitive:
        attributes.setdefault(row["attribute"], {}).setdefault(row["category"], []).append(row)
    return [
        Attribute(
            label=recipe.by_name[name].words.label,
            is_seen=name in seen,
            association=_figure(next(iter(categories.values()))[0], "association", ".2f"),
            categories=[
                Category(category, [_tell_ratio(row) for row in rows], _figure(rows[0], "base_share", ".0%"))
                for category, rows in categories.items()
            ],
        )
        for name, categories in attributes.items()
    ]


def longest_interval(attributes: list[Attribute]) -> int:
    """How many letters the longest interval of a ratio has, so that columns can be as wide.

    Args:
        attributes: From `tell_sensitive`.

    Returns:
        The number; 0 where there are none.
    """
    ratios = (ratio for each in attributes for category in each.categories for ratio in category.ratios)
    return max((len(f"{ratio.low} to {ratio.high}") for ratio in ratios), default=0)


def _tell_ratio(row: Row) -> Ratio:
    return Ratio(
        _figure(row, "share", ".0%"), *(_figure(row, name, ".2f") for name in ("ratio", "ratio_low", "ratio_high"))
    )


def _figure(row: Row, column: str, form: str) -> Figure:
    key = ",".join(row[name] for name in KEYS.get(column, ("segment_id", "attribute", "category")))
    value = row[column]
    # What there is, however little, does not show as nothing.
    finer = form == ".0%" and 0 < value < 0.01
    return Figure(value, ".1%" if finer else form, f"sensitive_association.{column}[{key}]")


# What is the same in all rows of an attribute, or of its category, has no other key.
KEYS = {"association": ("attribute",), "base_share": ("attribute", "category")}
