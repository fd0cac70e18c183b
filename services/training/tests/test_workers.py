import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops
from mlflow import MlflowClient

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS
from toxic_testing.forking import quick_python
from toxic_testing.ports import free_port
from toxic_testing.registry import copy_tables
from toxic_testing.training import SMALLEST
from toxic_training.data.comments import LABEL_COLUMNS
from toxic_training.modelling.batches import MISSING_LABEL
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.modelling.workers import Workers

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 600

_TRAIN = """
import json, math, multiprocessing, os, sys
from functools import partial
from pathlib import Path
import keras
import numpy as np
import pandas as pd
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.kedro_project.datasets import EncoderDataset
from toxic_training.kedro_project.pipelines.modelling import nodes
from toxic_training.modelling import fitting
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.modelling.processes import WorkerFailedError, train_together
from toxic_training.modelling.workers import ALONE

root = Path(sys.argv[1])
comments = pd.read_parquet(root / "comments.parquet")
parameters = ModellingParameters.model_validate_json((root / "parameters.json").read_text())
forking = multiprocessing.get_context("fork")
multiprocessing.get_context = lambda method: forking

def train(workers, *, folder, fails_at=0):
    losses = []

    class Recorded(fitting.Trainer):
        def fit(self, loss):
            for layer in self._classifier._flatten_layers():
                if isinstance(layer, keras.layers.Dropout):
                    layer.rate = 0.0  # KerasHub's encoder has its own
            return super().fit(loss)

        def _step(self):
            before = self._loss
            super()._step()
            memory = 0.0 if math.isnan(before) else fitting._LOSS_MEMORY
            losses.append((self._loss - (memory and memory * before)) / (1 - memory))
            if len(losses) == fails_at and not workers.is_chief:
                raise RuntimeError("on purpose")

    nodes.Trainer = Recorded
    fitted = nodes.train_as_worker(
        workers,
        encoder=EncoderDataset(str(root / "encoder")).load(),
        training=comments,
        validation=comments,
        teacher_scores=pd.read_parquet(root / "teacher.parquet"),
        checkpoint=folder / "checkpoint",
        data=DataParameters(train=SourceParameters(), validation=SourceParameters()),
        parameters=parameters,
    )
    if workers.is_chief:
        (folder / "losses.json").write_text(json.dumps(losses))
    return fitted

def alone(folder):
    return train(ALONE, folder=folder)

def together(folder):
    return train_together(partial(train, folder=folder), processes=2)

def resumed(folder):
    try:
        train_together(partial(train, folder=folder, fails_at=30), processes=2)
    except WorkerFailedError:
        assert (folder / "checkpoint").exists()
        return train(ALONE, folder=folder)

EncoderDataset(str(root / "encoder")).save(nodes.prepare_encoder(comments, root, parameters))
for run in (alone, together, resumed):
    folder = root / run.__name__
    folder.mkdir()
    if (process := os.fork()) == 0:
        try:
            classifier, figures = run(folder)
            np.savez(folder / "weights.npz", *classifier.get_weights())
            (folder / "figures.json").write_text(json.dumps(figures))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0, folder
"""
"""Trains alone, with two workers, and with two of which one fails before the training is continued alone.

All processes are forked, since importing what they need takes longer than they do.
"""


def test_shares_contain_every_row_of_a_batch_once() -> None:
    """All shares have one size; what fills them up has no labels."""
    ids = np.arange(10, dtype=np.int32).reshape(5, 2)
    batch = ({INPUT_IDS: ids, ATTENTION_MASK: ids}, ids.astype(np.float32), np.arange(5, dtype=np.float32))
    shares = [Workers(count=3, index=index).share(batch) for index in range(3)]
    assert {len(targets) for _, targets, _ in shares} == {2}
    kept = [targets[:, 0] != MISSING_LABEL for _, targets, _ in shares]
    rows = np.concatenate([weights[known] for (_, _, weights), known in zip(shares, kept, strict=True)])
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 4]
    first = np.concatenate(
        [inputs[INPUT_IDS][known] for (inputs, _, _), known in zip(shares, kept, strict=True)]
    )
    np.testing.assert_array_equal(first[:, 0], 2 * rows)


def test_one_worker_computes_whole_batches() -> None:
    """It changes no batch and waits for none."""
    batch = ({INPUT_IDS: np.ones((1, 2), np.int32)}, np.ones((1, 6), np.float32), np.ones(1, np.float32))
    alone = Workers()
    assert alone.share(batch) is batch
    assert alone.mean(2.5) == alone.of_chief(lambda: 2.5) == 2.5


