"""A plain folder of numbered versions, as stock TensorFlow Serving watches: each subfolder is a bundle.

The alias names the largest number; pinned numbers are served beside it if they exist. Bundles are verified
and loaded in place, without a copy. A folder with a changed contract is another servable, so an incomplete
copy is tried again once it is complete.
"""

from collections.abc import Sequence
from pathlib import Path

from toxic_core.contract import CONTRACT_FILE, Bundle, file_digest, open_bundle
from toxic_core.errors import ContractError, RegistryUnavailableError
from toxic_inference.serving.interfaces import AspiredVersion, ServableId

_FINGERPRINT_LENGTH = 16
_INCOMPLETE = "incomplete"


class DirectorySource:
    """Implements `Source` and `BundleStore` over a folder.

    Args:
        folder: holds the numbered folders.
        alias: what its largest number is served as.
        pinned: numbers that are served besides the largest.
        max_bytes: the largest bundle that is read; None for any.
    """

    def __init__(
        self, folder: Path, *, alias: str, pinned: Sequence[str] = (), max_bytes: int | None = None
    ) -> None:
        self._folder = folder
        self._alias = alias
        self._pinned = tuple(pinned)
        self._max_bytes = max_bytes

    def aspired(self) -> tuple[AspiredVersion, ...]:
        """Return the largest numbered folder, if there is one, and the pinned ones that are there.

        Raises:
            RegistryUnavailableError: the folder can't be read now.
        """
        try:
            numbers = [int(p.name) for p in self._folder.iterdir() if _is_number(p.name) and p.is_dir()]
            if not numbers:
                return ()
            largest = str(max(numbers))
            wanted = dict.fromkeys((largest, *(p for p in self._pinned if p in map(str, numbers))))
            ids = [ServableId(version, self._fingerprint(version)) for version in wanted]
        except OSError as error:
            raise RegistryUnavailableError(
                f"The model folder {self._folder} can't be read: {error.strerror}."
            ) from error
        return tuple(AspiredVersion(i, frozenset({self._alias} if i.version == largest else ())) for i in ids)

    def checkout(self, servable_id: ServableId) -> Bundle:
        """Return the folder's bundle, verified.

        Raises:
            ContractError: the bundle is damaged, isn't one, or was replaced meanwhile.
        """
        bundle = open_bundle(self._folder / servable_id.version, max_bytes=self._max_bytes)
        if self._fingerprint(servable_id.version) != servable_id.fingerprint:
            raise ContractError(f"{bundle.path} was replaced while it was about to be loaded.")
        return bundle

    def release(self, servable_id: ServableId) -> None:
        """Keep the folder, which is the operator's."""

    def _fingerprint(self, version: str) -> str:
        try:
            return file_digest(self._folder / version / CONTRACT_FILE)[:_FINGERPRINT_LENGTH]
        except FileNotFoundError:
            return _INCOMPLETE


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and str(int(name)) == name
