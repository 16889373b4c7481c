"""A table that nobody has declared: what each column is taken for, why, and what is written down of it."""

import csv
import gzip
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from smartcart_pipeline.declaration.columns import why_no_name
from smartcart_pipeline.declaration.declaration import read_declaration
from smartcart_pipeline.declaration.errors import CallError, ExportError
from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.exports import surveying
from smartcart_pipeline.exports.choosing import NO_ID
from smartcart_pipeline.exports.drafting import Draft, draft_declaration
from smartcart_pipeline.exports.inspecting import inspect_unknown
from smartcart_pipeline.exports.naming import Names, counted, is_plural, spoken, words_in
from smartcart_pipeline.exports.reading import read_export
from smartcart_pipeline_tests.exports.test_inspecting import put

Columns = Mapping[str, Sequence[Any]]
ROWS = 200


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    engine = DuckDBEngine(spill_directory=tmp_path / "spill")
    yield engine
    engine.close()


def numbers(seed: int, most: int, rows: int = ROWS) -> list[int]:
    return [random.Random(f"{seed} {row}").randrange(most) for row in range(rows)]


def cycle(*values: Any, rows: int = ROWS) -> list[Any]:
    """Values in a random order, each as often as the others."""
    found = [values[row % len(values)] for row in range(rows)]
    random.Random(len(values)).shuffle(found)
    return found


# Three columns that stay what they are, so that each test need name what it is about only.
PLAIN: Columns = {"spent": numbers(1, 90), "orders": numbers(2, 30), "score": numbers(3, 50)}


