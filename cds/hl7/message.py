"""Bytes of one MLLP block -> an HL7 v2 message whose fields can be asked for. Knows no store and no trigger event.

Splitting is python-hl7's. Escape sequences are undone here: a repetition count in one must not fill the memory, hex
is of the message's own character set, and nothing of a field may reach a log.
"""

from __future__ import annotations

import codecs
import logging
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import hl7
from hl7.datatypes import parse_datetime

from cds.errors import MessageNotAcceptedError

logging.getLogger("hl7").setLevel(logging.CRITICAL)

_CHARACTER_SETS = {
    "": "utf-8",
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    **{f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 12), 13, 14, 15, 16)},
    "ISO IR6": "ascii",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_2",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
}
"""HL7 table 0211 -> codec."""
_ESCAPE = {"H": "", "N": "", ".fi": "", ".nf": "", ".ce": "\n", ".br": "\n"}
_SPACING = {".sp": "\n", ".in": " ", ".ti": " ", ".sk": " "}
_MOST_SPACING = 80
_LONGEST_CONTROL_ID = 199
_LARGEST_SEGMENTS = 20_000


@dataclass(frozen=True)
class Header:
    """What an acknowledgement needs of MSH; readable from most messages that are otherwise wrong."""

    delimiters: str = "|^~\\&"
    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    trigger: str = ""
    control_id: str = ""
    processing_id: str = "P"
    version: str = "2.5.1"
    enhanced: bool = False
    character_set: str = ""


class Message:
    """One message. Fields, components and repetitions count from 1; what is not there is an empty text."""

    def __init__(self, parsed: hl7.Message, header: Header, encoding: str) -> None:
        self.header = header
        self.type = ""
        self._parsed = parsed
        self._encoding = encoding
        msh = self.segments("MSH")[0]
        self.type, self.trigger = msh.text(9, 1), msh.text(9, 2)

    def segments(self, name: str) -> list[Segment]:
        return [segment for segment in self if segment.name == name]

    def first(self, name: str) -> Segment:
        """Return a segment. Raises MessageNotAcceptedError when there is none."""
        found = self.segments(name)
        if not found:
            raise MessageNotAcceptedError("segment_missing", f"segment {name} is missing")
        return found[0]

    def __iter__(self) -> Iterator[Segment]:
        for number, segment in enumerate(self._parsed, start=1):
            yield Segment(segment, number, self.header.delimiters, self._encoding)


class Segment:
    """One segment of a message."""

    def __init__(self, parsed: hl7.Segment, number: int, delimiters: str, encoding: str) -> None:
        self.name = str(parsed[0])
        self.number = number
        self._parsed = parsed
        self._delimiters = delimiters
        self._encoding = encoding

    def repetitions(self, field: int) -> int:
        return len(self._parsed(field)) if 0 < field < len(self._parsed) else 0

    def raw(self, field: int, component: int = 1, repetition: int = 1) -> str:
        """Return a component as it was sent, escape sequences and subcomponents in it."""
        if not 0 < repetition <= self.repetitions(field):
            return ""
        repeated = self._parsed(field)(repetition)
        if not isinstance(repeated, hl7.Repetition):
            return str(repeated) if component == 1 else ""
        return str(repeated(component)) if component <= len(repeated) else ""

    def text(self, field: int, component: int = 1, repetition: int = 1, *, part: int = 1) -> str:
        """Return a subcomponent as it is meant; HL7's explicit empty value is empty."""
        parts = self.raw(field, component, repetition).split(self._delimiters[4])
        value = parts[part - 1] if part <= len(parts) else ""
        return "" if value == '""' else unescaped(value, self._delimiters, self._encoding).strip()

    def lines(self, field: int) -> str:
        """Return a field of running text: its repetitions are lines, its components were never meant apart."""
        repeated = (str(self._parsed(field)(number)) for number in range(1, self.repetitions(field) + 1))
        return "\n".join(unescaped(line, self._delimiters, self._encoding).rstrip() for line in repeated)

    def moment(self, field: int, zone: ZoneInfo) -> datetime | None:
        """Return a time stamp; None when it is not there or has no time of day. Without an offset it is of `zone`."""
        value = self.text(field)
        if not value:
            return None
        try:
            moment: datetime = parse_datetime(value)
        except (ValueError, OverflowError):
            raise MessageNotAcceptedError("bad_time", f"{self.name}-{field} must be a time, YYYYMMDDHHMM...") from None
        if len(value) < len("YYYYMMDDHHMM"):
            return None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)

    def day(self, field: int) -> date | None:
        """Return a date; None when it is not there, or not exact to the day."""
        value = self.text(field)[:8]
        try:
            return date.fromisoformat(value) if len(value) == 8 else None
        except ValueError:
            return None


