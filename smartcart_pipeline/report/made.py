"""What segments are made of, and how far to believe them: in words for marketing, in figures for data scientists."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smartcart_pipeline.declaration.recipe import Log, Recipe
from smartcart_pipeline.report.reading import Findings, Row
from smartcart_pipeline.report.wording import Figure, Sentence, enumerate_names, shown_words
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.drivers import NAMED, between, find_giveaways
from smartcart_pipeline.segmentation.selection import ENOUGH_CUSTOMERS
from smartcart_pipeline.segmentation.structure import BEYOND_NOISE, GAP, PREDICTED, RECOVERED, is_better

# So many features are told of all segments.
TOLD = 8
# What has less of its differences between two segments does not tell them apart.
LEAST = 0.01

# What each verdict means for who acts on it.
MEANINGS = {
    "natural": "Gaps part them, and other samples of the customers fall into the same: these are kinds of customers "
    "that are there, whoever looks. Plan for each as for a group of its own.",
    "reproducible": "No gaps part them, but other samples of the customers fall into the same. Plan by them, and mind "
    "the borders: customers who stand near one are much like their neighbours on the other side.",
    "constructed": "They are a way to cut the customer base, not groups that were found in it, and another cut may "
    "serve as well. Use them where they help to speak to customers, do not count on their borders, and try what you do "
    "on some customers first.",
}


@dataclass(frozen=True)
class Driver:
    """A feature, and how much of it lies between segments.

    Attributes:
        label: What people call it; a logarithm as the number that it is of.
        is_logarithm: Whether the logarithm is meant, though the label is the number's.
        unseen_as: What it is to the recipe, where the model does not see it; else empty.
        between: How much of its differences lies between the segments, 0 to 1.
        association: Of a category or flag Cramer's V, of which the former is the square; None of a number.
    """

    label: str
    is_logarithm: bool
    unseen_as: str
    between: Figure
    association: Figure | None


@dataclass(frozen=True)
class Pair:
    """Two segments, and what tells them apart.

    Attributes:
        segment_ids: The two.
        drivers: The features that do so most; none where hardly any does.
    """

    segment_ids: tuple[str, str]
    drivers: list[Driver]


def tell_made(findings: Findings) -> dict[str, Any]:
    """What the page says of what the segments are made of.

    Args:
        findings: What was read.

    Returns:
        The template's variables of this section.
    """
    recipe = findings.declaration.recipe
    [in_force] = [row for row in findings.structure if row["is_in_force"]]
    others = [row for row in findings.structure if not row["is_in_force"]]
    return {
        "verdict": tell_verdict(in_force, findings.recovery),
        "few": tell_few(findings),
        "drivers": list(_drivers(findings.drivers, recipe))[:TOLD],
        "giveaways": tell_giveaways(findings),
        "pairs": _pairs(findings.pairs, _unseen(findings.drivers, recipe), recipe),
        "recovery": [
            {
                "segment_id": row["segment_id"],
                "share": Figure(row["recovery"], ".0%", f"segment_recovery.recovery[{row['segment_id']}]"),
                "is_found_again": row["is_found_again"],
            }
            for row in findings.recovery
        ],
        "limits": {"prediction_strength": PREDICTED, "recovery": RECOVERED},
        "recipes": [_tell_recipe(row, recipe) for row in (in_force, *others)],
        "better": [row["recipe"] for row in others if is_better(row, in_force)],
        "no_better": [row["recipe"] for row in others if not is_better(row, in_force)],
        "figures": [_tell_figure(column, (in_force, *others)) for column in FIGURES],
    }


def tell_verdict(row: Row, recovery: Rows) -> tuple[str, str]:
    """How far to believe segments, and what that means for who acts on them.

    Args:
        row: Their row of `structure`.
        recovery: The rows of `segment_recovery`.

    Returns:
        The verdict, which of constructed segments names every doubt, and its meaning.
    """
    lost = [each["segment_id"] for each in recovery if not each["is_found_again"]]
    doubts = {
        "data in which nothing goes together would fall into such segments as well": any(
            not _keeps(row, column) for column in BEYOND
        ),
        "one half of the customers does not tell well enough who is together in the other": not _keeps(
            row, "prediction_strength"
        ),
        f"other samples of the customers do not give {enumerate_names(lost or [''])} again": bool(lost),
    }
    told = [doubt for doubt, holds in doubts.items() if holds]
    why = f": {enumerate_names(told)}" if row["verdict"] == "constructed" and told else ""
    return f"These segments are {row['verdict']}{why}.", MEANINGS[row["verdict"]]


def tell_few(findings: Findings) -> Sentence:
    """Whether there are hardly customers enough.

    Args:
        findings: What was read.

    Returns:
        A sentence; nothing where there are enough.
    """
    customers = findings.base["customers"]
    if customers >= ENOUGH_CUSTOMERS:
        return ()
    few = Figure(customers, ",", "profiles.customers")
    return (few, f" customers are few to find segments among: {ENOUGH_CUSTOMERS} or more are better.")


def _drivers(rows: Rows, recipe: Recipe) -> Iterator[Driver]:
    """Features with anything between the segments, the strongest first; a number and its logarithm are one."""
    unseen = _unseen(rows, recipe)
    told: set[str] = set()
    for row in rows:
        number = _number(row["feature"], recipe)
        if row["association"] > 0 and number not in told:
            told.add(number)
            yield _driver(row, unseen, recipe, "segment_drivers", row["feature"])


def _driver(row: Row, unseen: Mapping[str, str], recipe: Recipe, table: str, key: str) -> Driver:
    name = row["feature"]
    return Driver(
        label=shown_words(name, recipe).label,
        is_logarithm=_is_told_by_logarithm(name, recipe),
        unseen_as=unseen.get(name, ""),
        between=_between(row, key, table),
        association=_association(row, key, table) if row["measure"] == "cramers_v" else None,
    )


def _unseen(rows: Rows, recipe: Recipe) -> dict[str, str]:
    """What the model sees neither as a number nor as its logarithm, and what it is instead."""
    seen = {_number(row["feature"], recipe) for row in rows if row["is_seen"]}
    return {row["feature"]: row["role"] for row in rows if _number(row["feature"], recipe) not in seen}


def _is_told_by_logarithm(name: str, recipe: Recipe) -> bool:
    """Whether a feature is a logarithm that goes by the name of the number; else its own name says so."""
    return _number(name, recipe) != name and _number(name, recipe) in recipe.by_name


def _number(name: str, recipe: Recipe) -> str:
    """The number that a logarithm is of; what is none is itself."""
    verb = recipe.by_name[name].verb
    return verb.of if isinstance(verb, Log) else name


def _between(row: Row, key: str, table: str) -> Figure:
    """How much of a feature's differences lies between segments: what numbers and categories are compared by."""
    share = between(row)
    return Figure(share, ".0%" if share >= LEAST else ".1%", f"{table}.between[{key}]")


