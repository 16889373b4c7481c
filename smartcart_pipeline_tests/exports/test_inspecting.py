"""A file is what its bytes say, and a file that is no export is refused in words that say what to do."""

import gzip
import hashlib
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from smartcart_pipeline.declaration.columns import snake_case
from smartcart_pipeline.declaration.contract import Contract
from smartcart_pipeline.declaration.errors import CallError, ExportError, FaultError, HomeError
from smartcart_pipeline.exports.csv_text import CHUNK, strange_lines
from smartcart_pipeline.exports.inspecting import (
    Export,
    find_by_sight,
    find_synonyms,
    hash_content,
    inspect_export,
    tell_by_sight,
)
from smartcart_pipeline.storage.arrivals import arrivals, find_export, tell_left_alone
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline_tests.declared import BEHAVIOURAL, CONTRACT

HEADERS = tuple(column.header for column in CONTRACT)
ALL_HEADERS = (
    "Complain, Dt_Customer, Education, ID, Income, Kidhome, Marital_Status, MntFishProducts, MntFruits, MntGoldProds, "
    "MntMeatProducts, MntSweetProducts, MntWines, NumCatalogPurchases, NumDealsPurchases, NumStorePurchases, "
    "NumWebPurchases, NumWebVisitsMonth, Recency, Response, Teenhome, Year_Birth"
)


def line(*further: str, delimiter: str = ",", headers: tuple[str, ...] = HEADERS) -> str:
    return delimiter.join([*headers, *further]) + "\n"


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_parquet(path: Path, headers: tuple[str, ...] = HEADERS) -> Path:
    parquet.write_table(pa.table([pa.array(["1"])] * len(headers), names=list(headers)), path)
    return path


def put_workbook(path: Path, *sheets: list[tuple[str, ...]]) -> Path:
    workbook = openpyxl.Workbook()
    for number, rows in enumerate(sheets):
        sheet = workbook.active if number == 0 else workbook.create_sheet()
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def put_strange(path: Path, made: str) -> Path:
    """Put something there that is no file; a link leads to a device, which would never end."""
    match made:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(path))
        case "device":
            if os.geteuid() != 0:
                pytest.skip("only root may make devices")
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        case "link":
            path.symlink_to("/dev/zero")
    return path


def inspect(path: Path) -> Export:
    return inspect_export(path, BEHAVIOURAL.contract)


def refusal(path: Path, kind: type[FaultError] = ExportError) -> str:
    with pytest.raises(kind) as error:
        inspect(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("delimiter", "words"),
    [
        (",", "CSV, comma, utf-8"),
        (";", "CSV, semicolon, utf-8"),
        ("\t", "CSV, tab, utf-8"),
        ("|", "CSV, pipe, utf-8"),
    ],
)
def test_the_delimiter_is_the_one_that_separates_the_headers(tmp_path: Path, delimiter: str, words: str):
    export = inspect(put(tmp_path / "export.txt", line(delimiter=delimiter)))
    assert (export.kind, export.delimiter, export.headers) == ("csv", delimiter, HEADERS)
    assert export.format == words


def test_a_delimiter_inside_a_quoted_header_separates_nothing(tmp_path: Path):
    export = inspect(put(tmp_path / "export.csv", line('"a,b,c,d"', delimiter=";")))
    assert export.headers == (*HEADERS, "a,b,c,d")


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
def test_headers_are_read_without_quotes_space_or_line_end(tmp_path: Path, end: str):
    content = ",".join(f' "{header} "' for header in HEADERS) + end
    assert inspect(put(tmp_path / "export.csv", content)).headers == HEADERS


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("latin-1", "latin-1")],
)
def test_the_encoding_is_found_in_the_bytes(tmp_path: Path, encoding: str, found: str):
    export = inspect(put(tmp_path / "export.csv", (line("Größe") + "Zoë\n").encode(encoding)))
    assert (export.encoding, export.headers[0], export.headers[-1]) == (found, "ID", "Größe")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("letters_before", [CHUNK - 1, CHUNK, 3])
