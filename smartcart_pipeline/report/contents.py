"""What stands on the page: findings put together as the template shows them, pictures as shapes and places."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from smartcart_pipeline.report import charts
from smartcart_pipeline.report.changes import tell_changes
from smartcart_pipeline.report.drawing import look_of
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline.report.wording import (
    REASONS,
    Difference,
    Figure,
    Suggestion,
    advise,
    compare,
    describe_component,
    response_figure,
    share_figure,
    spending_share,
    tell,
)
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.components import NAMES

CONTENTS = (
    ("segments", "The segments"),
    ("income", "Income and spending"),
    ("like", "What each is like"),
    ("sizes", "Sizes"),
    ("changed", "What changed"),
    ("space", "How they lie"),
    ("buying", "Where and what they buy"),
    ("response", "Campaign response"),
    ("do", "What to do"),
    ("rules", "Who belongs where"),
    ("decision", "Tonight's decision"),
    ("drift", "Drift"),
    ("k", "Choice of k"),
    ("algorithms", "Algorithms"),
    ("loadings", "Components"),
    ("quality", "Data quality"),
    ("provenance", "Provenance"),
)
# Where the eye stands that looks at the components.
EYE = (1.3, 1.0, 0.7)
COMPONENTS = tuple(f"Component {number}" for number in range(1, len(NAMES) + 1))

PROVENANCE = {
    "run_id": "Run",
    "export_name": "Export",
    "export_hash": "SHA-256 of the export",
    "as_of_date": "Counted to",
    "as_of_found": "That day is",
    "recipe": "Recipe",
    "fitted_recipe": "Recipe of tonight's fit",
    "code_version": "Version of the code",
    "model_version": "Version of the model",
    "published_at": "Published (UTC)",
}


@dataclass(frozen=True)
class Segment:
    """A segment as the page shows it.

    Attributes:
        number: The number of its colour.
        shape: The shape of its marks.
        profile: Its row of `profiles`.
        differences: From all customers, in every measure.
        suggestions: What to do for it.
        response: Its row of the responses.
        plotted: Its customers among those sampled.
    """

    number: int
    shape: str
    profile: dict[str, Any]
    differences: list[Difference]
    suggestions: list[Suggestion]
    response: dict[str, Any]
    plotted: Rows

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
    def spending(self) -> Figure:
        """Its share of all spending."""
        return spending_share(self.profile)

    @cached_property
    def told(self) -> list[Difference]:
        """What sets it apart most."""
        return tell(self.differences)

    @property
    def rate(self) -> Figure:
        """Share that accepted the last campaign."""
        return response_figure(self.response, "response_rate")

    @property
    def low(self) -> Figure:
        """Lower end of the share's interval."""
        return response_figure(self.response, "rate_low")

    @property
    def high(self) -> Figure:
        """Upper end of the share's interval."""
        return response_figure(self.response, "rate_high")


