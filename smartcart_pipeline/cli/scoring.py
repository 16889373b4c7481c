"""Scoring a file of new customers with a published model; the home is read and never changed."""

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw

from smartcart_pipeline.declaration.errors import CallError, ExportError, HomeError
from smartcart_pipeline.declaration.tables import declare_tables
from smartcart_pipeline.engines.duckdb import BATCH, DuckDBEngine
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading import read_export, tell_reading
from smartcart_pipeline.segmentation.cleaning import (
    find_causes,
    forget_placeholders,
    judge_export,
    reject_customers,
    tell_causes,
)
from smartcart_pipeline.segmentation.model import SegmentModel, read_model, score_customers
from smartcart_pipeline.storage.home import put_in_place
from smartcart_pipeline.storage.questions import WRITERS
from smartcart_pipeline.storage.warehouse import open_warehouse

STANDARD_OUTPUT = "-"


@dataclass(frozen=True)
class Scores:
    """What came of a file.

    Attributes:
        model_version: The model that scored it.
        customers: How many customers were put into segments.
        rejected: How many rows were rejected, by reason, the most frequent first.
        causes: What is wrong with them.
        rejected_path: The file of rejected rows, where there are any and the output is a file.
        notes: What people should know of how the file was read.
    """

    model_version: str
    customers: int
    rejected: dict[str, int]
    causes: str
    rejected_path: Path | None
    notes: list[str]


def published_model(publication: Path) -> tuple[str, SegmentModel]:
    """The model of a publication.

    Args:
        publication: The DuckDB file.

    Returns:
        Its version and the model.

    Raises:
        HomeError: If it holds no model that can be read.
    """
    try:
        with open_warehouse(publication) as connection:
            [(version, document)] = connection.execute("SELECT model_version, document FROM segment_model").fetchall()
        return version, read_model(json.loads(document))
    except duckdb.CatalogException:
        raise HomeError(f"{publication}: the warehouse holds no model. Publish one: smartcart run.") from None
    except duckdb.Error as error:
        first_line = str(error).splitlines()[0]
        raise HomeError(f"{publication}: the warehouse cannot be read ({first_line}). Run: smartcart run.") from None


def choose_format(output: str, named: str | None) -> str:
    """The format of the output.

    Args:
        output: A file, or `-`.
        named: The format that was asked for, if one was.

    Returns:
        `csv`, `json` or `parquet`.

    Raises:
        CallError: If it is none of them.
    """
    chosen = named or ("csv" if output == STANDARD_OUTPUT else Path(output).suffix.lower().lstrip("."))
    if chosen not in WRITERS:
        known = ", ".join(WRITERS)
        raise CallError(
            f"--format {named!r} is not known. Choose one of {known}."
            if named
            else f"--output {output}: the name tells no format. Let it end in one of {known}, or name a --format."
        )
    return chosen


def score_file(publication: Path, file: Path, output: str, named_format: str | None = None) -> Scores:
    """Put the customers of a file into the segments of a published model.

    The file is read as an export is: the same formats, the same contract, the same limits. The output is put in place
    when it is whole.

    Args:
        publication: The DuckDB file that holds the model.
        file: The customers.
        output: Where the scores go: a file, replaced if it is there, or `-` for standard output.
        named_format: `csv`, `json` or `parquet`; None goes by the output's name.

    Returns:
        What came of it. Rejected rows are in `<output>.rejected.csv`, with reasons.

    Raises:
        ExportError: If the file is at fault, or not one row can be scored.
        CallError: If the call is.
    """
    chosen = choose_format(output, named_format)
    target = None if output == STANDARD_OUTPUT else Path(output)
    _require_places(file, target)
    version, model = published_model(publication)
    with tempfile.TemporaryDirectory(prefix="smartcart-") as folder:
        engine = DuckDBEngine(spill_directory=Path(folder) / "spill")
        try:
            made = _score(engine, model, file, target, chosen, Path(folder))
            return Scores(version, *made)
        except (OSError, duckdb.IOException) as error:
            raise CallError(
                f"{output}: cannot be written ({str(error).splitlines()[0]}). Make room, or name another --output."
            ) from None
        finally:
            engine.close()


