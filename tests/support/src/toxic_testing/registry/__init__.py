"""Real processes for tests: a registry, its database, a receiver of webhooks; and versions to register."""

from toxic_testing.registry.postgres import PostgresServer
from toxic_testing.registry.process import RegistryProcess, free_port
from toxic_testing.registry.receiver import Receiver
from toxic_testing.registry.versions import GOOD_FIGURES, Versions, write_bundle

__all__ = [
    "GOOD_FIGURES",
    "PostgresServer",
    "Receiver",
    "RegistryProcess",
    "Versions",
    "free_port",
    "write_bundle",
]