def put_together(findings: Findings) -> dict[str, Any]:
    """Everything that the template shows.

    Args:
        findings: What was read.

    Returns:
        The template's variables.
    """
    segments = _segments(findings)
    contract, recipe = findings.declaration.contract, findings.declaration.recipe
    meanings = REASONS | {limit.reason: limit.meaning for limit in recipe.limits}
    return {
        **tell_changes(findings),
        "contents": CONTENTS,
        "publication": findings.publication,
        "published": f"{findings.publication['published_at']:%Y-%m-%d %H:%M}",
        "customers": Figure(findings.base["customers"], ",", "profiles.customers"),
        "segments": segments,
        "plotted": findings.plotted,
        "money": _draw_money(segments, findings),
        "counts_outcomes": findings.counts_outcomes,
        "measures": list(zip(*(segment.differences for segment in segments), strict=True)),
        "largest_share": max(max(segment.share.value, segment.spending.value) for segment in segments),
        "space": _draw_space(segments, findings),
        "points": _points(segments),
        "channels": _channels(segments, findings),
        "categories": _categories(segments, findings),
        "everyone": Figure(findings.base["response_rate"], ".1%", "profiles.response_rate"),
        "widest": max(segment.high.value for segment in segments) * 1.05 or 1.0,
        "selected": next(row for row in findings.candidates if row["is_selected"]),
        "candidates": findings.candidates,
        "k_columns": (
            ("inertia", "{:,.0f}"),
            ("silhouette", "{:.3f}"),
            ("stability", "{:.3f}"),
            ("calinski_harabasz", "{:,.0f}"),
            ("davies_bouldin", "{:.3f}"),
            ("smallest_cluster_share", "{:.1%}"),
        ),
        "k_plots": _draw_candidates(findings.candidates),
        "comparison": findings.comparison,
        "comparison_columns": (
            ("silhouette", "{:.3f}"),
            ("calinski_harabasz", "{:,.0f}"),
            ("davies_bouldin", "{:.3f}"),
        ),
        "loadings": _loadings(findings.loadings),
        "rules": findings.rules,
        "rule_columns": (("customers", "{:,}"), ("precision", "{:.0%}"), ("coverage", "{:.0%}")),
        "counts": {
            name: Figure(findings.publication["row_counts"][table], ",", f"counts.{name}")
            for name, table in (("delivered", "raw_customers"), ("kept", "cleaned"), ("refused", "rejected_customers"))
        },
        "imputed": [
            (contract.by_name[name].header, Figure(customers, ",", f"counts.imputed[{name}]"))
            for name, customers in findings.imputed.items()
        ],
        "checks": findings.checks,
        "rejected": [row | {"meaning": meanings[row["reason"]]} for row in findings.rejected],
        "examples": findings.examples,
        "provenance": [
            (label, _plain(findings.publication[name]))
            for name, label in PROVENANCE.items()
            if name in findings.publication
        ],
    }


def _plain(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _segments(findings: Findings) -> list[Segment]:
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
            response,
            plotted[profile["segment_id"]],
        )
        for look, profile, response in zip(looks, findings.profiles, findings.responses, strict=True)
    ]


def _draw_money(segments: list[Segment], findings: Findings) -> dict[str, Any]:
    width, height, recipe = 760, 470, findings.declaration.recipe
    across, upwards = recipe.business.means or recipe.business.worth, recipe.business.worth
    x = charts.axis((row[across] for row in findings.plotted), 74, width - 24, low=0)
    y = charts.axis((row[upwards] for row in findings.plotted), height - 64, 40, low=0)
    paths = [
        charts.marks(((x.place(row[across]), y.place(row[upwards])) for row in segment.plotted), segment.shape, 3.4)
        for segment in segments
    ]
    words = {"across": recipe.by_name[across].words, "upwards": recipe.by_name[upwards].words}
    forms = {"x_form": "{:,.0f}", "y_form": "{:,.0f}"}
    return {"width": width, "height": height, "x": x, "y": y, "paths": paths, **forms, **words}


def _draw_space(segments: list[Segment], findings: Findings) -> dict[str, Any]:
    """The components seen from where the turnable picture is first seen from, each axis as long as the others."""
    width, height, size = 640, 480, 265
    scales = [charts.axis((row[name] for row in findings.plotted), -0.5, 0.5) for name in NAMES]
    see = charts.view(EYE)

    def on_paper(point: Sequence[float]) -> charts.Point:
        right, down = see(point)
        return width / 2 + right * size, height / 2 + 16 + down * size

    def place(row: dict[str, float]) -> charts.Point:
        return on_paper([scale.place(row[name]) for scale, name in zip(scales, NAMES, strict=True)])

    axes = []
    for number, (name, label) in enumerate(zip(NAMES, COMPONENTS, strict=True)):
        ends = [tuple(end if i == number else -0.5 for i in range(len(NAMES))) for end in (-0.5, 0.5, 0.62)]
        origin, far, beyond = map(on_paper, ends)
        of = [row for row in findings.loadings if row["component"] == name]
        explained = Figure(of[0]["explained_variance_ratio"], ".0%", f"loadings.explained_variance_ratio[{name}]")
        axes.append(
            {
                "name": name,
                "label": label,
                "path": charts.line([origin, far]),
                "x": min(max(beyond[0], 60), width - 60),
                "y": beyond[1],
                "explained": explained,
                "meaning": describe_component(of, findings.declaration.recipe),
            }
        )
    paths = [charts.marks(map(place, segment.plotted), segment.shape, 3.2) for segment in segments]
    return {"width": width, "height": height, "axes": axes, "paths": paths}


