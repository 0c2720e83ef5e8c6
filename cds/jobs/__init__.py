"""Durable work: a queue in the store and the worker that empties it."""
