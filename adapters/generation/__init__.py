"""From prompts to answers: batches, caches, phases."""
