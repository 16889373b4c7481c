"""Customers are known by numbers or by texts, as their ids are, whatever kind of file they stand in."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from smartcart_pipeline.declaration.declaration import Declaration, read_declared
from smartcart_pipeline.exports.ids import LOOKED_AT, find_ids, settle_key
from smartcart_pipeline_tests.declared import BEHAVIOURAL

ROWS = 40


def customers(sample: Path, ids: Callable[[int], str]) -> pd.DataFrame:
    table = pd.read_csv(sample, dtype=str, keep_default_na=False).head(ROWS)
    return table.assign(ID=[ids(number) for number in range(1, ROWS + 1)])


def as_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)


def with_a_title(table: pd.DataFrame, path: Path) -> None:
    path.write_text(f"Customers;;\n\n{table.to_csv(index=False, sep=';')}")


def as_utf_16(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, sep="\t", encoding="utf-16")


def zipped(table: pd.DataFrame, path: Path) -> None:
    path.write_bytes(gzip.compress(table.to_csv(index=False).encode()))


FORMS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "csv": as_csv,
    "title": with_a_title,
    "utf-16": as_utf_16,
    "gzip": zipped,
    "parquet": lambda table, path: table.to_parquet(path),
    "workbook": lambda table, path: table.to_excel(path.with_suffix(".xlsx"), index=False),
}

IDS: dict[str, tuple[Callable[[int], str], str]] = {
    "numbers": (str, "BIGINT"),
    "letters": (lambda number: f"C-{number}", "VARCHAR"),
    "uuid": (lambda number: f"{number:08x}-0000-4000-8000-{number:012x}", "VARCHAR"),
    "hyphens": (lambda number: f"2024-{number}", "VARCHAR"),
    "filled up with zeros": (lambda number: f"{number:06}", "VARCHAR"),
    "longer than any number": (lambda number: f"{number:020}", "VARCHAR"),
    # None of these is another id once it is a number.
    "a zero": (lambda number: str(number - 1), "BIGINT"),
    "marks between thousands": (lambda number: f"{number},000", "BIGINT"),
    "a few slips": (lambda number: "unknown" if number % 5 == 0 else str(number), "BIGINT"),
    "mostly letters": (lambda number: str(number) if number % 5 == 0 else f"K{number}", "VARCHAR"),
    "missing": (lambda number: "" if number % 3 else f"K{number}", "VARCHAR"),
    "all missing": (lambda number: "n/a" * (number > 0), "BIGINT"),
}


def key_of(declaration: Declaration) -> str:
    return declaration.contract.key.type


@pytest.mark.parametrize("name", IDS)
def test_most_ids_say_which_they_are(sample: Path, tmp_path: Path, name: str):
    ids, kind = IDS[name]
    as_csv(customers(sample, ids), tmp_path / "export.csv")
    assert key_of(settle_key(BEHAVIOURAL, tmp_path / "export.csv", None)) == kind


@pytest.mark.parametrize("form", FORMS)
def test_they_are_found_in_any_kind_of_file(sample: Path, tmp_path: Path, form: str):
    table = customers(sample, lambda number: f"C-{number}")
    FORMS[form](table, tmp_path / "export")
    [path] = tmp_path.iterdir()
    assert find_ids(path, BEHAVIOURAL.contract)[:3] == ("C-1", "C-2", "C-3")
    assert key_of(settle_key(BEHAVIOURAL, path, None)) == "VARCHAR"


def test_no_more_of_a_large_file_is_looked_at(sample: Path, tmp_path: Path):
    table = pd.concat([customers(sample, str)] * 100)
    as_csv(table, tmp_path / "export.csv")
    table.to_parquet(tmp_path / "export.parquet")
    for path in tmp_path.iterdir():
        assert len(find_ids(path, BEHAVIOURAL.contract)) == LOOKED_AT


DAMAGED: dict[str, bytes] = {
    "nothing": b"",
    "no header": b"1,2,3\n4,5,6\n",
    "other columns": b"name,age\nZoe,7\n",
    "header only": b"ID,Income\n",
    "gzip": gzip.compress(b"ID,Income\nC-1,2\n" * 500)[:60],
    "parquet": b"PAR1" + bytes(50),
    "workbook": b"PK\x03\x04" + bytes(50),
    "a quote that nobody closes": b'ID,Income\n"C-1,2\n' + b"x" * 200_000,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_is_left_to_whoever_reads_it(tmp_path: Path, name: str):
    path = tmp_path / "export"
    path.write_bytes(DAMAGED[name])
    assert key_of(settle_key(BEHAVIOURAL, path, None)) == "BIGINT"
    assert find_ids(tmp_path / "none", BEHAVIOURAL.contract) == ()


def test_a_home_stays_with_what_its_customers_are_known_by(sample: Path, tmp_path: Path):
    numbers, letters = tmp_path / "numbers.csv", tmp_path / "letters.csv"
    as_csv(customers(sample, str), numbers)
    as_csv(customers(sample, lambda number: f"C-{number}"), letters)
    by_texts = settle_key(BEHAVIOURAL, letters, None)
    assert settle_key(BEHAVIOURAL, letters, BEHAVIOURAL) is BEHAVIOURAL
    assert settle_key(BEHAVIOURAL, numbers, by_texts) == by_texts


def test_a_declaration_whose_ids_are_texts_is_kept_and_read_again(sample: Path, tmp_path: Path):
    as_csv(customers(sample, lambda number: f"C-{number}"), tmp_path / "export.csv")
    settled = settle_key(BEHAVIOURAL, tmp_path / "export.csv", None)
    assert read_declared(settled.document(), "a test") == settled
    assert settled.digest != BEHAVIOURAL.digest
    assert settled.recipe == BEHAVIOURAL.recipe
    # Nothing else has changed, and of the shipped contract nothing at all.
    key = settled.contract.key
    assert (key.header, key.unique, key.nullable, key.minimum) == ("ID", True, False, None)
    assert replace(settled.contract, columns=settled.contract.columns[1:]) == replace(
        BEHAVIOURAL.contract, columns=BEHAVIOURAL.contract.columns[1:]
    )
    assert key_of(read_declared(BEHAVIOURAL.document(), "a test")) == "BIGINT"
