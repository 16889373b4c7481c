"""What the numbers mean, in plain words, each with the figure that it rests on.

Rules over numbers: the same numbers give the same words. A sentence is a tuple of texts and figures, so that a page can
show a figure as one and say where in the warehouse it stands.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smartcart_pipeline.declaration.recipe import Advice, Feature, Log, Recipe, Words
from smartcart_pipeline.report.reading import Findings, Row
from smartcart_pipeline.segmentation import Rows


@dataclass(frozen=True)
class Figure:
    """A number on the page.

    Attributes:
        value: The number itself.
        form: How it is written, as a format specification; one that ends with M writes millions.
        source: Where it comes from: `table.column[key]`; without a key it is of all customers.
    """

    value: float
    form: str
    source: str

    def __str__(self) -> str:
        """The number as people read it; nothing is -0."""
        if self.form.endswith("M"):
            return f"{self.value / MILLION:z{self.form[:-1]}}M"
        return format(self.value, self.form if isinstance(self.value, int) else f"z{self.form}")


Sentence = tuple[str | Figure, ...]


@dataclass(frozen=True)
class Measure:
    """Something that a profile measures, and what it means to have more or less of it.

    Attributes:
        column: Its column of `profiles`.
        feature: The feature it is the mean of, as in `scaler`.
        label: What it is called in a table.
        named: What it is called in a sentence.
        more: What a segment does that has more of it than most.
        less: What one does that has less.
        decimals: How many the recipe writes its values with.
        unit: What stands behind a value.
        of: What it is the logarithm of, for what is shown as the number itself; None for what is no logarithm.
        do: What to do for a segment that has much of it, or little.
    """

    column: str
    feature: str
    label: str
    named: str
    more: str
    less: str
    decimals: int
    unit: str
    of: str | None
    do: Advice

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean of numbers; else it is a share of customers."""
        return self.column.startswith("mean_")

    def read(self, row: Row, base: Row, key: str = "") -> Figure:
        """Its figure of a segment, or of all customers.

        Args:
            row: A row with its column.
            base: That of all customers.
            key: The segment, for the source.

        Returns:
            The mean or share; of a logarithm the number that it is of, known as the geometric mean (of 1 and the
            number, less 1): nobody thinks in logarithms.
        """
        value, usual = ((math.expm1(each[self.column]) if self.of else each[self.column]) for each in (row, base))
        # What is next to nothing beside all customers' is written as finely as theirs.
        size = abs(value) if abs(value) * 10 >= abs(usual) else abs(usual)
        if abs(value) >= MILLION:
            # Beside others there is no room for more.
            form = ",.1fM" if abs(value) < MILLION * 100 else ",.0fM"
        elif self.is_mean:
            form = f",.{enough(self.decimals, size)}f"
        else:
            form = f".{enough(self.decimals, 100 * size)}%"
        source = f"typical.{self.feature}" if self.of else f"profiles.{self.column}"
        return Figure(value, form, f"{source}[{key}]" if key else source)


def measures(recipe: Recipe) -> list[Measure]:
    """In what segments are compared.

    Args:
        recipe: Says so, and in which words.

    Returns:
        Measures, in the order of the recipe.
    """
    return [measure(name, recipe) for name in recipe.told]


def measure(name: str, recipe: Recipe) -> Measure:
    """What a profile tells of a column that the model sees.

    Args:
        name: The column.
        recipe: Has the words for it.

    Returns:
        The measure.
    """
    words, own = recipe.words_of(name), recipe.by_name.get(name)
    of = own.verb.of if own is not None and isinstance(own.verb, Log) else None
    shown = words if of is None else shown_words(name, recipe)
    return Measure(
        column=recipe.profiled_as(name),
        feature=name,
        label=f"{shown.label}, typical" if of else words.label,
        named=words.named,
        more=words.more,
        less=words.less,
        decimals=shown.decimals,
        unit=(f" {shown.unit}" if shown.unit else "") + (" typically" if of else ""),
        of=of,
        do=words.do,
    )


def shown_words(name: str, recipe: Recipe) -> Words:
    """What people call a feature: a logarithm is told as the number that it is of.

    Args:
        name: The feature.
        recipe: Has the words for it.

    Returns:
        Its words, or those of the number where that is a feature, too.
    """
    feature = recipe.by_name[name]
    number = recipe.by_name.get(feature.verb.of) if isinstance(feature.verb, Log) else None
    return (number or feature).words


def enough(decimals: int, size: float) -> int:
    """How many decimals a number needs.

    Args:
        decimals: How many it is to have.
        size: How large it is.

    Returns:
        So many; more where it would show as next to nothing.
    """
    return decimals if size == 0 or size >= 10**-decimals else min(math.ceil(-math.log10(size)) + 1, MOST_DECIMALS)


