"""The two algorithms side by side: Ward's clusters beside those of tonight's k-means."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from narwhals.typing import FrameT

from smartcart_pipeline.segmentation import clustering, components, model, scaling
from smartcart_pipeline.segmentation.clustering import Ward
from smartcart_pipeline.segmentation.hands import Framing
from smartcart_pipeline.segmentation.model import SegmentModel, label_by


def fit_ward_beside(hands: Framing, drawn: FrameT, fit: SegmentModel, customers: int) -> Ward:
    """Ward's clusters of a sample, as many as k-means has, in the canonical order: by what its customers are worth.

    Args:
        hands: The engine.
        drawn: The customers to fit, with what describes them and their places on the components.
        fit: Tonight's fit.
        customers: How many customers there are in all.

    Returns:
        The clusters; with the label of each customer where all were fitted.
    """
    k, worth = len(fit.centroids), clustering.whole_worth(fit.features.business.worth).alias("worth")
    values = hands.array(drawn.with_columns(worth), [*components.NAMES, "worth"])
    points, found = values[:, :-1], hands.call(clustering.fit_ward, values[:, :-1], k)
    spent = [
        {"ward_label": label, "customers": 1, "spending": spending}
        for label, spending in zip(found.tolist(), values[:, -1].tolist(), strict=True)
    ]
    labels = np.argsort(clustering.canonical_order(spent, "ward_label"))[found]
    ward = Ward(clustering.group_means(points, labels, k), len(points))
    if len(points) < customers:
        return ward
    ids = hands.fetch(drawn.select("customer_id")).column("customer_id")
    # From the array as it lies in memory: pyarrow imports pandas to look at it.
    numbers = pa.Array.from_buffers(pa.int32(), len(labels), [None, pa.py_buffer(labels.astype(np.int32))])
    return replace(ward, labels=hands.frame(pa.table({"customer_id": ids, "ward_label": numbers})))


def place_by_both(features: FrameT, in_force: SegmentModel, fit: SegmentModel, ward: Ward) -> FrameT:
    """Put customers into segments by the model in force, and into the clusters of both fits of tonight.

    Args:
        features: Customers from `describe_customers`.
        in_force: The model in force.
        fit: Tonight's fit.
        ward: Ward's clusters.

    Returns:
        As from `assign_model`, with `kmeans_cluster` by tonight's fit and `agglomerative_cluster`.
    """
    nearest = {} if ward.labels is not None else {"ward_label": ward.centres}
    placed: Any
    if in_force.places_like(fit):
        points: Any = model.place_customers(features, fit)
        for label, centres in nearest.items():
            points = clustering.nearest_centroid(points, centres, label)
        placed = clustering.assign_segments(points, in_force.centroids, in_force.segment_ids)
    else:
        nearest["kmeans_label"] = fit.centroids
        labelled = label_by(features, fit, nearest)
        placed = model.assign_model(labelled, in_force, beside=tuple(nearest)).drop("kmeans_cluster")
        placed = placed.rename({"kmeans_label": "kmeans_cluster"})
    if ward.labels is not None:
        placed = placed.join(ward.labels, on="customer_id", how="inner")
    settled: FrameT = placed.rename({"ward_label": "agglomerative_cluster"})
    return settled


def measure_both(hands: Framing, few: FrameT, fit: SegmentModel, ward: Ward) -> dict[str, dict[str, np.ndarray]]:
    """What `compare_algorithms` compares: a sample in both spaces, with its clusters by both algorithms.

    Args:
        hands: The engine.
        few: Sampled customers, with what describes them.
        fit: Tonight's fit.
        ward: Ward's clusters.

    Returns:
        `spaces`, arrays of shape (customers, dimensions), and `algorithms`, labels of shape (customers,), by name.
    """
    names: tuple[str, ...] = fit.features.names
    placed = clustering.nearest_centroid(model.place_customers(few, fit), fit.centroids, "kmeans_label")
    scaled = scaling.standardise(scaling.encode_features(few, fit.features), fit.scaler)
    measured = clustering.label_customers(placed, ward).join(scaled, on="customer_id", how="inner").sort("customer_id")
    values = hands.array(measured, [*components.NAMES, *names, "kmeans_label", "ward_label"])
    dimensions = len(components.NAMES)
    return {
        "spaces": {"pca_components": values[:, :dimensions], "scaled": values[:, dimensions:-2]},
        "algorithms": {"kmeans": values[:, -2].astype(int), "agglomerative": values[:, -1].astype(int)},
    }
