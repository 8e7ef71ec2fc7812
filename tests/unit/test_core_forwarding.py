"""Signals that ask for nothing: what they are rewritten to, and whom they are forwarded to (docs/signals.md)."""

from __future__ import annotations

import pytest

from pyinit.core.model import Policy
from unit.core_model import SIGNALS, History, play

HELD_TWO = """
    adopted 20 -> process.adopted 20 adopted
    adopted 30 -> process.adopted 30 adopted
    ended 10 exited 0 -> reap 10 main 0
    settled -> service.handover 20 30; pyinit.ready handover
"""


def rewrite(**names: str) -> dict[int, int]:
    """Return a table for --rewrite: `HUP="QUIT"`, and `"0"` to swallow."""
    return {SIGNALS[name]: SIGNALS.get(other, 0) for name, other in names.items()}


def test_rewritten() -> None:
    """--rewrite FROM:TO: what is forwarded is TO, the record names what came; others stay; it is done once."""
    play(
        """
        signal HUP -> group 10 QUIT; signal.forwarded HUP -10
        signal QUIT -> group 10 USR1; signal.forwarded QUIT -10
        signal USR2 -> group 10 USR2; signal.forwarded USR2 -10
        """,
        rewrite=rewrite(HUP="QUIT", QUIT="USR1"),
        stop_on=(),
    )


@pytest.mark.parametrize("forward_to", ["main", "group", "roots", "tree"])
def test_swallowed(forward_to: str) -> None:
    """--rewrite FROM:0: nobody gets it, a record says that it came, and it does not count as forwarded."""
    history = History(Policy(rewrite=rewrite(HUP="0"), forward_to=forward_to))
    history.play("""
        signal HUP -> signal.forwarded HUP
        walked 10
        is running
        ended 10 exited 0 -> reap 10 main 0
    """)
    assert history.facts("childless")["forwarded"] == 0


def test_rewritten_to_a_stop_request() -> None:
    """Rewriting comes first: what becomes a stop signal asks for a stop, and the record names what came."""
    history = History(Policy(rewrite=rewrite(HUP="TERM")))
    history.play("""
        signal HUP -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        signal HUP -> stop.repeated HUP
    """)
    history = History(Policy(rewrite=rewrite(HUP="TERM")))
    history.tell("started")
    assert history.facts("signal", "HUP")["signal"] == SIGNALS["HUP"]


def test_rewritten_stop_request() -> None:
    """A stop signal that becomes another one asks for no stop any more; a swallowed one does nothing."""
    play(
        """
        signal TERM -> group 10 HUP; signal.forwarded TERM -10
        signal INT -> signal.forwarded INT
        is running
        signal QUIT -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        """,
        rewrite=rewrite(TERM="HUP", INT="0"),
    )


@pytest.mark.parametrize(
    ("term", "stop_signal", "sent"),
    [("QUIT", None, "QUIT"), ("0", None, "TERM"), ("QUIT", "HUP", "HUP"), ("TERM", None, "TERM")],
)
def test_stop_that_nobody_asked_for_is_rewritten(term: str, stop_signal: str | None, sent: str) -> None:
    """A stop that an end begins sends --stop-signal, or what --rewrite makes of SIGTERM, unless that is nothing."""
    play(
        f"""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 1 -> stop.begun main {sent}; group 10 {sent}+CONT; child 20 {sent}+CONT; inspect 20
                          -> reap 10 main 1 warning
        """,
        rewrite=rewrite(TERM=term),
        schedule=((SIGNALS[stop_signal], None),) if stop_signal else (),
    )


def test_sigchld_is_never_rewritten() -> None:
    """SIGCHLD is pyinit's own: no table forwards it."""
    play("signal CHLD\n is running", rewrite=rewrite(CHLD="HUP"))


