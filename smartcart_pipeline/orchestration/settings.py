"""What can be set: for a run, in the launchpad of the UI, and for all runs of a home, in its `settings.yaml`."""

from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from smartcart_pipeline.declaration.declaration import shipped_recipes
from smartcart_pipeline.declaration.errors import HomeError
from smartcart_pipeline.declaration.files import nearest
from smartcart_pipeline.declaration.recipe import MOST_SEGMENTS
from smartcart_pipeline.exports.as_of import require_lasting
from smartcart_pipeline.notifications.receivers import NAMES, read_notify
from smartcart_pipeline.segmentation.gate import Gate, Refit
from smartcart_pipeline.segmentation.hysteresis import Hysteresis
from smartcart_pipeline.segmentation.structure import Verdict
from smartcart_pipeline.storage.access import NAMES as ACCESS
from smartcart_pipeline.storage.access import read_access
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.settings_file import read_settings


class Settings(dg.ConfigurableResource):
    """What can be set for a run."""

    input: str | None = Field(
        default=None, description="The export to segment. Default: the newest in <home>/incoming."
    )
    as_of: str | None = Field(
        default=None,
        description="The day that everything is counted to: newest (join date), delivered (the day of the file's "
        "modification time), a pattern of the file's name such as customers-%Y%m%d.csv, or a date, YYYY-MM-DD. "
        "Default: what the recipe says.",
    )
    recipe: str | None = Field(
        default=None,
        description="What is made of the export: the name of a shipped recipe, or the path of a file. Default: the "
        "home's recipe.yaml, else behavioural.",
    )
    max_rejected_share: float = Field(
        default=0.05, ge=0, le=1, description="A run with more rejected rows than this fails."
    )
    seed: int = Field(default=42, ge=0, description="Seed of every random choice.")
    sample_customers: int = Field(
        default=10_000, ge=100, description="k is chosen, and k-means begun, on at most this many customers."
    )
    ward_customers: int = Field(
        default=3_000,
        ge=100,
        description="Agglomerative clustering is fitted on at most this many; its cost is quadratic.",
    )
    comparison_customers: int = Field(
        default=3_000, ge=100, description="The two algorithms are compared on at most this many customers."
    )

    refit: Refit = Field(
        default="auto",
        description="Whether tonight's fit takes the place of the model in force: auto (the gate), always, or never.",
    )
    min_drifted_features: float = Field(
        default=Gate.drifted_features, ge=0, le=1, description="Gate: a reason is so large a share of drifted features."
    )
    min_silhouette_gain: float = Field(
        default=Gate.silhouette_gain, ge=0, description="Gate: a reason is so much better a silhouette."
    )
    min_unexplained_customers: float = Field(
        default=Gate.unexplained_customers,
        ge=0,
        le=1,
        description="Gate: where so large a share is far from every segment, one more is tried.",
    )
    min_stability: float = Field(
        default=Gate.stability, le=1, description="Gate: the challenger is at least so stable."
    )
    max_silhouette_loss: float = Field(
        default=Gate.silhouette_loss, ge=0, description="Gate: the challenger's silhouette may be so much worse."
    )
    min_segment_share: float = Field(
        default=Gate.segment_share, ge=0, le=1, description="Gate: the smallest segment has this share at least."
    )
    max_relabelled_customers: float = Field(
        default=Gate.relabelled_customers,
        ge=0,
        le=1,
        description="Gate: the budget, a share of the known customers that may change segment.",
    )
    require_structure: Verdict = Field(
        default=Gate.structure,
        description="Gate: the challenger's segments are as much to be believed as that: natural, reproducible, or "
        "(asking nothing) constructed.",
    )
    segments: int | None = Field(
        default=None,
        ge=2,
        le=MOST_SEGMENTS,
        description="How many segments there shall be. Default: what the recipe says, else what the data say.",
    )
    max_sensitive_association: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="The check of sensitive_association warns if a sensitive attribute goes with the segments by more "
        "than this (Cramér's V).",
    )
    block_sensitive: bool = Field(default=False, description="Whether that stops the run instead of warning.")
    band: float = Field(
        default=Hysteresis.band, ge=0, description="A customer moves at once if the margin is above this (no unit)."
    )
    band_nights: int = Field(
        default=Hysteresis.nights, ge=1, le=120, description="Within the band, a move counts after so many nights."
    )
    copied_rows: int = Field(
        default=500_000,
        ge=0,
        description="Larger tables are not copied into the warehouse: it has a view of the run's file in the lake.",
    )
    kept_publications: int = Field(
        default=7, ge=1, description="So many publications stay, with the files of the lake that they need."
    )
    kept_records: int = Field(
        default=90, ge=1, description="Dagster forgets runs that are older than so many good nights, with their events."
    )
    wait_seconds: int = Field(
        default=3_600, ge=0, description="How long a run waits for another to end, at most; one at a time uses a home."
    )

    @property
    def gate(self) -> Gate:
        """When a challenger is promoted."""
        return Gate(
            refit=self.refit,
            drifted_features=self.min_drifted_features,
            silhouette_gain=self.min_silhouette_gain,
            unexplained_customers=self.min_unexplained_customers,
            stability=self.min_stability,
            silhouette_loss=self.max_silhouette_loss,
            segment_share=self.min_segment_share,
            relabelled_customers=self.max_relabelled_customers,
            structure=self.require_structure,
        )

    @property
    def hysteresis(self) -> Hysteresis:
        """When a customer's published segment follows the raw one."""
        return Hysteresis(self.band, self.band_nights)


def _find_recipe(home: Home, recipe: str) -> str:
    """The recipe that a home sets: a shipped one, or a file, whose place is counted from the home."""
    if recipe in shipped_recipes():
        return recipe
    path = home.root / recipe
    if not path.is_file():
        known = nearest(recipe, tuple(shipped_recipes()))
        raise HomeError(f"{home.settings}: recipe is {recipe!r}{known}. Or name a file of the home that ends in .yaml.")
    return str(path)


# What a home's settings may set.
SECTIONS = {
    "settings": tuple(Settings.model_fields),
    "engine": ("memory_limit", "spill_directory", "spark"),
    "notify": NAMES,
    "access": ACCESS,
}


def read_home(home: Home) -> dict[str, dict[str, Any]]:
    """What a home sets for all its runs.

    Args:
        home: The home.

    Returns:
        `settings`: fields of `Settings`; `engine`: the engine's configuration.

    Raises:
        HomeError: If the file cannot be read, or a value is none that the field takes.
    """
    chosen = read_settings(home, SECTIONS)
    read_notify(home.settings, chosen.pop("notify"))
    if "as_of" in chosen["settings"]:
        require_lasting(chosen["settings"]["as_of"], home.settings)
    chosen.pop("access")
    read_access(home)
    if isinstance(chosen["settings"].get("recipe"), str):
        chosen["settings"]["recipe"] = _find_recipe(home, chosen["settings"]["recipe"])
    try:
        Settings(**chosen["settings"])
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]} is {fault['input']!r}: {fault['msg']}" for fault in error.errors())
        raise HomeError(f"{home.settings}: {faults}. Correct the file.") from None
    return chosen
