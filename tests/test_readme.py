"""The README's commands are the ones that work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from cds.cli.app import app

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text("utf-8")
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
VERBS = sorted(set(re.findall(r"^cds ([^#\n&]+)|`cds ([^`]+)`|&& cds ([^#\n&]+)", README, re.MULTILINE)))


def _commands() -> list[str]:
    return sorted({next(filter(None, found)).strip() for found in VERBS})


def _parsed(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, f"the README names a group of verbs only: {command.name}"
        assert words[0] in command.commands, f"no verb {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("line", _commands())
def test_every_verb_and_option_of_the_readme_exists(line: str) -> None:
    command, words = _parsed(line.split())
    options = {name for parameter in command.params for name in parameter.opts}
    assert [word for word in words if word.startswith("--") and word not in options] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\S+)", SHELL, re.MULTILINE))))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    planned = subprocess.run(["make", "--dry-run", target], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert planned.returncode == 0, planned.stderr


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http|#)[^)#]+)", README))))
def test_every_link_of_the_readme_leads_to_a_file(link: str) -> None:
    assert (CHECKOUT / link).is_file()


@pytest.mark.parametrize("script", sorted(set(re.findall(r"python (benchmarks/\S+\.py)", README))))
def test_every_benchmark_of_the_readme_exists(script: str) -> None:
    assert (CHECKOUT / script).is_file()
