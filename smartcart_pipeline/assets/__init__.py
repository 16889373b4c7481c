"""The nouns that Dagster shows, in lineage order: ingest, prepare, model, segments, publish.

A body calls a verb of `segmentation` and says what it did; the lake writes what it returns.
"""

import base64
import hashlib
import inspect
from types import ModuleType
from typing import TypedDict

import dagster as dg

from smartcart_pipeline.plots import Plot
from smartcart_pipeline.tables import TABLES

OWNERS = ["team:data-engineering"]


class Described(TypedDict):
    """What every asset says of itself."""

    description: str
    group_name: str
    owners: list[str]
    kinds: set[str]
    code_version: str


def described(name: str, group: str, *verbs: ModuleType) -> Described:
    """What an asset says of itself, from its table's declaration.

    Args:
        name: The table.
        group: The group it stands in.
        *verbs: The modules that compute it; a change in their source is a new code version.

    Returns:
        Arguments of an asset decorator.
    """
    table = TABLES[name]
    return {
        "description": f"{table.description} One row is {table.grain}.",
        "group_name": group,
        "owners": OWNERS,
        "kinds": {"python", "duckdb", "parquet"},
        "code_version": source_version(*verbs),
    }


def out(name: str, group: str, *verbs: ModuleType) -> dg.AssetOut:
    """One of several tables that an asset makes at once; arguments as for `described`."""
    return dg.AssetOut(**described(name, group, *verbs))


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
