"""Report text -> the same text without who it is of and who wrote it. Knows no film and no store.

Dates are moved like those of the patient's films; what is a name, a number, an address or a contact becomes a word in
brackets. What is known of the patient is looked for everywhere; beyond it, only what its surroundings give away.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from datetime import date, datetime

from cds.deidentify.profile import OLDEST_AGE
from cds.deidentify.pseudonyms import Pseudonyms

_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    "nov(?:ember)?|dec(?:ember)?"
)
_CAPITAL = f"[{''.join(filter(str.isupper, map(chr, range(0x250))))}]"
_TITLE = (
    r"(?:(?i:Drs?|Prof(?:essor)?|Mrs|Ms|Miss|Mx|Sir|Dame|Nurse|Sister)\b\.?(?:\s+(?:med|rer|nat|phil|habil)\b\.?)*|"
    r"Mr\b\.?|MR\b\.?(?!\s+(?i:abdom|angio|brain|breast|cervical|chest|enterog|head|imag|knee|lumbar|pelvi|spine|thor)))"
)
_TITLES = rf"{_TITLE}(?:\s+{_TITLE})*"
_CREDENTIALS = r"(?:M\.?D|D\.?O|Ph\.?D|MBBS|FRCR|FRCP|PA-C|RN|RT)\b\.?"
_PARTICLES = r"(?:(?:al|bin|da|de|del|den|der|di|do|dos|du|e|el|ibn|la|le|ten|ter|van|von|y|zu)[ -]+|[dl]['’]){0,3}"
_SHORTENED = rf"(?:(?:{_CAPITAL}\.){{0,4}}{_CAPITAL}|Chas|Geo|Jas|Jos|Md|Mohd|Muhd|Robt|St|Thos|Wm)\.(?!\w)"
_WORD = rf"(?:{_SHORTENED}|{_PARTICLES}{_CAPITAL}[\w'’-]{{0,60}}(?:\.[\w'’-]{{1,60}}){{0,4}})"
_NO_NAME = rf"(?!(?:AND|AT|BY|FOR|FROM|HAS|IN|IS|OF|ON|THE|VIA|WAS|WITH)\b|{_TITLE}\s|{_CREDENTIALS})"
# A full stop ends a name unless it shortens one: what follows is the next sentence.
_NAME = rf"{_WORD}(?:(?:[ ,]+|\s*[/&]\s*| (?:and|AND) ){_NO_NAME}{_WORD}){{0,4}}"
_ROLES = (
    r"(?:dictated|signed|reported|read|verified|approved|transcribed|typed|interpreted|performed|requested|referred|"
    r"ordered|authenticated)\s+(?:electronically\s+)?by\b\s*:?|(?:discussed|communicated|reviewed|spoken)\s+(?:with|to)|"
    r"(?:attending|radiologist|resident|consultant|physician|technologist|radiographer|patient(?:'s)?\s+name|name|"
    r"next of kin|cc)\s*:|(?:informed|notified|telephoned|called|paged)\s+(?=[A-Z])"
)
_PLACES = (
    r"Hospital|Clinic|Infirmary|Medical Cent(?:er|re)|Health(?:care)?(?: System| Cent(?:er|re))?|Practice|Surgery|"
    r"University"
)

_NUMBERS = re.compile(
    r"(?:\b(?:MRN|MR#|UR|NHS|SSN|ID|DOB|Acc(?:ession)?|Order|Encounter|Visit|Account|Case|Patient)\b\.?\s*"
    r"(?:No\.?|Number|Nr\.?|ID|#)?\s*[:#=]\s*|#\s*)[A-Z0-9][A-Z0-9/-]{2,}",
    re.IGNORECASE,
)
_CONTACTS = re.compile(
    r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+|https?://\S+|(?:(?:tel|phone|fax|pager|bleep|ext|mobile)\.?\s*(?:no\.?)?\s*[:#]?\s*)"
    r"[+\d][\d ()./-]{2,}\d|\+\d[\d ()-]{7,}\d|\(?\b\d{3}\)?[-. ]\d{3}[-. ]\d{4}\b|\b\d{3}-\d{2}-\d{4}\b",
    re.IGNORECASE,
)
_LONG_NUMBERS = re.compile(r"\b\d{4,}-\d{3,}(?:-\d+)*\b|\b[A-Z]{0,4}\d{6,}\b|\b(?:\d+\.){5,}\d+\b")
_ADDRESSES = re.compile(
    r"\b\d{1,5}\s+(?:[A-Z][\w'-]+\s+){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Way|Close|Square)\b\.?"
)
_PLACE = re.compile(rf"\b(?:{_WORD}\s+(?:of\s+|the\s+)?){{1,4}}(?:{_PLACES})\b|\b(?:{_PLACES})\s+of\s+{_CAPITAL}\w+")
_TITLED = re.compile(rf"\b({_TITLES})\s+{_NAME}")
_ROLE = re.compile(rf"((?i:{_ROLES})\s*(?:{_TITLES}\s*)?){_NAME}(?:\s*,?\s*{_CREDENTIALS})*")
_AGE = re.compile(r"\b(\d{2,3})([- ]?(?:years?|yrs?)[- ]?old|[- ]?y/?o\b)", re.IGNORECASE)
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_COMPACT = re.compile(r"\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?![-\w])")
_WORDS_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTHS})\.?,? (\d{{4}})\b", re.IGNORECASE)
_WORDS_MONTH_FIRST = re.compile(rf"\b({_MONTHS})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})\b", re.IGNORECASE)
_MONTH_ALONE = re.compile(rf"\b({_MONTHS})\.?,? (\d{{4}})\b", re.IGNORECASE)
_NUMERIC = re.compile(r"\b\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})\b")


def deidentified_report(text: str, pseudonyms: Pseudonyms, identity: str, known: Collection[str] = ()) -> str:
    """Return a text without names, numbers, contacts, addresses and true dates.

    identity  of the patient, so that dates move as those of the films do (`dataset.identity_of`)
    known     words that name the patient, folded to lower case (`dataset.known_words`)

    A date whose order of day and month is uncertain becomes [DATE]; a month without a day, too.
    """
    clean = unicodedata.normalize("NFC", text)
    for pattern, replace in _dates(pseudonyms, identity):
        clean = pattern.sub(replace, clean)
    for pattern, word in ((_CONTACTS, "[CONTACT]"), (_NUMBERS, "[NUMBER]"), (_ADDRESSES, "[ADDRESS]")):
        clean = pattern.sub(word, clean)
    clean = _TITLED.sub(r"\1 [NAME]", _ROLE.sub(r"\1[NAME]", clean))
    clean = _LONG_NUMBERS.sub("[NUMBER]", _PLACE.sub("[PLACE]", clean))
    clean = _AGE.sub(lambda match: f"90+{match[2]}" if int(match[1]) > OLDEST_AGE else match[0], clean)
    for word in sorted(known, key=len, reverse=True):
        clean = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "[NAME]", clean, flags=re.IGNORECASE)
    return clean


def _dates(pseudonyms: Pseudonyms, identity: str) -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]:
    def moved(form: str, text: str) -> str:
        try:
            day = datetime.strptime(text, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            return "[DATE]"
        return _same_form(pseudonyms.moved(day, identity), form)

    return (
        (_ISO, lambda match: moved("%Y-%m-%d", match[0])),
        (_COMPACT, lambda match: moved("%Y%m%d", match[0])),
        (_WORDS_DAY_FIRST, lambda match: moved("%d %b %Y", f"{match[1]} {match[2][:3]} {match[3]}")),
        (_WORDS_MONTH_FIRST, lambda match: moved("%d %b %Y", f"{match[2]} {match[1][:3]} {match[3]}")),
        (_MONTH_ALONE, lambda _: "[DATE]"),
        (_NUMERIC, lambda _: "[DATE]"),
    )


def _same_form(day: date, form: str) -> str:
    return day.isoformat() if form == "%Y-%m-%d" else day.strftime(form)
