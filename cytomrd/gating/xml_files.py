"""XML from strangers: parsed without DTDs, entities or the network."""

from __future__ import annotations

from pathlib import Path

from cytomrd.errors import GateError

__all__ = ["DATATYPES", "GATING", "TRANSFORMATIONS", "local_name", "read_xml"]

GATING = "http://www.isac-net.org/std/Gating-ML/v2.0/gating"
DATATYPES = "http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"
TRANSFORMATIONS = "http://www.isac-net.org/std/Gating-ML/v2.0/transformations"

MOST_BYTES = 256 * 2**20


def read_xml(path: str | Path):
    """Parse an XML file that declares no document type.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    lxml.etree._ElementTree

    Raises
    ------
    GateError
        If it cannot be read, is no XML, is over 256 MiB, or brings a DTD or entities.
    """
    from lxml import etree

    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise GateError(f"{path}: {path.stat().st_size} bytes; a gating file of at most {MOST_BYTES} is read")
        data = path.read_bytes()
    except OSError as error:
        raise GateError(f"{path}: cannot be read: {error.strerror or error}") from error
    # Looked for before parsing, in every encoding that XML parsers must know: an entity bomb never gets to expand.
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        if any(word.encode(encoding) in data for word in ("<!DOCTYPE", "<!ENTITY")):
            raise GateError(f"{path}: the XML declares a document type or entities; gating files need none, remove it")
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True)
    try:
        tree = etree.fromstring(data, parser).getroottree()
    except (etree.XMLSyntaxError, ValueError) as error:
        raise GateError(f"{path}: no well-formed XML: {error}") from error
    if tree.docinfo.doctype:
        raise GateError(f"{path}: the XML declares a document type; gating files need none, remove it")
    return tree


def local_name(element) -> str:
    """Tag without its namespace; empty for processing instructions."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
