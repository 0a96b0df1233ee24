"""Who calls, and what IAM documents let them do."""
