"""Which process is the service, and when it is ready: histories (docs/architecture.md, sd_notify(3))."""

from __future__ import annotations

import pytest

from pyinit.core.model import FROM_NOTIFY, FROM_PID_FILE, Claim, Policy, Process
from pyinit.core.roster import Roster
from pyinit.core.service import Service
from unit.core_model import EPOCH_S, HELD_TWO, HELD_TWO_UNNAMED, PID_FILE, History, describe_all, play


def held(history: History, *lines: str) -> None:
    """Take a run with a PID file to where 20 and 30 are held, and further; what that brings does not matter here."""
    history.tell("started", "adopted 20", "adopted 30", "ended 10 exited 0", "settled", *lines)


def successors(history: History) -> list[int]:
    """Return the PIDs of the successors."""
    return [process.pid for process in history.machine.roster.successors]


# -- what is believed --------------------------------------------------------------------------------------------------


def test_proven_child_is_the_only_successor() -> None:
    """The PID file names a child of pyinit: from then on that one decides, and the others do not."""
    play(
        HELD_TWO
        + """
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        is holding
        ended 30 exited 3 -> reap 30 adopted 3 info
        settled
        is holding
        signal HUP -> child 20 HUP; signal.forwarded HUP 20
        ended 20 exited 4 -> stop.begun successor TERM; reap 20 successor 4 warning
        childless -> pyinit.exited successor 4; exit 4
        """,
        pid_file=True,
    )


def test_end_of_the_proven_service_ends_the_run() -> None:
    """The service ends with 0 and leaves no heir: the run is over, whoever else main has left behind."""
    play(
        HELD_TWO
        + """
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        ended 20 exited 0 -> read file; reap 20 successor 0
        claim no names PID 20, which has ended
        settled -> stop.begun service TERM; child 30 TERM+CONT; inspect 30
        ended 30 killed TERM -> reap 30 adopted 143
        childless -> pyinit.exited service 0; exit 0
        """,
        pid_file=True,
    )


def test_facts_of_an_identification() -> None:
    """The record says which process it is, who says so, below which root, and who was the service before."""
    history = History(Policy(pid_file=True))
    held(history)
    facts = history.facts("claim", "20")
    assert isinstance(facts["process"], Process)
    assert facts["process"].pid == 20
    assert (facts["source"], facts["root"], facts["previous"]) == (FROM_PID_FILE, None, None)
    before = facts["process"]
    facts = history.facts("claim", "40", "below", "30")
    assert facts["previous"] is before
    assert isinstance(facts["root"], Process)
    assert facts["root"].pid == 30


def test_same_claim_is_no_news() -> None:
    """A PID file that names the same process again is told once."""
    play(
        HELD_TWO
        + """
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        claim 20
        is holding
        """,
        pid_file=True,
    )


def test_same_number_is_another_process() -> None:
    """A number that has been handed on since is another process: it is told, and so is who was the service before."""
    history = History(Policy(pid_file=True))
    held(history, "claim 40 below 20")
    history.forget("40")
    history.process("40").start_ticks += 1
    assert describe_all(history.actions("claim", "40", "below", "20")) == [
        "service.identified 40 pid-file below 20 after 40",
        "follow 40",
    ]


def test_deep_service() -> None:
    """A service that is no child of pyinit: signals go to it, its end is watched for, and the root above it decides."""
    play(
        HELD_TWO
        + """
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        signal HUP -> descendant 40 HUP; signal.forwarded HUP 40
        ended 30 exited 1 -> reap 30 adopted 1 info
        settled
        is holding
        ended 20 exited 2 -> stop.begun successor TERM; reap 20 successor 2 warning
        childless -> pyinit.exited successor 2; exit 2
        """,
        pid_file=True,
    )


@pytest.mark.parametrize(("forward_to", "sent"), [("main", "descendant 40 HUP"), ("group", "descendant 40 HUP")])
def test_deep_service_gets_the_signals_that_are_forwarded(forward_to: str, sent: str) -> None:
    """Once main has gone the service is whom a signal is forwarded to, however it was forwarded to main."""
    history = History(Policy(pid_file=True, forward_to=forward_to))
    held(history, "claim 40 below 20")
    assert describe_all(history.actions("signal", "HUP")) == [sent, "signal.forwarded HUP 40"]


