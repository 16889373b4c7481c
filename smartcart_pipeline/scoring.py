"""Scoring a file of new customers with the published model; the home is read and never changed."""

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

from smartcart_pipeline.contract import ExportError
from smartcart_pipeline.engines.duckdb import DuckDBEngine, harmless, identifier, literal
from smartcart_pipeline.segmentation.cleaning import find_repeats, judge_customers, reject_customers, tell_lines
from smartcart_pipeline.segmentation.model import SegmentModel, read_model, score_customers
from smartcart_pipeline.storage.exports import inspect_export
from smartcart_pipeline.storage.home import put_in_place
from smartcart_pipeline.tables import RAW_CUSTOMERS, REJECTED_CUSTOMERS

STANDARD_OUTPUT = "-"
FORMATS = ("csv", "parquet")
# Rejected rows whose faults are told at once.
NAMED_ROWS = 3
TEXTS = ("segment_id", "persona", "runner_up_segment_id", "runner_up_persona")


@dataclass(frozen=True)
class Scores:
    """What came of a file.

    Attributes:
        model_version: The model that scored it.
        customers: How many customers were put into segments.
        rejected: How many rows were rejected, by reason, the most frequent first.
        examples: What is wrong with the first of them.
        rejected_path: The file of rejected rows, where there are any and the output is a file.
    """

    model_version: str
    customers: int
    rejected: dict[str, int]
    examples: str
    rejected_path: Path | None


def published_model(warehouse: Path) -> SegmentModel:
    """The model of a published warehouse.

    Args:
        warehouse: The DuckDB file.

    Returns:
        The model.

    Raises:
        ExportError: If there is no such file, or it holds no model that can be read.
    """
    if not warehouse.is_file():
        raise ExportError(
            f"{warehouse}: no warehouse is published there. Run `smartcart run` first, or name its --home."
        )
    try:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            [(document,)] = connection.execute("SELECT document FROM segment_model").fetchall()
        return read_model(json.loads(document))
    except duckdb.CatalogException:
        raise ExportError(f"{warehouse}: the warehouse holds no model. Run `smartcart run` to publish one.") from None
    except duckdb.Error as error:
        first_line = str(error).splitlines()[0]
        raise ExportError(f"{warehouse}: the warehouse cannot be read ({first_line}). Run `smartcart run`.") from None


def choose_format(output: str, named: str | None) -> str:
    """The format of the output.

    Args:
        output: A file, or `-`.
        named: The format that was asked for, if one was.

    Returns:
        `csv` or `parquet`.

    Raises:
        ExportError: If it is neither.
    """
    chosen = named or ("csv" if output == STANDARD_OUTPUT else Path(output).suffix.lower().lstrip("."))
    if chosen not in FORMATS:
        raise ExportError(
            f"--format {named!r} is not known. Choose csv or parquet."
            if named
            else f"--output {output}: the name tells no format. Let it end in .csv or .parquet, or name a --format."
        )
    return chosen


def score_file(warehouse: Path, file: Path, output: str, named_format: str | None = None) -> Scores:
    """Put the customers of a file into the segments of the published model.

    The file is read as an export is: the same formats, the same contract, the same limits. The output is put in place
    when it is whole.

    Args:
        warehouse: The published warehouse.
        file: The customers.
        output: Where the scores go: a file, replaced if it is there, or `-` for standard output.
        named_format: `csv` or `parquet`; None goes by the output's name.

    Returns:
        What came of it. Rejected rows are in `<output>.rejected.csv`, with reasons.

    Raises:
        ExportError: If the file or the call is at fault, or not one row can be scored.
    """
    chosen = choose_format(output, named_format)
    target = None if output == STANDARD_OUTPUT else Path(output)
    _require_places(file, target)
    model = published_model(warehouse)
    with tempfile.TemporaryDirectory(prefix="smartcart-") as folder:
        engine = DuckDBEngine(spill_directory=Path(folder) / "spill")
        try:
            return _score(engine, model, file, target, chosen, Path(folder))
        except duckdb.IOException as error:
            raise ExportError(f"{output}: cannot be written ({str(error).splitlines()[0]}).") from None
        finally:
            engine.close()