def _points(segments: list[Segment]) -> dict[str, Any]:
    symbols = [charts.SHAPES[charts.SHAPES.index(segment.shape) % 8] for segment in segments]
    return {
        "eye": EYE,
        "segments": [
            {
                "name": f"{segment.id} {segment.persona}",
                "number": segment.number,
                "symbol": symbol,
                **{
                    axis: [round(row[name], 2) for row in segment.plotted]
                    for axis, name in zip("xyz", NAMES, strict=True)
                },
            }
            for segment, symbol in zip(segments, symbols, strict=True)
        ],
    }


def _in_order(segments: list[Segment], rows: Rows) -> Rows:
    """One row a segment, and the row of all customers last."""
    by_segment = {row["segment_id"]: row for row in rows}
    return [by_segment[segment.id] for segment in segments] + [by_segment[None]]


def _channels(segments: list[Segment], findings: Findings) -> list[dict[str, Any]]:
    business = findings.declaration.recipe.business
    labels = {name: where.capitalize() for name, (_, where) in business.channels.items()}
    if business.discounts:
        labels[business.discounts] = "With a discount"
    return [
        {
            "label": label,
            "figures": [share_figure("channels", row, name) for row in _in_order(segments, findings.channels)],
        }
        for name, label in labels.items()
    ]


def _categories(segments: list[Segment], findings: Findings) -> list[dict[str, Any]]:
    rows = []
    composition = findings.declaration.recipe.business.composition
    for category in composition.parts.values() if composition else ():
        of = _in_order(segments, [row for row in findings.categories if row["category"] == category])
        shares = (share_figure("categories", row, "share_of_spending", category) for row in of)
        means = (share_figure("categories", row, "mean_spending", category) for row in of)
        figures = [(share, Figure(mean.value, ",.0f", mean.source)) for share, mean in zip(shares, means, strict=True)]
        rows.append({"label": category, "figures": figures})
    return rows


def _draw_candidates(candidates: Rows) -> list[dict[str, Any]]:
    return [
        _draw_measures(candidates, "Inertia", ("inertia",), "{:,.0f}"),
        _draw_measures(candidates, "Higher is better", ("silhouette", "stability"), "{:.1f}"),
    ]


def _draw_measures(candidates: Rows, title: str, measures: Sequence[str], form: str) -> dict[str, Any]:
    width, height = 520, 330
    ks = tuple(row["k"] for row in candidates)
    x = charts.Axis(min(ks), max(ks), 74, width - 20, ks)
    known = [[row for row in candidates if row[measure] is not None] for measure in measures]
    values = [row[measure] for rows, measure in zip(known, measures, strict=True) for row in rows]
    # Scores end at 1, inertia wherever it begins.
    y = charts.axis([*values, 1.0], height - 62, 40, low=0)
    lines = []
    for rows, measure, shape in zip(known, measures, charts.SHAPES, strict=False):
        points = [(x.place(row["k"]), y.place(row[measure])) for row in rows]
        lines.append(
            {
                "path": charts.line(points),
                "marks": charts.marks(points, shape, 4),
                "label": measure.capitalize() if len(measures) > 1 else "",
                "x": points[-1][0],
                "y": points[-1][1] - 12,
            }
        )
    forms = {"x_form": "{:.0f}", "y_form": form}
    return {"title": title, "width": width, "height": height, "x": x, "y": y, "lines": lines, **forms}


def _loadings(loadings: Rows) -> list[dict[str, Any]]:
    known = {(row["component"], row["feature"]): row["loading"] for row in loadings}
    features = dict.fromkeys(row["feature"] for row in loadings)
    return [
        {
            "feature": feature,
            "figures": [Figure(known[name, feature], ".2f", f"loadings.loading[{name},{feature}]") for name in NAMES],
        }
        for feature in features
    ]
