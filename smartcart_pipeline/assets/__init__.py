"""The nouns that Dagster shows, in lineage order: ingest, prepare, model, segments, publish.

A body calls a verb of `segmentation` and says what it did; the lake writes what it yields, and what was written is
judged before anything downstream begins.
"""

import base64
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import ModuleType
from typing import Any

import dagster as dg

from smartcart_pipeline.checks import Check, checks_of
from smartcart_pipeline.plots import Plot
from smartcart_pipeline.resources import Settings
from smartcart_pipeline.storage.lake import Lake
from smartcart_pipeline.tables import TABLES

OWNERS = ["team:data-engineering"]

Body = Callable[..., Iterator[dg.Output[Any]]]


def makes(
    group: str, tables: Mapping[str, tuple[ModuleType, ...]], freshness_policy: dg.FreshnessPolicy | None = None
) -> Callable[[Body], dg.AssetsDefinition]:
    """A step that makes tables, which are assets, and holds each against its checks.

    Args:
        group: The group they stand in.
        tables: For each table the modules that compute it; a change in their source is a new code version.
        freshness_policy: When the tables count as late.

    Returns:
        A decorator of the body, which yields an output for each table, in their order.
    """
    checks = checks_of(tuple(tables))

    def decorate(body: Body) -> dg.AssetsDefinition:
        return dg.multi_asset(
            name=body.__name__,
            outs={name: _out(name, group, verbs, freshness_policy) for name, verbs in tables.items()},
            check_specs=[check.spec for check in checks],
        )(_judged(body, checks))

    return decorate


def _out(
    name: str, group: str, verbs: tuple[ModuleType, ...], freshness_policy: dg.FreshnessPolicy | None
) -> dg.AssetOut:
    """What an asset says of itself, from its table's declaration."""
    table = TABLES[name]
    return dg.AssetOut(
        description=f"{table.description} One row is {table.grain}.",
        group_name=group,
        owners=OWNERS,
        kinds={"python", "duckdb", "parquet"},
        code_version=source_version(*verbs),
        freshness_policy=freshness_policy,
    )


def _judged(body: Body, checks: list[Check]) -> Callable[..., Iterator[Any]]:
    """The body, and then its checks, which read what was written: a step of their own would cost as much as they do."""
    signature = inspect.signature(body)
    needed = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
        for name, annotation in (("settings", Settings), ("lake", dg.ResourceParam[Lake]))
        if name not in signature.parameters
    }

    @wraps(body)
    def make(*context: dg.AssetExecutionContext, settings: Settings, lake: Lake, **inputs: Any) -> Iterator[Any]:
        handed = {name: value for name, value in (("settings", settings), ("lake", lake)) if name not in needed}
        yield from body(*context, **handed, **inputs)
        for check in checks:
            yield check.evaluate(lake, settings)

    parameters = [*signature.parameters.values(), *needed.values()]
    make.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
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
