"""What is wrong with the way to the topic is told before a port is open: broker, topic or file, and the remedy; never a password."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from closedloop_loop.files import FileError
from closedloop_loop.kafka import connection
from closedloop_loop.kafka.settings import Kafka
from closedloop_tools.kafka.broker import Broker
from closedloop_tools.ves_source.listener import Authority


def refused(arguments: dict[str, Any]) -> str:
    with pytest.raises(FileError) as caught:
        connection.partitions(msgspec.convert(arguments, Kafka))
    assert "horse" not in str(caught.value)
    return str(caught.value)


def test_a_topic_that_will_not_do_is_named_with_its_setting(broker: Broker) -> None:
    name = f"refused-{time.time_ns()}"
    assert "create it" in refused(broker.arguments(name))
    broker.topic(name, 1, {"message.timestamp.type": "CreateTime"})
    assert f"kafka.topic: {name} has message.timestamp.type=CreateTime; set it to LogAppendTime" in refused(broker.arguments(name))
    broker.topic(f"{name}-small", 1, {"max.message.bytes": "1000000"})
    assert "max.message.bytes=1000000; set it to at least" in refused(broker.arguments(f"{name}-small"))
    broker.topic(f"{name}-good", 3)
    assert connection.partitions(msgspec.convert(broker.arguments(f"{name}-good"), Kafka)) == 3


def test_a_wrong_password_or_authority_is_told_as_that(broker: Broker, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("wrong horse\n")
    assert "kafka.username: is refused" in refused({**broker.arguments("ves"), "password_file": str(password)})
    stranger = Authority(tmp_path, "stranger")
    assert "kafka.ca: does not verify the broker" in refused({**broker.arguments("ves"), "ca": str(stranger.file)})


def test_an_intake_without_a_broker_does_not_start(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "ves.yml"
    arguments = {**broker.arguments("ves"), "servers": ["localhost:1"]}
    file.write_text(msgspec.json.encode({"insecure": True, "host": "::1", "port": 0, "kafka": arguments}).decode())
    command = [sys.executable, "-m", "closedloop_loop.main", "ves", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "closedloop ves: localhost:1: kafka.servers: none can be used" in done.stderr
    assert "give brokers that run" in done.stderr
