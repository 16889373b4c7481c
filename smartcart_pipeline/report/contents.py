"""What stands on the page: findings put together as the template shows them, pictures as shapes and places."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.declaration.tables import feature_columns
from smartcart_pipeline.report import charts
from smartcart_pipeline.report.changes import tell_changes
from smartcart_pipeline.report.first_screen import tell_first
from smartcart_pipeline.report.made import tell_few, tell_made
from smartcart_pipeline.report.outcomes import find_outcomes
from smartcart_pipeline.report.reading import Findings, Row
from smartcart_pipeline.report.results import tell_campaigns
from smartcart_pipeline.report.scatter import draw_scatter
from smartcart_pipeline.report.segment import Segment, find_segments
from smartcart_pipeline.report.sensitive import longest_interval, tell_sensitive
from smartcart_pipeline.report.wording import (
    REASONS,
    Figure,
    Sentence,
    capitalise,
    describe_component,
    enough,
    enumerate_names,
    name_component,
    name_worth,
    share_figure,
    shares_worth,
    shown_words,
)
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.cleaning import tell_where
from smartcart_pipeline.segmentation.components import NAMES

# What stands at the top of every screen: short, and without a word of the trade.
MENU = {
    "segments": "Segments",
    "sizes": "Compare",
    "changed": "Changes",
    "campaigns": "Campaigns",
    "more": "Details",
}
# The sections behind it, in their order, and what each is called in the list of contents of its part; those that a
# declaration names are called by its words.
MORE = {"do": "What to do, and why", "like": "What each is like", "buying": "", "moves": "Who moved"}
DATA_SCIENCE = {
    "made": "What these segments are made of",
    "rules": "Who belongs where",
    "decision": "Tonight's decision",
    "drift": "Drift",
    "k": "Choice of k",
    "algorithms": "Algorithms",
    "space": "How they lie",
    "loadings": "Components",
    "sensitive": "What is sensitive",
    "quality": "Data quality",
    "provenance": "Provenance",
}
# So many of what customers are compared in stand for all of it.
EXAMPLES = 3
# Where the eye stands that looks at the components.
EYE = (1.3, 1.0, 0.7)

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


def put_together(findings: Findings) -> dict[str, Any]:
    """Everything that the template shows.

    Args:
        findings: What was read.

    Returns:
        The template's variables.
    """
    segments = find_segments(findings)
    contract, recipe = findings.declaration.contract, findings.declaration.recipe
    meanings = REASONS | {limit.reason: limit.meaning for limit in recipe.limits}
    sensitive = tell_sensitive(findings)
    told = {
        **tell_changes(findings),
        "against": draw_scatter(segments, findings),
        "buying": _buying(recipe),
        "outcomes": find_outcomes(findings),
        "campaigns": tell_campaigns(findings),
    }
    space = _draw_space(segments, findings)
    return {
        **told,
        **tell_first(segments, told["outcomes"], findings),
        **_contents(told, segments, findings),
        "made": tell_made(findings),
        "sensitive": sensitive,
        "longest_interval": longest_interval(sensitive),
        "alike": recipe.alike or _alike(recipe),
        "worth": name_worth(recipe) if shares_worth(findings) else "",
        "has_typical": any(difference.measure.of for difference in segments[0].differences),
        "has_at_risk": bool(recipe.business.recency and recipe.business.tenure),
        "publication": findings.publication,
        "published": f"{findings.publication['published_at']:%Y-%m-%d %H:%M}",
        "customers": Figure(findings.base["customers"], ",", "profiles.customers"),
        "segments": segments,
        "plotted": findings.plotted,
        "counts_outcomes": findings.counts_outcomes,
        "measures": list(zip(*(segment.differences for segment in segments), strict=True)),
        "longest": max(len(str(it.value)) for segment in segments for it in segment.differences),
        "largest_share": _largest_share(segments, findings),
        "space": space,
        "points": _points(segments) | {"axes": [axis["label"] for axis in space["axes"]]},
        "channels": _channels(segments, findings),
        "parts": _parts(segments, findings),
        "selected": next(row for row in findings.candidates if row["is_selected"]),
        "candidates": findings.candidates,
        "k_columns": (
            ("inertia", "{:,.0f}"),
            ("silhouette", "{:.3f}"),
            ("stability", "{:.3f}"),
            ("calinski_harabasz", "{:,.0f}"),
            ("davies_bouldin", "{:.3f}"),
            ("smallest_cluster_share", "{:.1%}"),
            ("elbow_share", "{:.0%}"),
        ),
        "doubt_columns": (
            ("silhouette", "{:.3f}"),
            ("null_silhouette", "{:.3f}"),
            ("prediction_strength", "{:.2f}"),
            ("recovery", "{:.2f}"),
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
            (
                contract.by_name[name].header,
                Figure(customers, ",", f"counts.imputed[{name}]"),
                "the median" if name in recipe.impute else f"“{recipe.filled[name]}”",
            )
            for name, customers in findings.imputed.items()
        ],
        "fenced": tell_fenced(findings),
        "few": tell_few(findings),
        "checks": findings.checks,
        "rejected": [row | {"meaning": meanings[row["reason"]]} for row in findings.rejected],
        "causes": [(row["cause"], _tell_where(row)) for row in findings.causes],
        "provenance": [
            (label, _plain(findings.publication[name]))
            for name, label in PROVENANCE.items()
            if name in findings.publication
        ],
    }


def _tell_where(cause: Row) -> Sentence:
    told, rows = tell_where(cause), Figure(cause["rows"], ",", f"rejected.rows[{cause['cause']}]")
    return (rows, told.removeprefix(str(rows))) if cause["rows"] > 1 else (told,)


def tell_fenced(findings: Findings) -> list[Sentence]:
    """What lies so far out that it counts as less far out.

    Args:
        findings: What was read.

    Returns:
        A sentence for each number of which some customers' values do.
    """
    recipe, columns = findings.declaration.recipe, feature_columns(findings.declaration)
    return [
        _tell_fenced(name, recipe, columns[name].minimum, findings.cleaning)
        for name in recipe.fenced
        if findings.cleaning[f"{name}_beyond"]
    ]


def _tell_fenced(name: str, recipe: Recipe, least: float | None, cleaning: Row) -> Sentence:
    customers = cleaning[f"{name}_beyond"]
    have, count = ("customer has", "counts") if customers == 1 else ("customers have", "count")
    who: Sentence = (
        f"{shown_words(name, recipe).label}: ",
        Figure(customers, ",", f"cleaning_figures.{name}_beyond"),
        f" {have} ",
    )
    lower, upper = (_fence_figure(name, side, recipe, cleaning) for side in ("lower", "upper"))
    # Where the contract lets nothing be less, it is told of the one side only.
    if least is not None and cleaning[f"{name}_lower"] <= least:
        return (*who, "more than ", upper, f", and {count} with ", upper, " in tonight's fit.")
    nearer = f", and {count} with the nearer of the two in tonight's fit."
    return (*who, "less than ", lower, " or more than ", upper, nearer)


def _fence_figure(name: str, side: str, recipe: Recipe, cleaning: Row) -> Figure:
    value, source = float(cleaning[f"{name}_{side}"]), f"cleaning_figures.{name}_{side}"
    words = shown_words(name, recipe)
    if words is not recipe.by_name[name].words:
        # Nobody thinks in logarithms.
        value, source = math.expm1(value), f"fences.{name}_{side}"
    decimals = 0 if value.is_integer() else enough(words.decimals, abs(value))
    return Figure(value, f",.{decimals}f", source)


def _plain(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _contents(told: dict[str, Any], segments: list[Segment], findings: Findings) -> dict[str, Any]:
    """The menu, and the lists of contents of what follows: sections that have something to say, and their names."""
    silent = {
        "do": not any(segment.suggestions for segment in segments),
        "buying": not told["buying"],
        "moves": not told["periods"],
        "campaigns": not told["campaigns"],
        "rules": not findings.rules,
        "sensitive": not findings.sensitive,
    }

    def speaking(titles: dict[str, str]) -> list[tuple[str, str]]:
        return [(anchor, title or told[anchor]) for anchor, title in titles.items() if not silent.get(anchor)]

    return {"menu": speaking(MENU), "more": speaking(MORE), "data_science": speaking(DATA_SCIENCE)}


def _alike(recipe: Recipe) -> str:
    """What segments are compared in, for a recipe that does not say it itself."""
    names = list(dict.fromkeys(recipe.words_of(name).named for name in recipe.told)) or ["what is known of them"]
    if len(names) <= EXAMPLES + 1:
        return enumerate_names(names)
    return f"{', '.join(names[:EXAMPLES])} and {len(names) - EXAMPLES} other things"


def _buying(recipe: Recipe) -> str:
    """What the section on channels and composition is called; nothing where the recipe has neither."""
    composition = recipe.business.composition
    if recipe.business.channels:
        return "Where and what they buy" if composition else "Where they buy"
    return f"What {recipe.by_name[composition.of].words.named} is made of" if composition else ""


def _largest_share(segments: list[Segment], findings: Findings) -> float:
    worths = [segment.worth.value for segment in segments] if shares_worth(findings) else []
    return max([segment.share.value for segment in segments] + worths)


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

    axes: list[dict[str, Any]] = []
    for number, name in enumerate(NAMES):
        ends = [tuple(end if i == number else -0.5 for i in range(len(NAMES))) for end in (-0.5, 0.5, 0.62)]
        origin, far, beyond = map(on_paper, ends)
        of = [row for row in findings.loadings if row["component"] == name]
        label = name_component(of, findings.declaration.recipe, taken=[axis["label"] for axis in axes])
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
    labels = {name: capitalise(where) for name, (_, where) in business.channels.items()}
    if labels and business.discounts:
        labels[business.discounts] = "With a discount"
    return [
        {
            "label": label,
            "figures": [share_figure("channels", row, name) for row in _in_order(segments, findings.channels)],
        }
        for name, label in labels.items()
    ]


def _parts(segments: list[Segment], findings: Findings) -> dict[str, Any] | None:
    """What worth is made of: of each part its share and its mean, by segment."""
    recipe = findings.declaration.recipe
    composition = recipe.business.composition
    if composition is None:
        return None
    words, rows = recipe.by_name[composition.of].words, []
    for part in composition.parts.values():
        of = _in_order(segments, [row for row in findings.categories if row["category"] == part])
        shares = (share_figure("categories", row, "share_of_spending", part) for row in of)
        means = (share_figure("categories", row, "mean_spending", part) for row in of)
        form = f",.{words.decimals}f"
        figures = [(share, Figure(mean.value, form, mean.source)) for share, mean in zip(shares, means, strict=True)]
        rows.append({"label": capitalise(part), "figures": figures})
    title = composition.title or f"Parts of {words.named}"
    return {"title": title, "whole": words.named, "unit": f" {words.unit}" if words.unit else "", "rows": rows}


def _draw_candidates(candidates: Rows) -> list[dict[str, Any]]:
    return [
        _draw_measures(candidates, "Inertia", ("inertia",)),
        _draw_measures(candidates, "Higher is better", ("silhouette", "stability")),
    ]


def _draw_measures(candidates: Rows, title: str, measures: Sequence[str]) -> dict[str, Any]:
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
    return {"title": title, "width": width, "height": height, "x": x, "y": y, "lines": lines}


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
