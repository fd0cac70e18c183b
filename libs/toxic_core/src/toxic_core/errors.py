"""The errors that services share.

An error carries facts and a sentence with what to do, and no HTTP status: each service maps the classes to
statuses in one table.
"""


class ToxicError(Exception):
    """Root of all errors that this project raises on purpose."""


class InvalidTextError(ToxicError):
    """A text that can't be scored: not a string, empty, or too long."""


class ConfigurationError(ToxicError):
    """An invalid setting or parameter."""


class MissingDataError(ToxicError):
    """A required data file is missing."""


class InvalidDataError(ToxicError):
    """A data file exists but is invalid."""


class RunInProgressError(ToxicError):
    """Another run has the slot, or writes the same files.

    Attributes:
        run_id: the training server's id of the other run, if it is known.
    """

    def __init__(self, message: str, *, run_id: str | None = None) -> None:
        super().__init__(message)
        self.run_id = run_id


class ContractError(ToxicError):
    """A model's files violate the artifact contract."""


class DigestMismatchError(ContractError):
    """A model's file differs from the digest in its contract."""


class NotApprovedError(ContractError):
    """A model's files are whole, but aren't those that the registry's gate approved."""


class InvalidSignatureError(ToxicError):
    """A message between services without a valid signature."""


class RegistryUnavailableError(ToxicError):
    """The model registry doesn't answer."""


class UnknownModelError(ToxicError):
    """No model, version or alias has this name."""


class NoVersionReadyError(ToxicError):
    """The model exists, but none of its versions is available yet."""


class OverloadedError(ToxicError):
    """The queue is full.

    Attributes:
        retry_after_seconds: when a retry is likely to succeed.
    """

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
