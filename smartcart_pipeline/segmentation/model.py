"""The segment model: all the fitted numbers needed to put any customer into a segment, as plain data.

It is kept as a JSON document. Reading one never runs code, and every number comes back bit for bit.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from operator import add
from typing import Annotated, Any, Literal

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smartcart_pipeline.declaration.columns import WHOLE
from smartcart_pipeline.declaration.declaration import Declaration, read_declared
from smartcart_pipeline.declaration.earlier import declared_before
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.declaration.files import DeclarationError
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.cleaning import belongs, complete
from smartcart_pipeline.segmentation.clustering import assign_segments, nearest_centroid
from smartcart_pipeline.segmentation.components import COMPONENTS, Components
from smartcart_pipeline.segmentation.components import NAMES as COMPONENT_NAMES
from smartcart_pipeline.segmentation.features import describe_customers
from smartcart_pipeline.segmentation.scaling import Scaler, within

FORMAT = 2
# Behind the name of a feature: what it counts with.
FENCED = "_fenced"
ADVICE = "Take a document that this version of the pipeline wrote; a run writes a new one."


@dataclass(frozen=True, eq=False)
class SegmentModel:
    """All the fitted numbers needed to put any customer into a segment.

    Attributes:
        declaration: What a customer is, and which features it sees.
        as_of_date: The day that everything is counted to.
        medians: What stands for a missing value, by column.
        scaler: What standardising subtracts and divides by.
        components: The loadings that place a standardised customer on the components.
        centroids: Where the segments lie on the components, shape (k, 3), float64, by cluster number.
        segment_ids: The segment of each cluster, by its number.
        personas: What people call each, by cluster number.
    """

    declaration: Declaration
    as_of_date: date
    medians: Mapping[str, float]
    scaler: Scaler
    components: Components
    centroids: np.ndarray
    segment_ids: tuple[str, ...]
    personas: tuple[str, ...]

    @property
    def features(self) -> Recipe:
        """The recipe in full."""
        return self.declaration.recipe

    @property
    def centres(self) -> np.ndarray:
        """The centroids as standardised features, shape (k, features): where PCA puts them back (Jolliffe 2002)."""
        centres: np.ndarray = self.centroids @ self.components.loadings
        return centres

    def places_like(self, other: "SegmentModel") -> bool:
        """Whether another model puts every customer into the cluster of the same number.

        Args:
            other: The other model.

        Returns:
            True where scaler, loadings and centroids are the same numbers.
        """
        return (
            self.scaler == other.scaler
            and np.array_equal(self.components.loadings, other.components.loadings)
            and np.array_equal(self.centroids, other.centroids)
        )

    def document(self) -> dict[str, Any]:
        """The model as plain data, fit for JSON.

        Returns:
            A dict of dicts, lists, texts and numbers; `read_model` reads it.
        """
        loadings = self.components.loadings.T.tolist()
        return {
            "format": FORMAT,
            "recipe": self.features.name,
            "declaration": self.declaration.document(),
            "as_of_date": self.as_of_date.isoformat(),
            "medians": dict(self.medians),
            "features": [
                row | {"loadings": weights} for row, weights in zip(self.scaler.rows(), loadings, strict=True)
            ],
            "explained_variance_ratio": list(self.components.explained_variance_ratio),
            "segments": [
                {"segment_id": segment, "persona": persona, "centroid": centre}
                for segment, persona, centre in zip(
                    self.segment_ids, self.personas, self.centroids.tolist(), strict=True
                )
            ],
        }


_Point = Annotated[list[float], Field(min_length=COMPONENTS, max_length=COMPONENTS)]
_Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    """A part of the document: nothing missing, nothing beside, and every number finite."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Declared(_Part):
    contract: dict[str, Any]
    recipe: dict[str, Any]


class _Feature(_Part):
    feature: str
    mean: float
    scale: float = Field(gt=0)
    lower: float | None = None
    upper: float | None = None
    loadings: _Point


