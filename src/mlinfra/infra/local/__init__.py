"""The machine at hand as a stack: a folder of the host and its buckets, by dynamic providers and without an account."""
