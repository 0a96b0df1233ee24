"""What `benchmarks/serving.py` is made of: peers in environments of their own, a cheap client, honest counting."""
