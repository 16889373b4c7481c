"""From delivered rows to numbers a model can learn from: cleaned, described by features, standardised."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration import contract
from smartcart_pipeline.declaration import recipe as recipes
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.engine import Engine, Frame
from smartcart_pipeline.exports import as_of
from smartcart_pipeline.exports.as_of import find_day
from smartcart_pipeline.orchestration.assets import makes, picture
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE, SYNONYMS
from smartcart_pipeline.orchestration.provenance import trace_delivery
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.report.plots import plot_correlations
from smartcart_pipeline.segmentation import cleaning, moments, placeholders, sampling, scaling
from smartcart_pipeline.segmentation import features as feature_verbs
from smartcart_pipeline.storage.lake import Fitted, Lake


@makes(
    "prepare",
    {
        "cleaned": (as_of, contract, cleaning),
        "rejected_customers": (as_of, contract, cleaning),
        "cleaning_figures": (as_of, contract, cleaning, feature_verbs, placeholders, sampling, scaling),
    },
)
def cleaning_rules(
    context: dg.AssetExecutionContext,
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    declaration: dg.ResourceParam[Declaration],
    raw_customers: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`cleaned`: a customer. `rejected_customers`: a refused line. `cleaning_figures`: what both went by."""
    delivered = trace_delivery(context.instance, lake.path("raw_customers"))
    declaration = declaration.as_delivered(delivered.get(SYNONYMS, {}).values())
    known = cleaning.forget_placeholders(raw_customers, declaration.recipe)
    judged = cleaning.judge_export(known, declaration.contract, engine)
    newest, imputed = declaration.recipe.newest, declaration.recipe.impute
    with naming_the_fault():
        passes = [cleaning.summarise_accepted(judged, newest, name) for name in imputed or (None,)]
        accepted = [engine.rows(each)[0] for each in passes]
        medians = {name: found["median"] for name, found in zip(imputed, accepted, strict=False)}
        customers, causes = accepted[0]["customers"], []
        if not customers or None in medians.values():
            refused = cleaning.reject_customers(judged, None, declaration)
            causes = cleaning.find_causes(refused, declaration, engine.rows)
        cleaning.require_customers(customers, medians, causes, declaration.contract)
        believed, beyond = cleaning.find_newest(engine.rows(cleaning.count_days(judged, newest)) if newest else [])
        found = find_day(
            settings.as_of or declaration.recipe.as_of,
            Path(delivered["export"]),
            date.fromisoformat(delivered["delivered_on"]),
            believed,
            declaration.newest_day,
        )
    day = found.day
    far = cleaning.tell_far_beyond(declaration.newest_day, believed, beyond)
    notes = [note for note in (found.note, far) if note]
    cleaned = cleaning.clean_customers(judged, day, medians, declaration)
    rejected = cleaning.reject_customers(judged, day, declaration)
    maxima = {f"max_{limit.on}": limit.maximum for limit in declaration.recipe.limits if limit.maximum is not None}
    named = {f"{name}_median": median for name, median in medians.items()}
    yield dg.Output(
        cleaned,
        "cleaned",
        metadata={
            "as_of_date": str(day),
            "as_of_found": found.how,
            **named,
            **({NOTE: " ".join(notes)} if notes else {}),
        },
    )
    yield dg.Output(rejected.sort("line_number"), "rejected_customers")
    kept = lake.read("cleaned")
    drawn = engine.keep(sampling.sample_customers(engine, kept, settings.sample_customers, settings.seed))
    fences, fenced = _fence(engine, kept, drawn, declaration)
    suspicious = _tell_placeholders(engine, drawn, declaration)
    figures = {"as_of_date": day, **named, **maxima, **fences, "placeholders": suspicious or None}
    delivered_figures = _name_sources(raw_customers, figures, declaration.recipe)
    yield dg.Output(Fitted([figures], [delivered_figures, *fenced]), "cleaning_figures")


