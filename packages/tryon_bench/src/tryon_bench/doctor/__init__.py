"""The preflight of every evaluation: what is wrong or odd with data and results, before a number is computed.

The rows are those of the recurring user errors: 1 wrong files in the reference set, 3 pair lists with the other
meaning, 4 self pairs in an unpaired list, 5 different sizes, 6 duplicated images, 9 missing results.
"""
