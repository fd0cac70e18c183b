"""A comment's text appears only in the answer."""

from typing import Any

import httpx

MARK = "zyxwv-quite-unlikely-words"
TEXT = f"you are a stupid idiot {MARK}"
END = "the-last-request"


def test_no_text_reaches_the_log_or_the_metrics(service_process: Any) -> None:
    """Through every door, well-formed and not, scored and refused."""
    ndjson, csv = {"content-type": "application/x-ndjson"}, {"content-type": "text/csv"}
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]}
    asked = {"comment": {"text": TEXT}, "requestedAttributes": {"TOXICITY": {}}}
    suggested = {"comment": {"text": TEXT}, "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}}}
    with httpx.Client(base_url=service_process.address, timeout=60) as client:
        answers = [
            client.post("/predict", json={"texts": [TEXT], "lang": "en"}),
            client.post("/predict", json={"text": TEXT, "spans": True}),
            client.post("/predict", json={"text": TEXT * 1_000}),
            client.post(
                "/predict", content=f'{{"text": "{TEXT}', headers={"content-type": "application/json"}
            ),
            client.post("/predict", data={"message": TEXT}),
            client.post("/predict", files={"file": ("c.csv", f'content\n{TEXT}\n"{TEXT}\n'.encode())}),
            client.post("/predict", content=f'"{TEXT}"\n{TEXT}\n', headers=ndjson),
            client.post("/jobs", content=f"content\n{TEXT}\n", headers=csv),
            client.post("/v1alpha1/comments:analyze", json=asked),
            client.post("/v1alpha1/comments:analyze", json={**asked, TEXT: 1}),
            client.post("/v1alpha1/comments:suggestscore", json=suggested),
            client.post("/v1/models/toxic-comments:predict", json={"instances": [TEXT]}),
            client.post("/v2/models/toxic-comments/infer", json={"inputs": [tensor]}),
            client.post("/feedback", json={"text": TEXT, "consent": True, "labels": {"toxic": True}}),
            client.post("/feedback", json={"text": TEXT, "labels": {TEXT: True}}),
            client.get("/feedback"),
            client.get(f"/{MARK}?text={MARK}"),
            client.post(f"/v1/models/{MARK}:predict", json={}),
        ]
        assert {answer.status_code for answer in answers} == {200, 201, 202, 400, 404, 413, 422}
        metrics = client.get("/metrics").text
        client.get("/nothing", headers={"x-request-id": END})
    logs = service_process.server.logs
    logs.wait_for(END)
    assert "request.ended" in "".join(logs.lines)
    assert MARK not in "".join(logs.lines)
    assert MARK not in metrics
