"""Checks: what must hold of every table before anything is published.

Schema checks follow from the declarations in `tables`; semantic checks say what a schema cannot. A check that blocks
stops the run, so that readers keep what was published before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from math import isfinite
from pathlib import Path
from typing import Any

import dagster as dg
import narwhals as nw

from smartcart_pipeline.declaration.columns import TYPES, Column, SqlType
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.errors import ExportError
from smartcart_pipeline.declaration.tables import OUTLINES, Table
from smartcart_pipeline.engines.engine import Engine, Span, Written
from smartcart_pipeline.orchestration.faults import AT_FAULT
from smartcart_pipeline.orchestration.settings import Settings
from smartcart_pipeline.segmentation import components, drivers, sensitive
from smartcart_pipeline.segmentation.cleaning import find_causes, tell_causes
from smartcart_pipeline.segmentation.features import is_one_of
from smartcart_pipeline.segmentation.history import membership_on
from smartcart_pipeline.storage.lake import Lake

# The check of `raw_customers` that the sensors fail when they refuse an export.
CAN_BE_USED = "export_can_be_used"

UNCORRELATED = 1e-6

# A mismatch of the sample ratio is told where chance makes as large a one more seldom (Fabijan et al. 2019, KDD).
RATIO_BY_CHANCE = 0.001

# A component this much narrower than the widest carries rounding errors only.
FLAT = 1e-9

DTYPES: dict[SqlType, Any] = {name: getattr(nw, known.narwhals) for name, known in TYPES.items()} | {
    "TIMESTAMP": nw.Datetime,
    "INTEGER[]": nw.List(nw.Int32),
    "VARCHAR[]": nw.List(nw.String),
}


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        passed: Whether it holds.
        description: What was found, in words.
        metadata: The figures.
        only_warns: Whether this failure stops no run, though the check's do.
    """

    passed: bool
    description: str
    metadata: dict[str, Any]
    only_warns: bool = False


@dataclass(frozen=True)
class Check:
    """A rule about a table.

    Attributes:
        table: The table it is shown at.
        name: Its name.
        description: What must hold.
        judge: Judges the tables of a run.
        blocking: Whether a failure stops the run; else it warns.
        settings: The settings that it is judged by, which are handed to `judge` by their names.
    """

    table: str
    name: str
    description: str
    judge: Callable[..., Verdict]
    blocking: bool = True
    settings: tuple[str, ...] = ()

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """What Dagster knows of it."""
        return dg.AssetCheckSpec(self.name, asset=self.table, description=self.description, blocking=self.blocking)

    def evaluate(self, lake: Lake, settings: Settings) -> dg.AssetCheckResult:
        """Judge the tables of a run, for Dagster."""
        verdict = self.judge(lake, **{name: getattr(settings, name) for name in self.settings})
        return dg.AssetCheckResult(
            passed=verdict.passed,
            asset_key=self.table,
            check_name=self.name,
            severity=dg.AssetCheckSeverity.ERROR
            if self.blocking and not verdict.only_warns
            else dg.AssetCheckSeverity.WARN,
            description=verdict.description,
            metadata=verdict.metadata,
        )


@dataclass(frozen=True)
class Rule:
    """What no value of a column may be.

    Attributes:
        column: The column.
        name: What is wrong with such a value, for people.
        is_broken: True of a row with such a value.
        is_kept: Whether what is known of the column says that there is none.
    """

    column: str
    name: str
    is_broken: nw.Expr
    is_kept: Callable[[Span], bool]


