"""Run histories: `python -m tests.simulation --seeds 1000`, `--seed N` replays one and prints its story, `--forever` never ends.

There are two kinds: `functions` (HA-PPs, HA-B and mobile nodes) and `loop` (functions that report, the control loop, the playbook that acts
on them). Exit status 0 when all held, 1 with the first seeds that did not and the command that replays each.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tests.simulation.closed_loop.history import LoopHistory
from tests.simulation.history import History

KINDS: dict[str, type[History] | type[LoopHistory]] = {"functions": History, "loop": LoopHistory}
REPLAY = "python -m tests.simulation --kind {} --seed {}"
BATCH = 50
ENOUGH = 5
"""So many broken histories end a run."""


class Batch(NamedTuple):
    """A range of seeds of one kind, carried out: what broke, and what was seen."""

    kind: str
    histories: int
    broken: dict[int, str]
    seen: Counter[str]


def one(seed: int, kind: str = "functions", seen: Counter[str] | None = None) -> str | None:
    """None when the history held, else what happened."""
    history = KINDS[kind](seed)
    try:
        outcome = history.run()
    except Exception as error:  # whatever a core raises is a finding, as is a broken invariant
        at = traceback.extract_tb(error.__traceback__)[-1]
        return f"{kind} seed {seed}: {type(error).__name__}: {error} (at {history.world.time - 1000:.3f} s, {at.name})"
    if seen is not None:
        seen.update(outcome.seen)
        seen["steps"] += outcome.steps
        seen["acknowledged registrations"] += outcome.acknowledged
    return None


def batch(job: tuple[str, range]) -> Batch:
    kind, seeds = job
    seen: Counter[str] = Counter()
    broken = {seed: found for seed in seeds if (found := one(seed, kind, seen)) is not None}
    return Batch(kind, len(seeds), broken, seen)


def story(kind: str, seed: int) -> int:
    """Replay one seed with its history on standard output."""
    history = KINDS[kind](seed, trace=True)
    try:
        outcome = history.run()
    except Exception:
        print("\n".join(history.world.trace or []))
        traceback.print_exc()
        return 1
    print("\n".join(history.world.trace or []))
    print(f"held: {outcome.steps} steps, {outcome.acknowledged} acknowledged registrations; {told(outcome.seen)}")
    return 0


def told(seen: Counter[str]) -> str:
    """What a run covered, by name."""
    return ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))


def jobs(kinds: list[str], first: int, seeds: int | None) -> Iterator[tuple[str, range]]:
    """Batches of all kinds, in turn; without an end where `seeds` is None."""
    last = None if seeds is None else first + seeds
    for start in itertools.count(first, BATCH) if last is None else range(first, last, BATCH):
        for kind in kinds:
            yield kind, range(start, start + BATCH if last is None else min(start + BATCH, last))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--kind", choices=list(KINDS), help="histories of this kind only; a replay is of `functions` without it")
    parser.add_argument("--seed", type=int, help="replay this seed and print its story")
    parser.add_argument("--seeds", type=int, default=20_000, help="how many histories of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed; with --forever the default is the present second")
    parser.add_argument("--forever", action="store_true", help="go on with new seeds until a history does not hold")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args(argv)
    if options.seed is not None:
        return story(options.kind or "functions", options.seed)
    if options.forever and not options.first:
        options.first = int(time.time()) * 1000
    kinds = [options.kind] if options.kind else list(KINDS)
    begun = shown = time.monotonic()
    failed = 0
    done: Counter[str] = Counter()
    seen = {kind: Counter[str]() for kind in kinds}
    with multiprocessing.Pool(options.processes) as pool:
        for found in pool.imap_unordered(batch, jobs(kinds, options.first, None if options.forever else options.seeds)):
            done[found.kind] += found.histories
            seen[found.kind].update(found.seen)
            for seed, line in found.broken.items():
                failed += 1
                print(f"{line}\n    replay: {REPLAY.format(found.kind, seed)}", flush=True)
            if failed >= ENOUGH or (failed and options.forever):
                break
            if time.monotonic() - shown > 5:
                shown = time.monotonic()
                print(f"{told(done)} histories, {done.total() / (shown - begun):.0f}/s, {failed} broken", flush=True)
    for kind in kinds:
        print(f"{kind}, seen: {told(seen[kind])}")
    seconds = time.monotonic() - begun
    print(f"{told(done)} histories in {seconds:.1f} s ({done.total() / seconds:.0f}/s), {failed} broken")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