def _score(
    engine: DuckDBEngine, model: SegmentModel, file: Path, target: Path | None, chosen: str, folder: Path
) -> tuple[int, dict[str, int], str, Path | None, list[str]]:
    """Score a file: what `Scores` says of it, but for the model's version."""
    export = inspect_export(file, model.declaration.contract)
    declaration = model.declaration.as_delivered(export.headers)
    tables, contract = declare_tables(declaration), declaration.contract
    read, readings = read_export(engine, export)
    delivered = engine.write(read, tables["raw_customers"], folder / "raw.parquet").rows
    # Several passes follow, and reading text as numbers and dates is the dearest part of each.
    delivered_rows = forget_placeholders(engine.scan(folder / "raw.parquet", "raw_customers"), declaration.recipe)
    judged = judge_export(delivered_rows, contract, engine)
    refused = reject_customers(judged, model.as_of_date, declaration, newcomers=True).sort("line_number")
    rejects = engine.write(refused, tables["rejected_customers"], folder / "rejected.parquet").rows
    rejected = engine.scan(folder / "rejected.parquet", "rejected_customers")
    causes = tell_causes(find_causes(rejected, declaration, engine.rows))
    rejected_path = _write_rejected(rejected, rejects, target)
    if rejects == delivered:
        raise ExportError(f"{file}: not one row could be scored. {causes} Correct the file.")
    scored = score_customers(judged, model).filter(~nw.col("segment_id").is_null())
    # As in the table `clusters`.
    narrow = [nw.col(name).cast(nw.Float32) for name in ("distance", "margin")]
    _write(scored.with_columns(*narrow), target, chosen, folder)
    notes = tell_reading(export, readings, model.declaration.contract)
    return delivered - rejects, _count_reasons(engine, rejected), causes, rejected_path, notes


def _require_places(file: Path, target: Path | None) -> None:
    if not file.is_file():
        raise CallError(f"{file}: no such file. Name the file of customers to score.")
    if target is None:
        return
    if target.exists() and target.samefile(file):
        raise CallError(f"{target}: is the file to score. Name another --output.")
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        raise CallError(f"{target}: cannot be written. Name a file in a folder that you may write to, with --output.")


def _count_reasons(engine: DuckDBEngine, rejected: nw.LazyFrame[Any]) -> dict[str, int]:
    counted = rejected.group_by("reason").agg(nw.len().alias("rows")).sort("rows", "reason", descending=[True, False])
    return {row["reason"]: row["rows"] for row in engine.rows(counted)}


def _write_rejected(rejected: nw.LazyFrame[Any], rejects: int, target: Path | None) -> Path | None:
    """What is needed to find the rows and to put them right; no more of what they say about people."""
    if target is None:
        return None
    path = target.with_name(f"{target.name}.rejected.csv")
    if not rejects:
        # People would take the rejects of an earlier file for those of this one.
        path.unlink(missing_ok=True)
        return None
    _write(rejected.select("line_number", "customer_id", "reason", "detail"), path, "csv", path.parent)
    return path


def _write(frame: nw.LazyFrame[Any], target: Path | None, chosen: str, folder: Path) -> None:
    """Stream a frame into a file, or to standard output: under another name first, so that nobody reads half of it."""
    writing = folder / "scores" if target is None else target.with_name(f".{target.name}.writing")
    try:
        with writing.open("wb") as file:
            WRITERS[chosen](nw.to_native(frame).to_arrow_reader(BATCH), file)
        if target is not None:
            put_in_place(writing, target)
        else:
            _print(writing)
    finally:
        writing.unlink(missing_ok=True)


def _print(written: Path) -> None:
    try:
        with written.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has had enough; Python itself would complain of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
