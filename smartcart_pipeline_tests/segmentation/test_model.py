"""The model as data: what is written is what is read, bit for bit, and it puts customers where a fit puts them."""

import copy
import json
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.declaration.recipe import COMPONENT_NAMES
from smartcart_pipeline.segmentation.cleaning import judge_customers
from smartcart_pipeline.segmentation.components import Components, project
from smartcart_pipeline.segmentation.model import (
    SegmentModel,
    assign_model,
    place_customers,
    read_model,
    score_customers,
)
from smartcart_pipeline.segmentation.scaling import Scaler, encode_features, standardise
from smartcart_pipeline_tests.conftest import Frames, to_pandas
from smartcart_pipeline_tests.declared import DECLARATIONS, EDUCATION_LEVELS, LIVING_WITH, RECIPES
from smartcart_pipeline_tests.report import bikes
from smartcart_pipeline_tests.segmentation.test_cleaning import CUSTOMER, with_maxima


def random_model(seed: int, recipe: str = "behavioural", k: int = 3) -> SegmentModel:
    random = np.random.default_rng(seed)
    names = RECIPES[recipe].names
    directions, _ = np.linalg.qr(random.normal(size=(len(names), 3)))
    return SegmentModel(
        declaration=DECLARATIONS[recipe],
        as_of_date=date(2014, 6, 29),
        medians={"income": 51_381.5},
        scaler=Scaler(names, tuple(random.uniform(0, 50, len(names))), tuple(random.uniform(0.5, 20, len(names)))),
        components=Components(names, np.ascontiguousarray(directions.T), (0.24, 0.12, 0.11)),
        centroids=random.normal(size=(k, 3)),
        segment_ids=tuple(f"S{number:02d}" for number in range(k, 0, -1)),
        personas=tuple(f"Persona {number}" for number in range(k)),
    )


