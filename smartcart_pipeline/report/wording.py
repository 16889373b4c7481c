"""What the numbers mean, in plain words, each with the figure that it rests on.

Rules over numbers: the same numbers give the same words. A sentence is a tuple of texts and figures, so that a page can
show a figure as one and say where in the warehouse it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.segmentation import Rows


@dataclass(frozen=True)
class Figure:
    """A number on the page.

    Attributes:
        value: The number itself.
        form: How it is written, as a format specification.
        source: Where it comes from: `table.column[key]`; without a key it is of all customers.
    """

    value: float
    form: str
    source: str

    def __str__(self) -> str:
        """The number as people read it; nothing is -0."""
        return format(self.value, self.form if isinstance(self.value, int) else f"z{self.form}")


Sentence = tuple[str | Figure, ...]


@dataclass(frozen=True)
class Measure:
    """Something that a profile measures, and what it means to have more or less of it.

    Attributes:
        column: Its column of `profiles`.
        feature: The feature it is the mean of, as in `scaler`.
        label: What it is called in a table.
        more: What a segment does that has more of it than most.
        less: What one does that has less.
        form: How its values are written.
        unit: What stands behind a value.
    """

    column: str
    feature: str
    label: str
    more: str
    less: str
    form: str = ".1f"
    unit: str = ""


def measures(recipe: Recipe) -> list[Measure]:
    """In what segments are compared.

    Args:
        recipe: Says so, and in which words.

    Returns:
        Measures, in the order of the recipe.
    """
    return [_measure(name, recipe) for name in recipe.told]


def _measure(name: str, recipe: Recipe) -> Measure:
    column, words = recipe.profiled_as(name), recipe.words_of(name)
    is_mean = column.startswith("mean_")
    return Measure(
        column=column,
        feature=name,
        label=words.label,
        more=words.more,
        less=words.less,
        form=f",.{words.decimals}f" if is_mean else f".{words.decimals}%",
        unit=f" {words.unit}" if words.unit else "",
    )


TOLD = 4
# Nearer than this many standard deviations to the mean of all customers, a segment is like everyone.
LIKE_ALL = 0.2

# Beside its value, its response and its channel.
MORE = 3
# A segment whose share of spending is so many times its share of customers is worth more than others, or less.
WORTH_MORE, WORTH_LESS = 1.25, 0.8
# A share this many times that of all customers is worth acting on, and one divided by it too.
MARKED = 1.1

NAMED = 5

REASONS = {
    "unreadable_value": "a value is not of its column's type",
    "missing_id": "the id is missing",
    "missing_value": "a value is missing",
    "out_of_range": "a number is out of range",
    "unknown_category": "a value is none of those that the contract lists",
    "repeated_id": "the id stands on an earlier line",
}


@dataclass(frozen=True)
class Difference:
    """How a segment differs from all customers in one measure.

    Attributes:
        measure: The measure.
        value: The segment's mean or share.
        base: That of all customers.
        effect: The difference in standard deviations of all customers.
    """

    measure: Measure
    value: Figure
    base: Figure
    effect: float

    @property
    def index(self) -> Figure:
        """The segment's value where that of all customers is 100."""
        ratio = 100 * self.value.value / self.base.value if self.base.value else 100.0
        return Figure(ratio, ".0f", self.value.source.replace("profiles.", "index.", 1))

    @property
    def weight(self) -> float:
        """How strongly it is coloured, 0 to 60: text must stay readable on it."""
        return min(abs(self.effect), 1.2) * 50

    @property
    def words(self) -> str:
        """The difference in words."""
        return self.measure.more if self.effect > 0 else self.measure.less


@dataclass(frozen=True)
class Suggestion:
    """What to do for a segment, and why.

    Attributes:
        kind: What it is about.
        do: What to do.
        why: The figures that say so.
        strength: How much they say so; 0 is not at all.
    """

    kind: str
    do: str
    why: Sentence
    strength: float


def compare(profile: Mapping[str, Any], findings: Findings) -> list[Difference]:
    """Hold a segment against all customers.

    Args:
        profile: Its row of `profiles`.
        findings: What was read.

    Returns:
        One difference a measure, in the order of `measures`.
    """
    return [
        Difference(
            measure,
            Figure(profile[measure.column], measure.form, f"profiles.{measure.column}[{profile['segment_id']}]"),
            Figure(findings.base[measure.column], measure.form, f"profiles.{measure.column}"),
            # A recipe knows every feature named here, and a scale is never 0.
            (profile[measure.column] - findings.base[measure.column]) / findings.spread[measure.feature],
        )
        for measure in measures(findings.declaration.recipe)
    ]


def tell(differences: list[Difference]) -> list[Difference]:
    """What sets a segment apart most.

    Args:
        differences: From `compare`.

    Returns:
        The four largest differences that are worth telling, the largest first.
    """
    marked = [difference for difference in differences if abs(difference.effect) >= LIKE_ALL]
    return sorted(marked, key=lambda difference: -abs(difference.effect))[:TOLD]


