"""The UI shows a finished run in full: asked over GraphQL, and opened in a real browser, of a real web server."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from smartcart_pipeline.orchestration.automation import refuse
from smartcart_pipeline.orchestration.checks import CAN_BE_USED, checks_of
from smartcart_pipeline.orchestration.night import run_job
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.warehouse import open_warehouse
from smartcart_pipeline_tests.declared import TABLES

pytestmark = pytest.mark.night

SAMPLE = Path(__file__).parents[1] / "data" / "smartcart_customers.csv"
SECONDS_TO_START = 90

# The pictures of each asset.
PLOTS = {
    "correlations": ["correlations"],
    "k_selection": ["elbow"],
    "clusters": ["components"],
    "profiles": ["income_and_spending", "sizes"],
}

GROUPS = {
    *("ingest", "prepare", "prepare_internals", "model", "model_internals"),
    *("segments", "history", "audiences", "publish"),
}

METADATA = """
    label description __typename
    ... on IntMetadataEntry { intValue }
    ... on TextMetadataEntry { text }
    ... on MarkdownMetadataEntry { mdStr }
    ... on PathMetadataEntry { path }
    ... on UrlMetadataEntry { url }
    ... on TableMetadataEntry { table { records schema { columns { name } } } }
    ... on TableSchemaMetadataEntry {
        schema { columns { name type description constraints { nullable unique } } }
    }
    ... on TableColumnLineageMetadataEntry {
        lineage { columnName columnDeps { assetKey { path } columnName } }
    }
"""

Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose job has run once."""
    home = Home(tmp_path_factory.mktemp("finished") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home.dagster))
        patch.setenv("SMARTCART_HOME", str(home.root))
        run_job(home, {"input": str(SAMPLE), "recipe": "behavioural"}, quiet=True)
    return home


