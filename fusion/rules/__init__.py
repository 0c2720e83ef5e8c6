"""Rules as data: YAML files, validated and compiled at start, evaluated on typed facts.

definition.py     the shape of a rule
source.py         files -> entries that know their lines; a site's laid over the packaged ones
vocabulary.py     the facts that conditions may name
record_facts.py   facts of the record
trigger_facts.py  facts of report, film, scores, and of the finding or order that triggered
situation.py      what a condition is evaluated on
compiling.py      entries -> a set of compiled rules; every mistake with file, line and rule
"""

from __future__ import annotations

from fusion.rules.compiling import CompiledRule, Fired, RuleSet, compile_rules
from fusion.rules.situation import Situation

__all__ = ["CompiledRule", "Fired", "RuleSet", "Situation", "compile_rules"]
