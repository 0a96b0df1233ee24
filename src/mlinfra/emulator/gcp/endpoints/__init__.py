"""Endpoints of Vertex AI: EndpointService and PredictionService, over real servers of the host."""
