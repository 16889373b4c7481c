"""Outcomes: how many customers of each segment have them, and how sure that is."""

from dataclasses import dataclass

from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.report.wording import Figure, capitalise, response_figure


@dataclass(frozen=True)
class Answer:
    """How many customers of a segment have an outcome.

    Attributes:
        responses: How many.
        rate: Their share.
        low: Lower end of the share's interval.
        high: Upper end of it.
    """

    responses: Figure
    rate: Figure
    low: Figure
    high: Figure


@dataclass(frozen=True)
class Outcome:
    """An outcome as the page shows it.

    Attributes:
        name: Its name.
        label: What it is called, as a heading.
        named: The same, at the beginning of a sentence.
        share: What those do who have it.
        everyone: Its share of all customers.
        answers: Of each segment.
    """

    name: str
    label: str
    named: str
    share: str
    everyone: Figure
    answers: list[Answer]

    @property
    def widest(self) -> float:
        """The share at the right end of the picture."""
        return max(answer.high.value for answer in self.answers) * 1.05 or 1.0


def find_outcomes(findings: Findings) -> list[Outcome]:
    """The outcomes that the recipe names, in its order.

    Args:
        findings: What was read.

    Returns:
        Each with the answers of all segments, in order of their ids.
    """
    return [
        Outcome(
            name=outcome.name,
            label=outcome.words.label,
            named=capitalise(outcome.words.named),
            share=outcome.share,
            everyone=Figure(findings.base[outcome.rate], ".1%", f"profiles.{outcome.rate}"),
            answers=[
                Answer(
                    response_figure(row, "responses", ","),
                    *(response_figure(row, name) for name in ("rate", "rate_low", "rate_high")),
                )
                for row in findings.responses
                if row["outcome"] == outcome.name
            ],
        )
        for outcome in findings.declaration.recipe.outcomes
    ]