def test_deep_service_ends() -> None:
    """Its end decides nothing, the root above it does; but the PID file is looked at again, and awaited again."""
    play(
        HELD_TWO
        + """
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        at 100 gone 30
        is holding
        gone 40 -> read file
        is holding until 100.05
        claim no names PID 40, which has ended
        is holding until 100.05
        signal HUP -> child 20 HUP; signal.forwarded HUP 20
        at 100.05 time-up -> read file
        claim 50 below 20 -> service.identified 50 pid-file below 20 after 40; follow 50
        is holding
        gone 40
        is holding
        """,
        pid_file=True,
    )


def test_end_of_a_service_that_nobody_follows_any_more() -> None:
    """An end that is told late, of who was the service once, changes nothing; nor does one where there is no claim."""
    play(HELD_TWO + "gone 40", pid_file=True)
    play(
        HELD_TWO
        + """
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        claim 30 -> service.identified 30 pid-file after 40
        gone 40
        signal HUP -> child 30 HUP; signal.forwarded HUP 30
        """,
        pid_file=True,
    )


def test_service_moves_to_pyinit() -> None:
    """The root above the service ends with 0: the service is pyinit's own child now, and decides by itself."""
    play(
        HELD_TWO
        + """
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        adopted 40 -> process.adopted 40 adopted
        adopted 50 -> process.adopted 50 adopted
        ended 20 exited 0 -> service.inherited 20 to 40 50; locate 40; reap 20 successor 0
        located 40
        settled
        is holding
        signal HUP -> child 40 HUP; signal.forwarded HUP 40
        ended 50 exited 1 -> reap 50 adopted 1 info
        settled
        is holding
        ended 40 exited 0 -> read file; reap 40 successor 0
        claim no is not there
        settled -> stop.begun service TERM; child 30 TERM+CONT; inspect 30
        """,
        pid_file=True,
    )


def test_service_moves_below_another_root() -> None:
    """The root above the service ends with 0, and the service hangs below another one: that one decides."""
    play(
        HELD_TWO
        + """
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        ended 20 exited 0 -> locate 40; reap 20 successor 0
        located 40 below 30
        settled
        is holding
        ended 30 exited 5 -> stop.begun successor TERM; reap 30 successor 5 warning
        """,
        pid_file=True,
    )


def test_service_ends_with_the_root_above_it() -> None:
    """Where the service was, nobody is: the heirs of its root carry on, and the PID file is looked at."""
    play(
        HELD_TWO
        + """
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        adopted 60 -> process.adopted 60 adopted
        ended 20 exited 0 -> service.inherited 20 to 60; locate 40; reap 20 successor 0
        located no has ended -> read file
        claim 60 -> service.identified 60 pid-file after 40
        settled
        is holding
        ended 60 exited 6 -> stop.begun successor TERM; child 30 TERM+CONT; inspect 30; reap 60 successor 6 warning
        """,
        pid_file=True,
    )


def test_restart_moves_the_role() -> None:
    """The service starts its successor and ends with 0 (a binary upgrade): who inherits and is named carries on."""
    play(
        HELD_TWO
        + """
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        adopted 40 -> process.adopted 40 adopted
        adopted 50 -> process.adopted 50 adopted
        at 5 ended 20 exited 0 -> service.inherited 20 to 40 50; read file; reap 20 successor 0
        claim 50 -> service.identified 50 pid-file after 20
        settled
        is holding
        ended 40 exited 1 -> reap 40 adopted 1 info
        settled
        is holding
        ended 50 exited 2 -> stop.begun successor TERM; child 30 TERM+CONT; inspect 30; reap 50 successor 2 warning
        """,
        pid_file=True,
    )


def test_heirs_carry_on_until_the_file_names_one() -> None:
    """The service restarts, and its PID file comes late: until it is right every heir decides."""
    play(
        HELD_TWO
        + """
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        adopted 40 -> process.adopted 40 adopted
        adopted 50 -> process.adopted 50 adopted
        at 5 ended 20 exited 0 -> service.inherited 20 to 40 50; read file; reap 20 successor 0
        claim no names PID 20, which has ended
        settled
        is holding until 5.05
        signal HUP -> child 40 HUP; child 50 HUP; signal.forwarded HUP 40 50
        at 5.05 time-up -> read file
        claim 50 -> service.identified 50 pid-file after 20
        is holding
        """,
        pid_file=True,
    )


def test_other_roots_end_leaves_the_service_where_it_is() -> None:
    """Somebody else's end is no reason to look for a service that is known."""
    play(
        HELD_TWO
        + """
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        ended 30 exited 0 -> reap 30 adopted 0
        settled
        is holding
        """,
        pid_file=True,
    )


