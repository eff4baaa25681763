"""Where in a TOML text each key and each array element stands.

``tomllib`` gives values without their positions. A person who wrote a panel
needs the line, so this scanner walks a text that ``tomllib`` has already
accepted and notes the line of everything that has a path.
"""

from __future__ import annotations

import re
import tomllib

__all__ = ["find_line", "line_numbers"]

Path = tuple[str | int, ...]

_KEY_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_SCALAR = re.compile(r"[^,\]\}\#\n]*")
_OPENING = ('"""', "'''", '"', "'")


class _Scanner:
    """One pass over the text; ``lines`` maps a path to its line, counted from 1."""

    def __init__(self, text: str):
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}

    def line(self, at: int | None = None) -> int:
        return self.text.count("\n", 0, self.at if at is None else at) + 1

    def note(self, path: Path, at: int | None = None) -> None:
        self.lines.setdefault(path, self.line(at))

    def skip_blank(self) -> None:
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text[self.at].isspace():
                self.at += 1
            else:
                return

    def key(self) -> tuple[str, ...]:
        """A dotted key; the scanner stands behind it afterwards."""
        parts = []
        while True:
            found = _KEY_PART.match(self.text, self.at)
            if found is None:
                raise ValueError(f"line {self.line()}: no key here")
            quoted, literal, bare = found.groups()
            if quoted is not None:
                quoted = tomllib.loads(f'k = "{quoted}"')["k"]
            parts.append(next(p for p in (quoted, literal, bare) if p is not None))
            self.at = found.end()
            if self.text[self.at : self.at + 1] != ".":
                return tuple(parts)
            self.at += 1

    def element_of(self, parts: tuple[str, ...]) -> Path:
        """The path that a header's key means: its last array element where an array of tables is on the way."""
        path: Path = ()
        for part in parts:
            path = (*path, part)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path

    def header(self) -> Path:
        start = self.at
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        parts = self.key()
        self.at += 2 if is_array else 1
        for n in range(1, len(parts)):
            self.note(self.element_of(parts[:n]), start)  # a table that only its sub-tables' headers name
        if not is_array:
            path = self.element_of(parts)
        else:
            array = (*self.element_of(parts[:-1]), parts[-1])
            self.note(array, start)
            path = (*array, self.counts.get(array, 0))
            self.counts[array] = path[-1] + 1
        self.note(path, start)
        return path

    def pair(self, table: Path) -> None:
        start = self.at
        path = table
        for part in self.key():
            path = (*path, part)
            self.note(path, start)
        self.at += 1  # the equals sign
        self.value(path)

    def string(self, quote: str) -> None:
        self.at += len(quote)
        while not self.text.startswith(quote, self.at):
            self.at += 2 if self.text[self.at] == "\\" and quote[0] == '"' else 1
        self.at += len(quote)
        while len(quote) == 3 and self.text.startswith(quote[0], self.at):
            self.at += 1  # a multi-line string may end in more quotes than three

    def value(self, path: Path) -> None:
        self.skip_blank()
        quote = next((q for q in _OPENING if self.text.startswith(q, self.at)), None)
        if quote is not None:
            self.string(quote)
        elif self.text[self.at] in "[{":
            self.collection(path)
        else:
            self.at = _SCALAR.match(self.text, self.at).end()

    def collection(self, path: Path) -> None:
        is_array = self.text[self.at] == "["
        self.at += 1
        index = 0
        while True:
            self.skip_blank()
            if self.text[self.at] in "]}":
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
            elif is_array:
                self.note((*path, index))
                self.value((*path, index))
                index += 1
            else:
                self.pair(path)

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while True:
            self.skip_blank()
            if self.at >= len(self.text):
                return self.lines
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)


def line_numbers(text: str) -> dict[tuple[str | int, ...], int]:
    """Line of every key, table and array element of a valid TOML text.

    Parameters
    ----------
    text
        A text that ``tomllib.loads`` accepts.

    Returns
    -------
    dict
        Path, such as ``("tubes", 0, "channels", 3, "role")``, to line, counted from 1.

    Examples
    --------
    >>> from cytomrd.panel.lines import line_numbers
    >>> line_numbers('id = "a"\\n[[cuts]]\\nname = "CD3"\\n')[("cuts", 0, "name")]
    3
    """
    return _Scanner(text.replace("\r\n", "\n")).run()


def find_line(lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int | None:
    """Line of ``path``, or of the nearest enclosing thing that has one.

    Parts that are not in the text are passed over, so that the name of a union's
    variant, which validation puts into a path, does no harm.
    """
    here: tuple[str | int, ...] = ()
    for part in path:
        if (*here, part) in lines:
            here = (*here, part)
    return lines.get(here)
