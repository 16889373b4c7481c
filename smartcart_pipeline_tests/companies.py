"""Companies and what they call their customers' columns, none of them like SmartCart.

A company's customers are of a few kinds, which differ in several of its columns; the kind itself is not among them.
What stands above a function is a claim about the table that it makes (see `claims`). What belongs here: companies.
What does not: luck (see `crowds`) and files (see `deliveries`).
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from smartcart_pipeline_tests.claims import (
    CONSTANT,
    FREE_TEXT,
    MOSTLY_EMPTY,
    NEARLY_CONSTANT,
    TOO_MANY_LEVELS,
    Columns,
    ForeignTable,
    copy_of,
)
from smartcart_pipeline_tests.crowds import Bools, Crowd, Integers

FOREIGN: dict[str, ForeignTable] = {}


def company(**known: Any) -> Callable[[Callable[[Crowd], Columns]], Callable[[Crowd], Columns]]:
    """Register what a function makes as a table of its name, with what is known of it."""

    def register(fill: Callable[[Crowd], Columns]) -> Callable[[Crowd], Columns]:
        FOREIGN[fill.__name__] = ForeignTable(fill.__name__, fill, **known)
        return fill

    return register


def said(flags: Bools, yes: str = "Yes", no: str = "No") -> pa.Array:
    """Flags in words."""
    return pa.array([no, yes]).take(pa.array(flags.astype(np.int8)))


def bits(flags: Bools) -> Integers:
    """Flags as 0 and 1."""
    return flags.astype(np.int8)


def remarks(crowd: Crowd, sentences: Sequence[str], share: float) -> pa.Array:
    """Texts that somebody typed, none like another, about some of the customers."""
    about = crowd.choices("remarks", sentences).to_pylist()
    written = [
        text.format(number) for text, number in zip(about, crowd.numbered("{}", 7, 1204).to_pylist(), strict=True)
    ]
    return crowd.gaps("remarks", pa.array(written), 1 - share)


def plain(name: str) -> str:
    """A name as addresses have it."""
    letters = unicodedata.normalize("NFKD", name.lower())
    return "".join(letter for letter in letters if "a" <= letter <= "z")


@company(
    shares=(0.34, 0.28, 0.22, 0.16),
    format="csv",
    key="customerID",
    outcomes=("Churn",),
    sensitive=("Gender",),
    left_out={"Country": CONSTANT, "ZipCode": TOO_MANY_LEVELS},
)
def telco_churn(crowd: Crowd) -> Columns:
    """Phone contracts: prepaid talkers, families with everything, young streamers, and the old with a landline."""
    tenure = crowd.counts("tenure", (9, 44, 18, 58), most=72)
    monthly = crowd.measures("monthly", (24.5, 98, 71, 38), (5, 11, 9, 6), (18.25, 130), 2)
    fiber = crowd.flags("fiber", (0.05, 0.9, 0.8, 0.02))
    total = np.round(tenure * monthly * (1 + 0.03 * crowd.normal("rebates")), 2)
    ids = crowd.numbered("{:04d}", 7, 3190).to_pylist()
    letters = crowd.choices("letters", [a + b + c + d for a in "VGQ" for b in "HNX" for c in "EVB" for d in "GKT"])
    return {
        "customerID": pa.array([f"{digits}-{word}" for digits, word in zip(ids, letters.to_pylist(), strict=True)]),
        "Gender": crowd.choices("gender", ("Female", "Male"), (0.5, 0.5)),
        "SeniorCitizen": bits(crowd.flags("senior", (0.08, 0.06, 0.01, 0.71))),
        "Partner": said(crowd.flags("partner", (0.3, 0.85, 0.25, 0.55))),
        "Country": crowd.repeated("United States"),
        "ZipCode": crowd.choices("zip", [f"{n:05d}" for n in range(601, 5000, 11)], [1] * 400),
        "TenureMonths": tenure,
        "InternetService": crowd.choices(
            "internet",
            ("Fiber optic", "DSL", "No"),
            ((0.1, 0.85, 0.75, 0.02), (0.3, 0.15, 0.25, 0.4), (0.6, 0, 0, 0.58)),
        ),
        "StreamingTV": said(fiber & crowd.flags("tv", (0.1, 0.7, 0.9, 0.1))),
        "Contract": crowd.choices(
            "contract", ("Month-to-month", "One year", "Two year"), ((8, 1, 6, 1), (1, 3, 3, 2), (0.2, 6, 1, 7))
        ),
        "PaymentMethod": crowd.choices("payment", ("Electronic check", "Bank transfer", "Credit card", "Mailed check")),
        "MonthlyCharges": monthly,
        # Who has not had a bill yet has no total.
        "TotalCharges": pa.array(total, mask=tenure == 0),
        "SupportCalls": crowd.counts("calls", (0.4, 1.1, 2.6, 0.9)),
        "Churn": said(crowd.flags("churn", (0.42, 0.1, 0.3, 0.05))),
    }


@company(
    shares=(0.4, 0.25, 0.2, 0.15),
    format="csv semicolon",
    key="account no",
    outcomes=("term deposit",),
    sensitive=("sex",),
    left_out={"currency": CONSTANT, "default": NEARLY_CONSTANT, "closed on": MOSTLY_EMPTY},
    has_date=True,
    dates="%d/%m/%Y",
)
def retail_bank(crowd: Crowd) -> Columns:
    """Accounts at a bank: salaries that come and go, savers, the overdrawn, and owners of small firms."""
    opened = crowd.joined("opened", (4_000, 7_000, 2_500, 3_000))
    balance = crowd.measures("balance", (1_850, 31_200, -740, 14_300), (900, 11_000, 520, 9_000))
    swing = crowd.amounts("swing", (1_700, 2_400, 800, 11_000), 0.5)
    closed = np.maximum(crowd.joined("closed", 90), opened)
    return {
        "account no": crowd.numbered("{:010d}", 13, 4_711),
        "sex": crowd.choices("sex", ("f", "m"), (0.51, 0.49)),
        "birth year": (1981 + crowd.measures("born", (0, -18, 6, -4), 9, (-45, 26), 0, moves=False)).astype(np.int64),
        "opened": opened,
        "last: transaction": crowd.seen("transaction", (3, 24, 5, 1), opened),
        "currency": crowd.repeated("EUR"),
        "balance": balance,
        "lowest balance": np.round(balance - swing, 2),
        "salary in": crowd.amounts("salary", (2_480, 1_690, 1_910, 640), 0.28)
        * crowd.flags("paid", (1, 0.8, 0.9, 0.2)),
        "overdraft days": crowd.counts("overdraft", (1.2, 0.02, 21, 4), most=31),
        "card: payments": crowd.counts("card", (38, 11, 29, 64)),
        "cash out": crowd.counts("cash", (3, 5, 6, 1)) * 50,
        "mortgage": said(crowd.flags("mortgage", (0.35, 0.2, 0.12, 0.5)), "yes", "no"),
        "default": said(crowd.flags("default", 0.003), "yes", "no"),
        "closed on": crowd.gaps("closed", closed, 0.985),
        "branch": crowd.choices("branch", [f"{town} {side}" for side in ("Nord", "Süd") for town in BANK_TOWNS]),
        "term deposit": said(crowd.flags("deposit", (0.08, 0.31, 0.02, 0.12)), "yes", "no"),
    }


BANK_TOWNS = ("Ulm", "Gießen", "Köln", "Jena", "Trier", "Fürth", "Kiel", "Bonn", "Hof", "Celle")


@company(
    shares=(0.45, 0.3, 0.25),
    format="xlsx",
    key="Policy Holder",
    outcomes=("Renewed",),
    sensitive=("Smoker",),
    left_out={"Adjuster's Notes": FREE_TEXT, "Voucher": MOSTLY_EMPTY},
    has_date=True,
)
def insurance(crowd: Crowd) -> Columns:
    """Policies: careful commuters, families with a house, and owners of fast cars. Most never claim."""
    since = crowd.joined("since", (2_000, 5_000, 1_500))
    claiming = crowd.flags("claiming", (0.06, 0.12, 0.33))
    return {
        "Policy Holder": 30_000_017 + 3 * crowd.number,
        "Insured Since": since,
        "Age": crowd.measures("age", (37, 51, 33), (8, 8, 9), (18, 91), 0, moves=False).astype(np.int64),
        "Smoker": said(crowd.flags("smoker", (0.14, 0.18, 0.29))),
        "Region": crowd.choices("region", INSURED_REGIONS),
        "Policies": 1 + crowd.counts("policies", (0.3, 2.7, 0.6), most=7),
        "Annual Premium": crowd.amounts("premium", (410, 1_980, 1_240), 0.22),
        "Sum Insured": np.round(crowd.amounts("insured", (18_000, 640_000, 62_000), 0.4, 0), -3),
        "Vehicle kW": crowd.gaps("kw", crowd.counts("kw", (70, 92, 210)), (0, 0.25, 0)),
        "Claims Paid": np.where(claiming, crowd.amounts("claims", (900, 2_300, 5_600), 1.1), 0),
        "Total Loss": bits(crowd.flags("loss", 0.006)),
        "Adjuster's Notes": remarks(crowd, ADJUSTED, 0.85),
        "Voucher": crowd.gaps("voucher", crowd.numbered("V{:06d}"), 0.96),
        "Renewed": bits(crowd.flags("renewed", (0.82, 0.93, 0.61))),
    }


INSURED_REGIONS = (
    *("North", "South", "East", "West", "Coast", "Lakes", "Hills", "Plains"),
    *("Capital", "Old Harbour", "New Harbour", "St. Mary's", "King's Moor", "Bishop's Cross", "Islands", "Abroad"),
)
ADJUSTED = (
    "Called about file {}, no answer yet.",
    'Sent form {}; customer says "never received".',
    "Photos of the bumper are in folder {}, garage quote to follow",
    "Asked to move the due date of invoice {} to the 15th.",
    "Moved house, new deed no. {}.",
)


@company(
    shares=(0.3, 0.3, 0.25, 0.15),
    format="parquet",
    key="user_id",
    outcomes=("cancelled",),
    left_out={"app_build": NEARLY_CONSTANT},
    has_date=True,
)
def streaming(crowd: Crowd) -> Columns:
    """Subscribers: children's accounts, bingers of series, watchers of sport, and those who forgot that they pay."""
    joined = crowd.joined("signup", (900, 1_400, 600, 1_800))
    seen = crowd.seen("watched", (1, 1, 4, 90), joined)
    offers = {"basic": 8.99, "standard": 13.99, "premium": 18.99, "bundle": 24.0}
    offer = crowd.choices("offer", list(offers), ((2, 1, 2, 6), 3, (4, 5, 2, 1), 1))
    fees = crowd.choices("offer", list(offers.values()), ((2, 1, 2, 6), 3, (4, 5, 2, 1), 1))
    return {
        "user_id": crowd.uuids("user"),
        "signup_at": crowd.clock("signup hour", joined),
        "last_seen_at": crowd.gaps("seen", crowd.clock("seen hour", seen), (0, 0, 0, 0.2)),
        "segment_id": offer,
        "hours_watched": crowd.amounts("hours", (46.0, 71.0, 18.0, 0.6), 0.45, 1),
        "titles_started": crowd.counts("titles", (88, 34, 9, 0.5)),
        "completion": crowd.measures("completion", (0.41, 0.83, 0.55, 0.2), 0.09, (0, 1), 3),
        "live_minutes": crowd.counts("live", (4, 20, 940, 2)),
        "kids_profile": crowd.flags("kids", (0.97, 0.2, 0.15, 0.3)),
        "downloads": crowd.gaps("downloads", crowd.counts("downloads", (21, 3, 1, 0)), 0.07),
        "device": crowd.gaps(
            "device",
            crowd.choices("device", ("tv", "tablet", "phone", "web"), ((1, 6, 5, 3), (6, 1, 1, 1), 2, 1)),
            0.03,
        ),
        "app_build": crowd.choices("build", ("2026.2", "2025.11"), (0.996, 0.004)),
        "monthly_fee": fees,
        "cancelled": crowd.flags("cancelled", (0.03, 0.05, 0.18, 0.12)),
    }


