//! Reference client: a protocol core without I/O, an async and a blocking face.
