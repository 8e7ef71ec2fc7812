"""Job control: main stops and goes on, and the terminal's foreground goes with it (docs/signals.md): histories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyinit.core.jobs import AGAIN_S
from pyinit.core.model import EXITED, OWN_TERMINAL, SHELL_TERMINAL, End, Policy
from unit.core_kernel import SIGCHLD
from unit.core_model import SIGNALS, play
from unit.core_run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

STOPS = ["STOP", "TSTP", "TTIN", "TTOU"]
KINDS = ["own", "shell"]


@pytest.mark.parametrize("signal", STOPS)
def test_without_a_terminal(signal: str) -> None:
    """Without a controlling terminal nobody watches a job: main's stop brings nothing, nor does its end."""
    play(f"""
        stopped {signal}
        signal CONT -> group 10 CONT; signal.forwarded CONT -10
        is running
        ended 10 exited 0 -> reap 10 main 0
    """)


@pytest.mark.parametrize("signal", STOPS)
def test_below_a_shell(signal: str) -> None:
    """A shell manages the terminal: pyinit takes it and stops with its whole job, so that the shell sees that."""
    play(
        f"""
        stopped {signal} -> take terminal; stop job
        stopped {signal} -> take terminal; stop job
        is running
        """,
        terminal="shell",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_goes_on(kind: str) -> None:
    """SIGCONT gives main the terminal, before it is forwarded: who reads from it must have it by then."""
    play("signal CONT -> give terminal; group 10 CONT; signal.forwarded CONT -10", terminal=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_goes_on_by_what_it_was_rewritten_to(kind: str) -> None:
    """Rewriting comes first: what becomes SIGCONT gives the terminal, and a SIGCONT that becomes another does not."""
    play(
        """
        signal USR1 -> give terminal; group 10 CONT; signal.forwarded USR1 -10
        signal CONT -> group 10 HUP; signal.forwarded CONT -10
        """,
        terminal=kind,
        rewrite={SIGNALS["USR1"]: SIGNALS["CONT"], SIGNALS["CONT"]: SIGNALS["HUP"]},
    )


HELD = """
    adopted 20 -> process.adopted 20 adopted
    ended 10 exited 0 -> take terminal; reap 10 main 0
    settled -> service.handover 20; pyinit.ready handover 20
"""


@pytest.mark.parametrize("signal", ["TSTP", "TTIN", "TTOU"])
def test_while_holding_below_a_shell(signal: str) -> None:
    """Main has gone: a terminal stop signal stops the successors, and pyinit's job with them, whoever sent it."""
    play(
        HELD
        + f"""
        signal {signal} -> child 20 {signal}; signal.forwarded {signal} 20; stop job
        signal {signal} typed -> child 20 {signal}; signal.forwarded {signal} 20; stop job
        signal CONT -> child 20 CONT; signal.forwarded CONT 20
        is holding
        """,
        terminal="shell",
    )


@pytest.mark.parametrize("signal", ["TSTP", "TTIN", "TTOU"])
def test_while_holding_with_nobody_above(signal: str) -> None:
    """Main has gone and pyinit leads the session: what was typed stops nobody; what a process sent is forwarded."""
    play(
        HELD
        + f"""
        signal {signal} typed -> signal.forwarded {signal}
        signal {signal} -> child 20 {signal}; signal.forwarded {signal} 20
        signal WINCH typed -> child 20 WINCH; signal.forwarded WINCH 20
        is holding
        """,
        terminal="own",
    )


@pytest.mark.parametrize("signal", ["TSTP", "TTIN", "TTOU"])
def test_while_holding_without_a_terminal(signal: str) -> None:
    """Without a terminal these are signals like any other: forwarded to the successors, and nothing else."""
    play(
        f"""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover 20; pyinit.ready handover 20
        signal {signal} -> child 20 {signal}; signal.forwarded {signal} 20
        signal {signal} typed -> child 20 {signal}; signal.forwarded {signal} 20
        """
    )


@pytest.mark.parametrize("kind", KINDS)
def test_typed_while_main_lives(kind: str) -> None:
    """While main lives a terminal stop signal is forwarded like any other: pyinit stops when main has stopped."""
    play("signal TSTP typed -> group 10 TSTP; signal.forwarded TSTP -10\n is running", terminal=kind)


def test_other_signals_give_no_terminal() -> None:
    """The window size and all the rest reach the job, and leave the foreground as it is."""
    play(
        """
        signal WINCH -> group 10 WINCH; signal.forwarded WINCH -10
        signal TSTP -> group 10 TSTP; signal.forwarded TSTP -10
        """,
        terminal="own",
    )


def test_nobody_above_to_say_fg() -> None:
    """Where pyinit leads the session nobody could say fg: main that is stopped by Ctrl-Z goes on at once, each time."""
    play("stopped TSTP -> group 10 CONT\n stopped TSTP -> group 10 CONT", terminal="own")


def test_stopped_on_purpose() -> None:
    """SIGSTOP is nobody's Ctrl-Z: who stopped main with it continues it."""
    play("stopped STOP\n is running", terminal="own")


@pytest.mark.parametrize("signal", ["TTIN", "TTOU"])
def test_wants_the_terminal(signal: str) -> None:
    """Main uses the terminal from the background: it gets the foreground, and goes on."""
    play(f"stopped {signal} -> give terminal; group 10 CONT", terminal="own")


def test_asks_in_vain() -> None:
    """Main that is stopped for the terminal again at once does not make pyinit spin; later it is tried again."""
    play(
        f"""
        at 5 stopped TTIN -> give terminal; group 10 CONT
        stopped TTIN
        stopped TTOU
        stopped TSTP -> group 10 CONT
        at {5 + AGAIN_S} stopped TTOU
        at {5.01 + AGAIN_S} stopped TTOU -> give terminal; group 10 CONT
        at {5.02 + AGAIN_S} stopped TTIN
        """,
        terminal="own",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_main_ends(kind: str) -> None:
    """Main's end gives the terminal back, before anything else is done about it."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> take terminal; reap 10 main 0
        settled -> service.handover 20; pyinit.ready handover 20
        signal CONT -> child 20 CONT; signal.forwarded CONT 20
        """,
        terminal=kind,
    )
    play(
        "ended 10 exited 1 -> take terminal; stop.begun main TERM; group 10 TERM+CONT; reap 10 main 1 warning",
        terminal=kind,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_main_ends_while_stopping(kind: str) -> None:
    """The terminal is given back in a stop too, and after the grace."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        ended 10 exited 0 -> take terminal; reap 10 main 0
        """,
        terminal=kind,
    )
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10; kill children
        ended 10 killed KILL -> take terminal; reap 10 main 137
        """,
        terminal=kind,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pause_has_no_job(kind: str) -> None:
    """Without a main there is no job to stop, and nobody to give a terminal to."""
    play(
        """
        paused -> pyinit.started
        stopped TTIN
        signal CONT -> signal.forwarded CONT
        """,
        terminal=kind,
    )


@pytest.fixture(params=[OWN_TERMINAL, SHELL_TERMINAL])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Give a whole run on a simulated kernel, with a terminal whose foreground is main's."""
    run = Run(Policy(terminal=request.param), exact=True, before=0, batch=256)
    run.terminal.give(run.main.pgid)
    yield run
    run.close()


def stop_main(run: Run, signal: str) -> None:
    """Have a signal stop main."""
    run.kernel.stopped_children[run.main.pid] = SIGNALS[signal]
    run.kernel.signals.append((SIGCHLD, 0, 0))
    run.settle()


def test_ctrl_z_and_fg(run: Run) -> None:
    """Ctrl-Z: below a shell pyinit stops with main until SIGCONT; elsewhere main goes on at once."""
    stop_main(run, "TSTP")
    if run.policy.terminal == SHELL_TERMINAL:
        assert (run.kernel.stops, run.terminal.foreground) == (["job"], None)
        assert run.main.tried == []
        run.kernel.signals.append((SIGNALS["CONT"], 0, 0))
        run.settle()
    else:
        assert run.kernel.stops == []
    assert (run.main.tried, run.terminal.foreground) == ([SIGNALS["CONT"]], run.main.pgid)
    run.check()


def test_terminal_is_given_back(run: Run) -> None:
    """When pyinit leaves, the foreground is what it was before main."""
    run.kernel.exit(run.main, End(EXITED, 0))
    run.settle()
    assert (run.over, run.terminal.foreground) == (True, None)
    run.check()
