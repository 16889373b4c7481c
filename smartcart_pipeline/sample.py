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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from smartcart_pipeline.contract import CONTRACT, EDUCATIONS, MARITAL_STATUSES

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

    def draw(self, rng: np.random.Generator, appetite: Floats) -> Floats:
        """Draw whole numbers around the mean, which is a straight line between the two ends in logarithms."""
        mean = self.poor * (self.rich / self.poor) ** appetite
        return np.rint(mean / self.evenness * rng.standard_gamma(self.evenness, appetite.size))


PURCHASES = {
    "mnt_wines": Level(11, 760, 8.0),
    "mnt_fruits": Level(1.5, 62, 1.0),
    "mnt_meat_products": Level(9, 390, 2.0),
    "mnt_fish_products": Level(2.6, 90, 1.0),
    "mnt_sweet_products": Level(1.5, 63, 1.0),
    "mnt_gold_prods": Level(13, 75, 1.0),
    "num_catalog_purchases": Level(0.25, 6.0, 5.0),
}
WEB = Level(1.7, 6.4, 8.0)
STORE = Level(2.4, 9.2, 8.0)
DEALS = Level(2.5, 6.0, 6.0)

# Where the next education of `EDUCATIONS` begins, as a rank.
EDUCATION_STEPS = (0.024, 0.115, 0.618, 0.783)

SQL_TO_ARROW = {
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "VARCHAR": pa.string(),
}
SCHEMA = pa.schema([pa.field(c.header, SQL_TO_ARROW[c.type], nullable=c.nullable) for c in CONTRACT])


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
    schema = SCHEMA.set(SCHEMA.get_field_index("Dt_Customer"), pa.field("Dt_Customer", pa.string()))
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
    with pyarrow.parquet.ParquetWriter(path, SCHEMA) as writer:
        for batch in made:
            writer.write_batch(batch)


def _batch(rng: np.random.Generator, start: int, size: int) -> pa.RecordBatch:
    """Make the customers from position `start`: households, some of them twice, with dirt on some of the others."""
    repeats = min(_in_proportion(REPEATED_ROWS, size), size - 1)
    household = _household_of_row(rng, size, repeats)
    columns = {name: values[household] for name, values in _households(rng, size - repeats).items()}
    _soil(rng, columns, np.flatnonzero(np.bincount(household)[household] == 1))
    # Every batch has its own range of ids, so that they are unique without remembering any.
    columns["customer_id"] = IDS_PER_CUSTOMER * start + rng.permutation(IDS_PER_CUSTOMER * size)[:size]
    names = {"education": EDUCATIONS, "marital_status": MARITAL_STATUSES}
    arrays = [
        pa.array(names[column.name]).take(pa.array(columns[column.name]))
        if column.name in names
        else pa.array(columns[column.name], from_pandas=column.nullable).cast(SQL_TO_ARROW[column.type])
        for column in CONTRACT
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


def _in_proportion(per_sample: int, size: int) -> int:
    return round(size * per_sample / SAMPLE_CUSTOMERS)


def _household_of_row(rng: np.random.Generator, size: int, repeats: int) -> Integers:
    """Number the household that every row shows: the next new one, or for a repeat one of those before it."""
    repeated = np.zeros(size, dtype=bool)
    repeated[1 + rng.permutation(size - 1)[:repeats]] = True
    known = np.cumsum(~repeated)
    return np.where(repeated, (rng.random(size) * known).astype(np.intp), known - 1)


def _households(rng: np.random.Generator, size: int) -> dict[str, NDArray[Any]]:
    """Draw clean households, column by column (see the module's docstring for the model)."""
    age = 18 + np.floor(57 * rng.beta(2.3, 2.5, size))
    tenure = rng.integers(JOINING_DAYS, size=size)
    loyalty = tenure / JOINING_DAYS - 0.5
    education = np.searchsorted(EDUCATION_STEPS, _rank(rng.standard_normal(size) + 0.018 * age))
    partner = rng.random(size) < 0.645

    basic = education == EDUCATIONS.index("Basic")
    affluence = _rank(rng.standard_normal(size) + 0.02 * age + 0.05 * education - 2.5 * basic)
    income = np.maximum(18_500 + 66_500 * affluence + 4_500 * rng.standard_normal(size), 1_500)

    kids = _children(rng, -0.7 + 0.2 * partner - 0.03 * (age - 45) - 6.0 * (affluence - 0.5))
    teens = _children(rng, 2.2 + 0.2 * partner - ((age - 52) / 12) ** 2 - ((affluence - 0.55) / 0.25) ** 2)
    children = kids + teens
    hunting = 0.8 * (children - 0.95) + 0.015 * (age - 45) + 1.4 * loyalty + 0.8 * rng.standard_normal(size)

    wish = 8 * (affluence - 0.4) - 1.1 * (children - 0.95) + 1.3 * loyalty + 0.25 * hunting
    wish += 0.6 * rng.standard_normal(size)
    appetite = _chance(wish)
    purchases = {name: level.draw(rng, appetite) for name, level in PURCHASES.items()}
    purchases["num_deals_purchases"] = DEALS.draw(rng, 0.65 * hunting - 4.0 * (affluence - 0.485) ** 2)
    purchases["num_web_purchases"] = WEB.draw(rng, appetite + 0.22 * hunting)
    purchases["num_store_purchases"] = STORE.draw(rng, appetite + 0.1 * hunting)
    recency = rng.integers(100, size=size)
    answer = -3.2 + 1.3 * appetite + 1.0 * ~partner + 1.6 * loyalty - 0.02 * (recency - 49.5)
    return {
        "year_birth": 2014 - age,
        "education": education,
        "marital_status": _marital_status(rng, age, partner),
        "income": np.rint(income),
        "kidhome": kids,
        "teenhome": teens,
        "dt_customer": LAST_JOIN_DATE - tenure,
        "recency": recency,
        **purchases,
        "num_web_visits_month": rng.binomial(9, _chance(0.42 - 2.3 * (affluence - 0.5) + 0.55 * hunting)),
        "complain": (rng.random(size) < 0.0094).astype(np.int8),
        "response": (rng.random(size) < _chance(answer)).astype(np.int8),
    }


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


def _marital_status(rng: np.random.Generator, age: Floats, partner: NDArray[np.bool_]) -> Integers:
    """Draw positions in `MARITAL_STATUSES`: the old who live alone are more often widowed."""
    draw = rng.random(age.size)
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
