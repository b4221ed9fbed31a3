json <- function(value) rowless:::to_json(rowless:::as_body(value))

test_that("one value stays a list where the language has a list", {
  expect_equal(json(list(group_by = "sex")), '{"group_by":["sex"]}')
  expect_equal(json(list(group_by = c("sex", "age"))), '{"group_by":["sex","age"]}')
  width <- list(column = "age", width = 10)
  expect_equal(json(list(group_by = width)), '{"group_by":[{"column":"age","width":10}]}')
  expect_equal(json(list(group_by = list("sex", width))), '{"group_by":["sex",{"column":"age","width":10}]}')
  comparison <- list(column = "a", op = "=", value = 1)
  expect_equal(json(list(all = list(comparison))), '{"all":[{"column":"a","op":"=","value":1}]}')
  expect_equal(json(list(column = "a", op = "in", value = "x")), '{"column":"a","op":"in","value":["x"]}')
  expect_equal(json(list(column = "a", op = "between", value = 1:2)), '{"column":"a","op":"between","value":[1,2]}')
  expect_equal(json(list(post = "round")), '{"post":["round"]}')
})

test_that("values are sent as R has them", {
  expect_equal(json(list(value = as.Date("2020-12-31"))), '{"value":"2020-12-31"}')
  expect_equal(json(list(value = factor("male"))), '{"value":"male"}')
  expect_equal(json(list(value = FALSE)), '{"value":false}')
  expect_equal(json(list(epsilon = 0.1, delta = 1e-8)), '{"epsilon":0.1,"delta":1e-08}')
  expect_equal(json(list(bounds = c(0, 2000))), '{"bounds":[0,2000]}')
  cohort <- list(column = "person", op = "in", value = list(persons = "years"))
  expect_equal(json(cohort), '{"column":"person","op":"in","value":{"persons":"years"}}')
})
