"""A real Spark cluster for tests and benchmarks: a standalone master and its workers, all on loopback.

`python -m smartcart_pipeline_tests.spark_cluster` keeps one up until Ctrl-C; with a command behind it, until that ends.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

LOOPBACK = "127.0.0.1"
MASTER = "SMARTCART_SPARK_MASTER"
PATIENCE_SECONDS = 60
# What a daemon itself may take; executors are processes of their own.
DAEMON_MEMORY = "256m"


def missing_for_spark() -> str | None:
    """What a machine lacks to run Spark, in words; None where it lacks nothing."""
    if find_spec("pyspark") is None:
        return "pyspark is not installed: pip install smartcart-pipeline[spark]"
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else shutil.which("java")
    if java is None or not Path(java).is_file():
        return "there is no Java: install openjdk-17-jre-headless"
    return None


@dataclass(frozen=True)
class Cluster:
    """Processes of a cluster.

    Attributes:
        url: The master's, `spark://127.0.0.1:…`.
        folder: Where they write: logs, and the work of executors.
        processes: The daemons, `master`, `worker-0`, `worker-1`, ….
    """

    url: str
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]]

    def kill_worker(self, number: int = 0) -> None:
        """End a worker at once, as a power cut would; its executors follow."""
        worker = self.processes[f"worker-{number}"]
        worker.kill()
        worker.wait()


@contextmanager
def running_cluster(workers: int = 2, cores: int = 1, memory: str = "1g") -> Iterator[Cluster]:
    """A cluster that is up inside the `with` block and gone behind it, with all it wrote.

    Args:
        workers: How many.
        cores: Of each.
        memory: Of each, for its executors.

    Yields:
        The cluster.

    Raises:
        RuntimeError: If it does not come up.
    """
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with tempfile.TemporaryDirectory(prefix="smartcart-spark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            processes["master"] = _start("Master", folder / "master", "--port", "0")
            url = _announced(processes["master"], folder / "master.log", r"Starting Spark master at (\S+)")
            for number in range(workers):
                options = ("--cores", str(cores), "--memory", memory, "--port", "0", url)
                processes[f"worker-{number}"] = _start("Worker", folder / f"worker-{number}", *options)
            for number in range(workers):
                worker = processes[f"worker-{number}"]
                _announced(worker, folder / f"worker-{number}.log", r"(Successfully registered)")
            yield Cluster(url, folder, processes)
        finally:
            # Workers first, so that none looks for a master that has gone.
            for process in reversed(processes.values()):
                _end(process)


def _start(daemon: str, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start one of Spark's daemons; it writes to the folder, and its log beside that."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_DAEMON_MEMORY": DAEMON_MEMORY,
        "SPARK_WORKER_DIR": str(folder),
        "SPARK_LOCAL_DIRS": str(folder),
        # Applications are submitted by their drivers; the other door would need a fixed port.
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
    }
    # Where the system offers it, a daemon goes when this process does, however that ended.
    lifeline = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    java = f"org.apache.spark.deploy.{daemon.lower()}.{daemon}"
    command = [*lifeline, str(home / "bin" / "spark-class"), java, "--host", LOOPBACK, "--webui-port", "0", *options]
    with folder.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _announced(process: subprocess.Popen[bytes], log: Path, announcement: str) -> str:
    """Wait until a daemon says in its log that it is up, and give what it says."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(announcement, log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"Spark did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Keep a cluster up for a command, or until Ctrl-C.

    Returns:
        The command's exit code, else 0; 2 where Spark cannot run here.
    """
    if lacking := missing_for_spark():
        sys.stderr.write(f"{lacking}\n")
        return 2
    with running_cluster() as cluster, suppress(KeyboardInterrupt):
        environment = os.environ | {MASTER: cluster.url}
        if command := sys.argv[1:]:
            return subprocess.run(command, env=environment, check=False).returncode
        sys.stdout.write(f"{cluster.url} is up, with two workers; stop it with Ctrl-C. For its use:\n")
        sys.stdout.write(f"export {MASTER}={cluster.url}\n")
        sys.stdout.flush()
        while cluster.processes["master"].poll() is None:
            time.sleep(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
