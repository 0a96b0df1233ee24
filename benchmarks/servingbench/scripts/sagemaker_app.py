"""The SageMaker scikit-learn container's server: its toolkit's worker and transformer under gunicorn with gevent.

The container puts nginx before it, which is left out here in its favour. The toolkit predates Python 3.10; the
container patches its one import that is gone, and so does this file.
"""

from __future__ import annotations

import collections
import collections.abc
from typing import Any

import peer

collections.Mapping = collections.abc.Mapping  # type: ignore[attr-defined]  # where the toolkit looks for it

from sagemaker_containers.beta.framework import encoders, transformer, worker  # noqa: E402  after the patch


def model_fn(_model_dir: str) -> Any:
    """Load."""
    return peer.load()


def input_fn(input_data: Any, content_type: str) -> Any:
    """Rows of a request: the container's own decoder, or a data frame from records."""
    if peer.RECORDS:
        import json  # noqa: PLC0415  as a user's script would

        return peer.table(json.loads(input_data))
    return encoders.decode(input_data, content_type)


def predict_fn(input_data: Any, model: Any) -> Any:
    """Ask the model."""
    return getattr(model, peer.METHOD)(input_data)


def output_fn(prediction: Any, accept: str) -> Any:
    """The container's own encoder."""
    return worker.Response(encoders.encode(prediction, accept), accept, mimetype=accept)


_hooks = transformer.Transformer(model_fn=model_fn, input_fn=input_fn, predict_fn=predict_fn, output_fn=output_fn)
_hooks.initialize()
app = worker.Worker(transform_fn=_hooks.transform, module_name="sagemaker_app")
