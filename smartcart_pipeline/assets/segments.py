"""Who belongs where, and what each segment is like."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import dagster as dg
import narwhals as nw
import numpy as np
import pyarrow as pa

from smartcart_pipeline.assets import described, out, picture
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.plots import plot_components, plot_income_and_spending, plot_sizes
from smartcart_pipeline.resources import Settings
from smartcart_pipeline.segmentation import clustering, components, personas, profiling, sampling
from smartcart_pipeline.storage.lake import Fitted
from smartcart_pipeline.tables import CLUSTERS

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
    engine: dg.ResourceParam[DuckDBEngine],
    k_selection: nw.LazyFrame,
    pca_components: nw.LazyFrame,
    scaled: nw.LazyFrame,
    features: nw.LazyFrame,
) -> tuple[dg.Output[Any], dg.Output[Any], dg.Output[Any]]:
    """`clusters`: a customer. `centroids`: a segment. `algorithm_comparison`: an algorithm and space."""
    k = next(row["k"] for row in engine.rows(k_selection) if row["is_selected"])
    sample = engine.keep(sampling.sample_customers(pca_components, settings.sample_customers, settings.seed))
    centres = clustering.fit_kmeans(
        engine.array(sample, components.NAMES), pca_components, engine.rows, k, settings.seed
    )
    ward = _fit_ward(engine, sampling.sample_customers(sample, settings.ward_customers, settings.seed), k)
    spending = engine.rows(clustering.sum_spending(_label(pca_components, centres, ward), features))
    centres, ward = _in_canonical_order(spending, centres, ward)

    place = partial(_place, centres=centres, ward=ward)
    measured = place(sampling.sample_customers(sample, settings.comparison_customers, settings.seed))
    comparison = _compare(engine, measured, scaled, settings)
    plotted = engine.rows(place(sampling.sample_customers(sample, PLOTTED, settings.seed)))
    fitted_on = [pca_components.select(*components.NAMES), features.select("total_spending")]
    return (
        dg.Output(
            place(pca_components).select(*CLUSTERS.names).sort("customer_id"),
            metadata={"k": k, "components": picture(plot_components(plotted))},
        ),
        dg.Output(Fitted(clustering.centroid_rows(centres), fitted_on)),
        dg.Output(
            Fitted(comparison, [*fitted_on, scaled.select(*settings.features.names)]),
            metadata={"adjusted_rand_index": comparison[0]["adjusted_rand_index"]},
        ),
    )


@dg.asset(**described("profiles", "segments", profiling, personas), freshness_policy=FRESHNESS)
def profiles(
    settings: Settings, engine: dg.ResourceParam[DuckDBEngine], clusters: nw.LazyFrame, features: nw.LazyFrame
) -> dg.Output[Any]:
    """One row a segment."""
    by_segment = profiling.profile_segments(clusters, features)
    base = engine.rows(profiling.summarise_customers(features))[0]
    rows = personas.name_segments(engine.rows(by_segment), base)
    plotted = sampling.sample_customers(features, PLOTTED, settings.seed).join(
        clusters.select("customer_id", "segment_id"), on="customer_id", how="inner"
    )
    return dg.Output(
        Fitted(rows, [by_segment]),
        metadata={
            "personas": {row["segment_id"]: row["persona"] for row in rows},
            "income_and_spending": picture(plot_income_and_spending(engine.rows(plotted.sort("customer_id")), rows)),
            "sizes": picture(plot_sizes(rows)),
        },
    )


@dataclass(frozen=True)
class Ward:
    """Agglomerative clustering of a sample, and where its clusters lie.

    Attributes:
        fitted: The sample's customers with their label, `ward_label`.
        centres: Mean of each cluster on the components, shape (k, 3).
    """

    fitted: Frame
    centres: np.ndarray


def _fit_ward(engine: DuckDBEngine, sample: Frame, k: int) -> Ward:
    points = engine.array(sample, components.NAMES)
    labels = clustering.fit_ward(points, k)
    customers = engine.fetch(sample.select("customer_id")).column("customer_id")
    fitted = engine.frame(pa.table({"customer_id": customers, "ward_label": pa.array(labels, pa.int32())}))
    return Ward(fitted, clustering.group_means(points, labels, k))


def _label(points: Frame, centres: np.ndarray, ward: Ward) -> Frame:
    """Labels of every customer by both fits: `kmeans_label` and `ward_label`."""
    near = clustering.nearest_centroid(points, centres, "kmeans_label")
    return clustering.label_beyond_sample(near, ward.fitted, ward.centres, "ward_label")


def _in_canonical_order(spending: list[dict[str, Any]], centres: np.ndarray, ward: Ward) -> tuple[np.ndarray, Ward]:
    kmeans_order = clustering.canonical_order(spending, "kmeans_label")
    ward_order = clustering.canonical_order(spending, "ward_label")
    renumbered = ward.fitted.with_columns(clustering.renumber("ward_label", ward_order).alias("ward_label"))
    return centres[kmeans_order], Ward(renumbered, ward.centres[ward_order])


def _place(points: Frame, centres: np.ndarray, ward: Ward) -> Frame:
    """Put customers into segments, and into the clusters of both fits."""
    placed = clustering.assign_segments(points, centres)
    labelled = clustering.label_beyond_sample(placed, ward.fitted, ward.centres, "ward_label")
    return labelled.rename({"ward_label": "agglomerative_cluster"})


def _compare(engine: DuckDBEngine, placed: Frame, scaled: Frame, settings: Settings) -> list[dict[str, Any]]:
    names = settings.features.names
    measured = placed.join(scaled, on="customer_id", how="inner").sort("customer_id")
    values = engine.array(measured, [*components.NAMES, *names, "kmeans_cluster", "agglomerative_cluster"])
    dimensions = len(components.NAMES)
    return clustering.compare_algorithms(
        spaces={"pca_components": values[:, :dimensions], "scaled": values[:, dimensions:-2]},
        algorithms={"kmeans": values[:, -2].astype(int), "agglomerative": values[:, -1].astype(int)},
    )
