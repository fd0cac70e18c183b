"""The compose file and what it gives to each service."""

from pathlib import Path
from typing import cast

import yaml

ROOT = Path(__file__).resolve().parents[4]
CONTAINERS = ROOT / "infra" / "containers"
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
EXAMPLE = ROOT / ".env.example"
COMPOUND_SECRETS = {"REGISTRY_BACKEND_STORE_URI", "REGISTRY_USERS"}
"""Secrets that are made of several settings."""


def compose_services() -> dict[str, dict[str, object]]:
    """Return the services of the compose file by their names."""
    return cast("dict[str, dict[str, object]]", yaml.safe_load(COMPOSE)["services"])


def environment_of(service: str) -> dict[str, str | None]:
    """Return the variables of a service; one without a value is passed on from the settings."""
    return cast("dict[str, str | None]", compose_services()[service].get("environment", {}))


def secrets_of(service: str) -> dict[str, str]:
    """Return the secrets that a service mounts, by the variables that they replace there."""
    mounted = cast("list[str | dict[str, str]]", compose_services()[service].get("secrets", []))
    return {
        each if isinstance(each, str) else each["target"]: each if isinstance(each, str) else each["source"]
        for each in mounted
    }
