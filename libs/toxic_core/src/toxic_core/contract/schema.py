"""The base class of the schemas of sealed files."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class FrozenModel(BaseModel):
    """A frozen model that rejects unknown keys, NaN and infinity."""

    # JSON has no infinity and no NaN; pydantic writes them as null, which it can't read back.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
