"""Declarations as files: YAML in, and every way in which one can be wrong as a message with its place.

What belongs here: what a file may say at all (`RecipeFile`, and the package of the Open Data Contract Standard for
contracts). What does not: whether that makes sense (see `reading`).
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.declaration.recipe import MOST_SEGMENTS

# Where a recipe lists what segments shall not follow unawares.
SENSITIVE = "described.sensitive"
# So many faults of a file are told at once.
TOLD = 5
# What pydantic says in words of Python.
KINDS = {
    "model_type": "expected keys and values",
    "dict_type": "expected keys and values",
    "list_type": "expected a list",
}

Name = Annotated[str, Field(min_length=1)]
Pair = Annotated[list[Name], Field(min_length=2, max_length=2)]
# How many a recipe may ask for.
Segments = Annotated[int, Field(ge=2, le=MOST_SEGMENTS)]


class DeclarationError(HomeError):
    """A contract or a recipe is at fault: the message names the file and the place, and what was expected.

    Attributes:
        faults: All that is wrong, each with its place; the message tells the first.
    """

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        """Say what is wrong."""
        super().__init__(message)
        self.faults = tuple(faults)


class Part(BaseModel):
    """A part of a recipe: nothing that is not declared, and no text for a number."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Head(Part):
    """What a recipe is called, and which contract it is for."""

    name: Name
    contract: Name
    based_on: Name | None = None


class AsOf(Part):
    """Which day an export is counted to: one of these."""

    newest: Name | None = None
    file_name: Name | None = None
    day: date | None = None
    delivered: Literal[True] | None = None


class LimitPart(Part):
    """Beyond it a customer is left out."""

    column: Name | None = None
    feature: Name | None = None
    maximum: float | None = None
    until: Literal["as_of"] | None = None
    reason: Name
    meaning: Name
    detail: Name


class Clean(Part):
    """What happens to values that are missing or extreme."""

    missing: dict[Name, bool | int | float | str] = {}
    unknown: dict[Name, Annotated[list[float], Field(min_length=1)]] = {}
    limits: list[LimitPart] = []


class AdvicePart(Part):
    """What to do for a segment that has much of something, or little."""

    more: Name | None = None
    less: Name | None = None
    like: Name | None = None
    at_least: float | None = None
    but_less: Name | None = None


class WordsPart(Part):
    """What people call a number, or a group of a category."""

    label: Name | None = None
    named: Name | None = None
    condition: Name | None = None
    more: Name | None = None
    less: Name | None = None
    mean: Annotated[str, Field(pattern=r"^[^{}]*\{value\}[^{}]*$")] | None = None
    short: Pair | None = None
    unit: str = ""
    decimals: int = Field(default=1, ge=0, le=6)
    do: AdvicePart = AdvicePart()


class FeaturePart(Part):
    """A feature: one verb, and what people call it."""

    column: Name | None = None
    flag: Name | None = None
    years_since: Name | None = None
    days_since: Name | None = None
    sum: Annotated[list[Name], Field(min_length=2)] | None = None
    difference: Pair | None = None
    ratio: Pair | None = None
    log: Name | None = None
    regroup: Name | None = None
    into: dict[Name, Annotated[list[Name], Field(min_length=1)]] | None = None
    otherwise: Name | None = None
    description: Name | None = None
    step: Annotated[float, Field(gt=0)] | None = None
    rate: Name | None = None
    share: Name | None = None
    weight: Annotated[float, Field(gt=0)] = 1
    words: WordsPart = WordsPart()
    levels: dict[Name, WordsPart] = {}


class CompositionPart(Part):
    """What a feature is the sum of."""

    of: Name
    parts: dict[Name, Name]
    title: Name | None = None


class BusinessPart(Part):
    """Which features are what the business speaks of."""

    worth: Name | None = None
    means: Name | None = None
    recency: Name | None = None
    tenure: Name | None = None
    discounts: Name | None = None
    composition: CompositionPart | None = None
    channels: dict[Name, Pair] = {}
    household: dict[Literal["partner", "children"], Name] = {}


class ReportPart(Part):
    """What the page and the views show."""

    told: list[Name] = []
    summary: list[Name] = []
    beside: list[Name] = []
    alike: Name | None = None


class RecipeFile(Part):
    """A whole recipe."""

    recipe: Head
    as_of: AsOf | None = None
    segments: Literal["auto"] | Segments = "auto"
    fences: Annotated[float, Field(gt=0)] | None = None
    clean: Clean = Clean()
    features: dict[Name, FeaturePart]
    outcomes: dict[Name, FeaturePart] = {}
    described: dict[Name, FeaturePart] = {}
    # As `SENSITIVE`: the keys of a model are no names.
    sensitive: dict[Name, FeaturePart] = Field(default={}, alias="described.sensitive")
    counts_outcomes: bool = False
    business: BusinessPart = BusinessPart()
    report: ReportPart = ReportPart()


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file.

    Args:
        path: The file.

    Returns:
        What it says.

    Raises:
        DeclarationError: If it cannot be read, is no YAML, says a key twice, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.load(text, Loader=_Strict)  # noqa: S506  (a kind of the safe loader)
    except UnicodeDecodeError:
        raise DeclarationError(f"{path}: the text is not UTF-8. Save it as UTF-8.") from None
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, ValueError) as error:  # a date like 2024-13-01 is a ValueError
        raise DeclarationError(f"{path}: this is no YAML: {_tell_yaml(error)}. Correct the file.") from None
    except RecursionError:
        raise DeclarationError(f"{path}: it is nested too deeply. Correct the file.") from None
    if not isinstance(found, dict):
        raise DeclarationError(f"{path}: expected keys and values, found {_kind(found)}. See the shipped files.")
    if _holds_itself(found):
        raise DeclarationError(f"{path}: a list or mapping stands within itself, by its anchor. Correct the file.")
    return found


