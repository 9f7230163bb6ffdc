"""Events through Kafka: durable before 202, refused while the broker is away, to one worker, to one operation."""

from __future__ import annotations

from tests.daemons.kafka.bed import wait_for
from tests.daemons.kafka.conftest import Make
from tests.daemons.loop.test_dispatcher import fault


def test_an_event_becomes_an_operation_that_is_handed_on(make: Make) -> None:
    bed = make()
    worker, intake = bed.worker(), bed.intake()
    for number in range(8):
        bed.send(intake, fault(number))
        bed.send(intake, fault(number))
    wait_for(lambda: len({line["onset"]["target"] for line in worker.handed_on()}) == 8, "handed on")
    assert {operation.target for operation in bed.found()} == {f"ha-pp-{number}" for number in range(8)}
    assert intake.metric("events_total") == 8
    assert intake.metric("duplicates_total") == 8
    assert intake.metric("kafka_acknowledged_total") == 8
    bed.send(intake, fault(3, cleared=True))
    wait_for(lambda: next(known for known in bed.found() if known.target == "ha-pp-3").abated_us is not None, "abated")
