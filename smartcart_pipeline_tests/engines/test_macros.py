"""The macros of a published warehouse agree with the run that published it, on every customer."""

import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from smartcart_pipeline.engines.macros import condition
from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.segmentation.model import SegmentModel, read_model
from smartcart_pipeline.segmentation.rules import Rule
from smartcart_pipeline.smartcart.sample import write_sample
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.conftest import REAL, SAMPLE
from smartcart_pipeline_tests.declared import BEHAVIOURAL, CONTRACT, RECIPES

GENERATED = 100_000
RUNS = ["sample-behavioural", "real-reference", "generated-behavioural", "generated-reference"]

# Of customers that the run put into segments: how many, how many otherwise than by the macro, how far off at most.
AGREEMENT = """
    SELECT count(*), count(*) FILTER (
        a.segment_id IS DISTINCT FROM c.segment_id OR a.runner_up_segment_id IS DISTINCT FROM c.runner_up_segment_id
        OR a.persona IS DISTINCT FROM p.persona
    ), max(abs(a.distance - c.distance)), max(abs(a.margin - c.margin))
    FROM assign_segment({customers}) AS a JOIN clusters AS c USING (customer_id) JOIN profiles AS p
    ON p.segment_id = c.segment_id
"""

# Each customer's pulls add up to how much farther the runner-up is, in squares; at full precision.
PULLS = """
    SELECT count(*), max(abs(pulls - (pow(distance + margin, 2) - pow(distance, 2)))) FROM (
        SELECT a.*, (SELECT sum(lead) FROM explain_segment(a.customer_id)) AS pulls
        FROM assign_segment(cleaned) AS a
        SEMI JOIN (FROM clusters ORDER BY margin LIMIT {limit}) AS c USING (customer_id)
    )
"""


def publish(root: Path, name: str) -> Path:
    source, recipe = name.split("-")
    paths = {"sample": SAMPLE, "real": REAL, "generated": root / "generated.parquet"}
    if source == "real" and not REAL.is_file():
        pytest.skip("the real export is not at its place")
    if source == "generated" and not paths[source].exists():
        write_sample(paths[source], GENERATED, seed=5)
    home = Home(root / name)
    run_job(home, {"input": str(paths[source]), "recipe": recipe, "as_of": None}, quiet=True)
    return home.warehouse


