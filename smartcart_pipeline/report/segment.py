"""A segment as the page shows it: its colour and mark, how it differs, what to do for it, and how its list is had."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from smartcart_pipeline.report import charts
from smartcart_pipeline.report.drawing import look_of
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.report.wording import Difference, Figure, Suggestion, advise, compare, tell, worth_share
from smartcart_pipeline.segmentation import Rows

# A card shows this many suggestions; the others, and the reasons, stand further down.
ON_A_CARD = 3


@dataclass(frozen=True)
class CustomerList:
    """How the list of a segment's customers is had.

    Attributes:
        how: The command.
        is_audience: Whether it is of an audience; else the home has audiences of its own, and none of the segment.
        file: Where the list lies that was handed out last, within the home; empty where none was.
    """

    how: str
    is_audience: bool = True
    file: str = ""


@dataclass(frozen=True)
class Segment:
    """A segment as the page shows it.

    Attributes:
        number: The number of its colour.
        shape: The shape of its marks.
        profile: Its row of `profiles`.
        differences: From all customers, in every measure.
        suggestions: What to do for it.
        plotted: Its customers among those sampled.
        listed: How its list is had; None where nobody is found again.
    """

    number: int
    shape: str
    profile: dict[str, Any]
    differences: list[Difference]
    suggestions: list[Suggestion]
    plotted: Rows
    listed: CustomerList | None

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.profile["segment_id"])

    @property
    def persona(self) -> str:
        """What people call it."""
        return str(self.profile["persona"])

    @cached_property
    def mark(self) -> str:
        """Its mark, as an SVG path."""
        return f"M0 0{charts.mark(self.shape, 5.5)}"

    @property
    def customers(self) -> Figure:
        """How many customers it has."""
        return Figure(self.profile["customers"], ",", f"profiles.customers[{self.id}]")

    @property
    def share(self) -> Figure:
        """Its share of all customers."""
        return Figure(self.profile["share"], ".0%", f"profiles.share[{self.id}]")

    @cached_property
    def worth(self) -> Figure:
        """Its share of all that customers are worth."""
        return worth_share(self.profile)

    @cached_property
    def told(self) -> list[Difference]:
        """What sets it apart most."""
        return tell(self.differences)

    @property
    def first(self) -> list[Suggestion]:
        """What to do for it first."""
        return self.suggestions[:ON_A_CARD]


def find_segments(findings: Findings) -> list[Segment]:
    """The segments, in order of their ids.

    Args:
        findings: What was read.

    Returns:
        One for each profile.
    """
    advice = advise(findings)
    plotted: dict[str, Rows] = {profile["segment_id"]: [] for profile in findings.profiles}
    for row in findings.plotted:
        plotted[row["segment_id"]].append(row)
    looks = [look_of(profile["segment_id"]) for profile in findings.profiles]
    return [
        Segment(
            look.colour,
            charts.SHAPES[look.shape],
            profile,
            compare(profile, findings),
            advice[profile["segment_id"]],
            plotted[profile["segment_id"]],
            _find_list(profile["segment_id"], findings),
        )
        for look, profile in zip(looks, findings.profiles, strict=True)
    ]


def _find_list(segment: str, findings: Findings) -> CustomerList | None:
    if findings.declaration.contract.is_numbered:
        return None
    if segment not in findings.audiences:
        asked = f"FROM customer_360 WHERE segment_id = '{segment}'"
        return CustomerList(f'smartcart sql "{asked}" --format csv --output {segment}.csv', is_audience=False)
    how = f"smartcart audience export {segment} --output {segment}.csv"
    return CustomerList(how, file=f"audiences/{segment}/current/list.csv" if segment in findings.handed_out else "")
