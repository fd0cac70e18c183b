import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from toxic_dashboards.boards import BOARDS, SERVICE, VARIABLES, Board

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
    """Each has a title, a description, a unit and a query."""
    exported = json.loads(board.export())
    panels = list(_panels(exported))
    assert len(panels) == len(board.panels())
    for panel in panels:
        assert panel["title"]
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["expr"] for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_dashboard_marks_promotions(board: Board) -> None:
    """A jump in a graph can be compared with a promotion."""
    (mark,) = json.loads(board.export())["annotations"]["list"]
    assert mark["name"] == "Promotions"
    assert "toxic_inference_alias_info" in mark["expr"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_board_is_filtered_by_instance_and_version(board: Board) -> None:
    """Both variables offer what there is, all at first, and every query of inference's metrics uses them."""
    variables = {each["name"]: each for each in json.loads(board.export())["templating"]["list"]}
    for name, values in VARIABLES.items():
        assert variables[name]["query"] == values
        assert (variables[name]["multi"], variables[name]["allValue"]) == (True, ".*")
        assert variables[name]["current"]["value"] == "$__all"
    for panel in board.panels():
        for expr in panel.queries.values():
            for matchers in re.findall(r"(?<![:\w])toxic_inference_\w+(\{.*?\})?", expr):
                assert 'instance=~"$instance"' in matchers, (panel.title, expr)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_an_empty_panel_names_what_it_waits_for(board: Board) -> None:
    """Instead of Grafana's "No data", which looks like a fault."""
    for panel, exported in zip(board.panels(), _panels(json.loads(board.export())), strict=True):
        text = exported["fieldConfig"]["defaults"]["noValue"]
        assert text.startswith("No data yet")
        assert panel.needs in text


def test_bounds_are_drawn() -> None:
    """What an alert or an objective compares with is a line; the lowest values have a color."""
    drawn = {panel.title for board in BOARDS for panel in board.panels() if panel.thresholds}
    assert drawn >= {"Drift of scores", "Live disagreement", "Error burn rate", "Latency of scoring"}
    assert drawn >= {"Availability budget left", "Free disk space", "Targets"}
    for board in BOARDS:
        for panel, exported in zip(board.panels(), _panels(json.loads(board.export())), strict=True):
            steps = exported["fieldConfig"]["defaults"]["thresholds"]["steps"]
            assert [step["value"] for step in steps] == [None, *sorted(panel.thresholds)]


def test_prometheus_and_alertmanager_have_a_row() -> None:
    """If they fail, no alert fires."""
    (row,) = [row for row in SERVICE.rows if row.title == "Prometheus and Alertmanager"]
    queries = [expr for panel in row.panels for expr in panel.queries.values()]
    assert {"prometheus", "alertmanager"} <= {
        name.split("_")[0] for expr in queries for name in re.findall(r"\w+_total", expr)
    }


def test_no_two_panels_of_a_dashboard_share_a_title() -> None:
    """Runbooks refer to panels by their titles."""
    for board in BOARDS:
        titles = [panel.title for panel in board.panels()]
        assert len(titles) == len(set(titles))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_board_imports_into_a_grafana_with_other_data_sources(board: Board) -> None:
    """Every query names the board's variable, which offers each Prometheus of that Grafana."""
    exported = json.loads(board.export())
    variable, *_ = exported["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert set(re.findall(r'"uid": "(.*?)"', board.export())) == {"${datasource}", board.uid}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_sdk_s_schema_reads_an_exported_board(board: Board) -> None:
    """Every panel with its queries; the SDK writes what isn't set as null, and doesn't read that."""
    register_default_plugins()

    def without_null(members: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in members.items() if value is not None}

    read = Dashboard.from_json(json.loads(board.export(), object_hook=without_null))
    again = json.loads(JSONEncoder().encode(read))
    assert [panel["title"] for panel in _panels(again)] == [panel.title for panel in board.panels()]
    found = [target["expr"] for panel in _panels(again) for target in panel["targets"]]
    assert found == [expr for panel in board.panels() for expr in panel.queries.values()]


def test_boards_link_to_one_another_and_list_the_alerts() -> None:
    """By their tag, with the same time and data source."""
    for board in BOARDS:
        exported = json.loads(board.export())
        (link,) = exported["links"]
        assert link["type"] == "dashboards"
        assert set(link["tags"]) <= set(exported["tags"])
        assert (link["keepTime"], link["includeVars"]) == (True, True)
    kinds = {panel.title: panel.kind for board in BOARDS for panel in board.panels()}
    assert kinds["Alerts"] == "table"
