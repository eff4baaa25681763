"""The exceptions of cytomrd: one family, so that a caller can catch them all.

A message gives the value seen, the value allowed and the remedy. Callers that
know more (the file, the channel, the row) add it with ``add_note``. A result
below its limit of detection is a status and never an exception.
"""

from __future__ import annotations

__all__ = [
    "CompensationError",
    "CytomrdError",
    "FcsError",
    "GateError",
    "IdentityError",
    "PanelError",
    "QuantificationError",
    "ReviewError",
    "RunError",
    "RunLockedError",
    "SamplesheetError",
    "StaleEditError",
    "StorageError",
    "StudyError",
    "TrailError",
]


class CytomrdError(Exception):
    """Base of every error that cytomrd raises on purpose.

    Examples
    --------
    >>> from cytomrd.errors import CytomrdError, FcsError
    >>> issubclass(FcsError, CytomrdError)
    True
    """

    def __str__(self) -> str:
        notes = getattr(self, "__notes__", ())
        return "\n".join([super().__str__(), *notes])


class FcsError(CytomrdError):
    """An FCS file that cannot be read without guessing.

    Parameters
    ----------
    message
        What was seen, what is allowed, and what to do.
    keyword
        The FCS keyword (or ``HEADER``) at fault.
    byte_offset
        Where in the file, in bytes from its start.
    """

    def __init__(self, message: str, *, keyword: str | None = None, byte_offset: int | None = None):
        super().__init__(message)
        self.keyword = keyword
        self.byte_offset = byte_offset


class CompensationError(CytomrdError):
    """A spillover matrix that does not fit the file, or cannot be inverted."""


class PanelError(CytomrdError):
    """A panel definition that is wrong, or a file whose markers do not fit it."""


class SamplesheetError(CytomrdError):
    """A samplesheet with problems; ``problems`` lists every one of them."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()):
        super().__init__(message)
        self.problems = tuple(problems)


class GateError(CytomrdError):
    """A gate that cannot be built, fitted or applied."""


class QuantificationError(CytomrdError):
    """Counts from which no honest number can be derived."""


class RunError(CytomrdError):
    """A run folder that cannot be processed as asked."""


class RunLockedError(RunError):
    """Another process holds the run folder."""


class StorageError(RunError):
    """Results cannot be written: a full disk, a folder that is read-only."""


class StudyError(CytomrdError):
    """A study folder with problems; ``problems`` lists every one of them (:class:`cytomrd.trial.study.Problem`)."""

    def __init__(self, message: str, problems: tuple = ()):
        super().__init__(message)
        self.problems = tuple(problems)


class ReviewError(CytomrdError):
    """What a person asked of a review and cannot have."""


class StaleEditError(ReviewError):
    """An edit made on a version of a sample that is no longer the last.

    Parameters
    ----------
    message
        What was seen, and what to do.
    seen, version
        The version that the edit was made on, and the last.
    entries
        What came since (:class:`cytomrd.review.trail.Entry`).
    """

    def __init__(self, message: str, *, seen: int, version: int, entries: tuple = ()):
        super().__init__(message)
        self.seen, self.version, self.entries = seen, version, tuple(entries)


class IdentityError(ReviewError):
    """A person who is not known, whose token is another, or whose role does not allow what was asked."""


class TrailError(ReviewError):
    """A trail that was tampered with or damaged; ``problems`` lists what was found."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()):
        super().__init__(message)
        self.problems = tuple(problems)