@company(
    shares=(0.28, 0.26, 0.2, 0.16, 0.1),
    format="csv.gz",
    key="card_no",
    left_out={"spend_pence": copy_of("spend_total"), "chain": CONSTANT},
    has_date=True,
)
def grocery_loyalty(crowd: Crowd) -> Columns:
    """Loyalty cards: large families, cooks of fresh food, buyers of ready meals, of drinks, and hunters for offers."""
    joined = crowd.joined("joined", 2_500)
    departments = {
        "fruit_veg": crowd.amounts("fruit", (61, 92, 9, 12, 24), 0.4),
        "meat_fish": crowd.amounts("meat", (74, 68, 14, 31, 19), 0.5),
        "dairy": crowd.amounts("dairy", (58, 37, 17, 10, 21), 0.35),
        "ready meals": crowd.amounts("ready", (19, 4, 88, 26, 15), 0.5),
        "beer_wine": crowd.amounts("wine", (12, 34, 21, 142, 5), 0.6) * crowd.flags("drinks", (0.5, 0.7, 0.7, 1, 0.3)),
        "baby": crowd.amounts("baby", (48, 11, 6, 4, 8), 0.5) * crowd.flags("babies", (0.6, 0.06, 0.03, 0, 0.1)),
    }
    total = np.round(np.sum(list(departments.values()), axis=0), 2)
    return {
        "card_no": crowd.numbered("{:08d}", 11, 52),
        "joined": joined,
        "last_shop": crowd.seen("shop", (3, 5, 6, 9, 14), joined),
        "chain": crowd.repeated(7),
        "group": crowd.choices("store", [f"S{n:02d}" for n in range(1, 33)]),
        "order": crowd.counts("trips", (14, 11, 9, 6, 8)),
        **departments,
        "spend_total": total,
        "spend_pence": np.rint(100 * total).astype(np.int64),
        "coupons": crowd.counts("coupons", (4, 0.6, 0.8, 0.4, 17)),
        "self checkout": crowd.measures("checkout", (0.2, 0.35, 0.8, 0.5, 0.3), 0.12, (0, 1), 2),
        "club": crowd.choices(
            "club", ("none", "Baby & Me", "Wine 'n' Dine", "O'Leary's Table"), (6, (5, 1, 1, 1, 1), 1, 1)
        ),
    }


