"""What the model is made of: principal components, and the number of clusters."""

from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.assets import described, out, picture
from smartcart_pipeline.engines import Engine
from smartcart_pipeline.plots import plot_k_selection
from smartcart_pipeline.resources import Settings, blaming_the_input
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


@dg.asset(**described("k_selection", "model", sampling, selection))
def k_selection(settings: Settings, engine: dg.ResourceParam[Engine], pca_components: nw.LazyFrame) -> dg.Output[Any]:
    """One row a candidate k."""
    sample = sampling.sample_customers(pca_components, settings.sample_customers, settings.seed)
    with blaming_the_input():
        measures = selection.evaluate_candidates(engine.array(sample, components.NAMES), settings.seed)
    rows = selection.choose_k(measures)
    selected = next(row for row in rows if row["is_selected"])
    return dg.Output(
        Fitted(rows, [pca_components.select(*components.NAMES)]),
        metadata={"k": selected["k"], "why": selected["reason"], "elbow": picture(plot_k_selection(rows))},
    )
