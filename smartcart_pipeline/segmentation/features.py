"""Features: what describes a customer to the model, one row a customer."""

import narwhals as nw
from narwhals.typing import FrameT

from smartcart_pipeline.declaration.contract import AMOUNTS
from smartcart_pipeline.declaration.recipe import CARRIED_OVER, OUTCOMES
from smartcart_pipeline.segmentation.cleaning import is_one_of

PARTNERED = ("Married", "Together")
UNDERGRADUATE = ("Basic", "2n Cycle")
GRADUATE = ("Graduation",)


def engineer_features(cleaned: FrameT) -> FrameT:
    """Describe each customer by what the segmentation compares.

    Args:
        cleaned: Customers from `clean_customers`, with `as_of_date`.

    Returns:
        One row a customer: `age` (years), `customer_tenure_days`, `total_spending` (currency units in two years),
        `total_children`, `living_with` (Partner or Alone), `education` (Undergraduate, Graduate or Postgraduate),
        income, recency, purchase and visit counts, `complain`, and `response`, an outcome.
    """
    education = nw.col("education")
    return cleaned.select(
        "customer_id",
        (nw.col("as_of_date").dt.year() - nw.col("year_birth")).alias("age"),
        (_day_number("as_of_date") - _day_number("dt_customer")).alias("customer_tenure_days"),
        # Amounts and children are narrow integers: widen them before they are added.
        nw.sum_horizontal(*[nw.col(name).cast(nw.Int32) for name in AMOUNTS]).alias("total_spending"),
        nw.sum_horizontal(*[nw.col(name).cast(nw.Int16) for name in ("kidhome", "teenhome")]).alias("total_children"),
        nw.when(is_one_of(nw.col("marital_status"), PARTNERED))
        .then(nw.lit("Partner"))
        .otherwise(nw.lit("Alone"))
        .alias("living_with"),
        nw.when(is_one_of(education, UNDERGRADUATE))
        .then(nw.lit("Undergraduate"))
        .otherwise(nw.when(is_one_of(education, GRADUATE)).then(nw.lit("Graduate")).otherwise(nw.lit("Postgraduate")))
        .alias("education"),
        *CARRIED_OVER,
        *OUTCOMES,
    )


def _day_number(day: str) -> nw.Expr:
    """Days since 31 December of the year before year 1, as `date.toordinal` counts them.

    Engines disagree on what one date minus another is; all of them agree on a year and a day of the year.
    """
    date = nw.col(day).cast(nw.Date)
    whole_years = date.dt.year().cast(nw.Int32) - 1
    leap_days = whole_years // 4 - whole_years // 100 + whole_years // 400
    return whole_years * 365 + leap_days + date.dt.ordinal_day().cast(nw.Int32)
