"""Kills real runs at random moments: a warmed-up parent forks a run, and kills it in a stage of the parent's choice.

python -m smartcart_pipeline_tests.killing HOME EXPORT KILLS SEED

Imports are paid once: each run is a fork of a process that has imported all that a run does, and run nothing. It tells
its stages over a pipe, by the progress that the command shows; the parent waits for one, and for a random share of the
time that the stage took in a whole run, then kills. Prints one line of JSON a run: the stage, whether it was still
running, and what was wrong afterwards, which must be nothing.
"""

import importlib
import itertools
import json
import logging
import os
import random
import select
import signal
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

from smartcart_pipeline import assets, checks, definitions, plots  # noqa: F401  (so that a fork need not import them)
from smartcart_pipeline.night import run_job
from smartcart_pipeline.progress import CHANNEL, Watcher
from smartcart_pipeline.storage.home import Home
from smartcart_pipeline.storage.publications import kept_publications, published
from smartcart_pipeline.tables import RECORDS, TABLES
from smartcart_pipeline.views import VIEWS

TABLES_AND_VIEWS = (*TABLES, *RECORDS, *VIEWS)


def fork_run(home: Home, export: Path) -> tuple[int, int]:
    """Start a run; returns its process and the pipe over which it tells its stages."""
    listen, tell = os.pipe()
    process = os.fork()
    if process:
        os.close(tell)
        return process, listen
    status = 1
    try:
        os.close(listen)
        os.write(tell, b"begin\n")

        def notice(event: Any) -> None:
            if event.is_step_start:
                os.write(tell, f"{event.step_key}\n".encode())

        logging.getLogger(CHANNEL).addHandler(Watcher(notice, hear=lambda _: None))
        run_job(home, {"input": str(export), "recipe": "behavioural", "copied_rows": 1_000}, quiet=True)
        os.write(tell, b"end\n" + "".join(f"{name}\n" for name in sys.modules).encode())
        status = 0
    finally:
        os._exit(status)


def stages_of(process: int, listen: int) -> dict[str, float]:
    """Let a run end by itself; returns the seconds that each stage took."""
    begun: list[tuple[str, float]] = []
    with os.fdopen(listen) as lines:
        for line in lines:
            begun.append((line.strip(), time.monotonic()))
            if line == "end\n":
                break
        imported = lines.read().split()
    _, status = os.waitpid(process, 0)
    if status:
        raise SystemExit(f"a run that nobody killed ended with {status}")
    for name in imported:
        with suppress(Exception):
            importlib.import_module(name)
    return {name: end - moment for (name, moment), (_, end) in itertools.pairwise(begun)}


def kill_in(stage: str, seconds: float, process: int, listen: int) -> bool:
    """Kill a run so many seconds after a stage has begun; returns whether it was still running."""
    heard = b""
    while stage.encode() not in heard.split(b"\n"):
        piece = os.read(listen, 4_096)
        if not piece:
            break
        heard += piece
    select.select([], [], [], seconds)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(listen)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a run failed by itself before it was killed in {stage}")
    return os.WIFSIGNALED(status)


def faults(home: Home) -> list[str]:
    """What is wrong with the warehouse, the publications or the lake; looked at in a process of its own."""
    found = []
    if published(home) is None:
        found.append("what is published is none of the publications")
    for path in (home.warehouse, *kept_publications(home)):
        try:
            with duckdb.connect(str(path), read_only=True) as connection:
                counts = {name: count(connection, name) for name in TABLES_AND_VIEWS}
                [(stated,)] = connection.sql("SELECT row_counts FROM publication").fetchall()
                runs = connection.sql("SELECT run_id FROM lineage UNION SELECT run_id FROM publication").fetchall()
        except duckdb.Error as error:
            found.append(f"{path.name}: {error}")
            continue
        if stated != {name: counts[name] for name in TABLES}:
            found.append(f"{path.name}: rows are not as stated")
        if len(runs) != 1:
            found.append(f"{path.name}: of several runs")
    with duckdb.connect() as connection:
        for file in home.lake.glob("*/[!.]*"):
            try:
                connection.execute(f"SELECT count(COLUMNS(*)) FROM read_parquet('{file}')").fetchall()
            except duckdb.Error as error:
                found.append(f"{file}: {error}")
    return found


def count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    return int(connection.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0])


def look(home: Home) -> list[str]:
    """What is wrong, looked at in a fork: the parent must stay without threads."""
    listen, tell = os.pipe()
    if not os.fork():
        os.close(listen)
        os.write(tell, json.dumps(faults(home)).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(listen) as answer:
        found: list[str] = json.loads(answer.read() or '["looking failed"]')
    os.wait()
    return found


def main(home: Home, export: Path, kills: int, seed: int) -> None:
    """Kill and look, stage after stage."""
    warnings.simplefilter("ignore")
    chosen = random.Random(seed)
    stages_of(*fork_run(home, export))
    lasting = stages_of(*fork_run(home, export))
    # The stage that publishes, where most is at stake, has as many kills as three others.
    stages = [*lasting, "warehouse", "warehouse"]
    for number in range(kills):
        stage = stages[number % len(stages)]
        seconds = chosen.uniform(0, 1.1 * lasting[stage])
        killed = kill_in(stage, seconds, *fork_run(home, export))
        print(json.dumps({"stage": stage, "killed": killed, "faults": look(home)}), flush=True)
    stages_of(*fork_run(home, export))
    print(json.dumps({"stage": "whole run", "killed": False, "faults": look(home)}), flush=True)


if __name__ == "__main__":
    main(Home(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