@company(
    shares=(0.55, 0.25, 0.15, 0.05),
    format="csv tab",
    key="Debtor",
    outcomes=("select",),
    left_out={"Terms": CONSTANT, "Buyer": TOO_MANY_LEVELS},
)
def wholesale(crowd: Crowd) -> Columns:
    """Firms that buy in bulk: corner shops, restaurants, chains, and a few giants that dwarf them all."""
    revenue = crowd.amounts("revenue", (42_000, 310_000, 9_400_000, 1.1e9), 0.7, 0)
    people = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    return {
        "Debtor": 100_002 + 4 * crowd.number,
        "Terms": crowd.repeated("30 days net"),
        "Buyer": crowd.choices("buyer", people, [1] * len(people)),
        "order": crowd.counts("orders", (9, 46, 120, 410)),
        "group": crowd.choices(
            "trade", ("Retail", "Hotel/Restaurant/Café", "Chain"), ((9, 1, 2, 0), (1, 9, 0, 0), (0, 0, 8, 1))
        ),
        "Revenue": revenue,
        "Credit Limit": np.round(crowd.amounts("limit", (5_000, 30_000, 900_000, 9e7), 0.5, 0), -3),
        "Margin %": crowd.measures("margin", (24, 31, 11, 4.5), (4, 5, 3, 2), (-15, 60), 1),
        "Frozen": np.rint(revenue * crowd.measures("frozen", (0.05, 0.38, 0.2, 0.17), 0.05, (0, 0.6), 4)),
        "Detergents": np.rint(revenue * crowd.measures("soap", (0.22, 0.02, 0.27, 0.3), 0.05, (0, 0.4), 4)),
        "Days to Pay": crowd.counts("paying", (12, 38, 29, 63)),
        "Returned Pallets": crowd.counts("pallets", (0.2, 1, 14, 160)),
        "select": bits(crowd.flags("select", (0.05, 0.2, 0.5, 0.8))),
    }


