"""Duplicate address detection on the home link against real kernels on that link."""

from __future__ import annotations

import asyncio
import time

from closedloop_nf.kernel.neighbor import DuplicateAddressDetector

from tests.kernel.bed import NEIGHBOUR, Bed, octets

FREE = "2001:db8:a::77"
RETRANS_TIMER_S = 0.2


async def test_an_address_in_use_is_found_at_once_and_a_free_one_after_the_timer(bed: Bed) -> None:
    with bed.inside("ha"):
        patient = DuplicateAddressDetector("home", retrans_timer_s=3600)
        detector = DuplicateAddressDetector("home", retrans_timer_s=RETRANS_TIMER_S)
    assert await asyncio.wait_for(patient.is_duplicate(octets(NEIGHBOUR)), 60)
    patient.close()
    begun = time.monotonic()
    assert not await detector.is_duplicate(octets(FREE))
    assert time.monotonic() - begun >= RETRANS_TIMER_S
    detector.close()


async def test_many_questions_at_a_time_take_as_long_as_one(bed: Bed) -> None:
    with bed.inside("ha"):
        detector = DuplicateAddressDetector("home", retrans_timer_s=RETRANS_TIMER_S)
    asked = [octets(f"2001:db8:a::1:{number:x}") for number in range(200)] + [octets(NEIGHBOUR), octets(NEIGHBOUR)]
    begun = time.monotonic()
    answers = await asyncio.gather(*(detector.is_duplicate(address) for address in asked))
    assert answers == [False] * 200 + [True, True]
    assert time.monotonic() - begun < len(asked) / 4 * RETRANS_TIMER_S
    detector.close()


async def test_of_two_that_test_the_same_address_one_at_most_gets_it(bed: Bed) -> None:
    with bed.inside("ha"):
        first = DuplicateAddressDetector("home", retrans_timer_s=RETRANS_TIMER_S)
    with bed.inside("n"):
        second = DuplicateAddressDetector("home", retrans_timer_s=RETRANS_TIMER_S)
    answers = await asyncio.gather(first.is_duplicate(octets(FREE)), second.is_duplicate(octets(FREE)))
    assert any(answers)
    first.close()
    second.close()


async def test_address_resolution_is_no_duplicate(bed: Bed) -> None:
    with bed.inside("ha"):
        detector = DuplicateAddressDetector("home", retrans_timer_s=RETRANS_TIMER_S)
    question = asyncio.create_task(detector.is_duplicate(octets(FREE)))
    await asyncio.to_thread(bed.ping, "n", FREE, count=1)
    assert not await question
    detector.close()
