"""Who calls, and what the roles that they were granted let them do."""
