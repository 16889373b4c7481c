"""What somebody sees first: what matters in one sentence, six figures, and where to start."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smartcart_pipeline.report.changes import CAUSE_WORDS, count_customers, of_period
from smartcart_pipeline.report.outcomes import Outcome
from smartcart_pipeline.report.reading import Findings
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
class Most:
    """The segment that has an outcome most.

    Attributes:
        segment: The segment.
        outcome: The outcome.
        rate: Its share of the segment.
        is_clear: Whether more of them have it than chance explains.
    """

    segment: Segment
    outcome: Outcome
    rate: Figure
    is_clear: bool


def tell_first(segments: list[Segment], outcomes: list[Outcome], findings: Findings) -> dict[str, Any]:
    """What stands on the first screen.

    Args:
        segments: As the page shows them.
        outcomes: As the page shows them.
        findings: What was read.

    Returns:
        The template's variables of it.
    """
    most = find_most(segments, outcomes[0]) if outcomes else None
    return {
        "gist": tell_gist(segments, findings, most),
        "tiles": list(_tiles(segments, findings, most)),
        "start": _tell_start(segments, findings, most),
    }


def find_most(segments: list[Segment], outcome: Outcome) -> Most | None:
    """Which segment has an outcome most.

    Args:
        segments: As the page shows them.
        outcome: The outcome.

    Returns:
        The segment; None where nobody has it.
    """
    if not outcome.everyone.value:
        return None
    told = list(zip(segments, outcome.answers, strict=True))
    # A few customers may have it most often by chance, where more of a larger segment clearly have it.
    clear = [(segment, answer) for segment, answer in told if answer.low.value > outcome.everyone.value]
    segment, answer = max(clear or told, key=lambda each: each[1].rate.value)
    return Most(segment, outcome, answer.rate, is_clear=bool(clear))


def tell_gist(segments: list[Segment], findings: Findings, most: Most | None) -> Sentence:
    """What matters, in one sentence.

    Args:
        segments: As the page shows them.
        findings: What was read.
        most: From `find_most`; None where there is no outcome.

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
    if most is None or not most.is_clear:
        return (*told, ".")
    return (
        *told,
        f"; of {most.segment.id}, ",
        most.rate,
        f" {most.outcome.share}, against ",
        most.outcome.everyone,
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


def _tiles(segments: list[Segment], findings: Findings, most: Most | None) -> Iterator[Tile]:
    customers = Figure(findings.base["customers"], ",", "profiles.customers")
    largest = _largest(segments)
    yield Tile((customers,), "customers", (f"in {len(segments)} segments",))
    if shares_worth(findings):
        yield from _worth_tiles(segments, findings)
    else:
        yield Tile((largest.share,), f"of them in {largest.id}", (largest.persona,))
    if most and most.is_clear:
        yield Tile(
            (most.rate,), f"of {most.segment.id} {most.outcome.share}", (most.outcome.everyone, " of all customers")
        )
    elif most:
        yield Tile((most.outcome.everyone,), f"of all {most.outcome.share}", ("no segment clearly more",))
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


def _tell_start(segments: list[Segment], findings: Findings, most: Most | None) -> dict[str, Any]:
    """The segment that matters most, why, and what to do for it."""
    recipe = findings.declaration.recipe
    if shares_worth(findings):
        chosen = _most_beyond(segments)
        named = name_worth(recipe)
        why: Sentence = (chosen.worth, f" of all {named} comes from these ", chosen.share, " of the customers.")
    elif recipe.business.worth:
        chosen, richest = _richest(segments, findings)
        why = (f"{capitalise(name_worth(recipe))}: ", *richest, ".")
    elif most and most.is_clear:
        chosen = most.segment
        why = (most.rate, f" of them {most.outcome.share}, against ", most.outcome.everyone, " of all customers.")
    else:
        chosen = _largest(segments)
        why = (chosen.share, " of all customers are in it.")
    return {
        "segment": chosen,
        "why": why,
        "steps": [capitalise(suggestion.do) for suggestion in chosen.suggestions[:STEPS]],
    }
