"""Where a new VF module goes: free capacity and anti-affinity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from closedloop_loop.policy.inventory import Inventory, Region
from closedloop_loop.policy.model import Target


def choose_region(rule: Target, inventory: Inventory, subject: str, tried: Collection[str] = ()) -> Region | None:
    """The region for a module that joins, or replaces, `subject`; None where no region may take it.

    Of the regions that are available, allowed and have room, the first in this order: not tried for this onset yet; without a module of the
    same group (where anti-affinity is preferred); the most free capacity; the name. A module that has failed still takes its room, since
    nothing has removed it yet, and its region counts as having one of the group.
    """
    used = Counter(module.region for module in inventory.modules)
    group = inventory.group_of(subject)
    shared = {module.region for module in inventory.modules if module.group == group}
    candidates = [
        region
        for region in inventory.regions
        if region.available
        and used[region.name] < region.capacity
        and (rule.regions is None or region.name in rule.regions)
        and not (rule.anti_affinity == "required" and region.name in shared)
    ]

    def order(region: Region) -> tuple[bool, bool, int, str]:
        apart = rule.anti_affinity == "none" or region.name not in shared
        return region.name in tried, not apart, used[region.name] - region.capacity, region.name

    return min(candidates, key=order, default=None)
