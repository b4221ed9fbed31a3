-- every statistic
SELECT COUNT(DISTINCT person) AS people, COUNT(*) AS n, SUM(visits) AS total, AVG(balance) AS average FROM visits

-- clamped
SELECT SUM(CASE WHEN visits < 0 THEN 0 WHEN visits > 30 THEN 30 ELSE visits END) AS total, AVG(CASE WHEN balance < -0.5 THEN -0.5 WHEN balance > 99.75 THEN 99.75 ELSE balance END) AS average FROM visits

-- keys
SELECT sex, region AS "where", DATE_TRUNC('QUARTER', day) AS day, CASE WHEN visits >= 0 AND visits < 5 THEN '[0, 5)' WHEN visits >= 5 AND visits < 10 THEN '[5, 10)' END AS visits, COUNT(*) AS n FROM visits GROUP BY sex, region, DATE_TRUNC('QUARTER', day), CASE WHEN visits >= 0 AND visits < 5 THEN '[0, 5)' WHEN visits >= 5 AND visits < 10 THEN '[5, 10)' END

-- filters
SELECT COUNT(*) AS n FROM visits WHERE visits >= 2 AND (sex = 'male' OR region IS NULL) AND NOT (urgent = TRUE AND visits <> 3) AND day BETWEEN '2020-02-01' AND '2020-03-01' AND diagnosis IN ('it''s', 'say "x"; --')

-- words of SQL
SELECT "table", SUM("group") AS "select" FROM "order" WHERE "from" < 1 GROUP BY "table"

