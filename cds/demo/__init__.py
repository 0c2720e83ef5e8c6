"""The demo: one patient brought through the real paths over HTTP, on loopback, with keys that live as long as it runs.

state.py    when the demo first started and the identifiers it made then
film.py     the demo copy of a real film
record.py   report, record and orders, dated relative to the first start
ehr.py      the EHR of the demo: signs, fills prefetch, calls hooks
journey.py  the steps, and what each returned
screen.py   what is printed
running.py  server, worker and the order of events

Knows the service only by its HTTP API. Its data are made up, except for the film.
"""

from __future__ import annotations

from cds.demo.running import run_demo

__all__ = ["run_demo"]
