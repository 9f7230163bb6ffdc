"""Run histories: `python -m tests.simulation --seeds 1000`, `--seed N` replays one and prints its story, `--forever` never ends.

Exit status 0 when all held, 1 with the first seeds that did not and the command that replays each.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import time
import traceback

from tests.simulation.history import History

REPLAY = "python -m tests.simulation --seed {}"
BATCH = 50


def one(seed: int) -> str | None:
    """None when the history held, else what happened."""
    history = History(seed)
    try:
        history.run()
    except Exception as error:  # whatever a core raises is a finding, as is a broken invariant
        at = traceback.extract_tb(error.__traceback__)[-1]
        return f"seed {seed}: {type(error).__name__}: {error} (at {history.world.time - 1000:.3f} s, {at.name})"
    return None


def batch(seeds: range) -> list[str]:
    return [found for seed in seeds if (found := one(seed)) is not None]


def story(seed: int) -> int:
    """Replay one seed with its history on standard output."""
    history = History(seed, trace=True)
    try:
        outcome = history.run()
    except Exception:
        print("\n".join(history.world.trace or []))
        traceback.print_exc()
        return 1
    print("\n".join(history.world.trace or []))
    print(f"held: {outcome.steps} steps, {outcome.acknowledged} acknowledged registrations, {outcome.faults} faults")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this seed and print its story")
    parser.add_argument("--seeds", type=int, default=20_000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed; with --forever the default is the present second")
    parser.add_argument("--forever", action="store_true", help="go on with new seeds until a history does not hold")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args(argv)
    if options.seed is not None:
        return story(options.seed)
    if options.forever and not options.first:
        options.first = int(time.time()) * 1000
    last = None if options.forever else options.first + options.seeds
    starts = itertools.count(options.first, BATCH) if last is None else range(options.first, last, BATCH)
    ranges = (range(start, start + BATCH if last is None else min(start + BATCH, last)) for start in starts)
    begun = shown = time.monotonic()
    done, failed = 0, 0
    with multiprocessing.Pool(options.processes) as pool:
        for found in pool.imap(batch, ranges):
            done += BATCH if last is None else min(BATCH, options.seeds - done)
            for line in found:
                failed += 1
                print(f"{line}\n    replay: {REPLAY.format(line.split(':')[0].removeprefix('seed '))}", flush=True)
            if failed >= 5 or (failed and options.forever):
                break
            if time.monotonic() - shown > 5:
                shown = time.monotonic()
                print(f"{done} histories, {done / (shown - begun):.0f}/s, {failed} broken", flush=True)
    print(f"{done} histories in {time.monotonic() - begun:.1f} s ({done / (time.monotonic() - begun):.0f}/s), {failed} broken")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
