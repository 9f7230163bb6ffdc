"""Run the stages of `make test`, time them, and count what passed.

    python scripts/stages.py              every stage
    python scripts/stages.py unit kernel  these

A stage is a list of commands; all of them run even when one fails. Two run at a time: most of what the real things do is waiting.
Those that need root are apart from the machine and from each other, in namespaces of their own. A command that writes JUnit files
counts by its test cases, any other counts as one. A pytest stage that finds no test fails (pytest's exit status 5). What a stage
prints is shown as it comes and kept in reports/test/<stage>.log; what failed is named below the table, and the last line is the total:
`N passed, N failed`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"
REPORTS = ROOT / "reports/test"

MOST_OF_A_REASON = 300

Say = Callable[[str], None]
"""Tells a line to who watches."""


@dataclass(frozen=True, slots=True)
class Check:
    """One command of a stage; `junit`: patterns, below reports/test, of the files in which it counts its test cases."""

    argv: tuple[str, ...]
    root: bool = False
    junit: tuple[str, ...] = ()
    waits: bool = False
    """It mostly waits for daemons, and leaves the processors to others."""
    first: tuple[str, ...] = ()
    """A command, not apart from the machine, without which `argv` is not run: it fetches what that needs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many test cases, or commands, of a stage passed, which failed, and how long it took."""

    stage: str
    passed: int
    failed: tuple[str, ...]
    seconds: float


def python(*arguments: str) -> Check:
    return Check((str(BIN / "python"), *arguments))


def tool(name: str, *arguments: str) -> Check:
    return Check((str(BIN / name), *arguments))


def pytest(stage: str, *arguments: str, root: bool = False, waits: bool = False, first: tuple[str, ...] = ()) -> Check:
    junit = f"{stage}.xml"
    argv = (str(BIN / "python"), "-m", "pytest", "-q", f"--junitxml={REPORTS / junit}", *arguments)
    return Check(argv, root=root, junit=(junit,), waits=waits, first=first)


def play(file: Path) -> tuple[str, ...]:
    return (str(BIN / "ansible-playbook"), str(file))


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
    return [pytest("daemons", "tests/daemons", root=True, waits=True, first=play(ROOT / "molecule/kafka/fetch.yml"))]


def uml() -> list[Check]:
    return [Check((str(BIN / "python"), "-m", "tests.uml", str(REPORTS)), root=True, junit=("uml-*/junit.xml",))]


def simulation() -> list[Check]:
    return [
        pytest("simulation", "tests/simulation"),
        python("-m", "tests.simulation", "--kind", "functions", "--seeds", "20000"),
        python("-m", "tests.simulation", "--kind", "loop", "--seeds", "20000"),
    ]


def sanity() -> list[Check]:
    return [Check(("scripts/sanity.sh",), junit=("ansible-test-sanity-*.xml", "python*-*units.xml"))]


def scenario(folder: Path) -> Check:
    """A scenario's `fetch.yml`, where it has one, is played first, with the network that the scenario itself has not."""
    fetch = folder / "fetch.yml"
    return Check(
        (str(BIN / "molecule"), "test", "--scenario-name", folder.name),
        root=True,
        waits=True,
        first=play(fetch) if fetch.exists() else (),
    )


def molecule() -> list[Check]:
    scenarios = sorted(file.parent for file in (ROOT / "molecule").glob("*/molecule.yml"))
    if not scenarios:
        raise SystemExit("molecule/ holds no scenario: nothing would be tested")
    return [scenario(folder) for folder in scenarios]


def faults() -> list[Check]:
    return [pytest("faults", "tests/faults", "--ignore=tests/faults/loop", root=True, waits=True)]


def loop_faults() -> list[Check]:
    return [pytest("loop_faults", "tests/faults/loop", root=True, waits=True)]


def hostile() -> list[Check]:
    return [pytest("hostile", "tests/hostile", root=True)]


STAGES: dict[str, Callable[[], list[Check]]] = {
    stage.__name__: stage for stage in (lint, unit, kernel, daemons, uml, simulation, sanity, molecule, faults, loop_faults, hostile)
}


def results(junit: Iterable[str]) -> list[Path]:
    """The files that match any of the patterns."""
    return [file for pattern in junit for file in REPORTS.glob(pattern)]


