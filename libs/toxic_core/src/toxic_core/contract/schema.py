"""What every model of a sealed file's schema keeps to: frozen, nothing unknown, no number that JSON lacks."""

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """Part of a sealed file."""

    # JSON has no infinity and no NaN: they would be written as null, which can't be read back.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
