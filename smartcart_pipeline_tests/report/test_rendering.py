"""The file: it stands alone, is put in place whole, and its parts are what they say they are."""

import gzip
import hashlib
import html
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest

from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.engines.duckdb import DuckDBEngine
from smartcart_pipeline.report import rendering
from smartcart_pipeline.report.reading import Findings, read_findings
from smartcart_pipeline.report.rendering import PAGE, render, write_report
from smartcart_pipeline.report.wording import REASONS
from smartcart_pipeline_tests.conftest import REPOSITORY
from smartcart_pipeline_tests.declared import BEHAVIOURAL, TABLES
from smartcart_pipeline_tests.report.test_wording import findings


@pytest.fixture(autouse=True)
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the compiled template is kept: nothing that was compiled before a test answers for what is there now."""
    path = tmp_path / "__pycache__" / "page.pyc"
    path.parent.mkdir()
    monkeypatch.setattr(rendering, "COMPILED", path)
    return path


@pytest.fixture
def page() -> str:
    return render(some_findings())


def some_findings() -> Findings:
    """Two segments, and a little of everything else that the page shows."""
    candidate = {"inertia": 9.0, "silhouette": 0.5, "stability": 1.0, "calinski_harabasz": 9.0, "davies_bouldin": 1.0}
    candidate |= {"elbow_share": 1 / 3, "null_silhouette": 0.2, "prediction_strength": 0.9, "recovery": 0.8}
    point = dict.fromkeys(BEHAVIOURAL.recipe.measured, 3.0) | {"pc1": 0.1, "pc2": 0.2, "pc3": 0.3}
    compared = {"silhouette": 0.5, "calinski_harabasz": 9.0, "davies_bouldin": 1.0, "sizes": [500, 500]}
    told = findings({}, {})
    return replace(
        told,
        publication=told.publication
        | {"export_name": "a.csv", "recipe": "behavioural"}
        | {"row_counts": dict.fromkeys(("raw_customers", "cleaned", "rejected_customers"), 1_000)},
        responses=[row | {"customers": 500, "responses": 75} for row in told.responses],
        rules=[
            {"rule_number": 1, "segment_id": "S01", "description": "all", "customers": 500}
            | dict.fromkeys(("precision", "coverage", "agreement"), 1.0)
        ],
        plotted=[point | {"segment_id": segment} for segment in ("S01", "S02")],
        candidates=[
            candidate
            | {
                "k": k,
                "smallest_cluster_share": 0.5,
                "sample_customers": 1_000,
                "is_selected": k == 2,
                "reason": "elbow",
            }
            for k in (1, 2, 3)
        ],
        comparison=[
            compared
            | {"algorithm": name, "space": "scaled", "adjusted_rand_index": 1.0}
            | {"sample_customers": 1_000, "fitted_customers": 1_000}
            for name in ("kmeans", "agglomerative")
        ],
        loadings=[
            {"component": component, "feature": "income", "loading": 1.0, "explained_variance_ratio": 0.3}
            for component in ("pc1", "pc2", "pc3")
        ],
    )


def test_the_page_names_nothing_outside_itself(page: str) -> None:
    assert re.findall(r"<(?:link|iframe|object|embed|img|source|base)\b", page) == []
    assert {link[:1] for link in re.findall(r"""\b(?:src|href)=["']?([^"'> ]+)""", page)} == {"#"}
    assert "@import" not in page
    assert "url(" not in page


def test_why_lines_were_refused_and_what_was_imputed_is_told_in_words() -> None:
    meanings = REASONS | {limit.reason: limit.meaning for limit in BEHAVIOURAL.recipe.limits}
    [reason] = [column for column in TABLES["rejected_customers"].columns if column.name == "reason"]
    refused = [{"reason": code, "customers": 1_234} for code in reason.categories]
    page = render(replace(some_findings(), rejected=refused, imputed={"income": 5_678}))
    told = html.unescape(re.sub(r"<[^>]+>", " ", page[page.index('<section id="quality"') :]))
    assert set(meanings) == set(reason.categories)
    assert {meaning for meaning in meanings.values() if meaning not in told} == set()
    assert told.count("1,234") == len(meanings)
    assert "Income was missing in 5,678 rows; the median stands for it." in re.sub(r"\s+", " ", told)


def test_the_packed_plotly_is_the_one_that_its_page_says(page: str) -> None:
    unpacked = gzip.decompress((PAGE / "plotly-gl3d.min.js.gz").read_bytes())
    told = (PAGE / "README.md").read_text()
    assert hashlib.sha256(unpacked).hexdigest() in told
    [version] = re.findall(rb"plotly\.js \(gl3d - minified\) v([\d.]+)", unpacked[:200])
    assert f"version {version.decode()}," in told
    assert rendering._trust(unpacked) in page.replace("&#39;", "'")


def test_the_page_is_put_in_place_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "report.html"
    size = write_report(some_findings(), place)
    assert place.stat().st_size == size
    before = place.read_bytes()
    # A folder under the hidden name it is written by: the page cannot be written.
    (tmp_path / ".report.html.writing").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_report(some_findings(), place)
    assert place.read_bytes() == before


def test_a_spoilt_template_cache_is_made_anew(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    page = render(some_findings())
    compiled.write_bytes(b"spoilt")
    assert render(some_findings()) == page
    assert not compiled.read_bytes().startswith(b"spoilt")


def test_the_compiled_template_is_kept_beside_pythons_own_byte_code() -> None:
    script = (
        "from smartcart_pipeline.report import rendering; rendering.COMPILED.unlink(missing_ok=True); "
        "rendering._template(); print(rendering.COMPILED.is_file(), rendering.COMPILED)"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    kept = Path(rendering.__file__).with_name("__pycache__") / f"page.jinja.{sys.implementation.cache_tag}.pyc"
    assert done.stdout.split() == ["True", str(kept)]


def test_where_python_writes_no_byte_code_no_template_is_kept(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    render(some_findings())
    assert list(compiled.parent.iterdir()) == []


@pytest.mark.parametrize("options", [{"autoescape": False}, {"trim_blocks": True}, {"extensions": ["jinja2.ext.do"]}])
def test_a_template_that_was_compiled_with_other_options_is_compiled_anew(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    findings: Any = some_findings()
    findings.publication["export_name"] = "<b>.csv"
    default = render(findings)
    assert "&lt;b&gt;.csv" in default
    kept = compiled.read_bytes()
    real = jinja2.Environment
    monkeypatch.setattr(jinja2, "Environment", lambda **own: real(**own | options))
    warm = render(findings)
    assert compiled.read_bytes() != kept
    compiled.unlink()
    assert warm == render(findings)
    assert ("<b>.csv" in warm) == ("autoescape" in options)


def test_a_template_that_another_jinja_has_compiled_is_compiled_anew(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    render(some_findings())
    kept = compiled.read_bytes()
    monkeypatch.setattr(rendering, "version", lambda _: "4.5.6")
    render(some_findings())
    assert compiled.read_bytes() != kept


def test_without_a_publication_there_is_no_report(engine: DuckDBEngine, tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="nothing has been published yet"):
        read_findings(engine, tmp_path / "warehouse.duckdb")


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE publication AS SELECT 'r' AS run_id",
        (
            "CREATE TABLE publication AS SELECT 1; CREATE TABLE profiles AS SELECT 1 AS segment_id; "
            "CREATE TABLE segment_summary AS SELECT 1 AS segment_id"
        ),
    ],
    ids=["a table is missing", "a column is missing"],
)
def test_an_older_warehouse_is_told_apart(engine: DuckDBEngine, tmp_path: Path, made: str) -> None:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as old:
        old.execute(made)
    with pytest.raises(HomeError, match="published by an earlier version"):
        read_findings(engine, tmp_path / "warehouse.duckdb")
    assert engine.connection.execute("SELECT current_database()").fetchall() == [("memory",)]


def test_the_wheel_carries_the_page(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, capture_output=True, check=True, timeout=120)
    [wheel] = tmp_path.glob("*.whl")
    import zipfile

    packed = {name.rpartition("/")[2] for name in zipfile.ZipFile(wheel).namelist() if "/report/page/" in name}
    assert packed == {path.name for path in PAGE.iterdir()}
