"""What puts customers into the segments outside a run: the model as data, and rules that come near it."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.engines import apart, macros
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.orchestration.assets import makes
from smartcart_pipeline.orchestration.assets.segments import read_models
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.segmentation import model, rules, scaling
from smartcart_pipeline.storage.lake import Fitted


@makes("segments", {"segment_model": (model,)})
def segment_model(
    engine: dg.ResourceParam[Engine],
    declaration: dg.ResourceParam[Declaration],
    cleaning_figures: nw.LazyFrame,
    contested_models: nw.LazyFrame,
    profiles: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """One row: the model in force, with tonight's figures and personas."""
    [figures] = engine.rows(cleaning_figures)
    named = profiles.select("segment_id", "persona")
    with naming_the_fault():
        champion = read_models(engine, contested_models)["in_force"]
    gathered = model.bring_up_to_date(champion.model, declaration, figures, engine.rows(named))
    row = {
        "model_version": champion.version,
        "recipe": gathered.features.name,
        "as_of_date": gathered.as_of_date,
        "segments": len(gathered.segment_ids),
        "document": json.dumps(gathered.document()),
    }
    yield dg.Output(
        Fitted([row], [cleaning_figures, contested_models.select("document"), named]),
        "segment_model",
        metadata={"model_version": champion.version},
    )


@makes("segments", {"segment_rules": (rules, macros)})
def segment_rules(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    features: nw.LazyFrame,
    sampled_customers: nw.LazyFrame,
    segment_model: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """One row a rule."""
    [row] = engine.rows(segment_model)
    known = model.read_model(json.loads(row["document"]))
    sample = engine.keep(sampled_customers)
    clusters = model.assign_model(sample, known).select("customer_id", "kmeans_cluster")
    # An outcome must not define a segment, nor the rules for one.
    ruled = known.features.without_outcomes
    labelled = scaling.encode_features(sample, ruled).join(clusters, on="customer_id", how="inner")
    values = engine.array(labelled.sort("customer_id"), [*ruled.names, "kmeans_cluster"])
    fitted = apart.call(rules.fit_rules, values[:, :-1], values[:, -1].astype(int), ruled, settings.seed)
    judged = rules.rule_rows(fitted, engine.rows(rules.count_agreement(features, fitted, known)), known)
    case_sql = macros.case_expression(fitted, known)
    rows = [
        row | {"condition": macros.condition(rule, ruled), "case_sql": case_sql}
        for row, rule in zip(judged, fitted, strict=True)
    ]
    yield dg.Output(
        Fitted(rows, [features, sampled_customers, segment_model.select("document")]),
        "segment_rules",
        metadata={
            "agreement": judged[0]["agreement"],
            "rules": len(rows),
            "case": _code(case_sql),
        },
    )


def _code(sql: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"```sql\n{sql}\n```")
