"""A real registry process, a real database, versions to put in and a receiver of events, for tests."""

from toxic_registry.testing.postgres import PostgresServer
from toxic_registry.testing.process import RegistryProcess, free_port
from toxic_registry.testing.receiver import Receiver
from toxic_registry.testing.versions import GOOD_FIGURES, Versions, write_bundle

__all__ = [
    "GOOD_FIGURES",
    "PostgresServer",
    "Receiver",
    "RegistryProcess",
    "Versions",
    "free_port",
    "write_bundle",
]
