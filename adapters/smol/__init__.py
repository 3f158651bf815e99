"""SmolLM2-135M-Instruct behind a vision tower that reads printed words: the model ``smol``."""
