"""The steps that make main somebody else, or less: groups, user, capabilities, secure bits, no_new_privs."""

import posix

from pyinit.child.step import refuse, step, written
from pyinit.child.values import SECUREBITS, capability_name
from pyinit.options import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.child.identity import Identity
    from pyinit.child.step import Step
    from pyinit.settings import Settings


def identity(settings: "Settings") -> "Identity | None":
    """Return who main is to be, or None where that stays as it is. Raises UsageError."""
    if settings.user is None and settings.group is None:
        return None
    from pyinit.child import identity as identities

    setting = "user" if settings.user is not None else "group"
    try:
        passwd, group = identities.read_passwd(), identities.read_group()
    except OSError as error:
        if not _needs_no_file(settings):
            reason = f"cannot be looked up ({identities.PASSWD}, {identities.GROUP}: {error.strerror})"
            reason += "; write numbers, UID:GID or --group GID, or make both readable"
            refuse(written(settings, setting), _user_text(settings), reason)
        passwd, group = [], []
    try:
        return identities.resolve(settings.user, settings.group, passwd, group)
    except identities.Wrong as wrong:
        from pyinit import usage  # needed for messages only

        near = usage.suggest(wrong.name, wrong.near)
        hint = f"did you mean {near}?" if near else "write a name that is there, or a number"
        refuse(written(settings, wrong.setting), wrong.name, f"{wrong}; {hint}")


def _needs_no_file(settings: "Settings") -> bool:
    """Say whether numbers tell all groups that main is to have: of a user alone, only the files could."""
    texts = [*(settings.user or ()), *([settings.group] if settings.group is not None else [])]
    return all(text is not None and text.isascii() and text.isdigit() for text in texts)


def add(settings: "Settings", who: "Identity | None", before: "list[Step]", steps: "list[Step]") -> None:
    """Add the steps of groups, user and capabilities: they depend on each other."""
    asked = [name for name in ("cap_keep", "cap_drop", "securebits") if settings.sources[name] != DEFAULT]
    uid = who.uid if who is not None else None
    becomes = uid is not None and posix.getresuid() != (uid, uid, uid)
    forget = becomes and uid != 0
    if who is not None:
        _groups(settings, who, steps)
    if not asked:
        _user(settings, uid, steps)
        if forget:
            _see_to_it(settings, before, steps)
        return
    from pyinit.child import calls, capabilities

    calls.load()
    keep = settings.cap_keep if "cap_keep" in asked else None
    wanted = capabilities.Capabilities(keep, settings.cap_drop, forget=forget)
    text = _privileges_text(settings, asked[0])
    if asked[0] != "securebits":
        steps.append(step(settings, asked[0], text, wanted.limit))
    if becomes and (keep is not None or "securebits" in asked):
        steps.append(step(settings, asked[0], text, calls.keep_capabilities))
    _user(settings, uid, steps)
    steps.append(step(settings, asked[0], text, wanted.select))
    bits = settings.securebits
    if bits is not None:
        value = _privileges_text(settings, "securebits")
        steps.append(step(settings, "securebits", value, lambda: calls.set_securebits(bits)))
    steps.append(step(settings, asked[0], text, wanted.settle))


def _groups(settings: "Settings", who: "Identity", steps: "list[Step]") -> None:
    from pyinit.child import identity as identities

    groups, gid = who.groups, who.gid
    if groups is not None:
        steps.append(step(settings, "user", _user_text(settings), lambda: identities.set_groups(groups, groups[0])))
    if gid is not None:
        setting = "group" if settings.group is not None else "user"
        value = settings.group if settings.group is not None else _user_text(settings)
        steps.append(step(settings, setting, value, lambda: identities.set_gid(gid)))


def _user(settings: "Settings", uid: "int | None", steps: "list[Step]") -> None:
    if uid is not None:
        from pyinit.child import identity as identities

        steps.append(step(settings, "user", _user_text(settings), lambda: identities.set_uid(uid)))


def _see_to_it(settings: "Settings", before: "list[Step]", steps: "list[Step]") -> None:
    """Add what sees to it that a change of user leaves no capability."""
    from pyinit.child import calls, capabilities

    wanted = capabilities.Capabilities(None, (), forget=True)
    user = _user_text(settings)
    if capabilities.root_forgets():
        emptied = capabilities.Emptied(wanted)
        before.append(step(settings, "user", user, emptied.open))
        steps.append(step(settings, "user", user, emptied.check))
        return
    calls.load()
    steps.append(step(settings, "user", user, wanted.select))
    steps.append(step(settings, "user", user, wanted.settle))


def no_new_privs(settings: "Settings") -> "Step":
    """Return the step that has no exec give privileges."""
    from pyinit.child import calls

    calls.load_prctl()
    return step(settings, "no_new_privs", "", calls.set_no_new_privs)


def _user_text(settings: "Settings") -> str:
    """Return the value of --user, or of --group where there is no user."""
    if settings.user is None:
        return settings.group or ""
    return settings.user[0] if settings.user[1] is None else ":".join((settings.user[0], settings.user[1]))


def _privileges_text(settings: "Settings", setting: str) -> str:
    if setting == "securebits":
        bits = settings.securebits or 0
        return ",".join(name for name, bit in SECUREBITS.items() if bits & bit) or "none"
    return ",".join(capability_name(number) for number in getattr(settings, setting))
