"""The registry's configuration, from environment variables that begin with `REGISTRY_`.

Invariant: built once, at the edge of the process, and passed down; nothing here reads the environment when
it is imported. Paths are absolute, so the working directory means nothing after start.
"""

import socket
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  recognised, not bound to
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ANY_HOST = "*"


def _database_below(fields: dict[str, Any]) -> str:
    return f"sqlite:///{fields['state_dir'] / 'mlflow.db'}"


def _artifacts_below(fields: dict[str, Any]) -> str:
    return str(fields["state_dir"] / "artifacts")


class Settings(BaseSettings):
    """Everything that an operator can choose about the registry."""

    model_config = SettingsConfigDict(env_prefix="REGISTRY_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every one.")
    port: int = Field(default=5000, ge=1, le=65535, description="TCP port to listen on.")
    state_dir: Path = Field(
        default=Path("var/registry"),
        validate_default=True,
        description="Folder for the default database and artifacts; made where it is missing.",
    )
    backend_store_uri: str = Field(
        default_factory=_database_below,
        repr=False,  # may hold a password
        description="SQLAlchemy address of MLflow's database; an SQLite file in the state folder by default.",
    )
    artifacts_destination: str = Field(
        default_factory=_artifacts_below,
        description="Folder or object store (s3://, gs://, …) behind the artifact proxy; a folder in the "
        "state folder by default.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Further names, comma-separated, that clients reach the server by, each with or without "
        "a port; * for any. The loopback names and the address listened on always work.",
    )
    gate_file: str = Field(
        default="default",
        description="What a version must show to become champion: the path of a gate.yml, or the name of a "
        "packaged one, default or demo.",
    )
    max_bundle_megabytes: int = Field(
        default=4000, ge=1, description="Largest model bundle, in MB, that the gate fetches to check."
    )
    users_file: Path | None = Field(
        default=None,
        description="File of users who must sign in by basic authentication, a line name:hash each, as "
        "`toxic-registry hash-password` makes it; nobody must where there is none.",
    )
    event_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses, comma-separated, that are told of every change of an alias by a signed POST.",
    )
    event_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that such messages are signed with; their receivers need the same.",
    )
    shutdown_grace_seconds: int = Field(
        default=5, ge=0, description="How long open requests may take to finish after a stop signal."
    )
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Lowest level that is logged: DEBUG, INFO, WARNING or ERROR.",
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
            raise ValueError("REGISTRY_EVENT_URLS needs REGISTRY_EVENT_SECRET, to sign with")
        return self

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def host_headers(self) -> tuple[str, ...]:
        """Every `Host` header that is answered; MLflow compares them as they stand, port included.

        Listening on every address adds the machine's own name. A name without a port counts with and
        without this server's.
        """
        listening = (socket.gethostname(),) if self.host in _WILDCARDS else (_bracketed(self.host),)
        names = dict.fromkeys((*_LOOPBACK, *listening, *self.allowed_hosts))
        if ANY_HOST in names:
            return (ANY_HOST,)
        return tuple(header for name in names for header in self._with_port(name))

    @property
    def origins(self) -> tuple[str, ...]:
        """The web origins of `host_headers`: where the UI's own requests come from."""
        if self.host_headers == (ANY_HOST,):
            return (ANY_HOST,)
        return tuple(f"{scheme}://{header}" for header in self.host_headers for scheme in ("http", "https"))

    def _with_port(self, name: str) -> tuple[str, ...]:
        has_port = ":" in name.rpartition("]")[2]
        return (name,) if has_port else (name, f"{name}:{self.port}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