class _Segment(_Part):
    segment_id: _Text
    persona: _Text
    centroid: _Point


class _Document(_Part):
    format: Literal[2]
    recipe: _Text
    declaration: _Declared
    as_of_date: date
    medians: dict[str, float]
    features: list[_Feature]
    explained_variance_ratio: _Point
    segments: list[_Segment] = Field(min_length=1)


def read_model(document: dict[str, Any]) -> SegmentModel:
    """The model, from the document that keeps it.

    Args:
        document: What `SegmentModel.document` gave, from JSON or not.

    Returns:
        The model, with the same numbers bit for bit.

    Raises:
        HomeError: If the document is not one of this format, whole and consistent; it names what is wrong.
    """
    try:
        # As JSON, because there a date is a text, and whole numbers may stand for others.
        known = _Document.model_validate_json(json.dumps(declared_before(document)))
        declaration = read_declared(known.declaration.model_dump(), "its declaration")
        _require_fit(known, declaration)
    except (ValidationError, TypeError, ValueError) as error:
        raise HomeError(f"The segment model cannot be read: {_tell(error)}. {ADVICE}") from None
    expected, found = declaration.recipe.names, tuple(feature.feature for feature in known.features)
    if found != expected:
        raise HomeError(
            f"The segment model cannot be read: features are {list(found)}, expected {list(expected)}, those of the "
            f"recipe {known.recipe}, in this order. {ADVICE}"
        )
    segment_ids = tuple(segment.segment_id for segment in known.segments)
    if len(set(segment_ids)) < len(segment_ids):
        raise HomeError(
            f"The segment model cannot be read: segments are {list(segment_ids)}, expected ids that differ. {ADVICE}"
        )
    loadings = np.array([feature.loadings for feature in known.features], dtype=np.float64)
    return SegmentModel(
        declaration=declaration,
        as_of_date=known.as_of_date,
        medians=known.medians,
        scaler=Scaler(
            features=found,
            mean=tuple(feature.mean for feature in known.features),
            scale=tuple(feature.scale for feature in known.features),
            fences={
                feature.feature: (feature.lower, feature.upper)
                for feature in known.features
                if feature.lower is not None and feature.upper is not None
            },
        ),
        # By component, as a fit gives them.
        components=Components(found, np.ascontiguousarray(loadings.T), tuple(known.explained_variance_ratio)),
        centroids=np.array([segment.centroid for segment in known.segments], dtype=np.float64),
        segment_ids=segment_ids,
        personas=tuple(segment.persona for segment in known.segments),
    )


def _require_fit(known: _Document, declaration: Declaration) -> None:
    """Hold what a document says beside its declaration against that."""
    recipe, contract = declaration.recipe, declaration.contract
    if known.recipe != recipe.name:
        raise ValueError(f"recipe is {known.recipe!r}, but its declaration is that of {recipe.name!r}")
    for feature in known.features:
        if feature.lower is not None and feature.feature not in recipe.numeric:
            raise ValueError(f"{feature.feature} is no number, and has no fences")
        if (feature.lower is None) != (feature.upper is None):
            raise ValueError(f"{feature.feature} has one of lower and upper, expected both or none")
        if feature.lower is not None and feature.upper is not None and feature.lower >= feature.upper:
            raise ValueError(f"{feature.feature}.lower is {feature.lower:.15g}, expected less than upper")
    if set(known.medians) != set(recipe.impute):
        raise ValueError(f"medians are of {sorted(known.medians)}, expected of {sorted(recipe.impute)}")
    for name, median in known.medians.items():
        least = contract.by_name[name].minimum
        if least is not None and median < least:
            raise ValueError(f"the median of {name} is {median:.15g}, expected {least:.15g} or more")


def _tell(error: Exception) -> str:
    """What is wrong with a document, and where."""
    if isinstance(error, DeclarationError):
        return str(error).removesuffix(". Correct the file.")
    if not isinstance(error, ValidationError):
        return str(error)
    faults = [
        f"{'.'.join(map(str, fault['loc'])) or 'the document'}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"
        for fault in error.errors()
    ]
    more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
    return "; ".join(faults[:3]) + more


