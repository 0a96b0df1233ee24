"""From a spec to its effect: plan, submit, track, deploy, roll out, recover. Knows no platform by name."""
