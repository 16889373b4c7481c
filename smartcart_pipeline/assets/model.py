"""What the model is made of: principal components, and the number of clusters."""

from typing import Any

import dagster as dg
import narwhals as nw
import numpy as np

from smartcart_pipeline.assets import out, picture
from smartcart_pipeline.engines import Engine
from smartcart_pipeline.plots import plot_k_selection
from smartcart_pipeline.resources import Settings, naming_the_fault
from smartcart_pipeline.segmentation import components, sampling, scaling, selection
from smartcart_pipeline.storage.lake import Fitted


@dg.multi_asset(
    outs={
        "pca_components": out("pca_components", "model", components),
        "loadings": out("loadings", "model", components),
    }
)
def projecting(
    settings: Settings, engine: dg.ResourceParam[Engine], scaled: nw.LazyFrame, correlations: nw.LazyFrame
) -> tuple[dg.Output[Any], dg.Output[Any]]:
    """`pca_components`: one row a customer. `loadings`: one row a component and feature."""
    names = settings.features.names
    fitted = engine.fit_components(scaled, scaling.read_correlations(engine.rows(correlations), names), names)
    explained = dict(zip(components.NAMES, fitted.explained_variance_ratio, strict=True))
    return (
        dg.Output(components.project(scaled, fitted), metadata={"explained_variance_ratio": explained}),
        dg.Output(Fitted(fitted.rows(), [correlations.select("correlation")])),
    )


@dg.multi_asset(
    outs={
        "sampled_customers": out("sampled_customers", "model", sampling),
        "k_selection": out("k_selection", "model", sampling, selection),
    }
)
def choosing_k(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    features: nw.LazyFrame,
    pca_components: nw.LazyFrame,
) -> tuple[dg.Output[Any], dg.Output[Any]]:
    """`sampled_customers`: a sampled customer. `k_selection`: a candidate k."""
    drawn = sampling.sample_places(features, pca_components, settings.sample_customers, settings.seed)
    sample = engine.rows(drawn)
    points = np.array([[row[name] for name in components.NAMES] for row in sample])
    with naming_the_fault():
        measures = selection.evaluate_candidates(points, settings.seed)
    rows = selection.choose_k(measures)
    selected = next(row for row in rows if row["is_selected"])
    return (
        dg.Output(Fitted(sample, [drawn])),
        dg.Output(
            Fitted(rows, [drawn.select(*components.NAMES)]),
            metadata={"k": selected["k"], "why": selected["reason"], "elbow": picture(plot_k_selection(rows))},
        ),
    )
