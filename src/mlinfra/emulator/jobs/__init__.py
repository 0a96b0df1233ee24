"""What the emulated clouds share about jobs that run for real: who leads them, how time passes, the host's side."""
