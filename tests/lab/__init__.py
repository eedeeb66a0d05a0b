"""The laboratory: real clients and servers in network namespaces, and a middlebox that says what it did.

``network`` wires two hosts to a ``middlebox`` (the rules it can follow: ``interference``; what it sees and forges:
``packet``); ``services`` and ``work_*`` are the servers and clients; ``recorder`` captures at both ends. A ``scenario``
(all of them: ``scenarios``) is staged by ``session``, its ``truth`` is checked by tshark, and ``score`` holds
what ``forensics analyze`` says against it. ``run`` does all that: ``make lab``.
"""
