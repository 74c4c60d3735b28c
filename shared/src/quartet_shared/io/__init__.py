"""Files <-> arrays: the one reader of volumes, of images, of tables, and the one archive extractor."""
