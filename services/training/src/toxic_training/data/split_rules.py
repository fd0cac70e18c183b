"""The rules of a split as SQL for DuckDB; `toxic_training.data.splitting` runs them in order.

`comments` has every row, `judged` one row per repeated text and source, and `kept` one row per text. `placed`
has the kept rows with their sets, without texts, and `chosen` the rows of the sets, with their order.
"""

from toxic_training.data.comments import COLUMNS, LABEL_COLUMNS
from toxic_training.data.mixing import VALIDATION

MOST_REPEATS = 4
"""How often an epoch contains a row at most, by the temperature."""

DRAWS = ("holdout", "thinning", "limit", "temperature")


def _each_label(sql: str, between: str = ", ") -> str:
    return between.join(sql.replace("LABEL", label) for label in LABEL_COLUMNS)


TABLE = f"""
CREATE TABLE comments (
    place BIGINT, key BLOB, {", ".join(f"{name} VARCHAR" for name in COLUMNS if name not in LABEL_COLUMNS)},
    {_each_label("LABEL FLOAT")}, {", ".join(f"draw_{name} DOUBLE" for name in DRAWS)}
);
"""

RESOLVE = f"""
CREATE TABLE stated AS
    SELECT key, min(place) AS first, {_each_label("arg_min(LABEL, place) AS LABEL")}
    FROM comments WHERE key IN (SELECT key FROM comments GROUP BY key HAVING count(*) > 1) GROUP BY key;
CREATE TABLE judged AS
    SELECT
        key, source, min(place) AS place, min(first) AS first, count(*) AS rows,
        coalesce(bool_or({_each_label("c.LABEL != s.LABEL", " OR ")}), false) AS conflicting,
        {
    _each_label('''CASE
            WHEN avg(c.LABEL) IS NULL OR NOT bool_and(c.LABEL IS NULL OR c.LABEL IN (0, 1)) THEN avg(c.LABEL)
            ELSE (avg(c.LABEL) >= 0.5)::INT
        END::FLOAT AS LABEL''')
}
    FROM comments c JOIN stated s USING (key) GROUP BY key, source;
CREATE TABLE kept AS
    SELECT c.* REPLACE ({_each_label("CASE WHEN j.key IS NULL THEN c.LABEL ELSE j.LABEL END AS LABEL")})
    FROM comments c LEFT JOIN (FROM judged WHERE place = first) j ON c.key = j.key
    WHERE j.key IS NULL OR c.place = j.place;
DROP TABLE comments;
DROP TABLE stated;
"""  # noqa: S608  our own names
"""`kept` has one row per text."""

REPEATED = """
SELECT source, sum(rows - 1), count(*) FILTER (place != first), count(*) FILTER (conflicting)
FROM judged GROUP BY source
"""

# Two rules for historical reasons: figures stay comparable only if the held-out comments stay the same.
PLACE = f"""
CREATE TABLE placed AS
    SELECT
        place, source, number, language, origin, draw_thinning, draw_limit, draw_temperature,
        coalesce(greatest({_each_label("LABEL")}) >= 0.5, false) AS toxic,
        CASE
            WHEN use != 'training' THEN use
            WHEN source = '{VALIDATION}' THEN
                CASE WHEN draw_holdout < fraction THEN 'training' ELSE 'validation' END
            WHEN draw_holdout >= 1 - fraction THEN 'training'
            ELSE 'validation'
        END AS use
    FROM kept JOIN sources USING (source);
"""  # noqa: S608  our own names

MASK = {
    label: f"""
UPDATE kept SET {label} = NULL
FROM (
    SELECT source, origin FROM kept JOIN sources USING (source) WHERE mask_one_sided
    GROUP BY source, origin HAVING max({label}) = 0
) AS only_zeros
WHERE kept.source = only_zeros.source AND kept.origin = only_zeros.origin AND kept.{label} IS NOT NULL
    AND kept.place IN (SELECT place FROM placed WHERE use = 'training')
RETURNING kept.source
"""  # noqa: S608  our own names
    for label in LABEL_COLUMNS
    if label != "toxic"
}
"""Makes a label unknown in the training rows of an origin that never gives it as 1; returns their sources."""

CHOOSE = f"""
CREATE TABLE chosen AS
    WITH training AS (SELECT * FROM placed JOIN wanted USING (source, language) WHERE use = 'training'),
    repeated AS (
        SELECT place, source, part, pass, place AS value
        FROM training JOIN range({MOST_REPEATS}) AS passes(pass) ON pass < whole
        UNION ALL
        SELECT place, source, part, whole, rank FROM (
            SELECT *, row_number() OVER (
                PARTITION BY language, source ORDER BY draw_temperature, place
            ) AS rank
            FROM training WHERE rest > 0
        ) WHERE rank <= rest
    )
    SELECT 'training' AS use, place, block, part, pass, value FROM repeated JOIN repeats USING (source)
    UNION ALL
    SELECT use, place, 0, number, 0, place FROM placed WHERE use != 'training';
"""  # noqa: S608  our own number
"""`block`, `part`, `pass` and `value` order a set's rows."""

COUNT = f"""
SELECT use, count(*), {_each_label("count(*) FILTER (LABEL = 1)")}
FROM chosen JOIN kept USING (place) GROUP BY use
"""  # noqa: S608  our own names

COUNT_LICENCES = """
SELECT licence, count(*) AS rows FROM chosen JOIN kept USING (place)
WHERE use = 'training' AND licence != '' GROUP BY licence ORDER BY rows DESC, licence
"""

READ = f"""
SELECT {", ".join(COLUMNS)} FROM chosen JOIN kept USING (place)
WHERE use = $use ORDER BY block, part, pass, value
"""  # noqa: S608  our own names