def judge_schema(frame: nw.LazyFrame[Any], table: Table, engine: Engine, written: Written) -> Verdict:
    """Hold a table against its declaration: columns in order, types, nulls, ranges, categories, unique keys.

    Args:
        frame: The table.
        table: Its declaration.
        engine: Computes; rows are looked at for those rules only that may be broken by what is known of the columns.
        written: What is known of them.

    Returns:
        The verdict, with every fault in its description.
    """
    schema = frame.collect_schema()
    found = schema.names()
    columns = list(table.columns)
    expected = [column.name for column in columns]
    if found[: len(expected)] != expected or (len(found) > len(expected) and not table.carries_extra):
        return Verdict(False, f"Columns are {found}, expected {expected}.", {})
    if wrong := [column for column in columns if schema[column.name] != DTYPES[column.type]]:
        types = ", ".join(f"{column.name} is {schema[column.name]}, expected {column.type}" for column in wrong)
        return Verdict(False, f"Types are not as declared: {types}.", {})
    rules = list(_rules(columns))
    faults = [f"{rows:,} rows: {name}" for name, rows in _count_broken(frame, engine, rules, written).items()]
    # That no id repeats in a table that follows another is what its check `same_customers` says.
    keys = [] if table.follows or table.grows else [table.key, *((column.name,) for column in columns if column.unique)]
    repeated = {key: engine.count_repeats(frame, key) for key in dict.fromkeys(keys)}
    faults += [f"{count:,} rows: repeated {', '.join(key)}" for key, count in repeated.items() if count]
    description = "; ".join(faults) or f"{written.rows:,} rows hold the declared schema."
    return Verdict(not faults, description, {"rows": written.rows, "rules": len(rules)})


def _rules(columns: list[Column]) -> Iterator[Rule]:
    for column in columns:
        name, value = column.name, nw.col(column.name)
        if not column.nullable:
            yield Rule(name, f"{name} is null", value.is_null(), lambda span: not span.nulls)
        if column.type in ("DOUBLE", "FLOAT"):
            yield Rule(name, f"{name} is not finite", ~value.is_finite(), _is_finite)
        if column.minimum is not None:
            yield Rule(name, f"{name} < {column.minimum:.9g}", value < column.minimum, partial(_above, column.minimum))
        if column.maximum is not None:
            yield Rule(name, f"{name} > {column.maximum:.9g}", value > column.maximum, partial(_below, column.maximum))
        if column.categories:
            is_other = ~is_one_of(value, column.categories)
            yield Rule(name, f"{name} not in {list(column.categories)}", is_other, lambda span: span.is_enumerated)


def _is_finite(span: Span) -> bool:
    return (
        not span.nans and span.least is not None and span.greatest is not None and isfinite(span.least - span.greatest)
    )


def _above(minimum: float, span: Span) -> bool:
    return span.least is not None and span.least >= minimum


def _below(maximum: float, span: Span) -> bool:
    # Engines hold what is not a number for greater than any.
    return not span.nans and span.greatest is not None and span.greatest <= maximum


def _count_broken(frame: nw.LazyFrame[Any], engine: Engine, rules: list[Rule], written: Written) -> dict[str, int]:
    """How many rows break each rule that is broken, by the rules' names."""
    spans = written.spans
    doubtful = [
        rule for rule in rules if written.rows and not (rule.column in spans and rule.is_kept(spans[rule.column]))
    ]
    if not doubtful:
        return {}
    # A rule about a missing value is missing itself, and a sum leaves it out.
    sums = [rule.is_broken.cast(nw.Int32).sum().alias(f"rule_{number}") for number, rule in enumerate(doubtful)]
    [counts] = engine.rows(frame.select(*sums))
    broken = {rule.name: counts[f"rule_{number}"] for number, rule in enumerate(doubtful)}
    return {name: rows for name, rows in broken.items() if rows}


def _can_be_used(lake: Lake, input: str | None) -> Verdict:  # noqa: A002  (as the setting)
    """A run that gets here has read its export; where one cannot be used, the sensors say so at the same check."""
    name, rows = Path(input or "the export").name, lake.count("raw_customers")
    return Verdict(True, f"{name} is an export: {rows:,} rows.", {"export": name, "rows": rows})


def _every_line_accounted_for(lake: Lake) -> Verdict:
    raw, cleaned, rejected = (lake.count(name) for name in ("raw_customers", "cleaned", "rejected_customers"))
    return Verdict(
        raw == cleaned + rejected,
        f"{raw:,} delivered = {cleaned:,} cleaned + {rejected:,} rejected"
        if raw == cleaned + rejected
        else f"{raw:,} delivered, but {cleaned:,} cleaned and {rejected:,} rejected",
        {"raw_customers": raw, "cleaned": cleaned, "rejected_customers": rejected},
    )


