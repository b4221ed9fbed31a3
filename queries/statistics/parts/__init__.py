"""What several statistics are made of: drafts of measures, spelling, words, yardsticks, what noisy numbers become."""
