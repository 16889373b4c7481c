"""Pictures of a run: small PNGs that read well in Dagster's UI, in the light and in the dark theme."""

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smartcart_pipeline.declaration.recipe import Recipe
from smartcart_pipeline.report.charts import MILLION
from smartcart_pipeline.report.drawing import Band, Block, lay_out_flows, look_of
from smartcart_pipeline.segmentation import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too; markers say the same without colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999", "#882255")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*", "<", ">")
DPI = 100
# Inches: about a letter of a label, a line of a legend, and the paper around everything.
LETTER, LINE, EDGE = 0.085, 0.24, 0.15


@dataclass(frozen=True)
class Plot:
    """A finished picture.

    Attributes:
        png: Its bytes.
        caption: What it shows.
    """

    png: bytes
    caption: str


def _figure(
    width: float, height: float, left: float = 0.9, right: float = EDGE, top: float = 0.45, bottom: float = 0.6
) -> "Figure":
    """A figure with so much room around its axes, in inches: measuring every label would double the drawing."""
    import matplotlib as mpl  # noqa: PLC0415  (slow to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    # What people call things is no formula, however many dollars stand in it.
    mpl.rcParams["text.parse_math"] = False
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, hspace=0.1)
    return figure


def _room(labels: Sequence[str]) -> float:
    """Inches that the longest of some labels takes."""
    return max(map(len, labels)) * LETTER + 2 * EDGE


def _finish(figure: "Figure", caption: str) -> Plot:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        # No creation date or version inside: the same data gives the same bytes.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return Plot(buffer.getvalue(), caption)


def _style(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _look(segment_id: str) -> dict[str, Any]:
    look = look_of(segment_id)
    return {"color": COLOURS[look.colour], "marker": MARKERS[look.shape]}


def plot_k_selection(rows: Rows) -> Plot:
    """Inertia with its elbow, and silhouette and stability, over the candidates.

    Args:
        rows: The table `k_selection`.

    Returns:
        The picture.
    """
    figure = _figure(7.5, 6)
    above, below = figure.subplots(2, 1, sharex=True)
    ks = [row["k"] for row in rows]
    selected = next(row["k"] for row in rows if row["is_selected"])
    elbow = next((row for row in rows if row["is_elbow"]), None)
    above.plot(ks, [row["inertia"] for row in rows], color=COLOURS[0], marker="o")
    if elbow:
        above.annotate(
            f"elbow at {elbow['k']}",
            (elbow["k"], elbow["inertia"]),
            xytext=(24, 30),
            textcoords="offset points",
            arrowprops={"arrowstyle": "->", "color": "0.3"},
        )
    above.set(ylabel="Inertia", ylim=(0, None), title=f"k = {selected} is selected")
    compared = [row for row in rows if row["silhouette"] is not None]
    for number, measure in enumerate(("silhouette", "stability")):
        values = [row[measure] for row in compared]
        below.plot([row["k"] for row in compared], values, label=measure.capitalize(), **_style(number))
    below.set(xlabel="Number of clusters, k", ylabel="Higher is better", ylim=(0, 1.05), xticks=ks)
    below.legend(frameon=False, loc="center right")
    for axes in (above, below):
        axes.axvline(selected, color="0.5", linestyle=":", zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
    return _finish(figure, "Elbow, silhouette and stability over k")


def plot_correlations(matrix: np.ndarray, names: Sequence[str]) -> Plot:
    """How the features go together.

    Args:
        matrix: Their correlations, shape (features, features).
        names: The features.

    Returns:
        The picture.
    """
    labels = [name.replace("_", " ") for name in names]
    figure = _figure(8, 7, left=_room(labels), right=0.1, bottom=0.65 * _room(labels))
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), labels)
    for row in range(len(names)):
        for column in range(row + 1):  # the other half says the same
            colour = "white" if abs(matrix[row, column]) > 0.6 else "black"
            text = f"{matrix[row, column]:.2f}".replace("-0.00", "0.00")
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(image, ax=axes, shrink=0.8, label="Correlation")
    axes.set_title("Feature correlations")
    return _finish(figure, "Feature correlations")


def plot_components(rows: Rows) -> Plot:
    """Customers on the three components, by segment.

    Args:
        rows: Customers with `pc1`, `pc2`, `pc3` and `segment_id`.

    Returns:
        The picture.
    """
    import mpl_toolkits.mplot3d  # noqa: F401, PLC0415  (registers the 3-D projection)

    figure = _figure(8, 6.5, left=0.2, right=1.2, bottom=0.3)
    axes = figure.add_subplot(projection="3d")
    for segment in sorted({row["segment_id"] for row in rows}):
        members = [row for row in rows if row["segment_id"] == segment]
        points = np.array([[row["pc1"], row["pc2"], row["pc3"]] for row in members])
        axes.scatter(*points.T, s=9, alpha=0.6, linewidths=0, label=segment, **_look(segment))
    axes.set(xlabel="Component 1", ylabel="Component 2", zlabel="Component 3", title="Customers on the components")
    figure.legend(title="Segment", loc="center right", frameon=False, markerscale=2.5)
    return _finish(figure, "Customers on the first three components, by segment")


