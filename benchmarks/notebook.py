"""The peer: the straight pandas and scikit-learn script of the same steps, with nothing stored but the plots.

python -m benchmarks.notebook EXPORT FOLDER

Above `LARGE` customers it does what people do then: one start for each k instead of ten, silhouettes of a sample, no
agglomerative clustering (its cost is quadratic), and a sample in the scatter plots.
"""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from kneed import KneeLocator
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import OneHotEncoder, StandardScaler

AMOUNTS = ["MntWines", "MntFruits", "MntMeatProducts", "MntFishProducts", "MntSweetProducts", "MntGoldProds"]
LEVELS = {
    "Basic": "Undergraduate",
    "2n Cycle": "Undergraduate",
    "Graduation": "Graduate",
    "Master": "Postgraduate",
    "PhD": "Postgraduate",
}
LARGE = 100_000
SILHOUETTE_CUSTOMERS = 10_000
PLOTTED = 2_000
DROPPED = ["ID", "Year_Birth", "Marital_Status", "Kidhome", "Teenhome", "Dt_Customer", "Response", *AMOUNTS]


def main(export: Path, folder: Path) -> None:
    """Segment an export and draw the plots.

    Args:
        export: The customer export, CSV or Parquet.
        folder: Where the plots go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    customers = pd.read_parquet(export) if export.suffix == ".parquet" else pd.read_csv(export)
    customers["Income"] = customers["Income"].fillna(customers["Income"].median())
    joined = pd.to_datetime(customers["Dt_Customer"], dayfirst=True)
    customers["Age"] = joined.max().year - customers["Year_Birth"]
    customers["Customer_Tenure_Days"] = (joined.max() - joined).dt.days
    customers["Total_Spending"] = customers[AMOUNTS].sum(axis=1)
    customers["Total_Children"] = customers["Kidhome"] + customers["Teenhome"]
    customers["Living_With"] = (
        customers["Marital_Status"].isin(["Married", "Together"]).map({True: "Partner", False: "Alone"})
    )
    customers["Education"] = customers["Education"].replace(LEVELS)
    kept = customers[(customers["Age"] <= 90) & (customers["Income"] <= 600_000)].drop(columns=DROPPED)

    numeric = kept.select_dtypes("number")
    figure = plt.figure(figsize=(8, 7))
    plt.imshow(numeric.corr(), cmap="coolwarm")
    plt.xticks(range(len(numeric.columns)), numeric.columns, rotation=40)
    plt.yticks(range(len(numeric.columns)), numeric.columns)
    for row, values in enumerate(numeric.corr().to_numpy()):
        for column, value in enumerate(values):
            plt.text(column, row, f"{value:.2f}", ha="center", fontsize=7)
    figure.savefig(folder / "correlations.png", dpi=100)

    categories = ["Education", "Living_With"]
    encoder = OneHotEncoder(sparse_output=False)
    encoded = pd.DataFrame(
        encoder.fit_transform(kept[categories]), columns=encoder.get_feature_names_out(), index=kept.index
    )
    scaled = StandardScaler().fit_transform(pd.concat([numeric, encoded], axis=1))
    points = PCA(n_components=3).fit_transform(scaled)

    large = len(points) > LARGE
    starts, measured = (1, SILHOUETTE_CUSTOMERS) if large else (10, None)
    inertias = [KMeans(k, n_init=starts, random_state=42).fit(points).inertia_ for k in range(1, 11)]
    elbow = KneeLocator(range(1, 11), inertias, curve="convex", direction="decreasing").elbow
    silhouettes = [
        silhouette_score(
            points,
            KMeans(k, n_init=starts, random_state=42).fit_predict(points),
            sample_size=measured,
            random_state=42,
        )
        for k in range(2, 11)
    ]
    figure, axes = plt.subplots(2, 1, figsize=(7.5, 6))
    axes[0].plot(range(1, 11), inertias, marker="o")
    axes[1].plot(range(2, 11), silhouettes, marker="o")
    figure.savefig(folder / "k_selection.png", dpi=100)

    kept["Cluster"] = KMeans(elbow, n_init=starts, random_state=42).fit_predict(points)
    silhouette_score(points, kept["Cluster"], sample_size=measured, random_state=42)
    if not large:
        kept["Agglomerative"] = AgglomerativeClustering(elbow).fit_predict(points)
        silhouette_score(points, kept["Agglomerative"])

    shown = kept.reset_index(drop=True).sample(min(PLOTTED, len(kept)), random_state=42) if large else kept
    placed = points[shown.index] if large else points
    figure = plt.figure(figsize=(8, 6.5))
    axes = figure.add_subplot(projection="3d")
    axes.scatter(placed[:, 0], placed[:, 1], placed[:, 2], c=shown["Cluster"], s=9)
    figure.savefig(folder / "components.png", dpi=100)
    figure = plt.figure(figsize=(8, 5.5))
    plt.scatter(shown["Income"], shown["Total_Spending"], c=shown["Cluster"], s=11)
    figure.savefig(folder / "income_and_spending.png", dpi=100)
    figure = plt.figure(figsize=(8, 3.2))
    kept["Cluster"].value_counts().plot.barh()
    figure.savefig(folder / "sizes.png", dpi=100)
    profile = kept.groupby("Cluster").agg({name: ["mean", "median"] for name in numeric.columns})
    print(profile.T.to_string())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
