"""Reading panels: the bundled ones by id, a laboratory's own by path.

A panel that is wrong is refused with every mistake listed, each with its line.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cytomrd.errors import PanelError
from cytomrd.panel.checks import PanelInconsistency, Problem, find_problems
from cytomrd.panel.lines import find_line, line_numbers
from cytomrd.panel.model import GateSpec, Panel

__all__ = ["check_panel", "list_panels", "panel_text", "read_panel"]

MAX_PANEL_BYTES = 4_000_000


def list_panels() -> tuple[str, ...]:
    """Ids of the bundled panels, sorted.

    Examples
    --------
    >>> from cytomrd.panel.library import list_panels
    >>> "euroflow-mm-mrd" in list_panels()
    True
    """
    files = resources.files("cytomrd.panels").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def read_panel(id_or_path: str | Path, *, folder: str | Path | None = None) -> Panel:
    """Read a bundled panel by its id, or a panel file by its path.

    Parameters
    ----------
    id_or_path
        ``"euroflow-mm-mrd"``, or the path of a TOML file.
    folder
        Folder from which a relative path counts; the working directory by default.

    Returns
    -------
    Panel
        With ``source`` (the id, or the path as given) and ``sha256`` of the file's bytes.

    Raises
    ------
    PanelError
        If there is no such panel, or it is wrong: the message lists every mistake with its line.

    Examples
    --------
    >>> from cytomrd.panel.library import read_panel
    >>> [tube.id for tube in read_panel("euroflow-mm-mrd").tubes]
    ['1', '2']
    """
    raw, source = _find(id_or_path, folder)
    panel, problems = _parse(raw, source)
    if panel is None:
        count = f"{len(problems)} mistakes" if len(problems) > 1 else "a mistake"
        raise PanelError(f"panel {source} has {count}:\n" + "\n".join(f"  {p}" for p in problems))
    return panel


def check_panel(id_or_path: str | Path, *, folder: str | Path | None = None) -> tuple[str, ...]:
    """Every mistake of a panel, each with its line; empty for a sound one.

    Raises
    ------
    PanelError
        If there is no such panel to check.

    Examples
    --------
    >>> from cytomrd.panel.library import check_panel
    >>> check_panel("tbnk")
    ()
    """
    raw, source = _find(id_or_path, folder)
    return _parse(raw, source)[1]


def panel_text(id_or_path: str | Path, *, folder: str | Path | None = None) -> str:
    """The TOML of a panel as it was written, comments and all, to read or to start one's own from.

    Raises
    ------
    PanelError
        If there is no such panel, or it is not UTF-8.

    Examples
    --------
    >>> from cytomrd.panel.library import panel_text
    >>> 'id = "tbnk"' in panel_text("tbnk")
    True
    """
    raw, source = _find(id_or_path, folder)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PanelError(f"panel {source}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def _find(id_or_path: str | Path, folder: str | Path | None) -> tuple[bytes, str]:
    """The bytes of a panel and how to call it."""
    name = str(id_or_path)
    if isinstance(id_or_path, str) and name in list_panels():
        return resources.files("cytomrd.panels").joinpath(f"{name}.toml").read_bytes(), name
    path = Path(folder or ".") / id_or_path
    if "\0" in name or not path.is_file():
        bundled = list_panels()
        close = get_close_matches(name, bundled, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "give the path of a TOML file"
        raise PanelError(f"no panel {name!r}: neither a bundled id ({', '.join(bundled)}) nor a file; {hint}")
    size = path.stat().st_size
    if size > MAX_PANEL_BYTES:
        raise PanelError(f"panel {name} has {size} bytes; a panel is a text of at most {MAX_PANEL_BYTES} bytes")
    return path.read_bytes(), name


def _parse(raw: bytes, source: str) -> tuple[Panel | None, tuple[str, ...]]:
    """The panel, or the mistakes that keep it from being one."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return None, (f"line {line}: byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8",)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, (f"not TOML: {error}",)
    except RecursionError:
        return None, ("not a panel: brackets are nested too deeply",)
    for key in ("source", "sha256"):
        if key in data:
            return None, _with_lines([Problem((key,), f"{key!r} is filled in by cytomrd; remove it")], text)
    data |= {"source": source, "sha256": hashlib.sha256(raw).hexdigest()}
    try:
        return Panel.model_validate(data), ()
    except ValidationError as error:
        fields = [_of_field(e, data) for e in error.errors() if not _is_echo(e)]
        return None, _with_lines([*fields, *find_problems(data)], text)


