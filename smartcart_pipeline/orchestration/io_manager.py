"""How Dagster's outputs become tables of the lake, and what Dagster is told of them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import duckdb

from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.tables import Table, declare_further
from smartcart_pipeline.engines.lineage import Columns
from smartcart_pipeline.engines.sql import unquoted
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.storage.lake import Lake, Stored

# What people should know although nothing failed, in the metadata of the step that found it.
NOTE = "note"
# Which columns came under which of their synonyms, or under a header that looks like one of their names.
SYNONYMS = "synonyms"
# How many rows an export holds, in the metadata of the table that keeps it.
DELIVERED_ROWS = "delivered_rows"
# Where the columns of those tables come from that are made of no other.
ORIGINS = {
    "raw_customers": "the export",
    "declared_columns": "the contract",
    "declared_features": "the recipe",
    "deliveries": "what was handed out",
}


class LakeIOManager(dg.IOManager):
    """Keeps what an asset returns as a Parquet file of the lake, and hands it to the next asset as a lazy frame."""

    def __init__(self, tables: Lake) -> None:
        """Write to and read from these tables."""
        self.tables = tables
        self._delivered: int | None = None

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a table and say in the metadata what was written."""
        name = context.asset_key.path[-1]
        expected = self._expect_rows(context)
        started = time.monotonic()

        def say(rows: float, about: str) -> None:
            rate = rows / max(time.monotonic() - started, 0.001)
            context.log.info(f"{name}: {about}{rows:,.0f} rows, {rate:,.0f} a second")

        with naming_the_fault(), _blaming_the_export(context):
            stored = self.tables.write(name, obj, lambda share: say(share * expected, f"of {expected:,} rows about "))
        say(stored.rows, "")
        context.add_output_metadata(describe_stored(self.tables.tables[name], stored))

    def _expect_rows(self, context: dg.OutputContext) -> int:
        """About how many rows a table of customers will have; counted once a run, before anything is written."""
        delivered = (context.output_metadata or {}).get(DELIVERED_ROWS)
        if delivered is not None:
            self._delivered = int(delivered.value)
        elif self._delivered is None:
            self._delivered = self.tables.count("raw_customers") if self.tables.has("raw_customers") else 0
        return self._delivered

    def load_input(self, context: dg.InputContext) -> Any:
        """Read a table."""
        return self.tables.read(context.asset_key.path[-1])


@dg.io_manager(required_resource_keys={"lake"})
def lake_io_manager(context: dg.InitResourceContext) -> LakeIOManager:
    """The IO manager of this run."""
    return LakeIOManager(context.resources.lake)


def describe_stored(table: Table, stored: Stored) -> Mapping[str, Any]:
    """Metadata of a table that was written.

    Args:
        table: The table.
        stored: What was written.

    Returns:
        Row count, schema, column lineage (for Dagster, and as a table for people), path and size.
    """
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            column.description,
            constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=column.unique),
        )
        for column in (*table.columns, *declare_further(stored.further))
    ]
    return {
        "dagster/row_count": stored.rows,
        "dagster/table_name": table.name,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": _column_lineage(stored.lineage),
        # What is not computed from any frame has no lineage of its own, and its columns are shown all the same.
        "column_lineage": _lineage_table(table.name, {column.name: [] for column in columns} | stored.lineage),
        "path": dg.MetadataValue.path(stored.path),
        "bytes": stored.bytes,
    }


def _column_lineage(lineage: Columns) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(dg.AssetKey(table), upstream) for table, upstream in sources]
            for column, sources in lineage.items()
            if sources
        }
    )


def _lineage_table(name: str, lineage: Columns) -> dg.TableMetadataValue:
    # A column without upstream columns is delivered, declared, or one figure for all rows, like the as-of date.
    origin = ORIGINS.get(name, "a figure of the whole run")
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    "column": f"{name}.{column}",
                    "computed_from": ", ".join(f"{t}.{c}" for t, c in sources) or origin,
                }
            )
            for column, sources in lineage.items()
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("column", "string", "A column of this table."),
                dg.TableColumn("computed_from", "string", "The upstream columns its values come from."),
            ]
        ),
    )


@contextmanager
def _blaming_the_export(context: dg.OutputContext) -> Iterator[None]:
    """Some of what is wrong with a file shows only when all of it is read, on the way into the lake."""
    try:
        yield
    except duckdb.InvalidInputException as error:
        export = (context.output_metadata or {}).get("export")
        if export is None:
            raise
        raise ExportError(f"{export.value}: the file cannot be read ({unquoted(error)}). Deliver it again.") from None
