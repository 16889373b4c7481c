"""Who belongs where, and what each segment is like."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import narwhals as nw
import pyarrow as pa

from smartcart_pipeline.assets import described, out, picture
from smartcart_pipeline.assets.promotion import begin_model
from smartcart_pipeline.engines import Engine
from smartcart_pipeline.plots import plot_components, plot_income_and_spending, plot_sizes
from smartcart_pipeline.resources import Settings, blaming_the_input
from smartcart_pipeline.segmentation import (
    clustering,
    components,
    hysteresis,
    model,
    personas,
    profiling,
    sampling,
    scaling,
    spending,
)
from smartcart_pipeline.segmentation.clustering import Ward
from smartcart_pipeline.segmentation.model import SegmentModel
from smartcart_pipeline.segmentation.promotion import Champion, label_by
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.models import read_champion, read_record
from smartcart_pipeline.tables import CLUSTERS, PLOTTED_CUSTOMERS

Frame = nw.LazyFrame[Any]

# Customers in a scatter plot: enough to see the shape, few enough to see a point.
PLOTTED = 2_000

# A night has been missed when the profiles are older than a day and the time a run may take.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26))


@dg.multi_asset(
    outs={
        "clusters": out("clusters", "segments", sampling, clustering, hysteresis, model),
        "centroids": out("centroids", "segments", model),
        "algorithm_comparison": out("algorithm_comparison", "segments", sampling, clustering),
    }
)
def clustering_customers(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    cleaning_figures: nw.LazyFrame,
    contested_models: nw.LazyFrame,
    fitted_centroids: nw.LazyFrame,
    features: nw.LazyFrame,
    scaler: nw.LazyFrame,
    loadings: nw.LazyFrame,
    pca_components: nw.LazyFrame,
) -> tuple[dg.Output[Any], dg.Output[Any], dg.Output[Any]]:
    """`clusters`: a customer. `centroids`: a segment. `algorithm_comparison`: an algorithm and space."""
    [figures] = engine.rows(cleaning_figures)
    with blaming_the_input():
        in_force = read_models(engine, contested_models)["in_force"].model
        before = read_record(home).before(figures["as_of_date"])
    fit = replace(
        begin_model(settings, figures, engine.rows(scaler), engine.rows(loadings)),
        centroids=engine.array(fitted_centroids.sort("kmeans_cluster"), components.NAMES),
    )
    customers = engine.rows(pca_components.select(nw.len().alias("customers")))[0]["customers"]
    sample = engine.keep(sampling.sample_customers(pca_components, settings.sample_customers, settings.seed))
    ward = _fit_ward(engine, sample, fit, features, settings, customers)

    # One look at all customers serves both: a smaller sample by the same seed is a part of a larger one.
    few = engine.keep(sampling.sample_customers(features, max(settings.comparison_customers, PLOTTED), settings.seed))
    measured = sampling.sample_customers(few, settings.comparison_customers, settings.seed)
    comparison = _compare(engine, measured, fit, ward, {"kmeans": customers, "agglomerative": ward.fitted_customers})
    shown: Any = sampling.sample_customers(few, PLOTTED, settings.seed)
    points = model.place_customers(shown, fit)
    plotted = model.assign_model(shown, in_force).join(points, on="customer_id", how="inner").sort("customer_id")
    previous = lake.read_of(before.run_id, "clusters") if before else None
    placed = _place(features, in_force, fit, ward)
    published = hysteresis.settle_segments(placed, previous, in_force.segment_ids, settings.hysteresis)
    return (
        dg.Output(
            published.select(*CLUSTERS.names),
            metadata={"k": len(in_force.centroids), "components": picture(plot_components(engine.rows(plotted)))},
        ),
        dg.Output(
            Fitted(
                clustering.centroid_rows(in_force.centroids, in_force.segment_ids),
                [contested_models.select("document")],
            )
        ),
        dg.Output(
            Fitted(comparison, [pca_components.select(*components.NAMES), features.drop("customer_id", "response")]),
            metadata={"adjusted_rand_index": comparison[0]["adjusted_rand_index"]},
        ),
    )


@dg.multi_asset(
    outs={
        "plotted_customers": out("plotted_customers", "segments", sampling),
        "category_spending": out("category_spending", "segments", spending),
    }
)
def illustrating(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    clusters: nw.LazyFrame,
    centroids: nw.LazyFrame,
    features: nw.LazyFrame,
    pca_components: nw.LazyFrame,
    cleaned: nw.LazyFrame,
) -> tuple[dg.Output[Any], dg.Output[Any]]:
    """`plotted_customers`: a sampled customer. `category_spending`: a segment and product category."""
    described = features.select("customer_id", "income", "total_spending")
    sample: Any = sampling.sample_customers(described, PLOTTED, settings.seed)
    for beside in (clusters, pca_components):
        sample = sample.join(beside, on="customer_id", how="inner")
    places = engine.rows(centroids)
    members = spending.join_amounts(clusters, cleaned, places)
    rows = spending.category_rows(engine.rows(spending.sum_amounts(members)), places)
    return (
        dg.Output(sample.select(*PLOTTED_CUSTOMERS.names).sort("customer_id")),
        dg.Output(Fitted(rows, [spending.name_sources(members)])),
    )


def read_models(engine: Engine, contested_models: Frame) -> dict[str, Champion]:
    """The models of the night, by their part in it.

    Args:
        engine: Fetches the table.
        contested_models: The table.

    Returns:
        `in_force` and `challenger`; the same where it was promoted.
    """
    return {row["part"]: read_champion(json.loads(row["document"])) for row in engine.rows(contested_models)}


@dg.asset(**described("profiles", "segments", profiling, personas), freshness_policy=FRESHNESS)
def profiles(
    engine: dg.ResourceParam[Engine],
    clusters: nw.LazyFrame,
    centroids: nw.LazyFrame,
    features: nw.LazyFrame,
    plotted_customers: nw.LazyFrame,
) -> dg.Output[Any]:
    """One row a segment."""
    places = engine.rows(centroids)
    members = profiling.join_members(clusters, features, places)
    counts = engine.count_values(members, "kmeans_cluster", profiling.COUNTED)
    base = profiling.summarise_customers(profiling.merge_counts(counts))
    rows = personas.name_segments(profiling.profile_segments(counts, places), base)
    return dg.Output(
        Fitted(rows, [profiling.name_sources(members)]),
        metadata={
            "personas": {row["segment_id"]: row["persona"] for row in rows},
            "income_and_spending": picture(plot_income_and_spending(engine.rows(plotted_customers), rows)),
            "sizes": picture(plot_sizes(rows)),
        },
    )


def _fit_ward(
    engine: Engine, sample: Frame, fit: SegmentModel, features: Frame, settings: Settings, customers: int
) -> Ward:
    """Ward's clusters of a sample, numbered in the canonical order."""
    sample = sampling.sample_customers(sample, settings.ward_customers, settings.seed)
    points = engine.array(sample, components.NAMES)
    k = len(fit.centroids)
    labels = clustering.fit_ward(points, k)
    ward = Ward(clustering.group_means(points, labels, k), len(points))
    if len(points) == customers:
        ids = engine.fetch(sample.select("customer_id")).column("customer_id")
        fitted = engine.frame(pa.table({"customer_id": ids, "ward_label": pa.array(labels, pa.int32())}))
        ward = replace(ward, labels=fitted)
    placed = clustering.label_customers(model.place_customers(features, fit, beside=("total_spending",)), ward)
    order = clustering.canonical_order(engine.rows(clustering.sum_spending(placed, "ward_label")), "ward_label")
    if ward.labels is not None:
        renumbered = clustering.renumber("ward_label", order).alias("ward_label")
        ward = replace(ward, labels=ward.labels.with_columns(renumbered))
    return replace(ward, centres=ward.centres[order])


