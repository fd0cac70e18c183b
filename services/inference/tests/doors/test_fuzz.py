"""Every route against requests made from the OpenAPI document, valid and not."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_testing.fuzzing import examples, is_long

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]


@pytest.fixture
def schema(backend: Backend) -> Any:
    """The application's OpenAPI document."""
    return schemathesis.openapi.from_asgi("/openapi.json", create_api(backend, DOORS))


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_the_service(schema: Any, mode: GenerationMode) -> None:
    """No generated request makes any route fail with a 5xx."""
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 30
    if mode is GenerationMode.NEGATIVE:  # a path can't be wrong, since any text fits; a body can
        operations = [operation for operation in operations if operation.body]
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=examples(8),
            deadline=None,
            derandomize=not is_long(),
            suppress_health_check=list(HealthCheck),
        )
        def answer(case: Any) -> None:
            case.call_and_validate(checks=[not_a_server_error])

        answer()