def _with_lines(problems: list[Problem], text: str) -> tuple[str, ...]:
    """Messages with line numbers, from top to bottom, none twice."""
    lines = line_numbers(text)
    placed = [(find_line(lines, p.path) or 0, p.message) for p in problems]
    ordered = dict.fromkeys(sorted(placed, key=lambda p: p[0]))
    return tuple(f"line {line}: {message}" if line else message for line, message in ordered)


def _is_echo(error: Mapping[str, Any]) -> bool:
    """Whether an error only repeats others: the checks between parts, or a list that is short of refused items."""
    if isinstance(error.get("ctx", {}).get("error"), PanelInconsistency):
        return True
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _of_field(error: Mapping[str, Any], data: Mapping) -> Problem:
    """A problem of one field in words: where, what was seen, what is allowed."""
    path, kind, seen = tuple(error["loc"]), error["type"], error.get("input")
    where = _spoken(path[:-1], data)
    last = path[-1] if path else ""
    if kind == "missing":
        return Problem(path, f"{where}: {last!r} is missing")
    if kind == "extra_forbidden":
        allowed = _fields_at(path[:-1])
        close = get_close_matches(str(last), allowed, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"it may have {', '.join(sorted(allowed))}"
        return Problem(path, f"{where}: unknown key {last!r}; {remedy}")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        given = error.get("ctx", {}).get("tag")
        said = f"kind {given!r} is not known" if given else "a gate needs its kind"
        tags = [tag for model in _models_in(GateSpec) for tag in _tag_of(model)]
        return Problem((*path, "kind"), f"{where}: {said}; use {', '.join(tags)}")
    message = (error["msg"][0].lower() + error["msg"][1:]).replace("tuple", "list").replace(" after validation", "")
    shown = "" if isinstance(seen, (Mapping, list, tuple)) else f", not {seen!r}"
    return Problem(path, f"{_spoken(path, data)}: {message}{shown}")


def _spoken(path: tuple, data: Mapping) -> str:
    """A path in words: ``tube '1', channel 'CD38', role``."""
    words: list[str] = []
    here: Any = data
    for part in path:
        if isinstance(part, int):
            items = here if isinstance(here, (list, tuple)) else ()
            here = items[part] if part < len(items) else None
            names = here if isinstance(here, Mapping) else {}
            name = next((names[k] for k in ("name", "marker", "id", "therapy", "population") if k in names), None)
            plural = words.pop() if words else ""
            words.append(f"{plural.removesuffix('s')} {name!r}" if name else f"{plural} {part + 1}")
        elif isinstance(here, Mapping) and part in here:
            here = here[part]
            words.append(str(part))
        # else a union's variant, or the name of what is missing: no word of its own
    return ", ".join(words) or "panel"


def _fields_at(path: tuple) -> list[str]:
    """The keys that may stand at a path of a panel."""
    here: Any = Panel
    for part in path:
        if isinstance(part, int):
            continue
        if isinstance(here, list):
            here = next((m for m in here if part in _tag_of(m)), here[0])
        elif part in here.model_fields:
            models = _models_in(here.model_fields[part].annotation)
            here = models[0] if len(models) == 1 else models
    if isinstance(here, list):
        return sorted({name for model in here for name in model.model_fields})
    return [name for name in here.model_fields if not (here is Panel and name in ("source", "sha256"))]


def _tag_of(model: type[BaseModel]) -> tuple:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models within an annotation such as ``tuple[ChannelSpec, ...]`` or a union."""
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
