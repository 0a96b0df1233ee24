"""KServe: a model class as its scikit-learn server has it, with KServe's own reading and writing of the protocol."""

from __future__ import annotations

from typing import Any

import kserve
import peer
from kserve.utils.utils import get_predict_input, get_predict_response


class Estimator(kserve.Model):
    """The model behind KServe's data plane."""

    def load(self) -> bool:
        """Load."""
        self.model = peer.load()
        self.ready = True
        return True

    def predict(self, payload: Any, headers: dict[str, str] | None = None) -> Any:  # noqa: ARG002  the hook's signature
        """Ask the model."""
        answers = getattr(self.model, peer.METHOD)(get_predict_input(payload))
        return get_predict_response(payload, answers, self.name)


if __name__ == "__main__":
    estimator = Estimator("model")
    estimator.load()
    kserve.ModelServer(http_port=peer.PORT, workers=1, enable_grpc=False).start([estimator])
