import pytest
from mlflow.exceptions import MlflowException

from toxic_registry.gate.alias_names import check_name


@pytest.mark.parametrize(
    "alias",
    [
        "champion",
        "challenger",
        "previous",
        "champion-eu",
        "best_de",
        "candidate",
        "2026-eu",
        "кандидат",
        "produção",
    ],
)
def test_canonical_name_passes(alias: str) -> None:
    """In any script, with digits beside letters."""
    check_name(alias)


@pytest.mark.parametrize(
    ("alias", "right"),
    [
        ("Champion", "champion"), ("champion\n", "champion"), (" champion", "champion"),
        ("champi\u043en", "champion"), ("\uff43hampion", "champion"), ("champion\u200b", "champion"),
        ("ch4mpion", "champion"), ("champoin", "champion"), ("champions", "champion"),
        ("chalenger", "challenger"), ("PREVIOUS", "previous"), ("c.h.a.m.p.i.o.n", "champion"),
    ],
)  # fmt: skip
def test_near_miss_of_a_reserved_name_is_refused_with_the_right_one(alias: str, right: str) -> None:
    """Whoever reads it would take it for the reserved one."""
    with pytest.raises(MlflowException, match=f"reserved alias {right};") as refusal:
        check_name(alias)
    assert refusal.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("alias", "use"),
    [("Best", "'best'"), ("be st", "'best'"), ("\ufb01ne", "'fine'"), ("STRASSE", "'strasse'")],
)
def test_name_that_is_not_canonical_is_refused_with_the_canonical_one(alias: str, use: str) -> None:
    """One spelling per alias, so that two people mean the same."""
    with pytest.raises(MlflowException, match=f"use {use}"):
        check_name(alias)


@pytest.mark.parametrize("alias", ["3", "007", "1.0", "\u0663", "2026-11-29", "-"])
def test_name_without_a_letter_is_refused(alias: str) -> None:
    """`promote 3` means version 3."""
    with pytest.raises(MlflowException, match="version's number"):
        check_name(alias)
