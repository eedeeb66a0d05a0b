"""Say from packets alone what is being done to an app's traffic."""

__version__ = "0.1.0"
