#' Plot an answer
#'
#' Each number has its margin: bars and points have it as a thin line, lines a band. Values of the first key are beside
#' each other, those of a second key are colours, and each further key has a panel for each value. It needs the package
#' ggplot2. The result is a plot of ggplot2, to be changed with its functions.
#'
#' @param object,x An answer of [ask()], [rehearse()] or [release()].
#' @param statistics The names of the statistics to show; by default all that have one number in each row, or the first
#'   one that has several.
#' @param ... Nothing, or for `plot()` the arguments of `autoplot()`.
#' @return `autoplot()` returns the plot; `plot()` draws it.
#' @examples
#' \dontrun{
#' plot(answer)
#' ggplot2::autoplot(answer) + ggplot2::theme_bw()
#' }
#' @name plot.rowless_answer
#' @exportS3Method ggplot2::autoplot
autoplot.rowless_answer <- function(object, statistics = NULL, ...) {
  drawn <- long(object, statistics %||% drawn_together(object))
  told <- details(object)
  keys <- intersect(key_names(object), names(drawn))
  along <- if (any(!is.na(drawn$.part))) ".part" else if (length(keys) > 0) keys[[1]] else ".none"
  others <- setdiff(keys, along)
  colour <- if (length(others) > 0) others[[1]]
  drawn$.along <- if (along == ".none") factor(rep("", nrow(drawn))) else in_order(drawn[[along]])
  if (!is.null(colour)) drawn$.colour <- in_order(drawn[[colour]])
  drawn$.panel <- panels(drawn, others[-1])
  over_time <- is_over_time(told, along)
  base <- ggplot2::ggplot(drawn, plot_aesthetics(colour)) + if (over_time) lines_of(colour) else marks_of(colour)
  if (nlevels(drawn$.panel) > 1) base <- base + ggplot2::facet_wrap(".panel", scales = if (over_time) "free_y" else "free")
  decorated(base, drawn, told, along, colour, over_time)
}

# The statistics of one number each, or the first one of several numbers.
drawn_together <- function(answer) {
  columns <- details(answer)$columns
  statistics <- columns$name[columns$kind != "key" & columns$name %in% names(answer)]
  folded <- vapply(statistics, function(name) is_folded(answer[[name]]), NA)
  if (length(folded) > 0 && folded[[1]]) statistics[[1]] else statistics[!folded]
}

panels <- function(drawn, keys) {
  labels <- lapply(keys, function(key) paste0(key, ": ", in_order(drawn[[key]])))
  many <- length(unique(drawn$.statistic)) > 1
  texts <- do.call(paste, c(list(if (many) as.character(drawn$.statistic) else rep("", nrow(drawn))), labels, sep = "  "))
  factor(trimws(texts), unique(trimws(texts)))
}

#' @rdname plot.rowless_answer
#' @export
plot.rowless_answer <- function(x, ...) {
  if (!requireNamespace("ggplot2", quietly = TRUE)) {
    abort_use("Plots need the package ggplot2: install.packages(\"ggplot2\").")
  }
  print(autoplot.rowless_answer(x, ...))
  invisible(x)
}

# A row for each number: the keys, `.statistic`, `.part` (of a list), `value`, `low` and `high`.
long <- function(answer, statistics) {
  columns <- details(answer)$columns
  all <- columns$name[columns$kind != "key" & columns$name %in% names(answer)]
  statistics <- statistics %||% all
  if (length(unknown <- setdiff(statistics, all)) > 0) {
    abort_use(paste0("The answer has no statistic ", unknown[[1]], "; it has ", paste(all, collapse = ", "), "."))
  }
  keys <- intersect(key_names(answer), names(answer))
  tables <- lapply(statistics, function(name) one_long(answer, name, keys, columns$name))
  if (length(unique(vapply(tables, function(one) any(!is.na(one$.part)), NA))) > 1) {
    abort_use("Statistics of one number and of several are not drawn together: name one of them.")
  }
  drawn <- do.call(rbind, tables)
  drawn$.statistic <- factor(drawn$.statistic, unique(drawn$.statistic))
  drawn[!is.na(drawn$value), ]
}

