"""What `smartcart init` does, in this process: a draft of a table's declaration, put into a home."""

from pathlib import Path

from smartcart_pipeline.declaration.declaration import CONTRACT_FILE, RECIPE_FILE
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.drafting import Draft, draft_declaration
from smartcart_pipeline.storage.home import Home


def draft(home: Home, export: Path) -> Draft:
    """Draft a declaration of an export, and put it into a home.

    Args:
        home: The home, which is made if it is not there.
        export: The file of customers.

    Returns:
        The draft.
    """
    engine = DuckDBEngine()
    try:
        drafted = draft_declaration(engine, export)
    finally:
        engine.close()
    home.root.mkdir(parents=True, exist_ok=True)
    for name, text in ((CONTRACT_FILE, drafted.contract), (RECIPE_FILE, drafted.recipe)):
        (home.root / name).write_text(text, encoding="utf-8")
    return drafted
