"""Rule files as text -> entries that know the line of each of their fields, the site's laid over the packaged ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from fusion.errors import RuleError

SITE = "site/"
_Path = tuple[str | int, ...]


@dataclass
class Place:
    """File and line of one field."""

    file: str
    line: int


@dataclass
class Entry:
    """One rule as written: its values, and the place of each by path."""

    id: str
    values: dict[str, Any]
    places: dict[_Path, Place] = field(default_factory=dict)
    switched_off_by_site: bool = False

    def error(self, message: str, path: _Path = ()) -> RuleError:
        """Return the error of a field: file, line and rule, then what is wrong."""
        place = self._place(path)
        where = ".".join(str(part) for part in path)
        said = f"{where}: {message}" if where else message
        return RuleError(f"{place.file} line {place.line}, rule {self.id!r}: {said}")

    def _place(self, path: _Path) -> Place:
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path]


def read_entries(texts: Mapping[str, str]) -> list[Entry]:
    """Return the rules of all files; a site's entry replaces fields of the packaged one with its id, or is added.

    Raises RuleError for what is not YAML, has another layout, or names an id twice in one layer.
    """
    packaged = _layer({name: text for name, text in texts.items() if not name.startswith(SITE)})
    site = _layer({name: text for name, text in texts.items() if name.startswith(SITE)})
    merged = dict(packaged)
    for key, entry in site.items():
        merged[key] = _overlaid(packaged[key], entry) if key in packaged else entry
    return list(merged.values())


def _layer(texts: Mapping[str, str]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for name, text in texts.items():
        for entry in _entries_of(name, text):
            if entry.id in entries:
                first = entries[entry.id].places[()]
                raise entry.error(f"the id is used already, in {first.file} line {first.line}", ("id",))
            entries[entry.id] = entry
    return entries


def _overlaid(base: Entry, over: Entry) -> Entry:
    replaced = set(over.values)
    kept = {path: place for path, place in base.places.items() if not path or path[0] not in replaced}
    return Entry(
        base.id,
        {**base.values, **over.values},
        {**kept, **{path: place for path, place in over.places.items() if path}, (): over.places[()]},
        switched_off_by_site=base.values.get("enabled", True) is True and over.values.get("enabled") is False,
    )


def _entries_of(name: str, text: str) -> Iterator[Entry]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or "cannot be read"
        raise RuleError(f"{name} line {line}: not YAML: {problem}") from None
    if root is None:
        return
    listed = _child(root, "rules")
    if not isinstance(listed, yaml.SequenceNode):
        raise RuleError(f"{name} line {root.start_mark.line + 1}: expected one key, `rules`, that holds a list")
    for node in listed.value:
        line = node.start_mark.line + 1
        identifier = _child(node, "id")
        if not isinstance(identifier, yaml.ScalarNode) or not identifier.value:
            raise RuleError(f"{name} line {line}: expected a rule with an id")
        places: dict[_Path, Place] = {}
        values = _value(node, (), name, places)
        yield Entry(identifier.value, values, places)


def _child(node: yaml.Node, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _value(node: yaml.Node, path: _Path, file: str, places: dict[_Path, Place]) -> Any:
    places[path] = Place(file, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        values: dict[str, Any] = {}
        for name, child in node.value:
            if name.value in values:
                raise RuleError(f"{file} line {name.start_mark.line + 1}: {str(name.value)[:40]!r} is given twice")
            values[str(name.value)] = _value(child, (*path, str(name.value)), file, places)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, number), file, places) for number, child in enumerate(node.value)]
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise RuleError(f"{file} line {node.start_mark.line + 1}: cannot be read: {error}") from None
    finally:
        loader.dispose()
