"""Cloud Storage: buckets and objects below the emulator's folder, by the JSON API, the XML API, and from inside."""
