"""What lies in a folder that came from somewhere else.

Invariant: `plain_files` opens nothing, and returns only once all of it is known to be safe to read: files and
folders alone, no pickle, and no more than the limit.
"""

from pathlib import Path

from toxic_core.errors import ContractError

PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth"})
"""Endings of formats that can run code when they are read, by those who read them carelessly."""


def plain_files(folder: Path, *, max_bytes: int | None = None) -> dict[str, Path]:
    """Return every file below `folder`, sorted, by its path relative to it.

    Args:
        folder: where to look.
        max_bytes: most that all of them may hold; None for any.

    Raises:
        ContractError: a link, which could lead out of the folder; a pipe, which never ends; a pickle, which
            can run anything; or more than may be.
    """
    files: dict[str, Path] = {}
    size = 0
    for file in sorted(folder.rglob("*")):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise ContractError(f"{file} is neither a file nor a folder; a bundle holds nothing else.")
        if file.is_dir():
            continue
        if file.suffix.lower() in PICKLES:
            raise ContractError(f"{file} is a pickle or may hold one; a bundle holds none.")
        size += file.stat().st_size
        files[file.relative_to(folder).as_posix()] = file
    if max_bytes is not None and size > max_bytes:
        raise ContractError(f"{folder} holds {size:,} bytes; no more than {max_bytes:,} are read.")
    return files
