# Most tests ask a real server, which has the demonstration's dataset and the study cost-sharing:
# tests/clients/test_r.py of Rowless runs one. They spend the study's budget, so an address alone is not enough: without
# ROWLESS_MAY_SPEND=true they are skipped, or R CMD check would spend what somebody's ~/.Renviron leads to.

a_study <- function() {
  allowed <- Sys.getenv("ROWLESS_MAY_SPEND") == "true"
  testthat::skip_if(!allowed, "they spend: set ROWLESS_URL and ROWLESS_TOKEN of a demonstration, and ROWLESS_MAY_SPEND=true")
  study(rowless_connect(), "cost-sharing")
}

by_sex <- "SELECT sex, COUNT(DISTINCT person) AS patients, AVG(visits) AS visits FROM years GROUP BY sex"

spent <- function(study) budget(study)$spent$epsilon

refused <- function(code) tryCatch(code, rowless_error = identity)

# What a server sends, from R.
sent <- function(columns, rows, ...) list(columns = columns, rows = rows, cost = list(epsilon = 0.1), ...)
key <- function(name) list(name = name, kind = "key")
statistic <- function(name, ...) list(name = name, kind = "statistic", confidence = 0.95, ...)
number <- function(value, ...) list(value = value, low = value - 3, high = value + 3, ...)
