"""What the object stores of several emulated clouds share: bytes on their way in and out, names in order, lists."""
