"""What campaigns brought: the verdict on each in words, and the figures that it rests on, by segment."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from smartcart_pipeline.report.reading import Findings, Row
from smartcart_pipeline.report.wording import Figure

ALL = "all"
VERDICTS = {"worth_it": "✓ worth it", "not_worth_it": "✗ not worth it", "too_small": "too small to tell"}
MONEY = ",.2f"


@dataclass(frozen=True)
class Result:
    """What a campaign brought in one segment, or in all.

    Attributes:
        segment_id: The segment, or `all`.
        verdict: Whether it was worth it.
        figures: By column of `campaign_results`; None for what is not known.
    """

    segment_id: str
    verdict: str
    figures: dict[str, Figure | None]


@dataclass(frozen=True)
class Campaign:
    """A campaign that somebody has told the outcomes of.

    Attributes:
        name: Its name.
        found: The verdict in words.
        has_amounts: Whether it is told what customers spent.
        results: Of each segment, and of all of them last.
    """

    name: str
    found: str
    has_amounts: bool
    results: list[Result]


def tell_campaigns(findings: Findings) -> list[Campaign]:
    """What campaigns brought.

    Args:
        findings: What was read.

    Returns:
        The campaigns, by name; none where no outcome was ever told.
    """
    return [_tell(name, list(rows)) for name, rows in groupby(findings.campaigns, key=lambda row: str(row["campaign"]))]


def _tell(name: str, rows: list[Row]) -> Campaign:
    [whole] = [row for row in rows if row["segment_id"] == ALL]
    parts = [row for row in rows if row["segment_id"] != ALL]
    return Campaign(
        name,
        whole["found"],
        whole["treated_amount"] is not None,
        [_result(name, row) for row in (*parts, whole)],
    )


def _result(name: str, row: dict[str, Any]) -> Result:
    forms = {
        "treated": ",",
        "held_out": ",",
        "treated_rate": ".1%",
        "held_out_rate": ".1%",
        "amount_difference": MONEY,
        "amount_low": MONEY,
        "amount_high": MONEY,
        "rate_difference": ".1%",
        "rate_low": ".1%",
        "rate_high": ".1%",
        "cost": ",.0f",
        "net": ",.0f",
    }
    figures = {
        column: None
        if row[column] is None
        else Figure(row[column], form, f"campaign_results.{column}[{name},{row['segment_id']}]")
        for column, form in forms.items()
    }
    return Result(row["segment_id"], VERDICTS[row["verdict"]], figures)
