"""Watching an interface: findings while they arise, and the same report at the end as from a file."""
