"""The seam between sources of bundles and the loader."""

from typing import Protocol

from toxic_core.contract import Bundle
from toxic_inference.serving.interfaces import ServableId


class BundleStore(Protocol):
    """Hands out verified bundles on local disk. Thread-safe; every call may block."""

    def checkout(self, servable_id: ServableId) -> Bundle:
        """Return the version's bundle, verified, and keep it on disk until `release`.

        Raises:
            ContractError: the bundle is damaged or isn't one.
            RegistryUnavailableError: it isn't here and can't be fetched now.
        """
        ...

    def release(self, servable_id: ServableId) -> None:
        """Allow the bundle to be removed."""
        ...