def _few_rejected(lake: Lake, max_rejected_share: float) -> Verdict:
    raw, rejected = lake.count("raw_customers"), lake.count("rejected_customers")
    by_reason = lake.engine.rows(
        lake.read("rejected_customers")
        .group_by("reason")
        .agg(nw.len().alias("rows"))
        .sort("rows", "reason", descending=[True, False])
    )
    share = rejected / raw if raw else 0.0
    passed = share <= max_rejected_share
    description = f"{rejected:,} of {raw:,} rows rejected ({share:.1%}; limit {max_rejected_share:.1%})"
    if not passed:
        causes = find_causes(lake.read("rejected_customers"), lake.declaration, lake.engine.rows)
        description += (
            f". {tell_causes(causes)} Correct the export and deliver it again, or raise max_rejected_share. All "
            f"refused rows with their reasons: {lake.path('rejected_customers')}"
        )
    return Verdict(
        passed,
        description,
        {"share": share, "limit": max_rejected_share}
        | ({} if passed else {AT_FAULT: ExportError.whose})
        | {row["reason"]: row["rows"] for row in by_reason},
    )


def _repeats(lake: Lake) -> Verdict:
    """Rows that repeat another but for their id are probably one customer with two ids."""
    described = [name for name in lake.declaration.contract.names if name != KEY]
    repeats = lake.engine.count_repeats(lake.read("raw_customers"), described)
    description = f"{repeats:,} rows repeat another but for their id; they are kept." if repeats else "No row repeats."
    if repeats == 1:
        description = "1 row repeats another but for its id; it is kept."
    return Verdict(repeats == 0, description, {"repeats": repeats})


def _same_customers(table: Table) -> Callable[[Lake], Verdict]:
    """Whether a table has the customers of the one it follows, each once: their fingerprints are compared.

    Holding every id against every other would cost more than the rest of the checks together.
    """

    def judge(lake: Lake) -> Verdict:
        upstream = str(table.follows)
        kept, before = (_fingerprint(lake, name, lake.path(name)) for name in (table.name, upstream))
        same = kept == before
        description = (
            f"{kept['customers']:,} customers, those of {upstream}"
            if same
            else f"{kept['customers']:,} customers are not the {before['customers']:,} of {upstream}"
        )
        return Verdict(same, description, {table.name: kept["customers"], upstream: before["customers"]})

    return judge


@lru_cache(maxsize=8)
def _fingerprint(lake: Lake, name: str, path: Path) -> dict[str, Any]:
    """Fingerprint of a table's ids; the next table is held against it, too, and files never change."""
    return lake.engine.fingerprint(lake.engine.scan(path, name))[0]


def _uncorrelated(lake: Lake) -> Verdict:
    first, second, third = (nw.col(name) for name in components.NAMES)
    means = lake.engine.rows(
        lake.read("pca_components").select(
            *[nw.col(name).mean() for name in components.NAMES],
            *[(nw.col(name) * nw.col(name)).mean().alias(f"{name}_squared") for name in components.NAMES],
            (first * second).mean().alias("pc1_pc2"),
            (first * third).mean().alias("pc1_pc3"),
            (second * third).mean().alias("pc2_pc3"),
        )
    )[0]
    variance = {name: (means[f"{name}_squared"] or 0.0) - (means[name] or 0.0) ** 2 for name in components.NAMES}
    flat = {name for name, value in variance.items() if value <= FLAT**2 * max(variance.values())}
    correlations = {
        f"{a}_{b}": 0.0
        if flat & {a, b}
        else (means[f"{a}_{b}"] - means[a] * means[b]) / (variance[a] * variance[b]) ** 0.5
        for a, b in (("pc1", "pc2"), ("pc1", "pc3"), ("pc2", "pc3"))
    }
    largest = max(map(abs, correlations.values()))
    return Verdict(largest < UNCORRELATED, f"Largest correlation between components: {largest:.1e}", dict(correlations))


def _one_selected(lake: Lake) -> Verdict:
    selected = lake.engine.rows(lake.read("k_selection").filter(nw.col("is_selected")))
    ks = [row["k"] for row in selected]
    return Verdict(len(ks) == 1, f"Selected: {ks}", {"selected": len(ks)})


