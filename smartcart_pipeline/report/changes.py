"""What changed since earlier nights, and tonight's decision, in plain words and as a picture of flows."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from smartcart_pipeline.report import charts
from smartcart_pipeline.report.drawing import Band, Block, Flows, Pair, lay_out_flows, look_of
from smartcart_pipeline.report.reading import Findings, Row
from smartcart_pipeline.report.wording import Figure, Sentence, enumerate_names
from smartcart_pipeline.segmentation import Rows

PERIODS = {"night": "Since the night before", "month": "Since a month ago"}
SAME_DAY = "Since the same day was published before"

CAUSE_WORDS = {
    "customer": "because they live or buy differently now",
    "model": "because the model is another one",
    "borderline": "between two segments that they are about as near to",
}

# What was asked of a challenger, how its figures are written, and on which side of the limit they must be.
CRITERIA = {
    "drifted_features": ("Share of the features that have drifted", ".1%", "at least"),
    "silhouette_gain": ("Silhouette, the challenger's less that of the model in force", ".3f", "at least"),
    "unexplained_customers": ("Share of the customers far from every segment", ".1%", "at least"),
    "stability": ("Stability, adjusted Rand index against refits", ".3f", "at least"),
    "silhouette_loss": ("Silhouette, the challenger's less that of the model in force", ".3f", "at least"),
    "smallest_segment_share": ("Share of the customers in the smallest segment", ".1%", "at least"),
    "relabelled_customers": ("Share of the known customers who would change segment", ".1%", "at most"),
    "newest_night": ("No later night has been published (1 is yes)", ".0f", "at least"),
    "first_model": ("It is the first model (1 is yes)", ".0f", "at least"),
    "declaration": ("The recipe has changed (1 is yes)", ".0f", "at least"),
    "person": ("A person asked for it (1 is yes)", ".0f", "at least"),
}
ROLES = {"reason": "reason to change", "safety": "safety"}

# The picture, in units of its own: room for a line of text on a phone, names at either side, bars that hold bands.
WIDTH, MARGIN, BAR = 760, 132, 9
BANDS, ROOM, GAP, LABELLED = 230, 24, 18, 12


@dataclass(frozen=True)
class Place:
    """Where customers come from, or are.

    Attributes:
        id: The segment; None for who is in none.
        label: What it is called.
        figure: Its customers.
        block: Where it lies in the picture.
    """

    id: str | None
    label: str
    figure: Figure
    block: Block

    @property
    def number(self) -> int | None:
        """The number of its colour."""
        return None if self.id is None else look_of(self.id).colour

    @property
    def mark(self) -> str | None:
        """Its mark, as an SVG path."""
        return None if self.id is None else f"M0 0{charts.mark(charts.SHAPES[look_of(self.id).shape], 5.5)}"

    @property
    def y(self) -> float:
        """Where its block has its middle."""
        return self.block.top + self.block.height / 2


@dataclass(frozen=True)
class Flow:
    """A band of the picture.

    Attributes:
        band: Where it lies.
        figure: Its customers.
        path: Its middle line, as an SVG path.
        told: What its title says.
    """

    band: Band
    figure: Figure
    path: str
    told: str

    @property
    def number(self) -> int:
        """The number of its colour: that of the segment its customers come from, or arrive in."""
        return look_of(self.band.start or self.band.end or "").colour

    @property
    def written(self) -> str:
        """What stands at its start."""
        return f"{self.figure} {self.band.whither}"


@dataclass(frozen=True)
class Period:
    """What happened since an earlier night.

    Attributes:
        name: `night` or `month`.
        title: How long ago that is, in words.
        since: Its as-of date.
        told: How many stayed, moved, arrived and left.
        flows: The bands of the picture.
        before: Where customers came from.
        after: Where they are.
        height: Of the picture.
        matrix: Customers by where they were (rows) and are (columns), None where there can be none.
    """

    name: str
    title: str
    since: date
    told: Sentence
    flows: list[Flow]
    before: list[Place]
    after: list[Place]
    height: float
    matrix: list[list[Figure | None]]


def tell_changes(findings: Findings) -> dict[str, Any]:
    """What the page says of tonight against earlier nights.

    Args:
        findings: What was read.

    Returns:
        The template's variables of these sections.
    """
    return {
        "headline": tell_night(findings),
        "events": tell_events(findings.events) if findings.before else [],
        "replaced": tell_replaced(findings),
        "periods": [
            _tell_period(name, title, rows)
            for name, title in _titles(findings).items()
            if (rows := of_period(findings.flows, name))
        ],
        "flow_picture": {"width": WIDTH, "start": MARGIN, "end": WIDTH - MARGIN, "bar": BAR},
        "night": findings.night,
        "criteria": [_tell_criterion(row) for row in findings.decision],
        "drift": [_tell_drift(row) for row in findings.drift],
        "drifted": tell_drift(findings.drift),
    }


def tell_night(findings: Findings) -> str:
    """Whether the segments are still the same.

    Args:
        findings: What was read.

    Returns:
        A sentence.
    """
    if findings.before is None:
        return (
            "No earlier day has been published, so there is nothing to compare with yet: from the next night on, this "
            "says who stayed, moved, arrived and left."
        )
    now, before = findings.night["model_version"], findings.before["model_version"]
    if findings.night["is_promoted"]:
        same = all(row["event"] == "continued" for row in findings.events)
        return f"{'The segments are the same, but' if same else 'The segments have changed:'} {now} is their new model."
    then = "when the same day was published before" if _replaces(findings) else "the night before"
    if now == before:
        return f"The segments are the same as {then}: their model, {now}, has not changed."
    return f"The segments are those of the model in force, {now}; {then}, they were those of {before}."


def tell_replaced(findings: Findings) -> str:
    """Whether tonight takes the place of another night.

    Args:
        findings: What was read.

    Returns:
        Two sentences; nothing where it does not.
    """
    if not _replaces(findings):
        return ""
    number, day = findings.night["replaces_night"], findings.night["as_of_date"]
    return (
        f"Tonight takes the place of night {number}: both are counted to {day}, and their exports differ. What changed "
        "is told against it."
    )


def tell_events(events: Rows) -> list[Sentence]:
    """What became of each segment.

    Args:
        events: Tonight's rows of `segment_events`.

    Returns:
        A sentence for all that continued, then one for each other.
    """
    continued = [row for row in events if row["event"] == "continued"]
    sentences: list[Sentence] = []
    if continued:
        names = enumerate_names([row["segment_id"] for row in continued])
        least = _event_figure(min(continued, key=lambda row: float(row["share_of_old"])), "share_of_old")
        each = "at least " if len(continued) > 1 else ""
        verb = "continue" if len(continued) > 1 else "continues"
        sentences = [
            (f"{names} {verb}: the new model leaves {each}", least, " of the known customers where they were.")
        ]
    return sentences + [EVENTS[row["event"]](row) for row in events if row["event"] in EVENTS]


def _event_figure(row: Row, column: str) -> Figure:
    form = "," if column == "shared_customers" else ".0%"
    return Figure(row[column], form, f"segment_events.{column}[{row['segment_id']}]")


EVENTS: dict[str, Callable[[Row], Sentence]] = {
    "born": lambda row: (f"{row['segment_id']} is new: most of its customers were in none before, or in several.",),
    "split": lambda row: (
        f"{row['segment_id']} is new, split from {row['other_segment_id']}: ",
        _event_figure(row, "shared_customers"),
        " customers, ",
        _event_figure(row, "share_of_old"),
        f" of {row['other_segment_id']}, are in it.",
    ),
    "merged": lambda row: (
        f"{row['segment_id']} is no more: it was merged into {row['other_segment_id']}, with ",
        _event_figure(row, "share_of_old"),
        " of its customers.",
    ),
    "retired": lambda row: (f"{row['segment_id']} is no more: its customers went to several segments.",),
}


def of_period(flows: Rows, name: str) -> Rows:
    """The flows since one earlier night.

    Args:
        flows: Rows of `segment_migration`.
        name: `night` or `month`.

    Returns:
        Those of that period.
    """
    return [row for row in flows if row["period"] == name]


def count_customers(rows: Rows, *causes: str | None) -> int:
    """Customers of flows with one of some causes.

    Args:
        rows: Rows of `segment_migration`.
        *causes: The causes.

    Returns:
        How many.
    """
    return sum(row["customers"] for row in rows if row["cause"] in causes)


def tell_flows(name: str, rows: Rows) -> Sentence:
    """How many customers stayed, moved and why, arrived and left.

    Args:
        name: The period.
        rows: Its rows of `segment_migration`.

    Returns:
        Two or three sentences.
    """

    def figure(what: str, *causes: str | None) -> Figure:
        return Figure(count_customers(rows, *causes), ",", f"flows.{what}[{name}]")

    moved = figure("moved", None, *CAUSE_WORDS)
    causes = [cause for cause in CAUSE_WORDS if count_customers(rows, cause)]
    why: Sentence = ()
    for cause in causes:
        why += (", " if why else ": ", figure(cause, cause), f" {CAUSE_WORDS[cause]}")
    if len(causes) == 1 and figure(causes[0], causes[0]).value == moved.value:
        why = (f", {'all ' if moved.value > 1 else ''}{CAUSE_WORDS[causes[0]]}",)
    return (
        figure("stayed", "stayed"),
        " customers stayed in their segment. ",
        moved,
        " moved to another",
        *why,
        ". ",
        figure("arrived", "arrived"),
        " arrived, ",
        figure("left", "left"),
        " left.",
    )


def _titles(findings: Findings) -> dict[str, str]:
    return PERIODS | ({"night": SAME_DAY} if _replaces(findings) else {})


def _replaces(findings: Findings) -> bool:
    return findings.night.get("replaces_night") is not None


def _tell_period(name: str, title: str, rows: Rows) -> Period:
    causes: dict[Pair, Counter[str]] = {}
    for row in rows:
        pair = row["from_segment_id"], row["to_segment_id"]
        causes.setdefault(pair, Counter())[row["cause"]] += row["customers"]
    flows = {pair: counted.total() for pair, counted in causes.items()}
    laid = lay_out_flows(flows, BANDS, ROOM, GAP, LABELLED)
    before = [_place(block, f"flows.before[{name},{block.segment or ''}]", "arrived") for block in laid.before]
    after = [_place(block, f"flows.after[{name},{block.segment or ''}]", "left") for block in laid.after]

    def figure(start: str | None, end: str | None) -> Figure:
        return Figure(flows.get((start, end), 0), ",", f"flows.customers[{name},{start or ''},{end or ''}]")

    return Period(
        name=name,
        title=title,
        since=rows[0]["since"],
        told=tell_flows(name, rows),
        flows=_draw_flows(laid, figure, causes),
        before=before,
        after=after,
        height=laid.height,
        matrix=[[figure(a.id, b.id) if a.id or b.id else None for b in after] for a in before],
    )


def _place(block: Block, source: str, nowhere: str) -> Place:
    return Place(block.segment, block.segment or nowhere, Figure(block.customers, ",", source), block)


def _draw_flows(laid: Flows, figure: Callable[..., Figure], causes: dict[Pair, Counter[str]]) -> list[Flow]:
    start, end = MARGIN, WIDTH - MARGIN
    middle = (start + end) / 2
    return [
        Flow(
            band,
            figure(band.start, band.end),
            f"M{start} {band.left:.1f}C{middle:g} {band.left:.1f} {middle:g} {band.right:.1f} {end} {band.right:.1f}",
            _tell_band(band, causes[band.start, band.end]),
        )
        for band in laid.bands
    ]


def _tell_band(band: Band, causes: Counter[str]) -> str:
    """What a band shows: from where, to where, how many, and why."""
    if band.stays:
        return f"{band.customers:,} stayed in {band.start}"
    if band.start is None or band.end is None:
        return f"{band.customers:,} " + (f"arrived in {band.end}" if band.end else f"left {band.start}")
    why = ", ".join(f"{number:,} {CAUSE_WORDS[cause]}" for cause, number in causes.items() if cause)
    return f"{band.customers:,} moved from {band.start} to {band.end}" + (f": {why}" if why else "")


def _tell_criterion(row: Row) -> dict[str, Any]:
    words, form, side = CRITERIA[row["criterion"]]
    return {
        "words": words,
        "role": ROLES[row["role"]],
        "side": side,
        "value": Figure(row["value"], form, f"promotion_decisions.value[{row['criterion']}]"),
        "limit": Figure(row["limit"], form, f"promotion_decisions.limit[{row['criterion']}]"),
        "passed": row["passed"],
    }


def tell_drift(rows: Rows) -> str:
    """How many features have drifted.

    Args:
        rows: Tonight's rows of `feature_drift`.

    Returns:
        A sentence.
    """
    if not rows:
        return "The model was fitted on tonight's customers, so nothing can have drifted from it yet."
    held = f"Against the customers that {rows[0]['model_version']} was fitted on"
    found = [
        f"{len(names)} of {len(rows)} features {verb} ({enumerate_names(names)})"
        for verdict, verb in (("drifted", "drifted much"), ("noticeable", "drifted noticeably"))
        if (names := [row["feature"] for row in rows if row["verdict"] == verdict])
    ]
    return f"{held}, {' and '.join(found) if found else f'none of {len(rows)} features has drifted'}."


def _tell_drift(row: Row) -> dict[str, Any]:
    def figure(column: str) -> Figure:
        return Figure(row[column], ".3f", f"feature_drift.{column}[{row['feature']}]")

    categories = [
        f"{words}: {row[column]}"
        for column, words in (("new_categories", "new"), ("vanished_categories", "vanished"))
        if row[column]
    ]
    return row | {"psi": figure("psi"), "effect": figure("effect"), "categories": "; ".join(categories)}
