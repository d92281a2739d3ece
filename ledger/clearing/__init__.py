"""Clearing files of a card issuer: what a network says that was paid, read and written.

Pure: bytes in, records out. What they are matched with and what is posted is not known here.
"""
