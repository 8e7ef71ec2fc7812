"""The requests of the control socket, as they come from anybody."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyinit.control import answers, listener, protocol
from pyinit.control.protocol import Request, RequestError
from support.control import parse as checked

if TYPE_CHECKING:
    from collections.abc import Callable


def parsed(**members: object) -> dict[str, object]:
    """Parse a request of these members; return what is set in it."""
    request = protocol.parse(json.dumps({"v": 1, **members}).encode())
    return {name: value for name in Request.__slots__ if (value := getattr(request, name))}


@pytest.mark.parametrize(
    ("members", "meaning"),
    [
        ({"request": "status"}, {}),
        ({"request": "status", "tree": True}, {"tree": True}),
        ({"request": "status", "tree": False}, {}),
        ({"request": "health"}, {}),
        ({"request": "wait", "until": "ready"}, {"until": "ready"}),
        ({"request": "wait", "until": "handover"}, {"until": "handover"}),
        ({"request": "events"}, {}),
        ({"request": "events", "follow": True}, {"follow": True}),
        ({"request": "log-level", "level": "debug"}, {"level": "debug"}),
        ({"request": "stop"}, {}),
        ({"request": "reload"}, {}),
        ({"request": "restart"}, {}),
        ({"request": "signal", "signal": "HUP"}, {"signo": 1, "target": "service"}),
        ({"request": "signal", "signal": "sigrtmin+3", "target": "main"}, {"signo": 37, "target": "main"}),
        ({"request": "signal", "signal": 64, "target": "tree"}, {"signo": 64, "target": "tree"}),
        ({"request": "signal", "signal": "9", "target": 77}, {"signo": 9, "target": "process", "pid": 77}),
    ],
)
def test_requests(members: dict[str, object], meaning: dict[str, object]) -> None:
    """Each request, with all that it can have."""
    assert parsed(**members) == {"kind": members["request"], **meaning}


def test_every_request_is_tried() -> None:
    """The table above has each request."""
    (mark,) = [mark for mark in test_requests.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {members["request"] for members, _ in mark.args[1]} == set(protocol.REQUESTS)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "not a line of JSON"),
        ("status", "not a line of JSON"),
        ("{", "not a line of JSON"),
        ("[" * 4000, "not a line of JSON"),
        ("1" * 4096, "not an object"),
        ("[]", "not an object"),
        ("null", "not an object"),
        ('{"request":"status"}', "the version v is None; this pyinit speaks 1"),
        ('{"v":2,"request":"status"}', "the version v is 2"),
        ('{"v":true,"request":"status"}', "the version v is True"),
        ('{"v":1.0,"request":"status"}', "the version v is 1.0"),
        ('{"v":"1","request":"status"}', "the version v is '1'"),
        ('{"v":1}', "the request is None; write one of status, health"),
        ('{"v":1,"request":"statsu"}', "the request is 'statsu'"),
        ('{"v":1,"request":["status"]}', "the request is list"),
        ('{"v":1,"request":"status","follow":true}', "status has no member 'follow'"),
        ('{"v":1,"request":"stop","signal":9}', "stop has no member 'signal'"),
        ('{"v":1,"request":"status","tree":1}', "tree is 1; write true or false"),
        ('{"v":1,"request":"wait"}', "until is None; write one of ready, handover"),
        ('{"v":1,"request":"wait","until":"gone"}', "until is 'gone'"),
        ('{"v":1,"request":"log-level","level":"loud"}', "level is 'loud'; write one of debug, info"),
        ('{"v":1,"request":"signal"}', "signal is None; write a name or a number"),
        ('{"v":1,"request":"signal","signal":"TREM"}', "signal is 'TREM'"),
        ('{"v":1,"request":"signal","signal":0}', "signal is 0"),
        ('{"v":1,"request":"signal","signal":65}', "signal is 65"),
        ('{"v":1,"request":"signal","signal":true}', "signal is True"),
        ('{"v":1,"request":"signal","signal":"HUP","target":"all"}', "target is 'all'; write service, main"),
        ('{"v":1,"request":"signal","signal":"HUP","target":0}', "target is 0"),
        ('{"v":1,"request":"signal","signal":"HUP","target":-1}', "target is -1"),
        ('{"v":1,"request":"signal","signal":"HUP","target":2147483648}', "target is 2147483648"),
        ('{"v":1,"request":"signal","signal":"HUP","target":true}', "target is True"),
        ('{"v":1,"request":"signal","signal":"HUP","target":"' + "x" * 3000 + '"}', "target is 'xxx"),
    ],
)  # fmt: skip
def test_what_is_no_request(line: str, told: str) -> None:
    """What is wrong is said in one short line."""
    with pytest.raises(RequestError) as caught:
        protocol.parse(line.encode())
    assert caught.value.message.startswith(told)
    assert len(caught.value.message) < 200
    assert caught.value.code == (protocol.BAD_VERSION if "version" in told else protocol.BAD_REQUEST)


SERVES = """
import sys
sys.path[:] = {path!r}
from pyinit.control import listener
import pyinit.claims, pyinit.log.render, pyinit.core.machine
for name in (*listener.MODULES, "pyinit.control.answers", "pyinit.control.server"):
    before = set(sys.modules)
    __import__(name)
    print(*set(sys.modules) - before)