def _association(row: Row, key: str, table: str) -> Figure:
    return Figure(row["association"], ".2f", f"{table}.association[{key}]")


def _pairs(rows: Rows, unseen: Mapping[str, str], recipe: Recipe) -> list[Pair]:
    pairs: dict[tuple[str, str], list[Driver]] = {}
    for row in rows:
        pair, name = (row["segment_id"], row["other_segment_id"]), row["feature"]
        told = pairs.setdefault(pair, [])
        driver = _driver(row, unseen, recipe, "segment_pairs", ",".join((*pair, name)))
        if driver.between.value >= LEAST:
            told.append(driver)
    return [Pair(pair, drivers) for pair, drivers in pairs.items()]


def tell_giveaways(findings: Findings) -> list[Sentence]:
    """Which features alone give the segments away, or two of them.

    Args:
        findings: What was read.

    Returns:
        A sentence each, of the few that do so most; and one of how many more there are.
    """
    recipe = findings.declaration.recipe
    by_number: dict[str, Rows] = {}
    for row in find_giveaways(findings.drivers, findings.pairs):
        by_number.setdefault(_number(row["feature"], recipe), []).append(row)
    said: list[Sentence] = [_tell_giveaway(rows, recipe) for rows in by_number.values()]
    more = len(said) - NAMED
    others = f"{more} more {'features do' if more > 1 else 'feature does'} so, too."
    return said[:NAMED] + ([(others,)] if more > 0 else [])


