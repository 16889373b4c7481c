"""From delivered rows to numbers a model can learn from: cleaned, described by features, standardised."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration import contract, recipe
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.exports import as_of
from smartcart_pipeline.exports.as_of import find_day
from smartcart_pipeline.orchestration.assets import makes, picture
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.orchestration.provenance import trace_delivery
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.report.plots import plot_correlations
from smartcart_pipeline.segmentation import cleaning, moments, scaling
from smartcart_pipeline.segmentation import features as feature_verbs
from smartcart_pipeline.storage.lake import Fitted, Lake


@makes(
    "prepare",
    {
        "cleaned": (as_of, contract, cleaning),
        "rejected_customers": (as_of, contract, cleaning),
        "cleaning_figures": (as_of, contract, cleaning),
    },
)
def cleaning_rules(
    context: dg.AssetExecutionContext,
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    raw_customers: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`cleaned`: a customer. `rejected_customers`: a refused line. `cleaning_figures`: what both went by."""
    delivered = trace_delivery(context.instance, lake.path("raw_customers"))
    judged = cleaning.judge_export(raw_customers, engine)
    with naming_the_fault():
        accepted = engine.rows(cleaning.summarise_accepted(judged))[0]
        refused = cleaning.reject_customers(judged, None, settings.limits).sort("line_number").head(3)
        cleaning.require_customers(accepted, [] if accepted["customers"] else engine.rows(refused))
        found = find_day(
            settings.as_of,
            Path(delivered["export"]),
            date.fromisoformat(delivered["delivered_on"]),
            accepted["newest_join"],
        )
    day = found.day
    cleaned = cleaning.clean_customers(judged, day, accepted["income_median"], settings.limits)
    rejected = cleaning.reject_customers(judged, day, settings.limits)
    figures = {
        "as_of_date": day,
        "income_median": accepted["income_median"],
        "max_age": settings.max_age,
        "max_income": settings.max_income,
    }
    yield dg.Output(
        cleaned,
        "cleaned",
        metadata={
            "as_of_date": str(day),
            "as_of_found": found.how,
            "income_median": accepted["income_median"],
            **({NOTE: found.note} if found.note else {}),
        },
    )
    yield dg.Output(rejected.sort("line_number"), "rejected_customers")
    yield dg.Output(Fitted([figures], [raw_customers.select("dt_customer", "income")]), "cleaning_figures")


@makes("prepare", {"features": (contract, feature_verbs)})
def features(cleaned: nw.LazyFrame) -> Iterator[dg.Output[Any]]:
    """One row a customer."""
    yield dg.Output(feature_verbs.engineer_features(cleaned), "features")


@makes(
    "prepare",
    {
        "scaled": (recipe, scaling),
        "scaler": (recipe, moments, scaling),
        "correlations": (recipe, moments, scaling),
    },
)
def standardising(
    settings: Settings, engine: dg.ResourceParam[Engine], features: nw.LazyFrame
) -> Iterator[dg.Output[Any]]:
    """`scaled`: one row a customer. `scaler`: one row a feature. `correlations`: one row a pair of features."""
    encoded = scaling.encode_features(features, settings.features)
    names = settings.features.names
    with naming_the_fault():
        scaler, correlations = engine.fit_scaler(encoded, names)
    drawn = apart.start(plot_correlations, correlations, names)
    facts = {"recipe": settings.recipe, "features": len(names)}
    yield dg.Output(scaling.standardise(encoded, scaler), "scaled", metadata=facts)
    yield dg.Output(Fitted(scaler.rows(), [encoded.select(*names)]), "scaler")
    yield dg.Output(
        Fitted(scaling.correlation_rows(correlations, names), [encoded.select(*names)]),
        "correlations",
        metadata={"correlations": picture(drawn.result())},
    )
