"""How well a model folder does on labelled films. Needs no torch; never imported when serving."""
