"""Twenty thousand events whose every text is an attack go through the real loop while it reacts to honest alarms. Again: HOSTILE_SEED."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest

from tests.hostile.claims import CLAIMS
from tests.hostile.findings import Findings
from tests.hostile.loop import ROOT

EVENTS = 20_000


@pytest.fixture(scope="module")
def findings() -> Findings:
    seed = os.environ.get("HOSTILE_SEED") or str(secrets.randbelow(1 << 32))
    subprocess.run([sys.executable, "-m", "tests.hostile", "--events", str(EVENTS), "--seed", seed], cwd=ROOT, check=True)
    return Findings.read(ROOT / "reports/hostile/findings.json")


def test_so_many_attacks_were_accepted(findings: Findings) -> None:
    assert findings.accepted >= EVENTS


@pytest.mark.parametrize("claim", CLAIMS)
def test_that(findings: Findings, claim: str) -> None:
    assert CLAIMS[claim](findings) == []
