"""The collection is imported from the checkout, as Ansible does it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "collections"))