def test_a_letter_tells_the_encoding_wherever_it_stands(tmp_path: Path, encoding: str, letters_before: int):
    """Also the last letter of the file, and one whose two bytes are read in two pieces."""
    start = line("Name")
    content = start + "x" * max(letters_before - len(start), 3) + "é"
    assert inspect(put(tmp_path / "export.csv", content.encode(encoding))).encoding == encoding


@pytest.mark.parametrize("name", ["export.csv.gz", "export.csv"])
def test_a_gzip_file_is_one_whatever_its_name(tmp_path: Path, name: str):
    export = inspect(put(tmp_path / name, gzip.compress(line("Größe", delimiter=";").encode("latin-1"))))
    assert (export.gzipped, export.delimiter, export.headers) == (True, ";", (*HEADERS, "Größe"))
    assert export.format == "CSV, semicolon, latin-1, gzip"


@pytest.mark.parametrize("name", ["export.parquet", "export.csv"])
def test_a_parquet_file_is_one_whatever_its_name(tmp_path: Path, name: str):
    export = inspect(put_parquet(tmp_path / name, (*HEADERS, "Größe")))
    assert (export.kind, export.format, export.headers) == ("parquet", "Parquet", (*HEADERS, "Größe"))


@pytest.mark.parametrize("name", ["export.xlsx", "export.csv"])
def test_a_workbook_is_one_whatever_its_name(tmp_path: Path, name: str):
    path = put_workbook(tmp_path / "written.xlsx", [(*HEADERS, " Größe ")]).rename(tmp_path / name)
    export = inspect(path)
    assert (export.kind, export.format, export.headers) == ("excel", "Excel workbook", (*HEADERS, "Größe"))


def test_the_first_sheet_with_rows_is_the_export(tmp_path: Path):
    assert inspect(put_workbook(tmp_path / "export.xlsx", [], [HEADERS], [("Notes",)])).headers == HEADERS


def test_columns_may_stand_in_any_order(tmp_path: Path):
    assert inspect(put(tmp_path / "export.csv", line(headers=HEADERS[::-1]))).headers == HEADERS[::-1]


def test_the_content_hash_is_the_sha_256_of_the_files_bytes(tmp_path: Path):
    path = put(tmp_path / "export.csv", line())
    expected = hashlib.sha256(line().encode()).hexdigest()
    assert (hash_content(path), inspect(path).content_hash) == (expected, expected)


def blank_lines_of(export: Export) -> tuple[int, ...]:
    lines = strange_lines(export.path, export.gzipped, export.line_end, export.delimiter, len(export.headers))
    return tuple(number for line in lines for number in range(line.number, line.number + line.lines))


@pytest.mark.parametrize(
    ("rest", "lines", "blank_lines"),
    [
        ("1\n2\n", 3, ()),
        ("1\n2", 3, ()),
        ("1\n\n\n2\n", 5, (3, 4)),
        ("1\r\n\r\n2\r\n", 4, (3,)),
        ("1\n\n", 3, (3,)),
        ('"a\n\nb"\n\n2\n', 6, (3,)),
        ('x,"a"",\n\n""b"\n\n2\n', 6, (3,)),
        ('5" pipe\n\n2\n', 4, (3,)),
        ('a, "b\n\nc"\n\n2\n', 6, (3,)),
        ('""\n\n"a""b"\n\n""""\n', 6, (3, 5)),
        ('"""\n\n"\n\n2\n', 6, (3,)),
    ],
)
def test_blank_lines_are_counted_like_the_rows_of_a_spreadsheet(
    tmp_path: Path, rest: str, lines: int, blank_lines: tuple[int, ...]
):
    plain = inspect(put(tmp_path / "export.csv", line() + rest))
    gzipped = inspect(put(tmp_path / "export.csv.gz", gzip.compress((line() + rest).encode())))
    assert plain.lines == gzipped.lines == lines
    assert blank_lines_of(plain) == blank_lines_of(gzipped) == blank_lines


