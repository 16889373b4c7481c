"""A declaration as rows of its own two tables, for who reads the warehouse."""

from typing import Any

from smartcart_pipeline.declaration.contract import Contract
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import VERBS, Recipe, read_by
from smartcart_pipeline.declaration.tables import feature_columns


def column_rows(contract: Contract) -> list[dict[str, Any]]:
    """The table `declared_columns`.

    Args:
        contract: What the export must be.

    Returns:
        One row a column, in the order of the contract.
    """
    return [
        {
            "name": column.name,
            "header": column.header,
            "type": column.type,
            "is_required": not column.nullable,
            "is_key": column == contract.key,
            "minimum": column.minimum,
            "maximum": column.maximum,
            "categories": list(column.categories),
            "classification": column.classification or None,
            "description": column.description,
        }
        for column in contract.columns
    ]


def feature_rows(declaration: Declaration) -> list[dict[str, Any]]:
    """The table `declared_features`.

    Args:
        declaration: What is made of the export.

    Returns:
        One row a feature, in the order of the recipe.
    """
    recipe: Recipe = declaration.recipe
    columns = feature_columns(declaration)
    verbs = {kind: name for name, kind in VERBS.items()}
    return [
        {
            "name": feature.name,
            "role": feature.role,
            "is_seen": feature in recipe.seen,
            "verb": verbs[type(feature.verb)],
            "reads": list(read_by(feature.verb)),
            "step": feature.step,
            "label": feature.words.label,
            "unit": feature.words.unit or None,
            "description": columns[feature.name].description,
        }
        for feature in recipe.features
    ]
