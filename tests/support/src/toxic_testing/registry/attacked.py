"""A running registry as an attacker sees it: its routes, its database, its artifact store's disk."""

from dataclasses import dataclass, field
from pathlib import Path

import requests

from toxic_registry.client.registry_client import RegistryClient
from toxic_registry.ledger.entries import Entry
from toxic_testing.registry.versions import Versions

TIMEOUT = 60
ALIAS = "/api/2.0/mlflow/registered-models/alias"


@dataclass(frozen=True)
class Attacked:
    """A registry and one registered model of a test.

    Attributes:
        uri: its address.
        state: its state folder.
        versions: registers versions of the model.
    """

    uri: str
    state: Path
    versions: Versions
    session: requests.Session = field(default_factory=requests.Session)

    def request(self, method: str, path: str, **arguments: object) -> requests.Response:
        """Send a request to a path."""
        return self.session.request(method, self.uri + path, timeout=TIMEOUT, **arguments)  # type: ignore[arg-type]

    def set_alias(self, number: int | str, alias: str = "champion", **headers: str) -> requests.Response:
        """Request an alias; headers are those of `toxic_registry.caller`, by their last word."""
        body = {"name": self.versions.model, "alias": alias, "version": str(number)}
        named = {f"X-Registry-{name.capitalize()}": value for name, value in headers.items()}
        return self.request("POST", ALIAS, json=body, headers=named)

    def aliases(self) -> dict[str, int]:
        """Return the version per alias."""
        return self.versions.aliases()

    def ledger(self) -> tuple[Entry, ...]:
        """Return every entry of the ledger."""
        return RegistryClient(self.uri).ledger().entries

    def last_entry(self) -> Entry:
        """Return the newest entry of the ledger."""
        return self.ledger()[-1]

    def approved(self, alias: str = "champion") -> dict[str, object]:
        """Return what inference is told about an alias."""
        answer = self.request("GET", "/ledger/approved", params={"model": self.versions.model}).json()
        found: dict[str, object] = next(each for each in answer["aliases"] if each["alias"] == alias)
        return found

    def artifacts(self, number: int) -> str:
        """Return the route of the artifact proxy below which a version's bundle is."""
        source = self.versions.client.get_model_version(self.versions.model, str(number)).source
        assert source is not None
        location = source.removeprefix("mlflow-artifacts:/").lstrip("/")
        return f"/api/2.0/mlflow-artifacts/artifacts/{location}/artifacts/bundle"

    def folder(self, number: int) -> Path:
        """Return the folder in which the artifact store has a version's bundle."""
        path = self.artifacts(number).removeprefix("/api/2.0/mlflow-artifacts/artifacts/")
        return self.state / "artifacts" / path
