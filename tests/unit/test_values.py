"""Durations, signals and statuses: text to value, and back."""

import itertools
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit import signames, values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0ms", 0.0),
        ("8", 8.0),
        ("08", 8.0),
        ("8s", 8.0),
        ("1ms", 0.001),
        ("500ms", 0.5),
        ("1500ms", 1.5),
        ("90", 90.0),
        ("1m30s", 90.0),
        ("1m", 60.0),
        ("2h", 7200.0),
        ("1h1m1s1ms", 3661.001),
        ("1h1ms", 3600.001),
        ("90m", 5400.0),
        ("0h0m8s", 8.0),
        ("24h", 86400.0),
        ("86400", 86400.0),
        ("86400000ms", 86400.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A number alone is in seconds; units go from the larger to the smaller."""
    assert values.duration(text) == seconds


@given(
    hours=st.integers(0, 23), minutes=st.integers(0, 59), seconds=st.integers(0, 59), thousandths=st.integers(0, 999)
)
def test_durations_add_up(hours: int, minutes: int, seconds: int, thousandths: int) -> None:
    """Each unit counts as what it is, whichever others are there."""
    parts = [(hours, "h"), (minutes, "m"), (seconds, "s"), (thousandths, "ms")]
    total = ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths

    assert values.duration("".join(f"{number}{unit}" for number, unit in parts)) == total / 1000
    short = "".join(f"{number}{unit}" for number, unit in parts if number)
    if short:
        assert values.duration(short) == total / 1000
    assert values.duration(f"{total}ms") == total / 1000


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["h", "m", "s", "ms", ""])), min_size=1, max_size=4))
def test_durations_have_one_order(parts: list[tuple[int, str]]) -> None:
    """A chain is taken when its units fall and none is there twice; a bare number stands alone."""
    text = "".join(f"{number}{unit}" for number, unit in parts)
    units = [unit for _, unit in parts]
    # Numbers without a unit melt into what follows: look at them by themselves.
    if "" in units and len(units) > 1:
        return
    places = [["h", "m", "s", "ms"].index(unit or "s") for unit in units]
    falling = all(first < second for first, second in itertools.pairwise(places))
    size = {"h": 3600, "m": 60, "s": 1, "": 1, "ms": 0.001}
    if falling and sum(number * size[unit] for number, unit in parts) <= values.DURATION_MAX_S:
        values.duration(text)
    else:
        with pytest.raises(ValueError, match=r"not a duration|too long"):
            values.duration(text)


READERS = [values.duration, values.signal, values.step, values.status, values.truth, values.path, values.command]


@given(st.text(max_size=12))
@pytest.mark.parametrize("read", READERS)
def test_any_other_text_is_a_value_error(read: object, text: str) -> None:
    """No text gets anything but a value or a ValueError with one line that says what to write."""
    assert callable(read)
    refusal = ValueError("; ")
    try:
        read(text)
    except ValueError as error:
        refusal = error
    assert type(refusal) is ValueError, "UnicodeError is one too, with a text that helps nobody"
    assert "; " in str(refusal)
    assert str(refusal).isprintable()


@pytest.mark.parametrize("text", ["1", "true", "yes", "on", "True", "ON"])
def test_true(text: str) -> None:
    """These words are a yes."""
    assert values.truth(text) is True


@pytest.mark.parametrize("text", ["0", "false", "no", "off", "False", "OFF"])
def test_false(text: str) -> None:
    """These words are a no."""
    assert values.truth(text) is False


@pytest.mark.parametrize("number", range(256))
def test_statuses(number: int) -> None:
    """Each status of a process can be named."""
    assert values.status(str(number)) == number


@pytest.mark.parametrize("known", list(signal.Signals), ids=lambda known: known.name)
def test_names_are_those_of_the_kernel(known: signal.Signals) -> None:
    """Our table is the one that this kernel and C library were built with."""
    assert values.signal(known.name) == known
    assert values.signal(known.name.removeprefix("SIG").lower()) == known
    assert signames.name(known) == known.name


@given(st.integers(1, signames.RTMAX))
def test_each_signal_has_a_name_that_is_taken_back(number: int) -> None:
    """A name in a log record can be pasted into an option; 1 to 64 are all signals."""
    name = signames.name(number)
    assert name.startswith("SIG")
    for text in (name, name.lower(), name.removeprefix("SIG"), str(number)):
        assert values.signal(text) == number


@given(st.integers())
def test_any_number_has_some_name(number: int) -> None:
    """A record is never lost because of an odd number in it."""
    assert signames.name(number).startswith("SIG")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("RTMIN", 34),
        ("RTMIN+0", 34),
        ("RTMIN+3", 37),
        ("sigrtmin+30", 64),
        ("RTMAX", 64),
        ("RTMAX-0", 64),
        ("RTMAX-1", 63),
        ("SIGRTMAX-30", 34),
        ("IOT", 6),
        ("CLD", 17),
        ("POLL", 29),
        ("32", 32),
    ],
)
def test_other_names(text: str, number: int) -> None:
    """Real-time signals are counted from either end; old names are known."""
    assert values.signal(text) == number


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (34, "SIGRTMIN"),
        (37, "SIGRTMIN+3"),
        (63, "SIGRTMIN+29"),
        (64, "SIGRTMAX"),
        (32, "SIG32"),
        (0, "SIG0"),
        (65, "SIG65"),
    ],
)
def test_names_of_numbers(number: int, name: str) -> None:
    """What has no name of its own is still told by its number."""
    assert signames.name(number) == name


@given(number=st.integers(1, signames.RTMAX), thousandths=st.integers(1, values.DURATION_MAX_S * 1000))
def test_a_step_is_a_signal_with_its_time(number: int, thousandths: int) -> None:
    """Any signal that can end something, by name or number, with any time but none; alone it has what is left."""
    text = signames.name(number)
    if number in values.NEVER_STOPS:
        with pytest.raises(ValueError, match=r"not (possible|a signal that ends)"):
            values.step(f"{text}:{thousandths}ms")
        return
    assert values.step(f"{text}:{thousandths}ms") == (number, thousandths / 1000)
    assert values.step(f"{number}:{thousandths}ms") == (number, thousandths / 1000)
    assert values.step(text) == (number, None)


@pytest.mark.parametrize("name", ["KILL", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU"])
def test_these_signals_stop_nothing(name: str) -> None:
    """What cannot be caught, what only stops or continues a process, and what tells of children is no stop signal."""
    assert signames.number(name) in values.NEVER_STOPS


@given(st.text(alphabet=st.characters(exclude_characters="\0"), max_size=50).filter(str.strip))
def test_a_command_is_taken_to_the_letter(text: str) -> None:
    """The shell gets what was written, whatever is in it."""
    assert values.command(text) == text
