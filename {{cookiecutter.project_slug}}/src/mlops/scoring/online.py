"""The scoring script of the online deployment: `init` once, then `run` for each request.

Runs in Azure's inference server. It checks a request against the contract that the model was
trained with and hands the table to `predict` of the project's own `score.py`. What was asked and
answered is recorded, if the deployment has a data collector.
"""

from __future__ import annotations

import json
from typing import Any

from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

from mlops.scoring.collection import Collection, open_collection
from mlops.scoring.model import ServedModel, load_served_model
from mlops.scoring.requests import (
    MAXIMUM_BYTES,
    TEST_HEADER,
    TOO_LARGE,
    BadRequest,
    RequestReader,
)

JSON = {"Content-Type": "application/json"}
served: ServedModel
reader: RequestReader
collection: Collection | None


def init() -> None:
    """Load the model, and make ready to read requests and to record them."""
    global served, reader, collection
    served = load_served_model()
    reader = RequestReader(served.contract)
    collection = open_collection(served.contract)
    # The first prediction is slower than all others: no client should wait for it.
    example = json.dumps({"input_data": served.contract.examples(1)})
    served.predict(reader.read(example.encode("utf-8")))


@rawhttp  # type: ignore[untyped-decorator]
def run(request: Any) -> AMLResponse:
    """Answer one request: 200 with the predictions, or 4xx with what is wrong in which field."""
    try:
        if request.method != "POST":
            raise BadRequest(405, "send a POST request")
        if (request.content_length or 0) > MAXIMUM_BYTES:
            raise BadRequest(413, TOO_LARGE)
        asked = reader.rows(request.get_data(cache=False))
        answers = served.predict(reader.table(asked))
    except BadRequest as error:
        return AMLResponse(json.dumps(error.answer, ensure_ascii=False), error.status, JSON)
    columns = {name: answers[name].tolist() for name in answers.columns}
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    answer = AMLResponse(json.dumps({"predictions": rows}, ensure_ascii=False), 200, JSON)
    if collection and TEST_HEADER not in request.headers:
        collection.add(asked, rows)
    return answer