def plot_shown(rows: Rows, profiles: Rows, recipe: Recipe) -> Plot:
    """The two numbers that segments are first looked at by, against each other.

    Args:
        rows: Customers with both, and `segment_id`.
        profiles: The table `profiles`.
        recipe: Says which features those are, at least two, and what people call them.

    Returns:
        The picture.
    """
    upwards, across = recipe.shown
    words = recipe.by_name[across].words, recipe.by_name[upwards].words
    names = [f"{profile['segment_id']} {profile['persona']}" for profile in profiles]
    columns = 2 if _room(names) < 8 / 2 else 1
    legend = LINE * -(-len(profiles) // columns)
    figure = _figure(8, 4.8 + legend, bottom=0.7 + legend)
    axes = figure.subplots()
    for profile, name in zip(profiles, names, strict=True):
        members = [row for row in rows if row["segment_id"] == profile["segment_id"]]
        x, y = [row[across] for row in members], [row[upwards] for row in members]
        axes.scatter(x, y, s=11, alpha=0.55, linewidths=0, label=name, **_look(profile["segment_id"]))
    title = f"{words[0].named[:1].upper()}{words[0].named[1:]} against {words[1].named}"
    axes.set(xlabel=words[0].label, ylabel=words[1].label, title=title)
    for number, axis in zip((across, upwards), (axes.xaxis, axes.yaxis), strict=True):
        if recipe.is_uneven(number) and min((row[number] for row in rows), default=0) >= 0:
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("symlog", linthresh=1)
        axis.set_major_formatter(lambda value, _: _tick(value))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="lower center", frameon=False, markerscale=2, ncols=columns)
    return _finish(figure, f"{title}, by segment")


def _tick(value: float) -> str:
    """A number in so few letters that it has room beside an axis."""
    return f"{value / MILLION:,.10g}M" if abs(value) >= MILLION else f"{value:,.10g}"


def plot_sizes(profiles: Rows) -> Plot:
    """How many customers each segment has.

    Args:
        profiles: The table `profiles`.

    Returns:
        The picture.
    """
    names = [f"{profile['segment_id']} {profile['persona']}" for profile in profiles]
    # Bars have half of the usual width at least, however long the names are.
    figure = _figure(max(8, _room(names) + 5), 1.2 + 0.5 * len(profiles), left=_room(names))
    axes = figure.subplots()
    colours = [_look(profile["segment_id"])["color"] for profile in profiles]
    bars = axes.barh(names, [profile["customers"] for profile in profiles], color=colours)
    axes.bar_label(bars, [f"{profile['customers']:,} ({profile['share']:.1%})" for profile in profiles], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.28)
    axes.set(xlabel="Customers", title="Segment sizes")
    axes.spines[["top", "right"]].set_visible(False)
    return _finish(figure, "Segment sizes")


def plot_flows(rows: Rows) -> Plot:
    """Customers between segments since the night before, as bands.

    Args:
        rows: Flows of a night and period, rows of `segment_migration`.

    Returns:
        The picture.
    """
    flows: Counter[Any] = Counter()
    for row in rows:
        flows[row["from_segment_id"], row["to_segment_id"]] += row["customers"]
    laid = lay_out_flows(flows, width=220, room=15, gap=16, labelled=12)
    figure = _figure(8, 0.8 + laid.height / 75, left=EDGE, bottom=EDGE)
    axes = figure.subplots()
    for band in laid.bands:
        _draw_band(axes, band)
    for block in laid.before:
        _draw_block(axes, block, 0, "arrived")
    for block in laid.after:
        _draw_block(axes, block, 1, "left")
    axes.set(xlim=(-0.2, 1.2), ylim=(laid.height + 4, -4), title=f"Customers since {rows[0]['since']}")
    axes.axis("off")
    return _finish(figure, f"Customers who stayed, moved, arrived and left since {rows[0]['since']}")


def _draw_band(axes: "Axes", band: Band) -> None:
    x = np.linspace(0, 1, 60)
    middle = band.left + (band.right - band.left) * x * x * (3 - 2 * x)
    colour = _look(band.start or band.end or "")["color"]
    # What moved must be seen even where it is few; what stayed is only its background.
    alpha, line = (0.18, 0) if band.stays else (0.6, 0.8)
    low, high = middle - band.width / 2, middle + band.width / 2
    axes.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=line, zorder=1 if band.stays else 2)
    if band.is_labelled:
        paper = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.8}
        label = f"{band.customers:,} {band.whither}"
        axes.text(0.015, band.left, label, va="center", fontsize=8, bbox=paper, zorder=4)


def _draw_block(axes: "Axes", block: Block, side: int, nowhere: str) -> None:
    colour = "0.5" if block.segment is None else _look(block.segment)["color"]
    axes.fill_between([side - 0.004, side + 0.004], block.top, block.top + block.height, color=colour, zorder=3)
    label = f"{block.segment or nowhere}\n{block.customers:,}"
    place = (side + (0.02 if side else -0.02), block.top + block.height / 2)
    axes.text(*place, label, ha="left" if side else "right", va="center", fontsize=9)
