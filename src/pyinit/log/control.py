"""The records of the control socket: who asked for what, and who may not ask."""

from __future__ import annotations

from pyinit.log.event import CLIENT, SIGNAL, Event
from pyinit.log.parts import LISTED, TOLD, add_client, add_signal, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.log.parts import Facts, Keys, Look


def _request(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    request, accepted, reason = facts.get("request", "?"), bool(facts.get("accepted")), text_of(facts.get("reason", ""))
    keys: Keys = {"pyinit.control.request": request, "pyinit.control.accepted": accepted}
    client = add_client(keys, facts)
    told = request
    if facts.get("signal"):
        told = f"signal {add_signal(keys, facts['signal'])}"
        keys["pyinit.control.target"] = target = facts.get("target") or "service"
        told += f" for the {target}"
    targets = list(facts.get("targets") or ())
    if targets:
        keys["pyinit.signal.targets"] = targets[:LISTED]
        told += (
            " (" + ", ".join(f"PID {pid}" for pid in targets[:TOLD]) + (", ..." if len(targets) > TOLD else "") + ")"
        )
    if facts.get("level"):
        keys["pyinit.control.log_level"] = level = facts["level"]
        told += f" {level}"
    if reason:
        keys["pyinit.reason"] = reason
    why = f": {reason}" if reason else ""
    return f"{told} was asked for through the control socket{client}{'' if accepted else ', and refused'}{why}", keys


def _refused(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    keys: Keys = {}
    client = add_client(keys, facts).removeprefix(" by ")
    keys["pyinit.reason"] = reason = text_of(facts.get("reason", "?"))
    return f"{client}, is not answered on the control socket: {reason} (told once for each uid)", keys


EVENTS = {
    "control.request": Event(
        "info",
        _request,
        ("pyinit.control.request", "pyinit.control.accepted", *CLIENT),
        (*SIGNAL, "pyinit.signal.targets", "pyinit.control.target", "pyinit.control.log_level", "pyinit.reason"),
    ),
    "control.refused": Event("warning", _refused, (*CLIENT, "pyinit.reason")),
}
