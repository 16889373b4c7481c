"""The sample is reproducible, streams, keeps the contract, and is like a real export in what matters to segments."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from kneed import KneeLocator
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import StandardScaler

from smartcart_pipeline.declaration.contract import DeliveredColumn
from smartcart_pipeline.smartcart.sample import SAMPLE_CUSTOMERS, SAMPLE_SEED, batches, write_sample
from smartcart_pipeline_tests.declared import AMOUNTS, ARROW, BY_NAME, CONTRACT

SHIPPED = Path(__file__).parents[2] / "data/smartcart_customers.csv"
REAL = Path(__file__).parents[3] / "shared/data/smartcart_customers.csv"
AMOUNT_HEADERS = [BY_NAME[name].header for name in AMOUNTS]
CHANNELS = {
    "deals": "NumDealsPurchases",
    "web": "NumWebPurchases",
    "catalog": "NumCatalogPurchases",
    "store": "NumStorePurchases",
    "visits": "NumWebVisitsMonth",
}
COUNTS = [*CHANNELS.values(), "Kidhome", "Teenhome", "Complain", "Response"]


def read_export(path: Path) -> pd.DataFrame:
    customers: pd.DataFrame = pd.read_csv(path, parse_dates=["Dt_Customer"], date_format="%d-%m-%Y")
    return customers


def make(customers: int, seed: int = 1, batch_size: int = 100_000) -> pd.DataFrame:
    made: pd.DataFrame = pa.Table.from_batches(batches(customers, seed, batch_size)).to_pandas()
    return made.assign(Dt_Customer=pd.to_datetime(made["Dt_Customer"]))


def describe(customers: pd.DataFrame) -> pd.DataFrame:
    """Compute what the sample is compared by; one row per customer."""
    numbers = customers.select_dtypes("number").drop(columns=["ID", "Year_Birth"])
    return numbers.assign(
        age=2014 - customers["Year_Birth"],
        tenure=(pd.Timestamp("2014-06-29") - customers["Dt_Customer"]).dt.days,
        total_spending=customers[AMOUNT_HEADERS].sum(axis=1),
        total_children=customers["Kidhome"] + customers["Teenhome"],
    )


def usable_features(customers: pd.DataFrame, recipe: str) -> pd.DataFrame:
    """Clean customers and describe them by the 17 features of the behavioural recipe or the 18 of the reference."""
    usable = customers[(customers["Year_Birth"] >= 1924) & ~(customers["Income"] > 600_000)].sort_values("ID")
    features = describe(usable).drop(columns=[*AMOUNT_HEADERS, "Kidhome", "Teenhome"])
    features["Income"] = features["Income"].fillna(features["Income"].median())
    if recipe == "behavioural":
        features = features.drop(columns="Response")
    partner = usable["Marital_Status"].isin(["Married", "Together"])
    undergraduate = usable["Education"].isin(["Basic", "2n Cycle"])
    graduate = usable["Education"] == "Graduation"
    return features.assign(
        partner=partner,
        alone=~partner,
        undergraduate=undergraduate,
        graduate=graduate,
        postgraduate=~(undergraduate | graduate),
    ).astype(float)


def project(features: pd.DataFrame) -> np.ndarray:
    points: np.ndarray = PCA(3).fit_transform(StandardScaler().fit_transform(features))
    return points


def cluster(points: np.ndarray, k: int, seed: int = 42) -> KMeans:
    return KMeans(k, n_init=10, random_state=seed).fit(points)


def elbow(points: np.ndarray) -> int | None:
    inertias = [cluster(points, k).inertia_ for k in range(1, 11)]
    found: int | None = KneeLocator(range(1, 11), inertias, curve="convex", direction="decreasing").elbow
    return found


@pytest.fixture(scope="module")
def shipped() -> pd.DataFrame:
    return read_export(SHIPPED)


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    return make(200_000)


@pytest.fixture(scope="module", params=["shipped", "many"])
def sample(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    if not REAL.exists():
        pytest.skip(f"the real export is not at {REAL}")
    return read_export(REAL)


# Files


def test_shipped_file_is_what_the_generator_makes(tmp_path: Path) -> None:
    write_sample(tmp_path / "made.csv", SAMPLE_CUSTOMERS, SAMPLE_SEED)
    assert (tmp_path / "made.csv").read_bytes() == SHIPPED.read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_only_same_seed_gives_same_bytes(tmp_path: Path, suffix: str) -> None:
    first, again, other = (tmp_path / f"{name}{suffix}" for name in ("first", "again", "other"))
    write_sample(first, 300, seed=5)
    write_sample(again, 300, seed=5)
    write_sample(other, 300, seed=6)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_csv_looks_like_a_delivery() -> None:
    header, *rows = SHIPPED.read_text(encoding="utf-8").splitlines()
    assert header.split(",") == [column.header for column in CONTRACT]
    assert len(rows) == SAMPLE_CUSTOMERS
    assert all(row.count(",") == header.count(",") and '"' not in row for row in rows)
    position = header.split(",").index("Dt_Customer")
    assert pd.Series([row.split(",")[position] for row in rows]).str.fullmatch(r"\d\d-\d\d-201[234]").all()
    income = header.split(",").index("Income")
    assert all(row.split(",")[income].isdigit() or row.split(",")[income] == "" for row in rows)


def test_csv_and_parquet_hold_the_same_customers(tmp_path: Path) -> None:
    write_sample(tmp_path / "made.csv", 3_000, seed=5)
    write_sample(tmp_path / "made.parquet", 3_000, seed=5)
    delivered = read_export(tmp_path / "made.csv")
    typed = pd.read_parquet(tmp_path / "made.parquet")
    pd.testing.assert_frame_equal(
        delivered, typed.assign(Dt_Customer=pd.to_datetime(typed["Dt_Customer"])), check_dtype=False
    )


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="at least 1 customer"):
        write_sample(path, 0, seed=1)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.csv or \.parquet"):
        write_sample(tmp_path / "customers.xlsx", 10, seed=1)


# Batches


def test_batches_have_the_size_asked_for_and_a_last_one_the_rest() -> None:
    assert [batch.num_rows for batch in batches(250, seed=3, batch_size=100)] == [100, 100, 50]


@pytest.mark.parametrize("customers", [1, 2, 7])
def test_few_customers_can_be_made(customers: int) -> None:
    assert len(make(customers)) == customers


def test_batch_depends_on_seed_and_number_alone() -> None:
    shorter = list(batches(200, seed=3, batch_size=100))
    longer = list(batches(300, seed=3, batch_size=100))
    other = list(batches(200, seed=4, batch_size=100))
    assert shorter == longer[:2]
    assert all(mine["Income"] != its["Income"] for mine, its in zip(shorter, other, strict=True))
    assert longer[0]["Income"] != longer[1]["Income"]


def test_batches_are_made_when_asked_for() -> None:
    # A trillion customers would fit in no memory.
    assert sum(batch.num_rows for batch in islice(batches(10**12, seed=3, batch_size=1_000), 3)) == 3_000


@pytest.mark.parametrize(("customers", "seed", "batch_size"), [(0, 1, 10), (-5, 1, 10), (10, -1, 10), (10, 1, 0)])
def test_impossible_numbers_are_refused(customers: int, seed: int, batch_size: int) -> None:
    with pytest.raises(ValueError, match="cannot make"):
        next(batches(customers, seed, batch_size))


# Contract and dirt


@pytest.mark.parametrize("column", CONTRACT, ids=lambda column: column.name)
def test_contract_holds(column: DeliveredColumn) -> None:
    values = pa.Table.from_batches(batches(25_000, seed=3, batch_size=10_000)).column(column.header)
    assert values.type == ARROW[column.type]
    assert (values.null_count > 0) == column.nullable
    present = values.to_pandas().dropna()
    if column.minimum is not None:
        assert present.min() >= column.minimum
    if column.maximum is not None:
        assert present.max() <= column.maximum
    if column.categories:
        assert set(present) == set(column.categories)
    if column.unique:
        assert present.is_unique


@pytest.mark.parametrize("times", [1, 10])
def test_dirt_is_in_proportion(times: int) -> None:
    customers = make(times * SAMPLE_CUSTOMERS, SAMPLE_SEED)
    assert {
        "missing incomes": customers["Income"].isna().sum(),
        "absurd incomes": (customers["Income"] > 600_000).sum(),
        "births in another century": customers["Year_Birth"].between(1893, 1900).sum(),
        "births before": (customers["Year_Birth"] < 1893).sum(),
        **{status: (customers["Marital_Status"] == status).sum() for status in ("Alone", "Absurd", "YOLO")},
    } == {
        "missing incomes": 24 * times,
        "absurd incomes": 1 * times,
        "births in another century": 3 * times,
        "births before": 0,
        "Alone": 3 * times,
        "Absurd": 2 * times,
        "YOLO": 2 * times,
    }


def test_repeats_copy_an_earlier_row_of_their_batch() -> None:
    for batch in batches(3 * SAMPLE_CUSTOMERS, seed=3, batch_size=SAMPLE_CUSTOMERS):
        customers = batch.to_pandas()
        assert customers.drop(columns="ID").duplicated().sum() == 182
        assert customers["ID"].is_unique


def test_ids_have_gaps_and_no_order(shipped: pd.DataFrame) -> None:
    ids = shipped["ID"]
    assert ids.max() > 2 * len(ids)
    assert abs(ids.corr(pd.Series(range(len(ids))))) < 0.1


# Likeness to the real export


@pytest.mark.parametrize("column", [*COUNTS, *AMOUNT_HEADERS, "Income", "Recency", "age", "tenure", "total_spending"])
def test_mean_and_quartiles_are_like_the_real(sample: pd.DataFrame, real: pd.DataFrame, column: str) -> None:
    mine, its = (
        np.array([values.mean(), *values.quantile([0.25, 0.5, 0.75])])
        for values in (describe(sample)[column], describe(real)[column])
    )
    unit = 1 if column in COUNTS + AMOUNT_HEADERS else 0
    assert (np.abs(mine - its) <= np.maximum(0.1 * its, unit)).all(), f"{mine} is not near {its}"


@pytest.mark.parametrize("column", ["Kidhome", "Teenhome", "Complain", "Response"])
def test_shares_of_small_counts_are_like_the_real(sample: pd.DataFrame, real: pd.DataFrame, column: str) -> None:
    mine, its = (customers[column].value_counts(normalize=True) for customers in (sample, real))
    assert mine.sub(its, fill_value=0).abs().max() < 0.03


@pytest.mark.parametrize("column", ["Education", "Marital_Status"])
def test_shares_of_categories_are_like_the_real(sample: pd.DataFrame, real: pd.DataFrame, column: str) -> None:
    mine, its = (customers[column].value_counts(normalize=True) for customers in (sample, real))
    assert mine.sub(its, fill_value=0).abs().max() < 0.02


def test_rank_correlations_are_like_the_real(sample: pd.DataFrame, real: pd.DataFrame) -> None:
    columns = ["Income", "total_spending", "total_children", *CHANNELS.values()]
    mine, its = (describe(customers)[columns].corr("spearman") for customers in (sample, real))
    assert np.abs(mine.to_numpy() - its.to_numpy()).max() < 0.15


# Segments


@pytest.mark.parametrize("recipe", ["behavioural", "reference"])
def test_elbow_of_the_shipped_sample_is_at_four(shipped: pd.DataFrame, recipe: str) -> None:
    assert elbow(project(usable_features(shipped, recipe))) == 4


def test_elbow_of_many_customers_is_at_four(many: pd.DataFrame) -> None:
    some = many.sample(20_000, random_state=0)
    assert elbow(project(usable_features(some, "behavioural"))) == 4


def test_four_clusters_are_nearly_as_separate_as_any_number(shipped: pd.DataFrame) -> None:
    points = project(usable_features(shipped, "behavioural"))
    silhouettes = {k: silhouette_score(points, cluster(points, k).labels_) for k in range(2, 11)}
    assert silhouettes[4] > max(silhouettes.values()) - 0.05


def test_four_clusters_are_stable(shipped: pd.DataFrame) -> None:
    points = project(usable_features(shipped, "behavioural"))
    rng = np.random.default_rng(0)
    fits = [cluster(points[rng.integers(len(points), size=len(points))], 4, seed) for seed in range(10)]
    labels = [fit.predict(points) for fit in fits]
    scores = [adjusted_rand_score(mine, its) for at, mine in enumerate(labels) for its in labels[:at]]
    assert np.mean(scores) >= 0.9


def test_segments_are_two_levels_of_spending_by_two_ways_to_live(shipped: pd.DataFrame) -> None:
    features = usable_features(shipped, "behavioural")
    features["segment"] = cluster(project(features), 4).labels_
    segments = features.groupby("segment").mean()
    segments["share"] = features["segment"].value_counts(normalize=True)
    segments.index = pd.MultiIndex.from_arrays(
        [np.where(segments["total_spending"] > 600, "rich", "poor"), np.where(segments["partner"] > 0.5, "two", "one")]
    )
    # From the real export, rounded.
    expected = pd.DataFrame(
        {
            ("poor", "one"): [168, 37_300, 1.27, 0, 0.20],
            ("poor", "two"): [168, 37_300, 1.27, 1, 0.37],
            ("rich", "one"): [1_193, 70_900, 0.46, 0, 0.16],
            ("rich", "two"): [1_168, 71_000, 0.57, 1, 0.28],
        },
        index=["total_spending", "Income", "total_children", "partner", "share"],
    ).T
    tolerance = pd.Series(
        {"total_spending": 120, "Income": 4_000, "total_children": 0.2, "partner": 0.05, "share": 0.05}
    )
    differences = (segments[expected.columns] - expected).abs()
    assert (differences <= tolerance).all(axis=None), segments[expected.columns]
    assert len(segments) == 4
