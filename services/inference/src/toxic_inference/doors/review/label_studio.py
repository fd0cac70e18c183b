"""Label Studio's JSON: tasks with the model's predictions out, annotations in.

Source: Label Studio's guides *Import pre-annotated data* and *Raw JSON format of completed tasks*. The
labelling interface has one `Choices` named `labels` for the `Text` named `text`.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, RootModel

from toxic_core.labels import LabelName
from toxic_inference.corrections.review_store import ReviewItem

MOST_TASKS: Final = 500
"""Tasks in one export or import."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="The text's SHA-256, in hexadecimal.")]


class TaskData(BaseModel):
    """What a task is about; Label Studio returns it unchanged."""

    digest: Digest
    labels: list[LabelName] = Field(min_length=1, max_length=100, description="The labels to judge.")


class TextData(TaskData):
    """What Label Studio shows."""

    text: str
    language: str | None = None
    reason: str = Field(description="Why the text is to be reviewed.")
    place: str = Field(description="Its position; `after` of the next export.")


class Choices(BaseModel):
    """The chosen labels."""

    choices: list[LabelName]


class ChoicesResult(BaseModel):
    """A region of a prediction."""

    from_name: Literal["labels"] = "labels"
    to_name: Literal["text"] = "text"
    type: Literal["choices"] = "choices"
    value: Choices


class Prediction(BaseModel):
    """What the model decided."""

    model_version: str
    result: list[ChoicesResult]


class Task(BaseModel):
    """A text to annotate."""

    data: TextData
    predictions: list[Prediction]


class Tasks(RootModel[list[Task]]):
    """An export."""


class AnyValue(BaseModel):
    """A region's value; other members than choices are ignored."""

    choices: list[LabelName] = Field(default=[], max_length=100)


class AnyResult(BaseModel):
    """A region of an annotation."""

    value: AnyValue


class Person(BaseModel):
    """A user of Label Studio."""

    id: int


class Annotation(BaseModel):
    """One person's annotation; without a result, no label applies."""

    completed_by: int | Person = Field(description="Who annotated: Label Studio's number, or the user.")
    was_cancelled: bool = Field(default=False, description="Whether the person skipped the task.")
    result: list[AnyResult] = Field(max_length=100)

    @property
    def annotator(self) -> str:
        """Who annotated."""
        person = self.completed_by
        return f"label-studio-{person if isinstance(person, int) else person.id}"

    def judgement(self, labels: list[LabelName]) -> dict[LabelName, bool]:
        """Return the judgement of each label, and of chosen ones that the task doesn't have."""
        chosen = {label for region in self.result for label in region.value.choices}
        return {label: label in chosen for label in dict.fromkeys((*labels, *sorted(chosen)))}


class AnnotatedTask(BaseModel):
    """A task as Label Studio exports it; other members are ignored."""

    data: TaskData
    annotations: list[Annotation] = Field(max_length=20)


class AnnotatedTasks(RootModel[list[AnnotatedTask]]):
    """What Label Studio exports as JSON."""


def task_of(place: str, item: ReviewItem) -> Task:
    """Return a text as a task."""
    decided = [label for label, (_, decision) in item.seen.items() if decision]
    known = item.version is not None and all(decision is not None for _, decision in item.seen.values())
    return Task(
        data=TextData(
            digest=item.digest,
            labels=[*item.seen],
            text=item.text,
            language=item.language,
            reason=item.reason.value,
            place=place,
        ),
        predictions=[
            Prediction(
                model_version=str(item.version),
                result=[ChoicesResult(value=Choices(choices=decided))] if decided else [],
            )
        ]
        if known
        else [],
    )
