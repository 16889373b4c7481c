"""Ids: whether customers are known by numbers or by texts, found out before anything is made of a file.

Every table of a night has them, so their type must be known first. SmartCart's contract takes them for whole numbers;
most companies' have letters in them, and those filled up with zeros are not the same once they are numbers.
"""

import csv
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from smartcart_pipeline.declaration.contract import MISSING, Contract
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.errors import FaultError
from smartcart_pipeline.declaration.reading_contract import with_texts_for_key
from smartcart_pipeline.exports.csv_text import read_pieces
from smartcart_pipeline.exports.header import find_header, find_header_row, split_lines
from smartcart_pipeline.exports.inspecting import find_kind
from smartcart_pipeline.exports.transcoding import START, find_utf16
from smartcart_pipeline.exports.workbook import read_workbook

# So many ids tell what all are.
LOOKED_AT = 1_000
# What a file that is damaged makes libraries raise; pyarrow's errors are of the last two kinds.
DAMAGE = (OSError, EOFError, zlib.error, csv.Error, ValueError, NotImplementedError)
# A whole number of up to 18 digits, as people and spreadsheets write it.
NUMBER = re.compile(r"[+-]?\d{1,3}(?:[.,' \u00a0\u202f]\d{3}){1,5}|[+-]?\d{1,18}(?:[.,]0*)?")


def settle_key(declaration: Declaration, path: Path, before: Declaration | None) -> Declaration:
    """A declaration by which the ids of customers are what a file shows them to be.

    Args:
        declaration: What a night goes by, if its contract takes ids for whole numbers.
        path: The export.
        before: What the model in force goes by; None on a first night.

    Returns:
        The declaration; ids are texts where they were on the night before, or on a first night most of the file's are.
    """
    if before:
        is_text = before.contract.key.type == "VARCHAR"
    else:
        ids = find_ids(path, declaration.contract)
        texts = [text for text in ids if not NUMBER.fullmatch(text)]
        is_text = 2 * len(texts) > len(ids) or _are_filled_up(ids)
    return replace(declaration, contract=with_texts_for_key(declaration.contract)) if is_text else declaration


def _are_filled_up(ids: Sequence[str]) -> bool:
    """Whether numbers all have the same length, because zeros stand before the smaller ones."""
    are_alike = len(set(map(len, ids))) == 1 and all(map(str.isdecimal, ids))
    return are_alike and any(text.startswith("0") and text != "0" for text in ids)


def find_ids(path: Path, contract: Contract) -> tuple[str, ...]:
    """The first ids of a file.

    Args:
        path: The file.
        contract: What its columns must be.

    Returns:
        Texts without surrounding space, but for missing ones; none of a file that cannot be read, or has no such
        column: whoever reads it says so.
    """
    try:
        ids = [text.strip() for text in _read_ids(path, contract)]
    except (FaultError, *DAMAGE):
        return ()
    return tuple(text for text in ids if text.lower() not in MISSING)


def _read_ids(path: Path, contract: Contract) -> Iterator[str]:
    kind, gzipped = find_kind(path)
    if kind == "parquet":
        return _ids_of_parquet(path, contract)
    if kind == "excel":
        head = read_workbook(path).head
        header = find_header_row(head, contract)
        return _ids_of_rows(header.headers, head[header.skipped + 1 :], contract)
    piece = next(read_pieces(path, gzipped), b"")
    text = piece.decode(find_utf16(piece[:START]) or "utf-8", errors="replace")
    header = find_header(split_lines(text), contract)
    rows = csv.reader(islice(text.splitlines(), header.skipped + 1, None), delimiter=header.delimiter)
    return _ids_of_rows(header.headers, rows, contract)


def _ids_of_rows(headers: Sequence[str], rows: Iterable[Sequence[str]], contract: Contract) -> Iterator[str]:
    place = _find_key(headers, contract)
    return (row[place] for row in islice(rows, LOOKED_AT) if len(row) > place) if place is not None else iter(())


def _ids_of_parquet(path: Path, contract: Contract) -> Iterator[str]:
    import pyarrow as pa  # noqa: PLC0415  (only for Parquet)
    from pyarrow import parquet  # noqa: PLC0415

    with parquet.ParquetFile(path) as file:
        place = _find_key(file.schema_arrow.names, contract)
        if place is None:
            return iter(())
        column = file.schema_arrow.names[place]
        if pa.types.is_integer(file.schema_arrow.field(place).type):
            # Numbers need not be looked at.
            return iter(())
        batch = next(file.iter_batches(LOOKED_AT, columns=[column]), None)
    values = batch.column(0).to_pylist() if batch else []
    return (str(value) for value in values if value is not None)


def _find_key(headers: Sequence[str], contract: Contract) -> int | None:
    key = contract.as_delivered(headers).key.header
    return headers.index(key) if key in headers else None
