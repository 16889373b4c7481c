"""What earlier versions of the pipeline wrote down, in the words of this one."""

from collections.abc import Mapping
from typing import Any

from smartcart_pipeline.declaration.declaration import shipped_declaration, shipped_recipes

MEDIAN = "_median"


def declared_before(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of a segment model, whose format may be the first.

    That one knew the shipped recipes only, by their names, and kept limits and the median beside them.

    Args:
        document: The document.

    Returns:
        The same model in the format of today; any other document as it is.
    """
    if document.get("format") != 1 or document.get("recipe") not in shipped_recipes():
        return dict(document)
    medians = {key: value for key, value in document.items() if key.endswith(MEDIAN)}
    kept = {key: value for key, value in document.items() if key != "limits" and key not in medians}
    declared = shipped_declaration(str(document["recipe"])).document()
    maxima = {name.removeprefix("max_"): value for name, value in dict(document.get("limits") or {}).items()}
    limits = [_with_maximum(limit, maxima) for limit in declared["recipe"]["clean"]["limits"]]
    declared["recipe"] = {**declared["recipe"], "clean": {**declared["recipe"]["clean"], "limits": limits}}
    return {
        **kept,
        "format": 2,
        "declaration": declared,
        "medians": {key.removesuffix(MEDIAN): value for key, value in medians.items()},
    }


def _with_maximum(limit: dict[str, Any], maxima: Mapping[str, Any]) -> dict[str, Any]:
    name = str(limit.get("feature") or limit.get("column"))
    return {**limit, "maximum": maxima[name]} if "maximum" in limit and name in maxima else limit
