test_that("the catalog has every column with its values or range", {
  flu <- a_study()
  years <- catalog(flu, "years")
  expect_true(all(years$table == "years"))
  expect_equal(years$values[[which(years$column == "sex")]], c("female", "male"))
  expect_match(years$range[years$column == "visits"], "^0 to ")
  expect_gt(length(unique(catalog(flu)$table)), 1)
  expect_error(catalog(flu, "nowhere"), class = "rowless_misuse")
})

test_that("studies and budgets are read", {
  flu <- a_study()
  found <- studies(flu$server)
  expect_true("cost-sharing" %in% found$study)
  expect_output(print(flu), "cost-sharing")
  left <- budget(flu)
  expect_gt(left$remaining$epsilon, 0)
  expect_named(left$forecast, c("epsilon", "queries"))
  expect_output(print(left), "is left")
})

test_that("every release is listed, and its certificate kept byte for byte", {
  flu <- a_study()
  answer <- ask(flu, by_sex, epsilon = 0.5)
  listed <- releases(flu)
  expect_true(details(answer)$id %in% listed$id)
  expect_true(all(listed$epsilon > 0))
  file <- tempfile()
  text <- certificate(flu, answer, file)
  expect_equal(readChar(file, file.size(file), useBytes = TRUE), text, ignore_attr = TRUE)
  expect_equal(jsonlite::fromJSON(text)$certificate$release$id, details(answer)$id)
})

test_that("a list of several pages is read to its end", {
  flu <- a_study()
  for (number in 1:3) ask(flu, "SELECT COUNT(DISTINCT person) AS n FROM years", epsilon = number / 1000 + 0.02)
  whole <- releases(flu)
  expect_gt(nrow(whole), 2)
  paged <- rowless:::all_items(flu$server, "studies", flu$id, "releases", size = 2)
  expect_equal(vapply(paged, function(one) one$id, ""), whole$id)
})

test_that("codes are found by their names", {
  flu <- a_study()
  found <- codes(flu, "FEM", column = "years.sex", limit = 1)
  expect_equal(found$code, "female")
  expect_equal(found$columns, list("persons.sex"))
  expect_equal(nrow(codes(flu, "no such name")), 0)
})
