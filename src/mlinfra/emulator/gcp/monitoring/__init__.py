"""Cloud Monitoring, as far as endpoints are watched: time series of online predictions, and alert policies."""