def advise(findings: Findings) -> dict[str, list[Suggestion]]:
    """What to do for each segment, and why.

    The value of the segment, its response and its channel are always spoken of; then what marks it most. Where two
    segments would get the same advice, each gets more until they differ, as far as their numbers do.

    Args:
        findings: What was read.

    Returns:
        Suggestions by segment.
    """
    always = {
        p["segment_id"]: [
            _value(p),
            _response(p["segment_id"], findings),
            _channel(p["segment_id"], findings),
        ]
        for p in findings.profiles
    }
    others = {
        p["segment_id"]: sorted(
            (s for s in _candidates(p, findings) if s is not None), key=lambda suggestion: -suggestion.strength
        )
        for p in findings.profiles
    }
    told = dict.fromkeys(always, MORE)

    def advice(segment: str) -> list[Suggestion]:
        return always[segment] + others[segment][: told[segment]]

    def alike() -> list[str]:
        said = {segment: {suggestion.do for suggestion in advice(segment)} for segment in always}
        return [s for s in said if told[s] < len(others[s]) and any(said[s] == said[o] for o in said if o != s)]

    while segments := alike():
        for segment in segments:
            told[segment] += 1
    return {segment: advice(segment) for segment in always}


def _value(profile: Mapping[str, Any]) -> Suggestion:
    segment = profile["segment_id"]
    customers = Figure(profile["share"], ".0%", f"profiles.share[{segment}]")
    spending = spending_share(profile)
    ratio = spending.value / customers.value
    if ratio >= WORTH_MORE:
        do = "Look after them first"
    elif ratio <= WORTH_LESS:
        do = "Keep what reaching them costs low"
    else:
        do = "Treat them like the average customer"
    return Suggestion("value", do, (customers, " of customers, ", spending, " of all spending."), abs(ratio - 1))


def spending_share(profile: Mapping[str, Any]) -> Figure:
    """A segment's share of all that customers spend.

    Args:
        profile: Its row of `profiles`.

    Returns:
        The share, 0 to 1.
    """
    return Figure(profile["spending_share"], ".0%", f"spending_share[{profile['segment_id']}]")


def _response(segment: str, findings: Findings) -> Suggestion:
    answer = next(row for row in findings.responses if row["segment_id"] == segment)
    rate, low, high = (response_figure(answer, name) for name in ("response_rate", "rate_low", "rate_high"))
    everyone = Figure(findings.base["response_rate"], ".1%", "profiles.response_rate")
    interval: Sentence = (rate, " accepted the last campaign (95% interval ", low, " to ", high, ")")
    if low.value > everyone.value:
        do, rest = "Invite them first to the next campaign", (", ", everyone, " of all customers did.")
    elif high.value < everyone.value:
        do, rest = "Do not repeat the last campaign with them", (", ", everyone, " of all customers did.")
    else:
        do = "Try the next campaign on a sample of them first"
        rest = ("; the ", everyone, " of all customers lies within it, so they may answer like everyone else.")
    alike = [
        row["segment_id"]
        for row in findings.responses
        if row is not answer and row["rate_low"] <= answer["rate_high"] and row["rate_high"] >= answer["rate_low"]
    ]
    overlap: Sentence = (f" The interval overlaps with that of {enumerate_names(alike)}.",) if alike else ()
    return Suggestion("response", do, interval + rest + overlap, abs(rate.value - everyone.value))


def response_figure(answer: Mapping[str, Any], name: str) -> Figure:
    """A figure of a segment's response.

    Args:
        answer: Its row of the responses.
        name: `response_rate`, `rate_low` or `rate_high`.

    Returns:
        The figure.
    """
    return Figure(answer[name], ".1%", f"responses.{name}[{answer['segment_id']}]")


def _candidates(profile: Mapping[str, Any], findings: Findings) -> list[Suggestion | None]:
    differences = {difference.measure.feature: difference for difference in compare(profile, findings)}
    return [
        _discounts(profile["segment_id"], findings),
        _category(profile["segment_id"], findings.categories),
        _web_visits(differences),
        *(_by_measure(differences[name], *words) for name, words in BY_MEASURE.items() if name in differences),
    ]


# What to do where a segment has clearly more of a measure than most, or less.
BY_MEASURE = {
    "living_with_partner": ("Speak to couples", "Speak to people who live alone"),
    "total_children": ("Show products for families with children", "Show products for households without children"),
    "recency": ("Remind them of you", "Thank them while the last purchase is fresh"),
    "customer_tenure_days": ("Reward their loyalty", "Welcome them: many are new"),
    "age": ("Choose pictures and words for older readers", "Choose pictures and words for younger readers"),
}


def _by_measure(difference: Difference, more: str, less: str) -> Suggestion | None:
    if abs(difference.effect) < LIKE_ALL:
        return None
    why: Sentence = (
        f"{difference.words}: ",
        difference.value,
        difference.measure.unit,
        ", against ",
        difference.base,
        " for all customers.",
    )
    # Half a standard deviation counts like a share that is half as large again.
    return Suggestion(
        difference.measure.feature, more if difference.effect > 0 else less, why, abs(difference.effect) * 0.8
    )


