import pytest

from toxic_core.errors import UnknownModelError
from toxic_registry.client.promotion import Promotion, resolve


@pytest.mark.parametrize(("wanted", "number"), [("2", 2), ("champion", 1), ("7", 7)])
def test_number_or_alias_names_a_version(wanted: str, number: int) -> None:
    """A number takes precedence over an alias of an older database that looks like one."""
    aliases = {"champion": 1, "7": 3}
    assert resolve(wanted, model="m", numbers=[1, 2, 7], aliases=aliases) == number


@pytest.mark.parametrize("wanted", ["4", "challenger", "²", "-1", "", "٢"])
def test_unknown_version_is_an_error_that_lists_the_known_ones(wanted: str) -> None:
    """The message has the model's versions and aliases."""
    with pytest.raises(UnknownModelError, match=r"^m has no version .*versions: 1, 2; aliases: champion"):
        resolve(wanted, model="m", numbers=[2, 1], aliases={"champion": 1})


def test_model_without_versions_asks_for_training() -> None:
    """The message doesn't blame the number."""
    with pytest.raises(UnknownModelError, match="m has no version yet; train one first"):
        resolve("1", model="m", numbers=[], aliases={})


@pytest.mark.parametrize(
    ("replaced", "text"),
    [
        (2, "m version 2 is champion; its content is approved."),
        (None, "champion: none -> 2"),
        (1, "champion: 1 -> 2\nprevious: 1 (`toxic-registry rollback` makes it champion again)"),
    ],
)
def test_promotion_describes_what_changed(replaced: int | None, text: str) -> None:
    """The text names the old and the new champion."""
    assert str(Promotion("m", champion=2, replaced=replaced)) == text
