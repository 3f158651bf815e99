"""Replicas of a model that do its part of a run on a Ray cluster, each in a process of its own."""