def _place(features: Frame, in_force: SegmentModel, fit: SegmentModel, ward: Ward) -> Frame:
    """Put customers into segments by the model in force, and into the clusters of both fits of tonight."""
    nearest = {"kmeans_label": fit.centroids} | ({"ward_label": ward.centres} if ward.labels is None else {})
    labelled = label_by(features, fit, nearest)
    if ward.labels is not None:
        labelled = labelled.join(ward.labels, on="customer_id", how="inner")
    placed = model.assign_model(labelled, in_force, beside=("kmeans_label", "ward_label")).drop("kmeans_cluster")
    return placed.rename({"kmeans_label": "kmeans_cluster", "ward_label": "agglomerative_cluster"})


def _compare(
    engine: Engine, few: Frame, fit: SegmentModel, ward: Ward, fitted_customers: dict[str, int]
) -> list[dict[str, Any]]:
    """Hold both fits of tonight against each other, on the components and on all standardised features."""
    names = fit.features.names
    placed = clustering.nearest_centroid(model.place_customers(few, fit), fit.centroids, "kmeans_label")
    scaled = scaling.standardise(scaling.encode_features(few, fit.features), fit.scaler)
    measured = clustering.label_customers(placed, ward).join(scaled, on="customer_id", how="inner").sort("customer_id")
    values = engine.array(measured, [*components.NAMES, *names, "kmeans_label", "ward_label"])
    dimensions = len(components.NAMES)
    return clustering.compare_algorithms(
        spaces={"pca_components": values[:, :dimensions], "scaled": values[:, dimensions:-2]},
        algorithms={"kmeans": values[:, -2].astype(int), "agglomerative": values[:, -1].astype(int)},
        fitted_customers=fitted_customers,
    )