@pytest.mark.parametrize("letters_before", [CHUNK - 3, CHUNK - 2, CHUNK - 1, CHUNK])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_blank_line_is_found_across_pieces_of_the_file(tmp_path: Path, letters_before: int, end: str):
    content = line() + "x" * (letters_before - len(line())) + end + end + "y" + end
    assert blank_lines_of(inspect(put(tmp_path / "export.csv", content))) == (3,)


def test_a_missing_file_is_named(tmp_path: Path):
    path = tmp_path / "export.csv"
    assert refusal(path, CallError) == "no such file. Name the customer export with --input, or put it there."


@pytest.mark.parametrize(
    ("made", "kind"),
    [("folder", "a folder"), ("pipe", "a pipe"), ("socket", "a socket"), ("device", "a device"), ("link", "a device")],
)
def test_what_is_no_file_is_refused_and_never_opened(tmp_path: Path, made: str, kind: str):
    path = put_strange(tmp_path / "x.csv", made)
    assert refusal(path, CallError) == f"is {kind}, no file. Name the customer export with --input."


def test_who_names_a_link_means_what_it_leads_to(tmp_path: Path):
    path = tmp_path / "link.csv"
    path.symlink_to(put(tmp_path / "export.csv", line()))
    assert inspect(path).headers == HEADERS


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path):
    path = put(tmp_path / "export.csv", line())
    path.chmod(0)
    assert refusal(path, HomeError) == "not allowed to read this file. Give the pipeline's user the right to."


def test_an_empty_file_is_refused(tmp_path: Path):
    assert refusal(put(tmp_path / "export.csv", b"")) == "the file is empty. Deliver the export again."


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (bytes(range(1, 256)) * 2_000, "1 column"),
        (b"\x7f" * 200_000, "1 column"),  # longer than a value that the csv module takes
        (b"%PDF-1.7\r\n%\xe2\xe3\xcf\xd3\r\n1 0 obj\r\n", "1 column"),
        (b"<!DOCTYPE html>\n<html><body>Please sign in</body></html>\n", "1 column"),
        (b"name,email\nZoe,zoe@example.org\n", "2 columns"),
        (b"root:x:0:0:root:/root:/bin/bash\n", "1 column"),
        (b"a\rb\rc", "1 column"),
        (b"\n", "0 columns"),
        (gzip.compress(b"", mtime=0), "0 columns"),
        (gzip.compress(b"PAR1", mtime=0), "1 column"),
    ],
)
def test_of_what_is_no_customer_export_nothing_is_quoted(tmp_path: Path, content: bytes, columns: str):
    assert refusal(put(tmp_path / "export.csv", content)) == (
        "this is no customer export: none of the 22 expected columns is there. "
        f"Its first line has {columns}. Expected a header line with {ALL_HEADERS}."
    )


@pytest.mark.parametrize("write", [put_parquet, lambda path, headers: put_workbook(path, [headers])])
def test_a_table_of_something_else_is_no_customer_export(tmp_path: Path, write):
    assert refusal(write(tmp_path / "export", ("name", "email"))).startswith(
        "this is no customer export: none of the 22 expected columns is there. Its first line has 2 columns. "
    )


@pytest.mark.parametrize(
    ("found", "named"),
    [
        ("Incomes", "Income (nearest name found: 'Incomes')"),
        ("Yearly_Income", "Income (nearest name found: 'Yearly_Income')"),
        ("Zip", "Income"),
    ],
)
def test_a_missing_column_is_named_with_the_nearest_name(tmp_path: Path, found: str, named: str):
    headers = tuple(found if header == "Income" else header for header in HEADERS)
    assert refusal(put(tmp_path / "export.csv", line(headers=headers))) == (
        f"1 of the 22 expected columns is missing: {named}. Rename or add what is missing and deliver the export again."
    )


def test_all_missing_columns_are_named(tmp_path: Path):
    headers = tuple(header for header in HEADERS if header not in ("ID", "MntWines", "Response"))
    assert refusal(put(tmp_path / "export.csv", line("MntWine", headers=headers))) == (
        "3 of the 22 expected columns are missing: ID, MntWines (nearest name found: 'MntWine'), Response. "
        "Rename or add what is missing and deliver the export again."
    )


