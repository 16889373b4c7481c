"""What is said of other companies' tables is so, night after night."""

import csv
import re
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings

from smartcart_pipeline_tests import foreign_tables
from smartcart_pipeline_tests.claims import CONSTANT, COPY, FREE_TEXT, MOSTLY_EMPTY, NEARLY_CONSTANT, TOO_MANY_LEVELS
from smartcart_pipeline_tests.deliveries import FORMATS, LONG_AGO
from smartcart_pipeline_tests.foreign_tables import FOREIGN, deliver, kinds, stream
from smartcart_pipeline_tests.strategies import JUNK, SQL_WORDS, DrawnTable, any_table

CUSTOMERS, SEED = 2_000, 7

every_company = pytest.mark.parametrize("name", FOREIGN)


def drawn(name: str, night: int = 0) -> pd.DataFrame:
    return FOREIGN[name].make(CUSTOMERS, SEED, night).to_pandas(date_as_object=False)


def text_of(column: pd.Series) -> pd.Series:
    return column.dropna().astype(str)


def is_as_said(why: str, column: pd.Series, table: pd.DataFrame) -> bool:
    """Whether a column is to be left out for the reason that is given."""
    often = column.value_counts(normalize=True, dropna=False)
    match why:
        case _ if why == CONSTANT:
            return len(often) == 1
        case _ if why == NEARLY_CONSTANT:
            return len(often) > 1 and often.iloc[0] > 0.98
        case _ if why == MOSTLY_EMPTY:
            return 0.85 < column.isna().mean() < 1
        case _ if why == TOO_MANY_LEVELS:
            return column.nunique() > 100 and text_of(column).str.split().str.len().max() < 4
        case _ if why == FREE_TEXT:
            return column.nunique() > 0.95 * column.count() and text_of(column).str.contains(" ").all()
        case _ if why.startswith(COPY):
            return bool(np.corrcoef(column, table[why.removeprefix(COPY)])[0, 1] > 1 - 1e-9)
    raise ValueError(why)


def told_apart(column: pd.Series, kind: np.ndarray) -> float:
    """How much of what differs in a column (by rank) differs between the kinds, 0 to 1."""
    ranks = column.rank().to_numpy()
    known = ~np.isnan(ranks)
    groups = pd.Series(ranks[known]).groupby(kind[known])
    return float(
        (groups.mean().sub(ranks[known].mean()) ** 2 * groups.size()).sum() / (ranks[known].var() * known.sum())
    )


def numbers_of(name: str, table: pd.DataFrame) -> pd.DataFrame:
    known = FOREIGN[name]
    not_described_by = {known.key, *known.outcomes, *known.left_out, *known.daily}
    return table[[header for header in table.select_dtypes(["number", "bool"]) if header not in not_described_by]]


@every_company
def test_the_same_seed_gives_the_same_file(name: str, tmp_path: Path):
    (tmp_path / "again").mkdir()
    once = deliver(name, tmp_path, 300, SEED, night=2)
    again = deliver(name, tmp_path / "again", 300, SEED, night=2)
    assert once.read_bytes() == again.read_bytes()
    assert {path.stat().st_mtime for path in (once, again)} == {datetime(2026, 3, 3, 5, 30, tzinfo=UTC).timestamp()}
    assert deliver(name, tmp_path / "again", 300, SEED + 1, night=2).read_bytes() != once.read_bytes()


def test_a_workbook_does_not_tell_when_it_was_written(tmp_path: Path):
    # A workbook is an archive, and both like to tell the time.
    here = deliver("museum_passes", tmp_path, 50, SEED)
    with zipfile.ZipFile(here) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {LONG_AGO}
        told = re.findall(rb"20\d\d-\d\d-\d\dT[\d:]+", archive.read("docProps/core.xml"))
    assert set(told) == {b"2026-01-01T00:00:00"}


def test_another_process_makes_the_same_file(tmp_path: Path):
    here = deliver("museum_passes", tmp_path, 50, SEED).read_bytes()
    code = (
        "import sys, pathlib; from smartcart_pipeline_tests.foreign_tables import deliver; "
        f"sys.stdout.buffer.write(deliver('museum_passes', pathlib.Path(sys.argv[1]), 50, {SEED}).read_bytes())"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, check=True).stdout == here


