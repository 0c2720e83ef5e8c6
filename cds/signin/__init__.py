"""Who a browser is let in as: a person who signed in at an OpenID provider, or an EHR's SMART launch of one case.

    codeflow.py  to an authorization server and back, with PKCE, for both
    sessions.py  what a browser that was let in holds, for both
    tokens.py    tokens of OpenID providers: bearer tokens of clients, ID tokens of people
    provider.py  signing in and out at the provider of the settings
    cookies.py   the cookies of it

Knows no patient, no page and no route.
"""