def test_root_that_nobody_has_seen_yet() -> None:
    """A claim may bring a root that the shell has not come across: it is adopted first, and told once."""
    play(
        HELD_TWO
        + """
        claim 50 below 40 -> process.adopted 40 adopted; service.identified 50 pid-file below 40; follow 50
                          -> pyinit.ready pid-file 50
        adopted 40
        claim 60 -> process.adopted 60 adopted; service.identified 60 pid-file after 50
        adopted 60
        ended 60 exited 1 -> stop.begun successor TERM; child 20 TERM+CONT; child 30 TERM+CONT; child 40 TERM+CONT
                          -> inspect 20 30 40; reap 60 successor 1 warning
        """,
        pid_file=True,
    )


def test_root_that_a_lookup_brings() -> None:
    """So may the answer where the service is now, and the MAINPID of a message."""
    play(
        HELD_TWO
        + """
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        ended 20 exited 0 -> locate 40; reap 20 successor 0
        located 40 below 50 -> process.adopted 50 adopted
        settled
        is holding
        """,
        pid_file=True,
    )
    play(
        """
        notify 10 MAINPID=60 claims 60 -> process.adopted 60 adopted; service.notified 10 mainpid=60
               -> service.identified 60 notify
        """,
        notify=True,
    )


# -- while main lives --------------------------------------------------------------------------------------------------


def test_claim_while_main_lives() -> None:
    """While main lives main decides, as always; its good end leaves the service that is known by then."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        at 1 claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        is running
        signal HUP -> group 10 HUP; signal.forwarded HUP -10
        ended 30 exited 3 -> reap 30 adopted 3 info
        adopted 40 -> process.adopted 40 adopted
        settled
        is running
        ended 10 exited 0 -> locate 20; reap 10 main 0
        located 20
        settled -> service.handover 20
        is holding
        ended 40 exited 4 -> reap 40 adopted 4 info
        settled
        is holding
        ended 20 exited 5 -> stop.begun successor TERM; reap 20 successor 5 warning
        childless -> pyinit.exited successor 5; exit 5
        """,
        pid_file=True,
    )


def test_bad_end_of_main_decides_all_the_same() -> None:
    """A service that is proven does not keep a run alive whose main fails."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        ended 10 exited 3 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20
                          -> reap 10 main 3 warning
        ended 20 killed TERM -> reap 20 adopted 143
        childless -> pyinit.exited main 3; exit 3
        """,
        pid_file=True,
    )


def test_service_below_main() -> None:
    """A service that hangs below main hangs below pyinit, or another root, once main has gone."""
    play(
        """
        claim 40 below 10 -> service.identified 40 pid-file below 10; follow 40; pyinit.ready pid-file 40
        adopted 40 -> process.adopted 40 adopted
        adopted 50 -> process.adopted 50 adopted
        ended 10 exited 0 -> locate 40; reap 10 main 0
        located 40
        settled -> service.handover 40
        ended 50 exited 1 -> reap 50 adopted 1 info
        settled
        is holding
        """,
        pid_file=True,
    )


def test_service_has_gone_when_main_ends() -> None:
    """What was the service is no more when main ends: whom main leaves behind is, until the PID file names one."""
    play(
        """
        claim 40 below 10 -> service.identified 40 pid-file below 10; follow 40; pyinit.ready pid-file 40
        adopted 50 -> process.adopted 50 adopted
        adopted 60 -> process.adopted 60 adopted
        at 7 ended 10 exited 0 -> locate 40; reap 10 main 0
        located no has ended -> read file
        claim no is not there
        settled -> service.handover 50 60
        is holding until 7.05
        """,
        pid_file=True,
    )


def test_main_itself_is_claimed() -> None:
    """A service in the foreground names itself; when it ends 0 and leaves its next self behind, it is looked for."""
    play(
        """
        claim 10 -> service.identified 10 pid-file; pyinit.ready pid-file 10
        signal HUP -> group 10 HUP; signal.forwarded HUP -10
        adopted 20 -> process.adopted 20 adopted
        at 3 ended 10 exited 0 -> read file; reap 10 main 0
        claim no names PID 10, which has ended
        settled -> service.handover 20
        is holding until 3.05
        at 3.05 time-up -> read file
        claim 20 -> service.identified 20 pid-file after 10
        is holding
        """,
        pid_file=True,
    )


