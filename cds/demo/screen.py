"""What the demo prints: banner, film, report, scores and risks, cards, the other patient, addresses.

Reads the service's answers as JSON and prints nothing that is not in them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from cds.demo.ehr import Reply
from cds.demo.journey import Shown
from cds.demo.phrases import mentions_by_finding, place_of_finding, score_value, suggestions_of, words_around
from cds.demo.record import report_text
from cds.demo.state import DemoState
from cds.pages.words import quantity

_WIDTH_OF_A_FILE = 120
_MOST_FINDINGS = 10
_INDICATOR = {"info": "cyan", "warning": "yellow", "critical": "red"}
_ASSERTION = {"present": "bold red", "possible": "yellow", "absent": "green"}
_Json = Mapping[str, Any]


class DemoScreen:
    """Prints to standard output, a terminal or not."""

    def __init__(self, console: Console | None = None) -> None:
        self._out = console or Console(highlight=False)
        if not self._out.is_terminal:
            self._out.width = _WIDTH_OF_A_FILE

    def banner(self, folder: Path, *, first: bool) -> None:
        lines = Text.assemble(
            ("NOT FOR CLINICAL USE. ", "bold red"),
            "This is the demo: a real chest film in a copy with a made-up identity, a report and a\n"
            "record that were written for it. It listens on this machine only, with keys that end with it.\n",
            (f"Data folder: {folder.resolve()} ({'first start' if first else 'started before'})", "dim"),
        )
        self._out.print(Panel(lines, title="Roentgen CDS", title_align="left", border_style="red"))

    def models(self, health: _Json) -> None:
        """Say which models are not in service; silent when all are."""
        for row in health.get("models", ()):
            if row.get("state") != "served":
                text = f"model {row.get('id')} is {row.get('state')}: {row.get('reason') or 'no reason given'}"
                self._out.print(Text(text, style="yellow" if row.get("state") == "off" else "bold red"))

    @contextlib.contextmanager
    def steps(self) -> Iterator[Callable[[str], None]]:
        """Hand out a function that tells the step in work; on a terminal as a spinner, else not at all."""
        with self._out.status("starting") as status:
            yield lambda step: status.update(step)

    def show(self, shown: Shown, state: DemoState, *, repeated: bool) -> None:
        """Print everything; `repeated` says that it is what the first start stored."""
        if repeated:
            self._out.print(
                Text(f"Nothing was repeated: this is what the start of {state.started_at:%Y-%m-%d %H:%M} UTC stored.")
            )
        self._heading("1  What the film shows")
        self._film(shown)
        self._heading("2  What the report says")
        self._report(shown, report_text(state))
        self._heading("3  Scores and risks")
        self._scores(shown.assessment)
        self._risks(shown.assessment)
        self._modalities(shown.assessment)
        self._heading("4  Cards, as an EHR would show them")
        self._cards(shown.replies)
        self._heading("5  Another patient of the same name")
        self._namesake(shown)

    def addresses(self, base_url: str, user: str, key: str, shown: _Json | None, *, stays: bool) -> None:
        """Print where to look; the key ends with this process."""
        if not stays:
            return
        signed_in = base_url.replace("://", f"://{user}:{key}@", 1)
        case = urlsplit(str((shown or {}).get("case_url") or "")).path
        self._heading("Open")
        for name, words in (
            ("case", signed_in + case if case else "none"),
            ("worklist", f"{signed_in}/"),
            ("OpenAPI", f"{base_url}/docs"),
            ("CDS Hooks", f"{base_url}/cds-services  (needs the demo EHR's signature)"),
            ("sign in", f"user {user}, password {key}"),
        ):
            self._out.print(Text.assemble((f"{name:11s}", "bold"), words), soft_wrap=True)
        self._out.print(Text("Ctrl-C ends the demo.", style="dim"))

    def farewell(self) -> None:
        self._out.print(Text("The demo has ended. Its data stay in its folder.", style="dim"))

    def _heading(self, text: str) -> None:
        self._out.print()
        self._out.rule(Text(text, style="bold"), align="left", style="dim")

    def _film(self, shown: Shown) -> None:
        result = shown.film["result"]
        if result["rejection"]:
            rejection = result["rejection"]
            self._out.print(Text(f"no findings: {rejection['reason']} ({rejection['code']})", style="bold red"))
            return
        view, population = result["view"], result["population"]
        self._out.print(
            Text(f"{view} view, {population} (by {result['population_source']}), {shown.film_seconds:.1f} s to result")
        )
        if result["findings"]:
            self._findings(result)
        else:
            self._out.print(Text("no findings: no model in service looked at this film", style="bold red"))
        for name, reason in result["not_applicable"].items():
            self._dim(f"not applicable: {_plain(name)}: {reason}")
        models = ", ".join(f"{m['id']} {m['version']} ({m['sha256'][:12]})" for m in result["models"])
        self._dim(f"models: {models or 'none in service'}")

    def _findings(self, result: _Json) -> None:
        table = _table("finding", "score", "probability", "above cut-off", "where")
        findings = sorted(result["findings"], key=lambda f: (f["label"] is not True, -f["score"]))
        for finding in findings[:_MOST_FINDINGS]:
            label = {True: "yes", False: "no", None: "no cut-off"}[finding["label"]]
            table.add_row(
                Text(_plain(finding["key"]), style="bold" if finding["label"] else ""),
                f"{finding['score']:.2f}",
                "-" if finding["probability"] is None else f"{finding['probability']:.2f}",
                label,
                place_of_finding(result, finding["key"]),
            )
        self._out.print(table)
        if all(finding["probability"] is None for finding in findings):
            self._dim("A score becomes a probability once a site sets its prevalence (CDS_PREVALENCE).")

    def _report(self, shown: Shown, text: str) -> None:
        result = shown.report["result"]
        self._out.print(Text(f"status {shown.report['status']}"))
        if result["refusal"]:
            self._out.print(Text(f"not read: {result['refusal']}", style="bold red"))
            return
        table = _table("finding", "said to be", "more", "in these words")
        for mention, others in mentions_by_finding(result):
            more = [mention["laterality"], mention["location"], mention["severity"], mention["change"]]
            more += [f"{'x'.join(f'{v:g}' for v in m['values_mm'])} mm" for m in mention["measurements"]]
            more += [f"and {others} more mention{'s' if others > 1 else ''}"] if others else []
            table.add_row(
                _plain(mention["finding"]),
                Text(mention["assertion"], style=_ASSERTION.get(mention["assertion"], "dim")),
                ", ".join(filter(None, more)),
                words_around(text, mention["start"], mention["end"]),
            )
        self._out.print(table)
        for step in result["recommendations"]:
            what = " ".join(filter(None, [step["modality"], step["body_part"]]))
            self._out.print(
                Text.assemble(("asks for ", "bold"), what, ": ", words_around(text, step["start"], step["end"]))
            )
        told = result["communication"]
        if told["documented"]:
            how = ", ".join(str(told[name]) for name in ("to", "how", "at") if told[name])
            self._out.print(Text.assemble(("critical result told: ", "bold"), how))

    def _scores(self, assessment: _Json) -> None:
        table = _table("score", "value", "band", "from", "missing")
        for score in assessment["scores"]:
            inputs = ", ".join(f"{quantity(i['name'])} {_shown(i['value'])}" for i in score["inputs"])
            table.add_row(
                Text(score["title"], style="bold"),
                score_value(score),
                score["band"] or "-",
                inputs,
                ", ".join(map(quantity, score["missing"])) or "nothing",
            )
        self._out.print(table)

    def _risks(self, assessment: _Json) -> None:
        for risk in assessment["risks"]:
            line = Text.assemble((f"{risk['title']}: ", "bold"))
            if risk["status"] == "ok":
                line.append(f"{risk['probability']:.0%} ({risk['outcome']}; {risk['population']})")
            else:
                line.append(f"{_plain(risk['status'])}: {risk['reason']}")
            self._out.print(line)
            for reason in risk["contributions"][:5]:
                self._dim(f"  {reason['weight']:+.2f}  {reason['text']}")
            if risk["missing"]:
                self._dim(f"  missing: {', '.join(map(quantity, risk['missing']))}")

    def _modalities(self, assessment: _Json) -> None:
        parts = [f"{m['name']} {_plain(m['status'])}" for m in assessment["modalities"]]
        self._out.print(Text(f"resting on: {', '.join(parts)}"))
        for dropped in assessment["dropped"]:
            self._dim(f"not used: {dropped['reference']}: {dropped['reason']}")

    def _cards(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            cards = reply.body.get("cards", [])
            count = "no card" if not cards else "1 card" if len(cards) == 1 else f"{len(cards)} cards"
            self._out.print(
                Text.assemble(
                    (f"{reply.hook} ", "bold"), f"({reply.service}): {count} in {1000 * reply.seconds:.0f} ms"
                )
            )
            for card in cards:
                self._out.print(_card(card))

    def _namesake(self, shown: Shown) -> None:
        self._out.print(
            Text("Her record holds the film's accession number by mistake; her record number and birth date differ.")
        )
        for modality in shown.namesake["modalities"]:
            if modality["name"] == "record":
                continue
            detail = f" ({_plain(modality['detail'])})" if modality["detail"] else ""
            joined = modality["status"] in ("used", "preliminary", "stale")
            style = "bold red" if joined else "green"
            self._out.print(Text(f"{modality['name']}: {modality['status']}{detail}", style=style))
        summaries = [card["summary"] for reply in shown.namesake_replies for card in reply.body.get("cards", [])]
        self._out.print(Text(f"cards: {'; '.join(summaries) or 'none'}"))

    def _dim(self, text: str) -> None:
        self._out.print(Text(text, style="dim"))


def _card(card: _Json) -> RenderableType:
    parts: list[RenderableType] = []
    if card.get("detail"):
        parts.append(Markdown(card["detail"]))
    parts.append(Text(f"source: {card['source']['label']}", style="dim"))
    for label, resources in suggestions_of(card):
        parts.append(Text(f"suggestion: {label}", style="bold"))
        for resource in resources:
            written = json.dumps(resource, indent=2, ensure_ascii=False)
            parts.append(Padding(Syntax(written, "json", background_color="default", word_wrap=True), (0, 0, 0, 2)))
    indicator = card["indicator"]
    colour = _INDICATOR.get(indicator, "white")
    title = Text(f"{indicator}: {card['summary']}", style=f"bold {colour}")
    return Panel(Group(*parts), title=title, title_align="left", border_style=colour)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _plain(key: str) -> str:
    return key.replace("_", " ")


def _shown(value: Any) -> str:
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
