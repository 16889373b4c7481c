"""Readable rules: the segments in conditions that a CRM's filters can express, from a shallow decision tree.

The tree sees features in the business's units, and its thresholds are whole numbers before anything is measured, so
that what is written is what is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import expm1, floor
from operator import and_
from typing import Any

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.recipe import EncodedFeature, Log, Recipe
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.features import is_one_of
from smartcart_pipeline.segmentation.model import SegmentModel, assign_model

DEPTH = 4
# A leaf of fewer sampled customers than this share says more about the sample than about the segments.
SMALLEST_LEAF = 0.005


@dataclass(frozen=True)
class Rule:
    """Who is put into a segment: all of the conditions must hold, each on a column of `features`.

    Attributes:
        cluster: Number of the segment's cluster.
        above: Values above these.
        upto: Values up to these.
        levels: One of these categories.
    """

    cluster: int
    above: Mapping[str, float] = field(default_factory=dict)
    upto: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def fit_rules(values: np.ndarray, clusters: np.ndarray, recipe: Recipe, seed: int) -> list[Rule]:
    """Fit scikit-learn's decision tree (CART, Breiman et al. 1984), at most four questions deep, and read its leaves.

    Args:
        values: Customers by the recipe's names, from `encode_features`, shape (customers, features), float64.
        clusters: The cluster of each, shape (customers,), integers.
        recipe: What the rules may speak of: no outcome, as it must define neither a segment nor the rules for one.
        seed: Decides between splits that are equally good.

    Returns:
        Rules in the order of clusters, of which every customer meets exactly one. Leaves side by side that stand for
        the same cluster are one rule.
    """
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415  (slow to import)

    smallest = max(1, int(len(values) * SMALLEST_LEAF))
    fitted = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=smallest, random_state=seed).fit(values, clusters)
    everyone = Rule(-1, levels=dict(recipe.categorical))
    return sorted(_leaves(fitted.tree_, fitted.classes_, 0, everyone, recipe), key=lambda rule: rule.cluster)


def _leaves(tree: Any, classes: np.ndarray, node: int, path: Rule, recipe: Recipe) -> list[Rule]:
    """The rules below a node."""
    if tree.children_left[node] < 0:
        return [_tidy(path, int(classes[tree.value[node, 0].argmax()]), recipe)]
    feature, threshold = recipe.encoded[tree.feature[node]], float(tree.threshold[node])
    low, high = _split(path, feature, _readable(threshold, recipe.by_name[feature.source].step))
    rules = _leaves(tree, classes, tree.children_left[node], low, recipe) + _leaves(
        tree, classes, tree.children_right[node], high, recipe
    )
    same = len({rule.cluster for rule in rules}) == 1
    return [_tidy(path, rules[0].cluster, recipe)] if same else rules


def _readable(threshold: float, step: float | None) -> float:
    """A threshold as people write it: a whole number, or three digits of what is rounded to a part of one."""
    return floor(threshold) if step is None else float(f"{threshold:.3g}")


def _split(path: Rule, feature: EncodedFeature, threshold: float) -> tuple[Rule, Rule]:
    """The conditions on both sides of a question."""
    if feature.category is None:
        return (
            replace(path, upto={**path.upto, feature.name: threshold}),
            replace(path, above={**path.above, feature.name: threshold}),
        )
    others = tuple(level for level in path.levels[feature.source] if level != feature.category)
    return (
        replace(path, levels={**path.levels, feature.source: others}),
        replace(path, levels={**path.levels, feature.source: (feature.category,)}),
    )


def _tidy(path: Rule, cluster: int, recipe: Recipe) -> Rule:
    """The rule of a leaf, without conditions that hold of everyone."""
    every = dict(recipe.categorical)
    levels = {column: levels for column, levels in path.levels.items() if len(levels) < len(every[column])}
    return Rule(cluster, path.above, path.upto, levels)


def meets(rule: Rule) -> nw.Expr:
    """Whether a customer meets a rule.

    Args:
        rule: The rule.

    Returns:
        An expression over `features` (Boolean).
    """
    conditions = [
        *(nw.col(name) > value for name, value in rule.above.items()),
        *(nw.col(name) <= value for name, value in rule.upto.items()),
        *(is_one_of(nw.col(name), levels) for name, levels in rule.levels.items()),
    ]
    return reduce(and_, conditions, nw.lit(True))


def count_agreement(features: FrameT, rules: Sequence[Rule], model: SegmentModel) -> FrameT:
    """Hold rules against the model, in one pass over all customers.

    Args:
        features: Customers from `describe_customers`.
        rules: The rules.
        model: The model.

    Returns:
        One row a rule and cluster that occur together: `rule_number` (from 1), `kmeans_cluster` and `customers`.
    """
    numbers = [nw.when(meets(rule)).then(nw.lit(n, nw.Int32)) for n, rule in enumerate(rules, start=1)]
    ruled = features.with_columns(nw.coalesce(*numbers).alias("rule_number"))
    return (
        assign_model(ruled, model, beside=("rule_number",))
        .group_by("rule_number", "kmeans_cluster")
        .agg(nw.len().alias("customers"))
    )


def rule_rows(rules: Sequence[Rule], counted: Rows, model: SegmentModel) -> Rows:
    """What each rule says in words, and how well it does.

    Args:
        rules: The rules.
        counted: Rows from `count_agreement`.
        model: The model.

    Returns:
        The rows of the table `segment_rules`, without their SQL.
    """
    counts = {(row["rule_number"], row["kmeans_cluster"]): row["customers"] for row in counted}
    everyone = sum(counts.values())
    of_rule = [sum(counts.get((n, c), 0) for c in range(len(model.segment_ids))) for n in range(1, len(rules) + 1)]
    right = [counts.get((n, rule.cluster), 0) for n, rule in enumerate(rules, start=1)]
    rows = []
    for number, rule in enumerate(rules, start=1):
        customers, agreed = of_rule[number - 1], right[number - 1]
        in_segment = sum(count for (_, cluster), count in counts.items() if cluster == rule.cluster)
        rows.append(
            {
                "rule_number": number,
                "segment_id": model.segment_ids[rule.cluster],
                "description": describe_rule(rule, model.features),
                "customers": customers,
                "precision": agreed / customers if customers else 0.0,
                "coverage": agreed / in_segment if in_segment else 0.0,
                "agreement": sum(right) / everyone,
            }
        )
    return rows


def columns_of(rule: Rule, recipe: Recipe) -> tuple[str, ...]:
    """The columns that a rule looks at.

    Args:
        rule: The rule.
        recipe: What it may speak of.

    Returns:
        Their names, in the order of the recipe: numbers first.
    """
    looked_at = {*rule.above, *rule.upto, *rule.levels}
    return tuple(dict.fromkeys(feature.source for feature in recipe.encoded if feature.source in looked_at))


def describe_rule(rule: Rule, recipe: Recipe) -> str:
    """A rule in plain words.

    Args:
        rule: The rule.
        recipe: What it speaks of.

    Returns:
        For example "yearly premium above 400 and up to 600; tariff: Yearly".
    """
    return "; ".join(_describe(rule, name, recipe) for name in columns_of(rule, recipe)) or "everyone"


def _describe(rule: Rule, column: str, recipe: Recipe) -> str:
    verb, condition = recipe.by_name[column].verb, recipe.by_name[column].words.condition
    if column in rule.levels:
        return f"{condition}: {' or '.join(rule.levels[column])}"
    above, upto = rule.above.get(column), rule.upto.get(column)
    if isinstance(verb, Log) and verb.of in recipe.by_name:
        # Nobody thinks in logarithms.
        condition = recipe.by_name[verb.of].words.condition
        above, upto = (bound if bound is None else _round(expm1(bound)) for bound in (above, upto))
    bounds = [f"above {above:,}"] if above is not None else []
    bounds += [f"up to {upto:,}"] if upto is not None else []
    return f"{condition} {' and '.join(bounds)}"


def _round(value: float) -> float:
    """A number to four digits; whole where it has as many before the point."""
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded == int(rounded) else rounded
