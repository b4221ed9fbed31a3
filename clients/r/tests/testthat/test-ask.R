test_that("an answer has each number with its margin beside it", {
  flu <- a_study()
  answer <- ask(flu, by_sex, epsilon = 0.5)
  expect_s3_class(answer, "tbl_df")
  expect_named(answer, c("sex", "patients", "patients_low", "patients_high", "visits", "visits_low", "visits_high"))
  expect_equal(answer$sex, c("female", "male"))
  rows <- details(answer)$rows
  expect_identical(answer$patients, as.numeric(vapply(rows, function(row) row$patients$value, 0L)))
  expect_identical(answer$visits_high, vapply(rows, function(row) row$visits$high, 0))
  expect_true(all(answer$patients_low < answer$patients & answer$patients < answer$patients_high))
  expect_match(details(answer)$charged_at, "^20.*Z$")
})

test_that("the same question is paid once, as SQL and as a list", {
  flu <- a_study()
  sql <- "SELECT sex, COUNT(DISTINCT person) AS persons FROM years WHERE year IN (2) GROUP BY sex"
  first <- ask(flu, sql, epsilon = 0.25)
  before <- spent(flu)
  again <- ask(flu, query = list(
    from = "years", where = list(column = "year", op = "in", value = 2), group_by = "sex",
    select = list(persons = list(count = "persons"))
  ), epsilon = 0.25)
  expect_true(details(again)$replayed)
  expect_equal(as.data.frame(again), as.data.frame(first))
  expect_equal(spent(flu), before)
  expect_equal(as.data.frame(release(flu, details(first)$id)), as.data.frame(first))
  expect_output(print(again), "paid before")
})

test_that("what is asked is what costs: an epsilon is sent as it was written", {
  flu <- a_study()
  for (epsilon in c(0.1, 0.3, 0.7, 1 / 3)) {
    cost <- estimate(flu, "SELECT COUNT(DISTINCT person) AS patients FROM years", epsilon = epsilon)$cost$epsilon
    expect_equal(cost, floor(epsilon * 1e9 + 1e-6) / 1e9, tolerance = 1e-12)
  }
})

test_that("an estimate is free and shows cost, margins and advice", {
  flu <- a_study()
  before <- spent(flu)
  found <- estimate(flu, by_sex, epsilon = 0.5)
  expect_equal(found$cost$epsilon, 0.5)
  expect_true(found$affordable)
  expect_equal(found$columns$name, c("sex", "patients", "visits"))
  expect_gt(found$columns$margin[2], 0)
  expect_named(found$columns$margins_at[[3]])
  expect_output(print(found), "patients: \u00b1", fixed = TRUE)
  margin <- estimate(flu, by_sex, margin = list(patients = 50, visits = list(margin = 2, at = 1000)))
  expect_lte(margin$columns$margin[2], 50)
  expect_equal(spent(flu), before)
})

test_that("an estimate knows that its question was asked before", {
  flu <- a_study()
  answer <- ask(flu, by_sex, epsilon = 0.0123)
  found <- estimate(flu, by_sex, epsilon = 0.0123)
  expect_equal(found$release, details(answer)$id)
  expect_output(print(found), "asked before, the same answer is free")
})

test_that("a rehearsal has the shape of the answer and is free", {
  flu <- a_study()
  answer <- ask(flu, by_sex, epsilon = 0.5)
  before <- spent(flu)
  made_up <- rehearse(flu, by_sex, epsilon = 0.5)
  expect_named(made_up, names(answer))
  expect_true(details(made_up)$rehearsal)
  expect_output(print(made_up), "made-up numbers")
  expect_error(certificate(flu, made_up), class = "rowless_misuse")
  rehearse(flu, "SELECT COUNT(*) AS rows FROM years", epsilon = 0.125)
  expect_equal(spent(flu), before)
})

test_that("post-processing, bounds and requirements reach the server", {
  flu <- a_study()
  answer <- ask(flu, by_sex, epsilon = 0.5, post = "round")
  expect_equal(details(answer)$post, list("round"))
  expect_true("raw_value" %in% names(details(answer)$rows[[1]]$visits))
  bounds <- estimate(flu, by_sex, epsilon = 0.5, bounds = c(events_per_cell = 3))$bounds
  expect_equal(bounds$events_per_cell, 3)
  ages <- "SELECT age, COUNT(*) AS rows FROM years GROUP BY age"
  drowned <- refused(ask(flu, ages, epsilon = 0.01, require = list(drowned = 0.01)))
  expect_s3_class(drowned, "rowless_would_drown")
})

test_that("each key of an ask is another one, whatever the seed, and the seed is left alone", {
  set.seed(1)
  one <- rowless:::new_key()
  set.seed(1)
  expect_false(one == rowless:::new_key())
  expect_match(one, "^[0-9a-f]{32}$")
  flu <- a_study()
  set.seed(7)
  before <- .Random.seed
  ask(flu, by_sex, epsilon = 0.5)
  expect_identical(.Random.seed, before)
  refused(rowless_connect("http://127.0.0.1:9", "t"))
  expect_identical(.Random.seed, before)
})

test_that("a question needs one spelling and one price", {
  flu <- list(server = NULL)
  expect_error(ask(flu, epsilon = 1), class = "rowless_misuse")
  expect_error(ask(flu, by_sex, query = list(from = "years"), epsilon = 1), class = "rowless_misuse")
  expect_error(ask(flu, by_sex), class = "rowless_misuse")
  expect_error(ask(flu, by_sex, epsilon = 1, rho = 1), class = "rowless_misuse")
  expect_error(ask(flu, c(by_sex, by_sex), epsilon = 1), class = "rowless_misuse")
})
