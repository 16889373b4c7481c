"""What the night goes by, in front of all that follows from it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from smartcart_pipeline.declaration import contract, describing, recipe
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.orchestration.assets import makes
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.lake import Fitted


@makes(
    "ingest",
    {"declared_columns": (contract, describing), "declared_features": (recipe, describing)},
)
def declaring(declaration: dg.ResourceParam[Declaration], home: dg.ResourceParam[Home]) -> Iterator[dg.Output[Any]]:
    """`declared_columns`: a column of the export. `declared_features`: a feature."""
    if home.audiences_file.is_file():
        from smartcart_pipeline.audiences.reading import read_file  # noqa: PLC0415  (only where there is such a file)

        # What can be known of it now, nobody should be told when all the rest is done.
        with naming_the_fault():
            read_file(home.audiences_file)
    version = dg.DataVersion(declaration.digest)
    facts = {"contract": declaration.contract.name, "recipe": declaration.recipe.name, "digest": declaration.digest}
    columns, features = describing.column_rows(declaration.contract), describing.feature_rows(declaration)
    yield dg.Output(Fitted(columns), "declared_columns", metadata=facts, data_version=version)
    yield dg.Output(Fitted(features), "declared_features", metadata=facts, data_version=version)
