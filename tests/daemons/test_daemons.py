"""Daemons from Debian's packages, started as they start themselves, in real containers: held, stopped, and told.

The fast ones of recipes.toml, with pyinit from the image of the repository's own Dockerfile. measure.py tries them all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from daemons import containers, recipes, table, trials
from support import run as runs
from support import witness

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPES = [recipe for recipe in recipes.read() if recipe.image == "fast"]
GRACE_S = 3
"""Of the tests; less than the default, because Apache's workers use all of it when they have lost their parent."""


def in_containers(end: str) -> list[pytest.MarkDecorator]:
    """Return the marks of the trials of a kind: stop, crash, reload."""
    tried = [recipe for recipe in RECIPES if end in recipe.ci and (recipe.reload or end != "reload")]
    return [
        pytest.mark.timeout_s(450),  # the first one builds the image
        pytest.mark.parametrize("mode", trials.MODES),
        pytest.mark.parametrize("recipe", tried, ids=lambda recipe: recipe.name.replace(" ", "-")),
    ]


def why_not() -> str:
    """Return why containers cannot be tried here, "" when they can."""
    if not shutil.which("docker"):
        return "there is no docker command"
    if os.geteuid():
        return "looking into containers from outside needs root"
    try:
        containers.docker("info")
    except RuntimeError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def image() -> str:
    """Return the image that has the fast daemons and pyinit."""
    if reason := why_not():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must be able to run containers: {reason}", pytrace=False)
        pytest.skip(reason)
    containers.build_product()
    return containers.add_product(containers.build_daemons("fast"))


@pytest.fixture
def seen() -> Iterator[witness.Witness]:
    """Give a witness that sees every process on this machine come and go."""
    if not witness.available():
        pytest.fail("the kernel's proc connector cannot be asked here: it wants root in the first PID namespace")
    it = witness.Witness()
    yield it
    it.stop()


@pytest.fixture
def trial(recipe: recipes.Recipe, mode: str, image: str, seen: witness.Witness) -> Iterator[trials.Trial]:
    """Give the recipe's daemon, up under pyinit after its launcher has ended."""
    del seen  # it has to be there first
    options = () if recipe.steered else ("--grace", f"{GRACE_S}s")
    with trials.trial(recipe, mode, image, options) as it:
        it.come_up()
        yield it


def check_stop(trial: trials.Trial, seen: witness.Witness, ended: dict[str, Any]) -> None:
    """Check what a stop came to: all has ended in time by itself, with the status that the recipe says."""
    assert ended["seconds"] is not None
    assert ended["seconds"] < GRACE_S
    assert ended["reason"] == "signal"
    assert ended["killed"] == []
    assert ended["left"] == []
    assert ended["status"] == trial.recipe.status
    assert ended.get("command", 0) == 0
    check_log(trial, seen)


def check_log(trial: trials.Trial, seen: witness.Witness) -> None:
    """Every line is as the schema says, and each process that ended below pyinit has one record, with its status."""
    assert trial.log_problems() == []
    found, _ = seen.below(trial.pyinit_host_pid)
    told = Counter(runs.told_status(record) for record in trial.output.events("process.reaped"))
    owed = Counter(one.status or 0 for one in witness.owed(found, trial.pyinit_host_pid))
    ended = Counter(one.status for one in found if one.status is not None)
    # Of an end that was reaped at once the kernel does not say by whom: it is not owed, but may be told.
    assert owed - told == Counter(), "wait statuses of processes that pyinit reaped and did not tell"
    assert told - ended == Counter(), "wait statuses that no process ended with, or not so many"


class TestStop:
    """SIGTERM to pyinit."""

    pytestmark = in_containers("stop")

    def test_ends_everything_inside_the_grace(self, trial: trials.Trial, seen: witness.Witness) -> None:
        """It is up, and told to be, after the launcher has ended; SIGTERM ends all of it, and nothing is killed."""
        check_stop(trial, seen, trial.stop())


class TestReload:
    """SIGHUP to pyinit."""

    pytestmark = in_containers("reload")

    def test_is_one_and_keeps_the_service(self, trial: trials.Trial, seen: witness.Witness) -> None:
        """SIGHUP reloads the service: it answers, and is who it was or who the recipe says; SIGTERM ends all of it."""
        reloaded = trial.reload()

        assert reloaded["refused"] == []
        assert reloaded["status"] in {0, None}
        check_stop(trial, seen, trial.stop())


class TestCrash:
    """SIGKILL to the daemon."""

    pytestmark = in_containers("crash")

    def test_is_noticed_and_gives_137(self, trial: trials.Trial, seen: witness.Witness) -> None:
        """SIGKILL to the daemon is noticed within a second, ends what is left inside the grace, and gives 137."""
        ended = trial.crash()

        assert ended["noticed_s"] is not None
        assert ended["noticed_s"] < trials.NOTICE_S
        assert ended["seconds"] < GRACE_S + 1
        assert ended["left"] == []
        assert ended["status"] == trial.recipe.crash
        check_log(trial, seen)


def test_the_document_is_made_of_the_results() -> None:
    """docs/daemons.md is what table.py makes of results.json, and results.json knows every recipe."""
    results = json.loads(table.RESULTS.read_text(encoding="utf-8"))
    rows = list(recipes.read())
    assert [recipe.name for recipe in rows if recipe.name not in results] == []
    document = table.DOCUMENT.read_text(encoding="utf-8")
    assert table.fill(document, rows, results) == document
