"""The errors that services raise and share.

Invariant: an error carries facts and a sentence saying what to do; it knows nothing of HTTP. The services'
edges turn each class into a status by one table.
"""


class ToxicError(Exception):
    """Root of every error this project raises on purpose."""


class InvalidTextError(ToxicError):
    """A text that can't be scored: not a string, empty, or too long."""


class ConfigurationError(ToxicError):
    """A setting or parameter that can't be used."""


class MissingDataError(ToxicError):
    """A data file that a run needs is not where it is looked for."""


class InvalidDataError(ToxicError):
    """A data file that is there but can't be used."""


class RunInProgressError(ToxicError):
    """Another run has the slot, or writes the same files.

    Attributes:
        run_id: the training server's id of the other run, if it is known.
    """

    def __init__(self, message: str, *, run_id: str | None = None) -> None:
        super().__init__(message)
        self.run_id = run_id


class ContractError(ToxicError):
    """A model's files don't fulfil the artifact contract."""


class DigestMismatchError(ContractError):
    """A file of a model differs from the digest that its contract records."""


class InvalidSignatureError(ToxicError):
    """A message between services that can't be shown to come from who it says."""


class RegistryUnavailableError(ToxicError):
    """The model registry doesn't answer."""


class UnknownModelError(ToxicError):
    """No model, version or label of that name."""


class NoVersionReadyError(ToxicError):
    """The model exists, but none of its versions is available yet."""


class OverloadedError(ToxicError):
    """The queue is full.

    Attributes:
        retry_after_seconds: when a retry has a fair chance.
    """

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
