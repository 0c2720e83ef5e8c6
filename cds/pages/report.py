"""One report as a page by itself: its text as given with what was read in it marked, and the list of it.

Pure: text and results in, HTML out; everything that comes from the report is escaped. Knows no store and no web.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from cds.pages.highlights import Mark, Piece, marks_of, pieces_of
from nlp import StructuredReport

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; border-left: 4px solid #8886; padding-left: 1rem; }
mark { color: inherit; background: #8883; border-radius: 3px; padding: 0.05em 0.15em; }
mark.present { background: #d9302533; box-shadow: inset 0 -2px 0 #d93025; }
mark.possible { background: #f9ab0040; box-shadow: inset 0 -2px 0 #f9ab00; }
mark.absent { background: #1e8e3e30; box-shadow: inset 0 -1px 0 #1e8e3e; }
mark.recommendation { background: #1a73e830; box-shadow: inset 0 -2px 0 #1a73e8; }
mark.critical { font-weight: 650; }
mark.inconsistency { outline: 2px solid #f9ab00; }
"""
_LEGEND = ("present", "possible", "absent", "recommendation", "critical", "inconsistency")


def report_page(texts: Iterable[tuple[str, str, StructuredReport]], display: Mapping[str, str]) -> str:
    """Return a whole HTML page of (title, text, result); `display` is finding key -> name."""
    legend = " ".join(f'<mark class="{name}">{name}</mark>' for name in _LEGEND)
    articles = "\n".join(_article(title, text, report, dict(display)) for title, text, report in texts)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Structured reports</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<p>{legend}</p>\n{articles}\n</body>\n</html>\n"
    )
    return page.encode("utf-8", "replace").decode("utf-8")


def _article(title: str, text: str, report: StructuredReport, display: dict[str, str]) -> str:
    heading = f"<h2>{html.escape(title)}</h2>"
    if report.refusal is not None:
        return f"<article>{heading}<p>Not read: {html.escape(report.refusal)}</p></article>"
    marks = marks_of(report, display)
    body = "".join(_marked(piece) for piece in pieces_of(text, marks))
    scores = "".join(f"<li>{html.escape(f'{name}: {value}')}</li>" for name, value in report.scores.items())
    listed = "".join(f"<li>{_line(mark, text)}</li>" for mark in marks)
    return f"<article>{heading}<pre>{body}</pre><ul>{listed}{scores}</ul></article>"


def _marked(piece: Piece) -> str:
    words = html.escape(piece.text)
    if not piece.marks:
        return words
    return f'<mark class="{html.escape(piece.classes)}" title="{html.escape(piece.title)}">{words}</mark>'


def _line(mark: Mark, text: str) -> str:
    words = " ".join(text[mark.start : mark.end].split())
    return html.escape(f"{mark.kind}: {mark.words} “{words}”")
