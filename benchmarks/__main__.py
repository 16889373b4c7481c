"""Run every benchmark: `make bench`, or one of them: `make bench ARGS=scale`."""

import sys

from benchmarks import (
    any_table,
    audiences,
    before,
    fuzzing,
    identity,
    kills,
    longevity,
    mutants,
    nightly,
    scale,
    scoring,
    spark,
    steadiness,
    structure,
)

BENCHMARKS = {
    "nightly": nightly.main,
    "scale": lambda: scale.main([]),
    "identity": lambda: identity.main([]),
    "spark": lambda: spark.main([]),
    "scoring": lambda: scoring.main([]),
    "any_table": lambda: any_table.main([]),
    "kills": lambda: kills.main([]),
    "longevity": lambda: longevity.main([]),
    "structure": lambda: structure.main([]),
    "steadiness": lambda: steadiness.main([]),
    "fuzzing": lambda: fuzzing.main([]),
    "audiences": lambda: audiences.main([]),
    "before": lambda: before.main([]),
    "mutants": lambda: mutants.main([]),
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()
