"""The shape of the package: import order, complete package list, fast start, a typed API."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cytomrd

ROOT = Path(__file__).resolve().parents[1]

# A module may import from its own layer and from those before it.
LAYERS = (
    ("errors", "schema", "panel", "samplesheet", "__init__", "panels"),
    ("kernels",),
    ("fcs", "preprocess"),
    ("gating", "pp"),
    ("mrd", "car_nk"),
    ("simulate",),
    ("run",),
    ("report",),
    ("review",),
    ("trial",),
    ("bench",),
    ("cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def _modules():
    for folder, package in (("cytomrd", ""), ("cli", "cli"), ("panels", "panels")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield path, package or parts[0]


def _imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize(("path", "layer"), list(_modules()), ids=lambda value: str(getattr(value, "name", value)))
def test_imports_go_one_way(path, layer):
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "cytomrd" or len(parts) < 2:
            continue
        assert LEVEL[parts[1]] <= LEVEL[layer], f"{path.relative_to(ROOT)} ({layer}) imports {name}"


def test_kernels_import_numpy_and_numba_alone():
    for path in (ROOT / "cytomrd" / "kernels").glob("*.py"):
        if path.name == "_jit.py":  # keeps compiled code on disk
            continue
        foreign = {n.split(".")[0] for n in _imports(path)} - {"__future__", "numpy", "numba", "math", "cytomrd"}
        assert not foreign, f"{path.name} imports {foreign}"


def test_only_the_wrapper_calls_numba():
    for path, _ in _modules():
        if path.name != "_jit.py":
            assert "numba" not in {n.split(".")[0] for n in _imports(path)}, path


def test_package_list_is_complete():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {p.parent.relative_to(ROOT) for p in (ROOT / "cytomrd").rglob("__init__.py")}
    expected = {".".join(f.parts) for f in folders} | {"cytomrd.cli", "cytomrd.panels"}
    assert set(settings["packages"]) == expected


def test_every_folder_with_code_is_a_package():
    for path, _ in _modules():
        assert (path.parent / "__init__.py").exists(), path


def test_public_names_exist():
    for name in cytomrd.__all__:
        assert getattr(cytomrd, name) is not None


def test_import_is_light():
    code = "import sys, cytomrd, cytomrd.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "numba", "pandas", "anndata", "flowkit", "matplotlib", "pydantic", "scipy", "sklearn", "rich"}
    assert not heavy & set(loaded)


def test_readme_names_every_command():
    from cytomrd.cli.main import COMMANDS

    text = (ROOT / "README.md").read_text("utf-8")
    for name in COMMANDS:
        assert f"cytomrd {name}" in text, f"`cytomrd {name}` is not in the README"


def test_every_command_has_help_with_an_example():
    from click.testing import CliRunner

    from cytomrd.cli.main import COMMANDS, cytomrd

    for name in COMMANDS:
        result = CliRunner().invoke(cytomrd, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert f"cytomrd {name}" in result.output.split("Usage:")[1].split("\n", 1)[1], (
            f"{name}: no example in its help"
        )
