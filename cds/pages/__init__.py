"""The pages for people: the worklist, and the page of a case or of a film.

routes.py      addresses of worklist and cases, and what each shows
worklist.py    the worklist and its queues
more.py        addresses beside them: monitoring, second opinions, the tour
opinion.py     what a remote reader sees of a case
tour.py        teaching cases, read by the models in service
case.py        what a case page shows, gathered from the store
findings.py    one row per finding, as film and report see it
highlights.py  a report's text in pieces, each with what was read in it
words.py       keys, times and values as people read them
templates/     Jinja2; everything is escaped
static/        styles and scripts; nothing is loaded from elsewhere

Names of patients are not stored and so not shown. Knows no model: pages show results as they are stored.
"""

from __future__ import annotations

from cds.pages.routes import mount_pages

__all__ = ["mount_pages"]
