"""The clouds' wire protocols over the host: real clients, real jobs, real answers, no account.

What is here is what every cloud needs; a package beside it speaks one cloud's protocol.
"""
