"""What is changed in a loaded model and put back: one method, one file."""