def test_a_repeated_column_is_named(tmp_path: Path):
    assert refusal(put(tmp_path / "export.csv", line("Income", "Income"))) == (
        "column Income stands 3 times in the header. Leave one of them and deliver the export again."
    )


def test_further_columns_may_repeat(tmp_path: Path):
    assert inspect(put(tmp_path / "export.csv", line("Tag", "Tag"))).headers == (*HEADERS, "Tag", "Tag")


def with_synonyms(**synonyms: tuple[str, ...]) -> Contract:
    """The shipped contract with other names for some columns, by their names in tables."""
    columns = (replace(column, synonyms=synonyms.get(column.name, ())) for column in CONTRACT)
    return replace(BEHAVIOURAL.contract, columns=tuple(columns))


GERMAN = with_synonyms(income=("Einkommen", "Earnings"), year_birth=("Geburtsjahr",))


def renamed(**headers: str) -> tuple[str, ...]:
    return tuple(headers.get(header, header) for header in HEADERS)


@pytest.mark.parametrize("write", [lambda path, headers: put(path, line(headers=headers, delimiter=";")), put_parquet])
@pytest.mark.parametrize("found", ["Income", "Einkommen", "Earnings"])
def test_a_column_may_come_under_a_synonym(tmp_path: Path, found: str, write):
    export = inspect_export(write(tmp_path / "export", renamed(Income=found, Year_Birth="Geburtsjahr")), GERMAN)
    assert [column.header for column in export.contract.columns[:5]] == [
        "ID", "Geburtsjahr", "Education", "Marital_Status", found,
    ]  # fmt: skip
    assert export.further == ()
    usual = {"Year_Birth": "Geburtsjahr"} | ({} if found == "Income" else {"Income": found})
    assert find_synonyms(export, GERMAN) == usual


@pytest.mark.parametrize("headers", [("Income", "Earnings"), ("Earnings", "Income"), ("Einkommen", "Earnings")])
def test_the_usual_header_counts_before_synonyms_and_these_in_their_order(tmp_path: Path, headers: tuple[str, str]):
    path = put(tmp_path / "export.csv", line(headers[1], headers=renamed(Income=headers[0])))
    export = inspect_export(path, GERMAN)
    counts = "Income" if "Income" in headers else "Einkommen"
    assert export.contract.by_name["income"].header == counts
    assert [export.headers[number] for number in export.further] == ["Earnings"]


def test_only_synonyms_tell_the_delimiter_too(tmp_path: Path):
    contract = with_synonyms(**{column.name: (f"{column.header} neu",) for column in CONTRACT})
    path = put(tmp_path / "export.csv", line(headers=tuple(f"{header} neu" for header in HEADERS), delimiter="|"))
    assert inspect_export(path, contract).delimiter == "|"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("Zip", "1 of the 22 expected columns is missing: Income (or Einkommen, Earnings). Rename"),
        (
            "Einkomen",
            (
                "1 of the 22 expected columns is missing: Income (or Einkommen, Earnings) (nearest name found: "
                "'Einkomen'). Rename"
            ),
        ),
    ],
)
def test_of_a_missing_column_the_synonyms_are_named(tmp_path: Path, found: str, told: str):
    path = put(tmp_path / "export.csv", line(headers=renamed(Income=found)))
    with pytest.raises(ExportError) as error:
        inspect_export(path, GERMAN)
    assert str(error.value).startswith(f"{path}: {told}")


def test_a_synonym_that_stands_twice_is_named(tmp_path: Path):
    path = put(tmp_path / "export.csv", line("Earnings", headers=renamed(Income="Earnings")))
    with pytest.raises(ExportError, match=r"column Earnings stands 2 times in the header\."):
        inspect_export(path, GERMAN)


# Headers by sight


WRITERS = [
    lambda path, headers: put(path, line(headers=headers, delimiter=";")),
    put_parquet,
    lambda path, headers: put_workbook(path, [headers]),
]


