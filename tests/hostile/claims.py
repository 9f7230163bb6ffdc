"""What a run has to show, each as a sentence and how its findings are held against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.hostile.findings import Findings

Problems = list[str]


def _bites(findings: Findings) -> Problems:
    toothless = [family for family, left in findings.bitten.items() if not left]
    kinds = {kind for left in findings.bitten.values() for kind in left}
    return [
        *(f"evaluated, the attacks of {family} leave nothing" for family in toothless),
        *(f"no attack left a {kind}" for kind in ("file", "ran", "name", "connection") if kind not in kinds),
    ]


def _reacts(findings: Findings) -> Problems:
    silent = [target for target in findings.honest if target not in findings.operations]
    succeeded = sum(states.get("succeeded", 0) for states in findings.operations.values())
    problems = [f"no operation for {target}" for target in silent]
    if succeeded < 3:
        problems.append(f"only {succeeded} failovers have succeeded")
    if findings.playbooks < 4:  # about a VF module that is not placed none begins
        problems.append(f"only {findings.playbooks} playbooks have begun an operation")
    return problems


def _answers(findings: Findings) -> Problems:
    expected = {"batch": "202", "single": "202", "honest name": "202", "broken": "400", "credentials": "401", "path": "404"}
    wrong = []
    for answer, count in findings.answers.items():
        kind, _, status = answer.rpartition(" ")
        if expected.get(kind, status) != status or status.startswith("5"):
            wrong.append(f"{kind}: {count} answered {status}")
    return wrong


CLAIMS: Final[dict[str, Callable[[Findings], Problems]]] = {
    "evaluated as they hope for, attacks do leave what the traps look for": _bites,
    "nothing is stuck": lambda findings: [findings.stuck] if findings.stuck else [],
    "the source has answered every request as it must": _answers,
    "the API of HA-B has refused every attack": lambda findings: [
        f"{count} answered {status}" for status, count in findings.backend.items() if not status.startswith("4")
    ],
    "every event that was accepted has gone through the loop": lambda findings: (
        [f"{findings.delivered} of {findings.events} delivered"] if findings.delivered < findings.events else []
    ),
    "the journals took everything": lambda findings: [f"{findings.journal_failures} failures"] if findings.journal_failures else [],
    "an honest alarm is reacted to, whatever else its event says": _reacts,
    "nothing else has become an operation": lambda findings: sorted(set(findings.operations) - set(findings.honest)),
    "no canary file, program, look-up or connection appeared": lambda findings: findings.seen,
    "no program was started that honest alarms do not start": lambda findings: findings.unexpected_programs,
    "no text of an attack, and no control character, is in a log, the metrics or what the commands print": lambda findings: [
        f"{name}: {', '.join(found)}" for name, found in findings.log_traces.items()
    ],
    "no file has a name from an attack": lambda findings: findings.file_names,
}
