"""Who belongs where, and what each segment is like."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import dagster as dg
import narwhals as nw
import numpy as np
import pyarrow as pa

from smartcart_pipeline.assets import described, out, picture
from smartcart_pipeline.engines import Engine
from smartcart_pipeline.plots import plot_components, plot_income_and_spending, plot_sizes
from smartcart_pipeline.resources import Settings
from smartcart_pipeline.segmentation import clustering, components, personas, profiling, sampling, spending
from smartcart_pipeline.segmentation.clustering import Ward
from smartcart_pipeline.storage.lake import Fitted
from smartcart_pipeline.tables import CLUSTERS, PLOTTED_CUSTOMERS

Frame = nw.LazyFrame[Any]

# Customers in a scatter plot: enough to see the shape, few enough to see a point.
PLOTTED = 2_000

# A night has been missed when the profiles are older than a day and the time a run may take.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26))


@dg.multi_asset(
    outs={
        "clusters": out("clusters", "segments", sampling, clustering),
        "centroids": out("centroids", "segments", sampling, clustering),
        "algorithm_comparison": out("algorithm_comparison", "segments", sampling, clustering),
    }
)
def clustering_customers(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    k_selection: nw.LazyFrame,
    pca_components: nw.LazyFrame,
    scaled: nw.LazyFrame,
    loadings: nw.LazyFrame,
) -> tuple[dg.Output[Any], dg.Output[Any], dg.Output[Any]]:
    """`clusters`: a customer. `centroids`: a segment. `algorithm_comparison`: an algorithm and space."""
    k = next(row["k"] for row in engine.rows(k_selection) if row["is_selected"])
    customers = engine.rows(pca_components.select(nw.len().alias("customers")))[0]["customers"]
    sample = engine.keep(sampling.sample_customers(pca_components, settings.sample_customers, settings.seed))
    begun = clustering.fit_kmeans(engine.array(sample, components.NAMES), k, settings.seed)
    centres = engine.refine_centroids(pca_components, begun)
    ward = _fit_ward(engine, sampling.sample_customers(sample, settings.ward_customers, settings.seed), k, customers)
    placed = components.project(scaled, components.read_components(engine.rows(loadings)), beside=("total_spending",))
    spending = engine.rows(clustering.sum_spending(_label(placed, centres, ward)))
    centres, ward = _in_canonical_order(spending, centres, ward)

    segment_ids = clustering.number_segments(k)
    place = partial(_place, centres=centres, segment_ids=segment_ids, ward=ward)
    measured = place(sampling.sample_customers(sample, settings.comparison_customers, settings.seed))
    comparison = _compare(
        engine, measured, scaled, settings, {"kmeans": customers, "agglomerative": ward.fitted_customers}
    )
    plotted = engine.rows(place(sampling.sample_customers(sample, PLOTTED, settings.seed)))
    fitted_on = [pca_components.select(*components.NAMES), scaled.select("total_spending")]
    return (
        dg.Output(
            place(pca_components).select(*CLUSTERS.names),
            metadata={"k": k, "components": picture(plot_components(plotted))},
        ),
        dg.Output(Fitted(clustering.centroid_rows(centres, segment_ids), fitted_on)),
        dg.Output(
            Fitted(comparison, [*fitted_on, scaled.select(*settings.features.names)]),
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
    members = spending.join_amounts(clusters, cleaned)
    rows = spending.category_rows(engine.rows(spending.sum_amounts(members)), engine.rows(centroids))
    return (
        dg.Output(sample.select(*PLOTTED_CUSTOMERS.names).sort("customer_id")),
        dg.Output(Fitted(rows, [spending.name_sources(members)])),
    )


@dg.asset(**described("profiles", "segments", profiling, personas), freshness_policy=FRESHNESS)
def profiles(
    engine: dg.ResourceParam[Engine],
    clusters: nw.LazyFrame,
    centroids: nw.LazyFrame,
    features: nw.LazyFrame,
    plotted_customers: nw.LazyFrame,
) -> dg.Output[Any]:
    """One row a segment."""
    members = profiling.join_members(clusters, features)
    counts = engine.count_values(members, "kmeans_cluster", profiling.COUNTED)
    base = profiling.summarise_customers(profiling.merge_counts(counts))
    rows = personas.name_segments(profiling.profile_segments(counts, engine.rows(centroids)), base)
    return dg.Output(
        Fitted(rows, [profiling.name_sources(members)]),
        metadata={
            "personas": {row["segment_id"]: row["persona"] for row in rows},
            "income_and_spending": picture(plot_income_and_spending(engine.rows(plotted_customers), rows)),
            "sizes": picture(plot_sizes(rows)),
        },
    )


def _fit_ward(engine: Engine, sample: Frame, k: int, customers: int) -> Ward:
    points = engine.array(sample, components.NAMES)
    labels = clustering.fit_ward(points, k)
    centres = clustering.group_means(points, labels, k)
    if len(points) < customers:
        return Ward(centres, len(points))
    ids = engine.fetch(sample.select("customer_id")).column("customer_id")
    fitted = engine.frame(pa.table({"customer_id": ids, "ward_label": pa.array(labels, pa.int32())}))
    return Ward(centres, len(points), fitted)


def _label(points: Frame, centres: np.ndarray, ward: Ward) -> Frame:
    """Labels of every customer by both fits: `kmeans_label` and `ward_label`."""
    return clustering.label_customers(clustering.nearest_centroid(points, centres, "kmeans_label"), ward)


def _in_canonical_order(spending: list[dict[str, Any]], centres: np.ndarray, ward: Ward) -> tuple[np.ndarray, Ward]:
    kmeans_order = clustering.canonical_order(spending, "kmeans_label")
    ward_order = clustering.canonical_order(spending, "ward_label")
    labels = ward.labels
    if labels is not None:
        labels = labels.with_columns(clustering.renumber("ward_label", ward_order).alias("ward_label"))
    return centres[kmeans_order], Ward(ward.centres[ward_order], ward.fitted_customers, labels)


def _place(points: Frame, centres: np.ndarray, segment_ids: Sequence[str], ward: Ward) -> Frame:
    """Put customers into segments, and into the clusters of both fits."""
    labelled = clustering.label_customers(clustering.assign_segments(points, centres, segment_ids), ward)
    return labelled.rename({"ward_label": "agglomerative_cluster"})


def _compare(
    engine: Engine, placed: Frame, scaled: Frame, settings: Settings, fitted_customers: dict[str, int]
) -> list[dict[str, Any]]:
    names = settings.features.names
    measured = placed.join(scaled, on="customer_id", how="inner").sort("customer_id")
    values = engine.array(measured, [*components.NAMES, *names, "kmeans_cluster", "agglomerative_cluster"])
    dimensions = len(components.NAMES)
    return clustering.compare_algorithms(
        spaces={"pca_components": values[:, :dimensions], "scaled": values[:, dimensions:-2]},
        algorithms={"kmeans": values[:, -2].astype(int), "agglomerative": values[:, -1].astype(int)},
        fitted_customers=fitted_customers,
    )
