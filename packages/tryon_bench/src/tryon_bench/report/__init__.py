"""What a reader sees: leaderboard, gallery, tables for papers, the blind vote."""
