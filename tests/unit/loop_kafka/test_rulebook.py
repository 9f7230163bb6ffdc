"""A worker's rulebook reacts as the one of a single machine does."""

from __future__ import annotations

from pathlib import Path

import yaml

RULEBOOKS = Path(__file__).parents[3] / "extensions/eda/rulebooks"


def test_both_rulebooks_have_the_same_rules() -> None:
    [alone], [worker] = (yaml.safe_load((RULEBOOKS / f"{name}.yml").read_text()) for name in ("closed_loop", "closed_loop_worker"))
    assert worker["rules"] == alone["rules"]
    assert worker["execution_strategy"] == alone["execution_strategy"]
    assert worker["sources"][0]["filters"] == alone["sources"][0]["filters"]
