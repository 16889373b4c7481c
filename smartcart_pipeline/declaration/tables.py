"""Every table of the lake and the warehouse: its grain, and what each column holds.

`OUTLINES` is what every night makes, whatever the declaration: the tables, their grains and keys, which Dagster shows.
`declare_tables` adds the columns that follow from a declaration: writing, schema checks and the warehouse read those.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from smartcart_pipeline.declaration.columns import WHOLE, Column, SqlType, narrowest
from smartcart_pipeline.declaration.contract import KEY, LINE_COLUMNS, Contract
from smartcart_pipeline.declaration.declaration import Declaration
from smartcart_pipeline.declaration.recipe import (
    COMPONENT_NAMES,
    AsIs,
    DaysSince,
    Feature,
    Flag,
    Recipe,
    Regroup,
    Sum,
    YearsSince,
    share_name,
)

# Where tables stand in the warehouse: what analysts work with, how customers come into segments, what earlier nights
# have left, and what can be traced.
Schema = Literal["main", "model", "history", "audit"]
SCHEMAS: tuple[Schema, ...] = get_args(Schema)

# A table as another night wrote it is called so in queries, behind its own name.
BEFORE = "_before"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Its name in the lake, the warehouse and Dagster.
        grain: What one row is.
        description: What the table holds, in a sentence.
        columns: Its columns, in order.
        key: The columns that no two rows share.
        carries_extra: Whether further columns of the export are carried along behind the declared ones, as text.
        follows: The table that has the very same customers, one row each.
        grows: Whether it holds all nights: nobody counts its keys anew each night, and a replay gives the same bytes.
        schema: Where it stands in the warehouse: one of `SCHEMAS`.
    """

    name: str
    grain: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    carries_extra: bool = False
    follows: str | None = None
    grows: bool = False
    schema: Schema = "main"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


# Stands for the key of the contract, until there is one.
CUSTOMER_ID = Column(KEY, "BIGINT", "Which customer.")
SEGMENT_ID = Column("segment_id", "VARCHAR", "Id of the segment: S01, S02, …")
LINE_NUMBER, UNREADABLE = LINE_COLUMNS
# How clusters are numbered.
NUMBERED = "0 is worth most on average, or is the largest where the recipe names no worth"
AS_OF = Column("as_of_date", "DATE", "The day that everything is counted to.")
# Why the contract refuses a line, whatever it says.
CONTRACT_REASONS = (
    "unreadable_value",
    "missing_id",
    "missing_value",
    "out_of_range",
    "unknown_category",
    "repeated_id",
)
# Of a table whose columns follow from the declaration.
DECLARED: tuple[Column, ...] = ()


def _share(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, minimum=0, maximum=1)


RAW_CUSTOMERS = Table(
    "raw_customers",
    "a line of the export",
    "The export as delivered, typed; nothing is judged or left out. Columns beyond the contract are carried along.",
    DECLARED,
    key=("line_number",),
    carries_extra=True,
)

REJECTED_CUSTOMERS = Table(
    "rejected_customers",
    "a refused line of the export",
    "Lines that the contract or a cleaning rule refuses, with the reason.",
    DECLARED,
    key=("line_number",),
    schema="audit",
)

CLEANED = Table(
    "cleaned",
    "a customer",
    "Customers that hold the contract, without extreme outliers, with what is missing imputed. Columns beyond the "
    "contract are carried along.",
    DECLARED,
    key=(KEY,),
    carries_extra=True,
)

CLEANING_FIGURES = Table(
    "cleaning_figures",
    "a run",
    "What cleaning went by. New customers are cleaned by the same figures.",
    DECLARED,
    key=("as_of_date",),
    schema="model",
)

FEATURES = Table(
    "features",
    "a customer",
    "What describes a customer to the model, and outcomes, which do not.",
    DECLARED,
    key=(KEY,),
    follows="cleaned",
)

SCALED = Table(
    "scaled",
    "a customer",
    "Features as numbers of mean 0, and of the variance that is their weight; categories as one indicator a group.",
    DECLARED,
    key=(KEY,),
    follows="features",
)

# What is said of numbers that lie far out.
FENCED = "empty where the recipe sets no fences, or the numbers tell none."

FEATURE = Column("feature", "VARCHAR", "A column of `scaled`.")

SCALER = Table(
    "scaler",
    "a feature",
    "What standardising subtracts and divides by.",
    (
        replace(FEATURE, unique=True),
        Column("mean", "DOUBLE", "Mean of the feature, in its own unit."),
        Column(
            "scale",
            "DOUBLE",
            "Standard deviation of the feature (n), in its own unit, divided by the root of its weight; of an "
            "indicator, of its share of the weight. 1 if it never varies.",
        ),
        Column("lower", "DOUBLE", f"The least that it counts with, in its own unit; {FENCED}", nullable=True),
        Column("upper", "DOUBLE", f"The greatest that it counts with, in its own unit; {FENCED}", nullable=True),
    ),
    key=("feature",),
    schema="model",
)
CORRELATIONS = Table(
    "correlations",
    "a pair of features",
    "How the standardised features go together, over all customers; the components follow from it.",
    (
        FEATURE,
        Column("other_feature", "VARCHAR", "A column of `scaled`; the feature itself too."),
        Column(
            "correlation",
            "DOUBLE",
            "Pearson's correlation of the two; 0 for a feature that never varies.",
            minimum=-1 - 1e-9,
            maximum=1 + 1e-9,
        ),
    ),
    key=("feature", "other_feature"),
    schema="model",
)

_POINT = tuple(
    Column(name, "DOUBLE", f"Place on principal component {number} (no unit).")
    for number, name in enumerate(COMPONENT_NAMES, start=1)
)

PCA_COMPONENTS = Table(
    "pca_components",
    "a customer",
    "Each customer's place on the first three principal components.",
    (CUSTOMER_ID, *_POINT),
    key=(KEY,),
    follows="scaled",
)

LOADINGS = Table(
    "loadings",
    "a component and feature",
    "How each standardised feature pulls on each component. Signs: a component's strongest loading is positive, the "
    "first in feature order where several are as strong.",
    (
        Column("component", "VARCHAR", "The component.", categories=COMPONENT_NAMES),
        FEATURE,
        Column("loading", "DOUBLE", "Weight of the feature in the component.", minimum=-1 - 1e-9, maximum=1 + 1e-9),
        Column(
            "explained_variance_ratio",
            "DOUBLE",
            "Share of all variance that the component carries.",
            minimum=0,
            maximum=1 + 1e-9,
        ),
    ),
    key=("component", "feature"),
    schema="model",
)

SAMPLED_CUSTOMERS = Table(
    "sampled_customers",
    "a sampled customer",
    "A seeded sample: k is chosen, fits are begun and algorithms are compared on these customers or some of them.",
    DECLARED,
    key=(KEY,),
    schema="model",
)