def share_figure(table: str, row: Mapping[str, Any], column: str, key: str = "") -> Figure:
    """A share of a row that is of a segment, or of all customers where it names none.

    Args:
        table: What the row is of.
        row: The row.
        column: The share's column.
        key: What else tells the row from others.

    Returns:
        The figure.
    """
    of = ",".join(part for part in (row["segment_id"], key) if part)
    return Figure(row[column], ".0%", f"{table}.{column}[{of}]" if of else f"{table}.{column}")


def _of(rows: Rows, segment: str | None, **key: str) -> dict[str, Any]:
    return next(
        row for row in rows if row["segment_id"] == segment and all(row[name] == value for name, value in key.items())
    )


def _ratio(own: float, everyone: float) -> float:
    return own / everyone if everyone else 1.0


def _channel(segment: str, findings: Findings) -> Suggestion:
    channels = findings.declaration.recipe.business.channels
    own, everyone = _of(findings.channels, segment), _of(findings.channels, None)
    best = max(channels, key=lambda name: _ratio(own[name], everyone[name]))
    if _ratio(own[best], everyone[best]) < MARKED:
        best = max(channels, key=lambda name: own[name])
    ratio = _ratio(own[best], everyone[best])
    place, where = channels[best]
    why: Sentence = (
        share_figure("channels", own, best),
        f" of their purchases are made {where}, against ",
        share_figure("channels", everyone, best),
        " for all customers.",
    )
    return Suggestion("channel", f"Reach them through {place}", why, ratio - 1)


def _discounts(segment: str, findings: Findings) -> Suggestion | None:
    discounts = findings.declaration.recipe.business.discounts
    if discounts is None:
        return None
    own, everyone = _of(findings.channels, segment), _of(findings.channels, None)
    ratio = _ratio(own[discounts], everyone[discounts])
    if 1 / MARKED < ratio < MARKED:
        return None
    do = "Lead with a discount" if ratio > 1 else "Do not lead with a discount"
    why: Sentence = (
        share_figure("channels", own, discounts),
        " of their purchases are made with a discount, against ",
        share_figure("channels", everyone, discounts),
        " for all customers.",
    )
    return Suggestion("discounts", do, why, abs(ratio - 1))


def _category(segment: str, categories: Rows) -> Suggestion | None:
    everyone = {row["category"]: row for row in categories if row["segment_id"] is None}
    own = [row for row in categories if row["segment_id"] == segment]

    def ratio(row: Mapping[str, Any]) -> float:
        return _ratio(row["share_of_spending"], everyone[row["category"]]["share_of_spending"])

    best = max(own, key=ratio)
    if ratio(best) < MARKED:
        return None
    category = best["category"]
    own_share, all_share = (
        share_figure("categories", row, "share_of_spending", category) for row in (best, everyone[category])
    )
    why: Sentence = (own_share, f" of their spending goes into {category}, against ", all_share, " for all customers.")
    return Suggestion("category", f"Put {category} in front", why, ratio(best) - 1)


def _web_visits(differences: Mapping[str, Difference]) -> Suggestion | None:
    """Many visits and few purchases: people look and do not buy."""
    visits, purchases = differences["num_web_visits_month"], differences["num_web_purchases"]
    if visits.effect < LIKE_ALL or purchases.effect > -LIKE_ALL:
        return None
    why: Sentence = (
        visits.value,
        " visits a month and ",
        purchases.value,
        " purchases on the web site, against ",
        visits.base,
        " and ",
        purchases.base,
        " for all customers.",
    )
    return Suggestion("web visits", "Turn their visits to the web site into purchases", why, visits.effect)


def summarise(findings: Findings) -> str:
    """The segments in a few lines.

    Args:
        findings: What was read.

    Returns:
        Markdown, one line a segment: its persona, its size, and what marks it most.
    """
    lines = []
    for profile in findings.profiles:
        marks = ", ".join(difference.words.lower() for difference in tell(compare(profile, findings)))
        size = f"{profile['customers']:,} customers ({profile['share']:.0%})"
        lines.append(f"- **{profile['segment_id']} {profile['persona']}**, {size}: {marks or 'like all customers'}")
    return "\n".join(lines)


def describe_component(loadings: Rows, recipe: Recipe) -> str:
    """What a component is made of mostly, to follow after its name.

    Args:
        loadings: Its rows of `loadings`.
        recipe: Has the words for them.

    Returns:
        For example "grows with spending and income, and falls with visits to the web site".
    """
    strongest = sorted(loadings, key=lambda row: -abs(row["loading"]))[:NAMED]
    # Signs are fixed so that the strongest loading of a component is positive.
    grows = [recipe.words_of(row["feature"]).named for row in strongest if row["loading"] > 0]
    falls = [recipe.words_of(row["feature"]).named for row in strongest if row["loading"] <= 0]
    return f"grows with {enumerate_names(grows)}" + (f", and falls with {enumerate_names(falls)}" if falls else "")


def enumerate_names(names: list[str]) -> str:
    """Names as a sentence lists them.

    Args:
        names: At least one.

    Returns:
        For example "S01, S02 and S03".
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
