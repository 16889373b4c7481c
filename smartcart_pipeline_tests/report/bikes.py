"""What the report reads of a bicycle hire: a table without worth, channels or composition; more may be declared.

`declare_bikes` makes the declaration, `find_bikes` what was read of a night of it.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from smartcart_pipeline.declaration.declaration import Declaration, declare
from smartcart_pipeline.declaration.reading_contract import build_contract
from smartcart_pipeline.declaration.reading_recipe import build_recipe
from smartcart_pipeline.report.reading import Findings
from smartcart_pipeline_tests.report.first_night import first_night

NUMBERS = ("rides", "distance_km", "late_share")
FLAGS = ("owns_helmet", "renewed", "wrote_review")

Plain = dict[str, Any]


def declare_bikes(**more: Any) -> Declaration:
    """The declaration.

    Args:
        **more: Sections of the recipe, instead of those that say nothing.

    Returns:
        A contract of three numbers, three flags and a tariff, and a recipe that sees all but two flags.
    """
    number = {"logicalType": "number", "physicalType": "DOUBLE", "required": True, "logicalTypeOptions": {"minimum": 0}}
    flag = {"logicalType": "boolean", "required": True}
    tariffs = [{"value": "Day"}, {"value": "VIP pass"}]
    properties = [
        {"name": "customer_id", "logicalType": "integer", "primaryKey": True, "required": True, "unique": True},
        *({"name": name} | number for name in NUMBERS),
        *({"name": name} | flag for name in FLAGS),
        {"name": "tariff", "logicalType": "string", "required": True, "enum": tariffs},
    ]
    columns = [{"description": "x", "physicalName": column["name"]} | column for column in properties]
    head = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "b", "name": "b", "version": "1", "status": "active"}
    contract, faults = build_contract(
        Path("contract.yaml"),
        head | {"schema": [{"name": "customers", "logicalType": "object", "properties": columns}]},
    )
    assert faults == []
    plain = {
        "recipe": {"name": "bikes", "contract": "b"},
        "features": {
            **{name: {"column": name} for name in NUMBERS},
            "owns_helmet": {"flag": "owns_helmet", "share": "own a helmet"},
            "tariff": {"regroup": "tariff", "into": {"VIP pass": ["VIP pass"]}, "otherwise": "Day"},
        },
        "report": {"told": [*NUMBERS, "owns_helmet", "tariff_vip_pass"]},
    }
    recipe, wrong = build_recipe(Path("recipe.yaml"), plain | more, contract)
    assert wrong == []
    return declare(contract, recipe)


def find_bikes(declaration: Declaration, base: Plain, *segments: Plain) -> Findings:
    """What was read of a night.

    Args:
        declaration: Its declaration.
        base: Figures of all customers, where they are not 0.5.
        *segments: Figures of each segment, where they are not those of all customers; `reached` has shares by number,
            `outcomes` rates and their intervals by outcome.

    Returns:
        The findings.
    """
    recipe = declaration.recipe
    means = [f"{kind}_{name}" for kind in ("mean", "median") for name in recipe.measured]
    figures = [*means, *recipe.rates, *(recipe.profiled_as(name) for name in recipe.names)]
    everyone = dict.fromkeys(figures, 0.5) | {"customers": 1_000} | base
    own = {"customers": 1_000 // len(segments), "share": 1 / len(segments), "spending_share": 1 / len(segments)}
    ids = [f"S{number:02d}" for number in range(1, len(segments) + 1)]
    score = {"silhouette": 0.5, "calinski_harabasz": 9.0, "davies_bouldin": 1.0}
    counts = dict.fromkeys(("raw_customers", "cleaned", "rejected_customers"), 1_000)
    point = dict.fromkeys((*recipe.measured, "pc1", "pc2", "pc3"), 0.02)
    return Findings(
        declaration=declaration,
        counts_outcomes=False,
        publication={"run_id": "r", "as_of_date": date(2026, 3, 1), "recipe": "bikes", "export_name": "bikes.csv"}
        | {"published_at": datetime(2026, 3, 2), "row_counts": counts},  # noqa: DTZ001
        profiles=[
            everyone | own | {"segment_id": segment, "persona": f"persona {segment}"} | told
            for segment, told in zip(ids, segments, strict=True)
        ],
        base=everyone,
        spread=dict.fromkeys(recipe.names, 0.5),
        reached={
            (segment, name): told.get("reached", {}).get(name, 0.5)
            for segment, told in zip(ids, segments, strict=True)
            for name in recipe.measured
        },
        both={},
        channels=[],
        categories=[],
        responses=[
            {"segment_id": segment, "outcome": outcome.name, "customers": 500, "responses": 100}
            | dict(zip(("rate", "rate_low", "rate_high"), told["outcomes"][outcome.name], strict=True))
            for outcome in recipe.outcomes
            for segment, told in zip(ids, segments, strict=True)
        ],
        rules=[],
        plotted=[point | {"segment_id": segment} for segment in ids],
        candidates=[
            score
            | {"k": k, "inertia": 9.0, "stability": 1.0, "smallest_cluster_share": 0.5, "sample_customers": 1_000}
            | {"elbow_share": 1 / 3, "null_silhouette": 0.2, "prediction_strength": 0.9, "recovery": 0.8}
            | {"is_selected": k == 2, "reason": "elbow"}
            for k in (1, 2, 3)
        ],
        comparison=[
            score
            | {"algorithm": "kmeans", "space": "scaled", "adjusted_rand_index": 1.0, "sizes": [500, 500]}
            | {"sample_customers": 1_000, "fitted_customers": 1_000}
        ],
        loadings=[
            {"component": component, "feature": recipe.names[0], "loading": 1.0, "explained_variance_ratio": 0.3}
            for component in ("pc1", "pc2", "pc3")
        ],
        imputed={},
        **first_night(recipe, date(2026, 3, 1), len(segments)),
    )
