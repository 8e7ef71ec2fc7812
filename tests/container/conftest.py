"""Real containers: the images are built once, and a missing engine is a skip here and a failure in CI."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from container import engine

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
# The first test that needs an image builds it, and those under it.
TEST_LIMIT_S = 450

# The image is built from the sources beside the tests, so their schema is the one that its log must keep to.
os.environ.setdefault("PYINIT_SCHEMA", str(engine.ROOT / "src" / "pyinit" / "log" / "schema" / "log-v1.schema.json"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that a build takes."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout_s") is None:
            item.add_marker(pytest.mark.timeout_s(TEST_LIMIT_S))


def is_required() -> bool:
    """Say whether a missing engine is a failure."""
    return os.environ.get("CI") == "true" or "1" in {
        os.environ.get("PYINIT_REQUIRE_ENGINE"),
        os.environ.get("TESTS_MUST_RUN"),
    }


@pytest.fixture(scope="session", autouse=True)
def _containers_are_removed_at_a_stop() -> Iterator[None]:
    """Make SIGTERM (timeout(1), a CI that gives up) an interrupt, so that the tests clean up behind themselves."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def _engine() -> None:
    why = engine.absence()
    if why is None:
        return
    if is_required():
        pytest.fail(f"a container engine is required here, and {why}", pytrace=False)
    pytest.skip(f"{why}; PYINIT_REQUIRE_ENGINE=1 makes this a failure")


@pytest.fixture(scope="session")
def images(_engine: None) -> engine.Images:
    """Return the images of the tests."""
    return engine.Images()
