"""What earlier versions of the pipeline wrote down, in the words of this one."""

from typing import Any

from smartcart_pipeline.declaration.columns import WHOLE
from smartcart_pipeline.declaration.declaration import Declaration, shipped_declaration, shipped_recipes
from smartcart_pipeline.declaration.files import nearest
from smartcart_pipeline.declaration.tables import feature_columns

MEDIAN = "_median"


def declared_before(document: Any) -> Any:
    """A document of a segment model, whose format may be the first.

    That one knew the shipped recipes only, by their names, and kept limits and the median beside them.

    Args:
        document: The document.

    Returns:
        The same model in the format of today; anything else as it is.

    Raises:
        ValueError: If it is of the first format, and not whole.
    """
    if not isinstance(document, dict) or document.get("format") != 1:
        return document
    name, known = document.get("recipe"), tuple(shipped_recipes())
    if name not in known:
        raise ValueError(f"recipe is {name!r}{nearest(str(name), known)}")
    declaration = shipped_declaration(name)
    medians = {f"{column}{MEDIAN}" for column in declaration.recipe.impute}
    if missing := ({"limits"} | medians) - document.keys():
        raise ValueError(f"{sorted(missing)[0]} is missing")
    if later := {"declaration", "medians"} & document.keys():
        raise ValueError(f"{sorted(later)[0]} is not known in format 1")
    return {
        **{key: value for key, value in document.items() if key not in {"limits", *medians}},
        "format": 2,
        "declaration": _with_limits(declaration, document["limits"]),
        "medians": {column: document[f"{column}{MEDIAN}"] for column in declaration.recipe.impute},
    }


def _with_limits(declaration: Declaration, limits: Any) -> dict[str, Any]:
    """What a shipped declaration says, with the limits that a night of an earlier version was set."""
    expected = {f"max_{limit.on}": limit for limit in declaration.recipe.limits if limit.maximum is not None}
    if not isinstance(limits, dict) or set(limits) != set(expected):
        raise ValueError(f"limits are {limits!r}, expected {' and '.join(sorted(expected))}")
    features = feature_columns(declaration)
    for name, value in limits.items():
        limit = expected[name]
        kind = features[limit.on].type if limit.of_feature else declaration.contract.by_name[limit.on].type
        wanted = int if kind in WHOLE else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted) or value < 0:
            raise ValueError(
                f"limits.{name} is {value!r}, expected a {'whole ' if kind in WHOLE else ''}number, 0 or more"
            )
    declared = declaration.document()
    clean = declared["recipe"]["clean"]
    changed = [
        {**limit, "maximum": limits[f"max_{limit.get('feature') or limit.get('column')}"]}
        if "maximum" in limit
        else limit
        for limit in clean["limits"]
    ]
    declared["recipe"] = {**declared["recipe"], "clean": {**clean, "limits": changed}}
    return declared