@every_company
def test_what_is_said_of_a_table_is_so(name: str):
    known, table = FOREIGN[name], drawn(name)
    assert len(table) == CUSTOMERS
    assert {known.key or table.columns[0], *known.outcomes, *known.sensitive, *known.left_out, *known.daily} <= {*table}
    if known.key is not None:
        assert table[known.key].is_unique
        assert table[known.key].notna().all()
    assert {outcome: table[outcome].nunique(dropna=False) for outcome in known.outcomes} == dict.fromkeys(
        known.outcomes, 2
    )
    assert all(2 <= table[header].nunique() <= 40 for header in known.sensitive)
    assert {header: why for header, why in known.left_out.items() if not is_as_said(why, table[header], table)} == {}
    dates = [field.name for field in known.make(20, SEED).schema if pa.types.is_temporal(field.type)]
    assert bool(dates) == known.has_date


@every_company
def test_what_is_not_to_be_left_out_describes_somebody(name: str):
    known, table = FOREIGN[name], drawn(name)
    rest = table.drop(columns=[*known.left_out, *known.outcomes, *([known.key] if known.key else [])])
    assert rest.columns[rest.nunique() < 2].tolist() == []
    assert rest.columns[rest.isna().mean() > 0.85].tolist() == []
    texts = rest.select_dtypes("string")
    assert texts.columns[texts.nunique() > 40].tolist() == []


@every_company
def test_kinds_of_customers_differ_in_several_numbers(name: str):
    kind = kinds(name, CUSTOMERS, SEED)
    shares = np.bincount(kind) / CUSTOMERS
    assert 3 <= shares.size <= 6
    assert np.abs(shares - FOREIGN[name].shares).max() < 0.04
    numbers = numbers_of(name, drawn(name))
    clear = [header for header in numbers if told_apart(numbers[header], kind) > 0.25]
    assert len(clear) >= min(3, len(numbers.columns) - (name == "mall_visitors")), clear


@every_company
@pytest.mark.parametrize("night", [0, 8])
def test_few_customers_change_from_night_to_night(name: str, night: int):
    known = FOREIGN[name]
    before, after = (drawn(name, number).drop(columns=list(known.daily)) for number in (night, night + 1))
    rows = [Counter(table.astype(str).itertuples(index=False, name=None)) for table in (before, after)]
    assert sum((rows[0] & rows[1]).values()) > 0.94 * len(before)
    if known.key is None:
        return
    before, after = before.set_index(known.key), after.set_index(known.key)
    assert len(before.index.difference(after.index)) == round(0.005 * CUSTOMERS)
    assert len(after.index.difference(before.index)) == round(0.01 * CUSTOMERS)
    stayed = before.index.intersection(after.index)
    same = before.loc[stayed].eq(after.loc[stayed]) | (before.loc[stayed].isna() & after.loc[stayed].isna())
    differ = ~same.all(axis=1)
    assert 0.015 < differ.mean() < 0.05
    numbers = numbers_of(name, after.reset_index())
    for header in numbers:
        moved = after.loc[stayed, header].rank(pct=True) - before.loc[stayed, header].rank(pct=True)
        assert moved.abs().mean() < 0.01, header


@pytest.mark.parametrize("name", [name for name, known in FOREIGN.items() if known.key])
def test_nobody_becomes_of_another_kind_or_comes_back(name: str):
    key = FOREIGN[name].key
    nights = [
        pd.Series(kinds(name, 400, SEED, night), FOREIGN[name].make(400, SEED, night)[key].to_pylist())
        for night in range(5)
    ]
    for earlier, later in pairwise(nights):
        both = earlier.index.intersection(later.index)
        assert (earlier[both] == later[both]).all()
    ever_left = [set(a.index) - set(b.index) for a, b in pairwise(nights)]
    assert all(not gone & set(later.index) for n, gone in enumerate(ever_left) for later in nights[n + 1 :])


def test_dates_move_on():
    for name in ("gym", "retail_bank", "marketplace_sellers"):
        columns = [header for header, kind in drawn(name).dtypes.items() if kind.kind == "M"]
        newest = [drawn(name, night)[columns].max().max().normalize() for night in (1, 5)]
        assert newest == [pd.Timestamp(2026, 3, 2), pd.Timestamp(2026, 3, 6)]


