"""Where files go: paths as users write them, made absolute at once: a later change of directory moves nothing."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")


def local(name: str, path: object) -> Path:
    """Return the place of a file or directory of this machine: `~` is expanded, `file://` understood.

    **Arguments:**

    - `name`: of the argument, for errors.
    - `path`: a string or an `os.PathLike`.

    **Raises:** `TypeError` for what is no path; `ValueError` for an empty one, and for one of another machine.
    """
    text = _text(name, path)
    scheme = _scheme(text)
    if scheme not in (None, "file"):
        raise ValueError(
            f"`{name}` is {text!r:.200}: files of this kind are written to local disks alone. Give a local path, "
            "and copy the files from there."
        )
    if scheme == "file":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise ValueError(
                f"`{name}` is {text!r:.200}, which names the machine {parts.netloc!r:.100}: write three slashes, "
                f"'file:///{parts.netloc}{parts.path}', for a path of this machine."
            )
        text = unquote(parts.path)
        text = text[1:] if re.match(r"/[a-zA-Z]:", text) else text  # `file:///C:/models`
    return Path(os.path.abspath(os.path.expanduser(text)))


def anywhere(name: str, path: object) -> Any:
    """Return the place of a directory: of this machine, or, as `gs://bucket/models`, of a store that epath knows.

    **Raises:** as `local`; `ValueError` for a store that `etils.epath` doesn't know, `ImportError` without it.
    """
    text = _text(name, path)
    scheme = _scheme(text)
    if scheme in (None, "file"):
        return local(name, path)
    try:
        from etils import epath
    except ImportError as error:
        raise ImportError(
            f'`{name}` is {text!r:.200}, which is read and written with etils.epath: pip install "etils[epath]" '
            "fsspec, and the package of fsspec for this store, such as gcsfs or s3fs"
        ) from error
    try:
        return epath.Path(text)
    except KeyError:
        raise ValueError(
            f"`{name}` is {text!r:.200}, and `etils.epath` knows no store of {scheme + '://'!r}. Give a local path, or "
            "one that begins with gs://, s3:// or az://."
        ) from None


def is_local(place: object) -> bool:
    """Whether a place is of this machine."""
    return isinstance(place, Path)


def _text(name: str, path: Any) -> str:
    try:
        text = os.fspath(path)
    except TypeError:
        raise TypeError(f"`{name}` is {path!r:.100}; a path is expected, such as 'models/first'.") from None
    if not isinstance(text, str):
        raise TypeError(f"`{name}` is {path!r:.100}; a path of text is expected, and this one is bytes.")
    if not text:
        raise ValueError(f"`{name}` is empty; a path is expected. For the current directory, write '.'.")
    if "\0" in text:
        raise ValueError(f"`{name}` is {text!r:.100}, and no path holds a null character.")
    return text


def _scheme(text: str) -> str | None:
    # Not a single letter: that is a drive of Windows.
    found = _SCHEME.match(text)
    return None if found is None else found[1].lower()
