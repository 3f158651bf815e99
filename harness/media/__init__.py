"""Open a picture, a video or a page as a reader sees it: the only place that calls Pillow, PyAV or PDFium."""
