"""Recipes: which features describe a customer to the model.

An outcome such as `response` must not help to define the segments whose responses are compared later, so the default
recipe bars it. The `reference` recipe counts it as a feature, for comparison with the analysis this project comes from.
"""

from dataclasses import dataclass
from typing import Literal

RecipeName = Literal["behavioural", "reference"]

LIVING_WITH = ("Alone", "Partner")
EDUCATION_LEVELS = ("Graduate", "Postgraduate", "Undergraduate")

ENGINEERED = ("age", "customer_tenure_days", "total_spending", "total_children")
CARRIED_OVER = (
    "income",
    "recency",
    "num_deals_purchases",
    "num_web_purchases",
    "num_catalog_purchases",
    "num_store_purchases",
    "num_web_visits_month",
    "complain",
)
BEHAVIOUR = ENGINEERED + CARRIED_OVER
OUTCOMES = ("response",)


@dataclass(frozen=True)
class EncodedFeature:
    """One column the model sees: a number as it is, or a category's indicator (1 where the customer is in it).

    Attributes:
        name: Column name, e.g. ``living_with_partner``.
        source: The column of `features` it is made from.
        category: The category it indicates, or None for a number.
    """

    name: str
    source: str
    category: str | None = None


@dataclass(frozen=True)
class Recipe:
    """What the model is fitted on.

    Attributes:
        name: `behavioural` or `reference`.
        numeric: Columns of `features` used as numbers.
        categorical: Columns of `features` that are one-hot encoded, with their categories.
    """

    name: RecipeName
    numeric: tuple[str, ...]
    categorical: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("living_with", LIVING_WITH),
        ("education", EDUCATION_LEVELS),
    )

    @property
    def encoded(self) -> tuple[EncodedFeature, ...]:
        """The columns the model sees, in order: numbers first, then indicators."""
        indicators = tuple(
            EncodedFeature(f"{source}_{category.lower()}", source, category)
            for source, categories in self.categorical
            for category in categories
        )
        return tuple(EncodedFeature(name, name) for name in self.numeric) + indicators

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns the model sees, in order."""
        return tuple(feature.name for feature in self.encoded)


RECIPES: dict[RecipeName, Recipe] = {
    "behavioural": Recipe("behavioural", BEHAVIOUR),
    "reference": Recipe("reference", BEHAVIOUR + OUTCOMES),
}


# What every model projects customers onto.
COMPONENT_NAMES = ("pc1", "pc2", "pc3")

# A mean or median of 0s and 1s says nothing that its rate does not.
MEASURED = tuple(name for name in BEHAVIOUR if name != "complain")
RATES = {"response_rate": "response", "complaint_rate": "complain"}
SHARES = tuple(("living_with", level) for level in LIVING_WITH) + tuple(
    ("education", level) for level in EDUCATION_LEVELS
)
COUNTED = (*MEASURED, *RATES.values(), "living_with", "education")


def share_name(column: str, level: str) -> str:
    """Name of a category's share, e.g. `share_living_with_partner`.

    Args:
        column: The categorical feature.
        level: The category.

    Returns:
        The column's name.
    """
    return f"share_{column}_{level.lower()}"
