"""Who belongs where, and what each segment is like."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration.declaration import Declaration, find_alternative
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.tables import OUTLINES
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.engine import Engine, Frame
from smartcart_pipeline.orchestration.assets import makes, picture
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.report.plots import plot_components, plot_shown, plot_sizes
from smartcart_pipeline.segmentation import (
    Rows,
    clustering,
    comparison,
    components,
    drivers,
    hysteresis,
    model,
    noise,
    personas,
    profiling,
    sampling,
    selection,
    sensitive,
    spending,
    structure,
)
from smartcart_pipeline.segmentation.contest import Champion, begin_model
from smartcart_pipeline.segmentation.features import describe_customers
from smartcart_pipeline.segmentation.scaling import encode_features
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted, Lake
from smartcart_pipeline.storage.models import PublishedNight, Record, read_champion, read_record

# Customers in a scatter plot: enough to see the shape, few enough to see a point.
PLOTTED = 2_000

# A night has been missed when the profiles are older than a day and the time a run may take.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=30), warn_window=timedelta(hours=26))


@makes(
    "segments",
    {
        "clusters": (sampling, clustering, comparison, hysteresis, model),
        "centroids": (model,),
        "algorithm_comparison": (sampling, clustering, comparison),
    },
)
def clustering_customers(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    declaration: dg.ResourceParam[Declaration],
    cleaning_figures: nw.LazyFrame,
    contested_models: nw.LazyFrame,
    fitted_centroids: nw.LazyFrame,
    features: nw.LazyFrame,
    sampled_customers: nw.LazyFrame,
    scaler: nw.LazyFrame,
    loadings: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`clusters`: a customer. `centroids`: a segment. `algorithm_comparison`: an algorithm and space."""
    [figures] = engine.rows(cleaning_figures)
    with naming_the_fault():
        in_force = read_models(engine, contested_models)["in_force"].model
        before = read_compared(engine, contested_models, read_record(home))
    fit = replace(
        begin_model(declaration, figures, engine.rows(scaler), engine.rows(loadings)),
        centroids=engine.array(fitted_centroids.sort("kmeans_cluster"), components.NAMES),
    )
    customers = engine.rows(features.select(nw.len().alias("customers")))[0]["customers"]
    sample = engine.keep(sampled_customers)
    drawn = sampling.sample_customers(engine, sample, settings.ward_customers, settings.seed)
    ward = comparison.fit_ward_beside(engine, drawn, fit, customers)
    few = sampling.sample_customers(engine, sample, settings.comparison_customers, settings.seed)
    compared = apart.start(
        clustering.compare_algorithms,
        **comparison.measure_both(engine, few, fit, ward),
        fitted_customers={"kmeans": customers, "agglomerative": ward.fitted_customers},
    )
    shown: Any = sampling.sample_customers(engine, sample, PLOTTED, settings.seed)
    points = shown.select("customer_id", *components.NAMES)
    plotted = model.assign_model(shown, in_force).join(points, on="customer_id", how="inner").sort("customer_id")
    seen = apart.start(plot_components, engine.rows(plotted))
    previous = lake.read_of(before.run_id, "clusters") if before else None
    placed = comparison.place_by_both(features, in_force, fit, ward)
    published = hysteresis.settle_segments(placed, previous, in_force.segment_ids, settings.hysteresis)
    yield dg.Output(
        published.select(*OUTLINES["clusters"].names),
        "clusters",
        metadata={"k": len(in_force.centroids), "components": picture(seen.result())},
    )
    places = clustering.centroid_rows(in_force.centroids, in_force.segment_ids)
    yield dg.Output(Fitted(places, [contested_models.select("document")]), "centroids")
    rows = compared.result()
    yield dg.Output(
        Fitted(rows, [sampled_customers.drop("customer_id", *declaration.recipe.unseen)]),
        "algorithm_comparison",
        metadata={"adjusted_rand_index": rows[0]["adjusted_rand_index"]},
    )