def test_dropout_draws_other_units_on_every_worker() -> None:
    """Otherwise the same units would be missing in every share of a batch; the chief's draws stay."""
    dropout = keras.layers.Dropout(0.5, seed=7)
    model = keras.Sequential([keras.Input((100,)), dropout])
    drawn = []
    for workers in (Workers(), Workers(count=2), Workers(count=2, index=1)):
        dropout.seed_generator.state.assign([7, 0])
        workers.draw_apart(model)
        drawn.append(ops.convert_to_numpy(model(np.ones((1, 100)), training=True)))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[1] != drawn[2]).any()


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, corpus: pd.DataFrame, modelling_parameters: ModellingParameters
) -> Path:
    """Run the script; return its folder."""
    folder = tmp_path_factory.mktemp("runs")
    changes = {
        "batch_size": 7,
        "epochs": 9,
        "mined_share": 0.2,
        "averaging": 0.9,
        "label_smoothing": 0.05,
        "teacher_share": 0.3,
        "selections": 4,
        "max_train_minutes": 1e6,  # the rate depends on the larger share of steps and time
        "checkpoint_minutes": 0.0,
    }
    parameters = modelling_parameters.model_copy(update=changes)
    (folder / "parameters.json").write_text(parameters.model_dump_json())
    labelled = corpus.copy()
    labelled.loc[::3, ["obscene", "insult"]] = 1.0
    labelled.loc[::5, "threat"] = 0.0
    labelled.to_parquet(folder / "comments.parquet")
    dice = np.random.default_rng(1)
    shape = (len(corpus), len(LABEL_COLUMNS))
    teacher = pd.DataFrame(dice.random(shape, np.float32), columns=list(LABEL_COLUMNS))
    teacher.loc[::4, "obscene"] = np.nan
    teacher.to_parquet(folder / "teacher.parquet")
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    command = [sys.executable, "-c", _TRAIN, str(folder)]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_two_workers_have_the_loss_curve_of_one(runs: Path) -> None:
    """With the same global batch and seed, in float32 and without dropout, every step's loss is the same."""
    one, two = (json.loads((runs / name / "losses.json").read_text()) for name in ("alone", "together"))
    assert len(one) == len(two) == 54
    np.testing.assert_allclose(two, one, atol=1e-3)


@pytest.mark.parametrize("name", ["together", "resumed"])
def test_any_number_of_workers_trains_the_same_classifier(runs: Path, name: str) -> None:
    """Weights and figures are those of one worker, also if one of two failed and one alone continued."""
    expected, found = (json.loads((runs / each / "figures.json").read_text()) for each in ("alone", name))
    for figure in ("steps", "selections", "stopped_early"):
        assert found[figure] == expected[figure]
    assert found["workers"] == (2 if name == "together" else 1)
    assert found["selection_auc"] == pytest.approx(expected["selection_auc"], abs=0.01)
    weights, same = (np.load(runs / each / "weights.npz") for each in ("alone", name))
    for key in weights.files:
        np.testing.assert_allclose(same[key], weights[key], atol=1e-3)


def test_training_continues_where_a_failed_worker_ended_it(runs: Path) -> None:
    """The checkpoint of two workers is continued by one."""
    assert 24 <= len(json.loads((runs / "resumed" / "losses.json").read_text())) <= 25


@pytest.mark.e2e
def test_the_commands_of_a_cluster_train_together(tmp_path: Path) -> None:
    """The chief's `run` prepares the data and saves the result; `join` waits for it and trains with it."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    options = ["--env", "demo", "--params", SMALLEST]
    commands = [["run", "--pipelines", "data_processing,modelling", *options], ["join", *options]]
    registry = copy_tables(tmp_path / "mlflow.db")
    processes = []
    for index, command in enumerate(commands):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps(cluster),
            "TOXIC_DEMO_DIR": str(tmp_path / "data"),
            "MLFLOW_TRACKING_URI": registry,
            "MLFLOW_REGISTRY_URI": registry,
        }
        with (tmp_path / f"{index}.log").open("w") as log:
            program = [quick_python("training"), "-m", "toxic_training", *command]
            processes.append(subprocess.Popen(program, env=environment, stdout=log, stderr=subprocess.STDOUT))
    try:
        ended = [process.wait(PATIENCE_SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert ended == [0, 0], "".join(path.read_text() for path in tmp_path.glob("*.log"))
    models = tmp_path / "data" / "06_models"
    assert (models / "classifier.keras").exists()
    assert not (models / "training-checkpoint.safetensors").exists()
    client = MlflowClient(registry)
    experiment = client.get_experiment_by_name("toxic-comments")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["training.workers"] == 2
