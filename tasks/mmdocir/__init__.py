"""MMDocIR: which page of the document, and what on it, answers the question."""
