"""Pulumi components for Amazon Web Services, and `AwsStack`, which makes a whole environment of them."""
