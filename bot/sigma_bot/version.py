"""The version, here and nowhere else: `make version TO=1.2.3` writes it into the charts too."""

VERSION = "0.1.0"