def spaced(header: str) -> str:
    return header.replace("_", " ").upper()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "changed",
    [
        str.lower,
        str.upper,
        spaced,
        lambda header: header.replace("_", "-"),
        lambda header: f"({header[0]} {header[1:]}).",
    ],
)
def test_headers_that_look_alike_are_those_of_the_contract(tmp_path: Path, changed, write):
    headers = tuple(changed(header) for header in HEADERS)
    export = inspect(write(tmp_path / "export", headers))
    assert tuple(column.header for column in export.contract.columns) == headers
    assert export.further == ()
    differ = {usual: found for usual, found in zip(HEADERS, headers, strict=True) if usual != found}
    assert find_by_sight(export, BEHAVIOURAL.contract) == differ
    # Whoever knows only these, as a later step of a run does, names the columns in the same way.
    known = find_synonyms(export, BEHAVIOURAL.contract).values()
    assert BEHAVIOURAL.contract.as_delivered(known) == export.contract


def test_accents_make_no_difference(tmp_path: Path):
    contract = with_synonyms(year_birth=("Année de naissance",), income=("Größe des Einkommens",))
    headers = renamed(Year_Birth="annee_de_naissance", Income="GRÖSSE DES EINKOMMENS")
    export = inspect_export(put(tmp_path / "export.csv", line(headers=headers)), contract)
    assert export.further == ()
    assert tell_by_sight(export, contract) == (
        "Read by sight: 'annee_de_naissance' for Year_Birth, 'GRÖSSE DES EINKOMMENS' for Income."
    )


def test_of_headers_read_by_sight_the_first_are_told(tmp_path: Path):
    export = inspect(put(tmp_path / "export.csv", line(headers=tuple(map(spaced, HEADERS)))))
    assert tell_by_sight(export, BEHAVIOURAL.contract) == (
        "Read by sight: 'YEAR BIRTH' for Year_Birth, 'EDUCATION' for Education, 'MARITAL STATUS' for Marital_Status, …"
    )


def test_of_headers_as_they_should_be_and_synonyms_nothing_is_told(tmp_path: Path):
    export = inspect_export(put(tmp_path / "export.csv", line(headers=renamed(Income="Earnings"))), GERMAN)
    assert tell_by_sight(export, GERMAN) is None


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        (("income", "Income"), "Income"),
        (("INCOME", "Earnings"), "Earnings"),
        (("earnings", "Einkommen"), "Einkommen"),
        (("earnings", "Tag"), "earnings"),
    ],
)
def test_what_is_exact_counts_before_what_looks_alike(tmp_path: Path, headers: tuple[str, str], counts: str):
    path = put(tmp_path / "export.csv", line(headers[1], headers=renamed(Income=headers[0])))
    export = inspect_export(path, GERMAN)
    assert export.contract.by_name["income"].header == counts
    assert {export.headers[number] for number in export.further} == {*headers} - {counts}


@pytest.mark.parametrize("write", WRITERS)
def test_two_headers_that_look_like_one_column_are_named(tmp_path: Path, write):
    message = refusal(write(tmp_path / "export", (*renamed(Year_Birth="Year Birth"), "year-birth")))
    assert message == (
        "the headers 'Year Birth' and 'year-birth' look like one column, Year_Birth. "
        "Name the right one so, or leave the other out, and deliver the export again."
    )


def test_a_header_by_sight_that_stands_twice_is_named(tmp_path: Path):
    path = put(tmp_path / "export.csv", line("year birth", headers=renamed(Year_Birth="year birth")))
    assert refusal(path).startswith("column year birth stands 2 times in the header.")


