"""Make customers that look like an export: the shipped sample, and any number more for measuring.

The model is a household, not noise per column. In causal order:

1. **Life.** An age, a join date, an education (doctorates are commoner among the older), and perhaps a partner.
2. **Affluence**, a rank between 0 and 1 among the households made together: age raises it a little, basic education
   lowers it a lot, the rest is luck. Incomes are close to even over it. A rank spreads evenly over every sample, so
   that a small sample is as typical as a large one.
3. **Children.** Small children are rarer with age and affluence; teenagers are commonest around the age of fifty and
   in the middle of the scale.
4. **Hunting** for bargains: parents and loyal customers do it more. It shows in discounts, web visits and purchases.
5. **Appetite**, between 0 and 1: how far the household is from the poorest basket to the richest. It is steep in
   affluence, and children lower it. Most households are near one end: that makes two levels of spending.
6. **Purchases.** Every amount and channel has a level at either end of the appetite and is drawn around one between.
7. **Outcomes.** Complaints strike anyone. The well-off, the loyal, recent buyers and those who live alone answer
   campaigns.
8. **Dirt**, at the rates of a real delivery: repeated rows, missing incomes, births a century off, joke answers.

A partner is independent of affluence: two levels of spending by two ways to live are the four segments to be found.
What belongs here: the model and its files. What does not: rules about the columns (see `contract`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from smartcart_pipeline.declaration.columns import TYPES, Column
from smartcart_pipeline.declaration.declaration import shipped_declaration

EDUCATIONS = ("Basic", "2n Cycle", "Graduation", "Master", "PhD")
MARITAL_STATUSES = ("Single", "Together", "Married", "Divorced", "Widow", "Alone", "Absurd", "YOLO")

SAMPLE_CUSTOMERS = 2_240
SAMPLE_SEED = 15
BATCH_SIZE = 100_000

Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

LAST_JOIN_DATE = np.datetime64("2014-06-29")
JOINING_DAYS = 700
IDS_PER_CUSTOMER = 5  # so that ids have gaps

# Dirt: how many of `SAMPLE_CUSTOMERS` have each kind; other numbers of customers have as much in proportion.
REPEATED_ROWS = 182
MISSING_INCOMES, ABSURD_INCOMES, BIRTHS_A_CENTURY_OFF = 24, 1, 3
JOKE_STATUSES = {"Alone": 3, "Absurd": 2, "YOLO": 2}
ABSURD_INCOME = 666_666


@dataclass(frozen=True)
class Level:
    """What a household spends on something, or how often it buys somewhere, from the least appetite to the most.

    Attributes:
        poor: Mean at appetite 0.
        rich: Mean at appetite 1.
        evenness: Shape of the gamma distribution around the mean; the smaller, the more households differ.
    """

    poor: float
    rich: float
    evenness: float

    def buy(self, luck: Floats, appetite: Floats) -> Floats:
        """Whole numbers around the mean, which is a straight line between the two ends in logarithms."""
        mean = self.poor * (self.rich / self.poor) ** appetite
        return np.rint(mean / self.evenness * luck)


PURCHASES = {
    "mnt_wines": Level(11, 760, 8.0),
    "mnt_fruits": Level(1.5, 62, 1.0),
    "mnt_meat_products": Level(9, 390, 2.0),
    "mnt_fish_products": Level(2.6, 90, 1.0),
    "mnt_sweet_products": Level(1.5, 63, 1.0),
    "mnt_gold_prods": Level(13, 75, 1.0),
    "num_catalog_purchases": Level(0.25, 6.0, 5.0),
}
LEVELS = PURCHASES | {
    "num_deals_purchases": Level(2.5, 6.0, 6.0),
    "num_web_purchases": Level(1.7, 6.4, 8.0),
    "num_store_purchases": Level(2.4, 9.2, 8.0),
}

# Where the next education of `EDUCATIONS` begins, as a rank.
EDUCATION_STEPS = (0.024, 0.115, 0.618, 0.783)


@cache
def export_schema() -> pa.Schema:
    """The columns of an export, in order.

    Returns:
        An Arrow schema.
    """
    columns = shipped_declaration().contract.columns
    return pa.schema([pa.field(c.header, _arrow(c), nullable=c.nullable) for c in columns])


def _arrow(column: Column) -> pa.DataType:
    made: pa.DataType = getattr(pa, TYPES[column.type].arrow)()
    return made


def batches(customers: int, seed: int, batch_size: int = BATCH_SIZE) -> Iterator[pa.RecordBatch]:
    """Make customers, a batch at a time, in flat memory.

    A batch depends only on the seed, its number and the sizes, not on the batches before it.

    Args:
        customers: How many customers to make, at least 1.
        seed: The same seed gives the same customers; any integer from 0.
        batch_size: Customers per batch; the last batch may have fewer.

    Yields:
        Record batches with the export's headers and the contract's types; the income alone may be missing.

    Raises:
        ValueError: If there is nothing to make or the seed is negative.
    """
    if customers < 1 or batch_size < 1 or seed < 0:
        raise ValueError(
            f"cannot make {customers} customers in batches of {batch_size} from seed {seed}: "
            "ask for at least 1 customer, batches of at least 1, and a seed from 0"
        )
    for number, start in enumerate(range(0, customers, batch_size)):
        rng = np.random.default_rng([seed, number])
        yield _batch(rng, start, min(batch_size, customers - start))


def write_sample(path: Path, customers: int, seed: int) -> None:
    """Write customers to a file as the company delivers them, or to Parquet for speed.

    The file appears whole or not at all: it is written under another name beside it and then moved.

    Args:
        path: A `.csv` file (dates `dd-mm-yyyy`, missing values empty) or a `.parquet` file (typed). Its folder must
            exist; a file of that name is replaced.
        customers: How many customers to make.
        seed: The same seed and number give the same bytes.

    Raises:
        ValueError: If the name ends in neither, or as `batches` does.
    """
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise ValueError(f"cannot write customers to {path}: the name must end in .csv or .parquet")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        writers[path.suffix](unfinished, batches(customers, seed))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_csv(path: Path, made: Iterator[pa.RecordBatch]) -> None:
    typed = export_schema()
    schema = typed.set(typed.get_field_index("Dt_Customer"), pa.field("Dt_Customer", pa.string()))
    # Arrow would put every header in quotes, and no export has them.
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write((",".join(schema.names) + "\n").encode())
        with pyarrow.csv.CSVWriter(file, schema, write_options=options) as writer:
            for batch in made:
                dates = pc.strftime(batch["Dt_Customer"], format="%d-%m-%Y")
                columns = [dates if name == "Dt_Customer" else batch[name] for name in schema.names]
                writer.write_batch(pa.record_batch(columns, schema=schema))


def _write_parquet(path: Path, made: Iterator[pa.RecordBatch]) -> None:
    with pyarrow.parquet.ParquetWriter(path, export_schema()) as writer:
        for batch in made:
            writer.write_batch(batch)


def _batch(rng: np.random.Generator, start: int, size: int) -> pa.RecordBatch:
    """Make the customers from position `start`: households, some of them twice, with dirt on some of the others."""
    repeats = min(_in_proportion(REPEATED_ROWS, size), size - 1)
    household = _household_of_row(rng, size, repeats)
    columns = {name: values[household] for name, values in draw_households(rng, size - repeats).describe().items()}
    _soil(rng, columns, np.flatnonzero(np.bincount(household)[household] == 1))
    # Every batch has its own range of ids, so that they are unique without remembering any.
    columns["customer_id"] = IDS_PER_CUSTOMER * start + rng.permutation(IDS_PER_CUSTOMER * size)[:size]
    names = {"education": EDUCATIONS, "marital_status": MARITAL_STATUSES}
    arrays = [
        pa.array(names[column.name]).take(pa.array(columns[column.name]))
        if column.name in names
        else pa.array(columns[column.name], from_pandas=column.nullable).cast(_arrow(column))
        for column in shipped_declaration().contract.columns
    ]
    return pa.record_batch(arrays, schema=export_schema())


def _in_proportion(per_sample: int, size: int) -> int:
    return round(size * per_sample / SAMPLE_CUSTOMERS)


def _household_of_row(rng: np.random.Generator, size: int, repeats: int) -> Integers:
    """Number the household that every row shows: the next new one, or for a repeat one of those before it."""
    repeated = np.zeros(size, dtype=bool)
    repeated[1 + rng.permutation(size - 1)[:repeats]] = True
    known = np.cumsum(~repeated)
    return np.where(repeated, (rng.random(size) * known).astype(np.intp), known - 1)


@dataclass(frozen=True)
class Households:
    """Clean households: who they are, and the luck that stays with them whatever becomes of them.

    All are arrays of shape (households,). One whose life changes, as by another `affluence`, is otherwise the same.

    Attributes:
        age: In years.
        tenure: Days from joining to `LAST_JOIN_DATE`; below zero for who joined later.
        loyalty: From -0.5 to 0.5.
        education: Position in `EDUCATIONS`.
        partner: Whether there is one.
        affluence: Rank between 0 and 1.
        kids: Small children.
        teens: Teenagers.
        income_luck: How far the income is from what is usual, standard normal.
        hunting_luck: The same of the hunting for bargains.
        appetite_luck: The same of the appetite.
        purchase_luck: For each purchase, a draw from the gamma distribution of its level.
        recency: Days since the last purchase.
        status_luck: Which marital status, 0 to 1.
        visits: Visits to the web site.
        complaint_luck: Whether there was a complaint, 0 to 1.
        response_luck: Whether the last campaign was accepted, 0 to 1.
    """

    age: Floats
    tenure: Integers
    loyalty: Floats
    education: Integers
    partner: NDArray[np.bool_]
    affluence: Floats
    kids: Integers
    teens: Integers
    income_luck: Floats
    hunting_luck: Floats
    appetite_luck: Floats
    purchase_luck: dict[str, Floats]
    recency: Integers
    status_luck: Floats
    visits: Integers
    complaint_luck: Floats
    response_luck: Floats

    @property
    def children(self) -> Integers:
        """Children of any age."""
        return self.kids + self.teens

    @property
    def hunting(self) -> Floats:
        """How much the household hunts for bargains."""
        life = 0.8 * (self.children - 0.95) + 0.015 * (self.age - 45) + 1.4 * self.loyalty
        return life + 0.8 * self.hunting_luck

    @property
    def appetite(self) -> Floats:
        """How far the household is from the poorest basket, 0, to the richest, 1."""
        wish = 8 * (self.affluence - 0.4) - 1.1 * (self.children - 0.95) + 1.3 * self.loyalty + 0.25 * self.hunting
        return _chance(wish + 0.6 * self.appetite_luck)

    def describe(self) -> dict[str, NDArray[Any]]:
        """The households as columns of the contract; education and marital status by their positions."""
        hunting, appetite = self.hunting, self.appetite
        desires = dict.fromkeys(PURCHASES, appetite) | {
            "num_deals_purchases": 0.65 * hunting - 4.0 * (self.affluence - 0.485) ** 2,
            "num_web_purchases": appetite + 0.22 * hunting,
            "num_store_purchases": appetite + 0.1 * hunting,
        }
        answer = -3.2 + 1.3 * appetite + 1.0 * ~self.partner + 1.6 * self.loyalty - 0.02 * (self.recency - 49.5)
        income = 18_500 + 66_500 * self.affluence + 4_500 * self.income_luck
        return {
            "year_birth": 2014 - self.age,
            "education": self.education,
            "marital_status": _marital_status(self.status_luck, self.age, self.partner),
            "income": np.rint(np.maximum(income, 1_500)),
            "kidhome": self.kids,
            "teenhome": self.teens,
            "dt_customer": LAST_JOIN_DATE - self.tenure,
            "recency": self.recency,
            **{name: LEVELS[name].buy(self.purchase_luck[name], desire) for name, desire in desires.items()},
            "num_web_visits_month": self.visits,
            "complain": (self.complaint_luck < 0.0094).astype(np.int8),
            "response": (self.response_luck < _chance(answer)).astype(np.int8),
        }


def draw_households(rng: np.random.Generator, size: int) -> Households:
    """Draw clean households (see the module's docstring for the model).

    Args:
        rng: Where luck comes from.
        size: How many.

    Returns:
        The households.
    """
    age = 18 + np.floor(57 * rng.beta(2.3, 2.5, size))
    tenure = rng.integers(JOINING_DAYS, size=size)
    education = np.searchsorted(EDUCATION_STEPS, _rank(rng.standard_normal(size) + 0.018 * age))
    partner = rng.random(size) < 0.645

    basic = education == EDUCATIONS.index("Basic")
    affluence = _rank(rng.standard_normal(size) + 0.02 * age + 0.05 * education - 2.5 * basic)
    income_luck = rng.standard_normal(size)
    kids = _children(rng, -0.7 + 0.2 * partner - 0.03 * (age - 45) - 6.0 * (affluence - 0.5))
    teens = _children(rng, 2.2 + 0.2 * partner - ((age - 52) / 12) ** 2 - ((affluence - 0.55) / 0.25) ** 2)
    drawn = Households(
        age=age,
        tenure=tenure,
        loyalty=tenure / JOINING_DAYS - 0.5,
        education=education,
        partner=partner,
        affluence=affluence,
        kids=kids,
        teens=teens,
        income_luck=income_luck,
        hunting_luck=rng.standard_normal(size),
        appetite_luck=rng.standard_normal(size),
        purchase_luck={name: rng.standard_gamma(level.evenness, size) for name, level in LEVELS.items()},
        recency=rng.integers(100, size=size),
        status_luck=rng.random(size),
        visits=np.zeros(size, np.int64),
        complaint_luck=np.zeros(size),
        response_luck=np.zeros(size),
    )
    return replace(
        drawn,
        visits=rng.binomial(9, _chance(0.42 - 2.3 * (affluence - 0.5) + 0.55 * drawn.hunting)),
        complaint_luck=rng.random(size),
        response_luck=rng.random(size),
    )


def _chance(log_odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-log_odds))


def _children(rng: np.random.Generator, log_odds: Floats) -> Integers:
    """Draw none or one child by the odds; one family in twenty with one has another."""
    any_child = rng.random(log_odds.size) < _chance(log_odds)
    another = rng.random(log_odds.size) < 0.05
    return any_child * (1 + another)


def _rank(values: Floats) -> Floats:
    """Rank values between 0 and 1."""
    return (np.argsort(np.argsort(values)) + 0.5) / values.size


def _marital_status(draw: Floats, age: Floats, partner: NDArray[np.bool_]) -> Integers:
    """Positions in `MARITAL_STATUSES`: the old who live alone are more often widowed."""
    married = np.where(draw < 0.598, MARITAL_STATUSES.index("Married"), MARITAL_STATUSES.index("Together"))
    widowed = np.clip(0.1 + 0.012 * (age - 45), 0, 1)
    single = np.where(draw < widowed + 0.6, MARITAL_STATUSES.index("Single"), MARITAL_STATUSES.index("Divorced"))
    alone = np.where(draw < widowed, MARITAL_STATUSES.index("Widow"), single)
    return np.where(partner, married, alone).astype(np.int8)


def _soil(rng: np.random.Generator, columns: dict[str, NDArray[Any]], rows: Integers) -> None:
    """Put dirt on some of the rows, in place, a row at most once, at the same rate however many rows there are."""
    size = columns["income"].size
    free = rng.permutation(rows)
    kinds: list[tuple[str, float | Integers, int]] = [
        ("income", np.nan, MISSING_INCOMES),
        ("income", ABSURD_INCOME, ABSURD_INCOMES),
        ("year_birth", rng.integers(1893, 1901, size), BIRTHS_A_CENTURY_OFF),
        *(("marital_status", MARITAL_STATUSES.index(joke), per) for joke, per in JOKE_STATUSES.items()),
    ]
    for name, dirt, per_sample in kinds:
        soiled, free = np.split(free, [_in_proportion(per_sample, size)])
        columns[name][soiled] = np.broadcast_to(dirt, size)[soiled]
