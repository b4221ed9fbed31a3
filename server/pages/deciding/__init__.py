"""What approvers and DPOs do alike: an inbox, a study or a larger budget to decide on, an act to confirm."""
