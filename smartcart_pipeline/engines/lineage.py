"""Column lineage: which upstream columns a column was computed from, read from the SQL that computed it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

Columns = dict[str, list[tuple[str, str]]]
Sources = dict[str, set[tuple[str, str]]]


def trace_columns(query: str, schemas: Mapping[str, Sequence[str]]) -> Columns:
    """Trace each column of a query back to the tables it reads.

    Only what the values come from counts, not what a row was filtered or joined by.

    Args:
        query: A SELECT in DuckDB's dialect.
        schemas: Column names of each table the query may read.

    Returns:
        For each column of the query, in order, its (table, column) sources, sorted.
    """
    import sqlglot  # noqa: PLC0415
    from sqlglot.optimizer.qualify import qualify  # noqa: PLC0415
    from sqlglot.optimizer.scope import build_scope  # noqa: PLC0415

    tree = qualify(
        sqlglot.parse_one(query, dialect="duckdb"),
        dialect="duckdb",
        schema={table: dict.fromkeys(columns, "unknown") for table, columns in schemas.items()},
        validate_qualify_columns=False,
        quote_identifiers=False,
    )
    root = build_scope(tree)
    if root is None:
        return {}
    known: dict[int, Sources] = {}
    return {name: sorted(sources) for name, sources in _sources(root, schemas, known).items()}


def trace_tables(query: str) -> list[str]:
    """Name the tables a query reads, also those it only joins or filters by.

    Args:
        query: A SELECT in DuckDB's dialect.

    Returns:
        Their names, sorted, without those that the query itself defines.
    """
    import sqlglot  # noqa: PLC0415
    from sqlglot import exp  # noqa: PLC0415

    tree = sqlglot.parse_one(query, dialect="duckdb")
    defined = {cte.alias for cte in tree.find_all(exp.CTE)}
    return sorted({table.name for table in tree.find_all(exp.Table)} - defined)


def _sources(scope: "Scope", schemas: Mapping[str, Sequence[str]], known: dict[int, Sources]) -> Sources:
    """Sources of every output column of a scope; each scope is worked out once."""
    from sqlglot import exp  # noqa: PLC0415
    from sqlglot.optimizer.scope import Scope  # noqa: PLC0415

    if id(scope) in known:
        return known[id(scope)]
    outputs: Sources = {}
    known[id(scope)] = outputs
    if scope.set_operation_scopes:
        left, right = (list(_sources(part, schemas, known).items()) for part in scope.set_operation_scopes)
        for (name, sources), (_, more) in zip(left, right, strict=True):
            outputs[name] = sources | more
        return outputs
    inner = {id(part.expression): part for part in scope.subquery_scopes}
    for projection in scope.expression.selects:  # type: ignore[attr-defined]
        found: set[tuple[str, str]] = set()
        for node in projection.walk(prune=lambda node: id(node) in inner):
            if id(node) in inner:
                found.update(*_sources(inner[id(node)], schemas, known).values())
            elif isinstance(node, exp.Column):
                source = _source(scope, node.table)
                if isinstance(source, Scope):
                    found |= _sources(source, schemas, known).get(node.name, set())
                elif isinstance(source, exp.Table) and source.name in schemas:
                    found.add((source.name, node.name))
        outputs[projection.alias_or_name] = found
    return outputs


def _source(scope: "Scope | None", name: str) -> "exp.Expression | Scope | None":
    """What a name stands for in a scope; a subquery inside an expression also sees the names around it."""
    while scope is not None and name not in scope.sources:
        scope = scope.parent
    return scope.sources[name] if scope else None


def merge_sources(traces: Iterable[Columns]) -> list[tuple[str, str]]:
    """All sources of some traced queries: what a fit over them has seen.

    Args:
        traces: Results of `trace_columns`.

    Returns:
        (table, column) pairs, sorted.
    """
    return sorted({source for trace in traces for sources in trace.values() for source in sources})