def read_message(block: bytes) -> Message:
    """Return the message of a block.

    Raises MessageNotAcceptedError saying what is not as HL7 v2 has it; `read_header` may still know whom to answer.
    """
    header = read_header(block)
    encoding = _encoding_of(header)
    try:
        text = block.decode(encoding)
    except (UnicodeDecodeError, ValueError):
        raise MessageNotAcceptedError("bad_characters", f"the bytes are not {encoding}, as MSH-18 says") from None
    text = text.replace("\r\n", "\r").replace("\n", "\r").strip("\r\x00 ")
    if text.count("\r") >= _LARGEST_SEGMENTS:
        raise MessageNotAcceptedError("too_long", f"more than {_LARGEST_SEGMENTS} segments")
    try:
        return Message(hl7.parse(text), header, encoding)
    except (hl7.HL7Exception, IndexError, KeyError, ValueError, AttributeError):
        raise MessageNotAcceptedError(
            "malformed", "the segments cannot be told apart; expected MSH|^~\\&|..."
        ) from None


def read_header(block: bytes) -> Header:
    """Return what can be read of MSH. Raises MessageNotAcceptedError when the block does not begin with one."""
    first = block.lstrip(b"\r\n \x00").split(b"\r", 1)[0].split(b"\n", 1)[0].decode("latin-1")
    if not first.startswith("MSH") or len(set(first[3:8]) & set(string.punctuation)) < 5:
        raise MessageNotAcceptedError("no_header", "a message begins with MSH and five delimiters, such as |^~\\&")
    delimiters = first[3:8]
    fields = first.split(delimiters[0])
    values = dict(enumerate(fields, start=1))

    def value(number: int) -> str:
        found = values.get(number, "")
        return found if found.isprintable() and len(found) <= _LONGEST_CONTROL_ID else ""

    trigger = value(9).split(delimiters[1])
    return Header(
        delimiters=delimiters,
        sending_application=value(3),
        sending_facility=value(4),
        receiving_application=value(5),
        receiving_facility=value(6),
        trigger=trigger[1] if len(trigger) > 1 else "",
        control_id=value(10),
        processing_id=value(11) or "P",
        version=value(12).split(delimiters[1])[0] or "2.5.1",
        enhanced=bool(value(15)),
        character_set=value(18).split(delimiters[2])[0].strip().upper(),
    )


def unescaped(value: str, delimiters: str, encoding: str) -> str:
    """Return a text with its escape sequences undone (HL7 2.7 chapter 2.7); unknown ones are left out."""
    escape = delimiters[3]
    if escape not in value:
        return value
    letters = {"F": delimiters[0], "S": delimiters[1], "T": delimiters[4], "R": delimiters[2], "E": escape}

    def meant(match: re.Match[str]) -> str:
        code = match[1]
        if code in letters:
            return letters[code]
        if code in _ESCAPE:
            return _ESCAPE[code]
        if code[:3] in _SPACING:
            count = code[3:].lstrip("+-")
            return _SPACING[code[:3]] * min(int(count or 1) if count.isdecimal() or not count else 1, _MOST_SPACING)
        if code[0] == "X":
            return _from_hex(code[1:], encoding)
        return ""

    one = re.escape(escape)
    return re.sub(f"{one}([^{one}\r\n]{{1,200}}){one}", meant, value)


def _from_hex(digits: str, encoding: str) -> str:
    try:
        return bytes.fromhex(digits).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except ValueError:
        return ""


def _encoding_of(header: Header) -> str:
    encoding = _CHARACTER_SETS.get(header.character_set)
    if encoding is None:
        raise MessageNotAcceptedError(
            "unknown_character_set", f"MSH-18: expected one of {', '.join(filter(None, _CHARACTER_SETS))}"
        )
    return codecs.lookup(encoding).name
