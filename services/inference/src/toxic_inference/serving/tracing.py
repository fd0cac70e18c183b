"""What a receiver of events recognises a traced request by.

The core knows no tracing. It carries an opaque object from the request's task to the batches that compute its
rows, because a batch runs in no request's task.
"""

from contextvars import ContextVar

TRACE: ContextVar[object | None] = ContextVar("toxic_inference.trace", default=None)
"""The traced request that the current task works for; None for all others."""
