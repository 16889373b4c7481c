"""Columns: what a table's column is called, which type it has, and what its values may be."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

SqlType = Literal[
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "BOOLEAN",
    "DATE",
    "TIMESTAMP",
    "VARCHAR",
    "INTEGER[]",
    "VARCHAR[]",
    "MAP(VARCHAR, BIGINT)",
]

# Names that queries write beside columns of customers, or that DuckDB keeps for itself: no column may have one of them.
OURS = frozenset(
    [
        "as_of_date",
        "champion",
        "challenger",
        "customers",
        "detail",
        "distance",
        "draw",
        "everyone",
        "first_line",
        "first_version",
        "id_number",
        "is_accepted",
        "is_repeat",
        "kmeans_cluster",
        "known",
        "label",
        "least",
        "line_number",
        "lines",
        "lower",
        "margin",
        "model_version",
        "pc1",
        "pc2",
        "pc3",
        "persona",
        "previous_segment_id",
        "raw_segment_id",
        "reason",
        "rule_number",
        "runner_up_segment_id",
        "segment_id",
        "spending",
        "unreadable",
        "upper",
        "upto",
        "valid_from",
        "valid_to",
        "ward_label",
    ]
)
KEYWORDS = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "anti",
        "any",
        "array",
        "as",
        "asc",
        "asof",
        "asymmetric",
        "at",
        "authorization",
        "between",
        "bigint",
        "binary",
        "bit",
        "boolean",
        "both",
        "by",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "collate",
        "collation",
        "column",
        "columns",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "dec",
        "decimal",
        "default",
        "deferrable",
        "desc",
        "describe",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "float",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "generated",
        "glob",
        "group",
        "grouping",
        "grouping_id",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "inout",
        "int",
        "integer",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "lambda",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "map",
        "national",
        "natural",
        "nchar",
        "none",
        "not",
        "notnull",
        "null",
        "nullif",
        "numeric",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "out",
        "outer",
        "overlaps",
        "overlay",
        "pivot",
        "pivot_longer",
        "pivot_wider",
        "placing",
        "position",
        "positional",
        "precision",
        "primary",
        "qualify",
        "real",
        "references",
        "returning",
        "right",
        "row",
        "select",
        "semi",
        "setof",
        "show",
        "similar",
        "smallint",
        "some",
        "struct",
        "substring",
        "summarize",
        "symmetric",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "treat",
        "trim",
        "true",
        "try_cast",
        "tuple",
        "union",
        "unique",
        "unpack",
        "unpivot",
        "using",
        "values",
        "varchar",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "xmlattributes",
        "xmlconcat",
        "xmlelement",
        "xmlexists",
        "xmlforest",
        "xmlnamespaces",
        "xmlparse",
        "xmlpi",
        "xmlroot",
        "xmlserialize",
        "xmltable",
    ]
)


@dataclass(frozen=True)
class Type:
    """What others call a type.

    Attributes:
        arrow: The function of pyarrow that makes it, and narwhals' name of it.
        narwhals: The class of narwhals.
        spark: Spark's SQL.
        expected: What a value of it is, for people.
    """

    arrow: str
    narwhals: str
    spark: str
    expected: str = ""


# Of those that a customer's column may have.
TYPES: dict[SqlType, Type] = {
    "TINYINT": Type("int8", "Int8", "TINYINT", f"a whole number up to {2**7 - 1:,}"),
    "SMALLINT": Type("int16", "Int16", "SMALLINT", f"a whole number up to {2**15 - 1:,}"),
    "INTEGER": Type("int32", "Int32", "INT", f"a whole number up to {2**31 - 1:,}"),
    "BIGINT": Type("int64", "Int64", "BIGINT", f"a whole number up to {2**63 - 1:,}"),
    "FLOAT": Type("float32", "Float32", "FLOAT", "a number"),
    "DOUBLE": Type("float64", "Float64", "DOUBLE", "a number"),
    "BOOLEAN": Type("bool_", "Boolean", "BOOLEAN", "yes or no"),
    "DATE": Type("date32", "Date", "DATE", "a date"),
    "VARCHAR": Type("string", "String", "STRING", "a text"),
}
# The greatest number of each whole type, the narrowest first.
WHOLE: dict[SqlType, int] = {
    "TINYINT": 2**7 - 1,
    "SMALLINT": 2**15 - 1,
    "INTEGER": 2**31 - 1,
    "BIGINT": 2**63 - 1,
}
# Room for what features and rates add to a name: 60 letters at most.
LONGEST_NAME = 44
FOLDED = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "ł": "l", "Ł": "L", "đ": "d"})
# Where a word ends in a text like `MonthlyCharges`; `kW`, `MWh` and `eMail` are one.
CAMEL = re.compile(
    r"(?<=[^\W\d_A-Z])(?<![\W_][a-z])(?<!^[a-z])(?=[A-Z])|(?<=\d)(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?!Wh(?![a-z]))"
)


@dataclass(frozen=True)
class Column:
    """A column of a table: its type, its meaning, and what its values may be.

    Attributes:
        name: snake_case name in the lake and the warehouse.
        type: DuckDB type, as narrow as the values allow.
        description: One sentence for people, with the unit where there is one.
        nullable: Whether a value may be missing.
        minimum: Least value allowed, inclusive.
        maximum: Greatest value allowed, inclusive.
        categories: The only values allowed, where they can be listed.
        unique: Whether no two rows may share a value.
    """

    name: str
    type: SqlType
    description: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    unique: bool = False

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.type in WHOLE or self.type in ("DOUBLE", "FLOAT")


def narrowest(greatest: float) -> SqlType:
    """The narrowest whole type that holds numbers from 0 to a greatest one.

    Args:
        greatest: The greatest number.

    Returns:
        Its name; BIGINT where none does.
    """
    return next((name for name, limit in WHOLE.items() if greatest <= limit), "BIGINT")


def why_no_name(name: str) -> str | None:
    """What keeps a text from being the name of a column.

    Args:
        name: The text.

    Returns:
        The reason, to follow after the name; None where it may be one.
    """
    if not re.fullmatch("[a-z][a-z0-9_]{0,59}", name):
        return "is no name: expected small letters, digits and underscores, a letter first, 60 at most"
    if re.fullmatch(r"c[0-9]+|malformed|.*_delivered", name):
        return "is a name that reading an export uses itself: choose another"
    if name in KEYWORDS:
        return "is a keyword of SQL: add a word to it"
    return "is a name that the pipeline uses itself: choose another" if name in OURS else None


def snake_case(text: str) -> str:
    """A text as a name.

    Args:
        text: For example `Loyalty Tier` or `LoyaltyTier`.

    Returns:
        For example `loyalty_tier`.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text.strip())
    return re.sub(r"\W+", "_", words, flags=re.ASCII).strip("_").lower() or "column"


def name_of_header(header: str, place: int) -> str:
    """A name for a column of the export.

    Args:
        header: Its header.
        place: Where it stands, from 1.

    Returns:
        The header in small letters, made legal; `column_7` of one that has no Latin letters.
    """
    folded = unicodedata.normalize("NFKD", header.translate(FOLDED))
    bare = "".join(letter for letter in folded if not unicodedata.combining(letter))
    found = re.sub(r"[^a-z0-9]+", "_", CAMEL.sub("_", bare).lower()).strip("_")
    return legal_name(found if re.search("[a-z]", found) else f"column_{place}")


def legal_name(wanted: str) -> str:
    """A text as the name of a column, with a word added where it may not be one.

    Args:
        wanted: What it should be called, in small letters, digits and underscores.

    Returns:
        For example `order_value`, as `order` is a keyword of SQL.
    """
    name = wanted[:LONGEST_NAME].strip("_")
    if not re.match("[a-z]", name) or re.fullmatch("c[0-9]+", name):
        name = f"column_{name}"
    if why_no_name(name) or name.endswith(("_delivered", "_imputed")):
        name = f"{name}_value"
    return name
