"""Where `make clients` writes what the clients' calls returned."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from toxic_testing.inference.perspective_clients import Outcome, document_of, read_clients

FOLDER = Path(__file__).parent
OPTION = "--clients-document"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make clients`."""
    parser.addoption(OPTION, type=Path, help="call the slow clients too, and write this document")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test of a client each of them; those that are slow to install only for the document."""
    if "client" in metafunc.fixturenames:
        every = metafunc.config.getoption(OPTION, default=None) is not None
        clients = [each for each in read_clients(FOLDER)[1] if every or not each.slow]
        metafunc.parametrize("client", clients, ids=[each.name.replace(" ", "-") for each in clients])


@pytest.fixture(scope="session")
def outcomes(pytestconfig: pytest.Config) -> Iterator[list[Outcome]]:
    """What the clients' calls returned so far; it ends in the document."""
    collected: list[Outcome] = []
    yield collected
    document: Path | None = pytestconfig.getoption(OPTION, default=None)
    if document is not None:
        document.write_text(document_of(collected), encoding="utf-8")
