import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toxic_training.modelling.checkpoints import Arrays, CheckpointFile, TrainingState, fingerprint
from toxic_training.modelling.parameters import ModellingParameters

_STATE = TrainingState(steps=3, seconds=1.5, loss=0.25, scores=(0.5, 0.75), misses=1)

_TRAIN = """
import json, os, signal, sys, time
from pathlib import Path
import numpy as np
import pandas as pd
from toxic_training.kedro_project.datasets import EncoderDataset
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.kedro_project.pipelines.modelling.nodes import prepare_encoder, train_classifier

folder, last_reading = Path(sys.argv[1]), int(sys.argv[2])
comments = pd.read_parquet(folder / "comments.parquet")
parameters = ModellingParameters.model_validate_json((folder / "parameters.json").read_text())
data = DataParameters(train=SourceParameters(), validation=SourceParameters())
readings = 0

def clock():
    global readings
    readings += 1
    if readings == last_reading:
        os.kill(os.getpid(), signal.SIGKILL)
    return time.monotonic()

encoder = EncoderDataset(str(folder / "encoder"))
encoder.save(prepare_encoder(comments, folder, parameters))
classifier, result = train_classifier(
    encoder=encoder.load(), training=comments, validation=comments,
    teacher_scores=pd.DataFrame(index=comments.index),
    checkpoint=folder / "checkpoint", data=data, parameters=parameters, clock=clock,
)
np.savez(folder / "weights.npz", *classifier.get_weights())
kept = ("steps", "selections", "selection_auc", "final_loss")
(folder / "result.json").write_text(json.dumps({name: result[name] for name in kept}))
"""
"""Trains, and dies by SIGKILL at the given reading of the clock; 0 for never."""


def test_a_checkpoint_restores_what_was_saved(tmp_path: Path) -> None:
    """State and variables are unchanged, including unsigned and integer ones."""
    variables: Arrays = {
        "model.0": np.arange(6, dtype=np.float32).reshape(2, 3),
        "model.1": np.array([1, 2], np.uint32),
        "optimiser.0": np.array(7, np.int64),
    }
    file = CheckpointFile(tmp_path / "deep" / "checkpoint", fingerprint="a")
    file.save(_STATE, variables)
    found = file.load()
    assert found is not None
    assert found[0] == _STATE
    for name, value in variables.items():
        np.testing.assert_array_equal(found[1][name], value)
    file.remove()
    assert file.load() is None


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_damaged_checkpoint_is_ignored(tmp_path: Path, damage: bytes) -> None:
    """Training starts anew if the file can't be read."""
    path = tmp_path / "checkpoint"
    path.write_bytes(damage)
    assert CheckpointFile(path, fingerprint="a").load() is None


def test_another_trainings_checkpoint_is_ignored(tmp_path: Path) -> None:
    """Other data, another encoder or other parameters have another fingerprint."""
    path = tmp_path / "checkpoint"
    CheckpointFile(path, fingerprint="a").save(_STATE, {"model.0": np.zeros(1, np.float32)})
    assert CheckpointFile(path, fingerprint="b").load() is None


def test_a_fingerprint_separates_its_parts() -> None:
    """Moving a byte from one part to the next changes the fingerprint."""
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")


@pytest.fixture
def start_training(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> Callable[[str, int], int]:
    """Train in a process of its own, in a folder by name, and return its exit status."""
    parameters = modelling_parameters.model_copy(
        update={"checkpoint_minutes": 0.0, "epochs": 3, "max_train_minutes": 60}
    )

    def start(name: str, last_reading: int) -> int:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        corpus.to_parquet(folder / "comments.parquet")
        (folder / "parameters.json").write_text(parameters.model_dump_json())
        command = [sys.executable, "-c", _TRAIN, str(folder), str(last_reading)]
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
        return subprocess.run(command, check=False, env=environment, capture_output=True).returncode

    return start


def test_a_killed_training_resumes_to_the_same_result(
    tmp_path: Path, start_training: Callable[[str, int], int]
) -> None:
    """Killed in its second epoch and resumed, training ends with the same weights and figures."""
    assert start_training("killed", 75) == -signal.SIGKILL
    assert (tmp_path / "killed" / "checkpoint").exists(), "the kill came after a checkpoint"
    assert not (tmp_path / "killed" / "result.json").exists(), "the kill came before the end"
    assert start_training("killed", 0) == 0
    assert start_training("unbroken", 0) == 0
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("killed", "unbroken")]
    assert results[0] == pytest.approx(results[1], abs=1e-6)
    killed, unbroken = (np.load(tmp_path / name / "weights.npz") for name in ("killed", "unbroken"))
    for name in unbroken.files:
        np.testing.assert_allclose(killed[name], unbroken[name], atol=1e-6)
