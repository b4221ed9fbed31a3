skip_if_not_installed("ggplot2")

layers <- function(plot) vapply(plot$layers, function(one) class(one$geom)[[1]], "")
built <- function(plot) ggplot2::ggplot_build(plot)$data

test_that("bars have their margins", {
  flu <- a_study()
  answer <- ask(flu, by_sex, epsilon = 0.5)
  plot <- ggplot2::autoplot(answer, "patients")
  expect_true(all(c("GeomCol", "GeomErrorbar") %in% layers(plot)))
  margins <- built(plot)[[which(layers(plot) == "GeomErrorbar")]]
  expect_equal(as.numeric(margins$ymin), answer$patients_low)
  expect_equal(as.numeric(margins$ymax), answer$patients_high)
  expect_length(unique(built(ggplot2::autoplot(answer))[[1]]$PANEL), 2)
  file <- tempfile(fileext = ".png")
  grDevices::png(file)
  plot(answer)
  grDevices::dev.off()
  expect_gt(file.size(file), 3000)
})

test_that("a second key is coloured, a third has panels, and periods are lines with a band", {
  keyed <- sent(
    list(key("a"), key("b"), key("c"), statistic("n")),
    lapply(1:8, function(i) list(a = c("x", "y")[1 + i %% 2], b = i %% 4 < 2, c = i > 4, n = number(i))),
    query = list(group_by = list("a", "b", "c"))
  )
  plot <- ggplot2::autoplot(rowless:::new_answer(keyed))
  bars <- built(plot)[[1]]
  expect_length(unique(bars$fill), 2)
  expect_length(unique(bars$PANEL), 2)
  months <- sent(
    list(key("month"), statistic("n")),
    lapply(1:24, function(i) list(month = sprintf("2020-%02d", i), n = number(i))),
    query = list(group_by = list(list(column = "day", period = "month", as = "month")))
  )
  line <- ggplot2::autoplot(rowless:::new_answer(months))
  expect_true(all(c("GeomRibbon", "GeomLine") %in% layers(line)))
  expect_equal(nrow(built(line)[[1]]), 24)
})

test_that("histograms, curves, single numbers and no numbers are drawn", {
  flu <- a_study()
  drawn <- function(sql) ggplot2::autoplot(rehearse(flu, sql, epsilon = 10))
  bins <- drawn("SELECT sex, HISTOGRAM(age, [0, 18, 40, 65]) AS ages, COUNT(*) AS n FROM years GROUP BY sex")
  expect_equal(nrow(built(bins)[[1]]), 6)
  expect_equal(nrow(built(drawn("SELECT COUNT(*) AS n FROM years"))[[1]]), 1)
  expect_s3_class(drawn("SELECT age, COUNT(*) AS n FROM years GROUP BY age")$coordinates, "CoordFlip")
  both <- rehearse(flu, "SELECT HISTOGRAM(age, [0, 18]) AS ages, COUNT(*) AS n FROM years", epsilon = 10)
  expect_error(ggplot2::autoplot(both, c("ages", "n")), class = "rowless_misuse")
  expect_error(ggplot2::autoplot(both, "nothing"), class = "rowless_misuse")
  expect_match(ggplot2::autoplot(both)$labels$caption, "made up")
  none <- rowless:::new_answer(sent(list(key("k"), statistic("n")), list(), query = list(group_by = list("k"))))
  expect_s3_class(ggplot2::autoplot(none), "ggplot")
})
