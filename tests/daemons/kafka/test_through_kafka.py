"""Events through Kafka: durable before 202, refused while the broker is away, to one worker, to one operation."""

from __future__ import annotations

import secrets
import time

from tests.daemons.kafka.bed import FAULTS, SILENCE, Claimers, heartbeat, wait_for
from tests.daemons.kafka.conftest import Make
from tests.daemons.loop.test_dispatcher import fault


def test_an_event_becomes_an_operation_that_is_handed_on(make: Make) -> None:
    bed = make()
    bed.worker()
    intake = bed.intake()
    for number in range(4):
        bed.send(intake, fault(number))
        bed.send(intake, fault(number))
    with Claimers(bed) as claimers:
        wait_for(lambda: len(claimers.claimed) == 4, "claimed")
    assert {operation.target for operation in bed.found()} == {f"ha-pp-{number}" for number in range(4)}
    assert intake.metric("events_total") == 4
    assert intake.metric("duplicates_total") == 4
    assert intake.metric("kafka_acknowledged_total") == 4
    large = fault(4)
    large["event"]["faultFields"]["alarmAdditionalInformation"] = {"dump": secrets.token_hex(1_000_000)}
    assert intake.send(large).status == 202, "two MiB, as the listener takes"
    bed.send(intake, fault(3, cleared=True))
    wait_for(lambda: next(known for known in bed.found() if known.target == "ha-pp-3").abated_us is not None, "abated")


def test_while_the_broker_is_away_senders_come_again_and_nobody_is_taken_for_silent(make: Make) -> None:
    bed = make(FAULTS, SILENCE)
    bed.worker()
    intake = bed.intake()
    begin_us = time.time_ns() // 1000
    bed.send(intake, heartbeat("ha-pp-1", begin_us, 2))
    bed.broker.kill()
    refused = intake.send(fault(1))
    assert (refused.status, refused.message_id) == (503, "SVC1000")
    assert int(refused.headers["Retry-After"]) > 0
    assert intake.ask("GET", "/healthcheck").status == 503
    bed.broker.start()  # this takes longer than two heartbeats
    bed.send(intake, heartbeat("ha-pp-1", begin_us + 1, 2))
    bed.send(intake, fault(1))
    wait_for(lambda: {known.loop for known in bed.found()} == {"failover", "silent"}, "both onsets")
    [silent] = [known for known in bed.found() if known.loop == "silent"]
    assert silent.onset.alarm_start_us == begin_us + 1, "only the silence after the second heartbeat counts"
    assert intake.ask("GET", "/healthcheck").status == 200
