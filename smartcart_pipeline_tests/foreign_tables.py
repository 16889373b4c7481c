"""Tables of customers as other companies have them, any number of nights of each.

`FOREIGN` names them, with what is known of each: `FOREIGN["gym"].make(2_000, seed=1, night=3)` is one as Arrow has it,
`deliver` writes it as the company does, `stream` writes millions, and `kinds` tells what the table does not.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from smartcart_pipeline_tests.companies import FOREIGN
from smartcart_pipeline_tests.crowds import Integers
from smartcart_pipeline_tests.deliveries import put_down, write_table

__all__ = ["FOREIGN", "ROW_GROUP", "deliver", "kinds", "stream"]

ROW_GROUP = 500_000


def kinds(name: str, customers: int, seed: int, night: int = 0) -> Integers:
    """The kind of each customer, which the table does not tell.

    Returns:
        Numbers from 0, in the order of the table's rows.
    """
    return FOREIGN[name].crowd(customers, seed, night).kind


def deliver(name: str, folder: Path, customers: int, seed: int, night: int = 0) -> Path:
    """Write a company's export, in its format and under the one name that it always has.

    Args:
        name: One of `FOREIGN`.
        folder: Where; it must exist. An earlier night's file is replaced.
        customers: How many on the first night.
        seed: The same seed and night give the same bytes and the same time of the file.
        night: How many nights later.

    Returns:
        The file.
    """
    known = FOREIGN[name]
    path = folder / known.file_name
    write_table(known.make(customers, seed, night), path, known.format, known.dates)
    return put_down(path, known.crowd(1, seed, night).day.item())


def stream(name: str, path: Path, customers: int, seed: int) -> Path:
    """Write any number of customers to a Parquet file, in no more memory than `ROW_GROUP` of them take.

    Up to that number they are those of `make`.

    Args:
        name: One of `FOREIGN`, whatever its usual format.
        path: The file.
        customers: How many.
        seed: The same seed and number give the same bytes.

    Returns:
        The file.

    Raises:
        ValueError: If there is no customer to make, or the seed is negative.
    """
    known = FOREIGN[name]
    if customers < 1:
        raise ValueError(f"cannot make {customers} customers")
    with pyarrow.parquet.ParquetWriter(path, known.make(1, seed).schema) as writer:
        for batch, start in enumerate(range(0, customers, ROW_GROUP)):
            crowd = known.crowd(min(ROW_GROUP, customers - start), seed, batch=batch, start=start)
            writer.write_table(pa.table(known.fill(crowd)))
    return put_down(path, known.crowd(1, seed).day.item())