FIRST_NAMES = ("Ana", "Bruno", "Chloé", "Dmitri", "Elif", "Femi", "Grete", "Hiro", "Inés", "Jonas", "Kwame", "Lena")
LAST_NAMES = (
    *("Abara", "Brandt", "Castro", "D'Angelo", "Eriksen", "Fischer", "García", "Horvat", "Ito", "Jansen", "Kaya"),
    *("López", "Meyer", "Novak", "Okafor", "Petrov", "Quist", "Rossi", "Sato", "Tanaka", "Ueda", "Vogel", "Weiss"),
)


@company(
    shares=(0.5, 0.3, 0.2),
    format="csv",
    key="e-mail",
    outcomes=("bought_pro",),
    left_out={"feedback": FREE_TEXT, "push_token": TOO_MANY_LEVELS},
    has_date=True,
    daily=("days_since_open",),
)
def app_usage(crowd: Crowd) -> Columns:
    """Users of a task list: those who tried it once, lists for one, and teams."""
    installed = crowd.joined("installed", (400, 500, 300))
    opened = crowd.seen("opened", (60, 3, 1), installed)
    first, last = ([plain(name) for name in names] for names in (FIRST_NAMES, LAST_NAMES))
    given, family = crowd.choices("first", first).to_pylist(), crowd.choices("last", last).to_pylist()
    numbers = crowd.number.tolist()
    mail = [f"{a}.{b}{n}@mail.example" for a, b, n in zip(given, family, numbers, strict=True)]
    return {
        "e-mail": pa.array(mail),
        "installed": installed,
        "days_since_open": (crowd.day - opened).astype(np.int64),
        "sessions": crowd.counts("sessions", (2, 34, 96)),
        "customers": crowd.counts("shared", (0, 0.4, 7.5)),
        "least": crowd.measures("shortest", (3, 11, 6), (2, 4, 2), (1, 120), 0).astype(np.int64),
        "label": crowd.counts("labels", (0.3, 5, 22)),
        "segment": crowd.gaps(
            "source", crowd.choices("source", ("ad", "friend", "store", "web"), ((8, 3, 1), (1, 4, 9), 2, 2)), 0.18
        ),
        "tasks done": crowd.counts("tasks", (1.5, 120, 310)),
        "crashes": crowd.counts("crashes", 0.05),
        "os": crowd.choices("os", ("Android", "iOS"), ((7, 5, 3), (3, 5, 7))),
        "push_token": crowd.numbered("tok-{:07x}", 7_919, 86_028_157),
        "feedback": remarks(
            crowd, ("crashed after sync {} :(", "love it!! {} stars", "pls add a week view, ticket {}"), 0.3
        ),
        "bought_pro": said(crowd.flags("pro", (0.01, 0.12, 0.47)), "true", "false"),
    }


@company(
    shares=(0.46, 0.28, 0.18, 0.08),
    format="csv with mark",
    key="Donor: ID",
    outcomes=('Replied to "Winter" appeal',),
    sensitive=("Faith",),
    left_out={
        "Salutation on card": FREE_TEXT,
        "Tax country": NEARLY_CONSTANT,
        "Lifetime (k$)": copy_of("Lifetime ($)"),
    },
    has_date=True,
)
def donations(crowd: Crowd) -> Columns:
    """Donors: once after a disaster, monthly by standing order, each winter by letter, and a few who give a house."""
    since = crowd.joined("since", (700, 2_500, 6_000, 4_000))
    lifetime = crowd.amounts("lifetime", (35, 1_150, 640, 24_000), 0.6, 0)
    given = crowd.choices("first", FIRST_NAMES).to_pylist()
    greeting = crowd.gaps("greeting", crowd.numbered("Dear friend no. {}, thank you", 3, 17), (0.5, 0.1, 0.1, 0))
    return {
        "Donor: ID": pa.array([f"{name[0]}-{n:06d}" for name, n in zip(given, crowd.number.tolist(), strict=True)]),
        "Since": since,
        "Last gift": crowd.seen("gift", (400, 15, 180, 120), since),
        "Gifts": 1 + crowd.counts("gifts", (0.1, 46, 7, 3)),
        "Lifetime ($)": lifetime,
        "Lifetime (k$)": lifetime / 1000,
        'Largest "major" gift': np.round(
            lifetime * crowd.measures("major", (0.95, 0.04, 0.2, 0.8), 0.02, (0.01, 1)), 2
        ),
        "Legacy pledged": np.where(
            crowd.flags("legacy", (0, 0.01, 0.06, 0.4)), crowd.amounts("pledge", 60_000, 0.8, 0), 0
        ),
        "Volunteer hours": crowd.counts("hours", (0.2, 1, 9, 2)) * crowd.flags("volunteers", (0.03, 0.1, 0.5, 0.2)),
        "Channel": crowd.choices(
            "channel", ("web", "letter", "street", "event"), ((8, 2, 0.3, 1), (1, 1, 9, 2), (3, 4, 0, 0), 1)
        ),
        "Faith": crowd.gaps(
            "faith", crowd.choices("faith", ("none", "Christian", "Muslim", "Hindu", "Jewish", "other")), 0.44
        ),
        "Tax country": crowd.choices("country", ("US", "CA"), (0.994, 0.006)),
        "Salutation on card": greeting,
        'Replied to "Winter" appeal': bits(crowd.flags("replied", (0.02, 0.07, 0.55, 0.3))),
    }


