"""One module a model family: its vision tokens, their pixels, its positions."""