def random_features(seed: int, customers: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    known = dict.fromkeys(name for recipe in RECIPES.values() for name in recipe.numeric)
    numbers = {name: random.integers(0, 100, customers) for name in known}
    return pd.DataFrame(
        {
            "customer_id": range(1, customers + 1),
            **numbers,
            "living_with": random.choice(LIVING_WITH, customers),
            "education": random.choice(EDUCATION_LEVELS, customers),
        }
    )


def by_numpy(features: pd.DataFrame, model: SegmentModel) -> np.ndarray:
    """Distances of the customers to all centroids, shape (customers, k)."""
    encoded = np.column_stack(
        [
            features[feature.source] if feature.category is None else features[feature.source] == feature.category
            for feature in model.features.encoded
        ]
    ).astype(float)
    for number, name in enumerate(model.features.names):
        encoded[:, number] = encoded[:, number].clip(*model.scaler.fences.get(name, (-np.inf, np.inf)))
    points = (encoded - np.array(model.scaler.mean)) / np.array(model.scaler.scale) @ model.components.loadings.T
    distances: np.ndarray = np.linalg.norm(points[:, None] - model.centroids[None], axis=2)
    return distances


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_model_puts_customers_where_numpy_does(as_frame: Frames, recipe: str):
    model, features = random_model(1, recipe), random_features(2)
    placed = to_pandas(assign_model(as_frame(features), model)).sort_values("customer_id")
    distances = by_numpy(features, model)
    rising = distances.argsort(axis=1)
    ordered = np.take_along_axis(distances, rising, axis=1)
    assert placed.columns.tolist() == [
        "customer_id",
        "kmeans_cluster",
        "segment_id",
        "distance",
        "runner_up_segment_id",
        "margin",
    ]
    assert len(set(rising[:, 0])) > 1
    assert placed["kmeans_cluster"].tolist() == rising[:, 0].tolist()
    assert placed["segment_id"].tolist() == [model.segment_ids[n] for n in rising[:, 0]]
    assert placed["runner_up_segment_id"].tolist() == [model.segment_ids[n] for n in rising[:, 1]]
    assert placed["distance"].to_numpy() == pytest.approx(ordered[:, 0], abs=1e-9)
    assert placed["margin"].to_numpy() == pytest.approx(ordered[:, 1] - ordered[:, 0], abs=1e-9)


def fenced_model(seed: int, recipe: str = "behavioural") -> SegmentModel:
    """A model that counts what lies beyond 20 and 70 as lying there, in all numbers that may have fences but one."""
    model = random_model(seed, recipe)
    assert len(model.features.fenced) > 1
    return replace(model, scaler=replace(model.scaler, fences=dict.fromkeys(model.features.fenced[1:], (20.0, 70.0))))


@pytest.mark.parametrize("recipe", ["behavioural", "balanced"])
def test_a_model_with_fences_places_customers_as_standardising_and_projecting_does(as_frame: Frames, recipe: str):
    model, features = fenced_model(1, recipe), random_features(2)
    placed = to_pandas(place_customers(as_frame(features), model)).sort_values("customer_id")
    scaled = standardise(encode_features(as_frame(features), model.features), model.scaler)
    projected = to_pandas(project(scaled, model.components)).sort_values("customer_id")
    free = to_pandas(place_customers(as_frame(features), random_model(1, recipe))).sort_values("customer_id")
    axes = list(COMPONENT_NAMES)
    assert placed.columns.tolist() == ["customer_id", *axes]
    assert placed[axes].to_numpy() == pytest.approx(projected[axes].to_numpy(), abs=1e-9)
    assert np.abs(placed[axes].to_numpy() - free[axes].to_numpy()).max() > 0.1
    assigned = to_pandas(assign_model(as_frame(features), model)).sort_values("customer_id")
    assert assigned["kmeans_cluster"].tolist() == by_numpy(features, model).argmin(axis=1).tolist()


def test_who_is_beyond_a_fence_has_the_place_of_the_fence(as_frame: Frames):
    model = fenced_model(1)
    fenced, free = model.features.fenced[1:], model.features.fenced[0]
    on = random_features(2, 1).assign(**dict.fromkeys(fenced, 70))
    far = on.assign(customer_id=2, **dict.fromkeys(fenced, 10**9))
    below = on.assign(customer_id=3, **dict.fromkeys(fenced, 20))
    deep = on.assign(customer_id=4, **dict.fromkeys(fenced, -(10**9)))
    other = on.assign(customer_id=5, **{free: on[free] + 1})
    inside = on.assign(customer_id=6, **dict.fromkeys(fenced, 69))
    rows = to_pandas(place_customers(as_frame(pd.concat([on, far, below, deep, other, inside])), model))
    places = {row["customer_id"]: [row[name] for name in COMPONENT_NAMES] for row in rows.to_dict("records")}
    assert places[2] == places[1]
    assert places[4] == places[3]
    assert len({tuple(places[number]) for number in (1, 3, 5, 6)}) == 4


def test_what_is_kept_beside_has_its_own_number_and_not_its_fence(as_frame: Frames):
    model, features = fenced_model(1), random_features(2)
    kept = (*model.features.fenced[:3], "education")
    placed = to_pandas(place_customers(as_frame(features), model, kept)).sort_values("customer_id")
    assert placed.columns.tolist() == ["customer_id", *COMPONENT_NAMES, *kept]
    assert placed[list(kept)].to_dict("list") == features[list(kept)].to_dict("list")
    assert features[list(kept[:3])].to_numpy().max() > 70


def test_who_misses_a_number_with_fences_gets_no_segment(as_frame: Frames):
    model = fenced_model(1)
    features = random_features(2, 2).astype(dict.fromkeys(model.features.fenced, "float64"))
    features.loc[1, model.features.fenced[1]] = None
    placed = to_pandas(assign_model(as_frame(features), model)).sort_values("customer_id")
    assert placed["segment_id"].isna().tolist() == [False, True]


def test_models_whose_fences_differ_place_otherwise():
    model = fenced_model(1)
    assert model.places_like(fenced_model(1))
    assert not model.places_like(random_model(1))
    assert read_model(model.document()).places_like(model)


def test_a_model_of_one_segment_knows_no_runner_up(as_frame: Frames):
    placed = to_pandas(assign_model(as_frame(random_features(2)), random_model(1, k=1)))
    assert set(placed["segment_id"]) == {"S01"}
    assert placed[["runner_up_segment_id", "margin"]].isna().all().all()


def test_models_place_alike_where_all_that_places_is_the_same():
    model = random_model(1)
    assert model.places_like(replace(random_model(1), medians={"income": 0.0}, segment_ids=("S07", "S08", "S09")))
    other = random_model(2)
    for part in ("scaler", "components", "centroids"):
        assert not model.places_like(replace(model, **{part: getattr(other, part)}))
    assert not model.places_like(replace(model, centroids=model.centroids[:2]))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POINTS = st.lists(NUMBERS, min_size=3, max_size=3)
TEXTS = st.text(min_size=1)
FENCES = st.tuples(NUMBERS, NUMBERS).filter(lambda both: both[0] != both[1]).map(sorted)


@st.composite
def earlier_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents of the first format, which knew the shipped recipes and what could be set of them."""
    recipe = draw(st.sampled_from(sorted(RECIPES)))
    segments = draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    return {
        "format": 1,
        "recipe": recipe,
        "as_of_date": draw(st.dates()).isoformat(),
        "limits": {"max_age": draw(st.integers(0, 200)), "max_income": draw(st.floats(0, 1e300))},
        "income_median": draw(st.floats(0, 1e300)),
        "features": [
            {
                "feature": name,
                "mean": draw(NUMBERS),
                "scale": draw(st.floats(0, 1e300, exclude_min=True)),
                "loadings": draw(POINTS),
            }
            for name in RECIPES[recipe].names
        ],
        "explained_variance_ratio": draw(POINTS),
        "segments": [{"segment_id": segment, "persona": draw(TEXTS), "centroid": draw(POINTS)} for segment in segments],
    }


def in_todays_format(earlier: dict[str, Any]) -> dict[str, Any]:
    """What an earlier document says, as it is said today."""
    declared = copy.deepcopy(DECLARATIONS[earlier["recipe"]].document())
    limits = {limit.get("feature") or limit["column"]: limit for limit in declared["recipe"]["clean"]["limits"]}
    limits["age"]["maximum"] = earlier["limits"]["max_age"]
    limits["income"]["maximum"] = earlier["limits"]["max_income"]
    return {
        "format": 2,
        "recipe": earlier["recipe"],
        "declaration": declared,
        "as_of_date": earlier["as_of_date"],
        "medians": {"income": earlier["income_median"]},
        # Fences were not known.
        "features": [
            {name: feature[name] for name in ("feature", "mean", "scale")}
            | {"lower": None, "upper": None, "loadings": feature["loadings"]}
            for feature in earlier["features"]
        ],
        **{name: earlier[name] for name in ("explained_variance_ratio", "segments")},
    }


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents of today, some of whose numbers have fences."""
    document = in_todays_format(draw(earlier_documents()))
    fenced = RECIPES[document["recipe"]].fenced
    for feature in document["features"]:
        if feature["feature"] in fenced and draw(st.booleans()):
            feature["lower"], feature["upper"] = draw(FENCES)
    return document


@given(documents())
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_what_is_read(document: dict[str, Any]):
    text = json.dumps(document)
    model = read_model(json.loads(text))
    # The text of a number tells its bits, the sign of zero too.
    assert json.dumps(model.document()) == text
    assert model.scaler.fences == {
        feature["feature"]: (feature["lower"], feature["upper"])
        for feature in document["features"]
        if feature["lower"] is not None
    }
    assert model.components.loadings.flags["C_CONTIGUOUS"]


@given(earlier_documents())
@settings(max_examples=50, deadline=None)
def test_what_an_earlier_version_wrote_is_read_as_the_same_model(document: dict[str, Any]):
    model = read_model(json.loads(json.dumps(document)))
    assert json.dumps(model.document()) == json.dumps(in_todays_format(document))
    assert {limit.on: limit.maximum for limit in model.features.limits if not limit.until_as_of} == {
        "age": document["limits"]["max_age"],
        "income": document["limits"]["max_income"],
    }
    assert model.medians == {"income": document["income_median"]}


def without(name: str) -> Any:
    return lambda document: document.pop(name)


BROKEN = {
    "a part is missing": (without("segments"), "segments: field required"),
    "something is added": (lambda d: d.update(code="import os"), "code: extra inputs"),
    "another format": (lambda d: d.update(format=3), "format: input should be 2"),
    "another recipe": (lambda d: d.update(recipe="secret"), "recipe.*secret"),
    "no date": (lambda d: d.update(as_of_date="29-06-2014"), "as_of_date: input should be a valid date"),
    "a text for a number": (lambda d: d["features"][4].update(mean="51000"), "features.4.mean: input should be a"),
    "not finite": (lambda d: d["segments"][1]["centroid"].__setitem__(2, float("nan")), "segments.1.centroid.2: "),
    "a scale of zero": (lambda d: d["features"][0].update(scale=0), "features.0.scale: input should be greater than 0"),
    "a point of two": (
        lambda d: d["segments"][0]["centroid"].pop(),
        "segments.0.centroid: list should have at least 3",
    ),
    "no segments": (lambda d: d["segments"].clear(), "segments: list should have at least 1"),
    "features swapped": (lambda d: d["features"].reverse(), "expected .*'age'.*those of the recipe behavioural"),
    "a lower fence alone": (
        lambda d: d["features"][1].update(lower=5.0),
        "customer_tenure_days has one of lower and upper, expected both or none",
    ),
    "an upper fence alone": (
        lambda d: d["features"][1].update(upper=0.0),
        "customer_tenure_days has one of lower and upper, expected both or none",
    ),
    "fences reversed": (
        lambda d: d["features"][0].update(lower=5, upper=2.5),
        "age.lower is 5, expected less than upper",
    ),
    "fences that leave one number": (
        lambda d: d["features"][0].update(lower=2.5, upper=2.5),
        "age.lower is 2.5, expected less than upper",
    ),
    "a fence without end": (
        lambda d: d["features"][0].update(lower=0, upper=float("inf")),
        "features.0.upper: input should be a finite number",
    ),
    "fences of a category": (
        lambda d: d["features"][-1].update(lower=0.0, upper=1.0),
        "education_undergraduate",
    ),
    "a text for a fence": (lambda d: d["features"][0].update(lower="0", upper=1), "features.0.lower: input should be"),
    "a segment twice": (lambda d: d["segments"].append(copy.deepcopy(d["segments"][0])), "expected ids that differ"),
}


def in_first_format(document: dict[str, Any]) -> dict[str, Any]:
    """What an earlier version wrote of a model within the shipped limits."""
    return {
        "format": 1,
        "recipe": document["recipe"],
        "as_of_date": document["as_of_date"],
        "limits": {"max_age": 90, "max_income": 600_000},
        "income_median": document["medians"]["income"],
        "features": [
            {name: feature[name] for name in ("feature", "mean", "scale", "loadings")}
            for feature in document["features"]
        ],
        **{name: document[name] for name in ("explained_variance_ratio", "segments")},
    }


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_document_of_either_format_is_refused_by_name(fault: str, number: int):
    spoil, message = BROKEN[fault]
    document = random_model(1).document()
    document = in_first_format(document) if number == 1 else document
    read_model(document)
    spoil(document)
    with pytest.raises(HomeError, match=message):
        read_model(document)


@pytest.mark.parametrize("document", [None, [], "import os", {"format": 1, "x": object()}])
def test_what_is_no_document_is_refused(document: Any):
    with pytest.raises(HomeError, match="The segment model cannot be read"):
        read_model(document)


@pytest.mark.parametrize(
    ("customer", "is_placed"),
    [
        ({}, True),
        ({"year_birth": 1984}, True),
        ({"year_birth": 1983}, False),
        ({"income": 60_000.0}, True),
        ({"income": 60_000.5}, False),
        ({"income": None}, True),
    ],
)
def test_who_is_beyond_the_models_own_limits_gets_no_segment(
    as_frame: Frames, customer: dict[str, Any], is_placed: bool
):
    model = replace(random_model(1), declaration=with_maxima(age=30, income=60_000))
    row = {**CUSTOMER, "dt_customer": pd.Timestamp(2012, 9, 4), "year_birth": 1990} | customer
    rows = as_frame(pd.DataFrame([row]).astype({"income": "float64", "unreadable": "string"}))
    [placed] = to_pandas(score_customers(judge_customers(rows, None, model.declaration.contract), model)).to_dict(
        "records"
    )
    assert placed["customer_id"] == CUSTOMER["customer_id"]
    assert isinstance(placed["segment_id"], str) == is_placed
    assert isinstance(placed["persona"], str) == is_placed


def test_a_model_that_reads_no_whole_number_scores(as_frame: Frames):
    declaration = bikes.declare_bikes(
        features={name: {"column": name} for name in bikes.NUMBERS}, report={"told": list(bikes.NUMBERS)}
    )
    numbers = Scaler(bikes.NUMBERS, (0.0,) * 3, (1.0,) * 3)
    model = replace(
        random_model(1),
        declaration=declaration,
        medians={},
        scaler=numbers,
        components=Components(bikes.NUMBERS, np.eye(3), (0.5, 0.3, 0.2)),
    )
    row = {"customer_id": 1, **dict.fromkeys(bikes.NUMBERS, 1.5), **dict.fromkeys(bikes.FLAGS, True), "tariff": "Day"}
    rows = as_frame(pd.DataFrame([row | {"line_number": 2, "unreadable": None}]).astype({"unreadable": "string"}))
    [placed] = to_pandas(score_customers(judge_customers(rows, None, declaration.contract), model)).to_dict("records")
    assert placed["segment_id"] in model.segment_ids


@pytest.mark.parametrize(("faults", "more"), [(3, ""), (4, " (and 1 more)"), (5, " (and 2 more)")])
def test_of_many_faults_of_a_document_the_first_three_are_told(faults: int, more: str):
    document = random_model(1).document()
    for feature in document["features"][:faults]:
        feature["mean"] = "x"
    with pytest.raises(HomeError) as told:
        read_model(document)
    assert str(told.value).count(".mean: input should be a valid number") == 3
    assert (more or ".mean: input should be a valid number") in str(told.value)
    assert ("more)" in str(told.value)) == bool(more)
