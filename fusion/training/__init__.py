"""Training of the fusion models from tables; never imported when serving."""
