"""The recipe: what is made of the columns of a contract, and what people call it.

An outcome, such as the answer to a campaign, must not help to define the segments whose outcomes are compared later:
the model does not see it. A recipe may count outcomes as features all the same, for comparison with an analysis that
did.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from smartcart_pipeline.declaration.columns import snake_case

# What every model projects customers onto.
COMPONENT_NAMES = ("pc1", "pc2", "pc3")

# A value in a sentence: the name of a column, in braces.
PLACEHOLDER = re.compile(r"{(\w+)}")

# What a ratio or a logarithm is rounded to: sums of such numbers are the same bits in any order of rows.
FINE = 1 / 4096

# More segments nobody can act on.
MOST_SEGMENTS = 20

# How the day of an export is found, besides by a day itself or by a pattern of the file's name.
NEWEST, DELIVERED = "newest", "delivered"

Role = Literal["feature", "outcome", "described"]


@dataclass(frozen=True)
class AsIs:
    """The number in a column, as it is."""

    column: str


@dataclass(frozen=True)
class Flag:
    """A column of 0 and 1, as it is."""

    column: str


@dataclass(frozen=True)
class YearsSince:
    """Whole years from the year in a column to the year of the as-of date."""

    column: str


@dataclass(frozen=True)
class DaysSince:
    """Days from the date in a column to the as-of date."""

    column: str


@dataclass(frozen=True)
class Sum:
    """The sum of several columns or features."""

    of: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """The first less the second."""

    first: str
    second: str


@dataclass(frozen=True)
class Ratio:
    """The first divided by the second; 0 where the second is 0."""

    first: str
    second: str


@dataclass(frozen=True)
class Log:
    """The natural logarithm of 1 and the number: one that is skewed is spread more evenly."""

    of: str


@dataclass(frozen=True)
class Regroup:
    """The categories of a column in fewer groups."""

    column: str
    into: tuple[tuple[str, tuple[str, ...]], ...]
    otherwise: str

    @property
    def levels(self) -> tuple[str, ...]:
        """The groups, in the order of their names."""
        return tuple(sorted({self.otherwise, *(group for group, _ in self.into)}))


Verb = AsIs | Flag | YearsSince | DaysSince | Sum | Difference | Ratio | Log | Regroup
# By the key that a recipe names each by.
VERBS: dict[str, type[Verb]] = {
    "column": AsIs,
    "flag": Flag,
    "years_since": YearsSince,
    "days_since": DaysSince,
    "sum": Sum,
    "difference": Difference,
    "ratio": Ratio,
    "log": Log,
    "regroup": Regroup,
}


def read_by(verb: Verb) -> tuple[str, ...]:
    """The columns and features that a verb reads.

    Args:
        verb: The verb.

    Returns:
        Their names.
    """
    if isinstance(verb, Sum):
        return verb.of
    if isinstance(verb, Difference | Ratio):
        return verb.first, verb.second
    return (verb.of,) if isinstance(verb, Log) else (verb.column,)


@dataclass(frozen=True)
class Advice:
    """What to do for a segment that has clearly more, or less, of something than everybody, and most of whom have.

    Attributes:
        more: For a segment that has more of it; empty where the recipe has no words for it.
        less: For one that has less.
        like: Of an outcome, for a segment that chance alone may set apart.
        at_least: Who has so many has much of it; None for the mean of all customers.
        but_less: A number of which a segment must have less at once, for `more` to be said.
    """

    more: str = ""
    less: str = ""
    like: str = ""
    at_least: float | None = None
    but_less: str | None = None


@dataclass(frozen=True)
class Words:
    """What people call a number, or a group of a category.

    Attributes:
        label: As a heading: "Height".
        named: Within a sentence: "height".
        condition: Before a bound: "height in centimetres".
        more: What a segment does that has more of it than most: "Are older".
        less: What one does that has less.
        mean: What customers are like whose mean is `{value}`: "who spend {value} in two years".
        short: What tells two segments apart, of less and of more: "younger", "older"; empty if nothing shall.
        unit: What stands behind a value: "years".
        decimals: How many a mean is shown with.
        do: What to do for a segment that has much of it, or little.
    """

    label: str
    named: str
    condition: str
    more: str
    less: str
    mean: str
    short: tuple[str, ...] = ()
    unit: str = ""
    decimals: int = 1
    do: Advice = Advice()


@dataclass(frozen=True)
class Feature:
    """A column of the table `features`.

    Attributes:
        name: Its name.
        verb: How it is made.
        words: What people call it; of a category, of each of its groups by `levels`.
        description: One sentence for people, with the unit where there is one.
        role: Whether it forms the segments; is an outcome; or is profiled and nothing else.
        step: What it is rounded to; None for as it is.
        rate: Of what is 0 or 1, the name of its mean.
        share: Of what is 0 or 1, what those do who have 1: "accepted the last campaign".
        weight: How much it counts among what the model sees; of a category, all its indicators together.
        levels: What people call each group of a category.
    """

    name: str
    verb: Verb
    words: Words
    description: str = ""
    role: Role = "feature"
    step: float | None = None
    rate: str = ""
    share: str = ""
    weight: float = 1.0
    levels: Mapping[str, Words] = field(default_factory=dict)

    @property
    def is_category(self) -> bool:
        """Whether its values are groups."""
        return isinstance(self.verb, Regroup)

    @property
    def is_flag(self) -> bool:
        """Whether its values are 0 and 1."""
        return isinstance(self.verb, Flag)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of a category; none of a number."""
        return self.verb.levels if isinstance(self.verb, Regroup) else ()


