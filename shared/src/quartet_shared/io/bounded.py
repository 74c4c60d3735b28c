"""A file that is never read beyond its end, whatever its content claims.

Python allocates what `read(n)` asks for before it looks at the file, so a damaged length field of four gigabytes costs
four gigabytes. Pillow and pydicom ask for what they find in such fields.
"""

from __future__ import annotations

import io
import os
from pathlib import Path


class BoundedReader(io.BufferedReader):
    """A binary file opened for reading; `read(n)` asks the system for no more than is left.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "r"))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, at most `size`, fewer at the end."""
        if size is None or size < 0:
            return super().read()
        return super().read(min(size, max(0, self._size - self.tell())))
