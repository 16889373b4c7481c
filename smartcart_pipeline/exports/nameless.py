"""Files without a name: what an export is turned into before it is read, gone with whoever holds it."""

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

from smartcart_pipeline.declaration.errors import HomeError


class NamelessFile:
    """A file in the system's folder for temporary files that no crash leaves behind.

    Attributes:
        path: Where it can be read as long as this is held.
        descriptor: By which a process that is started may be handed it.
    """

    def __init__(self) -> None:
        """Make it, empty.

        Raises:
            HomeError: If it cannot be made.
        """
        try:
            self.descriptor, named = tempfile.mkstemp(prefix="smartcart-")
            Path(named).unlink()
        except OSError as error:
            raise unwritable(error.strerror) from None
        self.path = Path(f"/dev/fd/{self.descriptor}")
        weakref.finalize(self, os.close, self.descriptor)

    def keep(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Write pieces one after the other, and hand on each.

        Args:
            pieces: What to write.

        Yields:
            The pieces.

        Raises:
            HomeError: If there is no room for them.
        """
        for piece in pieces:
            left = memoryview(piece)
            while left:
                try:
                    left = left[os.write(self.descriptor, left) :]
                except OSError as error:
                    raise unwritable(error.strerror) from None
            yield piece


def unwritable(why: str | None) -> HomeError:
    """Say that the folder for temporary files cannot be written.

    Args:
        why: What the system says.

    Returns:
        The error.
    """
    return HomeError(f"{tempfile.gettempdir()}: cannot be written ({why}). Make room there.")
