"""What every page is built with: templates, style and script of its own, and a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cytomrd.report.words import plain

__all__ = ["asset", "environment", "finalize", "last_part", "policy"]


def policy(style: str, script: str) -> str:
    """Nothing may load, and only this page's own style and script may run."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@cache
def asset(name: str) -> str:
    """Text of a style sheet or script among the templates."""
    source, _, _ = environment().loader.get_source(environment(), name)
    return source


@cache
def environment(package: str = "cytomrd.report") -> Environment:
    """A package's templates with escaping on; what is neither text, whole number nor our own markup is refused."""
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def finalize(value: object) -> object:
    """What may stand on the page: text made plain, whole numbers, and our own markup; never a bare float."""
    if isinstance(value, Markup) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        # A number does not break over two lines.
        return plain(value).replace(" × ", "\u00a0×\u00a0").replace("< ", "<\u00a0")
    raise TypeError(f"{type(value).__name__} {value!r} reached the page unformatted; put it in words first")


def last_part(folder: str) -> str:
    """Name of a folder."""
    return folder.replace("\\", "/").rstrip("/").rpartition("/")[2]
