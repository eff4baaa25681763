"""The examples in docstrings run, and public names have docstrings."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import cytomrd

MODULES = sorted(m.name for m in pkgutil.walk_packages(cytomrd.__path__, "cytomrd.") if not m.name.endswith("__main__"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
    assert module.__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("name", [n for n in cytomrd.__all__ if n != "__version__"])
def test_public_names_are_documented_with_an_example(name):
    public = getattr(cytomrd, name)
    assert ">>> " in inspect.getdoc(public), f"cytomrd.{name} has no example"


@pytest.mark.parametrize("name", [n for n in cytomrd.__all__ if n != "__version__"])
def test_public_functions_take_at_most_three_positional_parameters(name):
    kinds = [p.kind for p in inspect.signature(getattr(cytomrd, name)).parameters.values()]
    assert sum(kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for kind in kinds) <= 3
