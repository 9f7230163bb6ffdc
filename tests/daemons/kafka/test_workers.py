"""Workers that end, freeze and come back: each onset is handled once, and whoever was replaced is refused."""

from __future__ import annotations

import random
import threading
from collections import Counter

from closedloop_loop.kafka.partition import Progress
from closedloop_loop.kafka.progress import Claimed, ProgressStore
from closedloop_loop.operations.model import State
from closedloop_tools.postgresql import Postgresql

from tests.daemons.kafka.bed import Bed, Claimers, wait_for
from tests.daemons.kafka.conftest import Make
from tests.daemons.loop.test_dispatcher import fault


def test_who_takes_a_partition_over_fences_who_had_it(postgresql: Postgresql) -> None:
    url = postgresql.database()
    before, after, other = (ProgressStore(url, "group", topic) for topic in ("ves", "ves", "another"))
    assert before.claim(0) == Claimed(1, None)
    assert before.save({0: (1, Progress(10, 5, 7, b"one"))}) == set()
    assert after.claim(0) == Claimed(2, Progress(10, 5, 7, b"one"))
    assert before.claim(1) == Claimed(1, None)
    assert before.save({0: (1, Progress(11, 5, 7, b"late")), 1: (1, Progress(1, 1, 1, b"mine"))}) == {0}
    assert other.claim(0) == Claimed(1, None)
    assert after.save({0: (2, Progress(12, 6, 8, b"two"))}) == set()
    assert after.claim(0) == Claimed(3, Progress(12, 6, 8, b"two"))
    assert before.claim(1) == Claimed(2, Progress(1, 1, 1, b"mine"))
    for store in (before, after, other):
        store.close()


def expect_once(bed: Bed, claimers: Claimers, total: int) -> None:
    wait_for(lambda: len(claimers.claimed) >= total, "all claimed")
    wait_for(lambda: all(not known.open for known in bed.found()), "all done")
    found = bed.found()
    assert {known.target for known in found} == {f"ha-pp-{number}" for number in range(total)}
    assert len(found) == total
    assert {known.state for known in found} == {State.SUCCEEDED}
    assert Counter(claimers.claimed) == Counter(known.request_id for known in found)


def test_a_worker_that_is_killed_or_freezes_is_replaced_and_does_no_harm_when_it_goes_on(make: Make) -> None:
    bed = make()
    first, second = bed.worker(), bed.worker()
    intake = bed.intake()
    chance, total, stop = random.Random(1), 24, threading.Event()

    def disturb() -> None:
        for worker in (first, second):
            stop.wait(chance.uniform(1, 3))
            worker.pause()
            stop.wait(8)  # longer than a session: the other has its partitions
            worker.go_on()
            stop.wait(chance.uniform(1, 3))
            worker.kill()
            stop.wait(chance.uniform(0, 2))
            worker.start()

    with Claimers(bed) as claimers:
        disturber = threading.Thread(target=disturb)
        disturber.start()
        for number in range(total):
            bed.send(intake, fault(number))
            stop.wait(0.5)
        disturber.join()
        expect_once(bed, claimers, total)
    assert first.said("partitions are taken over")
    assert second.said("partitions are taken over")
