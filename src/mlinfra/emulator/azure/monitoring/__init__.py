"""Azure Monitor, as far as endpoints are watched and scaled: metrics, metric alerts, autoscale settings."""