@pytest.fixture(scope="module")
def root(whole_night: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("macros")


@pytest.fixture(scope="module", params=RUNS)
def warehouse(request: pytest.FixtureRequest, root: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(publish(root, request.param)) as connection:
        yield connection


@pytest.fixture(scope="module")
def sample_warehouse(root: Path) -> Path:
    path = root / RUNS[0] / "warehouse.duckdb"
    return path if path.exists() else publish(root, RUNS[0])


@pytest.fixture
def sample(sample_warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(sample_warehouse) as connection:
        yield connection


def ask(connection: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    return connection.execute(query, parameters).fetchall()


@pytest.mark.parametrize("customers", ["raw_customers", "cleaned"])
def test_the_macro_agrees_with_the_run_on_every_customer(warehouse: duckdb.DuckDBPyConnection, customers: str):
    [(everyone,)] = ask(warehouse, "SELECT count(*) FROM clusters")
    [(compared, otherwise, distance, margin)] = ask(warehouse, AGREEMENT.format(customers=customers))
    assert compared == everyone > 2_000
    assert otherwise == 0
    assert distance < 1e-6
    assert margin < 1e-6


def test_the_rejected_have_no_segment(warehouse: duckdb.DuckDBPyConnection):
    [(delivered,)] = ask(warehouse, "SELECT count(*) FROM raw_customers")
    [(rejected,)] = ask(warehouse, "SELECT count(*) FROM rejected_customers")
    placed = ask(warehouse, "SELECT count(*), count(*) FILTER (segment_id IS NULL) FROM assign_segment(raw_customers)")
    assert placed == [(delivered, rejected)]
    assert rejected
    without = "SELECT * FROM assign_segment(raw_customers) SEMI JOIN rejected_customers USING (customer_id)"
    assert {row[1:] for row in ask(warehouse, without)} == {(None,) * 6}


def test_pulls_add_up_to_the_distances(warehouse: duckdb.DuckDBPyConnection):
    [(customers, largest)] = ask(warehouse, PULLS.format(limit=3_000))
    assert customers > 2_000
    assert largest < 1e-9


def test_duckdb_1_5_scores_and_explains_alike(sample_warehouse: Path, older_duckdb: Path):
    questions = [
        AGREEMENT.format(customers="raw_customers"),
        PULLS.format(limit=200),
        "SELECT count(*) FROM segment_by_rules(features) JOIN clusters USING (customer_id, segment_id)",
    ]
    program = (
        "import duckdb, json, sys\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "answers = [connection.execute(question).fetchall()[0] for question in sys.argv[2:]]\n"
        "print(json.dumps([duckdb.__version__, *answers]))\n"
    )
    command = [older_duckdb, "-c", program, sample_warehouse, *questions]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    version, agreement, pulls, ruled = json.loads(done.stdout)
    assert version.startswith("1.5.")
    with open_warehouse(sample_warehouse) as newer:
        [(everyone,)] = ask(newer, "SELECT count(*) FROM clusters")
        assert agreement[:2] == [everyone, 0]
        assert max(agreement[2:]) < 1e-6
        assert pulls[0] == 200
        assert pulls[1] < 1e-9
        assert [tuple(ruled)] == ask(newer, questions[2])


def test_the_rules_agree_as_often_as_they_say(warehouse: duckdb.DuckDBPyConnection):
    [(case_sql, agreement)] = ask(warehouse, "SELECT DISTINCT case_sql, agreement FROM segment_rules")
    [(everyone,)] = ask(warehouse, "SELECT count(*) FROM features")
    by_hand = f"SELECT count(*) FILTER (c.segment_id = {case_sql}) FROM features JOIN clusters AS c USING (customer_id)"
    by_macro = "SELECT count(*) FROM segment_by_rules(features) JOIN clusters USING (customer_id, segment_id)"
    assert ask(warehouse, by_hand) == ask(warehouse, by_macro) == [(round(agreement * everyone),)]
    assert agreement == round(agreement * everyone) / everyone
    assert agreement > 0.9


def test_each_rule_holds_what_it_says(warehouse: duckdb.DuckDBPyConnection):
    rules = ask(
        warehouse,
        "SELECT condition, segment_id, customers, precision, coverage FROM segment_rules ORDER BY rule_number",
    )
    joined = "features JOIN clusters USING (customer_id)"
    for rule, segment, customers, precision, coverage in rules:
        counts = (
            f"count(*) FILTER ({rule}), count(*) FILTER (segment_id = $1), count(*) FILTER (segment_id = $1 AND {rule})"
        )
        [(meet, members, both)] = ask(warehouse, f"SELECT {counts} FROM {joined}", segment)
        assert (meet, both / meet, both / members) == (customers, precision, coverage)
    [(everyone,)] = ask(warehouse, "SELECT count(*) FROM features")
    assert sum(rule[2] for rule in rules) == everyone
    meeting = " + ".join(f"({rule[0]})::INT" for rule in rules)
    assert ask(warehouse, f"SELECT DISTINCT {meeting} FROM features") == [(1,)]


def test_the_model_is_of_the_run(warehouse: duckdb.DuckDBPyConnection):
    [(version, document)] = ask(warehouse, "SELECT model_version, document FROM segment_model")
    model = read_model(json.loads(document))
    described = ask(warehouse, "SELECT recipe, as_of_date, model_version FROM publication")
    assert described == [(model.features.name, model.as_of_date, version)]
    [(pc1, segment)] = ask(warehouse, "SELECT pc1, segment_id FROM centroids WHERE kmeans_cluster = 1")
    assert (model.centroids[1, 0], model.segment_ids[1]) == (pc1, segment)


def customers(**changes: object) -> str:
    """A query for one good customer, but for some values (as SQL)."""
    values = {
        "customer_id": 7,
        "year_birth": 1970,
        "education": "'PhD'",
        "marital_status": "'Married'",
        "income": 52_000,
        "kidhome": 0,
        "teenhome": 1,
        "dt_customer": "DATE '2013-05-05'",
        "complain": 0,
        "response": 0,
    }
    values = {column.name: values.get(column.name, 3) for column in CONTRACT} | changes
    return "SELECT " + ", ".join(f"{value} AS {name}" for name, value in values.items())


def place(connection: duckdb.DuckDBPyConnection, **changes: object) -> tuple[Any, ...]:
    [row] = ask(connection, f"WITH newcomers AS ({customers(**changes)}) SELECT * FROM assign_segment(newcomers)")
    return row


REFUSED = {
    "id missing": {"customer_id": "NULL"},
    "negative": {"recency": -1},
    "too large for the contract's type": {"recency": 40_000},
    "part of a child": {"kidhome": 1.5},
    "unknown category": {"marital_status": "'It is complicated'"},
    "no category": {"education": "NULL"},
    "no number": {"income": "'a lot'"},
    "infinite": {"income": "'inf'::DOUBLE"},
    "income above the limit": {"income": 600_001},
    "too old": {"year_birth": 1900},
    "born after the as-of date": {"year_birth": 2020},
    "no date": {"dt_customer": "NULL"},
    "a date that is none": {"dt_customer": "'yesterday'"},
    "unreadable": {"unreadable": "'Income is ''a lot'': expected a number'"},
}


@pytest.mark.parametrize("fault", REFUSED)
def test_who_does_not_hold_the_contract_has_no_segment(sample: duckdb.DuckDBPyConnection, fault: str):
    assert place(sample)[1] is not None
    row = place(sample, **REFUSED[fault])
    assert row == (None if fault == "id missing" else 7, *(None,) * 6)


def test_what_a_relation_has_besides_does_no_harm(sample: duckdb.DuckDBPyConnection):
    extra = {"segment_id": "'S99'", "is_accepted": "false", "line_number": "'x'", "persona": 1, "age": "'old'"}
    assert place(sample, **extra) == place(sample)


def test_types_that_tell_the_same_are_taken(sample: duckdb.DuckDBPyConnection):
    texts = {column.name: f"'{value}'" for column, value in ((c, 3) for c in CONTRACT if c.name.startswith("num_"))}
    wide = {"year_birth": "1970::HUGEINT", "income": "52000.0::DECIMAL(18, 2)", "kidhome": "0.0::DOUBLE"}
    assert place(sample, **texts, **wide, dt_customer="TIMESTAMP '2013-05-05 12:00:00'") == place(sample)


def test_a_missing_income_is_the_median_of_the_run(sample: duckdb.DuckDBPyConnection):
    [(median,)] = ask(sample, "SELECT income_median FROM cleaning_figures")
    imputed = place(sample, income=f"{median}::DOUBLE")
    assert place(sample, income="NULL") == place(sample, income="'nan'::DOUBLE") == imputed != place(sample)


def test_who_joined_later_counts_as_having_joined_on_the_as_of_date(sample: duckdb.DuckDBPyConnection):
    [(as_of,)] = ask(sample, "SELECT as_of_date FROM segment_model")
    on_the_day = place(sample, dt_customer=f"DATE '{as_of}'")
    assert place(sample, dt_customer=f"DATE '{as_of + timedelta(days=400)}'") == on_the_day
    assert on_the_day != place(sample, dt_customer=f"DATE '{as_of - timedelta(days=1)}'")


def test_columns_that_are_missing_are_named(sample: duckdb.DuckDBPyConnection):
    none = f"none AS (FROM ({customers()}) WHERE false)"
    assert ask(sample, f"WITH {none} FROM assign_segment(none)") == []
    lacks = r"assign_segment: the relation lacks income, complain\. It takes the columns of raw_customers"
    few = f"few AS (SELECT * EXCLUDE (complain, income) FROM ({customers()}))"
    with pytest.raises(duckdb.InvalidInputException, match=lacks):
        ask(sample, f"WITH {few} FROM assign_segment(few)")


def test_what_is_not_known_may_be_given_as_null_and_names_may_be_large(sample: duckdb.DuckDBPyConnection):
    given = f"SELECT * EXCLUDE (income, kidhome), NULL AS income, kidhome AS KIDHOME FROM ({customers()})"
    [(segment,)] = ask(sample, f"WITH given AS ({given}) SELECT segment_id FROM assign_segment(given)")
    assert segment


def test_an_explanation_is_in_the_units_of_the_features(sample: duckdb.DuckDBPyConnection):
    [(customer,)] = ask(sample, "SELECT customer_id FROM clusters ORDER BY margin DESC, customer_id LIMIT 1")
    explained = ask(sample, "SELECT feature, value FROM explain_segment($1)", customer)
    assert sorted(name for name, _ in explained) == sorted(RECIPES["behavioural"].names)
    values = dict(explained)
    [row] = ask(sample, "SELECT income, age, living_with FROM features WHERE customer_id = $1", customer)
    assert (values["income"], values["age"]) == row[:2]
    assert values["living_with_partner"] == float(row[2] == "Partner")
    # A centroid is the mean of its customers; put back, it lies where they are on average, seen through components.
    [(centre, segment)] = ask(
        sample, "SELECT segment_centre, segment_id FROM explain_segment($1) WHERE feature = 'income'", customer
    )
    [(mean, base)] = ask(
        sample,
        "SELECT mean_income, (SELECT mean FROM scaler WHERE feature = 'income') FROM profiles WHERE segment_id = $1",
        segment,
    )
    assert abs(centre - mean) < abs(base - mean)


def test_the_change_named_leads_to_the_boundary(sample: duckdb.DuckDBPyConnection):
    """Customers moved by it are as far from the runner-up as from their own segment."""
    query = """
        SELECT customer_id, change_to_boundary, e.segment_id, e.runner_up_segment_id
        FROM (FROM clusters ORDER BY margin, customer_id LIMIT 40) AS c,
        LATERAL (FROM explain_segment(c.customer_id)) AS e
        WHERE feature = 'income' AND change_to_boundary IS NOT NULL
    """
    moved = ask(sample, query)
    assert len(moved) > 10
    for customer, change, *pair in moved:
        [(distance, margin, *nearest)] = ask(
            sample,
            f"WITH moved AS (SELECT * REPLACE (income + {change!r} AS income) FROM cleaned WHERE customer_id = $1) "
            "SELECT distance, margin, segment_id, runner_up_segment_id FROM assign_segment(moved)",
            customer,
        )
        if sorted(nearest) == sorted(pair):  # else a third segment lies in between
            assert margin == pytest.approx(0, abs=1e-9 * (1 + distance))


def test_a_relation_may_be_called_as_a_feature_is(sample: duckdb.DuckDBPyConnection):
    # In one order, as sums of the same numbers in another differ in the last digit.
    by_name = (
        "SELECT customer_id, (SELECT sum(lead ORDER BY feature) FROM explain_segment({0}.customer_id)) "
        "FROM (FROM clusters ORDER BY customer_id LIMIT 3) AS {0} ORDER BY customer_id"
    )
    assert ask(sample, by_name.format("income")) == ask(sample, by_name.format("somebody"))


def test_no_amount_changes_a_category(sample: duckdb.DuckDBPyConnection):
    query = """
        SELECT DISTINCT feature FROM (FROM clusters LIMIT 200) AS c, LATERAL (FROM explain_segment(c.customer_id))
        WHERE change_to_boundary IS NOT NULL ORDER BY feature
    """
    features = {row[0] for row in ask(sample, query)}
    assert "income" in features
    assert not [name for name in features if name.startswith(("living_with", "education", "complain"))]


def test_nobody_is_explained_who_is_not_there(sample: duckdb.DuckDBPyConnection):
    assert ask(sample, "FROM explain_segment(-1)") == []
    assert ask(sample, "FROM explain_segment(customer_id := NULL)") == []


@pytest.mark.parametrize("name", ["assign_segment", "explain_segment", "segment_by_rules"])
def test_macros_say_what_they_do(sample: duckdb.DuckDBPyConnection, name: str):
    [(comment,)] = ask(sample, "SELECT DISTINCT comment FROM duckdb_functions() WHERE function_name = $1", name)
    assert len(comment) > 100


def test_an_attached_warehouse_places_customers_of_another(sample_warehouse: Path):
    with duckdb.connect() as mine:
        mine.execute(f"ATTACH '{sample_warehouse}' AS warehouse (READ_ONLY)")
        mine.execute(f"CREATE TABLE newcomers AS {customers()}")
        assert ask(mine, "FROM warehouse.assign_segment(newcomers)")[0][1]
        mine.execute("USE warehouse")
        assert len(ask(mine, "FROM explain_segment((SELECT min(customer_id) FROM clusters))")) == len(
            RECIPES["behavioural"].names
        )


def test_a_rule_is_plain_sql():
    recipe = RECIPES["behavioural"]
    rule = Rule(0, {"income": 40_000}, {"income": 60_000, "recency": 30}, {"education": ("Graduate", "Postgraduate")})
    assert condition(rule, recipe) == (
        "income > 40000 AND income <= 60000 AND recency <= 30 AND education IN ('Graduate', 'Postgraduate')"
    )
    assert condition(Rule(0, levels={"living_with": ("Alone",)}), recipe) == "living_with = 'Alone'"
    assert condition(Rule(0), recipe) == "true"


def test_names_are_quoted(tmp_path: Path):
    """Whatever people call a segment, SQL takes it for a text."""
    from smartcart_pipeline.engines.macros import assignment_query
    from smartcart_pipeline_tests.segmentation.test_model import random_model

    document = random_model(3).document()
    document["segments"][0] |= {"segment_id": "S'; DROP TABLE x; --", "persona": "O'Brien's"}
    model: SegmentModel = read_model(document)
    assert model.declaration == BEHAVIOURAL
    with duckdb.connect() as connection:
        connection.execute(f"CREATE MACRO assign_segment(customers) AS TABLE {assignment_query(model)}")
        connection.execute(f"CREATE TABLE newcomers AS {customers()}")
        assert ask(connection, "SELECT count(segment_id) FROM assign_segment(newcomers)") == [(1,)]
