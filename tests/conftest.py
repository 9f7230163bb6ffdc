"""What holds for all tests of the checkout."""

from __future__ import annotations

from hypothesis import settings

# A machine that is busy makes an example slow, not wrong.
settings.register_profile("closedloop", deadline=None)
settings.load_profile("closedloop")
