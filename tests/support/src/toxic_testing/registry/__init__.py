"""Real processes for tests: a registry, its database, a receiver of webhooks; and versions to register."""

from toxic_testing.registry.attacked import Attacked
from toxic_testing.registry.postgres import PostgresServer
from toxic_testing.registry.process import RegistryProcess
from toxic_testing.registry.receiver import Receiver
from toxic_testing.registry.tables import copy_tables
from toxic_testing.registry.versions import GOOD_FIGURES, Versions, write_bundle

__all__ = [
    "GOOD_FIGURES",
    "Attacked",
    "PostgresServer",
    "Receiver",
    "RegistryProcess",
    "Versions",
    "copy_tables",
    "write_bundle",
]
