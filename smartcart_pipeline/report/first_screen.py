"""What somebody sees first: what matters in one sentence, six figures, and where to start."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smartcart_pipeline.declaration.recipe import Feature
from smartcart_pipeline.report.changes import CAUSE_WORDS, count_customers, of_period
from smartcart_pipeline.report.reading import Findings, Row
from smartcart_pipeline.report.segment import Segment
from smartcart_pipeline.report.wording import (
    MILLION,
    WORTH_LESS,
    WORTH_MORE,
    Figure,
    Sentence,
    capitalise,
    enumerate_names,
    measure,
    name_worth,
    response_figure,
    shares_worth,
)

# This many segments are named with their personas; more are told by their ids.
NAMED = 2
# This many suggestions are shown there.
STEPS = 2
THOUSAND = 1_000


@dataclass(frozen=True)
class Tile:
    """One of the figures.

    Attributes:
        value: The figure; a dash where there is none yet.
        label: What it is, to follow after it.
        note: What it is to be held against.
    """

    value: Sentence
    label: str
    note: Sentence = ()


@dataclass(frozen=True)
class Answer:
    """The segment that has an outcome most.

    Attributes:
        segment: The segment.
        share: What those do who have it.
        rate: Its share of the segment.
        everyone: Its share of all customers.
        is_clear: Whether more of them have it than chance explains.
    """

    segment: Segment
    share: str
    rate: Figure
    everyone: Figure
    is_clear: bool


def tell_first(segments: list[Segment], findings: Findings) -> dict[str, Any]:
    """What stands on the first screen.

    Args:
        segments: As the page shows them.
        findings: What was read.

    Returns:
        The template's variables of it.
    """
    has_worth, answer = shares_worth(findings), find_answer(segments, findings)
    return {
        "gist": tell_gist(segments, findings, answer),
        "tiles": list(_tiles(segments, findings, answer)),
        "start": _tell_start(segments, findings, answer, has_worth=has_worth),
    }


def find_answer(segments: list[Segment], findings: Findings) -> Answer | None:
    """Which segment has the recipe's first outcome most.

    Args:
        segments: As the page shows them.
        findings: What was read.

    Returns:
        The answer; None where there is no outcome, or nobody has it.
    """
    outcomes = findings.declaration.recipe.outcomes
    return _answer(segments, outcomes[0], findings) if outcomes else None


def _answer(segments: list[Segment], outcome: Feature, findings: Findings) -> Answer | None:
    rows: dict[str, Row] = {r["segment_id"]: r for r in findings.responses if r["outcome"] == outcome.name}
    everyone = Figure(findings.base[outcome.rate], ".1%", f"profiles.{outcome.rate}")
    if not everyone.value:
        return None
    # A few customers may have it most often by chance, where more of a larger segment clearly have it.
    clear = [segment for segment in segments if rows[segment.id]["rate_low"] > everyone.value]
    best = max(clear or segments, key=lambda segment: float(rows[segment.id]["rate"]))
    return Answer(best, outcome.share, response_figure(rows[best.id], "rate"), everyone, is_clear=bool(clear))


def tell_gist(segments: list[Segment], findings: Findings, answer: Answer | None) -> Sentence:
    """What matters, in one sentence.

    Args:
        segments: As the page shows them.
        findings: What was read.
        answer: From `find_answer`.

    Returns:
        Who is worth most, or whom there are most of; and whom an outcome is most frequent among, where that is clear.
    """
    if shares_worth(findings):
        told = _tell_worth(segments, findings)
    elif findings.declaration.recipe.business.worth:
        richest, why = _richest(segments, findings)
        told = (f"{_name([richest])} has the most {name_worth(findings.declaration.recipe)}: ", *why)
    else:
        told = _tell_largest(segments)
    if answer is None or not answer.is_clear:
        return (*told, ".")
    return (
        *told,
        f"; of {answer.segment.id}, ",
        answer.rate,
        f" {answer.share}, against ",
        answer.everyone,
        " of all.",
    )


def _tell_worth(segments: list[Segment], findings: Findings) -> Sentence:
    named = name_worth(findings.declaration.recipe)
    best = [segment for segment in segments if segment.worth.value >= WORTH_MORE * segment.share.value]
    if all(WORTH_LESS < segment.worth.value / segment.share.value < WORTH_MORE for segment in segments):
        return (f"Each of the {len(segments)} segments brings about as much of all {named} as it has customers",)
    best = best or [_most_beyond(segments)]
    ids = ",".join(segment.id for segment in best)
    customers = Figure(sum(segment.share.value for segment in best), ".0%", f"together.share[{ids}]")
    worth = Figure(sum(segment.worth.value for segment in best), ".0%", f"together.worth[{ids}]")
    have, bring = ("has", "brings") if len(best) == 1 else ("have", "bring")
    return (f"{_name(best)} {have} ", customers, f" of the customers and {bring} ", worth, f" of all {named}")


def _most_beyond(segments: list[Segment]) -> Segment:
    """Who brings most beyond their share: a large segment brings much because it is large."""
    return max(segments, key=lambda segment: segment.worth.value - segment.share.value)


def _richest(segments: list[Segment], findings: Findings) -> tuple[Segment, Sentence]:
    """Who has most of a worth that can be owed, like a balance, so that nobody has a share of it; and how much."""
    of = measure(str(findings.declaration.recipe.business.worth), findings.declaration.recipe)
    richest = max(segments, key=lambda segment: float(segment.profile[of.column]))
    own, everyone = of.read(richest.profile, findings.base, richest.id), of.read(findings.base, findings.base)
    return richest, (own, of.unit, " on average, against ", everyone, " for all customers")


def _tell_largest(segments: list[Segment]) -> Sentence:
    largest = _largest(segments)
    return (f"The largest of {len(segments)} segments, {_name([largest])}, has ", largest.share, " of the customers")


def _name(segments: list[Segment]) -> str:
    if len(segments) > NAMED:
        return enumerate_names([segment.id for segment in segments])
    return enumerate_names([f"{segment.id} ({segment.persona})" for segment in segments])


def _largest(segments: list[Segment]) -> Segment:
    return max(segments, key=lambda segment: segment.customers.value)


def _tiles(segments: list[Segment], findings: Findings, answer: Answer | None) -> Iterator[Tile]:
    customers = Figure(findings.base["customers"], ",", "profiles.customers")
    largest = _largest(segments)
    yield Tile((customers,), "customers", (f"in {len(segments)} segments",))
    if shares_worth(findings):
        yield from _worth_tiles(segments, findings)
    else:
        yield Tile((largest.share,), f"of them in {largest.id}", (largest.persona,))
    if answer and answer.is_clear:
        yield Tile((answer.rate,), f"of {answer.segment.id} {answer.share}", (answer.everyone, " of all customers"))
    elif answer:
        yield Tile((answer.everyone,), f"of all {answer.share}", ("no segment clearly more",))
    if findings.at_risk is not None:
        at_risk = Figure(findings.at_risk, ",", "at_risk_customers.customers")
        yield Tile((at_risk,), "at risk", ("quieter than is usual in their segment",))
    if not findings.declaration.contract.is_numbered:
        yield _moved(findings)


def _worth_tiles(segments: list[Segment], findings: Findings) -> Iterator[Tile]:
    recipe = findings.declaration.recipe
    named, mean = name_worth(recipe), findings.base[f"mean_{recipe.business.worth}"]
    words = recipe.by_name[str(recipe.business.worth)].words
    each = Figure(mean, f",.{words.decimals}f", f"profiles.mean_{recipe.business.worth}")
    total = Figure(mean * findings.base["customers"], _short(mean * findings.base["customers"]), "worth.total")
    yield Tile((total,), named, (each, " for each customer"))
    most = max(segments, key=lambda segment: segment.worth.value)
    yield Tile((most.worth,), f"of it from {most.id}", (most.persona,))


def _short(value: float) -> str:
    """How a sum is written in few letters."""
    return ",.2fM" if value >= MILLION else ",.0f" if value >= THOUSAND else ",.1f"


def _moved(findings: Findings) -> Tile:
    rows = of_period(findings.flows, "night")
    if findings.before is None or not rows:
        return Tile(("—",), "moved to another segment", ("told from the next night on",))
    moved, arrived, left = (
        Figure(count_customers(rows, *causes), ",", f"flows.{what}[night]")
        for what, causes in {"moved": CAUSE_WORDS, "arrived": ("arrived",), "left": ("left",)}.items()
    )
    return Tile(
        (moved,), "moved to another segment", (f"since {rows[0]['since']}; ", arrived, " arrived, ", left, " left")
    )


def _tell_start(
    segments: list[Segment], findings: Findings, answer: Answer | None, *, has_worth: bool
) -> dict[str, Any]:
    """The segment that matters most, why, and what to do for it."""
    recipe = findings.declaration.recipe
    if has_worth:
        chosen = _most_beyond(segments)
        named = name_worth(recipe)
        why: Sentence = (chosen.worth, f" of all {named} comes from these ", chosen.share, " of the customers.")
    elif recipe.business.worth:
        chosen, richest = _richest(segments, findings)
        why = (f"{capitalise(name_worth(recipe))}: ", *richest, ".")
    elif answer and answer.is_clear:
        chosen = answer.segment
        why = (answer.rate, f" of them {answer.share}, against ", answer.everyone, " of all customers.")
    else:
        chosen = _largest(segments)
        why = (chosen.share, " of all customers are in it.")
    return {
        "segment": chosen,
        "why": why,
        "steps": [capitalise(suggestion.do) for suggestion in chosen.suggestions[:STEPS]],
    }
