"""closedloop.mobility.file_set on real files."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.closedloop.mobility.plugins.module_utils import file_set
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError


def _run(*files: dict[str, Any], state: str = "present", check_mode: bool = False) -> Any:
    return file_set.run({"files": [{"mode": "0644", **entry} for entry in files], "state": state}, check_mode=check_mode)


def test_files_are_written_with_their_modes_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    files = ({"path": str(tmp_path / "sub/a"), "content": "hello\n"}, {"path": str(tmp_path / "b"), "secret": "x", "mode": "0600"})
    assert _run(*files).changed
    assert (tmp_path / "sub/a").read_text(encoding="utf-8") == "hello\n"
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert not _run(*files).changed


def test_a_wrong_mode_is_corrected(tmp_path: Path) -> None:
    file = tmp_path / "b"
    file.write_text("x", encoding="utf-8")
    file.chmod(0o644)
    assert _run({"path": str(file), "secret": "x", "mode": "0600"}).values["changed_paths"] == [str(file)]
    assert file.stat().st_mode & 0o777 == 0o600


def test_check_mode_writes_nothing_and_shows_the_difference(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old", encoding="utf-8")
    outcome = _run({"path": str(file), "content": "new"}, check_mode=True)
    diff = outcome.result(diff=True)["diff"]
    assert (diff["before"][str(file)]["content"], diff["after"][str(file)]["content"]) == ("old", "new")
    assert file.read_text(encoding="utf-8") == "old"


def test_a_secret_is_in_no_result(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("0ldsecret", encoding="utf-8")
    outcome = _run({"path": str(file), "secret": "n3wsecret", "mode": "0600"})
    assert outcome.changed
    shown = str(outcome.result(diff=True))
    assert "0ldsecret" not in shown
    assert "n3wsecret" not in shown


def test_a_random_secret_is_made_once_and_stays(tmp_path: Path) -> None:
    entry = {"path": str(tmp_path / "token"), "random_octets": 32, "mode": "0600"}
    assert _run(entry).changed
    made = (tmp_path / "token").read_text(encoding="ascii")
    assert len(bytes.fromhex(made.strip())) == 32
    assert not _run(entry).changed
    assert (tmp_path / "token").read_text(encoding="ascii") == made
    other = {"path": str(tmp_path / "other"), "random_octets": 32, "mode": "0600"}
    _run(other)
    assert (tmp_path / "other").read_text(encoding="ascii") != made


def test_absent_removes_files_links_and_directories(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "kept").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    paths = [{"path": str(tmp_path / name)} for name in ("d", "link", "never-was")]
    assert _run(*paths, state="absent", check_mode=True).changed
    assert _run(*paths, state="absent").changed
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept"]
    assert not _run(*paths, state="absent").changed


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    file.write_text("old", encoding="utf-8")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_set.os, "fsync", full)
    with pytest.raises(MobilityError, match="cannot be written: No space left on device"):
        _run({"path": str(file), "content": "new"})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert file.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"path": "relative", "content": "x"}, "is not absolute"),
        ({"path": "/tmp/closedloop-never-was", "content": "x", "mode": "rw"}, "write it in octal"),
        ({"path": "/tmp/closedloop-never-was", "secret": "x", "mode": "0644"}, "others may not read it"),
        ({"path": "/tmp/closedloop-never-was", "mode": "0600"}, "has no content"),
        ({"path": "/tmp/closedloop-never-was", "random_octets": 4, "mode": "0600"}, "use 16 to 1024"),
        ({"path": "/tmp", "content": "x"}, "is not a regular file"),
        ({"path": "/dev/null", "directory_of": "65532"}, "is not a directory"),
        ({"path": "/tmp/closedloop-never-was", "directory_of": "nobody-of-this-name"}, "no such user"),
    ],
)
def test_a_wrong_entry_is_named(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(MobilityError, match=message):
        _run(entry, check_mode=True)


def test_a_directory_of_a_user_is_made_with_all_above_it_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    entry = {"path": str(tmp_path / "daemon/state"), "directory_of": me}
    assert _run(entry, check_mode=True).changed
    assert not (tmp_path / "daemon").exists()
    assert _run(entry).values["changed_paths"] == [entry["path"]]
    (tmp_path / "daemon/state/kept").write_text("x", encoding="utf-8")
    assert not _run(entry).changed
    assert (tmp_path / "daemon/state/kept").read_text(encoding="utf-8") == "x"


def test_missing_directories_may_be_entered_by_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        _run({"path": str(tmp_path / "a/b/file"), "content": "x"})
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o755, 0o755]


def test_a_secret_is_copied_for_another_user_and_followed_when_it_changes(tmp_path: Path) -> None:
    original, copy = tmp_path / "token", tmp_path / "copies/token"
    original.write_text("first", encoding="utf-8")
    entry = {"path": str(copy), "copy_of": str(original), "mode": "0600", "owner": str(os.getuid())}
    result = _run(entry).result(diff=True)
    assert copy.read_text(encoding="utf-8") == "first"
    assert "first" not in str(result)
    assert not _run(entry).changed
    original.write_text("second", encoding="utf-8")
    assert _run(entry).changed
    assert copy.read_text(encoding="utf-8") == "second"


def test_a_copy_of_a_missing_file_is_told_but_not_in_a_dry_run(tmp_path: Path) -> None:
    entry = {"path": str(tmp_path / "copy"), "copy_of": str(tmp_path / "missing"), "mode": "0600"}
    with pytest.raises(MobilityError, match="make it before its copy"):
        _run(entry)
    assert _run(entry, check_mode=True).changed


def test_a_copy_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MobilityError, match="others may not read it"):
        _run({"path": str(tmp_path / "copy"), "copy_of": str(tmp_path / "token")})
