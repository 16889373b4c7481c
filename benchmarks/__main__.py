"""Run every benchmark: `make bench`."""

from benchmarks import nightly

if __name__ == "__main__":
    nightly.main()