def test_tables_are_of_very_different_shapes():
    tables = {name: drawn(name) for name in FOREIGN}
    widths = sorted(len(table.columns) for table in tables.values())
    assert (len(tables) >= 14, widths[0], widths[1], widths[-1]) == (True, 3, 5, 70)
    assert {known.format for known in FOREIGN.values()} == FORMATS.keys()
    assert [name for name, known in FOREIGN.items() if known.key is None] == ["museum_passes"]
    assert {"order", "group", "select", "segment_id", "customers", "least", "label", "Größe", "年龄", " Visits"} <= {
        header for table in tables.values() for header in table
    }


def test_files_are_what_their_format_says(tmp_path: Path):
    lines = {
        name: deliver(name, tmp_path, 60, SEED).read_bytes()
        for name in ("gym", "wholesale", "energy_utility", "donations")
    }
    assert lines["gym"].startswith(b"Member No.;Since; Visits;")
    assert lines["gym"].splitlines()[1].split(b";")[5] in {b"true", b"false"}
    assert lines["wholesale"].startswith(b"Debtor\tTerms\t")
    assert lines["energy_utility"].decode("latin-1").startswith("Zähler;Vertrag seit;Netz;Größe;")
    assert lines["donations"].decode().startswith("\ufeffDonor: ID,")
    assert '"Largest ""major"" gift"' in lines["donations"].decode()
    assert (
        pd.read_csv(deliver("grocery_loyalty", tmp_path, 60, SEED), dtype=str)["card_no"]
        .str.fullmatch("[0-9]{8}")
        .all()
    )
    assert len(pd.read_excel(deliver("insurance", tmp_path, 60, SEED), engine="openpyxl")) == 60


def test_a_stream_of_batches_has_everybody_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(foreign_tables, "ROW_GROUP", 1_000)
    path = stream("card_payments", tmp_path / "cards.parquet", 2_500, SEED)
    file = pyarrow.parquet.ParquetFile(path)
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [1_000, 1_000, 500]
    assert file.read_row_group(0).equals(FOREIGN["card_payments"].make(1_000, SEED))
    assert len(set(file.read(["card_id"])["card_id"].to_pylist())) == 2_500
    assert path.read_bytes() == stream("card_payments", tmp_path / "again.parquet", 2_500, SEED).read_bytes()


@pytest.mark.parametrize(("customers", "seed", "night"), [(0, 1, 0), (1, -1, 0), (1, 1, -1)])
def test_nobody_and_nothing_before_the_first_night_is_refused(customers: int, seed: int, night: int):
    with pytest.raises(ValueError, match="cannot make"):
        FOREIGN["gym"].make(customers, seed, night)


@every_company
def test_few_customers_make_a_table_too(name: str):
    for customers in (1, 2, 20):
        assert FOREIGN[name].make(customers, SEED, night=3).num_rows == customers


@given(any_table())
@settings(max_examples=30)
def test_any_table_can_be_written_and_read_back(tmp_path_factory: pytest.TempPathFactory, table: DrawnTable):
    assert 1 <= len(table.headers) <= 70
    assert 20 <= len(table.rows) <= 400
    assert len({header.strip().casefold() for header in table.headers}) == len(table.headers)
    path = table.write(tmp_path_factory.getbasetemp() / "any.csv")
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [table.headers, *table.rows]


@given(any_table(min_rows=2, max_rows=5, max_columns=3, alike=True))
def test_small_tables_of_any_kind(table: DrawnTable):
    assert len(table.headers) <= 3
    assert 2 <= len(table.rows) <= 5
    assert len(set(table.headers)) == len(table.headers)


def test_whatever_may_be_is_drawn():
    tables: list[DrawnTable] = []

    @given(any_table())
    @settings(max_examples=60, derandomize=True, database=None)
    def draw(table: DrawnTable):
        tables.append(table)

    draw()
    assert any(not any(cells) for table in tables for cells in zip(*table.rows, strict=True))
    assert any(cell in JUNK for table in tables for row in table.rows for cell in row)
    assert any(len(set(zip(*table.rows, strict=True))) < len(table.headers) for table in tables)
    names = [header for table in tables for header in table.headers]
    assert {*SQL_WORDS} & {*names}
    assert not all(name.isascii() for name in names)
    assert {1} < {len(table.headers) for table in tables}
    assert max(len(table.headers) for table in tables) > 40
