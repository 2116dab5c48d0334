"""Where the proofs put their databases."""

from __future__ import annotations

import os

# A process that is killed loses no page of a file, so that a real disk would prove no more. None: the usual place.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - our own folders in it
