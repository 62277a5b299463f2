"""A planning system that is asked for budgets, over a small REST service of our own definition."""