@pytest.mark.parametrize(("found", "is_read"), [("Income", True), ("INCOME", False), ("in come", False)])
def test_a_header_that_looks_like_two_columns_is_neither_unless_exact(tmp_path: Path, found: str, is_read: bool):
    """As where a contract has columns whose headers differ only so."""
    columns = tuple(replace(one, header="income") if one.header == "Recency" else one for one in CONTRACT)
    contract = replace(BEHAVIOURAL.contract, columns=columns)
    path = put(tmp_path / "export.csv", line(headers=renamed(Recency="income", Income=found)))
    if is_read:
        assert inspect_export(path, contract).further == ()
    else:
        with pytest.raises(ExportError, match=rf"is missing: Income \(nearest name found: '{found}'\)"):
            inspect_export(path, contract)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_headers_by_sight_tell_the_delimiter(tmp_path: Path, delimiter: str):
    export = inspect(put(tmp_path / "export.txt", line(delimiter=delimiter, headers=tuple(map(spaced, HEADERS)))))
    assert export.delimiter == delimiter


# Without the time of day, which would give the tests below other names in each process that collects them.
ZIPPED = gzip.compress(line().encode(), mtime=0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (ZIPPED[:-9], "Compressed file ended before the end-of-stream marker was reached"),
        (ZIPPED[:5], "Compressed file ended before the end-of-stream marker was reached"),
        (ZIPPED[:-8] + bytes(8), "CRC check failed 0x0 != 0x"),
        (b"\x1f\x8b\x08\x00" + bytes(6) + b"\xff" * 20, "Error -3 while decompressing data: invalid block type"),
    ],
)
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, content: bytes, why: str):
    message = refusal(put(tmp_path / "export.csv.gz", content))
    assert message.startswith(f"the compressed file is damaged or cut off ({why}")
    assert message.endswith("). Deliver it again.")


@pytest.mark.parametrize("kept", [slice(100), slice(-4), slice(4)])
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, kept: slice):
    path = put_parquet(tmp_path / "export.parquet")
    message = refusal(put(path, path.read_bytes()[kept]))
    assert message.startswith("the Parquet file is damaged (Parquet ")
    assert message.endswith("). Deliver it again.")


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(100), b"PK\x03\x04", b"\xd0\xcf\x11\xe0" + bytes(100), None])
def test_a_damaged_workbook_is_refused(tmp_path: Path, content: bytes | None):
    path = put_workbook(tmp_path / "export.xlsx", [HEADERS])
    message = refusal(put(path, content or path.read_bytes()[:2_000]))
    assert message.startswith("the Excel workbook cannot be opened (")
    assert message.endswith("). Save it again and deliver it.")


def test_an_empty_workbook_is_refused(tmp_path: Path):
    assert refusal(put_workbook(tmp_path / "export.xlsx", [], [])) == (
        "the Excel workbook holds no rows. Deliver one with a header row and customers."
    )


def arrive(home: Home, name: str, second: int) -> Path:
    home.incoming.mkdir(parents=True, exist_ok=True)
    path = put(home.incoming / name, line())
    os.utime(path, (second, second))
    return path


def test_an_export_that_is_named_goes_before_all_others(home: Home):
    arrive(home, "arrived.csv", 1)
    assert find_export(home, "elsewhere/mine.csv") == Path("elsewhere/mine.csv")


def test_the_newest_arrival_goes_before_the_sample(home: Home):
    arrive(home, "b.csv", 1)
    newest = arrive(home, "a.csv", 2)
    put(home.root / "smartcart_customers.csv", line())
    assert find_export(home) == newest


def test_the_last_name_wins_where_two_arrived_at_once(home: Home):
    last = arrive(home, "b.csv", 1)
    arrive(home, "a.csv", 1)
    assert find_export(home) == last


def test_the_sample_is_taken_where_nothing_arrived(home: Home):
    home.incoming.mkdir(parents=True)
    sample = put(home.root / "smartcart_customers.csv", line())
    assert find_export(home) == sample


@pytest.mark.parametrize("incoming", [True, False])
def test_a_home_without_any_export_says_where_to_put_one(home: Home, incoming: bool):
    if incoming:
        home.incoming.mkdir(parents=True)
    with pytest.raises(CallError) as error:
        find_export(home)
    assert str(error.value) == f"There is no export: put one into {home.incoming}, or name one with --input."


