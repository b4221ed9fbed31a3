-- every statistic
SELECT COUNT(DISTINCT person) AS people, COUNT(*) AS n, SUM(visits) AS total, AVG(balance) AS average FROM visits

-- clamped
SELECT SUM(CASE WHEN visits < 0 THEN 0 WHEN visits > 30 THEN 30 ELSE visits END) AS total, AVG(CASE WHEN balance < -0.5 THEN -0.5 WHEN balance > 99.75 THEN 99.75 ELSE balance END) AS average FROM visits

-- keys
SELECT sex, region AS "where", DATE_TRUNC('QUARTER', day) AS day, CASE WHEN visits >= 0 AND visits < 5 THEN '[0, 5)' WHEN visits >= 5 AND visits < 10 THEN '[5, 10)' END AS visits, COUNT(*) AS n FROM visits GROUP BY sex, region, DATE_TRUNC('QUARTER', day), CASE WHEN visits >= 0 AND visits < 5 THEN '[0, 5)' WHEN visits >= 5 AND visits < 10 THEN '[5, 10)' END

-- filters
SELECT COUNT(*) AS n FROM visits WHERE visits >= 2 AND (sex = 'male' OR region IS NULL) AND NOT (urgent = TRUE AND visits <> 3) AND day BETWEEN '2020-02-01' AND '2020-03-01' AND diagnosis IN ('it''s', 'say "x"; --') AND diagnosis IN DESCENDANTS('E11') AND diagnosis LIKE 'E11%' AND NOT STARTS_WITH(diagnosis, 'E_1') AND visits < balance

-- shapes
SELECT VARIANCE(balance) AS varies, STDDEV(CASE WHEN visits < 0 THEN 0 WHEN visits > 30 THEN 30 ELSE visits END) AS spread, QUANTILE_CONT(balance, 0.5) AS middle, QUANTILE_CONT(CASE WHEN visits < 0 THEN 0 WHEN visits > 30 THEN 30 ELSE visits END, [0.05, 0.95]) AS ends, QUANTILE_CONT(visits, [0.5]) AS one FROM visits

-- ranges
SELECT IQR(balance) AS apart, IQR(CASE WHEN visits < 0 THEN 0 WHEN visits > 30 THEN 30 ELSE visits END) FILTER(WHERE urgent = TRUE) AS near FROM visits

-- together
SELECT COVAR_SAMP(visits, balance) AS "both", CORR(CASE WHEN visits < 0 THEN 0 WHEN visits > 30 THEN 30 ELSE visits END, CASE WHEN balance < -0.5 THEN -0.5 WHEN balance > 99.75 THEN 99.75 ELSE balance END) AS alike, REGR_SLOPE(visits, balance) AS trend FROM visits

-- lists
SELECT HISTOGRAM(region) AS regions, HISTOGRAM(visits, [0, 5, 10]) AS bins, HISTOGRAM(day, [CAST('2020-01-15' AS DATE), CAST('2020-02-01' AS DATE)]) AS days, APPROX_TOP_K(unit, 2) AS often FROM visits

-- of some
SELECT COUNT(DISTINCT person) FILTER(WHERE urgent = TRUE) AS people, COUNT(*) FILTER(WHERE NOT region IS NULL) AS n, SUM(visits) FILTER(WHERE sex = 'male') AS total, QUANTILE_CONT(visits, 0.5) FILTER(WHERE sex = 'male') AS middle, HISTOGRAM(visits, [0, 5]) FILTER(WHERE visits > 1) AS bins, APPROX_TOP_K(unit, 2) FILTER(WHERE visits > 1) AS often, CORR(visits, balance) FILTER(WHERE visits > 1) AS alike FROM visits

-- shares
SELECT region, COUNT(*) FILTER(WHERE urgent = TRUE) / COUNT(*) AS urgent, COUNT(DISTINCT person) FILTER(WHERE visits > 3 OR sex = 'male') / COUNT(DISTINCT person) AS ever FROM visits GROUP BY region

-- cuts
SELECT FLOOR(visits / 10) * 10 AS visits, FLOOR((balance + 5) / 0.5) * 0.5 - 5 AS from_5, TIME_BUCKET(INTERVAL '7' DAY, day, CAST('2020-01-06' AS DATE)) AS day, EXTRACT(ISODOW FROM day) AS weekday, EXTRACT(MONTH FROM day) AS month, COUNT(*) AS n FROM visits GROUP BY FLOOR(visits / 10) * 10, FLOOR((balance + 5) / 0.5) * 0.5 - 5, TIME_BUCKET(INTERVAL '7' DAY, day, CAST('2020-01-06' AS DATE)), EXTRACT(ISODOW FROM day), EXTRACT(MONTH FROM day)

-- words of SQL
SELECT "table", SUM("group") AS "select" FROM "order" WHERE "from" < 1 GROUP BY "table"