def bring_up_to_date(
    model: SegmentModel, declaration: Declaration, figures: dict[str, Any], profiles: Rows
) -> SegmentModel:
    """Give a model what a later night knows better: the figures of its cleaning, and what people call the segments.

    Args:
        model: The model in force.
        declaration: Tonight's. Its limits are the model's from now on, and its words if it has the same features.
        figures: The row of the table `cleaning_figures`.
        profiles: The table `profiles`: `segment_id` and `persona` of every segment.

    Returns:
        The model, with the same scaler, components and centroids.
    """
    personas = {row["segment_id"]: row["persona"] for row in profiles}
    declared = _declare_anew(model, declaration)
    medians = {**model.medians, **read_medians(figures)}
    return replace(
        model,
        declaration=declared,
        as_of_date=figures["as_of_date"],
        medians={name: medians[name] for name in declared.recipe.impute},
        personas=tuple(personas[segment] for segment in model.segment_ids),
    )


def _declare_anew(model: SegmentModel, tonight: Declaration) -> Declaration:
    """What a model's customers are held against: as tonight, as far as tonight's recipe speaks of the same features."""
    if tonight.recipe.seen_by == model.features.seen_by:
        return tonight
    source = {**model.features.source, "clean": tonight.recipe.source.get("clean", {})}
    try:
        return read_declared({"contract": tonight.contract.source, "recipe": source}, "the model in force")
    except DeclarationError:
        # Tonight's limits are on features that the model's recipe does not make.
        return model.declaration


def read_medians(figures: Mapping[str, Any]) -> dict[str, float]:
    """What stands for a missing value, from the table that keeps it.

    Args:
        figures: The row of the table `cleaning_figures`.

    Returns:
        The median of each column that is imputed.
    """
    return {name.removesuffix("_median"): value for name, value in figures.items() if name.endswith("_median")}


def assign_model(features: FrameT, model: SegmentModel, beside: tuple[str, ...] = ()) -> FrameT:
    """Put every customer into a segment: place it on the components, and find the nearest centroid.

    Args:
        features: Customers from `describe_customers`.
        model: The model.
        beside: Further columns of `features` to keep.

    Returns:
        `customer_id`, `kmeans_cluster` (Int32), `segment_id`, `distance` to its centroid (Float64, no unit),
        `runner_up_segment_id`, `margin`, how much farther the runner-up's centroid is, and what is kept beside them.
        Runner-up and margin are null where there is one segment only; all but the id where a number is missing.
    """
    placed = assign_segments(place_customers(features, model, beside), model.centroids, model.segment_ids)
    return placed.select(
        "customer_id", "kmeans_cluster", "segment_id", "distance", "runner_up_segment_id", "margin", *beside
    )


def place_customers(features: FrameT, model: SegmentModel, beside: tuple[str, ...] = ()) -> FrameT:
    """Encode, standardise and project in one: each component is a constant and a weight for each feature.

    The same place as by `encode_features`, `standardise` and `project`, but for the last digits, for less work.

    Args:
        features: Customers from `describe_customers`.
        model: The model.
        beside: Further columns of `features` to keep.

    Returns:
        `customer_id`, `pc1`, `pc2`, `pc3` (Float64, no unit), and what is kept beside them.
    """
    weights = model.components.loadings / np.array(model.scaler.scale)
    origins = -(weights * np.array(model.scaler.mean)).sum(axis=1)
    fences = model.scaler.fences
    axes = [
        reduce(add, _terms(model, row.tolist()), nw.lit(float(origin))).alias(name)
        for name, origin, row in zip(COMPONENT_NAMES, origins, weights, strict=True)
    ]
    # Once for all components: what is kept beside them keeps its own numbers.
    fenced = [within(nw.col(name), each).alias(f"{name}{FENCED}") for name, each in fences.items()]
    return (features.with_columns(*fenced) if fenced else features).select("customer_id", *axes, *beside)