def count(junit: Iterable[str]) -> tuple[int, tuple[str, ...]]:
    """Passed test cases in the JUnit files that match, and the failed ones with the reason; a skipped case counts as neither."""
    passed, failed = 0, []
    for file in results(junit):
        for case in ElementTree.parse(file).iter("testcase"):
            problem = next((found for found in (case.find("failure"), case.find("error")) if found is not None), None)
            if problem is not None:
                reason = " ".join((problem.get("message") or problem.text or "").split())
                failed.append(f"{case.get('classname')}::{case.get('name')}: {reason[:MOST_OF_A_REASON]}")
            elif case.find("skipped") is None:
                passed += 1
    return passed, tuple(failed)


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


def execute(argv: Iterable[str], log: Path, say: Say) -> int:
    """Run one command, telling what it prints line by line as it comes, and keeping it in the log; returns its exit status."""
    with log.open("ab") as copy:
        process = subprocess.Popen(
            list(argv), cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None, "a pipe was asked for"
        for line in process.stdout:
            copy.write(line)
            copy.flush()
            say(line.decode("utf-8", "replace").rstrip("\n"))
    return process.wait()


def run_check(check: Check, log: Path, say: Say) -> tuple[int, tuple[str, ...]]:
    """What passed and failed of one command. One that fails without a failed test case, or succeeds without any, is itself a failure."""
    for old in results(check.junit):
        old.unlink()
    commands = [("scripts/as_root.sh", *check.first)] if check.first else []
    wrapped = ("scripts/apart.sh",) if check.root else ()
    commands.append((*wrapped, *check.argv))
    status = 0
    for command in commands:
        if status == 0:
            say(f"-- {' '.join(command).replace(f'{ROOT}/', '')}")
            status = execute(command, log, say)
    passed, failed = count(check.junit) if check.junit else (int(status == 0), ())
    if (status != 0 and not failed) or (status == 0 and passed == 0):
        failed = (f"{' '.join(check.argv).replace(f'{ROOT}/', '')}: ended with {status}",)
    return passed, failed


def speaker(name: str) -> Say:
    """Two stages speak at a time: each line begins with who says it."""
    return lambda line: print(f"{name:<10} | {line}", flush=True)


def run(chosen: list[str]) -> list[Outcome]:
    """The commands of all stages, two at a time where there are two processors: one that mostly waits beside one that does not."""
    work = deque((stage, check) for stage in chosen for check in STAGES[stage]() if check.waits)
    work.extendleft((stage, check) for stage in chosen[::-1] for check in STAGES[stage]()[::-1] if not check.waits)
    outcomes = {stage: Outcome(stage, 0, (), 0.0) for stage in chosen}
    for stage in chosen:
        (REPORTS / f"{stage}.log").write_bytes(b"")

    def worker(take: Callable[[], tuple[str, Check]]) -> None:
        while True:
            try:
                stage, check = take()
            except IndexError:
                return
            begun, say = time.monotonic(), speaker(stage)
            passed, failed = run_check(check, REPORTS / f"{stage}.log", say)
            seconds = time.monotonic() - begun
            say(f"== {'FAILED' if failed else 'ok'} in {seconds:.1f} s")
            with lock:
                known = outcomes[stage]
                outcomes[stage] = Outcome(stage, known.passed + passed, known.failed + failed, known.seconds + seconds)

    lock = Lock()
    ends = [work.popleft, work.pop][: len(os.sched_getaffinity(0))]
    with ThreadPoolExecutor(len(ends)) as pool:
        for future in [pool.submit(worker, take) for take in ends]:
            future.result()
    return list(outcomes.values())


def summarise(outcomes: list[Outcome], seconds: float) -> bool:
    """Print the table, what failed, and the total; true if nothing failed."""
    print(f"\n{'stage':<12}{'passed':>8}{'failed':>8}{'seconds':>9}")
    for outcome in outcomes:
        remark = f"  see reports/test/{outcome.stage}.log" if outcome.failed else ""
        print(f"{outcome.stage:<12}{outcome.passed:>8}{len(outcome.failed):>8}{outcome.seconds:>9.1f}{remark}")
    failed = [f"{outcome.stage}: {what}" for outcome in outcomes for what in outcome.failed]
    for what in failed:
        print(f"\nfailed: {what}")
    passed = sum(outcome.passed for outcome in outcomes)
    print(f"\nin {seconds:.0f} s:\n{passed} passed, {len(failed)} failed", flush=True)
    return not failed


def main(names: list[str]) -> int:
    unknown = set(names) - set(STAGES)
    if unknown:
        raise SystemExit(f"unknown stage {sorted(unknown)}; there are: {', '.join(STAGES)}")
    REPORTS.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    outcomes = run(names or list(STAGES))
    return 0 if summarise(outcomes, time.monotonic() - begun) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
