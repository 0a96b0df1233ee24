"""Blob storage: accounts, containers and blobs below the emulator's folder, by the REST API and from inside."""
