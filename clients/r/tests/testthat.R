library(testthat)
library(rowless)

test_check("rowless")
