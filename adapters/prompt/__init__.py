"""From messages to tokens: inputs, the question's tokens, the vision tokens and what each sees."""
