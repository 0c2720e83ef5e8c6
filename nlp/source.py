"""A report as it was given, and the plain text inside it with the way back.

Reads HTML, RTF and HL7 v2 escape sequences; folds control characters and lone surrogates. Every
replacement keeps, per plain character, the offsets of what it stands for, so results can point
into the text as given.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

_HTML_SIGN = re.compile(
    r"</?(?:html|body|p|br|div|span|b|i|u|h[1-6]|table|tr|td|li|ul|ol|pre|font|strong|em)\b[^<>]{0,2000}>|&(?:nbsp|amp|lt|gt|#\d{1,7});",
    re.IGNORECASE,
)
_HL7_SIGN = re.compile(r"\\(?:\.br|\.sp|F|S|T|R|E|H|N|X[0-9A-Fa-f]{2,8})\\")

_HTML_PIECE = re.compile(
    r"<!--.{0,5000}?-->|<(?P<skip>script|style)\b[^<>]{0,2000}>.{0,20000}?</(?P=skip)\s{0,9}>|</?(?P<tag>[a-zA-Z][a-zA-Z0-9]{0,20})\b[^<>]{0,2000}>"
    r"|(?P<entity>&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,31});)",
    re.DOTALL | re.IGNORECASE,
)
_BLOCK_TAGS = frozenset(
    {"p", "br", "div", "tr", "li", "table", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "pre", "body"}
)
_RTF_PIECE = re.compile(
    r"\{\\\*[^{}]{0,5000}\}|\{\\(?:fonttbl|colortbl|stylesheet|info)(?:[^{}]|\{[^{}]{0,500}\}){0,200}\}"
    r"|\\'(?P<hex>[0-9a-fA-F]{2})|\\u(?P<unicode>-?\d{1,6})\??|\\(?P<word>[a-zA-Z]{1,32})(?:-?\d{1,10})? ?"
    r"|\\(?P<mark>[{}\\~_-])|[{}]|\r?\n"
)
_HL7_PIECE = re.compile(r"\\(?:(?P<format>\.[a-z]{2}[+-]?\d{0,3})|(?P<letter>[FSTREHN])|X(?P<hex>[0-9A-Fa-f]{2,8}))\\")
_HL7_LETTERS = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "H": "", "N": ""}
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\u00ad\u200b-\u200f\u2028-\u202e]")
_LINE_ENDS = re.compile(r"[\r\x0c\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class SourceText:
    """`plain` is what the extractor reads; `original` what was given.

    The last three are matching pieces in order: where each starts in both texts, and whether it was
    taken over as it is.
    """

    original: str
    plain: str
    _plain_offsets: tuple[int, ...]
    _original_starts: tuple[int, ...]
    _verbatim: tuple[bool, ...]

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The offsets in the original text of the plain span `start` to `end`."""
        if not self._plain_offsets:
            return start, end
        return self._start(start), self._end(end)

    def _start(self, offset: int) -> int:
        piece = bisect_right(self._plain_offsets, offset) - 1
        shift = offset - self._plain_offsets[piece] if self._verbatim[piece] else 0
        return self._original_starts[piece] + shift

    def _end(self, offset: int) -> int:
        if offset == 0:
            return self._start(0)
        piece = bisect_right(self._plain_offsets, offset - 1) - 1
        if self._verbatim[piece]:
            return self._original_starts[piece] + offset - self._plain_offsets[piece]
        following = piece + 1
        return self._original_starts[following] if following < len(self._original_starts) else len(self.original)


def read_source(text: str) -> SourceText:
    """The plain text of a report with the way back to its original offsets."""
    for applies, pattern, replace in _FORMATS:
        if applies(text):
            return _replace_pieces(text, pattern, replace)
    return SourceText(text, _printable(text), (), (), ())


def _replace_pieces(text: str, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> SourceText:
    plain: list[str] = []
    plain_offsets: list[int] = []
    original_starts: list[int] = []
    verbatim: list[bool] = []
    length = position = 0

    def add(piece: str, start: int, *, as_given: bool) -> None:
        nonlocal length
        if piece or as_given is False:
            plain_offsets.append(length)
            original_starts.append(start)
            verbatim.append(as_given)
            plain.append(piece)
            length += len(piece)

    for match in pattern.finditer(text):
        if match.start() > position:
            add(text[position : match.start()], position, as_given=True)
        add(replace(match), match.start(), as_given=False)
        position = match.end()
    if position < len(text):
        add(text[position:], position, as_given=True)
    return SourceText(text, _printable("".join(plain)), tuple(plain_offsets), tuple(original_starts), tuple(verbatim))


def _printable(text: str) -> str:
    """The text with unreadable characters as spaces and all line ends as `\\n`, of the same length."""
    if text.isascii() and text.isprintable():
        return text
    return _UNREADABLE.sub(" ", _LINE_ENDS.sub("\n", text.replace("\r\n", " \n")))


def _from_html(match: re.Match[str]) -> str:
    if match["entity"]:
        return html.unescape(match["entity"])[:1].replace("\xa0", " ")
    tag = (match["tag"] or "").casefold()
    return "\n" if tag in _BLOCK_TAGS else ""


def _from_rtf(match: re.Match[str]) -> str:
    if match["hex"]:
        return bytes.fromhex(match["hex"]).decode("cp1252", errors="replace")
    if match["unicode"]:
        return _character(int(match["unicode"]) % 0x10000)
    if match["word"]:
        return {"par": "\n", "line": "\n", "tab": "\t", "row": "\n", "cell": "\t", "sect": "\n", "page": "\n"}.get(
            match["word"], ""
        )
    return {"~": " ", "-": "", "_": "-"}.get(match["mark"] or "", match["mark"] or "")


def _from_hl7(match: re.Match[str]) -> str:
    if match["format"]:
        return "\n" if match["format"][:3] in (".br", ".sp", ".ce") else " "
    if match["letter"]:
        return _HL7_LETTERS[match["letter"]]
    digits = match["hex"]
    return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("latin-1").replace("\r", "\n")


def _character(code: int) -> str:
    return " " if 0xD800 <= code <= 0xDFFF or code == 0 else chr(code)


_Format = tuple[Callable[[str], object], re.Pattern[str], Callable[[re.Match[str]], str]]
_FORMATS: tuple[_Format, ...] = (
    (lambda text: text.lstrip()[:5] == "{\\rtf", _RTF_PIECE, _from_rtf),
    (lambda text: "\\" in text and _HL7_SIGN.search(text), _HL7_PIECE, _from_hl7),
    (lambda text: ("<" in text or "&" in text) and _HTML_SIGN.search(text), _HTML_PIECE, _from_html),
)
