"""A directory of a daemon's user, made by root."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible_collections.closedloop.mobility.plugins.module_utils import file_set

from tests.daemons.unprivileged import USER, folder_of_user


def test_it_goes_to_its_user_with_all_it_holds_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    outside, state = tmp_path / "of-root", tmp_path / "state"
    outside.write_text("x", encoding="ascii")
    (state / "deeper").mkdir(parents=True)
    (state / "deeper/database").write_text("x", encoding="ascii")
    (state / "link").symlink_to(outside)
    params = {"files": [{"path": str(state), "directory_of": str(USER)}], "state": "present"}
    assert file_set.run(params, check_mode=True).changed
    assert state.stat().st_uid == 0
    assert file_set.run(params, check_mode=False).changed
    everything = [state, *state.rglob("*")]
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in everything} == {(USER, USER)}
    assert outside.stat().st_uid == 0, "what a link leads to stays whose it is"
    assert not file_set.run(params, check_mode=False).changed


def test_one_that_is_its_users_already_stays_as_it_is() -> None:
    state = folder_of_user()
    try:
        params = {"files": [{"path": str(state), "directory_of": str(USER)}], "state": "present"}
        assert not file_set.run(params, check_mode=False).changed
    finally:
        shutil.rmtree(state)