def _terms(model: SegmentModel, weights: Sequence[float]) -> Iterator[nw.Expr]:
    """What each column of `features` adds to a component."""
    recipe, fences = model.features, model.scaler.fences
    weight = {(feature.source, feature.category): value for feature, value in zip(recipe.encoded, weights, strict=True)}
    for name in recipe.numeric:
        value = nw.col(f"{name}{FENCED}") if name in fences else nw.col(name).cast(nw.Float64)
        yield value * weight[name, None]
    for name, categories in recipe.categorical:
        *others, last = categories
        term = nw.lit(weight[name, last])
        for category in others:
            term = nw.when(nw.col(name) == category).then(nw.lit(weight[name, category])).otherwise(term)
        yield term


def score_customers(judged: FrameT, model: SegmentModel) -> FrameT:
    """Put customers that the model was not fitted on into its segments.

    Everything is as in the run the model comes from: what is missing is imputed by that run's medians, and all is
    counted to its as-of date. Who came after that date is counted as having come on it.

    Args:
        judged: Rows from `judge_customers`.
        model: The model.

    Returns:
        The same rows, in order: `customer_id`, `segment_id`, `persona`, `distance`, `runner_up_segment_id`,
        `runner_up_persona` and `margin`; all but the id are null where the contract or a limit refuses the row.
    """
    as_of, newest = nw.lit(model.as_of_date, dtype=nw.Date), model.features.newest
    imputed = {name: value.alias(name) for name, value in complete(model.medians, model.declaration).items()}
    if newest is not None:
        came = nw.col(newest).cast(nw.Date)
        imputed[newest] = nw.when(came > as_of).then(as_of).otherwise(came).alias(newest)
    accepted = nw.col("is_accepted")
    known = judged.with_columns(
        *imputed.values(),
        as_of.alias("as_of_date"),
        belongs(model.as_of_date, model.declaration, newcomers=True).alias("is_accepted"),
    )
    # What is refused may be any number, also one whose sums no type holds.
    bounded = [
        nw.when(accepted).then(nw.col(name)).otherwise(nw.lit(0)).alias(name)
        for name in model.declaration.columns_read
        if model.declaration.contract.by_name[name].type in WHOLE
    ]
    known = known.with_columns(*bounded) if bounded else known
    described = describe_customers(known, model.declaration, beside=("is_accepted",))
    placed = assign_model(described, model, beside=("is_accepted",))
    scores = {
        "segment_id": nw.col("segment_id"),
        "persona": _persona_of("kmeans_cluster", range(len(model.personas)), model),
        "distance": nw.col("distance"),
        "runner_up_segment_id": nw.col("runner_up_segment_id"),
        "runner_up_persona": _persona_of("runner_up_segment_id", model.segment_ids, model),
        "margin": nw.col("margin"),
    }
    return placed.select("customer_id", *[nw.when(accepted).then(value).alias(name) for name, value in scores.items()])


def _persona_of(name: str, values: Sequence[Any], model: SegmentModel) -> nw.Expr:
    return nw.coalesce(
        *[nw.when(nw.col(name) == v).then(nw.lit(persona)) for v, persona in zip(values, model.personas, strict=True)]
    )


def label_by(features: FrameT, model: SegmentModel, centroids: Mapping[str, np.ndarray]) -> FrameT:
    """Add the clusters that customers are in by centroids on a model's components, and keep all columns.

    Args:
        features: Customers from `describe_customers`, with any further columns but `pc1`, `pc2` and `pc3`.
        model: The model whose components they are.
        centroids: For each column to add, the centroids, shape (k, 3).

    Returns:
        The same columns and those labels (Int32); by the model's own centroids, the `kmeans_cluster` of `assign_model`.
    """
    beside = [name for name in features.collect_schema().names() if name != "customer_id"]
    points = place_customers(features, model, tuple(beside))
    for label, places in centroids.items():
        points = nearest_centroid(points, places, label)
    return points.drop(*COMPONENT_NAMES)
