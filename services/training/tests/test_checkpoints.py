import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toxic_training.modelling.checkpoints import Arrays, CheckpointFile, TrainingState, fingerprint
from toxic_training.modelling.parameters import ModellingParameters

pytestmark = pytest.mark.slow

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

root = Path(sys.argv[1])
comments = pd.read_parquet(root / "comments.parquet")
parameters = ModellingParameters.model_validate_json((root / "parameters.json").read_text())
data = DataParameters(train=SourceParameters(), validation=SourceParameters())
readings = 0

def train(folder, last_reading):
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

for name, last_reading in (("killed", 75), ("killed", 0), ("unbroken", 0)):
    folder = root / name
    folder.mkdir(exist_ok=True)
    if (process := os.fork()) == 0:
        train(folder, last_reading)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    files = sorted(path.name for path in folder.iterdir())
    with (root / "ended.jsonl").open("a") as ended:
        print(json.dumps([status, files]), file=ended)
"""
"""Trains three times, each in a process of its own; the first dies by SIGKILL at a reading of the clock.

They are forked, since importing what they need takes longer than they do.
"""


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


def test_a_killed_training_resumes_to_the_same_result(
    tmp_path: Path, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> None:
    """Killed in its second epoch and resumed, training ends with the same weights and figures."""
    changes = {"checkpoint_minutes": 0.0, "epochs": 3, "max_train_minutes": 60}
    parameters = modelling_parameters.model_copy(update=changes)
    corpus.to_parquet(tmp_path / "comments.parquet")
    (tmp_path / "parameters.json").write_text(parameters.model_dump_json())
    command = [sys.executable, "-c", _TRAIN, str(tmp_path)]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    lines = (tmp_path / "ended.jsonl").read_text().splitlines()
    (status, files), *ended = map(json.loads, lines)
    assert status == -signal.SIGKILL
    assert "checkpoint" in files, "the kill came after a checkpoint"
    assert "result.json" not in files, "the kill came before the end"
    assert [status for status, _ in ended] == [0, 0]
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("killed", "unbroken")]
    assert results[0] == pytest.approx(results[1], abs=1e-6)
    killed, unbroken = (np.load(tmp_path / name / "weights.npz") for name in ("killed", "unbroken"))
    for name in unbroken.files:
        np.testing.assert_allclose(killed[name], unbroken[name], atol=1e-6)