def _name_sources(raw: Frame, figures: Mapping[str, Any], recipe: Recipe) -> Frame:
    """The delivered columns that figures are of, named like them; the recipe alone says what is too much."""
    medians = [nw.col(name).alias(f"{name}_median") for name in recipe.impute]
    maxima = [nw.lit(1).alias(name) for name in figures if name.startswith("max_")]
    return raw.select(nw.col(recipe.newest or KEY).alias("as_of_date"), *medians, *maxima)


def _tell_placeholders(engine: Engine, drawn: Frame, declaration: Declaration) -> str:
    """What stands for unknown in a column of numbers, probably."""
    columns = declaration.contract.by_name
    names = [name for name in declaration.columns_read if columns[name].is_number]
    if not names:
        return ""
    values = engine.array(drawn.select(*placeholders.delivered(names, declaration.recipe)), names)
    counts = {name: np.unique(column, return_counts=True) for name, column in zip(names, values.T, strict=True)}
    found = placeholders.find_placeholders(counts)
    return " ".join(placeholders.tell_placeholder(row, columns[row["column"]].header) for row in found)


def _fence(
    engine: Engine, kept: Frame, drawn: Frame, declaration: Declaration
) -> tuple[dict[str, float | int | None], list[Frame]]:
    """Beyond which numbers a value is far out, by a sample, and how many of all customers have such a value.

    Beside these figures the columns that they are of, named like them; nothing of a recipe without fences.
    """
    recipe = declaration.recipe
    if not recipe.fences or not recipe.fenced:
        return {}, []
    described, sampled = (feature_verbs.describe_customers(each, declaration) for each in (kept, drawn))
    fences = scaling.fit_fences(engine.array(sampled.sort(KEY), recipe.fenced), recipe.fenced, recipe.fences)
    counts = [scaling.beyond(name, each).alias(name) for name, each in fences.items()]
    [beyond] = engine.rows(described.select(*counts)) if counts else [{}]
    figures: dict[str, float | int | None] = {}
    for name in recipe.fenced:
        lower, upper = fences.get(name, (None, None))
        figures |= {f"{name}_lower": lower, f"{name}_upper": upper, f"{name}_beyond": beyond.get(name, 0)}
    return figures, [described.select(*[nw.col(each.rpartition("_")[0]).alias(each) for each in figures])]


@makes("prepare", {"features": (contract, feature_verbs)})
def features(declaration: dg.ResourceParam[Declaration], cleaned: nw.LazyFrame) -> Iterator[dg.Output[Any]]:
    """One row a customer."""
    yield dg.Output(feature_verbs.describe_customers(cleaned, declaration), "features")


@makes(
    "prepare",
    {
        "scaled": (recipes, scaling),
        "scaler": (recipes, moments, scaling),
        "correlations": (recipes, moments, scaling),
    },
)
def standardising(
    engine: dg.ResourceParam[Engine],
    declaration: dg.ResourceParam[Declaration],
    cleaning_figures: nw.LazyFrame,
    features: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`scaled`: one row a customer. `scaler`: one row a feature. `correlations`: one row a pair of features."""
    recipe = declaration.recipe
    names, fences = recipe.names, scaling.read_fences(engine.rows(cleaning_figures)[0], recipe.fenced)
    encoded = scaling.encode_features(features, recipe)
    with naming_the_fault():
        deviations, correlations = engine.fit_scaler(scaling.fence(encoded, fences), names)
    scaler = replace(scaling.weigh(deviations, recipe.factors), fences=fences)
    drawn = apart.start(plot_correlations, correlations, names)
    facts: dict[str, str | int] = {"recipe": recipe.name, "features": len(names)}
    yield dg.Output(scaling.standardise(encoded, scaler), "scaled", metadata=facts)
    yield dg.Output(Fitted(scaler.rows(), [encoded.select(*names)]), "scaler")
    yield dg.Output(
        Fitted(scaling.correlation_rows(correlations, names), [encoded.select(*names)]),
        "correlations",
        metadata={"correlations": picture(drawn.result())},
    )
