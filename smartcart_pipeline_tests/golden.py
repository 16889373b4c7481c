"""Digests of all that a night makes, so that a change to the code can be shown to change none of it.

python -m smartcart_pipeline_tests.golden          writes golden.json anew, for a change that is meant
python -m smartcart_pipeline_tests.golden EXPORT RECIPE    prints the digests of two nights
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.conftest import REAL, SAMPLE

RECORDED = Path(__file__).with_name("golden.json")
EXPORTS = {"sample": SAMPLE, "real": REAL}
RECIPES = ("behavioural", "reference")

# Linear algebra and numpy choose their instructions by the processor, and sum in another order by others: these are
# what any of the last ten years has.
SAME_BITS = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
}
# What tells of the run, or of the day on which somebody put the file there, not of what was found in it.
VOLATILE = {"run_id", "published_at", "code_version", "data_version", "bytes", "started", "finished", "delivered_on"}


def make_second_export(first: Path, path: Path) -> None:
    """The export of the next day: some customers are gone, some buy more, and some are new.

    Args:
        first: The export of the first day.
        path: Where to.
    """
    frame = pd.read_csv(first, dtype=str, keep_default_na=False)
    frame = frame[frame.index % 50 != 7].reset_index(drop=True)
    bought = frame.index % 9 == 4
    for column in ("MntWines", "MntMeatProducts"):
        frame.loc[bought, column] = [str(3 * int(amount) + 150) for amount in frame.loc[bought, column]]
    new = frame[frame.index % 40 == 11].copy()
    new["ID"] = [str(int(number) + 1_000_000) for number in new["ID"]]
    new["Dt_Customer"] = "05-07-2014"
    pd.concat([frame, new]).to_csv(path, index=False)


def digest(value: object) -> str:
    """A short digest of a value: of floating-point numbers, of every bit."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def digest_night(home: Any, run_id: str) -> dict[str, str]:
    """Digests of what a run left in the lake, the warehouse and Dagster's records.

    Args:
        home: The home.
        run_id: The run, which is the last one.

    Returns:
        Digests by name.
    """
    return dict(sorted([*_lake(home), *_warehouse(home), *_events(home, run_id)]))


def _lake(home: Any) -> Iterator[tuple[str, str]]:
    from pyarrow import parquet

    from smartcart_pipeline.declaration.tables import OUTLINES

    for name, table in OUTLINES.items():
        rows = parquet.read_table(max((home.lake / name).glob("[0-9]*.parquet")))
        types = [(column.name, str(column.type)) for column in rows.schema]
        yield f"lake {name}", digest((types, _ordered(rows, table.key)))


def _ordered(rows: Any, key: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows in the order of their key: how they lie in a file is nobody's business."""
    known = [{name: undeclared(value) for name, value in row.items()} for row in rows.to_pylist()]
    return sorted(known, key=lambda row: [(row[name] is None, row[name]) for name in key])


def undeclared(value: Any) -> Any:
    """A model's document as it was before it held its declaration: the same numbers, in the same order."""
    if not (isinstance(value, str) and value.startswith("{") and '"declaration"' in value):
        return value
    document = json.loads(value)
    model = document.get("model", document)
    limits = model.pop("declaration")["recipe"]["clean"]["limits"]
    maxima = {limit.get("feature") or limit["column"]: limit["maximum"] for limit in limits if "maximum" in limit}
    before = {
        "format": 1,
        "recipe": model["recipe"],
        "as_of_date": model["as_of_date"],
        "limits": {"max_age": maxima["age"], "max_income": float(maxima["income"])},
        "income_median": model["medians"]["income"],
        **{name: model[name] for name in ("features", "explained_variance_ratio", "segments")},
    }
    return json.dumps(document | {"model": before} if "model" in document else before)


def _warehouse(home: Any) -> Iterator[tuple[str, str]]:

    with open_warehouse(home.warehouse) as warehouse:
        described = warehouse.sql(
            "SELECT table_name, column_name, data_type, comment, schema_name FROM duckdb_columns() WHERE NOT internal "
            "UNION ALL SELECT table_name, NULL, NULL, comment, schema_name FROM duckdb_tables() "
            "UNION ALL SELECT view_name, NULL, NULL, comment, schema_name FROM duckdb_views() WHERE NOT internal "
            "ORDER BY ALL"
        ).fetchall()
        yield "warehouse comments", digest(described)
        for name, schema in sorted({(row[0], row[4]) for row in described}):
            columns = [row[1] for row in described if row[0] == name and row[1] and row[1] not in VOLATILE]
            named = ", ".join(f'"{column}"' for column in columns)
            rows = warehouse.sql(f'SELECT {named} FROM {schema}."{name}" ORDER BY ALL')
            yield f"warehouse {name}", digest(_plain_rows(rows))


def _plain_rows(answer: Any) -> list[tuple[Any, ...]]:
    return [tuple(map(undeclared, row)) for row in answer.fetchall()]


def _events(home: Any, run_id: str) -> Iterator[tuple[str, str]]:
    import dagster as dg

    from smartcart_pipeline.orchestration.night import open_records

    with open_records(home) as instance:
        for record in instance.get_records_for_run(run_id).records:
            event = record.event_log_entry.dagster_event
            if event is None:
                continue
            if event.is_step_materialization:
                made = event.step_materialization_data.materialization
                yield f"asset {made.asset_key.path[-1]}", digest(_plain(made.metadata))
            if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                found = event.asset_check_evaluation_data
                said = (found.passed, found.severity, found.blocking, found.description, _plain(found.metadata))
                yield f"check {found.asset_key.path[-1]} {found.check_name}", digest(said)


def _plain(metadata: Any) -> list[tuple[str, Any]]:
    """Metadata without what is of the run; of a picture only that there is one."""
    return [
        (name, "picture" if "base64" in str(value.value) else value.value)
        for name, value in sorted(metadata.items())
        if name not in {"path", "bytes", "publication", "address", "run", "export", *VOLATILE}
    ]


def play(export: Path, recipe: str) -> list[dict[str, str]]:
    """Two nights in a new home.

    Args:
        export: The export of the first; that of the second is made from it.
        recipe: The recipe of both.

    Returns:
        Their digests.
    """
    from smartcart_pipeline.orchestration.night import run_job
    from smartcart_pipeline.storage.home import Home

    with tempfile.TemporaryDirectory() as folder:
        home, second = Home(Path(folder) / "home"), Path(folder) / "second.csv"
        make_second_export(export, second)
        nights = []
        for delivered in (export, second):
            run = run_job(home, {"input": str(delivered), "recipe": recipe}, quiet=True)
            nights.append(digest_night(home, run["run_id"]))
        return nights


def play_apart(export: Path, recipe: str) -> Any:
    """Two nights in a process of their own, whose libraries use the same instructions on every machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMARTCART", "DAGSTER"))}
    command = [sys.executable, "-m", __spec__.name if __name__ == "__main__" else __name__, str(export), recipe]
    done = subprocess.run(command, env=kept | SAME_BITS, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def main(arguments: list[str]) -> None:
    """Print the digests of two nights, or write all of them down."""
    if arguments:
        sys.stdout.write(json.dumps(play(Path(arguments[0]), arguments[1])))
        return
    found = {
        f"{name} {recipe}": play_apart(export, recipe)
        for name, export in EXPORTS.items()
        if export.is_file()
        for recipe in RECIPES
    }
    known = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.is_file() else {}
    RECORDED.write_text(json.dumps(known | found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
