"""Put a pinned pip into an empty virtual environment, with nothing but the package index.

`ansible-test` wants the script get-pip from its own download server for that. This one takes the same arguments (requirements and
pip's options) and is laid where `ansible-test` keeps the downloaded one.
"""

from __future__ import annotations

import subprocess
import sys

NOT_PIP_OPTIONS = {"--no-setuptools", "--no-wheel"}

subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
arguments = [argument for argument in sys.argv[1:] if argument not in NOT_PIP_OPTIONS]
subprocess.run([sys.executable, "-m", "pip", "install", *arguments], check=True, stdout=subprocess.DEVNULL)
