"""Measures the way of events through Kafka into reports/kafka/."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from closedloop_tools.bench import disk
from closedloop_tools.kafka import picture, rounds
from closedloop_tools.report import build_report, render, write_report
from closedloop_tools.work import work_folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m closedloop_tools.kafka", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round-s", type=float, default=6.0, help="of each load of a round")
    options = parser.parse_args()
    started = datetime.now(UTC)
    database = Path(tempfile.mkdtemp(prefix="clt-postgresql-"))  # a place that the user of the server may enter
    try:
        with work_folder("kafka") as name:
            folder = Path(name)
            flushes = disk.flushes_ms(folder)
            bed = rounds.Bed(folder, database)
            try:
                runs = rounds.measure(bed, options.rounds, options.round_s)
            finally:
                bed.close()
    finally:
        shutil.rmtree(database)
    reference = {"one flush of the same disk": {"source_to_onset_p99_ms": flushes}}
    written = write_report("kafka", runs, reference=reference, aims=rounds.AIMS, started=started)
    picture.draw(runs, rounds.AIMS, written)
    print(render(build_report("kafka", runs, reference=reference, aims=rounds.AIMS, started=started)))
    print(f"written to {written}/")


if __name__ == "__main__":
    main()