def _tell_giveaway(rows: Rows, recipe: Recipe) -> Sentence:
    strongest, label = rows[0], shown_words(rows[0]["feature"], recipe).label
    if strongest["segment_id"] is None:
        association = _association(strongest, strongest["feature"], "segment_drivers")
        rest = "): whoever picks a segment picks by it, whatever else goes with it."
        return (f"{label} alone gives the segments away (association ", association, rest)
    pair = strongest["segment_id"], strongest["other_segment_id"]
    association = _association(strongest, ",".join((*pair, strongest["feature"])), "segment_pairs")
    others = len({(row["segment_id"], row["other_segment_id"]) for row in rows}) - 1
    further = f", and {others} more {'pairs' if others > 1 else 'pair'}" if others else ""
    return (f"{label} alone tells {' and '.join(pair)} apart (association ", association, f"){further}.")


def _tell_recipe(row: Row, recipe: Recipe) -> dict[str, Any]:
    giveaway = row["giveaway"]
    # Another recipe may make features of which this one has no words.
    label = shown_words(giveaway, recipe).label if giveaway in recipe.by_name else giveaway
    return {
        "name": row["recipe"],
        "state": "in force" if row["is_in_force"] else f"tried on a sample on {row['examined_on']}",
        "segments": Figure(row["segments"], "d", f"structure.segments[{row['recipe']}]"),
        "verdict": row["verdict"],
        "giveaway": label or "none",
    }


# What a data scientist looks at, by column: its name, how it is written, its limit, and whether a row keeps that.
FIGURES: dict[str, tuple[str, str, str, Callable[[Row], bool] | None]] = {
    "silhouette": ("Silhouette over all standardised features", ".3f", "", None),
    "null_silhouette": ("The same where each feature is shuffled by itself: the mean", ".3f", "", None),
    "null_deviation": ("Its standard deviation then", ".4f", "", None),
    "beyond_noise": (
        "Standard deviations between the two",
        ",.1f",
        f"at least {BEYOND_NOISE:.1f}",
        lambda row: row["beyond_noise"] >= BEYOND_NOISE,
    ),
    "on_components": (
        "Silhouette on the components",
        ".3f",
        "above the next",
        lambda row: row["on_components"] > row["null_on_components"],
    ),
    "null_on_components": ("The same where each feature is shuffled by itself: the mean", ".3f", "", None),
    "prediction_strength": (
        "Prediction strength: how well one half of the customers predicts who is together in the other",
        ".2f",
        f"at least {PREDICTED:.2f}",
        lambda row: row["prediction_strength"] >= PREDICTED,
    ),
    "recovery": (
        "Recovery of the least sure segment: mean Jaccard coefficient with refits to bootstrap samples",
        ".2f",
        f"at least {RECOVERED:.2f}",
        lambda row: row["recovery"] >= RECOVERED,
    ),
    "gap": (
        "Gap: customers half way between the two nearest segments, for each around the centre of the lesser one",
        ".2f",
        f"at most {GAP:.2f}",
        lambda row: row["gap"] <= GAP,
    ),
    "sample_customers": ("Customers looked at", ",", "", None),
}
# Noise would give segments as well that miss one of these.
BEYOND = ("beyond_noise", "on_components")


def _keeps(row: Row, column: str) -> bool | None:
    """Whether a row keeps the limit of a figure; None where it has none."""
    holds = FIGURES[column][-1]
    return None if holds is None else holds(row)


def _tell_figure(column: str, rows: Sequence[Row]) -> dict[str, Any]:
    label, form, limit, _ = FIGURES[column]
    values = [
        {"figure": Figure(row[column], form, f"structure.{column}[{row['recipe']}]"), "holds": _keeps(row, column)}
        for row in rows
    ]
    return {"label": label, "limit": limit, "values": values}