from pyinit.control import protocol
assert protocol.parse(b'{{"v":1,"request":"status","tree":true}}').tree
print(*sys.modules)
for line in (b"GET / HTTP/1.1", b"", b'{{"v":1', b' {{"v":1,"request":"status"}}', b'{{"v":1}} x', b"\\xff"):
    try:
        protocol.parse(line)
    except protocol.RequestError:
        pass
print(*sys.modules)
"""
# Each of these takes a millisecond or more, in which a signal waits.
LIGHT = {"collections", "enum", "functools", "json", "operator", "os", "re", "socket", "types", "typing"}


def test_the_first_client_loads_little_at_a_time() -> None:
    """What serves it and reads its request is loaded a module at a time, and json is not among what these load."""
    words = [sys.executable, "-ISc", SERVES.format(path=sys.path)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    *loaded, behind, last, everything, with_bad = [set(line.split()) for line in done.stdout.splitlines()]
    ours = [[name for name in names if name.partition(".")[0] == "pyinit"] for names in loaded]
    assert ours == [[name] for name in listener.MODULES]
    assert behind == last == set()
    assert not LIGHT & everything
    assert with_bad == everything or sys.version_info >= (3, 12), "there the accelerator itself loads json's exception"


def test_without_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are read all the same."""
    monkeypatch.setattr("_json.make_scanner", None)
    assert protocol.make_decoder()('{"a":[1]}') == {"a": [1]}


def decoded(loads: Callable[[str], Any], text: str) -> str:
    """Return what a decoder makes of a text."""
    try:
        return repr(loads(text))
    except ValueError:
        return "not JSON"


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet=' \t\n\r\f{}[]",:+-.0123456789aeEfINlnrstuy\\\x00é', max_size=12))
@example('{"a":1,"a":[NaN,-Infinity,Infinity,1e400,-0,-0.0]}')
@example('\u2003{"a":"\\ud800"}')
@example("\ufeff1")
def test_the_decoder_is_that_of_json(text: str) -> None:
    """Whatever comes is read, or refused, as json.loads does it; blanks around it are nothing."""
    for line in (text, f" {text}", f"{text}\t\r\n"):
        assert decoded(protocol.make_decoder(), line) == decoded(json.loads, line)


def refused_or_read(line: bytes) -> None:
    """Have a line be a request, or an answer that says why it is none."""
    wrong = None
    try:
        request = protocol.parse(line)
    except RequestError as error:
        wrong = error
    if wrong is None:
        assert request.kind in protocol.REQUESTS
        return
    assert wrong.message.isprintable()
    assert wrong.message.isascii()
    assert checked(answers.refusal(wrong.code, wrong.message))["reason"] == wrong.message


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(line: bytes) -> None:
    """Whatever bytes come: a request, or a reason; nothing else comes out."""
    refused_or_read(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["v", "request", "tree", "until", "follow", "level", "signal", "target"]) | st.text(max_size=8)
LIKELY = st.sampled_from([1, *protocol.REQUESTS, *protocol.LEVELS, "ready", "handover", "HUP", "main", "tree", 9, True])


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(NAMES, LIKELY | JSON, max_size=5))
def test_any_object(members: dict[str, object]) -> None:
    """Whatever JSON comes, and whatever comes near to a request."""
    refused_or_read(json.dumps({"v": 1, **members}).encode())
