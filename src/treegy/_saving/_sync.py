"""What is written is on the disk, and not only on its way there."""

import contextlib
import os

from ._layout import AnyFile


def sync_file(file: AnyFile) -> None:
    """Make sure that what was written survives a power failure."""
    file.flush()
    os.fsync(file.fileno())


def sync_directory(directory: os.PathLike[str]) -> None:
    """Make sure that names in the directory survive a power failure, where the file system can be told to."""
    with contextlib.suppress(OSError):  # Windows can't open directories, some network file systems can't sync them
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
