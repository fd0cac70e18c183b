"""The list of doors: a new door is its package and one entry here."""

from toxic_inference.doors.events.door import EVENTS
from toxic_inference.doors.feedback.door import FEEDBACK
from toxic_inference.doors.jobs.door import JOBS
from toxic_inference.doors.mlflow.door import MLFLOW
from toxic_inference.doors.native.door import NATIVE
from toxic_inference.doors.open_inference.door import OPEN_INFERENCE
from toxic_inference.doors.open_inference.grpc_door import OPEN_INFERENCE_GRPC
from toxic_inference.doors.openai.door import OPENAI
from toxic_inference.doors.operations.door import OPERATIONS
from toxic_inference.doors.perspective.door import PERSPECTIVE
from toxic_inference.doors.review.door import REVIEW
from toxic_inference.doors.tf_serving.door import TF_SERVING
from toxic_inference.doors.tf_serving.grpc_door import TF_SERVING_GRPC
from toxic_inference.http.door import Door
from toxic_inference.web.door import WEB

DOORS: tuple[Door, ...] = (
    NATIVE,
    PERSPECTIVE,
    TF_SERVING,
    OPEN_INFERENCE,
    OPENAI,
    MLFLOW,
    JOBS,
    FEEDBACK,
    REVIEW,
    OPERATIONS,
    EVENTS,
    WEB,
)
"""Every door; paths are matched in this order."""

GRPC_DOORS: tuple[Door, ...] = (TF_SERVING_GRPC, OPEN_INFERENCE_GRPC)
"""Every door over gRPC, on a port of their own."""