@company(
    shares=(0.35, 0.25, 0.25, 0.15),
    format="csv semicolon",
    key="Member No.",
    outcomes=("Quit",),
    sensitive=("Medical note",),
    left_out={"Photo": CONSTANT},
    has_date=True,
    dates="%d.%m.%Y",
)
def gym(crowd: Crowd) -> Columns:
    """Members: January's hopefuls, lifters every day, classes on two evenings, and swimmers in the morning."""
    since = crowd.joined("since", (250, 1_500, 1_100, 2_400))
    return {
        "Member No.": 5_000 + crowd.number,
        "Since": since,
        " Visits": crowd.counts("visits", (1.2, 21, 8, 12), most=31),
        "Minutes per visit": crowd.measures("minutes", (38, 94, 61, 47), (9, 14, 6, 8), (10, 240), 0).astype(np.int64),
        "Classes": crowd.counts("classes", (0.4, 0.5, 7.6, 1.1)),
        "Pool": crowd.flags("pool", (0.2, 0.1, 0.15, 0.98)),
        "Usual hour": crowd.measures("hour", (18, 20, 18.5, 7), (2, 1.5, 0.7, 0.8), (6, 22), 0, moves=False).astype(
            np.int64
        ),
        "Trainer": crowd.gaps("trainer", crowd.choices("trainer", TRAINERS), (0.9, 0.5, 0.2, 0.8)),
        "Drinks (€)": crowd.amounts("drinks", (1.5, 14.5, 4, 2), 0.5) * crowd.flags("thirsty", (0.3, 0.9, 0.6, 0.3)),
        "Fee": crowd.choices("fee", (19.9, 29.9, 34.5), ((6, 1, 2, 2), 3, (1, 4, 5, 2))),
        "Medical note": crowd.gaps("medical", crowd.choices("medical", ("back", "knee", "heart", "asthma")), 0.72),
        "Photo": crowd.repeated(True),
        "Quit": crowd.flags("quit", (0.34, 0.05, 0.09, 0.04)),
    }


TRAINERS = ("Aoife O'Brien", "Łukasz", "Noémie", "Jürgen", "Zoë", "Kim", "Said", "Maja", "Tom", "Ilse", "Bo", "Ravi")


@company(
    shares=(0.38, 0.27, 0.2, 0.15),
    format="csv",
    key="Guest ID",
    outcomes=("Cancelled Last Booking",),
    sensitive=("Nationality",),
    left_out={"Company": TOO_MANY_LEVELS, "Loyalty Tier (old)": MOSTLY_EMPTY, "Remarks": FREE_TEXT},
    has_date=True,
    dates="%d/%m/%Y",
)
def hotel_guests(crowd: Crowd) -> Columns:
    """Guests: travellers on business, couples at weekends, families in summer, and long-term guests."""
    first = crowd.joined("first", 1_900)
    firms = [f"{name} {form}" for name in LAST_NAMES for form in ("Ltd", "GmbH", "& Sons", "S.A.", "Inc.", "AG")]
    return {
        "Guest ID": crowd.numbered("GH{:06d}", 17, 204),
        "First Stay": first,
        "Last Stay": crowd.seen("stay", (25, 140, 290, 60), first),
        "Nationality": crowd.choices("nation", NATIONS),
        "Company": crowd.gaps("firm", crowd.choices("firm", firms, [1] * len(firms)), (0.1, 0.97, 0.98, 0.3)),
        "Nights": crowd.counts("nights", (22, 5, 11, 96)),
        "Adults": 1 + crowd.counts("adults", (0.02, 1, 1.1, 0.2), most=3),
        "Children": crowd.counts("children", (0, 0.05, 1.9, 0.2), most=5),
        "Lead Time (days)": crowd.counts("lead", (4, 33, 121, 45)),
        "Room Revenue": crowd.amounts("room", (3_100, 790, 1_640, 6_900), 0.35),
        "Restaurant": crowd.amounts("restaurant", (410, 230, 310, 160), 0.6)
        * crowd.flags("dines", (0.7, 0.8, 0.9, 0.3)),
        "Spa": crowd.amounts("spa", (60, 160, 90, 40), 0.6) * crowd.flags("spa", (0.1, 0.75, 0.3, 0.05)),
        "Booking Channel": crowd.choices(
            "channel", ("Agency", "Web", "Phone", "Walk-in"), ((8, 1, 3, 2), (2, 8, 6, 2), (1, 1, 2, 5), 0.3)
        ),
        "Loyalty Tier (old)": crowd.gaps("tier", crowd.choices("tier", ("Gold", "Silver")), 0.93),
        "Remarks": remarks(
            crowd,
            ("Late check-out until {} asked.", "Allergic to feathers (see {})", "Quiet room, not next to lift {}"),
            0.4,
        ),
        "Cancelled Last Booking": said(crowd.flags("cancelled", (0.2, 0.12, 0.35, 0.04)), "Y", "N"),
    }


NATIONS = (
    *(
        "Germany",
        "France",
        "United Kingdom",
        "Spain",
        "Italy",
        "Türkiye",
        "Poland",
        "Netherlands",
        "Belgium",
        "Austria",
    ),
    *("Switzerland", "Sweden", "Norway", "Denmark", "Finland", "Ireland", "Portugal", "Greece", "Czechia", "Hungary"),
    *("Romania", "Bulgaria", "Croatia", "Serbia", "Ukraine", "Morocco", "Tunisia", "Egypt", "Côte d'Ivoire", "Ghana"),
    *(
        "Nigeria",
        "South Africa",
        "India",
        "China",
        "日本",
        "South Korea",
        "Brazil",
        "México",
        "Canada",
        "Lao People's D.R.",
    ),
)


