"""The trail as people and programs read it: lines for a terminal, CSV for a spreadsheet, JSON for what comes next.

Names, comments and samples are text of others: nothing of them reaches a terminal as a control code, or a spreadsheet
as a formula.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields

from cytomrd.fcs.text import printable
from cytomrd.review.trail import Entry
from cytomrd.schema import Column, table_to_csv

__all__ = ["LOG_FORMATS", "log_lines"]

LOG_FORMATS = ("text", "csv", "json")
MAX_VALUE = 160
COLUMNS = tuple(Column(f.name, "integer" if f.name in ("seq", "version") else "text", "") for f in fields(Entry))


def log_lines(entries: Sequence[Entry], form: str) -> Iterator[str]:
    """The entries in one of :data:`LOG_FORMATS`, line by line without line ends."""
    if form == "csv":
        rows = [{k: printable(v) if isinstance(v, str) else v for k, v in asdict(e).items()} for e in entries]
        yield from table_to_csv(COLUMNS, rows).splitlines()
    elif form == "json":
        for entry in entries:
            values = {"old": _loaded(entry.old), "new": _loaded(entry.new)}
            yield json.dumps(asdict(entry) | values, ensure_ascii=True)
    else:
        for entry in entries:
            yield from _in_words(entry)


def _in_words(entry: Entry) -> Iterator[str]:
    target = f"  {entry.target}" if entry.target else ""
    what = f"{entry.seq}  {entry.at}  {entry.who}  {entry.sample_id} v{entry.version}  {entry.action}{target}"
    yield printable(what)
    if entry.why:
        yield printable(f"      why: {entry.why}")
    for old, new in _pairs(entry):
        yield printable(f"      {old} -> {new}")
    yield f"      {entry.hash}"


def _pairs(entry: Entry) -> Iterator[tuple[str, str]]:
    """What an edit changed: gate or cut with its values before and after."""
    old, new = _loaded(entry.old), _loaded(entry.new)
    if not isinstance(old, list) or not isinstance(new, dict):
        return
    after = {tuple(key): value for key, value in new.get("set", [])}
    for key, value in old:
        kind, tube, name = key
        place = f"{kind} {name}" + (f" of tube {tube}" if tube else "")
        yield f"{place}: {_short(value)}", _short(after.get(tuple(key)))


def _short(value: object) -> str:
    if value is None:
        return "as found"
    if isinstance(value, dict) and "call" in value:
        return f"cluster {value.get('cluster')} {value['call']}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "..."


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
