"""The scripts behind `make`: an interpreter that runs is found, and a stage cannot fail, or test nothing, unnoticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import stages

ROOT = Path(__file__).resolve().parents[2]
LIB = f". {ROOT}/scripts/lib.sh"


def bash(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", f"{LIB}; {script}"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environment})


def executable(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    executable(tmp_path / "python3", "#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.11").symlink_to(sys.executable)
    found = bash(
        "command() { [ $2 = /usr/bin/python3 ] && return 1; builtin command $*; }; python_between 11 14", PATH=f"{tmp_path}:/usr/bin:/bin"
    )
    assert found.stdout.strip() == str(tmp_path / "python3.11")


def test_an_interpreter_that_is_too_old_or_too_new_is_refused() -> None:
    assert bash("python_between 40 41").returncode != 0


def test_a_command_is_retried_so_many_times(tmp_path: Path) -> None:
    tries = f"sleep() {{ :; }}; attempt() {{ echo x >> {tmp_path}/tries; [ $(wc -l < {tmp_path}/tries) -ge $1 ]; }}"
    assert bash(f"{tries}; retry 3 attempt 3").returncode == 0
    (tmp_path / "tries").unlink()
    assert bash(f"{tries}; retry 3 attempt 4").returncode == 1


def test_every_shell_script_parses() -> None:
    for script in (ROOT / "scripts").glob("*.sh"):
        subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stages, "REPORTS", tmp_path)
    return tmp_path


def junit(*cases: str) -> str:
    return f"<testsuites><testsuite>{''.join(f'<testcase>{case}</testcase>' for case in cases)}</testsuite></testsuites>"


def checked(reports: Path, script: str, *, pattern: str | None = None) -> tuple[int, int]:
    passed, failed = stages.run_check(stages.Check(("sh", "-c", script), junit=(pattern,) if pattern else ()), reports / "log", print)
    return passed, len(failed)


def test_a_plain_command_counts_as_one(reports: Path) -> None:
    assert checked(reports, "true") == (1, 0)
    assert checked(reports, "false") == (0, 1)


def test_test_cases_are_counted_and_skipped_ones_are_not(reports: Path) -> None:
    cases = junit("", "", "<failure/>", "<error/>", "<skipped/>")
    assert checked(reports, f"echo '{cases}' > {reports}/u.xml; exit 1", pattern="u.xml") == (2, 2)


def test_what_failed_is_named_with_its_reason(reports: Path) -> None:
    case = "<testcase classname='tests.unit.a' name='test_b'><failure message='assert 1 ==\n 2'>long</failure></testcase>"
    (reports / "u.xml").write_text(f"<testsuite>{case}</testsuite>")
    assert stages.count(["u.xml"]) == (0, ("tests.unit.a::test_b: assert 1 == 2",))
    assert stages.run_check(stages.Check(("false",)), reports / "log", print) == (0, ("false: ended with 1",))


def test_a_run_that_dies_after_its_tests_passed_is_a_failure(reports: Path) -> None:
    assert checked(reports, f"echo '{junit('')}' > {reports}/u.xml; exit 1", pattern="u.xml") == (1, 1)


def test_results_of_an_earlier_run_do_not_count(reports: Path) -> None:
    (reports / "u.xml").write_text(junit("", ""))
    assert checked(reports, "exit 0", pattern="u.xml") == (0, 1)


def test_a_pytest_stage_without_tests_is_a_failure(reports: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    passed, failed = stages.run_check(stages.pytest("unit", "-c", "/dev/null", str(tmp_path / "empty")), reports / "log", print)
    assert (passed, len(failed)) == (0, 1)


def test_what_a_scenario_needs_is_fetched_first_or_it_is_not_run(reports: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    folder.mkdir()
    assert stages.scenario(folder).first == ()
    (folder / "fetch.yml").touch()
    assert str(folder / "fetch.yml") in stages.scenario(folder).first
    ran = reports / "ran"
    assert stages.run_check(stages.Check(("touch", str(ran)), first=("false",)), reports / "log", print)[0] == 0
    assert not ran.exists()
    assert stages.run_check(stages.Check(("touch", str(ran)), first=("true",)), reports / "log", print) == (1, ())
    assert ran.exists()


def test_the_last_line_is_the_total_after_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [stages.Outcome("lint", 7, (), 12.0), stages.Outcome("unit", 300, ("a::b: 1 is not 2", "c::d: gone"), 20.4)]
    assert stages.summarise(outcomes, 32.4) is False
    lines = capsys.readouterr().out.splitlines()
    assert "failed: unit: a::b: 1 is not 2" in lines
    assert lines[-1] == "307 passed, 2 failed"


def test_an_unknown_stage_is_named() -> None:
    with pytest.raises(SystemExit, match="unknown stage"):
        stages.main(["units"])
