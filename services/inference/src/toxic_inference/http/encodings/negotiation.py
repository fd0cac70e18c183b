"""Quality values of the headers Accept and Accept-Encoding (RFC 9110, section 12.4.2)."""


def quality(header: str, *names: str) -> float | None:
    """Return the weight of the first of `names` that a header lists, from 0 to 1; None if it lists none.

    Args:
        header: the value, such as `gzip;q=0.5, *`.
        names: from the most specific to the least, in lower case, such as `text/csv`, `text/*`, `*/*`.
    """
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weights[name] = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    weights[name] = min(max(float(value), 0.0), 1.0)
                except ValueError:
                    weights[name] = 0.0
    return next((weights[name] for name in names if name in weights), None)
