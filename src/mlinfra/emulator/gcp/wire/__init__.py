"""From gRPC, REST and plain HTTP to a method and back: ports, transcoding, validation, refusals."""