def _holds_itself(found: Any) -> bool:
    try:
        json.dumps(found, default=str, skipkeys=True)
    except (ValueError, RecursionError):
        return True
    return False


# The safe loader in C, where PyYAML was built with it, takes a fraction of the time.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Strict(_SafeLoader):  # type: ignore[misc]
    """A loader that takes a key said twice for a fault: YAML itself keeps the second without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r} is said twice", problem_mark=node.value[number][0].start_mark
                )
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _tell_yaml(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or error).splitlines()[0]
    return f"{said}, in line {mark.line + 1}" if mark else said


def _kind(value: Any) -> str:
    return "nothing" if value is None else "a list" if isinstance(value, list) else "a single value"


def require_known_keys(path: Path, found: Any, model: type[BaseModel]) -> None:
    """Hold the keys of a file against the fields of a model, at every depth.

    Args:
        path: The file.
        found: What it says.
        model: What it may say.

    Raises:
        DeclarationError: If there are keys that the model does not have; it tells the nearest of those that it has.
    """
    if faults := unknown_keys(found, model):
        raise refusal(path, faults)


def unknown_keys(found: Any, model: type[BaseModel]) -> list[str]:
    """The keys of plain data that a model does not have, at every depth.

    Args:
        found: The data.
        model: What it may be.

    Returns:
        Each with its place, and the nearest of those that there are.
    """
    return list(_unknown_keys(found, model, ""))


def _unknown_keys(found: Any, annotation: Any, place: str) -> Iterator[str]:
    if not isinstance(found, list | dict):
        return
    model = next((kind for kind in _kinds(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    if isinstance(found, list):
        for number, value in enumerate(found, start=1):
            yield from _unknown_keys(value, annotation, f"{place}[{number}]")
    elif model is None:
        for key, value in found.items():
            yield from _unknown_keys(value, get_args(annotation), _below(place, key))
    elif _is_mapping(annotation):
        for key, value in found.items():
            yield from _unknown_keys(value, model, _below(place, key))
    else:
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        for key, value in found.items():
            if key in fields:
                yield from _unknown_keys(value, fields[key], _below(place, key))
            else:
                yield f"{_below(place, key)} is not known{nearest(str(key), fields)}"


def _kinds(annotation: Any) -> Iterator[Any]:
    """An annotation, and all that stands in its brackets."""
    yield annotation
    for inner in annotation if isinstance(annotation, tuple) else get_args(annotation):
        yield from _kinds(inner)


def _is_mapping(annotation: Any) -> bool:
    return any(getattr(kind, "__origin__", None) is dict for kind in _kinds(annotation))


def _below(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def nearest(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """A hint at what may have been meant.

    Args:
        name: What was found.
        known: What there is.

    Returns:
        The nearest of it, to follow after the fault; all of it where there is little and none is near.
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    if near:
        return f" (nearest: {near[0]})"
    return f": expected one of {', '.join(known)}" if 0 < len(known) <= 12 else ""


def validate(path: Path, found: dict[str, Any], model: type[BaseModel]) -> Any:
    """Read plain data by a model.

    Args:
        path: The file that it is from.
        found: The data.
        model: What it may be.

    Returns:
        An instance of the model.

    Raises:
        DeclarationError: If a key is not known, one is missing, or a value is of another kind.
    """
    require_known_keys(path, found, model)
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise refusal(path, tell_invalid(error)) from None


def tell_invalid(error: ValidationError) -> list[str]:
    """What keeps plain data from being a model's, for people.

    Args:
        error: What the model says.

    Returns:
        Each fault with its place.
    """
    return [_tell(fault) for fault in error.errors()]


def _tell(fault: Any) -> str:
    place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    if fault["type"] == "missing":
        return f"{place} is missing"
    said = KINDS.get(fault["type"], fault["msg"].removeprefix("Input ").removeprefix("Value error, "))
    value = fault["input"]
    shown = f" is {value!r}" if isinstance(value, str | int | float | bool) or value is None else f" is {_kind(value)}"
    return f"{place}{shown}: {said}"


def refusal(path: Path, faults: Sequence[str]) -> DeclarationError:
    """What is wrong with a file, for people.

    Args:
        path: The file.
        faults: Each with its place.

    Returns:
        The error, to be raised; it tells the first faults.
    """
    more = f" (and {len(faults) - TOLD} more)" if len(faults) > TOLD else ""
    return DeclarationError(f"{path}: {'; '.join(faults[:TOLD])}{more}. Correct the file.", faults)