K_SELECTION = Table(
    "k_selection",
    "a candidate k",
    "How good each number of clusters is, which one is selected, and why.",
    (
        Column("k", "TINYINT", "Number of clusters.", minimum=1, unique=True),
        Column("inertia", "DOUBLE", "Sum of squared distances to the centroids.", minimum=0),
        Column("silhouette", "DOUBLE", "Mean silhouette; higher is better.", nullable=True, minimum=-1, maximum=1),
        Column("calinski_harabasz", "DOUBLE", "Calinski-Harabasz score; higher is better.", nullable=True, minimum=0),
        Column("davies_bouldin", "DOUBLE", "Davies-Bouldin score; lower is better.", nullable=True, minimum=0),
        Column(
            "stability",
            "DOUBLE",
            "Mean adjusted Rand index against fits to bootstrap samples; 1 is steady.",
            nullable=True,
            minimum=-1,
            maximum=1 + 1e-9,
        ),
        Column(
            "elbow_share",
            "DOUBLE",
            "How clear the choice is: in what share of bootstrap samples kneed finds the elbow here.",
            minimum=0,
            maximum=1,
        ),
        Column("smallest_cluster_share", "DOUBLE", "Share of customers in the smallest cluster.", minimum=0, maximum=1),
        Column("sample_customers", "INTEGER", "Customers the candidates were fitted on.", minimum=1),
        Column(
            "null_silhouette",
            "DOUBLE",
            "The silhouette of as many clusters of features that were each shuffled by itself: what noise would give.",
            nullable=True,
            minimum=-1,
            maximum=1,
        ),
        Column(
            "prediction_strength",
            "DOUBLE",
            "How well one half of the customers predicts who is together in the other; 0.8 and more is good.",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        Column(
            "recovery",
            "DOUBLE",
            "Of the cluster that fits to halves find again worst, the mean Jaccard coefficient; 0.75 and more is good.",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        Column("is_elbow", "BOOLEAN", "Whether kneed finds the elbow of the inertia here."),
        Column("is_selected", "BOOLEAN", "Whether this is the k in use."),
        Column("reason", "VARCHAR", "Which rule selected it, or passed it over.", nullable=True),
    ),
    key=("k",),
)

DISTANCE = Column("distance", "FLOAT", "Distance to the raw segment's centroid on the components (no unit).", minimum=0)
MARGIN = Column(
    "margin",
    "FLOAT",
    "How much farther the runner-up's centroid is, on the scale of `distance` (no unit): 0 is on the border, and there "
    "is no greatest. `confidence` in customer_360 says the same from 0 to 1.",
    minimum=0,
)

CLUSTERS = Table(
    "clusters",
    "a customer",
    "Each customer's segment by the model in force, how clearly the customer belongs to it, and the cluster by both "
    "algorithms in tonight's fit.",
    (
        CUSTOMER_ID,
        Column("kmeans_cluster", "TINYINT", f"Cluster by k-means; {NUMBERED}.", minimum=0),
        Column(
            "agglomerative_cluster",
            "TINYINT",
            f"Cluster by agglomerative clustering (Ward); {NUMBERED}.",
            minimum=0,
        ),
        Column(
            "segment_id",
            "VARCHAR",
            "The published segment: S01, S02, …; the raw one, but for who may yet go back.",
        ),
        Column("raw_segment_id", "VARCHAR", "The segment with the nearest centroid, of the model in force."),
        Column(
            "nights_pending",
            "TINYINT",
            "For how many nights the raw segment has been another one, within the band; 0 if the two agree.",
            minimum=0,
        ),
        Column(
            "previous_segment_id",
            "VARCHAR",
            "The segment published the night before; empty for who was not published then.",
            nullable=True,
        ),
        DISTANCE,
        Column("runner_up_segment_id", "VARCHAR", "The segment with the next nearest centroid."),
        MARGIN,
    ),
    key=(KEY,),
    follows="pca_components",
)

CENTROIDS = Table(
    "centroids",
    "a segment",
    "Where the centre of each segment lies, on the components of the model in force.",
    (
        replace(SEGMENT_ID, unique=True),
        Column("kmeans_cluster", "TINYINT", "The segment's cluster in the model in force.", minimum=0, unique=True),
        *_POINT,
    ),
    key=("segment_id",),
    schema="model",
)

DECLARATION = Column("declaration", "VARCHAR", "Digest of the contract and the recipe that the night went by.")
NIGHT = Column("night", "INTEGER", "Number of the night, from 1, in the order of publication.", minimum=1)
MODEL_VERSION = Column("model_version", "VARCHAR", "A version of the segment model: v1, v2, …")

CONTESTED_MODELS = Table(
    "contested_models",
    "a model's part in the night",
    "The model in force, and tonight's challenger; the same where it was promoted.",
    (
        Column("part", "VARCHAR", "The part.", categories=("in_force", "challenger"), unique=True),
        MODEL_VERSION,
        Column("origin", "VARCHAR", "How it was made."),
        Column("named_segments", "INTEGER", "How many segment ids have ever been given.", minimum=1),
        Column(
            "compared_night",
            "INTEGER",
            "The night that tonight is compared with: the night before, or the one that tonight replaces; empty for "
            "the first.",
            nullable=True,
            minimum=1,
        ),
        Column("document", "VARCHAR", "All of the model as JSON, with what later nights are held against."),
    ),
    key=("part",),
    schema="model",
)

FITTED_CENTROIDS = Table(
    "fitted_centroids",
    "a cluster of tonight's fit",
    "Where the clusters of tonight's fit lie, on tonight's components; segments are those of the model in force.",
    (
        Column("kmeans_cluster", "TINYINT", f"The cluster; {NUMBERED}.", minimum=0, unique=True),
        *_POINT,
    ),
    key=("kmeans_cluster",),
    schema="model",
)

NIGHTS = Table(
    "nights",
    "a published night",
    "Every published night: which model was in force, and why.",
    (
        replace(NIGHT, unique=True),
        AS_OF,
        MODEL_VERSION,
        Column("is_promoted", "BOOLEAN", "Whether that model came into force on this night."),
        Column("customers", "BIGINT", "Customers that were published.", minimum=1),
        Column("segments", "INTEGER", "Segments of the model.", minimum=1),
        Column("verdict", "VARCHAR", "Why the challenger was promoted or held, in plain words."),
        replace(DECLARATION, nullable=True),
        Column(
            "replaces_night",
            "INTEGER",
            "The night whose place this one takes, and that it is compared with: of the same as-of date, from another "
            "export; empty if none.",
            nullable=True,
            minimum=1,
        ),
    ),
    key=("night",),
    schema="history",
)

PROMOTION_DECISIONS = Table(
    "promotion_decisions",
    "a night and criterion",
    "What spoke for and against the challenger of each night, measured on sampled_customers: it is promoted if a "
    "reason and all of safety holds.",
    (
        NIGHT,
        AS_OF,
        Column("criterion", "VARCHAR", "What was asked."),
        Column("role", "VARCHAR", "Whether it is a reason to change or a condition.", categories=("reason", "safety")),
        Column("value", "DOUBLE", "What was found."),
        Column("limit", "DOUBLE", "What it was held against."),
        Column("passed", "BOOLEAN", "Whether it holds."),
        Column("is_promoted", "BOOLEAN", "Whether the challenger was promoted that night; the same in all its rows."),
        Column("verdict", "VARCHAR", "Why, in plain words; the same in all rows of a night."),
    ),
    key=("night", "criterion"),
    schema="history",
)

SEGMENT_EVENTS = Table(
    "segment_events",
    "an event in the life of a segment",
    "What became of each segment when another model came into force, told by the customers that old and new share.",
    (
        NIGHT,
        AS_OF,
        MODEL_VERSION,
        SEGMENT_ID,
        Column(
            "event",
            "VARCHAR",
            "What happened: split and born begin a segment, merged and retired end one.",
            categories=("continued", "split", "merged", "born", "retired"),
        ),
        Column(
            "other_segment_id",
            "VARCHAR",
            "The segment it was split from, or went into.",
            nullable=True,
        ),
        Column("shared_customers", "BIGINT", "Known customers that both have.", minimum=0),
        Column("share_of_old", "DOUBLE", "Their share of the old segment.", nullable=True, minimum=0, maximum=1),
        Column("share_of_new", "DOUBLE", "Their share of the new segment.", nullable=True, minimum=0, maximum=1),
    ),
    key=("night", "segment_id"),
    schema="history",
)

FEATURE_DRIFT = Table(
    "feature_drift",
    "a night and feature",
    "How far a sample of each night's customers is from the sample that the model in force keeps of its own.",
    (
        NIGHT,
        AS_OF,
        MODEL_VERSION,
        Column("feature", "VARCHAR", "A column of `features`."),
        Column("psi", "DOUBLE", "Population stability index over the model's bins; 0.1 is noticeable, 0.25 much."),
        Column("test", "VARCHAR", "The two-sample test.", categories=("Kolmogorov-Smirnov", "chi-square")),
        Column("effect", "DOUBLE", "Kolmogorov-Smirnov's distance, or Cramer's V.", minimum=0, maximum=1 + 1e-9),
        Column("p_value", "DOUBLE", "How likely chance makes a larger one.", minimum=0, maximum=1),
        Column(
            "verdict",
            "VARCHAR",
            "What the index says, where the test is significant at 0.001.",
            categories=("steady", "noticeable", "drifted"),
        ),
        Column("new_categories", "VARCHAR", "Categories that the model never saw."),
        Column("vanished_categories", "VARCHAR", "Categories that nobody has any more."),
    ),
    key=("night", "feature"),
    schema="history",
)

SEGMENT_MEMBERSHIP = Table(
    "segment_membership",
    "a stay of a customer in a segment",
    "Who was published in which segment, and when: valid_from <= day AND (valid_to IS NULL OR day < valid_to).",
    (
        CUSTOMER_ID,
        SEGMENT_ID,
        Column("valid_from", "DATE", "As-of date of the first night of the stay."),
        Column("valid_to", "DATE", "As-of date of the first night that says otherwise; empty if none.", nullable=True),
        replace(MODEL_VERSION, description="The model that was in force on the first night of the stay."),
    ),
    key=(KEY, "valid_from"),
    grows=True,
    schema="history",
)

_FROM = Column("from_segment_id", "VARCHAR", "The published segment before.")
_TO = Column("to_segment_id", "VARCHAR", "The published segment tonight.")
_CAUSES = ("customer", "model", "borderline")

SEGMENT_MOVES = Table(
    "segment_moves",
    "a customer that moved tonight",
    "Who was published in another segment than the night before, and what made the customer move.",
    (
        CUSTOMER_ID,
        _FROM,
        _TO,
        Column(
            "cause",
            "VARCHAR",
            "customer: the model of the night before moves tonight's features too. borderline: within the band of the "
            "margin. model: all others.",
            categories=_CAUSES,
        ),
        Column("margin", "FLOAT", "How much farther the runner-up's centroid is tonight (no unit).", minimum=0),
        Column(
            "old_model_moves",
            "BOOLEAN",
            "Whether the model of the night before moves tonight's features; empty if the recipe no longer makes them.",
            nullable=True,
        ),
        Column(
            "new_model_moves",
            "BOOLEAN",
            "Whether tonight's model moves the features of the night before; empty if they are not kept, or were made "
            "by another recipe.",
            nullable=True,
        ),
    ),
    key=(KEY,),
    schema="history",
)

SEGMENT_MIGRATION = Table(
    "segment_migration",
    "a flow of customers between segments",
    "How many customers stayed, moved, arrived and left, since the night before and since a month ago.",
    (
        NIGHT,
        AS_OF,
        Column("since", "DATE", "As-of date of the night that tonight is compared with."),
        Column("period", "VARCHAR", "How long ago that is.", categories=("night", "month")),
        replace(_FROM, nullable=True),
        replace(_TO, nullable=True),
        Column(
            "cause",
            "VARCHAR",
            "Why; empty for who moved within a month, which may have several causes.",
            nullable=True,
            categories=("stayed", *_CAUSES, "arrived", "left"),
        ),
        Column("customers", "BIGINT", "How many.", minimum=1),
    ),
    key=("night", "period", "from_segment_id", "to_segment_id", "cause"),
    schema="history",
)

SEGMENT_DAYS = Table(
    "segment_days",
    "a day that was published and a segment",
    "Every segment on every day that was published, ready for a line: how many customers it had, what they were worth, "
    "how many had the first outcome, and who entered and left. Where rows are numbered, the last day only.",
    (
        replace(AS_OF, name="day"),
        SEGMENT_ID,
        Column("persona", "VARCHAR", "What people called the segment then; empty if that was not kept.", nullable=True),
        Column("customers", "BIGINT", "Customers in it.", minimum=0),
        _share("share", "Their share of all customers of the day."),
        Column("spending", "DOUBLE", "What its customers were worth together; empty if that was not kept.", True),
        Column("outcome", "VARCHAR", "The outcome that was looked at; empty if there was none.", nullable=True),
        Column("responses", "BIGINT", "Customers with that outcome.", nullable=True, minimum=0),
        replace(_share("outcome_rate", "Their share of the segment."), nullable=True),
        Column("customers_entered", "BIGINT", "Customers who were not in it on the day published before.", minimum=0),
        Column("customers_left", "BIGINT", "Customers who were, and are no longer.", minimum=0),
    ),
    key=("day", "segment_id"),
)

ALGORITHM_COMPARISON = Table(
    "algorithm_comparison",
    "an algorithm and space",
    "How k-means and agglomerative clustering compare, on the components and on all standardised features.",
    (
        Column("algorithm", "VARCHAR", "The algorithm.", categories=("kmeans", "agglomerative")),
        Column("space", "VARCHAR", "Where distances are measured.", categories=("pca_components", "scaled")),
        Column("silhouette", "DOUBLE", "Mean silhouette; higher is better.", minimum=-1, maximum=1),
        Column("calinski_harabasz", "DOUBLE", "Calinski-Harabasz score; higher is better.", minimum=0),
        Column("davies_bouldin", "DOUBLE", "Davies-Bouldin score; lower is better.", minimum=0),
        Column("sizes", "INTEGER[]", "Measured customers in each cluster, by cluster number."),
        Column(
            "adjusted_rand_index",
            "DOUBLE",
            "Agreement between the two algorithms; 1 is the same clusters.",
            minimum=-1,
            maximum=1,
        ),
        Column("sample_customers", "INTEGER", "Customers measured.", minimum=1),
        Column(
            "fitted_customers",
            "BIGINT",
            "Customers the algorithm was fitted on; where they are not all, the nearest centre decides for everyone.",
            minimum=1,
        ),
    ),
    key=("algorithm", "space"),
    schema="model",
)


PLOTTED_CUSTOMERS = Table(
    "plotted_customers",
    "a sampled customer",
    "A seeded sample of at most 2,000 customers: enough to see the shape of a scatter plot, few enough to see a point.",
    DECLARED,
    key=(KEY,),
    schema="model",
)

CATEGORY_SPENDING = Table(
    "category_spending",
    "a segment and part of worth",
    "What worth is made of in each segment: how much of it each part is.",
    DECLARED,
    key=("segment_id", "category"),
)

PROFILES = Table(
    "profiles",
    "a segment",
    "What each segment is like, in the units the business knows, and what people call it.",
    DECLARED,
    key=("segment_id",),
)

ASSOCIATION = Column(
    "association",
    "DOUBLE",
    "0 is none, 1 is all: of a number eta squared, of a category or flag Cramér's V, corrected for bias.",
    minimum=0,
    maximum=1 + 1e-9,
)
_MEASURE = Column("measure", "VARCHAR", "Which of the two.", categories=("eta_squared", "cramers_v"))
_OF_FEATURES = Column("feature", "VARCHAR", "A column of `features`.")
OTHER_SEGMENT = Column("other_segment_id", "VARCHAR", "Another segment, later in the alphabet.")

SEGMENT_DRIVERS = Table(
    "segment_drivers",
    "a feature",
    "What the segments are made of: how much of each feature lies between them, also of what the model never sees.",
    (
        replace(_OF_FEATURES, unique=True),
        Column("role", "VARCHAR", "What it is for.", categories=("feature", "outcome", "described")),
        Column("is_seen", "BOOLEAN", "Whether tonight's recipe shows it to the model."),
        _MEASURE,
        ASSOCIATION,
        Column("rank", "INTEGER", "1 is the feature of which most lies between the segments.", minimum=1, unique=True),
    ),
    key=("feature",),
)

SEGMENT_PAIRS = Table(
    "segment_pairs",
    "a pair of segments and one of the features that tell them apart most",
    "What tells each two segments apart: up to three features, the strongest first.",
    (
        SEGMENT_ID,
        OTHER_SEGMENT,
        Column("rank", "INTEGER", "1 tells them apart most.", minimum=1, maximum=3),
        _OF_FEATURES,
        _MEASURE,
        replace(ASSOCIATION, description=f"Among the customers of the two: {ASSOCIATION.description}"),
    ),
    key=("segment_id", "other_segment_id", "rank"),
)

SENSITIVE_ASSOCIATION = Table(
    "sensitive_association",
    "a segment, sensitive attribute and category",
    "How the segments follow what the recipe lists as sensitive: the share of each category in each segment, beside "
    "the share among all customers.",
    (
        SEGMENT_ID,
        Column("attribute", "VARCHAR", "A sensitive column of `features`."),
        Column("category", "VARCHAR", "A group of it; of a number a band."),
        Column("customers", "BIGINT", "Customers of the segment in it.", minimum=0),
        _share("share", "Their share of the segment."),
        _share("base_share", "The category's share of all customers."),
        Column("ratio", "DOUBLE", "The one divided by the other; 1 is as among all.", minimum=0),
        Column("ratio_low", "DOUBLE", "Lower end of the ratio's 95 % interval.", minimum=0),
        Column("ratio_high", "DOUBLE", "Upper end of it.", minimum=0),
        replace(
            ASSOCIATION,
            description="Of the attribute with the segments, Cramér's V corrected for bias; the same in all its rows.",
        ),
    ),
    key=("segment_id", "attribute", "category"),
)

STRUCTURE = Table(
    "structure",
    "a recipe that was looked at",
    "How far to believe the segments: those of the model in force and, where they are constructed or one feature gives "
    "them away, those of the recipe `balanced` on a sample.",
    (
        Column("recipe", "VARCHAR", "The recipe."),
        Column(
            "is_in_force", "BOOLEAN", "Whether it is the model in force's; else it was tried on a sample.", unique=True
        ),
        Column("segments", "INTEGER", "How many segments.", minimum=1),
        Column(
            "verdict",
            "VARCHAR",
            "natural: gaps part them. reproducible: no gaps, but found again in other samples. constructed: noise "
            "would give them as well, or other samples give others.",
            categories=("natural", "reproducible", "constructed"),
        ),
        Column("reasons", "VARCHAR", "Why, in words."),
        Column(
            "giveaway", "VARCHAR", "The feature that alone gives the segments, or two of them, away.", nullable=True
        ),
        Column("silhouette", "DOUBLE", "Mean silhouette over all standardised features.", minimum=-1, maximum=1),
        Column(
            "null_silhouette",
            "DOUBLE",
            "The mean of it where each feature was shuffled by itself.",
            minimum=-1,
            maximum=1,
        ),
        Column("null_deviation", "DOUBLE", "The standard deviation of it then.", minimum=0),
        Column("beyond_noise", "DOUBLE", "So many of those lie between the two; from 3 on it is more than noise."),
        _share(
            "prediction_strength", "How well half of the customers predict who is together in the other; 0.8 is good."
        ),
        _share("recovery", "Of the least sure segment, how well refits find it again (Jaccard); 0.75 is good."),
        Column(
            "gap", "DOUBLE", "Customers half way between the two nearest segments, for each around a centre.", minimum=0
        ),
        Column(
            "on_components",
            "DOUBLE",
            "Mean silhouette on the components, where segments are made.",
            minimum=-1,
            maximum=1,
        ),
        Column(
            "null_on_components",
            "DOUBLE",
            "The mean of it where each feature was shuffled by itself: noise must not part customers as well.",
            minimum=-1,
            maximum=1,
        ),
        Column("sample_customers", "INTEGER", "Customers that were looked at.", minimum=1),
        Column("examined_on", "DATE", "As-of date of the night that looked: another recipe is tried once."),
        Column("declaration", "VARCHAR", "Digest of the contract and the recipe that made them."),
    ),
    key=("recipe",),
)

SEGMENT_RECOVERY = Table(
    "segment_recovery",
    "a segment",
    "How well refits to bootstrap samples, begun anywhere, find each segment again.",
    (
        replace(SEGMENT_ID, unique=True),
        _share("recovery", "Mean Jaccard coefficient with the cluster that is most like it (Hennig 2007)."),
        Column("is_found_again", "BOOLEAN", "Whether it is 0.75 or more."),
    ),
    key=("segment_id",),
)

SEGMENT_MODEL = Table(
    "segment_model",
    "a model",
    "All the fitted numbers needed to put any customer into a segment.",
    (
        replace(MODEL_VERSION, description="The version of the model in force.", unique=True),
        Column("recipe", "VARCHAR", "Which features the model sees."),
        Column("as_of_date", "DATE", "The day that everything is counted to."),
        Column("segments", "INTEGER", "How many segments there are.", minimum=1),
        Column("document", "VARCHAR", "The model as JSON."),
    ),
    key=("model_version",),
    schema="model",
)

SEGMENT_RULES = Table(
    "segment_rules",
    "a rule",
    "The segments in rules that a CRM's filters can express: each customer meets the condition of exactly one. Rules "
    "come near the model, they are not the model; how near is measured over all customers.",
    (
        Column("rule_number", "INTEGER", "Number of the rule, in the order of the segments.", minimum=1, unique=True),
        Column("segment_id", "VARCHAR", "The segment that the rule stands for."),
        Column("condition", "VARCHAR", "Who meets the rule, as SQL over the columns of `features`."),
        Column("description", "VARCHAR", "The same in plain words."),
        Column("customers", "BIGINT", "Customers that meet the rule.", minimum=0),
        _share("precision", "Share of them that the model puts into the segment; 0 where nobody meets the rule."),
        _share("coverage", "Share of the segment's customers that meet the rule."),
        _share(
            "agreement", "Share of all customers whom rules and model put into the same segment; the same in all rows."
        ),
        Column("case_sql", "VARCHAR", "All rules as one SQL expression that gives the segment; the same in all rows."),
    ),
    key=("rule_number",),
    schema="model",
)

DECLARED_COLUMNS = Table(
    "declared_columns",
    "a column of the export",
    "What every column of the export must be, as the contract of the run says.",
    (
        Column("name", "VARCHAR", "Its name in tables.", unique=True),
        Column("header", "VARCHAR", "Its header in the export.", unique=True),
        Column("type", "VARCHAR", "Its type in tables."),
        Column("is_required", "BOOLEAN", "Whether a value must be there."),
        Column("is_key", "BOOLEAN", "Whether it tells customers apart."),
        Column("minimum", "DOUBLE", "The least value allowed.", nullable=True),
        Column("maximum", "DOUBLE", "The greatest value allowed.", nullable=True),
        Column("categories", "VARCHAR[]", "The only values allowed; empty where any is."),
        Column("classification", "VARCHAR", "How personal it is, in the company's words.", nullable=True),
        Column("description", "VARCHAR", "What it holds."),
    ),
    key=("name",),
    schema="audit",
)

DECLARED_FEATURES = Table(
    "declared_features",
    "a feature",
    "What is made of the columns, as the recipe of the run says, and what people call it.",
    (
        Column("name", "VARCHAR", "Its name in tables.", unique=True),
        Column("role", "VARCHAR", "What it is for.", categories=("feature", "outcome", "described")),
        Column("is_seen", "BOOLEAN", "Whether the model sees it."),
        Column("verb", "VARCHAR", "How it is made."),
        Column("reads", "VARCHAR[]", "The columns and features that it is made from."),
        Column("step", "DOUBLE", "What it is rounded to.", nullable=True),
        Column("label", "VARCHAR", "What people call it."),
        Column("unit", "VARCHAR", "What stands behind a value.", nullable=True),
        Column("description", "VARCHAR", "What it says of a customer."),
    ),
    key=("name",),
    schema="audit",
)

AUDIENCE = Column("audience", "VARCHAR", "The audience.")
GROUP = Column(
    "member_group",
    "VARCHAR",
    "treated: is addressed. held_out: is not, so that the others can be compared. control: no audience addresses.",
    categories=("treated", "held_out", "control"),
)


def _customers(name: str, description: str) -> Column:
    return Column(name, "BIGINT", description, minimum=0)


_GROUPS = (
    _customers("customers", "Members."),
    _customers("treated", "Members who are addressed."),
    _customers("held_out", "Members who are held out of this audience."),
    _customers("control", "Members whom no audience addresses."),
)

AUDIENCES = Table(
    "audiences",
    "an audience",
    "Whom campaigns are for: how each audience is defined, and how many customers it has.",
    (
        replace(AUDIENCE, unique=True),
        Column("description", "VARCHAR", "Who that is."),
        Column("condition", "VARCHAR", "Who is in it, as SQL over the columns of customer_360; empty for all."),
        Column("columns", "VARCHAR[]", "What is handed out of a customer."),
        Column("consent", "VARCHAR", "The column that must say yes.", nullable=True),
        Column("is_exclusive", "BOOLEAN", "Whether its customers are in no exclusive audience that comes later."),
        Column("priority", "INTEGER", "The smaller, the sooner it claims its customers.", minimum=1),
        Column("max_customers", "BIGINT", "How many it may have.", nullable=True, minimum=1),
        _share("holdout", "The share that is held out."),
        _share("control_share", "The share of all customers whom no audience addresses."),
        Column("cost", "DOUBLE", "What addressing a customer costs (currency units).", minimum=0),
        Column("is_nightly", "BOOLEAN", "Whether every night hands it out."),
        Column("is_segment", "BOOLEAN", "Whether it is a segment of which no file says anything."),
        Column("version", "VARCHAR", "Digest of who is in it, and of what is handed out."),
        *_GROUPS,
        _customers("shared", "Members who are in another audience as well."),
        Column(
            "ratio_p_value",
            "DOUBLE",
            "How likely chance makes the share of the held out so different from what is declared (chi-square); empty "
            "where nobody is held out.",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
    ),
    key=("audience",),
)

AUDIENCE_SEGMENTS = Table(
    "audience_segments",
    "an audience and segment",
    "How many members of each audience are of which segment, and how many of them are held out: as large a share of "
    "each, but for chance.",
    (AUDIENCE, SEGMENT_ID, *_GROUPS),
    key=("audience", "segment_id"),
)

AUDIENCE_OVERLAPS = Table(
    "audience_overlaps",
    "a pair of audiences",
    "How many customers are in two audiences at once.",
    (
        AUDIENCE,
        Column("other_audience", "VARCHAR", "Another audience, that claims its customers later."),
        _customers("customers", "Customers who are in both."),
    ),
    key=("audience", "other_audience"),
)

AUDIENCE_STAYS = Table(
    "audience_stays",
    "a stay of a customer in a group of an audience",
    "Who was in which audience, and when: valid_from <= day AND (valid_to IS NULL OR day < valid_to). Those of whole "
    "segments stand in segment_membership; the view audience_members has all.",
    (
        AUDIENCE,
        CUSTOMER_ID,
        GROUP,
        Column("valid_from", "DATE", "As-of date of the first night of the stay."),
        Column("valid_to", "DATE", "As-of date of the first night that says otherwise; empty if none.", nullable=True),
        replace(SEGMENT_ID, description="The customer's segment on the first night of the stay."),
        Column("worth", "DOUBLE", "What the customer was worth then, where the recipe says what that is.", True),
    ),
    key=("audience", KEY, "valid_from"),
    grows=True,
    schema="history",
)

AUDIENCE_CHANGES = Table(
    "audience_changes",
    "a customer who entered or left an audience tonight",
    "Who entered and left tonight, and why, of the audiences that there were the night before. Of whole segments "
    "segment_moves tells.",
    (
        AUDIENCE,
        CUSTOMER_ID,
        Column(
            "change",
            "VARCHAR",
            "What happened; regrouped: is held out instead of addressed, or the other way round.",
            categories=("entered", "left", "regrouped"),
        ),
        Column(
            "reason",
            "VARCHAR",
            "new: was not published before. gone: is not delivered any more. segment: has changed segment. consent: "
            "was given or withdrawn. rule: the condition holds, or does no longer; of who enters an audience that is "
            "exclusive or has a limit also that there is room. priority: another audience or the limit decides. "
            "definition: the audience is defined otherwise. holdout: another share is held out.",
            categories=("new", "gone", "segment", "consent", "rule", "priority", "definition", "holdout"),
        ),
    ),
    key=("audience", KEY),
    schema="history",
)

DELIVERIES = Table(
    "deliveries",
    "a delivery of an audience",
    "What was handed out until this night, when, and what the other side has had to change.",
    (
        AUDIENCE,
        Column("number", "INTEGER", "From 1, without a gap.", minimum=1),
        Column("delivered_at", "TIMESTAMP", "When (UTC)."),
        Column("run_id", "VARCHAR", "The run whose publication it was of."),
        replace(AS_OF, description="The day that everything was counted to there."),
        Column("version", "VARCHAR", "The audience's, as it was defined."),
        _customers("customers", "Customers of the full list."),
        _customers("added", "Customers who were not handed out before."),
        _customers("changed", "Customers who were, with other values."),
        _customers("removed", "Customers who were handed out before, and are no longer in it."),
        Column("digest", "VARCHAR", "SHA-256 of the full list."),
    ),
    key=("audience", "number"),
    schema="history",
)

CAMPAIGN = Column("campaign", "VARCHAR", "The campaign: the name of its audience.")
_TAKEN = Column("taken", "INTEGER", "Which file, in the order in which they were taken in, from 0.", minimum=0)
_FILE = Column("file_name", "VARCHAR", "The file that says so.")
_OUTCOME = (
    Column("converted", "BOOLEAN", "Whether the customer did what was wanted.", nullable=True),
    Column("amount", "DOUBLE", "What was spent (currency units).", nullable=True),
)

OUTCOMES = Table(
    "outcomes",
    "an outcome",
    "What customers did since a campaign reached them. Where several files say something of a customer's day, that of "
    "the last one counts.",
    (CAMPAIGN, CUSTOMER_ID, Column("day", "DATE", "When."), *_OUTCOME, _TAKEN, _FILE, LINE_NUMBER),
    key=("taken", "line_number"),
)

REJECTED_OUTCOMES = Table(
    "rejected_outcomes",
    "a refused line of a file of outcomes",
    "Outcomes that count for no campaign, with the reason.",
    (
        _TAKEN,
        _FILE,
        LINE_NUMBER,
        replace(CAMPAIGN, nullable=True),
        Column(KEY, "VARCHAR", "The customer, as delivered.", nullable=True),
        Column("day", "DATE", "When.", nullable=True),
        *_OUTCOME,
        Column(
            "reason",
            "VARCHAR",
            "Why, as a code.",
            categories=(*CONTRACT_REASONS, "unknown_campaign", "no_member", "before_campaign"),
        ),
        Column("detail", "VARCHAR", "Why, in words."),
    ),
    key=("taken", "line_number"),
    schema="audit",
)


def _amount(name: str, description: str) -> Column:
    return Column(name, "DOUBLE", description, nullable=True)


_AT_ALL_LOOKS = "of an interval that holds at all nights together with 95 %"

CAMPAIGN_RESULTS = Table(
    "campaign_results",
    "a campaign and segment, or all segments",
    "What each campaign did: those who were addressed, compared with those who were held out by lot.",
    (
        CAMPAIGN,
        Column("segment_id", "VARCHAR", "The segment in which the campaign reached them, or all."),
        _customers("treated", "Customers who were addressed."),
        _customers("held_out", "Customers who were not, by lot; those of the control group are in neither."),
        _customers("treated_conversions", "Those of the addressed who converted."),
        _customers("held_out_conversions", "Those of the held out who converted."),
        replace(_share("treated_rate", "Share of the addressed who converted."), nullable=True),
        replace(_share("held_out_rate", "Share of the held out who converted."), nullable=True),
        _amount("rate_difference", "The one less the other; empty where there is too little to say anything."),
        _amount("rate_low", f"Lower end {_AT_ALL_LOOKS}."),
        _amount("rate_high", f"Upper end {_AT_ALL_LOOKS}."),
        _amount("incremental_conversions", "Conversions that there would not have been: the difference, of all."),
        _amount("treated_amount", "Mean amount of the addressed (currency units), far-out ones moved in."),
        _amount("held_out_amount", "Mean amount of the held out."),
        _amount(
            "amount_difference",
            "What a customer spends more who is addressed, beyond what earlier worth foretells where that helps.",
        ),
        _amount("amount_low", f"Lower end {_AT_ALL_LOOKS}."),
        _amount("amount_high", f"Upper end {_AT_ALL_LOOKS}."),
        _amount("incremental_amount", "What would not have been spent: the difference, of all who were addressed."),
        Column("cost", "DOUBLE", "What addressing them cost (currency units).", nullable=True, minimum=0),
        _amount("net", "What is left of it: the incremental amount less the cost."),
        _amount("return_on_cost", "The incremental amount for each unit of cost."),
        Column(
            "verdict",
            "VARCHAR",
            "Whether it was worth it: the interval lies above the cost (of conversions alone: above none), or below.",
            categories=("worth_it", "not_worth_it", "too_small"),
        ),
        Column(
            "customers_needed",
            "BIGINT",
            "About how many more customers it takes to tell; empty where that is known.",
            nullable=True,
            minimum=0,
        ),
        Column("found", "VARCHAR", "The verdict in words."),
    ),
    key=("campaign", "segment_id"),
)

OUTLINES: dict[str, Table] = {
    table.name: table
    for table in (
        DECLARED_COLUMNS,
        DECLARED_FEATURES,
        RAW_CUSTOMERS,
        REJECTED_CUSTOMERS,
        CLEANED,
        CLEANING_FIGURES,
        FEATURES,
        SCALED,
        SCALER,
        CORRELATIONS,
        PCA_COMPONENTS,
        LOADINGS,
        SAMPLED_CUSTOMERS,
        K_SELECTION,
        CONTESTED_MODELS,
        FITTED_CENTROIDS,
        PROMOTION_DECISIONS,
        FEATURE_DRIFT,
        SEGMENT_EVENTS,
        CLUSTERS,
        CENTROIDS,
        ALGORITHM_COMPARISON,
        PLOTTED_CUSTOMERS,
        CATEGORY_SPENDING,
        PROFILES,
        SEGMENT_DRIVERS,
        SEGMENT_PAIRS,
        SENSITIVE_ASSOCIATION,
        STRUCTURE,
        SEGMENT_RECOVERY,
        NIGHTS,
        SEGMENT_MEMBERSHIP,
        SEGMENT_MOVES,
        SEGMENT_MIGRATION,
        SEGMENT_DAYS,
        SEGMENT_MODEL,
        SEGMENT_RULES,
        AUDIENCES,
        AUDIENCE_SEGMENTS,
        AUDIENCE_OVERLAPS,
        AUDIENCE_STAYS,
        AUDIENCE_CHANGES,
        DELIVERIES,
        OUTCOMES,
        REJECTED_OUTCOMES,
        CAMPAIGN_RESULTS,
    )
}

RUN_ID = Column("run_id", "VARCHAR", "The run, as Dagster names it.")

PUBLICATION = Table(
    "publication",
    "this warehouse",
    "Which run made this warehouse, and of what.",
    (
        RUN_ID,
        Column("as_of_date", "DATE", "The day that everything is counted to."),
        Column("as_of_found", "VARCHAR", "How that day was found.", nullable=True),
        Column("published_at", "TIMESTAMP", "When it was built (UTC)."),
        Column("export_name", "VARCHAR", "The export's file name."),
        Column("export_hash", "VARCHAR", "SHA-256 of the export's content."),
        Column("recipe", "VARCHAR", "The recipe of the model in force: which features define segments."),
        Column(
            "fitted_recipe",
            "VARCHAR",
            "The recipe that was asked for, of tonight's fit; another one where the model in force was kept.",
        ),
        Column("code_version", "VARCHAR", "Hash of the pipeline's code."),
        DECLARATION,
        Column("declared", "VARCHAR", "The contract and the recipe themselves, as JSON."),
        Column("model_version", "VARCHAR", "Version of the segment model in force: v1, v2, …"),
        Column("row_counts", "MAP(VARCHAR, BIGINT)", "Rows of each table, by name: row_counts['cleaned']."),
    ),
    key=("run_id",),
    schema="audit",
)

LINEAGE = Table(
    "lineage",
    "a table or view of this warehouse",
    "Which run made each table, with which code, from which others.",
    (
        Column("asset", "VARCHAR", "The table or view.", unique=True),
        replace(RUN_ID, description="The run that made it; another than the publication's if only parts were remade."),
        Column("code_version", "VARCHAR", "Hash of the code that made it.", nullable=True),
        Column("data_version", "VARCHAR", "Dagster's data version; the same inputs and code give the same.", True),
        Column("rows", "BIGINT", "Rows; of a view nobody has counted them.", nullable=True, minimum=0),
        Column("bytes", "BIGINT", "Size in the lake.", nullable=True, minimum=0),
        Column("started", "TIMESTAMP", "When the step that made it began (UTC).", nullable=True),
        Column("finished", "TIMESTAMP", "When it was written (UTC).", nullable=True),
        Column("upstream_assets", "VARCHAR[]", "The tables it was made from, by name."),
    ),
    key=("asset",),
    schema="audit",
)

COLUMN_LINEAGE = Table(
    "column_lineage",
    "a column and one of those it was computed from",
    "Which columns each column of each table and view was computed from.",
    (
        Column("table_name", "VARCHAR", "The table or view."),
        Column("column_name", "VARCHAR", "Its column."),
        Column(
            "upstream_table",
            "VARCHAR",
            "The table it was computed from, or `export`; null where it is a figure or fact of the whole run.",
            nullable=True,
        ),
        Column("upstream_column", "VARCHAR", "The column there; of an export, its header.", nullable=True),
    ),
    key=("table_name", "column_name", "upstream_table", "upstream_column"),
    schema="audit",
)

CHECKS = Table(
    "checks",
    "a check of a table",
    "What was checked of the tables before they were published, and what was found.",
    (
        Column("table_name", "VARCHAR", "The table."),
        Column("check_name", "VARCHAR", "The check."),
        Column("passed", "BOOLEAN", "Whether what must hold does hold."),
        Column("blocking", "BOOLEAN", "Whether a failure would have stopped the run; else it warns."),
        Column("found", "VARCHAR", "What was found, in words."),
    ),
    key=("table_name", "check_name"),
    schema="audit",
)

# What the publication itself writes into the warehouse, beside the tables of the lake.
RECORDS: dict[str, Table] = {table.name: table for table in (PUBLICATION, LINEAGE, COLUMN_LINEAGE, CHECKS)}


def declare_tables(declaration: Declaration) -> dict[str, Table]:
    """The tables of the lake, with all their columns.

    Args:
        declaration: What the night goes by.

    Returns:
        Tables by name, in the order in which they are made.
    """
    contract, recipe = declaration.contract, declaration.recipe
    by_name = feature_columns(declaration)
    features = tuple(by_name.values())
    columns: dict[str, tuple[Column, ...]] = {
        "raw_customers": declare_raw(contract).columns,
        "rejected_customers": (*declare_raw(contract).columns, *_verdict_columns(recipe)),
        "cleaned": tuple(_cleaned_columns(contract, recipe)),
        "cleaning_figures": tuple(_figure_columns(contract, recipe, by_name)),
        "features": (CUSTOMER_ID, *features),
        "scaled": (CUSTOMER_ID, *_scaled_columns(recipe)),
        "sampled_customers": (CUSTOMER_ID, *features, *_POINT),
        "plotted_customers": (CUSTOMER_ID, SEGMENT_ID, *(by_name[name] for name in recipe.shown), *_POINT),
        "category_spending": _composition_columns(recipe),
        "profiles": tuple(_profile_columns(recipe, by_name)),
    }
    return {
        name: replace(
            table,
            columns=tuple(
                replace(contract.key, unique=table.key == (KEY,)) if column is CUSTOMER_ID else column
                for column in columns.get(name, table.columns)
            ),
        )
        for name, table in OUTLINES.items()
    }


def declare_further(names: Iterable[str]) -> list[Column]:
    """Columns of an export beyond the contract, as they are carried along.

    Args:
        names: Their names in tables.

    Returns:
        A column each.
    """
    return [Column(name, "VARCHAR", "As delivered; no feature reads it.", nullable=True) for name in names]


def declare_raw(contract: Contract) -> Table:
    """The table `raw_customers`, of rows that nobody has judged yet: anything may be missing or out of range.

    Args:
        contract: What the export must hold.

    Returns:
        The table.
    """
    delivered = (
        replace(column, nullable=True, minimum=None, maximum=None, categories=(), unique=False)
        for column in contract.columns
    )
    return replace(RAW_CUSTOMERS, columns=(LINE_NUMBER, *delivered, UNREADABLE))


def _verdict_columns(recipe: Recipe) -> tuple[Column, ...]:
    reasons = (*CONTRACT_REASONS, *(limit.reason for limit in recipe.limits))
    return (
        Column("reason", "VARCHAR", "Why the line was refused first of all, as a code.", categories=reasons),
        Column("detail", "VARCHAR", "All that is wrong with the line, in words."),
    )


def _cleaned_columns(contract: Contract, recipe: Recipe) -> Iterator[Column]:
    for column in contract.columns:
        yield replace(column, nullable=column.nullable and column.name not in recipe.completed)
    for name in recipe.completed:
        stands = "the median" if name in recipe.impute else repr(recipe.filled[name])
        yield Column(f"{name}_imputed", "BOOLEAN", f"Whether {_readable(name)} was missing and {stands} stands for it.")
    yield replace(AS_OF, description=f"{AS_OF.description[:-1]}; the same for all customers.")


def _figure_columns(contract: Contract, recipe: Recipe, features: dict[str, Column]) -> Iterator[Column]:
    yield AS_OF
    for name in recipe.impute:
        least = contract.by_name[name].minimum
        yield Column(f"{name}_median", "DOUBLE", f"Stands where {_readable(name)} is missing.", minimum=least)
    for limit in recipe.limits:
        if limit.maximum is not None:
            column: Column = features[limit.on] if limit.on in features else contract.by_name[limit.on]
            kind: SqlType = "INTEGER" if column.type in WHOLE else "DOUBLE"
            about = f"The greatest {_readable(limit.on)} that is left in."
            yield Column(f"max_{limit.on}", kind, about, minimum=column.minimum)
    for name in recipe.fenced:
        counts = f"{_readable(name)} that the model counts with; {FENCED}"
        yield Column(f"{name}_lower", "DOUBLE", f"The least {counts}", nullable=True)
        yield Column(f"{name}_upper", "DOUBLE", f"The greatest {counts}", nullable=True)
        yield Column(f"{name}_beyond", "BIGINT", f"Customers whose {_readable(name)} lies beyond either.", minimum=0)
    yield Column("placeholders", "VARCHAR", "Values that probably stand for unknown, in words.", nullable=True)


def feature_columns(declaration: Declaration) -> dict[str, Column]:
    """The columns of the table `features`, but for the key.

    Args:
        declaration: What the night goes by.

    Returns:
        Columns by name, in the order of the recipe.
    """
    made: dict[str, Column] = {}
    for feature in declaration.recipe.features:
        made[feature.name] = _feature_column(feature, declaration.contract, made)
    return made


def _feature_column(feature: Feature, contract: Contract, made: dict[str, Column]) -> Column:
    """The column of a feature, as narrow as the verb's values allow."""
    name, about = feature.name, feature.description
    match feature.verb:
        case AsIs(column) | Flag(column):
            as_delivered: Column = contract.by_name[column]
            if as_delivered.type == "BOOLEAN":
                as_delivered = replace(as_delivered, type="TINYINT", minimum=0, maximum=1)
            return Column(
                name,
                as_delivered.type,
                about or as_delivered.description,
                minimum=as_delivered.minimum,
                maximum=as_delivered.maximum,
            )
        case Regroup():
            return Column(name, "VARCHAR", about or f"{feature.words.label}, in groups.", categories=feature.groups)
        case YearsSince():
            return Column(name, "SMALLINT", about or f"{feature.words.label}, in years.", minimum=0)
        case DaysSince():
            return Column(name, "INTEGER", about or f"{feature.words.label}, in days.", minimum=0)
        case Sum(of):
            added = [made[one] if one in made else contract.by_name[one] for one in of]
            least = 0 if all(column.minimum is not None and column.minimum >= 0 for column in added) else None
            return Column(name, sum_type(added), about or f"{feature.words.label}.", minimum=least)
    return Column(name, "DOUBLE", about or f"{feature.words.label}.")


def sum_type(columns: list[Column]) -> SqlType:
    """The narrowest type that holds the sum of some columns.

    Args:
        columns: What is added.

    Returns:
        DOUBLE where one of them has decimals.
    """
    if any(column.type not in WHOLE for column in columns):
        return "DOUBLE"
    bounds = [bound for column in columns for bound in _bounds(column)]
    return narrowest(max(sum(bounds[0::2]), sum(bounds[1::2])))


def _bounds(column: Column) -> tuple[float, float]:
    """How far from 0 the values of a whole column go, downwards and upwards."""
    limit = WHOLE[column.type]
    least = limit if column.minimum is None else max(-column.minimum, 0)
    return least, limit if column.maximum is None else max(column.maximum, 0)


def _scaled_columns(recipe: Recipe) -> Iterator[Column]:
    for feature in recipe.encoded:
        about = f"of {feature.source} = {feature.category}" if feature.category is not None else feature.source
        yield Column(feature.name, "DOUBLE", f"Standardised {'indicator ' if feature.category else ''}{about}.")


def _composition_columns(recipe: Recipe) -> tuple[Column, ...]:
    composition = recipe.business.composition
    whole = recipe.by_name[composition.of].words.named if composition else "what a feature is made of"
    return (
        SEGMENT_ID,
        Column(
            "category",
            "VARCHAR",
            f"A part of {whole}.",
            categories=tuple(composition.parts.values()) if composition else (),
        ),
        Column("mean_spending", "DOUBLE", "Its mean over the segment's customers, in its own unit.", minimum=0),
        _share("share_of_spending", f"Its share of the segment's {whole}."),
    )


def _profile_columns(recipe: Recipe, features: dict[str, Column]) -> Iterator[Column]:
    yield replace(SEGMENT_ID, unique=True)
    yield Column("persona", "VARCHAR", "What people call the segment; follows from its numbers.", unique=True)
    yield Column("description", "VARCHAR", "The segment in a sentence.")
    yield Column("customers", "BIGINT", "Customers in the segment.", minimum=1)
    yield _share("share", "Share of all customers.")
    for measure in ("mean", "median"):
        for name in recipe.measured:
            about = f"{measure.capitalize()} of `features.{name}`."
            yield Column(f"{measure}_{name}", "DOUBLE", about, minimum=features[name].minimum)
    for category, group in recipe.shares:
        yield _share(share_name(category, group), f"Share with {category} = {group}.")
    for rate, name in recipe.rates.items():
        yield _share(rate, f"Share that {recipe.by_name[name].share}.")


def _readable(name: str) -> str:
    return name.replace("_", " ")
