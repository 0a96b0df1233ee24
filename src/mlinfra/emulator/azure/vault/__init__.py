"""Key Vault: secrets of jobs and servers."""
