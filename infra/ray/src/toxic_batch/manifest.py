"""The manifest in a job's output folder: it lets a killed job resume, and keeps jobs apart.

Invariant: a folder has the parts of one job: one model version, one set of unchanged files, one way of
cutting them. Part n exists exactly if block n is scored.
"""

from typing import Literal

from pyarrow import fs
from pydantic import ValidationError

from toxic_batch.blocks import Block
from toxic_batch.storage import Place
from toxic_core.contract.schema import FrozenModel
from toxic_core.errors import ConfigurationError
from toxic_core.tables import TableOptions

MANIFEST = "_manifest.json"


class InputFile(FrozenModel):
    """An input file as it was when the job began.

    Attributes:
        path: on its file system.
        bytes: its size.
        modified_ns: when it was last changed, nanoseconds since 1970.
    """

    path: str
    bytes: int
    modified_ns: int


class Work(FrozenModel):
    """The work of a job, without its model.

    Attributes:
        files: in order.
        columns: of every file.
        form: of the parts.
        block_bytes: by which the files are cut.
        windows: most windows of a long text.
        overlap: tokens that windows share.
        text_column: the name of the text column; None to find it.
        encoding: of texts without a byte order mark; None for UTF-8.
        delimiter: of texts; None to find it.
    """

    files: tuple[InputFile, ...]
    columns: tuple[str, ...]
    form: str
    block_bytes: int
    windows: int
    overlap: int
    text_column: str | None = None
    encoding: str | None = None
    delimiter: str | None = None

    @property
    def options(self) -> TableOptions:
        """What the user declares of the files."""
        return TableOptions(self.encoding, self.delimiter, self.text_column)


class Manifest(FrozenModel):
    """The content of `_manifest.json`.

    Attributes:
        schema_version: of this schema.
        asked: the model as it was asked for: an alias, a number, or a bundle's folder.
        version: what that was when the job began; a resumed job keeps to it.
        digest: SHA-256 of the model's contract.
        work: of the job.
    """

    schema_version: Literal[1] = 1
    asked: str
    version: str
    digest: str
    work: Work


def read_manifest(out: Place) -> Manifest | None:
    """Return the manifest in an output folder, or None if it has none yet.

    Raises:
        ConfigurationError: it can't be read, or the folder has other files.
    """
    place = out.child(MANIFEST)
    if place.info.type is fs.FileType.NotFound:
        if any(".partial" not in info.base_name for info in out.files(recursive=False)):
            raise ConfigurationError(f"{out.path} holds other files; name a folder that is new or empty.")
        return None
    try:
        return Manifest.model_validate_json(place.read())
    except ValidationError as error:
        raise ConfigurationError(
            f"{place.path} isn't a manifest of this version; name another folder."
        ) from error


def check_same(found: Manifest, *, asked: str, work: Work) -> None:
    """Refuse to mix two jobs in one folder.

    Raises:
        ConfigurationError: the folder has another job; the message names the difference.
    """
    wanted, before = {"model": asked, **dict(work)}, {"model": found.asked, **dict(found.work)}
    if differing := [name for name in wanted if wanted[name] != before[name]]:
        raise ConfigurationError(
            f"The output folder holds another job's parts: {', '.join(differing)} differ"
            f"{'s' if len(differing) == 1 else ''}. Name another folder, or remove this one."
        )


def write_manifest(out: Place, manifest: Manifest) -> None:
    """Write the manifest of a new job."""
    out.child(MANIFEST).write(manifest.model_dump_json(indent=2).encode() + b"\n")


def part_name(number: int, *, form: str) -> str:
    """Return the name of a block's output."""
    return f"part-{number:06d}.{form}"


def pending(blocks: list[Block], out: Place, *, form: str) -> list[Block]:
    """Return the blocks that have no part yet."""
    there = {info.base_name for info in out.files(recursive=False)}
    return [block for block in blocks if part_name(block.number, form=form) not in there]
