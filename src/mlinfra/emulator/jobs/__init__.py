"""What the emulated clouds share about jobs that run for real: wishes, the host's side of them, their lines."""
