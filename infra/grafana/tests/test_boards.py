import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toxic_dashboards.boards import BOARDS, Board

GRAFANA = Path(__file__).resolve().parents[1]


def _panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_exported_file_is_up_to_date(board: Board) -> None:
    """`make dashboards` was run after the last change."""
    file = GRAFANA / "dashboards" / f"{board.uid}.json"
    assert file.read_text(encoding="utf-8") == board.export(), "run `make dashboards`"


def test_every_file_is_a_dashboard() -> None:
    """A renamed dashboard leaves no old file."""
    assert {file.stem for file in (GRAFANA / "dashboards").iterdir()} == {board.uid for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_exported_panel_is_documented(board: Board) -> None:
    """Each has a title, a description, a unit and a query of the provisioned data source."""
    exported = json.loads(board.export())
    panels = list(_panels(exported))
    assert len(panels) == len(board.panels())
    for panel in panels:
        assert panel["title"]
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["expr"] for target in panel["targets"]), panel["title"]
        assert all(target["datasource"]["uid"] == "prometheus" for target in panel["targets"])


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_dashboard_marks_promotions(board: Board) -> None:
    """A jump in a graph can be compared with a promotion."""
    (mark,) = json.loads(board.export())["annotations"]["list"]
    assert mark["name"] == "Promotions"
    assert "toxic_inference_alias_info" in mark["expr"]


def test_no_two_panels_of_a_dashboard_share_a_title() -> None:
    """Runbooks refer to panels by their titles."""
    for board in BOARDS:
        titles = [panel.title for panel in board.panels()]
        assert len(titles) == len(set(titles))


def test_the_data_source_is_the_provisioned_one() -> None:
    """The dashboards refer to it by its provisioned uid."""
    provisioned = (GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text()
    assert "uid: prometheus" in provisioned