@company(
    shares=(0.4, 0.3, 0.2, 0.1),
    format="csv latin-1",
    key="Zähler",
    outcomes=("Gekündigt",),
    left_out={"Netz": CONSTANT, "Verbrauch MWh": copy_of("Verbrauch kWh")},
    has_date=True,
    dates="%d.%m.%Y",
)
def energy_utility(crowd: Crowd) -> Columns:
    """Households on electricity: small flats, houses with gas, houses with a heat pump and a roof of panels, farms."""
    used = crowd.counts("used", (1_650, 3_900, 7_800, 24_000))
    return {
        "Zähler": crowd.numbered("DE{:09d}", 97, 10_203),
        "Vertrag seit": crowd.joined("since", (1_200, 4_000, 1_500, 6_500)),
        "Netz": crowd.repeated("Süd"),
        "Größe": crowd.measures("area", (58, 128, 155, 310), (12, 22, 25, 90), (18, 1_200), 0, moves=False).astype(
            np.int64
        ),
        "Personen": 1 + crowd.counts("people", (0.4, 1.9, 2.2, 2.6), most=9, moves=False),
        "Verbrauch kWh": used,
        "Verbrauch MWh": used / 1000,
        # What the roof feeds in counts against the bill, which may then be negative.
        "Einspeisung kWh": crowd.counts("fed", (0, 60, 6_900, 2_500)) * crowd.flags("roof", (0, 0.08, 0.95, 0.3)),
        "Saldo": crowd.measures("balance", (-12.5, 35, -210, 480), (40, 60, 150, 400)),
        "Tarif": crowd.choices(
            "tariff", ("Grün", "Basis", "Nacht", "Gewerbe"), ((3, 3, 5, 1), (7, 6, 1, 1), (0.1, 1, 8, 1), (0, 0, 0, 6))
        ),
        "Straßentyp": crowd.gaps(
            "street", crowd.choices("street", ("Allee", "Gasse", "Straße", "Weg"), (1, 2, 6, 3)), 0.05
        ),
        "Mahnungen": crowd.counts("reminders", (0.5, 0.1, 0.05, 0.2)),
        "Gekündigt": said(crowd.flags("left", (0.15, 0.06, 0.03, 0.02)), "ja", "nein"),
    }


@company(
    shares=(0.5, 0.3, 0.15, 0.05),
    format="csv",
    key="ID#",
    outcomes=("Award?",),
    left_out={"Miles (thousands)": copy_of("Miles"), "Alliance": CONSTANT},
)
def airline_miles(crowd: Crowd) -> Columns:
    """Frequent flyers by numbers only: holiday makers, collectors by credit card, commuters, and those always away."""
    miles = crowd.amounts("miles", (9_400, 61_000, 118_000, 940_000), 0.55, 0).astype(np.int64)
    flights = crowd.counts("flights", (1.3, 2.1, 24, 88))
    return {
        "ID#": 1 + crowd.number,
        "Miles": miles,
        "Miles (thousands)": miles / 1000,
        "Qualifying miles": crowd.counts("qualifying", (0, 50, 21_000, 96_000))
        * bits(crowd.flags("status", (0, 0.1, 0.9, 1))),
        "Card miles": crowd.gaps("card", crowd.counts("card", (300, 38_000, 9_000, 52_000)), (0.3, 0, 0.2, 0.1)),
        "Non-flight transactions": crowd.counts("transactions", (2, 19, 8, 24)),
        "Flights, 12 mo.": flights,
        "Upgrades": crowd.gaps("upgrades", np.minimum(crowd.counts("upgrades", (0, 0.2, 3, 21)), flights), 0.11),
        "Days enrolled": crowd.counts("enrolled", (1_900, 4_100, 3_300, 6_200), moves=False),
        "Alliance": crowd.repeated(0),
        "Award?": bits(crowd.flags("award", (0.12, 0.55, 0.6, 0.93))),
    }


@company(
    shares=(0.5, 0.25, 0.15, 0.1),
    format="parquet",
    key="sellerUuid",
    outcomes=("suspended",),
    sensitive=("ownerGender",),
    left_out={"gmvUsd": copy_of("grossMerchandiseValue"), "apiVersion": CONSTANT, "legacyScore": MOSTLY_EMPTY},
    has_date=True,
)
def marketplace_sellers(crowd: Crowd) -> Columns:
    """Sellers: attics that are cleared, makers by hand, importers of parts, and brands."""
    since = crowd.joined("since", (500, 1_600, 900, 2_100))
    gross = crowd.amounts("gross", (240, 8_900, 710_000, 96_000_000), (0.9))
    return {
        "sellerUuid": crowd.uuids("seller"),
        "registeredAt": crowd.clock("since hour", since),
        "lastSale": crowd.seen("sale", (70, 9, 2, 1), since),
        "ownerGender": crowd.gaps("gender", crowd.choices("gender", ("female", "male", "other")), (0.1, 0.1, 0.6, 1)),
        "listings": crowd.counts("listings", (6, 48, 3_900, 1_200)),
        "grossMerchandiseValue": gross,
        "gmvUsd": gross,
        "netMargin": crowd.measures("margin", (0.3, 0.42, 0.07, -0.02), (0.12, 0.08, 0.05, 0.09), (-0.9, 0.9), 4),
        "returnRate": crowd.measures("returns", (0.01, 0.02, 0.17, 0.11), (0.01, 0.01, 0.04, 0.03), (0, 1), 4),
        "rating": crowd.gaps(
            "rating",
            crowd.measures("rating", (4.4, 4.9, 3.7, 4.3), (0.3, 0.1, 0.3, 0.2), (1, 5), 1),
            (0.35, 0.02, 0, 0),
        ),
        "category": crowd.choices("category", GOODS),
        "shipsAbroad": crowd.flags("abroad", (0.1, 0.5, 0.98, 0.8)),
        "disputes": crowd.counts("disputes", (0.05, 0.1, 31, 22)),
        "apiVersion": crowd.repeated(3),
        "legacyScore": crowd.gaps("legacy", crowd.measures("legacy", 50, 10), 0.9),
        "suspended": crowd.flags("suspended", (0.02, 0.005, 0.16, 0.01)),
    }