@dataclass(frozen=True)
class EncodedFeature:
    """One column the model sees: a number as it is, or a category's indicator (1 where the customer is in it).

    Attributes:
        name: Column name, e.g. ``tariff_basic``.
        source: The column of `features` it is made from.
        category: The category it indicates, or None for a number.
    """

    name: str
    source: str
    category: str | None = None


@dataclass(frozen=True)
class Limit:
    """Beyond it a customer is left out.

    Attributes:
        on: The column or feature.
        of_feature: Which of the two.
        reason: A code, as in `rejected_customers.reason`.
        meaning: The reason in words.
        detail: A sentence about a row; `{name}` stands for a column's value, `{limit}` and `{as_of}` for those.
        maximum: The greatest value that is left in.
        until_as_of: Whether no date, or year, after the as-of date is left in.
    """

    on: str
    of_feature: bool
    reason: str
    meaning: str
    detail: str
    maximum: float | None = None
    until_as_of: bool = False


@dataclass(frozen=True)
class Composition:
    """What a feature is the sum of.

    Attributes:
        of: The feature.
        parts: Its columns, and what people call each.
        title: What people call the parts together, as a heading; empty where the recipe has no word for them.
    """

    of: str
    parts: Mapping[str, str]
    title: str = ""


@dataclass(frozen=True)
class Business:
    """Which features are what the business speaks of; nothing where there is no such thing.

    Attributes:
        worth: What a customer is worth: clusters are numbered by it, and segments compared. None where nothing tells
            it: clusters are numbered by their sizes.
        means: What a customer could spend.
        recency: Days since something last happened.
        tenure: Days since the customer came.
        discounts: Purchases made with a discount.
        composition: What worth is made of.
        channels: Where customers buy: features, and for each what it is called and how one buys there.
        household: Who lives with the customer: `partner`, a group of a category, and `children`, a feature.
    """

    worth: str | None = None
    means: str | None = None
    recency: str | None = None
    tenure: str | None = None
    discounts: str | None = None
    composition: Composition | None = None
    channels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    household: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """What is made of the columns of a contract.

    Attributes:
        name: Its name.
        features: The columns of the table `features`, but for the key, in order.
        business: Which of them the business speaks of.
        newest: The column whose newest date an export is counted to; None if its rows tell no day.
        as_of: The rule that finds the day, in the words of the setting of that name.
        impute: Columns whose missing values the median stands for.
        filled: Columns whose missing values another value stands for, and that value.
        refused: Columns without whose values a customer is refused, though the contract lets them be missing.
        unknown: Columns with the numbers that stand for unknown in them: such a value counts as missing.
        segments: How many segments there shall be; None where the data choose.
        fences: A number that lies so many times as far from the median as most customers do counts as lying there;
            None where every number counts as it is.
        sensitive: Features that segments shall not follow unawares, whether the model sees them or not.
        limits: Beyond these a customer is left out.
        told: What the report compares segments in, in this order: names of columns that the model sees.
        summary: Features whose means stand in the summary of the segments.
        beside: Columns of the contract that stand beside the features where all is told of a customer.
        alike: In what the customers of a segment are alike, within a sentence; empty where the recipe does not say.
        counts_outcomes: Whether the model sees the outcomes, too.
        source: The file it was read from, as plain data.
    """

    name: str
    features: tuple[Feature, ...]
    business: Business
    newest: str | None = None
    as_of: str = DELIVERED
    impute: tuple[str, ...] = ()
    filled: Mapping[str, bool | float | str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    unknown: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    segments: int | None = None
    fences: float | None = None
    sensitive: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    told: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    alike: str = ""
    counts_outcomes: bool = False
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def by_name(self) -> dict[str, Feature]:
        """The features by their names."""
        return {feature.name: feature for feature in self.features}

    @cached_property
    def seen(self) -> tuple[Feature, ...]:
        """What the model sees."""
        roles = ("feature", "outcome") if self.counts_outcomes else ("feature",)
        return tuple(feature for feature in self.features if feature.role in roles)

    @property
    def seen_by(self) -> tuple[tuple[str, Verb, float | None, float], ...]:
        """What the model sees, how each is made, and how it weighs: recipes that agree in it segment by the same."""
        return tuple((feature.name, feature.verb, feature.step, feature.weight) for feature in self.seen)

    def makes_for(self, other: "Recipe") -> bool:
        """Whether a model of another recipe can be asked about the features that this one makes.

        Args:
            other: The other recipe.

        Returns:
            Whether this one makes all that the other shows its model, in the same way.
        """
        made = {(feature.name, feature.verb, feature.step) for feature in self.features}
        return all((feature.name, feature.verb, feature.step) in made for feature in other.seen)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Features that the recipe without outcomes does not show the model."""
        return tuple(feature.name for feature in self.features if feature.role != "feature")

    @property
    def numeric(self) -> tuple[str, ...]:
        """What the model sees as numbers."""
        return tuple(feature.name for feature in self.seen if not feature.is_category)

    @property
    def categorical(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What the model sees one-hot encoded, with the groups of each."""
        return tuple((feature.name, feature.groups) for feature in self.seen if feature.is_category)

    @cached_property
    def encoded(self) -> tuple[EncodedFeature, ...]:
        """The columns the model sees, in order: numbers first, then indicators."""
        indicators = tuple(
            EncodedFeature(indicator_name(source, category), source, category)
            for source, categories in self.categorical
            for category in categories
        )
        return tuple(EncodedFeature(name, name) for name in self.numeric) + indicators

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns the model sees, in order."""
        return tuple(feature.name for feature in self.encoded)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The feature that each of them is from: a category has several."""
        return tuple(feature.source for feature in self.encoded)

    @cached_property
    def factors(self) -> tuple[float, ...]:
        """What each column that the model sees is multiplied by, once standardised, so that features weigh as declared.

        The variances of a feature's columns add up to its weight, however many groups a category has.
        """
        return tuple(
            (feature.weight / max(len(feature.groups), 1)) ** 0.5
            for feature in (self.by_name[one.source] for one in self.encoded)
        )

    @property
    def fenced(self) -> tuple[str, ...]:
        """The numbers among what the model sees that may have fences: of what is 0 or 1 nothing is far out."""
        return tuple(name for name in self.numeric if name in self.measured) if self.fences else ()

    @property
    def completed(self) -> tuple[str, ...]:
        """Columns in which something stands for what is missing."""
        return (*self.impute, *self.filled)

    @cached_property
    def without_outcomes(self) -> "Recipe":
        """The same recipe, whose model sees no outcome."""
        return replace(self, counts_outcomes=False) if self.counts_outcomes else self

    @cached_property
    def outcomes(self) -> tuple[Feature, ...]:
        """What is compared between segments and must not define them."""
        return tuple(feature for feature in self.features if feature.role == "outcome")

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """Features that have a mean and a median: those of 0s and 1s say nothing that their rate does not."""
        return tuple(feature.name for feature in self.features if not (feature.is_category or feature.is_flag))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Up to two numbers that segments are first looked at by: what the business speaks of, else what is told."""
        spoken_of = [name for name in (self.business.worth, self.business.means) if name]
        others = [name for name in (*self.told, *self.measured) if name in self.measured]
        return tuple(dict.fromkeys(map(self.plain, [*spoken_of, *others])))[:2]

    def plain(self, name: str) -> str:
        """The number that a logarithm is of, where that is a feature, too.

        Args:
            name: A feature.

        Returns:
            That number; of what is no such logarithm the feature itself.
        """
        verb = self.by_name[name].verb
        return verb.of if isinstance(verb, Log) and verb.of in self.measured else name

    def is_uneven(self, name: str) -> bool:
        """Whether a number is one that the recipe takes the logarithm of.

        Args:
            name: The feature.

        Returns:
            True where few customers have most of it, so that it is drawn on a logarithmic scale.
        """
        return any(isinstance(feature.verb, Log) and feature.verb.of == name for feature in self.features)

    @cached_property
    def rates(self) -> dict[str, str]:
        """The features of 0s and 1s, by the name of their rate, outcomes first."""
        flags = [feature for feature in self.features if feature.is_flag]
        return {feature.rate: feature.name for feature in sorted(flags, key=lambda flag: flag.role != "outcome")}

    @cached_property
    def shares(self) -> tuple[tuple[str, str], ...]:
        """Each category with each of its groups."""
        return tuple((feature.name, group) for feature in self.features for group in feature.groups)

    @cached_property
    def counted(self) -> tuple[str, ...]:
        """What a profile counts the values of."""
        categories = [feature.name for feature in self.features if feature.is_category]
        return (*self.measured, *self.rates.values(), *categories)

    def profiled_as(self, encoded: str) -> str:
        """The column of `profiles` that says how a column that the model sees is in a segment.

        Args:
            encoded: Its name.

        Returns:
            A mean, a rate or a share.
        """
        [one] = [feature for feature in self.encoded if feature.name == encoded]
        if one.category is not None:
            return f"share_{encoded}"
        return self.by_name[encoded].rate if self.by_name[encoded].is_flag else f"mean_{encoded}"

    def words_of(self, encoded: str) -> Words:
        """What people call a column that the model sees.

        Args:
            encoded: Its name.

        Returns:
            The words of the feature, or of the group of a category.
        """
        for one in self.encoded:
            if one.name == encoded:
                feature = self.by_name[one.source]
                return feature.words if one.category is None else feature.levels[one.category]
        raise KeyError(encoded)


def indicator_name(category: str, group: str) -> str:
    """Name of the column that tells whether a customer is in a group of a category.

    Args:
        category: The categorical feature.
        group: The group.

    Returns:
        For example `tariff_basic`.
    """
    return f"{category}_{snake_case(group)}"


def share_name(category: str, group: str) -> str:
    """Name of a group's share, e.g. `share_tariff_basic`.

    Args:
        category: The categorical feature.
        group: The group.

    Returns:
        The column's name.
    """
    return f"share_{indicator_name(category, group)}"
