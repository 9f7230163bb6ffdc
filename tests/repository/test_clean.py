"""`make clean` leaves nothing: neither of a checkout that ran a lab, nor of one that never did."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MADE = (".venv", ".tools", ".cache", "reports")
LEFT_OVER = "ip netns add cl-mn1; mkdir -p /run/closedloop/cl/mount; mount -t tmpfs tmpfs /run/closedloop/cl/mount;"


@pytest.mark.parametrize("left_over", ["", LEFT_OVER], ids=["no_lab", "a_lab_that_lost_its_processes"])
def test_clean_leaves_nothing(tmp_path: Path, left_over: str) -> None:
    checkout, cache = tmp_path / "checkout", tmp_path / "cache"
    shutil.copytree(ROOT / "scripts", checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in MADE:
        (checkout / name).mkdir()
    cache.mkdir()
    script = f"{left_over} CLOSEDLOOP_CACHE={cache} scripts/clean.sh >&2 && ip netns list && find /run/closedloop -mindepth 1"

    done = subprocess.run(
        [ROOT / "scripts/apart.sh", "bash", "-c", f"cd {checkout} && {script}"], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in checkout.iterdir()) == ["scripts"]
    assert not cache.exists()
