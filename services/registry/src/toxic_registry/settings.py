"""The registry's configuration, from environment variables that begin with `REGISTRY_`.

Built once, in the command line, and passed down. Paths are absolute, so the working directory doesn't matter
after the start.
"""

import socket
from itertools import chain
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  compared with, not bound to
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ANY_HOST = "*"


class Settings(BaseSettings):
    """The registry's settings."""

    model_config = SettingsConfigDict(
        env_prefix="REGISTRY_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(default=5000, ge=1, le=65535, description="TCP port to listen on.")
    state_dir: Path = Field(
        default=Path("var/registry"),
        validate_default=True,
        description="Folder for the default database and artifacts; created if it is missing.",
    )
    backend_store_uri: str = Field(
        default_factory=lambda fields: f"sqlite:///{fields['state_dir'] / 'mlflow.db'}",
        repr=False,  # may hold a password
        description="SQLAlchemy address of MLflow's database; an SQLite file in the state folder by default.",
    )
    artifacts_destination: str = Field(
        default_factory=lambda fields: str(fields["state_dir"] / "artifacts"),
        description="Folder or object store (s3://, gs://, …) behind the artifact proxy; a folder in the "
        "state folder by default.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Further host names, comma-separated, by which clients reach the server, each with or "
        "without a port; * for any. The loopback names and the listening address always work. Pages may "
        "change something if their origin is one of these names, or the name that the request is sent to.",
    )
    gate_file: str = Field(
        default="default",
        description="Policy of the promotion gate: the path of a gate.yml, or the name of a packaged one, "
        "default or demo.",
    )
    trusted_keys_file: Path | None = Field(
        default=None,
        description="File of the public keys that may sign bundles, one `ssh-ed25519 AAAA… name` per line. "
        "With a file, the gate refuses other bundles unless its policy allows them.",
    )
    test_table: Path | None = Field(
        default=None,
        description="Table of labelled comments that only the registry has: `toxic-registry evaluate` "
        "measures versions on it, and the gate's policy can demand figures named sealed.…",
    )
    ledger_head_file: Path = Field(
        default_factory=lambda fields: fields["state_dir"] / "ledger-head.json",
        description="File with the ledger's head: its length and last hash, signed by the key beside it "
        "(.key). It is outside the database; in the state folder by default.",
    )
    max_bundle_megabytes: int = Field(
        default=4000, ge=1, description="Largest model bundle, in MB, that the gate downloads to check."
    )
    users_file: Path | None = Field(
        default=None,
        description="File of users for basic authentication, one `name:hash role` per line, as "
        "`toxic-registry hash-password` prints it; read again when it changes. Without a file, no sign-in is "
        "needed.",
    )
    users: SecretStr = Field(
        default=SecretStr(""),
        description="More users, comma-separated, each `name:password role`, for stacks that keep secrets in "
        "variables. The file's user of the same name counts.",
    )
    event_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses, comma-separated, that receive a signed POST on every change of an alias.",
    )
    event_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that signs the messages to REGISTRY_EVENT_URLS; receivers need the same one.",
    )
    shutdown_grace_seconds: int = Field(
        default=5, ge=0, description="Time limit, in seconds, for open requests after a stop signal."
    )
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Lowest level to log: DEBUG, INFO, WARNING or ERROR.",
    )

    @field_validator("allowed_hosts", "event_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("event_urls")
    @classmethod
    def _web_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{url!r} isn't an http or https address")
        return value

    @model_validator(mode="after")
    def _signed_events(self) -> Self:
        if self.event_urls and not self.event_secret.get_secret_value():
            raise ValueError("REGISTRY_EVENT_URLS needs REGISTRY_EVENT_SECRET to sign its messages")
        return self

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def evaluations_dir(self) -> Path:
        """The folder of the registry's own evaluations; outside the artifacts, which callers write."""
        return self.state_dir / "evaluations"

    @property
    def host_headers(self) -> tuple[str, ...]:
        """The allowed `Host` headers, or a star for any; MLflow compares whole headers, port included.

        Listening on all addresses adds the machine's own name. A name without a port is allowed without one
        and with this server's.
        """
        return (_ANY_HOST,) if _ANY_HOST in self.allowed_hosts else self._named_headers

    @property
    def origins(self) -> tuple[str, ...]:
        """The web origins of the named hosts, from which the UI sends its requests; a star adds none."""
        return tuple(f"{scheme}://{header}" for header in self._named_headers for scheme in ("http", "https"))

    @property
    def _named_headers(self) -> tuple[str, ...]:
        if self.host in _WILDCARDS:
            listening = socket.gethostname()
        else:
            listening = f"[{self.host}]" if ":" in self.host else self.host
        names = dict.fromkeys((*_LOOPBACK, listening, *self.allowed_hosts))
        names.pop(_ANY_HOST, None)
        headers = (
            (name,) if ":" in name.rpartition("]")[2] else (name, f"{name}:{self.port}") for name in names
        )
        return tuple(chain.from_iterable(headers))
