"""RefCOCOg: where in the image is what the expression refers to."""
