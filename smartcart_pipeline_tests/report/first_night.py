"""What the report finds where nothing has happened: no line refused, no night before, no doubt of the segments."""

from datetime import date
from itertools import combinations
from typing import Any

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation.drivers import choose_axes, choose_split

Row = dict[str, Any]


def first_night(recipe: Recipe, as_of: date, segments: int) -> dict[str, Any]:
    """The findings of a first night on whose data there is nothing to say.

    Args:
        recipe: Its recipe.
        as_of: Its as-of date.
        segments: How many segments its model has.

    Returns:
        Fields of `Findings`.
    """
    ids = [f"S{number:02d}" for number in range(1, segments + 1)]
    drivers = [driver(recipe, feature.name, 0.5) for feature in recipe.features]
    pairs = [pair_row(recipe, recipe.features[0].name, one, other, 0.5) for one, other in combinations(ids, 2)]
    fences = {"lower": -10.0, "upper": 10.0, "beyond": 0}
    return {
        "rejected": [],
        "causes": [],
        "checks": [],
        "night": {
            "night": 1,
            "as_of_date": as_of,
            "model_version": "v1",
            "is_promoted": True,
            "customers": 1_000,
            "segments": segments,
            "verdict": "Promoted: it is the first model of this home.",
        },
        "before": None,
        "flows": [],
        "events": [],
        "decision": [{"criterion": "first_model", "role": "reason", "value": 1.0, "limit": 1.0, "passed": True}],
        "drift": [],
        "drivers": drivers,
        "pairs": pairs,
        "axes": choose_axes(drivers, pairs, recipe),
        "split": choose_split(drivers, recipe),
        "sensitive": [],
        "structure": [structure_row(recipe.name, as_of=as_of, segments=segments)],
        "recovery": [{"segment_id": segment, "recovery": 0.9, "is_found_again": True} for segment in ids],
        "cleaning": {f"{name}_{figure}": value for name in recipe.fenced for figure, value in fences.items()},
        "at_risk": None,
        "audiences": set(ids),
        "handed_out": set(),
        "campaigns": [],
    }


def driver(recipe: Recipe, name: str, association: float) -> Row:
    """A row of `segment_drivers`, but for its rank."""
    feature = recipe.by_name[name]
    measure = "cramers_v" if feature.is_category or feature.is_flag else "eta_squared"
    is_seen = feature in recipe.seen
    return {"feature": name, "role": feature.role, "is_seen": is_seen, "measure": measure, "association": association}


def pair_row(recipe: Recipe, name: str, one: str, other: str, association: float) -> Row:
    """A row of `segment_pairs`, but for its rank."""
    told = driver(recipe, name, association)
    measured = {name: told[name] for name in ("feature", "measure", "association")}
    return {"segment_id": one, "other_segment_id": other} | measured


def structure_row(recipe: str, as_of: date = date(2014, 6, 29), segments: int = 2, **told: Any) -> Row:
    """A row of `structure`: natural segments in force, but for what is told."""
    return {
        "recipe": recipe,
        "is_in_force": True,
        "segments": segments,
        "verdict": "natural",
        "reasons": "",
        "giveaway": None,
        "silhouette": 0.4,
        "null_silhouette": 0.1,
        "null_deviation": 0.01,
        "beyond_noise": 30.0,
        "prediction_strength": 0.9,
        "recovery": 0.9,
        "on_components": 0.5,
        "null_on_components": 0.2,
        "gap": 0.1,
        "sample_customers": 1_000,
        "examined_on": as_of,
    } | told