def test_record_says_who_sent_it() -> None:
    """The record of a forwarded signal has what came, from whom, and whom it went to; a negative number is a group."""
    history = History(Policy(rewrite=rewrite(HUP="USR1")))
    history.tell("started")
    _, record = history.actions("signal", "HUP")
    assert getattr(record, "facts", None) == {
        "signal": SIGNALS["HUP"],
        "sender_pid": 7,
        "sender_uid": 1000,
        "targets": [-10],
    }


def test_to_main() -> None:
    """--forward-to main: main alone while it lives, then the successors."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        signal HUP -> child 10 HUP; signal.forwarded HUP 10
        ended 10 exited 0 -> reap 10 main 0
        signal HUP -> child 20 HUP; signal.forwarded HUP 20
        settled -> service.handover 20; pyinit.ready handover 20
        signal HUP -> child 20 HUP; signal.forwarded HUP 20
        """,
        forward_to="main",
    )


def test_stop_goes_to_main_alone_too() -> None:
    """--forward-to main: a stop request goes to main itself, not to its group; the rest of the tree gets it later."""
    play(
        """
        where 20 group=10 born=-5
        where 30 group=10 born=-5
        adopted 20 -> process.adopted 20 adopted
        signal TERM -> stop.begun signal TERM; child 10 TERM+CONT; inspect 10
        inspected 10
        at 2.7 time-up -> walk
        walked 10 20 30 -> stop.escalated 20 30; child 20 TERM+CONT; descendant 30 TERM+CONT
        ended 10 exited 0 -> reap 10 main 0
        """,
        forward_to="main",
    )


def test_end_of_main_alone_signals_no_group() -> None:
    """--forward-to main: main's bad end signals the roots that are left, not the group of the zombie."""
    play(
        """
        where 20 group=10 born=-5
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 1 -> stop.begun main TERM; child 20 TERM+CONT; inspect 20; reap 10 main 1 warning
        """,
        forward_to="main",
    )


def test_main_in_somebody_elses_group() -> None:
    """Main has stayed in pyinit's process group: no signal goes to that group, main gets it itself."""
    history = History()
    history.process("10").pgid = 5
    history.play("""
        signal HUP -> child 10 HUP; signal.forwarded HUP 10
        signal TERM -> stop.begun signal TERM; child 10 TERM+CONT; inspect 10
        ended 10 killed TERM -> reap 10 main 143
    """)


def test_to_the_group_of_a_main_whose_group_is_unknown() -> None:
    """Without /proc main's group is not known: it was started as the leader of its own."""
    history = History()
    history.process("10").pgid = 0
    history.play("signal HUP -> group 10 HUP; signal.forwarded HUP -10")


def test_to_the_roots() -> None:
    """--forward-to roots: every child of pyinit, each itself, in every phase; foreign ones too, the dead not."""
    play(
        """
        where 40 foreign
        adopted 20 -> process.adopted 20 adopted
        adopted 40 -> process.adopted 40 foreign debug
        signal HUP -> child 10 HUP; child 20 HUP; child 40 HUP; signal.forwarded HUP 10 20 40
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover 20; pyinit.ready handover 20
        signal HUP -> child 20 HUP; child 40 HUP; signal.forwarded HUP 20 40
        """,
        forward_to="roots",
    )


def test_to_the_tree() -> None:
    """--forward-to tree: every living descendant, children by their pinned PIDs, others through a pidfd."""
    play(
        """
        where 40 dead
        adopted 20 -> process.adopted 20 adopted
        signal HUP -> walk; signal.forwarded HUP
        walked 30 40 10 20 -> descendant 30 HUP; child 10 HUP; child 20 HUP
        walked 30 10 20
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover 20; pyinit.ready handover 20
        signal USR1 -> walk; signal.forwarded USR1
        walked 20 -> child 20 USR1
        """,
        forward_to="tree",
    )