@makes("segments", {"plotted_customers": (sampling,), "category_spending": (spending,)})
def illustrating(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    declaration: dg.ResourceParam[Declaration],
    clusters: nw.LazyFrame,
    centroids: nw.LazyFrame,
    sampled_customers: nw.LazyFrame,
    cleaned: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`plotted_customers`: a sampled customer. `category_spending`: a segment and product category."""
    drawn: Any = sampling.sample_customers(engine, sampled_customers, PLOTTED, settings.seed)
    shown = drawn.join(clusters, on="customer_id", how="inner")
    places = engine.rows(centroids)
    yield dg.Output(shown.select(*lake.tables["plotted_customers"].names).sort("customer_id"), "plotted_customers")
    composition = declaration.recipe.business.composition
    if composition is None:
        yield dg.Output(Fitted([]), "category_spending")
        return
    amounts = tuple(composition.parts)
    members = spending.join_amounts(clusters, cleaned, places, amounts)
    rows = spending.category_rows(engine.rows(spending.sum_amounts(members, amounts)), places, composition.parts)
    yield dg.Output(Fitted(rows, [spending.name_sources(members, amounts)]), "category_spending")


def read_models(engine: Engine, contested_models: Frame) -> dict[str, Champion]:
    """The models of the night, by their part in it.

    Args:
        engine: Fetches the table.
        contested_models: The table.

    Returns:
        `in_force` and `challenger`; the same where it was promoted.
    """
    return {row["part"]: read_champion(json.loads(row["document"])) for row in engine.rows(contested_models)}


def read_compared(engine: Engine, contested_models: Frame, record: Record) -> PublishedNight | None:
    """The night that the night is compared with.

    Args:
        engine: Fetches the table.
        contested_models: The table.
        record: The nights so far.

    Returns:
        The night; None for the first.
    """
    return record.numbered(engine.rows(contested_models.select("compared_night"))[0]["compared_night"])


@makes(
    "segments",
    {
        "profiles": (profiling, personas),
        "segment_drivers": (profiling, drivers),
        "segment_pairs": (profiling, drivers),
        "sensitive_association": (profiling, drivers, sensitive),
    },
    freshness_policies={"profiles": FRESHNESS},
)
def profiling_segments(
    engine: dg.ResourceParam[Engine],
    declaration: dg.ResourceParam[Declaration],
    clusters: nw.LazyFrame,
    centroids: nw.LazyFrame,
    features: nw.LazyFrame,
    plotted_customers: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`profiles`: a segment. The others: what the segments are made of, and what is sensitive in them."""
    places = engine.rows(centroids)
    recipe = declaration.recipe
    customers = engine.rows(clusters.select(nw.len().alias("customers")))[0]["customers"]
    members = profiling.join_members(clusters, features, places, recipe)
    if customers > profiling.EXACT_CUSTOMERS:
        members = profiling.round_values(members, recipe)
    counts = engine.count_values(members, "kmeans_cluster", recipe.counted)
    everybody = profiling.merge_counts(counts)
    base, spread = profiling.summarise_customers(everybody, recipe), profiling.measure_spread(everybody, recipe)
    rows = personas.name_segments(profiling.profile_segments(counts, places, recipe), base, spread, recipe)
    pictures = {"sizes": apart.start(plot_sizes, rows)}
    if len(recipe.shown) > 1:
        across = apart.start(plot_shown, engine.rows(plotted_customers), rows, recipe)
        pictures = {"income_and_spending": across, **pictures}
    yield dg.Output(
        Fitted(rows, [profiling.name_sources(members, recipe)]),
        "profiles",
        metadata={
            "personas": {row["segment_id"]: row["persona"] for row in rows},
            **{name: picture(drawn.result()) for name, drawn in pictures.items()},
        },
    )
    segments = {row["kmeans_cluster"]: row["segment_id"] for row in places}
    yield dg.Output(Fitted(drivers.measure_drivers(counts, segments, recipe), [members]), "segment_drivers")
    yield dg.Output(Fitted(drivers.measure_pairs(counts, segments, recipe), [members]), "segment_pairs")
    followed = members.select("segment_id", *recipe.sensitive)
    yield dg.Output(
        Fitted(sensitive.associate_sensitive(counts, segments, recipe), [followed]), "sensitive_association"
    )


@makes("segments", {"structure": (noise, selection, structure), "segment_recovery": (noise, structure)})
def doubting(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    declaration: dg.ResourceParam[Declaration],
    cleaning_figures: nw.LazyFrame,
    contested_models: nw.LazyFrame,
    sampled_customers: nw.LazyFrame,
    cleaned: nw.LazyFrame,
    segment_drivers: nw.LazyFrame,
    segment_pairs: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """`structure`: a recipe that was looked at. `segment_recovery`: a segment."""
    [figures] = engine.rows(cleaning_figures)
    with naming_the_fault():
        model = read_models(engine, contested_models)["in_force"].model
        before = read_compared(engine, contested_models, read_record(home))
    sample = engine.keep(sampled_customers)
    gathered = structure.gather(engine, sample, model)
    found = apart.start(structure.examine, *gathered, len(model.centroids), settings.seed)
    giveaways = drivers.find_giveaways(engine.rows(segment_drivers), engine.rows(segment_pairs))
    giveaway = giveaways[0]["feature"] if giveaways else None
    tonight = structure.structure_row(model.features.name, found.result(), model.segment_ids, giveaway)
    rows = [tonight | {"is_in_force": True, "examined_on": figures["as_of_date"], "declaration": declaration.digest}]
    if structure.is_doubtful(tonight):
        earlier = lake.read_of(before.run_id, "structure") if before else None
        kept = engine.rows(earlier) if earlier is not None else []
        rows += _try_alternative(engine, declaration, kept, sample, cleaned, figures, settings.seed)
    seen = [sampled_customers.drop("customer_id"), contested_models.select("document")]
    yield dg.Output(
        Fitted(rows, seen),
        "structure",
        metadata={"verdict": tonight["verdict"], "why": tonight["reasons"], NOTE: structure.tell_structure(rows)},
    )
    yield dg.Output(Fitted(structure.recovery_rows(found.result(), model.segment_ids), seen), "segment_recovery")


def _try_alternative(
    engine: Engine,
    declaration: Declaration,
    kept: Rows,
    sample: Frame,
    cleaned: Frame,
    figures: dict[str, Any],
    seed: int,
) -> Rows:
    """What the other recipe would make of a sample: looked at once, and told again every night."""
    other = find_alternative(declaration)
    if other is None:
        return []
    known = [row for row in kept if row["declaration"] == other.digest and not row["is_in_force"]]
    if known:
        return known
    drawn: Any = cleaned.join(sample.select("customer_id"), on="customer_id", how="inner")
    described = engine.keep(describe_customers(drawn, other).sort("customer_id"))
    values = engine.array(encode_features(described, other.recipe).sort("customer_id"), other.recipe.names)
    try:
        found, labels = apart.call(structure.examine_afresh, values, other.recipe, seed)
    except ExportError:
        # Of so few customers, or so alike, it makes no segments.
        return []
    counts = drivers.count_rows(engine.rows(described), labels, other.recipe)
    names = {cluster: f"cluster {cluster}" for cluster in counts}
    measured = (measure(counts, names, other.recipe) for measure in (drivers.measure_drivers, drivers.measure_pairs))
    giveaways = drivers.find_giveaways(*measured)
    row = structure.structure_row(
        other.recipe.name, found, list(names.values()), giveaways[0]["feature"] if giveaways else None
    )
    return [row | {"is_in_force": False, "examined_on": figures["as_of_date"], "declaration": other.digest}]
