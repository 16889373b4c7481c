"""Read an export and store it as `raw_customers`, with the code that is found first: this tree's, or an earlier one's.

python benchmarks/reading.py FILE
"""

import sys
import tempfile
from contextlib import closing
from pathlib import Path

from smartcart_pipeline.declaration.declaration import shipped_declaration
from smartcart_pipeline.declaration.tables import declare_tables
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports.inspecting import inspect_export
from smartcart_pipeline.exports.reading import read_export


def main(path: Path) -> None:
    """Read and store.

    Args:
        path: The export.
    """
    declaration = shipped_declaration()
    contract = declaration.contract
    try:
        from smartcart_pipeline.exports.ids import settle_key  # noqa: PLC0415
    except ImportError:  # An earlier tree: ids are numbers.
        pass
    else:
        contract = settle_key(declaration, path, None).contract
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(DuckDBEngine(spill_directory=Path(folder) / "spill")) as engine,
    ):
        frame, _ = read_export(engine, inspect_export(path, contract))
        engine.write(frame, declare_tables(declaration)["raw_customers"], Path(folder) / "raw_customers.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