GOODS = (
    *("Clothes", "Home & Garden", "Toys", "Books", "Car Parts", "Phones", "Jewellery", "Crafts", "Antiques", "Music"),
    *("Women's Shoes", "Men's Shoes", "Baby", "Pets", "Sports", "Tools", "Stamps", "Food", "Cameras", "Other"),
)


@company(
    shares=(0.2, 0.2, 0.2, 0.2, 0.2),
    format="csv",
    key="VisitorID",
    sensitive=("Sex",),
)
def mall_visitors(crowd: Crowd) -> Columns:
    """Five columns, and five kinds: of either income who spend and who do not, and those in the middle."""
    return {
        "VisitorID": 1 + crowd.number,
        "Sex": crowd.choices("sex", ("Female", "Male"), (0.56, 0.44)),
        "Age": crowd.measures("age", (45, 25, 43, 33, 41), (12, 5, 14, 4, 8), (18, 80), 0, moves=False).astype(
            np.int64
        ),
        "Yearly Income (k$)": crowd.measures("income", (26, 26, 55, 87, 88), (6, 6, 6, 9, 9), (10, 160), 0).astype(
            np.int64
        ),
        "Spending Score": crowd.measures("score", (21, 79, 50, 82, 17), (9, 9, 6, 8, 9), (1, 99), 0).astype(np.int64),
    }


@company(
    shares=(0.24, 0.2, 0.18, 0.16, 0.12, 0.1),
    format="csv tab",
    key="respondent",
    outcomes=("took part again", "recommends"),
    sensitive=("性别", "disability", "votes for"),
    left_out={
        "wave": CONSTANT,
        "language": NEARLY_CONSTANT,
        "interviewer": TOO_MANY_LEVELS,
        "any other comment?": FREE_TEXT,
        "q17b": MOSTLY_EMPTY,
        "q17c": MOSTLY_EMPTY,
        "q17d": MOSTLY_EMPTY,
        "age in months": copy_of("年龄"),
    },
    has_date=True,
)
def wide_survey(crowd: Crowd) -> Columns:
    """Seventy columns of a panel: answers of 1 to 7 on six topics, each of which one kind of people cares about."""
    age = crowd.measures("age", (24, 38, 67, 45, 31, 55), 6, (18, 90), 0, moves=False).astype(np.int64)
    answers = {
        f"q{number:02d}": crowd.gaps(f"q{number}", _answers(crowd, number), 0.04 if number % 3 else 0)
        for number in range(1, 43)
    }
    minutes = {
        f"min/day: {medium}": crowd.amounts(medium, np.roll((12, 95, 30, 4, 55, 20), turn).tolist(), 0.5, 0)
        for turn, medium in enumerate(("tv", "radio", "print", "games", "social"))
    }
    owns = {
        f"owns {thing}?": said(crowd.flags(thing, np.roll((0.1, 0.3, 0.5, 0.9, 0.7, 0.2), turn).tolist()), "y", "n")
        for turn, thing in enumerate(("car", "bike", "dog", "house", "boat", "piano"))
    }
    empty = {f"q17{letter}": crowd.gaps(letter, crowd.counts(letter, 3, most=7), 0.95) for letter in "bcd"}
    return {
        "respondent": 900_000_000_000 + 31 * crowd.number,
        "interviewed": crowd.joined("interviewed", 20),
        "wave": crowd.repeated("2026/1"),
        "language": crowd.choices("language", ("en", "cy"), (0.995, 0.005)),
        "interviewer": crowd.choices("interviewer", [f"I{n:03d}" for n in range(150)], [1] * 150),
        "年龄": age,
        "age in months": 12 * age,
        "性别": crowd.choices("sex", ("女", "男"), (0.5, 0.5)),
        "disability": said(crowd.flags("disability", 0.09), "y", "n"),
        "votes for": crowd.gaps("votes", crowd.choices("votes", ("left", "centre", "right", "nobody")), 0.31),
        **answers,
        **minutes,
        **owns,
        **empty,
        "any other comment?": remarks(
            crowd, ("no, but question {} was odd", "see my letter of day {}", "too long; {} questions!"), 0.25
        ),
        "weight": crowd.measures("weight", 1, 0.25, (0.2, 3), 4, moves=False),
        "took part again": said(crowd.flags("again", (0.3, 0.5, 0.9, 0.6, 0.4, 0.7)), "y", "n"),
        "recommends": bits(crowd.flags("recommends", (0.2, 0.5, 0.4, 0.8, 0.6, 0.3))),
    }


