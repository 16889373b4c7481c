"""The stronger peer: what who knows polars would write today, storing the same six tables of customers.

python -m benchmarks.polars_script EXPORT FOLDER

Read and written lazily by the streaming engine, a matrix of 32 bits, and k chosen on a sample. It has no outcome among
its 17 features, like the recipe `behavioural`, and it checks, compares, draws and publishes nothing.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from kneed import KneeLocator
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

AMOUNTS = ["MntWines", "MntFruits", "MntMeatProducts", "MntFishProducts", "MntSweetProducts", "MntGoldProds"]
CARRIED_OVER = [
    "Income",
    "Recency",
    "NumDealsPurchases",
    "NumWebPurchases",
    "NumCatalogPurchases",
    "NumStorePurchases",
    "NumWebVisitsMonth",
    "Complain",
]
NUMBERS = ["Age", "Customer_Tenure_Days", "Total_Spending", "Total_Children", *CARRIED_OVER]
CATEGORIES = {"Living_With": ["Alone", "Partner"], "Education": ["Graduate", "Postgraduate", "Undergraduate"]}
SAMPLE = 10_000


def main(export: Path, folder: Path) -> None:
    """Segment an export and store the tables.

    Args:
        export: The customer export, CSV or Parquet.
        folder: Where the tables go.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def sink(table: pl.LazyFrame, name: str) -> pl.LazyFrame:
        return table.sink_parquet(folder / f"{name}.parquet", compression="snappy", lazy=True)

    def scan(name: str) -> pl.LazyFrame:
        return pl.scan_parquet(folder / f"{name}.parquet")

    if export.suffix == ".parquet":
        raw = pl.scan_parquet(export)
    else:
        raw = pl.scan_csv(export).with_columns(pl.col("Dt_Customer").str.to_date("%d-%m-%Y"))
    summary = raw.select(pl.col("Income").median(), pl.col("Dt_Customer").max())
    _, known = pl.collect_all([sink(raw, "raw"), summary], engine="streaming")
    median, newest = known.row(0)

    cleaned = raw.with_columns(pl.col("Income").fill_null(median)).filter(
        newest.year - pl.col("Year_Birth") <= 90, pl.col("Income") <= 600_000
    )
    features = cleaned.select(
        "ID",
        (newest.year - pl.col("Year_Birth")).alias("Age"),
        (newest - pl.col("Dt_Customer")).dt.total_days().cast(pl.Int32).alias("Customer_Tenure_Days"),
        pl.sum_horizontal(AMOUNTS).alias("Total_Spending"),
        (pl.col("Kidhome") + pl.col("Teenhome")).alias("Total_Children"),
        pl.when(pl.col("Marital_Status").is_in(["Married", "Together"]))
        .then(pl.lit("Partner"))
        .otherwise(pl.lit("Alone"))
        .alias("Living_With"),
        pl.when(pl.col("Education").is_in(["Basic", "2n Cycle"]))
        .then(pl.lit("Undergraduate"))
        .when(pl.col("Education") == "Graduation")
        .then(pl.lit("Graduate"))
        .otherwise(pl.lit("Postgraduate"))
        .alias("Education"),
        *CARRIED_OVER,
        "Response",
    )
    pl.collect_all([sink(cleaned, "cleaned"), sink(features, "features")], engine="streaming")

    encoded = scan("features").select(
        "ID",
        *[pl.col(name).cast(pl.Float32) for name in NUMBERS],
        *[
            (pl.col(name) == category).cast(pl.Float32).alias(f"{name}_{category}")
            for name, categories in CATEGORIES.items()
            for category in categories
        ],
    )
    names = encoded.collect_schema().names()[1:]
    moments = encoded.select(
        pl.col(names).cast(pl.Float64).mean().name.suffix(" mean"),
        pl.col(names).cast(pl.Float64).std(ddof=0).name.suffix(" deviation"),
    )
    [moment] = moments.collect(engine="streaming").to_dicts()
    scaled = encoded.select(
        "ID",
        *[((pl.col(name) - moment[f"{name} mean"]) / moment[f"{name} deviation"]).cast(pl.Float32) for name in names],
    )
    sink(scaled, "scaled").collect(engine="streaming")

    matrix = scan("scaled").select(names).collect(engine="streaming").to_numpy()
    points = np.ascontiguousarray(PCA(n_components=3, svd_solver="covariance_eigh").fit_transform(matrix))
    del matrix
    ids = scan("features").select("ID").collect().to_series()
    components = pl.DataFrame([ids, *(pl.Series(f"PC{i + 1}", points[:, i]) for i in range(3))])
    components.write_parquet(folder / "components.parquet", compression="snappy")
    del components

    sample = points[np.random.default_rng(42).permutation(len(points))[:SAMPLE]]
    fits = [KMeans(k, random_state=42).fit(sample) for k in range(1, 11)]
    elbow = KneeLocator(range(1, 11), [fit.inertia_ for fit in fits], curve="convex", direction="decreasing").elbow
    silhouettes = score_silhouettes(sample, [fit.labels_ for fit in fits[1:]])
    clusters = KMeans(elbow, init=fits[elbow - 1].cluster_centers_, n_init=1, copy_x=False).fit_predict(points)
    pl.DataFrame([ids, pl.Series("Cluster", clusters.astype(np.int8))]).write_parquet(
        folder / "clusters.parquet", compression="snappy"
    )
    print(f"{elbow} clusters, silhouettes {[round(silhouette, 3) for silhouette in silhouettes]}")


def score_silhouettes(sample: np.ndarray, labelings: list[np.ndarray]) -> list[float]:
    """Mean silhouettes; scikit-learn's `silhouette_score` would compute all distances anew for each k.

    Args:
        sample: Customers on the components.
        labelings: Their labels for each k, from 0.

    Returns:
        A silhouette for each k.
    """
    members = [np.eye(labels.max() + 1)[labels] for labels in labelings]
    blocks = np.array_split(sample, 40)
    sums = np.vstack([cdist(block, sample) @ np.hstack(members) for block in blocks])
    of_each = np.split(sums, np.cumsum([each.shape[1] for each in members])[:-1], axis=1)
    rows = np.arange(len(sample))
    scores = []
    for labels, each, distances in zip(labelings, members, of_each, strict=True):
        sizes = each.sum(axis=0)
        within = distances[rows, labels] / np.maximum(sizes[labels] - 1, 1)
        means = distances / sizes
        means[rows, labels] = np.inf
        nearest = means.min(axis=1)
        score = (nearest - within) / np.maximum(nearest, within)
        scores.append(float(np.where(sizes[labels] > 1, score, 0).mean()))
    return scores


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
