"""What the command line refuses before it reads anything."""

import pytest

from toxic_migrate.cli import main


@pytest.mark.parametrize(
    "address", ["http://[", "http://a:b", "localhost:8001", "ftp://a.example", "http://"]
)
@pytest.mark.parametrize("command", ["record", "compare", "fit"])
def test_what_is_no_address_is_named(address: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With an example of one, and the status of a wrong usage."""
    with pytest.raises(SystemExit) as ended:
        main([command, "table.csv", "--address", address])
    assert ended.value.code == 2
    assert f"{address} isn't an address such as http://127.0.0.1:8001" in capsys.readouterr().err
