"""Who calls: applications and managed identities, their tokens, and what roles let them do."""