STRANGE = {
    "folder": "a folder",
    "pipe": "a pipe",
    "socket": "a socket",
    "device": "a device",
    "link": "a symbolic link",
}


@pytest.mark.parametrize(("made", "kind"), STRANGE.items())
def test_what_is_no_file_has_not_arrived_and_is_named(home: Home, made: str, kind: str):
    home.incoming.mkdir(parents=True)
    home.refused.mkdir()
    path = put_strange(home.incoming / "x.csv", made)
    assert arrivals(home) == []
    assert tell_left_alone(home) == [f"x.csv is {kind}, no file, and is left alone."]
    with pytest.raises(CallError, match=rf"There is no export: .* x\.csv is {kind}, no file, and is left alone\.$"):
        find_export(home)
    with pytest.raises(CallError, match=rf"x\.csv: is {kind}, no file, and is left alone\."):
        find_export(home, str(path))


def test_a_second_name_of_a_file_has_arrived(home: Home):
    home.incoming.mkdir(parents=True)
    (home.incoming / "x.csv").hardlink_to(put(home.root / "elsewhere.csv", line()))
    assert find_export(home) == home.incoming / "x.csv"


def test_hidden_and_unfinished_files_and_folders_have_not_arrived(home: Home):
    for number, name in enumerate(
        [".hidden.csv", "a.csv.part", "a.partial", "a.TMP", "a.crdownload", "a.csv.filepart"], start=10
    ):
        arrive(home, name, number)
    (home.incoming / "refused").mkdir()
    finished = [arrive(home, name, 1) for name in ("b.csv", "a.parquet", "part")]
    assert arrivals(home) == sorted(finished)
    assert find_export(home) == home.incoming / "part"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Loyalty Tier", "loyalty_tier"),
        ("LoyaltyTier", "loyalty_tier"),
        ("loyalty_tier", "loyalty_tier"),
        (" Loyalty-Tier (2024) ", "loyalty_tier_2024"),
        ("MntWines", "mnt_wines"),
        ("ID", "id"),
        ("CustomerID", "customer_id"),
        ("Größe", "gr_e"),
        ("2nd Cycle", "2nd_cycle"),
        ("€", "column"),
        ("", "column"),
    ],
)
def test_a_header_becomes_a_name_of_the_lake(header: str, name: str):
    assert snake_case(header) == name


@pytest.mark.parametrize(
    ("text", "faults", "is_open"),
    [
        ('"x",1', 0, False),
        ('"x""y",1', 0, False),
        ('"x",1,', 1, False),
        ('"x",1,2,3', 2, False),
        ('"x, y",1', 0, False),
        ("x", 0, False),
        # A quotation mark within a value is a letter; behind the closing one there may be nothing.
        ('a "x" y,1', 0, False),
        ('"x" y,1', 1, False),
        ('"x"y,"z"w', 1, False),
        ('"x" y,1,2', 2, False),
        ('"x"', 0, False),
        ('1,"x', 0, True),
        ('1,"x""', 0, True),
    ],
)
def test_what_is_wrong_with_a_line_is_counted(tmp_path: Path, text: str, faults: int, is_open: bool):
    for end in ("\n", "\r\n", ""):
        path = put(tmp_path / "export.csv", f"a,b\n{text}{end}")
        *told, last = strange_lines(path, False, "\n", ",", 2)
        assert [(line.number, line.faults, line.size) for line in told] == (
            [(2, faults, len(text + end))] if faults else []
        )
        assert (last.number, last.is_open) == (2, is_open)


def test_a_value_over_several_lines_counts_from_its_first(tmp_path: Path):
    path = put(tmp_path / "export.csv", 'a,b\n"x\n\ny" z,1\n\n\n3,4,5\n\n')
    told = list(strange_lines(path, False, "\n", ",", 2))
    assert [(line.number, line.faults, line.lines) for line in told] == [
        (2, 1, 0),
        (3, 0, 2),
        (5, 1, 0),
        (6, 0, 1),
        (6, 0, 0),
    ]
    assert told[0].size == len('"x\n\ny" z,1\n')