def _no_empty_segment(lake: Lake) -> Verdict:
    k = lake.count("centroids")
    groups = lake.read("clusters").group_by("segment_id").agg(nw.len().alias("customers")).sort("segment_id")
    sizes = {row["segment_id"]: row["customers"] for row in lake.engine.rows(groups)}
    return Verdict(len(sizes) == k, f"{len(sizes)} of {k} segments have customers", sizes)


def _categories_add_up(lake: Lake) -> Verdict:
    composition = lake.declaration.recipe.business.composition
    if composition is None:
        return Verdict(True, "The recipe names nothing that is made of parts.", {})
    sizes = lake.read("clusters").group_by("segment_id").agg(nw.len().alias("customers"))
    means = lake.read("category_spending").group_by("segment_id").agg(nw.col("mean_spending").sum())
    totals = lake.engine.rows(means.join(sizes, on="segment_id", how="inner"))
    spent = sum(row["mean_spending"] * row["customers"] for row in totals)
    total = nw.col(composition.of).cast(nw.Int64).sum().alias("total")
    [known] = lake.engine.rows(lake.read("features").select(total))
    expected = int(known["total"] or 0)
    description = f"{spent:,.0f} spent by category, {expected:,} by all customers"
    return Verdict(round(spent) == expected, description, {"by_category": spent, "by_customer": expected})


def _no_drift(lake: Lake) -> Verdict:
    rows = lake.engine.rows(lake.read("feature_drift"))
    tonight = [row for row in rows if row["night"] == max(row["night"] for row in rows)]
    found = {row["feature"]: row["psi"] for row in tonight if row["verdict"] == "drifted"}
    told = ", ".join(f"{feature} ({psi:.2f})" for feature, psi in sorted(found.items(), key=lambda item: -item[1]))
    description = f"Far from what the model in force was fitted on, by their index: {told}." if found else "No drift."
    return Verdict(not found, description, {row["feature"]: row["psi"] for row in tonight})


def _history_is_tonights(lake: Lake) -> Verdict:
    """Whether the history says of tonight what is published tonight: the fingerprints of each segment."""
    as_of = lake.engine.rows(lake.read("cleaning_figures"))[0]["as_of_date"]
    tonight, kept = (
        lake.engine.fingerprint(frame, "segment_id")
        for frame in (lake.read("clusters"), membership_on(lake.read("segment_membership"), as_of))
    )
    customers = sum(row["customers"] for row in kept)
    same = tonight == kept
    description = f"{customers:,} customers on {as_of}{', as published' if same else ' are not those published'}"
    return Verdict(same, description, {"customers": customers, "segments": len(kept)})


def _held_out_as_declared(lake: Lake) -> Verdict:
    asked = lake.read("audiences").filter(nw.col("ratio_p_value") < RATIO_BY_CHANCE)
    strange = [row["audience"] for row in lake.engine.rows(asked.select("audience").sort("audience"))]
    return Verdict(
        not strange,
        f"Of {', '.join(strange)} another share is held out than is declared, and not by chance: what is compared "
        "there cannot be believed."
        if strange
        else "As many are held out of each audience as is declared, but for chance.",
        {"audiences": len(strange)},
    )


def _profiles_add_up(lake: Lake) -> Verdict:
    profiled = int(lake.engine.rows(lake.read("profiles").select(nw.col("customers").sum()))[0]["customers"] or 0)
    clustered = lake.count("clusters")
    return Verdict(profiled == clustered, f"{profiled:,} profiled, {clustered:,} clustered", {"profiled": profiled})


def _no_placeholders(lake: Lake) -> Verdict:
    [figures] = lake.engine.rows(lake.read("cleaning_figures").select("placeholders"))
    told = figures["placeholders"]
    return Verdict(not told, told or "No value looks as if it stood for unknown.", {})


def _not_one_feature(lake: Lake) -> Verdict:
    found, pairs = (lake.engine.rows(lake.read(name)) for name in ("segment_drivers", "segment_pairs"))
    giveaways = drivers.find_giveaways(found, pairs)
    strengths = {row["feature"]: row["association"] for row in found}
    return Verdict(not giveaways, drivers.tell_giveaways(giveaways), strengths)


