"""Bogus: a vendor of our own, whose behaviour the cents of the order's total decide."""
