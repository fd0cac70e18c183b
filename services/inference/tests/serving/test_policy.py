import pytest

from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.versions.policy import (
    Action,
    Forget,
    Load,
    Snapshot,
    Unload,
    VersionPolicy,
    next_action,
)
from toxic_inference.serving.versions.states import State

ONE, TWO, THREE = (ServableId(version, "f") for version in "123")


def snapshot(servable_id: ServableId, state: State, flags: str = "") -> Snapshot:
    """Return a snapshot; flags are a(spired), r(outed), d(ue)."""
    return Snapshot(
        id=servable_id,
        state=state,
        aspired="a" in flags,
        routed="r" in flags,
        retry_due="d" in flags,
    )


@pytest.mark.parametrize(
    ("snapshots", "action"),
    [
        pytest.param([], None, id="nothing known"),
        pytest.param([snapshot(ONE, State.NEW, "a")], Load(ONE), id="a new version is loaded"),
        pytest.param([snapshot(ONE, State.LOADING, "a")], None, id="a loading version is waited for"),
        pytest.param([snapshot(ONE, State.AVAILABLE, "ar")], None, id="what is wanted and serves stays"),
        pytest.param(
            [snapshot(TWO, State.NEW, "a"), snapshot(ONE, State.AVAILABLE, "r")],
            Load(TWO),
            id="the next champion loads while the old one serves",
        ),
        pytest.param(
            [snapshot(TWO, State.FAILED, "a"), snapshot(ONE, State.AVAILABLE, "r")],
            None,
            id="a failed champion never unloads the one that serves",
        ),
        pytest.param(
            [snapshot(TWO, State.FAILED, "ad"), snapshot(ONE, State.AVAILABLE, "r")],
            Load(TWO),
            id="a failed version is tried again once its time has come",
        ),
        pytest.param(
            [snapshot(TWO, State.AVAILABLE, "ar"), snapshot(ONE, State.AVAILABLE)],
            Unload(ONE),
            id="what neither is wanted nor routed to is unloaded",
        ),
        pytest.param(
            [snapshot(TWO, State.NEW, "a"), snapshot(ONE, State.AVAILABLE)],
            Unload(ONE),
            id="memory is freed before more is taken",
        ),
        pytest.param(
            [snapshot(ONE, State.NEW, "a"), snapshot(TWO, State.LOADING, "a")],
            None,
            id="one load at a time",
        ),
        pytest.param(
            [snapshot(ONE, State.FAILED, "ad"), snapshot(TWO, State.NEW, "a")],
            Load(TWO),
            id="a version that never failed goes before one that did",
        ),
        pytest.param(
            [snapshot(ONE, State.NEW, "a"), snapshot(TWO, State.NEW, "a")],
            Load(ONE),
            id="the most important version first",
        ),
        pytest.param([snapshot(ONE, State.FAILED, "d")], Forget(ONE), id="an unwanted failure is forgotten"),
        pytest.param([snapshot(ONE, State.NEW)], Forget(ONE), id="an unwanted new version is forgotten"),
        pytest.param([snapshot(ONE, State.ENDED, "a")], Forget(ONE), id="an ended version starts anew"),
        pytest.param([snapshot(ONE, State.DRAINING)], None, id="a draining version is waited for"),
        pytest.param([snapshot(ONE, State.UNLOADING)], None, id="an unloading version is waited for"),
        pytest.param([snapshot(ONE, State.LOADING)], None, id="an unwanted load runs to its end"),
    ],
)
def test_policy_chooses_one_action(snapshots: list[Snapshot], action: Action | None) -> None:
    """The policy is a table from what is known to one next action."""
    assert next_action(snapshots, policy=VersionPolicy.AVAILABILITY_PRESERVING) == action


@pytest.mark.parametrize(
    ("snapshots", "action"),
    [
        pytest.param(
            [snapshot(TWO, State.NEW, "a"), snapshot(ONE, State.AVAILABLE, "r")],
            Unload(ONE),
            id="the version that serves makes way for the next",
        ),
        pytest.param(
            [snapshot(TWO, State.NEW, "a"), snapshot(ONE, State.DRAINING)],
            None,
            id="nothing is loaded before the old one is gone",
        ),
        pytest.param(
            [snapshot(TWO, State.NEW, "a"), snapshot(ONE, State.UNLOADING)],
            None,
            id="nothing is loaded while the old one is being freed",
        ),
        pytest.param([snapshot(TWO, State.NEW, "a")], Load(TWO), id="then the next is loaded"),
        pytest.param(
            [snapshot(ONE, State.AVAILABLE, "r")],
            None,
            id="an alias that vanished takes nothing away",
        ),
        pytest.param(
            [snapshot(TWO, State.FAILED, "a"), snapshot(ONE, State.AVAILABLE, "r")],
            None,
            id="a version that can't be loaded now needs no room",
        ),
        pytest.param(
            [snapshot(ONE, State.AVAILABLE, "ar"), snapshot(TWO, State.NEW, "a")],
            Load(TWO),
            id="what is wanted side by side is served side by side",
        ),
    ],
)
def test_the_resource_preserving_policy_frees_first(snapshots: list[Snapshot], action: Action | None) -> None:
    """Memory for one version is enough; what it costs is a gap."""
    assert next_action(snapshots, policy=VersionPolicy.RESOURCE_PRESERVING) == action