MILLION = 1_000_000
TOLD = 4
# Nearer than this many standard deviations to the mean of all customers, a segment is like everyone.
LIKE_ALL = 0.2

MOST_DECIMALS = 6

# Beside its value, its outcomes and its channel.
MORE = 3
# What is said of a segment must hold for more than this share of its customers.
MAJORITY = 0.5
# What is more than ten times as much is no matter of an index.
LARGEST_INDEX = 1_000
# A segment whose share of spending is so many times its share of customers is worth more than others, or less.
WORTH_MORE, WORTH_LESS = 1.25, 0.8
# A share this many times that of all customers is worth acting on, and one divided by it too.
MARKED = 1.1

NAMED = 5
# An axis is named after so many features at most, in so many letters.
AXIS_NAMES, AXIS_LETTERS = 2, 30

REASONS = {
    "unreadable_value": "a value is not of its column's type",
    "missing_id": "the id is missing",
    "missing_value": "a value is missing",
    "out_of_range": "a number or a length is out of range",
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
    def index(self) -> Figure | None:
        """The segment's value where that of all customers is 100; None where a ratio says nothing."""
        if self.base.value <= 0 or self.value.value < 0:
            return None
        ratio = 100 * self.value.value / self.base.value
        return Figure(ratio, ".0f", f"index.{self.value.source}") if ratio < LARGEST_INDEX else None

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
    return [_compare(each, profile, findings) for each in measures(findings.declaration.recipe)]


def _compare(of: Measure, profile: Mapping[str, Any], findings: Findings) -> Difference:
    return Difference(
        of,
        of.read(dict(profile), findings.base, profile["segment_id"]),
        of.read(findings.base, findings.base),
        # A recipe knows every feature named here, and a scale is never 0.
        (profile[of.column] - findings.base[of.column]) / findings.spread[of.feature],
    )


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

    The value of the segment, its outcomes and its channel are always spoken of, where the recipe names them; then what
    marks it most. Where two segments would get the same advice, each gets more until they differ, as far as their
    numbers do.

    Args:
        findings: What was read.

    Returns:
        Suggestions by segment.
    """
    always = {profile["segment_id"]: list(_always(profile, findings)) for profile in findings.profiles}
    others = {
        profile["segment_id"]: sorted(_candidates(profile, findings), key=lambda suggestion: -suggestion.strength)
        for profile in findings.profiles
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


def _always(profile: Row, findings: Findings) -> Iterator[Suggestion]:
    segment, recipe = profile["segment_id"], findings.declaration.recipe
    if shares_worth(findings):
        yield _value(profile, recipe)
    for outcome in recipe.outcomes:
        if suggestion := _outcome(segment, outcome, findings):
            yield suggestion
    if recipe.business.channels:
        yield _channel(segment, findings)


def shares_worth(findings: Findings) -> bool:
    """Whether there is a worth that segments have shares of: one that can be owed, like a balance, has none.

    Args:
        findings: What was read.

    Returns:
        True where all segments together are worth something, and none less than nothing.
    """
    worth = f"mean_{findings.declaration.recipe.business.worth}"
    means: list[float] = [profile.get(worth, 0.0) for profile in findings.profiles]
    return max(means) > 0 and min(means) >= 0


def name_worth(recipe: Recipe) -> str:
    """What people call what a customer is worth.

    Args:
        recipe: Has the word, where it names a worth.

    Returns:
        The name, within a sentence.
    """
    return recipe.by_name[recipe.business.worth].words.named if recipe.business.worth else ""


def _value(profile: Row, recipe: Recipe) -> Suggestion:
    segment = profile["segment_id"]
    customers = Figure(profile["share"], ".0%", f"profiles.share[{segment}]")
    worth = worth_share(profile)
    ratio = worth.value / customers.value
    if ratio >= WORTH_MORE:
        do = "Look after them first"
    elif ratio <= WORTH_LESS:
        do = "Keep what reaching them costs low"
    else:
        do = "Treat them like the average customer"
    why: Sentence = (customers, " of customers, ", worth, f" of all {name_worth(recipe)}.")
    return Suggestion("value", do, why, abs(ratio - 1))


def worth_share(profile: Mapping[str, Any]) -> Figure:
    """A segment's share of all that customers are worth.

    Args:
        profile: Its row of `profiles`.

    Returns:
        The share, 0 to 1.
    """
    share = profile["spending_share"]
    return Figure(share, ".0%" if share >= 0.01 else ".1%", f"spending_share[{profile['segment_id']}]")


def _outcome(segment: str, outcome: Feature, findings: Findings) -> Suggestion | None:
    rows = [row for row in findings.responses if row["outcome"] == outcome.name]
    answer = next(row for row in rows if row["segment_id"] == segment)
    rate, low, high = (response_figure(answer, name) for name in ("rate", "rate_low", "rate_high"))
    everyone = Figure(findings.base[outcome.rate], ".1%", f"profiles.{outcome.rate}")
    rest: Sentence = (", against ", everyone, " of all customers.")
    words = outcome.words.do
    if low.value > everyone.value:
        do = words.more or f"Find out why more of them {outcome.share}"
    elif high.value < everyone.value:
        do = words.less or f"Find out why fewer of them {outcome.share}"
    elif words.like:
        do = words.like
        rest = ("; the ", everyone, " of all customers lies within it, so they may be like everyone else.")
    else:
        return None
    interval: Sentence = (rate, f" {outcome.share} (95% interval ", low, " to ", high, ")")
    alike = [
        row["segment_id"]
        for row in rows
        if row is not answer and row["rate_low"] <= answer["rate_high"] and row["rate_high"] >= answer["rate_low"]
    ]
    overlap: Sentence = (f" The interval overlaps with that of {enumerate_names(alike)}.",) if alike else ()
    return Suggestion(outcome.name, do, interval + rest + overlap, abs(rate.value - everyone.value))


def response_figure(answer: Mapping[str, Any], name: str, form: str = ".1%") -> Figure:
    """A figure of a segment's outcome.

    Args:
        answer: Its row of the responses.
        name: `responses`, `rate`, `rate_low` or `rate_high`.
        form: How it is written.

    Returns:
        The figure.
    """
    return Figure(answer[name], form, f"responses.{name}[{answer['segment_id']},{answer['outcome']}]")


def _candidates(profile: Row, findings: Findings) -> Iterator[Suggestion]:
    segment = profile["segment_id"]
    candidates = [_discounts(segment, findings), _part(segment, findings)]
    candidates += [_by_measure(difference, profile, findings) for difference in compare(profile, findings)]
    yield from (suggestion for suggestion in candidates if suggestion is not None)


def _by_measure(difference: Difference, profile: Row, findings: Findings) -> Suggestion | None:
    """What to do where a segment has clearly more of a measure, or less, and most of its customers do."""
    of, segment = difference.measure, profile["segment_id"]
    do, told = _do(difference, findings.declaration.recipe)
    if abs(difference.effect) < LIKE_ALL or not do:
        return None
    if of.do.but_less:
        return _but_less(difference, profile, findings)
    why: Sentence = (*told, difference.value, of.unit, ", against ", difference.base, " for all customers")
    if of.is_mean:
        share, held = _majority(difference, segment, findings)
        most, why = share.value, (*why, "; ", share, f" of them {held}.")
    else:
        most, why = difference.value.value if difference.effect > 0 else 1 - difference.value.value, (*why, ".")
    # Half a standard deviation counts like a share that is half as large again.
    return Suggestion(of.feature, do, why, abs(difference.effect) * 0.8) if most > MAJORITY else None


def _majority(difference: Difference, segment: str, findings: Findings) -> tuple[Figure, str]:
    """The share of a segment's customers who have as much as is said of them, or as little; and what they have."""
    of, reached = difference.measure, findings.reached[segment, difference.measure.feature]
    least = of.do.at_least
    if difference.effect > 0:
        share = Figure(reached, ".0%", f"reached.{of.feature}[{segment}]")
        return share, "reach that" if least is None else f"have {least:,g} or more"
    share = Figure(1 - reached, ".0%", f"below.{of.feature}[{segment}]")
    return share, "stay below that" if least is None else f"have fewer than {least:,g}"


def _do(difference: Difference, recipe: Recipe) -> tuple[str, Sentence]:
    """What to do, in the recipe's words or else in plain ones that are true of any table; and how the reason begins."""
    of, business = difference.measure, recipe.business
    known = {
        business.recency: Advice("Remind them of you", "Thank them while it is fresh"),
        business.tenure: Advice("Reward their loyalty", "Welcome them: many are new"),
    }
    own = of.do if of.do.more or of.do.less else known.get(of.feature)
    if own:
        return own.more if difference.effect > 0 else own.less, (f"{difference.words}: ",)
    # Of these the business speaks in other sentences.
    spoken_of = {business.worth, business.means, business.discounts, *business.channels}
    return ("", ()) if of.feature in spoken_of or of.of in spoken_of - {None} else (_plain(difference, recipe), ())


def _plain(difference: Difference, recipe: Recipe) -> str:
    """What to do where nobody has found words for it."""
    of, start = difference.measure, "Choose words and offers for"
    if of.is_mean:
        return f"{start} customers who {uncapitalise(difference.words)}"
    # That most are not in a group, or do not do something, says little of who they are.
    if difference.effect <= 0:
        return ""
    flag = recipe.by_name.get(of.feature)
    return f"{start} customers who {flag.share}" if flag else f"{start} what most have in common: {of.named}"


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
    if discounts is None or not findings.channels:
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


def _part(segment: str, findings: Findings) -> Suggestion | None:
    """The part of the composition that is more of theirs than of others'."""
    recipe = findings.declaration.recipe
    composition = recipe.business.composition
    if composition is None:
        return None
    everyone = {row["category"]: row for row in findings.categories if row["segment_id"] is None}
    own = [row for row in findings.categories if row["segment_id"] == segment]

    def ratio(row: Mapping[str, Any]) -> float:
        return _ratio(row["share_of_spending"], everyone[row["category"]]["share_of_spending"])

    best = max(own, key=ratio)
    if ratio(best) < MARKED:
        return None
    part = best["category"]
    own_share, all_share = (
        share_figure("categories", row, "share_of_spending", part) for row in (best, everyone[part])
    )
    whole = recipe.by_name[composition.of].words.named
    why: Sentence = (own_share, f" of their {whole} goes into {part}, against ", all_share, " for all customers.")
    return Suggestion("part", f"Put {part} in front", why, ratio(best) - 1)


def _but_less(more: Difference, profile: Row, findings: Findings) -> Suggestion | None:
    """More of one number and less of another at once: people look and do not buy."""
    of, segment, recipe = more.measure, profile["segment_id"], findings.declaration.recipe
    less = _compare(measure(str(of.do.but_less), recipe), profile, findings)
    share = Figure(findings.both[segment, of.feature], ".0%", f"both.{of.feature}[{segment}]")
    if more.effect < LIKE_ALL or less.effect > -LIKE_ALL or share.value <= MAJORITY:
        return None
    why: Sentence = (
        f"{more.words}: ",
        more.value,
        more.measure.unit,
        ", against ",
        more.base,
        f" for all customers. {less.words}: ",
        less.value,
        less.measure.unit,
        ", against ",
        less.base,
        ". Both hold for ",
        share,
        " of them.",
    )
    return Suggestion(of.feature, of.do.more, why, more.effect)


def summarise(findings: Findings) -> str:
    """The segments in a few lines.

    Args:
        findings: What was read.

    Returns:
        Markdown, one line a segment: its persona, its size, and what marks it most.
    """
    lines = []
    for profile in findings.profiles:
        marks = ", ".join(uncapitalise(difference.words) for difference in tell(compare(profile, findings)))
        size = f"{profile['customers']:,} customers ({profile['share']:.0%})"
        lines.append(f"- **{profile['segment_id']} {profile['persona']}**, {size}: {marks or 'like all customers'}")
    return "\n".join(lines)


def describe_component(loadings: Rows, recipe: Recipe) -> str:
    """What a component is made of mostly, to follow after its name.

    Args:
        loadings: Its rows of `loadings`.
        recipe: Has the words for them.

    Returns:
        For example "grows with premium and cover, and falls with number of claims".
    """
    strongest = sorted((row for row in loadings if row["loading"]), key=lambda row: -abs(row["loading"]))[:NAMED]
    if not strongest:
        # Of two features there are no three components.
        return "tells nobody apart"
    # Signs are fixed so that the strongest loading of a component is positive.
    grows = [recipe.words_of(row["feature"]).named for row in strongest if row["loading"] > 0]
    falls = [recipe.words_of(row["feature"]).named for row in strongest if row["loading"] < 0]
    return f"grows with {enumerate_names(grows)}" + (f", and falls with {enumerate_names(falls)}" if falls else "")


def name_component(loadings: Rows, recipe: Recipe, taken: Collection[str] = ()) -> str:
    """What a component is called on an axis: what it grows with most.

    Args:
        loadings: Its rows of `loadings`.
        recipe: Has the words for them.
        taken: Names that other components have.

    Returns:
        For example "Premium and cover".
    """
    strongest = sorted((row for row in loadings if row["loading"]), key=lambda row: -abs(row["loading"]))[:AXIS_NAMES]
    names = [recipe.words_of(row["feature"]).named for row in strongest if row["loading"] > 0]
    whole = capitalise(enumerate_names(names or ["nothing more"]))
    name = whole if len(whole) <= AXIS_LETTERS else capitalise(names[0])
    return name if name not in taken else f"{name} ({len(taken) + 1})"


def enumerate_names(names: list[str]) -> str:
    """Names as a sentence lists them.

    Args:
        names: At least one.

    Returns:
        For example "S01, S02 and S03".
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def capitalise(text: str) -> str:
    """A text as a heading: what is written large within it stays so.

    Args:
        text: The text.

    Returns:
        It, with its first letter large.
    """
    return f"{text[:1].upper()}{text[1:]}"


def uncapitalise(text: str) -> str:
    """A heading as part of a sentence.

    Args:
        text: The heading.

    Returns:
        It, with its first letter small, unless it begins with an abbreviation.
    """
    return text if text[1:2].isupper() else f"{text[:1].lower()}{text[1:]}"
