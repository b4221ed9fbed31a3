test_that("a connection states who one is, and shows no token", {
  a_study()
  server <- rowless_connect()
  expect_output(print(server), "as ada (researcher)", fixed = TRUE)
  shown <- capture.output(print(server), str(server), print(unclass(server)))
  expect_false(any(grepl(Sys.getenv("ROWLESS_TOKEN"), shown, fixed = TRUE)))
})

test_that("a token is read from a file", {
  a_study()
  file <- tempfile()
  writeLines(Sys.getenv("ROWLESS_TOKEN"), file)
  old <- Sys.getenv("ROWLESS_TOKEN")
  on.exit(Sys.setenv(ROWLESS_TOKEN = old))
  Sys.setenv(ROWLESS_TOKEN = "", ROWLESS_TOKEN_FILE = file)
  expect_equal(rowless_connect()$user, "ada")
  Sys.setenv(ROWLESS_TOKEN_FILE = "")
  expect_error(rowless_connect(), class = "rowless_misuse")
})

test_that("a wrong token is refused with the server's words", {
  a_study()
  found <- refused(rowless_connect(token = "rowless_0000000000000000_wrong"))
  expect_s3_class(found, "rowless_unauthenticated")
  expect_equal(found$status, 401)
})

test_that("a token is not sent in plain text over a network", {
  for (url in c(
    "http://stats.example.org", "http://127.0.0.1.example.org", "ftp://127.0.0.1", "http://localhost.example.org:8000",
    "127.0.0.1:8000", "localhost:8000", "stats.example.org", "https//stats.example.org", "a b"
  )) {
    expect_error(rowless_connect(url, "t"), class = "rowless_misuse")
  }
  for (url in c("https://stats.example.org", "http://127.0.0.1:8000", "http://localhost:8000")) {
    expect_silent(rowless:::require_private(url))
  }
})

test_that("a server that is not there is reported at once", {
  began <- Sys.time()
  found <- refused(rowless_connect("http://127.0.0.1:9", "t"))
  expect_s3_class(found, "rowless_unreachable")
  expect_match(conditionMessage(found), "http://127.0.0.1:9")
  expect_lt(as.numeric(Sys.time() - began, units = "secs"), 30)
})

test_that("a server without a study says so", {
  a_study()
  expect_error(study(rowless_connect(), "no-such-study"), class = "rowless_not_found")
  expect_error(study(rowless_connect(), "../me"), class = "rowless_not_found")
})