def put_csv(path: Path, columns: Columns, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def draft(engine: DuckDBEngine, tmp_path: Path, columns: Columns) -> Draft:
    return draft_declaration(engine, put_csv(tmp_path / "customers.csv", columns), "shop")


def taken(found: Draft) -> dict[str, tuple[str, str]]:
    return {one.column.header: (one.role, one.kind) for one in found.columns}


def why(found: Draft, header: str) -> str:
    [one] = [one for one in found.columns if one.column.header == header]
    return one.why


def recipe(found: Draft) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(found.recipe)
    return read


def sensitive(found: Draft) -> dict[str, Any]:
    """What the recipe lists as sensitive."""
    listed: dict[str, Any] = recipe(found).get("described", {}).get("sensitive", {})
    return listed


def is_sensitive(found: Draft, header: str) -> bool:
    [one] = [one for one in found.columns if one.column.header == header]
    return one.sensitive


def declared(found: Draft, folder: Path) -> Recipe:
    """The recipe, as the pipeline reads the draft."""
    put(folder / "contract.yaml", found.contract)
    put(folder / "recipe.yaml", found.recipe)
    return read_declaration(folder).recipe


def properties(found: Draft) -> dict[str, dict[str, Any]]:
    [table] = yaml.safe_load(found.contract)["schema"]
    return {one["physicalName"]: one for one in table["properties"]}


def telephone_company(rows: int = 300) -> Columns:
    """A table as such a company has it."""
    dice = np.random.default_rng(7)
    months = dice.integers(0, 72, rows)
    monthly = np.round(18.25 + dice.random(rows) * 100, 2)
    monthly[:2] = 18.25, 118.75
    return {
        "customerID": [f"{dice.integers(1000, 9999)}-{row:04d}" for row in range(rows)],
        "gender": dice.choice(["Female", "Male"], rows).tolist(),
        "SeniorCitizen": dice.integers(0, 2, rows).tolist(),
        "PaperlessBilling": dice.choice(["Yes", "No"], rows).tolist(),
        "Contract": dice.choice(["Month-to-month", "One year", "Two year"], rows, p=[0.6, 0.2, 0.2]).tolist(),
        "tenure": months.tolist(),
        "MonthlyCharges": monthly.tolist(),
        "TotalCharges": [" " if m == 0 else round(m * c, 2) for m, c in zip(months, monthly, strict=True)],
        "NumTickets": dice.poisson(1, rows).tolist(),
        "JoinDate": [f"{1 + row % 28:02d}-{1 + row % 12:02d}-{2018 + row % 6}" for row in range(rows)],
        "Email": [f"customer{row}@example.org" for row in range(rows)],
        "Churn": dice.choice(["Yes", "No"], rows, p=[0.3, 0.7]).tolist(),
    }


def test_each_column_is_taken_for_what_it_is(engine: DuckDBEngine, tmp_path: Path):
    found = draft(engine, tmp_path, telephone_company())
    assert taken(found) == {
        "customerID": ("id", "id"),
        "gender": ("described", "category"),
        "SeniorCitizen": ("described", "flag"),
        "PaperlessBilling": ("feature", "flag"),
        "Contract": ("feature", "category"),
        "tenure": ("feature", "number"),
        "MonthlyCharges": ("feature", "money"),
        "TotalCharges": ("feature", "money"),
        "NumTickets": ("feature", "count"),
        "JoinDate": ("feature", "date"),
        "Email": ("left out", "personal data"),
        "Churn": ("outcome", "flag"),
    }
    assert why(found, "customerID") == "named like an id, unique and never missing"
    assert why(found, "MonthlyCharges") == "18.25 to 118.75, never missing"
    assert "# MonthlyCharges: money, 18.25 to 118.75, never missing\n" in found.contract
    assert "# MonthlyCharges: money, 18.25 to 118.75, never missing\n" in found.recipe
    assert "where the median stands in" in why(found, "TotalCharges")
    assert found.notes == ("All is counted to the newest day of “JoinDate”, 2023-12-28 in this file.",)


def test_the_recipe_says_what_is_made_of_them(engine: DuckDBEngine, tmp_path: Path):
    said = recipe(draft(engine, tmp_path, telephone_company()))
    assert said["recipe"] == {"name": "shop", "contract": "customers"}
    assert (said["as_of"], said["segments"], said["fences"]) == ({"newest": "join_date"}, "auto", 3)
    assert said["clean"]["missing"] == {"total_charges": "median"}
    plans = ("Month-to-month", "One year", "Two year")
    assert said["features"]["contract"]["into"] == {plan: [plan] for plan in plans}
    assert said["features"]["contract"]["otherwise"] == "Other"
    assert {name: next(iter(part.items())) for name, part in said["features"].items()} == {
        "paperless_billing": ("flag", "paperless_billing"),
        "contract": ("regroup", "contract"),
        "tenure": ("column", "tenure"),
        "monthly_charges": ("column", "monthly_charges"),
        "total_charges": ("column", "total_charges"),
        "num_tickets": ("column", "num_tickets"),
        "days_since_join_date": ("days_since", "join_date"),
    }
    assert list(said["outcomes"]) == ["churn"]
    assert (said["outcomes"]["churn"]["rate"], said["outcomes"]["churn"]["share"]) == ("churn_rate", "churned")
    assert list(said["described"]) == ["sensitive"]
    assert list(said["described"]["sensitive"]) == ["gender", "senior_citizen"]
    assert said["business"] == {"worth": "total_charges", "tenure": "days_since_join_date"}
    assert said["report"]["told"][:3] == ["total_charges", "days_since_join_date", "monthly_charges"]
    assert "contract_month_to_month" in said["report"]["told"]
    assert said["report"]["beside"] == ["join_date"]
    [limit] = said["clean"]["limits"]
    assert (limit["column"], limit["until"]) == ("join_date", "as_of")


def test_the_contract_says_what_they_must_be(engine: DuckDBEngine, tmp_path: Path):
    said = properties(draft(engine, tmp_path, telephone_company()))
    assert next(iter(said)) == "customerID"
    assert "Email" not in said
    assert said["customerID"]["primaryKey"] is said["customerID"]["required"] is True
    assert {header: one["logicalType"] for header, one in said.items()} == {
        "customerID": "string",
        "gender": "string",
        "SeniorCitizen": "integer",
        "PaperlessBilling": "boolean",
        "Contract": "string",
        "tenure": "integer",
        "MonthlyCharges": "number",
        "TotalCharges": "number",
        "NumTickets": "integer",
        "JoinDate": "date",
        "Churn": "boolean",
    }
    assert [header for header, one in said.items() if not one["required"]] == ["TotalCharges"]
    assert said["NumTickets"]["logicalTypeOptions"] == {"minimum": 0}
    assert said["SeniorCitizen"]["logicalTypeOptions"] == {"minimum": 0, "maximum": 1}
    assert "logicalTypeOptions" not in said["tenure"]
    assert said["gender"]["classification"] == "sensitive"


def test_what_people_read_is_english(engine: DuckDBEngine, tmp_path: Path):
    found = draft(engine, tmp_path, telephone_company())
    said = recipe(found)["features"]
    assert said["monthly_charges"]["words"] == {
        "label": "Monthly charges",
        "named": "monthly charges",
        "more": "Have higher monthly charges",
        "less": "Have lower monthly charges",
        "mean": "with mean monthly charges of {value}",
        "short": ["lower monthly charges", "higher monthly charges"],
        "decimals": 0,
    }
    assert said["num_tickets"]["words"]["short"] == ["fewer tickets", "more tickets"]
    assert sensitive(found)["senior_citizen"]["share"] == "are senior citizens"
    assert said["paperless_billing"]["share"] == "are marked “paperless billing”"
    assert said["days_since_join_date"]["words"]["short"] == ["newer", "long-standing"]
    two_years = said["contract"]["levels"]["Two year"]
    assert (two_years["label"], two_years["named"]) == ("Contract: Two year", "contract “Two year”")
    assert two_years["short"] == ["contract “Two year” less often", "contract “Two year” more often"]


NUMBER_WORDS = {
    "Balance": "a higher balance",
    "TotalCharges": "higher total charges",
    "Room Revenue": "higher room revenue",
    "hours watched": "more hours watched",
    "days to pay": "more days to pay",
    "listings": "more listings",
    "n_fuel": "a higher fuel count",
    "num_of_orders": "more orders",
    "salary in": "higher figures for salary in",
    "claims paid": "higher figures for claims paid",
    "Vehicle kW": "higher figures for vehicle kW",
    "Lead Time (days)": "a higher lead time",
    "Café": "higher figures for café",
    "last_login": "",
}


def test_whatever_a_number_is_called_the_sentence_is_english(engine: DuckDBEngine, tmp_path: Path):
    rows = 300
    table = {name: [number * 7 % 23 + place for number in range(rows)] for place, name in enumerate(NUMBER_WORDS)}
    for name, times in (("Café", 0.25), ("salary in", 1.5), ("claims paid", 2.5), ("Vehicle kW", 0.5)):
        table[name] = [round(times * (number * 11 % 37), 2) for number in range(rows)]
    for place, name in enumerate(NUMBER_WORDS):
        table[name] = [value + number * place % 13 for number, value in enumerate(table[name])]
    table["last_login"] = [f"2024-01-{number % 28 + 1:02d}" for number in range(rows)]
    table["installed"] = [f"2023-0{number % 9 + 1}-11" for number in range(rows)]
    file = tmp_path / "numbers.csv"
    pd.DataFrame({"id": range(1, rows + 1), **table}).to_csv(file, index=False)
    said = yaml.safe_load(draft_declaration(engine, file).recipe)["features"]
    more = {each["words"]["label"]: each["words"]["more"] for each in said.values()}
    assert more.pop("Days since last login") == "Had their last login longer ago"
    assert more.pop("Days since installed") == "Have more days since installed"
    assert list(more.values()) == [f"Have {words}" for words in NUMBER_WORDS.values() if words]
    assert said["lead_time_days"]["words"]["mean"] == "with a mean lead time of {value} days"
    assert said["salary_in"]["words"]["mean"] == "with a mean of {value} for salary in"


@pytest.mark.parametrize(
    ("header", "share"),
    [
        ("Partner", "are marked “partner”"),
        ("is_active", "are active"),
        ("active", "are active"),
        ("Smoker", "are smokers"),
        ("VIP", "are VIPs"),
        ("has_children", "have children"),
        ("has_loan", "are marked “has loan”"),
        ("took part again", "are marked “took part again”"),
        ("Renewed", "renewed"),
        ("$", "are marked “value”"),
        ("is", "are marked “is”"),
    ],
)
def test_of_whoever_has_a_one_a_sentence_can_be_said(engine: DuckDBEngine, tmp_path: Path, header: str, share: str):
    file = tmp_path / "flags.csv"
    numbers = range(200)
    pd.DataFrame(
        {"id": numbers, "x": [n % 11 for n in numbers], "z": [n % 7 for n in numbers], header: [n % 2 for n in numbers]}
    ).to_csv(file, index=False)
    found = draft_declaration(engine, file)
    said = recipe(found)
    parts = (said["features"], said.get("outcomes", {}), sensitive(found))
    [flag] = [each for part in parts for each in part.values() if "flag" in each]
    assert flag["share"] == share
    assert flag["words"]["short"][1].endswith(" more often")


@pytest.mark.parametrize(
    ("header", "said", "what"),
    [
        ("MonthlyCharges", "monthly charges", "monthly charges"),
        ("NumWebPurchases", "number web purchases", "web purchases"),
        ("number_of_orders", "number of orders", "orders"),
        ("CLV", "CLV", "CLV"),
        ("customerID", "customer ID", "customer ID"),
        ("MntWines", "wines amount", "wines amount"),
        ("Dt_Customer", "customer date", "customer date"),
        ("Year_Birth", "birth year", "birth year"),
        ("amount_spent", "amount spent", "amount spent"),
        (" avg. order-value ", "average order value", "average order value"),
        ("Größe", "größe", "größe"),
        ("Vehicle kW", "vehicle kW", "vehicle kW"),
        ("used MWh", "used MWh", "used MWh"),
        ("spend_grocery", "grocery spend", "grocery spend"),
        ("Kidhome", "kids at home", "kids at home"),
        ("!!", "value", "value"),
    ],
)
def test_a_header_becomes_words(header: str, said: str, what: str):
    assert (spoken(words_in(header)), counted(words_in(header))) == (said, what)


@pytest.mark.parametrize(
    ("text", "plural"),
    [
        ("charges", True),
        ("balance", False),
        ("status", False),
        ("days since the last visit", True),
        ("children", True),
        ("kids at home", True),
    ],
)
def test_one_thing_is_told_from_several(text: str, plural: bool):
    assert is_plural(text) is plural


# The file


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_a_text_is_read_whatever_separates_its_values(
    engine: DuckDBEngine, tmp_path: Path, delimiter: str, encoding: str
):
    columns = {"id": range(ROWS), **PLAIN, "Größe": cycle("groß, sehr", "klein; ja", "a|b")}
    path = put_csv(tmp_path / "customers.txt", columns, delimiter, encoding)
    found = draft_declaration(engine, path)
    assert taken(found)["Größe"] == ("feature", "category")
    assert properties(found)["Größe"]["name"] == "grosse"
    assert sorted(recipe(found)["features"]["grosse"]["into"].values()) == [["a|b"], ["groß, sehr"], ["klein; ja"]]
    zipped = put(tmp_path / "customers.csv.gz", gzip.compress(path.read_bytes()))
    assert taken(draft_declaration(engine, zipped)) == taken(found)


def test_parquet_and_workbooks_are_read(engine: DuckDBEngine, tmp_path: Path):
    days = np.datetime64("2024-01-01T10:30:00", "us") + np.array(numbers(5, 90)).astype("timedelta64[D]")
    columns = {
        "id": np.arange(ROWS),
        "spent": np.array(PLAIN["spent"]) + 0.25,
        "orders": pa.array([None, *PLAIN["orders"][1:]], pa.float64()),
        "is_member": pa.array(cycle(True, False)),
        "joined": pa.array(days),
        "plan": pa.array(cycle("a", "b", "c")).dictionary_encode(),
    }
    parquet.write_table(pa.table(columns), tmp_path / "customers.parquet")
    found = draft_declaration(engine, tmp_path / "customers.parquet")
    expected = {
        "id": ("id", "id"),
        "spent": ("feature", "money"),
        "orders": ("feature", "count"),
        "is_member": ("feature", "flag"),
        "joined": ("feature", "date"),
        "plan": ("feature", "category"),
    }
    assert taken(found) == expected
    said = properties(found)
    assert (said["is_member"]["logicalType"], said["joined"]["logicalType"]) == ("boolean", "timestamp")
    # Whole numbers of which one is missing: the median that stands in for it may have decimals.
    assert (said["orders"]["logicalType"], recipe(found)["features"]["orders"]["step"]) == ("number", 0.5)

    workbook = openpyxl.Workbook()
    workbook.active.append(list(columns))
    for row in pa.table(columns).to_pylist():
        workbook.active.append(list(row.values()))
    workbook.save(tmp_path / "customers.xlsx")
    found = draft_declaration(engine, tmp_path / "customers.xlsx")
    assert taken(found) == expected
    assert properties(found)["joined"]["logicalType"] == "date"
    assert properties(found)["is_member"]["logicalType"] == "integer"


def test_the_same_file_gives_the_same_text(engine: DuckDBEngine, tmp_path: Path):
    first = draft(engine, tmp_path, telephone_company())
    again = draft(DuckDBEngine(), tmp_path, telephone_company())
    assert (first.contract, first.recipe, first.notes) == (again.contract, again.recipe, again.notes)


def test_of_a_large_file_a_sample_tells_the_kinds_and_all_rows_the_range(
    engine: DuckDBEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(surveying, "SAMPLE_ROWS", 100)
    columns = {
        "id": range(1000),
        "spent": [*numbers(1, 90, 999), 123_456],
        "orders": ["", *numbers(2, 30, 999)],
        "plan": cycle("a", "b", rows=1000),
        "flag": [2, *cycle(0, 1, rows=999)],
    }
    found = draft(engine, tmp_path, columns)
    assert why(found, "spent").startswith("0 to 123,456, never missing")
    assert "missing in 1 of 1,000 rows" in why(found, "orders")
    assert taken(found)["flag"][1] != "flag"
    assert taken(found)["id"] == ("id", "id")
    [note] = [note for note in found.notes if "sample" in note]
    assert "of 1,000 rows" in note
    small = draft(engine, tmp_path, {name: values[:100] for name, values in PLAIN.items()})
    assert not any("sample" in note for note in small.notes)


def test_what_is_no_table_of_customers_is_refused(engine: DuckDBEngine, tmp_path: Path):
    with pytest.raises(CallError, match="no such file"):
        draft_declaration(engine, tmp_path / "nothing.csv")
    with pytest.raises(CallError, match="a folder"):
        draft_declaration(engine, tmp_path)
    for content in ("", "a,b\n", "just words\n" * 50):
        with pytest.raises(ExportError):
            draft_declaration(engine, put(tmp_path / "customers.csv", content))
    with pytest.raises(ExportError, match="29 customers are too few"):
        draft(engine, tmp_path, {name: values[:29] for name, values in PLAIN.items()})
    few = draft(engine, tmp_path, {name: values[:30] for name, values in PLAIN.items()})
    assert few.notes[0] == "30 customers are few to find segments among: 200 or more are better."


def test_where_the_header_was_found_is_told(engine: DuckDBEngine, tmp_path: Path):
    path = put_csv(tmp_path / "export.csv", telephone_company())
    plain = draft_declaration(engine, path)
    path.write_text("Customers of ACME\n\n" + path.read_text())
    found = draft_declaration(engine, path)
    told = "The header was found in line 3: what stands above it describes no customer."
    assert found.notes == (told, *plain.notes)
    assert found.recipe == plain.recipe


def test_where_nothing_describes_a_customer_it_says_so(engine: DuckDBEngine, tmp_path: Path):
    nothing = {"id": range(ROWS), "email": [f"a{row}@x.org" for row in range(ROWS)], "country": ["NO"] * ROWS}
    with pytest.raises(ExportError, match=r"nothing describes a customer.*id \(id\).*country \(constant\)"):
        draft(engine, tmp_path, nothing)
    with pytest.raises(ExportError, match="too little describes a customer: 1 column is left"):
        draft(engine, tmp_path, {"id": range(ROWS), "spent": PLAIN["spent"]})
    unsaid = {"spent": PLAIN["spent"], "paid": [f"{row % 9 + 1}.250" for row in range(ROWS)]}
    with pytest.raises(ExportError, match=r"paid \(not readable: nothing says whether '1\.250' in column paid"):
        draft(engine, tmp_path, unsaid)
    twice = tmp_path / "twice.csv"
    twice.write_text("spent,a,a\n" + "".join(f"{row % 7},{row % 5},{row % 3}\n" for row in range(ROWS)))
    with pytest.raises(ExportError, match=r"header stands several times are not looked at \(a\)"):
        draft_declaration(engine, twice)


def test_columns_that_are_called_the_same_are_told_apart_by_their_headers(engine: DuckDBEngine, tmp_path: Path):
    numbers = {name: [row * (place + 3) % 17 for row in range(ROWS)] for place, name in enumerate(("Visits", "VISITS"))}
    flags = {"pool": [row % 2 for row in range(ROWS)], "Pool": [row // 2 % 2 for row in range(ROWS)]}
    plans = {
        name: ["abc"[row * (row + place) % (place + 5) % 3] for row in range(ROWS)]
        for place, name in enumerate(("plan", "PLAN"))
    }
    found = draft(engine, tmp_path, {"id": range(ROWS), **numbers, **flags, **plans, "age{": PLAIN["score"]})
    features = recipe(found)["features"] | sensitive(found)
    assert "age" in features
    assert features["visits"]["words"]["more"] == "Have higher figures for visits “Visits”"
    assert features["visits_2"]["words"]["short"] == ["lower visits “VISITS”", "higher visits “VISITS”"]
    assert features["pool_2"]["share"] == "are marked “Pool”"
    assert features["plan_2"]["words"] == {"label": "Plan “PLAN”", "named": "plan “PLAN”"}
    assert features["plan_2"]["levels"]["a"]["named"] == "plan “PLAN” “a”"
    labels = [feature["words"]["label"] for feature in features.values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(("too_old", "role"), [(ROWS // 25, "described"), (ROWS // 20, "left out")])
def test_ages_that_nobody_has_are_few_or_the_column_is_left_out(
    engine: DuckDBEngine, tmp_path: Path, too_old: int, role: str
):
    # With a decimal and without; and one that is no number.
    old = ["130", "1.3e2", "130.0"]
    ages = ["old", *(old[row % 3] if row < too_old else str(20 + row % 40) for row in range(1, ROWS))]
    found = draft(engine, tmp_path, {**PLAIN, "age": ages})
    assert next(one.role for one in found.columns if one.column.header == "age") == role


# The id


@pytest.mark.parametrize(
    ("header", "values", "kind"),
    [
        ("CustomerId", [10_000 + 7 * row for row in range(ROWS)], "integer"),
        ("Kundennummer_key", [f"K-{row}" for row in range(ROWS)], "string"),
        ("user", [f"{row:08x}-1111-4222-8333-{row:012x}" for row in range(ROWS)], "string"),
        ("E-Mail", [f"a{row}@example.org" for row in range(ROWS)], "string"),
        ("account_no", [f"{row:06d}" for row in range(ROWS)], "string"),
        ("Unnamed: 0", [str(row) for row in range(ROWS)], "integer"),
        ("whoever", [f"x{row}" for row in range(ROWS)], "string"),
    ],
)
def test_an_id_may_be_any_number_or_text(
    engine: DuckDBEngine, tmp_path: Path, header: str, values: list[Any], kind: str
):
    found = draft(engine, tmp_path, {**PLAIN, header: values})
    assert taken(found)[header] == ("id", "id")
    said = properties(found)[header]
    assert (said["name"], said["logicalType"], said["primaryKey"]) == ("customer_id", kind, True)
    assert NO_ID not in found.notes


def test_of_several_the_one_that_is_named_so_is_the_id(engine: DuckDBEngine, tmp_path: Path):
    columns = {
        "RowNumber": range(1, ROWS + 1),
        "Surname": [f"Name{row}" for row in range(ROWS)],
        "email": [f"a{row}@x.org" for row in range(ROWS)],
        "CustomerId": [15_000_000 + 13 * row for row in range(ROWS)],
        **PLAIN,
    }
    found = draft(engine, tmp_path, columns)
    assert taken(found)["CustomerId"] == ("id", "id")
    assert taken(found)["RowNumber"] == ("left out", "a number for its own sake")
    assert taken(found)["email"] == taken(found)["Surname"] == ("left out", "personal data")


def test_without_an_id_rows_are_numbered_and_it_says_what_that_means(engine: DuckDBEngine, tmp_path: Path):
    amounts = [round(17.03 + row * 3.7, 2) for row in range(ROWS)]
    found = draft(engine, tmp_path, {**PLAIN, "balance": amounts})
    assert taken(found)["balance"] == ("feature", "money")
    assert NO_ID in found.notes
    assert not any("primaryKey" in one for one in properties(found).values())


def test_an_id_with_decimals_is_none(engine: DuckDBEngine, tmp_path: Path):
    found = draft(engine, tmp_path, {**PLAIN, "customer_id": [row + 0.5 for row in range(ROWS)]})
    assert taken(found)["customer_id"][0] != "id"
    assert "customer_id" not in {one["name"] for one in properties(found).values()}


def test_a_nearly_unique_id_says_where_it_repeats(engine: DuckDBEngine, tmp_path: Path):
    ids = [*range(100, 100 + ROWS - 3), 105, 100, ""]
    found = draft(engine, tmp_path, {"customer": ids, **PLAIN})
    assert taken(found)["customer"] == ("id", "id")
    assert why(found, "customer") == (
        "named like an id, and nearly unique: 2 rows repeat another (line 199 that of line 7, line 200 that of line 2) "
        "and 1 row lacks one; a run rejects them"
    )
    many = [row // 4 for row in range(ROWS)]
    found = draft(engine, tmp_path, {"customer_id": many, **PLAIN})
    assert NO_ID in found.notes
    assert any("several rows for each: deliver one row a customer" in note for note in found.notes)


# Columns


@pytest.mark.parametrize(
    ("header", "values", "role", "kind", "told"),
    [
        ("empty", [""] * ROWS, "left out", "empty", "no row"),
        ("constant", ["x"] * ROWS, "left out", "constant", "same"),
        ("rare", [1] + [0] * (ROWS * 2 - 1), "left out", "hardly differs", "100%"),
        ("half", [*numbers(9, 40)[:99], *[""] * 101], "left out", "mostly empty", "missing in 101 of 200 rows"),
        ("just_half", [*numbers(9, 40)[:100], *["NA"] * 100], "feature", "number", "where the median stands in"),
        ("notes", [f"well this is text number {row}" for row in range(ROWS)], "left out", "free text", "200 different"),
        ("town", [f"t{row % 40}" for row in range(ROWS)], "left out", "too many values", "40 different values"),
        ("town", [f"t{row % 12}" for row in range(ROWS)], "feature", "category", "12 values in 12 groups"),
        ("town", [f"t{row % 13}" for row in range(ROWS)], "left out", "too many values", "13 different values"),
        ("region_code", cycle(1, 2, 3), "feature", "category", "stand for kinds"),
        ("price", cycle("1,50", "2,75", "1.003,20"), "feature", "money", "1.5 to 1,003"),
        ("price", cycle("$12.50", "$3", "$1,200"), "feature", "money", "3 to 1,200"),
        ("price", cycle("1.250", "2.750"), "left out", "not readable", "nothing says whether '2.750'"),
        ("price", cycle("1,50", "2.75", "3,25"), "left out", "not readable", "written in two ways"),
        (
            "rooms",
            [*numbers(4, 90)[:195], *["??"] * 5],
            "left out",
            "not readable",
            "mostly numbers, but 5 values are none",
        ),
        ("rooms", cycle("1", "2", "3+"), "feature", "category", "3 values in 3 groups"),
        ("seen", cycle("12/31/2023", "01/15/2023", "02/28/2022"), "feature", "date", "month"),
        ("seen", cycle("31 Dec 2023", "15 Jan 2023"), "feature", "date", "2023"),
        ("seen", cycle("12/31/2023", "31/12/2023"), "left out", "not readable", "not all are written in one way"),
        ("seen", [f"{1 + row % 28}.{1 + row % 12}.2023" for row in range(ROWS)], "feature", "date", "day-month-year"),
        ("next_visit", [f"2025-01-{1 + row % 28:02d}" for row in range(ROWS)], "left out", "date", "lie ahead"),
        ("seen", [f"2023-01-{1 + row % 28:02d}" for row in range(190)] + [""] * 10, "left out", "date", "cannot be"),
        ("seen", [f"2023-01-{1 + row % 28:02d}" for row in range(198)] + [""] * 2, "feature", "date", "rejected"),
        ("until", [f"2023-01-{1 + row % 28:02d}" for row in range(199)] + ["9999-12-31"], "left out", "date", "ahead"),
        ("seen", [f"2023-01-{1 + row % 28:02d}" for row in range(199)] + ["2199-12-31"], "left out", "date", "far"),
        ("YearOfBirth", [1950 + row % 50 for row in range(ROWS)], "described", "year of birth", "1950 to 1999"),
        ("age", [18 + row % 60 for row in range(ROWS)], "described", "age", "18 to 77"),
        ("birthday", [f"19{50 + row % 40}-01-05" for row in range(ROWS)], "described", "date of birth", "1950-01-05"),
        ("Marital status", cycle("single", "married"), "described", "category", "sensitive"),
        ("Sex", cycle(0, 1), "described", "flag", "sensitive"),
        ("essex", cycle(0, 1), "feature", "flag", "50% yes"),
        ("responded", cycle("y", "n"), "outcome", "flag", "outcome by its name"),
        ("churn_reason", cycle("price", "service", "other"), "described", "category", "no yes or no"),
        ("response_time", numbers(4, 700), "feature", "number", "5 to 697"),
        ("loyal", [*cycle("true", "false", rows=150), *[""] * 50], "feature", "flag", "counts as no"),
        ("zip", numbers(4, 99_999), "left out", "personal data", "says who"),
        ("phone", [f"+47 555 {row:05d}" for row in range(ROWS)], "left out", "personal data", "says who"),
        ("PhoneService", cycle("Yes", "No"), "feature", "flag", "yes"),
        ("store_id", numbers(4, 60), "left out", "a number for its own sake", "names something"),
        ("refunds", [*numbers(4, 60)[:199], "none given"], "feature", "count", "the first in line 201"),
        ("signed", [row % 150 - 100 for row in range(ROWS)], "feature", "number", "-100 to 49"),
    ],
)
def test_a_column_says_what_it_was_taken_for_and_why(
    engine: DuckDBEngine, tmp_path: Path, header: str, values: list[Any], role: str, kind: str, told: str
):
    times = len(values) // ROWS
    ids = [f"c{row}" for row in range(len(values))]
    columns = {"id": ids, **{name: [*of] * times for name, of in PLAIN.items()}, header: values}
    found = draft(engine, tmp_path, columns)
    assert taken(found)[header] == (role, kind)
    assert told in why(found, header)
    is_in = header in properties(found)
    assert is_in == (role != "left out")


DAYS_OF_BIRTH = [f"{1950 + row % 40}-01-{1 + row % 28:02d}" for row in range(ROWS)]


@pytest.mark.parametrize(
    ("header", "values", "kind"),
    [
        ("gender", cycle("f", "m"), "category"),
        ("Age", numbers(4, 60), "age"),
        ("age in months", [240 + number for number in numbers(4, 700)], "number"),
        ("AgeGroup", cycle("18-29", "30-49", "50+"), "category"),
        ("Policy Holder Age", numbers(4, 60), "age"),
        ("SeniorCitizen", cycle(0, 1), "flag"),
        ("Year_Birth", [1950 + row % 41 for row in range(ROWS)], "year of birth"),
        ("birthday", DAYS_OF_BIRTH, "date of birth"),
        ("DAYS_BIRTH", [-7_000 - number for number in numbers(4, 20_000)], "number"),
        ("country of birth", cycle("NO", "SE", "DK"), "category"),
        ("Education", cycle("Basic", "Master", "PhD"), "category"),
        ("Education", [f"grade {row % 20}" for row in range(ROWS)], "category"),
        ("Education", cycle(1, 2, 3, 4), "number"),
        ("highest degree", cycle("none", "BSc", "MSc"), "category"),
        ("university_degree", cycle("yes", "no"), "flag"),
        ("years of schooling", numbers(4, 20), "count"),
        ("mother's qualification", cycle("a", "b"), "category"),
        ("children", numbers(4, 5), "count"),
        ("TotalChildren", numbers(4, 5), "count"),
        ("NumberChildrenAtHome", numbers(4, 5), "count"),
        ("Kidhome", numbers(4, 3), "count"),
        ("teenhome", numbers(4, 3), "count"),
        ("dependent_count", numbers(4, 6), "count"),
        ("children under 18", [*numbers(4, 6)[1:], ""], "count"),
        ("has_kids", cycle("Yes", "No"), "flag"),
        ("has_kids", [1] + [0] * (ROWS - 1), "flag"),
        ("is_parent", cycle(0, 1), "flag"),
        ("kids", cycle("none", "1", "2+"), "category"),
        # Few have many.
        ("num_children", [min(row % 70, 1) ^ 1 and row % 12 for row in range(ROWS)], "count"),
    ],
)
def test_what_is_sensitive_is_shown_of_segments_and_forms_none(
    engine: DuckDBEngine, tmp_path: Path, header: str, values: list[Any], kind: str
):
    found = draft(engine, tmp_path, {"id": range(ROWS), **PLAIN, header: values})
    assert (taken(found)[header], is_sensitive(found, header)) == (("described", kind), True)
    assert why(found, header).startswith("sensitive: shown of segments, and forms none; ")
    assert "logarithm" not in why(found, header)
    said = declared(found, tmp_path)
    assert said.names == ("spent", "orders", "score")
    [name] = said.sensitive
    assert said.by_name[name].role == "described"
    assert list(recipe(found)["described"]) == ["sensitive"]
    assert f"    # {header}: {kind}, sensitive: shown of segments" in found.recipe
    assert properties(found)[header]["classification"] == ("sensitive" if header == "gender" else "personal")
    assert not any("sensitive" in note for note in found.notes)


@pytest.mark.parametrize(
    ("header", "values", "kind"),
    [
        ("children_products_spend", numbers(4, 900), "money"),
        ("Children", [number / 4 for number in numbers(4, 900)], "number"),
        ("kids", numbers(4, 900), "count"),
        ("kids_profile", cycle(0, 1), "flag"),
        ("child_tickets", numbers(4, 9), "count"),
        ("num_kids_menus", numbers(4, 9), "count"),
        ("favourite children's book", cycle("a", "b"), "category"),
        ("household_size", numbers(4, 6), "number"),
        ("education", [number / 4 for number in numbers(4, 900)], "number"),
        ("education_purchases", numbers(4, 9), "count"),
        ("degree_of_loyalty", cycle("low", "high"), "category"),
        ("lead_qualification", cycle("cold", "hot"), "category"),
        ("account_age", numbers(4, 60), "number"),
        ("device age", numbers(4, 9), "number"),
        ("spend_age_rated", numbers(4, 90), "money"),
        ("senior_manager", cycle(0, 1), "flag"),
        ("birthday_voucher", cycle(0, 1), "flag"),
        ("birthday_purchases", numbers(4, 9), "count"),
    ],
)
def test_what_only_has_such_a_word_in_its_header_forms_segments(
    engine: DuckDBEngine, tmp_path: Path, header: str, values: list[Any], kind: str
):
    found = draft(engine, tmp_path, {"id": range(ROWS), **PLAIN, header: values})
    assert (taken(found)[header], is_sensitive(found, header)) == (("feature", kind), False)
    assert sensitive(found) == {}


def test_what_is_sensitive_stands_apart_from_what_is_only_shown(engine: DuckDBEngine, tmp_path: Path):
    revenue = [round(1.04**row, 2) for row in range(ROWS)]
    rest = {
        "sensitive": [1] * 3 + [0] * (ROWS - 3),
        "revenue": revenue,
        "churn_reason": cycle("price", "service", "other"),
    }
    found = draft(engine, tmp_path, {"id": range(ROWS), **PLAIN, "Sex": cycle("f", "m"), "Age": numbers(4, 60), **rest})
    described = recipe(found)["described"]
    # A column that is called like the section has another name.
    assert list(described) == ["sensitive_2", "churn_reason", "revenue", "sensitive"]
    assert list(described["sensitive"]) == ["sex", "age"]
    said = declared(found, tmp_path)
    assert (said.sensitive, said.fences) == (("sex", "age"), 3)
    assert said.names == ("spent", "orders", "score", "log_revenue")
    assert set(said.told) == set(said.names)
    # What is only shown may stand in the summary, too.
    assert said.summary == ("spent", "revenue", "orders", "age", "score")
    assert not is_sensitive(found, "sensitive")


def test_days_and_years_of_birth_that_are_only_shown_have_their_limits(engine: DuckDBEngine, tmp_path: Path):
    found = draft(engine, tmp_path, {"id": range(ROWS), **PLAIN, "birthday": ["", *DAYS_OF_BIRTH[1:]]})
    said = declared(found, tmp_path)
    assert said.sensitive == ("age_days",)
    assert said.refused == ("birthday",)
    assert [(limit.on, limit.of_feature, limit.until_as_of, limit.maximum) for limit in said.limits] == [
        ("birthday", False, True, None),
        ("age_days", True, False, 40_177),
    ]
    found = draft(engine, tmp_path, {"id": range(ROWS), **PLAIN, "Age": numbers(4, 60)})
    assert [(limit.on, limit.maximum) for limit in declared(found, tmp_path).limits] == [("age", 110)]


def flags_of(yes: int) -> list[int]:
    return [1] * yes + [0] * (ROWS - yes)


@pytest.mark.parametrize(
    ("values", "role", "told"),
    [
        (flags_of(3), "described", "so few customers have it that it would be a component of its own"),
        (flags_of(4), "feature", "2.0% yes"),
        (flags_of(ROWS - 4), "feature", "98% yes"),
        (flags_of(ROWS - 3), "described", "nearly all customers have it"),
        # Who lacks a value counts as no.
        ([1] * 3 + [0] * (ROWS // 2) + [""] * (ROWS // 2 - 3), "described", "2.9% yes"),
        ([1] * 4 + [0] * (ROWS // 2) + [""] * (ROWS // 2 - 4), "feature", "3.8% yes"),
        (["no"] * (ROWS - 3) + ["yes"] * 3, "described", "so few"),
    ],
)
def test_what_hardly_anybody_has_is_shown_and_forms_no_segments(
    engine: DuckDBEngine, tmp_path: Path, values: list[Any], role: str, told: str
):
    found = draft(engine, tmp_path, {"id": range(ROWS), **PLAIN, "complain": values})
    assert (taken(found)["complain"], is_sensitive(found, "complain")) == ((role, "flag"), False)
    assert told in why(found, "complain")
    assert ("forms none" in why(found, "complain")) == (role == "described")
    assert declared(found, tmp_path).by_name["complain"].role == role
    assert ("complain" in recipe(found).get("described", {})) == (role == "described")
    assert sensitive(found) == {}


def test_where_too_little_else_describes_a_customer_age_and_the_like_are_seen(engine: DuckDBEngine, tmp_path: Path):
    known = {"id": range(ROWS), "spent": PLAIN["spent"]}
    about = {
        "gender": cycle("f", "m"),
        "Year_Birth": [1950 + row % 41 for row in range(ROWS)],
        "Education": cycle("a", "b", "c"),
        "kids": [number if number < 3 else 0 for number in numbers(4, 20)],
    }
    found = draft(engine, tmp_path, known | about)
    assert {header: role for header, (role, _) in taken(found).items()} == {
        "id": "id",
        "spent": "feature",
        "gender": "described",
        "Year_Birth": "feature",
        "Education": "feature",
        "kids": "feature",
    }
    assert found.notes[0] == (
        "Too little else describes a customer: what is sensitive forms the segments, too (Year_Birth, Education, kids)."
        " Deliver more of what customers do, to have them formed by that alone."
    )
    assert found.notes[0].split(":")[0] in found.contract
    said = declared(found, tmp_path)
    assert set(said.names) >= {"spent", "age", "log_kids"}
    # How closely the segments go with them is told all the same.
    assert said.sensitive == ("gender", "age", "education", "kids")
    assert sensitive(found)["age"] == {}
    assert "    # Year_Birth: the model sees it all the same, as too little else" in found.recipe
    assert [limit.on for limit in said.limits] == ["year_birth", "age"]
    # One more, and it is enough.
    enough = draft(engine, tmp_path, known | about | {"orders": PLAIN["orders"]})
    assert declared(enough, tmp_path).names == ("spent", "orders")
    assert not any("sensitive" in note for note in enough.notes)
    # Gender forms no segments, whatever there is.
    with pytest.raises(ExportError, match="too little describes a customer: 1 column is left"):
        draft(engine, tmp_path, known | {"gender": about["gender"], "faith": cycle("x", "y", "z")})


def test_what_goes_with_something_sensitive_is_no_way_around_it(engine: DuckDBEngine, tmp_path: Path):
    ages = [20 + number for number in numbers(4, 60)]
    found = draft(engine, tmp_path, {**PLAIN, "since_school": [age - 18 for age in ages], "Age": ages})
    assert taken(found)["Age"] == ("described", "age")
    assert taken(found)["since_school"] == ("left out", "a copy")


def test_what_says_the_same_as_another_column_is_left_out(engine: DuckDBEngine, tmp_path: Path):
    spent, plans = PLAIN["spent"], cycle("basic", "pro", "team")
    columns = {
        "id": range(ROWS),
        **PLAIN,
        "spent_in_cents": [value * 100 + value % 2 for value in spent],
        "refunds": [-value for value in spent],
        "plan": plans,
        "plan_short": [plan[0].upper() for plan in plans],
        "gender": cycle("m", "f"),
        "male": [int(value == "m") for value in cycle("m", "f")],
    }
    found = taken(draft(engine, tmp_path, columns))
    assert [header for header, (_, kind) in found.items() if kind == "a copy"] == [
        "spent_in_cents",
        "refunds",
        "plan_short",
        "male",
    ]
    assert found["spent"] == ("feature", "money")


def test_rare_values_go_together_and_missing_ones_may_be_a_group(engine: DuckDBEngine, tmp_path: Path):
    plans = ["pro"] * 90 + ["Pro"] * 9 + ["basic"] * 80 + ["odd"] + ["team"] * 20
    few = [*plans[:-10], *[""] * 10]
    many = [*plans[:-11], *[""] * 11]
    found = draft(engine, tmp_path, {**PLAIN, "plan": plans, "few": few, "many": many})
    said = recipe(found)
    assert said["features"]["plan"]["into"] == {"Pro": ["pro", "Pro"], "Basic": ["basic"], "Team": ["team"]}
    assert said["features"]["few"]["into"] == {"Pro": ["pro", "Pro"], "Basic": ["basic"], "Team": ["team"]}
    assert said["features"]["many"]["into"]["Unknown"] == ["unknown"]
    assert said["clean"]["missing"] == {"few": "unknown", "many": "unknown"}


def test_an_uneven_number_is_seen_as_its_logarithm_and_shown_as_itself(engine: DuckDBEngine, tmp_path: Path):
    revenue = [round(1.04**row, 2) for row in range(ROWS)]
    found = draft(engine, tmp_path, {**PLAIN, "revenue": revenue, "profit": [value - 900 for value in revenue[::-1]]})
    said = recipe(found)
    assert said["features"]["log_revenue"]["log"] == "revenue"
    assert said["described"]["revenue"]["column"] == "revenue"
    assert properties(found)["revenue"]["logicalTypeOptions"] == {"minimum": 0}
    assert "so its logarithm is seen" in why(found, "revenue")
    # What may be negative has none.
    assert said["features"]["profit"]["column"] == "profit"
    assert "logicalTypeOptions" not in properties(found)["profit"]
    assert said["business"]["worth"] == "spent"
    assert "revenue" in said["report"]["summary"]
    assert "log_revenue" in said["report"]["told"]


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.5, 9.5], 0.0625),
        ([0.25, 99.75], 0.0078125),
        ([0.123456, 0.9], 0.000244140625),
        ([0.01, 99_999.99], 0.125),
        ([0.5, 40_000_000.5], 64),
    ],
)
def test_numbers_with_decimals_are_rounded_so_that_sums_are_exact(
    engine: DuckDBEngine, tmp_path: Path, values: list[float], step: float
):
    found = draft(engine, tmp_path, {**PLAIN, "level": cycle(*values)})
    assert recipe(found)["features"]["level"]["step"] == step


def test_the_day_that_all_is_counted_to(engine: DuckDBEngine, tmp_path: Path):
    joined = [f"2022-03-{1 + row % 28:02d}" for row in range(ROWS)]
    bought = [f"2023-0{1 + row % 9}-11" for row in range(ROWS)]
    found = recipe(draft(engine, tmp_path, {**PLAIN, "joined": joined, "last_order": bought}))
    assert found["as_of"] == {"newest": "last_order"}
    assert (found["business"]["recency"], found["business"]["tenure"]) == ("days_since_last_order", "days_since_joined")
    # A column that some lack tells no night.
    found = recipe(draft(engine, tmp_path, {**PLAIN, "joined": joined, "last_order": ["", *bought[1:]]}))
    assert (found["as_of"], found["clean"]["missing"]) == ({"delivered": True}, {"last_order": "refuse"})
    found = draft(engine, tmp_path, PLAIN)
    assert recipe(found)["as_of"] == {"delivered": True}
    assert "No column has days: all is counted to the day on which the file was delivered." in found.notes


def test_ages_have_limits_and_missing_years_the_usual_one(engine: DuckDBEngine, tmp_path: Path):
    born = ["", *[1950 + row % 41 for row in range(ROWS - 1)]]
    found = draft(engine, tmp_path, {**PLAIN, "Year_Birth": born})
    said = recipe(found)
    assert sensitive(found)["age"]["years_since"] == "year_birth"
    assert said["clean"]["missing"] == {"year_birth": 1969}
    assert [(limit.get("column"), limit.get("feature"), limit.get("maximum")) for limit in said["clean"]["limits"]] == [
        ("year_birth", None, None),
        (None, "age", 110),
    ]
    assert properties(found)["Year_Birth"]["logicalType"] == "integer"


def test_no_more_rows_would_be_rejected_than_a_night_bears(engine: DuckDBEngine, tmp_path: Path):
    days = {f"seen_{i}": [f"2023-0{1 + row * i % 9}-{10 + row % 7}" for row in range(ROWS)] for i in (1, 2, 4)}
    for number, values in enumerate(days.values()):
        values[: 2 + number] = [""] * (2 + number)
    found = draft(engine, tmp_path, {**PLAIN, **days})
    assert sum(role == "feature" and kind == "date" for role, kind in taken(found).values()) == 2


# Headers and values that mean no good

HOSTILE = [
    "select", "group", "segment_id", "lower", "Lower", "LOWER", "c7", "malformed", "x_delivered", "y_imputed",
    "a: b # c", 'say "hi"', "it's", "{value}", "- dash", "? key", "&anchor", "*alias", "!tag", "%percent", "@at",
    "`tick`",
    "null", "true", "123", "2023 sales", "顧客", "город", "Größe", "naïve café", "x" * 300, "tab\there", "=1+1",
    "<b>bold</b>", "[red]markup[/]", "customer_id ", "share", "customers", "description", "line_number", "🙂",
]  # fmt: skip


def hostile() -> Columns:
    """A column of numbers under each of the headers."""
    return {header: [n + 0.5 for n in numbers(100 + place, 50)] for place, header in enumerate(HOSTILE)}


def test_any_header_gets_a_name_and_keeps_itself(engine: DuckDBEngine, tmp_path: Path):
    columns = {**PLAIN, **hostile()}
    found = draft(engine, tmp_path, columns)
    said = properties(found)
    assert set(said) >= {header.strip() for header in HOSTILE}
    names = [one["name"] for one in said.values()]
    assert [(name, why_no_name(name)) for name in names if why_no_name(name)] == []
    assert len(set(names)) == len(names)
    assert "customer_id" not in names
    assert said["select"]["name"] == "select_value"
    assert said["顧客"]["name"] == f"column_{4 + HOSTILE.index('顧客')}"
    made = recipe(found)
    features = [*made["features"], *made.get("described", {}), *sensitive(found)]
    assert [name for name in features if why_no_name(name)] == []
    assert set(made["report"]["told"]) <= set(made["features"])
    for part in made["features"].values():
        assert part["words"].get("mean", "{value}").count("{") == 1


def test_groups_of_like_values_are_different_columns(engine: DuckDBEngine, tmp_path: Path):
    found = draft(engine, tmp_path, {**PLAIN, "grade": cycle("A+", "A-", "東", "西", "Yes: no", "~", "1", "Other")})
    into = recipe(found)["features"]["grade"]["into"]
    assert sorted(values for [values] in into.values()) == ["1", "A+", "A-", "Yes: no", "~", "東", "西"]
    made = Names()
    assert [made.of_group("g", text) for text in ("A+", "A-", "東", "a")] == ["A+", "A- 2", "東 2", "a 3"]


def test_columns_without_a_header_of_their_own_are_not_looked_at(engine: DuckDBEngine, tmp_path: Path):
    rows = "".join(f"{row},{row % 7},{row % 5},{row % 11},{row % 13},{row % 3},{row % 17}\n" for row in range(ROWS))
    found = draft_declaration(engine, put(tmp_path / "customers.csv", f"id,a,b,b,b2,,c\n{rows}"))
    assert list(taken(found)) == ["id", "a", "b2", "c"]
    assert any("column 6" in note for note in found.notes)
    assert any("several times" in note and "(b)" in note for note in found.notes)


def test_values_cannot_break_out_of_the_comments(engine: DuckDBEngine, tmp_path: Path):
    columns = {**PLAIN, "plan": cycle("a\n- x: y", "b # c", "'d'"), "x\u2028y: [": numbers(4, 30)}
    found = draft(engine, tmp_path, columns)
    assert sorted(v for [v] in recipe(found)["features"]["plan"]["into"].values()) == ["'d'", "a\n- x: y", "b # c"]
    assert "x\u2028y: [" in properties(found)


# What a run makes of it


@pytest.mark.parametrize(
    "table",
    ["telephone", "hostile", "without id"],
)
def test_the_draft_is_a_declaration_and_reads_its_file(engine: DuckDBEngine, tmp_path: Path, table: str):
    ids = {"id": range(ROWS)}
    tables = {
        "telephone": telephone_company(),
        "hostile": {**ids, **PLAIN, **hostile()},
        "without id": PLAIN,
    }
    columns = tables[table]
    path = put_csv(tmp_path / "customers.csv", columns)
    found = draft_declaration(engine, path, "shop")
    put(tmp_path / "contract.yaml", found.contract)
    put(tmp_path / "recipe.yaml", found.recipe)
    declaration = read_declaration(tmp_path)
    from smartcart_pipeline.exports.inspecting import inspect_export

    frame, _ = read_export(engine, inspect_export(path, declaration.contract))
    rows = engine.rows(frame)
    assert len(rows) == len(next(iter(columns.values())))
    assert [row["unreadable"] for row in rows if row["unreadable"]] == []


def test_a_file_is_known_by_its_lines_where_no_header_is(tmp_path: Path):
    path = put(tmp_path / "customers.csv", 'id;"name, first"\n1;"a, b"\n2;"c, d"\n')
    export = inspect_unknown(path)
    assert (export.delimiter, export.headers, export.further) == (";", ("id", "name, first"), (0, 1))
    assert inspect_unknown(put(path, "only\n1\n2\n")).headers == ("only",)
