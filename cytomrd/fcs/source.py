"""The bytes of a file: opened only if it is a regular file, read only where they are.

Blocks are read into a reused buffer and not through a memory map: a mapped file that another
program cuts short kills the process, a short read is an error that can be reported. Both touch
only the bytes asked for, and the buffer keeps the memory of a 10 GB file at a few megabytes.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat

from cytomrd.errors import FcsError
from cytomrd.fcs.text import printable

__all__ = ["ByteSource", "sha256_of"]

_HASH_CHUNK = 1 << 20


class ByteSource:
    """A regular file opened for reading; use it as a context manager.

    Parameters
    ----------
    path
        File to open.

    Raises
    ------
    FcsError
        If it is missing, unreadable, or no regular file (a folder, a FIFO, a device, a link loop).
    """

    def __init__(self, path: str | os.PathLike):
        try:
            # Non-blocking: opening a FIFO that nobody writes to would otherwise wait for ever.
            self._file = io.FileIO(os.fspath(path), "rb", opener=_open_without_waiting)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FcsError(f"{_shown(path)}: cannot be opened ({reason})", keyword="FILE", byte_offset=0) from None
        status = os.fstat(self._file.fileno())
        if not stat.S_ISREG(status.st_mode):
            self._file.close()
            raise FcsError(f"{_shown(path)}: not a regular file, so not an FCS file", keyword="FILE", byte_offset=0)
        self.size = status.st_size
        self.fingerprint = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def __enter__(self) -> ByteSource:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()

    def close(self) -> None:
        """Release the descriptor."""
        self._file.close()

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``offset``; `FcsError` where the file ends before."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise FcsError(
                f"bytes {offset} to {offset + size - 1} are wanted, but the file has {self.size}; it is cut short",
                keyword="FILE",
                byte_offset=max(0, offset),
            )
        buffer = bytearray(size)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` (bytes) from ``offset``."""
        try:
            self._file.seek(offset)
            filled = self._file.readinto(buffer)
            while filled < len(buffer):
                n = self._file.readinto(buffer[filled:])
                if not n:
                    break
                filled += n
        except OSError as error:
            raise FcsError(f"cannot be read: {error.strerror}", keyword="FILE", byte_offset=offset) from None
        if filled < len(buffer):
            raise FcsError(
                f"the file ended at byte {offset + filled} while it was read; another program may be writing it",
                keyword="FILE",
                byte_offset=offset + filled,
            )


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits; memory stays at one megabyte."""
    digest = hashlib.sha256()
    with ByteSource(path) as source:
        buffer = bytearray(min(_HASH_CHUNK, source.size))
        for offset in range(0, source.size, _HASH_CHUNK):
            part = memoryview(buffer)[: min(_HASH_CHUNK, source.size - offset)]
            source.read_into(offset, part)
            digest.update(part)
    return digest.hexdigest()


def _shown(path: str | os.PathLike) -> str:
    return printable(str(path), max_length=300)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
