"""The engine for a cluster: Spark, from a driver in this process. Executors need Java only, no Python."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from smartcart_pipeline.declaration.columns import TYPES as COLUMN_TYPES
from smartcart_pipeline.declaration.contract import KEY
from smartcart_pipeline.declaration.tables import Table
from smartcart_pipeline.engines import apart
from smartcart_pipeline.engines.apart import P, T
from smartcart_pipeline.engines.duckdb import DuckDBEngine, count_in_passes
from smartcart_pipeline.engines.engine import GroupedCounts, Schemas, Written
from smartcart_pipeline.engines.lineage import Columns
from smartcart_pipeline.segmentation import Rows
from smartcart_pipeline.segmentation.clustering import LLOYD_STEPS, LLOYD_TOLERANCE
from smartcart_pipeline.segmentation.components import COMPONENTS, NAMES, Components, fill_up, fix_signs
from smartcart_pipeline.segmentation.sampling import ID_NUMBER
from smartcart_pipeline.segmentation.scaling import Scaler, require_differences

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


# Spark's names of types that no column of a customer has.
TYPES = {name: known.spark for name, known in COLUMN_TYPES.items()} | {
    "TIMESTAMP": "TIMESTAMP_NTZ",
    "INTEGER[]": "ARRAY<INT>",
    "VARCHAR[]": "ARRAY<STRING>",
}

DEFAULTS = {
    "spark.app.name": "smartcart",
    # The day of a moment must not depend on where the pipeline runs.
    "spark.sql.session.timeZone": "UTC",
    # Two columns of an export may differ only in case.
    "spark.sql.caseSensitive": "true",
    # A sum that does not fit is an error, never another number.
    "spark.sql.ansi.enabled": "true",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # A folder of the lake holds Parquet and nothing else.
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.sql.parquet.compression.codec": "snappy",
}
VECTOR = "vector"
# A text id as a number of 60 bits, by its MD5: the same as DuckDB's.
TEXT_NUMBER = f"CAST(conv(substr(md5({KEY}), 1, 15), 16, 10) AS BIGINT)"
LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


class SparkEngine:
    """Frames as lazy Spark DataFrames; nothing is read before it is written or fetched.

    Attributes:
        master: URL of the master, e.g. `spark://127.0.0.1:7077`, or `local[*]`.
        settings: Spark's own settings, over ours.
        local: The DuckDB of this process.
        shared: A folder that every executor sees, for what is handed to them; None for a temporary one of this machine.
        log: Where Spark's messages go; None for standard error.
    """

    def __init__(
        self,
        master: str,
        settings: Mapping[str, str] | None = None,
        local: DuckDBEngine | None = None,
        shared: Path | None = None,
        log: Path | None = None,
    ) -> None:
        """Take note of the settings; the session begins with the first use."""
        self.master = master
        self.settings = dict(settings or {})
        self.local = local or DuckDBEngine()
        self.shared = shared
        self.log = log

    @cached_property
    def session(self) -> "SparkSession":
        """The one session of this process."""
        settings = DEFAULTS | self.settings
        if _is_loopback(self.master):
            settings = LOOPBACK | settings
            os.environ.setdefault("SPARK_LOCAL_IP", LOOPBACK["spark.driver.host"])
        with _pandas_unused():
            return _start_session(self.master, settings, self.log)

    @cached_property
    def shared_folder(self) -> Path:
        """A folder of this engine's own that every executor sees, and that goes with it."""
        if self.shared:
            self.shared.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".handed-over-", dir=self.shared))

    def close(self) -> None:
        """End the session and give its executors back; frames of this engine can be used no more."""
        if "session" in vars(self):
            vars(self).pop("session").stop()
        if "shared_folder" in vars(self):
            shutil.rmtree(vars(self).pop("shared_folder"))
        self.local.close()

    def call(self, verb: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """See `apart.call`."""
        return apart.call(verb, *arguments, **named)

    def scan(self, path: Path, name: str) -> nw.LazyFrame[Any]:
        """See `Engine.scan`."""
        frame: nw.LazyFrame[Any] = nw.from_native(self.session.read.parquet(str(path)).alias(name))
        return frame

    def declared(self, rows: Rows, table: Table) -> nw.LazyFrame[Any]:
        """See `Engine.declared`."""
        return self.frame(self.local.fetch(self.local.declared(rows, table)))

    def frame(self, rows: Any) -> nw.LazyFrame[Any]:
        """See `Engine.frame`; the rows are few, so Spark sends them to whoever joins them."""
        with _pandas_unused():
            # In one part, so that rows keep their order, also when they are written and read again.
            frame: nw.LazyFrame[Any] = nw.from_native(self.session.createDataFrame(rows).coalesce(1))
        return frame

    def rows(self, frame: nw.LazyFrame[Any]) -> Rows:
        """See `Engine.rows`."""
        rows: Rows = self.fetch(frame).to_pylist()
        return rows

    def fetch(self, frame: nw.LazyFrame[Any]) -> Any:
        """See `Engine.fetch`."""
        with _pandas_unused():
            return nw.to_native(frame).toArrow()

    def keep(self, frame: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """See `Engine.keep`; no lost executor takes the rows along."""
        return self.frame(self.fetch(frame))

    def number_ids(self, frame: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """See `Engine.number_ids`."""
        if frame.collect_schema()[KEY].is_integer():
            return frame.with_columns(nw.col(KEY).alias(ID_NUMBER))
        numbered: nw.LazyFrame[Any] = nw.from_native(
            nw.to_native(frame).selectExpr("*", f"{TEXT_NUMBER} AS {ID_NUMBER}")
        )
        return numbered

    def array(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> np.ndarray:
        """See `Engine.array`."""
        table = self.fetch(frame.select(*columns)).combine_chunks()
        # By DLPack, because pyarrow's own to_numpy imports pandas.
        arrays = [np.from_dlpack(part) for column in table.columns for part in column.chunks]
        return np.column_stack(arrays).astype(np.float64, copy=False) if arrays else np.empty((0, len(columns)))

    def write(
        self,
        frame: nw.LazyFrame[Any],
        table: Table,
        path: Path,
        report: Callable[[float], None] | None = None,  # noqa: ARG002  (Spark shows progress in its own UI)
    ) -> Written:
        """See `Engine.write`: a folder of Parquet files, of whose columns nothing is told."""
        from pyarrow import dataset  # noqa: PLC0415
        from pyspark.sql import functions as sql  # noqa: PLC0415

        found = frame.collect_schema().names()
        extra = [name for name in found if name not in table.names] if table.carries_extra else []
        columns = [
            *(sql.col(quoted(c.name)).cast(TYPES.get(c.type, c.type)).alias(c.name) for c in table.columns),
            *(sql.col(quoted(name)) for name in extra),
        ]
        native: DataFrame = nw.to_native(frame)
        native.select(*columns).write.mode("overwrite").parquet(str(path))
        # From the files' own footers: what Spark counts on its way counts twice where a step is done again.
        return Written(dataset.dataset(path, format="parquet").count_rows())

    def fit_scaler(self, encoded: nw.LazyFrame[Any], names: tuple[str, ...]) -> tuple[Scaler, np.ndarray]:
        """See `Engine.fit_scaler`: MLlib's `StandardScaler` and `Correlation`."""
        from pyspark.ml.feature import StandardScaler  # noqa: PLC0415
        from pyspark.ml.stat import Correlation  # noqa: PLC0415

        vectors = self._vectors(encoded, names)
        customers = vectors.count()
        if not customers:
            require_differences(np.zeros(len(names)))
        fit = StandardScaler(inputCol=VECTOR, outputCol="standardised").fit(vectors)
        # Spark divides by n - 1, the table `scaler` by n.
        deviation = fit.std.toArray() * ((customers - 1) / customers) ** 0.5
        require_differences(deviation)
        scale = np.where(deviation > 0, deviation, 1.0)
        # What never varies has no correlation for MLlib, and none for us: 0.
        correlations = np.nan_to_num(Correlation.corr(vectors, VECTOR).head()[0].toArray())
        np.fill_diagonal(correlations, deviation > 0)
        return Scaler(names, tuple(map(float, fit.mean.toArray())), tuple(map(float, scale))), correlations

    def fit_components(
        self,
        scaled: nw.LazyFrame[Any],
        covariances: np.ndarray,  # noqa: ARG002  (MLlib looks at the customers themselves)
        names: tuple[str, ...],
    ) -> Components:
        """See `Engine.fit_components`: MLlib's `PCA`."""
        from pyspark.ml.feature import PCA  # noqa: PLC0415

        vectors = self._vectors(scaled, names)
        fit = PCA(k=min(COMPONENTS, len(names)), inputCol=VECTOR, outputCol="components").fit(vectors)
        return fill_up(names, fix_signs(fit.pc.toArray().T), fit.explainedVariance.toArray())

    def count_repeats(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> int:
        """See `Engine.count_repeats`; of several columns by a hash of 64 bits."""
        from pyspark.sql import functions as sql  # noqa: PLC0415

        if len(columns) == 1:
            counted = nw.to_native(frame).agg(
                (sql.count(quoted(columns[0])) - sql.count_distinct(quoted(columns[0]))).alias("repeats")
            )
            return int(counted.toArrow()["repeats"][0].as_py())
        # Spark's hash passes over what is missing, so that whether it is there is hashed too.
        values = [part for name in columns for part in (sql.col(quoted(name)), sql.col(quoted(name)).isNull())]
        hashed = nw.to_native(frame).select(sql.xxhash64(*values).alias("hashed"))
        row = hashed.agg((sql.count("*") - sql.count_distinct("hashed")).alias("repeats")).toArrow()
        return int(row["repeats"][0].as_py())

    def fingerprint(self, frame: nw.LazyFrame[Any], group: str | None = None) -> Rows:
        """See `Engine.fingerprint`; the hash is another one, so fingerprints of two engines do not agree."""
        from pyspark.sql import functions as sql  # noqa: PLC0415

        groups = [quoted(group)] if group else []
        is_whole = frame.collect_schema()[KEY].is_integer()
        number = sql.col(KEY) if is_whole else sql.expr(TEXT_NUMBER)
        summed = (
            nw.to_native(frame)
            .groupBy(*groups)
            .agg(
                sql.count("*").alias("customers"),
                sql.sum(number.cast("decimal(20)")).cast("string").alias("ids"),
                sql.bit_xor(sql.xxhash64(KEY)).alias("hashed"),
            )
            .sort(*groups, "customers")
        )
        return self.rows(nw.from_native(summed))

    def count_values(self, frame: nw.LazyFrame[Any], group: str, columns: Sequence[str]) -> GroupedCounts:
        """See `Engine.count_values`; in one pass, if they are not many."""
        from pyspark.sql import functions as sql  # noqa: PLC0415

        def count(part: list[str]) -> Any:
            # The group stands in every set, so its bit, the highest, is never set.
            counted = (
                nw.to_native(frame)
                .groupingSets([[group, column] for column in part], group, *part)
                .agg(sql.grouping_id().alias("others"), sql.count("*").alias("customers"))
                .withColumnRenamed(group, "group")
            )
            return counted.toArrow()

        with _pandas_unused():
            return count_in_passes(frame, columns, count)

    def refine_centroids(self, points: nw.LazyFrame[Any], centroids: np.ndarray) -> np.ndarray:
        """See `Engine.refine_centroids`: MLlib's k-means."""
        java = self.session._jvm
        vectors = self._vectors(points, NAMES)
        # Only the older of MLlib's two interfaces begins from given centres, and only from Java can it be reached
        # without a Python on every executor. The function that turns the newer vectors into the older is MLlib's own.
        rows = java.org.apache.spark.ml.util.DatasetUtils.columnToOldVector(vectors._jdf, VECTOR)
        mllib = java.org.apache.spark.mllib
        start = self._java_array(
            mllib.linalg.Vector, [mllib.linalg.Vectors.dense(self._java_array(java.double, row)) for row in centroids]
        )
        fit = (
            mllib.clustering.KMeans()
            .setK(len(centroids))
            .setMaxIterations(LLOYD_STEPS)
            .setEpsilon(LLOYD_TOLERANCE)
            .setInitialModel(mllib.clustering.KMeansModel(start))
            .run(rows)
        )
        return np.array([list(centre.toArray()) for centre in fit.clusterCenters()])

    def _vectors(self, frame: nw.LazyFrame[Any], names: Sequence[str]) -> "DataFrame":
        from pyspark.ml.feature import VectorAssembler  # noqa: PLC0415

        return VectorAssembler(inputCols=list(names), outputCol=VECTOR).transform(nw.to_native(frame)).select(VECTOR)

    def _java_array(self, of: Any, values: Sequence[Any] | np.ndarray) -> Any:
        array = self.session.sparkContext._gateway.new_array(of, len(values))
        for number, value in enumerate(values):
            array[number] = float(value) if isinstance(value, np.floating) else value
        return array

    def trace(self, frame: nw.LazyFrame[Any], schemas: Schemas) -> "Future[Columns]":  # noqa: ARG002  (its plan knows)
        """See `Engine.trace`; by Spark's own plan, which has told already."""
        plan = nw.to_native(frame)._jdf.queryExecution().analyzed()
        known: dict[int, set[tuple[str, str]]] = {}
        _note_sources(plan, known)
        told: Future[Columns] = Future()
        told.set_result({column.name(): sorted(known.get(column.exprId().id(), ())) for column in _each(plan.output())})
        return told


def _start_session(master: str, settings: Mapping[str, str], log: Path | None) -> "SparkSession":
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415  (only where Spark is the engine)
    from pyspark.java_gateway import launch_gateway  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    conf = SparkConf(loadDefaults=False).setMaster(master).setAll(list(settings.items()))
    # One Java process serves all sessions that this one has, one after the other.
    if log is not None and SparkContext._gateway is None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as messages:
            # It speaks before it has read how much it may say.
            return SparkSession(SparkContext(conf=conf, gateway=launch_gateway(conf, {"stderr": messages})))
    return SparkSession(SparkContext(conf=conf))


def _note_sources(plan: Any, known: dict[int, set[tuple[str, str]]]) -> None:
    """Note the sources of every column that a plan makes, from its leaves up; columns go by Spark's own numbers."""
    if plan.nodeName() == "SubqueryAlias" and plan.child().children().isEmpty():
        for column in _each(plan.output()):
            known[column.exprId().id()] = {(plan.alias(), column.name())}
        return
    for child in _each(plan.children()):
        _note_sources(child, known)
    for expression in _each(plan.expressions()):
        if expression.nodeName() == "Alias":
            sources = (known.get(column.exprId().id(), set()) for column in _each(expression.references().toSeq()))
            known[expression.exprId().id()] = set().union(*sources)


def _each(sequence: Any) -> Iterator[Any]:
    """The elements of one of Scala's sequences."""
    return (sequence.apply(number) for number in range(sequence.size()))


def text_literal(text: str) -> str:
    """A text, quoted for Spark, which reads a backslash as the sign of what follows.

    Args:
        text: Any text.

    Returns:
        The quoted literal.
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def quoted(name: str) -> str:
    """A name, quoted for Spark.

    Args:
        name: Any text.

    Returns:
        The quoted identifier.
    """
    return "`" + name.replace("`", "``") + "`"


def _is_loopback(master: str) -> bool:
    return master.startswith("local") or "//127." in master or "//localhost" in master


@contextmanager
def _pandas_unused() -> Iterator[None]:
    """Spark warns of pandas 3 wherever Arrow is used; no frame of pandas is made."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield
