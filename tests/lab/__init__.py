"""The laboratory: real clients and servers in network namespaces, and a middlebox that says what it did."""