def _nothing_sensitive_followed(lake: Lake, max_sensitive_association: float, block_sensitive: bool) -> Verdict:
    rows = lake.engine.rows(lake.read("sensitive_association"))
    followed = sensitive.find_followed(rows, max_sensitive_association)
    told = sensitive.tell_followed(followed, max_sensitive_association)
    if followed and block_sensitive:
        told += " Take a recipe whose segments do not, or raise max_sensitive_association."
    strengths = {row["attribute"]: row["association"] for row in rows}
    return Verdict(not followed, told, strengths, only_warns=not block_sensitive)


def _rules_add_up(lake: Lake) -> Verdict:
    ruled = int(lake.engine.rows(lake.read("segment_rules").select(nw.col("customers").sum()))[0]["customers"] or 0)
    described = lake.count("features")
    return Verdict(ruled == described, f"{ruled:,} meet a rule, of {described:,} customers", {"ruled": ruled})


def _schema_check(name: str) -> Check:
    def judge(lake: Lake) -> Verdict:
        return judge_schema(lake.read(name), lake.tables[name], lake.engine, lake.written(name))

    return Check(name, "schema", "Columns, types, nulls, ranges, categories and keys are as declared.", judge)


SEMANTIC: tuple[Check, ...] = (
    *(
        Check(
            table.name,
            "same_customers",
            f"The customers are those of {table.follows}, each once: nobody is lost, added or doubled.",
            _same_customers(table),
        )
        for table in OUTLINES.values()
        if table.follows
    ),
    Check(
        "raw_customers",
        CAN_BE_USED,
        "The export that was looked at last can be used; else it says why not, and where the file is now.",
        _can_be_used,
        settings=("input",),
    ),
    Check(
        "raw_customers",
        "no_repeats",
        "No row repeats another but for its id. Repeats are kept; this only warns.",
        _repeats,
        blocking=False,
    ),
    Check(
        "cleaned",
        "every_line_accounted_for",
        "raw_customers = cleaned + rejected_customers.",
        _every_line_accounted_for,
    ),
    Check(
        "cleaned",
        "few_rejected",
        "No more rows are rejected than the settings allow.",
        _few_rejected,
        settings=("max_rejected_share",),
    ),
    Check(
        "cleaning_figures",
        "no_placeholders",
        "No odd value that many customers have lies apart from all others. This only warns.",
        _no_placeholders,
        blocking=False,
    ),
    Check("pca_components", "uncorrelated", "The components do not correlate with each other.", _uncorrelated),
    Check("k_selection", "one_selected", "Exactly one k is selected.", _one_selected),
    Check("clusters", "no_empty_segment", "Every segment has customers.", _no_empty_segment),
    Check(
        "category_spending",
        "adds_up",
        "What all segments spend on all categories is what all customers spend.",
        _categories_add_up,
    ),
    Check(
        "feature_drift",
        "no_drift",
        "No feature is far from what the model in force was fitted on. This only warns; the gate decides.",
        _no_drift,
        blocking=False,
    ),
    Check(
        "segment_membership",
        "as_published",
        "The history says of tonight what is published tonight.",
        _history_is_tonights,
    ),
    Check(
        "segment_drivers",
        "not_one_feature",
        "No feature alone gives the segments, or two of them, away. This only warns.",
        _not_one_feature,
        blocking=False,
    ),
    Check(
        "sensitive_association",
        "nothing_sensitive_followed",
        "No sensitive attribute goes with the segments by more than the settings allow. This warns, and stops the run "
        "where the settings say so.",
        _nothing_sensitive_followed,
        settings=("max_sensitive_association", "block_sensitive"),
    ),
    Check(
        "audiences",
        "sample_ratio",
        "As large a share of each audience is held out as is declared, but for chance. This only warns.",
        _held_out_as_declared,
        blocking=False,
    ),
    Check("profiles", "add_up", "The profiles' customers are all customers.", _profiles_add_up),
    Check("segment_rules", "add_up", "Every customer meets one rule.", _rules_add_up),
)


def checks_of(tables: tuple[str, ...]) -> list[Check]:
    """The checks of some tables.

    Args:
        tables: Their names.

    Returns:
        The schema check of each, and its semantic checks.
    """
    return [_schema_check(name) for name in tables] + [check for check in SEMANTIC if check.table in tables]
