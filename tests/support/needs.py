"""What a test needs of the machine: a skip where it is missing, a failure in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI") == "true"


def cannot(reason: str) -> NoReturn:
    """Skip the test; in CI, where everything must be there, fail it."""
    if IN_CI:
        pytest.fail(f"CI must be able to do this: {reason}", pytrace=False)
    pytest.skip(reason)
