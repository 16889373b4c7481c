"""The nouns that Dagster shows, in lineage order: ingest, prepare, model, segments, history, audiences, publish.

A body calls a verb of `segmentation` and says what it did; the lake writes what it yields, and what was written is
judged before anything downstream begins.
"""

import base64
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from types import ModuleType
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration.tables import OUTLINES
from smartcart_pipeline.orchestration.checks import Check, checks_of
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.report.plots import Plot
from smartcart_pipeline.storage.lake import Lake

OWNERS = ["team:data-engineering"]

Body = Callable[..., Iterator[dg.Output[Any]]]
# How a body asks for a table: by its name, and as this.
FRAME = nw.LazyFrame
# What other steps need and people hardly look at stands in groups beside, out of the way of who reads the graph.
INTERNAL = {
    **dict.fromkeys(("scaler", "correlations"), "prepare_internals"),
    **dict.fromkeys(("loadings", "sampled_customers", "contested_models", "fitted_centroids"), "model_internals"),
}
# So many tables give their step its name; of more, there is the number.
NAMED = 2
# The tags of a run that say what it is over: the file, and the night with its day.
EXPORT_TAG, NIGHT_TAG = "smartcart/export", "smartcart/night"


def makes(
    group: str,
    tables: Mapping[str, tuple[ModuleType, ...]],
    freshness_policies: Mapping[str, dg.FreshnessPolicy] | None = None,
    after: tuple[str, ...] = (),
) -> Callable[[Body], dg.AssetsDefinition]:
    """A step that makes tables, which are assets, and holds each against its checks.

    Args:
        group: The group they stand in.
        tables: For each table the modules that compute it; a change in their source is a new code version. The first
            one gives the step its name.
        freshness_policies: When each of some tables counts as late.
        after: Further tables on which these depend, though the body does not read them.

    Returns:
        A decorator of the body, which yields an output for each table.
    """
    checks, policies = checks_of(tuple(tables)), freshness_policies or {}

    def decorate(body: Body) -> dg.AssetsDefinition:
        read = [name for name, handed in inspect.signature(body).parameters.items() if handed.annotation is FRAME]
        return dg.multi_asset(
            name=name_step(tuple(tables)),
            outs={name: _out(name, group, verbs, policies.get(name)) for name, verbs in tables.items()},
            # Read by the step itself: of each table handed in by Dagster, it would record two events.
            deps=[*after, *read],
            check_specs=[check.spec for check in checks],
        )(_judged(body, read, checks))

    return decorate


def name_step(tables: Sequence[str]) -> str:
    """What a step is called: after the tables that it makes.

    Args:
        tables: They, the one that people look for first.

    Returns:
        For example `profiles_and_5_more`.
    """
    first, *others = tables
    return "_and_".join(tables) if len(tables) <= NAMED else f"{first}_and_{len(others)}_more"


def _out(
    name: str, group: str, verbs: tuple[ModuleType, ...], freshness_policy: dg.FreshnessPolicy | None
) -> dg.AssetOut:
    """What an asset says of itself, from its table's declaration."""
    table = OUTLINES[name]
    return dg.AssetOut(
        description=f"{table.description} One row is {table.grain}.",
        group_name=INTERNAL.get(name, group),
        owners=OWNERS,
        kinds={"python", "duckdb", "parquet"},
        code_version=source_version(*verbs),
        freshness_policy=freshness_policy,
    )


def _judged(body: Body, read: Sequence[str], checks: Sequence[Check]) -> Callable[..., Iterator[Any]]:
    """The body, and then its checks, which read what was written: a step of their own would cost as much as they do."""
    signature = inspect.signature(body)
    own = {name: handed for name, handed in signature.parameters.items() if name not in read}
    needed = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
        for name, annotation in (("settings", Settings), ("lake", dg.ResourceParam[Lake]))
        if name not in own
    }

    @wraps(body)
    def make(*context: dg.AssetExecutionContext, settings: Settings, lake: Lake, **resources: Any) -> Iterator[Any]:
        handed = {name: value for name, value in (("settings", settings), ("lake", lake)) if name not in needed}
        yield from body(*context, **handed, **resources, **{name: lake.read(name) for name in read})
        for check in checks:
            yield check.evaluate(lake, settings)

    make.__signature__ = signature.replace(parameters=[*own.values(), *needed.values()])  # type: ignore[attr-defined]
    return make


def source_version(*modules: ModuleType) -> str:
    """A short hash of the modules' source.

    Args:
        *modules: The modules.

    Returns:
        Twelve hexadecimal digits.
    """
    digest = hashlib.sha256("".join(inspect.getsource(module) for module in modules).encode())
    return digest.hexdigest()[:12]


def picture(plot: Plot) -> dg.MarkdownMetadataValue:
    """A plot as metadata, shown in the UI.

    Args:
        plot: The plot.

    Returns:
        Markdown with the picture in it.
    """
    return dg.MetadataValue.md(f"![{plot.caption}](data:image/png;base64,{base64.b64encode(plot.png).decode()})")
