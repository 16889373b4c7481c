"""What is fitted says nothing of the machine's cores."""

import os
import subprocess
import sys
from pathlib import Path

FITS = """
import numpy as np
from smartcart_pipeline.segmentation.clustering import fit_kmeans
from smartcart_pipeline.segmentation.selection import evaluate_candidates
points = np.random.default_rng(1).normal(size=(200, 3))
fit_kmeans(points, 3, 1)
evaluate_candidates(points, 1)
"""


def test_where_nobody_can_count_the_cores_fits_say_nothing_of_it(tmp_path: Path) -> None:
    counting = tmp_path / "lscpu"
    counting.write_text("#!/bin/sh\necho 'lscpu: cannot open /sys/devices/system/cpu' >&2\nexit 1\n")
    counting.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FITS],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
