"""One module a benchmark: ``write(root, split, questions, advance)`` draws scenes and writes its own file format.

``advance(n)`` is called after every n questions. What each writer leaves out or simplifies is in the README of the
benchmark's folder.
"""
