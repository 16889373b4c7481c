"""The customer contract: what every column of an export must be.

One declaration that parsing, cleaning rules, schema checks, documentation, the sample generator and SQL types all read.
What belongs here: facts about a *delivered* column. What does not: anything computed from it (see `tables`).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

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
        optional: Whether a table may lack the column (some recipes do without it).
    """

    name: str
    type: SqlType
    description: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    unique: bool = False
    optional: bool = False


@dataclass(frozen=True)
class DeliveredColumn(Column):
    """A column as the company delivers it.

    Attributes:
        header: The name it has in the export.
    """

    header: str = ""


EDUCATIONS = ("Basic", "2n Cycle", "Graduation", "Master", "PhD")
# All amounts of a customer together still are a number of 32 bits.
MAX_AMOUNT = 100_000_000
MARITAL_STATUSES = ("Single", "Together", "Married", "Divorced", "Widow", "Alone", "Absurd", "YOLO")


def _amount(name: str, header: str, what: str) -> DeliveredColumn:
    return DeliveredColumn(
        name,
        "INTEGER",
        f"Spent on {what} in the last two years, in whole currency units (cents are rounded).",
        minimum=0,
        maximum=MAX_AMOUNT,
        header=header,
    )


def _count(name: str, header: str, what: str) -> DeliveredColumn:
    return DeliveredColumn(name, "SMALLINT", what, minimum=0, header=header)


CONTRACT: tuple[DeliveredColumn, ...] = (
    DeliveredColumn(
        "customer_id", "BIGINT", "The company's own number for the customer.", minimum=0, unique=True, header="ID"
    ),
    DeliveredColumn("year_birth", "SMALLINT", "Year of birth.", minimum=1850, maximum=2200, header="Year_Birth"),
    DeliveredColumn(
        "education", "VARCHAR", "Highest education, as delivered.", categories=EDUCATIONS, header="Education"
    ),
    DeliveredColumn(
        "marital_status",
        "VARCHAR",
        "Marital status, as delivered.",
        categories=MARITAL_STATUSES,
        header="Marital_Status",
    ),
    DeliveredColumn(
        "income",
        "DOUBLE",
        "Yearly household income, in currency units.",
        nullable=True,
        minimum=0,
        header="Income",
    ),
    DeliveredColumn("kidhome", "TINYINT", "Small children at home.", minimum=0, header="Kidhome"),
    DeliveredColumn("teenhome", "TINYINT", "Teenagers at home.", minimum=0, header="Teenhome"),
    DeliveredColumn("dt_customer", "DATE", "Day the customer joined the company.", header="Dt_Customer"),
    DeliveredColumn("recency", "SMALLINT", "Days since the last purchase.", minimum=0, header="Recency"),
    _amount("mnt_wines", "MntWines", "wine"),
    _amount("mnt_fruits", "MntFruits", "fruit"),
    _amount("mnt_meat_products", "MntMeatProducts", "meat"),
    _amount("mnt_fish_products", "MntFishProducts", "fish"),
    _amount("mnt_sweet_products", "MntSweetProducts", "sweets"),
    _amount("mnt_gold_prods", "MntGoldProds", "gold products"),
    _count("num_deals_purchases", "NumDealsPurchases", "Purchases made with a discount."),
    _count("num_web_purchases", "NumWebPurchases", "Purchases made on the web site."),
    _count("num_catalog_purchases", "NumCatalogPurchases", "Purchases made from a catalogue."),
    _count("num_store_purchases", "NumStorePurchases", "Purchases made in a store."),
    _count("num_web_visits_month", "NumWebVisitsMonth", "Visits to the web site in the last month."),
    DeliveredColumn(
        "complain",
        "TINYINT",
        "1 if the customer complained in the last two years, else 0.",
        minimum=0,
        maximum=1,
        header="Complain",
    ),
    DeliveredColumn(
        "response",
        "TINYINT",
        "1 if the customer accepted the last campaign, else 0: an outcome.",
        minimum=0,
        maximum=1,
        header="Response",
    ),
)

BY_NAME = {column.name: column for column in CONTRACT}
NAMES = tuple(BY_NAME)
AMOUNTS = tuple(column.name for column in CONTRACT if column.name.startswith("mnt_"))
# What people call the product category of each.
CATEGORIES = dict(zip(AMOUNTS, ("wine", "fruit", "meat", "fish", "sweets", "gold products"), strict=True))

LINE_COLUMNS: tuple[Column, ...] = (
    Column(
        "line_number", "BIGINT", "Line of the export that held the row; the first customer stands on line 2.", minimum=1
    ),
    Column(
        "unreadable",
        "VARCHAR",
        "What could not be read as its column's type, word for word; empty where all could.",
        nullable=True,
    ),
)


class FaultError(ValueError):
    """Not the pipeline is at fault: the message says for people what is wrong, where, and what to do now.

    Attributes:
        whose: Whose fault it is: a kind of this error for each.
    """

    whose: ClassVar[str]


class ExportError(FaultError):
    """The export is at fault: whatever else is put right, it cannot be used as it was delivered."""

    whose = "export"


class CallError(FaultError):
    """What was asked for is at fault: an option, a question, a path, a setting of one run."""

    whose = "call"


class HomeError(FaultError):
    """The home is at fault, or the machine it is on: once that is put right, the same export may be used."""

    whose = "home"
