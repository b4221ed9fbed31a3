test_that("statistics of several numbers unfold", {
  flu <- a_study()
  sql <- paste(
    "SELECT sex, HISTOGRAM(age, [0, 18, 40]) AS ages, QUANTILE_CONT(age, [0.25, 0.75]) AS quartiles,",
    "APPROX_TOP_K(site, 2) AS sites FROM years GROUP BY sex"
  )
  answer <- rehearse(flu, sql, epsilon = 10)
  expect_named(answer, c("sex", "ages", "quartiles", "sites"))
  ages <- parts(answer)
  expect_named(ages, c("sex", "bin", "value", "low", "high"))
  expect_equal(ages$bin, rep(c("[0, 18)", "[18, 40)"), 2))
  expect_equal(ages$value[4], details(answer)$rows[[2]]$ages$bins[[2]]$value)
  expect_equal(parts(answer, "quartiles")$at, c(0.25, 0.75, 0.25, 0.75))
  expect_named(parts(answer, "sites"), c("sex", "key", "value", "low", "high"))
  expect_error(parts(answer, "sex"), class = "rowless_misuse")
})

test_that("what a later server adds is ignored", {
  found <- sent(
    list(key("sex"), statistic("n", margin = 3, weather = "fine"), list(name = "new", kind = "statistic")),
    list(
      list(sex = "f", n = number(7, confidence_set = list(1, 2)), new = list(cloud = list(list(x = 1)))),
      list(sex = "m", n = number(9), new = list(cloud = list()))
    ),
    weather = list(rain = TRUE), notes = list("a note"), budget = list(cloud = 1)
  )
  answer <- rowless:::new_answer(found)
  expect_equal(answer$n, c(7, 9))
  expect_equal(answer$n_low, c(4, 6))
  expect_equal(answer$new[[1]]$cloud[[1]]$x, 1)
  expect_true(details(answer)$weather$rain)
  expect_output(print(answer), "a note")
})

test_that("keys keep their kind, and null is NA", {
  found <- sent(
    list(key("child"), key("year"), statistic("n")),
    list(list(child = TRUE, year = 1L, n = number(1)), list(child = NULL, year = 2L, n = number(2)))
  )
  answer <- rowless:::new_answer(found)
  expect_identical(answer$child, c(TRUE, NA))
  expect_identical(answer$year, c(1L, 2L))
})

test_that("an answer without rows has all plain columns and can be printed", {
  answer <- rowless:::new_answer(sent(list(key("code"), statistic("n")), list()))
  expect_equal(nrow(answer), 0)
  expect_named(answer, c("code", "n", "n_low", "n_high"))
  expect_output(print(answer))
})

test_that("a margin does not take the place of a column of its name", {
  found <- sent(list(key("n_low"), statistic("n")), list(list(n_low = "a", n = number(5))))
  answer <- rowless:::new_answer(found)
  expect_equal(answer$n_low, "a")
  expect_equal(answer$n_low_, 2)
})

test_that("an answer survives what is done with tibbles", {
  answer <- rowless:::new_answer(sent(list(key("k"), statistic("n")), list(list(k = "a", n = number(5)), list(k = "b", n = number(6)))))
  expect_equal(answer[answer$n > 5, ]$k, "b")
  expect_equal(nrow(rbind(answer, answer)), 4)
  expect_output(print(answer["k"]))
  expect_error(details(data.frame()), class = "rowless_misuse")
})

test_that("an answer that is saved has no token in it", {
  flu <- a_study()
  file <- tempfile()
  saveRDS(ask(flu, by_sex, epsilon = 0.5), file, compress = FALSE)
  expect_false(grepl(Sys.getenv("ROWLESS_TOKEN"), rawToChar(Filter(function(b) b != 0, readBin(file, "raw", 1e6))), fixed = TRUE, useBytes = TRUE))
})
