"""The findings of a run, and their file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Findings:
    """All that a run found out; claims.py says what of it is a defect."""

    seed: int
    bitten: dict[str, dict[str, int]] = field(default_factory=dict)
    """Family -> what its attacks left where they were evaluated on purpose, by kind."""
    honest: list[str] = field(default_factory=list)
    """Targets of honest alarms."""
    sent: int = 0
    accepted: int = 0
    """Events whose every text is an attack, and that were answered 202."""
    seconds: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)
    backend: dict[str, int] = field(default_factory=dict)
    """Status -> how often HA-B's API has answered attacks with it."""
    events: int = 0
    """That the source has counted, those of the lab's own functions too, and how many of them the rulebook's side has taken."""
    delivered: int = 0
    journal_failures: float = 0.0
    operations: dict[str, dict[str, int]] = field(default_factory=dict)
    """Target -> state -> how many."""
    playbooks: int = 0
    """Attempts that playbooks have begun."""
    stuck: str = ""
    """What the loop had to do and has not done."""
    seen: list[str] = field(default_factory=list)
    programs: dict[str, int] = field(default_factory=dict)
    unexpected_programs: list[str] = field(default_factory=list)
    log_octets: int = 0
    log_traces: dict[str, list[str]] = field(default_factory=dict)
    file_names: list[str] = field(default_factory=list)

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, file: Path) -> Findings:
        return cls(**json.loads(file.read_text()))
