"""VES events whose every string is an attack: such as pass the schema, such as also get an honest alarm through, and broken bodies."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from closedloop_loop.schemas import notation

from tests.hostile.payloads import TRICKY_NAMES, Canaries, attack

STRUCTURES: Final = notation.parse(resources.files("closedloop_loop.schemas").joinpath("ves_7_2_1.fields").read_text(encoding="utf-8"))
DOMAINS: Final = tuple(next(notation.values(each.type) or () for each in STRUCTURES["commonEventHeader"].fields if each.name == "domain"))
NUMBERS: Final = (0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 1e308, -1e308, 5e-324, 0.1, 1_795_230_000_000_000)
ALARMS: Final = ("homeAgentLost", "mobilitySocketClosed")
BATCH: Final = 10


@dataclass
class Generator:
    """From a seed always the same events. `number` is that of the event; its attacks carry it."""

    canaries: Canaries
    chance: random.Random
    number: int = 0
    clock_us: int = field(default=1_795_230_000_000_000)

    def text(self) -> str:
        return attack(self.canaries, self.number, self.chance)

    def event(self, domain: str | None = None) -> dict[str, Any]:
        """One that the schema accepts, of any domain, whose every free text is an attack."""
        self.number += 1
        domain = domain or self.chance.choice(DOMAINS)
        made = self._structure("commonEventHeader", 0)
        made |= {"domain": domain, "sequence": self.chance.randrange(5)}
        if domain == "stndDefined":
            made["stndDefinedNamespace"] = self.text()
        fields = self._structure(f"{domain}Fields", 0)
        return {"commonEventHeader": made, f"{domain}Fields": fields}

    def tricky(self) -> dict[str, Any]:
        """A valid fault whose names pass the allow-list, and are no names of VF modules."""
        name = self.chance.choice(TRICKY_NAMES)
        return self.fault(name, self.chance.choice((*ALARMS, *TRICKY_NAMES)), raised=True)

    def fault(self, source: str, alarm: str, *, raised: bool) -> dict[str, Any]:
        """An honest alarm, or its end, in an event whose every other text is an attack, or a tricky name where a name goes on."""
        event = self.event("fault")
        self.clock_us += 1000
        event["commonEventHeader"] |= {
            "sourceName": source,
            "eventId": f"{self.text()} {self.number}",  # of its own: an event with the id of another of the source is that one again
            "sequence": 0 if raised else 1,
            "startEpochMicrosec": self.clock_us,
            "lastEpochMicrosec": self.clock_us,
        }
        event["faultFields"] |= {"alarmCondition": alarm, "eventSeverity": "CRITICAL" if raised else "NORMAL"}
        inventory = ("cloud-region.cloud-region-id", "generic-vnf.vnf-name", "vf-module.vf-module-name", "vserver.vserver-name", "region")
        event["faultFields"]["alarmAdditionalInformation"] = {
            key: self.chance.choice((self.text(), self.chance.choice(TRICKY_NAMES))) for key in inventory
        } | {self.text(): self.text()}
        return event

    def measurement(self, source: str) -> dict[str, Any]:
        """An honest source with figures under hostile names."""
        event = self.event("measurement")
        event["commonEventHeader"] |= {"sourceName": source, "lastEpochMicrosec": self.clock_us, "startEpochMicrosec": self.clock_us}
        event["measurementFields"] |= {
            "measurementInterval": 1,
            "additionalMeasurements": [{"name": self.text(), "hashMap": {self.text(): "1", "received": self.text()}}],
            "additionalFields": {self.text(): "5", "cpuPercent": self.text(), "region": self.text()},
        }
        return event

    def _structure(self, name: str, level: int) -> dict[str, Any]:
        found = STRUCTURES[name]
        fields = [each for each in found.fields if each.required]
        optional = [each for each in found.fields if not each.required and each.name not in found.one]
        if optional and level < 3:
            fields += self.chance.sample(optional, min(len(optional), 4))
        if found.one:
            fields.append(self.chance.choice([each for each in found.fields if each.name in found.one]))
        return {each.name: self._value(each.type, level) for each in fields}

    def _value(self, kind: str, level: int) -> Any:
        if kind.startswith("["):
            return [self._value(kind[1:-1], level) for _ in range(self.chance.randrange(3))]
        match kind:
            case "text":
                return self.text()
            case "integer":
                return self.chance.choice([number for number in NUMBERS if type(number) is int])
            case "number":
                return self.chance.choice(NUMBERS)
            case "map":
                return {self.text(): self.text() for _ in range(self.chance.randrange(3))}
            case "object":
                return self._object(self.chance.choice((1, 2, 30)))
        texts = notation.values(kind)
        return self.chance.choice(texts) if texts is not None else self._structure(kind, level + 1)

    def _object(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {self.text(): self.text(), "onset": {"target": self.text()}, "operation": {"action": "failover"}}
        for _ in range(depth - 2):
            made = {self.text(): made}
        return made

    def broken(self) -> bytes:
        """A body that must be refused, or at least does no harm."""
        whole = json.dumps({"event": self.event()}).encode()
        text = json.dumps(self.text()).encode()
        return self.chance.choice(
            (
                whole[: self.chance.randrange(len(whole))],
                whole + whole,
                b'{"event":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
                b'{"event":{"commonEventHeader":{"sequence":' + b"9" * 5000 + b"}}}",
                b'{"event":{"commonEventHeader":' + text + b',"commonEventHeader":' + text + b"}}",
                whole.replace(b'"sequence": ', b'"sequence": -NaN', 1),
                text,
                b"[" + text + b"]",
                whole.replace(b'"event"', b'"onset"', 1),
                b'{"eventList":[' + whole + b"]}",
                b"\x1f\x8b\x08" + whole,
                b"\xff\xfe" + whole,
                b'{"event": "\xed\xa0\x80\xc0\xaf"}',
                whole.decode().encode("utf-16"),
                b"--- !!python/object/apply:os.system [" + text + b"]",
                b'{"onset":{"target":"ha-pp-a"},"operation":{"action":"failover"}}',
                b"",
            )
        )