one_long <- function(answer, name, keys, taken) {
  if (is_folded(answer[[name]])) {
    made <- parts(answer, name)
    part <- as.character(made[[length(keys) + 1]])
  } else {
    made <- tibble::tibble(
      answer[keys],
      value = answer[[name]], low = answer[[derived(name, "low", taken)]], high = answer[[derived(name, "high", taken)]]
    )
    part <- rep(NA_character_, nrow(made))
  }
  class(made) <- c("tbl_df", "tbl", "data.frame")
  made <- made[c(keys, "value", "low", "high")]
  made$.statistic <- rep(name, nrow(made))
  made$.part <- part
  made
}

# The server sends values in the order in which they were declared.
in_order <- function(values) {
  texts <- ifelse(is.na(values), "(none)", as.character(values))
  factor(texts, unique(texts))
}

is_over_time <- function(told, along) {
  is_period <- function(key) is.list(key) && identical(key$as %||% key$column, along) && !is.null(key$period)
  is_curve <- function(row) any(vapply(row, function(one) is.list(one) && any(c("survival", "differences") %in% names(one)), NA))
  any(vapply(told$query$group_by, is_period, NA)) || (along == ".part" && length(told$rows) > 0 && is_curve(told$rows[[1]]))
}

plot_aesthetics <- function(colour) {
  if (is.null(colour)) {
    ggplot2::aes(x = .data$.along, y = .data$value, ymin = .data$low, ymax = .data$high)
  } else {
    ggplot2::aes(
      x = .data$.along, y = .data$value, ymin = .data$low, ymax = .data$high, colour = .data$.colour, fill = .data$.colour,
      group = .data$.colour
    )
  }
}

lines_of <- function(colour) {
  group <- if (is.null(colour)) ggplot2::aes(group = 1)
  list(
    ggplot2::geom_ribbon(group, alpha = 0.25, colour = NA),
    ggplot2::geom_line(group),
    ggplot2::geom_point(size = 1)
  )
}

marks_of <- function(colour) {
  beside <- ggplot2::position_dodge(width = 0.8)
  plain_fill <- if (is.null(colour)) list(fill = "#56B4E9") else list()
  list(
    do.call(ggplot2::geom_col, c(list(position = beside, width = 0.7, colour = NA), plain_fill)),
    ggplot2::geom_errorbar(position = beside, width = 0.2, colour = "grey20"),
    # A bar begins at zero, also where all numbers are far from it.
    ggplot2::geom_hline(yintercept = 0, colour = "grey60")
  )
}

decorated <- function(base, drawn, told, along, colour, over_time) {
  statistics <- as.character(unique(drawn$.statistic))
  cut_off <- intersect(statistics, told$columns$name[told$columns$truncation %in% "unknown"])
  caption <- c(
    if (length(cut_off) > 0) paste("No margin covers what the bounds cut off of", paste(cut_off, collapse = ", ")),
    if (isTRUE(told$rehearsal)) "A rehearsal: these numbers are made up"
  )
  confidence <- stats::na.omit(told$columns$confidence)
  sure <- if (length(confidence) > 0) paste0(100 * confidence[[1]], "%") else "95%"
  base <- base + ggplot2::labs(
    x = if (startsWith(along, ".")) NULL else along,
    y = if (length(statistics) == 1) statistics else NULL,
    colour = colour, fill = colour,
    subtitle = paste0("Margins at ", sure, "; cost: epsilon ", shown(told$cost$epsilon)),
    caption = if (length(caption) > 0) paste(caption, collapse = "\n")
  )
  if (!is.null(colour) && nlevels(drawn$.colour) <= 8) {
    palette <- unname(grDevices::palette.colors(9, "Okabe-Ito"))[-1]
    base <- base + ggplot2::scale_fill_manual(values = palette) + ggplot2::scale_colour_manual(values = palette)
  }
  base + along_axis(nlevels(drawn$.along), over_time) + ggplot2::theme_minimal()
}

# Many categories stand below each other, so that their names can be read; of many periods some are named.
along_axis <- function(count, over_time) {
  if (count <= 10) {
    NULL
  } else if (over_time) {
    ggplot2::scale_x_discrete(guide = ggplot2::guide_axis(check.overlap = TRUE))
  } else {
    list(ggplot2::coord_flip(), ggplot2::scale_x_discrete(limits = rev))
  }
}