def _score(
    engine: DuckDBEngine, model: SegmentModel, file: Path, target: Path | None, chosen: str, folder: Path
) -> Scores:
    judged = _judge(engine, file, folder)
    refused = reject_customers(judged, model.as_of_date, model.limits, newcomers=True).sort("line_number")
    engine.write(refused, REJECTED_CUSTOMERS, folder / "rejected.parquet")
    rejected = engine.scan(folder / "rejected.parquet", "rejected_customers")
    reasons = _count_reasons(engine, rejected)
    examples = tell_lines(engine.rows(rejected.head(NAMED_ROWS)))
    rejected_path = _write_rejected(engine, rejected, reasons, target)
    written = folder / "scores" if target is None else target.with_name(f".{target.name}.writing")
    try:
        customers = _write_scores(engine, score_customers(judged, model), written, chosen)
        if not customers:
            raise ExportError(f"{file}: not one row could be scored. {examples} Correct the file.")
        _deliver(written, target)
    finally:
        written.unlink(missing_ok=True)
    return Scores(model.version, customers, reasons, examples, rejected_path)


def _require_places(file: Path, target: Path | None) -> None:
    if not file.is_file():
        raise ExportError(f"{file}: no such file. Name the file of customers to score.")
    if target is None:
        return
    if target.exists() and target.samefile(file):
        raise ExportError(f"{target}: is the file to score. Name another --output.")
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        raise ExportError(f"{target}: cannot be written. Name a file in a folder that you may write to, with --output.")


def _judge(engine: DuckDBEngine, file: Path, folder: Path) -> nw.LazyFrame[Any]:
    """The rows of the file, held against the contract."""
    # Several passes follow, and reading text as numbers and dates is the dearest part of each.
    engine.write(engine.read_export(inspect_export(file))[0], RAW_CUSTOMERS, folder / "raw.parquet")
    raw = engine.scan(folder / "raw.parquet", "raw_customers")
    repeats = engine.keep(find_repeats(raw))
    repeated = engine.rows(repeats.select(nw.len().alias("ids")))[0]["ids"]
    return judge_customers(raw, repeats if repeated else None)


def _count_reasons(engine: DuckDBEngine, rejected: nw.LazyFrame[Any]) -> dict[str, int]:
    counted = rejected.group_by("reason").agg(nw.len().alias("rows")).sort("rows", "reason", descending=[True, False])
    return {row["reason"]: row["rows"] for row in engine.rows(counted)}


def _write_rejected(
    engine: DuckDBEngine, rejected: nw.LazyFrame[Any], reasons: dict[str, int], target: Path | None
) -> Path | None:
    """What is needed to find the rows and to put them right; no more of what they say about people."""
    if target is None:
        return None
    path = target.with_name(f"{target.name}.rejected.csv")
    if not reasons:
        # Those of an earlier file would be taken for this one's.
        path.unlink(missing_ok=True)
        return None
    columns = {
        "line_number": "line_number",
        "customer_id": "customer_id",
        "reason": "reason",
        "detail": harmless("detail"),
    }
    _copy(engine, rejected, columns, path, "csv")
    return path


def _write_scores(engine: DuckDBEngine, scored: nw.LazyFrame[Any], path: Path, chosen: str) -> int:
    columns = {name: identifier(name) for name in scored.collect_schema().names()}
    # As in the table `clusters`.
    columns |= {name: f"CAST({name} AS FLOAT)" for name in ("distance", "margin")}
    if chosen == "csv":
        columns |= {name: harmless(name) for name in TEXTS}
    return _copy(engine, scored.filter(~nw.col("segment_id").is_null()), columns, path, chosen)


def _copy(engine: DuckDBEngine, frame: nw.LazyFrame[Any], columns: dict[str, str], path: Path, chosen: str) -> int:
    """Stream expressions over a frame into a file; gives the number of rows."""
    selected = ", ".join(f"{expression} AS {identifier(name)}" for name, expression in columns.items())
    [(rows,)] = engine.connection.execute(
        f"COPY (SELECT {selected} FROM ({engine.query(frame)})) TO {literal(str(path))} (FORMAT {chosen})"
    ).fetchall()
    return int(rows)


def _deliver(written: Path, target: Path | None) -> None:
    if target is not None:
        put_in_place(written, target)
        return
    try:
        with written.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has had enough; Python itself would complain of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