def test_order_is_kept_for_the_tree() -> None:
    """Two signals that wait for the same look go out in the order in which they came, rewritten, each once."""
    history = History(Policy(forward_to="tree", rewrite=rewrite(USR1="USR2")))
    history.play("""
        signal HUP -> walk; signal.forwarded HUP
        signal USR1 -> walk; signal.forwarded USR1
        walked 10 30 -> child 10 HUP; descendant 30 HUP; child 10 USR2; descendant 30 USR2
        walked 10 30
        ended 10 exited 0 -> reap 10 main 0
    """)
    assert history.facts("childless")["forwarded"] == 2


@pytest.mark.parametrize("forward_to", ["main", "group", "roots"])
def test_order_is_kept(forward_to: str) -> None:
    """Signals are forwarded in the order in which they came, each once for each time it came."""
    history = History(Policy(forward_to=forward_to))
    history.tell("started")
    came = ["HUP", "RTMIN+3", "RTMIN+3", "WINCH", "HUP"]
    sent = [history.actions("signal", name)[0] for name in came]
    assert [getattr(action, "signo", None) for action in sent] == [SIGNALS[name] for name in came]


def test_forwarding_to_the_tree_is_not_the_stops_walk() -> None:
    """A look that was made to forward a signal does not hand out the stop signal early, nor the other way round."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 1 signal HUP -> walk; signal.forwarded HUP
        walked 10 30 -> child 10 HUP; descendant 30 HUP
        is stopping until 3
        at 3 time-up -> walk
        walked 10 30 -> stop.escalated 30; descendant 30 TERM+CONT
        walked 10 30 40
        """,
        forward_to="tree",
        grace_s=9.0,
    )


def test_one_look_for_both() -> None:
    """A look that both have asked for serves both."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 3 signal HUP -> walk; signal.forwarded HUP
        time-up -> walk
        walked 10 30 -> child 10 HUP; descendant 30 HUP; stop.escalated 30; descendant 30 TERM+CONT
        walked 10 30
        """,
        forward_to="tree",
        grace_s=9.0,
    )


def test_nothing_is_forwarded_to_the_tree_once_it_is_killed() -> None:
    """The grace is over: what still waits for a look is not sent, and SIGKILL goes to descendants only."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        signal HUP -> walk; signal.forwarded HUP
        at 8 time-up -> stop.killing 10; kill children
        signal HUP
        walked 10 30 -> descendant 30 KILL
        """,
        forward_to="tree",
    )


@pytest.mark.parametrize("signal", ["TSTP", "TTIN", "TTOU"])
def test_stops_itself_behind_a_terminal_stop(signal: str) -> None:
    """As dumb-init: a terminal stop signal is forwarded, then pyinit stops itself alone; no other signal does that."""
    play(
        f"""
        signal {signal} -> group 10 {signal}; signal.forwarded {signal} -10; stop self
        signal CONT -> group 10 CONT; signal.forwarded CONT -10
        signal HUP -> group 10 HUP; signal.forwarded HUP -10
        """,
        self_stop=True,
    )


def test_stops_itself_by_what_came() -> None:
    """As dumb-init: what came decides whether pyinit stops itself, not what becomes of the signal."""
    play(
        """
        signal TSTP -> group 10 HUP; signal.forwarded TSTP -10; stop self
        signal TTIN -> signal.forwarded TTIN; stop self
        signal USR1 -> group 10 TSTP; signal.forwarded USR1 -10
        """,
        self_stop=True,
        rewrite=rewrite(TSTP="HUP", TTIN="0", USR1="TSTP"),
    )


def test_does_not_stop_itself_unasked() -> None:
    """Unless asked to pyinit forwards terminal stop signals like any other, and goes on."""
    play("signal TSTP -> group 10 TSTP; signal.forwarded TSTP -10\n is running")


def test_nobody_to_forward_to() -> None:
    """Main has gone and left no successor: the signal is told, and goes to nobody."""
    play(
        HELD_TWO
        + """
        ended 20 exited 0 -> reap 20 successor 0
        ended 30 exited 0 -> reap 30 successor 0
        signal HUP -> signal.forwarded HUP
        """
    )
