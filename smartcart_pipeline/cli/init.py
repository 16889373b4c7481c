"""Drafting the home's own contract and recipe from a file of customers."""

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smartcart_pipeline.cli.options import HomeOption
from smartcart_pipeline.declaration.declaration import CONTRACT_FILE, RECIPE_FILE
from smartcart_pipeline.declaration.errors import CallError
from smartcart_pipeline.storage.home import Home, put_in_place, unwritable

if TYPE_CHECKING:
    from smartcart_pipeline.exports.drafting import Draft

# Lines of text are read no faster for being longer.
WIDEST = 120


def init(
    file: Annotated[Path, typer.Argument(help="The customers, one a row: CSV, Parquet or an Excel workbook.")],
    home: HomeOption = Path("data"),
    force: Annotated[bool, typer.Option("--force", help="Replace the contract and the recipe of the home.")] = False,
) -> None:
    """Draft the contract and the recipe of a home from a file of customers."""
    from smartcart_pipeline.engines.duckdb import DuckDBEngine  # noqa: PLC0415  (imports DuckDB)
    from smartcart_pipeline.exports.drafting import draft_declaration  # noqa: PLC0415

    place = Home(home.resolve())
    targets = place.root / CONTRACT_FILE, place.root / RECIPE_FILE
    if not force:
        _require_free(*targets)
    with tempfile.TemporaryDirectory(prefix="smartcart-") as folder:
        engine = DuckDBEngine(spill_directory=Path(folder) / "spill")
        try:
            draft = draft_declaration(engine, file, place.root.name)
        finally:
            engine.close()
    try:
        place.root.mkdir(parents=True, exist_ok=True)
        for path, text in zip(targets, (draft.contract, draft.recipe), strict=True):
            _write(path, text)
    except OSError as error:
        raise unwritable(place, error) from None
    _show(draft)
    for path in targets:
        typer.echo(f"Drafted    {path}")
    run = shlex.join(["smartcart", "run", "--input", str(file), "--home", str(home)])
    typer.echo(f"Read them, then: {run}")


def _require_free(*targets: Path) -> None:
    if in_the_way := [path for path in targets if path.exists() or path.is_symlink()]:
        told = " and ".join(str(path) for path in in_the_way)
        is_there = "is there already" if len(in_the_way) == 1 else "are there already"
        raise CallError(f"{told} {is_there}. Name another --home, or have both files replaced with --force.")


def _write(path: Path, text: str) -> None:
    """Put a text in place at once: nobody reads half of it."""
    writing = path.with_name(f".{path.name}.writing")
    try:
        writing.write_text(text, encoding="utf-8")
        put_in_place(writing, path)
    finally:
        writing.unlink(missing_ok=True)


def _show(draft: "Draft") -> None:
    from rich.console import Console  # noqa: PLC0415  (only to print a table)
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from smartcart_pipeline.cli.screen import visible  # noqa: PLC0415

    console = Console(highlight=False)
    console.print(f"{draft.rows:,} customers, {len(draft.columns):,} columns", style="italic")
    table = Table(width=min(console.width - 1, WIDEST))
    for name, share in (("Column", 3), ("Taken for", 2), ("Why", 6)):
        table.add_column(name, ratio=share, overflow="fold")
    for one in draft.columns:
        role = f"{one.role}, sensitive" if one.role == "described" and one.sensitive else one.role
        taken = one.kind if one.role in ("id", "feature") else f"{role}: {one.kind}"
        table.add_row(*(escape(visible(text)) for text in (one.column.header, taken, one.why)))
    console.print(table)
    for note in draft.notes:
        console.print(f"[yellow]Note:[/] {escape(visible(note))}", soft_wrap=True)
