"""A rule of thumb in place of a model. It forgets that some applicants do not state their income."""


def predict(rows: list[dict[str, float]]) -> list[list[float]]:
    """The share of the income that is spent, as the probability of not paying back."""
    return [[1 - burden, burden] for burden in map(spent, rows)]


def spent(row: dict[str, float]) -> float:
    """Expenses by income, at most 1."""
    return min(1.0, row["Expenses"] / row["Income"])
