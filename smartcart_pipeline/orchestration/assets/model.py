"""What the model is made of: principal components, and the number of clusters."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.orchestration.assets import makes, picture
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.report.plots import plot_k_selection
from smartcart_pipeline.segmentation import components, noise, sampling, scaling, selection
from smartcart_pipeline.storage.lake import Fitted


@makes("model", {"pca_components": (components,), "loadings": (components,)})
def projecting(
    engine: dg.ResourceParam[Engine],
    declaration: dg.ResourceParam[Declaration],
    scaled: nw.LazyFrame,
    correlations: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`pca_components`: one row a customer. `loadings`: one row a component and feature."""
    recipe = declaration.recipe
    known = scaling.read_correlations(engine.rows(correlations), recipe.names)
    fitted = engine.fit_components(scaled, scaling.weigh_pairs(known, recipe.factors), recipe.names)
    explained = dict(zip(components.NAMES, fitted.explained_variance_ratio, strict=True))
    facts = {"explained_variance_ratio": explained}
    yield dg.Output(components.project(scaled, fitted), "pca_components", metadata=facts)
    yield dg.Output(Fitted(fitted.rows(), [correlations.select("correlation")]), "loadings")


@makes("model", {"k_selection": (sampling, selection, noise), "sampled_customers": (sampling,)})
def choosing_k(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    declaration: dg.ResourceParam[Declaration],
    features: nw.LazyFrame,
    pca_components: nw.LazyFrame,
    scaler: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`sampled_customers`: a sampled customer. `k_selection`: a candidate k."""
    recipe = declaration.recipe
    drawn = sampling.sample_places(engine, features, pca_components, settings.sample_customers, settings.seed)
    sample = engine.keep(drawn)
    fitted = scaling.read_scaler(engine.rows(scaler))
    space = noise.gather(engine, sample, recipe, fitted)
    points = engine.array(sample, components.NAMES)
    measured = apart.start(selection.evaluate_candidates, points, settings.seed, wanted=recipe.segments, space=space)
    yield dg.Output(Fitted(sample, [drawn]), "sampled_customers")
    with naming_the_fault():
        rows = apart.call(selection.choose_k, measured.result(), recipe.segments)
    elbow = apart.start(plot_k_selection, rows)
    few = selection.tell_few(len(points))
    notes = {NOTE: few} if few else {}
    selected = next(row for row in rows if row["is_selected"])
    yield dg.Output(
        Fitted(rows, [drawn.drop("customer_id", *recipe.unseen)]),
        "k_selection",
        metadata={"k": selected["k"], "why": selected["reason"], "elbow": picture(elbow.result()), **notes},
    )