def test_which_process_a_command_is_for() -> None:
    """What MAINPID names comes first, then the PID file's, then main while it lives, then the only successor."""
    history = History(Policy(pid_file=True, notify=True))
    service = history.machine.service

    def pid() -> int | None:
        return service.process.pid if service.process is not None else None

    assert pid() is None
    history.tell("started", "adopted 20", "adopted 30")
    assert pid() == 10
    history.tell("claim 20")
    assert pid() == 20
    history.tell("notify 20 MAINPID=30 claims 30")
    assert pid() == 30
    history.tell("ended 10 exited 0", "located no has ended by notify")
    assert pid() is None
    history.tell("settled", "ended 30 exited 0")
    assert pid() == 20


def test_service_that_is_a_child_ends_while_main_lives() -> None:
    """Main lives, and the service that was proven has ended: it is looked for again, and its number is nobody's."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        at 5 ended 20 exited 1 -> read file; reap 20 adopted 1 info
        claim no names PID 20, which has ended
        is running until 5.05
        signal HUP -> run reload 10 HUP 0
        at 5.05 time-up -> read file
        claim 30 -> process.adopted 30 adopted; service.identified 30 pid-file after 20
        is running
        """,
        pid_file=True,
        reload_command=True,
    )


def test_service_that_fails_while_all_is_waited_for() -> None:
    """--until all: a bad end of the service stops nothing, and its number is nobody's from then on."""
    play(
        HELD_TWO
        + """
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        at 5 ended 20 exited 3 -> read file; reap 20 successor 3 warning
        claim no names PID 20, which has ended
        settled
        is holding until 5.05
        signal HUP -> run reload - HUP 0
        """,
        pid_file=True,
        reload_command=True,
        until="all",
    )


# -- the notify socket -------------------------------------------------------------------------------------------------


def test_notify_beats_the_file() -> None:
    """What MAINPID= names is the service, whatever the PID file says then; when it has gone the file counts again."""
    play(
        HELD_TWO
        + """
        notify 20 MAINPID=20 claims 20 -> service.notified 20 mainpid=20; service.identified 20 notify
        claim 30
        is holding
        notify 20 MAINPID=40 claims 40 below 30 -> service.notified 20 mainpid=40
                                                -> service.identified 40 notify below 30 after 20; follow 40
        claim 20
        at 9 gone 40 -> read file
        claim 20 -> service.identified 20 pid-file after 40
        is holding
        """,
        pid_file=True,
        notify=True,
    )


def test_notify_beats_a_file_that_was_believed() -> None:
    """A message that names another process than the PID file did moves the role."""
    play(
        HELD_TWO
        + """
        claim 30 -> service.identified 30 pid-file
        notify 20 MAINPID=20 claims 20 -> service.notified 20 mainpid=20; service.identified 20 notify after 30
        ended 30 exited 1 -> reap 30 adopted 1 info
        settled
        is holding
        """,
        pid_file=True,
        notify=True,
    )


def test_notify_is_asked_where_its_service_is() -> None:
    """Who was named by a message is looked for as that: its claim still beats the PID file's."""
    play(
        HELD_TWO
        + """
        notify 20 MAINPID=40 claims 40 below 20 -> service.notified 20 mainpid=40
                                                -> service.identified 40 notify below 20; follow 40
        ended 20 exited 0 -> locate 40 by notify; reap 20 successor 0
        located 40 below 30 by notify
        claim 30
        settled
        is holding
        """,
        pid_file=True,
        notify=True,
    )


def test_notify_without_a_file() -> None:
    """Without a PID file nothing is read when the service that a message named has gone."""
    play(
        HELD_TWO_UNNAMED
        + """
        notify 20 MAINPID=40 claims 40 below 20 -> service.notified 20 mainpid=40
                                                -> service.identified 40 notify below 20; follow 40
        gone 40
        is holding
        signal HUP -> child 20 HUP; signal.forwarded HUP 20
        ended 20 exited 0 -> reap 20 successor 0
        settled -> stop.begun service TERM; child 30 TERM+CONT; inspect 30
        """,
        notify=True,
    )


def test_notify_names_somebody_who_is_not_below() -> None:
    """A MAINPID that is not proven is refused, once for each reason; the rest of the message counts."""
    history = History(Policy(notify=True))
    history.play("""
        notify 10 MAINPID=77 READY=1 claims no names PID 77, which is not below pyinit
                  -> service.notified 10 ready=1 mainpid=77
                  -> service.refused notify names PID 77, which is not below pyinit; pass on READY=1
                  -> pyinit.ready notify 10
        notify 10 MAINPID=77 claims no names PID 77, which is not below pyinit -> service.notified 10 mainpid=77 debug
        notify 10 MAINPID=78 claims no names PID 78, which has ended
                  -> service.notified 10 mainpid=78; service.refused notify names PID 78, which has ended
        is running
    """)


