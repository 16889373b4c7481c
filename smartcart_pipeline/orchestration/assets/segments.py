"""Who belongs where, and what each segment is like."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration.declaration import Declaration, find_alternative
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.declaration.tables import OUTLINES
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.engine import Engine, Frame, GroupedCounts
from smartcart_pipeline.orchestration.assets import makes, picture
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import NOTE
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.report.plots import Plot, plot_components, plot_shown, plot_sizes
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


@makes("segments", {"category_spending": (spending,), "plotted_customers": (sampling,)})
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
        "structure": (noise, selection, structure),
        "segment_recovery": (noise, structure),
    },
    freshness_policies={"profiles": FRESHNESS},
)
def profiling_segments(
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    lake: dg.ResourceParam[Lake],
    home: dg.ResourceParam[Home],
    declaration: dg.ResourceParam[Declaration],
    cleaning_figures: nw.LazyFrame,
    contested_models: nw.LazyFrame,
    sampled_customers: nw.LazyFrame,
    cleaned: nw.LazyFrame,
    clusters: nw.LazyFrame,
    centroids: nw.LazyFrame,
    features: nw.LazyFrame,
    plotted_customers: nw.LazyFrame,
) -> Iterator[dg.Output[Any]]:
    """What the segments are like, what they are made of, and how far to believe them.

    `profiles`, `segment_recovery`: a segment. `structure`: a recipe that was looked at.
    """
    with naming_the_fault():
        model = read_models(engine, contested_models)["in_force"].model
        before = read_compared(engine, contested_models, read_record(home))
    sample = engine.keep(sampled_customers)
    gathered = structure.gather(engine, sample, model)
    # This takes as long as to count all customers, and goes on meanwhile.
    examined = apart.start(structure.examine, *gathered, len(model.centroids), settings.seed)
    recipe, places = declaration.recipe, engine.rows(centroids)
    members = _join_members(engine, clusters, features, places, recipe)
    counts = engine.count_values(members, "kmeans_cluster", recipe.counted)
    profiles, pictures = _profile(engine, counts, places, plotted_customers, recipe)

    segments = {row["kmeans_cluster"]: row["segment_id"] for row in places}
    alone, pairs = (measure(counts, segments, recipe) for measure in (drivers.measure_drivers, drivers.measure_pairs))
    yield dg.Output(Fitted(alone, [members]), "segment_drivers")
    yield dg.Output(Fitted(pairs, [members]), "segment_pairs")
    followed = members.select("segment_id", *recipe.sensitive)
    associated = sensitive.associate_sensitive(counts, segments, recipe)
    yield dg.Output(Fitted(associated, [followed]), "sensitive_association")
    yield dg.Output(
        Fitted(profiles, [profiling.name_sources(members, recipe)]),
        "profiles",
        metadata={
            "personas": {row["segment_id"]: row["persona"] for row in profiles},
            **{name: picture(drawn.result()) for name, drawn in pictures.items()},
        },
    )

    found, giveaway = examined.result(), drivers.name_giveaway(alone, pairs)
    today = engine.rows(cleaning_figures)[0]["as_of_date"]
    tonight = structure.structure_row(model.features.name, found, model.segment_ids, giveaway)
    rows = [tonight | {"is_in_force": True, "examined_on": today, "declaration": declaration.digest}]
    if structure.is_doubtful(tonight):
        earlier = lake.read_of(before.run_id, "structure") if before else None
        known = engine.rows(earlier) if earlier is not None else []
        rows += _try_alternative(engine, declaration, known, sample, cleaned, settings.seed, today)
    facts = {"verdict": tonight["verdict"], "why": tonight["reasons"], NOTE: structure.tell_structure(rows)}
    seen = [sampled_customers.drop("customer_id"), contested_models.select("document")]
    yield dg.Output(Fitted(rows, seen), "structure", metadata=facts)
    yield dg.Output(Fitted(structure.recovery_rows(found, model.segment_ids), seen), "segment_recovery")


def _join_members(engine: Engine, clusters: Frame, features: Frame, places: Rows, recipe: Recipe) -> Frame:
    """All customers with their segments; of many, in numbers of few digits, of which there are few to count."""
    customers = engine.rows(clusters.select(nw.len().alias("customers")))[0]["customers"]
    members = profiling.join_members(clusters, features, places, recipe)
    return profiling.round_values(members, recipe) if customers > profiling.EXACT_CUSTOMERS else members


def _profile(
    engine: Engine, counts: GroupedCounts, places: Rows, plotted_customers: Frame, recipe: Recipe
) -> tuple[Rows, dict[str, "Future[Plot]"]]:
    """Profiles, and what they look like, once it is drawn."""
    everybody = profiling.merge_counts(counts)
    base, spread = profiling.summarise_customers(everybody, recipe), profiling.measure_spread(everybody, recipe)
    rows = personas.name_segments(profiling.profile_segments(counts, places, recipe), base, spread, recipe)
    pictures = {"sizes": apart.start(plot_sizes, rows)}
    if len(recipe.shown) > 1:
        across = apart.start(plot_shown, engine.rows(plotted_customers), rows, recipe)
        pictures = {"income_and_spending": across, **pictures}
    return rows, pictures


def _try_alternative(
    engine: Engine, declaration: Declaration, known: Rows, sample: Frame, cleaned: Frame, seed: int, today: date
) -> Rows:
    """What the other recipe would make of a sample: looked at once, and told again every night."""
    other = find_alternative(declaration)
    if other is None:
        return []
    kept = [row for row in known if row["declaration"] == other.digest and not row["is_in_force"]]
    if kept:
        return kept
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
    giveaway = drivers.name_giveaway(*measured)
    row = structure.structure_row(other.recipe.name, found, list(names.values()), giveaway)
    return [row | {"is_in_force": False, "examined_on": today, "declaration": other.digest}]
