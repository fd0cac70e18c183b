"""A folder of numbered versions, as stock TensorFlow Serving watches one: each subfolder is a bundle.

The alias names the largest number; pinned numbers are served too if they exist. Bundles are verified and
loaded in place, not copied. A folder whose contract changed is another servable, so a half-copied bundle is
tried again as soon as it is complete.
"""

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from toxic_core.contract import CONTRACT_FILE, Bundle, file_digest, open_bundle
from toxic_core.errors import ContractError, RegistryUnavailableError
from toxic_inference.serving.interfaces import AspiredVersion, ServableId

_FINGERPRINT_LENGTH = 16
_INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """Implements `Source` and `BundleStore` over a folder.

    Attributes:
        folder: contains the numbered folders.
        alias: the alias of the largest number.
        pinned: further numbers to serve.
        max_bytes: size limit of a bundle; None for no limit.
    """

    folder: Path
    _: KW_ONLY
    alias: str
    pinned: Sequence[str] = ()
    max_bytes: int | None = None

    def aspired(self) -> tuple[AspiredVersion, ...]:
        """Return the largest numbered folder, if there is one, and the pinned ones that exist.

        Raises:
            RegistryUnavailableError: the folder can't be read now, or is a bundle itself.
        """
        try:
            names = [path.name for path in self.folder.iterdir() if path.is_dir()]
            numbers = [int(name) for name in names if re.fullmatch("0|[1-9][0-9]*", name)]
            if not numbers and (self.folder / CONTRACT_FILE).is_file():
                raise RegistryUnavailableError(
                    f"The model folder {self.folder} is itself a bundle; "
                    f"move its files to {self.folder / '1'}."
                )
            if not numbers:
                return ()
            largest = str(max(numbers))
            wanted = dict.fromkeys((largest, *(p for p in self.pinned if p in map(str, numbers))))
            ids = [ServableId(version, self._fingerprint(version)) for version in wanted]
        except OSError as error:
            raise RegistryUnavailableError(
                f"The model folder {self.folder} can't be read: {error.strerror}."
            ) from error
        return tuple(AspiredVersion(i, frozenset({self.alias} if i.version == largest else ())) for i in ids)

    def checkout(self, servable_id: ServableId) -> Bundle:
        """Return the folder's bundle, verified.

        Raises:
            ContractError: the bundle is damaged or incomplete, or was replaced meanwhile.
        """
        bundle = open_bundle(self.folder / servable_id.version, max_bytes=self.max_bytes)
        if self._fingerprint(servable_id.version) != servable_id.fingerprint:
            raise ContractError(f"{bundle.path} was replaced while it was being loaded.")
        return bundle

    def release(self, servable_id: ServableId) -> None:
        """Do nothing: the folder belongs to the operator."""

    def _fingerprint(self, version: str) -> str:
        try:
            return file_digest(self.folder / version / CONTRACT_FILE)[:_FINGERPRINT_LENGTH]
        except FileNotFoundError:
            return _INCOMPLETE
