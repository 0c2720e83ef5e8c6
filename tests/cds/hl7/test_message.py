"""Bytes of a block: character sets and escape sequences by the standard, and nothing that breaks on the rest."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cds.errors import MessageNotAcceptedError
from cds.hl7.message import Message, read_header, read_message, unescaped
from tests.cds.hl7.messages import msh, oru

DELIMITERS = "|^~\\&"


def _with(charset: str, words: bytes) -> Message:
    return read_message(msh("ORU^R01", charset=charset).encode() + b"\rOBX|1|TX|||" + words)


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"), ("8859/2", "iso8859-2"), ("8859/15", "iso8859-15")],
)
def test_text_is_read_in_the_character_set_that_the_message_names(charset: str, codec: str) -> None:
    words = "Überlagerung §" if codec != "iso8859-2" else "Zażółć"
    assert _with(charset, words.encode(codec)).first("OBX").text(5) == words


def test_bytes_that_are_not_of_the_named_character_set_are_refused_rather_than_mangled() -> None:
    with pytest.raises(MessageNotAcceptedError, match="MSH-18"):
        _with("UNICODE UTF-8", "Überlagerung".encode("latin-1"))


def test_an_unknown_character_set_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(MessageNotAcceptedError, match="8859/1"):
        _with("KLINGON", b"x")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"A\F\B\S\C\T\D\R\E\E\F", "A|B^C&D~E\\F"),
        (r"one\.br\two", "one\ntwo"),
        (r"one\.sp2\two", "one\n\ntwo"),
        (r"\H\bold\N\ plain", "bold plain"),
        (r"Gr\XC3B6\ße", "Größe"),
        (r"\Zunknown\stays out", "stays out"),
        (r"5\6 without an end", r"5\6 without an end"),
    ],
)
def test_escape_sequences_are_undone(sent: str, meant: str) -> None:
    assert unescaped(sent, DELIMITERS, "utf-8") == meant


def test_a_repetition_count_cannot_fill_the_memory() -> None:
    assert len(unescaped(r"\.sp999999999\ \.in99999999999999999999\ ", DELIMITERS, "utf-8")) < 300


def test_other_delimiters_are_taken_from_the_header() -> None:
    message = read_message(b"MSH#*!/%#RIS#N#C#N#20260301##ORU*R01#7#P#2.5#\rOBX#1#TX#a%b*c##x*y/S/z")
    assert message.first("OBX").text(3, part=2) == "b"
    assert message.first("OBX").lines(5) == "x*y*z"
    assert message.header.control_id == "7"


@pytest.mark.parametrize("newline", ["\r", "\n", "\r\n"])
def test_segments_may_end_as_senders_end_them(newline: str) -> None:
    assert read_message(oru().replace(b"\r", newline.encode())).first("PID").text(3) == "4711"


@given(st.binary(max_size=400))
@example(b"MSH|^~\\&")
@example(b"MSH|^~\\&|||||||ORU^R01|1|P|2.5\rOBX\r\r\r|")
@settings(deadline=None)
def test_any_bytes_are_a_message_or_a_refusal(block: bytes) -> None:
    _read_or_refuse(block)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_any_change_to_a_message_leaves_a_message_or_a_refusal(data: st.DataObject) -> None:
    block = bytearray(oru())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(block) - 1))
        block[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    _read_or_refuse(bytes(block))


def _read_or_refuse(block: bytes) -> None:
    try:
        read_header(block)
        message = read_message(block)
    except MessageNotAcceptedError:
        return
    for segment in message:
        assert all(isinstance(segment.text(field, 1), str) for field in range(30))