def _answers(crowd: Crowd, number: int) -> Integers:
    """Answers from 1 to 7: the kind that the question is about agrees, its neighbours half, the others do not."""
    means = np.roll((6.0, 4.3, 2.6, 2.2, 2.6, 4.3), number % 6).tolist()
    return crowd.measures(f"answer {number}", means, 1.1, (1, 7), 0).astype(np.int64)


@company(shares=(0.5, 0.3, 0.2), format="csv", key="id")
def three_numbers(crowd: Crowd) -> Columns:
    """An id and two numbers."""
    return {
        "id": 10 + crowd.number,
        "visits": crowd.counts("visits", (4, 30, 70)),
        "amount": crowd.amounts("amount", (20, 18, 240), 0.3),
    }


@company(
    shares=(0.55, 0.25, 0.2),
    format="xlsx",
    key=None,
    sensitive=("Concession",),
    left_out={"Museum": CONSTANT, "Till": NEARLY_CONSTANT},
    has_date=True,
)
def museum_passes(crowd: Crowd) -> Columns:
    """Annual passes that were sold to nobody in particular: tourists, school teachers, and friends of the house."""
    sold = crowd.joined("sold", (120, 360, 365))
    return {
        "Museum": crowd.repeated("Harbour Museum"),
        "Till": crowd.choices("till", ("front", "shop"), (0.995, 0.005)),
        "Sold on": sold,
        "Last entry": crowd.seen("entry", (90, 20, 12), sold),
        "Entries": 1 + crowd.counts("entries", (0.4, 6, 17)),
        "Guests": crowd.counts("guests", (0.8, 24, 1.5)),
        "Price": crowd.choices("price", (35, 20, 60), ((8, 1, 2), (1, 8, 1), (1, 1, 7))),
        "Café": crowd.amounts("cafe", (6, 11, 95), 0.6) * crowd.flags("cafe", (0.2, 0.5, 0.95)),
        "Shop": crowd.amounts("shop", (22, 9, 41), 0.7) * crowd.flags("shop", (0.5, 0.2, 0.6)),
        "Concession": crowd.gaps(
            "concession", crowd.choices("concession", ("student", "disabled", "senior")), (0.9, 0.95, 0.6)
        ),
        "Exhibition": crowd.choices("exhibition", ("Ships", "Fishing", "Emigrants", "Harbour lights")),
    }


@company(
    shares=(0.3, 0.25, 0.2, 0.15, 0.1),
    format="parquet",
    key="card_id",
    outcomes=("took_loan",),
    left_out={"spend_total_cents": copy_of("spend_total"), "scheme": CONSTANT},
    has_date=True,
)
def card_payments(crowd: Crowd) -> Columns:
    """Forty columns of a card's payments by trade, which can be made for millions (see `stream`).

    The kinds are savers at the supermarket, diners out, drivers, travellers, and shoppers online.
    """
    opened = crowd.joined("opened", 3_000)
    payments, spent = {}, {}
    for trade, (ticket, *often) in TRADES.items():
        payments[f"n_{trade}"] = crowd.counts(f"n {trade}", often).astype(np.int32)
        size = np.exp(0.3 * crowd.normal(f"ticket {trade}"))
        spent[f"spend_{trade}"] = np.round(ticket * payments[f"n_{trade}"] * size, 2)
    total = np.round(np.sum(list(spent.values()), axis=0), 2)
    return {
        "card_id": 4_000_000_000 + 3 * crowd.number,
        "opened": opened,
        "scheme": crowd.repeated("debit"),
        "region": crowd.choices("region", [f"R{n:02d}" for n in range(1, 13)]),
        **payments,
        **spent,
        "spend_total": total,
        "spend_total_cents": np.rint(100 * total).astype(np.int64),
        "balance": crowd.measures("balance", (2_100, 640, 1_300, 5_200, -180), (800, 500, 700, 2_500, 400)),
        "took_loan": bits(crowd.flags("loan", (0.02, 0.06, 0.1, 0.03, 0.16))),
    }


# What a payment is worth, and how many there are a month of each kind.
TRADES: dict[str, tuple[float, ...]] = {
    "grocery": (31.0, 14, 5, 8, 4, 5),
    "restaurant": (24.0, 1, 15, 3, 9, 2),
    "fuel": (52.0, 1, 1, 8, 1, 0.5),
    "parking": (4.5, 0.5, 2, 11, 1, 0.2),
    "flights": (210.0, 0.02, 0.1, 0.05, 2.4, 0.1),
    "hotels": (145.0, 0.05, 0.3, 0.1, 3.1, 0.1),
    "taxi": (13.0, 0.1, 4, 0.2, 6, 0.5),
    "transit": (2.9, 6, 9, 0.5, 5, 7),
    "electronics": (88.0, 0.1, 0.3, 0.3, 0.3, 2.2),
    "clothes": (46.0, 0.5, 1.1, 0.6, 0.8, 5),
    "games": (15.0, 0.1, 0.3, 0.2, 0.1, 7),
    "pharmacy": (11.0, 2.4, 0.6, 1, 0.8, 0.5),
    "garden": (37.0, 1.5, 0.1, 1.2, 0.1, 0.1),
    "books": (16.0, 0.8, 0.7, 0.2, 1, 0.6),
    "gambling": (20.0, 0.02, 0.1, 0.4, 0.02, 1.5),
    "cash": (60.0, 3, 1, 2, 2, 0.3),
}