def test_facts_of_a_refusal() -> None:
    """The record of a refusal has what was claimed, by whom, and why it is not believed."""
    history = History(Policy(notify=True))
    history.tell("started")
    facts = getattr(history.actions("notify", "10", "MAINPID=77", "claims", "no", "has", "ended")[1], "facts", None)
    assert facts == {"source": FROM_NOTIFY, "claim": "MAINPID=77", "reason": "has ended"}
    facts = history.facts("notify", "-", "READY=1", "STATUS=up", "refused", "its", "sender", "has", "ended")
    assert facts == {"source": FROM_NOTIFY, "claim": "READY, STATUS", "reason": "its sender has ended"}
    history = History(Policy(pid_file=True, pid_file_timeout_s=1.0))
    history.tell("started")
    history.now = 1.0
    facts = history.facts("claim", "no", "is", "empty")
    assert facts == {"source": FROM_PID_FILE, "claim": PID_FILE, "reason": "is empty"}


# -- whom a claim may not name -----------------------------------------------------------------------------------------


def test_foreign_process_is_claimed() -> None:
    """An orphan that never came from main is refused by name: it neither holds the run nor decides it."""
    play(
        """
        where 40 foreign
        """
        + HELD_TWO
        + """
        adopted 40 -> process.adopted 40 foreign debug
        at 60 time-up -> read file
        claim 40 -> service.refused pid-file names PID 40, which never came from main (foreign); pyinit.ready handover
        is holding
        settled -> read file
        claim 50 below 40
        ended 40 exited 1 -> reap 40 foreign 1
        settled -> read file
        claim 30 -> service.identified 30 pid-file
        """,
        pid_file=True,
    )
    play(
        """
        where 40 foreign
        """
        + HELD_TWO_UNNAMED
        + """
        notify 20 MAINPID=40 claims 40 -> process.adopted 40 foreign debug; service.notified 20 mainpid=40
               -> service.refused notify names PID 40, which never came from main (foreign)
        """,
        notify=True,
    )


def test_foreign_by_what_the_roster_knows() -> None:
    """A root that is in main's session came from main, whatever its description says now."""
    history = History(Policy(pid_file=True))
    history.play("where 40 foreign session=10")
    held(history, "adopted 40")
    history.process("40").foreign = True
    history.machine.roster.get(40).foreign = False  # type: ignore[union-attr]
    assert describe_all(history.actions("claim", "50", "below", "40"))[0] == "service.identified 50 pid-file below 40"


@pytest.mark.parametrize("kind", ["stop", "reload"])
def test_own_command_is_claimed(kind: str) -> None:
    """A command of pyinit's own is refused by name, and so is who hangs below it."""
    history = History(Policy(pid_file=True, pid_file_timeout_s=1.0, reload_command=True))
    held(history, "signal HUP", f"command {kind} 90")
    history.now = 1.0
    assert describe_all(history.actions("claim", "95", "below", "90")) == [
        "service.refused pid-file names PID 95, which belongs to a command of pyinit's own",
        "pyinit.ready handover",
    ]


def test_service_moves_to_where_it_may_not_be() -> None:
    """Where the service is now nobody may be the service: it is none any more, and the PID file is looked at."""
    play(
        """
        where 50 foreign
        """
        + HELD_TWO
        + """
        adopted 50 -> process.adopted 50 foreign debug
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        ended 20 exited 0 -> locate 40; reap 20 successor 0
        located 40 below 50 -> read file
        claim 40 below 50
        settled -> stop.begun service TERM; child 30 TERM+CONT; child 50 TERM+CONT; inspect 30 50
        """,
        pid_file=True,
    )


# -- odd claims --------------------------------------------------------------------------------------------------------


def test_claim_that_nobody_waits_for() -> None:
    """A refusal that comes when nobody waits for the file any longer says nothing."""
    roster = Roster()
    service = Service(Policy(pid_file=True), roster)
    assert service.claimed(Claim(FROM_PID_FILE, reason="is empty"), EPOCH_S) == []
    assert service.deadline is None


def test_reload_asks_for_the_service_that_is_proven() -> None:
    """What a message or a PID file names is what MAINPID is in a command."""
    play(
        HELD_TWO
        + """
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        signal HUP -> run reload 40 HUP 0
        """,
        pid_file=True,
        reload_command=True,
    )
