test_that("a refusal has code, place and the server's words", {
  flu <- a_study()
  found <- refused(ask(flu, query = list(from = "years", select = list(n = list(count = "persns"))), epsilon = 0.1))
  expect_s3_class(found, c("rowless_invalid_query", "rowless_error"), exact = FALSE)
  expect_equal(found$code, "invalid-query")
  expect_equal(found$status, 422)
  expect_equal(found$place, "/query/select/n/count")
  expect_match(conditionMessage(found), "must be persons or events", fixed = TRUE)
  expect_equal(found$errors$place, "/query/select/n/count")
})

test_that("SQL that is not understood is refused with its place and what to write instead", {
  flu <- a_study()
  found <- refused(ask(flu, "SELECT MAX(age) FROM years", epsilon = 0.1))
  expect_s3_class(found, "rowless_invalid_query")
  expect_equal(found$place, "/sql")
  expect_match(conditionMessage(found), found$detail, fixed = TRUE)
})

test_that("a budget that does not suffice is refused with what is left, and costs nothing", {
  flu <- a_study()
  before <- spent(flu)
  found <- refused(ask(flu, by_sex, epsilon = 2000))
  expect_s3_class(found, "rowless_budget_exceeded")
  expect_gt(found$problem$remaining$epsilon, 0)
  expect_equal(spent(flu), before)
})

test_that("a code that is not known is an error by its status", {
  found <- refused(rowless:::abort_problem(list(title = "New", detail = "what", code = "brand-new"), 418L))
  expect_s3_class(found, c("rowless_brand_new", "rowless_error"))
  expect_equal(found$status, 418L)
  expect_equal(nrow(found$errors), 0)
})

test_that("what a server sends cannot command a terminal", {
  found <- refused(rowless:::abort_problem(list(title = "T", detail = "\033[2Jgone\a", code = "x"), 422L))
  expect_false(grepl("[\033\a]", conditionMessage(found)))
})