@pytest.fixture(scope="module")
def server(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a web server over that home."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = ["-h", "127.0.0.1", "-p", str(port)]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster_webserver", *address, "-m", "smartcart_pipeline.definitions"],
            env=os.environ | {"DAGSTER_HOME": str(finished.dagster), "SMARTCART_HOME": str(finished.root)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + SECONDS_TO_START
        while not answers(f"{url}/graphql"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def ask(server: str) -> Ask:
    """Asks that web server."""
    return lambda query: post(f"{server}/graphql", query)


def post(url: str, query: str) -> Any:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  (our own server)
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        answer = json.load(response)
    assert "errors" not in answer, answer
    return answer["data"]


def answers(url: str) -> bool:
    try:
        return bool(post(url, "{ version }"))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.fixture(scope="module")
def nodes(ask: Ask) -> dict[str, Any]:
    """What the UI knows of each asset, with the entries of its newest materialisation by label."""
    found = ask(
        f"""{{ assetNodes {{
            assetKey {{ path }} groupName description kinds isMaterializable opVersion
            owners {{ ... on TeamAssetOwner {{ team }} }}
            freshnessStatusInfo {{ freshnessStatus }}
            assetMaterializations(limit: 1) {{ runId metadataEntries {{ {METADATA} }} }}
            assetChecksOrError {{ ... on AssetChecks {{ checks {{
                name blocking description
                executionForLatestMaterialization {{ status evaluation {{ success severity description }} }}
            }} }} }}
        }} }}"""
    )["assetNodes"]
    for node in found:
        [made] = node["assetMaterializations"]
        node["entries"] = {entry["label"]: entry for entry in made["metadataEntries"]}
    return {node["assetKey"]["path"][-1]: node for node in found}


@pytest.fixture(scope="module")
def warehouse(finished: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(finished.warehouse) as connection:
        yield connection


def test_the_code_location_loads(ask: Ask) -> None:
    [entry] = ask(
        """{ workspaceOrError { ... on Workspace { locationEntries {
            name loadStatus locationOrLoadError { __typename ... on PythonError { message } }
        } } } }"""
    )["workspaceOrError"]["locationEntries"]
    assert entry == {
        "name": "smartcart_pipeline.definitions",
        "loadStatus": "LOADED",
        "locationOrLoadError": {"__typename": "RepositoryLocation"},
    }


def test_the_run_is_there_and_succeeded(ask: Ask, warehouse: duckdb.DuckDBPyConnection) -> None:
    [run] = ask(
        """{ runsOrError { ... on Runs { results {
            runId jobName status tags { key value } stepStats { stepKey status }
        } } } }"""
    )["runsOrError"]["results"]
    assert (run["jobName"], run["status"]) == ("nightly_refresh", "SUCCESS")
    assert warehouse.sql("SELECT run_id FROM publication").fetchall() == [(run["runId"],)]
    assert "smartcart/fingerprint" in {tag["key"] for tag in run["tags"]}
    assert {step["status"] for step in run["stepStats"]} == {"SUCCESS"}
    assert "warehouse" in {step["stepKey"] for step in run["stepStats"]}


def test_schedule_and_sensors_are_running(ask: Ask) -> None:
    repository = """repositorySelector: {
        repositoryName: "__repository__", repositoryLocationName: "smartcart_pipeline.definitions" }"""
    schedules = ask(
        f"""{{ schedulesOrError({repository}) {{ ... on Schedules {{ results {{
            name pipelineName cronSchedule executionTimezone scheduleState {{ status }}
        }} }} }} }}"""
    )["schedulesOrError"]["results"]
    assert schedules == [
        {
            "name": "nightly",
            "pipelineName": "nightly_refresh",
            "cronSchedule": "0 2 * * *",
            "executionTimezone": os.environ.get("SMARTCART_TIMEZONE", "UTC"),
            "scheduleState": {"status": "RUNNING"},
        }
    ]
    sensors = ask(
        f"""{{ sensorsOrError({repository}) {{ ... on Sensors {{ results {{
            name minIntervalSeconds sensorState {{ status }}
        }} }} }} }}"""
    )["sensorsOrError"]["results"]
    assert {sensor["name"]: sensor["sensorState"]["status"] for sensor in sensors} == {
        "new_export": "RUNNING",
        "refused_export": "RUNNING",
        "notifications": "RUNNING",
    }


def test_every_asset_is_shown_as_declared(nodes: dict[str, Any]) -> None:
    assert nodes.keys() == {*TABLES, "warehouse", "audience_lists", "report"}
    for node in nodes.values():
        assert node["isMaterializable"]
        assert node["owners"] == [{"team": "data-engineering"}]
        assert node["description"]
        assert node["opVersion"]
        assert node["kinds"]
    assert nodes["profiles"]["freshnessStatusInfo"]
    assert {node["groupName"] for node in nodes.values()} == GROUPS


def test_a_run_is_tagged_with_its_export_and_its_night(ask: Ask) -> None:
    answer = ask("{ runsOrError { ... on Runs { results { tags { key value } } } } }")
    tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in answer["runsOrError"]["results"]]
    assert {each["smartcart/export"] for each in tags} == {SAMPLE.name}
    assert tags[-1]["smartcart/night"] == "1, 2014-06-29"


# What there is nothing to say of on the first night, before anything was handed out.
FROM_THE_SECOND_NIGHT = {
    *("feature_drift", "segment_moves", "segment_migration"),
    *("audience_changes", "deliveries", "outcomes", "rejected_outcomes", "campaign_results"),
}


@pytest.mark.parametrize("name", TABLES)
def test_row_count_and_schema_are_those_of_the_published_table(
    nodes: dict[str, Any], warehouse: duckdb.DuckDBPyConnection, name: str
) -> None:
    entries = nodes[name]["entries"]
    [(rows,)] = warehouse.sql(f"SELECT count(*) FROM {name}").fetchall()
    assert entries["dagster/row_count"]["intValue"] == rows
    assert (rows > 0) == (name not in FROM_THE_SECOND_NIGHT)
    shown = entries["dagster/column_schema"]["schema"]["columns"]
    assert [(column["name"], column["type"]) for column in shown] == [
        (column, kind) for column, kind, *_ in warehouse.sql(f"DESCRIBE {name}").fetchall()
    ]
    declared = {column.name: column for column in TABLES[name].columns}
    for column in shown:
        assert column["description"] == declared[column["name"]].description
        assert column["constraints"] == {
            "nullable": declared[column["name"]].nullable,
            "unique": declared[column["name"]].unique,
        }
    assert Path(entries["path"]["path"]).stat().st_size == entries["bytes"]["intValue"]


# What comes from files: the export, the contract and the recipe.
FROM_NO_TABLE = {
    "raw_customers": "the export",
    "declared_columns": "the contract",
    "declared_features": "the recipe",
    "deliveries": "what was handed out",
}


@pytest.mark.parametrize("name", TABLES)
def test_column_lineage_is_there_for_machines_and_as_a_table_for_people(nodes: dict[str, Any], name: str) -> None:
    entries = nodes[name]["entries"]
    lineage = {
        entry["columnName"]: [f"{dep['assetKey']['path'][-1]}.{dep['columnName']}" for dep in entry["columnDeps"]]
        for entry in entries["dagster/column_lineage"]["lineage"]
    }
    known = {f"{table.name}.{column}" for table in TABLES.values() for column in table.names}
    assert {source for sources in lineage.values() for source in sources} <= known
    assert bool(lineage) == (name not in FROM_NO_TABLE)
    table = entries["column_lineage"]["table"]
    assert [column["name"] for column in table["schema"]["columns"]] == ["column", "computed_from"]
    rows = {row["column"]: row["computed_from"] for row in map(json.loads, table["records"])}
    shown = [column["name"] for column in entries["dagster/column_schema"]["schema"]["columns"]]
    origin = FROM_NO_TABLE.get(name, "a figure of the whole run")
    assert rows == {f"{name}.{column}": ", ".join(lineage[column]) if column in lineage else origin for column in shown}


@pytest.mark.parametrize(("name", "label"), [(name, label) for name, labels in PLOTS.items() for label in labels])
def test_a_plot_is_shown_as_a_picture_with_a_caption(nodes: dict[str, Any], name: str, label: str) -> None:
    markdown = nodes[name]["entries"][label]["mdStr"]
    found = re.fullmatch(r"!\[(.+)\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert found
    png = base64.b64decode(found[2])
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert width >= 400
    assert height >= 300


def test_no_other_picture_is_hidden_anywhere(nodes: dict[str, Any]) -> None:
    found = {
        (name, label)
        for name, node in nodes.items()
        for label, entry in node["entries"].items()
        if "image/png" in entry.get("mdStr", "")
    }
    assert found == {(name, label) for name, labels in PLOTS.items() for label in labels}


def test_the_latest_execution_of_every_check_is_shown(nodes: dict[str, Any]) -> None:
    shown = {
        (name, check["name"]): (
            check["blocking"],
            check["executionForLatestMaterialization"]["status"],
            check["executionForLatestMaterialization"]["evaluation"]["severity"],
        )
        for name, node in nodes.items()
        for check in node["assetChecksOrError"].get("checks", [])
    }
    expected = {
        (check.table, check.name): (True, "SUCCEEDED", "ERROR") for check in checks_of(tuple(TABLES)) if check.blocking
    }
    assert shown == expected | {
        ("raw_customers", "no_repeats"): (False, "FAILED", "WARN"),
        ("feature_drift", "no_drift"): (False, "SUCCEEDED", "WARN"),
        ("cleaning_figures", "no_placeholders"): (False, "SUCCEEDED", "WARN"),
        ("audiences", "sample_ratio"): (False, "SUCCEEDED", "WARN"),
        # The segments of this recipe follow marital status to the last customer.
        ("segment_drivers", "not_one_feature"): (False, "FAILED", "WARN"),
        # It stops a run only where a setting says so.
        ("sensitive_association", "nothing_sensitive_followed"): (True, "FAILED", "WARN"),
    }


def test_a_refused_export_is_shown_as_a_failed_check(ask: Ask, nodes: dict[str, Any], finished: Home) -> None:
    now = finished.refused / "bad.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(finished.dagster))
        with dg.DagsterInstance.get() as instance:
            instance.report_runless_asset_event(refuse(Path("bad.csv"), "no column ID", now))
    [node] = ask(
        """{ assetNodes(assetKeys: [{path: ["raw_customers"]}]) { assetChecksOrError { ... on AssetChecks { checks {
            name executionForLatestMaterialization { status evaluation {
                success severity description metadataEntries { label
                    ... on TextMetadataEntry { text } ... on PathMetadataEntry { path }
                }
            } }
        } } } } }"""
    )["assetNodes"]
    [shown] = [check for check in node["assetChecksOrError"]["checks"] if check["name"] == CAN_BE_USED]
    assert shown["executionForLatestMaterialization"] == {
        "status": "FAILED",
        "evaluation": {
            "success": False,
            "severity": "ERROR",
            "description": "bad.csv cannot be used: no column ID",
            "metadataEntries": [
                {"label": "export", "text": "bad.csv"},
                {"label": "reason", "text": "no column ID"},
                {"label": "set_aside", "path": str(now)},
            ],
        },
    }


def test_the_warehouse_says_what_it_was_made_from(nodes: dict[str, Any], finished: Home) -> None:
    entries = nodes["warehouse"]["entries"]
    assert entries["path"]["path"] == str(finished.warehouse)
    assert entries["export"]["text"] == SAMPLE.name
    assert entries["as_of_date"]["text"] == "2014-06-29"


def test_the_report_is_linked(nodes: dict[str, Any], finished: Home) -> None:
    entries = nodes["report"]["entries"]
    assert entries["path"]["path"] == str(finished.report)
    assert entries["address"]["url"] == finished.report.as_uri()
    assert entries["bytes"]["intValue"] == finished.report.stat().st_size
    assert entries["summary"]["mdStr"].count("\n- **S") == 3


# In a browser


@pytest.fixture(scope="module")
def tab(server: str, nodes: dict[str, Any], browser: Any) -> Iterator[Any]:
    """A tab of a browser on the UI, which notes what goes wrong and whom it talks to."""
    context = browser.new_context(base_url=server, viewport={"width": 1500, "height": 1100})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.trouble = []
    tab.on("pageerror", lambda error: tab.trouble.append(str(error)))
    ours = (server, f"blob:{server}", "data:")
    tab.on("request", lambda request: None if request.url.startswith(ours) else tab.trouble.append(request.url))
    yield tab
    context.close()


def test_the_asset_graph_is_drawn(tab: Any) -> None:
    # The whole graph is larger than the window, and only what is in the window is drawn.
    tab.goto("/asset-groups")
    tab.get_by_text("publish", exact=True).first.wait_for()
    # Groups are shut at first; this opens them.
    tab.keyboard.press("Alt+E")
    tab.locator("text=/^(raw_customers|cleaned|features|clusters|profiles|segment_rules|warehouse)$/").first.wait_for()
    tab.goto("/asset-groups")
    for group in GROUPS:
        tab.get_by_text(group, exact=True).first.wait_for()


@pytest.mark.parametrize("name", ["raw_customers", "clusters", "profiles"])
def test_an_assets_page_shows_its_rows_and_columns(tab: Any, warehouse: duckdb.DuckDBPyConnection, name: str) -> None:
    tab.goto(f"/assets/{name}")
    [(rows,)] = warehouse.sql(f"SELECT count(*) FROM {name}").fetchall()
    tab.get_by_text("Row count", exact=True).wait_for()
    tab.get_by_text(f"{rows:,}", exact=True).first.wait_for()
    for column in TABLES[name].columns[:3]:
        tab.get_by_text(column.name, exact=True).first.wait_for()
        tab.get_by_text(column.description, exact=True).first.wait_for()


def test_a_plot_opens_as_a_picture(tab: Any) -> None:
    tab.goto("/assets/profiles")
    tab.get_by_text("[Show Markdown]").first.click()
    picture = tab.locator("img[src^='data:image/png']").first
    picture.wait_for()
    assert picture.evaluate("it => it.complete && it.naturalWidth >= 400")


def test_the_column_lineage_is_shown_as_a_table(tab: Any) -> None:
    tab.goto("/assets/clusters")
    tab.get_by_text("computed_from", exact=True).first.wait_for()
    row = tab.get_by_role("row").filter(has_text="clusters.segment_id").last
    row.wait_for()
    assert "features.income" in row.inner_text()


def test_the_checks_are_shown_with_what_they_found(tab: Any, warehouse: duckdb.DuckDBPyConnection) -> None:
    [(customers,)] = warehouse.sql("SELECT count(*) FROM clusters").fetchall()
    tab.goto("/assets/profiles?view=checks")
    tab.get_by_text("add_up", exact=True).first.wait_for()
    tab.get_by_text(f"{customers:,} profiled, {customers:,} clustered").first.wait_for()
    tab.get_by_text("Passed", exact=True).first.wait_for()


def test_a_refused_export_stands_out_on_the_page_of_its_asset(tab: Any) -> None:
    tab.goto("/assets/raw_customers?view=checks")
    tab.get_by_text("bad.csv cannot be used: no column ID").first.wait_for()
    tab.get_by_text("Failed", exact=True).first.wait_for()


def test_the_browser_met_no_trouble_and_no_other_host(tab: Any) -> None:
    tab.goto("/assets/report")
    tab.get_by_text("summary", exact=True).first.wait_for()
    assert tab.trouble == []
