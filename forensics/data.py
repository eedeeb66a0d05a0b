"""Where the signature files are: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

import hashlib
from pathlib import Path

from forensics.errors import ForensicsError


def signature_root() -> Path:
    """The directory that holds ``interference/``, ``apps/``, ``injectors/`` and ``pools/``.

    In an installed wheel this is ``forensics/signatures/data``; in a checkout it is the top-level ``signatures/``.
    Raises ForensicsError when neither is there (a damaged installation).
    """
    package = Path(__file__).resolve().parent
    for place in (package / "signatures" / "data", package.parent / "signatures"):
        if (place / "interference").is_dir() or (place / "apps").is_dir():
            return place
    raise ForensicsError("the signature files are missing from this installation: install forensics again")


def signature_sha256(root: Path) -> str:
    """Hash of the names and bytes of all files below ``root``: rules, apps, owners and pools decide what a report says.

    Raises ForensicsError when one of them cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.yaml"), key=lambda path: path.relative_to(root).as_posix()):
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ForensicsError(f"{file}: cannot be read: {error.strerror}") from None
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
