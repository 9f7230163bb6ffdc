"""Run the stages of `make test` one after another, time them, and count what passed.

    python scripts/stages.py              every stage, in order
    python scripts/stages.py unit kernel  these

A stage is a list of commands; all of them run even when one fails. A command that writes JUnit files counts by its test cases, any
other counts as one. A pytest stage that finds no test fails (pytest's exit status 5). What a stage prints is shown as it comes and kept
in reports/test/<stage>.log; the last line is the total: `N passed, N failed`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"
REPORTS = ROOT / "reports/test"


@dataclass(frozen=True, slots=True)
class Check:
    """One command of a stage; `junit` is the pattern, below reports/test, of the files in which it counts its test cases."""

    argv: tuple[str, ...]
    root: bool = False
    junit: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many test cases, or commands, of a stage passed and failed, and how long it took."""

    stage: str
    passed: int
    failed: int
    seconds: float


def python(*arguments: str) -> Check:
    return Check((str(BIN / "python"), *arguments))


def tool(name: str, *arguments: str) -> Check:
    return Check((str(BIN / name), *arguments))


def pytest(stage: str, *arguments: str, root: bool = False) -> Check:
    junit = f"{stage}.xml"
    argv = (str(BIN / "python"), "-m", "pytest", "-q", f"--junitxml={REPORTS / junit}", *arguments)
    return Check(argv, root=root, junit=junit)


def lint() -> list[Check]:
    return [
        tool("ruff", "check", "."),
        tool("ruff", "format", "--check", "."),
        tool("mypy"),
        tool("yamllint", "--strict", "."),
        tool("ansible-lint", "--offline"),
        tool("antsibull-changelog", "lint"),
        python("scripts/reference.py", "--check"),
        python("scripts/sanity_ignores.py", "--check"),
    ]


def unit() -> list[Check]:
    return [pytest("unit", "-n", "2", "tests/unit", "tests/repository")]


def kernel() -> list[Check]:
    return [pytest("kernel", "tests/kernel", root=True)]


def daemons() -> list[Check]:
    return [pytest("daemons", "tests/daemons", root=True)]


def uml() -> list[Check]:
    return [Check((str(BIN / "python"), "-m", "tests.uml", str(REPORTS)), root=True, junit="uml-*/junit.xml")]


def simulation() -> list[Check]:
    return [pytest("simulation", "tests/simulation"), python("-m", "tests.simulation", "--kind", "functions", "--seeds", "20000")]


def sanity() -> list[Check]:
    return [
        Check(("scripts/sanity.sh", "sanity", "--junit"), junit="ansible-test-sanity-*.xml"),
        Check(("scripts/sanity.sh", "units"), junit="python*-*units.xml"),
    ]


def molecule() -> list[Check]:
    scenarios = sorted(file.parent.name for file in (ROOT / "molecule").glob("*/molecule.yml"))
    if not scenarios:
        raise SystemExit("molecule/ holds no scenario: nothing would be tested")
    return [Check((str(BIN / "molecule"), "test", "--scenario-name", name), root=True) for name in scenarios]


def faults() -> list[Check]:
    return [pytest("faults", "tests/faults", root=True)]


STAGES: dict[str, Callable[[], list[Check]]] = {
    stage.__name__: stage for stage in (lint, unit, kernel, daemons, uml, simulation, sanity, molecule, faults)
}


def count(junit: str) -> tuple[int, int]:
    """Passed and failed test cases in the JUnit files that match; a skipped case counts as neither."""
    passed = failed = 0
    for file in REPORTS.glob(junit):
        for case in ElementTree.parse(file).iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is None:
                passed += 1
    return passed, failed


def environment() -> dict[str, str]:
    """The caller's environment with our tools first, and every tool's cache inside the checkout."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH"}
    }
    return inherited | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(ROOT / ".cache"),
        "PYTHONUNBUFFERED": "1",
    }


def execute(check: Check, log: Path) -> int:
    """Run one command, copying what it prints to the terminal and to the log as it comes; returns its exit status."""
    argv = ["scripts/as_root.sh", *check.argv] if check.root else list(check.argv)
    with log.open("ab") as copy:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None, "a pipe was asked for"
        while chunk := os.read(process.stdout.fileno(), 65536):
            copy.write(chunk)
            copy.flush()
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    return process.wait()


def run_check(check: Check, log: Path) -> tuple[int, int]:
    """Passed and failed of one command. One that fails without a failed test case, or succeeds without any, is itself a failure."""
    if check.junit:
        for old in REPORTS.glob(check.junit):
            old.unlink()
    print(f"-- {' '.join(check.argv).replace(f'{ROOT}/', '')}", flush=True)
    status = execute(check, log)
    passed, failed = count(check.junit) if check.junit else (int(status == 0), 0)
    if (status != 0 and failed == 0) or (status == 0 and passed == 0):
        failed += 1
    return passed, failed


def run_stage(stage: str) -> Outcome:
    log = REPORTS / f"{stage}.log"
    log.write_bytes(b"")
    begun = time.monotonic()
    results = [run_check(check, log) for check in STAGES[stage]()]
    return Outcome(stage, sum(passed for passed, _failed in results), sum(failed for _passed, failed in results), time.monotonic() - begun)


def summarise(outcomes: list[Outcome]) -> bool:
    """Print the table and the total; true if nothing failed."""
    print(f"\n{'stage':<12}{'passed':>8}{'failed':>8}{'seconds':>9}")
    for outcome in outcomes:
        remark = f"  see reports/test/{outcome.stage}.log" if outcome.failed else ""
        print(f"{outcome.stage:<12}{outcome.passed:>8}{outcome.failed:>8}{outcome.seconds:>9.1f}{remark}")
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    print(f"\nin {seconds:.0f} s:\n{passed} passed, {failed} failed", flush=True)
    return failed == 0


def main(names: list[str]) -> int:
    unknown = set(names) - set(STAGES)
    if unknown:
        raise SystemExit(f"unknown stage {sorted(unknown)}; there are: {', '.join(STAGES)}")
    chosen = names or list(STAGES)
    REPORTS.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for number, stage in enumerate(chosen, 1):
        print(f"\n== [{number}/{len(chosen)}] {stage}", flush=True)
        outcome = run_stage(stage)
        verdict = "FAILED" if outcome.failed else "ok"
        print(f"== [{number}/{len(chosen)}] {stage}: {verdict} in {outcome.seconds:.1f} s", flush=True)
        outcomes.append(outcome)
    return 0 if summarise(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
