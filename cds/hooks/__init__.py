"""CDS Hooks 2.0.1, with 3.0 requests accepted: from a request to cards, in the order of the data.

    limits.py     bytes and nesting of a body, before anything reads it
    tokens.py     who calls: client JWTs; keysets.py fetches their keys
    envelope.py   the request, checked
    services.py   the services, their hooks and prefetch templates, discovery
    prefetch.py   what the request brought; fetching.py gets what is missing, by addresses that are allowed
    quotes.py     the words of the report that statements rest on
    choosing.py   assessment -> what is worth a card
    wording.py    outside text made harmless; advisories.py and overview.py write summary and detail
    cards.py      the cards and their suggestions as CDS Hooks has them
    extension.py  what an answer rests on and does without
    answering.py  all of it, for one request
    feedback.py   what became of the cards

Knows the store only through `cds.store`, and no web framework: `cds.api.hooks` mounts it.
"""
