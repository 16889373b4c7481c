"""Tonight's fit against the model in force: which of the two customers are put into segments by, and why."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.orchestration.assets import NIGHT_TAG, makes
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.provenance import trace_delivery
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.segmentation import Rows, clustering, components, contest, drift, gate, identity
from smartcart_pipeline.segmentation.contest import (
    Outcome,
    Tonight,
    begin_model,
    hold_contest,
    require_same_key,
    require_same_recipe,
)
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.models import (
    PublishedNight,
    champion_document,
    read_record,
    read_request,
    read_version,
)
from smartcart_pipeline.storage.nights import find_compared, kept_rows

VERBS = (contest, clustering, drift, identity, gate)


@makes(
    "model",
    {
        "promotion_decisions": VERBS,
        "contested_models": VERBS,
        "fitted_centroids": VERBS,
        "feature_drift": VERBS,
        "segment_events": VERBS,
    },
)
def promoting(
    context: dg.AssetExecutionContext,
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    declaration: dg.ResourceParam[Declaration],
    cleaning_figures: nw.LazyFrame,
    features: nw.LazyFrame,
    scaler: nw.LazyFrame,
    loadings: nw.LazyFrame,
    pca_components: nw.LazyFrame,
    sampled_customers: nw.LazyFrame,
    k_selection: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """Five tables: the models, tonight's fit, and the reasons."""
    [figures] = engine.rows(cleaning_figures)
    as_of = figures["as_of_date"]
    content_hash = trace_delivery(context.instance, lake.path("raw_customers"))["content_hash"]
    with naming_the_fault():
        record = read_record(home, recover=True)
        champion = read_version(home, record, record.last.version) if record.last else None
        requested = read_request(home, record)
        if champion:
            require_same_key(champion, declaration)
        if requested:
            require_same_recipe(requested.champion, declaration.recipe)
    compared = find_compared(lake, record, as_of, content_hash)
    tonight = Tonight(
        night=len(record.nights) + 1,
        features=features,
        points=pca_components,
        sample=engine.keep(sampled_customers),
        candidates=engine.rows(k_selection),
        fit=begin_model(declaration, figures, engine.rows(scaler), engine.rows(loadings)),
        previous=lake.read_of(compared.run_id, "clusters") if compared else None,
        is_newest=record.is_newest(as_of),
        seed=settings.seed,
    )
    outcome = hold_contest(engine, tonight, champion, record.named, settings.gate, requested)
    context.instance.add_run_tags(context.run.run_id, {NIGHT_TAG: f"{tonight.night}, {as_of}"})
    dated = {"night": tonight.night, "as_of_date": as_of}
    told = {"is_promoted": outcome.decision.promoted, "verdict": outcome.decision.verdict}
    version = {"model_version": outcome.in_force.version}
    held_against = {"model_version": champion.version if champion else outcome.in_force.version}

    def so_far(name: str, tonights: Rows, facts: dict[str, Any]) -> Rows:
        return [*kept_rows(lake, record, name), *({**dated, **facts, **row} for row in tonights)]

    seen = [features, pca_components.select(*components.NAMES)]
    yield dg.Output(
        Fitted(_model_rows(outcome, compared), seen),
        "contested_models",
        metadata={
            "in_force": outcome.in_force.version,
            "why": outcome.decision.verdict,
        },
    )
    yield dg.Output(Fitted(_centroid_rows(outcome.fitted), seen), "fitted_centroids")
    yield dg.Output(
        Fitted(so_far("promotion_decisions", outcome.decision.criteria, told), seen),
        "promotion_decisions",
        metadata={
            "promoted": outcome.decision.promoted,
            "why": outcome.decision.verdict,
            "challenger": outcome.challenger.version,
            # By another setting neither side is asked.
            **(_sides(outcome.decision.criteria) if settings.refit == "auto" else {}),
        },
    )
    drifted = Fitted(so_far("feature_drift", outcome.drift, held_against), [sampled_customers])
    yield dg.Output(drifted, "feature_drift")
    yield dg.Output(
        Fitted(so_far("segment_events", outcome.events, version), seen),
        "segment_events",
        metadata={"events": len(outcome.events)},
    )


def _sides(criteria: Rows) -> dict[str, str]:
    """What spoke for tonight's fit and what against it, by name."""
    return {
        "reasons": ", ".join(row["criterion"] for row in criteria if row["role"] == "reason" and row["passed"]),
        "against": ", ".join(row["criterion"] for row in criteria if row["role"] == "safety" and not row["passed"]),
    }


def _model_rows(outcome: Outcome, compared: PublishedNight | None) -> Rows:
    parts = {"in_force": outcome.in_force, "challenger": outcome.challenger}
    return [
        {
            "part": part,
            "model_version": champion.version,
            "origin": champion.origin,
            "named_segments": outcome.named,
            "compared_night": compared.night if compared else None,
            "document": json.dumps(champion_document(champion)),
        }
        for part, champion in parts.items()
    ]


def _centroid_rows(centroids: np.ndarray) -> Rows:
    return [
        {"kmeans_cluster": number} | dict(zip(components.NAMES, map(float, centre), strict=True))
        for number, centre in enumerate(centroids)
    ]
