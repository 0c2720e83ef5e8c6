"""Making and choosing what the nlp package serves; never imported when serving."""
