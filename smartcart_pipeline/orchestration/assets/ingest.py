"""The export as it was delivered. What is wrong with a row is judged later, in `prepare`."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration import contract, matching
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.engines.engine import Engine
from smartcart_pipeline.exports import (
    as_of,
    csv_text,
    dates,
    header,
    ids,
    inspecting,
    numerals,
    reading_duckdb,
    transcoding,
)
from smartcart_pipeline.exports.as_of import day_of_delivery, stated_day
from smartcart_pipeline.exports.inspecting import find_synonyms, inspect_export
from smartcart_pipeline.exports.reading import read_export, tell_numbers, tell_reading
from smartcart_pipeline.exports.reading_duckdb import Readings
from smartcart_pipeline.orchestration.assets import EXPORT_TAG, makes
from smartcart_pipeline.orchestration.faults import naming_the_fault
from smartcart_pipeline.orchestration.io_manager import DELIVERED_ROWS, NOTE, SYNONYMS
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.storage.arrivals import find_export
from smartcart_pipeline.storage.damage import mend_tables
from smartcart_pipeline.storage.home import Home, require_space
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.storage.models import Record, read_record

# So many new columns are named at once.
NAMED = 5
# Which texts were read as categories that are written otherwise, in the metadata, and so many of a column at most.
CATEGORIES, SHOWN = "categories_by_sight", 100


@makes(
    "ingest",
    {
        "raw_customers": (
            as_of,
            contract,
            csv_text,
            dates,
            header,
            ids,
            inspecting,
            matching,
            numerals,
            reading_duckdb,
            transcoding,
        )
    },
    after=("declared_columns", "declared_features"),
)
def raw_customers(
    context: dg.AssetExecutionContext,
    settings: Settings,
    engine: dg.ResourceParam[Engine],
    home: dg.ResourceParam[Home],
    lake: dg.ResourceParam[Lake],
    declaration: dg.ResourceParam[Declaration],
) -> Iterator[dg.Output[Any]]:
    """One row a line of the export, as delivered."""
    with naming_the_fault():
        # First of all that a night does: what the last one left must be whole.
        for mended in mend_tables(home, engine.local, lake.tables):
            context.log.warning(mended)
        export = inspect_export(find_export(home, settings.input), declaration.contract)
        context.instance.add_run_tags(context.run.run_id, {EXPORT_TAG: export.path.name})
        delivered_on = day_of_delivery(export.path)
        stated = stated_day(settings.as_of or declaration.recipe.as_of, export.path, delivered_on)
        require_space(home, export.rows, settings.copied_rows)
        frame, readings = read_export(engine, export)
        new = _tell_new(frame, lake, read_record(home))
        notes = [*tell_reading(export, readings, declaration.contract), *new]
    synonyms = find_synonyms(export, declaration.contract)
    yield dg.Output(
        frame,
        "raw_customers",
        metadata={
            **({NOTE: " ".join(notes)} if notes else {}),
            **({SYNONYMS: dg.MetadataValue.json(synonyms)} if synonyms else {}),
            **({CATEGORIES: dg.MetadataValue.json(_shorten(readings))} if readings.categories else {}),
            "export": dg.MetadataValue.path(export.path),
            "content_hash": export.content_hash,
            DELIVERED_ROWS: export.rows,
            "format": export.format,
            "ids": declaration.contract.key.expected,
            "delivered_on": str(delivered_on),
            "as_of_stated": str(stated or f"the newest {declaration.newest_day}"),
            "date_reading": "; ".join(dict.fromkeys(each.reading for each in readings.dates.values())),
            "date_evidence": " ".join(each.evidence for each in readings.dates.values()),
            **({"number_evidence": told} if (told := tell_numbers(readings)) else {}),
        },
        data_version=dg.DataVersion(export.content_hash[:12]),
    )


def _shorten(readings: Readings) -> dict[str, dict[str, str]]:
    """Which texts were read as which categories, by header; the first of them."""
    return {each.header: dict(islice(each.meant.items(), SHOWN)) for each in readings.categories.values()}


def _tell_new(frame: nw.LazyFrame[Any], lake: Lake, record: Record) -> Iterator[str]:
    """Columns that no feature reads, and that the night before did not have."""
    before = lake.read_of(record.last.run_id, "raw_customers") if record.last else None
    if before is None:
        return
    known = {*before.collect_schema().names(), *lake.tables["raw_customers"].names}
    if new := [name for name in frame.collect_schema().names() if name not in known]:
        more = ", …" if len(new) > NAMED else ""
        yield f"New in this export, carried along, and read by no feature: {', '.join(new[:NAMED])}{more}."
