"""What runs inside a training container: brings inputs, runs the user's command, tells the truth about its end.

Standard library alone and Python 3.9, for it meets whatever image the user chose; it imports nothing else of the kit.
"""
