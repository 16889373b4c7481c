"""Identity: which new cluster is which old segment, and what became of each segment.

Clusters of two fits are matched by the customers they share. What happened to a segment is told from the same table of
shared customers, in the words of MONIC (Spiliopoulou et al. 2006, "Modeling and monitoring cluster transitions").
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw
import numpy as np
from narwhals.typing import FrameT

from smartcart_pipeline.segmentation import Rows

# A cluster is a segment of old if at least this share of the customers of either is in both (Jaccard 1901).
SAME = 0.3
# A cluster stems from a segment, or a segment went into a cluster, with at least this share of its customers.
MOST = 0.5


@dataclass(frozen=True)
class Matching:
    """Which segment each cluster is.

    Attributes:
        segment_ids: The segment of each cluster, by its number.
        named: How many ids have ever been given; the next is one more.
        events: What became of each segment, rows of `segment_events` without the night.
    """

    segment_ids: tuple[str, ...]
    named: int
    events: Rows


def name_segment(number: int) -> str:
    """The id of the segment that was named as the first, second, … of all.

    Args:
        number: From 1.

    Returns:
        `S01`, `S02`, …
    """
    return f"S{number:02d}"


def number_segment(segment_id: str) -> int:
    """Which of all segments that were ever named this one is.

    Args:
        segment_id: From `name_segment`.

    Returns:
        From 1.
    """
    return int(segment_id.removeprefix("S"))


def overlap_customers(labelled: FrameT, *labels: str) -> FrameT:
    """Count the customers of each combination of labels, in one pass.

    Args:
        labelled: Customers with the labels; one may be null.
        *labels: Names of the columns.

    Returns:
        One row a combination that occurs: the labels and `customers`.
    """
    return labelled.group_by(*labels).agg(nw.len().alias("customers"))


def match_segments(
    overlaps: Rows, segment_ids: Sequence[str], clusters: int, named: int, keeps: Sequence[str] | None = None
) -> Matching:
    """Match new clusters with old segments so that the most customers keep their segment.

    The optimal assignment (Kuhn 1955) over the customers they share; a pair that shares too few of them (`SAME`) is
    none. A cluster without a segment gets an id that no segment ever had.

    Args:
        overlaps: Customers by `segment_id`, null for who was in none, and `cluster`, rows of `overlap_customers`.
        segment_ids: The segments that were in force.
        clusters: How many clusters there are, numbered in the order in which new segments are named.
        named: How many ids have ever been given.
        keeps: The ids that the clusters have already, of a model that was in force before; None where it was not.

    Returns:
        The matching, with its events.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  (slow to import)

    shared, sizes = np.zeros((len(segment_ids), clusters), dtype=np.int64), np.zeros(clusters, dtype=np.int64)
    for row in overlaps:
        sizes[row["cluster"]] += row["customers"]
        if row["segment_id"] in segment_ids:
            shared[segment_ids.index(row["segment_id"]), row["cluster"]] += row["customers"]
    either = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    pairs = zip(*linear_sum_assignment(-shared), strict=True)
    continued = {int(new): int(old) for old, new in pairs if shared[old, new] >= SAME * max(either[old, new], 1)}
    if keeps is not None:
        continued = {new: segment_ids.index(name) for new, name in enumerate(keeps) if name in segment_ids}
        return Matching(tuple(keeps), named, _tell_events(shared, sizes, segment_ids, keeps, continued))
    names = {new: segment_ids[old] for new, old in continued.items()}
    for new in range(clusters):
        if new not in names:
            named += 1
            names[new] = name_segment(named)
    ids = tuple(names[new] for new in range(clusters))
    return Matching(ids, named, _tell_events(shared, sizes, segment_ids, ids, continued))


def _tell_events(
    shared: np.ndarray, sizes: np.ndarray, old_ids: Sequence[str], new_ids: Sequence[str], continued: dict[int, int]
) -> Rows:
    """What became of each old segment, and where each new one comes from; `sizes` count who arrived, too."""
    of_old = shared / np.maximum(shared.sum(axis=1, keepdims=True), 1)
    of_new = shared / np.maximum(sizes, 1)

    def event(kind: str, segment: str, other: str | None, old: int | None, new: int | None) -> dict[str, object]:
        both = old is not None and new is not None
        return {
            "segment_id": segment,
            "event": kind,
            "other_segment_id": other,
            "shared_customers": int(shared[old, new]) if both else 0,
            "share_of_old": float(of_old[old, new]) if both else None,
            "share_of_new": float(of_new[old, new]) if both else None,
        }

    events = [event("continued", old_ids[old], None, old, new) for new, old in continued.items()]
    for new in set(range(len(new_ids))) - set(continued):
        source = int(of_new[:, new].argmax()) if len(old_ids) else None
        if source is not None and of_new[source, new] >= MOST:
            events.append(event("split", new_ids[new], old_ids[source], source, new))
        else:
            events.append(event("born", new_ids[new], None, None, new))
    for old in set(range(len(old_ids))) - set(continued.values()):
        target = int(of_old[old].argmax())
        if of_old[old, target] >= MOST:
            events.append(event("merged", old_ids[old], new_ids[target], old, target))
        else:
            events.append(event("retired", old_ids[old], None, old, None))
    return sorted(events, key=lambda row: (row["segment_id"], row["event"]))


def sum_segments(overlaps: Rows, label: str) -> Counter[str | int]:
    """Customers of each label.

    Args:
        overlaps: Rows of `overlap_customers`.
        label: Which of the labels.

    Returns:
        Customers by label.
    """
    sizes: Counter[str | int] = Counter()
    for row in overlaps:
        sizes[row[label]] += row["customers"]
    return sizes
